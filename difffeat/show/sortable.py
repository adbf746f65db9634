"""Tables that a reader sorts and takes away: a click on a head sorts, a link holds the rows as CSV.

Without JavaScript the table stands in its first order and the link works all the same.
"""

import base64
from collections.abc import Iterable
from html import escape
from typing import Any

import pandas as pd

from difffeat.base.format import show, show_interval
from difffeat.evidence.numbers import result
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.verdicts import Check
from difffeat.features.points import Point
from difffeat.probing.metrics import DECIDED
from difffeat.probing.pairs import Pairs
from difffeat.probing.scoring import name_of
from difffeat.show.table import SORT, Table

NAMES = {"CF1_macro": "CF1 (macro)", "CF1_harmonic": "CF1 (harmonic)"}


class Sortable(Table):
    """A table with a link to its rows as CSV.

    Attributes
    ----------
    csv : DataFrame, what the link holds; by default the rows as they are shown
    name : str, of the file
    """

    def __init__(self, frame: pd.DataFrame, name: str, csv: pd.DataFrame | None = None) -> None:
        super().__init__(frame)
        self.name, self.csv = name, frame if csv is None else csv

    def _repr_html_(self):
        held = link(self.csv, self.name)
        return f"<div>{super()._repr_html_()}<p>The rows as CSV: {held}</p>{SORT}</div>"


def link(rows: pd.DataFrame, name: str) -> str:
    """A link that holds rows as CSV, in a file of this name: HTML."""
    held = base64.b64encode(rows.to_csv(index=False, float_format="%.6g").encode()).decode()
    return f'<a download="{escape(name)}" href="data:text/csv;base64,{held}">{escape(name)}</a>'


def points(grid: Any, name: str) -> Sortable:
    """Every point of a grid by every metric of its probes: values here, their intervals in the file too.

    Parameters
    ----------
    grid : grid.Grid, measured, with `others`
    name : str, of the file

    Source
    ------
    Diff-Feat, Tables 5 and 6.
    """
    places = [{"timestep": timestep, "block": block} for timestep in grid.timesteps for block in grid.blocks]
    grids = _in_order(grid.metric, grid, grid.others)
    found = [{by: one.at(**place) for by, one in grids.items()} for place in places]
    return _listed(places, found, name)


def fused(pairs: Pairs, name: str) -> Sortable:
    """Every measured pair by every metric of its head: values here, their intervals in the file too.

    Parameters
    ----------
    pairs : pairs.Pairs, measured
    name : str, of the file

    Source
    ------
    Diff-Feat, the fused rows of Tables 5 and 6.
    """
    places = [
        {f"{side} {name}": getattr(point, name) for side, point in sides for name in ("timestep", "block")}
        for sides in (zip(("image", "text"), pair, strict=True) for pair in pairs.measured)
    ]
    found = [_in_order("mAP", pair.on_test, pair.others) for pair in pairs.measured.values()]
    return _listed(places, found, name)


def _in_order(metric, first, others):
    """{a metric as it is printed: its number or grid}: that of `metric` first, then the paper's order."""
    names = [name for name in DECIDED if name in others]
    names += [name for name in others if name not in names]
    return {name_of(metric): first} | {NAMES.get(name, name_of(name)): others[name] for name in names}


def _listed(places, found, name):
    """A row for each place, with what was measured there: {metric: Measured}."""
    rows, cells = [], []
    for place, numbers in zip(places, found, strict=True):
        first = next(iter(numbers))
        shown = {by: show(number.value, "percent") for by, number in numbers.items()}
        interval = {f"{first}, 95 %": show_interval(_interval(numbers[first]), "percent")}
        row = {key: str(held) for key, held in place.items()}
        rows.append(row | {first: shown.pop(first)} | interval | shown)
        cells.append(
            place | {key: held for by, number in numbers.items() for key, held in _cells(by, number)}
        )
    return Sortable(pd.DataFrame(rows), name, pd.DataFrame(cells))


def _cells(by, number):
    """The value and both ends of its interval, as columns of the file."""
    low, high = _interval(number)
    return (by, number.value), (f"{by}, low", low), (f"{by}, high", high)


def _interval(number):
    """That of a metric, which ends at 0 and 1."""
    return result("point", number).interval


def at_best(grid: Any, table: int, modality: str) -> Table:
    """Every metric at the best point, the paper's beside ours.

    Parameters
    ----------
    grid : grid.Grid, measured, with `others`; its best point is chosen on val
    table : 5 or 6, the paper's, whose best point is that of the highest mAP
    modality : "image" or "text"
    """
    here = f"t = {grid.best.timestep}, block {grid.best.block}"
    grids = _in_order(grid.metric, grid, grid.others)
    return _beside(table, modality, here, {by: one.at(*grid.best) for by, one in grids.items()})


def fused_at_best(pairs: Pairs, table: int) -> Table:
    """Every metric at the best pair, the paper's beside ours; intervals hold the choice of the pair.

    Parameters
    ----------
    pairs : pairs.Pairs, measured; the best pair is chosen on val
    table : 5 or 6, the paper's, whose best pair is that of the highest mAP

    Source
    ------
    Diff-Feat, Table 1, whose own row is that pair of Table 5.
    """
    image, text = pairs.best
    here = f"image {image.label}, text {text.label}"
    return _beside(table, "fusion", here, _in_order("mAP", pairs.at_best, pairs.others_at_best))


def _beside(table, modality, here, found):
    """A row for each metric: the paper's number at its own best place, and what was measured here."""
    printed = paper.table(table)
    printed = printed.loc[printed[printed.modality == modality].mAP.idxmax()]
    columns = {NAMES["CF1_macro"]: "CF1"}  # which of the two the paper prints
    rows = [
        {
            "metric": by,
            f"paper, Table {table} ({_place(printed)})": show(printed.get(columns.get(by, by)), "percent", 2),
            f"here ({here})": result("at_best", number).text,
        }
        for by, number in found.items()
    ]
    return Table(pd.DataFrame(rows))


def _place(row):
    """The point or pair of a row of Table 5 or 6, in words."""
    sides = {side: (row[f"{side}_timestep"], row[f"{side}_block"]) for side in ("image", "text")}
    points = {side: Point(*map(int, point)) for side, point in sides.items() if not pd.isna(point[0])}
    if len(points) == 2:
        return ", ".join(f"{side} {point.label}" for side, point in points.items())
    (point,) = points.values()
    return f"t = {point.timestep}, block {point.block}"


def verdicts(checks: Iterable[Check], name: str) -> Sortable:
    """Checks of the paper's numbers, a row each.

    Parameters
    ----------
    checks : iterable of Check
    name : str, of the file
    """
    rows = [
        {
            "checked": check.what,
            "verdict": check.verdict,
            "the tables give": check.given,
            "the paper says": check.said,
            "source": check.source,
        }
        for check in checks
    ]
    return Sortable(pd.DataFrame(rows), name)
