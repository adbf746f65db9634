"""Look inside a block: what its attention or its MLP put out, next to the block's own output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn


@contextmanager
def tap(
    backbone: nn.Module, places: Iterable[tuple[int, str]]
) -> Iterator[dict[tuple[int, str], torch.Tensor]]:
    """Keep activations inside blocks while the backbone runs.

    Parameters
    ----------
    backbone : Backbone, a DiT or a Plaid
    places : sequence of (block, place)
        `block` in [1, depth], the b-th block to run; `place` is "attention" (its attention's output),
        "hidden" (the activated hidden layer of its MLP, (N, T, 4 D)) or "mlp" (its MLP's output), each before
        gate and residual.

    Yields
    ------
    dict of (block, place) to Tensor of shape (N, T, D) or (N, T, 4 D); of the latest forward pass, empty
    before it

    Raises
    ------
    ValueError
        If a block or place does not exist; the message names those that do.

    Examples
    --------
    >>> with tap(backbone, [(3, "attention")]) as inside:
    ...     backbone.states(z, 30, [3])
    >>> inside[3, "attention"]
    """
    inside, hooks = {}, []
    modules = {(block, place): backbone.inside(block, place) for block, place in places}
    try:
        for key, module in modules.items():
            hooks.append(module.register_forward_hook(partial(_keep, inside, key)))
        yield inside
    finally:
        for hook in hooks:
            hook.remove()


def _keep(inside, key, module, inputs, output):
    inside[key] = output
