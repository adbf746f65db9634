"""Train an image backbone from scratch: `python -m data_prep.training.dit --model dit-scenes`, or another.

A 12-block DiT on patch-PCA latents of pictures, without their labels: of scenes drawn for it, or of the train
part of a real data set (the probes' training images are among them, the validation and test images are not).
The paper's schedule: DDPM, T = 1000, linear betas; unconditional through the null label. Stopped at any time,
the same command goes on from the last checkpoint.
"""

import argparse
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from data_prep.training import pictures, shared
from data_prep.training.optimizers import Muon, outside
from data_prep.training.pictures import Pictures, to_unit
from data_prep.training.shared import Average, learning_rate, restart_with_fast_malloc
from difffeat.backbones.dit import DiT
from difffeat.backbones.latents import PatchPCA
from difffeat.base.progress import bar
from difffeat.features.schedule import DDPM

VALIDATION_TIMESTEPS = (10, 30, 50, 100, 200, 300, 500, 700, 850, 980)


class Model(NamedTuple):
    """What a model is trained on, and the options that its weights were trained with."""

    profile: str  # whose data it sees
    side: int  # pixels of its pictures
    patch: int  # pixels of the squares that PCA makes a token of
    framing: str  # how a picture becomes a square, see `latents.square`
    options: dict


MODELS = {
    "dit-scenes": Model(
        "scenes",
        64,
        8,
        "published",
        dict(samples=520_000, decay=200_000, images=60_000, channels=20, width=96, heads=3),
    ),
    "dit-fashion": Model(
        "fashion",
        64,
        8,
        "whole",
        dict(samples=128_000, decay=64_000, images=0, channels=20, width=128, heads=4, batch=64),
    ),
    "dit-cifar": Model(
        "cifar10",
        32,
        4,
        "published",
        dict(samples=256_000, decay=128_000, images=0, channels=20, width=96, heads=3, batch=64),
    ),
}


def parse_arguments() -> argparse.Namespace:
    """The command line; every default is what the shipped weights of that model were trained with."""
    parser, name = shared.parser(__doc__, MODELS, "dit-scenes")
    add = parser.add_argument
    add("--images", type=int, help="pictures to train on; 0 takes all that the data have")
    add("--channels", type=int, help="PCA components kept of each patch of pixels")
    add("--whitening", type=float, default=0.5, help="of the components: 1 for equal variances, 0 for none")
    add("--depth", type=int, default=12)
    add("--batch", type=int, default=32)
    add("--rate", type=float, default=3e-3, help="peak learning rate")
    add("--seed", type=int, default=0, help="of initialisation, batch order and noise")
    add("--threads", type=int, default=2)
    add("--save-every", type=int, default=500, help="steps between checkpoints")
    parser.set_defaults(**MODELS[name].options)
    return parser.parse_args()


def pictures_of(options: argparse.Namespace, model: Model) -> Pictures:
    """What a model sees while it is trained, and is validated on."""
    if model.profile == "scenes":
        return pictures.scenes(options.data_seed, options.images, model.side)
    return pictures.of_profile(model.profile, options.images, model.side, model.framing)


def prepare_latents(options: argparse.Namespace, seen: Pictures, model: Model) -> tuple[PatchPCA, np.ndarray]:
    """Fit the latents' PCA on the first 4000 pictures, and keep the latents of all on disk as float16.

    Returns
    -------
    pca : PatchPCA
    latents : float16 memory map of shape (images, channels, H, H)
    """
    folder = Path(options.run)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"latents-{seen.digest}-{options.channels}-{options.whitening}.npy"
    fitted = to_unit(seen.train(0, min(4000, seen.count)))
    pca = PatchPCA.fit(fitted, patch=model.patch, channels=options.channels, whitening=options.whitening)
    if not path.exists():
        partial_path, start = path.with_suffix(".partial.npy"), 0
        shape = (seen.count, options.channels, model.side // model.patch, model.side // model.patch)
        latents = np.lib.format.open_memmap(partial_path, mode="w+", dtype=np.float16, shape=shape)
        progress = bar(seen.count, "pictures to latents", "pictures")
        for pixels in pictures.in_chunks(seen, 500):
            latents[start : start + len(pixels)] = pca.encode(to_unit(pixels)).numpy()
            start += len(pixels)
            progress.update(len(pixels))
        latents.flush()
        partial_path.rename(path)
    return pca, np.load(path, mmap_mode="r")


class Validation:
    """Denoising error of fixed noise on 160 validation pictures, at ten timesteps.

    `told` is what the model takes besides latents and timesteps, for these pictures.
    """

    def __init__(
        self, seen: Pictures, pca: PatchPCA, schedule: DDPM, device: str, *told: torch.Tensor
    ) -> None:
        latents = pca.encode(to_unit(seen.validation(16 * len(VALIDATION_TIMESTEPS))))
        self.timesteps = torch.tensor(VALIDATION_TIMESTEPS).repeat(16)
        self.noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1))
        self.noised = schedule.add_noise(latents, self.timesteps, self.noise)
        self.device, self.told = device, [one.to(device) for one in told]

    @torch.no_grad()
    def __call__(self, model: torch.nn.Module) -> float:
        """Mean squared error, one float."""
        noised, timesteps = self.noised.to(self.device), self.timesteps.to(self.device)
        return float((model(noised, timesteps, *self.told).cpu() - self.noise).square().mean())


def training_step(
    model: torch.nn.Module,
    schedule: DDPM,
    latents: torch.Tensor,
    generator: torch.Generator,
    *told: torch.Tensor,
) -> torch.Tensor:
    """Gradients of the noise-prediction loss, timesteps spread evenly over the clock; returns the loss.

    `told` is what the model takes besides latents and timesteps.
    """
    count = len(latents)
    spread = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    timesteps = (spread * schedule.steps).long()
    noise = torch.randn(latents.shape, generator=generator)  # drawn on the processor: the same on any device
    device = next(model.parameters()).device
    noised = schedule.add_noise(latents, timesteps, noise).to(device)
    loss = (model(noised, timesteps.to(device), *told) - noise.to(device)).square().mean()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    return loss.detach()


class Run(shared.Run):
    """A training run: everything that changes from step to step, and is kept in its checkpoints."""

    def __init__(self, options: argparse.Namespace) -> None:
        model = MODELS[options.model]
        seen = pictures_of(options, model)
        self.options, self.data = options, model.profile
        self.pca, self.latents = prepare_latents(options, seen, model)
        self.schedule = DDPM()
        self.validation = Validation(seen, self.pca, self.schedule, options.device)
        self.config = {
            "channels": options.channels,
            "side": model.side // model.patch,
            "patch": 1,
            "width": options.width,
            "depth": options.depth,
            "heads": options.heads,
            "classes": 1,
            "image_side": model.side,
        }
        if model.framing != "published":
            self.config["framing"] = model.framing
        torch.manual_seed(options.seed)
        self.model = DiT(**self.config).to(options.device)
        self.averaged = DiT(**self.config).to(options.device)
        self.optimizer = Muon(self.model.blocks, [{"params": outside(self.model, self.model.blocks)}])
        self.average, self.generator = Average(self.model), torch.Generator().manual_seed(options.seed)
        self.order = None
        self.resume()

    @property
    def rate(self) -> float:
        """The learning rate of this step."""
        options = self.options
        return learning_rate(
            self.seen,
            peak=options.rate,
            total=options.samples,
            warmup=200 * options.batch,
            decay=options.decay,
        )

    def rows(self) -> np.ndarray:
        """Which pictures this step sees, rising; the order of an epoch depends on its number alone."""
        size = self.options.batch
        epoch, place = divmod(self.step, len(self.latents) // size)
        if self.order is None or not place:
            self.order = np.random.default_rng([self.options.seed, epoch]).permutation(len(self.latents))
        return np.sort(self.order[place * size : (place + 1) * size])

    def told(self, rows: np.ndarray) -> tuple[torch.Tensor, ...]:
        """What the model is told of these pictures besides their timesteps."""
        return ()

    def advance(self) -> torch.Tensor:
        """One optimizer step; returns its loss."""
        rows = self.rows()
        latents = torch.from_numpy(self.latents[rows]).float()
        loss = training_step(self.model, self.schedule, latents, self.generator, *self.told(rows))
        self.optimizer.step(self.rate)
        self.average.update(self.model, self.step)
        self.step += 1
        return loss

    def write_inputs(self, out: Path) -> None:
        """As `shared.Run.write_inputs`."""
        self.pca.save(out / "latents.safetensors")


def train(options: argparse.Namespace, kind: type[Run] = Run) -> None:
    """Train, or go on training; every `save_every` steps measure, log, and write checkpoint and weights."""
    torch.set_num_threads(options.threads)
    run = kind(options)
    started, before, recent = time.perf_counter(), run.log.seconds, []
    progress = bar(options.samples, f"training {options.model}", "samples", initial=run.seen)
    while run.seen < options.samples:
        rate = run.rate
        recent.append(run.advance())
        progress.update(options.batch)
        if run.step % options.save_every == 0 or run.seen >= options.samples:
            seconds, loss = before + time.perf_counter() - started, float(torch.stack(recent).mean())
            recent.clear()
            measured = run.validation(run.average.copy_to(run.averaged))
            run.log.add(
                step=run.step,
                samples=run.seen,
                seconds=round(seconds),
                rate=rate,
                loss=loss,
                validation_loss=measured,
            )
            run.save(seconds, measured)
            progress.set_postfix(loss=f"{loss:.4f}", validation=f"{measured:.4f}")


if __name__ == "__main__":
    arguments = parse_arguments()
    restart_with_fast_malloc()
    train(arguments)
