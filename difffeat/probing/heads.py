"""The ways to join an image and a text feature, as formulas: see `fusion` for what they imply."""

from collections.abc import Mapping

import torch
from torch.nn.functional import normalize

from difffeat.probing.descent import first_linear


def _concat(weights, image, text):
    """Concat(h_img / |h_img|, h_txt / |h_txt|)"""
    return torch.cat([normalize(image, dim=-1), normalize(text, dim=-1)], dim=-1)


def _linear_concat(weights, image, text):
    """Concat(W_img h_img, W_txt h_txt)"""
    return torch.cat([image @ weights["image"], text @ weights["text"]], dim=-1)


def _addition(weights, image, text):
    """W_img h_img + W_txt h_txt"""
    return image @ weights["image"] + text @ weights["text"]


def _cross_attention(weights, image, text):
    """softmax((W_Q h_img)(W_K h_txt)^T / sqrt(d_k)) W_V h_txt, each modality one token: a (1, A) row."""
    query, key, value = (image @ weights["query"], text @ weights["key"], text @ weights["value"])
    attention = attend(query.unsqueeze(-2), key.unsqueeze(-2), query.shape[-1])  # (P, B, 1, 1)
    return (attention @ value.unsqueeze(-2)).squeeze(-2)


def _channel_attention(weights, image, text):
    """softmax((W_Q h_img)(W_K h_txt)^T / sqrt(d_k)) W_V h_txt, each modality an (A, 1) column."""
    query, key, value = (image @ weights["query"], text @ weights["key"], text @ weights["value"])
    # Products of a column and a row, (P, B, A, A): as broadcasts, half the time of so many small matmuls.
    attention = torch.softmax((query / query.shape[-1] ** 0.5).unsqueeze(-1) * key.unsqueeze(-2), dim=-1)
    return (attention * value.unsqueeze(-2)).sum(dim=-1)


def attend(query: torch.Tensor, key: torch.Tensor, d_k: int) -> torch.Tensor:
    """softmax(Q K^T / sqrt(d_k)), over the keys."""
    return torch.softmax(query @ key.mT / d_k**0.5, dim=-1)


_ADDED = {"image": "image", "text": "text"}

_ATTENDED = {"query": "image", "key": "text", "value": "text"}

# head -> how it joins (P, B, Di) and (P, B, Dt), and its projections with the modality that each reads
HEADS = {
    "concat": (_concat, {}),
    "linear_concat": (_linear_concat, _ADDED),
    "addition": (_addition, _ADDED),
    "cross_attention": (_cross_attention, _ATTENDED),
    "channel_attention": (_channel_attention, _ATTENDED),
}

# Heads that are linear in the features, or in the normalised ones: the modalities that reach the classifier
# with the projection of each, if any, and whether the classifier has rows of its own for each.
PRODUCTS = {
    "concat": ({"image": None, "text": None}, True),
    "linear_concat": ({"image": "image", "text": "text"}, True),
    "addition": ({"image": "image", "text": "text"}, False),
    "cross_attention": ({"text": "value"}, False),
}


def logits_of(
    head: str, weights: Mapping[str, torch.Tensor], image: torch.Tensor, text: torch.Tensor
) -> torch.Tensor:
    """Classifier of the joined features, (P, B, K)."""
    join, _ = HEADS[head]
    return torch.baddbmm(weights["bias"], join(weights, image, text), weights["classifier"])


def first_weights(
    head: str, features: Mapping[str, torch.Tensor], labels: int, d_align: int, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    """The first weights of every pair, as `torch.nn.Linear` draws them."""
    join, projections = HEADS[head]
    weights = {}
    for name, modality in projections.items():
        weights[name] = first_linear(features[modality].shape[2], d_align, generator)[0].T  # (D, A)
    widths = (torch.zeros(1, features[modality].shape[2]) for modality in ("image", "text"))
    classifier, bias = first_linear(join(weights, *widths).shape[1], labels, generator)
    return weights | {"classifier": classifier.T, "bias": bias.T}  # (J, K), (1, K)
