"""Which activations are worth a probe, by numbers without labels; and how that fares against probing all.

A activations, of which a pool is made: every place of every block at one timestep. R draws. The rule says in
numbers what is otherwise judged by eye: what is noisy goes, unless it is local; locality suppresses noise.
How coarse an activation is, is no reason to drop it: tasks differ in what they need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from difffeat.features.points import Point
from difffeat.probing import stats
from difffeat.probing.ranks import rank_correlation
from difffeat.probing.stats import Measured

if TYPE_CHECKING:
    from difffeat.probing.grid import Grid
    from difffeat.probing.qualities import Qualities


@dataclass(frozen=True)
class Pool:
    """Activations with what probes reach on them.

    Attributes
    ----------
    points : tuple of A Point
    test : Measured, values (A,), draws (R, A): the metric on test
    val, val_draws : arrays (A,) and (R, A), the same on val, where activations are chosen
    numbers : dict of name to Measured, values (A,) and draws (R', A), of `fields.NAMES`
    """

    points: tuple[Point, ...]
    test: Measured
    val: np.ndarray
    val_draws: np.ndarray
    numbers: dict[str, Measured]

    def __len__(self) -> int:
        return len(self.points)

    def arranged(self, blocks: Sequence[int]) -> Measured:
        """What probes reach, arranged as `Qualities.grid` has its numbers: values (P, B), draws (R, P, B)."""
        values, draws = (
            each.reshape(*each.shape[:-1], len(blocks), -1) for each in (self.test.values, self.test.draws)
        )
        return Measured(values.swapaxes(-1, -2), draws.swapaxes(-1, -2))

    def kept(self, noise: float, local: float) -> np.ndarray:
        """Which activations stay, bool (A,), by the rule of this module.

        Parameters
        ----------
        noise : float in (0, 1]; this share of the pool, the least noisy, stays
        local : float in [0, 1]; so does this share, of the shortest reach, however noisy
        """
        quiet, near = (self.numbers[name].values for name in ("noise", "reach"))
        return (quiet <= np.quantile(quiet, noise)) | (near <= np.quantile(near, local) if local else False)

    def survivors(self, kept: np.ndarray, top: int) -> Measured:
        """How many of the `top` activations by test are among those kept, and how many in each draw."""
        return Measured(_among(self.test.values, kept, top), _among(self.test.draws, kept, top))

    def best(self, kept: np.ndarray | None = None) -> tuple[Point, Measured]:
        """The best on val of those kept, by default of all: its point, and what it reaches on test.

        Draws choose anew on their own val, and are moved to lie around the value, as `grid.Grid.at_best` has
        it.
        """
        kept = np.ones(len(self), bool) if kept is None else kept
        chosen = int(np.where(kept, self.val, -np.inf).argmax())
        each = np.where(kept, self.val_draws, -np.inf).argmax(axis=1)
        draws = self.test.draws[np.arange(len(each)), each]
        return self.points[chosen], stats.around(float(self.test.values[chosen]), draws)

    def found_by(self, name: str, top: int) -> np.ndarray:
        """How many of the `top` by test are among the 1, 2, ..., A with the least of a number, (A,)."""
        order = np.argsort(self.numbers[name].values, kind="stable")
        first = np.argsort(-self.test.values, kind="stable")[:top]
        return np.isin(order, first).cumsum()

    def correlation(self, name: str) -> Measured:
        """Rank correlation of a number with what probes reach, over the pool; draws resample both."""
        return correlated(self.numbers[name], self.test)


def pool(grid: Grid, found: Qualities) -> Pool:
    """The activations of one timestep, probed and measured without labels.

    Parameters
    ----------
    grid : Grid that holds the timestep, blocks and places of `found`
    found : Qualities
    """
    points = [Point(found.timestep, block, place) for block in found.blocks for place in found.places]
    at = [grid.points.index(point) for point in points]
    flat = {
        name: getattr(grid, name).reshape(len(getattr(grid, name)), -1) for name in ("draws", "val_draws")
    }
    numbers = [found.of[point.block, point.place].measured(found.weights) for point in points]
    return Pool(
        tuple(points),
        Measured(grid.values.ravel()[at], flat["draws"][:, at]),
        grid.val.mean(axis=0).ravel()[at],
        flat["val_draws"][:, at],
        {
            name: Measured(
                np.array([one[name].value for one in numbers]),
                np.stack([one[name].draws for one in numbers], axis=1),
            )
            for name in numbers[0]
        },
    )


def correlated(first: Measured, second: Measured) -> Measured:
    """Rank correlation of two numbers of the same things, values (n,), draws (R, n), draw by draw."""
    count = min(len(first.draws), len(second.draws))
    draws = rank_correlation(first.draws[:count], second.draws[:count])
    return Measured(float(rank_correlation(first.values, second.values)), draws)


def _among(values, kept, top):
    """How many of the `top` highest values (..., A) are kept, (...)."""
    first = np.argsort(-np.asarray(values), axis=-1, kind="stable")[..., :top]
    return np.asarray(kept)[first].sum(axis=-1)
