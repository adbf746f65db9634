"""Text features against the number of tokens that texts are cut or padded to.

Letters: N texts, n lengths, R draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from difffeat.probing import grid, stats
from difffeat.probing.stats import Measured

if TYPE_CHECKING:
    from difffeat.backbones.plaid import Plaid
    from difffeat.features.datasets import Split
    from difffeat.features.recipe import Recipe


@dataclass(frozen=True)
class Curve:
    """A metric at several lengths, with the names that a grid gives the same things.

    Attributes
    ----------
    lengths : tuple of n int, rising
    values, val : arrays (n,), the metric on test and on val
    draws, val_draws : arrays (R, n)
    metric : str, a name in `scoring.SCORINGS`
    features : tuple of dicts of part to cache.Features, one for each length
    """

    lengths: tuple
    values: np.ndarray
    draws: np.ndarray
    val: np.ndarray
    val_draws: np.ndarray
    metric: str = "mAP"
    features: tuple = ()

    @property
    def best(self) -> int:
        """The length with the highest metric on val; of equal ones the first."""
        return self.lengths[int(self.val.argmax())]

    @property
    def choices(self) -> tuple[int, np.ndarray]:
        """Place of the best length on val, and in each draw, (R,)."""
        return int(self.val.argmax()), self.val_draws.argmax(axis=1)

    @property
    def at_best(self) -> Measured:
        """The metric on test at the best length, with draws that choose it anew; see `Grid.at_best`."""
        place, places = self.choices
        return stats.around(float(self.values[place]), self.draws[np.arange(len(places)), places])

    def at(self, length: int) -> Measured:
        """The metric on test at one length."""
        place = self.lengths.index(length)
        return Measured(float(self.values[place]), self.draws[:, place])

    def lost(self, whole: int) -> Measured:
        """The metric at a length that cuts no text, less that at the longest: what padding alone takes."""
        return self.at(whole) - self.at(self.lengths[-1])


def tokens(backbone: Plaid, texts: Sequence[str]) -> np.ndarray:
    """How many tokens each text has before it is cut or padded, (N,) int."""
    return np.array([len(encoded.ids) for encoded in backbone.tokenizer.encode_batch(list(texts))])


def chosen(counts: np.ndarray, quantiles: Sequence[float], beyond: Sequence[float]) -> list[int]:
    """Lengths to cut or pad to, rising: quantiles of the texts' own, then multiples of the longest.

    Parameters
    ----------
    counts : array (N,), tokens of each text
    quantiles : floats in [0, 1]
    beyond : floats of at least 1, times the longest text: nothing is cut there, padding alone grows
    """
    inside = np.quantile(counts, quantiles, method="inverted_cdf")
    outside = np.ceil(np.asarray(beyond, dtype=float) * counts.max())
    return sorted({max(1, int(length)) for length in (*inside, *outside)})


def whole(counts: np.ndarray, lengths: Sequence[int]) -> int:
    """The first of these rising lengths that cuts none of the texts, or the last where all cut some."""
    return next((length for length in lengths if length >= counts.max()), lengths[-1])


def shares(counts: np.ndarray, lengths: Sequence[int]) -> dict[str, np.ndarray]:
    """What each length does to texts of these numbers of tokens.

    Returns
    -------
    dict of "texts cut" (share of the texts that lose tokens) and "padding" (share of all positions) to (n,)
    """
    kept = np.minimum(np.asarray(counts)[:, None], lengths)  # (N, n)
    cut = (np.asarray(counts)[:, None] > lengths).mean(axis=0)
    return {"texts cut": cut, "padding": 1 - kept.mean(axis=0) / lengths}


def measure(
    splits: Mapping[str, Split], backbone: Plaid, recipe: Recipe, lengths: Sequence[int], **how: object
) -> Curve:
    """Probe one point of text features at every length.

    Parameters
    ----------
    splits, **how : as for `grid.measure`
    backbone : Plaid
    recipe : Recipe of one block and one timestep
    lengths : sequence of n int, rising

    Returns
    -------
    Curve
    """
    if len(recipe.blocks) != 1 or len(recipe.timesteps) != 1:
        raise ValueError(f"expected one block and one timestep, got {recipe.blocks} and {recipe.timesteps}")
    grids = [grid.measure(splits, backbone.at_length(length), recipe, **how) for length in lengths]
    held = {name: np.stack([getattr(one, name)[:, 0, 0] for one in grids], axis=1) for name in grid.ARRAYS}
    values = {"values": held["test"].mean(axis=0), "val": held["val"].mean(axis=0)}
    features = tuple(one.features[0] for one in grids)
    return Curve(
        tuple(lengths),
        draws=held["draws"],
        val_draws=held["val_draws"],
        metric=grids[0].metric,
        features=features,
        **values,
    )


def by_pooling(
    splits: Mapping[str, Split],
    backbone: Plaid,
    recipe: Recipe,
    lengths: Sequence[int],
    poolings: Sequence[str],
    **how: object,
) -> dict[str, Curve]:
    """`measure` for each pooling: {pooling: Curve}."""
    return {
        pooling: measure(splits, backbone, replace(recipe, pooling=pooling), lengths, **how)
        for pooling in poolings
    }


def grids(curves: Mapping[str, Curve]) -> list[Curve]:
    """The curves as a page records them: each holds the features behind it, as a grid does."""
    return list(curves.values())
