"""The paper's two models at full size, with random weights: speed, memory, and what lower precision changes.

Run by hand, on an otherwise idle machine: python benchmarks/full_size.py [--help]

Pictures and captions are the test part of the profile's data (scenes, unless told otherwise), read and
written as in a real run; how fast a model is does not depend on its weights. Each row is one way to run a
model: how many samples a second one timestep takes, up to the last block of the paper's grid, the share of
the matrix-multiply rate that is (measured on 4096 x 4096 matrices in the same precision), and the lowest
cosine of its pooled features to those of float32.
"""

import argparse
import resource
import tempfile
import time
from itertools import product

import numpy as np
import torch

import data_prep
from difffeat import backbones, cost
from difffeat.features import extract
from difffeat.features.recipe import Recipe

MODELS = {"dit-xl-2-256": (50, 24), "plaid-1b": (0, 24)}  # the paper's timestep, and its deepest block


def ways(args):
    """(precision, compiled) of each row, float32 first: the others are compared with it."""
    precisions = ["float32", *args.precisions]
    return list(product(precisions, [False, True] if args.compiled else [False]))


def measure(name, split, args, precision, compiled):
    """(samples a second, share of the matrix rate, features) of one way to run a model."""
    options = {"tokenizer": args.tokenizer} if name == "plaid-1b" else {}
    model = backbones.load(
        f"{name}-random", device=args.device, precision=precision, compiled=compiled, **options
    )
    timestep, block = MODELS[name]
    recipe, storing = (
        Recipe(blocks=[block], timesteps=[timestep]),
        dict(batch_size=args.batch, progress=False),
    )
    # Compiling, and the first call of a kernel, are not what is measured.
    with tempfile.TemporaryDirectory() as warm, tempfile.TemporaryDirectory() as folder:
        extract.features(split[: args.batch], model, recipe, root=warm, **storing)
        synchronize(args.device)
        started = time.perf_counter()
        found = extract.features(split, model, recipe, root=folder, **storing)
        synchronize(args.device)
        seconds = time.perf_counter() - started
        features = found.read((timestep, block)).astype(np.float32)
    known = cost.model(name)
    rate = len(split) * (block * known.block + known.encoder) / seconds
    return len(split) / seconds, rate / matrix_rate(args.device, precision), features


def matrix_rate(device, precision, size=4096, runs=5):
    """Operations a second of products of square matrices, the best of some runs."""
    a = torch.randn(size, size, device=device).to(backbones.PRECISIONS[precision])
    out, best = torch.empty_like(a), float("inf")
    for _ in range(runs):
        started = time.perf_counter()
        torch.mm(a, a, out=out)
        synchronize(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def synchronize(device):
    """Wait for a GPU."""
    if device != "cpu":
        torch.cuda.synchronize()


def lowest_cosine(features, exact):
    """Of any sample."""
    dot = (features * exact).sum(axis=1)
    return float((dot / np.linalg.norm(features, axis=1) / np.linalg.norm(exact, axis=1)).min())


def main():
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--tokenizer", help="path of Plaid's owt2_tokenizer.json, unless it was fetched")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--batch", type=int, default=4, help="the paper's are 128 images and 64 texts")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precisions", nargs="*", default=[], choices=["bfloat16", "float16"])
    parser.add_argument("--compiled", action="store_true", help="also run each way compiled")
    parser.add_argument("--reader", default="scenes", help="of the data; other settings as name=value")
    parser.add_argument("settings", nargs="*", metavar="name=value")
    args = parser.parse_args()
    data = dict(setting.split("=", 1) for setting in args.settings)
    split = data_prep.splits({"reader": args.reader, **data})["test"][: args.samples]
    print("model         precision  compiled  samples/s  of the matrix rate  cosine    peak GB")
    for name in args.models:
        exact = None
        for precision, compiled in ways(args):
            speed, share, features = measure(name, split, args, precision, compiled)
            exact = features if exact is None else exact
            cosine = lowest_cosine(features, exact)
            print(
                f"{name:<13} {precision:<9} {compiled!s:>9}  {speed:9.3f}  {share:18.1%}  {cosine:.6f}  "
                f"{peak(args.device):7.1f}",
                flush=True,
            )


def peak(device):
    """Most memory in use so far, GB: of the GPU where there is one, else of this process."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
