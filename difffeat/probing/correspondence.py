"""Semantic correspondence: where in one picture the part lies that a point of another picture shows.

Letters: N images, T tokens, D width, S pixels of a side, n pairs of objects, k keypoints of them, R draws.

The token at a keypoint of the source, upsampled to it, is compared with those at all pixels of the target by
their cosine; the nearest is what is found. It counts as right where it lies within a share alpha of the
longer side of the target's box (PCK at alpha). Resamples draw images: a pair counts as often as both of its
images do.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from difffeat.backbones.framing import frame
from difffeat.base.remember import told
from difffeat.probing import pixels, projection
from difffeat.probing.activations import standardised
from difffeat.probing.resampled import check_resampling, multiplicities

if TYPE_CHECKING:
    from difffeat.backbones.base import Backbone
    from difffeat.features.datasets import Split
    from difffeat.features.dense import Annotated

ALPHAS = (0.1, 0.05, 0.15)  # the first is the one that points are chosen by
NONE = "none"


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


@dataclass(frozen=True)
class Correspondence:
    """The task, with the pairs that it is judged on.

    Attributes
    ----------
    pairs : dict of "val" and "test" to Pairs, and of "train" where a projection is learned
    side : int, S
    scale : "standard", by the mean and standard deviation of each number over the first part, or "none"
    width : int, of a learned projection; 0 compares tokens as they are
    steps : int, that it is trained for
    """

    pairs: Mapping[str, Pairs]
    side: int
    scale: str = "standard"
    width: int = 0
    steps: int = 300

    metrics = tuple(f"PCK@{alpha:g}" for alpha in ALPHAS)
    code = ("probing/correspondence.py", "probing/projection.py")

    def __post_init__(self) -> None:
        if self.scale not in ("standard", NONE):
            raise ValueError(f'scale must be "standard" or "none", got {self.scale!r}')
        for part, pairs in self.pairs.items():
            if not len(pairs):
                raise ValueError(f"{part} has no two objects of a category with a keypoint in common")

    @property
    def told(self) -> dict:
        """What decides the counts besides the tokens."""
        held = {
            part: [told(one.images, one.reach, one.pair, one.source, one.target)]
            for part, one in self.pairs.items()
        }
        return {"correspondence": [self.side, self.scale, self.width, self.steps], "pairs": held}

    def counts(self, tokens: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """How far off each keypoint is found, in longer sides, (k,); and where, of test, as `found`."""
        if self.scale == "standard":
            tokens = standardised(tokens)
        if self.width:
            given = tokens["train"], self.pairs["train"], self.side
            tokens = projection.learned(*given, width=self.width, steps=self.steps)(tokens)
        counts = {}
        for part in ("val", "test"):
            pairs = self.pairs[part]
            places = matches(tokens[part], pairs, self.side)
            off = np.linalg.norm(places - pairs.target, axis=1) / pairs.reach[pairs.pair]
            counts |= {part: off.astype(np.float32), "found": places.astype(np.float32)}
        return counts

    def values(self, part: str, counts: np.ndarray) -> dict[str, float]:
        """The share of keypoints that are found, at each alpha."""
        return {name: float(hits.mean()) for name, hits in self._hits(counts)}

    def draws(self, part: str, counts: np.ndarray, *, draws: int, seed: int) -> dict[str, np.ndarray]:
        """The same in resamples of the images."""
        pairs = self.pairs[part]
        count = int(pairs.images.max()) + 1
        check_resampling(count, draws)
        drawn = multiplicities(count, draws, seed).double().numpy()  # (N, R)
        weight = drawn[pairs.images[:, 0]] * drawn[pairs.images[:, 1]]  # (n, R)
        weight = weight[pairs.pair]  # (k, R)
        total = weight.sum(axis=0)
        return {
            name: np.divide(hits @ weight, total, out=np.full(draws, np.nan), where=total > 0)
            for name, hits in self._hits(counts)
        }

    def _hits(self, off):
        return [(name, off <= alpha) for name, alpha in zip(self.metrics, ALPHAS, strict=True)]


def matches(tokens: np.ndarray, pairs: Pairs, side: int) -> np.ndarray:
    """The middle of the pixel of each target that is nearest by cosine, (k, 2) as x and y.

    Parameters
    ----------
    tokens : array of shape (N, T, D)
    pairs : Pairs
    side : int, S

    Notes
    -----
    Upsampled tokens are never made: their products with a vector are those of the tokens, upsampled, and
    their lengths follow from the products of the tokens with each other.
    """
    held = torch.from_numpy(np.asarray(tokens, np.float32))
    shares = pixels.upsampling(held.shape[1], side)  # (S S, T)
    rows = pixels.rows_of(pairs.source, side)
    sources = pairs.images[pairs.pair, 0]
    asked = torch.bmm(shares[rows][:, None], held[torch.from_numpy(sources)])[:, 0]  # (k, D)
    found, targets = np.zeros((len(pairs.pair), 2)), pairs.images[pairs.pair, 1]
    for image in np.unique(targets):
        (those,) = np.nonzero(targets == image)
        of_image = held[image]
        lengths = ((shares @ (of_image @ of_image.T)) * shares).sum(dim=1).clamp(min=1e-12).sqrt()
        products = asked[torch.from_numpy(those)] @ of_image.T @ shares.T  # (k', S S)
        best = (products / lengths).argmax(dim=1).numpy()
        found[those] = np.stack([best % side, best // side], axis=1) + 0.5
    return found
