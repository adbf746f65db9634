"""Intervals: the fast bootstrap of mAP against the plain one, and the tests against scipy."""

import numpy as np
import pytest
from scipy.stats import ttest_rel

from difffeat import metrics, stats


@pytest.fixture
def case():
    """Labels (N, K), one class with a single positive; scores (P, N, K), rounded so that many tie."""
    generator = np.random.default_rng(0)
    labels = generator.random((120, 5)) < [0.5, 0.2, 0.1, 0.0, 0.0]
    labels[3, 3] = True
    scores = np.round(generator.normal(size=(2, 120, 5)) + 0.5 * labels, 1).astype(np.float32)
    return labels, scores


def resampled_map(labels, scores):
    return lambda images: metrics.mean_average_precision(labels[images], scores[..., images, :])


def test_fast_bootstrap_is_the_plain_bootstrap(case):
    """The same draws: ties, classes that lose their positives in a draw, and one that never has any."""
    labels, scores = case
    plain = stats.bootstrap(resampled_map(labels, scores), len(labels), draws=60, seed=3)
    fast = stats.bootstrap_map(labels, scores, draws=60, seed=3)
    np.testing.assert_allclose(fast, plain, atol=1e-6)


def test_draws_are_those_of_the_plain_bootstrap(case):
    labels, scores = case
    kept = []
    stats.bootstrap(lambda images: kept.append(images) or 0.0, len(labels), draws=5, seed=1)
    expected = [resampled_map(labels, scores)(images) for images in kept]
    np.testing.assert_allclose(stats.map_draws(labels, scores, draws=5, seed=1), expected, atol=1e-6)


def test_leading_axes_and_single_points(case):
    labels, scores = case
    draws = stats.map_draws(labels, np.stack([scores] * 3), draws=20)
    assert draws.shape == (20, 3, 2)
    interval = stats.bootstrap_map(labels, scores[0], draws=20)
    assert isinstance(interval.low, float)
    assert interval == pytest.approx(stats.percentiles(draws[:, 0, 0]))
    low, high = stats.bootstrap_map(labels, scores, draws=20)
    assert low.shape == high.shape == (2,)
    assert (low < high).all()


def test_same_seed_same_interval(case):
    labels, scores = case
    first, again, other = (stats.bootstrap_map(labels, scores[0], draws=50, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_interval_of_a_mean_is_about_two_standard_errors():
    values = np.random.default_rng(0).normal(size=400)
    low, high = stats.bootstrap(lambda images: values[images].mean(), 400, draws=2000)
    error = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.01)
    narrow = stats.bootstrap(lambda images: values[images].mean(), 400, draws=2000, level=0.5)
    assert low < narrow.low < narrow.high < high


def test_a_draw_without_any_positive_is_left_out():
    labels, scores = np.array([[1], [0], [0]]), np.array([[0.9], [0.5], [0.1]])
    draws = stats.map_draws(labels, scores, draws=200)
    assert np.isnan(draws).mean() == pytest.approx((2 / 3) ** 3, abs=0.1)
    assert stats.bootstrap_map(labels, scores, draws=200) == (1.0, 1.0)


def test_paired_bootstrap_is_narrower_than_two_intervals(case):
    labels, scores = case
    better = scores + 0.3 * labels.astype(np.float32)
    difference = stats.paired_bootstrap(labels, better, scores, draws=200)
    a, b = (stats.bootstrap_map(labels, values, draws=200) for values in (better, scores))
    assert (difference.low > 0).all()
    assert (difference.high - difference.low < (a.high - a.low) + (b.high - b.low)).all()
    reverse = stats.paired_bootstrap(labels, scores, better, draws=200)
    np.testing.assert_allclose(reverse.low, -difference.high)
    against_one = stats.paired_bootstrap(labels, better, scores[0], draws=200)
    assert against_one.low.shape == (2,)
    assert against_one.low[0] == difference.low[0]


def test_over_seeds_adds_the_spread_between_seeds():
    images = np.random.default_rng(0).normal(scale=0.1, size=(1000, 1))
    alone = stats.over_seeds(images)
    np.testing.assert_array_equal(alone, images[:, 0])
    seeds = images + np.array([-1.0, 0.0, 1.0])
    assert stats.over_seeds(seeds).std() == pytest.approx(np.sqrt(0.1**2 + (2 / 3) / 3), rel=0.1)
    assert stats.over_seeds(np.zeros((10, 3, 4, 2))).shape == (10, 4, 2)


def test_paired_t_agrees_with_scipy():
    a, b = [0.51, 0.55, 0.53, 0.58], [0.50, 0.52, 0.49, 0.55]
    ours, theirs = stats.paired_t(a, b), ttest_rel(a, b)
    assert (ours.t, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert (ours.low, ours.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert ours.difference == pytest.approx(0.0275)


def test_paired_t_without_spread_is_certain():
    assert stats.paired_t([0.5, 0.5], [0.5, 0.5]) == (0.0, 0.0, 0.0, 0.0, 1.0)
    assert stats.paired_t([2.0, 3.0], [1.0, 2.0]) == (1.0, 1.0, 1.0, np.inf, 0.0)


def test_mean_and_std_over_seeds():
    assert stats.mean_std([1.0, 2.0, 3.0]) == (2.0, 1.0, 3)
    mean, std, n = stats.mean_std(np.array([[1.0, 2.0], [3.0, 2.0]]))
    np.testing.assert_allclose(mean, [2, 2])
    np.testing.assert_allclose(std, [np.sqrt(2), 0])
    assert n == 2
    assert np.isnan(stats.mean_std([1.0]).std)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stats.bootstrap(np.mean, 0), "at least 1 image"),
        (lambda: stats.bootstrap_map(np.eye(2), np.eye(2), draws=0), "draws = 0"),
        (lambda: stats.bootstrap_map(np.zeros((2, 2)), np.eye(2)), "no class has a positive"),
        (lambda: stats.bootstrap_map(np.eye(2), np.ones((3, 2))), r"\(2, 2\) as in labels"),
        (lambda: stats.percentiles([1.0, 2.0], level=95), "between 0 and 1, got 95"),
        (lambda: stats.paired_t([1.0], [1.0]), "at least 2"),
        (lambda: stats.paired_t([1.0, 2.0], [1.0, 2.0, 3.0]), "equal length"),
        (lambda: stats.mean_std([]), "at least one seed"),
        (lambda: stats.over_seeds([1.0, 2.0]), "at least one seed"),
    ],
)
def test_wrong_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_accuracy_of_draws_is_that_of_the_resampled_images():
    generator = np.random.default_rng(4)
    labels, scores = np.eye(5, dtype=int)[generator.integers(5, size=30)], generator.normal(size=(2, 30, 5))
    found = stats.accuracy_draws(labels, scores, k=2, draws=20, seed=3)
    images = np.random.default_rng(3)
    for draw in range(20):
        rows = images.integers(30, size=30)
        assert found[draw] == pytest.approx(metrics.top_accuracy(labels[rows], scores[:, rows], 2))
