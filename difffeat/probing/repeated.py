"""Fusion heads trained from several first weights: what they reach, what they take, how far seeds move them.

S seeds of the first weights, E epochs, N test samples, K labels, R draws.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from difffeat.base.remember import remembered
from difffeat.features.cache import Features
from difffeat.features.datasets import Split
from difffeat.features.parts import decided
from difffeat.features.points import Point
from difffeat.probing import fusion, grid, metrics, stats

MADE_BY = ("fusion", "heads", "shared", "repeated")  # the modules that make its numbers, beside a grid's
CODE = (*grid.CODE, *(f"probing/{name}.py" for name in MADE_BY))


@dataclass(frozen=True)
class Repeated:
    """One fusion head, trained from each of S first weights on one (image point, text point) pair.

    Attributes
    ----------
    head : str, name in heads.HEADS
    width : int, what both features are projected to
    parameters : int, trained numbers of the head and its classifier
    seconds : array of shape (S,), what training took on the machine that did it
    losses : array of shape (S, E), mean training loss of each epoch
    val : array of shape (S,), mAP on val as a fraction
    scores : array of shape (S, N, K), probabilities on test
    measured : stats.Measured, mAP on test averaged over seeds; draws resample test images and seeds
    """

    head: str
    width: int
    parameters: int
    seconds: np.ndarray
    losses: np.ndarray
    val: np.ndarray
    scores: np.ndarray
    measured: stats.Measured


def train(
    splits: Mapping[str, Split],
    image: Mapping[str, Features],
    text: Mapping[str, Features],
    pair: tuple[tuple, tuple],
    head: str = "addition",
    *,
    seeds: Sequence[int] = (0,),
    d_align: int = 512,
    resamples: int = 200,
    root: Path | str | None = None,
    **protocol: object,
) -> Repeated:
    """Train a head once from each seed; what was trained before is read.

    Parameters
    ----------
    splits : dict of "train", "val", "test" to Split
    image, text : dicts of the same parts to cache.Features of the same samples
    pair : ((timestep, block), (timestep, block)), of the image and of the text
    head : name in heads.HEADS
    seeds : of the first weights and of the order of samples
    d_align : int, width of the projections
    resamples : int, R
    root : path, optional, where the caches of features are: results are kept beside them
    **protocol : steps, epochs, ... as for `fusion.fit_pairs`

    Returns
    -------
    Repeated
    """
    splits = {part: split.select(image[part].ids) for part, split in splits.items()}
    pair = tuple(map(Point.of, pair))
    what = decided([image, text], splits) | {
        "pair": pair,
        "how": [head, list(seeds), d_align, protocol],
    }
    features = {
        part: [side[part].read(point) for side, point in zip((image, text), pair, strict=True)]
        for part in splits
    }
    found = remembered(
        None if root is None else Path(root).parent / "heads",
        what,
        CODE,
        lambda: _trained(splits, features, seeds, head, d_align=d_align, **protocol),
    )
    measured = of_scores(splits["test"], found["scores"], resamples)
    arrays = {name: found[name] for name in ("seconds", "losses", "val", "scores")}
    return Repeated(head, d_align, int(found["parameters"]), measured=measured, **arrays)


def _trained(splits, features, seeds, head, **protocol):
    """Arrays by name, one row for each seed."""
    found = {"seconds": [], "losses": [], "val": [], "scores": []}
    labels = splits["train"].labels
    for seed in seeds:
        started = time.perf_counter()
        fused = fusion.fit(head, *features["train"], labels, seed=seed, **protocol)
        found["seconds"].append(time.perf_counter() - started)
        found["losses"].append(fused.losses)
        on_val = splits["val"].judged(fused.scores(*features["val"]))
        found["val"].append(metrics.mean_average_precision(*on_val))
        found["scores"].append(fused.scores(*features["test"]))
    size = sum(weight.numel() for weight in fused.weights.values())
    return {name: np.array(rows) for name, rows in found.items()} | {"parameters": np.array(size)}


def of_scores(split: Split, scores: np.ndarray, resamples: int = 200) -> stats.Measured:
    """mAP of scores (S, N, K) averaged over seeds, with draws over images and seeds."""
    labels, judged = split.judged(scores)
    draws = stats.map_draws(labels, judged, draws=resamples, seed=grid.RESAMPLING["test"])  # (R, S)
    return stats.Measured(
        float(np.mean(metrics.mean_average_precision(labels, judged))), stats.over_seeds(draws)
    )


def over_seeds(values: ArrayLike, resamples: int = 200) -> stats.Measured:
    """Any numbers (S, ...), one for each seed, as their mean with draws over seeds alone."""
    values = np.asarray(values, dtype=float)
    draws = stats.over_seeds(np.broadcast_to(values, (resamples, *values.shape)))
    return stats.Measured(values.mean(axis=0), draws)


def final(found: Repeated, resamples: int = 200) -> stats.Measured:
    """The training loss of the last epoch, with draws over seeds."""
    return over_seeds(found.losses[:, -1], resamples)


def epochs_to_common(
    heads: Mapping[str, Repeated], resamples: int = 200
) -> tuple[float, dict[str, stats.Measured]]:
    """How fast heads converge: epochs until each has the loss that the highest of them ends with.

    Parameters
    ----------
    heads : dict of name to Repeated, all as many epochs long
    resamples : int

    Returns
    -------
    level : float, that loss
    epochs : dict of name to stats.Measured, with draws over seeds
    """
    level = max(float(found.losses[:, -1].mean()) for found in heads.values())
    return level, {name: over_seeds(_first(found.losses, level), resamples) for name, found in heads.items()}


def _first(losses, level):
    """The first epoch, from 1, with a loss of at most `level`, (S,); the last where there is none."""
    reached = losses <= level
    reached[:, -1] = True
    return reached.argmax(axis=1) + 1


def peak(heads: Sequence[Repeated]) -> tuple[int, tuple[int, int]]:
    """The width with the highest mAP on test, and the central 95 % of where it lies over the draws."""
    across = np.array([head.width for head in heads])
    places = np.stack([head.measured.draws for head in heads]).argmax(axis=0)
    ends = np.quantile(across[places], [0.025, 0.975], method="inverted_cdf")
    best = max(heads, key=lambda head: head.measured.value)
    return best.width, tuple(map(int, ends))
