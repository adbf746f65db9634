"""Tasks on tokens: a whole grid measured by one of them, points chosen on val, numbers read on test.

Letters: N units that are resampled (images, pairs), T tokens, D width, R draws, P points.

A task is what `Task` says: from tokens of train, val and test to counts of each unit, and from counts to its
metrics. `measure` gives a `grid.Grid` of any of them, as linear probes of pooled features have one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

from difffeat.base.remember import each_remembered, remembered, told
from difffeat.features.points import OUT, Point
from difffeat.probing import stats
from difffeat.probing.activations import Activations, patches
from difffeat.probing.floors import Floor, reached
from difffeat.probing.grid import RESAMPLING, Grid, narrowed, over_seeds

ARRAYS = {"val": ("val", "val_draws"), "test": ("test", "draws")}  # of a Grid, for each part
CODE = ("probing/tasks.py", "probing/activations.py", "probing/pixels.py")  # what every task is measured with


class Task(Protocol):
    """What a task has.

    Attributes
    ----------
    metrics : tuple of str, its metrics; points are chosen by the first
    told : dict, what decides its counts besides the tokens, as JSON takes it
    code : names of the files of this package that make its counts, besides `CODE`
    """

    metrics: tuple[str, ...]
    told: dict
    code: tuple[str, ...]

    def counts(self, tokens: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """{"val": (N, ...), "test": (N, ...)} of tokens {part: (N, T, D)}; more is kept too."""

    def values(self, part: str, counts: np.ndarray) -> dict[str, float]:
        """Every metric on a part, a fraction each."""

    def draws(self, part: str, counts: np.ndarray, *, draws: int, seed: int) -> dict[str, np.ndarray]:
        """The same in each of many resamples of the images, (R,)."""


def measure(
    tasks: Sequence[Task], activations: Activations, *, root: Path | str | None = None, resamples: int = 200
) -> Grid:
    """A task at every point of some activations.

    Parameters
    ----------
    tasks : sequence of Task, one, or the same with several seeds, which are averaged over
    activations : Activations; read where a point was not measured before
    root : path, optional, where the caches of features are: counts are kept beside them
    resamples : int, R

    Returns
    -------
    Grid of the first metric; `others` holds those of all metrics
    """
    return over_seeds([_measured(task, activations, root, resamples) for task in tasks])


def _measured(task, activations, root, resamples):
    """The grid of one seed."""
    points = activations.points
    whats = [{"of": activations.told, "task": task.told, "point": point} for point in points]

    def counted(missing):
        return [task.counts(activations.read(points[place])) for place in missing]

    every = range(len(points))
    found = each_remembered(_kept(root), whats, CODE + task.code, counted) if root else counted(every)
    return _grid(task, activations.recipe, found, resamples)


def at(
    tasks: Sequence[Task],
    activations: Activations,
    points: Sequence[Point],
    *,
    root: Path | str | None = None,
    resamples: int = 200,
) -> Reached:
    """A task on one point, or on several whose tokens stand side by side."""
    where = {"point": points[0]} if len(points) == 1 else {"points": list(points)}  # one is of a grid
    what = {"of": activations.told} | where
    return _reached(tasks, what, lambda: activations.read(*points), root, resamples)


def on(
    tasks: Sequence[Task],
    tokens: Mapping[str, np.ndarray],
    *,
    root: Path | str | None = None,
    resamples: int = 200,
) -> Reached:
    """A task on tokens {part: (N, T, D)} from anywhere, as those of no model."""
    return _reached(tasks, {"tokens": told(*tokens.values())}, lambda: tokens, root, resamples)


@dataclass(frozen=True)
class Reached:
    """What a task reaches on test.

    Attributes
    ----------
    by : dict of metric to Measured, the first by which points are chosen
    counts : dict of name to array, what the task has counted and kept, of several seeds the first
    """

    by: Mapping[str, stats.Measured]
    counts: Mapping[str, np.ndarray]

    @property
    def measured(self) -> stats.Measured:
        """By the first metric."""
        return next(iter(self.by.values()))

    def floor(self, name: str) -> Floor:
        """The same as a floor."""
        return Floor(name, self.measured, next(iter(self.by)))


def _reached(tasks, what, tokens, root, resamples):
    read, found, judged = cache(tokens), [], []  # of what is remembered no token is read
    for task in tasks:
        told_of = what | {"task": task.told}
        code = CODE + task.code
        found.append(remembered(_kept(root), told_of, code, lambda task=task: task.counts(read())))
        judged.append(_judged(task, "test", found[-1]["test"], resamples))
    by = {}
    for name in tasks[0].metrics:
        values, draws = ([one[side][name] for one in judged] for side in (0, 1))
        by[name] = stats.Measured(float(np.mean(values)), stats.over_seeds(np.stack(draws, axis=1)))
    return Reached(by, found[0])


def _judged(task, part, counts, resamples):
    """Every metric on a part, and its draws, moved to lie around it: a ratio of sums is a little biased."""
    values = task.values(part, counts)
    draws = task.draws(part, counts, draws=resamples, seed=RESAMPLING[part])
    return values, {name: stats.around(values[name], draws[name]).draws for name in task.metrics}


def best(grid: Grid, count: int, places: Sequence[str] | None = None) -> list[Point]:
    """The points that are best on val, the best first.

    Parameters
    ----------
    grid : Grid
    count : int
    places : sequence of str, of these alone
    """
    order = np.argsort(-grid.val.mean(axis=0).ravel(), kind="stable")
    points = [grid.points[place] for place in order]
    return [point for point in points if places is None or point.place in places][:count]


def inside(grid: Grid) -> Grid:
    """The grid of the places inside blocks, without outputs; ValueError where it holds none."""
    return narrowed(grid, grid.blocks, grid.timesteps, [place for place in grid.places if place != OUT])


def _kept(root):
    return None if root is None else Path(root).parent / "tasks"


def _grid(task, recipe, found, resamples):
    """Counts of P points, timestep by timestep, as a Grid."""
    where = sorted(recipe.timesteps), sorted(recipe.blocks), list(recipe.places)
    shape = len(where[0]), len(where[1]) * len(where[2])
    held = {name: {} for name in task.metrics}
    for part, (of_values, of_draws) in ARRAYS.items():
        judged = [_judged(task, part, counts[part], resamples) for counts in found]
        for name in task.metrics:
            held[name][of_values] = np.array([values[name] for values, _ in judged]).reshape(1, *shape)
            drawn = np.stack([draws[name] for _, draws in judged], axis=1)
            held[name][of_draws] = drawn.reshape(resamples, *shape)
    about = dict(zip(("timesteps", "blocks", "places"), map(tuple, where), strict=True))
    grids = {name: Grid(**about, **arrays, metric=name) for name, arrays in held.items()}
    return Grid(**about, **held[task.metrics[0]], metric=task.metrics[0], others=grids)


@dataclass(frozen=True)
class Comparison:
    """Places inside blocks beside outputs, singly and side by side, on one task.

    Attributes
    ----------
    grid : of all places
    points, output_points : the points whose tokens stand side by side: the best on val of all, and of outputs
    combined, combined_outputs : Reached by these
    floors : tuple of Floor, what needs no training, or no model
    """

    grid: Grid
    points: tuple[Point, ...]
    output_points: tuple[Point, ...]
    combined: Reached
    combined_outputs: Reached
    floors: tuple[Floor, ...]

    @property
    def inside(self) -> Grid:
        """The grid of the places inside blocks."""
        return inside(self.grid)

    @property
    def outputs(self) -> Grid:
        """The grid of outputs."""
        return self.grid.at_place(OUT)

    @property
    def gains(self) -> dict[str, stats.Measured]:
        """Paired differences on test, by what is compared."""
        single, output = self.grid.at_best, self.outputs.at_best
        return {
            "inside_less_outputs": self.inside.at_best - output,
            "inside_less_best_outputs": self.inside.at_best - self.combined_outputs.measured,
            "best_less_single": self.combined.measured - single,
            "over_outputs": self.combined.measured - self.combined_outputs.measured,
        }


def compare(
    tasks: Sequence[Task],
    activations: Activations,
    untrained: Activations,
    *,
    together: int = 4,
    root: Path | str | None = None,
    resamples: int = 200,
) -> Comparison:
    """Measure a task at every point, at the best ones together, and on what it must beat.

    Parameters
    ----------
    tasks : sequence of Task, as for `measure`
    activations : Activations at outputs and inside blocks
    untrained : Activations of the untrained copy; its best point is a floor
    together : int, how many points stand side by side
    root, resamples : as for `measure`
    """
    how = dict(root=root, resamples=resamples)
    grid = measure(tasks, activations, **how)
    points, outputs = best(grid, together), best(grid, together, [OUT])
    without = patches(activations.splits, activations.backbone)
    return Comparison(
        grid,
        tuple(points),
        tuple(outputs),
        at(tasks, activations, points, **how),
        at(tasks, activations, outputs, **how),
        (
            on(tasks, without, **how).floor("pixels and position"),
            reached("untrained copy", measure(tasks, untrained, **how)),
        ),
    )
