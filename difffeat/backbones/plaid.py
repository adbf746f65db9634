"""Plaid, the text backbone: diffusion over the embeddings of tokens.

Written from the paper's description of the model. N texts, T tokens, V vocabulary, E = 16 size of a token's
embedding, D width. Latents z are (N, T, E): the unit-length embeddings of the tokens, noised.
"""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from difffeat.backbones import places
from difffeat.backbones.base import Backbone, Latents, gelu
from difffeat.base.checkpoint import axes_of, check_tensors, depth_of
from difffeat.features.schedule import STEPS, PlaidSchedule

if TYPE_CHECKING:
    from tokenizers import Tokenizer

END = "<|endoftext_R9VQqF0Ag7|>"  # the tokenizer's only special token, id 0; it also pads
ROTARY_BASE = 10_000
OFFICIAL_FILES = ("noise_schedule.pt", "gamma_bounds.pt", "embedding_matrix.pt", "model.pt")
REFERENCE_WIDTH = 256  # the readout is scaled by width / 256, so that its size does not depend on the width


QKV = "attn_qkv"


def _attended(ran):
    query, key, _ = (places.heads(part, ran.block.heads) for part in ran[QKV].chunk(3, dim=-1))
    _, cosine, sine, *seen = ran.inputs
    return places.attention(rotate(query, cosine, sine), rotate(key, cosine, sine), 1, *seen)


PLACES = {
    "q": places.third(QKV, 0),
    "k": places.third(QKV, 1),
    "v": places.third(QKV, 2),
    "attention": places.output("attn_out"),
    "attention-increment": places.scaled("attn_out"),
    "attention-entropy": places.entropy(_attended, QKV),
    "attention-distance": places.distance(_attended, QKV),
    "hidden": places.output("mlp.gelu"),
    "mlp": places.output("mlp"),
    "mlp-increment": places.scaled("mlp"),
}


class Plaid(Backbone):
    """A diffusion language model: pre-norm transformer, rotary positions, not causal, no mask.

    Blocks run in float32. The published code runs them under bfloat16 autocast, tokens between them in
    bfloat16 as well: so does `run_in(torch.bfloat16)`.

    Parameters
    ----------
    vocabulary : int, V
    width, depth, heads : int
    length : int, T: every text is cut or padded (with the end token) to this many tokens
    embedding : int, E
    tokenizer : tokenizers.Tokenizer, needed by `latents` and `decode`
    output_prior : bool
        Add to the logits what the noised embedding alone says of its token, as the published model does. The
        blocks then need not say it, and where that evidence is strong, they stop to.
    """

    modality = "text"
    places = PLACES

    def __init__(
        self,
        *,
        vocabulary: int,
        width: int,
        depth: int,
        heads: int,
        length: int,
        embedding: int = 16,
        tokenizer: Tokenizer | None = None,
        output_prior: bool = True,
    ) -> None:
        super().__init__()
        if width % (2 * heads):  # rotary positions turn halves of a head
            raise ValueError(f"heads {heads} does not divide width {width} into heads of even size")
        self.config = dict(
            vocabulary=vocabulary, width=width, depth=depth, heads=heads, length=length, embedding=embedding,
            output_prior=output_prior,
        )  # fmt: skip
        self.depth, self.width, self.latent_shape = depth, width, (length, embedding)
        self.tokenizer, self.output_prior = tokenizer, output_prior
        self.schedule = PlaidSchedule()
        self.matrix = nn.Parameter(torch.randn(vocabulary, embedding))
        self.input_linear = nn.Linear(embedding, width, bias=False)
        self.selfcond_linear = nn.Linear(embedding, width, bias=False)
        self.gamma_linear = nn.Linear(64, width, bias=False)
        self.blocks = nn.ModuleList(PlaidBlock(width, heads, 1 / math.sqrt(depth)) for _ in range(depth))
        self.output_norm = nn.LayerNorm(width, eps=1e-5, bias=False)
        self.output_linear = nn.Linear(width, vocabulary)

    @classmethod
    def from_official(
        cls,
        schedule: Mapping[str, torch.Tensor],
        bounds: Mapping[str, torch.Tensor],
        embeddings: Mapping[str, torch.Tensor],
        network: Mapping[str, torch.Tensor],
        *,
        length: int,
        tokenizer: Tokenizer | None = None,
        files: Sequence[Path | str] = OFFICIAL_FILES,
    ) -> Plaid:
        """Build the model of a published Plaid.

        Parameters
        ----------
        schedule, bounds, embeddings, network : dicts of name to Tensor, as in noise_schedule.pt,
        gamma_bounds.pt,
            embedding_matrix.pt and model.pt
        length : int; the files do not hold it, texts of any length can be read
        tokenizer : tokenizers.Tokenizer, optional
        files : sequence of four paths or str, what errors call the four

        Raises
        ------
        ValueError
            If a tensor is missing, too many, of another shape than the others ask for, or not finite; the
            message names it and its file.
        """
        vocabulary, embedding = axes_of(embeddings, "matrix", 2, files[2])
        (width,) = axes_of(network, "output_norm.weight", 1, files[3])
        head_size = 2 * axes_of(network, "rotary_emb.inv_freq", 1, files[3])[0]
        depth = depth_of(network, files[3])
        if width % head_size:
            raise ValueError(
                f"{files[3]}: rotary_emb.inv_freq is of heads of {head_size}, expected a size that divides "
                f"the width {width} of output_norm.weight"
            )
        model = cls(
            vocabulary=vocabulary,
            embedding=embedding,
            width=width,
            depth=depth,
            heads=width // head_size,
            length=length,
            tokenizer=tokenizer,
        )
        network = {name: value for name, value in network.items() if not name.startswith("rotary_emb.")}
        states = (schedule, bounds, embeddings, network)
        for state, shapes, file in zip(states, _official_shapes(model), files, strict=True):
            check_tensors(state, shapes, file)
        state = {f"schedule.{name}": value for name, value in (schedule | bounds).items()}
        model.load_state_dict(state | embeddings | network)
        return model.eval()

    def at_length(self, length: int) -> Plaid:
        """The same model, reading texts that are cut or padded to `length` tokens; the tensors are shared.

        A model of another length has another hash: it gives other features.
        """
        if length < 1:
            raise ValueError(f"length {length}: a text has at least 1 token")
        if length == self.latent_shape[0]:
            return self
        other = copy.copy(self)
        other.config = self.config | {"length": int(length)}
        other.latent_shape = (int(length), *self.latent_shape[1:])
        other.sha256 = other.identity()
        return other

    def settings(self) -> dict:
        """As `Backbone.settings`: the shape, and what cuts a text into tokens."""
        return self.config | {"tokenizer": None if self.tokenizer is None else self.tokenizer.to_str()}

    @property
    def embeddings(self) -> torch.Tensor:
        """Embedding of every token, (V, E), rows of length 1."""
        return functional.normalize(self.matrix, dim=1)

    def tokenize(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids (N, T) of N strings, cut or padded to the model's length, and a mask of the real ones."""
        if self.tokenizer is None:
            raise ValueError(
                f"{self.name} was built without a tokenizer: load it by name, or pass `tokenizer`"
            )
        length, _ = self.latent_shape
        encoded = [self.tokenizer.encode(text).ids[:length] for text in texts]
        end = self.tokenizer.token_to_id(END)
        ids = torch.tensor([tokens + [end] * (length - len(tokens)) for tokens in encoded])
        sizes = torch.tensor([len(tokens) for tokens in encoded])
        return ids, torch.arange(length) < sizes[:, None]

    @torch.inference_mode()
    def latents(self, texts: Sequence[str]) -> Latents:
        """Latents (N, T, E) of N strings, and the mask (N, T) of real tokens; padding is not real."""
        ids, mask = self.tokenize(texts)
        return Latents(self.embeddings[ids.to(self.device)].cpu(), mask)

    @torch.inference_mode()
    def decode(self, z: torch.Tensor) -> list[str]:
        """N strings of clean latents (N, T, E): the nearest tokens, up to the first end token."""
        end = self.tokenizer.token_to_id(END)
        rows = (z.to(self.device) @ self.embeddings.T).argmax(dim=-1).tolist()
        return [self.tokenizer.decode(row[: row.index(end)] if end in row else row) for row in rows]

    def embed(
        self, z: torch.Tensor, timesteps: torch.Tensor, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, tuple]:
        """Tokens (N, T, D) on a first pass, without self-conditioning, from an integer clock (N,)."""
        gamma = self.schedule(timesteps.double() / STEPS)
        tokens, tables = self.embed_gamma(z, gamma, torch.zeros_like(z))
        if mask is None:
            return tokens, tables
        seen = mask.clone()
        seen[:, 0] = True  # of an empty text, its first padding: attention over nothing has no value
        return tokens, (*tables, seen[:, None, None])  # (N, 1, 1, T)

    def embed_gamma(
        self, z: torch.Tensor, gamma: torch.Tensor, previous: torch.Tensor
    ) -> tuple[torch.Tensor, tuple]:
        """Tokens (N, T, D) before the first block, and the rotary tables that all blocks share.

        Parameters
        ----------
        z : Tensor of shape (N, T, E)
        gamma : float64 Tensor of shape (N,)
        previous : Tensor of shape (N, T, E), the clean latents estimated before; zeros on a first pass
        """
        gamma = gamma[:, None, None]
        size = z.shape[-1]
        variance = torch.sigmoid(-gamma) / size + torch.sigmoid(gamma)
        frequencies = torch.linspace(-5, 5, 32, dtype=torch.float64, device=z.device).exp()
        angles = frequencies * gamma  # (N, 1, 32)
        waves = torch.cat([angles.sin(), angles.cos()], dim=-1).to(z.dtype)  # (N, 1, 64)
        tokens = (
            self.input_linear(z / variance.sqrt().to(z.dtype))
            + self.selfcond_linear(math.sqrt(size) * previous)
            + self.gamma_linear(waves)
        )
        tables = rotary_tables(z.shape[1], self.width // self.blocks[0].heads, z.device)
        return tokens.to(self.precision), tables

    def run_block(self, index: int, tokens: torch.Tensor, context: Sequence) -> torch.Tensor:
        """Tokens (N, T, D) after one block; context holds the rotary tables, and which tokens are seen."""
        return self.blocks[index](tokens, *context)

    def forward(self, z: torch.Tensor, gamma: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
        """Logits (N, T, V) over the clean tokens, from noised latents (N, T, E) at gamma (N,)."""
        tokens, context = self.embed_gamma(z, gamma, previous)
        for index in range(self.depth):
            tokens = self.run_block(index, tokens, context)
        readout = self.output_linear(self.output_norm(tokens) * (REFERENCE_WIDTH / self.width))
        if not self.output_prior:
            return readout
        # What the noised embedding alone says of its token: log N(z; alpha e, sigma^2), up to a constant.
        evidence = (torch.sigmoid(-gamma).sqrt() / torch.sigmoid(gamma)).to(z.dtype)[:, None, None] * z
        return readout + evidence @ self.embeddings.T

    def estimate(self, logits: torch.Tensor) -> torch.Tensor:
        """The expected clean latents (N, T, E) under the logits (N, T, V)."""
        return logits.softmax(dim=-1) @ self.embeddings

    @torch.inference_mode()
    def predict(self, z: torch.Tensor, timestep: int, previous: torch.Tensor | None = None) -> torch.Tensor:
        """The clean latents (N, T, E) that the model sees in latents noised to an int timestep."""
        z = z.to(self.device)
        gamma = self.schedule(torch.full((len(z),), timestep).double() / STEPS)
        return self.estimate(self(z, gamma, torch.zeros_like(z) if previous is None else previous))


class Activation(nn.Module):
    """The activation of the MLP, a module so that `taps` can look at what it puts out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(...) to (...)."""
        return gelu(x)


class PlaidBlock(nn.Module):
    """Attention and MLP, each added to the stream with the weight `scale`."""

    def __init__(self, width: int, heads: int, scale: float) -> None:
        super().__init__()
        self.heads, self.scale = heads, scale
        self.rmsnorm1 = nn.RMSNorm(width, eps=1e-5)
        self.attn_qkv = nn.Linear(width, 3 * width, bias=False)
        self.attn_out = nn.Linear(width, width, bias=False)
        self.rmsnorm2 = nn.RMSNorm(width, eps=1e-5)
        self.mlp = nn.Sequential(
            OrderedDict(
                fc1=nn.Linear(width, 4 * width, bias=False),
                gelu=Activation(),
                fc2=nn.Linear(4 * width, width, bias=False),
            )
        )

    def forward(self, tokens: torch.Tensor, *context: torch.Tensor) -> torch.Tensor:
        """Tokens (N, T, D) to (N, T, D)."""
        tokens = tokens + self.scale * self.attn_out(self.attend(self.rmsnorm1(tokens.float()), *context))
        return tokens + self.scale * self.mlp(self.rmsnorm2(tokens.float()))

    def attend(
        self, tokens: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor, seen: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Rotary attention of every token to every token, or to those that are seen, (N, T, D)."""
        qkv = self.attn_qkv(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = qkv  # (N, heads, T, D / heads)
        query, key = rotate(query, cosine, sine), rotate(key, cosine, sine)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        return mixed.transpose(1, 2).flatten(2)


def _official_shapes(model):
    """Name and shape of the tensors in each of the four published files of a model."""
    shapes = ({}, {}, {}, {})
    for name, value in model.state_dict().items():
        _, learned, inner = name.rpartition("schedule.")
        place = 2 if name == "matrix" else 3 if not learned else int(inner.startswith("gamma_"))
        shapes[place][inner] = value.shape
    return shapes


def rotary_tables(length: int, size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine, each (T, size), of the angles by which the halves of a head turn at each position."""
    rate = ROTARY_BASE ** (-torch.arange(0, size, 2, device=device) / size)
    angles = torch.outer(torch.arange(length, device=device), rate).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(heads: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Turn each pair (first half, second half) of the last axis by its position's angle."""
    first, second = heads.chunk(2, dim=-1)
    return heads * cosine + torch.cat([-second, first], dim=-1) * sine
