"""The tokens of a text backbone: how texts are cut into them, and where their embeddings start and end."""

from collections.abc import Iterable

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional

from difffeat.backbones.plaid import END, Plaid


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A byte-level BPE: any text can be written in it, and nearly every word of these is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def spread(count: int, size: int, generator: torch.Generator, steps: int = 300) -> torch.Tensor:
    """A spherical code: unit vectors (count, size) pushed apart, so that no two tokens start close."""
    points = functional.normalize(torch.randn(count, size, generator=generator), dim=1)
    for step in range(steps):
        cosine = points @ points.T
        push = (20 * (cosine - 1)).exp().fill_diagonal_(0)
        points = functional.normalize(points - 0.5 * (1 - step / steps) * push @ points, dim=1)
    return points


def noun_cosine(model: Plaid, names: Iterable[str]) -> float:
    """Highest cosine between the embeddings of two labels' names; near 1 the model confuses them."""
    tokens = [model.tokenizer.encode(" " + name).ids for name in names]
    nouns = model.embeddings.detach()[[ids[0] for ids in tokens if len(ids) == 1]]
    return float((nouns @ nouns.T).fill_diagonal_(-1).max()) if len(nouns) > 1 else float("nan")
