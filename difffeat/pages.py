"""What pages say in one line: a point and its floors as results, a mapping or a search as a table."""

import numpy as np
import pandas as pd

from difffeat._format import show
from difffeat.claims import Result, Table


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
    list of Result: `<name>_map` with its interval, `<name>_timestep`, `<name>_block`
    """
    timestep, block = grid.best
    value, interval = grid.at(timestep, block)
    return [
        Result(f"{name}_map", value, interval, what, paper=paper, seeds=tuple(seeds), draws=len(grid.draws)),
        Result(f"{name}_timestep", timestep, metric="timestep", unit=""),
        Result(f"{name}_block", block, metric="block", unit=""),
    ]


def floors(found):
    """Floors as results: `floor_<name>_map`."""
    return [
        Result(f"floor_{floor.name.replace(' ', '_')}_map", floor.value, floor.interval) for floor in found
    ]


def at_best(grid):
    """(mAP, its draws) at the best point of a grid, as `claims.check` compares them."""
    row, column = grid.timesteps.index(grid.best[0]), grid.blocks.index(grid.best[1])
    return grid.mean[row, column], grid.draws[:, row, column]


def mean_of(grid):
    """(mAP averaged over the points of a grid, its draws): how Table 4 sums up a grid."""
    return np.mean(grid.mean), grid.draws.mean(axis=(1, 2))


def listing(mapping, **shown):
    """A mapping as a table of two columns.

    Parameters
    ----------
    mapping : dict
    **shown : heads of the columns by place, `name` and `value`
    """
    heads = [shown.get("name", "what"), shown.get("value", "value")]
    rows = [
        (key, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value))
        for key, value in mapping.items()
    ]
    return Table(pd.DataFrame(rows, columns=heads))


def searches(found):
    """What several searches found and what they took, as a table.

    Parameters
    ----------
    found : dict of name to search.SearchResult
    """
    rows = [
        {
            "search": name,
            "image (timestep, block)": str(tuple(result.best_pair[0])),
            "text (timestep, block)": str(tuple(result.best_pair[1])),
            "mAP": show(result.value, "percent", 2),
            "evaluations": str(result.total),
        }
        for name, result in found.items()
    ]
    return Table(pd.DataFrame(rows))
