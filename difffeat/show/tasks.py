"""Figures of tasks on tokens: a score over blocks and places, label maps, keypoints that were found."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.patches import Patch

from difffeat.base.format import show
from difffeat.features.dense import IGNORED
from difffeat.probing.grid import Grid
from difffeat.probing.object_pairs import Pairs
from difffeat.probing.scoring import name_of
from difffeat.show.figure import (
    ACCENT,
    COLOURS,
    HEAT,
    WIDTH,
    Figure,
    canvas,
    finished,
    ink,
    styled,
    value_axis,
    written,
)

PAPER = (0.93, 0.93, 0.93)  # what shows no category


@styled
def by_place(grid: Grid) -> Figure:
    """A score over blocks and places, a panel for each timestep, the best cell of each place marked.

    Parameters
    ----------
    grid : Grid of one or several places

    Returns
    -------
    Figure
    """
    rows, columns = len(grid.blocks), len(grid.places)
    values = grid.values.reshape(len(grid.timesteps), rows, columns)
    names = [f"t{t}" for t in grid.timesteps]
    page, axes = canvas(1.0 + 0.3 * rows * len(names), [[name] for name in names])
    limits = dict(vmin=values.min(), vmax=values.max())
    for name, timestep, panel in zip(names, grid.timesteps, values, strict=True):
        mesh = axes[name].pcolormesh(panel, cmap=HEAT, edgecolors="white", linewidth=0.6, **limits)
        for (y, x), value in np.ndenumerate(panel):
            colour, best = ink(mesh.to_rgba(value)), y == panel[:, x].argmax()
            text = show(float(value), "percent").rstrip("%")
            weight = {"fontweight": "bold"} if best else {}
            axes[name].text(x + 0.5, y + 0.5, text, ha="center", va="center", color=colour, **weight)
        axes[name].set_xticks(np.arange(columns) + 0.5, grid.places)
        axes[name].set_yticks(np.arange(rows) + 0.5, [f"block {block}" for block in grid.blocks])
        axes[name].tick_params(length=0)
        axes[name].spines[:].set_visible(False)
        axes[name].set_title(f"{name_of(grid.metric)} at t = {timestep} (bold: the best block of a place)")
    shade = page.colorbar(mesh, ax=list(axes.values()), pad=0.02, aspect=30)
    value_axis(shade.ax.yaxis, "percent")
    shade.outline.set_visible(False)
    return finished(page, _place_words(grid, values), _place_table(grid))


def _place_words(grid, values):
    t, row, column = np.unravel_index(values.argmax(), values.shape)
    best = f"{grid.places[column]} of block {grid.blocks[row]} at t = {grid.timesteps[t]}"
    each = []
    for place, panel in zip(grid.places, np.moveaxis(values, 2, 0), strict=True):
        highest = np.unravel_index(panel.argmax(), panel.shape)
        at = f"block {grid.blocks[highest[1]]}, t = {grid.timesteps[highest[0]]}"
        each.append(f"{place} {show(float(panel.max()), 'percent')} ({at})")
    return (
        f"Map of {name_of(grid.metric)} over {len(grid.blocks)} blocks and {len(grid.places)} places. Best "
        f"at {best}. The best of each place: {'; '.join(each)}."
    )


def _place_table(grid):
    rows = []
    for point in grid.points:
        number = grid.at(*point)
        where = [str(point.timestep), str(point.block), point.place]
        rows.append([*where, *written(number.value, number.interval, "percent")])
    return pd.DataFrame(rows, columns=["timestep", "block", "place", name_of(grid.metric), "95 % interval"])


@styled
def label_maps(
    pictures: Sequence, true: np.ndarray, predicted: Mapping[str, np.ndarray], names: Sequence[str]
) -> Figure:
    """Pictures above their true label maps and above those that were predicted in several ways.

    Parameters
    ----------
    pictures : sequence of PIL images, the squares of the first images
    true : uint8 array (N, S, S)
    predicted : dict of what predicted it to an array (n, S', S'), of the first n images
    names : sequence of K str, of the classes; one called background is drawn as paper

    Returns
    -------
    Figure
    """
    count = min(len(pictures), *(len(maps) for maps in predicted.values()))
    rows = {"picture": None, "true": true[:count], **{name: maps[:count] for name, maps in predicted.items()}}
    layout = [[f"{name} {column}" for column in range(count)] for name in rows]
    page, axes = canvas(0.35 + (WIDTH - 0.5) / count * len(rows) + 0.5, layout)
    colours = _colours(names)
    for name, maps in rows.items():
        for column in range(count):
            panel = axes[f"{name} {column}"]
            drawn = pictures[column] if maps is None else colours[maps[column]]
            panel.imshow(drawn, interpolation="nearest")
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
        axes[f"{name} 0"].set_ylabel(name, fontsize=9)
    seen = sorted(set(np.unique(true[:count]).tolist()) - {IGNORED})
    patches = [Patch(color=colours[one], label=names[one]) for one in seen]
    page.legend(handles=patches, loc="outside lower center", ncols=5, handlelength=1)
    table = _agreement(true[:count], predicted, names)
    return finished(page, _maps_words(table, count), table)


def _colours(names):
    """A colour for each class, (256, 3); background is paper, what is not judged is white."""
    wheel = np.array(matplotlib.colormaps["tab20"].colors)
    found = np.ones((256, 3))
    found[: len(names)] = wheel[(np.arange(len(names)) - 1) % len(wheel)]
    found[[place for place, name in enumerate(names) if name == "background"]] = PAPER
    return found


def _agreement(true, predicted, names):
    """Share of pixels that are right, for each picture and way."""
    rows = []
    for image, labels in enumerate(true):
        shown = [names[one] for one in np.unique(labels) if one not in (0, IGNORED)]
        row = {"picture": str(image + 1), "shows": ", ".join(shown)}
        for name, maps in predicted.items():
            step = len(labels) // len(maps[image])
            judged = labels[::step, ::step]
            row[name] = show(float((maps[image] == judged)[judged != IGNORED].mean()), "percent")
        rows.append(row)
    return pd.DataFrame(rows)


def _maps_words(table, count):
    each = [
        f"picture {row['picture']} ({row['shows'] or 'nothing'}): "
        + ", ".join(f"{name} {row[name]}" for name in table.columns[2:])
        for row in table.to_dict("records")
    ]
    return (
        f"{count} test pictures with true and predicted label maps. Pixels that are right: {'; '.join(each)}."
    )


@styled
def found_points(pictures: Mapping, pairs: Pairs, found: np.ndarray, shown: Sequence[int]) -> Figure:
    """Pairs of pictures: keypoints of the source above, below where they are in the target and where found.

    Parameters
    ----------
    pictures : dict of row to PIL image, the squares of the images of these pairs
    pairs : Pairs
    found : array of shape (k, 2), where each keypoint was found
    shown : ints, the pairs to draw

    Returns
    -------
    Figure
    """
    layout = [[f"{row} {pair}" for pair in shown] for row in ("source", "target")]
    page, axes = canvas(0.5 + 2 * (WIDTH - 0.3) / len(shown), layout)
    rows = []
    for pair in shown:
        (those,) = np.nonzero(pairs.pair == pair)
        for end, row in enumerate(("source", "target")):
            panel = axes[f"{row} {pair}"]
            picture = pictures[int(pairs.images[pair, end])]
            panel.imshow(picture, extent=(0, *picture.size, 0))
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
            for order, one in enumerate(those):
                ring = dict(marker="o", markersize=7, markerfacecolor="none", markeredgewidth=1.6)
                panel.plot(*getattr(pairs, row)[one], color=COLOURS[order % len(COLOURS)], **ring)
                if row == "target":
                    cross = dict(marker="x", markersize=6, markeredgewidth=1.8)
                    panel.plot(*found[one], color=COLOURS[order % len(COLOURS)], **cross)
        off = np.linalg.norm(found[those] - pairs.target[those], axis=1) / pairs.reach[pair]
        right = int((off <= 0.1).sum())
        axes[f"source {pair}"].set_title(pairs.categories[pair], fontsize=9, loc="center")
        colour = "#222222" if right else ACCENT
        axes[f"target {pair}"].set_xlabel(f"{right} of {len(those)}", fontsize=9, color=colour)
        rows.append([str(pair), pairs.categories[pair], str(len(those)), str(right), show(float(off.mean()))])
    columns = ["pair", "category", "keypoints", "found within 0.1", "mean distance, longer sides"]
    table = pd.DataFrame(rows, columns=columns)
    each = "; ".join(f"{row[1]} {row[3]} of {row[2]}" for row in rows)
    alt = (
        f"{len(rows)} pairs of test pictures. Rings: keypoints of the source above and of the target below; "
        f"crosses: where they were found. Within 0.1 of the target's longer side: {each}."
    )
    return finished(page, alt, table)
