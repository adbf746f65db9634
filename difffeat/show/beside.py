"""The paper's published maps beside ours: same orientation, each coloured from its lowest to its highest
value.

Letters: T timesteps, B blocks. A grid is any object with timesteps (T), blocks (B) and values (T, B): a
measured one, or `paper.grid`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from difffeat.base.format import show
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.probing.scoring import name_of
from difffeat.probing.search import SearchResult
from difffeat.show.figure import HEAT, WIDTH, Figure, canvas, finished, ink, styled

PRINTED = ("mAP", "OP")  # what Figures 1, 2, 9 and 10 map, side by side
SECOND = ("OP", "top-5", "top-1")  # of a measured grid: what it is mapped by beside its own metric
DEPTHS = {"image": 28, "text": 24}  # blocks of DiT-XL/2 and of Plaid 1B
FONTS = (9.0, 8.0, 7.0)  # points; the largest that fits is taken


class Map(NamedTuple):
    """One map: whose it is, its metric, the grid, the depth of the model, digits of its values in words."""

    of: str
    metric: str
    grid: Any
    depth: int
    digits: int = 1

    @property
    def peak(self) -> tuple[int, int]:
        """Place of the highest value, (row, column)."""
        return np.unravel_index(np.nanargmax(self.grid.values), np.shape(self.grid.values))

    @property
    def best(self) -> str:
        """The highest value and where it is."""
        row, column = self.peak
        value = show(float(np.asarray(self.grid.values)[row, column]), "percent", self.digits)
        return f"{value} at t = {self.grid.timesteps[row]}, block {self.grid.blocks[column]}"


def second(grid: Any) -> Any:
    """The same probes by what the paper maps beside the first metric: OP beside mAP, top-5 beside top-1."""
    return grid.others[next(name for name in SECOND if name in grid.others)]


def maps(table: int, modality: str, grid: Any, depth: int) -> list[Map]:
    """The paper's maps and ours, in turn: of mAP and OP there, of the grid's metric and its second here.

    Parameters
    ----------
    table : 5 or 6, the paper's
    modality : "image" or "text"
    grid : grid.Grid, measured, with `others`
    depth : int, blocks of the model it is of
    """
    found = []
    for metric, ours in zip(PRINTED, (grid, second(grid)), strict=True):
        found += [printed(table, modality, metric), Map("here", name_of(ours.metric), ours, depth)]
    return found


def published(modality: str) -> list[Map]:
    """The paper's maps of its two data sets, in turn: Figures 1 and 9 of "image", 2 and 10 of "text"."""
    return [printed(table, modality, metric) for metric in PRINTED for table in (5, 6)]


def printed(table: int, modality: str, metric: str) -> Map:
    """One map of Table 5 or 6."""
    grid = paper.grid(table, modality, metric)
    return Map(f"paper, {_dataset(table)}", metric, grid, DEPTHS[modality], 2)


def pairs(found: SearchResult | None = None) -> dict[str, dict[tuple, float]]:
    """Fused pairs as `draw_pairs` takes them: the paper's of both data sets, then those of a search here.

    Parameters
    ----------
    found : search.SearchResult, optional; its values are those that the search saw, on val
    """
    studies = {f"paper, {_dataset(table)}": paper.pairs(table) for table in (5, 6)}
    if found is None:
        return studies
    rows = found.history[found.history["stage"] == "fusion"]
    points = rows[["image_timestep", "image_block", "text_timestep", "text_block"]].astype(int)
    values = zip(points.itertuples(index=False), rows["value"], strict=True)
    return studies | {"here": {((it, ib), (tt, tb)): value for (it, ib, tt, tb), value in values}}


def _dataset(table):
    return paper.DATASETS.get(table, "MS-COCO-enhanced")


@styled
def draw(found: Sequence[Map]) -> Figure:
    """Maps two in a row, the highest cell of each outlined, the values in a table below.

    Parameters
    ----------
    found : sequence of Map, from `maps`

    Returns
    -------
    Figure

    Source
    ------
    Diff-Feat, Figures 1, 2, 9 and 10.
    """
    rows = [list(range(first, first + 2)) for first in range(0, len(found), 2)]
    heights = [0.95 + max(0.25 * max(len(found[place].grid.blocks) for place in row), 1.3) for row in rows]
    page, panels = canvas(
        sum(heights), [[str(place) for place in row] for row in rows], height_ratios=heights
    )
    for place, one in enumerate(found):
        axes, grid = panels[str(place)], one.grid
        _cells(axes, np.asarray(grid.values, dtype=float).T, grid.timesteps, grid.blocks, WIDTH / 2 - 0.5)
        _outline(axes, *one.peak)
        axes.set(xlabel="timestep t", ylabel=f"block (of {one.depth})")
        axes.set_title(f"{one.of}: {one.metric}\n{one.best}", fontsize=9)
    alt = f"Heat maps side by side. {words(found)}"
    return finished(page, alt, _values(found))


def words(found: Iterable[Map]) -> str:
    """Where each map is highest, in words: block, share of the depth, and whether that is at an edge."""
    return " ".join(f"{one.metric}, {one.of}: highest {one.best}{_where(one)}." for one in found)


def _where(one):
    """The share of the depth that a map's best block is at, and the edges that its peak lies on."""
    (row, column), grid = one.peak, one.grid
    share = show(grid.blocks[column] / one.depth, "percent", 0)
    ends = [
        f"the {'first' if place == 0 else 'last'} {what} of the map"
        for what, place, count in (
            ("timestep", row, len(grid.timesteps)),
            ("block", column, len(grid.blocks)),
        )
        if place in (0, count - 1)
    ]
    return f", {share} of the depth" + (f", {' and '.join(ends)}" if ends else "")


def _values(found):
    """Every map as rows of blocks, one column for each timestep that any has."""
    timesteps = sorted({timestep for one in found for timestep in one.grid.timesteps})
    rows = []
    for one in found:
        for block, values in zip(one.grid.blocks, np.asarray(one.grid.values).T, strict=True):
            held = dict(zip(one.grid.timesteps, map(float, values), strict=True))
            cells = {f"t = {t}": show(held.get(t), "percent") for t in timesteps}
            rows.append({"map": f"{one.metric}, {one.of}", "block": str(block), **cells})
    return pd.DataFrame(rows)


@styled
def draw_pairs(found: Mapping[str, Mapping[tuple, float]], metric: str = "mAP") -> Figure:
    """Fused pairs of several studies, one panel each: image points to the right, text points upward.

    Parameters
    ----------
    found : dict of name to {((image t, b), (text t, b)): value}, as `paper.pairs` gives it
    metric : str

    Returns
    -------
    Figure

    Source
    ------
    Diff-Feat, Figures 4 and 11 (bars there).
    """
    heights = [1.15 + 0.3 * len({text for _, text in pairs}) for pairs in found.values()]
    page, panels = canvas(sum(heights), [[name] for name in found], height_ratios=heights)
    rows = []
    for name, pairs in found.items():
        axes, (across, down) = panels[name], (sorted({pair[side] for pair in pairs}) for side in (0, 1))
        values = np.array([[pairs.get((image, text), np.nan) for image in across] for text in down])
        _cells(axes, values, across, down, WIDTH - 1.0, digits=2)
        image, text = max(pairs, key=pairs.get)
        _outline(axes, across.index(image), down.index(text))
        axes.set_title(f"{name}: {metric}\n{_best(pairs)}", fontsize=9)
        axes.set(xlabel="image (t, block)", ylabel="text (t, block)")
        rows += [
            [name, str(tuple(i)), str(tuple(t)), show(float(v), "percent", 2)] for (i, t), v in pairs.items()
        ]
    alt = f"Heat maps of {metric} of fused pairs. {pair_words(found)}"
    table = pd.DataFrame(rows, columns=["study", "image (t, block)", "text (t, block)", metric])
    return finished(page, alt, table)


def pair_words(found: Mapping[str, Mapping[tuple, float]]) -> str:
    """Which pair of each study is the highest, in words."""
    return " ".join(
        f"{name}: of {len(pairs)} pairs the highest is {_best(pairs)}." for name, pairs in found.items()
    )


def _best(pairs):
    """The highest value and its pair."""
    image, text = max(pairs, key=pairs.get)
    return f"{show(float(pairs[image, text]), 'percent', 2)}, image {tuple(image)} with text {tuple(text)}"


def _cells(axes, values, across, down, width, digits=1):
    """Coloured cells, values (down, across), written in where `width` inches leave room at one of `FONTS`."""
    values = np.ma.masked_invalid(values)
    mesh = axes.pcolormesh(values, cmap=HEAT, edgecolors="white", linewidth=0.6)
    axes.set_facecolor("#eeeeee")  # what was not measured
    measured = {place: float(v) for place, v in np.ndenumerate(values) if not np.ma.is_masked(values[place])}
    texts = {place: show(value, "percent", digits).rstrip("%") for place, value in measured.items()}
    letters = 0.6 * max(map(len, texts.values())) + 0.3
    for font in [size for size in FONTS if letters * size / 72 <= width / len(across)][:1]:
        for (y, x), text in texts.items():
            style = {"ha": "center", "va": "center", "fontsize": font}
            axes.text(x + 0.5, y + 0.5, text, color=ink(mesh.to_rgba(values[y, x])), **style)
    every = 1 if len(down) <= 14 else 2
    axes.set_xticks(np.arange(len(across)) + 0.5, [_label(point) for point in across])
    axes.set_yticks(np.arange(0, len(down), every) + 0.5, [_label(point) for point in down[::every]])
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)


def _label(point):
    return f"({point[0]}, {point[1]})" if isinstance(point, tuple) else str(point)


def _outline(axes, x, y):
    """A frame around a cell that shows on dark and bright cells alike."""
    for colour, width in (("white", 4.4), ("black", 2.2)):
        style = {"edgecolor": colour, "linewidth": width, "clip_on": False, "zorder": 4}
        axes.add_patch(Rectangle((x, y), 1, 1, fill=False, **style))
