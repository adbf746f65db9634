"""What features must beat before they mean anything: label frequency, raw pixels, a bag of words.

The untrained copy of a model and the clean input are floors too; they run through `grid.measure` like any
other backbone.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from difffeat import metrics, probe, stats


@dataclass(frozen=True)
class Floor:
    """A named lower bound: test mAP as a fraction, with its 95 % interval over test images."""

    name: str
    value: float
    interval: stats.Interval


def label_frequency(splits):
    """Constant scores: a classifier that has seen nothing but how often each label occurs."""
    value = metrics.label_frequency_map(splits["test"].labels)
    return Floor("label frequency", value, stats.Interval(value, value))


def raw_pixels(splits, side=16, **probing):
    """A linear probe on the pixels themselves, reduced to `side` x `side`."""
    return _probed(
        "raw pixels", splits, {part: _pixels(split, side) for part, split in splits.items()}, probing
    )


def bag_of_words(splits, **probing):
    """A linear probe on which words of the training captions a caption holds; no order, no model."""
    vectorizer = CountVectorizer(binary=True, min_df=2).fit(splits["train"].captions)
    words = {
        part: vectorizer.transform(split.captions).toarray().astype(np.float32)
        for part, split in splits.items()
    }
    return _probed("bag of words", splits, words, probing)


def _pixels(split, side):
    """(N, side * side * 3) float32 in [0, 1]."""
    images = [np.asarray(split.image(row).resize((side, side)), np.float32) for row in range(len(split))]
    return np.stack(images).reshape(len(split), -1) / 255


def _probed(name, splits, features, probing):
    """Train a probe on one set of features and read it on test."""
    probes = probe.fit_grid(features["train"][None], splits["train"].labels, **probing)
    labels, scores = splits["test"].labels, probes.scores(features["test"][None])[0]
    return Floor(name, metrics.mean_average_precision(labels, scores), stats.bootstrap_map(labels, scores))
