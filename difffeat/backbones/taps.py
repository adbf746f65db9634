"""Look inside a block: what its attention or its MLP put out, next to the block's own output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from difffeat.backbones.places import Place, Ran

Pool = Callable[[torch.Tensor], torch.Tensor]


@contextmanager
def tap(
    backbone: nn.Module, places: Iterable[tuple[int, str]], pool: Pool | None = None
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
    pool : callable that makes means (N, A, width) of tokens (N, T, width), optional
        Done as soon as tokens come by, wherever a place is a linear map of them.

    Yields
    ------
    dict of (block, place) to Tensor of shape (N, T, width), or (N, A, width) with `pool`; of the latest
        forward pass, empty before it

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
            hooks.extend(_hooks(backbone.blocks[block - 1], block, found, inside, pool))
        yield inside
    finally:
        for hook in hooks:
            hook.remove()


def _hooks(
    module: nn.Module, block: int, found: Mapping[str, Place], inside: dict, pool: Pool | None
) -> Iterator[RemovableHandle]:
    """Hooks on the modules that the places of a block are made of, and one on the block that makes them."""
    first = {name: place for name, place in found.items() if pool and place.linear}  # pooled as they come by
    after = {name: place for name, place in found.items() if name not in first}
    for places, early, late in ((first, pool, None), (after, None, pool)):
        outputs = {}
        for name in dict.fromkeys(name for place in places.values() for name in place.modules):
            yield module.get_submodule(name).register_forward_hook(partial(_hold, outputs, name, early))
        if places:
            yield module.register_forward_hook(partial(_make, inside, block, places, outputs, late))


def _hold(outputs, name, pool, module, inputs, output):
    """Keep what a module puts out, pooled where it is tokens; of a norm that has several, as they are."""
    outputs[name] = pool(output) if pool and isinstance(output, torch.Tensor) else output


def _make(inside, block, places, outputs, pool, module, inputs, output):
    ran = Ran(module, inputs, outputs)
    for name, place in places.items():
        made = place.made(ran)
        inside[block, name] = pool(made) if pool else made
    outputs.clear()  # of what no place is, nothing stays
