"""Captions with the names of labels taken out: what is left of one that does not give its labels away.

A neutral word stands wherever a label's name was, in what somebody wrote as well as in phrases that were
appended. It still shows how many names a caption held, and that one of them was rare: no string match can
say which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from data_prep import captions
from difffeat.features.datasets import Split


def mask(caption: str, names: Sequence[str], word: str = "thing", plurals: bool = True) -> str:
    """A caption with one word in place of every name of a label, whole words alone.

    Parameters
    ----------
    caption : str
    names : sequence of K str; of overlapping names the longest is replaced as one
    word : str, what stands there instead; the recipe's plural of it where the plural of a name was
    plurals : bool, replace names in the recipe's plural too

    Returns
    -------
    str

    Examples
    --------
    >>> mask("A hot dog and two Dogs", ["dog", "hot dog"])
    'A thing and two things'
    """
    return _masked([caption], names, word, plurals)[0]


def masked(split: Split, word: str = "thing", plurals: bool = True) -> Split:
    """A split with every caption masked by the names of its labels.

    Parameters
    ----------
    split : Split with captions
    word, plurals : as for `mask`

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        If the split has no captions, or the word is itself the name of a label.
    """
    if not split.captions:
        raise ValueError(f"split {split.name!r} has no captions to mask; read it with its captions file")
    if captions.string_match_scores([word], split.names, plurals).any():
        raise ValueError(f"{word!r} is the name of a label: it would not hide the others")
    return replace(split, captions=tuple(_masked(split.captions, split.names, word, plurals)))


def masked_splits(splits: Mapping[str, Split], word: str = "thing") -> dict[str, Split]:
    """All parts of a data set masked; see `masked`.

    Parameters
    ----------
    splits : dict of "train", "val", "test" to Split
    word : str

    Returns
    -------
    dict of the same parts to Split
    """
    return {part: masked(split, word) for part, split in splits.items()}


def _masked(texts, names, word, plurals):
    """Texts with the names replaced, singular by singular and plural by plural."""
    forms, pattern = captions.matcher(names, plurals)
    singular = {name.lower() for name in names}
    by_form = {form: word if form in singular else captions.plural(word) for form in forms}
    return [pattern.sub(lambda found: by_form[found.group().lower()], text) for text in texts]
