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
from difffeat.probing.metrics import DECIDED
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
        held = base64.b64encode(self.csv.to_csv(index=False, float_format="%.6g").encode()).decode()
        link = f'<a download="{escape(self.name)}" href="data:text/csv;base64,{held}">{escape(self.name)}</a>'
        return f"<div>{super()._repr_html_()}<p>The rows as CSV: {link}</p>{SORT}</div>"


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
    rows, cells = [], []
    for timestep in grid.timesteps:
        for block in grid.blocks:
            place = {"timestep": timestep, "block": block}
            found = {by: one.at(timestep, block) for by, one in _by_metric(grid).items()}
            first = next(iter(found))
            shown = {by: show(number.value, "percent") for by, number in found.items()}
            interval = show_interval(found[first].interval, "percent")
            rows.append(
                {
                    **{key: str(held) for key, held in place.items()},
                    first: shown.pop(first),
                    f"{first}, 95 %": interval,
                    **shown,
                }
            )
            cells.append(
                place | {key: value for by, number in found.items() for key, value in _cells(by, number)}
            )
    return Sortable(pd.DataFrame(rows), name, pd.DataFrame(cells))


def _by_metric(grid):
    """{a metric as it is printed: the grid by it}: the grid's own, then the paper's order."""
    names = [name for name in DECIDED if name in grid.others]
    names += [name for name in grid.others if name not in names]
    return {name_of(grid.metric): grid} | {
        NAMES.get(name, name_of(name)): grid.others[name] for name in names
    }


def _cells(by, number):
    """The value and both ends of its interval, as columns of the file."""
    low, high = number.interval
    return (by, number.value), (f"{by}, low", low), (f"{by}, high", high)


def at_best(grid: Any, table: int, modality: str) -> Table:
    """Every metric at the best point, the paper's beside ours.

    Parameters
    ----------
    grid : grid.Grid, measured, with `others`; its best point is chosen on val
    table : 5 or 6, the paper's, whose best point is that of the highest mAP
    modality : "image" or "text"
    """
    printed = paper.table(table)
    printed = printed.loc[printed[printed.modality == modality].mAP.idxmax()]
    there = f"t = {int(printed[f'{modality}_timestep'])}, block {int(printed[f'{modality}_block'])}"
    here = f"t = {grid.best.timestep}, block {grid.best.block}"
    columns = {NAMES["CF1_macro"]: "CF1"}  # which of the two the paper prints
    rows = [
        {
            "metric": by,
            f"paper, Table {table} ({there})": show(printed.get(columns.get(by, by)), "percent", 2),
            f"here ({here})": result("at_best", one.at(*grid.best)).text,
        }
        for by, one in _by_metric(grid).items()
    ]
    return Table(pd.DataFrame(rows))


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
