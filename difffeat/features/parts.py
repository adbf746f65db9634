"""Features of several splits at once: train, val and test, under one or several noise seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from torch import nn

from difffeat.features import cache, extract, layout
from difffeat.features.recipe import identity, location

if TYPE_CHECKING:
    from difffeat.features.datasets import Split
    from difffeat.features.recipe import Recipe


def features(
    splits: Mapping[str, Split], backbone: nn.Module, recipe: Recipe, *, root: Path | str
) -> dict[str, cache.Features]:
    """Features of train, val and test, read from the cache or extracted first.

    Parameters
    ----------
    splits : dict of "train", "val", "test" to Split
    backbone : Backbone
    recipe : Recipe
    root : path, where the caches are

    Returns
    -------
    dict of part to cache.Features
    """
    return {part: extract.features(split, backbone, recipe, root=root) for part, split in splits.items()}


def decided(sides: Sequence[Mapping[str, cache.Features]], splits: Mapping[str, Split]) -> dict:
    """What decides numbers that are measured on features, but for the points: a key for `base.remember`.

    Parameters
    ----------
    sides : sequence of dicts of part to cache.Features, of one modality or of two, each of one noise seed
    splits : dict of the same parts to Split, in the order of the features
    """
    made = [{part: identity(taken.provenance) for part, taken in found.items()} for found in sides]
    return {"features": made, "samples": {part: split.digest for part, split in splits.items()}}


def fill(
    splits: Mapping[str, Split],
    backbone: nn.Module,
    recipe: Recipe,
    *,
    root: Path | str,
    seeds: Sequence[int] = (0,),
    shard: str = "1/1",
    batch_size: int | None = None,
    shard_size: int = 1024,
) -> pd.DataFrame:
    """Extract this machine's share of the features of every split and noise seed; what is there already is
    kept.

    Parameters
    ----------
    splits, backbone, recipe, root, seeds
        As for `grid.measure`, which then finds them.
    shard : "k/n", the k-th of n machines
    batch_size, shard_size : int, as for `extract.extract`

    Returns
    -------
    DataFrame, one row per cache: part, noise seed, samples, shards made so far and in all, MB so far, and
    whether the whole cache is there with every checksum right
    """
    rows = []
    for seed in seeds:
        for part, split in splits.items():
            seeded = replace(recipe, seed=seed)
            folder = location(root, seeded.of(split, backbone))
            sizes = dict(batch_size=batch_size, shard_size=shard_size)
            extract.extract(split, backbone, seeded, folder=folder, shard=shard, **sizes)
            made = sorted((folder / split.name).glob("*.h5"))
            rows.append(
                {
                    "part": part,
                    "noise seed": seed,
                    "samples": len(split),
                    "shards": len(made),
                    "of": -(-len(split) // shard_size),
                    "MB": round(sum(path.stat().st_size for path in made) / 1e6),
                    "verified": _verified(layout.view_path(folder, split.name)),
                }
            )
    return pd.DataFrame(rows)


def _verified(view):
    """Whether the cache is complete; a complete one with a wrong byte is an error."""
    return view.exists() and len(cache.verify(view)) > 0
