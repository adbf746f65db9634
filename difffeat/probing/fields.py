"""Three numbers of an activation that take no labels: how noisy it is, how coarse, and how local.

R draws of noise, N images, T tokens that tile a square or stand in a line, D channels, F frequencies, L lags.
An activation is a field: channels over tokens. Channels are centred at every token and scaled to one variance
first, as a probe takes them.

- *Noise share*: variance between draws of noise of the same image, over all variance. Both are taken apart by
  spatial frequency, in cycles across the picture: at 0 stands the mean over tokens, which a probe on pooled
  features reads; *low* is below a quarter of the tokens of a side, *high* from there on.
- *Granularity*: how many tokens away what two tokens have in common falls to 1/e of what a token has with
  itself. Products of two draws count, whose noise is independent: it is the granularity of what is not noise.
- *Reach*: how far from a token a change of its noise is felt, on average over all the change, in tokens. What
  only sees itself has 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from difffeat.backbones.places import distances
from difffeat.probing.stats import Measured, around

LEAST = 1e-3  # a correlation below this counts as this: there its logarithm says nothing
NAMES = ("noise", "noise_low", "noise_high", "granularity", "reach")


class Sums(NamedTuple):
    """What the three numbers are made of, of every image: sums over images give those of a set.

    Attributes
    ----------
    between, whole : arrays (N, F), variance between draws and all variance, by frequency 0, 1, 2, ...
    shared : array (N, L), covariance of two draws at two tokens that are 0, 1, 2, ... apart along an axis
    felt, carried : arrays (N,), squared change of an activation, and the same times the distance from the
        token that was changed
    """

    between: np.ndarray
    whole: np.ndarray
    shared: np.ndarray
    felt: np.ndarray
    carried: np.ndarray


def scaled(field: torch.Tensor, *others: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """A field (R, N, T, D) centred at every token, with channels of variance 1, and others on its scale.

    A channel that is constant stays 0.
    """
    field = field.float()
    mean = field.mean(dim=(0, 1))  # (T, D)
    variance = (field - mean).square().mean(dim=(0, 1, 2))  # (D,)
    floor = 1e-10 * mean.square().mean(dim=0)  # what is less is rounding
    scale = torch.where(variance > floor, variance, torch.inf).rsqrt()
    return tuple((one.float() - mean) * scale for one in (field, *others))


def sums(field: torch.Tensor, changed: torch.Tensor, tokens: torch.Tensor, axes: int = 2) -> Sums:
    """What the numbers of an activation are made of.

    Parameters
    ----------
    field : Tensor (R, N, T, D), R at least 2: the activation of N images under R draws of noise
    changed : Tensor (N, T, D), that of the first draw with other noise at one token of each image
    tokens : int64 Tensor (N,), that token
    axes : int, 2 for tokens that tile a square, row by row; 1 for tokens in a line

    Raises
    ------
    ValueError
        If there is one draw or one image, or tokens do not tile a square.
    """
    draws, images, count, width = field.shape
    if draws < 2 or images < 2:
        raise ValueError(f"it takes two draws of noise and two images or more, got {draws} and {images}")
    field, changed = scaled(field, changed)
    middle = field.mean(dim=0)
    apart = field - middle
    noise = torch.einsum("rntd,rnsd->nts", apart, apart) / (draws - 1) / width  # (N, T, T)
    # Of two different draws, all pairs averaged; the images' own mean is gone from it, hence N - 1.
    signal = images / (images - 1) * middle @ middle.mT / width - noise / draws
    basis, frequency = (part.to(field.device) for part in waves(count, axes))
    between, all_of_it = (
        _by(frequency, torch.einsum("ft,nts,fs->nf", basis, one, basis)) for one in (noise, noise + signal)
    )
    change = (changed - field[0]).square().sum(dim=-1)  # (N, T)
    away = distances(count, axes).to(change)[tokens]  # (N, T)
    found = between, all_of_it, lagged(signal, axes), change.sum(dim=1), (change * away).sum(dim=1)
    return Sums(*(one.double().cpu().numpy() for one in found))


@cache
def waves(count: int, axes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Orthonormal waves over tokens, (T, T), a row each, and their frequencies in whole cycles, (T,)."""
    side = round(count ** (1 / axes))
    steps = torch.arange(side, dtype=torch.float64)
    cycles = torch.tensor([(wave + 1) // 2 for wave in range(side)], dtype=torch.float64)
    phase = torch.tensor([0.25 * (wave % 2 == 1 or wave == 0) for wave in range(side)], dtype=torch.float64)
    rows = torch.sin(2 * torch.pi * (torch.outer(cycles, steps) / side + phase[:, None]))
    rows = rows / rows.norm(dim=1, keepdim=True)
    if axes == 1:
        return rows.float(), cycles.long()
    radius = (cycles[:, None].square() + cycles.square()).sqrt().round().long()
    return torch.kron(rows, rows).float(), radius.flatten()


def _by(group, values):
    """Values (N, T) added up by their group 0, 1, 2, ..."""
    found = values.new_zeros(len(values), int(group.max()) + 1)
    return found.index_add_(1, group, values)


def lagged(gram: torch.Tensor, axes: int) -> torch.Tensor:
    """Products of tokens, (N, T, T), averaged over pairs that are 0, 1, ... apart along an axis, (N, L)."""
    count = gram.shape[-1]
    side = round(count ** (1 / axes))
    if axes == 1:
        return torch.stack([gram.diagonal(lag, dim1=1, dim2=2).mean(dim=1) for lag in range(side)], dim=1)
    squares = gram.unflatten(2, (side, side)).unflatten(1, (side, side))  # (N, row, column, row, column)
    along = squares.diagonal(dim1=1, dim2=3), squares.diagonal(dim1=2, dim2=4)  # in one row, in one column
    lines = torch.stack(along).movedim(-1, 2)  # (2, N, side, side, side): a Gram matrix of each line
    return lagged(lines.flatten(0, 2), 1).unflatten(0, (2, -1, side)).mean(dim=(0, 2))


@dataclass(frozen=True)
class Quality:
    """The numbers of one activation, of the images behind its `Sums`."""

    sums: Sums

    def numbers(self, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Each of `NAMES` over the images, or over weighted ones.

        Parameters
        ----------
        weights : array (R, N), how often an image counts in each of R resamples; by default each once

        Returns
        -------
        dict of name to array of shape (R,), R being 1 by default
        """
        weights = np.ones((1, len(self.sums.felt))) if weights is None else weights
        total = Sums(*(weights @ one for one in self.sums))  # (R, ...)
        edge = max(1, total.shared.shape[1] // 4)  # the first of the high frequencies
        cuts = slice(None), slice(None, edge), slice(edge, None)
        shares = [_ratio(*(one[:, cut].sum(axis=1) for one in (total.between, total.whole))) for cut in cuts]
        reach = _ratio(total.carried, total.felt)
        return dict(zip(NAMES, (*shares, correlation_length(total.shared), reach), strict=True))

    @property
    def spectrum(self) -> np.ndarray:
        """Noise share at every frequency, (F,)."""
        return _ratio(self.sums.between.sum(axis=0), self.sums.whole.sum(axis=0))

    def measured(self, weights: np.ndarray) -> dict[str, Measured]:
        """Each of `NAMES` with draws over resampled images; `weights` as `numbers` takes them."""
        value, draws = self.numbers(), self.numbers(weights)
        return {name: around(float(value[name][0]), draws[name]) for name in NAMES}


def _ratio(part, whole):
    """A share of something; 0 where there is nothing."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def correlation_length(shared: np.ndarray) -> np.ndarray:
    """Where covariances at 0, 1, ... tokens apart, (..., L), fall to 1/e of the first, (...).

    Between two lags the logarithm is a straight line, so that exp(-d / length) gives its length. What does
    not fall so far within the picture has the largest lag; what shares nothing has 0.
    """
    first = np.broadcast_to(shared[..., :1], shared.shape)
    logs = np.log(np.clip(_ratio(shared.copy(), first), LEAST, None))
    logs[..., 0] = 0.0
    below = logs <= -1
    lag = np.where(below.any(axis=-1), below.argmax(axis=-1), shared.shape[-1])
    padded = np.concatenate([logs, np.full_like(logs[..., :1], -np.inf)], axis=-1)
    before, after = (np.take_along_axis(padded, at[..., None], -1)[..., 0] for at in (lag - 1, lag))
    return np.where(shared[..., 0] > 0, lag - 1 + (before + 1) / (before - after), 0.0)
