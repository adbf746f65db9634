"""What features must beat before they mean anything: label frequency, raw pixels, a bag of words.

The untrained copy of a model and the clean input are floors too; they run through `grid.measure` like any
other backbone.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from difffeat import measures, probe, stats


@dataclass(frozen=True)
class Floor:
    """A named lower bound: a metric on test as a fraction, with its 95 % interval over test images."""

    name: str
    value: float
    interval: stats.Interval
    metric: str = "mAP"


def label_frequency(splits, metric="mAP"):
    """Constant scores: a classifier that has seen nothing but how often each label occurs."""
    test, frequency = splits["test"], splits["train"].labels.mean(axis=0)
    value = measures.measure(metric).value(*test.judged(np.tile(frequency, (len(test), 1))))
    return Floor("label frequency", value, stats.Interval(value, value), metric)


def raw_pixels(splits, metric="mAP", side=16, **probing):
    """A linear probe on the pixels themselves, reduced to `side` x `side`."""
    pixels = {part: _pixels(split, side) for part, split in splits.items()}
    return _probed("raw pixels", splits, pixels, metric, probing)


def bag_of_words(splits, metric="mAP", **probing):
    """A linear probe on which words of the training captions a caption holds; no order, no model."""
    vectorizer = CountVectorizer(binary=True, min_df=2).fit(splits["train"].captions)
    words = {
        part: vectorizer.transform(split.captions).toarray().astype(np.float32)
        for part, split in splits.items()
    }
    return _probed("bag of words", splits, words, metric, probing)


def _pixels(split, side):
    """(N, side * side * 3) float32 in [0, 1]."""
    images = [np.asarray(split.image(row).resize((side, side)), np.float32) for row in range(len(split))]
    return np.stack(images).reshape(len(split), -1) / 255


def _probed(name, splits, features, metric, probing):
    """Train a probe on one set of features and read it on test."""
    by = measures.measure(metric)
    probes = probe.fit_grid(features["train"][None], splits["train"].labels, loss=by.loss, **probing)
    judged = splits["test"].judged(probes.scores(features["test"][None])[0])
    return Floor(name, by.value(*judged), stats.percentiles(by.draws(*judged)), metric)
