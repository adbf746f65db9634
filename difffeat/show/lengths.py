"""A metric against the number of tokens of texts, above what that number does to the texts."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from difffeat.base.format import show
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.probing.lengths import Curve, shares
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
def by_length(curves: Mapping[str, Curve], counts: np.ndarray, *, used: int = 0) -> Figure:
    """Curves over lengths with 95 % bands, and below them the share of texts cut and of padding.

    Parameters
    ----------
    curves : dict of name to Curve, all of the same lengths
    counts : array (N,), tokens of each text before it is cut or padded
    used : int, the length that other pages use, marked; 0 marks none

    Returns
    -------
    Figure

    Source
    ------
    Diff-Feat, Figure 16.
    """
    first = next(iter(curves.values()))
    lengths, metric = list(first.lengths), name_of(first.metric)
    page, axes = canvas(5.2, [["above"], ["below"]], height_ratios=[2.2, 1], sharex=True)
    for order, (name, curve) in enumerate(curves.items()):
        style = {"color": COLOURS[order % len(COLOURS)], "marker": MARKERS[order % len(MARKERS)]}
        low, high = percentiles(curve.draws)
        axes["above"].fill_between(lengths, low, high, color=style["color"], alpha=0.15, linewidth=0)
        axes["above"].plot(lengths, curve.values, label=name, **style)
    done = shares(counts, lengths)
    for order, (name, values) in enumerate(done.items()):
        style = {"color": GREY, "linestyle": ("-", (0, (4, 2)))[order % 2], "marker": MARKERS[order + 4]}
        axes["below"].plot(lengths, values, label=name, **style)
    for side, label in (("above", metric), ("below", "share")):
        value_axis(axes[side].yaxis, "percent", label)
        axes[side].grid(axis="y", color=LIGHT, linewidth=0.5)
        if used:
            axes[side].axvline(used, color=GREY, linewidth=1.0, linestyle=":")
    axes["below"].set_xlabel("tokens L" + (f" (dotted: {used}, of other pages)" if used else ""))
    axes["below"].set_xticks(lengths)
    axes["below"].legend(loc="center right")
    page.legend(*axes["above"].get_legend_handles_labels(), loc="outside upper center", ncols=1)
    said = [f"{name} {course(lengths, curve.values, 'L =', 'percent')}" for name, curve in curves.items()]
    alt = f"Lines of {metric} over {len(lengths)} lengths of texts in tokens. {'; '.join(said)}."
    return finished(page, alt, _table(curves, done, lengths))


def fitting(counts: np.ndarray, lengths: Sequence[int]) -> Table:
    """How many texts fit into each length: of the paper's captions (Table 8) and of these.

    Parameters
    ----------
    counts : array (N,), tokens of each text
    lengths : sequence of n int
    """
    printed = paper.table(8)
    fits = printed["samples"].cumsum() / printed["samples"].sum()
    told = [("paper", length, fit, None) for length, fit in zip(printed["longest"], fits, strict=True)]
    found = shares(counts, lengths)
    here = zip(lengths, 1 - found["texts cut"], found["padding"], strict=True)
    told += [("here", *row) for row in here]
    columns = ["whose", "tokens L", "texts that fit", "positions that are padding"]
    rows = [
        [
            who,
            str(length),
            show(float(fit), "percent", 2),
            show(pads if pads is None else float(pads), "percent"),
        ]
        for who, length, fit, pads in told
    ]
    return Table(pd.DataFrame(rows, columns=columns))


def _table(curves, done, lengths):
    """Everything drawn, a row for each curve and length, then the shares."""
    rows = []
    for name, curve in curves.items():
        ends = np.stack(percentiles(curve.draws), axis=1)
        for place, length in enumerate(lengths):
            rows.append([name, str(length), *written(float(curve.values[place]), ends[place], "percent")])
    for name, values in done.items():
        rows += [[name, str(n), show(float(v), "percent"), ""] for n, v in zip(lengths, values, strict=True)]
    return pd.DataFrame(rows, columns=["what", "tokens L", "value", "95 % interval"])
