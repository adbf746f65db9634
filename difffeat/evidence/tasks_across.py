"""Tasks on tokens on several data sets: what each reached beside its floors, read from stored results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from difffeat.base.format import show, show_interval
from difffeat.evidence.papers.activations.claims.tasks import TASKS
from difffeat.evidence.results import Page, Result, read_all

# What a score is called, and how the id of its result ends after the task's name.
SCORES = {
    "pixels and position": "floor_pixels_and_position_score",
    "untrained copy": "floor_untrained_copy_score",
    "best output": "outputs_score",
    "best inside": "inside_score",
    "outputs together": "best_outputs_score",
    "best together": "best_score",
}
# What the best place inside is held against, and the same of the difference.
AGAINST = {
    "pixels and position": "inside_less_pixels_and_position",
    "the untrained copy": "inside_less_untrained_copy",
    "the best output": "inside_less_outputs",
    "the outputs together": "inside_less_best_outputs",
}
# The same where something else reads both places, on the pages that do that.
READ = {
    "the best output where small heads read both": "small_inside_less_outputs",
    "the best output where projections read both": "projected_inside_less_outputs",
}


class OnData(NamedTuple):
    """A task on a data set.

    Attributes
    ----------
    data : str, what the data set is called
    task : str, a name in `TASKS`
    page : Page that measured it
    """

    data: str
    task: str
    page: Page

    @property
    def name(self) -> str:
        """Data set and metric."""
        return f"{self.data}, {TASKS[self.task][1]}"

    def __getitem__(self, end: str) -> Result:
        """The result whose id is the task's name and this end."""
        return self.page[f"{self.task}_{end}"]

    @property
    def against(self) -> dict[str, Result]:
        """{what the best place inside is held against: the difference}."""
        recorded = {result.id for result in self.page.results}
        there = {name: end for name, end in READ.items() if f"{self.task}_{end}" in recorded}
        return {name: self[end] for name, end in (AGAINST | there).items()}


def found(held: Mapping[str, Path], names: Mapping[str, str]) -> list[OnData]:
    """Every task that these profiles have measured, in the order of `names`.

    Parameters
    ----------
    held : dict of profile to the folder of its results
    names : dict of profile to what its data set is called
    """
    pages = {profile: read_all(held[profile]) for profile in names if profile in held}
    return [
        OnData(names[profile], task, of[page])
        for profile, of in pages.items()
        for task, (_, _, page) in TASKS.items()
        if page in of
    ]


def scores(measured: Sequence[OnData]) -> list[dict]:
    """Floors, outputs and places inside, singly and together, a row each and a column a data set."""
    return [{"": way} | {one.name: one[end].text for one in measured} for way, end in SCORES.items()]


def gaps(measured: Sequence[OnData]) -> dict[tuple[str, str], tuple]:
    """What the best place inside has above each thing, as dots take them."""
    return {
        (one.name, name.removeprefix("the ")): (one[end].value, one[end].interval)
        for one in measured
        for name, end in AGAINST.items()
    }


def rows(measured: Sequence[OnData]) -> list[dict]:
    """How many pictures a task had of each part, and where it was best inside and at outputs, a row each."""
    return [
        {"data": one.data, "task": TASKS[one.task][0]}
        | dict(zip(("train", "val", "test"), one.page.parameters["samples"], strict=True))
        | {"best inside": one["inside_point"].value, "best output": one["outputs_point"].value}
        for one in measured
    ]


def words(measured: Sequence[OnData]) -> str:
    """What the best place inside has above floors, outputs and outputs side by side, a line a data set."""
    return "\n".join(map(_words, measured))


def _words(one):
    best, told = one["inside_score"], [_apart(gap, name) for name, gap in one.against.items()]
    reached = f"the best place inside a block reaches {best.text} {best.metric}"
    return f"- **{one.data[0].upper()}{one.data[1:]}**: {reached}: {'; '.join(told)}."


def _apart(difference, name):
    """A stored difference in words; told apart where its whole interval is on one side of 0."""
    low, high = difference.interval
    digits = difference.digits
    if low <= 0 <= high:
        return f"not told apart from {name} ({show_interval((low, high), 'points', digits)} points)"
    size = show(abs(difference.value), "points", digits).lstrip("+")
    return f"{size} points {'above' if low > 0 else 'below'} {name}"


def lesson(measured: Sequence[OnData]) -> list[tuple[bool, str]]:
    """What follows from all of them, as pairs of a condition and a sentence."""
    taught = [one.data for one in measured if one["inside_less_untrained_copy"].interval[0] > 0]
    bare = [one.data for one in measured if one["inside_less_pixels_and_position"].interval[0] <= 0]
    return [
        (
            bool(taught),
            f"Training has taught the model what its untrained copy does not pass on, for {_listed(taught)}.",
        ),
        (
            bool(measured) and not taught,
            "On none of them does the trained model stand out from its untrained copy.",
        ),
        (
            bool(bare),
            f"Pixels and position, without any model, are not beaten for {_listed(bare)}: what is reached "
            f"there says nothing of the model.",
        ),
    ]


def counts(measured: Sequence[OnData]) -> list[Result]:
    """On how many data sets the best place inside stands out above what it is held against: results of a
    page."""
    ends = AGAINST.values()
    above = {end: sum(one[end].interval[0] > 0 for one in measured) for end in ends}
    return [Result(f"real_{end}", above[end], unit="count", metric="data sets") for end in ends]


def _listed(names):
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else "".join(names)
