"""Pooling: the tokens of a sample made into one vector, or left as they are.

n samples, T tokens, D width, A areas: what of the tokens is averaged, 1 of all, 4 of quadrants, T of none.
"""

from __future__ import annotations

import math

import torch

POOLINGS = ("mean", "real", "unpadded", "quadrants", "none")
MASKED = ("real", "unpadded")  # over the tokens that are not padding, which only text has
OF_SQUARES = ("quadrants",)  # of tokens that tile a picture


def check_modality(pooling: str, modality: str) -> None:
    """A clear error unless tokens of this modality can be pooled so."""
    if pooling in MASKED and modality != "text":
        raise ValueError(f"pooling {pooling!r} leaves out padding, which only text has; use 'mean'")
    if pooling in OF_SQUARES and modality != "image":
        raise ValueError(f"pooling {pooling!r} cuts a square of tokens, which only images have; use 'mean'")


def areas(tokens: torch.Tensor, pooling: str, mask: torch.Tensor | None = None) -> torch.Tensor:
    """The means of tokens over each area, summed in float32 whatever the precision of the tokens.

    Parameters
    ----------
    tokens : Tensor of shape (n, T, D)
    pooling : one of `POOLINGS`
    mask : bool Tensor (n, T) of the tokens that are not padding; for "real" and "unpadded"

    Returns
    -------
    Tensor of shape (n, A, D); quadrants are upper left, upper right, lower left, lower right

    Raises
    ------
    ValueError
        If "quadrants" is asked of tokens that do not make a square of even side.
    """
    if pooling == "none":
        return tokens.float()
    if pooling == "quadrants":
        return _quadrants(tokens)
    if pooling not in MASKED:
        return tokens.mean(dim=1, keepdim=True, dtype=torch.float32)
    weight = mask[:, :, None].to(tokens.device, torch.float32)  # (n, T, 1)
    return (tokens * weight).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True).clamp(min=1)


def _quadrants(tokens):
    """The means of upper left, upper right, lower left, lower right, (n, 4, D)."""
    count = tokens.shape[1]
    side = math.isqrt(count)
    if side**2 != count or side % 2:
        raise ValueError(f"pooling 'quadrants' takes a square of tokens with an even side, found {count}")
    squares = tokens.unflatten(1, (2, side // 2, 2, side // 2))  # (n, 2, side / 2, 2, side / 2, D)
    return squares.mean(dim=(2, 4), dtype=torch.float32).flatten(1, 2)


def joined(found: torch.Tensor, pooling: str) -> torch.Tensor:
    """Areas (n, A, D) as features: side by side, (n, A D); of "none" as they are."""
    return found if pooling == "none" else found.flatten(1)
