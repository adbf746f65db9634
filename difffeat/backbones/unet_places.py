"""What a U-Net of diffusers has inside, by the ids that its activations were published under.

An id says where: the way (`down`, `mid`, `up`), the level on it, the repeat in the level, the module there
(`res`, a residual module; `vit`, a transformer; a sampler), and what of it. All numbers begin at 0, and on
the way up they count from the lowest resolution. N images, T tokens (the pixels of a map, row by row), D
channels, S tokens of the prompt.

| id ends in | what | channels |
| --- | --- | --- |
| unet-in, unet-after-conv-in, unet-out | the noised latents, after the first convolution, the output | |
| res-increment, res-out | what a residual module adds, and its sum | D |
| vit-block0-self-q, -self-k, -self-v | query, key and value of self-attention | D |
| vit-block0-cross-q | query of the attention to the prompt | D |
| vit-block0-self-map, -cross-map | share of attention of each token, mean of the heads | T, S |
| vit-block0-ffn-inner | hidden layer of the MLP | 4 D |
| vit-block0-out, vit-out | after a block, after the whole transformer and its residual | D |
| downsampler-out, upsampler-out | | D |

Source
------
Meng et al. 2024 (arXiv 2410.03558), appendix B, whose lists hold 197 ids for Stable Diffusion 1.5 and 612 for
SDXL. There the heads of a map are kept apart; here they are averaged, as in its appendix B.3.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NamedTuple

import torch
from diffusers.models.attention_processor import FusedAttnProcessor2_0
from torch import nn


class Place(NamedTuple):
    """Where an activation comes by: at a module, by its path in the network.

    Attributes
    ----------
    module : str
    what : "output", "input", or "map" of an attention layer
    """

    module: str
    what: str = "output"


class Step(NamedTuple):
    """A repeat of a level, or a sampler: its name, and the module that puts out its last activation."""

    name: str
    module: str


class _Part(NamedTuple):
    """A residual module, a transformer or a sampler: its id, its path, and the step that it belongs to."""

    kind: str
    id: str
    path: str
    step: str


def steps_of(network: nn.Module) -> list[Step]:
    """What a network runs between its first and its last convolution, in that order.

    A repeat with a transformer ends with that one, one without with its residual module.
    """
    last = {part.step: part.path for part in _parts(network)}
    return [Step(name, path) for name, path in last.items()]


def places_of(network: nn.Module) -> dict[str, Place]:
    """Every activation that can be read, by its id, in the order in which they come by.

    Parameters
    ----------
    network : UNet2DConditionModel or UNet2DModel of diffusers

    Returns
    -------
    dict of id to Place

    Raises
    ------
    ValueError
        If a level of the network is of a kind without residual modules.
    """
    found = {"unet-in": Place("conv_in", "input"), "unet-after-conv-in": Place("conv_in")}
    for part in _parts(network):
        if part.kind == "res":
            found[f"{part.id}-increment"] = Place(f"{part.path}.conv2")
        elif part.kind == "vit":
            found |= _in_transformer(part, network.get_submodule(part.path))
        found[f"{part.id}-out"] = Place(part.path)
    return found | {"unet-out": Place("conv_out")}


def _parts(network) -> Iterator[_Part]:
    """The parts of all levels in the order in which they run."""
    for name, path, level in _levels(network):
        if not hasattr(level, "resnets"):
            raise ValueError(f"{path} is a {type(level).__name__}, which has no residual modules to be named")
        attentions = getattr(level, "attentions", None) or ()
        for index in range(len(level.resnets)):
            step = f"{name}-repeat{index}"
            yield _Part("res", f"{step}-res", f"{path}.resnets.{index}", step)
            if index < len(attentions) and attentions[index] is not None:
                vit = f"{name}-vit" if (name, index) == ("mid", 0) else f"{step}-vit"
                yield _Part("vit", vit, f"{path}.attentions.{index}", step)
        for kind in ("downsampler", "upsampler"):
            if getattr(level, f"{kind}s", None):
                yield _Part(kind, f"{name}-{kind}", f"{path}.{kind}s.0", f"{name}-{kind}")


def _levels(network):
    """(name, path, module) of each level in the order in which they run."""
    for index, level in enumerate(network.down_blocks):
        yield f"down-level{index}", f"down_blocks.{index}", level
    if network.mid_block is not None:
        yield "mid", "mid_block", network.mid_block
    for index, level in enumerate(network.up_blocks):
        yield f"up-level{index}", f"up_blocks.{index}", level


def _in_transformer(part, transformer):
    """Places of a transformer's blocks; a bare attention layer, as UNet2DModel has, counts as one block."""
    if not hasattr(transformer, "transformer_blocks"):
        return _in_attention(f"{part.id}-block0-self", part.path)
    found = {}
    for index, block in enumerate(transformer.transformer_blocks):
        block_id, path = f"{part.id}-block{index}", f"{part.path}.transformer_blocks.{index}"
        found |= _in_attention(f"{block_id}-self", f"{path}.attn1")
        if block.attn2 is not None:
            found |= _in_attention(f"{block_id}-cross", f"{path}.attn2", "q")
        found |= {f"{block_id}-ffn-inner": Place(f"{path}.ff.net.0"), f"{block_id}-out": Place(path)}
    return found


def _in_attention(attention_id, path, parts="qkv"):
    """Places of an attention layer; the map is there as soon as query and key are."""
    places = {f"{attention_id}-{part}": Place(f"{path}.to_{part}") for part in parts}
    value = places.pop(f"{attention_id}-v", None)
    places[f"{attention_id}-map"] = Place(path, "map")
    return places | ({} if value is None else {f"{attention_id}-v": value})


def check_readable(network: nn.Module, name: str, place: Place) -> None:
    """Raise unless a hook at this place sees what the network computes.

    Raises
    ------
    ValueError
        If the projections of an attention layer are fused, or a module was compiled; the message has the
        way out.
    """
    path = ""
    for part in ["", *place.module.split(".")]:
        path = f"{path}.{part}".strip(".")
        module = network.get_submodule(path)
        if isinstance(getattr(module, "processor", None), FusedAttnProcessor2_0):
            raise ValueError(
                f"{name} cannot be read: query, key and value of {path} are fused into one product; call "
                f"`unfuse_qkv_projections()` of the network first"
            )
        if module._compiled_call_impl is not None:
            raise ValueError(
                f"{name} cannot be read: {path or 'the network'} was compiled, which hides what is inside: "
                f"load the model with `compiled=False`"
            )


@contextmanager
def hooked(
    network: nn.Module,
    places: Mapping[Hashable, Place],
    emit: Callable[[Hashable, torch.Tensor], None],
) -> Iterator[None]:
    """While this lasts, `emit` is called with each place's key and tokens as the network computes them.

    Parameters
    ----------
    network : Module of diffusers; it keeps its forward and its attention processors
    places : dict of any key to Place
    emit : callable, of a key and a Tensor (N, T, D)
    """
    with ExitStack() as hooks:
        for key, place in places.items():
            hand_on = partial(emit, key)
            module = network.get_submodule(place.module)
            if place.what == "map":
                seen = _Map(module, hand_on)
                hooks.callback(module.to_q.register_forward_hook(seen.query).remove)
                hooks.callback(module.to_k.register_forward_hook(seen.key).remove)
            else:
                hook = partial(_see, hand_on, place.what)
                hooks.callback(module.register_forward_hook(hook).remove)
        yield


def _see(hand_on, what, module, inputs, output):
    hand_on(tokens_of(inputs[0] if what == "input" else output))


class _Map:
    """The hooks that make a map of an attention layer's query and key."""

    def __init__(self, attention, hand_on):
        self.attention, self.hand_on, self.seen = attention, hand_on, None

    def query(self, module, inputs, output):
        self.seen = output

    def key(self, module, inputs, output):
        query, self.seen = self.seen, None
        self.hand_on(attention_map(self.attention, query, output))


def attention_map(attention: nn.Module, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """How each token shares its attention out, mean of the heads: (N, T, S), rows of sum 1.

    Parameters
    ----------
    attention : Attention of diffusers, which says how many heads there are
    query, key : Tensors of shape (N, T, D) and (N, S, D)
    """
    query, key = (part.unflatten(2, (attention.heads, -1)) for part in (query, key))
    query = query if attention.norm_q is None else attention.norm_q(query)
    key = key if attention.norm_k is None else attention.norm_k(key)
    scale, total = query.shape[3] ** -0.5, 0
    for head in range(attention.heads):  # one after the other: all at once are the largest tensor there is
        total = total + (query[:, :, head] @ key[:, :, head].mT * scale).softmax(dim=-1)
    return total / attention.heads


def tokens_of(output: torch.Tensor | tuple) -> torch.Tensor:
    """What a module puts out as tokens (N, T, D): a map (N, D, H, W) row by row, tokens as they are."""
    tensor = output if isinstance(output, torch.Tensor) else output[0]
    return tensor.flatten(2).transpose(1, 2) if tensor.ndim == 4 else tensor


def as_map(tokens: torch.Tensor) -> torch.Tensor:
    """Tokens (N, T, D) of a square picture as a map (N, D, H, W); ValueError if T is no square."""
    side = round(tokens.shape[1] ** 0.5)
    if side**2 != tokens.shape[1]:
        raise ValueError(f"a map takes a square of tokens, found {tokens.shape[1]}")
    return tokens.transpose(1, 2).unflatten(2, (side, side))
