"""Texts to train a text backbone on, and those that it is validated on: captions of scenes, and of real data.

No text that a profile tests on or validates on is trained on, and no label of a text is used: lists of
labels, as enhanced captions have them, are those of *another* text, so that the model learns that such lists
follow captions, not the answer.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import data_prep
from data_prep.captions import enhance, matcher
from data_prep.readers.reading import tab_rows
from data_prep.scenes.generate import FIRST_INDEX
from data_prep.scenes.language import captions
from data_prep.scenes.world import CATEGORIES
from difffeat import profiles

CALLED_RARE = 0.25  # share of the lists whose labels are all named again as rare; few really are
VALIDATION = 256


class Texts(NamedTuple):
    """Texts to train on and to validate on, and the names of the labels that they are about."""

    train: list[str]
    validation: list[str]
    names: tuple[str, ...]


def of_scenes(data_seed: int, count: int, seed: int) -> Texts:
    """Texts of every kind the model will be asked to read, of scenes [0, count) of a data seed.

    Shares of them are a caption, a caption and a list of labels, three captions of a scene. Only the last
    kind says a thing more than once: without it the model could read every word by itself.
    """
    shares = (0.3, 0.25, 0.45)
    known = captions(data_seed, 0, count)
    random = np.random.default_rng([seed, count])
    kinds = random.choice(len(shares), size=count, p=shares)
    texts = []
    for (sentences, _), kind, other in zip(known, kinds, random.permutation(count), strict=True):
        names = [CATEGORIES[label] for label in known[other][1]]
        listed = enhance(sentences[0], names, rare=names if random.random() < CALLED_RARE else ())
        texts.append((sentences[0], listed, " ".join(sentences[:3]))[kind])
    first = FIRST_INDEX["val"]
    validation = [sentences[0] for sentences, _ in captions(data_seed, first, first + VALIDATION)]
    return Texts(texts, validation, CATEGORIES)


def of_captions(count: int, seed: int) -> Texts:
    """Captions of real photographs: COCO's and Flickr30k's, a part of them with a list of names of COCO.

    The lists name what a string match finds in other captions: no label is read.

    Parameters
    ----------
    count : int, how many, drawn at random; 0 takes each caption once
    seed : int, of the draw and of the lists
    """
    parts = _parts("coco-text")
    tested = {caption for part in ("val", "test") for caption in parts[part].captions}
    reference = Path(os.environ["DIFFFEAT_REFERENCE"]) / "data"
    known = [row[2] for _, row in tab_rows(reference / "coco18_captions_30000" / "captions.tsv.gz")]
    for part in ("train", "val", "test_2016"):
        known += [one for _, row in tab_rows(reference / "multi30k_en" / f"{part}.tsv.gz") for one in row[1:]]
    known = [one for one in dict.fromkeys([*known, *parts["train"].captions]) if one not in tested]
    random = np.random.default_rng([seed, count])
    chosen = [known[place] for place in random.permutation(len(known))[: count or None]]
    names = parts["train"].names
    return Texts(_some_listed(chosen, names, 0.3, random), list(parts["val"].captions[:VALIDATION]), names)


def of_profiles(names: Sequence[str], count: int, seed: int) -> Texts:
    """The texts of the train parts of profiles, `count` of them at random, or with 0 all."""
    parts = [_parts(name) for name in names]
    known = list(dict.fromkeys(text for each in parts for text in each["train"].captions))
    random = np.random.default_rng([seed, count])
    chosen = [known[place] for place in random.permutation(len(known))[: count or None]]
    validation = [text for each in parts for text in each["val"].captions[: VALIDATION // len(parts)]]
    return Texts(chosen, validation, parts[0]["train"].names)


def _parts(profile):
    return data_prep.splits(profiles.expanded(profiles.load(profile).data, profile))


def _some_listed(texts: Sequence[str], names, share, random) -> list[str]:
    """The texts, a share of them with a list: names that stand in another text, and names at random.

    Those at random have every name come up, also what nobody writes of a picture.
    """
    forms, pattern = matcher(names, True)
    listed = random.random(len(texts)) < share
    made = []
    for text, other, lists in zip(texts, random.permutation(len(texts)), listed, strict=True):
        if lists:
            found = [forms[one.lower()] for one in pattern.findall(texts[other])]
            found += random.choice(names, size=random.integers(0, 4), replace=False).tolist()
            present = sorted({*found}, key=names.index)
            text = enhance(text, present, rare=present if random.random() < CALLED_RARE else ())
        made.append(text)
    return made
