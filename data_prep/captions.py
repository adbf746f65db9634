"""Enhanced captions: the recipe that writes an image's labels into its caption, and what that gives away.

Letters: N samples, K labels. The defaults are the one recipe that matches the paper's Table 8, the lengths
of 82,783 training captions. The paper leaves much of it open, and its own example (Appendix A) lists two of
twelve labels, so every choice is a parameter. Which of an image's captions is enhanced is a choice of the
reader (`caption` of `data_prep.readers.coco.read`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike

from difffeat.features.datasets import Split

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LISTED = ("all", "unmentioned")
LABELS_PHRASE = " In this photo, there are also some {}."
RARE_PHRASE = " In the photo's subtle background, you can also spot some {}."


def plural(name: str) -> str:
    """The recipe's plural: "es" after s, x, ch or sh, else "s", whatever English says: persons, mouses.

    Parameters
    ----------
    name : str

    Returns
    -------
    str
    """
    return name + ("es" if name.endswith(("s", "x", "ch", "sh")) else "s")


def rare_categories(labels: ArrayLike, names: Sequence[str], threshold: float = 0.01) -> tuple[str, ...]:
    """Names of the categories in fewer than a share of the images, in the order of the columns.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1; of the training split, so that nothing is learned from the others
    names : sequence of K str
    threshold : float, share of the N images

    Returns
    -------
    tuple of str

    Source
    ------
    Diff-Feat, Appendix A and Table 3: fewer than 1 % of all images, those without labels counted.
    """
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.shape[1] != len(names) or not len(labels):
        raise ValueError(f"labels must be (N, K) with K = {len(names)} names, got shape {labels.shape}")
    return tuple(name for name, share in zip(names, labels.mean(axis=0), strict=True) if share < threshold)


def enhance(
    caption: str,
    labels: Sequence[str],
    rare: Collection[str] = (),
    *,
    listed: str = "all",
    plurals: bool = True,
    labels_phrase: bool = True,
    rare_phrase: bool = True,
) -> str:
    """Append an image's labels to its caption.

    Parameters
    ----------
    caption : str
    labels : sequence of str, names of the image's labels, in the order they are to be listed
    rare : collection of str, the rare categories
    listed : "all" labels, or only those "unmentioned" by the caption
    plurals : bool, list names in the plural
    labels_phrase : bool, append "In this photo, there are also some ..."
    rare_phrase : bool, append "In the photo's subtle background, you can also spot some ..." with the labels
        that are rare, which the first phrase lists too

    Returns
    -------
    str
        The stripped caption, unchanged if there is nothing to list; else with a full stop and the phrases.

    Examples
    --------
    >>> enhance("A bear by a bench", ["bench", "bear"], rare={"bear"})
    "A bear by a bench. In this photo, there are also some benches, bears. In the photo's subtle background, \
you can also spot some bears."

    Source
    ------
    Diff-Feat, Appendix A.
    """
    if listed not in LISTED:
        raise ValueError(f"listed must be one of {', '.join(LISTED)}, got {listed!r}")
    caption = caption.strip()
    if listed == "unmentioned":
        mentioned = _mentioned(caption, matcher(labels, True)) if labels else set()
        labels = [name for name in labels if name not in mentioned]
    phrases = [
        (LABELS_PHRASE, labels if labels_phrase else []),
        (RARE_PHRASE, [name for name in labels if name in rare] if rare_phrase else []),
    ]
    form = plural if plurals else str
    appended = "".join(phrase.format(", ".join(map(form, names))) for phrase, names in phrases if names)
    return caption if not appended else caption.removesuffix(".") + "." + appended


def enhanced(split: Split, rare: Collection[str] = (), **choices: object) -> Split:
    """A split with every caption enhanced.

    Parameters
    ----------
    split : Split with captions
    rare : collection of str, from `rare_categories` of the training split
    **choices : the keyword parameters of `enhance`

    Returns
    -------
    Split
    """
    if not split.captions:
        raise ValueError(f"split {split.name!r} has no captions to enhance; read it with its captions file")
    rows = zip(split.captions, split.labels, strict=True)
    captions = [enhance(caption, _present(row, split.names), rare, **choices) for caption, row in rows]
    return replace(split, captions=tuple(captions))


def enhanced_splits(
    splits: Mapping[str, Split], rare_below: float = 0.01, **choices: object
) -> dict[str, Split]:
    """All parts of a data set enhanced; which categories are rare is read off the training part.

    Parameters
    ----------
    splits : dict of "train", "val", "test" to Split
    rare_below : float, share of the training images
    **choices : the keyword parameters of `enhance`

    Returns
    -------
    dict of the same parts to Split
    """
    rare = rare_categories(splits["train"].labels, splits["train"].names, rare_below)
    return {part: enhanced(split, rare, **choices) for part, split in splits.items()}


def string_match_scores(captions: Sequence[str], names: Sequence[str], plurals: bool = True) -> np.ndarray:
    """Scores without any model: 1 where a label's name occurs in the caption as whole words, else 0.

    Of overlapping names the longest counts: "hot dog" is no dog.

    Parameters
    ----------
    captions : sequence of N str
    names : sequence of K str
    plurals : bool, also count the name in the recipe's plural

    Returns
    -------
    ndarray of float64, shape (N, K)
    """
    pattern = matcher(names, plurals)
    scores = np.zeros((len(captions), len(names)))
    for row, caption in zip(scores, captions, strict=True):
        mentioned = _mentioned(caption, pattern)
        row[:] = [name in mentioned for name in names]
    return scores


def string_match(split: Split) -> np.ndarray:
    """`string_match_scores` of a split's captions and names."""
    return string_match_scores(split.captions, split.names)


def length_counts(
    captions: Sequence[str], tokenizer: Tokenizer, longest: int = 15, ranges: int = 6
) -> pd.DataFrame:
    """How many captions have how many tokens, in ranges of equal width.

    Parameters
    ----------
    captions : sequence of N str
    tokenizer : tokenizers.Tokenizer; special tokens are not counted
    longest : int, upper end of the first range and width of all
    ranges : int, how many; longer captions are counted in the last

    Returns
    -------
    DataFrame
        Columns shortest, longest, samples: those of the paper's Table 8.
    """
    return _in_ranges(np.bincount(_lengths(captions, tokenizer)), longest, ranges)


def expected_length_counts(
    captions: Sequence[str],
    labels: ArrayLike,
    names: Sequence[str],
    tokenizer: Tokenizer,
    rare: Collection[str] = (),
    *,
    longest: int = 15,
    ranges: int = 6,
    **choices: object,
) -> pd.DataFrame:
    """How long the enhanced captions of images would be whose labels are known and whose captions are not.

    Their captions are taken to be as long as the given ones, whatever the labels: each image's appended
    phrases meet the length of every given caption, with equal weight. Byte-level tokens do not cross a space,
    so that a caption and a phrase add up.

    Parameters
    ----------
    captions : sequence of str, of other images
    labels : array of shape (N, K), of the images in question
    names : sequence of K str
    tokenizer, longest, ranges : as for `length_counts`
    rare, **choices : as for `enhance`

    Returns
    -------
    DataFrame as from `length_counts`; `samples` are expected counts, not whole numbers
    """
    start = "x."  # stands for the caption
    phrases = [enhance(start, _present(row, names), rare, **choices).removeprefix(start) for row in labels]
    appended = np.bincount(_lengths([phrase for phrase in phrases if phrase], tokenizer), minlength=1)
    stops = [caption.strip().removesuffix(".") + "." for caption in captions]
    told = np.convolve(_share(stops, tokenizer), appended)
    untold = _share([caption.strip() for caption in captions], tokenizer) * phrases.count("")
    counts = np.zeros(max(len(told), len(untold)))
    counts[: len(told)] += told
    counts[: len(untold)] += untold
    return _in_ranges(counts, longest, ranges)


def through_noise(
    captions: Sequence[str], tokenizer: Tokenizer, embeddings: torch.Tensor, gamma: float, seed: int = 0
) -> list[str]:
    """What can still be read of captions under noise, one token at a time: the nearest embedding wins.

    Parameters
    ----------
    captions : sequence of N str
    tokenizer : tokenizers.Tokenizer
    embeddings : Tensor of shape (V, E), unit rows, one for each token
    gamma : float, logarithm of the noise's variance over the signal's, as in Plaid's schedule
    seed : int

    Returns
    -------
    list of N str
    """
    generator, read = torch.Generator().manual_seed(seed), []
    alpha, sigma = (torch.sigmoid(torch.tensor(sign * gamma)).sqrt() for sign in (-1.0, 1.0))
    for encoding in tokenizer.encode_batch(list(captions), add_special_tokens=False):
        clean = embeddings[encoding.ids]  # (T, E)
        noised = alpha * clean + sigma * torch.randn(clean.shape, generator=generator)
        read.append(tokenizer.decode((noised @ embeddings.T).argmax(dim=1).tolist()))
    return read


def _lengths(captions, tokenizer):
    """Tokens of each caption, special ones not counted."""
    encodings = tokenizer.encode_batch(list(captions), add_special_tokens=False)
    return np.array([len(encoding.ids) for encoding in encodings], dtype=np.int64)


def _share(captions, tokenizer):
    """Share of the captions that have 0, 1, 2, ... tokens."""
    return np.bincount(_lengths(captions, tokenizer)) / len(captions)


def _in_ranges(counts, longest, ranges):
    """Counts of lengths 0, 1, 2, ... added up in ranges of equal width; what is longer goes to the last."""
    place = np.clip((np.arange(len(counts)) - 1) // longest, 0, ranges - 1)
    ends = longest * np.arange(1, ranges + 1)
    samples = np.bincount(place, weights=counts, minlength=ranges)
    if np.issubdtype(counts.dtype, np.integer):
        samples = samples.astype(np.int64)
    return pd.DataFrame({"shortest": ends - longest + 1, "longest": ends, "samples": samples})


def _present(row, names):
    return [name for name, on in zip(names, row, strict=True) if on]


def matcher(names: Sequence[str], plurals: bool) -> tuple[dict[str, str], re.Pattern]:
    """{form, lower case: name} and the pattern that finds the longest of these forms at each place."""
    forms = {name.lower(): name for name in names}
    if plurals:
        forms = {plural(name.lower()): name for name in names} | forms
    longest_first = sorted(forms, key=len, reverse=True)
    return forms, re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b", re.IGNORECASE)


def _mentioned(caption, matcher):
    forms, pattern = matcher
    return {forms[found.lower()] for found in pattern.findall(caption)}


def lengths_of_others(
    told: Split, labelled: Split, tokenizer: Tokenizer, rare: Collection[str], **choices: object
) -> pd.Series:
    """Expected counts of lengths of enhanced captions, where labels and captions are of different samples.

    Which labels a caption names is known only of samples that have both: for `listed="unmentioned"` counts
    are those of these, in proportion.

    Parameters
    ----------
    told : Split with captions
    labelled : Split whose labels are appended to each of those captions in turn
    tokenizer, rare, **choices : as for `enhanced` and `length_counts`

    Returns
    -------
    Series, one number a range of `length_counts`
    """
    if choices.get("listed") == "unmentioned":
        counts = length_counts(enhanced(told, rare, **choices).captions, tokenizer)
        return counts.samples * len(labelled) / len(told)
    how = told.captions, labelled.labels, labelled.names, tokenizer, rare
    return expected_length_counts(*how, **choices).samples


def total_variation(counts: pd.Series, others: pd.Series) -> float:
    """Share of samples that would have to change range to turn one list of counts into the other."""
    return float((counts / counts.sum() - others / others.sum()).abs().sum() / 2)
