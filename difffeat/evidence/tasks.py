"""What tasks on tokens say of places inside blocks: as results that claims read, and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from difffeat.base.format import show, show_interval
from difffeat.evidence import answers, shapes
from difffeat.evidence.numbers import floors as floor_results
from difffeat.evidence.numbers import gains, result
from difffeat.evidence.results import Result
from difffeat.features.points import Point
from difffeat.probing.floors import Floor
from difffeat.probing.stats import Measured
from difffeat.probing.tasks import Comparison

SAID = {
    "inside_less_outputs": "the best place inside a block less the best output",
    "inside_less_best_outputs": "the best place inside a block less the best outputs side by side",
    "best_less_single": "the best points side by side less the best single one",
    "over_outputs": "the best points side by side less the best outputs side by side",
}


ENDS = {
    "reproduced": "more than chance",
    "differs": "less",
    "inconclusive": "the two are not told apart",
}


def where(point: Point) -> str:
    """A point in words: "hidden of block 6 at t = 50"."""
    return f"{point.place} of block {point.block} at t = {point.timestep}"


def results(name: str, found: Comparison) -> list[Result]:
    """What a page records of a task: scores, where they are reached, paired differences, floors, and what the
    best place inside has above these.

    Parameters
    ----------
    name : str, the task, start of the ids
    found : Comparison
    """
    metric = found.grid.metric
    singles = {"outputs": found.outputs, "inside": found.inside}
    scores = {which: grid.at_best for which, grid in singles.items()}
    scores |= {"best": found.combined.measured, "best_outputs": found.combined_outputs.measured}
    listed = [result(f"{name}_{which}_score", number, metric=metric) for which, number in scores.items()]
    listed += [
        Result(f"{name}_{which}_point", where(grid.best), metric="place", unit="")
        for which, grid in singles.items()
    ]
    listed += [gain(f"{name}_{which}", number, metric, SAID[which]) for which, number in found.gains.items()]
    of_task = [replace(one, id=f"{name}_{one.id}") for one in floor_results(found.floors)]
    return [*listed, *of_task, *gains(f"{name}_inside", scores["inside"], found.floors)]


def gain(name: str, number: Measured, metric: str, what: str = "") -> Result:
    """A paired difference as a result."""
    return result(name, number, what, metric=metric, unit="points")


def floors(found: Comparison) -> list[Floor]:
    """What stands beside the best place inside a block: the floors of the task, and the best output."""
    return [*found.floors, Floor("best output", found.outputs.at_best, found.grid.metric)]


def ways(found: Comparison) -> dict[str, tuple]:
    """Singly and together, inside and at outputs, as dots take them: {name: (value, interval)}."""
    reached = {
        "best output": found.outputs.at_best,
        "best inside": found.inside.at_best,
        "outputs together": found.combined_outputs.measured,
        "best together": found.combined.measured,
    }
    return {name: (number.value, number.interval) for name, number in reached.items()}


def answer(found: Comparison) -> str:
    """The closing answer of a page: which place is best, what it has above outputs, floors and company."""
    singles = found.inside, found.outputs
    said = [
        f"Chosen on validation images, the best place inside a block is {where(singles[0].best)}, the best "
        f"output that of block {singles[1].best.block} at t = {singles[1].best.timestep}.",
        answers.beside("the best place inside", singles[0].at_best, floors(found)),
        difference("Inside against outputs", found.gains["inside_less_outputs"]),
        difference(
            f"Inside against the {len(found.output_points)} best outputs side by side",
            found.gains["inside_less_best_outputs"],
        ),
        difference(
            f"The {len(found.points)} best points side by side against the best single one",
            found.gains["best_less_single"],
        ),
        difference(
            f"The same points against the {len(found.output_points)} best outputs side by side",
            found.gains["over_outputs"],
        ),
    ]
    return " ".join(said)


def difference(name: str, number: Measured) -> str:
    """A paired difference in words; whether it stands out is told as a claim of it would be tested."""
    found = shapes.positive(number.value, number.draws)
    ends = found.interval or (found.value, found.value)  # of a single draw
    told = f"{show(number.value, 'points')} points ({show_interval(ends, 'points')})"
    return f"{name}: {told}, {ENDS[found.status]}."


def classes(
    names: Sequence[str], scores: Mapping[str, np.ndarray]
) -> tuple[list[str], dict[str, np.ndarray]]:
    """Scores by class as bars take them: the best of the first series first, without classes that have none.

    Parameters
    ----------
    names : sequence of K str
    scores : dict of series to array (K,), NaN in all of them for a class that no pixel is of
    """
    first = next(iter(scores.values()))
    order = [place for place in np.argsort(-first, kind="stable") if np.isfinite(first[place])]
    return [names[place] for place in order], {name: held[order] for name, held in scores.items()}
