"""Figures of the best block: which sampled block wins, over the place where the truth peaks."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from difffeat.base.format import show
from difffeat.show.figure import COLOURS, LIGHT, MARKERS, Figure, canvas, finished, styled, value_axis


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
