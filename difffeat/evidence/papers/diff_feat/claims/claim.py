"""What a claim is, and what its test is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from difffeat.evidence import shapes
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.probing.stats import Measured


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes
    ----------
    id : str
    text : str, with {metric} where the name of the metric stands
    source : str, where the paper makes it
    metric, unit : str, of the number that sums it up; metric as text
    test : callable of the measured arrays, returns a Verdict; of a claim that reads, callable of the Page,
        returns a Reading; None for a claim that is a number
    published : callable of a table number (5 or 6), returns what `test` takes, or the Published number; None
        where the paper prints no number for it
    needs : str, the notebook that measures it, or what else it takes
    result : str, for a claim that is a number the id of the Result that holds ours
    part : str, which part of the paper's message it belongs to
    by : str, the metric of the paper's number; beside another metric it does not stand
    reads : tuple of str, for a claim about results that one page has recorded, their ids
    data : str, of a claim that reads, the paper's data set that it is about; "" where any will do
    """

    id: str
    text: str
    source: str
    metric: str
    needs: str
    unit: str = ""
    test: Callable | None = None
    published: Callable | None = None
    result: str = ""
    part: str = ""
    by: str = "mAP"
    reads: tuple = ()
    data: str = ""

    def said(self, metric: str = "") -> str:
        """The claim in words, of this metric, by default the paper's."""
        return self.text.format(metric=metric or self.by)

    def measured(self, metric: str = "") -> str:
        """What sums it up, of this metric, by default the paper's."""
        return self.metric.format(metric=metric or self.by)


def numbers(given: Any) -> Any:
    """What `check` was given: a grid, a (value, draws) pair, or a number without draws."""
    if hasattr(given, "draws"):
        return given
    mean, draws = given if isinstance(given, tuple) else (given, np.asarray(given)[None])
    return Measured(np.asarray(mean, dtype=float), np.asarray(draws, dtype=float))


def gain(a: Measured, b: Measured) -> shapes.Verdict:
    """Whether the first is above the second, all their values averaged."""
    return shapes.positive(a.values - b.values, a.draws - b.draws)


def printed_image(number: int, *metrics: str) -> tuple:
    """The published grid of images by each metric, mAP unless named, as a test takes them."""
    return tuple(paper.grid(number, "image", metric) for metric in metrics or ("mAP",))


def printed_text(number: int, *metrics: str) -> tuple:
    """The published grid of text by each metric, mAP unless named, as a test takes them."""
    return tuple(paper.grid(number, "text", metric) for metric in metrics or ("mAP",))


def printed_best(*modalities: str) -> Callable:
    """The paper's best number of each of these modalities, as a test takes it."""
    return lambda number: tuple(numbers(paper.best(number, modality).value) for modality in modalities)
