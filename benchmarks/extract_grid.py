"""Features of a 6 x 5 grid of (timestep, block), ours against the plain way.

Run by hand, on an otherwise idle machine: python benchmarks/extract_grid.py [--help]

All ways read the same images through the same weights, and their features agree. Plain is what published
scripts do: for each pair, read and encode every image, noise it, run the whole of diffusers' own model, and
keep one block through a hook. Between the two stands the plain way with latents kept from pair to pair. Ours
is `extract.extract` with all it does, files and checksums included.

The table gives seconds, the ratio to ours, and the share of the float32 matrix-multiply rate (measured on
2048 x 2048 matrices) that the products of the model reach: T (24 D^2 + 4 T D) + 12 D^2 flops per block and
sample.
"""

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import DiTTransformer2DModel
from PIL import Image

from difffeat.backbones.dit import DiT
from difffeat.backbones.latents import PatchPCA, pixels
from difffeat.features import cache, extract, layout, schedule
from difffeat.features.datasets import Split
from difffeat.features.recipe import Recipe

TIMESTEPS = (0, 10, 30, 50, 100, 150)  # the paper's
PIXELS = 8  # side of the patch of pixels behind a latent pixel


def build(args):
    """A DiT with random weights, which take as long as trained ones, and the images to read."""
    torch.manual_seed(0)
    side = args.side * PIXELS
    random = np.random.default_rng(0)
    images = [
        Image.fromarray(random.integers(0, 255, (side, side, 3), np.uint8)) for _ in range(args.samples)
    ]
    model = DiT(
        channels=args.channels, side=args.side, patch=args.patch, width=args.width, depth=args.depth,
        heads=args.heads, classes=1, image_side=side, closed_gates=False,
        encoder=PatchPCA.fit(pixels(images[:64], side), patch=PIXELS, channels=args.channels),
    )  # fmt: skip
    model.name = model.sha256 = "benchmark"
    return model.eval(), images


def on_disk(images, folder):
    """The images as a split of JPEG files."""
    paths = [Path(folder) / f"{row}.jpg" for row in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        image.save(path)
    return Split("test", range(len(images)), ["none"], np.zeros((len(images), 1)), images=paths)


def as_diffusers_has_it(model):
    """diffusers' own model with our weights: every block has its own embedding of timestep and label."""
    copy = DiTTransformer2DModel.from_config(model.transformer.config)
    weights = dict(model.transformer.state_dict())
    for index, block in enumerate(copy.transformer_blocks):
        block.norm1.emb.time_proj.downscale_freq_shift = 0
        for name, value in model.conditioning.state_dict().items():
            weights[f"transformer_blocks.{index}.norm1.emb.{name}"] = value
    copy.load_state_dict(weights)
    return copy.eval()


def plain(split, model, network, blocks, batch_size, kept=None):
    """One full forward per pair; `kept` holds latents from pair to pair."""
    features = {}
    for timestep in TIMESTEPS:
        for block in blocks:
            features[block, timestep] = one_pair(split, model, network, block, timestep, batch_size, kept)
    return features


@torch.inference_mode()
def one_pair(split, model, network, block, timestep, batch_size, kept):
    """Features (N, D) of one block at one timestep."""
    pooled = []
    hook = network.transformer_blocks[block - 1].register_forward_hook(
        lambda module, inputs, tokens: pooled.append(tokens.mean(dim=1))
    )
    for lo in range(0, len(split), batch_size):
        rows = range(lo, min(lo + batch_size, len(split)))
        z = model.latents([split.image(row) for row in rows]).z if kept is None else kept[lo : rows.stop]
        noise = schedule.noise(0, split.ids[lo : rows.stop], z.shape[1:])
        noised = schedule.noised(z, timestep, "random", model.schedule, noise=noise)
        clock, labels = torch.full((len(z),), timestep), torch.full((len(z),), model.null_label)
        network(noised, timestep=clock, class_labels=labels)
    hook.remove()
    return torch.cat(pooled).numpy()


def seconds(call):
    """Wall time of a call, and what it returned."""
    begin = time.perf_counter()
    value = call()
    return time.perf_counter() - begin, value


def main():
    form = {"description": __doc__, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(**form)
    parser.add_argument("--samples", type=int, default=256, help="images N")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--blocks", type=int, nargs="+", default=[4, 6, 8, 10, 12], help="the five blocks")
    parser.add_argument("--depth", type=int, default=12, help="DiT-XL/2 has 28")
    parser.add_argument("--width", type=int, default=96, help="D; DiT-XL/2 has 1152")
    parser.add_argument("--heads", type=int, default=3, help="DiT-XL/2 has 16")
    parser.add_argument("--channels", type=int, default=24, help="latent channels C; DiT-XL/2 has 4")
    parser.add_argument("--side", type=int, default=8, help="latent size H = W; DiT-XL/2 has 32")
    parser.add_argument(
        "--patch", type=int, default=1, help="latent pixels to a token's side; DiT-XL/2 has 2"
    )
    parser.add_argument("--threads", type=int, help="threads of torch (default: its own choice)")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        report(args, Path(folder))


def report(args, folder):
    """Run the three ways, compare their features, print the table."""
    model, images = build(args)
    network, split, blocks, batch = (
        as_diffusers_has_it(model),
        on_disk(images, folder),
        args.blocks,
        args.batch_size,
    )
    square = torch.randn(2048, 2048)
    rate = 2 * 2048**3 / min(seconds(lambda: square @ square)[0] for _ in range(5))
    tokens = (args.side // args.patch) ** 2
    per_block = tokens * (24 * args.width**2 + 4 * tokens * args.width) + 12 * args.width**2

    recipe, storing = Recipe(blocks, TIMESTEPS), {"batch_size": batch, "progress": False}
    extract.extract(split[:batch], model, recipe, folder=folder / "warm", **storing)
    ours, _ = seconds(lambda: extract.extract(split, model, recipe, folder=folder, **storing))
    kept = model.latents(images).z
    half_way, _ = seconds(lambda: plain(split, model, network, blocks, batch, kept))
    in_full, features = seconds(lambda: plain(split, model, network, blocks, batch))

    found = cache.open(layout.view_path(folder, split.name))
    apart = max(np.abs(found.read(*point) - values).max() for point, values in features.items())
    threads = f"{torch.get_num_threads()} threads on {os.cpu_count()} cores"
    print(f"{platform.machine()}, {threads}, torch {torch.__version__}: {rate / 1e9:.0f} GFLOP/s")
    print(
        f"N = {args.samples}, D = {args.width}, T = {tokens}, blocks {blocks} of {args.depth}, batch {batch}"
    )
    print(f"largest difference of a feature, stored in float16: {apart:.1e}")
    print(f"{'':24}{'seconds':>10}{'images/s':>10}{'ratio':>8}{'of matmul rate':>16}")
    passes, pairs = len(TIMESTEPS) * max(blocks), len(TIMESTEPS) * len(blocks) * args.depth
    rows = [("ours", ours, passes), ("plain, latents kept", half_way, pairs), ("plain", in_full, pairs)]
    for name, taken, blocks_run in rows:
        share = blocks_run * per_block * args.samples / taken / rate
        print(f"{name:24}{taken:10.2f}{args.samples / taken:10.1f}{taken / ours:8.2f}{share:16.1%}")


if __name__ == "__main__":
    main()
