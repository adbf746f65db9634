"""The frozen diffusion transformers that features are read from: `load` one by name.

`protocol` says what each offers; `dit` reads images, `plaid` text; `sampling` draws from them; `taps` looks
inside a block.
"""

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from tokenizers import Tokenizer

from difffeat.backbones.dit import DiT, PatchPCA
from difffeat.backbones.plaid import Plaid
from difffeat.backbones.protocol import Backbone, Latents

__all__ = ["Backbone", "DiT", "Latents", "Plaid", "load", "weights_folder"]

WEIGHTS = Path(__file__).parent / "weights"
TRAINED_BY = {"dit-scenes": "data_prep.train_dit", "plaid-scenes": "data_prep.train_plaid"}


def weights_folder(name):
    """Where the shipped files of a model are."""
    return WEIGHTS / name


def load(name, trained=True, seed=0, *, folder=None):
    """Build a backbone and load its weights.

    Parameters
    ----------
    name : "dit-scenes" or "plaid-scenes"
    trained : bool
        False gives the untrained copy, the floor under what training has taught: the same shape with random
        weights, the same latents or tokenizer, and the same noise levels. Its embeddings are random too.
    seed : int, of the untrained copy's weights
    folder : path, optional; where the files are, if not among the shipped ones

    Returns
    -------
    Backbone in evaluation mode, float32

    Raises
    ------
    ValueError
        If the name is unknown; the message gives the known ones.
    FileNotFoundError
        If the files are not there; the message gives the command that makes them.
    """
    if name not in TRAINED_BY:
        raise ValueError(f"unknown backbone {name!r}: choose one of {', '.join(TRAINED_BY)}")
    folder = Path(folder or weights_folder(name))
    path = folder / "model.safetensors"
    if not path.exists():
        raise FileNotFoundError(
            f"the weights of {name} are not in {folder}: fetch the whole repository, or train them with "
            f"`python -m {TRAINED_BY[name]} --out {folder}`"
        )
    config = json.loads((folder / "config.json").read_text())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _build(name, config, folder, trained)
    weights = {key: value.float() for key, value in load_file(path).items()}
    if trained:
        model.load_state_dict(weights)
        model.name, model.sha256 = name, hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        # A learned noise schedule is kept: both copies then read the same noised inputs.
        model.load_state_dict({**model.state_dict(), **_only_schedule(weights)})
        model.name, model.sha256 = f"{name}-untrained", hashlib.sha256(save(model.state_dict())).hexdigest()
    return model.eval().requires_grad_(False)


def _build(name, config, folder, trained):
    """A randomly initialised model with what it needs to read its inputs."""
    if name == "dit-scenes":
        encoder = PatchPCA.load(folder / "latents.safetensors")
        return DiT(**config, encoder=encoder, closed_gates=trained)
    return Plaid(**config, tokenizer=Tokenizer.from_file(str(folder / "tokenizer.json")))


def _only_schedule(weights):
    return {key: value for key, value in weights.items() if key.startswith("schedule.")}
