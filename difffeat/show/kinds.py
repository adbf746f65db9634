"""What noise adds to labels of each kind, drawn over timesteps, and the best timestep of each block."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from difffeat.base.format import show_interval
from difffeat.evidence.numbers import ends
from difffeat.probing.grid import Grid
from difffeat.probing.kinds import Gain, by_block
from difffeat.probing.scoring import name_of
from difffeat.probing.stats import percentiles
from difffeat.show.figure import (
    COLOURS,
    GREY,
    LIGHT,
    MARKERS,
    Figure,
    canvas,
    course,
    finished,
    styled,
    value_axis,
    written,
)
from difffeat.show.table import Table


@styled
def by_timestep(found: Sequence[Gain]) -> Figure:
    """A line for each kind of labels: the metric above that of the lowest timestep, with 95 % bands.

    Parameters
    ----------
    found : sequence of Gain, from `kinds.gains`

    Returns
    -------
    Figure
    """
    page, axes = canvas(3.4)
    rows, said = [], []
    for order, gain in enumerate(found):
        style = {"color": COLOURS[order % len(COLOURS)], "marker": MARKERS[order % len(MARKERS)]}
        ends = np.stack(percentiles(gain.draws), axis=1)  # (T, 2)
        axes.fill_between(gain.timesteps, *ends.T, color=style["color"], alpha=0.15, linewidth=0)
        axes.plot(gain.timesteps, gain.values, label=f"{gain.kind} (block {gain.block})", **style)
        for place, timestep in enumerate(gain.timesteps):
            value = written(float(gain.values[place]), ends[place], "points")
            rows.append([gain.kind, str(gain.block), str(timestep), *value])
        said.append(f"{gain.kind} {course(gain.timesteps, gain.values, 't =', 'points')}")
    lowest, metric = found[0].timesteps[0], name_of(found[0].metric)
    axes.axhline(0, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    axes.grid(axis="y", color=LIGHT, linewidth=0.5)
    value_axis(axes.yaxis, "points", f"{metric} above t = {lowest}")
    axes.set_xlabel("timestep t")
    axes.legend(loc="best")
    alt = f"Lines of {metric} above that at t = {lowest} for each kind of labels. {'; '.join(said)}."
    columns = ["labels", "block", "timestep", f"{metric} above t = {lowest}", "95 % interval"]
    return finished(page, alt, pd.DataFrame(rows, columns=columns))


def best_timesteps(grids: Mapping[str, Grid]) -> Table:
    """The best timestep of every block for labels of each kind, chosen on val.

    Parameters
    ----------
    grids : dict of kind to Grid

    Returns
    -------
    Table
        A row for each kind; behind a timestep where 95 % of the draws put it.
    """
    rows = []
    for kind, grid in grids.items():
        cells = {
            f"block {block}": f"{best} ({show_interval(ends(drawn))})"
            for block, (best, drawn) in by_block(grid).items()
        }
        rows.append({"labels": kind} | cells | {"best block": str(grid.best.block)})
    return Table(pd.DataFrame(rows))
