"""Which pair of features to fuse: the paper's Algorithm 1, the full grid it stands for, and what it misses.

A point is (timestep, block), as in the paper's tables, or (timestep, block, place) inside a block. A pair is
(image point, text point). An evaluation function takes a list of points (or pairs) and returns as many
values, higher is better, so that one call can train all of them together.

Equal values are resolved by the order of the grid: the first of (timestep, block) in rising order wins, which
is the least noise, then the fewest blocks; between pairs the image point decides first. So a search gives the
same answer whatever the order of its inputs. Places have no order: among them the first of those given wins.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from difffeat.features.points import OUT, Point, points_of


@dataclass(frozen=True)
class SearchResult:
    """What a search found, and what it took.

    Attributes
    ----------
    best_image, best_text : Point, the best of each modality alone; None after `full_search`
    best_pair : (image Point, text Point)
    value : float, the value of best_pair
    evaluations : dict, how many points or pairs were evaluated, by "image", "text" and "fusion"
    evaluated : tuple of the points and pairs, in that order
    history : DataFrame, one row per evaluation in order: stage, image_timestep, image_block, text_timestep,
        text_block (missing where a modality is not in play), value, best (the highest of the stage so far);
        image_place and text_place too where points inside blocks are among them
    """

    best_image: Point | None
    best_text: Point | None
    best_pair: tuple[Point, Point]
    value: float
    evaluations: dict
    history: pd.DataFrame
    evaluated: tuple

    @property
    def total(self) -> int:
        """Evaluations altogether."""
        return sum(self.evaluations.values())


def neighbours(
    point: tuple, blocks: Sequence[int], timesteps: Sequence[int], places: Sequence[str] = (OUT,)
) -> list[Point]:
    """A point and those one step away on the sampled grid, in timestep or in block, in rising order.

    Places are not in a row, so no step leads from one to another: neighbours are at the point's own.

    Parameters
    ----------
    point : (timestep, block) or (timestep, block, place), one of the grid
    blocks, timesteps : the values sampled, in any order
    places : where in the blocks

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
    point = Point.of(point)
    if point not in points_of(blocks, timesteps, places):
        at = "" if tuple(places) == (OUT,) else f" x places {list(places)}"
        raise ValueError(f"point {point} is not on the grid of timesteps {timesteps} x blocks {blocks}{at}")
    timesteps, blocks = sorted(timesteps), sorted(blocks)
    row, column = timesteps.index(point.timestep), blocks.index(point.block)
    return [
        candidate
        for candidate in points_of(blocks, timesteps, [point.place])
        if abs(timesteps.index(candidate.timestep) - row) + abs(blocks.index(candidate.block) - column) <= 1
    ]


def lookup(measured: Any) -> Callable:
    """An evaluation function that reads values measured before.

    Parameters
    ----------
    measured : a grid, an object with timesteps (T), blocks (B) and values (T, B), and places where it has
        more than outputs; or a mapping of points or pairs to values

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
        points = map(Point.of, product(measured.timesteps, measured.blocks, _places(measured)))
        measured = dict(zip(points, np.ravel(measured.values).tolist(), strict=True))
    return lambda points: [measured[point] for point in points]


def _places(grid):
    """The places of a grid; a printed one has outputs."""
    return getattr(grid, "places", (OUT,))


def local_search(
    evaluate_image: Callable,
    evaluate_text: Callable,
    evaluate_fusion: Callable,
    blocks_i: Sequence[int],
    timesteps_i: Sequence[int],
    blocks_t: Sequence[int],
    timesteps_t: Sequence[int],
    places_i: Sequence[str] = (OUT,),
    places_t: Sequence[str] = (OUT,),
) -> SearchResult:
    """Algorithm 1: the best point of each modality, then the best pair among their neighbours.

    Parameters
    ----------
    evaluate_image, evaluate_text : callable, list of Point -> as many values
    evaluate_fusion : callable, list of (image Point, text Point) -> as many values
    blocks_i, timesteps_i : the image grid
    blocks_t, timesteps_t : the text grid
    places_i, places_t : where in the blocks of either

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
    log, of_images, of_texts = _Log(), (blocks_i, timesteps_i, places_i), (blocks_t, timesteps_t, places_t)
    best_image, _ = log.best("image", points_of(*of_images), evaluate_image)
    best_text, _ = log.best("text", points_of(*of_texts), evaluate_text)
    around = neighbours(best_image, *of_images), neighbours(best_text, *of_texts)
    best_pair, value = log.best("fusion", list(product(*around)), evaluate_fusion)
    return SearchResult(
        best_image, best_text, best_pair, value, log.evaluations, log.history(), tuple(log.evaluated)
    )


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
    sides = image.blocks, image.timesteps, text.blocks, text.timesteps, _places(image), _places(text)
    return local_search(lookup(image), lookup(text), evaluate_fusion, *sides)


def full_search(
    evaluate_fusion: Callable,
    blocks_i: Sequence[int],
    timesteps_i: Sequence[int],
    blocks_t: Sequence[int],
    timesteps_t: Sequence[int],
    places_i: Sequence[str] = (OUT,),
    places_t: Sequence[str] = (OUT,),
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
    images, texts = points_of(blocks_i, timesteps_i, places_i), points_of(blocks_t, timesteps_t, places_t)
    pairs = list(product(images, texts))
    best_pair, value = log.best("fusion", pairs, evaluate_fusion)
    return SearchResult(None, None, best_pair, value, log.evaluations, log.history(), tuple(log.evaluated))


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
    values = dict(zip(full.evaluated, full.history["value"], strict=True))
    if found.best_pair not in values:
        raise ValueError(f"the full grid does not hold the pair that was found, {found.best_pair}")
    return float(full.value - values[found.best_pair])


class _Log:
    """Evaluates, counts what is evaluated, and keeps it in order."""

    def __init__(self):
        self.evaluations, self.evaluated = {}, []
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
        self.evaluated += points
        for point, value, best in zip(points, values, np.maximum.accumulate(values), strict=True):
            self._rows.append({"stage": stage, **_columns(stage, point), "value": value, "best": best})
        return points[int(values.argmax())], float(values.max())

    def history(self):
        columns = ["stage", "image_timestep", "image_block", "text_timestep", "text_block", "value", "best"]
        whole = dict.fromkeys(columns[1:5], "Int64")  # missing where a modality is not in play
        places = ["image_place", "text_place"]
        if any(row.get(place, OUT) != OUT for row in self._rows for place in places):
            columns[5:5] = places
        return pd.DataFrame(self._rows, columns=columns).astype(whole)


def _columns(stage, point):
    by_modality = dict(zip(("image", "text"), point, strict=True)) if stage == "fusion" else {stage: point}
    found = {}
    for modality, at in by_modality.items():
        found |= {f"{modality}_{what}": getattr(at, what) for what in ("timestep", "block", "place")}
    return found
