"""A learned projection for correspondence: one linear layer that brings parts together which belong together.

Letters: k keypoints, N images, T tokens, D width, d width of the projection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from difffeat.probing import pixels

if TYPE_CHECKING:
    from difffeat.probing.object_pairs import Pairs

BATCH = 64  # keypoints of a step
LEARNING_RATE = 1e-2
TEMPERATURE = 0.07  # of the cosines


def learned(
    tokens: np.ndarray, pairs: Pairs, side: int, *, width: int, steps: int, seed: int = 0
) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
    """Train a projection on pairs of training images.

    For every keypoint it learns to tell the tokens around the right place of the target from the target's
    others, by cross-entropy over cosines.

    Parameters
    ----------
    tokens : array of shape (N, T, D), of the training images
    pairs : Pairs of them
    side : int, pixels of an image's side
    width : int, d; cut to D
    steps : int, of Adam
    seed : int, of the order

    Returns
    -------
    callable of {part: (N, T, D)}, gives {part: (N, T, d)}
    """
    held = torch.from_numpy(np.asarray(tokens, np.float32))
    shares = pixels.upsampling(held.shape[1], side)
    rows = [pixels.rows_of(points, side) for points in (pairs.source, pairs.target)]
    images = torch.from_numpy(pairs.images[pairs.pair])  # (k, 2)
    weight = _principal(held.flatten(0, 1), width).requires_grad_()
    optimizer = torch.optim.Adam([weight], lr=LEARNING_RATE)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        some = torch.randint(len(images), (min(BATCH, len(images)),), generator=generator)
        source = torch.bmm(shares[rows[0][some]][:, None], held[images[some, 0]])  # (k, 1, D)
        asked = functional.normalize(source @ weight, dim=2)
        others = functional.normalize(held[images[some, 1]] @ weight, dim=2)  # (k, T, d)
        scores = (others @ asked.mT)[..., 0] / TEMPERATURE  # (k, T)
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(scores, shares[rows[1][some]]).backward()
        optimizer.step()
        falling.step()
    trained = weight.detach()
    return lambda given: {
        part: (torch.from_numpy(np.asarray(one, np.float32)) @ trained).numpy() for part, one in given.items()
    }


def _principal(flat, width):
    """The directions in which tokens (n, D) vary most, (D, d): what training starts from."""
    centred = flat - flat.mean(dim=0)
    _, directions = torch.linalg.eigh(centred.T @ centred / len(flat))  # rising
    return directions.flip(1)[:, :width].clone().contiguous()
