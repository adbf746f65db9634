"""What a study costs before it is run: passes of the models, floating-point operations, bytes of features.

N samples, B blocks, T timesteps, D width. Operations are counted by torch on models without memory (the meta
device); a product and its addition are two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cache

import torch
from diffusers import AutoencoderKL
from torch.utils.flop_counter import FlopCounterMode

from difffeat.backbones import published, shipped
from difffeat.backbones.autoencoder import SHAPE
from difffeat.backbones.dit import DiT
from difffeat.backbones.plaid import Plaid
from difffeat.extractions import Extraction
from difffeat.features import schedule

FLOAT16 = 2  # bytes
WIDER = {"hidden": 4}  # places that are as many times as wide as the output of their block
# Peak of dense bfloat16 products in TFLOP/s, as the vendor states it.
PEAK = {"rtx4090": 165.2, "a100": 312.0, "h100": 989.4, "h200": 989.4}


def peak(gpu: str) -> float:
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
    """What a study costs.

    Attributes
    ----------
    passes, encoded : int, how often the blocks and the encoder run
    blocks, encoder : float, operations of either
    bytes : int, of float16 features
    """

    passes: int
    encoded: int
    blocks: float
    encoder: float
    bytes: int

    def __add__(self, other: "Work") -> "Work":
        """Both together."""
        return Work(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def flops(self) -> float:
        """Operations of blocks and encoder together."""
        return self.blocks + self.encoder

    def hours(self, rate: float) -> float:
        """Hours at `rate` operations a second, the encoder's among them."""
        return self.flops / rate / 3600

    def hours_of_blocks(self, rate: float) -> float:
        """Hours of the blocks alone, on latents that are there."""
        return self.blocks / rate / 3600


@dataclass(frozen=True)
class Speed:
    """A printed speed held against the card that it was measured on.

    Attributes
    ----------
    printed : float, samples a second
    flops : float, operations of one sample
    gpu : str, a name in `PEAK`
    """

    printed: float
    flops: float
    gpu: str

    @property
    def most(self) -> float:
        """Samples a second at the card's peak."""
        return peak(self.gpu) / self.flops

    @property
    def share(self) -> float:
        """Share of the card's peak that the printed speed takes; more than 1 is more than the card has."""
        return self.printed / self.most


@cache
def model(name: str, length: int = published.PLAID_LENGTH) -> Model:
    """The cost of a model.

    Parameters
    ----------
    name : "dit-xl-2-256", "plaid-1b", either with "-random", or one that this project trained
    length : int, tokens of a text of a published model

    Raises
    ------
    ValueError
        If the cost of this model is not known.
    """
    shapes = {
        "dit-xl-2-256": (_dit, published.DIT_XL),
        "plaid-1b": (_plaid, published.PLAID_1B | {"length": length}),
    } | {own: (_plaid if own.startswith("plaid") else _dit, shipped.shape(own)) for own in _trained_here()}
    known = name.removesuffix("-random")
    if known not in shapes:
        raise ValueError(f"the cost of {name!r} is not known; known: {', '.join(shapes)}")
    count, shape = shapes[known]
    with torch.device("meta"):
        coded = _autoencoder() if known == "dit-xl-2-256" else 0.0  # others read few pixels
        return Model(shape["width"], shape["depth"], count(shape), coded)


def _dit(shape):
    """Operations of one block of a DiT."""
    network = DiT(**{**shape, "depth": 1})
    tokens = torch.empty(1, (shape["side"] // shape["patch"]) ** 2, network.width)
    return _count(lambda: network.run_block(0, tokens, torch.empty(1, network.width)))


def _plaid(shape):
    """Operations of one block of a Plaid."""
    network = Plaid(**{**shape, "depth": 1})
    tables = [torch.empty(shape["length"], network.width // shape["heads"])] * 2
    return _count(lambda: network.run_block(0, torch.empty(1, shape["length"], network.width), tables))


def _trained_here():
    """The diffusion models of this project whose files are there."""
    names = [name for name in shipped.TRAINED_HERE if not name.startswith("unet")]
    return [name for name in names if (shipped.weights_folder(name) / "config.json").is_file()]


def _autoencoder():
    """Operations of encoding one picture."""
    encoder, pixels = AutoencoderKL(**SHAPE), SHAPE["sample_size"]
    return _count(lambda: encoder.encode(torch.empty(1, 3, pixels, pixels)))


def _count(run):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    return float(counter.get_total_flops())


def one_pass_per_point(model: Model, samples: int, blocks: Sequence[int], timesteps: Sequence[int]) -> Work:
    """The plain way, as published scripts do it: for each point encode the input and run up to its block."""
    passes = samples * len(blocks) * len(timesteps)
    run = samples * len(timesteps) * sum(blocks) * model.block
    return Work(passes, passes, run, passes * model.encoder, _bytes(model, samples, blocks, timesteps))


def one_pass_per_timestep(
    model: Model, samples: int, blocks: Sequence[int], timesteps: Sequence[int]
) -> Work:
    """Our way: encode once, and run once per timestep up to the deepest block, which passes all others."""
    passes = samples * len(timesteps)
    run = passes * max(blocks) * model.block
    return Work(passes, samples, run, samples * model.encoder, _bytes(model, samples, blocks, timesteps))


WAYS = {"plain": one_pass_per_point, "ours": one_pass_per_timestep}


def inversion(model: Model, samples: int, timesteps: Sequence[int], steps: int) -> Work:
    """What `ddim` noising runs before the passes that features are read from: the whole model at each step.

    Parameters
    ----------
    model : Model
    samples : int
    timesteps : sequence of int; there are no more steps up to one than it has, and none up to 0
    steps : int, as `schedule.parted` gives them
    """
    passes = samples * sum(min(steps, timestep) for timestep in timesteps)
    return Work(passes, 0, passes * model.depth * model.block, 0.0, 0)


def of_extraction(extraction: Extraction, length: int) -> dict[str, Work]:
    """The work of what a page extracts in both `WAYS`, of which the plain one inverts for every point.

    Parameters
    ----------
    extraction : extractions.Extraction
    length : int, tokens of a text of a published model
    """
    costs, samples = model(extraction.backbone, length), extraction.samples * extraction.sets
    kind, steps = schedule.parted(extraction.noising)
    inverted = inversion(costs, samples, extraction.timesteps, steps if kind == "ddim" else 0)
    times = {"plain": len(extraction.blocks), "ours": 1}
    found = each_way(costs, samples, extraction.blocks, extraction.timesteps)
    widths = sum(WIDER.get(place, 1) for place in extraction.places) if extraction.kept else 0
    return {
        way: sum([inverted] * times[way], start=replace(work, bytes=work.bytes * widths))
        for way, work in found.items()
    }


def each_way(model: Model, samples: int, blocks: Sequence[int], timesteps: Sequence[int]) -> dict[str, Work]:
    """The work of one grid in both `WAYS`."""
    return {name: way(model, samples, blocks, timesteps) for name, way in WAYS.items()}


def studies(sizes: Mapping[str, tuple[int, int]], image: tuple, text: tuple) -> dict[tuple, Work]:
    """What the paper's models cost on several data sets, for one set of features each.

    Parameters
    ----------
    sizes : dict of data set to (samples, tokens of a caption)
    image, text : (blocks, timesteps) of either grid

    Returns
    -------
    dict of (data set, "image" or "text", a name in `WAYS`) to Work
    """
    models = {"image": "dit-xl-2-256", "text": "plaid-1b"}
    return {
        (data, modality, way): work
        for modality, grid in (("image", image), ("text", text))
        for data, (samples, length) in sizes.items()
        for way, work in each_way(model(models[modality], length), samples, *grid).items()
    }


def speeds(image: float, text: float, length: int, gpu: str = "rtx4090") -> dict[str, Speed]:
    """The paper's printed speeds, each for passes through all blocks; images also with the encoder in front.

    Parameters
    ----------
    image, text : float, samples a second
    length : int, tokens of a text
    gpu : str, the card that they were measured on
    """
    dit, plaid = model("dit-xl-2-256"), model("plaid-1b", length)
    return {
        "image": Speed(image, dit.depth * dit.block, gpu),
        "image, encoded first": Speed(image, dit.encoder + dit.depth * dit.block, gpu),
        "text": Speed(text, plaid.depth * plaid.block, gpu),
    }


def _bytes(model, samples, blocks, timesteps):
    return samples * len(blocks) * len(timesteps) * model.width * FLOAT16
