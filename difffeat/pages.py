"""What pages say in one line: a point and its floors as results, a mapping or a search as a table."""

import json

import numpy as np
import pandas as pd

from difffeat import measures, stats
from difffeat._format import show
from difffeat.backbones import weights_folder
from difffeat.claims import Result, Table
from difffeat.floors import Floor


def best_point(name, grid, what="", *, paper=None, seeds=()):
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
    list of Result: `<name>_score` with its interval, `<name>_timestep`, `<name>_block`
    """
    timestep, block = grid.best
    about = dict(paper=paper, seeds=tuple(seeds), draws=len(grid.draws))
    return [
        _measured(name, grid.metric, *grid.at(timestep, block), what, **about),
        Result(f"{name}_timestep", timestep, metric="timestep", unit=""),
        Result(f"{name}_block", block, metric="block", unit=""),
    ]


def floors(found):
    """Floors as results: `floor_<name>_score`."""
    return [
        _measured(f"floor_{floor.name.replace(' ', '_')}", floor.metric, floor.value, floor.interval)
        for floor in found
    ]


def floor(name, grid):
    """The best point of a grid as a floor: what a line in a figure needs."""
    return Floor(name, *grid.at(*grid.best), grid.metric)


def gains(name, grid, found):
    """How many times each floor's metric the best point has: `<name>_over_<floor>`; none for a floor of 0."""
    best, _ = grid.at(*grid.best)
    return [
        Result(f"{name}_over_{floor.name.replace(' ', '_')}", best / floor.value, metric="ratio", unit="")
        for floor in found
        if floor.value
    ]


def dots(pairs):
    """Measured pairs as `plots.dots` draws them: {(image point, text point): (mAP, interval)}."""
    measured = pairs.measured.items()
    return {(_point(image), _point(text)): (pair.test, pair.interval) for (image, text), pair in measured}


def at_best(grid):
    """(metric, its draws) at the best point of a grid, as `claims.check` compares them."""
    row, column = grid.timesteps.index(grid.best[0]), grid.blocks.index(grid.best[1])
    return grid.mean[row, column], grid.draws[:, row, column]


def mean_of(grid):
    """(metric averaged over the points of a grid, its draws): how Table 4 sums up a grid."""
    return np.mean(grid.mean), grid.draws.mean(axis=(1, 2))


def mean_result(name, grid, what, *, paper=None, seeds=()):
    """The metric averaged over the points of a grid, as a result: `<name>_score`."""
    value, draws = mean_of(grid)
    about = dict(paper=paper, seeds=tuple(seeds), draws=len(draws))
    return _measured(name, grid.metric, float(value), stats.percentiles(draws), what, **about)


def listing(mapping, *, name="what", value="value"):
    """A mapping as a table of two columns.

    Parameters
    ----------
    mapping : dict
    name, value : str, heads of the columns
    """
    rows = [
        (key, ", ".join(map(str, held)) if isinstance(held, list | tuple) else str(held))
        for key, held in mapping.items()
    ]
    return Table(pd.DataFrame(rows, columns=[name, value]))


def rows(found):
    """Rows as a table.

    Parameters
    ----------
    found : iterable of dicts of column to value, all with the same columns
    """
    return Table(pd.DataFrame([{name: str(value) for name, value in row.items()} for row in found]))


def card(name):
    """The card of a shipped model: how it was trained, flat, as a table."""
    content = json.loads((weights_folder(name) / "card.json").read_text())
    return listing({**content.pop("options"), **content})


def training_log(name):
    """What was measured while a shipped model was trained, a DataFrame with a row per checkpoint."""
    return pd.read_csv(weights_folder(name) / "log.csv")


def searches(found):
    """What several searches found and what they took, as a table.

    Parameters
    ----------
    found : dict of name to search.SearchResult
    """
    return rows(
        {
            "search": name,
            "image (timestep, block)": _point(result.best_pair[0]),
            "text (timestep, block)": _point(result.best_pair[1]),
            "mAP": show(result.value, "percent", 2),
            "evaluations": result.total,
        }
        for name, result in found.items()
    )


def _measured(name, metric, value, interval, what="", **about):
    """A value of a metric as a result."""
    return Result(f"{name}_score", value, interval, what, metric=measures.measure(metric).name, **about)


def _point(point):
    """(50, 12), whatever kind of tuple it is."""
    return f"({point[0]}, {point[1]})"
