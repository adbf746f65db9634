"""The two papers joined: the best place inside a block against the best output, over timesteps and blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from difffeat.features.points import OUT, Point
from difffeat.probing import noisings
from difffeat.probing.grid import Grid, narrowed
from difffeat.probing.stats import Measured

if TYPE_CHECKING:
    from difffeat.features.datasets import Split


def inside(grid: Grid) -> Grid:
    """The places inside blocks, without outputs; ValueError where the grid has none."""
    return narrowed(grid, grid.blocks, grid.timesteps, [place for place in grid.places if place != OUT])


def beside_the_best_output(grid: Grid) -> dict[str, Measured]:
    """Every place of the block whose output is best on val, less that output: on test, paired.

    Parameters
    ----------
    grid : Grid of several places, "out" among them

    Returns
    -------
    dict of place to Measured, a difference
    """
    timestep, block = grid.at_place(OUT).best
    output = grid.at(timestep, block)
    return {place: grid.at(timestep, block, place) - output for place in grid.places if place != OUT}


def moves(grid: Grid) -> dict[str, Measured]:
    """How far the best point inside lies from the best output: in timesteps and in blocks.

    Returns
    -------
    dict of "timestep" and "block" to Measured, inside less output, each chosen on val; draws choose anew on
    the same resamples of val
    """
    sides = inside(grid), grid.at_place(OUT)
    found = {}
    for axis in ("timestep", "block"):
        chosen = [
            [getattr(side.points[place], axis) for place in (side.choices[0], *side.choices[1])]
            for side in sides
        ]
        difference = np.subtract(*np.array(chosen, dtype=float))
        found[axis] = Measured(float(difference[0]), difference[1:])
    return found


def picks(grid: Grid, count: int) -> list[Point]:
    """The points that are best on val, one of each place at most, the best first."""
    order = np.argsort(-grid.val.mean(axis=0).ravel(), kind="stable")
    firsts = {}
    for point in (grid.points[place] for place in order):
        firsts.setdefault(point.place, point)
    return list(firsts.values())[:count]


def combined(
    splits: Mapping[str, Split],
    grid: Grid,
    points: Sequence[Point],
    *,
    metric: str = "mAP",
    resamples: int = 200,
    **probing: object,
) -> dict[str, Measured]:
    """Probes on single activations and on all of them side by side.

    Parameters
    ----------
    splits : dict of part to Split, those of the grid
    grid : Grid that holds the points; its first noise seed counts
    points : sequence of Point
    metric, resamples, **probing : as for `noisings.probed`

    Returns
    -------
    dict of the label of each point, and "together", to Measured on test
    """
    found = grid.features[0]
    read = {part: splits[part].select(found[part].ids) for part in noisings.PARTS}
    single = {point.label: {part: found[part].read(point) for part in read} for point in points}
    side_by_side = {part: np.concatenate([one[part] for one in single.values()], axis=1) for part in read}
    ways = {
        name: [{part: features[None] for part, features in way.items()}]
        for name, way in (single | {"together": side_by_side}).items()
    }
    reached = noisings.probed(read, ways, metric=metric, resamples=resamples, **probing)
    return {name: Measured(float(one.value[0]), one.draws[:, 0]) for name, one in reached.items()}
