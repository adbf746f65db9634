"""What shape a measured curve has, where the data can tell: the tests behind the claims.

Letters: R draws, T timesteps, B blocks, n points on a curve, m curves, P pairs. `values` are the measured
numbers, `draws` the same numbers in R resamples of the data (images, and seeds where there are several): the
same resample for every point, so that differences may be taken draw by draw.

A claim such as "mAP falls with t" is many comparisons at once, and where two points are equally good, noise
alone turns about half of them the wrong way. Counting the resamples in which every comparison holds would
therefore refute any curve with a flat stretch. So noise is measured first, then set against the trend:

1. Every comparison that a claim makes is a difference d of two measured numbers. Its standard error s is its
   standard deviation over the draws.
2. The largest |deviation of d from its mean| / s over all these comparisons, in one draw, is how far noise
   reached in that draw anywhere in the claim, in standard errors.
3. *Support* is the share of draws in which noise reached less far than the trend stands out (its d / s).
   *Against* is the share in which it reached less far than the strongest contradiction of the claim does.

A claim is `reproduced` when support is at least 95 % and against is not, `differs` when against is at least
95 %, else `inconclusive`. So no claim is refuted because it could not be seen, and none is reproduced
because nothing spoke against it. This is the same as to look at simultaneous 95 % intervals of all the
comparisons ("max-t", Westfall and Young 1993): the chance to call a true claim wrong is about 5 % at most
for any number of points, and no tolerance is set by hand. Without draws, as for the paper's own tables,
every difference counts.
"""

from typing import NamedTuple

import numpy as np

from difffeat.stats import percentiles

LEVEL = 0.95


class TooFewPoints(ValueError):
    """The grid is too small for a shape to be seen; the message says what it takes."""


class Verdict(NamedTuple):
    """What was found: the number that sums it up, its interval, and the shares that decide the status."""

    value: float
    interval: tuple | None
    support: float
    against: float

    @property
    def status(self):
        """`differs`, `reproduced` or `inconclusive`."""
        if self.against >= LEVEL:
            return "differs"
        return "reproduced" if self.support >= LEVEL else "inconclusive"


def unimodal(values, draws, points, axis):
    """One peak in every curve along `axis` of a (T, B) grid; rise and fall seen in the best point's curve.

    A contradiction is a dip: a point with higher points on both sides. A peak at the end of a curve is none.
    The value is where the best point lies, one of `points` along the axis.
    """
    z, noise = _compared(np.moveaxis(values, axis, 0), np.moveaxis(draws, axis + 1, 1))
    if len(z) < 3:
        raise TooFewPoints(f"at least 3 points on a curve for a peak, got {len(z)}")
    dips = [np.minimum(z[:j, j].max(axis=0), z[j + 1 :, j].max(axis=0)) for j in range(1, len(z) - 1)]
    rise_and_fall = np.minimum(z[:, 0], z[:, -1])[:, _best_curve(values, axis)]
    best = [np.unravel_index(grid.argmax(), values.shape)[axis] for grid in (values, *draws)]
    where = np.asarray(points)[best]
    return _verdict(where[0], _spread(where[1:]), noise, rise_and_fall.max(), np.max(dips))


def monotone(values, draws, axis, rising):
    """Along `axis` of a (T, B) grid no curve turns back; the trend seen in the curve of the best point.

    The value is the difference between the ends of that curve, positive when the claim is right.
    """
    order = slice(None, None, 1 if rising else -1)
    ordered = np.moveaxis(values, axis, 0)[order], np.moveaxis(draws, axis + 1, 1)[:, order]
    z, noise = _compared(*ordered)
    if len(z) < 2:
        raise TooFewPoints(f"at least 2 points on a curve for a trend, got {len(z)}")
    curve = _best_curve(values, axis)
    back = max(z[i, j].max() for j in range(1, len(z)) for i in range(j))
    ends, ends_draws = (
        (ordered[0][-1] - ordered[0][0])[curve],
        (ordered[1][:, -1] - ordered[1][:, 0])[:, curve],
    )
    return _verdict(ends, _around(ends, ends_draws), noise, z[-1, 0, curve], back)


def within(values, draws, points, axis, low, high):
    """The best of the points in [low, high] beats the best outside, each point taken at its best on the grid.

    The value is where the best point lies.
    """
    other = 1 - axis
    profile, profile_draws = values.max(axis=other), draws.max(axis=other + 1)
    z, noise = _compared(profile[:, None], profile_draws[:, :, None])
    points = np.asarray(points)
    inside = (points >= low) & (points <= high)
    if inside.all() or not inside.any():
        raise TooFewPoints(
            f"points inside and outside of {low:.3g} to {high:.3g}, got {points.round(2).tolist()}"
        )
    z = z[:, :, 0]
    where = points[[profile.argmax(), *profile_draws.argmax(axis=1)]]
    support = z[np.ix_(inside, ~inside)].min(axis=1).max()
    against = z[np.ix_(~inside, inside)].min(axis=1).max()
    return _verdict(where[0], _spread(where[1:]), noise, support, against)


def same_best(values, draws, axis):
    """One point along `axis` is the best of every curve: beaten on none, and above both ends on all.

    The value is the share of curves whose best point is the most common one.
    """
    curves, curve_draws = np.moveaxis(values, axis, 0), np.moveaxis(draws, axis + 1, 1)
    z, noise = _compared(curves, curve_draws)
    beaten = z.max(axis=0).max(axis=1)  # (n,), the worst of each candidate over the curves
    above_ends = np.minimum(z[:, 0], z[:, -1]).min(axis=1)
    best = [np.bincount(grid.argmax(axis=0)).max() / grid.shape[1] for grid in (curves, *curve_draws)]
    return _verdict(best[0], _spread(best[1:]), noise, above_ends.max(), beaten.min())


def positive(value, draws):
    """A difference above 0; of several, as over the points of a grid, their mean."""
    value, draws = np.mean(value), np.mean(draws.reshape(len(draws), -1), axis=1)
    z, noise = _standardised(value, draws)
    return _verdict(value, _around(value, draws), noise, z, -z)


def best_of(values, draws, chosen):
    """Of P values none beats the chosen one, and the chosen one beats a typical one (their median).

    The value is how far the chosen one is below the best.
    """
    values = np.append(values, np.median(values))
    draws = np.column_stack([draws, np.median(draws, axis=1)])
    lead, lead_draws = values - values[chosen], draws - draws[:, [chosen]]
    z, noise = _standardised(lead, lead_draws)
    best = lead.argmax()
    return _verdict(lead[best], _around(lead[best], lead_draws[:, best]), noise, -z[-1], z[:-1].max())


def _compared(curves, draws):
    """(d / s (n, n, m) of point i over point j on each curve, reach of noise (R,)); curves (n, m)."""
    return _standardised(curves[:, None] - curves[None], draws[:, :, None] - draws[:, None])


def _standardised(differences, draws):
    """(d / s, reach of noise (R,)) of any array of differences and its draws (R, ...)."""
    deviations = draws - draws.mean(axis=0)
    s = deviations.std(axis=0)
    known = s > 1e-9  # differences that are the same in every draw, but for rounding, have no noise
    infinite = np.where(np.abs(differences) > 1e-9, np.copysign(np.inf, differences), 0.0)
    z = np.divide(differences, s, out=infinite, where=known)
    reach = np.divide(np.abs(deviations), s, out=np.zeros_like(deviations), where=known)
    return z, reach.reshape(len(draws), -1).max(axis=1)


def _verdict(value, interval, noise, trend, contradiction):
    support, against = (float((noise < strength).mean()) for strength in (trend, contradiction))
    return Verdict(np.asarray(value).item(), interval, support, against)


def _best_curve(values, axis):
    return np.unravel_index(values.argmax(), values.shape)[1 - axis]


def _around(value, draws):
    """The interval value +- what 95 % of the deviations stay within; none without draws."""
    if len(draws) < 2:
        return None
    reach = np.quantile(np.abs(draws - draws.mean()), LEVEL)
    return float(value - reach), float(value + reach)


def _spread(positions):
    """The central 95 % of positions, one per draw; none without draws."""
    return None if len(positions) < 2 else tuple(percentiles(np.asarray(positions, dtype=float), LEVEL))
