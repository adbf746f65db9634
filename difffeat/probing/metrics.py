"""Multi-label metrics over a whole grid of probes at once.

N samples, K labels; labels (N, K) are 0 or 1. Scores and predictions are (..., N, K): leading axes, usually
one axis P of grid points, stay in what comes back. Every metric is a fraction in [0, 1].

A class without positives has no recall and no average precision: it is left out of every mean over classes,
and listed. A class that is never predicted has precision 0, as in the field's code.
"""

import numpy as np
from numpy.typing import ArrayLike

DECIDED = ("CP", "CR", "CF1_macro", "CF1_harmonic", "OP", "OR", "OF1")  # metrics of yes and no; see `report`


def check_labels(labels: ArrayLike, name: str = "labels") -> np.ndarray:
    """Labels as a boolean array of shape (N, K), or a clear error.

    Parameters
    ----------
    labels : array of shape (N, K), every value 0 or 1
    name : what the error calls the array

    Returns
    -------
    ndarray of bool, shape (N, K)

    Raises
    ------
    ValueError
        If the array is empty, not 2-D, or holds anything but 0 and 1.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.size == 0:
        raise ValueError(f"{name} must be a non-empty (N, K) array, got shape {labels.shape}")
    truth = labels.astype(bool)
    if labels.dtype != bool and not np.array_equal(truth, labels):
        other = labels[truth != labels][0]
        raise ValueError(f"{name} must be 0 or 1, found {other}; binarise them first")
    return truth


def check_scores(labels: ArrayLike, scores: ArrayLike, name: str = "scores") -> tuple[np.ndarray, np.ndarray]:
    """Labels (N, K) as booleans and scores (..., N, K) as a finite float array, or a clear error."""
    labels = check_labels(labels)
    scores = np.asarray(scores)
    scores = scores if np.issubdtype(scores.dtype, np.floating) else scores.astype(float)
    if scores.shape[-2:] != labels.shape:
        raise ValueError(
            f"{name} must be (..., N, K) with (N, K) = {labels.shape} as in labels, got {scores.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError(
            f"{name} must be finite, found {np.count_nonzero(~np.isfinite(scores))} NaN or infinite values"
        )
    return labels, scores


def average_precision(labels: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """Non-interpolated average precision of each class: sum over thresholds of (R_n - R_{n-1}) P_n.

    Equal scores are one threshold, as in scikit-learn, so the order of tied samples does not matter.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1
    scores : array of shape (..., N, K); only their order within a class counts

    Returns
    -------
    ndarray of float64, shape (..., K)
        NaN for a class without positives.

    Raises
    ------
    ValueError
        If the shapes disagree, labels are not 0 or 1, or a score is not finite.

    Source
    ------
    Diff-Feat, section 4 "Evaluation metrics"; `sklearn.metrics.average_precision_score`.
    """
    labels, scores = check_scores(labels, scores)
    flat = scores.reshape(-1, *labels.shape)  # (P, N, K)
    # One grid point at a time: sorting dominates, and the (K, N) temporaries stay small.
    values = [_average_precision(labels.T, point.T) for point in flat]
    return np.array(values).reshape(*scores.shape[:-2], labels.shape[1])


def _average_precision(labels, scores):
    """Average precision of labels (K, N) ranked by scores (K, N)."""
    order = np.argsort(-scores, axis=1)  # (K, N)
    ranked = np.take_along_axis(scores, order, axis=1)
    hits = np.take_along_axis(labels, order, axis=1).cumsum(axis=1)
    threshold = np.ones_like(labels)
    threshold[:, :-1] = ranked[:, 1:] != ranked[:, :-1]  # the last sample of each run of equal scores
    before = np.maximum.accumulate(np.where(threshold, hits, 0), axis=1)
    gained = hits.copy()
    gained[:, 1:] -= before[:, :-1]  # positives since the previous threshold
    precision = hits / np.arange(1, labels.shape[1] + 1)
    positives = hits[:, -1]
    total = (gained * precision * threshold).sum(axis=1)
    return np.divide(total, positives, out=np.full(len(total), np.nan), where=positives > 0)


def mean_average_precision(labels: ArrayLike, scores: ArrayLike) -> float | np.ndarray:
    """Mean average precision (mAP) over the classes that have positives.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1
    scores : array of shape (..., N, K)

    Returns
    -------
    float, or ndarray of shape (...) when scores have leading axes

    Raises
    ------
    ValueError
        As `average_precision`, and if no class has a positive.
    """
    _positives(check_labels(labels))
    values = np.nanmean(average_precision(labels, scores), axis=-1)
    return float(values) if values.ndim == 0 else values


def top_accuracy(labels: ArrayLike, scores: ArrayLike, k: int = 1) -> float | np.ndarray:
    """Share of the samples whose one class is among the k with the highest scores; of equal scores the first
    classes count.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1, a single 1 in each row
    scores : array of shape (..., N, K)
    k : int

    Returns
    -------
    float, or ndarray of shape (...) when scores have leading axes

    Raises
    ------
    ValueError
        As `average_precision`, and if a sample has no class or more than one.

    Source
    ------
    Diff-Feat, appendix G, Figures 13 and 14.
    """
    values = top_hits(labels, scores, k).mean(axis=-1)
    return float(values) if values.ndim == 0 else values


def top_hits(labels: ArrayLike, scores: ArrayLike, k: int = 1) -> np.ndarray:
    """Whether each sample counts for `top_accuracy`, ndarray of bool of shape (..., N)."""
    labels, scores = check_scores(labels, scores)
    check_one_class(labels)
    highest = np.argsort(-scores, axis=-1, kind="stable")[..., :k]
    return (highest == labels.argmax(axis=-1)[:, None]).any(axis=-1)


def check_one_class(labels: ArrayLike) -> None:
    """A clear error unless each row of labels (N, K) holds a single 1."""
    counts = np.count_nonzero(labels, axis=1)
    if (counts != 1).any():
        row = int((counts != 1).argmax())
        raise ValueError(
            f"accuracy and cross-entropy take one class a sample; sample {row} has {counts[row]} labels: "
            f"measure mAP"
        )


def report(labels: ArrayLike, probabilities: ArrayLike, threshold: float = 0.5) -> dict:
    """The seven metrics of the paper's tables, and both definitions of CF1.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1
    probabilities : array of shape (..., N, K)
    threshold : float; a label is predicted where its probability is at least this

    Returns
    -------
    dict
        mAP; CP, CR per-class precision and recall; CF1_macro the mean of per-class F1; CF1_harmonic the
        harmonic mean of CP and CR; OP, OR, OF1 over all (sample, label) pairs together: each a float, or an
        ndarray of shape (...) when probabilities have leading axes. classes_without_positives: list of int.

    Raises
    ------
    ValueError
        As `mean_average_precision`.

    Source
    ------
    Diff-Feat, Table 1. The paper's CF1 is the macro mean (Table 5: CP 72.02, CR 46.08, CF1 54.99, where the
    harmonic mean is 56.20); ML-GCN, ASL and Query2Label print the harmonic one under the same name.
    """
    labels, probabilities = check_scores(labels, probabilities, "probabilities")
    counted = decided(labels, probabilities >= threshold)
    return {"mAP": mean_average_precision(labels, probabilities), **counted}


def report_top3(labels: ArrayLike, probabilities: ArrayLike, threshold: float = 0.5) -> dict:
    """As `report`, with at most the three most probable labels of each sample predicted.

    Parameters
    ----------
    labels, probabilities
        As in `report`.
    threshold : float
        One of the three that is below it is not predicted, as in ML-GCN's code; 0 predicts all three always.

    Returns
    -------
    dict
        As `report` without mAP, which does not depend on decisions.

    Source
    ------
    Chen et al., ML-GCN (CVPR 2019), top-3 columns of Table 1.
    """
    labels, probabilities = check_scores(labels, probabilities, "probabilities")
    highest = np.argsort(-probabilities, axis=-1, kind="stable")[..., :3]
    predicted = np.zeros(probabilities.shape, dtype=bool)
    np.put_along_axis(predicted, highest, True, axis=-1)
    return decided(labels, predicted & (probabilities >= threshold))


def _positives(labels):
    """Boolean (K,): the classes with positives; an error when there is none."""
    positives = labels.any(axis=0)
    if not positives.any():
        raise ValueError(f"no class has a positive among the {len(labels)} samples: there is nothing to rank")
    return positives


def decided(labels: np.ndarray, predicted: np.ndarray) -> dict:
    """Per-class and overall precision, recall and F1 of predictions.

    Parameters
    ----------
    labels : bool array of shape (N, K)
    predicted : bool array of shape (..., N, K)

    Returns
    -------
    dict
        As `report` without mAP, which does not depend on decisions.
    """
    has = _positives(labels)
    correct = (labels & predicted).sum(axis=-2)  # (..., K)
    values = rates(correct, predicted.sum(axis=-2), labels.sum(axis=0))
    values = {name: float(value) if np.ndim(value) == 0 else value for name, value in values.items()}
    return {**values, "classes_without_positives": np.flatnonzero(~has).tolist()}


def rates(correct: np.ndarray, claimed: np.ndarray, true: np.ndarray) -> dict[str, np.ndarray]:
    """Per-class and overall precision, recall and F1 from counts.

    Parameters
    ----------
    correct, claimed, true : arrays of shape (..., K), samples that have a label and are said to have it, that
        are said to have it, that have it; a class that no sample has is left out of the means over classes

    Returns
    -------
    dict of each name in `DECIDED` to an array of shape (...)
    """
    correct, claimed, true = np.broadcast_arrays(correct, claimed, true)
    has = true > 0
    of_classes = _ratio(correct, claimed), _ratio(correct, true), f1(correct, claimed, true)
    cp, cr, cf1 = (_ratio((values * has).sum(axis=-1), has.sum(axis=-1)) for values in of_classes)
    correct, claimed, true = correct.sum(axis=-1), claimed.sum(axis=-1), true.sum(axis=-1)
    return {
        "CP": cp,
        "CR": cr,
        "CF1_macro": cf1,
        "CF1_harmonic": _ratio(2 * cp * cr, cp + cr),
        "OP": _ratio(correct, claimed),
        "OR": _ratio(correct, true),
        "OF1": f1(correct, claimed, true),
    }


def by_label(labels: ArrayLike, scores: ArrayLike, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """How well each label does.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1
    scores : array of shape (..., N, K)
    predicted : bool array of shape (..., N, K), what is said of each label

    Returns
    -------
    dict of "AP", "F1" and "accuracy" to arrays of shape (..., K)
        AP is NaN for a label without positives; accuracy is the share of samples of which the right thing is
        said, as in the paper's Figure 7.
    """
    labels = check_labels(labels)
    correct, claimed = (labels & predicted).sum(axis=-2), predicted.sum(axis=-2)
    return {
        "AP": average_precision(labels, scores),
        "F1": f1(correct, claimed, labels.sum(axis=0)),
        "accuracy": (labels == predicted).mean(axis=-2),
    }


def f1(correct: np.ndarray, claimed: np.ndarray, true: np.ndarray) -> np.ndarray:
    """F1 from counts as `rates` takes them; 0 where a label is neither there nor said to be."""
    return _ratio(2 * correct, claimed + true)


def _ratio(part, whole):
    """part / whole, and 0 where whole is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=float), whole)
    return np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
