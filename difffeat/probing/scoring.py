"""What a probe is trained for and measured by: mAP of many labels, or accuracy where a sample has one class.

N samples, K labels, R resamples; labels (N, K), 0 or 1, scores (..., N, K).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from difffeat.probing import metrics, resampled, stats


@dataclass(frozen=True)
class Scoring:
    """One way to judge scores, and the loss that probes for it are trained with.

    Attributes
    ----------
    name : str, as tables and figures print it
    loss : "bce" or "ce", see `probe.fit_grid`
    value : callable of labels and scores; returns (...), fractions
    draws : callable of labels, scores and `draws`, the number of resamples; returns (R, ...)
    predicted : callable of scores, returns what is said of every label, bool (..., N, K)
    others, other_draws : as value and draws, dicts by name of what else these probes are judged by
    """

    name: str
    loss: str
    value: Callable
    draws: Callable
    predicted: Callable
    others: Callable
    other_draws: Callable


def likely(scores: np.ndarray) -> np.ndarray:
    """Which labels are said to be there: those with a probability of 0.5 or more."""
    return scores >= 0.5


def _likeliest(scores):
    return scores == scores.max(axis=-1, keepdims=True)


def _decided(labels, scores):
    found = metrics.decided(metrics.check_labels(labels), likely(scores))
    return {name: found[name] for name in metrics.DECIDED}


def _decided_draws(labels, scores, **how):
    return resampled.decided_draws(metrics.check_labels(labels), likely(scores), **how)


def _accuracy(k):
    """Top-k accuracy, and the other of the two that the paper shows."""
    other = 6 - k
    return Scoring(
        f"top-{k} accuracy",
        "ce",
        partial(metrics.top_accuracy, k=k),
        partial(stats.accuracy_draws, k=k),
        _likeliest,
        lambda *judged: {f"top-{other}": metrics.top_accuracy(*judged, k=other)},
        lambda *judged, **how: {f"top-{other}": stats.accuracy_draws(*judged, k=other, **how)},
    )


SCORINGS = {
    "mAP": Scoring(
        "mAP", "bce", metrics.mean_average_precision, stats.map_draws, likely, _decided, _decided_draws
    ),
    "top-1": _accuracy(1),
    "top-5": _accuracy(5),
}


def scoring(name: str) -> Scoring:
    """One of `SCORINGS` by name: "mAP", "top-1" or "top-5".

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in SCORINGS:
        raise ValueError(f"unknown metric {name!r}; there are {', '.join(SCORINGS)}")
    return SCORINGS[name]


def name_of(metric: str) -> str:
    """A metric as tables and figures print it."""
    return SCORINGS[metric].name if metric in SCORINGS else metric
