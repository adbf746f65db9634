"""Semantic correspondence: where in one picture the part lies that a point of another picture shows.

Letters: N images, T tokens, D width, S pixels of a side, n pairs of objects, k keypoints of them, R draws.

The token at a keypoint of the source, upsampled to it, is compared with those at all pixels of the target by
their cosine; the nearest is what is found. It counts as right where it lies within a share alpha of the
longer side of the target's box (PCK at alpha). Resamples draw images: a pair counts as often as both of its
images do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from difffeat.base.remember import told
from difffeat.probing import pixels, projection
from difffeat.probing.activations import standardised
from difffeat.probing.object_pairs import Pairs
from difffeat.probing.resampled import check_resampling, multiplicities

ALPHAS = (0.1, 0.05, 0.15)  # the first is the one that points are chosen by
NONE = "none"


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
