"""Figures of single labels and label sets: accuracy maps, counts and scores around a circle and plain.

The circle is the paper's Figure 5. It is hard to read: near the middle all values lie close together, and
bars on a logarithmic scale share their radius with a line that is on none. The plain chart shows the same.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from difffeat.base.format import show
from difffeat.probing.by_label import LabelMap
from difffeat.probing.stats import Measured, percentiles
from difffeat.show.figure import (
    ACCENT,
    COLOURS,
    GREY,
    HEAT,
    LIGHT,
    MARKERS,
    Figure,
    canvas,
    finished,
    ink,
    styled,
    value_axis,
    written,
)

SHORT = 18  # letters of a name in a figure
NAMED = 40  # names that fit under an axis


@styled
def accuracy_maps(found: Sequence[LabelMap]) -> Figure:
    """Accuracy of up to four labels over timesteps and blocks, each on its own scale, its best cell framed.

    Parameters
    ----------
    found : sequence of by_label.LabelMap

    Returns
    -------
    Figure, with the accuracy of saying "not there" of every sample in each title

    Source
    ------
    Diff-Feat, Figure 7, which does not show that number.
    """
    names = [["first", "second"], ["third", "fourth"]]
    mosaic = names if len(found) > 2 else names[:1]
    rows = max(len(one.blocks) for one in found)
    page, panels = canvas(len(mosaic) * (1.15 + 0.22 * rows), mosaic)
    for axes in list(panels.values())[len(found) :]:
        axes.set_axis_off()
    for axes, one in zip(panels.values(), found, strict=False):
        _map(axes, one)
    alt = "Heat maps of accuracy over timesteps and blocks. " + " ".join(
        f"{one.name}: highest {show(one.at_best.value, 'percent')} at t = {one.best[0]}, "
        f"block {one.best[1]}; always no {show(one.never, 'percent')}."
        for one in found
    )
    table = [
        {"category": one.name, "block": str(block)}
        | {
            f"t = {t}": show(value, "percent")
            for t, value in zip(one.timesteps, column.tolist(), strict=True)
        }
        for one in found
        for block, column in zip(one.blocks, one.values.T, strict=True)
    ]
    return finished(page, alt, pd.DataFrame(table).fillna("–"))


def _map(axes, one):
    """One label: coloured cells with their numbers."""
    mesh = axes.pcolormesh(one.values.T, cmap=HEAT, edgecolors="white", linewidth=0.6)
    fits = len(one.timesteps) <= 5
    for (t, b), value in np.ndenumerate(one.values):
        if fits:
            text, colour = show(float(value), "percent").rstrip("%"), ink(mesh.to_rgba(value))
            axes.text(t + 0.5, b + 0.5, text, ha="center", va="center", color=colour, fontsize=8)
    t, b = one.timesteps.index(one.best[0]), one.blocks.index(one.best[1])
    for colour, width in (("white", 4.6), ("black", 2.4)):
        axes.plot(
            [t, t + 1, t + 1, t, t], [b, b, b + 1, b + 1, b], color=colour, linewidth=width, clip_on=False
        )
    axes.set_xticks(np.arange(len(one.timesteps)) + 0.5, one.timesteps)
    axes.set_yticks(np.arange(len(one.blocks)) + 0.5, one.blocks)
    best, never = show(one.at_best.value, "percent"), show(one.never, "percent")
    axes.set_title(f"{one.name}: best {best}\nalways no: {never}")
    axes.set(xlabel="timestep t", ylabel="block")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


@styled
def circle(names: Sequence[str], counts: ArrayLike, scores: ArrayLike, *, metric: str = "F1") -> Figure:
    """Counts as bars on a logarithmic scale around a circle, and a score as a line over them.

    Parameters
    ----------
    names : sequence of n str; counts : array of shape (n,); scores : array of shape (n,), fractions
    metric : str, what the scores are

    Returns
    -------
    Figure

    Source
    ------
    Diff-Feat, Figure 5.
    """
    counts, scores = np.asarray(counts, dtype=float), np.asarray(scores, dtype=float)
    angles = 2 * np.pi * np.arange(len(names)) / len(names)
    page, panels = canvas(5.0, [["all"]], subplot_kw={"projection": "polar"})
    axes = panels["all"]
    heights = np.log10(counts + 1) / np.log10(counts.max() + 1)
    axes.bar(angles, heights, 5.2 / len(names), color=COLOURS[5], alpha=0.75, label="samples, log scale")
    closed = np.append(angles, angles[0]), np.append(scores, scores[0])
    axes.plot(*closed, color=ACCENT, marker="o", markersize=3.5, linewidth=1.3, label=metric)
    axes.set_ylim(0, 1.05)
    axes.set_yticks([0.25, 0.5, 0.75, 1.0], ["25%", "50%", "75%", "100%"], fontsize=8, color=GREY)
    axes.set_xticks([])
    axes.set_rlabel_position(180 / len(names))  # between two bars
    axes.spines["polar"].set_color(LIGHT)
    size = 8 if len(names) <= 40 else 5
    for angle, name in zip(angles, names, strict=True):
        turned, left = np.degrees(angle), np.cos(angle) < -1e-9
        place = dict(rotation=turned + 180 * left, rotation_mode="anchor", ha="right" if left else "left")
        axes.text(angle, 1.08, _short(name), va="center", fontsize=size, **place)
    page.legend(loc="outside lower center", ncols=2)
    best, worst = int(scores.argmax()), int(scores.argmin())
    alt = (
        f"{metric} of {len(names)} on a circle, over bars of how many samples there are "
        f"({counts.max():,.0f} to {counts.min():,.0f}). Highest {metric}: {names[best]}, "
        f"{show(scores[best], 'percent')}; lowest: {names[worst]}, {show(scores[worst], 'percent')}."
    )
    cells = {"name": list(names), "samples": [f"{count:,.0f}" for count in counts]}
    return finished(page, alt, pd.DataFrame(cells | {metric: [show(float(s), "percent") for s in scores]}))


@styled
def by_frequency(
    names: Sequence[str],
    counts: ArrayLike,
    series: Mapping[str, Measured],
    *,
    metric: str = "F1",
    counted: str = "samples",
    unit: str = "percent",
) -> Figure:
    """A score of each of n labels or label sets with its interval, the most frequent first.

    Parameters
    ----------
    names : sequence of n str; counts : array of shape (n,)
    series : dict of name to Measured of value (n,), fractions
    metric : str, what the scores are; counted : str, what the counts are
    unit : "percent" or "points"

    Returns
    -------
    Figure
    """
    order = np.argsort(-np.asarray(counts), kind="stable")
    names, counts = [names[place] for place in order], np.asarray(counts)[order].tolist()
    page, axes = canvas(4.3)
    table, words = {"name": names, counted: [f"{count:,}" for count in counts]}, []
    for place, (name, measured) in enumerate(series.items()):
        values, (low, high) = measured.value[order], percentiles(measured.draws[:, order])
        x = np.arange(len(names)) + 0.6 * ((place + 0.5) / len(series) - 0.5)
        colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        axes.vlines(x, low, high, color=colour, linewidth=1.6, alpha=0.4)
        axes.plot(x, values, color=colour, label=name, marker=marker, markersize=4, linestyle="")
        cells = [written(v, ends, unit) for v, *ends in zip(values.tolist(), low, high, strict=True)]
        table |= {name: [f"{value} ({ends})" for value, ends in cells]}
        words.append(_spread(name, names, values, unit))
    _named(axes, names, counts)
    axes.set_xlabel(f"{counted} in brackets" if len(names) <= NAMED else f"place in the order of {counted}")
    value_axis(axes.yaxis, unit, metric)
    if len(series) > 1:
        page.legend(loc="outside upper center", ncols=4, columnspacing=1.2, handletextpad=0.2)
    alt = f"{metric} of {len(names)}, the most frequent first. {'; '.join(words)}."
    return finished(page, alt, pd.DataFrame(table))


def _spread(name, names, values, unit):
    """From where to where the scores of a series lie, in words."""
    low, high = int(values.argmin()), int(values.argmax())
    ends = [f"{show(float(values[place]), unit)} ({names[place]})" for place in (low, high)]
    return f"{name}: {ends[0]} to {ends[1]}, mean {show(float(values.mean()), unit)}"


def _named(axes, names, counts):
    """Names with counts under the axis where there is room, and a faint line for each."""
    axes.set_xlim(-0.7, len(names) - 0.3)
    axes.grid(axis="y", color=LIGHT, linewidth=0.6)
    axes.set_axisbelow(True)
    if len(names) <= NAMED:
        said = [f"{_short(name)} ({count:,})" for name, count in zip(names, counts, strict=True)]
        axes.set_xticks(range(len(names)), said, rotation=90, fontsize=8.5)
        axes.tick_params(axis="x", length=2)


def _short(name):
    return name if len(name) <= SHORT else f"{name[: SHORT - 1]}…"
