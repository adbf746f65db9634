"""The numbers of `fields` for the activations of a model: measured on unlabelled inputs, in one pass.

N images, R draws of noise. A pass carries every image R + 1 times: under each draw, and under the first with
other noise at one token. Memory holds one block of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from difffeat.base.remember import remembered
from difffeat.features import schedule
from difffeat.probing import fields
from difffeat.probing.fields import Quality, Sums
from difffeat.probing.stats import Measured

if TYPE_CHECKING:
    from difffeat.backbones.base import Backbone
    from difffeat.features.datasets import Split

CODE = ("probing/qualities.py", "probing/fields.py", "backbones/places.py", "backbones/taps.py")
AXES = {"image": 2, "text": 1}
LOOKS = ("attention-distance", "attention-entropy")


@dataclass(frozen=True)
class Qualities:
    """What was measured of the activations of a model at one timestep.

    Attributes
    ----------
    timestep : int
    blocks : tuple of int
    places : tuple of str
    of : dict of (block, place) to `fields.Quality`
    looks : dict of (block, statistic) to an array (N, h), of attention maps: mean over tokens
    weights : array (R, N), how often each image counts in each resample
    """

    timestep: int
    blocks: tuple[int, ...]
    places: tuple[str, ...]
    of: Mapping[tuple[int, str], Quality]
    looks: Mapping[tuple[int, str], np.ndarray]
    weights: np.ndarray

    def grid(self, name: str, places: Sequence[str] | None = None) -> Measured:
        """One of the numbers at some places of all blocks: values (P, B), draws (R, P, B)."""
        found = [
            [self.of[block, place].measured(self.weights)[name] for block in self.blocks]
            for place in places or self.places
        ]
        values = np.array([[one.value for one in row] for row in found])
        return Measured(values, np.stack([np.stack([one.draws for one in row], -1) for row in found], -2))

    def look(self, statistic: str) -> Measured:
        """A statistic of the attention of every block, mean over heads: values (B,), draws (R, B)."""
        each = np.stack([self.looks[block, statistic].mean(axis=1) for block in self.blocks], axis=-1)
        share = self.weights / self.weights.sum(axis=1, keepdims=True)
        return Measured(each.mean(axis=0), share @ each)


def measure(
    split: Split,
    backbone: Backbone,
    *,
    timestep: int,
    blocks: Sequence[int],
    places: Sequence[str],
    seeds: Sequence[int] = (0, 1),
    resamples: int = 200,
    root: Path | str | None = None,
) -> Qualities:
    """Noise share, granularity and reach of every place of some blocks, on the inputs of a split.

    Parameters
    ----------
    split : Split, N samples, of which no label is read
    backbone : Backbone
    timestep : int in [0, 1000)
    blocks : ints from 1 to the backbone's depth
    places : sequence of "out" and names in `backbone.places`
    seeds : two or more noise seeds
    resamples : int, of the images, for intervals
    root : path, optional, where the caches of features are: what is measured is kept beside them

    Returns
    -------
    Qualities

    Raises
    ------
    ValueError
        As `Backbone.activations`; if there are fewer than two seeds.
    """
    if len(set(seeds)) < 2:
        raise ValueError(f"noise shows between two draws of it: give two seeds or more, got {list(seeds)}")
    blocks, places = tuple(sorted(blocks)), tuple(places)
    what = dict(backbone=backbone.sha256, inputs=split.input_digest(backbone.modality), seeds=list(seeds))
    what |= dict(timestep=timestep, blocks=blocks, places=places)
    kept = None if root is None else Path(root).parent / "qualities"
    found = remembered(
        kept, what, CODE, lambda: _arrays(split, backbone, timestep, blocks, places, list(seeds))
    )
    of = {
        (block, place): Quality(Sums(*(found[f"{block}/{place}/{name}"] for name in Sums._fields)))
        for block in blocks
        for place in places
    }
    looks = {(block, place): found[f"{block}/{place}"] for block in blocks for place in LOOKS}
    return Qualities(timestep, blocks, places, of, looks, weights(len(split), resamples))


def weights(count: int, resamples: int, seed: int = 0) -> np.ndarray:
    """How often each of N samples is drawn, with replacement, in each of R resamples, (R, N)."""
    drawn = np.random.default_rng(seed).integers(count, size=(resamples, count))
    return np.stack([np.bincount(row, minlength=count) for row in drawn])


def _arrays(split, backbone, timestep, blocks, places, seeds):
    """Arrays by name: the sums of every activation, and what attention looks at."""
    z, tokens = noised(split, backbone, timestep, seeds)
    draws, count = len(seeds), len(split)
    axes, found = AXES[backbone.modality], {}
    for block, place, seen in backbone.activations(z, timestep, blocks, [*places, *LOOKS]):
        if place in LOOKS:
            found[f"{block}/{place}"] = seen[:count].float().mean(dim=1).cpu().numpy()
            continue
        field = seen[:-count].unflatten(0, (draws, count))
        made = fields.sums(field, seen[-count:], tokens.to(seen.device), axes)
        found |= {f"{block}/{place}/{name}": values for name, values in made._asdict().items()}
    return found


def noised(
    split: Split, backbone: Backbone, timestep: int, seeds: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents of N samples under R draws of noise, and under the first with other noise at one token.

    Returns
    -------
    z : Tensor ((R + 1) N, ...), draw by draw
    tokens : int64 Tensor (N,), the token of each sample whose noise is another in the last N rows
    """
    images = backbone.modality == "image"
    clean = backbone.latents([split.image(row) for row in range(len(split))] if images else split.captions).z
    drawn = [schedule.noise(seed, split.ids, clean.shape[1:]) for seed in seeds]
    touched, tokens = _touched(backbone, len(split))
    drawn.append(torch.where(touched, schedule.noise(max(seeds) + 1, split.ids, clean.shape[1:]), drawn[0]))
    z = [schedule.noised(clean, timestep, "random", backbone.schedule, noise=one) for one in drawn]
    return torch.cat(z), tokens


def _touched(backbone, count):
    """Which numbers of a latent belong to one token of each sample, drawn at random; and the tokens."""
    if backbone.modality == "text":
        length = backbone.latent_shape[0]
        tokens = torch.from_numpy(np.random.default_rng(0).integers(length, size=count))
        return (torch.arange(length) == tokens[:, None])[:, :, None], tokens
    side = backbone.latent_shape[-1] // backbone.patch
    tokens = torch.from_numpy(np.random.default_rng(0).integers(side**2, size=count))
    squares = torch.arange(side**2).view(side, side) == tokens[:, None, None]  # (N, side, side)
    return squares.repeat_interleave(backbone.patch, 1).repeat_interleave(backbone.patch, 2)[:, None], tokens
