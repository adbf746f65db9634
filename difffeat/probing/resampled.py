"""Metrics in many resamples of the images at once: one sort of the scores serves all draws.

N images, K labels.
"""

import numpy as np
import torch
from torch.nn.functional import embedding_bag

from difffeat.probing.metrics import DECIDED, rates


def check_resampling(n: int, draws: int) -> None:
    """A clear error where there is nothing to draw."""
    if n < 1 or draws < 1:
        raise ValueError(f"a bootstrap needs at least 1 image and 1 draw, got n = {n} and draws = {draws}")


def multiplicities(n: int, draws: int, seed: int) -> torch.Tensor:
    """How often each image is in each draw, float32 Tensor (n, draws). Counts are exact in float32."""
    generator = np.random.default_rng(seed)
    counts = np.empty((n, draws), dtype=np.float32)
    for draw in range(draws):
        # The very indices that `bootstrap` draws, so that both give the same interval.
        counts[:, draw] = np.bincount(generator.integers(n, size=n), minlength=n)
    return torch.from_numpy(counts)


def decided_draws(
    labels: np.ndarray, predicted: np.ndarray, *, draws: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """The metrics of yes and no in each of many resamples of the images, those of `stats.map_draws`.

    Parameters
    ----------
    labels : bool array of shape (N, K)
    predicted : bool array of shape (..., N, K)
    draws, seed : as in `map_draws`

    Returns
    -------
    dict of each name in `metrics.DECIDED` to an ndarray of shape (draws, ...)
    """
    check_resampling(len(labels), draws)
    counts = multiplicities(len(labels), draws, seed).numpy().T  # (R, N)
    true = counts @ labels.astype(counts.dtype)  # (R, K)
    found = []
    for point in predicted.reshape(-1, *labels.shape):
        correct, claimed = (counts @ said.astype(counts.dtype) for said in (labels & point, point))
        found.append(rates(correct, claimed, true))
    shape = (draws, *predicted.shape[:-2])
    return {name: np.stack([one[name] for one in found], axis=1).reshape(shape) for name in DECIDED}


def map_of_draws(labels: np.ndarray, scores: np.ndarray, counts: torch.Tensor) -> np.ndarray:
    """mAP in every draw.

    Parameters
    ----------
    labels : bool array of shape (N, K)
    scores : array of shape (N, K)
    counts : float32 Tensor of shape (N, draws), how often each image is in each draw

    Returns
    -------
    ndarray of float64, shape (draws,)
    """
    order = np.argsort(-scores, axis=0)
    classes = np.flatnonzero(labels.any(axis=0))
    values = torch.stack(
        [_ap_of_draws(labels[order[:, k], k], scores[order[:, k], k], order[:, k], counts) for k in classes]
    )
    return values.double().nanmean(dim=0).numpy()


def _ap_of_draws(labels, scores, order, counts):
    """Average precision of one class in every draw, Tensor (draws,); labels and scores are ranked by `order`.

    A resample changes how often an image counts, never the ranking, so one sort serves all draws. A positive
    that is drawn c times has the precision (H - c + 1) / (T - c + 1), where H and T count the positives and
    all images ranked at or above it; AP is the mean of that over the positives. Only at their thresholds does
    precision enter, so all images between two of them are added up in one go.
    """
    positives = np.flatnonzero(labels)
    last_of_tie = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    last = last_of_tie[np.searchsorted(last_of_tie, positives)]
    threshold, first, at = np.unique(last, return_index=True, return_inverse=True)
    images = _sum_segments(counts, order[: threshold[-1] + 1], np.append(0, threshold[:-1] + 1)).cumsum(dim=0)
    hits = _sum_segments(counts, order[positives], first).cumsum(dim=0)  # (thresholds, draws)
    copies = counts[order[positives]]  # (positives, draws)
    others = copies - 1  # of an image that is not drawn -1; its copies weigh nothing
    precision = (hits[at] - others) / (images[at] - others)
    return (copies * precision).sum(dim=0) / hits[-1]  # NaN where a draw has no positive


def _sum_segments(counts, rows, starts):
    """Sums of counts[rows] over the segments that begin at `starts`, Tensor (segments, draws)."""
    return embedding_bag(torch.from_numpy(rows), counts, torch.from_numpy(starts), mode="sum")
