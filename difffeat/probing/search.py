"""Which pair of features to fuse: the paper's Algorithm 1, the full grid it stands for, and what it misses.

A point is (timestep, block), as in the paper's tables; a pair is (image point, text point). An evaluation
function takes a list of points (or pairs) and returns as many values, higher is better, so that one call can
train all of them together.

Equal values are resolved by the order of the grid: the first of (timestep, block) in rising order wins, which
is the least noise, then the fewest blocks; between pairs the image point decides first. So a search gives the
same answer whatever the order of its inputs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from difffeat.features.points import Point


@dataclass(frozen=True)
class SearchResult:
    """What a search found, and what it took.

    Attributes
    ----------
    best_image, best_text : Point, the best of each modality alone; None after `full_search`
    best_pair : (image Point, text Point)
    value : float, the value of best_pair
    evaluations : dict, how many points or pairs were evaluated, by "image", "text" and "fusion"
    history : DataFrame, one row per evaluation in order: stage, image_timestep, image_block, text_timestep,
        text_block (missing where a modality is not in play), value, best (the highest of the stage so far)
    """

    best_image: Point | None
    best_text: Point | None
    best_pair: tuple[Point, Point]
    value: float
    evaluations: dict
    history: pd.DataFrame

    @property
    def total(self) -> int:
        """Evaluations altogether."""
        return sum(self.evaluations.values())


def points_of(blocks: Sequence[int], timesteps: Sequence[int]) -> list[Point]:
    """All points of a grid in rising order, timestep first.

    Raises
    ------
    ValueError
        If there is no block or no timestep, or one is given twice.
    """
    for what, values in (("blocks", blocks), ("timesteps", timesteps)):
        if not len(values) or len(set(values)) != len(values):
            raise ValueError(f"{what} must be one or more values, each once; got {list(values)}")
    return [Point(*point) for point in product(sorted(timesteps), sorted(blocks))]


def neighbours(point: tuple[int, int], blocks: Sequence[int], timesteps: Sequence[int]) -> list[Point]:
    """A point and those one step away on the sampled grid, in timestep or in block, in rising order.

    Parameters
    ----------
    point : (timestep, block), one of the grid
    blocks, timesteps : the values sampled, in any order

    Returns
    -------
    list of Point
        Five inside the grid, four at an edge, three in a corner; fewer where a side has one value only.

    Raises
    ------
    ValueError
        If the point is not on the grid.

    Source
    ------
    Diff-Feat, Algorithm 1, step 2: "+-1 offset". The candidates printed in Tables 5 and 6 show what it means.
    Around (50, 12) and (0, 24) they are exactly the points given here, no diagonals.
    """
    points = points_of(blocks, timesteps)
    if tuple(point) not in points:
        raise ValueError(
            f"point {tuple(point)} is not on the grid of timesteps {timesteps} x blocks {blocks}"
        )
    timesteps, blocks = sorted(timesteps), sorted(blocks)
    row, column = timesteps.index(point[0]), blocks.index(point[1])
    return [
        candidate
        for candidate in points
        if abs(timesteps.index(candidate.timestep) - row) + abs(blocks.index(candidate.block) - column) <= 1
    ]


def lookup(measured: Any) -> Callable:
    """An evaluation function that reads values measured before.

    Parameters
    ----------
    measured : a grid, an object with timesteps (T), blocks (B) and mean (T, B); or a mapping of points or
        pairs to values

    Returns
    -------
    callable
        list of points or pairs -> list of float

    Examples
    --------
    >>> lookup({(0, 8): 0.2, (0, 12): 0.3})([(0, 12)])
    [0.3]
    """
    if hasattr(measured, "timesteps"):
        points = product(measured.timesteps, measured.blocks)
        measured = dict(zip(points, np.ravel(measured.values).tolist(), strict=True))
    return lambda points: [measured[point] for point in points]


def local_search(
    evaluate_image: Callable,
    evaluate_text: Callable,
    evaluate_fusion: Callable,
    blocks_i: Sequence[int],
    timesteps_i: Sequence[int],
    blocks_t: Sequence[int],
    timesteps_t: Sequence[int],
) -> SearchResult:
    """Algorithm 1: the best point of each modality, then the best pair among their neighbours.

    Parameters
    ----------
    evaluate_image, evaluate_text : callable, list of Point -> as many values
    evaluate_fusion : callable, list of (image Point, text Point) -> as many values
    blocks_i, timesteps_i : the image grid
    blocks_t, timesteps_t : the text grid

    Returns
    -------
    SearchResult

    Raises
    ------
    ValueError
        If a grid is empty or repeats a value, or an evaluation returns too few values or one that is not
        finite.

    Source
    ------
    Diff-Feat, Algorithm 1.
    """
    log = _Log()
    points_i, points_t = points_of(blocks_i, timesteps_i), points_of(blocks_t, timesteps_t)
    best_image, _ = log.best("image", points_i, evaluate_image)
    best_text, _ = log.best("text", points_t, evaluate_text)
    around = neighbours(best_image, blocks_i, timesteps_i), neighbours(best_text, blocks_t, timesteps_t)
    best_pair, value = log.best("fusion", list(product(*around)), evaluate_fusion)
    return SearchResult(best_image, best_text, best_pair, value, log.evaluations, log.history())


def on_grids(image: Any, text: Any, evaluate_fusion: Callable) -> SearchResult:
    """`local_search` where both modalities have been measured before, or published.

    Parameters
    ----------
    image, text : grids, as for `lookup`
    evaluate_fusion : callable, list of (image Point, text Point) -> as many values

    Returns
    -------
    SearchResult
        Points read from the grids count as evaluations: each had to be measured once.

    Examples
    --------
    >>> from difffeat.evidence.papers.diff_feat import tables as paper
    >>> found = on_grids(paper.grid(5, "image"), paper.grid(5, "text"), lookup(paper.pairs(5)))
    >>> [tuple(point) for point in found.best_pair], found.total
    ([(30, 12), (0, 20)], 65)
    """
    sides = image.blocks, image.timesteps, text.blocks, text.timesteps
    return local_search(lookup(image), lookup(text), evaluate_fusion, *sides)


def full_search(
    evaluate_fusion: Callable,
    blocks_i: Sequence[int],
    timesteps_i: Sequence[int],
    blocks_t: Sequence[int],
    timesteps_t: Sequence[int],
) -> SearchResult:
    """Every pair of the two grids, which is what `local_search` saves.

    Parameters
    ----------
    As for `local_search`.

    Returns
    -------
    SearchResult
    """
    log = _Log()
    pairs = list(product(points_of(blocks_i, timesteps_i), points_of(blocks_t, timesteps_t)))
    best_pair, value = log.best("fusion", pairs, evaluate_fusion)
    return SearchResult(None, None, best_pair, value, log.evaluations, log.history())


def regret(found: SearchResult, full: SearchResult) -> float:
    """How much the pair that was found falls short of the best of the full grid, by the full grid's values.

    Parameters
    ----------
    found : SearchResult of `local_search`
    full : SearchResult of `full_search` over a grid that holds the found pair

    Returns
    -------
    float
        0 where the search found the best pair, never negative.

    Raises
    ------
    ValueError
        If the full grid does not hold the pair.
    """
    values = full.history.set_index(
        [f"{m}_{w}" for m in ("image", "text") for w in ("timestep", "block")]
    ).value
    place = (*found.best_pair[0], *found.best_pair[1])
    if place not in values.index:
        raise ValueError(f"the full grid does not hold the pair that was found, {found.best_pair}")
    return float(full.value - values[place])


class _Log:
    """Evaluates, counts what is evaluated, and keeps it in order."""

    def __init__(self):
        self.evaluations = {}
        self._rows = []

    def best(self, stage, points, evaluate):
        """The point (or pair) with the highest value, the first of equal ones, and that value."""
        values = np.asarray(evaluate(list(points)), dtype=float)
        if values.shape != (len(points),):
            raise ValueError(f"{stage}: asked for {len(points)} values, got an array of shape {values.shape}")
        if not np.isfinite(values).all():
            worst = points[int(np.isfinite(values).argmin())]
            raise ValueError(f"{stage}: the value at {tuple(worst)} is not finite; check that evaluation")
        self.evaluations[stage] = len(points)
        for point, value, best in zip(points, values, np.maximum.accumulate(values), strict=True):
            self._rows.append({"stage": stage, **_columns(stage, point), "value": value, "best": best})
        return points[int(values.argmax())], float(values.max())

    def history(self):
        columns = ["stage", "image_timestep", "image_block", "text_timestep", "text_block", "value", "best"]
        whole = dict.fromkeys(columns[1:5], "Int64")  # missing where a modality is not in play
        return pd.DataFrame(self._rows, columns=columns).astype(whole)


def _columns(stage, point):
    by_modality = dict(zip(("image", "text"), point, strict=True)) if stage == "fusion" else {stage: point}
    found = {}
    for modality, at in by_modality.items():
        found |= {f"{modality}_timestep": at.timestep, f"{modality}_block": at.block}
    return found
