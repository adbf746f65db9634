"""What tasks on pixels share: from tokens to pixels, and mean intersection over union with its resamples.

Letters: N images, T = G G tokens of an image, D width, S pixels of a side, K classes, R draws. Tokens are
laid out row by row and upsampled linearly between their middles. What is linear in a token can as well be
upsampled after it: a linear classifier is run on T tokens, not on S S pixels.
"""

from functools import cache
from math import isqrt

import numpy as np
import torch
from torch.nn import functional

from difffeat.features.dense import IGNORED
from difffeat.probing.resampled import check_resampling, multiplicities


def side_of(tokens: int) -> int:
    """G, the side of the square that T tokens make.

    Raises
    ------
    ValueError
        If they make none.
    """
    if isqrt(tokens) ** 2 != tokens:
        raise ValueError(f"{tokens} tokens make no square: tasks on pixels read images")
    return isqrt(tokens)


@cache
def upsampling(tokens: int, side: int) -> torch.Tensor:
    """The share that each token has in each pixel, Tensor (S S, T); every row adds up to 1."""
    alone = torch.eye(tokens).unflatten(1, (1, side_of(tokens), side_of(tokens)))
    return _enlarged(alone, side).flatten(1).T.contiguous()


def rows_of(points: np.ndarray, side: int) -> torch.Tensor:
    """Which row of `upsampling` the pixel has that each point (k, 2), x and y, lies in: int Tensor (k,)."""
    at = np.clip(points, 0, side - 1).astype(int)
    return torch.from_numpy(at[:, 1] * side + at[:, 0])


def upsampled(values: torch.Tensor, side: int, every: int = 1) -> torch.Tensor:
    """Values of tokens (n, T, C) at every `every`-th pixel across and down, (n, C, S', S')."""
    if every == 1:
        return _enlarged(values.mT.unflatten(2, (side_of(values.shape[1]),) * 2), side)
    taken = upsampling(values.shape[1], side).unflatten(0, (side, side))[::every, ::every]  # (S', S', T)
    return (taken.flatten(0, 1) @ values).mT.unflatten(2, taken.shape[:2])


def _enlarged(grid, side):
    return functional.interpolate(grid, size=(side, side), mode="bilinear", align_corners=False)


def sampled(
    tokens: np.ndarray, labels: np.ndarray, seed: int = 0, each: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels drawn from all images: as many in the square of each token, so that none is left out.

    Parameters
    ----------
    tokens : array of shape (N, T, D)
    labels : uint8 array of shape (N, S, S); pixels that are not judged are not taken
    seed : int, of the draw; it does not depend on the features
    each : int, pixels in the square of each token

    Returns
    -------
    features : float32 array of shape (n, D); classes : int array of shape (n,)
    """
    count, side, grid = len(labels), labels.shape[1], side_of(tokens.shape[1])
    random, cell = np.random.default_rng(seed), side // grid
    within = random.integers(cell, size=(2, count, each, grid, grid))
    corner = np.arange(grid) * cell
    at = (within[0] + corner[:, None]) * side + within[1] + corner  # (N, each, G, G)
    at = at.reshape(count, -1)
    shares = upsampling(tokens.shape[1], side)[torch.from_numpy(at)]  # (N, n, T)
    features = torch.bmm(shares, torch.from_numpy(np.asarray(tokens, np.float32))).flatten(0, 1)
    classes = np.take_along_axis(labels.reshape(count, -1), at, axis=1).reshape(-1).astype(int)
    judged = classes != IGNORED
    return features.numpy()[judged], classes[judged]


def counted(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """What an intersection over union is made of, image by image.

    Parameters
    ----------
    predicted, labels : arrays of shape (N, S, S) of classes; pixels whose label is `IGNORED` do not count
    classes : int, K

    Returns
    -------
    int array of shape (N, 3, K): pixels that are rightly said to be of a class, that are said to be, that are
    """
    found = np.zeros((len(labels), 3, classes), np.int64)
    for image, (said, true) in enumerate(zip(predicted, labels, strict=True)):
        judged = true != IGNORED
        said, true = said[judged], true[judged]
        for row, values in enumerate((true[said == true], said, true)):
            found[image, row] = np.bincount(values, minlength=classes)
    return found


def mean_iou(counts: np.ndarray) -> np.ndarray:
    """Mean intersection over union, as a fraction, of counts (..., 3, K); NaN where no pixel is of any class.

    Over the classes that some pixel is of: one that a data set does not show cannot be missed.
    """
    right, said, true = np.moveaxis(np.asarray(counts, dtype=float), -2, 0)
    shown = true > 0
    union = np.where(shown, said + true - right, 1)
    with np.errstate(invalid="ignore"):  # none of any class
        return np.where(shown, right / union, 0).sum(axis=-1) / shown.sum(axis=-1)


def iou(counts: np.ndarray) -> np.ndarray:
    """The intersection over union of each class over all images, (K,), of counts (N, 3, K); NaN for one that
    no pixel is of."""
    right, said, true = counts.sum(axis=0).astype(float)
    return np.divide(right, said + true - right, out=np.full(len(true), np.nan), where=true > 0)


def iou_draws(counts: np.ndarray, *, draws: int = 200, seed: int = 0) -> np.ndarray:
    """The mean intersection over union in each of many resamples of the images, (R,).

    Parameters
    ----------
    counts : array of shape (N, 3, K)
    draws, seed : as in `stats.map_draws`, whose images are drawn
    """
    check_resampling(len(counts), draws)
    drawn = multiplicities(len(counts), draws, seed).double().numpy().T  # (R, N)
    return mean_iou((drawn @ counts.reshape(len(counts), -1)).reshape(draws, *counts.shape[1:]))
