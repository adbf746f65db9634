"""Which test samples a probe ranks high for a label that they hold, and which it ranks low.

N samples, K labels. A rank counts from 1, the highest score for a label among the N samples. A label of n
samples is found in one of them that is ranked n or better, where a probe without error ranks all of them, and
missed in one that is ranked below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from difffeat.features.datasets import Split
from difffeat.features.points import Point
from difffeat.probing import floors, metrics
from difffeat.probing.grid import Grid

ENOUGH = 10  # samples of test that hold a label, from which on its average precision says something


@dataclass(frozen=True)
class Example:
    """A test sample that holds a label, and where the probe ranks it.

    Attributes
    ----------
    row, label : int, the sample and the label, by their places in the split
    rank : int, from 1 to N
    positives : int, samples that hold the label, n
    """

    row: int
    label: int
    rank: int
    positives: int


@dataclass(frozen=True)
class Ranked:
    """What the probe of one point finds and misses.

    Attributes
    ----------
    point : Point
    test : Split, the samples that were ranked
    found, missed : tuples of Example, of labels and samples that are all different
    """

    point: Point
    test: Split
    found: tuple[Example, ...]
    missed: tuple[Example, ...]


def at_best(
    splits: Mapping[str, Split],
    grid: Grid,
    *,
    root: Path | str | None = None,
    each: int = 2,
    **length: object,
) -> Ranked:
    """What the probe of a grid's best point finds and misses, on the features of its first noise seed.

    A grid keeps no scores of single samples. This probe's are those that `one_pair.scores` trains and keeps.

    Parameters
    ----------
    splits : dict of "train" and "test" to Split
    grid : grid.Grid, measured
    root : path, optional, where the caches of features are: the scores are kept beside them
    each : int, how many are found and how many are missed, at most
    **length : steps or epochs of the grid's probes
    """
    taken = grid.features[0]
    read = {part: splits[part].select(taken[part].ids) for part in ("train", "test")}
    features = {part: taken[part].read(grid.best) for part in read}
    scores = floors.probe_scores(read, features, grid.metric, root=root, **length)
    return Ranked(grid.best, read["test"], *extremes(*read["test"].judged(scores), each=each))


def extremes(
    labels: ArrayLike, scores: ArrayLike, each: int = 2
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Samples that are found, of the labels that are ranked best, and those that are missed by most.

    Parameters
    ----------
    labels, scores : arrays of shape (N, K)
    each : int, how many of both at most

    Returns
    -------
    found, missed : tuples of Example
        Labels of fewer than `ENOUGH` samples are left out. Found: the highest ranked sample of each label, by
        falling average precision of the label. Missed: by falling rank. No label and no sample comes twice.
    """
    labels, scores = metrics.check_scores(labels, scores)
    ranks = pd.DataFrame(-scores).rank(method="min").to_numpy().astype(int)  # (N, K)
    positives = labels.sum(axis=0)
    rows, columns = np.nonzero(labels & enough(labels))
    rank = ranks[rows, columns]
    found = rank <= positives[columns]
    fit = metrics.average_precision(labels, scores)[columns]
    best_first, last_first = np.lexsort([rows, rank, columns, -fit]), np.lexsort([rows, columns, -rank])

    def examples(order):
        picked = _apart(order, rows, columns, each)
        return tuple(
            Example(*map(int, (rows[i], columns[i], rank[i], positives[columns[i]]))) for i in picked
        )

    return examples(best_first[found[best_first]]), examples(last_first[~found[last_first]])


def enough(labels: ArrayLike) -> np.ndarray:
    """Which labels at least `ENOUGH` samples hold, bool (K,)."""
    return np.asarray(labels).sum(axis=0) >= ENOUGH


def _apart(order, rows, columns, each):
    """The first of an order, no row and no column twice."""
    picked = []
    for one in order:
        if len(picked) < each and not any(
            rows[one] == rows[other] or columns[one] == columns[other] for other in picked
        ):
            picked.append(one)
    return picked
