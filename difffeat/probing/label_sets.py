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


def chosen(
    labels: ArrayLike,
    names: Sequence[str],
    given: Sequence[Sequence[str]] = (),
    *,
    count: int = 5,
    least: int = 20,
) -> dict[str, np.ndarray]:
    """The samples of a few whole label sets: of those given, or of the most frequent ones.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1
    names : sequence of K str
    given : label sets as sequences of names; where there are none the most frequent are taken
    count : int, how many sets are taken at most
    least : int, samples that a set must have; sets of fewer are left out

    Returns
    -------
    dict of the set's labels in one str to an int array of rows, most frequent set first; samples without
        labels are no set

    Raises
    ------
    ValueError
        If a given set repeats another.

    Source
    ------
    Diff-Feat, appendix J: five sets of similar size; Table 9 names them, not how they were found.
    """
    labels = check_labels(labels)
    every, member = np.unique(labels, axis=0, return_inverse=True)
    held = [tuple(name for name, on in zip(names, row, strict=True) if on) for row in every]
    rows = {one: np.flatnonzero(member.ravel() == place) for place, one in enumerate(held) if one}
    wanted = [frozenset(one) for one in given]
    if len(set(wanted)) < len(wanted):
        raise ValueError(f"label sets are given twice: {list(map(sorted, wanted))}")
    taken = {one: found for one, found in rows.items() if len(found) >= least}
    if wanted:
        taken = {one: found for one, found in taken.items() if frozenset(one) in wanted}
    ranked = sorted(taken, key=lambda one: (-len(taken[one]), one))[: len(wanted) or count]
    return {", ".join(one): taken[one] for one in ranked}
