"""Two conditions at the same points: what each reaches, and their paired difference; Table 4 beside ours."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from difffeat.base.format import MISSING, show
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.probing import stats
from difffeat.probing.scoring import name_of
from difffeat.probing.stats import Measured, percentiles
from difffeat.show.figure import COLOURS, GREY, LIGHT, MARKERS, Figure, canvas, finished, styled, value_axis
from difffeat.show.figure import written as cells
from difffeat.show.table import Table


@styled
def dumbbells(
    pair: Mapping[str, Any], names: Sequence[str], *, metric: str = "mAP", title: str = ""
) -> Figure:
    """Two conditions at P points as dumbbells, and beside them the paired difference with its interval.

    Parameters
    ----------
    pair : dict of two names to grids or Measured, values of P points in all and draws (R, ...)
    names : sequence of P str
    metric : str, what the values are
    title : str, over the left panel, optional

    Returns
    -------
    Figure

    Source
    ------
    Diff-Feat, Figure 8 (bars there).
    """
    (first, one), (second, other) = pair.items()
    values = [np.asarray(way.values, dtype=float).reshape(-1) for way in (one, other)]
    draws = (one.draws - other.draws).reshape(len(one.draws), -1)
    gap, ends = values[0] - values[1], np.stack(percentiles(draws), axis=1)
    place, metric = np.arange(len(names)), name_of(metric)
    page, axes = canvas(1.35 + 0.235 * len(names), [["values", "gap"]], width_ratios=[1.35, 1])
    _ends(axes["values"], place, dict(zip((first, second), values, strict=True)))
    _gaps(axes["gap"], place, gap, ends)
    for side in axes.values():
        side.set_yticks(place, names if side is axes["values"] else [])
        side.set_ylim(len(names) - 0.4, -0.6)
        side.tick_params(axis="y", length=0)
        side.grid(axis="y", color=LIGHT, linewidth=0.5)
        side.set_axisbelow(True)
    value_axis(axes["values"].xaxis, "percent", metric)
    value_axis(axes["gap"].xaxis, "points", "difference")
    axes["values"].set_title(title)
    page.legend(*axes["values"].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return finished(
        page, _said(first, second, names, gap, ends, metric), _table(pair, names, values, gap, ends)
    )


def _ends(axes: Axes, place, series):
    """The two ends of each dumbbell and the line between."""
    low, high = np.minimum(*series.values()), np.maximum(*series.values())
    axes.hlines(place, low, high, color=GREY, linewidth=1.4, alpha=0.6, zorder=1)
    for order, (name, values) in enumerate(series.items()):
        style = {"color": COLOURS[order], "marker": MARKERS[order], "linestyle": "", "markersize": 6}
        axes.plot(values, place, label=name, **style)


def _gaps(axes, place, gap, ends):
    """Differences with intervals, hollow where these hold 0."""
    clear = (ends[:, 0] > 0) | (ends[:, 1] < 0)
    axes.axvline(0, color=GREY, linewidth=1.0)
    axes.hlines(place, *ends.T, color=COLOURS[2], linewidth=2.2, alpha=0.5)
    for which, face in ((clear, COLOURS[2]), (~clear, "white")):
        style = {"marker": "D", "linestyle": "", "color": COLOURS[2], "markerfacecolor": face}
        axes.plot(gap[which], place[which], **style)


def _said(first, second, names, gap, ends, metric):
    """The finding in words."""
    above, below = (int(count) for count in ((ends[:, 0] > 0).sum(), (ends[:, 1] < 0).sum()))
    least, most = int(gap.argmin()), int(gap.argmax())
    return (
        f"{metric} of {first} and {second} at {len(names)} points, and the paired difference with 95 % "
        f"intervals. {first} lies above at {above} points and below at {below}, beyond its interval; the "
        f"difference runs from {show(float(gap[least]), 'points')} points at {names[least]} to "
        f"{show(float(gap[most]), 'points')} at {names[most]}."
    )


def _table(pair, names, values, gap, ends):
    """Everything drawn, a row a point."""
    rows = [
        [names[p], *(show(float(v[p]), "percent") for v in values), *cells(float(gap[p]), ends[p], "points")]
        for p in range(len(names))
    ]
    return pd.DataFrame(rows, columns=["point", *pair, "difference (points)", "95 % interval"])


def noising_table(deterministic: Any, random: Any, *, metric: str = "mAP") -> Table:
    """The paper's Table 4 beside the same numbers of two measured grids.

    Parameters
    ----------
    deterministic, random : grids of the same points
    metric : str, a name in `scoring.SCORINGS`; the paper's numbers are of mAP

    Returns
    -------
    Table
        Mean and standard deviation are over points; t and p as the paper takes them, over points as if these
        were independent.
    """
    grids = {"deterministic": deterministic.values.ravel(), "random": random.values.ravel()}
    test = stats.paired_t(*grids.values()) if deterministic.values.size > 1 else None
    printed = paper.table(4).set_index("noising") if metric == "mAP" else None
    rows = [_paper_row(printed, kind) for kind in grids if printed is not None]
    for kind, values in grids.items():
        decided = kind == "deterministic" and test is not None
        told = {"mean": stats.mean_std(values).mean, "sd": stats.mean_std(values).std}
        rows.append(
            {"whose": "here", "noising": kind}
            | {f"{name} over points": show(value, "percent") for name, value in told.items()}
            | {"t": f"{test.t:.2f}" if decided else "", "p": _p(test.p) if decided else ""}
        )
    return Table(pd.DataFrame(rows))


def _paper_row(printed, kind):
    row = printed.loc[kind]
    t = row["t_value"]
    return {
        "whose": "paper",
        "noising": kind,
        "mean over points": show(float(row["mAP_mean"]), "percent", 2),
        "sd over points": show(float(row["mAP_std"]), "percent", 2),
        "t": "" if pd.isna(t) else f"{t:.2f}",
        "p": str(row["p_value"]) if kind == "deterministic" else "",
    }


def _p(value):
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def differences(found: Mapping[str, Measured], against: str) -> Table:
    """What ways reach at one point, and how far each is from one of them, paired.

    Parameters
    ----------
    found : dict of name to Measured of one point
    against : str, the name that the others are compared with
    """
    rows = []
    for name, number in found.items():
        value, interval = (float(np.ravel(number.value)[0]), [np.ravel(e)[0] for e in number.interval])
        gap = number - found[against]
        ends = [float(np.ravel(end)[0]) for end in gap.interval]
        told = cells(float(np.ravel(gap.value)[0]), ends, "points") if name != against else [MISSING] * 2
        rows.append([name, *cells(value, interval, "percent"), *told])
    columns = ["noising", "value", "95 % interval", f"less {against} (points)", "interval of that"]
    return Table(pd.DataFrame(rows, columns=columns))
