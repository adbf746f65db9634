"""What decides features, and where those of a recipe are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from difffeat.features import cache, schedule
from difffeat.features.datasets import Split
from difffeat.features.points import OUT
from difffeat.features.pooling import POOLINGS, check_modality

# Counts what the code makes of the same inputs and models, from decoding a picture to averaging tokens. A
# test holds it to recorded features: where they change this must, so that caches of before do not serve.
VERSION = 1
POINTS = ("blocks", "timesteps", "places")  # what of a recipe are the points, and not how they are made


@dataclass(frozen=True)
class Recipe:
    """How features are made of inputs and a model: made once, passed whole.

    Attributes
    ----------
    blocks : ints from 0 (the embedding) to the backbone's depth
    timesteps : ints in [0, 1000), larger is noisier
    noising : "random", "mean" or "ddim", see `schedule.noised`; "ddim-5" is "ddim" in 5 steps
    seed : int, of the noise; it is drawn per sample from (seed, id) and the same at all timesteps
    pooling : "mean" over all tokens; for text also "real", over those that are not padding, and "unpadded",
        the same of a model that is not shown the padding, as if each text ran alone at its own length.
        The paper averages over tokens and does not speak of padding; its text model has no mask. For images
        also "quadrants", the means of the four quarters of the picture side by side, 4 D wide. "none" leaves
        the tokens as they are, (N, T, D), for readers of features: probes take pooled ones.
    condition : int, the timestep the model is told if it is not the one of the noise
    places : where in each of the blocks, "out" (its output) or what the backbone has inside, see
        `backbones.taps`; all are read in the same pass, and each is as wide as its tokens

    Raises
    ------
    ValueError
        If an option is unknown; the message gives those there are.
    """

    blocks: Sequence[int]
    timesteps: Sequence[int]
    noising: str = "random"
    seed: int = 0
    pooling: str = "mean"
    condition: int | None = None
    places: Sequence[str] = (OUT,)

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling {self.pooling!r} is unknown; known: {', '.join(POOLINGS)}")
        kind, _ = schedule.parted(self.noising)
        if self.pooling == "unpadded" and kind == "ddim":
            raise ValueError("noising 'ddim' runs the model on padded texts; use 'mean', or pooling 'real'")

    def of(self, split: Split, backbone: nn.Module) -> dict:
        """All that decides the features of a split read by a backbone; shards carry it as their provenance.

        Returns
        -------
        dict that JSON can hold

        Raises
        ------
        ValueError
            If a block or a timestep is out of range, a place is none of the backbone's, or the pooling is
            not of its modality.
        """
        check_modality(self.pooling, backbone.modality)
        if backbone.sha256 == "none":
            raise ValueError(
                "the backbone has no hash of its weights: features of others could pass for its own; set "
                "`sha256`"
            )
        told = self.condition
        blocks = _rising("blocks", self.blocks, backbone.check_block)
        return {
            "schema": cache.SCHEMA,
            "version": VERSION,
            "backbone": backbone.name,
            "backbone_sha256": backbone.sha256,
            "dataset": split.dataset,
            "split": split.name,
            "samples": len(split),
            "inputs": split.input_digest(backbone.modality),
            "blocks": blocks,
            "timesteps": _rising("timesteps", self.timesteps, schedule.check_timestep),
            "noising": schedule.named(self.noising),
            "seed": self.seed if self.noising == "random" else None,  # the others draw nothing
            "pooling": self.pooling,
            "condition": None if told is None else schedule.check_timestep(told),
            **_inside(self.places, blocks, backbone),
        }


def location(root: Path | str, plan: dict) -> Path:
    """The folder under `root` for features of this provenance."""
    return home(root, plan) / _key({name: plan[name] for name in POINTS if name in plan})


def home(root: Path | str, plan: dict) -> Path:
    return Path(root) / f"{plan['backbone']}-{plan['dataset']}-{plan['split']}-{_key(identity(plan))}"


def identity(plan: dict) -> dict:
    """What has to agree for a cache to serve: all but the points, of which it may hold more."""
    return {name: value for name, value in plan.items() if name not in POINTS}


def _key(content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def _rising(name, values, check):
    values = sorted({check(value) for value in values})
    if not values:
        raise ValueError(f"no {name} were asked for; name at least one")
    return values


def _inside(places, blocks, backbone):
    """The entry of the places; none where features are read at outputs alone, as caches had it before."""
    if not places or isinstance(places, str):
        raise ValueError(f"places must be a list with at least one name, got {places!r}")
    inner = [place for place in dict.fromkeys(places) if place != OUT]
    for place in inner:
        for block in blocks:
            backbone.inside(block, place)
    order = [OUT, *backbone.places] if inner else []
    return {"places": [place for place in order if place in places]} if inner else {}
