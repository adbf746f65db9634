"""Tests of conditions that were measured at the same points, beside those of `shapes` for one grid.

Letters: P points, R draws, n points on a curve. Noise counts as in `shapes`: the largest deviation over all
comparisons that a claim makes, in standard errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from difffeat.evidence import shapes
from difffeat.evidence.shapes import Contradiction, TooFewPoints, Verdict
from difffeat.probing import stats


def _flat(first, second):
    """Differences of two conditions, (P,), and their draws, (R, P)."""
    values, draws = first.values - second.values, first.draws - second.draws
    return values.reshape(-1), draws.reshape(len(draws), -1)


def names_of(grid: Any) -> list[str]:
    """Its points in the order of its values, as the paper's Figure 8 writes them: "t0-b8"."""
    return [f"t{timestep}-b{block}" for timestep in grid.timesteps for block in grid.blocks]


def counted(first: Any, second: Any) -> tuple[int, int, int]:
    """At how many points the first is above the second beyond its own 95 % interval, below, and neither.

    Each point is judged by itself here; `everywhere` judges them together.
    """
    _, draws = _flat(first, second)
    low, high = stats.percentiles(draws)
    above, below = int((low > 0).sum()), int((high < 0).sum())
    return above, below, len(low) - above - below


def _point(grid, names, place):
    return (names or names_of(grid))[place]


def everywhere(better: Any, other: Any, names: Sequence[str] = ()) -> Verdict:
    """The first condition is above the second at every point.

    Support needs the smallest difference to stand out from the noise of all; a contradiction is a point where
    the second lies above. The value is the smallest difference.

    Parameters
    ----------
    better, other : grids or Measured with values (...) and draws (R, ...)
    names : sequence of P str, what points are called; by default those of a grid

    Source
    ------
    Diff-Feat, Figure 8: "for each (timestep, block) configuration".
    """
    values, draws = _flat(better, other)
    z, noise = shapes._standardised(values, draws)
    least = int(values.argmin())
    interval = shapes._around(values[least], draws[:, least])
    found = shapes._verdict(values[least], interval, (z.min(), noise), ((-z).max(), noise))
    worst = int(z.argmin())
    if z[worst] >= 0:
        return found
    gap = float(-values[worst]), shapes._around(-values[worst], -draws[:, worst])
    words = f"{_point(better, names, worst)}: the other lies above"
    return found._replace(contradiction=Contradiction(words, *gap))


def same(first: Any, second: Any, margin: float, names: Sequence[str] = ()) -> Verdict:
    """Two conditions do not differ by more than a margin at any point: a test of equivalence.

    That no difference is seen shows nothing where few samples were measured. Support therefore needs every
    difference, with the noise of all, to lie inside the margin (two one-sided tests). A contradiction is a
    difference that stands out from the noise *and* is larger than the margin: with enough samples every
    difference stands out. The value is the largest difference, with its sign.

    Parameters
    ----------
    first, second, names : as in `everywhere`
    margin : float above 0, a difference of fractions
    """
    values, draws = _flat(first, second)
    z, noise = shapes._standardised(values, draws)
    below, above = (shapes._standardised(margin + sign * values, sign * draws)[0] for sign in (-1, 1))
    large = np.where(np.abs(values) > margin, np.abs(z), 0.0)
    most = int(np.abs(values).argmax())
    gap = float(values[most]), shapes._around(values[most], draws[:, most])
    inside = min(below.min(), above.min())
    found = shapes._verdict(*gap, (inside, noise), (large.max(), noise))
    if not large.max():
        return found
    place = int(large.argmax())
    words = f"{_point(first, names, place)}: they differ"
    gap = float(values[place]), shapes._around(values[place], draws[:, place])
    return found._replace(contradiction=Contradiction(words, *gap))


def t_test(first: Any, second: Any = None) -> Verdict:
    """The paper's own test: paired t over the points of two grids, as if they were independent of each other.

    They are not, for they share model and samples, so that p is too small. Support and against are 1 - p on
    the side that t lies; the value is t, with the interval that resampled samples give it.

    Parameters
    ----------
    first, second : grids or Measured; of the first alone, its value is a t that is printed

    Source
    ------
    Diff-Feat, Table 4.
    """
    if second is None:
        return Verdict(float(first.values), None, 1.0, 0.0)
    values, draws = _flat(first, second)
    if len(values) < 2 or np.ptp(values) == 0:
        raise TooFewPoints(f"at least 2 points whose differences vary, got {len(values)}")
    found = stats.paired_t(values, np.zeros_like(values))
    spread = draws.std(axis=1, ddof=1)
    drawn = draws.mean(axis=1)[spread > 0] / spread[spread > 0] * len(values) ** 0.5
    interval = tuple(stats.percentiles(drawn)) if len(drawn) > 1 else None
    sure = 1 - found.p
    return Verdict(found.t, interval, sure * (found.t > 0), sure * (found.t < 0))


def rise_and_fall(curve: Any) -> Verdict:
    """A curve over lengths rises to a point inside and falls again.

    Support needs a point that stands above both ends. A contradiction is a dip, a point with higher ones on
    both sides, or an end that stands above every point inside: then it does not fall, or does not rise. The
    value is the best length.

    Parameters
    ----------
    curve : lengths.Curve

    Source
    ------
    Diff-Feat, Figure 16.
    """
    values, draws, n = curve.values, curve.draws, len(curve.lengths)
    if n < 3:
        raise TooFewPoints(f"at least 3 lengths, got {n}")
    z, noise = shapes._standardised(values[:, None] - values, draws[:, :, None] - draws[:, None])
    breaks = [_dip(z, j) for j in range(1, n - 1)] + [_end(z, end) for end in (0, n - 1)]
    trend = np.minimum(z[:, 0], z[:, -1]).max(), noise[:, :, [0, -1]]
    strength, high, low, words = max(breaks)
    best, in_draws = curve.choices
    lengths = np.asarray(curve.lengths)
    found = shapes._verdict(lengths[best], shapes._spread(lengths[in_draws]), trend, (strength, noise))
    if strength <= 0:
        return found
    gap = float(values[high] - values[low])
    told = words.format(high=f"L = {lengths[high]}", low=f"L = {lengths[low]}")
    interval = shapes._around(gap, draws[:, high] - draws[:, low])
    return found._replace(contradiction=Contradiction(told, gap, interval))


def shorter(curve: Any, used: int) -> Verdict:
    """A length below the one that is used is better than it; of the shorter ones the best on val.

    Parameters
    ----------
    curve : lengths.Curve
    used : int, one of its lengths
    """
    below = [place for place, length in enumerate(curve.lengths) if length < used]
    if not below or used not in curve.lengths:
        raise TooFewPoints(f"{used} tokens and a length below, got {list(curve.lengths)}")
    best, place = max(below, key=lambda place: curve.val[place]), curve.lengths.index(used)
    return shapes.positive(
        curve.values[best] - curve.values[place], curve.draws[:, best] - curve.draws[:, place]
    )


def _dip(z, j):
    """How far point j lies in a dip, the lower of the two points around it, and words."""
    left, right = int(z[:j, j].argmax()), j + 1 + int(z[j + 1 :, j].argmax())
    lower = min((left, right), key=lambda i: z[i, j])
    return float(z[lower, j]), lower, j, "{low} lies in a dip, below {high}"


def _end(z, end):
    """How far an end stands above every point inside, the highest of these, and words."""
    inside = np.arange(1, len(z) - 1)
    rival = int(inside[z[end, inside].argmin()])
    return float(z[end, rival]), end, rival, "{high}, an end, lies above all inside, {low} the nearest"
