"""Ways of noising beside each other: at the same points, on the same samples, probed alike.

Letters: P points, N samples, D width, R draws. A way is a name and a list of features {part: (P, N, D)}, one
for each draw of noise; a way that draws nothing has one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from difffeat.features import extract
from difffeat.features.points import Point, points_of
from difffeat.probing import probe, scoring, stats
from difffeat.probing.stats import Measured

if TYPE_CHECKING:
    from difffeat.backbones.base import Backbone
    from difffeat.features.datasets import Split
    from difffeat.features.recipe import Recipe
    from difffeat.probing.grid import Grid

PARTS = ("train", "test")  # nothing is chosen here, so val is not read
AVERAGED = "random, draws averaged"


def fewer(splits: Mapping[str, Split], samples: Sequence[int]) -> dict[str, Split]:
    """The first samples of train and test.

    Parameters
    ----------
    splits : dict of "train", "val", "test" to Split
    samples : (int, int), of train and test; 0 takes all
    """
    return {
        part: splits[part].select(splits[part].ids[: count or None])
        for part, count in zip(PARTS, samples, strict=True)
    }


def drawn(grid: Grid, points: Sequence[Point], splits: Mapping[str, Split]) -> list[dict]:
    """A way that a grid has the features of, at some of its points, of the first of its samples.

    Parameters
    ----------
    grid : Grid, of the samples that `splits` are the first of
    points : sequence of P of its points
    splits : dict of part to Split, from `fewer`

    Returns
    -------
    list of dict of part to ndarray (P, N, D), one for each noise seed of the grid

    Raises
    ------
    ValueError
        If the grid's first samples are others.
    """
    return [
        {part: _rows(held[part], points, split) for part, split in splits.items()} for held in grid.features
    ]


def _rows(found, points, split):
    """Features of the samples of a split, (P, N, D), from those of more samples."""
    if list(found.ids[: len(split)]) != list(split.ids):
        raise ValueError(f"these features are not of the first {len(split)} samples of {split.name!r}")
    return np.stack([found.read(point)[: len(split)] for point in points])


def made(
    splits: Mapping[str, Split],
    backbone: Backbone,
    recipe: Recipe,
    kinds: Sequence[str],
    *,
    root: Path | str,
) -> dict[str, list[dict]]:
    """Ways that are extracted first: one for each kind of noising.

    Parameters
    ----------
    splits : dict of part to Split
    backbone : Backbone
    recipe : Recipe, whose noising is each of `kinds` in turn
    kinds : sequence of str, "mean", "ddim", "ddim-5"
    root : path, where the caches are
    """
    points, ways = points_of(recipe.blocks, recipe.timesteps), {}
    for kind in kinds:
        told = replace(recipe, noising=kind)
        found = {part: extract.features(split, backbone, told, root=root) for part, split in splits.items()}
        ways[kind] = [{part: _rows(found[part], points, split) for part, split in splits.items()}]
    return ways


def averaged(way: Sequence[Mapping[str, np.ndarray]]) -> list[dict]:
    """Features averaged over the draws of a way: one probe reads what several draws have in common."""
    return [{part: np.mean([draw[part] for draw in way], axis=0) for part in way[0]}]


def probed(
    splits: Mapping[str, Split],
    ways: Mapping[str, Sequence[Mapping[str, np.ndarray]]],
    *,
    metric: str = "mAP",
    resamples: int = 200,
    **probing: object,
) -> dict[str, Measured]:
    """What each way reaches on test: probes of one length and order of batches, resamples of the same images.

    Parameters
    ----------
    splits : dict of "train" and "test" to Split
    ways : dict of name to a way
    metric : str, a name in `scoring.SCORINGS`
    resamples : int, R
    **probing : as for `probe.fit_grid`

    Returns
    -------
    dict of name to Measured, values (P,) and draws (R, P); draws resample images, and noise where there are
    several draws of it
    """
    found = {}
    for name, way in ways.items():
        judged = [_judged(splits, features, metric, resamples, probing) for features in way]
        values, draws = zip(*judged, strict=True)
        found[name] = Measured(np.mean(values, axis=0), stats.over_seeds(np.stack(draws, axis=1)))
    return found


def _judged(splits, features, metric, resamples, probing):
    """(P,) and (R, P) of one draw of noise."""
    by = scoring.scoring(metric)
    probes = probe.fit_grid(features["train"], splits["train"].labels, loss=by.loss, **probing)
    judged = splits["test"].judged(probes.scores(features["test"]))
    return by.value(*judged), by.draws(*judged, draws=resamples)


def apart(
    split: Split, backbone: Backbone, recipe: Recipe, kinds: Sequence[str], *, root: Path | str
) -> dict[str, float]:
    """How far features lie from those of `mean` noising, in units of how far samples lie apart.

    Parameters
    ----------
    split : Split, a few samples
    backbone, recipe, root : as for `made`
    kinds : sequence of str, noisings

    Returns
    -------
    dict of kind to float
        The root of the mean squared distance of a sample's features from its features under `mean`, divided
        by that of the features under `mean` from their mean over samples: 0 is the same, 1 as far as the
        average sample.
    """
    ways = made({"test": split}, backbone, recipe, ["mean", *kinds], root=root)
    features = {kind: way[0]["test"].astype(np.float64) for kind, way in ways.items()}  # (P, N, D)
    quiet = features["mean"]
    spread = np.square(quiet - quiet.mean(axis=1, keepdims=True)).mean()
    return {kind: float(np.sqrt(np.square(features[kind] - quiet).mean() / spread)) for kind in kinds}


def joined(found: Sequence[Measured]) -> Measured:
    """Several numbers of P points each as one of all their points, in that order."""
    values, draws = ([getattr(number, name) for number in found] for name in ("value", "draws"))
    return Measured(np.concatenate(values), np.concatenate(draws, axis=1))


def over_points(found: Mapping[str, Measured]) -> dict[str, Measured]:
    """Each way averaged over its points."""
    return {
        name: Measured(float(np.mean(number.value)), number.draws.mean(axis=1))
        for name, number in found.items()
    }


def identified(found: Mapping[str, object]) -> dict[str, object]:
    """Ways under names that ids can hold: "random, draws averaged" is random_draws_averaged."""
    return {re.sub(r"\W+", "_", name): value for name, value in found.items()}
