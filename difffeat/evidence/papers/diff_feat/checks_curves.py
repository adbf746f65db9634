"""The shape of every curve in Tables 5 and 6 held against what the paper says of it.

Letters: T timesteps, B blocks. A printed grid is (T, B); a curve runs along one of its axes. Equal neighbours
contradict nothing: print may have rounded what lies between them away.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from difffeat.base.format import show
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.verdicts import UNKNOWN, Check, among, verdict

OTHERS = ("CP", "CR", "CF1", "OP", "OR", "OF1")  # printed beside mAP
STEP = 1e-9  # a smaller one is none
# (modality, axis): the number of the trend in section 3.2, and how a curve along that axis is said to run.
TRENDS = {
    ("image", 0): (1, "one peak", "over timesteps"),
    ("image", 1): (2, "one peak", "over blocks"),
    ("text", 0): (3, "falls", "over timesteps"),
    ("text", 1): (4, "rises", "over blocks"),
}
KINDS = {"image": "Images", "text": "Text"}


def of_curves() -> list[Check]:
    """Every check of a curve or of a peak, mAP first."""
    checks = [trend(number, *which, ("mAP",)) for number in (5, 6) for which in TRENDS]
    checks += [peaks_seen(number) for number in (5, 6)]
    checks += [layer_12(number, ("mAP",)) for number in (5, 6)]
    checks += [best_inside(number, metric) for number in (5, 6) for metric in ("mAP", "OP")]
    checks += [text_best(number) for number in (5, 6)]
    checks += [layer_12(number, OTHERS) for number in (5, 6)]
    return checks + [trend(number, *which, OTHERS) for number in (5, 6) for which in TRENDS]


def trend(number: int, modality: str, axis: int, metrics: Iterable[str]) -> Check:
    """Whether every curve along an axis runs as section 3.2 says.

    Parameters
    ----------
    number : 5 or 6, the table
    modality : "image" or "text"
    axis : 0 for curves over timesteps, 1 over blocks
    metrics : names of columns
    """
    which, shape, along = TRENDS[modality, axis]
    curves, broken = 0, {}
    for metric in metrics:
        grid = paper.grid(number, modality, metric)
        curves += grid.values.shape[1 - axis]
        broken[metric] = list(turned(grid, axis, shape))
    wrong = sum(len({curve for curve, _ in found}) for found in broken.values())
    words = [f"{metric}, {found[0][1]}" for metric, found in broken.items() if found]
    given = among(curves - wrong, curves, "curves") + (
        f"; the first turns: {'; '.join(words)}" if words else ""
    )
    by = "mAP" if metrics == ("mAP",) else "the other metrics"
    said = "one peak" if shape == "one peak" else f"it {shape} monotonically"
    what = f"{KINDS[modality]} {along}, {by}, Table {number}"
    source = f"section 3.2 ({which}), Table {number}"
    return Check(what, source, said, verdict(not wrong), given)


def turned(grid: paper.Grid, axis: int, shape: str) -> Iterator[tuple[str, str]]:
    """Yield (curve, "block 8: 25.23% at t = 0, 25.24% at t = 10") of every step the wrong way."""
    points, curves = _names(grid, axis)
    for curve, values in zip(curves, np.moveaxis(grid.values, axis, 1), strict=True):
        top = {"rises": len(values) - 1, "falls": 0}.get(shape, int(values.argmax()))
        ahead = np.diff(values) * np.where(np.arange(len(values) - 1) < top, 1, -1)
        for i in np.flatnonzero(ahead < -STEP):
            yield curve, f"{curve}: {_at(values[i], points[i])}, {_at(values[i + 1], points[i + 1])}"


def _names(grid, axis):
    """Names of the points along an axis, and of the curves."""
    names = [f"t = {t}" for t in grid.timesteps], [f"block {b}" for b in grid.blocks]
    return names[axis], names[1 - axis]


def _at(value, point):
    return f"{show(float(value), 'percent', 2)} at {point}"


def peaks_seen(number: int) -> Check:
    """Whether every image curve over timesteps peaks inside the sampled ones: else only half of the rise and
    fall is seen, and where the peak lies cannot be told."""
    grid = paper.grid(number, "image")
    points, curves = _names(grid, 0)
    tops = grid.values.argmax(axis=0)
    ends = [
        f"{curve} is highest at {points[top]} ({_at(values[top], points[top])}, "
        f"{_at(values[abs(top - 1)], points[abs(top - 1)])})"
        for curve, values, top in zip(curves, grid.values.T, tops, strict=True)
        if top in (0, len(points) - 1)
    ]
    given = among(len(curves) - len(ends), len(curves), "curves") + (f"; {'; '.join(ends)}" if ends else "")
    said = "each block has a timestep before which mAP rises and after which it falls"
    found = UNKNOWN if ends else verdict(True)
    return Check(f"Peaks are seen, Table {number}", f"section 3.2 (1), Table {number}", said, found, given)


def layer_12(number: int, metrics: Iterable[str]) -> Check:
    """Whether block 12 is the best of the printed blocks at every timestep, by each of these metrics."""
    others, total = [], 0
    for metric in metrics:
        grid = paper.grid(number, "image", metric)
        best = [grid.blocks[place] for place in grid.values.argmax(axis=1)]
        total += len(best)
        others += [
            f"{metric} at t = {t}: block {b}" for t, b in zip(grid.timesteps, best, strict=True) if b != 12
        ]
    by = "mAP" if metrics == ("mAP",) else "the other metrics"
    given = f"it is in {among(total - len(others), total, 'rows of the maps')}"
    given += f"; not {', '.join(others)}" if others else ""
    said = "block 12 is the best whatever the timestep" + (" and the metric" if by != "mAP" else "")
    what = f"Layer 12, {by}, Table {number}"
    return Check(what, f"appendix G, Table {number}", said, verdict(not others), given)


def best_inside(number: int, metric: str) -> Check:
    """Whether the highest point of the image grid is at no edge of it."""
    grid = paper.grid(number, "image", metric)
    row, column = np.unravel_index(grid.values.argmax(), grid.values.shape)
    inside = 0 < row < len(grid.timesteps) - 1 and 0 < column < len(grid.blocks) - 1
    given = _at(grid.values[row, column], f"t = {grid.timesteps[row]}, block {grid.blocks[column]}")
    figure = {5: "Figure 1", 6: "Figure 9"}[number]
    said = "the peak is at a middle timestep and a middle block"
    source = f"abstract, {figure}, Table {number}"
    return Check(f"Peak of the image map, {metric}, Table {number}", source, said, verdict(inside), given)


def text_best(number: int) -> Check:
    """Whether the best text feature is without noise and from the deepest block."""
    grid = paper.grid(number, "text")
    row, column = np.unravel_index(grid.values.argmax(), grid.values.shape)
    right = row == 0 and column == len(grid.blocks) - 1
    given = _at(grid.values[row, column], f"t = {grid.timesteps[row]}, block {grid.blocks[column]}")
    said = "text is best at t = 0 and the deepest block"
    return Check(f"Best text, Table {number}", f"abstract, Table {number}", said, verdict(right), given)
