"""DiT, the image backbone: `diffusers.DiTTransformer2DModel` with the settings of the published model.

N images, C latent channels, H W latent size, T tokens, D width.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from diffusers import DiTTransformer2DModel
from torch import nn
from torch.nn import functional

from difffeat.backbones import places
from difffeat.backbones.base import ImageBackbone, gelu
from difffeat.base.checkpoint import axes_of, check_tensors, depth_of
from difffeat.features.schedule import DDPM

if TYPE_CHECKING:
    from difffeat.backbones.autoencoder import Autoencoder
    from difffeat.backbones.latents import PatchPCA


QUERY, KEY = "attn1.to_q", "attn1.to_k"


def _attended(ran):
    count = ran.block.attn1.heads
    return places.attention(places.heads(ran[QUERY], count), places.heads(ran[KEY], count), 2)


PLACES = {
    "q": places.output(QUERY),
    "k": places.output(KEY),
    "v": places.output("attn1.to_v"),
    "attention": places.output("attn1"),
    "attention-increment": places.gated("norm1", 1, "attn1"),  # norm1 puts out five things, gates 1 and 4
    "attention-entropy": places.entropy(_attended, QUERY, KEY),
    "attention-distance": places.distance(_attended, QUERY, KEY),
    "hidden": places.output("ff.net.0"),
    "mlp": places.output("ff"),
    "mlp-increment": places.gated("norm1", 4, "ff"),
}


class DiT(ImageBackbone):
    """A diffusion transformer on image latents, unconditional through the null label.

    diffusers builds a slightly different model than the paper's: it spaces the timestep's frequencies by
    another rule and normalises with eps 1e-5. Both are set back, and hidden states agree with the official
    ones to rounding. There each block also owns a copy of the timestep and label embedding and computes
    the same conditioning again; here it is computed once.

    Parameters
    ----------
    channels, side : int, C and H = W of the latents
    patch : int, side of the square of latent pixels that makes a token
    width, depth, heads : int
    classes : int, labels of the label table; the null label comes after them
    learned_sigma : bool, the output holds C more channels for the variance
    image_side : int, pixels; images are resized to this square before they are encoded
    encoder : object with `encode(pixels (N, 3, S, S) in [-1, 1]) -> latents (N, C, H, W)`, and `decode` back
    framing : str, how a picture becomes a square, see `square`
    closed_gates : bool
        Start with blocks that hand their input through, as the published recipe trains it. False gives the
        usual random start to every layer: an untrained copy whose blocks do something, which is the stronger
        floor.
    """

    places = PLACES

    def __init__(
        self,
        *,
        channels: int,
        side: int,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        classes: int,
        learned_sigma: bool = False,
        image_side: int | None = None,
        encoder: Autoencoder | PatchPCA | None = None,
        framing: str = "published",
        closed_gates: bool = True,
    ) -> None:
        super().__init__()
        _check_divides("heads", heads, "width", width)
        _check_divides("patch", patch, "side", side)
        self.config = dict(
            channels=channels, side=side, patch=patch, width=width, depth=depth, heads=heads, classes=classes,
            learned_sigma=learned_sigma, image_side=image_side, framing=framing,
        )  # fmt: skip
        self.depth, self.width, self.patch, self.latent_shape = depth, width, patch, (channels, side, side)
        self.null_label, self.schedule = classes, DDPM()
        self.image_side, self.encoder, self.framing = image_side, encoder, framing
        self.transformer = DiTTransformer2DModel(
            num_attention_heads=heads,
            attention_head_dim=width // heads,
            in_channels=channels,
            out_channels=2 * channels if learned_sigma else channels,
            num_layers=depth,
            sample_size=side,
            patch_size=patch,
            num_embeds_ada_norm=classes,
            norm_eps=1e-6,
        )
        self.conditioning = self.transformer.transformer_blocks[0].norm1.emb
        self.conditioning.time_proj.downscale_freq_shift = 0
        for block in self.blocks:
            block.norm1.emb = _PassThrough()
            block.ff.net[0].gelu = gelu
        if closed_gates:
            gates = [block.norm1.linear for block in self.blocks]
            for layer in (*gates, self.transformer.proj_out_1, self.transformer.proj_out_2):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)

    def settings(self) -> dict:
        """As `Backbone.settings`: the shape, and how a picture becomes latents."""
        encoder = None if self.encoder is None else self.encoder.identity()
        return self.config | {"image_side": self.image_side, "framing": self.framing, "encoder": encoder}

    @property
    def blocks(self) -> nn.ModuleList:
        """The transformer's blocks."""
        return self.transformer.transformer_blocks

    def embed(self, z: torch.Tensor, timesteps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens (N, T, D), T = H W / patch^2, and the conditioning (N, D) that all blocks share."""
        labels = torch.full((len(z),), self.null_label, device=z.device)
        return self.transformer.pos_embed(z), self.conditioning(timesteps, labels, hidden_dtype=z.dtype)

    def run_block(self, index: int, tokens: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Tokens (N, T, D) after one block; context is the conditioning."""
        return self.blocks[index](tokens, timestep=context)

    def forward(self, z: torch.Tensor, timesteps: torch.Tensor) -> torch.Tensor:
        """The noise (N, C, H, W) in latents at timesteps (N,); (N, 2 C, H, W) with a learned variance."""
        *_, (_, tokens, conditioning) = self.walk(z, timesteps, self.depth)
        net = self.transformer
        shift, scale = net.proj_out_1(functional.silu(conditioning)).chunk(2, dim=1)
        patches = net.proj_out_2(
            net.norm_out(tokens) * (1 + scale[:, None]) + shift[:, None]
        )  # (N, T, patch^2 C)
        grid = z.shape[-1] // self.patch
        patches = patches.unflatten(2, (self.patch, self.patch, -1)).unflatten(
            1, (grid, grid)
        )  # (N, h, w, p, q, C)
        return patches.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)

    @torch.inference_mode()
    def predict(self, z: torch.Tensor, timestep: int, previous: torch.Tensor | None = None) -> torch.Tensor:
        """The clean latents (N, C, H, W) that the model sees in latents noised to an int timestep."""
        alpha, sigma = self.schedule.alpha_sigma(timestep)
        z = z.to(self.device)
        noise = self(z, torch.full((len(z),), timestep, device=self.device))[:, : z.shape[1]]
        return (z - sigma * noise) / alpha

    @contextmanager
    def identity_attention(self, blocks: Sequence[int]) -> Iterator[None]:
        """Inside this context, tokens of these blocks (b from 1) attend to themselves alone."""
        if 0 in [self.check_block(block) for block in blocks]:
            raise ValueError(f"block 0 is the embedding and has no attention: give blocks 1 to {self.depth}")
        layers = [self.blocks[block - 1].attn1 for block in blocks]
        usual = [layer.processor for layer in layers]
        try:
            for layer in layers:
                layer.set_processor(_values_alone)
            yield
        finally:
            for layer, processor in zip(layers, usual, strict=True):
                layer.set_processor(processor)

    @classmethod
    def from_official(
        cls, state: Mapping[str, torch.Tensor], *, heads: int, file: Path | str = "the checkpoint"
    ) -> DiT:
        """Build the model of a published DiT checkpoint.

        Parameters
        ----------
        state : dict of name to Tensor, as in DiT-XL-2-256x256.pt
        heads : int; the checkpoint does not hold it (DiT-XL/2 has 16)
        file : path or str, what an error calls the checkpoint

        Raises
        ------
        ValueError
            If a tensor is missing, too many, of another shape than the others ask for, or not finite; the
            message names it.
        """
        width, channels, patch, _ = axes_of(state, "x_embedder.proj.weight", 4, file)
        (outputs,) = axes_of(state, "final_layer.linear.bias", 1, file)
        _, tokens, _ = axes_of(state, "pos_embed", 3, file)
        rows, _ = axes_of(state, "y_embedder.embedding_table.weight", 2, file)
        depth = depth_of(state, file)
        if width % heads:
            raise ValueError(f"{file} is {width} wide, which {heads} heads do not divide: name its `heads`")
        model = cls(
            channels=channels,
            side=math.isqrt(tokens) * patch,
            patch=patch,
            width=width,
            depth=depth,
            heads=heads,
            classes=rows - 1,
            learned_sigma=outputs == 2 * channels * patch**2,
        )
        check_tensors(state, _official_shapes(model), file)
        model.load_state_dict(_from_official_names(state))
        model.transformer.pos_embed.pos_embed.copy_(state["pos_embed"])
        return model.eval()

    @classmethod
    def from_diffusers(cls, network: DiTTransformer2DModel, *, file: Path | str = "the network") -> DiT:
        """Build the model of a `DiTTransformer2DModel` as diffusers loads it; `file` is its name in errors.

        Raises
        ------
        ValueError
            If its blocks do not all hold the same embedding of timestep and label, as converted checkpoints
            do, or if it is otherwise not the model that its configuration says; the message names the tensor.
        """
        given = network.config
        model = cls(
            channels=given.in_channels,
            side=given.sample_size,
            patch=given.patch_size,
            width=given.num_attention_heads * given.attention_head_dim,
            depth=given.num_layers,
            heads=given.num_attention_heads,
            classes=given.num_embeds_ada_norm,
            learned_sigma=given.out_channels == 2 * given.in_channels,
        )
        state = _from_diffusers_names(network.state_dict(), file)
        check_tensors(state, {name: value.shape for name, value in model.state_dict().items()}, file)
        model.load_state_dict(state)
        return model.eval()


def _check_divides(part, count, whole, size):
    if size % count:
        raise ValueError(f"{part} {count} does not divide {whole} {size}: choose one that does")


def _values_alone(layer, tokens, **_):
    """What an attention layer puts out where its map is the identity."""
    return layer.to_out[0](layer.to_v(tokens))


class _PassThrough(nn.Module):
    """Stands in for a block's own embedding of timestep and label: conditioning comes finished."""

    def forward(self, conditioning, label, hidden_dtype):
        return conditioning


OFFICIAL_NAMES = {
    "x_embedder.proj": "transformer.pos_embed.proj",
    "t_embedder.mlp.0": "conditioning.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "conditioning.timestep_embedder.linear_2",
    "y_embedder.embedding_table": "conditioning.class_embedder.embedding_table",
    "final_layer.adaLN_modulation.1": "transformer.proj_out_1",
    "final_layer.linear": "transformer.proj_out_2",
}
OFFICIAL_BLOCK_NAMES = {
    "adaLN_modulation.1": "norm1.linear",
    "attn.proj": "attn1.to_out.0",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
}


def _from_official_names(state):
    """The official state dict under our names: query, key, value apart, and no fixed positions."""
    ours = {}
    for name, value in state.items():
        layer, kind = name.rsplit(".", 1) if "." in name else (name, "")
        if layer in OFFICIAL_NAMES:
            ours[f"{OFFICIAL_NAMES[layer]}.{kind}"] = value
        elif layer.startswith("blocks."):
            _, index, inner = layer.split(".", 2)
            block = f"transformer.transformer_blocks.{index}"
            if inner == "attn.qkv":
                ours |= {
                    f"{block}.attn1.to_{part}.{kind}": third
                    for part, third in zip("qkv", value.chunk(3), strict=True)
                }
            else:
                ours[f"{block}.{OFFICIAL_BLOCK_NAMES[inner]}.{kind}"] = value
    return ours


def _official_shapes(model):
    """Name and shape of every tensor in an official checkpoint of a model."""
    layers = {ours: name for name, ours in OFFICIAL_NAMES.items()}
    inside = {ours: name for name, ours in OFFICIAL_BLOCK_NAMES.items()} | {"attn1.to_q": "attn.qkv"}
    shapes = {"pos_embed": model.transformer.pos_embed.pos_embed.shape}
    for name, value in model.state_dict().items():
        layer, kind = name.rsplit(".", 1)
        _, _, block = layer.partition("transformer.transformer_blocks.")
        if not block:
            shapes[f"{layers[layer]}.{kind}"] = value.shape
            continue
        index, inner = block.split(".", 1)
        if inner in inside:  # key and value are in one tensor with the query
            rows = 3 * len(value) if inner == "attn1.to_q" else len(value)
            shapes[f"blocks.{index}.{inside[inner]}.{kind}"] = (rows, *value.shape[1:])
    return shapes


SHARED = ".norm1.emb."  # in diffusers, each block's own copy of the timestep and label embedding


def _from_diffusers_names(state, file):
    """The state dict of diffusers under our names: one embedding of timestep and label for all blocks."""
    ours = {f"transformer.{name}": value for name, value in state.items() if SHARED not in name}
    for name, value in state.items():
        block, shared, inner = name.partition(SHARED)
        if shared and not torch.equal(ours.setdefault(f"conditioning.{inner}", value), value):
            raise ValueError(
                f"{file}: {block} has a {inner} of its own: this is no converted DiT, whose blocks agree"
            )
    return ours
