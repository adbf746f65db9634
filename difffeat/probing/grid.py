"""A (timestep, block) grid measured: features of train, val and test, probes trained together, their metric
with intervals.

Letters: S noise seeds, T timesteps, B blocks, R resamples, N samples, K labels. Points are chosen on val,
numbers are read on test. Where a recipe names places inside blocks, a column is a block at one of them: block
by block, and of each its places. B counts columns then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from difffeat.base.remember import each_remembered
from difffeat.features.parts import decided, features
from difffeat.features.points import OUT, Point
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
    places : tuple of str, where in each block; `at_place` gives the grid of one, which figures take
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
    places: tuple = (OUT,)

    @property
    def points(self) -> list[Point]:
        """The points in the order of the arrays laid flat."""
        return [Point(*point) for point in product(self.timesteps, self.blocks, self.places)]

    @property
    def values(self) -> np.ndarray:
        """The metric on test averaged over noise seeds, (T, B)."""
        return self.test.mean(axis=0)

    @property
    def best(self) -> Point:
        """The Point with the highest metric on val; of equal ones the first."""
        return self.points[self.choices[0]]

    @property
    def choices(self) -> tuple[int, np.ndarray]:
        """Where val is best: the place among the `points`, and the places in each draw, (R,)."""
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

    def at(self, timestep: int, block: int, place: str = OUT) -> stats.Measured:
        """The metric on test at one point, `Measured`; ValueError where the grid does not hold it."""
        flat = self.points.index(Point(timestep, block, place))
        return stats.Measured(float(self.values.flat[flat]), self.draws.reshape(len(self.draws), -1)[:, flat])

    def at_place(self, place: str) -> Grid:
        """The grid of one place, whose columns are blocks; ValueError where it does not hold that place."""
        return narrowed(self, self.blocks, self.timesteps, [place])

    @property
    def average(self) -> stats.Measured:
        """The metric averaged over the points of the grid, `Measured`: how Table 4 sums up a grid."""
        return stats.Measured(float(self.values.mean()), self.draws.mean(axis=(1, 2)))


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
    """Probe every point on every noise seed, on the device of the backbone.

    Parameters
    ----------
    splits, backbone, root
        As for `parts.features`.
    recipe : Recipe of pooled features, whose seed is each of `seeds` in turn
    seeds : noise seeds, S of them
    metric : str, a name in `scoring.SCORINGS`, which also says what the probes are trained for
    resamples : int, bootstrap resamples of the test images
    probing : dict, keyword arguments of `probe.fit_grid` that differ from the paper's protocol
    train : int, how many of the training samples the probes see, the first of them; by default all

    Returns
    -------
    Grid

    Raises
    ------
    ValueError
        If the recipe's features are not pooled.
    """
    if recipe.pooling == "none":
        raise ValueError(
            "a probe takes pooled features, one row for each sample; pooling 'none' leaves tokens"
        )
    rising = replace(recipe, blocks=sorted(recipe.blocks), timesteps=sorted(recipe.timesteps))
    found = [features(splits, backbone, replace(rising, seed=seed), root=root) for seed in seeds]
    kept = Path(root).parent / "grids"
    how_judged = metric, resamples, probing or {}, train
    return over_seeds([_measured(splits, parts, how_judged, kept, backbone.device) for parts in found])


def _measured(splits, parts, how_judged, kept, device):
    """The grid of one noise seed, from its features of train, val and test; a point that another page has
    measured is read."""
    read = {part: splits[part].select(taken.ids) for part, taken in parts.items()}
    taken = parts["train"]
    points = taken.points
    shared = decided([parts], read) | {"judged": how_judged}

    def probed(missing):
        return _by_width([points[place] for place in missing], read, parts, device, *how_judged)

    found = each_remembered(kept, [shared | {"point": point} for point in points], CODE, probed)
    held = {name: np.stack([one[name] for one in found], axis=-1) for name in found[0]}  # (P,) or (R, P)
    held = {
        name: values.reshape(-1, len(taken.timesteps), len(points) // len(taken.timesteps))
        for name, values in held.items()
    }
    where = dict(timesteps=taken.timesteps, blocks=taken.blocks, places=taken.places)
    return _assembled(where, held, how_judged[0], features=(parts,))


def _assembled(where, held, metric, **more):
    """A Grid of arrays by name: "val", "OP/val", "label/AP"."""
    names = sorted({name.split("/")[0] for name in held if "/" in name} - {"label"})
    of = {name: {array: held[f"{name}/{array}"] for array in ARRAYS} for name in names}
    return Grid(
        **where,
        **{array: held[array] for array in ARRAYS},
        metric=metric,
        others={name: Grid(**where, **arrays, metric=name) for name, arrays in of.items()},
        by_label={name.split("/")[1]: held[name][None] for name in held if name.startswith("label/")},
        **more,
    )


def _by_width(points, *how):
    """What is measured at some points, in their order; those of a place together, which are of one width."""
    found = {}
    for place in dict.fromkeys(point.place for point in points):
        some = [point for point in points if point.place == place]
        found |= dict(zip(some, _probed(some, *how), strict=True))
    return [found[point] for point in points]


def _probed(points, read, parts, device, metric, resamples, probing, train):
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


def narrowed(
    grid: Grid, blocks: Sequence[int], timesteps: Sequence[int], places: Sequence[str] | None = None
) -> Grid:
    """The same grid at some of its points, as it would have been measured; by default at all its places."""
    places = grid.places if places is None else places
    columns = list(product(grid.blocks, grid.places))
    taken = [columns.index(column) for column in product(sorted(blocks), places)]
    rows = [grid.timesteps.index(timestep) for timestep in sorted(timesteps)]
    cut = _changed([grid], lambda arrays: arrays[0][..., rows, :][..., taken])
    return _placed(cut, sorted(timesteps), sorted(blocks), places)


def _placed(grid, *where):
    """The grid, and that of every other metric, at these timesteps, blocks and places."""
    others = {name: _placed(other, *where) for name, other in grid.others.items()}
    timesteps, blocks, places = map(tuple, where)
    return replace(grid, timesteps=timesteps, blocks=blocks, places=places, others=others)


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
    """Features of points of one width, a few at a time, Tensors (P, N, D): a large grid outgrows memory."""
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
    return _placed(joined, timesteps, blocks, joined.places)
