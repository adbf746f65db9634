"""What a probe is trained for and measured by: mAP of many labels, or accuracy where a sample has one class.

N samples, K labels, R resamples; labels (N, K), 0 or 1, scores (..., N, K).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from difffeat.probing import metrics, stats


@dataclass(frozen=True)
class Scoring:
    """One way to judge scores, and the loss that probes for it are trained with.

    Attributes
    ----------
    name : str, as tables and figures print it
    loss : "bce" or "ce", see `probe.fit_grid`
    value : callable of labels and scores; returns (...), fractions
    draws : callable of labels, scores and `draws`, the number of resamples; returns (R, ...)
    """

    name: str
    loss: str
    value: Callable
    draws: Callable


def _accuracy(k):
    value, draws = partial(metrics.top_accuracy, k=k), partial(stats.accuracy_draws, k=k)
    return Scoring(f"top-{k} accuracy", "ce", value, draws)


SCORINGS = {
    "mAP": Scoring("mAP", "bce", metrics.mean_average_precision, stats.map_draws),
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
