"""Figures that are no grids: choices side by side, amounts by category, label frequencies, loss curves."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from difffeat.base.format import show
from difffeat.show.figure import (
    ACCENT,
    COLOURS,
    GREY,
    LIGHT,
    MARKERS,
    Figure,
    canvas,
    finished,
    floor_words,
    styled,
    upright_floors,
    value_axis,
    written,
)


@styled
def dots(
    values: Mapping,
    *,
    floors: Sequence = (),
    metric: str = "mAP",
    unit: str = "percent",
    legend: str | None = None,
) -> Figure:
    """Values side by side, each a dot with its interval; the axis need not start at zero, so no bars.

    Parameters
    ----------
    values : dict of name to value or (value, interval); a name that is a pair (group, series) puts the series
        of a group on neighbouring lines, told apart by colour and marker
    floors : sequence of objects with `name` and `value`, drawn as labelled lines
    metric : str, what the values are
    unit : str, how they are written: "percent", "points" or ""
    legend : str, what the series are, optional

    Returns
    -------
    Figure

    Source
    ------
    Diff-Feat, Figures 4, 8 and 11 (bars there).
    """
    rows = [_Row(name, given) for name, given in values.items()]
    groups, series = (list(dict.fromkeys(getattr(row, side) for row in rows)) for side in ("group", "series"))
    step = 0.72 / max(len(series) - 1, 1) * (len(series) > 1) * (1 - 0.3 / len(series))
    for row in rows:
        row.y = groups.index(row.group) + (series.index(row.series) - (len(series) - 1) / 2) * step
    ranked = sorted(rows, key=lambda row: -row.value)
    page, axes = canvas(1.0 + len(groups) * max(0.32, 0.17 * len(series)) + 0.35 * (len(series) > 1))
    for order, name in enumerate(series):
        mine = [row for row in rows if row.series == name]
        colour, marker = COLOURS[order % len(COLOURS)], MARKERS[order % len(MARKERS)]
        for row in mine:
            if row.interval:
                axes.plot(row.interval, [row.y] * 2, color=colour, linewidth=2.4, alpha=0.4)
        style = {"color": colour, "marker": marker, "markersize": 6.5, "linestyle": "", "label": name}
        axes.plot([row.value for row in mine], [row.y for row in mine], **style)
    above = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center", "weight": "bold"}
    axes.annotate(ranked[0].text(unit), (ranked[0].value, ranked[0].y), **above)
    axes.set_yticks(range(len(groups)), groups)
    axes.set_ylim(len(groups) - 0.4, -0.85)
    axes.tick_params(axis="y", length=0)
    for line in np.arange(len(groups) - 1) + 0.5 if len(series) > 1 else range(len(groups)):
        axes.axhline(line, color=LIGHT, linewidth=0.6, zorder=0)
    upright_floors(axes, floors, unit)
    value_axis(axes.xaxis, unit, metric)
    if len(series) > 1:
        page.legend(loc="outside upper center", ncols=min(len(series), 3), title=legend)
    alt = (
        f"{metric} of {len(rows)} choices. Highest: {ranked[0].name} with {ranked[0].text(unit)}; "
        + (f"next: {ranked[1].name} with {ranked[1].text(unit)}; " if len(rows) > 2 else "")
        + f"lowest: {ranked[-1].name} with {ranked[-1].text(unit)}.{floor_words(floors, unit)}"
    )
    cells = [[row.name, *written(row.value, row.interval, unit)] for row in rows]
    return finished(page, alt, pd.DataFrame(cells, columns=["choice", metric, "95 % interval"]))


class _Row:
    """One dot: what it is called, its value and interval."""

    def __init__(self, name, given):
        self.group, self.series = name if isinstance(name, tuple) else (name, "")
        self.name = f"{self.group}, {self.series}" if self.series else self.group
        value, interval = given if isinstance(given, tuple) else (given, None)
        self.value, self.interval = float(value), interval and tuple(map(float, interval))

    def text(self, unit):
        """The value, with the digits that its interval deserves."""
        return written(self.value, self.interval, unit)[0]


@styled
def bars(
    categories: Iterable, series: Mapping[str, ArrayLike], *, metric: str = "share", unit: str = "percent"
) -> Figure:
    """Amounts by category, one bar for each series, from zero.

    Parameters
    ----------
    categories : sequence of str
    series : dict of name to as many values, as {"paper": ..., "scenes": ...}
    metric, unit : as in `dots`

    Returns
    -------
    Figure
    """
    categories = list(map(str, categories))
    texts = {name: _amounts(values, unit) for name, values in series.items()}
    height = 0.8 / len(series)
    page, axes = canvas(0.8 + len(categories) * max(0.28, 0.22 * len(series)) + 0.3 * (len(series) > 1))
    for order, (name, values) in enumerate(series.items()):
        y = np.arange(len(categories)) + (order - (len(series) - 1) / 2) * height
        colour, hatch = COLOURS[order % len(COLOURS)], ("", "////", "....")[order % 3]
        drawn = axes.barh(y, values, height * 0.9, color=colour, hatch=hatch, edgecolor="white", label=name)
        axes.bar_label(drawn, texts[name], padding=3, fontsize=9, color=GREY)
    _by_name(axes, categories)
    value_axis(axes.xaxis, unit, metric)
    if len(series) > 1:
        page.legend(loc="outside upper center", ncols=len(series))
    tops = [
        f"{name}: highest {categories[int(np.argmax(values))]} with {texts[name][int(np.argmax(values))]}"
        for name, values in series.items()
    ]
    alt = f"Bars of {metric} for {len(categories)} categories. {'; '.join(tops)}."
    return finished(page, alt, pd.DataFrame({"category": categories, **texts}))


@styled
def label_frequency(labels: ArrayLike, names: Sequence[str], *, rare: float = 0.01) -> Figure:
    """How often each label occurs, the rare ones set apart.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1
    names : sequence of K str
    rare : float, the share of images below which a label is rare

    Returns
    -------
    Figure
    """
    labels = np.asarray(labels)
    order = np.argsort(-labels.mean(axis=0), kind="stable")
    shares, names = labels.mean(axis=0)[order], [names[k] for k in order]
    few = shares < rare
    texts = _amounts(shares, "percent")
    page, axes = canvas(0.9 + 0.22 * len(names))
    drawn = axes.barh(range(len(names)), shares, 0.78, color=np.where(few, ACCENT, COLOURS[0]))
    axes.bar_label(drawn, texts, padding=3, fontsize=9, color=GREY)
    _by_name(axes, names)
    for label, is_rare in zip(axes.get_yticklabels(), few, strict=True):
        label.set(color=ACCENT if is_rare else "#222222", weight="bold" if is_rare else "normal")
    value_axis(axes.xaxis, "percent", "share of images")
    below = f"in fewer than {show(rare, 'percent', 0)} of images"
    axes.set_title(f"{few.sum()} of {len(names)} labels are {below}")
    alt = (
        f"Bars of the share of {len(labels):,} images that hold each of {len(names)} labels: from "
        f"{names[0]}, {texts[0]}, to {names[-1]}, {texts[-1]}. Labels {below}: "
        f"{', '.join(np.array(names)[few]) or 'none'}."
    )
    counts = [f"{count:,}" for count in labels.sum(axis=0, dtype=int)[order]]
    return finished(page, alt, pd.DataFrame({"label": names, "images": counts, "share": texts}))


@styled
def losses(
    series: Mapping[str, ArrayLike],
    *,
    x: dict | ArrayLike | None = None,
    x_label: str = "epoch",
    metric: str = "training loss",
    logarithmic: bool = False,
) -> Figure:
    """Loss curves.

    Parameters
    ----------
    series : dict of name to values; NaN where there is none
    x : dict of name to as many positions, or one sequence for all; by default 1, 2, ...
    x_label, metric : str
    logarithmic : bool, of the loss axis

    Returns
    -------
    Figure

    Source
    ------
    Diff-Feat, Figure 3.
    """
    series = {name: np.asarray(values, dtype=float) for name, values in series.items()}
    places = {name: x.get(name) if isinstance(x, dict) else x for name in series}
    places = {
        name: np.arange(1, len(series[name]) + 1) if place is None else np.asarray(place)
        for name, place in places.items()
    }
    measured = {name: np.isfinite(values) for name, values in series.items()}  # not every step validates
    series, places = ({name: given[name][measured[name]] for name in series} for given in (series, places))
    page, axes = canvas(3.3)
    for order, (name, values) in enumerate(series.items()):
        every = max(1, len(values) // 8)
        style = {"color": COLOURS[order % len(COLOURS)], "marker": MARKERS[order % len(MARKERS)]}
        axes.plot(places[name], values, **style, markevery=(order * every // 4 % every, every), label=name)
    axes.set_yscale("log" if logarithmic else "linear")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if logarithmic:
        axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set(xlabel=x_label, ylabel=metric)
    axes.grid(axis="y", color=LIGHT, linewidth=0.6)
    page.legend(loc="outside upper center", ncols=min(len(series), 3))
    ends = sorted(series, key=lambda name: series[name][-1])
    words = [f"{name} from {series[name][0]:.3g} to {series[name][-1]:.3g}" for name in ends]
    alt = f"Curves of {metric} over {x_label}, the lowest at the end first: {'; '.join(words)}."
    return finished(page, alt, _loss_table(series, places, x_label))


def _amounts(values, unit):
    """Amounts as text; shares under a tenth with a digit more, so that rare is not taken for none."""
    values = np.asarray(values).tolist()
    return [show(v, unit, 2 if unit == "percent" and 0 < v < 0.1 else None) for v in values]


def _by_name(axes, names):
    """Horizontal bars from the top down, each with its name."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.margins(x=0.14)
    axes.tick_params(axis="y", length=0)


def _loss_table(series, places, x_label):
    """At most ten points of each curve, evenly spread, first and last among them."""
    rows = [
        [name, f"{places[name][place]:,}", f"{values[place]:.4g}"]
        for name, values in series.items()
        for place in np.unique(np.linspace(0, len(values) - 1, 10).round().astype(int))
    ]
    return pd.DataFrame(rows, columns=["curve", x_label, "loss"])
