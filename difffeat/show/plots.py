"""Every figure of the book, with the finding in words and the values in a table beside it.

Letters: T timesteps, B blocks, R draws. A grid is any object with timesteps (T), blocks (B), mean (T, B)
and draws (R, T, B): a measured one, or `paper.grid`. A figure returned from a notebook's cell shows itself;
its text is its alternative text. Colours can be told apart with any colour vision, and are doubled by
markers or labels.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from difffeat.base.format import MISSING, show
from difffeat.probing.scoring import name_of
from difffeat.probing.search import SearchResult
from difffeat.probing.stats import percentiles
from difffeat.show.charts import bars, dots, label_frequency, losses
from difffeat.show.figure import (
    COLOURS,
    HEAT,
    MARKERS,
    WIDTH,
    Figure,
    canvas,
    course,
    finished,
    floor_lines,
    floor_words,
    ink,
    styled,
    value_axis,
    written,
)
from difffeat.show.gallery import Gallery, images, pictures

__all__ = [
    "Figure",
    "Gallery",
    "bars",
    "curves",
    "dots",
    "heatmap",
    "images",
    "label_frequency",
    "losses",
    "pictures",
    "search_path",
]
CELL_FONT = 9  # points
LINES = 6  # drawn by default, of a grid that has more


@styled
def heatmap(grid: Any, *, metric: str | None = None, unit: str = "percent") -> Figure:
    """A metric over timesteps and blocks, the best cell marked.

    Parameters
    ----------
    grid : grid with mean (T, B); NaN where a point was not measured
    metric : str, what the values are; by default the grid's own, or mAP
    unit : str, how they are written: "percent" or ""

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If the grid is of several places.

    Source
    ------
    Diff-Feat, Figures 1, 2, 9 and 10.
    """
    metric = metric or _metric(grid)
    values, timesteps, blocks = np.asarray(grid.values, dtype=float), list(grid.timesteps), list(grid.blocks)
    if values.shape != (len(timesteps), len(blocks)):
        raise ValueError(f"a map shows one place, not {', '.join(grid.places)}: draw `grid.at_place`")
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    low = np.unravel_index(np.nanargmin(values), values.shape)
    best = f"{show(values[row, column].item(), unit)} at t = {timesteps[row]}, block {blocks[column]}"
    page, axes = canvas(1.1 + max(0.29 * len(blocks), 1.4))
    mesh = _cells(axes, values.T, timesteps, blocks, unit, width=WIDTH - 1.4)
    _outline(axes, row, column)
    axes.set(title=f"{metric}: best {best}", xlabel="timestep t", ylabel="block")
    shade = page.colorbar(mesh, ax=axes, pad=0.02, aspect=30)
    value_axis(shade.ax.yaxis, unit)
    shade.outline.set_visible(False)
    alt = (
        f"Heat map of {metric} over {len(timesteps)} timesteps ({timesteps[0]} to {timesteps[-1]}) and "
        f"{len(blocks)} blocks ({blocks[0]} to {blocks[-1]}). Highest {best}; lowest "
        f"{show(values[low].item(), unit)} at t = {timesteps[low[0]]}, block {blocks[low[1]]}. "
        f"Over timesteps, block {blocks[column]} {course(timesteps, values[:, column], 't =', unit)}. "
        f"Over blocks, t = {timesteps[row]} {course(blocks, values[row], 'block', unit)}."
    )
    table = pd.DataFrame([[show(v, unit) for v in line] for line in values.T.tolist()])
    table.columns = [f"t = {timestep}" for timestep in timesteps]
    table.insert(0, "block", [str(block) for block in blocks])
    return finished(page, alt, table)


@styled
def curves(
    grid: Any,
    *,
    over: str = "block",
    lines: Sequence[int] | None = None,
    floors: Sequence = (),
    metric: str | None = None,
    unit: str = "percent",
) -> Figure:
    """A grid as lines with 95 % bands, above its floors.

    Parameters
    ----------
    grid : grid with mean (T, B) and draws (R, T, B); no bands are drawn for R = 1
    over : "block" (a line per timestep) or "timestep" (a line per block)
    lines : list of int, the timesteps (or blocks) to draw; by default up to six, the best among them
    floors : sequence of objects with `name` and `value`, drawn as labelled lines
    metric, unit : as in `heatmap`

    Returns
    -------
    Figure

    Raises
    ------
    ValueError
        If `over` is neither, or a line is not on the grid.
    """
    if over not in ("block", "timestep"):
        raise ValueError(f"over must be 'block' or 'timestep', got {over!r}")
    metric = metric or _metric(grid)
    values, draws = np.asarray(grid.values, dtype=float), np.asarray(grid.draws)
    names, points = ["t =", "block"], [list(grid.timesteps), list(grid.blocks)]
    if over == "timestep":
        values, draws, names, points = values.T, draws.swapaxes(1, 2), names[::-1], points[::-1]
    low, high = percentiles(draws) if len(draws) > 1 else (values, values)
    best = int(np.nanargmax(np.nanmax(values, axis=1)))
    rows = _chosen(points[0], lines, best)
    page, axes = canvas(3.9)
    place = np.arange(len(points[1]))
    for order, row in enumerate(rows):
        colour, marker = COLOURS[order % len(COLOURS)], MARKERS[order % len(MARKERS)]
        axes.fill_between(place, low[row], high[row], color=colour, alpha=0.15, linewidth=0)
        label = f"{names[0]} {points[0][row]}"
        axes.plot(place, values[row], color=colour, marker=marker, label=label, zorder=2 + (row == best))
    axes.set_xticks(place, points[1])
    floor_lines(axes, floors, unit)
    value_axis(axes.yaxis, unit, metric)
    axes.set_xlabel("block" if over == "block" else "timestep t")
    page.legend(loc="outside lower center", ncols=min(len(rows), 3))
    alt = (
        f"Lines of {metric} over {len(place)} {over}s, for {len(rows)} "
        f"{'timesteps' if over == 'block' else 'blocks'}. The best, {names[0]} {points[0][best]}, "
        f"{course(points[1], values[best], names[1], unit)}.{floor_words(floors, unit)}"
    )
    return finished(page, alt, _lines_table(values, low, high, points, names, len(draws) > 1, unit))


@styled
def search_path(found: SearchResult, *, metric: str = "mAP", unit: str = "percent") -> Figure:
    """What Algorithm 1 looked at: the grid of each modality, the neighbours of its best point, their pairs.

    Parameters
    ----------
    found : search.SearchResult of `local_search`
    metric, unit : as in `heatmap`

    Returns
    -------
    Figure
    """
    stages = {stage: rows for stage, rows in found.history.groupby("stage", sort=False)}
    pairs = stages["fusion"]
    sides = {m: pairs[[f"{m}_timestep", f"{m}_block"]].apply(tuple, axis=1) for m in ("image", "text")}
    blocks = max(stages[m][f"{m}_block"].nunique() for m in ("image", "text"))
    heights = [0.9 + max(0.2 * blocks, 1.2), 0.9 + 0.32 * sides["text"].nunique()]
    page, panels = canvas(sum(heights), [["image", "text"], ["pairs", "pairs"]], height_ratios=heights)
    bests = {"image": found.best_image, "text": found.best_text}
    for modality, chosen in zip(bests, found.best_pair, strict=True):
        axes, history, candidates = panels[modality], stages[modality], set(sides[modality])
        _search_panel(axes, history, modality, bests[modality], candidates, chosen, unit)
    table = pairs.assign(**sides).pivot(index="text", columns="image", values="value")
    across, down = table.columns.tolist(), table.index.tolist()
    _cells(panels["pairs"], table.to_numpy(), across, down, unit, width=WIDTH - 1.0, digits=2)
    image, text = (tuple(point) for point in found.best_pair)
    _outline(panels["pairs"], across.index(image), down.index(text))
    title = f"{len(pairs)} pairs of the outlined points: best {show(found.value, unit, 2)} {metric}"
    panels["pairs"].set(title=title, xlabel="image (t, block)", ylabel="text (t, block)")
    alone, paired = (found.best_image, found.best_text), found.best_pair
    alt = (
        f"Algorithm 1, {found.total} evaluations. Best alone, marked by stars: "
        f"images at {_words(alone[0])}, text at {_words(alone[1])}. Best of the {len(pairs)} pairs of these "
        f"points and their neighbours: images at {_words(paired[0])} with text at {_words(paired[1])}, "
        f"{show(found.value, unit, 2)} {metric}."
    )
    return finished(page, alt, _history_table(found.history, unit))


def _metric(grid):
    """What a grid is measured by, as it is printed; a printed grid of the paper does not say."""
    return name_of(getattr(grid, "metric", "mAP"))


def _search_panel(axes, history, modality, best, candidates, chosen, unit):
    """One grid: a star on its best point, thin frames around the candidates, a thick one on the chosen."""
    columns = [f"{modality}_timestep", f"{modality}_block"]
    grid = history.pivot(index=columns[0], columns=columns[1], values="value")
    timesteps, blocks = grid.index.tolist(), grid.columns.tolist()
    _cells(axes, grid.to_numpy().T, timesteps, blocks, unit, width=0)
    for timestep, block in sorted(candidates - {tuple(chosen)}):
        _outline(axes, timesteps.index(timestep), blocks.index(block), width=1.2)
    _outline(axes, timesteps.index(chosen.timestep), blocks.index(chosen.block))
    star = timesteps.index(best.timestep) + 0.5, blocks.index(best.block) + 0.5
    axes.plot(*star, marker="*", color="white", markeredgecolor="black", markersize=12)
    name = "images" if modality == "image" else "text"
    axes.set(title=f"{name}: best {show(history['value'].max(), unit)}", xlabel="timestep t", ylabel="block")


def _cells(axes, values, across, down, unit, width, digits=None):
    """Coloured cells, values (down, across), written in where `width` inches leave room; returns the mesh."""
    values = np.ma.masked_invalid(np.asarray(values, dtype=float))
    mesh = axes.pcolormesh(values, cmap=HEAT, edgecolors="white", linewidth=0.6)
    axes.set_facecolor("#eeeeee")  # what was not measured
    cells = {place: value for place, value in np.ndenumerate(values) if not np.ma.is_masked(values[place])}
    texts = {place: show(float(value), unit, digits).rstrip("%") for place, value in cells.items()}
    if _fits(max(texts.values(), key=len), width / len(across)):
        for (y, x), text in texts.items():
            colour = ink(mesh.to_rgba(values[y, x]))
            axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", color=colour, fontsize=CELL_FONT)
    every = 1 if _fits(max(map(_label, across), key=len), (width or WIDTH / 2 - 0.6) / len(across)) else 2
    axes.set_xticks(np.arange(0, len(across), every) + 0.5, [_label(point) for point in across[::every]])
    every = 1 if len(down) <= 14 else 2
    axes.set_yticks(np.arange(0, len(down), every) + 0.5, [_label(point) for point in down[::every]])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return mesh


def _fits(text, width):
    """Whether a text of the cells' size fits into so many inches."""
    return (0.62 * len(text) + 0.5) * CELL_FONT / 72 <= width


def _words(point):
    return f"t = {point[0]}, block {point[1]}"


def _label(point):
    return f"({point[0]}, {point[1]})" if isinstance(point, tuple) else str(point)


def _outline(axes, x, y, width=2.4):
    """A frame around a cell that shows on dark and bright cells alike."""
    for colour, extra in (("white", 2.2), ("black", 0)):
        style = {"edgecolor": colour, "linewidth": width + extra, "clip_on": False, "zorder": 4}
        axes.add_patch(Rectangle((x, y), 1, 1, fill=False, **style))


def _chosen(points, lines, best):
    """Rows to draw: those asked for, or up to `LINES` spread evenly, the best among them."""
    if lines is not None:
        unknown = [point for point in lines if point not in points]
        if unknown:
            raise ValueError(f"lines {unknown} are not on the grid; it has {points}")
        return [points.index(point) for point in lines]
    even = np.linspace(0, len(points) - 1, min(LINES, len(points))).round().astype(int)
    if best not in even:
        even[np.abs(even - best).argmin()] = best
    return even.tolist()


def _lines_table(values, low, high, points, names, with_interval, unit):
    rows = []
    for (i, j), value in np.ndenumerate(values):
        interval = (low[i, j].item(), high[i, j].item()) if with_interval else None
        where = f"{names[0]} {points[0][i]}", f"{names[1]} {points[1][j]}"
        rows.append([*where, *written(value, interval, unit)])
    return pd.DataFrame(rows, columns=["line", "point", "value", "95 % interval"])


def _history_table(history, unit):
    points = history.drop(columns=["value", "best"]).astype(object).where(history.notna(), MISSING)
    table = points.astype(str).rename(columns=lambda name: name.replace("_", " "))
    return table.assign(value=[show(value, unit, 2) for value in history["value"]])
