"""Tokens of a few images at many points, in memory: what tasks on pixels and keypoints read.

Letters: N images, T tokens, D width. All points of a timestep come from one pass, as those of a cache do, and
are held in half precision, as a cache holds them, for as long as somebody holds this.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from difffeat.backbones.framing import frame
from difffeat.backbones.latents import square
from difffeat.features import extract
from difffeat.features.points import Point, points_of
from difffeat.features.recipe import identity
from difffeat.probing import pixels

if TYPE_CHECKING:
    from difffeat.backbones.base import Backbone
    from difffeat.features.datasets import Split
    from difffeat.features.dense import LabelMaps
    from difffeat.features.recipe import Recipe

PATCH = 8  # pixels of the side of a token's square that are kept


class Activations:
    """Tokens of train, val and test at the points of a recipe, read when first asked for.

    Parameters
    ----------
    splits : dict of part to Split with images
    backbone : Backbone that reads images
    recipe : Recipe of pooling "none"
    """

    def __init__(self, splits: Mapping[str, Split], backbone: Backbone, recipe: Recipe) -> None:
        if recipe.pooling != "none":
            raise ValueError(f"tasks on pixels read tokens; pooling is {recipe.pooling!r}, not 'none'")
        self.splits, self.backbone, self.recipe = splits, backbone, recipe

    @property
    def points(self) -> list[Point]:
        """The points, in the order of a grid's."""
        recipe = self.recipe
        return points_of(recipe.blocks, recipe.timesteps, recipe.places)

    @cached_property
    def told(self) -> dict:
        """What decides them but for the points, as JSON takes it."""
        plans = {part: self.recipe.of(split, self.backbone) for part, split in self.splits.items()}
        return {part: identity(plan) for part, plan in plans.items()}

    @cached_property
    def _held(self):
        return {
            part: extract.in_memory(split, self.backbone, self.recipe) for part, split in self.splits.items()
        }

    def read(self, *points: Point) -> dict[str, np.ndarray]:
        """Tokens of every part at a point, (N, T, D); of several points side by side, each standardised.

        Standardised by mean and standard deviation of each number over the tokens of train: else the place
        with the largest numbers would count alone. Where they differ in resolution, as those of a U-Net do,
        the coarser are upsampled to the finest, as in the second paper.
        """
        if len(points) == 1:
            return {part: held[points[0]] for part, held in self._held.items()}
        sides = [standardised(self.read(point)) for point in points]
        finest = max(next(iter(side.values())).shape[1] for side in sides)
        return {
            part: np.concatenate([_as_fine(side[part], finest) for side in sides], axis=2)
            for part in self.splits
        }


def _as_fine(tokens, count):
    """Tokens (N, T, D) upsampled to `count` of them, which tile the same square."""
    if tokens.shape[1] == count:
        return tokens
    return (pixels.upsampling(tokens.shape[1], pixels.side_of(count)) @ torch.from_numpy(tokens)).numpy()


def standardised(tokens: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tokens {part: (N, T, D)} with mean 0 and standard deviation 1 over those of the first part, float32."""
    first = np.asarray(next(iter(tokens.values())), np.float32)
    first = first.reshape(-1, first.shape[2])
    mean, std = first.mean(axis=0), first.std(axis=0)
    std[std <= 1e-6 * np.abs(mean)] = 1
    return {part: (np.asarray(held, np.float32) - mean) / std for part, held in tokens.items()}


def squares(split: Split, backbone: Backbone, rows: Iterable[int]) -> dict[int, Image.Image]:
    """What a backbone is shown of some images of a split, by row."""
    return {row: square(split.image(row), backbone.image_side, backbone.framing) for row in rows}


def patches(splits: Mapping[str, Split], backbone: Backbone) -> dict[str, np.ndarray]:
    """Pixels and position in place of tokens, {part: (N, T, D)}: what needs no model at all.

    The square of pixels that a token is made of, at most `PATCH` x `PATCH` of them, and x, y, their squares
    and their product.
    """
    grid = backbone.latent_shape[-1] // backbone.patch
    inner = min(PATCH, backbone.image_side // grid)
    middle = (np.arange(grid) + 0.5) / grid
    y, x = (values.ravel() for values in np.meshgrid(middle, middle, indexing="ij"))
    where = np.stack([x, y, x * x, y * y, x * y], axis=1).astype(np.float32)  # (T, 5)

    def of_image(image):
        whole = square(image, backbone.image_side, backbone.framing)
        reduced = whole.resize((grid * inner, grid * inner), Image.Resampling.BOX)
        cells = np.asarray(reduced, np.float32).reshape(grid, inner, grid, inner, 3) / 255
        return np.concatenate([cells.swapaxes(1, 2).reshape(grid * grid, -1), where], axis=1)

    return {
        part: np.stack([of_image(split.image(row)) for row in range(len(split))])
        for part, split in splits.items()
    }


def label_maps(splits: Mapping[str, Split], maps: Mapping[str, LabelMaps], backbone: Backbone) -> dict:
    """Label maps of the squares that a backbone reads: {part: uint8 (N, S, S)}."""
    side, framing = backbone.image_side, backbone.framing
    found = {}
    for part, split in splits.items():
        read = (maps[part].read(sample) for sample in split.ids)
        found[part] = np.stack([frame(*one.shape[::-1], side, framing).labels(one) for one in read])
    return found
