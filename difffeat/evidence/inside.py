"""Tests of what is said of activations inside a model, beside those of `shapes` and `comparisons`.

Letters: n activations or blocks, R draws. Noise counts as in `shapes`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from difffeat.evidence import shapes
from difffeat.evidence.shapes import TooFewPoints, Verdict


def changes(over: Any) -> Verdict:
    """A number is not the same along a model: its largest value stands out from its smallest.

    Nothing contradicts a change: where none is seen, it is inconclusive. The value is the difference.

    Parameters
    ----------
    over : Measured, values (n,), draws (R, n)
    """
    values, draws = over.values, over.draws
    if len(values) < 2:
        raise TooFewPoints(f"at least 2 blocks, got {len(values)}")
    z, noise = shapes._standardised(values[:, None] - values, draws[:, :, None] - draws[:, None])
    high, low = int(values.argmax()), int(values.argmin())
    interval = shapes._around(values[high] - values[low], draws[:, high] - draws[:, low])
    return shapes._verdict(values[high] - values[low], interval, (z.max(), noise), (-np.inf, noise))


def ends_above_middle(over: Any) -> Verdict:
    """A number is higher at both ends of a model than in its middle third, averaged.

    The value is the smaller of the two differences.

    Parameters
    ----------
    over : Measured, values (n,), draws (R, n), in the order of the model
    """
    count = len(over.values)
    if count < 3:
        raise TooFewPoints(f"at least 3 blocks, got {count}")
    middle = slice(count // 3, count - count // 3)
    values, draws = (
        each[..., [0, -1]] - each[..., middle].mean(axis=-1, keepdims=True)
        for each in (over.values, over.draws)
    )
    names = [f"the {end} block lies below the middle third" for end in ("first", "last")]
    return shapes.all_positive(values, draws, names)


def not_below(first: Any, second: Any, margin: float) -> Verdict:
    """The first number is not below the second by more than a margin: a test of non-inferiority.

    That no difference is seen shows nothing where few samples were measured: so the first, with its noise,
    has to lie above the second less the margin. A contradiction is one that lies below that. The value is the
    difference.

    Parameters
    ----------
    first, second : Measured, one number each
    margin : float above 0, a difference of fractions
    """
    value, draws = first.values - second.values, first.draws - second.draws
    z, noise = shapes._standardised(value + margin, draws + margin)
    return shapes._verdict(value, shapes._around(value, draws), (z, noise), (-z, noise))


def above_zero(number: Any) -> Verdict:
    """A number is above 0: a rank correlation, or a count above what chance gives."""
    return shapes.positive(number.values, number.draws)
