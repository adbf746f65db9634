"""What a page records of measured things, as results: a point, its floors, what it has above them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from difffeat.evidence.papers.diff_feat.tables import Published
from difffeat.evidence.results import Result
from difffeat.probing import scoring
from difffeat.probing.stats import Measured

if TYPE_CHECKING:
    from difffeat.probing.floors import Floor
    from difffeat.probing.grid import Grid


def best_point(
    name: str, grid: Grid, what: str = "", *, paper: Published | None = None, seeds: Sequence[int] = ()
) -> list[Result]:
    """The best point of a grid, chosen on val, as results of a page.

    Parameters
    ----------
    name : str, start of the ids
    grid : grid.Grid
    what : str, what the point is, as a row of the table says it
    paper : paper.Published, optional
    seeds : noise seeds averaged over

    Returns
    -------
    list of Result: `<name>_score`, `<name>_timestep`, `<name>_block`, with intervals that hold the choice
    """
    about = dict(paper=paper, seeds=tuple(seeds), draws=len(grid.draws))
    drawn = [grid.points[place] for place in grid.choices[1]]
    return [
        result(f"{name}_score", grid.at_best, what, metric=grid.metric, **about),
        *(
            Result(
                f"{name}_{key}",
                getattr(grid.best, key),
                ends([getattr(point, key) for point in drawn]),
                metric=key,
                unit="",
            )
            for key in ("timestep", "block")
        ),
    ]


def ends(values: ArrayLike) -> tuple:
    """The central 95 % of drawn values that are points of a grid: both ends are among them."""
    return tuple(np.quantile(values, [0.025, 0.975], method="inverted_cdf").tolist())


def floors(found: Iterable[Floor]) -> list[Result]:
    """Floors as results: `floor_<name>_score`."""
    return [result(f"floor_{_id(floor)}_score", floor.measured, metric=floor.metric) for floor in found]


def by_metric(name: str, found: Mapping[str, Measured], **about: object) -> list[Result]:
    """A number by several metrics, as results: `<name>_OP`, ...

    Parameters
    ----------
    name : str, start of the ids
    found : dict of metric to stats.Measured
    **about : as for `result`
    """
    return [result(f"{name}_{metric}", one, metric=metric, **about) for metric, one in found.items()]


def gains(name: str, best: Measured, found: Iterable[Floor]) -> Iterator[Result]:
    """What a number has above each floor: `<name>_over_<floor>`, its ratio, none for a floor of 0, and
    `<name>_less_<floor>`, the paired difference with its interval."""
    for floor in found:
        yield result(f"{name}_less_{_id(floor)}", best - floor.measured, metric=floor.metric, unit="points")
        if floor.value:
            ratio = best.value / floor.value
            yield Result(f"{name}_over_{_id(floor)}", ratio, metric="ratio", unit="")


def error_rate(what: str, accuracy: Measured | Result, paper: Published | None = None) -> Result:
    """What an accuracy leaves to 100 %, with its interval, as a result: `error_<what>`.

    Parameters
    ----------
    what : str, whose errors they are
    accuracy : stats.Measured or Result
    paper : tables.Published, optional

    Source
    ------
    Diff-Feat, Table 7.
    """
    low, high = accuracy.interval
    interval = (max(1 - high, 0.0), min(1 - low, 1.0))
    return Result(f"error_{_slug(what)}", 1 - accuracy.value, interval, what, "error rate", paper=paper)


def _id(floor):
    return _slug(floor.name)


def _slug(name):
    return re.sub(r"\W+", "_", name)


def result(
    name: str,
    number: Measured,
    what: str = "",
    *,
    metric: str = "mAP",
    unit: str = "percent",
    **about: object,
) -> Result:
    """A `stats.Measured` as a result with its interval; that of a metric ends at 0 and 1."""
    about.setdefault("draws", len(number.draws))
    interval = number.interval
    if unit == "percent":
        interval = tuple(min(max(end, 0.0), 1.0) for end in interval)
    return Result(name, number.value, interval, what, scoring.name_of(metric), unit, **about)
