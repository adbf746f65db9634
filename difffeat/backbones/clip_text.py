"""The text encoders of Stable Diffusion: CLIP's causal transformer, read from its official folders.

Written from the description of the model (Radford et al. 2021), so that a prompt needs no further library. N
texts, S = 77 tokens, E width, V vocabulary, P width of the projection.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from torch import nn
from torch.nn import functional

from difffeat.base.checkpoint import check_tensors, read_checkpoint

START, END = "<|startoftext|>", "<|endoftext|>"
# What CLIP takes for a word: endings of English, letters, one digit, or other signs.
WORD = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
ACTIVATIONS = {
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "gelu": functional.gelu,
}


class Encoded(NamedTuple):
    """A text encoded.

    Attributes
    ----------
    last : Tensor of shape (N, S, E), after the last block and its norm
    penultimate : Tensor of shape (N, S, E), after the last block but one, without a norm
    pooled : Tensor of shape (N, P), the projected end token, of an encoder that has a projection, else None
    """

    last: torch.Tensor
    penultimate: torch.Tensor
    pooled: torch.Tensor | None


class Words:
    """CLIP's tokenizer: lower case, byte pairs, start and end, and as many of the padding as are missing.

    Parameters
    ----------
    folder : path with vocab.json and merges.txt, and special_tokens_map.json, which names the padding
    length : int, S
    """

    def __init__(self, folder: Path | str, length: int = 77) -> None:
        folder = Path(folder)
        for name in ("vocab.json", "merges.txt"):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder} lacks {name}: get the whole folder of the model")
        bpe = models.BPE.from_file(
            str(folder / "vocab.json"),
            str(folder / "merges.txt"),
            unk_token=END,
            end_of_word_suffix="</w>",
        )
        self.inner, self.length = Tokenizer(bpe), length
        self.inner.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        )
        self.inner.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(WORD), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        )
        ids = {name: self.inner.token_to_id(name) for name in (START, END, _padding(folder))}
        if None in ids.values():
            raise ValueError(f"{folder}/vocab.json is not CLIP's: it lacks one of {', '.join(ids)}")
        self.start, self.end, self.pad = ids[START], ids[END], ids[_padding(folder)]
        self.inner.add_special_tokens(list(ids))  # in a text too: SDXL's second one pads with a "!"

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Token ids (N, S) of N strings."""
        rows = [[self.start, *self.inner.encode(text).ids[: self.length - 2], self.end] for text in texts]
        return torch.tensor([row + [self.pad] * (self.length - len(row)) for row in rows])


def _padding(folder):
    """The token that pads: the end of a text, or what special_tokens_map.json says."""
    path = folder / "special_tokens_map.json"
    said = json.loads(path.read_text(encoding="utf-8")).get("pad_token", END) if path.is_file() else END
    return said["content"] if isinstance(said, Mapping) else said


class ClipText(nn.Module):
    """A text encoder of CLIP.

    Parameters
    ----------
    config : mapping, its config.json
    end : int, id of the end token
    projected : bool, whether it has a projection
    """

    def __init__(self, config: Mapping, end: int, projected: bool) -> None:
        super().__init__()
        width, self.end = config["hidden_size"], end
        positions = config.get("max_position_embeddings", 77)
        names = {"token_embedding": config["vocab_size"], "position_embedding": positions}
        blocks = [ClipBlock(config) for _ in range(config["num_hidden_layers"])]
        self.text_model = nn.ModuleDict(
            {
                "embeddings": nn.ModuleDict(
                    {name: nn.Embedding(rows, width) for name, rows in names.items()}
                ),
                "encoder": nn.ModuleDict({"layers": nn.ModuleList(blocks)}),
                "final_layer_norm": nn.LayerNorm(width, eps=config.get("layer_norm_eps", 1e-5)),
            }
        )
        self.text_projection = (
            nn.Linear(width, config.get("projection_dim", 512), bias=False) if projected else None
        )

    @torch.inference_mode()
    def forward(self, ids: torch.Tensor) -> Encoded:
        """`Encoded` of token ids (N, S)."""
        model = self.text_model
        tokens = model["embeddings"]["token_embedding"](ids)
        tokens = tokens + model["embeddings"]["position_embedding"].weight[: ids.shape[1]]  # (N, S, E)
        for block in model["encoder"]["layers"]:
            before, tokens = tokens, block(tokens)
        last = model["final_layer_norm"](tokens)
        if self.text_projection is None:
            return Encoded(last, before, None)
        ends = (ids == self.end).int().argmax(dim=1)  # the first end: where it pads too, others follow
        return Encoded(last, before, self.text_projection(last[torch.arange(len(ids)), ends]))


class ClipBlock(nn.Module):
    """Attention to what stands before, and an MLP; tensors have the names of the official files."""

    def __init__(self, config: Mapping) -> None:
        super().__init__()
        width, eps = config["hidden_size"], config.get("layer_norm_eps", 1e-5)
        self.heads, self.activation = config["num_attention_heads"], ACTIVATIONS[config["hidden_act"]]
        parts = ("q_proj", "k_proj", "v_proj", "out_proj")
        self.self_attn = nn.ModuleDict({part: nn.Linear(width, width) for part in parts})
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)
        inner = config["intermediate_size"]
        self.mlp = nn.Sequential(OrderedDict(fc1=nn.Linear(width, inner), fc2=nn.Linear(inner, width)))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (N, S, E) to (N, S, E)."""
        normed = self.layer_norm1(tokens)
        query, key, value = (
            self.self_attn[f"{part}_proj"](normed).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in "qkv"
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        tokens = tokens + self.self_attn["out_proj"](mixed.transpose(1, 2).flatten(2))
        return tokens + self.mlp.fc2(self.activation(self.mlp.fc1(self.layer_norm2(tokens))))


def read_encoder(folder: Path | str, end: int) -> ClipText:
    """The encoder of an official folder: config.json, and weights as safetensors or a .bin of tensors.

    Parameters
    ----------
    folder : path
    end : int, id of the end token

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If the weights are not those of the config; the message names the tensor.
    """
    folder = Path(folder)
    paths = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    if not paths or not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} lacks config.json or {WEIGHTS[0]}: get the whole folder")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    state = {
        name: value.float()
        for name, value in read_checkpoint(paths[0]).items()
        if not name.endswith("position_ids")  # 0 to 76, in older files
    }
    if (act := config.get("hidden_act")) not in ACTIVATIONS:
        raise ValueError(f"{folder}/config.json: hidden_act is {act!r}; known: {', '.join(ACTIVATIONS)}")
    encoder = ClipText(config, end, "text_projection.weight" in state)
    check_tensors(state, {name: value.shape for name, value in encoder.state_dict().items()}, paths[0])
    encoder.load_state_dict(state)
    return encoder.eval().requires_grad_(False)
