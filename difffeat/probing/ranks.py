"""Rank correlation of rows of numbers, each row one resample."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike


def rank_correlation(first: ArrayLike, second: ArrayLike) -> np.ndarray:
    """Spearman's correlation of two rows of n numbers, or of each pair of R rows; 0 where one is constant.

    Parameters
    ----------
    first, second : arrays of shape (n,) or (R, n); a single row stands beside each of the other's

    Returns
    -------
    array of shape () or (R,)
    """
    one, other = _ranks(first), _ranks(second)
    size = np.sqrt((one**2).sum(axis=-1) * (other**2).sum(axis=-1))
    together = (one * other).sum(axis=-1)
    return np.divide(together, size, out=np.zeros_like(together), where=size > 0)


def _ranks(values):
    """Ranks of each row less their mean; equal values share one."""
    rows = np.asarray(values, float)
    ranks = pd.DataFrame(np.atleast_2d(rows)).rank(axis=1).to_numpy()
    return (ranks - ranks.mean(axis=1, keepdims=True)).reshape(rows.shape)
