"""Train `dit-scenes`, the image backbone of the scenes profile, from scratch.

A 12-block DiT on patch-PCA latents of scenes drawn for it (the probes' training images are among
them, the validation and test images are not). The paper's schedule: DDPM, T = 1000, linear betas;
unconditional through the null label. Stopped at any time, the same command goes on from the last checkpoint.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch

from data_prep.scenes.drawing import render
from data_prep.scenes.generate import FIRST_INDEX, end_with_parent
from data_prep.scenes.world import layout
from data_prep.training.shared import (
    Average,
    Log,
    Muon,
    card_options,
    learning_rate,
    load_checkpoint,
    restart_with_fast_malloc,
    save_checkpoint,
    write_weights,
)
from difffeat.backbones import weights_folder
from difffeat.backbones.dit import DiT
from difffeat.backbones.latents import PatchPCA
from difffeat.base.files import write_whole
from difffeat.base.progress import bar
from difffeat.features.schedule import DDPM

SIDE, PATCH = 64, 8
VALIDATION_TIMESTEPS = (10, 30, 50, 100, 200, 300, 500, 700, 850, 980)


def parse_arguments() -> argparse.Namespace:
    """The command line; every default is what the shipped weights were trained with."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--out", default=str(weights_folder("dit-scenes")), help="where the weights, config, card and log go"
    )
    parser.add_argument(
        "--run", default="runs/dit-scenes", help="where latents and checkpoints are kept while training"
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=520_000,
        help="samples to see in all; may be changed until the decay begins",
    )
    parser.add_argument(
        "--decay", type=int, default=200_000, help="samples of the final cosine decay of the learning rate"
    )
    parser.add_argument("--images", type=int, default=60_000, help="scenes drawn for training")
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument(
        "--channels", type=int, default=20, help="PCA components kept of each 8x8 pixel patch"
    )
    parser.add_argument(
        "--whitening", type=float, default=0.5, help="of the components: 1 for equal variances, 0 for none"
    )
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--heads", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=3e-3, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0, help="of initialisation, batch order and noise")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu", help="where the model is trained: cpu, cuda, ...")
    parser.add_argument("--save-every", type=int, default=500, help="steps between checkpoints")
    return parser.parse_args()


def draw(data_seed: int, start: int, count: int) -> np.ndarray:
    """Scenes [start, start + count) as uint8 pixels (count, 3, 64, 64)."""
    images = [np.asarray(render(layout(data_seed, index), SIDE)[0]) for index in range(start, start + count)]
    return np.stack(images).transpose(0, 3, 1, 2)


def to_unit(pixels: np.ndarray) -> torch.Tensor:
    """uint8 pixels to floats in [-1, 1]."""
    return torch.from_numpy(pixels).float() / 127.5 - 1


def prepare_latents(options: argparse.Namespace) -> tuple[PatchPCA, np.ndarray]:
    """Draw the training scenes once, fit the latents' PCA on the first 4000, and keep all latents on disk as
    float16.

    Returns
    -------
    pca : PatchPCA
    latents : float16 memory map of shape (images, channels, 8, 8)
    """
    folder = Path(options.run)
    folder.mkdir(parents=True, exist_ok=True)
    kind = f"{options.data_seed}-{options.images}-{options.channels}-{options.whitening}"
    path, chunk = folder / f"latents-{kind}.npy", 500
    fitted = to_unit(draw(options.data_seed, 0, min(4000, options.images)))
    pca = PatchPCA.fit(fitted, patch=PATCH, channels=options.channels, whitening=options.whitening)
    if not path.exists():
        starts = range(0, options.images, chunk)
        partial_path = path.with_suffix(".partial.npy")
        shape = (options.images, options.channels, SIDE // PATCH, SIDE // PATCH)
        latents = np.lib.format.open_memmap(partial_path, mode="w+", dtype=np.float16, shape=shape)
        with ProcessPoolExecutor(initializer=end_with_parent) as pool:
            drawn = pool.map(partial(draw, options.data_seed, count=chunk), starts)
            progress = bar(len(starts) * chunk, "drawing scenes", "scenes")
            for start, pixels in zip(starts, drawn, strict=True):
                progress.update(chunk)
                latents[start : start + chunk] = pca.encode(to_unit(pixels)).numpy()[: options.images - start]
        latents.flush()
        partial_path.rename(path)
    return pca, np.load(path, mmap_mode="r")


class Validation:
    """Denoising error of fixed noise on 160 validation scenes, at ten timesteps."""

    def __init__(self, options: argparse.Namespace, pca: PatchPCA, schedule: DDPM) -> None:
        pixels = draw(options.data_seed, FIRST_INDEX["val"], 16 * len(VALIDATION_TIMESTEPS))
        latents = pca.encode(to_unit(pixels))
        self.timesteps = torch.tensor(VALIDATION_TIMESTEPS).repeat(16)
        self.noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
        self.noised = schedule.add_noise(latents, self.timesteps, self.noise)
        self.device = options.device

    @torch.no_grad()
    def __call__(self, model: torch.nn.Module) -> float:
        """Mean squared error, one float."""
        noised, timesteps = self.noised.to(self.device), self.timesteps.to(self.device)
        return float((model(noised, timesteps).cpu() - self.noise).square().mean())


def training_step(
    model: torch.nn.Module, schedule: DDPM, latents: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Gradients of the noise-prediction loss, timesteps spread evenly over the clock; returns the loss."""
    count = len(latents)
    spread = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    timesteps = (spread * schedule.steps).long()
    noise = torch.randn(latents.shape, generator=generator)  # drawn on the processor: the same on any device
    device = next(model.parameters()).device
    noised = schedule.add_noise(latents, timesteps, noise).to(device)
    loss = (model(noised, timesteps.to(device)) - noise.to(device)).square().mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    return loss.detach()


def train(options: argparse.Namespace) -> None:
    """Train, or go on training, and write weights, log and card at every checkpoint."""
    torch.set_num_threads(options.threads)
    pca, latents = prepare_latents(options)
    schedule = DDPM()
    config = {
        "channels": options.channels,
        "side": SIDE // PATCH,
        "patch": 1,
        "width": options.width,
        "depth": options.depth,
        "heads": options.heads,
        "classes": 1,
        "image_side": SIDE,
    }
    torch.manual_seed(options.seed)
    model = DiT(**config).to(options.device)
    averaged = DiT(**config).to(options.device)
    optimizer = Muon(model, model.blocks, options.rate)
    average, generator, step = Average(model), torch.Generator().manual_seed(options.seed), 0

    checkpoint, rows = Path(options.run) / "checkpoint.pt", None
    if state := load_checkpoint(checkpoint, options.device):
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.parameters, step = state["average"], state["step"]
        generator.set_state(state["generator"])
        rows = state.get("log")  # not in older checkpoints
    log = Log(Path(options.run) / "log.csv", step, rows)
    validation, started, before = Validation(options, pca, schedule), time.perf_counter(), log.seconds
    running, order, per_epoch = [], None, len(latents) // options.batch

    progress = bar(options.samples, "training dit-scenes", "samples", initial=step * options.batch)
    while step * options.batch < options.samples:
        if order is None or step % per_epoch == 0:  # the batch order of an epoch depends on its number alone
            order = np.random.default_rng([options.seed, step // per_epoch]).permutation(len(latents))
        first = step % per_epoch * options.batch
        batch = torch.from_numpy(latents[np.sort(order[first : first + options.batch])]).float()
        rate = learning_rate(
            step * options.batch,
            peak=options.rate,
            total=options.samples,
            warmup=200 * options.batch,
            decay=options.decay,
        )
        running.append(training_step(model, schedule, batch, generator))
        optimizer.step(rate)
        average.update(model, step)
        step += 1
        progress.update(options.batch)
        if step % options.save_every == 0 or step * options.batch >= options.samples:
            seconds, seen = before + time.perf_counter() - started, step * options.batch
            loss, measured = float(torch.stack(running).mean()), validation(average.copy_to(averaged))
            running.clear()
            log.add(
                step=step,
                samples=seen,
                seconds=round(seconds),
                rate=rate,
                loss=loss,
                validation_loss=measured,
            )
            card = {
                "model": "dit-scenes",
                "data": "scenes",
                "options": card_options(options),
                "steps": step,
                "samples": seen,
                "seconds": round(seconds),
                "validation_loss": measured,
            }
            write_weights(options.out, averaged.state_dict(), config=config, card=card)
            pca.save(Path(options.out) / "latents.safetensors")
            write_whole(Path(options.out) / "log.csv", log.path.read_bytes())
            state = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "average": average.parameters,
                "step": step,
                "generator": generator.get_state(),
                "log": log.rows,
            }
            save_checkpoint(checkpoint, state)  # last: a kill before it loses nothing
            progress.set_postfix(loss=f"{loss:.4f}", validation=f"{measured:.4f}")


if __name__ == "__main__":
    restart_with_fast_malloc()
    train(parse_arguments())
