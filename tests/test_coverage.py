"""How often 95 % intervals hold what they are said to hold, in simulated worlds with labels as rare as ours.

An interval of mAP says where the mAP of other test sets of the same size lies on average; so the target is
the mean over many independent test sets, or over many runs of the same procedure. Coverage measured in W
worlds has a standard error of sqrt(0.95 * 0.05 / W), 1 percentage point in 500: from 93 to 97 % is within two
of them. N images, K labels, W worlds, R draws, P grid points, S seeds. `pytest -s` shows what was measured.
"""

from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import norm

from difffeat.probing import metrics, stats
from difffeat.probing.grid import Grid

DRAWS = 300  # the ends of fewer draws are uncertain themselves: of 200 about 94 % are held
TAILS = np.array([0.025, 0.975])


class Covered(NamedTuple):
    """Shares of worlds whose interval holds the target, ends above it, and ends below it."""

    inside: float
    too_high: float
    too_low: float


def covered(ends, target):
    """What intervals (W, 2) make of a target."""
    low, high = np.asarray(ends).T
    too_high, too_low = (low > target).mean(), (high < target).mean()
    found = Covered(1 - too_high - too_low, too_high, too_low)
    print(*(f"{name} {share:.3f}" for name, share in found._asdict().items()), end="; ")
    return found


def kept(found, least=0.93):
    """Whether coverage is between 93 and 97 %, and not nearly all that is missed is on one side.

    Of 5 % missed, 2.5 % a side, a side of 5 % would be 3.5 standard errors off in 500 worlds.
    """
    return least <= found.inside <= 0.97 and max(found.too_high, found.too_low) < 0.05


def world(n, rarest, random, *, labels=20, better=0.0, alike=1.0):
    """Labels (N, K) and scores (P, N, K) of P scorers of one test set: noise, an image's own ease, and by how
    much what a label holds is `better` (P,) seen; scorers share `alike` of the variance of their noise.
    """
    better = np.atleast_1d(better)[:, None, None]
    frequency, separation = np.geomspace(0.3, rarest, labels), np.linspace(2.2, 0.8, labels)
    truth = random.random((n, labels)) < frequency
    noise = random.normal(size=(n, labels)) + 0.3 * random.normal(size=(n, 1))
    if alike < 1:
        noise = alike**0.5 * noise + (1 - alike) ** 0.5 * random.normal(size=(len(better), n, labels))
    return truth, noise + truth * (separation + better)


def mean_map(worlds):
    """Mean over worlds (labels, scores) of mAP."""
    return np.mean([metrics.mean_average_precision(labels, scores) for labels, scores in worlds])


def plain_draws(labels, scores, random, draws=DRAWS):
    """mAP in naive resamples, where every copy of an image counts; scores do not tie."""
    n = len(labels)
    counts = np.stack([np.bincount(random.integers(n, size=n), minlength=n) for _ in range(draws)], axis=1)
    counts, classes = counts.astype(np.float32), []
    for k in np.flatnonzero(labels.any(axis=0)):
        order = np.argsort(-scores[:, k])
        ranks = np.flatnonzero(labels[order, k])
        copies = counts[order[ranks]]  # (positives, R)
        segments = np.add.reduceat(counts[order[: ranks[-1] + 1]], np.append(0, ranks[:-1] + 1), axis=0)
        precision = copies.cumsum(axis=0) / np.maximum(segments.cumsum(axis=0), 1)
        positives = copies.sum(axis=0)
        summed = (copies * precision).sum(axis=0)
        classes.append(np.divide(summed, positives, out=np.full(draws, np.nan), where=positives > 0))
    return np.nanmean(classes, axis=0)


def jackknife(labels, scores):
    """mAP without each image in turn, (N,)."""
    n, total, classes = len(labels), np.zeros(len(labels)), np.zeros(len(labels))
    ranks = np.arange(1, n + 1)
    for k in np.flatnonzero(labels.any(axis=0)):
        order = np.argsort(-scores[:, k])
        hit = labels[order, k].astype(float)
        hits, fewer = hit.cumsum(), np.maximum(ranks - 1, 1)
        # Positives above the one left out stay as they are; those below lose a rank, and a hit if it is one.
        above = np.append(0, (hit * hits / ranks).cumsum()[:-1])
        below, lost = (
            np.append(part[::-1].cumsum()[::-1][1:], 0) for part in (hit * hits / fewer, hit / fewer)
        )
        left = hit.sum() - hit
        some = left > 0
        value = np.divide(above + below - hit * lost, left, out=np.zeros(n), where=some)
        total[order] += value
        classes[order] += some
    return total / classes


def accelerated(value, draws, left_out):
    """The bias-corrected and accelerated interval of Efron (1987)."""
    deviations = left_out.mean() - left_out
    acceleration = (deviations**3).sum() / (6 * (deviations**2).sum() ** 1.5)
    bias = norm.ppf(np.clip((draws < value).mean(), 1 / len(draws), 1 - 1 / len(draws)))
    z = bias + norm.ppf(TAILS)
    return np.quantile(draws, norm.cdf(bias + z / (1 - acceleration * z)))


def reach(values, ends):
    """How much further up than down intervals reach, in the middle world."""
    return np.median((ends[:, 1] - values) / (values - ends[:, 0]))


def one_set(n, rarest, random):
    """Labels and scores (N, K) of one scorer."""
    labels, scores = world(n, rarest, random)
    return labels, scores[0]


COMMON, RARE = (800, 0.01), (1000, 0.006)  # images, and how frequent the rarest label is


@pytest.fixture(scope="module", params=[COMMON, RARE], ids=str)
def sets(request):
    """Of 500 test sets the sets, their values and our intervals (500, 2), and the mean of still more sets."""
    random = np.random.default_rng(7)
    found = [one_set(*request.param, random) for _ in range(500)]
    values = np.array([metrics.mean_average_precision(*given) for given in found])
    ends = [stats.bootstrap_map(*given, draws=DRAWS, seed=seed) for seed, given in enumerate(found)]
    return found, values, np.array(ends), mean_map(one_set(*request.param, random) for _ in range(1000))


def test_intervals_of_map_hold_the_mean_of_other_test_sets(sets):
    _, values, ends, target = sets
    assert kept(covered(ends, target))
    assert 0.8 < reach(values, ends) < 1.25
    width = np.diff(ends).mean() / (2 * norm.ppf(0.975) * values.std())
    assert width == pytest.approx(1, abs=0.08)  # and they are no wider than that takes


@pytest.mark.parametrize("sets", [RARE], indirect=True, ids=str)
def test_percentiles_of_plain_draws_hold_it_less_often_corrected_or_not(sets):
    """A positive drawn twice counts itself twice: they reach too far up. A correction by where the value lies
    among draws that are off by a bias, not by a skew, takes twice as much away and reaches too far down."""
    found, values, ends, target = sets
    found, values, ends = (these[:250] for these in (found, values, ends))  # what lies this far apart shows
    random, plain, corrected = np.random.default_rng(8), [], []
    for given, value in zip(found, values, strict=True):
        draws = plain_draws(*given, random)
        plain.append(np.quantile(draws, TAILS))
        corrected.append(accelerated(value, draws, jackknife(*given)))
    ours, plain_held, corrected_held = (covered(those, target) for those in (ends, plain, corrected))
    for held in (plain_held, corrected_held):
        assert held.inside < 0.92 and held.inside < ours.inside - 0.02
    assert plain_held.too_high > 3 * plain_held.too_low
    assert corrected_held.too_low > 3 * corrected_held.too_high
    assert reach(values, np.array(plain)) > 1.5


def test_the_jackknife_leaves_each_image_out():
    labels, scores = one_set(60, 0.05, np.random.default_rng(0))
    expected = [
        metrics.mean_average_precision(np.delete(labels, row, axis=0), np.delete(scores, row, axis=0))
        for row in range(60)
    ]
    np.testing.assert_allclose(jackknife(labels, scores), expected)


def test_plain_draws_are_the_plain_bootstrap():
    labels, scores = one_set(80, 0.05, np.random.default_rng(0))
    random = np.random.default_rng(1)
    rows = [random.integers(80, size=80) for _ in range(20)]
    expected = [metrics.mean_average_precision(labels[drawn], scores[drawn]) for drawn in rows]
    found = plain_draws(labels, scores, np.random.default_rng(1), draws=20)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_paired_differences_hold_the_mean_difference():
    """Two scorers of the same images, one a little better, half of their noise the same."""
    random, values, ends = np.random.default_rng(0), [], []

    def judged():
        return world(500, 0.05, random, labels=6, better=[0.1, 0.0], alike=0.5)

    for seed in range(400):
        labels, scores = judged()
        values.append(np.subtract(*metrics.mean_average_precision(labels, scores)))
        ends.append(stats.paired_bootstrap(labels, *scores, draws=200, seed=seed))
    more = [np.subtract(*metrics.mean_average_precision(*judged())) for _ in range(1000)]
    assert kept(covered(ends, np.mean(more)))
    assert 0.8 < reach(np.array(values), np.array(ends)) < 1.25


def test_intervals_over_images_and_seeds_hold_the_mean_over_both():
    """Each of 3 noise seeds has noise of its own on each image, and sees labels a bit better or worse."""
    random, ends = np.random.default_rng(3), []

    def judged():
        return world(400, 0.05, random, labels=6, better=0.1 * random.normal(size=3), alike=0.8)

    for seed in range(400):
        draws = stats.map_draws(*judged(), draws=200, seed=seed)
        ends.append(stats.percentiles(stats.over_seeds(draws, seed=seed)))
    target = np.mean([metrics.mean_average_precision(*judged()) for _ in range(600)])
    # The ends of 200 draws hold 94 %, and 3 seeds a little less (see below): 2 standard errors under that.
    assert kept(covered(ends, target), least=0.915)


@pytest.mark.parametrize(
    ("seeds", "ratio", "least", "most"),
    [
        (8, 1.0, 0.93, 0.97),
        (4, 0.5, 0.93, 0.97),
        (3, 0.5, 0.92, 0.96),
        (3, 2.0, 0.89, 0.93),
        (2, 2.0, 0.84, 0.9),
    ],
)
def test_few_seeds_that_differ_much_are_held_less_often(seeds, ratio, least, most):
    """Normal noise of 1 from the images and of `ratio` from each seed; the standard error is 0.5 points.

    How far seeds differ is then known from 2 or 3 of them: the interval is about as wide as it should be on
    average, and at times too narrow. That is said here, not mended: t quantiles would need more than draws.
    """
    random, ends = np.random.default_rng(0), []
    for seed in range(2000):
        value = random.normal() + ratio * random.normal(size=seeds)
        draws = value + random.normal(size=(200, 1))
        ends.append(stats.percentiles(stats.over_seeds(draws, seed=seed)))
    held = covered(ends, 0.0)
    assert least < held.inside < most and abs(held.too_high - held.too_low) < 0.03
    wide = np.diff(ends).mean() / (2 * norm.ppf(0.975) * (1 + ratio**2 / seeds) ** 0.5)
    assert 0.85 < wide < 1.04  # the ends of 200 draws lie 2 % further out, so that they hold what they should


def one_grid(truth, random, own=0.5, draws=200):
    """A grid of P blocks at one timestep: images of a part move all points by 1, and each by `own`."""
    parts = []
    for _ in ("val", "test"):

        def noise(n):
            return random.normal(size=(n, 1, 1)) + own * random.normal(size=(n, 1, len(truth)))

        value = truth + noise(1)
        parts.append((value, value + noise(draws)))
    (val, val_draws), (test, test_draws) = parts
    return Grid((0,), tuple(range(len(truth))), val, test, test_draws, val_draws)


@pytest.mark.parametrize(
    ("truth", "least", "most"),
    [
        (np.zeros(30), 0.96, 0.99),
        (np.linspace(-2, 0, 30), 0.95, 0.99),
        (np.linspace(-90, 0, 30), 0.93, 0.96),
        (np.array([0, *[-0.5] * 29]), 0.95, 0.99),
    ],
    ids=["equal", "within noise", "far apart", "one that stands out a little"],
)
def test_the_number_at_a_point_chosen_on_val_is_held(truth, least, most):
    """The target is the mean of what choosing on val and reading test reports.

    A draw chooses with the noise of the real val set and with that of its resample, so it takes another point
    more often than another val set would: where points are close the interval is wider than it needs to be,
    and where there is nothing to choose it is that of one point, which holds 94 % with so few draws. The
    standard error is 0.5 points.
    """
    random = np.random.default_rng(5)
    grids = [one_grid(truth, random) for _ in range(2000)]
    target = np.mean([grid.at_best.value for grid in grids])
    chosen, given = (
        covered([number.interval for number in numbers], target)
        for numbers in ((grid.at_best for grid in grids), (grid.at(*grid.best) for grid in grids))
    )
    assert least < chosen.inside < most
    assert chosen.inside > given.inside - 0.005  # never held less often than the number at one fixed point
