"""Pictures to train an image backbone on: scenes drawn for it, or the train part of a profile's data."""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

import data_prep
from data_prep.scenes.drawing import render
from data_prep.scenes.generate import FIRST_INDEX, end_with_parent
from data_prep.scenes.world import layout
from difffeat import profiles
from difffeat.backbones.latents import square
from difffeat.features.datasets import Split


class Pictures(NamedTuple):
    """Pictures by number, as functions of uint8 pixels (N, 3, S, S)."""

    count: int  # to train on
    train: Callable[[int, int], np.ndarray]  # (start, count)
    validation: Callable[[int], np.ndarray]  # the first pictures of those that are not trained on
    digest: str  # of what decides them


def to_unit(pixels: np.ndarray) -> torch.Tensor:
    """uint8 pixels to floats in [-1, 1]."""
    return torch.from_numpy(pixels).float() / 127.5 - 1


def scenes(data_seed: int, count: int, side: int) -> Pictures:
    """Scenes [0, count) of a data seed; the probes' training images are among them."""
    draw = partial(_scenes, data_seed, side)
    validation = partial(draw, FIRST_INDEX["val"])
    return Pictures(count, draw, validation, f"scenes-{data_seed}-{count}")


def of_profile(name: str, count: int, side: int, framing: str) -> Pictures:
    """The train part of a profile's data, `count` of it or with 0 all; validation is its val part.

    Parameters
    ----------
    name : str, of the profile
    count : int
    side : int, pixels that a picture is resized to
    framing : str, how it becomes a square, see `latents.square`

    Raises
    ------
    ValueError
        If there are fewer pictures, or the profile's data cannot be read.
    """
    parts = data_prep.splits(profiles.expanded(profiles.load(name).data, name))
    train = parts["train"]
    if not train.images or count > len(train):
        raise ValueError(
            f"profile {name} has {len(train.images)} pictures to train on, {count} were asked for"
        )
    train = train[: count or None]
    digest = train.input_digest("image")[:12]
    draw = partial(_squares, train, side, framing)
    return Pictures(len(train), draw, partial(_squares, parts["val"], side, framing, 0), f"{name}-{digest}")


def in_chunks(pictures: Pictures, size: int) -> Iterator[np.ndarray]:
    """Yield uint8 pixels of the training pictures, `size` at a time, made by all processors."""
    starts = range(0, pictures.count, size)
    counts = [min(size, pictures.count - start) for start in starts]
    with ProcessPoolExecutor(initializer=end_with_parent) as pool:
        yield from pool.map(pictures.train, starts, counts)


def _scenes(data_seed, side, start, count) -> np.ndarray:
    images = [np.asarray(render(layout(data_seed, index), side)[0]) for index in range(start, start + count)]
    return np.stack(images).transpose(0, 3, 1, 2)


def _squares(split: Split, side, framing, start, count) -> np.ndarray:
    images = [np.asarray(square(split.image(row), side, framing)) for row in range(start, start + count)]
    return np.stack(images).transpose(0, 3, 1, 2)
