"""A (block, timestep) grid measured: features of train, val and test, probes trained together, their metric
with intervals.

Letters: S noise seeds, T timesteps, B blocks, R resamples, N samples, K labels. Points are chosen on val,
numbers are read on test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from difffeat.base.remember import each_remembered
from difffeat.features import cache, extract, layout
from difffeat.features.points import Point
from difffeat.features.recipe import location
from difffeat.probing import metrics, probe, scoring, stats

if TYPE_CHECKING:
    from difffeat.backbones.base import Backbone
    from difffeat.features.datasets import Split
    from difffeat.features.recipe import Recipe

MADE_BY = (
    "grid",
    "probe",
    "descent",
    "scoring",
    "metrics",
    "resampled",
    "stats",
)  # the modules that make a grid
CODE = tuple(f"probing/{name}.py" for name in MADE_BY)
ARRAYS = ("val", "test", "draws", "val_draws")
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
    others : dict of other metrics to a Grid of each, of the same probes: the paper's CP, CR, ... beside mAP
    by_label : dict of "AP", "F1" and "accuracy" on test to arrays of shape (S, K, T, B)
    """

    timesteps: tuple
    blocks: tuple
    val: np.ndarray
    test: np.ndarray
    draws: np.ndarray
    val_draws: np.ndarray
    features: tuple = ()
    metric: str = "mAP"
    others: Mapping[str, Grid] = field(default_factory=dict)
    by_label: Mapping[str, np.ndarray] = field(default_factory=dict)

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
    """Probe every (timestep, block) on every noise seed, on the device of the backbone.

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
    return over_seeds([_measured(splits, parts, how_judged, kept, backbone.device) for parts in found])


def _measured(splits, parts, how_judged, kept, device):
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
        return _probed(read, parts, [points[place] for place in places], device, *how_judged)

    found = each_remembered(kept, [shared | {"point": point} for point in points], CODE, probed)
    held = {name: np.stack([one[name] for one in found], axis=-1) for name in found[0]}  # (P,) or (R, P)
    held = {name: values.reshape(-1, *map(len, shape)) for name, values in held.items()}
    return _assembled(shape, held, how_judged[0], features=(parts,))


def _assembled(shape, held, metric, **more):
    """A Grid of arrays by name: "val", "OP/val", "label/AP"."""
    names = sorted({name.split("/")[0] for name in held if "/" in name} - {"label"})
    of = {name: {array: held[f"{name}/{array}"] for array in ARRAYS} for name in names}
    return Grid(
        *shape,
        **{array: held[array] for array in ARRAYS},
        metric=metric,
        others={name: Grid(*shape, **arrays, metric=name) for name, arrays in of.items()},
        by_label={name.split("/")[1]: held[name][None] for name in held if name.startswith("label/")},
        **more,
    )


def _probed(read, parts, points, device, metric, resamples, probing, train):
    """What is measured at each of some points on one noise seed, dicts by name as `_assembled` takes them."""
    by, found = scoring.scoring(metric), parts["train"]
    features, labels = _rows(found, points, device, train), read["train"].labels[:train]
    probes = probe.fit_grid(features, labels, loss=by.loss, progress=True, **probing)
    held = {}
    for part, prefix in (("val", "val_"), ("test", "")):
        judged = read[part].judged(probes.scores(_rows(parts[part], points, device)))  # (P, N, K)
        how = dict(draws=resamples, seed=RESAMPLING[part])
        held |= {part: by.value(*judged), f"{prefix}draws": by.draws(*judged, **how).T}  # (P,), (P, R)
        held |= {f"{name}/{part}": values for name, values in by.others(*judged).items()}
        others = by.other_draws(*judged, **how)
        held |= {f"{name}/{prefix}draws": draws.T for name, draws in others.items()}
    told = metrics.by_label(*judged, by.predicted(judged[1]))
    held |= {f"label/{name}": values for name, values in told.items()}  # (P, K), of test
    return [{name: values[place] for name, values in held.items()} for place in range(len(points))]


def narrowed(grid: Grid, blocks: Sequence[int], timesteps: Sequence[int]) -> Grid:
    """The same grid at some of its points, as it would have been measured."""
    rows = [grid.timesteps.index(timestep) for timestep in sorted(timesteps)]
    columns = [grid.blocks.index(block) for block in sorted(blocks)]
    cut = _changed([grid], lambda arrays: arrays[0][..., rows, :][..., columns])
    return _placed(cut, timesteps, blocks)


def _placed(grid, timesteps, blocks):
    """The grid, and that of every other metric, at these points."""
    others = {name: _placed(other, timesteps, blocks) for name, other in grid.others.items()}
    return replace(grid, timesteps=tuple(sorted(timesteps)), blocks=tuple(sorted(blocks)), others=others)


def over_seeds(grids: Sequence[Grid]) -> Grid:
    """Grids of one noise seed each as one, whose draws resample the seeds too."""

    def resampled(draws):
        return stats.over_seeds(np.stack(draws, axis=1))

    return _changed(grids, np.concatenate, resampled)


def _changed(grids, join, join_draws=None):
    """Several grids as one: `join` takes their values and `join_draws` their draws, of every metric."""
    first, joins = grids[0], {"val": join, "test": join}
    joined = {
        name: joins.get(name, join_draws or join)([getattr(grid, name) for grid in grids]) for name in ARRAYS
    }
    return replace(
        first,
        **joined,
        features=tuple(parts for grid in grids for parts in grid.features),
        others={name: _changed([g.others[name] for g in grids], join, join_draws) for name in first.others},
        by_label={name: join([grid.by_label[name] for grid in grids]) for name in first.by_label},
    )


def _rows(found, points, device, samples=None):
    """Features of a few points after one another, Tensors (P, N, D): a large grid does not fit in memory."""
    one = found.read(points[0])
    together = max(1, probe.WORKING_SET // one.nbytes)
    for first in range(0, len(points), together):
        some = [found.read(point)[:samples] for point in points[first : first + together]]
        yield torch.from_numpy(np.stack(some)).to(device)


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
    joined = _changed(told, lambda arrays: np.concatenate(arrays, axis=-2))
    return _placed(joined, timesteps, blocks)
