"""Activations as pictures: the three directions in which their tokens vary most, as red, green and blue.

N images, T tokens that tile a square, D channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from difffeat.features import schedule

if TYPE_CHECKING:
    from difffeat.backbones.base import Backbone
    from difffeat.features.datasets import Split

ENDS = (0.02, 0.98)  # quantiles of a component that become black and full colour


def coloured(
    split: Split,
    backbone: Backbone,
    *,
    timestep: int,
    blocks: Sequence[int],
    places: Sequence[str],
    row: int = 0,
    seed: int = 0,
) -> dict[tuple[int, str], np.ndarray]:
    """One image of a split as every place of some blocks has it.

    Parameters
    ----------
    split : Split with images; the directions are those of the tokens of all of them
    backbone : Backbone that reads images
    timestep : int in [0, 1000)
    blocks, places : as in `Backbone.activations`
    row : int, the image that is shown
    seed : int, of the noise

    Returns
    -------
    dict of (block, place) to float array (side, side, 3) in [0, 1]
    """
    clean = backbone.latents([split.image(index) for index in range(len(split))]).z
    noise = schedule.noise(seed, split.ids, clean.shape[1:])
    z = schedule.noised(clean, timestep, "random", backbone.schedule, noise=noise)
    return {
        (block, place): colours(tokens, row)
        for block, place, tokens in backbone.activations(z, timestep, blocks, places)
    }


def colours(tokens: torch.Tensor, row: int) -> np.ndarray:
    """The tokens (N, T, D) of one image as colours, (side, side, 3), where T is side squared."""
    flat = tokens.float().flatten(0, 1)  # (N T, D)
    flat = flat - flat.mean(dim=0)
    _, directions = torch.linalg.eigh(flat.T @ flat)  # the largest come last
    first = directions.flip(1)[:, :3]
    first = first * first.gather(0, first.abs().argmax(dim=0, keepdim=True)).sign()  # else the sign is open
    seen = flat.unflatten(0, tokens.shape[:2])[row] @ first  # (T, 3), or fewer of fewer channels
    low, high = torch.quantile(seen, torch.tensor(ENDS).to(seen), dim=0)
    shown = ((seen - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
    side = round(tokens.shape[1] ** 0.5)
    padded = torch.zeros(len(shown), 3).to(shown)
    padded[:, : shown.shape[1]] = shown
    return padded.unflatten(0, (side, side)).cpu().numpy()
