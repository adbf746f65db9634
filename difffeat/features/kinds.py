"""Labels by kind: data that say several things of a sample, as type and colour, cut into one set for each."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from difffeat.features.datasets import Split


def by_kind(splits: Mapping[str, Split]) -> dict[str, dict[str, Split]]:
    """{kind: the splits with the labels of that kind alone}, in the order in which kinds come.

    The samples stay, those that have no label of a kind among them, and so do their features.

    Parameters
    ----------
    splits : dict of part to Split with `kinds`, the same in all

    Raises
    ------
    ValueError
        If the splits say no kinds.
    """
    kinds = dict.fromkeys(next(iter(splits.values())).kinds)
    if not kinds:
        raise ValueError("these splits do not say of what kind their labels are")
    return {kind: {part: _of(split, kind) for part, split in splits.items()} for kind in kinds}


def _of(split, kind):
    columns = np.flatnonzero(np.array(split.kinds) == kind)
    return replace(
        split,
        names=[split.names[column] for column in columns],
        kinds=[kind] * len(columns),
        labels=split.labels[:, columns],
        ignored=None if split.ignored is None else split.ignored[:, columns],
    )
