"""How each label does: accuracy at every point of a grid, F1 and exact matches of label sets at one point.

N samples, K labels, T timesteps, B blocks, R draws, S noise seeds. Accuracy of a label is the share of
samples of which the right thing is said, there or not there; to say "not there" of every sample has an
accuracy of one less the label's frequency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from difffeat.probing import metrics, ranks, scoring, stats
from difffeat.probing.floors import Floor
from difffeat.probing.grid import Grid
from difffeat.probing.label_sets import exact_match_by_label_set
from difffeat.probing.resampled import multiplicities


@dataclass(frozen=True)
class LabelMap:
    """Accuracy of one label over a grid.

    Attributes
    ----------
    name : str, of the label
    timesteps, blocks : tuples of int, T and B of them
    values : array of shape (T, B), accuracy on test averaged over noise seeds
    draws : array of shape (R, T, B), see `maps`
    never : float, the accuracy of saying "not there" of every sample
    positives : int, samples of test that hold the label
    """

    name: str
    timesteps: tuple
    blocks: tuple
    values: np.ndarray
    draws: np.ndarray
    never: float
    positives: int

    @property
    def best(self) -> tuple[int, int]:
        """(timestep, block) of the highest accuracy on test; of equal ones the first."""
        row, column = self._place
        return self.timesteps[row], self.blocks[column]

    @property
    def at_best(self) -> stats.Measured:
        """The highest accuracy with the draws of its point."""
        row, column = self._place
        return stats.Measured(float(self.values[row, column]), self.draws[:, row, column])

    @property
    def gain(self) -> stats.Measured:
        """What the highest accuracy has above saying "not there" of every sample."""
        return stats.Measured(self.at_best.value - self.never, self.at_best.draws - self.never)

    @property
    def floor(self) -> Floor:
        """Saying "not there" of every sample, as sentences compare with it."""
        always = stats.Measured(self.never, np.full(len(self.draws), self.never))
        return Floor("always no", always, "accuracy")

    @property
    def _place(self):
        return np.unravel_index(self.values.argmax(), self.values.shape)


@dataclass(frozen=True)
class Profiles:
    """Accuracy of several labels over blocks, each label at the best timestep of each block.

    Attributes
    ----------
    timesteps : tuple of str, the C labels, where a grid has timesteps
    blocks : tuple of int
    values : array of shape (C, B); draws : array of shape (R, C, B)
    titles : what the rows and the columns are called
    """

    timesteps: tuple
    blocks: tuple
    values: np.ndarray
    draws: np.ndarray

    @property
    def titles(self) -> tuple[list[str], list[str]]:
        """What rows and columns are called in words."""
        return list(self.timesteps), [f"block {block}" for block in self.blocks]


def evenly(labels: ArrayLike, names: Sequence[str], count: int = 4) -> list[str]:
    """Labels evenly spread over the order of frequency, the most and the least frequent among them.

    Parameters
    ----------
    labels : array of shape (N, K), 0 or 1, of the training samples
    names : sequence of K str
    count : int, how many; of fewer labels all
    """
    frequency = np.asarray(labels).sum(axis=0)
    order = np.argsort(-frequency, kind="stable")
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return [names[order[place]] for place in places]


def maps(
    grid: Grid, labels: ArrayLike, names: Sequence[str], chosen: Sequence[str], *, resamples: int = 200
) -> list[LabelMap]:
    """The accuracy maps of chosen labels, from the probes of a measured grid.

    A grid keeps how often a label was right at a point, not for which samples. So draws are binomial here, of
    each point for itself. Probes err on the same samples: the difference of two points is less noisy than
    that, and one that stands out here stands out.

    Parameters
    ----------
    grid : grid.Grid with `by_label`
    labels : array of shape (N, K), 0 or 1, of the test samples
    names : sequence of K str
    chosen : names among them
    resamples : int, R

    Raises
    ------
    ValueError
        If a chosen name is no label; the message lists those that are.

    Source
    ------
    Diff-Feat, Figure 7.
    """
    labels = metrics.check_labels(labels)
    if unknown := [name for name in chosen if name not in names]:
        raise ValueError(f"no label is called {', '.join(unknown)}; there are {', '.join(names)}")
    found = []
    for name in chosen:
        label = list(names).index(name)
        values = grid.by_label["accuracy"][:, label].mean(axis=0)  # (T, B), over S
        random = np.random.default_rng([label, len(labels)])
        draws = random.binomial(len(labels), values, size=(resamples, *values.shape)) / len(labels)
        positives = int(labels[:, label].sum())
        about = dict(never=1 - positives / len(labels), positives=positives)
        found.append(LabelMap(name, grid.timesteps, grid.blocks, values, draws, **about))
    return found


def over_blocks(found: Sequence[LabelMap]) -> Profiles:
    """The maps as one curve over blocks for each label, at the best timestep of each block."""
    values = np.stack([one.values.max(axis=0) for one in found])
    draws = np.stack([one.draws.max(axis=1) for one in found], axis=1)
    return Profiles(tuple(one.name for one in found), found[0].blocks, values, draws)


def gains(found: Sequence[LabelMap]) -> stats.Measured:
    """What the best point of each of n labels has above always saying no, `Measured` of value (n,)."""
    draws = np.stack([one.gain.draws for one in found], axis=1)
    return stats.Measured(np.array([one.gain.value for one in found]), draws)


def f1(labels: ArrayLike, scores: ArrayLike, *, resamples: int = 200, seed: int = 0) -> stats.Measured:
    """F1 of every label at a threshold of 0.5, over the resamples of `stats.map_draws`.

    Parameters
    ----------
    labels, scores : arrays of shape (N, K)
    resamples, seed : as there

    Returns
    -------
    Measured of value (K,) and draws (R, K); 0 where a label is neither there nor said to be
    """
    labels, scores = metrics.check_scores(labels, scores)
    said = scoring.likely(scores)
    counts = multiplicities(len(labels), resamples, seed).numpy().T  # (R, N)
    told = labels & said, said, labels
    draws = metrics.f1(*(counts @ what.astype(counts.dtype) for what in told))
    return stats.Measured(metrics.f1(*(what.sum(axis=0) for what in told)), draws)


def in_grid(grid: Grid, rows: np.ndarray, name: str = "F1") -> float:
    """Mean F1 over some labels at a grid's best point on its first noise seed, of the grid's own probe.

    Parameters
    ----------
    grid : grid.Grid with `by_label`
    rows : bool array of shape (K,)
    name : str, a key of `by_label`
    """
    of_labels = grid.by_label[name][0, rows]  # (k, T, B)
    return float(of_labels.reshape(len(of_labels), -1)[:, grid.choices[0]].mean())


def hits(labels: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """How many samples that hold a label are said to, at a threshold of 0.5, int array (K,)."""
    labels, scores = metrics.check_scores(labels, scores)
    return (labels & (scoring.likely(scores))).sum(axis=0)


def mean_of(measured: stats.Measured, rows: np.ndarray) -> stats.Measured:
    """The mean over some labels, (K,) bool; of none an empty number, which a claim refuses."""
    if not rows.any():
        return stats.Measured(np.empty(0), np.empty((len(measured.draws), 0)))
    return stats.Measured(float(measured.value[rows].mean()), measured.draws[:, rows].mean(axis=1))


def rank_correlation(frequency: ArrayLike, measured: stats.Measured) -> stats.Measured:
    """Spearman's rank correlation of a number of each label with the label's frequency.

    Parameters
    ----------
    frequency : array of shape (K,)
    measured : Measured of value (K,)
    """
    found = ranks.rank_correlation(np.vstack([measured.value, measured.draws]), frequency)
    return stats.Measured(float(found[0]), found[1:])


@dataclass(frozen=True)
class Sets:
    """The most frequent label sets: how many samples are exactly that, how many are predicted exactly.

    Attributes
    ----------
    names : tuple of str; counts : array of shape (n,)
    exact : Measured of value (n,), the share of a set's samples that are predicted exactly
    overall : Measured, the same of all N samples
    commonest : Measured, the same of saying the most frequent set of every sample
    """

    names: tuple
    counts: np.ndarray
    exact: stats.Measured
    overall: stats.Measured
    commonest: stats.Measured


def sets(
    labels: ArrayLike, scores: ArrayLike, names: Sequence[str], *, most: int = 20, resamples: int = 200
) -> Sets:
    """Exact matches of the most frequent label sets at a threshold of 0.5.

    Parameters
    ----------
    labels, scores : arrays of shape (N, K)
    names : sequence of K str
    most : int, how many sets
    resamples : int, of the samples

    Source
    ------
    Diff-Feat, Figure 5b.
    """
    labels, scores = metrics.check_scores(labels, scores)
    said = scoring.likely(scores)
    table = exact_match_by_label_set(labels, said, list(names)).head(most)
    right = (labels == said).all(axis=1)
    order = {name: label for label, name in enumerate(names)}
    member = np.zeros((len(labels), len(table)))
    for column, held in enumerate(table["labels"]):
        wanted = np.isin(np.arange(labels.shape[1]), [order[name] for name in held])
        member[:, column] = (labels == wanted).all(axis=1)
    counts = multiplicities(len(labels), resamples, 0).numpy().T.astype(float)  # (R, N)
    drawn, value = counts @ member, table["exact_match"].to_numpy()
    empty = np.broadcast_to(value, drawn.shape).copy()  # a set of which nothing was drawn
    draws = np.divide((counts * right) @ member, drawn, out=empty, where=drawn > 0)
    return Sets(
        tuple(", ".join(held) or "no label" for held in table["labels"]),
        table["count"].to_numpy(),
        stats.Measured(value, draws),
        stats.Measured(float(right.mean()), counts @ right / len(labels)),
        stats.Measured(float(member[:, 0].mean()), drawn[:, 0] / len(labels)),
    )
