"""A (block, timestep) grid measured: features of train, val and test, probes trained together, their metric
with intervals.

Letters: S noise seeds, T timesteps, B blocks, R resamples, N samples, K labels. Points are chosen on val,
numbers are read on test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from difffeat.base.remember import each_remembered
from difffeat.features import cache, extract, layout
from difffeat.features.points import Point
from difffeat.features.recipe import location
from difffeat.probing import probe, scoring, stats

if TYPE_CHECKING:
    from difffeat.backbones.base import Backbone
    from difffeat.features.datasets import Split
    from difffeat.features.recipe import Recipe

MADE_BY = ("grid", "probe", "scoring", "metrics", "resampled", "stats")  # the modules that make a grid
CODE = tuple(f"probing/{name}.py" for name in MADE_BY)
RESAMPLING = {"test": 0, "val": 1}  # seeds of the resamples: test images move apart from val images


@dataclass(frozen=True)
class Grid:
    """mAP (or another metric) of a linear probe at every point of a grid, as fractions.

    Attributes
    ----------
    timesteps, blocks : tuples of int, T and B of them
    val, test : arrays of shape (S, T, B)
    draws : array of shape (R, T, B), the metric on test over resampled images and noise seeds
    val_draws : array of shape (R, T, B), the same on val: what a point is chosen by, in each draw
    metric : str, a name in `scoring.SCORINGS`
    features : tuple of dicts of part to cache.Features, one for each noise seed
    """

    timesteps: tuple
    blocks: tuple
    val: np.ndarray
    test: np.ndarray
    draws: np.ndarray
    val_draws: np.ndarray
    features: tuple = ()
    metric: str = "mAP"

    @property
    def values(self) -> np.ndarray:
        """The metric on test averaged over noise seeds, (T, B)."""
        return self.test.mean(axis=0)

    @property
    def best(self) -> Point:
        """The Point with the highest metric on val; of equal ones the first."""
        row, column = np.unravel_index(self.val.mean(axis=0).argmax(), self.values.shape)
        return Point(self.timesteps[row], self.blocks[column])

    @property
    def choices(self) -> tuple[int, np.ndarray]:
        """Where val is best: the place among the T * B points, and the places in each draw, (R,)."""
        draws = self.val_draws.reshape(len(self.val_draws), -1)
        return int(self.val.mean(axis=0).argmax()), draws.argmax(axis=1)

    @property
    def at_best(self) -> stats.Measured:
        """The metric on test at the best point, with draws that choose the point anew on their own val.

        Returns
        -------
        Measured
            Its interval holds the uncertainty of the choice. Resamples choose worse than val does, for they
            hold its noise twice: so their draws are moved to lie around the value.
        """
        place, places = self.choices
        draws = self.draws.reshape(len(self.draws), -1)
        return stats.around(float(self.values.flat[place]), draws[np.arange(len(draws)), places])

    @property
    def on_val(self) -> Grid:
        """The same grid as a search may see it: `values` are those of val."""
        return replace(self, test=self.val, draws=self.val_draws)

    def at(self, timestep: int, block: int) -> stats.Measured:
        """The metric on test at one point, `Measured`."""
        row, column = self.timesteps.index(timestep), self.blocks.index(block)
        return stats.Measured(float(self.values[row, column]), self.draws[:, row, column])

    @property
    def average(self) -> stats.Measured:
        """The metric averaged over the points of the grid, `Measured`: how Table 4 sums up a grid."""
        return stats.Measured(float(self.values.mean()), self.draws.mean(axis=(1, 2)))


def features(
    splits: Mapping[str, Split], backbone: Backbone, recipe: Recipe, *, root: Path | str
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


def fill(
    splits: Mapping[str, Split],
    backbone: Backbone,
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
        As for `measure`, which then finds them.
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


def measure(
    splits: Mapping[str, Split],
    backbone: Backbone,
    recipe: Recipe,
    *,
    root: Path | str,
    seeds: Sequence[int] = (0,),
    metric: str = "mAP",
    resamples: int = 200,
    probing: dict | None = None,
    train: int | None = None,
) -> Grid:
    """Probe every (timestep, block) on every noise seed.

    Parameters
    ----------
    splits, backbone, root
        As for `features`.
    recipe : Recipe of T timesteps and B blocks, whose seed is each of `seeds` in turn
    seeds : noise seeds, S of them
    metric : str, a name in `scoring.SCORINGS`, which also says what the probes are trained for
    resamples : int, bootstrap resamples of the test images
    probing : dict, keyword arguments of `probe.fit_grid` that differ from the paper's protocol
    train : int, how many of the training samples the probes see, the first of them; by default all

    Returns
    -------
    Grid
    """
    rising = replace(recipe, blocks=sorted(recipe.blocks), timesteps=sorted(recipe.timesteps))
    found = [features(splits, backbone, replace(rising, seed=seed), root=root) for seed in seeds]
    kept = Path(root).parent / "grids"
    how_judged = metric, resamples, probing or {}, train
    return over_seeds([_measured(splits, parts, how_judged, kept) for parts in found])


def _measured(splits, parts, how_judged, kept):
    """The grid of one noise seed, from its features of train, val and test; a point that another page has
    measured is read."""
    read = {part: splits[part].select(taken.ids) for part, taken in parts.items()}
    shape = timesteps, blocks = tuple(parts["train"].timesteps), tuple(parts["train"].blocks)
    points = [Point(timestep, block) for timestep in timesteps for block in blocks]
    shared = {
        "features": {part: dict(taken.provenance) for part, taken in parts.items()},
        "samples": {part: split.digest for part, split in read.items()},
        "judged": how_judged,
    }

    def probed(places):
        return _probed(read, parts, [points[place] for place in places], *how_judged)

    found = each_remembered(kept, [shared | {"point": point} for point in points], CODE, probed)
    held = {name: np.stack([one[name] for one in found], axis=-1) for name in found[0]}  # (P,) or (R, P)
    held = {name: values.reshape(-1, *map(len, shape)) for name, values in held.items()}
    return Grid(*shape, **held, features=(parts,), metric=how_judged[0])


def _probed(read, parts, points, metric, resamples, probing, train):
    """Values and draws of each of some points on one noise seed, dicts by name, as `Grid` has them."""
    by, found = scoring.scoring(metric), parts["train"]
    features, labels = _rows(found, points, train), read["train"].labels[:train]
    probes = probe.fit_grid(features, labels, loss=by.loss, progress=True, **probing)
    values, draws = {}, {}
    for part in ("val", "test"):
        judged = read[part].judged(probes.scores(_rows(parts[part], points)))  # (P, N, K)
        values[part] = by.value(*judged)  # (P,)
        draws[part] = by.draws(*judged, draws=resamples, seed=RESAMPLING[part])  # (R, P)
    return [
        {
            "val": values["val"][place],
            "test": values["test"][place],
            "draws": draws["test"][:, place],
            "val_draws": draws["val"][:, place],
        }
        for place in range(len(points))
    ]


def narrowed(grid: Grid, blocks: Sequence[int], timesteps: Sequence[int]) -> Grid:
    """The same grid at some of its points, as it would have been measured."""
    rows = [grid.timesteps.index(timestep) for timestep in sorted(timesteps)]
    columns = [grid.blocks.index(block) for block in sorted(blocks)]
    cut = {
        name: getattr(grid, name)[:, rows][:, :, columns] for name in ("val", "test", "draws", "val_draws")
    }
    return replace(grid, blocks=tuple(sorted(blocks)), timesteps=tuple(sorted(timesteps)), **cut)


def over_seeds(grids: Sequence[Grid]) -> Grid:
    """Grids of one noise seed each as one, whose draws resample the seeds too."""
    first = grids[0]
    joined = {name: np.concatenate([getattr(grid, name) for grid in grids]) for name in ("val", "test")}
    joined |= {
        name: stats.over_seeds(np.stack([getattr(grid, name) for grid in grids], axis=1))
        for name in ("draws", "val_draws")
    }
    features = tuple(parts for grid in grids for parts in grid.features)
    return Grid(first.timesteps, first.blocks, **joined, features=features, metric=first.metric)


def _rows(found, points, samples=None):
    """Features of a few points after one another, (P, N, D): a large grid does not fit in memory."""
    one = found.read(points[0])
    together = max(1, probe.WORKING_SET // one.nbytes)
    for first in range(0, len(points), together):
        yield np.stack([found.read(point)[:samples] for point in points[first : first + together]])


def conditioned(splits: Mapping[str, Split], backbone: Backbone, recipe: Recipe, **how: object) -> Grid:
    """A clean input, with the model told that it is noised to each timestep: how much the noise itself
    matters.

    Parameters
    ----------
    As for `measure`.

    Returns
    -------
    Grid over the timesteps told; the input is the one of timestep 0 without noise
    """
    timesteps, blocks = sorted(recipe.timesteps), sorted(recipe.blocks)
    clean = replace(recipe, timesteps=[0], noising="mean")
    told = [measure(splits, backbone, replace(clean, condition=timestep), **how) for timestep in timesteps]
    joined = {
        name: np.concatenate([getattr(grid, name) for grid in told], axis=1)
        for name in ("val", "test", "draws", "val_draws")
    }
    found = tuple(parts for grid in told for parts in grid.features)
    return Grid(tuple(timesteps), tuple(blocks), **joined, features=found, metric=told[0].metric)


def side_by_side(images: Grid, texts: Grid, pair: tuple[tuple, tuple]) -> dict[str, np.ndarray]:
    """Both features of a pair of points in one: {part: (N, Di + Dt)}, of the first noise seed.

    Parameters
    ----------
    images, texts : Grid of the same samples
    pair : ((timestep, block), (timestep, block))
    """
    image, text = pair
    return {
        part: np.concatenate(
            [
                images.features[0][part].read(image),
                texts.features[0][part].read(text),
            ],
            axis=1,
        )
        for part in images.features[0]
    }
