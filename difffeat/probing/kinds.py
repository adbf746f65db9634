"""What noise does to labels of each kind: the metric at every timestep less that at the lowest one.

T timesteps, B blocks, R draws. Timesteps are chosen on val, what they gain is read on test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from difffeat.probing.grid import Grid
from difffeat.probing.stats import Measured


@dataclass(frozen=True)
class Gain:
    """What a timestep has above the lowest one for labels of one kind, in the block that is best for them.

    Attributes
    ----------
    kind : str
    block : int, best on val for these labels
    best : int, the timestep that is best on val, in that block
    likely : array (R,), the timestep of the best point in each draw of val
    timesteps : tuple of T int
    values : array (T,), 0 at the lowest timestep
    draws : array (R, T), paired: of the same resampled samples
    metric : str
    """

    kind: str
    block: int
    best: int
    likely: np.ndarray
    timesteps: tuple
    values: np.ndarray
    draws: np.ndarray
    metric: str

    def at(self, timestep: int) -> Measured:
        """What that timestep has above the lowest."""
        place = self.timesteps.index(timestep)
        return Measured(float(self.values[place]), self.draws[:, place])


def gains(grids: Mapping[str, Grid]) -> list[Gain]:
    """What noise adds for labels of each kind.

    Parameters
    ----------
    grids : dict of kind to Grid, measured on the same samples with labels of that kind alone
    """
    found = []
    for kind, grid in grids.items():
        column = grid.blocks.index(grid.best.block)
        values, draws = grid.values[:, column], grid.draws[:, :, column]
        less = values - values[0], draws - draws[:, :1]
        likely = np.array([grid.points[place].timestep for place in grid.choices[1]])
        best = grid.best
        found.append(Gain(kind, best.block, best.timestep, likely, grid.timesteps, *less, grid.metric))
    return found


def by_block(grid: Grid) -> dict[int, tuple[int, np.ndarray]]:
    """{block: the timestep that is best there on val, and that in each draw of val (R,)}; of equal ones the
    lowest."""
    timesteps = np.array(grid.timesteps)
    best = timesteps[grid.val.mean(axis=0).argmax(axis=0)]  # (B,)
    drawn = timesteps[grid.val_draws.argmax(axis=1)]  # (R, B)
    return {block: (int(best[column]), drawn[:, column]) for column, block in enumerate(grid.blocks)}


def agree(found: list[Gain]) -> bool:
    """Whether no two kinds part beyond noise: that at no timestep one has gained and another has lost."""
    ends = np.array([[gain.at(one).interval for one in gain.timesteps] for gain in found])  # (K, T, 2)
    gained, lost = ends[..., 0] > 0, ends[..., 1] < 0
    return not (gained.any(axis=0) & lost.any(axis=0)).any()
