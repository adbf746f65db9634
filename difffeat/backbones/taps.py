"""Look inside a block: what its attention or its MLP put out, next to the block's own output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from difffeat.backbones.places import Place, Ran


@contextmanager
def tap(
    backbone: nn.Module, places: Iterable[tuple[int, str]]
) -> Iterator[dict[tuple[int, str], torch.Tensor]]:
    """Keep activations inside blocks while the backbone runs.

    Parameters
    ----------
    backbone : Backbone, a DiT or a Plaid
    places : sequence of (block, place)
        `block` in [1, depth], the b-th block to run; `place` is a name in the backbone's `places`:

        | place | is | width |
        | --- | --- | --- |
        | q, k, v | queries, keys and values of all heads, before positions turn them | D |
        | attention, mlp | what attention and MLP put out, before gate and residual | D |
        | attention-increment, mlp-increment | what of that is added to the residual stream | D |
        | hidden | the activated hidden layer of the MLP | 4 D |
        | attention-entropy | of what each token attends to, in nats | heads |
        | attention-distance | how far a token attends on average, in tokens | heads |

    Yields
    ------
    dict of (block, place) to Tensor of shape (N, T, width); of the latest forward pass, empty before it

    Raises
    ------
    ValueError
        If a block or place does not exist, the message names those that do; or if projections are fused.

    Examples
    --------
    >>> with tap(backbone, [(3, "attention")]) as inside:
    ...     backbone.states(z, 30, [3])
    >>> inside[3, "attention"]
    """
    inside, hooks, wanted = {}, [], {}
    for block, place in places:
        wanted.setdefault(block, {})[place] = backbone.inside(block, place)
    try:
        for block, found in wanted.items():
            hooks.extend(_hooks(backbone.blocks[block - 1], block, found, inside))
        yield inside
    finally:
        for hook in hooks:
            hook.remove()


def _hooks(
    module: nn.Module, block: int, found: Mapping[str, Place], inside: dict
) -> Iterator[RemovableHandle]:
    """A hook on each module that the places of a block are made of, and one on the block that makes them."""
    outputs = {}
    for name in dict.fromkeys(name for place in found.values() for name in place.modules):
        yield module.get_submodule(name).register_forward_hook(partial(_hold, outputs, name))
    yield module.register_forward_hook(partial(_make, inside, block, found, outputs))


def _hold(outputs, name, module, inputs, output):
    outputs[name] = output


def _make(inside, block, found, outputs, module, inputs, output):
    ran = Ran(module, inputs, outputs)
    inside.update({(block, name): place.made(ran) for name, place in found.items()})
    outputs.clear()  # of what no place is, nothing stays
