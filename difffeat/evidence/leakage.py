"""How much of what a model gains by other captions a reader without a model gets as well.

Letters: N samples, K labels.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from difffeat.base.format import show
from difffeat.features.datasets import Split
from difffeat.probing.floors import Floor
from difffeat.probing.stats import Measured


def counts(split: Split, word: str) -> list[tuple[int, int]]:
    """What a masked caption still shows of its labels: (how often the word stands there, how many sentences).

    A rare label gives a caption one more sentence.

    Parameters
    ----------
    split : Split with masked captions
    word : str, what stands for the names

    Returns
    -------
    list of N pairs
    """
    return [(caption.lower().count(word), caption.count(".")) for caption in split.captions]


def by_group(train: Sequence[Hashable], labels: ArrayLike, others: Sequence[Hashable]) -> np.ndarray:
    """Scores of a reader that knows of a sample only which group it is in: how often labels occur there.

    Parameters
    ----------
    train : sequence of N groups, of the training samples
    labels : array of shape (N, K), 0 or 1, of the same samples
    others : sequence of M groups

    Returns
    -------
    ndarray of shape (M, K); of a group that training does not have, the frequency in all of it
    """
    labels, places = np.asarray(labels, dtype=float), {}
    for row, group in enumerate(train):
        places.setdefault(group, []).append(row)
    shares = {group: labels[rows].mean(axis=0) for group, rows in places.items()}
    return np.stack([shares.get(group, labels.mean(axis=0)) for group in others])


def recovered(before: Measured, after: Measured, reader: Measured) -> Measured:
    """How far a reader gets on the way that a feature goes from one kind of captions to another.

    Parameters
    ----------
    before, after : Measured, the feature on captions without and with what was added
    reader : Measured, on the captions with it

    Returns
    -------
    Measured
        (reader - before) / (after - before), draw by draw: 1 where the reader does as well as the feature,
        more where it does better, 0 or less where it does not reach what the feature had before.

    Raises
    ------
    ValueError
        If the feature gained nothing, so that there is no way to share.
    """
    if after.value <= before.value:
        raise ValueError(f"nothing was gained: {before.value:.4f} before, {after.value:.4f} after")
    return Measured(
        (reader.value - before.value) / (after.value - before.value),
        (reader.draws - before.draws) / (after.draws - before.draws),
    )


def gained(before: Measured, after: Measured, readers: Sequence[Floor]) -> str:
    """`recovered` in words, of several readers; other words where nothing was gained.

    Parameters
    ----------
    before, after : as for `recovered`, of linear addition
    readers : floors, of the captions with what was added
    """
    said = (
        "With the labels in the captions linear addition goes from "
        f"{show(before.value, 'percent')} to {show(after.value, 'percent')}"
    )
    if (after - before).interval.low <= 0:
        return f"{said}: no gain beyond noise."
    parts = []
    for reader in readers:
        share = recovered(before, after, reader.measured)
        low, high = (show(end, "percent", 0).rstrip("%") for end in share.interval)
        parts.append(f"{reader.name} {show(share.value, 'percent', 0)} ({low} to {high})")
    return f"{said}. Of that way go, without a diffusion model: {', '.join(parts)}."


def named(labels: ArrayLike, matches: ArrayLike) -> dict[str, float]:
    """What a string match names, right and wrong.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1
    matches : array of shape (N, K), 0 or 1, from `data_prep.captions.string_match`

    Returns
    -------
    dict of "found", the share of the labels that are named, and "wrong", the share of the names that are of
    no label of the sample (0 where nothing is named)
    """
    labels, matches = np.asarray(labels, dtype=bool), np.asarray(matches, dtype=bool)
    hits, told = (labels & matches).sum(), matches.sum()
    return {"found": float(hits / labels.sum()), "wrong": float(1 - hits / told) if told else 0.0}
