"""Which test samples a probe ranks high for a label that they hold, and which it ranks low.

N samples, K labels. A rank counts from 1, the highest score for a label among the N samples. A label of n
samples is found in one of them that is ranked n or better, where a probe without error ranks all of them, and
missed in one that is ranked below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from difffeat.base.remember import each_remembered
from difffeat.features.cache import Features
from difffeat.features.datasets import Split
from difffeat.features.parts import decided
from difffeat.features.points import Point
from difffeat.probing import metrics, probe, scoring
from difffeat.probing.grid import CODE as OF_GRID
from difffeat.probing.grid import Grid

ENOUGH = 10  # samples of test that hold a label, from which on its average precision says something
CODE = (*OF_GRID, "probing/ranked.py")  # what makes the examples of a point
KINDS = ("found", "missed")


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
    found, missed : tuples of Example; in each, labels and samples are all different
    """

    point: Point
    test: Split
    found: tuple[Example, ...]
    missed: tuple[Example, ...]


def everywhere(
    splits: Mapping[str, Split],
    grid: Grid,
    *,
    root: Path | str,
    device: torch.device | str = "cpu",
    each: int = 2,
    **length: object,
) -> dict[Point, Ranked]:
    """What the probe of every point of a grid finds and misses, on the features of the first noise seed.

    A grid keeps no scores of single samples. So these probes are trained once more, all points together as
    the grid's were, and what they find and miss is kept beside the features.

    Parameters
    ----------
    splits : dict of "train" and "test" to Split
    grid : grid.Grid, measured, of outputs of blocks
    root : path, where the caches of features are
    device : where probes are trained
    each : int, how many are found and how many are missed at a point, at most
    **length : steps or epochs of the grid's probes

    Returns
    -------
    dict of Point to Ranked, in the order of the grid's points
    """
    taken = {part: grid.features[0][part] for part in ("train", "test")}
    read = {part: splits[part].select(found.ids) for part, found in taken.items()}
    shared = decided([taken], read) | {"ranked": [grid.metric, each, length]}
    loss = scoring.scoring(grid.metric).loss

    def trained(missing):
        points = [grid.points[place] for place in missing]
        rows = _rows(taken["train"], points, device)
        probes = probe.fit_grid(rows, read["train"].labels, loss=loss, progress=True, **length)
        for place, point in enumerate(points):
            (scores,) = probes[[place]].scores(torch.from_numpy(taken["test"].read(point)[None]).to(device))
            found = extremes(*read["test"].judged(scores), each=each)
            yield {kind: _packed(some) for kind, some in zip(KINDS, found, strict=True)}

    kept = Path(root).parent / "ranked"
    found = each_remembered(kept, [shared | {"point": point} for point in grid.points], CODE, trained)
    return {
        point: Ranked(point, read["test"], *(_unpacked(one[kind]) for kind in KINDS))
        for point, one in zip(grid.points, found, strict=True)
    }


def _rows(found: Features, points: Sequence[Point], device: torch.device | str) -> Iterator[torch.Tensor]:
    """Features of points, as many at a time as a probe takes, Tensors (P, N, D)."""
    together = max(1, probe.WORKING_SET // found.read(points[0]).nbytes)
    for first in range(0, len(points), together):
        some = [found.read(point) for point in points[first : first + together]]
        yield torch.from_numpy(np.stack(some)).to(device)


def _packed(examples):
    """Examples as an array, a row each."""
    return np.array([astuple(one) for one in examples], dtype=int).reshape(-1, 4)


def _unpacked(rows):
    return tuple(Example(*row) for row in rows.tolist())


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
        if len(picked) == each:
            break
        if not any(rows[one] == rows[other] or columns[one] == columns[other] for other in picked):
            picked.append(one)
    return picked
