"""Intervals: the fast bootstrap of mAP against its definition in loops, and the tests against scipy."""

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel

from difffeat.probing import metrics, stats


@pytest.fixture
def case():
    """Labels (N, K), one class with a single positive; scores (P, N, K), rounded so that many tie."""
    generator = np.random.default_rng(0)
    labels = generator.random((120, 5)) < [0.5, 0.2, 0.1, 0.0, 0.0]
    labels[3, 3] = True
    scores = np.round(generator.normal(size=(2, 120, 5)) + 0.5 * labels, 1).astype(np.float32)
    return labels, scores


def map_of_drawn(labels, scores, images):
    """mAP of drawn images (n,), each copy of one judged as if its other copies were not there.

    The definition in loops, for one grid point: a copy of a positive keeps all drawn images but its other
    copies, and its precision is the share of positives among the kept ones that score no less than it does.
    """
    classes = []
    for k in range(labels.shape[1]):
        precisions = []
        for judged in images:
            if not labels[judged, k]:
                continue
            kept = [judged] + [other for other in images if other != judged]
            above = [labels[one, k] for one in kept if scores[one, k] >= scores[judged, k]]
            precisions.append(sum(above) / len(above))
        if precisions:  # a class that the draw lost is left out
            classes.append(sum(precisions) / len(precisions))
    return sum(classes) / len(classes)


def drawn(n, draws, seed):
    """The images that each draw takes, as `bootstrap` hands them to any statistic."""
    kept = []
    stats.bootstrap(lambda images: kept.append(images) or 0.0, n, draws=draws, seed=seed)
    return kept


def test_draws_are_the_definition_in_loops(case):
    """Ties, classes that lose their positives in a draw, and one that never has any."""
    labels, scores = case
    images = drawn(len(labels), 40, seed=3)
    assert any(3 not in rows for rows in images) and any(3 in rows for rows in images)  # of class 3 the one
    expected = [[map_of_drawn(labels, point, rows) for point in scores] for rows in images]
    found = stats.map_draws(labels, scores, draws=40, seed=3)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    interval = stats.bootstrap_map(labels, scores, draws=40, seed=3)
    np.testing.assert_allclose(interval, stats.percentiles(np.array(expected)), atol=1e-6)


def test_all_scores_equal_is_one_threshold(case):
    labels, _ = case
    flat = np.zeros(labels.shape)
    expected = [map_of_drawn(labels, flat, rows) for rows in drawn(len(labels), 10, seed=1)]
    np.testing.assert_allclose(stats.map_draws(labels, flat, draws=10, seed=1), expected, atol=1e-6)


def test_a_draw_that_repeats_no_image_is_the_plain_map(case, monkeypatch):
    """Copies are all that differs from mAP as it is measured."""
    labels, scores = case
    counts = (np.random.default_rng(0).random((len(labels), 8)) < 0.7).astype(np.float32)
    counts[3] = 1
    monkeypatch.setattr(stats, "multiplicities", lambda *_: torch.from_numpy(counts))
    expected = [
        metrics.mean_average_precision(labels[rows], scores[:, rows]) for rows in counts.T.astype(bool)
    ]
    np.testing.assert_allclose(stats.map_draws(labels, scores, draws=8), expected, atol=1e-6)


def test_draws_are_centred_where_those_of_plain_copies_are_too_high(case):
    labels, scores = case
    value = metrics.mean_average_precision(labels[:, :3], scores[0, :, :3])
    plain = np.array(
        [
            metrics.mean_average_precision(labels[rows, :3], scores[0, rows, :3])
            for rows in drawn(len(labels), 400, seed=0)
        ]
    )
    ours = stats.map_draws(labels[:, :3], scores[0, :, :3], draws=400, seed=0)
    error = ours.std() / 20
    assert abs(ours.mean() - value) < 3 * error
    assert plain.mean() - value > 10 * error


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
    """The variance of a mean over S seeds is their sample variance (S - 1) / S, however few they are."""
    images = np.random.default_rng(0).normal(scale=0.1, size=(4000, 1))
    alone = stats.over_seeds(images)
    np.testing.assert_array_equal(alone, images[:, 0])
    for effects in ([-1.0, 1.0], [-1.0, 0.0, 1.0], [0.0, 0.3, 0.7, -1.0, 0.4]):
        seeds = images + np.array(effects)
        expected = np.sqrt(0.1**2 + np.var(effects, ddof=1) / len(effects))
        assert stats.over_seeds(seeds).std() == pytest.approx(expected, rel=0.03)
    assert stats.over_seeds(np.zeros((10, 3, 4, 2))).shape == (10, 4, 2)


def test_over_seeds_takes_the_same_seeds_for_every_point_and_leaves_equal_seeds_alone():
    images = np.random.default_rng(0).normal(size=(50, 1, 4))
    np.testing.assert_allclose(stats.over_seeds(np.repeat(images, 3, axis=1)), images[:, 0])
    seeds = images + np.array([-1.0, 0.0, 1.0])[:, None]
    moved = stats.over_seeds(seeds) - images[:, 0]
    np.testing.assert_allclose(moved, np.tile(moved[:, :1], 4), atol=1e-12)
    assert len(np.unique(moved.round(9))) == 7  # of 3 seeds the mean of 3: -1, -2/3, ... 1, stretched
    assert moved.max() == pytest.approx(1.5**0.5)


def test_measured_numbers_are_subtracted_draw_by_draw():
    draws = np.random.default_rng(0).normal(size=1000)
    a, b = stats.Measured(0.5, 0.5 + draws), stats.Measured(0.25, 0.25 + 0.9 * draws)
    difference = a - b
    assert difference.value == 0.25 and difference.values.shape == ()
    np.testing.assert_allclose(difference.draws, 0.25 + 0.1 * draws)
    assert difference.interval == stats.percentiles(difference.draws)
    assert np.ptp(difference.interval) < 0.2 * np.ptp(a.interval)


def test_draws_around_a_value_keep_their_spread():
    draws = np.random.default_rng(0).normal(size=500)
    moved = stats.around(0.3, draws)
    assert moved.value == 0.3 and moved.draws.mean() == pytest.approx(0.3)
    np.testing.assert_allclose(np.diff(moved.draws), np.diff(draws))


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
