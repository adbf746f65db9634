"""How tight the samples of a label set lie together, in feature space and on the plane of a t-SNE.

n samples in k groups, D width, R draws, S t-SNE seeds. Three indices:

- Davies-Bouldin, DBI: mean over groups of the worst (spread + spread) / distance of centres; low is tight.
- Calinski-Harabasz, CHI: variance between groups over that within, times (n - k) / (k - 1); grows with n.
- Silhouette: (b - a) / max(a, b), a the mean distance to one's own group, b that to the nearest other one.

They are scikit-learn's, for many subsamples at once. Draws are half-samples, half of each group without
replacement: they spread as full samples would, and no sample comes twice, which would tighten any group. The
draws of CHI are brought to the size of the full sample. DBI and CHI are averaged, and moved around the value
of the full sample, as ratios, the silhouette as differences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from difffeat.base.remember import remembered, told
from difffeat.base.threads import on_threads
from difffeat.probing import stats

CODE = ("probing/clusters.py",)
INDICES = ("DBI", "CHI", "silhouette")
SIGN = {"DBI": -1, "CHI": 1, "silhouette": 1}  # of tighter
RATIOS = ("DBI", "CHI")  # compared as ratios: where centres nearly meet, DBI has no bound
NEEDED = 4  # samples of a group, for a half-sample to have a spread


def indices(points: ArrayLike, groups: ArrayLike, kept: ArrayLike) -> dict[str, np.ndarray]:
    """The three indices of some of the points, for many choices of them.

    Parameters
    ----------
    points : array of shape (n, D)
    groups : int array of shape (n,), 0 to k - 1
    kept : array of shape (R, n), 1 where a point counts, else 0; at least two of each group

    Returns
    -------
    dict of each name in `INDICES` to an array of shape (R,)

    Source
    ------
    Diff-Feat, Table 10; `sklearn.metrics`.
    """
    points, kept = np.asarray(points, dtype=float), np.asarray(kept, dtype=float)
    points = points - points.mean(axis=0)
    own = np.eye(int(np.max(groups)) + 1)[groups]  # (n, k)
    sizes = kept @ own  # (R, k)
    centres = np.einsum("rn,nk,nd->rkd", kept, own, points, optimize=True) / sizes[..., None]
    squared = (points**2).sum(axis=1)
    away = squared[None, :, None] - 2 * np.einsum("nd,rkd->rnk", points, centres, optimize=True)
    away = np.maximum(away + (centres**2).sum(axis=2)[:, None], 0)  # (R, n, k), squared
    within = (away * own).sum(axis=2)  # (R, n)
    return {
        "DBI": _davies_bouldin(np.sqrt(within) * kept, own, sizes, centres),
        "CHI": _calinski_harabasz((within * kept).sum(axis=1), sizes, centres),
        "silhouette": _silhouette(points, squared, own, kept, sizes),
    }


def _davies_bouldin(spread, own, sizes, centres):
    spread = spread @ own / sizes  # (R, k), mean distance to the own centre
    apart = np.linalg.norm(centres[:, :, None] - centres[:, None], axis=3)
    apart[apart == 0] = np.inf  # of a group and itself; of two in one place, as scikit-learn has it
    return ((spread[:, :, None] + spread[:, None]) / apart).max(axis=2).mean(axis=1)


def _calinski_harabasz(within, sizes, centres):
    count, k = sizes.sum(axis=1), sizes.shape[1]
    middle = (sizes[..., None] * centres).sum(axis=1, keepdims=True) / count[:, None, None]
    between = (sizes * ((centres - middle) ** 2).sum(axis=2)).sum(axis=1)
    return np.divide(between * (count - k), within * (k - 1), out=np.ones(len(count)), where=within > 0)


def _silhouette(points, squared, own, kept, sizes):
    apart = np.sqrt(np.maximum(squared[:, None] + squared - 2 * points @ points.T, 0))
    np.fill_diagonal(apart, 0)
    totals = np.einsum("nm,rm,mk->rnk", apart, kept, own, optimize=True)  # (R, n, k)
    inside = (totals * own).sum(axis=2) / (sizes @ own.T - 1)
    nearest = np.where(own > 0, np.inf, totals / sizes[:, None]).min(axis=2)
    larger = np.maximum(inside, nearest)
    values = np.divide(nearest - inside, larger, out=np.zeros(larger.shape), where=larger > 0)
    return (values * kept).sum(axis=1) / sizes.sum(axis=1)


def grouped(chosen: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the chosen label sets after one another, and the group of each, int arrays of shape (n,)."""
    sizes = [len(rows) for rows in chosen.values()]
    rows = np.concatenate([np.empty(0, dtype=int), *chosen.values()])
    return rows, np.repeat(np.arange(len(sizes)), sizes)


def halves(groups: ArrayLike, draws: int, seed: int = 0) -> np.ndarray:
    """Half of each group in many draws, (R, n): 1 where a sample is taken, else 0."""
    groups, random = np.asarray(groups), np.random.default_rng(seed)
    taken = np.zeros((draws, len(groups)))
    for group in np.unique(groups):
        (rows,) = np.nonzero(groups == group)
        order = random.permuted(np.tile(rows, (draws, 1)), axis=1)[:, : -(-len(rows) // 2)]
        np.put_along_axis(taken, order, 1, axis=1)
    return taken


def tightness(
    points: Sequence[np.ndarray], groups: ArrayLike, *, draws: int = 200, seed: int = 0
) -> dict[str, stats.Measured]:
    """The indices of one representation, averaged over the planes of several t-SNE seeds, with draws.

    Parameters
    ----------
    points : S arrays of shape (n, D), one for each seed; of features one array in a list
    groups : int array of shape (n,)
    draws, seed : half-samples, the same for every representation of these groups

    Returns
    -------
    dict of each name in `INDICES` to Measured; its draws take half-samples and, where S > 1, seeds.
        Empty numbers where there are not two groups of `NEEDED` samples, which a claim refuses.
    """
    groups = np.asarray(groups)
    if not enough(groups):
        return dict.fromkeys(INDICES, stats.Measured(np.empty(0), np.empty((draws, 0))))
    whole, half = np.ones((1, len(groups))), halves(groups, draws, seed)
    full = [indices(one, groups, whole) for one in points]
    drawn = [indices(one, groups, half) for one in points]
    k, n = int(groups.max()) + 1, len(groups)
    to_size = {"CHI": (n - k) / (half[0].sum() - k)}
    found = {}
    for name in INDICES:
        there, back = (_log, np.exp) if name in RATIOS else (np.asarray, np.asarray)
        value = np.mean([there(one[name]) for one in full])
        sized = np.stack([there(one[name] * to_size.get(name, 1.0)) for one in drawn], axis=1)  # (R, S)
        centred = stats.around(value, stats.over_seeds(sized))
        found[name] = stats.Measured(float(back(centred.value)), back(centred.draws))
    return found


def _log(values):
    return np.log(np.maximum(values, 1e-9))


def over_seeds(planes: Sequence[np.ndarray], groups: ArrayLike) -> dict[str, np.ndarray]:
    """The indices of each plane for itself, {name: (S,)}: how much they owe to the t-SNE's seed."""
    groups = np.asarray(groups)
    found = [indices(plane, groups, np.ones((1, len(groups)))) for plane in planes]
    return {name: np.concatenate([one[name] for one in found]) for name in INDICES}


def enough(groups: ArrayLike) -> bool:
    """Whether there are two groups or more, all of at least `NEEDED` samples."""
    sizes = np.bincount(np.asarray(groups, dtype=int))
    return len(sizes) > 1 and sizes.min() >= NEEDED


def planes(
    features: Mapping[Any, np.ndarray],
    seeds: Sequence[int],
    *,
    perplexity: float = 30.0,
    steps: int = 1000,
    init: str = "random",
    root: Path | str | None = None,
) -> dict[Any, list[np.ndarray]]:
    """t-SNE of each representation under each seed: {name: S arrays (n, 2)}.

    Parameters
    ----------
    features : dict of name to array (n, D); of two that are equal one is embedded
    seeds : S ints
    perplexity : float, cut to what n allows
    steps : int, of the descent; scikit-learn's default is 1000
    init : "random", or "pca", where the seed decides next to nothing
    root : path, optional, where the caches of features are: planes are kept beside them

    Source
    ------
    Diff-Feat, section 5, Figure 6; no setting of the t-SNE is stated there.
    """
    from sklearn.manifold import TSNE  # a second to load, and one page needs it

    same = {
        name: next(other for other, held in features.items() if np.array_equal(held, given))
        for name, given in features.items()
    }
    folder = None if root is None else Path(root).parent / "planes"
    jobs = [(name, seed) for name in dict.fromkeys(same.values()) for seed in seeds]

    def embedded(job):
        name, seed = job
        near = min(perplexity, max(1.0, (len(features[name]) - 1) / 3))
        how = dict(perplexity=near, init=init, max_iter=steps, random_state=seed, n_jobs=1)
        what = {"inputs": told(features[name]), "t-SNE": how}
        plane = remembered(folder, what, CODE, lambda: {"points": TSNE(**how).fit_transform(features[name])})
        return plane["points"]

    found = dict(zip(jobs, on_threads(embedded, jobs), strict=True))
    return {name: [found[same[name], seed] for seed in seeds] for name in features}
