"""What shape a measured curve has, where the data can tell: the tests behind the claims.

Letters: R draws, T timesteps, B blocks, n points on a curve, m curves, P pairs. A grid has `mean`, the
measured numbers (T, B), and `draws`, the same numbers in R resamples of the data (images, and seeds where
there are several): the same resample for every point, so that differences may be taken draw by draw. Where
its best point lies is chosen on other data, if it has any (`choices`).

A claim such as "mAP falls with t" is many comparisons at once, and where two points are equally good, noise
alone turns about half of them the wrong way. Counting the resamples in which every comparison holds would
therefore refute any curve with a flat stretch. So noise is measured first, then set against the trend:

1. Every comparison that a claim makes is a difference d of two measured numbers. Its standard error s is its
   standard deviation over the draws.
2. How far d deviates from its mean in one draw, up or down, in units of s, and of several comparisons the
   largest of these: that is how far noise reached in that draw anywhere among them, in standard errors.
3. *Support* is the share of draws in which noise reached less far, among the comparisons that the trend is
   made of, than the trend stands out (its d / s). *Against* is the share in which it reached less far, among
   all the comparisons that could contradict the claim, than the strongest contradiction does.

A claim is `reproduced` when support is at least 95 % and against is not, `differs` when against is at least
95 %, else `inconclusive`. So no claim is refuted because it could not be seen, and none is reproduced
because nothing spoke against it. This is the same as to look at simultaneous 95 % intervals of all the
comparisons ("max-t", Westfall and Young 1993): the chance to call a true claim wrong is about 5 % at most
for any number of points, and no tolerance is set by hand. Without draws, as for the paper's own tables,
every difference counts.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from difffeat.base.format import decimals, show, show_interval
from difffeat.probing.scoring import name_of

LEVEL = 0.95


class TooFewPoints(ValueError):
    """The grid is too small for a shape to be seen; the message says what it takes."""


class Contradiction(NamedTuple):
    """The comparison that speaks most strongly against a claim: in words, by how much, with its 95 %
    interval; the unit is "points" or "" where it is no difference of fractions."""

    what: str
    value: float
    interval: tuple | None
    unit: str = "points"

    @property
    def text(self) -> str:
        """As tables and prose say it: "block 8: t = 30 lies above t = 0: +2.1 points (+1.0 to +3.2)"."""
        digits, points = decimals(self.unit, self.interval), " points" * (self.unit == "points")
        ends = f" ({show_interval(self.interval, self.unit, digits)})" if self.interval else ""
        return f"{self.what}: {show(self.value, self.unit, digits)}{points}{ends}"


class Verdict(NamedTuple):
    """What was found: the number that sums it up, its interval, the shares that decide the status, and the
    comparison that contradicts the claim, if one does."""

    value: float
    interval: tuple | None
    support: float
    against: float
    contradiction: Contradiction | None = None

    @property
    def status(self) -> str:
        """`differs`, `reproduced` or `inconclusive`."""
        if self.against >= LEVEL:
            return "differs"
        return "reproduced" if self.support >= LEVEL else "inconclusive"


class _Curves:
    """A grid seen along one axis: n points on each of m curves, with their labels and the best point."""

    def __init__(self, grid, axis):
        labels = [f"t = {t}" for t in grid.timesteps], [f"block {b}" for b in grid.blocks]
        labels = getattr(grid, "titles", labels)  # of a grid that has something else along its axes
        self.points, self.curves = labels[axis], labels[1 - axis]
        self.values, self.draws = np.moveaxis(grid.values, axis, 0), np.moveaxis(grid.draws, axis + 1, 1)
        self.z, self.noise = _standardised(
            self.values[:, None] - self.values[None], self.draws[:, :, None] - self.draws[:, None]
        )  # of point i over point j on each curve, (n, n, m), and its noise, (R, n, n, m)
        best, in_draws = choices(grid)
        where = np.unravel_index([best, *in_draws], grid.values.shape)
        self.best, self.best_in_draws = where[axis][0], where[axis][1:]
        self.best_curve = where[1 - axis][0]

    def __len__(self):
        return len(self.points)

    def difference(self, i, j, curve):
        """How far point i is above point j on a curve, with its interval."""
        value = float(self.values[i, curve] - self.values[j, curve])
        return value, _around(value, self.draws[:, i, curve] - self.draws[:, j, curve])


def choices(grid: Any) -> tuple[int, np.ndarray]:
    """Where a grid is best, as a place among its T * B points, and where in each draw, (R,)."""
    if hasattr(grid, "choices"):
        return grid.choices
    return int(grid.values.argmax()), grid.draws.reshape(len(grid.draws), -1).argmax(axis=1)


def unimodal(grid: Any, axis: int) -> Verdict:
    """One peak in every curve along `axis` of a (T, B) grid; rise and fall seen in the best point's curve.

    A contradiction is a dip: a point with higher points on both sides. A peak at the end of a curve is none.
    The value is where the best point lies, one of the points along the axis.
    """
    c = _Curves(grid, axis)
    if len(c) < 3:
        raise TooFewPoints(f"at least 3 points on a curve for a peak, got {len(c)}")
    left = np.stack([c.z[:j, j].max(axis=0) for j in range(1, len(c) - 1)])  # (n - 2, m)
    right = np.stack([c.z[j + 1 :, j].max(axis=0) for j in range(1, len(c) - 1)])
    dips = np.minimum(left, right)
    rise_and_fall = np.minimum(c.z[:, 0], c.z[:, -1])[:, c.best_curve].max()
    where = np.asarray((grid.timesteps, grid.blocks)[axis])
    trend = rise_and_fall, c.noise[:, :, [0, -1], c.best_curve]
    found = _verdict(where[c.best], _spread(where[c.best_in_draws]), trend, (dips.max(), c.noise))
    return found._replace(contradiction=_dip(c, dips))


def _dip(c, dips):
    """The deepest dip in words; none where no point has higher ones on both sides."""
    if dips.max() <= 0:
        return None
    j, curve = np.unravel_index(dips.argmax(), dips.shape)
    j += 1
    before, after = c.z[:j, j, curve].argmax(), j + 1 + c.z[j + 1 :, j, curve].argmax()
    higher = min((before, after), key=lambda i: c.z[i, j, curve])
    words = f"{c.curves[curve]}: {c.points[j]} lies in a dip between {c.points[before]} and {c.points[after]}"
    return Contradiction(words, *c.difference(j, higher, curve))


def monotone(grid: Any, axis: int, rising: bool) -> Verdict:
    """Along `axis` of a (T, B) grid no curve turns back; the trend seen in the curve of the best point.

    The value is the difference between the ends of that curve, positive when the claim is right.
    """
    c = _Curves(grid, axis)
    if len(c) < 2:
        raise TooFewPoints(f"at least 2 points on a curve for a trend, got {len(c)}")
    first, last = (0, len(c) - 1) if rising else (len(c) - 1, 0)
    value, interval = c.difference(last, first, c.best_curve)
    # What turns back: the point that should be lower, above the one that should be higher.
    forward = np.arange(len(c)) if rising else np.arange(len(c))[::-1]
    backward = [(lower, higher) for place, higher in enumerate(forward) for lower in forward[:place]]
    turns = np.stack([c.z[lower, higher] for lower, higher in backward])  # (pairs, m)
    trend = c.z[last, first, c.best_curve], c.noise[:, last, first, c.best_curve]
    found = _verdict(value, interval, trend, (turns.max(), c.noise))
    if turns.max() <= 0:
        return found
    place, curve = np.unravel_index(turns.argmax(), turns.shape)
    lower, higher = backward[place]
    words = f"{c.curves[curve]}: {c.points[lower]} lies above {c.points[higher]}"
    return found._replace(contradiction=Contradiction(words, *c.difference(lower, higher, curve)))


def within(grid: Any, axis: int, depth: float, low: float, high: float) -> Verdict:
    """The best of the points in [low, high] of the depth beats the best outside, each taken at its best.

    The value is where the best point lies.
    """
    points = np.asarray((grid.timesteps, grid.blocks)[axis]) / depth
    inside = (points >= low) & (points <= high)
    if inside.all() or not inside.any():
        raise TooFewPoints(
            f"points inside and outside of {low:.3g} to {high:.3g}, got {points.round(2).tolist()}"
        )
    profile, draws = grid.values.max(axis=1 - axis), grid.draws.max(axis=2 - axis)
    z, noise = _standardised(profile[:, None] - profile, draws[:, :, None] - draws[:, None])
    best, in_draws = choices(grid)
    where = points[np.unravel_index([best, *in_draws], grid.values.shape)[axis]]
    support = z[np.ix_(inside, ~inside)].min(axis=1).max()
    outside = np.flatnonzero(~inside)
    lead = z[np.ix_(~inside, inside)].min(axis=1)
    across = noise[:, inside][:, :, ~inside]  # (R, inside, outside)
    found = _verdict(where[0], _spread(where[1:]), (support, across), (lead.max(), across))
    if lead.max() <= 0:
        return found
    winner = outside[lead.argmax()]
    rival = np.flatnonzero(inside)[profile[inside].argmax()]
    value = float(profile[winner] - profile[rival])
    names = [f"block {b}" for b in grid.blocks] if axis else [f"t = {t}" for t in grid.timesteps]
    words = f"{names[winner]} lies above {names[rival]}, the best inside, each at its best"
    gap = _around(value, draws[:, winner] - draws[:, rival])
    return found._replace(contradiction=Contradiction(words, value, gap))


def same_best(grid: Any, axis: int) -> Verdict:
    """One point along `axis` is the best of every curve: beaten on none, and above both ends on all.

    The value is the share of curves whose best point is the most common one.
    """
    c = _Curves(grid, axis)
    worst = c.z.max(axis=0)  # (n, m): by how much each candidate is beaten on each curve
    beaten = worst.max(axis=1)
    above_ends = np.minimum(c.z[:, 0], c.z[:, -1]).min(axis=1)
    shares = [np.bincount(values.argmax(axis=0)).max() / values.shape[1] for values in (c.values, *c.draws)]
    trend = above_ends.max(), c.noise[:, :, [0, -1]]
    found = _verdict(shares[0], _spread(shares[1:]), trend, (beaten.min(), c.noise))
    if beaten.min() <= 0:
        return found
    candidate = beaten.argmin()
    curve = worst[candidate].argmax()
    better = c.z[:, candidate, curve].argmax()
    words = (
        f"{c.curves[curve]}: {c.points[better]} lies above {c.points[candidate]}, which does best over all"
    )
    gap = c.difference(better, candidate, curve)
    return found._replace(contradiction=Contradiction(words, *gap))


def same_under(grid: Any, other: Any, axis: int) -> Verdict:
    """One point along `axis` is the best by two metrics, each seen at the best of the other axis.

    Parameters
    ----------
    grid, other : grids (T, B) of one set of probes by two metrics, with draws of the same resamples
    axis : 0 for timesteps, 1 for blocks

    Returns
    -------
    Verdict, as `same_best` of the two profiles: its value is 1 where they peak at one point, else 1/2
    """
    both = (grid, other)
    names = [name_of(getattr(one, "metric", f"metric {place}")) for place, one in enumerate(both, 1)]
    points = [f"block {b}" for b in grid.blocks] if axis else [f"t = {t}" for t in grid.timesteps]
    profiles = SimpleNamespace(
        timesteps=names,
        blocks=points,
        titles=([f"by {name}" for name in names], points),
        values=np.stack([one.values.max(axis=1 - axis) for one in both]),
        draws=np.stack([one.draws.max(axis=2 - axis) for one in both], axis=1),
    )
    return same_best(profiles, 1)


def positive(value: ArrayLike, draws: np.ndarray) -> Verdict:
    """A difference above 0; of several, as over the points of a grid, their mean."""
    value, draws = np.mean(value), np.mean(draws.reshape(len(draws), -1), axis=1)
    z, noise = _standardised(value, draws)
    return _verdict(value, _around(value, draws), (z, noise), (-z, noise))


def all_positive(values: ArrayLike, draws: np.ndarray, names: Sequence[str] = ()) -> Verdict:
    """Each of several differences is above 0.

    The value is the smallest of them; the contradiction, where `names` say what each is, the surest below 0.
    """
    values, draws = np.atleast_1d(values), draws.reshape(len(draws), -1)
    z, noise = _standardised(values, draws)
    smallest = int(values.argmin())
    interval = _around(values[smallest], draws[:, smallest])
    found = _verdict(values[smallest], interval, (z.min(), noise), (-z.min(), noise))
    surest = int(z.argmin())
    if z[surest] >= 0 or not names:
        return found
    gap = float(values[surest]), _around(values[surest], draws[:, surest])
    return found._replace(contradiction=Contradiction(names[surest], *gap))


def best_of(values: ArrayLike, draws: np.ndarray, chosen: int) -> Verdict:
    """Of P values none beats the chosen one, and the chosen one beats a typical one (their median).

    The value is how far the chosen one is below the best.
    """
    values = np.append(values, np.median(values))
    draws = np.column_stack([draws, np.median(draws, axis=1)])
    lead, lead_draws = values - values[chosen], draws - draws[:, [chosen]]
    z, noise = _standardised(lead, lead_draws)
    best = lead.argmax()
    interval = _around(lead[best], lead_draws[:, best])
    found = _verdict(lead[best], interval, (-z[-1], noise[:, -1]), (z[:-1].max(), noise[:, :-1]))
    surest = z[:-1].argmax()
    if z[surest] <= 0:
        return found
    gap = float(lead[surest]), _around(lead[surest], lead_draws[:, surest])
    return found._replace(contradiction=Contradiction("another pair lies above the one found", *gap))


def _standardised(differences, draws):
    """(d / s, |deviation| / s in each draw (R, ...)) of any array of differences and its draws (R, ...)."""
    deviations = draws - draws.mean(axis=0)
    s = deviations.std(axis=0)
    known = s > 1e-9  # differences that are the same in every draw, but for rounding, have no noise
    infinite = np.where(np.abs(differences) > 1e-9, np.copysign(np.inf, differences), 0.0)
    z = np.divide(differences, s, out=infinite, where=known)
    return z, np.divide(np.abs(deviations), s, out=np.zeros_like(deviations), where=known)


def _verdict(value, interval, trend, contradiction):
    """The verdict from the strengths of trend and contradiction, each with the noise of its comparisons (R,
    ...)."""
    support, against = (
        float((noise.reshape(len(noise), -1).max(axis=1) < strength).mean())
        for strength, noise in (trend, contradiction)
    )
    return Verdict(np.asarray(value).item(), interval, support, against)


def _around(value, draws):
    """The interval value +- what 95 % of the deviations stay within; none without draws."""
    if len(draws) < 2:
        return None
    reach = np.quantile(np.abs(draws - draws.mean()), LEVEL)
    return float(value - reach), float(value + reach)


def _spread(positions):
    """The central 95 % of positions, one per draw, both ends among them; none without draws."""
    if len(positions) < 2:
        return None
    tail = (1 - LEVEL) / 2
    return tuple(np.quantile(np.asarray(positions, dtype=float), [tail, 1 - tail], method="inverted_cdf"))
