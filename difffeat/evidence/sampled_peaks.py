"""Which of the sampled blocks wins when the truth is a smooth curve: what "the best is block 12" can mean.

The truth is a parabola over the blocks, sampled at a few of them and measured with noise. B sampled blocks,
R repeats, P places of the peak.
"""

from collections.abc import Sequence

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import ArrayLike

from difffeat.probing.grid import Grid
from difffeat.probing.stats import Measured


def _around_best(blocks, values):
    """The parabola through the highest value and its two neighbours; none where it lies at an end."""
    best = int(np.argmax(values))
    if not 0 < best < len(blocks) - 1:
        return None
    near = slice(best - 1, best + 2)
    return Polynomial.fit(blocks[near], values[near], 2).convert()


def vertex(blocks: Sequence[int], values: ArrayLike) -> float:
    """Where a curve peaks between its points: the top of the parabola through the best and its neighbours.

    Parameters
    ----------
    blocks : ints, rising, B of them
    values : array of shape (B,)

    Returns
    -------
    float
        The best block itself where it has a neighbour on one side only, or is level with one.
    """
    curve = _around_best(blocks, values)
    if curve is None or curve.degree() < 2 or curve.coef[2] >= 0:
        return float(blocks[int(np.argmax(values))])
    return float(-curve.coef[1] / (2 * curve.coef[2]))


def vertices(blocks: Sequence[int], values: ArrayLike, draws: np.ndarray) -> Measured:
    """`vertex` of a measured curve (B,) with that of each of its draws (R, B)."""
    return Measured(vertex(blocks, values), np.array([vertex(blocks, draw) for draw in draws]))


def sharpness(blocks: Sequence[int], values: ArrayLike) -> float:
    """How fast that parabola falls: by this much, times the square of the distance from its top in blocks.

    Raises
    ------
    ValueError
        If the best block lies at an end, where the curve does not show it.
    """
    curve = _around_best(blocks, values)
    if curve is None:
        raise ValueError(
            f"the best of blocks {list(blocks)} lies at an end: nothing shows how the curve falls"
        )
    return float(-curve.coef[2])


def noise(grid: Grid) -> float:
    """How far noise moves one block apart from others: from differences of the best with its neighbours.

    Parameters
    ----------
    grid : Grid with draws (R, T, B)

    Returns
    -------
    float
        The standard deviation of such a difference over the draws, divided by the square root of 2.
    """
    row, best = np.unravel_index(grid.values.argmax(), grid.values.shape)
    beside = [place for place in (best - 1, best + 1) if 0 <= place < len(grid.blocks)]
    differences = grid.draws[:, row, [best]] - grid.draws[:, row][:, beside]
    return float(differences.std(axis=0).mean() / 2**0.5)


def winners(
    peaks: ArrayLike, sampled: Sequence[int], sharp: float, spread: float, seed: int = 0
) -> np.ndarray:
    """The block that wins in each of R repeats.

    Parameters
    ----------
    peaks : array of shape (R,), where the truth peaks in each, in blocks
    sampled : ints, the blocks that are measured
    sharp : float, as from `sharpness`
    spread : float, standard deviation of the noise of each block, in the same unit
    seed : int

    Returns
    -------
    ndarray of int, shape (R,)
    """
    sampled = np.asarray(sampled)
    truth = -sharp * (sampled - np.asarray(peaks, dtype=float)[:, None]) ** 2  # (R, B)
    measured = truth + spread * np.random.default_rng(seed).normal(size=truth.shape)
    return sampled[measured.argmax(axis=1)]


def uniform(low: float, high: float, repeats: int, seed: int = 0) -> np.ndarray:
    """Places of the peak, (R,), all equally likely between two ends."""
    return np.random.default_rng([seed, 1]).uniform(low, high, size=repeats)


def share(won: np.ndarray, block: int, draws: int = 1000, seed: int = 0) -> Measured:
    """In how many of the repeats a block won, with the uncertainty of so many repeats."""
    value = float((won == block).mean())
    counts = np.random.default_rng([seed, 2]).binomial(len(won), value, size=draws)
    return Measured(value, counts / len(won))


def by_peak(
    places: Sequence[float], sampled: Sequence[int], sharp: float, spread: float, repeats: int
) -> np.ndarray:
    """The share of repeats that each sampled block wins, for each place of the peak: (P, B)."""
    return np.stack(
        [
            (winners(np.full(repeats, place), sampled, sharp, spread)[:, None] == np.asarray(sampled)).mean(0)
            for place in places
        ]
    )
