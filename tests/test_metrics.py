"""Metrics against cases worked by hand, the paper's own numbers and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, top_k_accuracy_score

from difffeat.probing import label_sets, metrics


@pytest.fixture
def case():
    """Labels (N, K) with an empty class and scores (P, N, K) with many ties."""
    generator = np.random.default_rng(0)
    labels = (generator.random((200, 6)) < [0.5, 0.2, 0.1, 0.05, 0.0, 0.01]).astype(np.uint8)
    labels[7, 5] = 1
    scores = np.round(generator.normal(size=(3, 200, 6)) + labels, 1).astype(np.float32)
    return labels, scores


def column(*values):
    return np.array(values, dtype=float)[:, None]


@pytest.mark.parametrize(
    ("labels", "scores", "expected"),
    [
        ([1, 0, 1, 0], [4, 3, 2, 1], (1 / 1 + 2 / 3) / 2),
        ([0, 0, 1], [3, 2, 1], 1 / 3),
        ([1, 1, 0], [3, 2, 1], 1.0),
        ([1, 0, 0, 1], [1, 1, 1, 1], 1 / 2),  # one threshold: precision is the frequency
        ([1, 0, 1, 0], [2, 2, 1, 1], (1 / 2 + 2 / 4) / 2),
        ([0, 1, 1, 0], [3, 2, 2, 1], 2 / 3),
    ],
)
def test_average_precision_by_hand(labels, scores, expected):
    assert metrics.average_precision(column(*labels), column(*scores)) == pytest.approx([expected])


def test_average_precision_agrees_with_scikit_learn_ties_included(case):
    labels, scores = case
    ours = metrics.average_precision(labels, scores)
    assert ours.shape == (3, 6)
    assert np.isnan(ours[:, 4]).all()
    for point in range(3):
        for label in (0, 1, 2, 3, 5):
            theirs = average_precision_score(labels[:, label], scores[point, :, label])
            assert ours[point, label] == pytest.approx(theirs, abs=1e-12)


def test_order_of_tied_samples_does_not_matter(case):
    labels, scores = case
    order = np.random.default_rng(1).permutation(len(labels))
    shuffled = metrics.average_precision(labels[order], scores[:, order])
    np.testing.assert_allclose(shuffled, metrics.average_precision(labels, scores), atol=1e-12)


def test_a_grid_is_its_points_and_an_empty_class_is_left_out(case):
    labels, scores = case
    grid = metrics.mean_average_precision(labels, scores)
    assert grid.shape == (3,)
    one = metrics.mean_average_precision(labels, scores[1])
    assert isinstance(one, float)
    assert one == grid[1]
    assert one == pytest.approx(np.delete(metrics.average_precision(labels, scores[1]), 4).mean())


def test_integer_and_boolean_scores_rank_like_floats():
    labels = column(1, 0, 0)
    assert metrics.average_precision(labels, column(2, 1, 0).astype(np.uint8)) == pytest.approx([1.0])
    assert metrics.average_precision(labels, column(1, 0, 0).astype(bool)) == pytest.approx([1.0])


def test_constant_scores_have_the_map_of_label_frequency(case):
    labels, _ = case
    constant = np.full(labels.shape, 0.3)
    expected = np.delete(labels, 4, axis=1).mean()
    assert metrics.mean_average_precision(labels, constant) == pytest.approx(expected)


def test_top_accuracy_agrees_with_scikit_learn():
    generator = np.random.default_rng(0)
    classes, scores = generator.integers(7, size=50), generator.normal(size=(3, 50, 7))
    labels = np.eye(7, dtype=int)[classes]
    for k in (1, 5):
        expected = [top_k_accuracy_score(classes, point, k=k, labels=range(7)) for point in scores]
        assert metrics.top_accuracy(labels, scores, k) == pytest.approx(expected)
    assert metrics.top_accuracy(labels, scores[0], 7) == 1.0
    labels[3] = 0
    labels[3, :2] = 1
    with pytest.raises(ValueError, match="one class a sample; sample 3 has 2 labels: measure mAP"):
        metrics.top_accuracy(labels, scores)


def test_report_by_hand():
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]])
    predicted = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0]])
    found = metrics.report(labels, predicted * 0.8 + 0.1)
    # Class 0: 1 of 1 correct, 1 of 2 found. Class 1: 2 of 3 correct, 2 of 2 found. Class 2 has no positives.
    assert found["CP"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["CR"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["CF1_macro"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert found["CF1_harmonic"] == pytest.approx(2 * (5 / 6) * (3 / 4) / (5 / 6 + 3 / 4))
    assert found["OP"] == pytest.approx(3 / 5)
    assert found["OR"] == pytest.approx(3 / 4)
    assert found["OF1"] == pytest.approx(2 / 3)
    assert found["classes_without_positives"] == [2]
    assert all(isinstance(found[name], float) for name in ("mAP", "CP", "CF1_harmonic", "OF1"))


def test_report_agrees_with_scikit_learn(case):
    labels, scores = case
    grid = metrics.report(labels, scores, threshold=0.7)
    has = labels.any(axis=0)
    for point in range(3):
        predicted = (scores[point] >= np.float32(0.7)).astype(int)
        macro = precision_recall_fscore_support(
            labels[:, has], predicted[:, has], average="macro", zero_division=0
        )
        micro = precision_recall_fscore_support(labels, predicted, average="micro", zero_division=0)
        ours = [grid[name][point] for name in ("CP", "CR", "CF1_macro", "OP", "OR", "OF1")]
        assert ours == pytest.approx([*macro[:3], *micro[:3]])


def test_nothing_predicted_is_precision_zero_without_a_warning():
    found = metrics.report(np.eye(3), np.zeros((3, 3)))
    assert [found[name] for name in ("CP", "CR", "CF1_macro", "CF1_harmonic", "OP", "OR", "OF1")] == [0.0] * 7


def test_top3_predicts_at_most_three_and_none_below_the_threshold():
    labels = np.array([[1, 1, 1, 1]])
    probabilities = np.array([[0.9, 0.8, 0.4, 0.7]])
    assert metrics.report_top3(labels, probabilities)["OR"] == pytest.approx(3 / 4)
    low = np.array([[0.9, 0.8, 0.4, 0.3]])
    assert metrics.report_top3(labels, low)["OR"] == pytest.approx(2 / 4)
    assert metrics.report_top3(labels, low, threshold=0)["OR"] == pytest.approx(3 / 4)
    grid = metrics.report_top3(labels, np.stack([probabilities, low]))
    np.testing.assert_allclose(grid["OR"], [3 / 4, 2 / 4])


def test_exact_match_by_label_set():
    labels = np.array([[1, 0], [1, 0], [1, 0], [1, 1], [0, 0]])
    predictions = np.array([[1, 0], [1, 1], [1, 0], [1, 1], [0, 1]])
    table = label_sets.exact_match_by_label_set(labels, predictions, ["cat", "dog"])
    assert table["labels"].tolist() == [("cat",), (), ("cat", "dog")]
    assert table["count"].tolist() == [3, 1, 1]
    assert table["exact_match"].tolist() == pytest.approx([2 / 3, 0, 1])
    assert label_sets.exact_match_by_label_set(labels, labels)["labels"][0] == (0,)


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), "non-empty"),
        (np.array([1, 0]), np.array([1.0, 0.0]), r"\(N, K\)"),
        (np.array([[2, 0]]), np.zeros((1, 2)), "must be 0 or 1, found 2"),
        (np.array([[0.5, 0]]), np.zeros((1, 2)), "found 0.5"),
        (np.array([[np.nan, 0]]), np.zeros((1, 2)), "found nan"),
        (np.eye(2), np.zeros((3, 2)), r"\(2, 2\) as in labels, got \(3, 2\)"),
        (np.eye(2), np.array([[np.nan, 0], [0, np.inf]]), "found 2 NaN or infinite"),
        (np.zeros((2, 2)), np.zeros((2, 2)), "no class has a positive"),
    ],
)
def test_wrong_input_is_named(labels, scores, message):
    with pytest.raises(ValueError, match=message):
        metrics.mean_average_precision(labels, scores)


def test_predictions_must_be_decisions():
    with pytest.raises(ValueError, match="predictions must be 0 or 1, found 0.7"):
        label_sets.exact_match_by_label_set(np.eye(2), np.full((2, 2), 0.7))
    with pytest.raises(ValueError, match="predictions must have the shape"):
        label_sets.exact_match_by_label_set(np.eye(2), np.ones((1, 2)))
