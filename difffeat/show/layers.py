"""Figures of the best block: how deep it is, and which sampled block wins over the place of the true peak."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from difffeat.base.format import show
from difffeat.evidence.layers import Depth
from difffeat.show.figure import (
    COLOURS,
    LIGHT,
    MARKERS,
    Figure,
    canvas,
    finished,
    styled,
    value_axis,
    written,
)


@styled
def depths(found: Sequence[Depth]) -> Figure:
    """Best and chosen blocks as shares of the depth of their models, one line each, coloured by who says so.

    Parameters
    ----------
    found : sequence of layers.Depth

    Returns
    -------
    Figure
    """
    sources = list(dict.fromkeys(one.source for one in found))
    page, axes = canvas(1.2 + 0.32 * len(found))
    for row, one in enumerate(found):
        share, ends = one.relative
        place = sources.index(one.source)
        style = {"color": COLOURS[place], "marker": MARKERS[place], "linestyle": "", "markersize": 6.5}
        if ends:
            axes.plot(ends, [row, row], color=COLOURS[place], linewidth=2.4, alpha=0.4)
        first = one == next(other for other in found if other.source == one.source)
        axes.plot([share], [row], label=one.source if first else None, **style)
        axes.text(1.02, row, f"{one.block} of {one.depth}", va="center", fontsize=9)
        axes.axhline(row, color=LIGHT, linewidth=0.6, zorder=0)
    axes.set_yticks(range(len(found)), [one.data for one in found])
    axes.set(xlim=(0, 1), ylim=(len(found) - 0.5, -0.5), xlabel="block / depth")
    axes.tick_params(axis="y", length=0)
    page.legend(loc="outside upper center", ncols=len(sources))
    words = [f"{one.source}, {one.data}: block {one.block} of {one.depth}" for one in found]
    alt = (
        f"Blocks, best or chosen for training, as shares of their model's depth, 0 to 1. {'; '.join(words)}."
    )
    return finished(page, alt, _depths_table(found))


def _depths_table(found):
    """The same with the model, and the interval where there is one."""
    rows = [
        [one.source, one.data, one.model, f"{one.block} of {one.depth}", *written(*one.relative, "")]
        for one in found
    ]
    names = ["source", "data or work", "model", "block", "block / depth", "95 % interval"]
    return pd.DataFrame(rows, columns=names)


@styled
def wins(
    places: Sequence[float], shares: ArrayLike, sampled: Sequence[int], span: tuple[float, float]
) -> Figure:
    """How often each sampled block wins, over the block where the truth peaks.

    Parameters
    ----------
    places : floats, P places of the peak, in blocks
    shares : array of shape (P, B), each row adding up to 1
    sampled : B ints
    span : the two ends of the places that are shaded

    Returns
    -------
    Figure
    """
    places, shares = np.asarray(places, dtype=float), np.asarray(shares, dtype=float)
    shown = [column for column in range(len(sampled)) if shares[:, column].max() > 0.01]
    page, axes = canvas(3.4)
    axes.axvspan(*span, color=LIGHT, alpha=0.6, linewidth=0, zorder=0)
    for order, column in enumerate(shown):
        style = {"color": COLOURS[order % len(COLOURS)], "marker": MARKERS[order % len(MARKERS)]}
        axes.plot(places, shares[:, column], label=f"block {sampled[column]}", markevery=4, **style)
    axes.set_ylim(-0.03, 1.06)
    axes.set_xlabel("block where the truth peaks")
    value_axis(axes.yaxis, "percent", "share of runs that it wins")
    page.legend(loc="outside upper center", ncols=min(len(shown), 4))
    inside = (places >= span[0]) & (places <= span[1])
    mean = shares[inside].mean(axis=0)
    words = ", ".join(
        f"block {sampled[column]} {show(float(mean[column]), 'percent', 0)}" for column in shown
    )
    alt = (
        f"Lines of how often each sampled block wins, over the place of the true peak from {places[0]:g} to "
        f"{places[-1]:g}. For peaks from {span[0]:g} to {span[1]:g}, on average: {words}."
    )
    frame = pd.DataFrame(
        {
            f"block {sampled[column]}": [show(v, "percent") for v in shares[:, column].tolist()]
            for column in shown
        }
    )
    frame.insert(0, "peak at block", [f"{place:g}" for place in places])
    return finished(page, alt, frame)
