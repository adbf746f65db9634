"""A (block, timestep) grid measured: features of train, val and test, probes trained together, their metric
with intervals.

Letters: S noise seeds, T timesteps, B blocks, R resamples, N samples, K labels. Points are chosen on val,
numbers are read on test.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from difffeat import cache, extract, measures, probe, stats


@dataclass(frozen=True)
class Grid:
    """mAP (or another metric) of a linear probe at every point of a grid, as fractions.

    Attributes
    ----------
    timesteps, blocks : tuples of int, T and B of them
    val, test : arrays of shape (S, T, B)
    draws : array of shape (R, T, B), the metric on test over resampled images and noise seeds
    metric : str, a name in `measures.MEASURES`
    features : tuple of dicts of part to cache.Features, one for each noise seed
    """

    timesteps: tuple
    blocks: tuple
    val: np.ndarray
    test: np.ndarray
    draws: np.ndarray
    features: tuple = ()
    metric: str = "mAP"

    @property
    def mean(self):
        """The metric on test averaged over noise seeds, (T, B)."""
        return self.test.mean(axis=0)

    @property
    def best(self):
        """(timestep, block) with the highest metric on val; of equal ones the first."""
        row, column = np.unravel_index(self.val.mean(axis=0).argmax(), self.mean.shape)
        return self.timesteps[row], self.blocks[column]

    @property
    def on_val(self):
        """The same grid as a search may see it: `mean` is that of val."""
        return replace(self, test=self.val)

    def at(self, timestep, block):
        """The metric on test and its 95 % interval at one point.

        Returns
        -------
        value : float; interval : Interval
        """
        row, column = self.timesteps.index(timestep), self.blocks.index(block)
        return float(self.mean[row, column]), stats.percentiles(self.draws[:, row, column])


def features(splits, backbone, *, root, **how):
    """Features of train, val and test, read from the cache or extracted first.

    Parameters
    ----------
    splits : dict of "train", "val", "test" to Split
    backbone : Backbone
    root : path, where the caches are
    **how : blocks, timesteps, noising, seed, pooling, condition, ... as for `extract.features`

    Returns
    -------
    dict of part to cache.Features
    """
    return {part: extract.features(split, backbone, root=root, **how) for part, split in splits.items()}


def fill(
    splits,
    backbone,
    *,
    root,
    blocks,
    timesteps,
    seeds=(0,),
    shard="1/1",
    batch_size=128,
    shard_size=1024,
    **how,
):
    """Extract this machine's share of the features of every split and noise seed; what is there already is
    kept.

    Parameters
    ----------
    splits, backbone, root, blocks, timesteps, seeds, **how
        As for `measure`, which then finds them.
    shard : "k/n", the k-th of n machines
    batch_size, shard_size : int

    Returns
    -------
    DataFrame, one row per cache: part, noise seed, samples, shards made so far and in all, MB so far, and
    whether the whole cache is there with every checksum right
    """
    rows = []
    for seed in seeds:
        for part, split in splits.items():
            what = dict(blocks=blocks, timesteps=timesteps, seed=seed, **how)
            folder = extract.location(root, extract.recipe(split, backbone, **what))
            sizes = dict(batch_size=batch_size, shard_size=shard_size)
            extract.extract(split, backbone, folder=folder, shard=shard, **sizes, **what)
            made = sorted((folder / split.name).glob("*.h5"))
            rows.append(
                {
                    "part": part,
                    "noise seed": seed,
                    "samples": len(split),
                    "shards": len(made),
                    "of": -(-len(split) // shard_size),
                    "MB": round(sum(path.stat().st_size for path in made) / 1e6),
                    "verified": _verified(cache.view_path(folder, split.name)),
                }
            )
    return pd.DataFrame(rows)


def _verified(view):
    """Whether the cache is complete; a complete one with a wrong byte is an error."""
    return view.exists() and len(cache.verify(view)) > 0


def measure(
    splits,
    backbone,
    *,
    root,
    blocks,
    timesteps,
    seeds=(0,),
    metric="mAP",
    resamples=200,
    probing=None,
    **how,
):
    """Probe every (timestep, block) on every noise seed.

    Parameters
    ----------
    splits, backbone, root, **how
        As for `features`.
    blocks, timesteps : lists of int, B and T of them
    seeds : noise seeds, S of them
    metric : str, a name in `measures.MEASURES`, which also says what the probes are trained for
    resamples : int, bootstrap resamples of the test images
    probing : dict, keyword arguments of `probe.fit_grid` that differ from the paper's protocol

    Returns
    -------
    Grid
    """
    by = measures.measure(metric)
    timesteps, blocks = sorted(timesteps), sorted(blocks)  # as the cache keeps them
    shape = (len(timesteps), len(blocks))
    val, test, draws, found = [], [], [], []
    for seed in seeds:
        parts = features(splits, backbone, root=root, blocks=blocks, timesteps=timesteps, seed=seed, **how)
        read = {part: splits[part].select(taken.ids) for part, taken in parts.items()}
        probes = probe.fit_grid(_rows(parts["train"]), read["train"].labels, loss=by.loss, **(probing or {}))
        scores = {part: probes.scores(_rows(parts[part])) for part in ("val", "test")}  # (T * B, N, K)
        judged = {part: read[part].judged(scores[part]) for part in scores}
        val.append(by.value(*judged["val"]).reshape(shape))
        test.append(by.value(*judged["test"]).reshape(shape))
        draws.append(by.draws(*judged["test"], draws=resamples).reshape(-1, *shape))
        found.append(parts)
    draws = stats.over_seeds(np.stack(draws, axis=1))
    return Grid(tuple(timesteps), tuple(blocks), np.stack(val), np.stack(test), draws, tuple(found), metric)


def _rows(found):
    """Features of one timestep after another, (B, N, D): a large grid does not fit in memory."""
    for timestep in found.timesteps:
        yield found.grid(timesteps=[timestep])


def conditioned(splits, backbone, *, root, blocks, timesteps, **how):
    """A clean input, with the model told that it is noised to each timestep: how much the noise itself
    matters.

    Parameters
    ----------
    As for `measure`.

    Returns
    -------
    Grid over the timesteps told; the input is the one of timestep 0 without noise
    """
    timesteps, blocks = sorted(timesteps), sorted(blocks)
    told = [
        measure(
            splits,
            backbone,
            root=root,
            blocks=blocks,
            timesteps=[0],
            noising="mean",
            condition=timestep,
            **how,
        )
        for timestep in timesteps
    ]
    joined = {
        name: np.concatenate([getattr(grid, name) for grid in told], axis=1)
        for name in ("val", "test", "draws")
    }
    found = tuple(parts for grid in told for parts in grid.features)
    return Grid(tuple(timesteps), tuple(blocks), **joined, features=found, metric=told[0].metric)
