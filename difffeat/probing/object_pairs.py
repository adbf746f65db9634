"""Pairs of objects of a category in two pictures, with the keypoints that both show.

Letters: n pairs, k keypoints of all pairs.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from difffeat.backbones.framing import frame

if TYPE_CHECKING:
    from difffeat.backbones.base import Backbone
    from difffeat.features.datasets import Split
    from difffeat.features.dense import Annotated


@dataclass(frozen=True)
class Pairs:
    """Pairs of objects of a category in two images of a split, in pixels of the squares that a model reads.

    Attributes
    ----------
    images : int array (n, 2), rows of source and target in the split
    categories : tuple of n str
    reach : float array (n,), the longer side of the target's box
    pair : int array (k,), which pair a keypoint is of
    names : tuple of k str, which part it is
    source, target : float arrays (k, 2), where it lies in either image
    """

    images: np.ndarray
    categories: tuple[str, ...]
    reach: np.ndarray
    pair: np.ndarray
    names: tuple[str, ...]
    source: np.ndarray
    target: np.ndarray

    def __len__(self) -> int:
        return len(self.images)


def drawn(objects: Sequence[Annotated], each: int = 2, seed: int = 0) -> list[tuple[int, int]]:
    """Pairs of objects of a category in two images, as places in the list: of each object up to `each`
    targets.

    A target is the only one of its category in its image: else there would be two right places.

    Parameters
    ----------
    objects : sequence of Annotated
    each : int
    seed : int, of the draw
    """
    alone = Counter((one.image, one.category) for one in objects)
    targets, random, found = defaultdict(list), np.random.default_rng([seed, 5]), []
    for place, one in enumerate(objects):
        if alone[one.image, one.category] == 1 and one.points:
            targets[one.category].append(place)
    for place, one in enumerate(objects):
        others = [
            other
            for other in targets[one.category]
            if objects[other].image != one.image and objects[other].points.keys() & one.points.keys()
        ]
        found += [(place, int(other)) for other in random.permutation(others)[:each]]
    return found


def framed(
    objects: Sequence[Annotated], chosen: Sequence[tuple[int, int]], split: Split, backbone: Backbone
) -> Pairs:
    """Pairs in the squares that a backbone reads, with the keypoints that both objects show there.

    Parameters
    ----------
    objects : sequence of Annotated chosen : sequence of (place of the source, place of the target), as
    `drawn` gives them; those with an image
        that is not of the split, and those without a keypoint in both, are left out
    split : Split
    backbone : Backbone
    """
    rows = {int(sample): row for row, sample in enumerate(split.ids)}
    frames = {}
    columns = defaultdict(list)
    for pair in chosen:
        source, target = (objects[place] for place in pair)
        if not {source.image, target.image} <= rows.keys():
            continue
        for one in (source, target):
            if one.image not in frames:
                size = split.image(rows[one.image]).size
                frames[one.image] = frame(*size, backbone.image_side, backbone.framing)
        ends = [_inside(one, frames[one.image]) for one in (source, target)]
        both = [name for name in ends[0] if name in ends[1]]
        if both:
            columns["pair"] += [len(columns["images"])] * len(both)
            columns["names"] += both
            columns["source"] += [ends[0][name] for name in both]
            columns["target"] += [ends[1][name] for name in both]
            columns["images"].append([rows[one.image] for one in (source, target)])
            columns["categories"].append(source.category)
            columns["reach"].append(_longer_side(target, frames[target.image]))
    return Pairs(
        np.array(columns["images"], int).reshape(-1, 2),
        tuple(columns["categories"]),
        np.array(columns["reach"], float),
        np.array(columns["pair"], int),
        tuple(columns["names"]),
        *(np.array(columns[end], float).reshape(-1, 2) for end in ("source", "target")),
    )


def examples(pairs: Pairs, count: int) -> list[int]:
    """The first pair of each of the most frequent categories, `count` of them, for a page to show."""
    frequent = [category for category, _ in Counter(pairs.categories).most_common(count)]
    return [pairs.categories.index(category) for category in frequent]


def _inside(one, of_image):
    """The keypoints of an object that lie in the square, by name."""
    if not one.points:
        return {}
    places = of_image.points(np.array(list(one.points.values())))
    kept = ((places >= 0) & (places < of_image.side)).all(axis=1)
    return {name: place for name, place, keep in zip(one.points, places, kept, strict=True) if keep}


def _longer_side(one, of_image):
    left, top, right, bottom = one.box
    return max((right - left) * of_image.scale[0], (bottom - top) * of_image.scale[1])
