"""What a study costs before it is run: passes of the models, floating-point operations, bytes of features.

N samples, B blocks, T timesteps, D width. Operations are counted by torch on models without memory (the meta
device); a product and its addition are two.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from diffusers import AutoencoderKL
from torch.utils.flop_counter import FlopCounterMode

from difffeat.backbones import published
from difffeat.backbones.autoencoder import SHAPE
from difffeat.backbones.dit import DiT
from difffeat.backbones.plaid import Plaid

FLOAT16 = 2  # bytes
# Peak of dense bfloat16 products in TFLOP/s, as the vendor states it.
PEAK = {"rtx4090": 165.2, "a100": 312.0, "h100": 989.4, "h200": 989.4}


def peak(gpu) -> float:
    """Operations a second that the vendor states for a card; ValueError with those known for another."""
    if gpu not in PEAK:
        raise ValueError(f"unknown GPU {gpu!r}; known: {', '.join(PEAK)}")
    return PEAK[gpu] * 1e12


@dataclass(frozen=True)
class Model:
    """What one sample costs a model.

    Attributes
    ----------
    width, depth : int
    block : float, operations of one block
    encoder : float, operations of what makes latents of an input
    """

    width: int
    depth: int
    block: float
    encoder: float


@dataclass(frozen=True)
class Work:
    """What a study costs: passes of the blocks and of the encoder, operations, bytes of float16 features."""

    passes: int
    encoded: int
    flops: float
    bytes: int

    def hours(self, rate):
        """Hours at `rate` operations a second."""
        return self.flops / rate / 3600


@cache
def model(name, length=published.PLAID_LENGTH) -> Model:
    """The cost of a published model.

    Parameters
    ----------
    name : "dit-xl-2-256" or "plaid-1b"
    length : int, tokens of a text

    Raises
    ------
    ValueError
        If the cost of this model is not known.
    """
    costs = {"dit-xl-2-256": _dit_xl, "plaid-1b": _plaid_1b}
    if name not in costs:
        raise ValueError(f"the cost of {name!r} is not known; known: {', '.join(costs)}")
    with torch.device("meta"):
        return costs[name](length)


def _dit_xl(_):
    shape, pixels = published.DIT_XL, SHAPE["sample_size"]
    network, encoder = DiT(**{**shape, "depth": 1}), AutoencoderKL(**SHAPE)
    tokens = torch.empty(1, (shape["side"] // shape["patch"]) ** 2, network.width)
    block = _count(lambda: network.run_block(0, tokens, torch.empty(1, network.width)))
    coded = _count(lambda: encoder.encode(torch.empty(1, 3, pixels, pixels)))
    return Model(network.width, shape["depth"], block, coded)


def _plaid_1b(length):
    shape = published.PLAID_1B
    network = Plaid(**{**shape, "depth": 1}, length=length)
    tables = [torch.empty(length, network.width // shape["heads"])] * 2
    block = _count(lambda: network.run_block(0, torch.empty(1, length, network.width), tables))
    return Model(network.width, shape["depth"], block, 0.0)


def _count(run):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return float(counter.get_total_flops())


def one_pass_per_point(model: Model, samples: int, blocks: Sequence[int], timesteps: Sequence[int]) -> Work:
    """The plain way, as published scripts do it: for each point encode the input and run up to its block."""
    points = len(blocks) * len(timesteps)
    run = len(timesteps) * sum(blocks) * model.block + points * model.encoder
    return Work(samples * points, samples * points, samples * run, _bytes(model, samples, points))


def one_pass_per_timestep(
    model: Model, samples: int, blocks: Sequence[int], timesteps: Sequence[int]
) -> Work:
    """Our way: encode once, and run once per timestep up to the deepest block, which passes all others."""
    run = len(timesteps) * max(blocks) * model.block + model.encoder
    points = len(blocks) * len(timesteps)
    return Work(samples * len(timesteps), samples, samples * run, _bytes(model, samples, points))


def _bytes(model, samples, points):
    return samples * points * model.width * FLOAT16
