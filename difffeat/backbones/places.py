"""Places inside a block: which of its modules put out what is read there, and how it is made of that.

N samples, T tokens, D width, h heads. A model names its places in `Backbone.places`; `taps.tap` reads them
with forward hooks alone. What an attention looks at is computed again from its queries and keys, for the
kernels that models run do not put it out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from functools import cache
from typing import NamedTuple

import torch
from torch import nn


class Ran:
    """What one block was given and what its modules put out, in one pass.

    Attributes
    ----------
    block : nn.Module
    inputs : tuple, what the block was called with

    Parameters
    ----------
    outputs : dict of a submodule's name to what it put out
    """

    def __init__(self, block: nn.Module, inputs: tuple, outputs: dict[str, object]) -> None:
        self.block, self.inputs = block, inputs
        self._outputs, self._made = outputs, {}

    def __getitem__(self, name: str) -> object:
        """What the submodule of this name put out; an error says so where it did not run."""
        if name not in self._outputs:
            raise RuntimeError(
                f"{name} did not run in this pass, so what it puts out cannot be read: the block's attention "
                "was fused or has another processor"
            )
        return self._outputs[name]

    def once(self, made: Callable[[Ran], object]) -> object:
        """`made(self)`, computed once for all the places of the block that take it."""
        key: Hashable = made
        if key not in self._made:
            self._made[key] = made(self)
        return self._made[key]


class Place(NamedTuple):
    """One place in a block.

    Attributes
    ----------
    modules : tuple of str, the submodules of the block whose outputs it is made of
    made : callable of what `Ran`, returns a Tensor (N, T, width of the place)
    linear : bool, whether `made` is one linear map for all tokens of a sample: of means over tokens it makes
        the means of the place, so that tokens can be pooled before they are made into anything
    """

    modules: tuple[str, ...]
    made: Callable[[Ran], torch.Tensor]
    linear: bool = True


class Attention(NamedTuple):
    """What each token looks at, of every head.

    Attributes
    ----------
    entropy : float32 Tensor (N, h, T), how widely, in nats: 0 for one token, log T for all alike
    distance : float32 Tensor (N, h, T), how far on average, in tokens
    """

    entropy: torch.Tensor
    distance: torch.Tensor


def output(name: str) -> Place:
    """What a submodule puts out, as it is."""
    return Place((name,), lambda ran: ran[name])


def third(name: str, which: int) -> Place:
    """The first, second or third (0, 1, 2) of three equal parts of what a submodule puts out."""
    return Place((name,), lambda ran: ran[name].chunk(3, dim=-1)[which])


def gated(norm: str, which: int, name: str) -> Place:
    """What a submodule puts out times a gate (N, D), one of several things that an adaptive norm puts out."""
    return Place((norm, name), lambda ran: ran[norm][which][:, None] * ran[name])


def scaled(name: str) -> Place:
    """What a submodule puts out times the block's own `scale`."""
    return Place((name,), lambda ran: ran.block.scale * ran[name])


def entropy(attended: Callable[[Ran], Attention], *modules: str) -> Place:
    """How widely each token attends, (N, T, h), by what `attended` makes of these submodules' outputs."""
    return Place(modules, lambda ran: ran.once(attended).entropy.mT, linear=False)


def distance(attended: Callable[[Ran], Attention], *modules: str) -> Place:
    """How far each token attends on average, (N, T, h), likewise."""
    return Place(modules, lambda ran: ran.once(attended).distance.mT, linear=False)


def attention(
    query: torch.Tensor, key: torch.Tensor, axes: int, seen: torch.Tensor | None = None
) -> Attention:
    """What queries attend to, by the usual softmax of scaled products, in float32 whatever runs around it.

    Both statistics are made at once and in place: maps are large, and to allocate another takes longer than
    to fill it.

    Parameters
    ----------
    query, key : Tensors (N, h, T, D / h)
    axes : int, 2 for tokens that tile a square, row by row; 1 for tokens in a line
    seen : bool Tensor that broadcasts to (N, h, T, T), optional: the keys that may be looked at
    """
    query, key, scale = query.float(), key.float(), query.shape[-1] ** -0.5
    with torch.autocast(query.device.type, enabled=False):  # one product, which scales as it goes
        logits = torch.baddbmm(
            query.new_empty(1), query.flatten(0, 1), key.flatten(0, 1).mT, beta=0, alpha=scale
        ).unflatten(0, query.shape[:2])  # (N, h, T, T)
    if seen is not None:
        logits = logits.masked_fill_(~seen, torch.finfo(logits.dtype).min)
    weights = logits.softmax(dim=-1)  # (N, h, T, T), rows add up to 1
    total = logits.amax(dim=-1) - weights.amax(dim=-1).log()  # logsumexp, from weights that are there
    widely = total - logits.mul_(weights).sum(dim=-1)
    return Attention(widely, weights.mul_(distances(weights.shape[-1], axes, weights.device)).sum(dim=-1))


@cache
def distances(count: int, axes: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Distances between tokens, (T, T), in tokens: along a line, or on a square that they tile row by row.

    Raises
    ------
    ValueError
        If so many tokens do not make a square.
    """
    side = math.isqrt(count) if axes == 2 else count
    if side**axes != count:
        raise ValueError(f"{count} tokens do not tile a square, so there is no distance between two of them")
    along = torch.arange(side, dtype=torch.float32)
    places = torch.cartesian_prod(*[along] * axes).reshape(count, axes)
    return torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist").to(device)


def heads(tokens: torch.Tensor, count: int) -> torch.Tensor:
    """Tokens (N, T, D) as those of each of h heads, (N, h, T, D / h)."""
    return tokens.unflatten(2, (count, -1)).transpose(1, 2)
