"""U-Nets of diffusers as backbones: every activation by its published id, from one pass, through hooks alone.

A U-Net has no row of equal blocks. Two ways lead into it:

- **Blocks** count the steps that have run, as everywhere in this book: block 0 is what the first convolution
  puts out, block b the output of the b-th step, which is a repeat of a level (a residual module and, where
  there is one, its transformer) or a sampler. `steps` names them. Widths differ between levels; probes of one
  grid take blocks of one width.
- **Places** are all activations there are, by the ids of `unet_places`. An id says itself where it lies, so
  places are read at block 0, which stands for the whole network: (timestep, 0, id). Each has a width of its
  own, and a recipe of block 0 with any list of ids makes exactly those.

N images, C latent channels, H W latent size, T tokens, D width, S tokens of the prompt, E their width.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from torch import nn

from difffeat.backbones.base import ImageBackbone
from difffeat.backbones.streamed import streamed
from difffeat.backbones.taps import Pool
from difffeat.backbones.unet_places import Place, check_readable, hooked, places_of, steps_of
from difffeat.features.points import OUT
from difffeat.features.schedule import DDPM, check_timestep

if TYPE_CHECKING:
    from difffeat.backbones.autoencoder import Autoencoder
    from difffeat.backbones.latents import PatchPCA

PREDICTIONS = ("epsilon", "v_prediction")


class Prompt(NamedTuple):
    """What a U-Net is told besides the timestep, the same for every image.

    Attributes
    ----------
    text : str
    tokens : Tensor of shape (1, S, E), the encoded text
    pooled : Tensor of shape (1, P), the text as a whole, where the network takes that (SDXL), else None
    """

    text: str
    tokens: torch.Tensor
    pooled: torch.Tensor | None = None


class UNet(ImageBackbone):
    """An unmodified U-Net of diffusers.

    Parameters
    ----------
    network : UNet2DConditionModel or UNet2DModel
    prompt : Prompt, needed by a UNet2DConditionModel
    schedule : DDPM
    prediction : "epsilon" or "v_prediction", what the network was trained to say
    image_side : int, pixels; images are made squares of it
    encoder : object with `encode(pixels (N, 3, S, S) in [-1, 1]) -> latents (N, C, H, W)`, and `decode` back
    framing : str, how a picture becomes a square, see `latents.square`

    Attributes
    ----------
    patch : int, 1; a token of the finest level is a latent pixel
    steps : list of unet_places.Step; block b is the output of the b-th
    places : dict of id to unet_places.Place, in the order in which they come by

    Raises
    ------
    ValueError
        If the network takes a condition that is not there, as classes.
    """

    patch = 1

    def __init__(
        self,
        network: UNet2DConditionModel | UNet2DModel,
        *,
        prompt: Prompt | None = None,
        schedule: DDPM | None = None,
        prediction: str = "epsilon",
        image_side: int | None = None,
        encoder: Autoencoder | PatchPCA | None = None,
        framing: str = "published",
    ) -> None:
        super().__init__()
        _check_conditions(network, prompt, prediction)
        self.network, self.prediction = network, prediction
        self.schedule = schedule or DDPM()
        self.image_side, self.encoder, self.framing = image_side, encoder, framing
        self.text = None if prompt is None else prompt.text
        self.register_buffer("context", None if prompt is None else prompt.tokens)  # (1, S, E)
        self.register_buffer("pooled", None if prompt is None else prompt.pooled)  # (1, P)
        self.steps, self.places = steps_of(network), places_of(network)
        self.depth, self.width = len(self.steps), network.config.block_out_channels[0]
        side = network.config.sample_size
        self.latent_shape = (network.config.in_channels, side, side)

    def settings(self) -> dict:
        """As `Backbone.settings`: the shape, the noise levels, and how a picture becomes latents."""
        shape = {name: value for name, value in self.network.config.items() if not name.startswith("_")}
        levels = [self.schedule.alpha_sigma(timestep) for timestep in (0, 500, 999)]
        return {
            "network": shape,
            "schedule": [levels, self.prediction],
            "prompt": self.text,
            "image_side": self.image_side,
            "framing": self.framing,
            "encoder": None if self.encoder is None else self.encoder.identity(),
        }

    @property
    def blocks(self) -> list[nn.Module]:
        """The modules whose outputs are the blocks 1 to `depth`."""
        return [self.network.get_submodule(step.module) for step in self.steps]

    def forward(
        self, z: torch.Tensor, timesteps: torch.Tensor, context: torch.Tensor | None = None
    ) -> torch.Tensor:
        """What the network says (N, C, H, W) of latents at timesteps (N,); `context` (N, S, E) for the
        prompt's."""
        if self.context is None:
            return self.network(z, timesteps, return_dict=False)[0]
        context = self.context.expand(len(z), -1, -1) if context is None else context
        told = {"encoder_hidden_states": context, "added_cond_kwargs": self._added(len(z))}
        return self.network(z, timesteps, return_dict=False, **told)[0]

    def _added(self, count):
        """What SDXL is told besides: the pooled prompt, and sizes of pictures that were neither scaled nor
        cut."""
        if self.pooled is None:
            return None
        side = self.image_side
        sizes = torch.tensor([[side, side, 0, 0, side, side]], device=self.pooled.device)
        return {"text_embeds": self.pooled.expand(count, -1), "time_ids": sizes.expand(count, -1)}

    @torch.inference_mode()
    def predict(self, z: torch.Tensor, timestep: int, previous: torch.Tensor | None = None) -> torch.Tensor:
        """The clean latents (N, C, H, W) that the model sees in latents noised to an int timestep."""
        alpha, sigma = self.schedule.alpha_sigma(timestep)
        z = z.to(self.device)
        said = self(z, torch.full((len(z),), timestep, device=self.device))
        return (z - sigma * said) / alpha if self.prediction == "epsilon" else alpha * z - sigma * said

    def activations(
        self,
        z: torch.Tensor,
        timestep: int,
        blocks: Iterable[int],
        places: Sequence[str] = (OUT,),
        *,
        condition: int | None = None,
        mask: torch.Tensor | None = None,
        pool: Pool | None = None,
    ) -> Iterator[tuple[int, str, torch.Tensor]]:
        """Yield tokens at some places of some blocks as one pass comes by, which stops at the last of them.

        The pass waits while each is read, so memory holds one of them if who reads them pools them, however
        many there are. `unet_places.as_map` makes maps (N, D, H, W) of them.

        Parameters
        ----------
        z, timestep, condition : as for `Backbone.activations`
        blocks : sequence of int in [0, depth]
        places : sequence of "out", the block's output, and of ids in `places`, which are read at block 0
        mask : None: images have no padding
        pool : as for `Backbone.activations`

        Yields
        ------
        block, place, Tensor of shape (N, T, width of the place), or (N, A, width) with `pool`; in the order
            in which the network runs

        Raises
        ------
        ValueError
            As `Backbone.activations`; also if what is asked for lies in a compiled module or behind a fused
            projection.
        RuntimeError
            If the network ran without coming by a place, as with an attention processor that does without
            the module.
        """
        wanted = {(block, place): self._place(block, place) for block in blocks for place in places}
        if not wanted or mask is not None:
            raise ValueError("name blocks and places to be read, and no mask: pictures have no padding")
        told = check_timestep(timestep if condition is None else condition)
        timesteps = torch.full((len(z),), told, device=self.device)
        low = self.precision != torch.float32

        def run(emit):
            cast = torch.autocast(self.device.type, self.precision) if low else nullcontext()
            with torch.inference_mode(), cast:
                self._pass(z.to(self.device), timesteps, wanted, emit)

        for (block, place), tokens in streamed(run):
            yield block, place, pool(tokens) if pool else tokens

    def _pass(self, z, timesteps, wanted, emit):
        """One pass, which hands on what is wanted and ends with the last of it."""
        left = set(wanted)

        def see(key, tokens):
            left.discard(key)
            emit((key, tokens))
            if not left:
                raise _Enough

        try:
            with hooked(self.network, wanted, see):
                self(z, timesteps)
        except _Enough:
            return
        lacking = ", ".join(sorted(f"{place} of block {block}" for block, place in left))
        raise RuntimeError(
            f"{self.name} ran without coming by {lacking}: does an attention processor skip it?"
        )

    def _place(self, block, place):
        """Where what is asked for comes by; ValueError where there is no such thing."""
        block = self.check_block(block)
        if place != OUT:
            self.inside(block, place)
            return self.places[place]
        found = Place(self.steps[block - 1].module if block else "conv_in")
        check_readable(self.network, f"block {block}", found)
        return found

    def inside(self, block: int, place: str) -> nn.Module:
        """The module that a place is read at.

        Raises
        ------
        ValueError
            If there is no such place (the message names the nearest), the block is not 0, or a hook would
            not see what the network computes.
        """
        if place not in self.places:
            near = difflib.get_close_matches(place, self.places, n=3, cutoff=0.3) or list(self.places)[:3]
            raise ValueError(
                f"unknown place {place!r}: {self.name} has {OUT}, and at block 0 the {len(self.places)} in "
                f"its `places`, as {', '.join(near)}"
            )
        if self.check_block(block) != 0:
            raise ValueError(
                f"{place} says itself where it lies: name block 0, which stands for all of {self.name}"
            )
        check_readable(self.network, place, self.places[place])
        return self.network.get_submodule(self.places[place].module)


class _Enough(BaseException):
    """Ends a pass whose last activation was read; not an Exception, so that nothing on the way holds it."""


def _check_conditions(network, prompt, prediction):
    """Raise unless the network can be told all that it takes."""
    config = network.config
    if config.get("class_embed_type") or config.get("num_class_embeds"):
        raise ValueError("the network takes classes, which nothing here says")
    if prediction not in PREDICTIONS:
        raise ValueError(f"prediction {prediction!r} is unknown; known: {', '.join(PREDICTIONS)}")
    width, pooled = config.get("cross_attention_dim"), config.get("addition_embed_type")
    if width is None:
        return
    if prompt is None or prompt.tokens.shape[2] != width or (pooled is None) != (prompt.pooled is None):
        came = "none" if prompt is None else f"one {prompt.tokens.shape[2]} wide"
        more = " and its pooled embedding" if pooled else ""
        raise ValueError(f"the network takes a prompt {width} wide{more}; {came} came")
