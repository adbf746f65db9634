"""Figures of activations inside blocks: as pictures, their numbers, noise by frequency, what a filter keeps.

Letters: P places, B blocks, A activations, F frequencies.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from PIL import Image

from difffeat.base.format import show
from difffeat.probing.stats import Measured
from difffeat.show.figure import (
    COLOURS,
    GREY,
    HEAT,
    LIGHT,
    MARKERS,
    WIDTH,
    Figure,
    canvas,
    course,
    finished,
    ink,
    styled,
    value_axis,
    written,
)

TILE = 9  # points, of numbers in cells
UNDECORATED = dict(xticks=[], yticks=[])


@styled
def pictured(
    found: Mapping[tuple[int, str], np.ndarray],
    picture: Image.Image,
    blocks: Sequence[int],
    places: Sequence[str],
) -> Figure:
    """Activations of one picture, arranged as the network is: blocks from left to right, places downwards.

    Parameters
    ----------
    found : dict of (block, place) to array (side, side, 3) in [0, 1], from `components.coloured`
    picture : PIL image, what all of them are of
    blocks : sequence of B ints
    places : sequence of P str, in the order in which a block has them

    Returns
    -------
    Figure
    """
    names = [["picture", *["none"] * (len(blocks) - 1)]]
    names += [[f"{place} {block}" for block in blocks] for place in places]
    tile = (WIDTH - 1.3) / len(blocks)
    page, axes = canvas(0.4 + tile * (len(places) + 1), names, empty_sentinel="none")
    axes["picture"].imshow(picture)
    axes["picture"].set(**UNDECORATED, ylabel="picture")
    for place in places:
        for block in blocks:
            cell = axes[f"{place} {block}"]
            cell.imshow(found[block, place], interpolation="nearest")
            cell.set(**UNDECORATED)
            if place == places[0]:
                cell.set_title(str(block), loc="center", pad=3)
        axes[f"{place} {blocks[0]}"].set_ylabel(place)
    for cell in axes.values():
        cell.yaxis.label.set(rotation=0, ha="right", va="center")
        cell.spines[:].set_visible(False)
    page.get_layout_engine().set(w_pad=0.01, h_pad=0.01, wspace=0.02, hspace=0.02)
    page.supxlabel("block", fontsize=10.5)
    alt = (
        f"One picture and its activations as colours of their three main directions: {len(blocks)} blocks "
        f"({blocks[0]} to {blocks[-1]}) from left to right, and down the page {', '.join(places)}."
    )
    table = pd.DataFrame({"row": ["picture", *places]}).assign(
        what=["what the model reads", *map(_told, places)]
    )
    return finished(page, alt, table)


TOLD = {
    "out": "the residual stream after the block",
    "q": "queries",
    "k": "keys",
    "v": "values",
    "attention": "what attention puts out",
    "attention-increment": "what attention adds to the stream",
    "hidden": "hidden layer of the MLP",
    "mlp": "what the MLP puts out",
    "mlp-increment": "what the MLP adds to the stream",
}


def _told(place):
    return TOLD.get(place, place)


@styled
def number_map(
    numbers: Measured, places: Sequence[str], blocks: Sequence[int], metric: str, unit: str = ""
) -> Figure:
    """A number of every activation, arranged as in `pictured`.

    Parameters
    ----------
    numbers : Measured, values (P, B)
    places, blocks : sequences of P str and B ints
    metric : str, what the numbers are
    unit : str, "percent" or ""

    Returns
    -------
    Figure
    """
    values = np.asarray(numbers.values, dtype=float)
    page, axes = canvas(0.9 + 0.27 * len(places))
    mesh = axes.pcolormesh(values, cmap=HEAT, edgecolors="white", linewidth=0.6)
    texts = {
        at: show(float(value), unit, 0 if unit == "percent" else 1).rstrip("%")
        for at, value in np.ndenumerate(values)
    }
    for (row, column), text in texts.items():
        colour = ink(mesh.to_rgba(values[row, column]))
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=colour, fontsize=TILE)
    axes.set_xticks(np.arange(len(blocks)) + 0.5, list(map(str, blocks)))
    axes.set_yticks(np.arange(len(places)) + 0.5, places)
    axes.set(ylim=(len(places), 0), xlabel="block", title=metric + (", %" if unit == "percent" else ""))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    ends = [np.unravel_index(pick(values), values.shape) for pick in (np.argmax, np.argmin)]
    most, least = (
        f"{show(float(values[at]), unit)} at {places[at[0]]} of block {blocks[at[1]]}" for at in ends
    )
    means = ", ".join(
        f"{place} {show(float(mean), unit)}" for place, mean in zip(places, values.mean(axis=1), strict=True)
    )
    alt = (
        f"Map of {metric} over {len(places)} places and {len(blocks)} blocks ({blocks[0]} to {blocks[-1]}). "
        f"Highest {most}; lowest {least}. Means over blocks: {means}."
    )
    low, high = numbers.interval
    table = pd.DataFrame(
        [
            [place, str(block), *written(values[p, b], (low[p, b], high[p, b]), unit)]
            for p, place in enumerate(places)
            for b, block in enumerate(blocks)
        ],
        columns=["place", "block", metric, "95 % interval"],
    )
    return finished(page, alt, table)


@styled
def spectra(found: Mapping[str, ArrayLike]) -> Figure:
    """Noise share by spatial frequency, a line for each activation.

    Parameters
    ----------
    found : dict of name to array (F,), shares at 0, 1, 2, ... cycles across the picture

    Returns
    -------
    Figure
    """
    page, axes = canvas(3.3)
    cycles = np.arange(len(next(iter(found.values()))))
    for order, (name, shares) in enumerate(found.items()):
        style = {"color": COLOURS[order % len(COLOURS)], "marker": MARKERS[order % len(MARKERS)]}
        axes.plot(cycles, shares, label=name, **style)
    axes.set(xlabel="cycles across the picture", ylim=(-0.03, 1.03), xticks=cycles)
    value_axis(axes.yaxis, "percent", "noise share")
    page.legend(loc="outside upper center", ncols=min(len(found), 3))
    words = "; ".join(
        f"{name} {course(cycles, np.asarray(shares), 'cycles', 'percent')}" for name, shares in found.items()
    )
    alt = f"Lines of the noise share over spatial frequency. {words}."
    table = pd.DataFrame(
        {name: [show(float(v), "percent") for v in shares] for name, shares in found.items()}
    )
    table.insert(0, "cycles", cycles.astype(str))
    return finished(page, alt, table)


@styled
def survival(found: Mapping[str, ArrayLike], top: int, kept: tuple[float, float]) -> Figure:
    """How many of the best activations are among those that a number would keep, over how many it keeps.

    Parameters
    ----------
    found : dict of a number's name to array (A,), how many of the best are among the first 1, 2, ..., A
    top : int, how many best there are
    kept : (share of the pool, how many of the best), what the filter keeps

    Returns
    -------
    Figure
    """
    page, axes = canvas(3.4)
    for order, (name, counts) in enumerate(found.items()):
        share = np.arange(1, len(counts) + 1) / len(counts)
        style = {"color": COLOURS[order % len(COLOURS)], "linestyle": ("-", "--", "-.", ":")[order % 4]}
        axes.plot(share, counts, label=name, drawstyle="steps-post", **style)
    axes.plot([0, 1], [0, top], color=GREY, linewidth=1.1, linestyle=(0, (4, 3)), label="chance")
    axes.plot(*kept, "*", color="black", markersize=12, linestyle="", label="the filter")
    axes.set(ylim=(-0.04 * top, 1.05 * top), xlim=(0, 1), ylabel=f"of the best {top}, kept")
    axes.grid(color=LIGHT, linewidth=0.6)
    value_axis(axes.xaxis, "percent", "of all activations, kept")
    page.legend(loc="outside upper center", ncols=3)
    halves = [f"{name} {int(np.asarray(counts)[len(counts) // 2 - 1])}" for name, counts in found.items()]
    alt = (
        f"Lines of how many of the best {top} activations are kept, over the share of all that is. The "
        f"filter keeps {show(kept[0], 'percent', 0)} of all and {kept[1]:g} of the best. With half of all "
        f"kept, in the order of: {', '.join(halves)}; chance would keep {top / 2:g}."
    )
    rows = [
        [name, show(share, "percent", 0), str(int(np.asarray(counts)[round(share * len(counts)) - 1]))]
        for name, counts in found.items()
        for share in (0.1, 0.25, 0.5, 0.75, 1.0)
    ]
    return finished(page, alt, pd.DataFrame(rows, columns=["in the order of", "kept", f"of the best {top}"]))
