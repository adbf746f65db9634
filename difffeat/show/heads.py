"""Figures of fusion heads: what their width changes, and how their training loss falls."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from difffeat.base.format import show
from difffeat.probing.floors import Floor
from difffeat.probing.repeated import Repeated
from difffeat.show.figure import (
    COLOURS,
    GREY,
    LIGHT,
    MARKERS,
    Figure,
    canvas,
    course,
    finished,
    floor_words,
    styled,
    value_axis,
    written,
)


@styled
def widths(series: Mapping[str, Sequence[Repeated]], floors: Sequence[Floor] = ()) -> Figure:
    """mAP against the width of the projections, and below it what a width costs.

    Parameters
    ----------
    series : dict of name to heads of rising width
    floors : drawn as labelled lines

    Returns
    -------
    Figure
        Seconds are those of the machine that trained the heads.

    Source
    ------
    Diff-Feat, Figure 12 (a line of mAP).
    """
    page, axes = canvas(
        4.9,
        [["mAP"], ["parameters"], ["seconds"]],
        height_ratios=[3, 1, 1],
        sharex=True,
    )
    ticks = sorted({head.width for heads in series.values() for head in heads})
    for order, (name, heads) in enumerate(series.items()):
        _width_lines(axes, order, name, heads)
    axes["mAP"].set_xscale("log", base=2)
    for floor, dashes in zip(floors, ((4, 3), (1, 2), (6, 2, 1, 2)), strict=False):
        name = f"{floor.name} {show(floor.value, 'percent')}"
        axes["mAP"].axhline(floor.value, color=GREY, linewidth=1.2, linestyle=(0, dashes), label=name)
    value_axis(axes["mAP"].yaxis, "percent", "mAP")
    for name in ("parameters", "seconds"):
        axes[name].set_yscale("log")
        axes[name].set_ylabel(name)
        axes[name].yaxis.set_minor_locator(NullLocator())
        axes[name].margins(y=0.2)
    axes["parameters"].yaxis.set_major_formatter(FuncFormatter(_amount))
    axes["seconds"].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes["seconds"].yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes["seconds"].set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes["seconds"].xaxis.set_minor_locator(NullLocator())
    axes["seconds"].set_xlabel("width of the projections")
    page.legend(*axes["mAP"].get_legend_handles_labels(), loc="outside upper center")
    return finished(page, _width_words(series, floors), _width_table(series))


def _width_lines(axes, order, name, heads):
    """The three lines of one series."""
    across = [head.width for head in heads]
    style = {"color": COLOURS[order % len(COLOURS)], "marker": MARKERS[order % len(MARKERS)], "label": name}
    low, high = zip(*(head.measured.interval for head in heads), strict=True)
    axes["mAP"].fill_between(across, low, high, color=style["color"], alpha=0.18, linewidth=0)
    axes["mAP"].plot(across, [head.measured.value for head in heads], **style)
    axes["parameters"].plot(across, [head.parameters for head in heads], **style)
    axes["seconds"].plot(across, [np.median(head.seconds) for head in heads], **style)


def _width_words(series, floors):
    """What the three panels show, the first in numbers."""
    lines = [
        f"{name}: it "
        + course([h.width for h in heads], [h.measured.value for h in heads], "width", "percent")
        for name, heads in series.items()
    ]
    wide = max((heads[-1] for heads in series.values()), key=lambda head: head.width)
    cost = f"The head of width {wide.width:,} has {wide.parameters:,} parameters."
    return f"mAP by width of the projections. {'; '.join(lines)}. {cost}{floor_words(floors, 'percent')}"


def _width_table(series):
    cells = [
        [name, f"{head.width:,}", f"{head.parameters:,}", f"{np.median(head.seconds):.2g}"]
        + written(head.measured.value, head.measured.interval, "percent")
        for name, heads in series.items()
        for head in heads
    ]
    return pd.DataFrame(cells, columns=["captions", "width", "parameters", "seconds", "mAP", "95 % interval"])


def _amount(value, _):
    """1k, 10k, 1M: for an axis."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


@styled
def spread(curves: Mapping[str, np.ndarray], guess: float | None = None) -> Figure:
    """Training loss over epochs: the mean over seeds as a line, all seeds within its band.

    Parameters
    ----------
    curves : dict of name to array (S, E)
    guess : float, optional, the loss of a constant guess, drawn as a dashed line

    Returns
    -------
    Figure

    Source
    ------
    Diff-Feat, Figure 3 (one curve for each head, without a spread).
    """
    page, axes = canvas(3.6)
    for order, (name, losses) in enumerate(curves.items()):
        epochs, every = np.arange(1, losses.shape[1] + 1), max(1, losses.shape[1] // 8)
        colour = COLOURS[order % len(COLOURS)]
        axes.fill_between(
            epochs, losses.min(axis=0), losses.max(axis=0), color=colour, alpha=0.25, linewidth=0
        )
        style = {"color": colour, "marker": MARKERS[order % len(MARKERS)], "label": name.replace("_", " ")}
        axes.plot(epochs, losses.mean(axis=0), **style, markevery=(order * every // 5 % every, every))
    if guess is not None:
        axes.axhline(guess, color=GREY, linewidth=1.1, linestyle=(0, (4, 3)))
        at = {"xytext": (2, -12), "textcoords": "offset points", "fontsize": 9, "color": GREY}
        axes.annotate(f"a constant guess {guess:.3g}", (0, guess), xycoords=axes.get_yaxis_transform(), **at)
    axes.set_yscale("log")
    for formatted in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        formatted(lambda value, _: f"{value:g}")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set(xlabel="epoch", ylabel="training loss")
    axes.grid(axis="y", color=LIGHT, linewidth=0.6)
    page.legend(loc="outside upper center", ncols=3)
    return finished(page, _loss_words(curves, guess), _loss_table(curves))


def _loss_words(curves, guess):
    ends = sorted(curves, key=lambda name: curves[name][:, -1].mean())
    words = [
        f"{name.replace('_', ' ')} {curves[name][:, -1].mean():.3g} "
        f"({curves[name][:, -1].min():.3g} to {curves[name][:, -1].max():.3g} over "
        f"{len(curves[name])} seed{'s' * (len(curves[name]) > 1)})"
        for name in ends
    ]
    beside = "" if guess is None else f" A constant guess has {guess:.3g}."
    return f"Training loss of the last epoch, the lowest first: {', '.join(words)}.{beside}"


def _loss_table(curves):
    """At most ten epochs of each curve, evenly spread, first and last among them."""
    rows = [
        [name, f"{epoch + 1:,}", f"{at.mean():.4g}", f"{at.min():.4g} to {at.max():.4g}", len(losses)]
        for name, losses in curves.items()
        for epoch in np.unique(np.linspace(0, losses.shape[1] - 1, 10).round().astype(int))
        for at in [losses[:, epoch]]
    ]
    return pd.DataFrame(rows, columns=["head", "epoch", "loss", "over seeds", "seeds"]).astype(str)


def losses_beside(heads: Mapping[str, Repeated], epochs: Mapping[str, object]) -> list[dict]:
    """Rows of a table: what each head ends with, how fast it gets there, what it reaches on test.

    Parameters
    ----------
    heads : dict of name to Repeated
    epochs : dict of the same names to stats.Measured, as `repeated.epochs_to_common` gives them
    """
    rows = []
    for name, head in sorted(heads.items(), key=lambda item: item[1].losses[:, -1].mean()):
        ends = head.losses[:, -1]
        value, interval = written(head.measured.value, head.measured.interval, "percent")
        rows.append(
            {
                "head": name.replace("_", " "),
                "final training loss": show(float(ends.mean()), "", 4),
                "over seeds": f"{ends.min():.4f} to {ends.max():.4f}",
                "epochs to the common loss": show(float(epochs[name].value), "", 1),
                "seeds": len(ends),
                "mAP on test": f"{value} ({interval})",
                "parameters": f"{head.parameters:,}",
            }
        )
    return rows
