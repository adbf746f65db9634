"""Claims that are judged from what a page recorded: by where a result and both ends of its interval lie.

- `reproduced`: the result and its whole 95 % interval lie where the claim says,
- `differs`: all of them lie elsewhere, on one side,
- `inconclusive`: the interval reaches over an edge.

A count has no interval and lies on one side or the other.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.results import Page, Result


class Reading(NamedTuple):
    """What was read: the number, its interval, and the status that follows."""

    value: float | int
    interval: tuple | None
    status: str


def located(result: Result, low: float, high: float) -> Reading:
    """Whether a result lies from `low` to `high`, both among them.

    Parameters
    ----------
    result : Result, with or without an interval
    low, high : float, in the units of the result
    """
    ends = [result.value, *(result.interval or ())]
    if low <= min(ends) and max(ends) <= high:
        status = "reproduced"
    else:
        status = "differs" if max(ends) < low or min(ends) > high else "inconclusive"
    return Reading(result.value, result.interval, status)


def between_ends(result: Result, points: Sequence[int]) -> Reading:
    """Whether a result is none of the two ends of the points that were sampled.

    Parameters
    ----------
    result : Result, one of the points, with its interval
    points : sequence of int, at least three

    Notes
    -----
    With fewer than three points there is nothing between the ends: the claim is then `inconclusive`.
    """
    inner = sorted(points)[1:-1]
    if not inner:
        return Reading(result.value, result.interval, "inconclusive")
    return located(result, inner[0], inner[-1])


def apart(more: Result, less: Result) -> Reading:
    """Whether one result is above another: the two intervals do not meet. The value is the difference.

    The two are taken as independent, which makes the interval wider than a paired one.
    """
    reach = [np.hypot(more.value - _end(more, first), _end(less, 1 - first) - less.value) for first in (0, 1)]
    value = more.value - less.value
    interval = (float(value - reach[0]), float(value + reach[1]))
    status = "reproduced" if interval[0] > 0 else "differs" if interval[1] < 0 else "inconclusive"
    return Reading(value, interval, status)


def _end(result, which):
    """The lower (0) or upper (1) end of an interval, the value where there is none."""
    return (result.interval or (result.value, result.value))[which]


def rare_counts(page: Page) -> Reading:
    """Whether the rare categories of MS-COCO are those of Table 3, each with as many images as printed.

    The value is how many categories of the table agree.
    """
    counted = {result.id: result.value for result in page.results if result.id.startswith("images_")}
    printed = {
        f"images_{category.replace(' ', '_')}": images
        for category, images in paper.table(3)[["category", "images"]].itertuples(index=False)
    }
    agree = sum(counted.get(name) == images for name, images in printed.items())
    same = counted.keys() == printed.keys() and agree == len(printed)
    return Reading(agree, None, "reproduced" if same else "differs")


def lengths(page: Page) -> Reading:
    """Whether caption lengths are no further from Table 8 than chance would put them.

    The value is how many captions are in another range than printed (total variation times their number). It
    is held against that of samples as large as the paper's, drawn from its own shares: 95 % of these stay
    within what decides.
    """
    samples = paper.table(8).samples.to_numpy()
    drawn = np.random.default_rng(0).multinomial(samples.sum(), samples / samples.sum(), size=10_000)
    reach = np.quantile(np.abs(drawn - samples).sum(axis=1) / 2, 0.95)
    elsewhere = round(page["table8_distance"].value * int(samples.sum()))
    return Reading(elsewhere, None, "reproduced" if elsewhere <= reach else "differs")


def candidates(page: Page) -> Reading:
    """Whether a search took no more evaluations than there are points of each modality, and the products of
    five neighbours of each: a number that grows with the points, not with their product."""
    taken = page.parameters
    points = sum(
        len(taken[f"{modality}_blocks"]) * len(taken[f"{modality}_timesteps"])
        for modality in ("image", "text")
    )
    return located(page["search_evaluations"], 0, points + 5 * 5)


def cheaper(page: Page) -> Reading:
    """Whether a search took fewer evaluations than the grid of all pairs.

    The value is what it took, as a share of that grid.
    """
    share = page["search_evaluations"].value / page["full_evaluations"].value
    return Reading(share, None, "reproduced" if share < 1 else "differs")
