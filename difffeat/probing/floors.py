"""What features must beat before they mean anything: label frequency, raw pixels, a bag of words.

The untrained copy of a model and the clean input are floors too; they run through `grid.measure` like any
other backbone. A floor is probed as the features above it are: the same probe, as long.

N samples, D width, K labels, R draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from difffeat.base.remember import remembered, told
from difffeat.probing import grid, probe, scoring, stats

if TYPE_CHECKING:
    from difffeat.features.datasets import Split
    from difffeat.probing.grid import Grid

CODE = (*grid.CODE, "probing/floors.py")  # what makes the scores of a probe
STRENGTHS = tuple(10.0**power for power in (-4, -3, -2, -1, 0))  # C of scikit-learn, larger is weaker


@dataclass(frozen=True)
class Floor:
    """A named lower bound: a metric on test as a fraction, with its draws over test images."""

    name: str
    measured: stats.Measured
    metric: str = "mAP"

    @property
    def value(self) -> float:
        """The metric on test."""
        return self.measured.value

    @property
    def interval(self) -> stats.Interval:
        """Its 95 % interval over test images."""
        return self.measured.interval


def reached(name: str, grid: Grid) -> Floor:
    """The best point of a grid as a floor: what a line in a figure needs."""
    return Floor(name, grid.at_best, grid.metric)


def label_frequency(splits: Mapping[str, Split], metric: str = "mAP", resamples: int = 200) -> Floor:
    """Constant scores: a classifier that has seen nothing but how often each label occurs."""
    test, frequency = splits["test"], splits["train"].labels.mean(axis=0)
    found = judged("label frequency", test, np.tile(frequency, (len(test), 1)), metric, resamples)
    # Where all scores are alike a copy of an image counts among its equals, so resamples lie a little off.
    return replace(found, measured=stats.around(found.measured.value, found.measured.draws))


def raw_pixels(
    splits: Mapping[str, Split], metric: str = "mAP", resamples: int = 200, side: int = 16, **probing: object
) -> Floor:
    """A linear probe on the pixels themselves, reduced to `side` x `side`; `probing` as in
    `probe.fit_grid`."""
    pixels = {part: _pixels(split, side) for part, split in splits.items()}
    return probed("raw pixels", splits, pixels, metric, resamples, **probing)


def bag_of_words(
    splits: Mapping[str, Split], metric: str = "mAP", resamples: int = 200, **probing: object
) -> Floor:
    """A linear probe on which words of the training captions a caption holds; no order, no model.

    Captions are those of `splits`: give the ones that the features beside it were read from.
    """
    return probed("bag of words", splits, words(splits), metric, resamples, **probing)


def words(splits: Mapping[str, Split]) -> dict[str, np.ndarray]:
    """Which words of the training captions each caption holds: {part: float32 (N, D)}, 0 or 1."""
    from sklearn.feature_extraction.text import CountVectorizer  # scikit-learn takes a second to load

    vectorizer = CountVectorizer(binary=True, min_df=2).fit(splits["train"].captions)
    return {
        part: vectorizer.transform(split.captions).toarray().astype(np.float32)
        for part, split in splits.items()
    }


def optimum(
    splits: Mapping[str, Split],
    grid: Grid,
    resamples: int = 200,
    name: str = "regularised optimum",
    root: Path | str | None = None,
) -> Floor:
    """`regularised` on the features of a measured grid's best point, those of its first noise seed."""
    taken = grid.features[0]
    read = {part: split.select(taken[part].ids) for part, split in splits.items()}
    features = {part: found.read(grid.best) for part, found in taken.items()}
    return regularised(name, read, features, grid.metric, resamples, root=root)


def probed(
    name: str,
    splits: Mapping[str, Split],
    features: Mapping[str, np.ndarray],
    metric: str = "mAP",
    resamples: int = 200,
    **probing: object,
) -> Floor:
    """Any features {part: (N, D)}, probed as those of a model are; `probing` as in `probe_scores`."""
    scores = probe_scores(splits, features, metric, **probing)
    return judged(name, splits["test"], scores, metric, resamples)


def probe_scores(
    splits: Mapping[str, Split],
    features: Mapping[str, np.ndarray],
    metric: str = "mAP",
    root: Path | str | None = None,
    **probing: object,
) -> np.ndarray:
    """Probabilities on test, (N, K), of a linear probe on features {part: (N, D)}.

    Parameters
    ----------
    splits : dict of "train" and "test" to Split
    features : dict of the same parts to arrays (N, D)
    metric : what the probe is trained for
    root : path, optional, where the caches of features are: the scores are kept beside them, and read where
        another page has trained the same probe
    **probing : as for `probe.fit_grid`
    """
    loss, labels = scoring.scoring(metric).loss, splits["train"].labels

    def trained():
        probes = probe.fit_grid(features["train"][None], labels, loss=loss, **probing)
        return {"scores": probes.scores(features["test"][None])[0]}

    inputs = told(features["train"], features["test"], labels)
    return remembered(kept(root), {"inputs": inputs, "probing": [loss, probing]}, CODE, trained)["scores"]


def kept(root: Path | str | None) -> Path | None:
    """The folder beside the caches of features where scores are kept; None keeps none."""
    return None if root is None else Path(root).parent / "floors"


def regularised(
    name: str,
    splits: Mapping[str, Split],
    features: Mapping[str, np.ndarray],
    metric: str = "mAP",
    resamples: int = 200,
    strengths: Sequence[float] = STRENGTHS,
    root: Path | str | None = None,
) -> Floor:
    """Scikit-learn's logistic regression, converged, its strength chosen on val: is the probe the bottleneck?

    Parameters
    ----------
    name : str
    splits : dict of "train", "val", "test" to Split
    features : dict of the same parts to arrays (N, D)
    metric, resamples : as elsewhere
    strengths : inverse strengths C to choose from
    root : path, optional, as for `probe_scores`

    Returns
    -------
    Floor
    """
    from sklearn.preprocessing import StandardScaler

    loss, parts = scoring.scoring(metric).loss, ("train", "val", "test")

    def fitted():
        scaler = StandardScaler().fit(features["train"])
        scaled = {part: scaler.transform(values) for part, values in features.items()}
        return {"scores": _strongest(splits, scaled, metric, strengths)}

    inputs = told(*(features[part] for part in parts), *(splits[part].labels for part in parts[:2]))
    what = {"inputs": inputs, "regularised": [loss, metric, list(strengths)]}
    scores = remembered(kept(root), what, CODE, fitted)["scores"]
    return judged(name, splits["test"], scores, metric, resamples)


def tfidf(
    splits: Mapping[str, Split],
    metric: str = "mAP",
    resamples: int = 200,
    strengths: Sequence[float] = (0.1, 1.0, 10.0, 100.0),
) -> Floor:
    """TF-IDF of words and pairs of words with scikit-learn's logistic regression, its strength chosen on val.

    Parameters
    ----------
    splits : dict of "train", "val", "test" to Split with captions
    metric, resamples : as elsewhere
    strengths : inverse strengths C to choose from
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    vectorizer.fit(splits["train"].captions)
    features = {part: vectorizer.transform(split.captions) for part, split in splits.items()}
    scores = _strongest(splits, features, metric, strengths)
    return judged("TF-IDF, logistic regression", splits["test"], scores, metric, resamples)


def _strongest(splits, features, metric, strengths):
    """Scores on test of a logistic regression on features, of the strength that is best on val."""
    best, scores, by = -np.inf, None, scoring.scoring(metric)
    for strength in strengths:
        fitted = _fit_logistic(features["train"], splits["train"].labels, strength, by.loss)
        value = by.value(*splits["val"].judged(fitted(features["val"])))
        if value > best:
            best, scores = value, fitted(features["test"])
    return scores


def _fit_logistic(features, labels, strength, loss):
    """A callable of features (N, D): scores (N, K), constant for a label that is always or never there."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    one = LogisticRegression(C=strength, max_iter=2000)
    if loss == "ce":
        fitted = one.fit(features, labels.argmax(axis=1))

        def classes(values):
            found = np.zeros((values.shape[0], labels.shape[1]))
            found[:, fitted.classes_] = fitted.predict_proba(values)
            return found

        return classes
    varies = labels.any(axis=0) & ~labels.all(axis=0)
    fitted = OneVsRestClassifier(one).fit(features, labels[:, varies])

    def scores(values):
        found = np.tile(labels.mean(axis=0), (values.shape[0], 1))
        found[:, varies] = fitted.predict_proba(values)
        return found

    return scores


def _pixels(split, side):
    """(N, side * side * 3) float32 in [0, 1]."""
    images = [np.asarray(split.image(row).resize((side, side)), np.float32) for row in range(len(split))]
    return np.stack(images).reshape(len(split), -1) / 255


def judged(name: str, split: Split, scores: np.ndarray, metric: str = "mAP", resamples: int = 200) -> Floor:
    """The floor that scores (N, K) of a split reach, whatever they come from."""
    by, kept = scoring.scoring(metric), split.judged(scores)
    measured = stats.Measured(float(by.value(*kept)), by.draws(*kept, draws=resamples))
    return Floor(name, measured, metric)
