"""How sure a number is: bootstrap intervals over images, paired differences, spread over seeds.

N images, K labels, P grid points; labels (N, K), scores (..., N, K). The bootstrap draws N images with
replacement; an interval is the percentiles of the statistic over the draws (Efron, 1979).

Average precision needs care. A positive image counts itself among those ranked at or above it, so one that is
drawn c times would count itself c times: in resamples mAP is too high, by about half a standard error at our
sizes, and the percentiles with it. Here the copies of an image are judged each as if the others were not
there, which leaves every other term as it is and draws centred on the measured value. The intervals say where
the mAP of other test sets *of the same size* lies, on average; tests/test_coverage.py holds their coverage,
and shows that of the plain percentiles and of the bias-corrected and accelerated ones (Efron, 1987), which is
less.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from difffeat.base.threads import on_threads
from difffeat.probing.metrics import check_scores, top_hits
from difffeat.probing.resampled import check_resampling, map_of_draws, multiplicities


class Interval(NamedTuple):
    """Two ends of an interval: floats, or arrays with one entry per grid point."""

    low: float | np.ndarray
    high: float | np.ndarray


@dataclass(frozen=True)
class Measured:
    """A measured number, or several, with draws; of draws on the same images, differences are paired.

    Attributes
    ----------
    value : float, or array of shape (...)
    draws : array of shape (R, ...)
    """

    value: float | np.ndarray
    draws: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """The value, named as those of a grid."""
        return np.asarray(self.value)

    @property
    def interval(self) -> Interval:
        """Its 95 % interval."""
        return percentiles(self.draws)

    def __sub__(self, other: "Measured") -> "Measured":
        """The difference of two numbers, paired draw by draw."""
        return Measured(self.value - other.value, self.draws - other.draws)


def around(value: float | np.ndarray, draws: np.ndarray) -> Measured:
    """A number whose draws are moved to lie around it: their spread counts, not their bias."""
    return Measured(value, draws + (value - np.nanmean(draws)))


class MeanStd(NamedTuple):
    """Mean over n seeds and their sample standard deviation (NaN when n is 1)."""

    mean: float | np.ndarray
    std: float | np.ndarray
    n: int


class PairedT(NamedTuple):
    """Mean difference a - b with its confidence interval, t statistic and two-sided p value."""

    difference: float
    low: float
    high: float
    t: float
    p: float


def percentiles(values: ArrayLike, level: float = 0.95) -> Interval:
    """The central `level` of values (draws, ...) along the first axis, draws that are NaN left out.

    Parameters
    ----------
    values : array of shape (draws, ...)
    level : float in (0, 1)

    Returns
    -------
    Interval
        Floats for values (draws,), arrays of shape (...) otherwise.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}; 0.95 is a 95 % interval")
    tail = (1 - level) / 2
    # Of R draws the usual quantiles hold 0.95 (R - 1) / (R + 1), 94.05 % of 200; these hold all of it.
    low, high = np.nanquantile(values, [tail, 1 - tail], axis=0, method="weibull")
    return Interval(float(low), float(high)) if low.ndim == 0 else Interval(low, high)


def bootstrap(
    statistic: Callable, n: int, *, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Percentile interval of any statistic of n images.

    Parameters
    ----------
    statistic : callable taking an int array of n image indices, with repeats; returns a float or an array
    n : int, images
    draws : int, resamples
    seed : int
    level : float in (0, 1)

    Returns
    -------
    Interval

    Examples
    --------
    >>> hits = np.array([1.0, 1.0, 0.0, 1.0])
    >>> interval = bootstrap(lambda images: hits[images].mean(), len(hits))
    """
    check_resampling(n, draws)
    generator = np.random.default_rng(seed)
    return percentiles([statistic(generator.integers(n, size=n)) for _ in range(draws)], level)


def map_draws(labels: ArrayLike, scores: ArrayLike, *, draws: int = 1000, seed: int = 0) -> np.ndarray:
    """mAP in each of many resamples of the images, for a whole grid at once.

    The same images are drawn for every grid point, so the values of one draw may be subtracted, or compared
    to find its best point. Copies of an image do not see each other (see above). In a draw, a class without
    positives is left out of the mean.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1
    scores : array of shape (..., N, K)
    draws : int, resamples
    seed : int

    Returns
    -------
    ndarray of float64, shape (draws, ...)
        NaN for a draw in which no class has a positive.

    Raises
    ------
    ValueError
        If the shapes disagree, labels are not 0 or 1, a score is not finite, or draws is not positive.
    """
    labels, scores = check_scores(labels, scores)
    check_resampling(len(labels), draws)
    if not labels.any():
        raise ValueError(f"no class has a positive among the {len(labels)} images: there is nothing to rank")
    counts = multiplicities(len(labels), draws, seed)
    flat = scores.reshape(-1, *labels.shape)
    values = on_threads(lambda point: map_of_draws(labels, point, counts), flat)
    return np.stack(values, axis=1).reshape(draws, *scores.shape[:-2])


def accuracy_draws(
    labels: ArrayLike, scores: ArrayLike, *, k: int = 1, draws: int = 1000, seed: int = 0
) -> np.ndarray:
    """Top-k accuracy in each of many resamples of the images, those of `map_draws`.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1, a single 1 in each row
    scores : array of shape (..., N, K)
    k : int
    draws, seed : as in `map_draws`

    Returns
    -------
    ndarray of float64, shape (draws, ...)
    """
    hits = top_hits(labels, scores, k)  # (..., N)
    check_resampling(len(labels), draws)
    counts = multiplicities(len(labels), draws, seed).double().numpy()  # (N, draws)
    return np.moveaxis(hits @ counts / len(labels), -1, 0)


def bootstrap_map(
    labels: ArrayLike, scores: ArrayLike, *, draws: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Percentile interval of mAP over images: `bootstrap` of the mAP, tens of times faster.

    Parameters
    ----------
    labels, scores, draws, seed
        As in `map_draws`.
    level : float in (0, 1)

    Returns
    -------
    Interval
        Floats for scores (N, K), arrays of shape (...) for scores (..., N, K).
    """
    return percentiles(map_draws(labels, scores, draws=draws, seed=seed), level)


def over_seeds(values: ArrayLike, *, seed: int = 0) -> np.ndarray:
    """Average draws over seeds, resampling the seeds too: each draw takes S of them with replacement.

    Resampling S seeds shrinks their spread by sqrt(1 - 1 / S), which at two seeds would hide a third of it;
    the part of a draw that comes from the seeds is stretched by as much. One seed shows no spread.

    Parameters
    ----------
    values : array of shape (draws, S, ...); for each seed what `map_draws` returns, from the same images
    seed : int, of the resampling

    Returns
    -------
    ndarray of float64, shape (draws, ...); `percentiles` makes it an interval over images and seeds
    """
    values = np.asarray(values, dtype=float)
    if values.ndim < 2 or values.size == 0:
        raise ValueError(f"values must be (draws, S, ...) with at least one seed, got shape {values.shape}")
    draws, seeds = values.shape[:2]
    # Keyed apart from the generator of `map_draws`, or the seeds would be tied to the images drawn.
    chosen = np.random.default_rng([seed, 1]).integers(seeds, size=(draws, seeds))
    centre = values.mean(axis=1)
    if seeds == 1:
        return centre
    from_seeds = values[np.arange(draws)[:, None], chosen].mean(axis=1) - centre
    return centre + from_seeds * (seeds / (seeds - 1)) ** 0.5


def paired_bootstrap(
    labels: ArrayLike,
    scores_a: ArrayLike,
    scores_b: ArrayLike,
    *,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of mAP(a) - mAP(b), both on the same resampled images.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1
    scores_a, scores_b : arrays of shape (..., N, K); leading axes broadcast
    draws, seed, level
        As in `bootstrap_map`.

    Returns
    -------
    Interval
        The difference is resolved at `level` where the interval leaves out 0.
    """
    a, b = (map_draws(labels, scores, draws=draws, seed=seed) for scores in (scores_a, scores_b))
    difference = np.moveaxis(a, 0, -1) - np.moveaxis(b, 0, -1)  # (..., draws)
    return percentiles(np.moveaxis(difference, -1, 0), level)


def paired_t(a: ArrayLike, b: ArrayLike, *, level: float = 0.95) -> PairedT:
    """Paired t test of two conditions measured under the same seeds.

    Parameters
    ----------
    a, b : sequences of S floats, S >= 2; entry s of both was measured under seed s
    level : float in (0, 1), of the interval of the mean difference

    Returns
    -------
    PairedT
        With no spread in the differences the interval is a point: p is 0, or 1 if all differences are 0.
    """
    from scipy.stats import ttest_rel  # a second to load, and no other function needs it

    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(
            f"a and b must be two sequences of equal length, at least 2, got {a.shape} and {b.shape}"
        )
    difference = a - b
    mean = float(difference.mean())
    if np.ptp(difference) == 0:
        return PairedT(mean, mean, mean, float(np.sign(mean)) * np.inf if mean else 0.0, 0.0 if mean else 1.0)
    test = ttest_rel(a, b)
    low, high = test.confidence_interval(level)
    return PairedT(mean, float(low), float(high), float(test.statistic), float(test.pvalue))


def mean_std(values: ArrayLike) -> MeanStd:
    """Mean and sample standard deviation (n - 1 in the denominator) over seeds, the first axis.

    Parameters
    ----------
    values : array of shape (S, ...)

    Returns
    -------
    MeanStd
        Floats for values (S,), arrays of shape (...) otherwise.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(f"values must hold at least one seed along the first axis, got shape {values.shape}")
    mean = values.mean(axis=0)
    std = values.std(axis=0, ddof=1) if len(values) > 1 else np.full_like(mean, np.nan)
    return (
        MeanStd(float(mean), float(std), len(values)) if mean.ndim == 0 else MeanStd(mean, std, len(values))
    )
