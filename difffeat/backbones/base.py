"""What every backbone offers, whatever it was trained on.

Blocks are counted by how many have run: block 0 is the embedding before the first, block `depth` the output
of the last. This is the paper's numbering and that of `hidden_states[b]` in transformers; it is not a
zero-based index of layers. N samples, T tokens, D width; latents z are (N, C, H, W) for images, (N, T, E) for
text.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Self

import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from difffeat.backbones.latents import pixels
from difffeat.backbones.places import Place
from difffeat.backbones.taps import Pool, tap
from difffeat.base.checkpoint import digest_of
from difffeat.features.points import OUT
from difffeat.features.schedule import check_timestep


def gelu(x: torch.Tensor) -> torch.Tensor:
    """GELU in the tanh form that both published models have, (...) to (...).

    On a processor torch's own takes a quarter of a small model's time, for its tanh is slow. Through a
    sigmoid, (1 + tanh u) / 2 = sigmoid(2 u), it takes less than half of that, the same but for rounding.
    """
    if torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.float32:
        return functional.gelu(x, approximate="tanh")
    scale = 2 * (2 / math.pi) ** 0.5
    return (x * x).mul_(0.044715 * scale).add_(scale).mul_(x).sigmoid_().mul_(x)


class Latents(NamedTuple):
    """Encoded inputs: `z` (N, ...) float32; `mask` (N, T) bool, True for real tokens, None where all are."""

    z: torch.Tensor
    mask: torch.Tensor | None


class Backbone(nn.Module):
    """A frozen diffusion transformer to read features from.

    Attributes
    ----------
    name : str
    modality : "image" or "text"
    depth, width : int, number of blocks and size of a token
    sha256 : str, hash of all that decides features, see `identity`
    schedule : DDPM or PlaidSchedule
    latent_shape : tuple of int, of one sample's latents
    blocks : sequence of the modules that run one after another
    places : dict of what can be read inside a block to its `Place`

    A model implements `latents` and its inverse `decode`, `predict`, the two halves of a forward pass that
    `states` runs, `embed` and `run_block`, and `settings`, what decides its features besides its tensors.
    """

    name = "unnamed"
    sha256 = "none"
    precision = torch.float32

    def run_in(self, precision: torch.dtype) -> Self:
        """Compute the blocks' products in this dtype from now on; parameters stay float32."""
        self.precision = precision
        return self

    def settings(self) -> dict:
        """What decides features besides the tensors, by name: of values that JSON can hold."""
        raise NotImplementedError

    def identity(self) -> str:
        """One hash of all that decides features: tensors, settings and precision."""
        told = {"precision": str(self.precision), "settings": self.settings()}
        parts = [digest_of(self.state_dict()), json.dumps(told, sort_keys=True)]
        return hashlib.sha256(" ".join(parts).encode()).hexdigest()

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def latents(self, inputs: Sequence) -> Latents:
        """Encode a list of N PIL images or N strings: `Latents`."""
        raise NotImplementedError

    def decode(self, z: torch.Tensor) -> list:
        """N images or strings of clean latents."""
        raise NotImplementedError

    def predict(self, z: torch.Tensor, timestep: int, previous: torch.Tensor | None = None) -> torch.Tensor:
        """The model's estimate of the clean latents, of z's shape, from latents noised to an int timestep.

        While sampling, `previous` is its estimate at the step before; a model may use it.
        """
        raise NotImplementedError

    def embed(self, z: torch.Tensor, timesteps: torch.Tensor) -> tuple[torch.Tensor, object]:
        """Tokens (N, T, D) before the first block, and what every block is told besides (any object)."""
        raise NotImplementedError

    def run_block(self, index: int, tokens: torch.Tensor, context: object) -> torch.Tensor:
        """Tokens (N, T, D) after the block with this zero-based index."""
        raise NotImplementedError

    def walk(
        self, z: torch.Tensor, timesteps: torch.Tensor, deepest: int, **shown: object
    ) -> Iterator[tuple[int, torch.Tensor, object]]:
        """Yield (block, tokens, context) for blocks 0 to `deepest`; timesteps (N,), one for each sample."""
        tokens, context = self.embed(z, timesteps, **shown)  # (N, T, D)
        yield 0, tokens, context
        for block in range(1, deepest + 1):
            tokens = self.run_block(block - 1, tokens, context)  # (N, T, D)
            yield block, tokens, context

    def states(
        self, z: torch.Tensor, timestep: int, blocks: Iterable[int], **told: object
    ) -> dict[int, torch.Tensor]:
        """Tokens at the outputs of some blocks, in one pass that stops at the deepest of them.

        Parameters
        ----------
        z, timestep, blocks, **told : as for `activations`

        Returns
        -------
        dict of block to Tensor of shape (N, T, D), in ascending order of blocks

        Raises
        ------
        ValueError
            As `activations`.
        """
        return {block: tokens for block, _, tokens in self.activations(z, timestep, blocks, **told)}

    @torch.inference_mode()
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
        """Yield tokens at some places of some blocks as one pass comes by, which stops at the deepest block.

        A block's are let go of when the next one runs: memory holds one block, if who reads them pools them.

        Parameters
        ----------
        z : Tensor of shape (N, ...), latents already noised to `timestep`
        timestep : int in [0, 1000)
        blocks : sequence of int in [0, depth]
        places : sequence of "out", the block's output, and names in `places`
        condition : int in [0, 1000), optional
            What the model is told instead of `timestep`; for inputs whose noise is not that of their
            timestep.
        mask : bool Tensor (N, T), optional, of a text model: the tokens that others attend to. Tokens of
            padding come out too, and mean nothing.
        pool : callable that makes means (N, A, width) of tokens (N, T, width), optional
            What is yielded is pooled by it; inside blocks that takes less time and memory than to pool what
            comes out.

        Yields
        ------
        block, place, Tensor of shape (N, T, width of the place), or (N, A, width) with `pool`; in ascending
            order of blocks, and of each its places in the order given

        Raises
        ------
        ValueError
            If a block or timestep is out of range or a place unknown; the message gives those there are.
        """
        wanted = sorted({self.check_block(block) for block in blocks})
        if not wanted:
            raise ValueError(f"no blocks were asked for: name some of 0 (embedding) to {self.depth}")
        told = check_timestep(timestep)
        if condition is not None:
            told = check_timestep(condition)
        z = z.to(self.device)
        timesteps = torch.full((len(z),), told, device=self.device)
        shown = {} if mask is None else {"mask": mask.to(self.device)}
        walk = self.walk(z, timesteps, wanted[-1], **shown)
        tapped = [(block, place) for block in wanted for place in places if place != OUT]
        with tap(self, tapped, pool) as inside:
            while step := self._step(walk):
                block, tokens, _ = step
                for place in places if block in wanted else ():
                    if place != OUT:
                        yield block, place, inside.pop((block, place))
                    else:
                        yield block, place, pool(tokens) if pool else tokens

    def _step(self, walk):
        """The next step of a walk, or None; only here, and not in who reads it, is autocast on."""
        low = self.precision != torch.float32
        with torch.autocast(self.device.type, self.precision if low else None, enabled=low):
            return next(walk, None)

    def inside(self, block: int, place: str) -> Place:
        """A place inside a block: what it is made of there.

        Raises
        ------
        ValueError
            If the block or place does not exist, the message names those that do; or if the block was
            compiled or its projections fused, for then its modules are not called one by one.
        """
        if self.check_block(block) == 0:
            raise ValueError(f"block 0 is the embedding and has no inside: name blocks 1 to {self.depth}")
        if place not in self.places:
            raise ValueError(
                f"unknown place {place!r}: {self.name} has {', '.join([OUT, *self.places])} in a block"
            )
        found = self.blocks[block - 1]
        if found._compiled_call_impl is not None:
            raise ValueError(
                f"{self.name} was compiled, which hides what is inside its blocks: load it with "
                f"`compiled=False` to read {place!r}"
            )
        parents = [name.rpartition(".")[0] for name in self.places[place].modules]
        if any(getattr(found.get_submodule(parent), "fused_projections", False) for parent in parents):
            raise ValueError(
                f"{self.name} has the projections of its attention fused, so that none of them runs by "
                f"itself: load it without that to read {place!r}"
            )
        return self.places[place]

    def check_block(self, block: int) -> int:
        """Return `block` as an int in [0, depth]; ValueError with the legal range otherwise."""
        if block != int(block) or not 0 <= block <= self.depth:
            raise ValueError(
                f"block {block} is out of range: {self.name} has blocks 0 (embedding) to {self.depth}, "
                "counted by how many have run"
            )
        return int(block)


class ImageBackbone(Backbone):
    """A backbone of pictures: what turns them into latents and back.

    Attributes
    ----------
    encoder : object with `encode` and `decode`, as `DiT` takes it
    image_side : int, pixels
    framing : str, see `latents.square`
    """

    modality = "image"

    def latents(self, images: Sequence[Image.Image]) -> Latents:
        """Latents (N, C, H, W) of N PIL images, each made a square of `image_side`."""
        return Latents(self.encoder.encode(pixels(images, self.image_side, self.framing)), None)

    @torch.inference_mode()
    def decode(self, z: torch.Tensor) -> list[Image.Image]:
        """N PIL images of clean latents (N, C, H, W)."""
        levels = (self.encoder.decode(z) + 1) * 127.5  # (N, 3, S, S)
        return [Image.fromarray(image) for image in levels.round().byte().permute(0, 2, 3, 1).cpu().numpy()]
