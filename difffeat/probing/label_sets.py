"""Samples by the whole set of their labels.

N samples, K labels; labels (N, K), 0 or 1.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from difffeat.probing.metrics import check_labels


def exact_match_by_label_set(
    labels: ArrayLike, predictions: ArrayLike, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """How often a label set is predicted exactly, for every set that occurs, most frequent first.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1
    predictions : array of shape (N, K), 0 or 1
    names : sequence of K strings, optional; the labels are numbered without it

    Returns
    -------
    DataFrame
        One row per label set: labels (tuple), count (samples with exactly these labels) and exact_match (the
        fraction of them whose prediction is exactly this set). Sets of equal count are ordered by labels.

    Source
    ------
    Diff-Feat, Figure 5b.
    """
    labels, predictions = check_labels(labels), check_labels(predictions, "predictions")
    if predictions.shape != labels.shape:
        raise ValueError(
            f"predictions must have the shape of labels, {labels.shape}, got {predictions.shape}"
        )
    names = range(labels.shape[1]) if names is None else names
    exact = (labels == predictions).all(axis=1)
    sets, member = np.unique(labels, axis=0, return_inverse=True)
    count = np.bincount(member.ravel())
    table = pd.DataFrame(
        {
            "labels": [tuple(name for name, on in zip(names, row, strict=True) if on) for row in sets],
            "count": count,
            "exact_match": np.bincount(member.ravel(), weights=exact) / count,
        }
    )
    return table.sort_values(["count", "labels"], ascending=[False, True], ignore_index=True)
