"""The two backbones of the scenes profile, which this project trained and ships."""

import json
from pathlib import Path

from tokenizers import Tokenizer

from difffeat._checkpoint import read_checkpoint
from difffeat.backbones.dit import DiT, PatchPCA
from difffeat.backbones.plaid import Plaid

WEIGHTS = Path(__file__).parent / "weights"
TRAINED_BY = {"dit-scenes": "data_prep.train_dit", "plaid-scenes": "data_prep.train_plaid"}


def weights_folder(name):
    """Where the shipped files of a model are."""
    return WEIGHTS / name


def build(name, folder, trained):
    """A shipped backbone, or its untrained copy.

    Returns
    -------
    model : Backbone
    weights : path of the file whose hash stands for the model; None for the untrained copy
    """
    folder = Path(folder or weights_folder(name))
    path = folder / "model.safetensors"
    if not path.exists():
        raise FileNotFoundError(
            f"the weights of {name} are not in {folder}: fetch the whole repository, or train them with "
            f"`python -m {TRAINED_BY[name]} --out {folder}`"
        )
    model = _shape(name, json.loads((folder / "config.json").read_text()), folder, trained)
    weights = {key: value.float() for key, value in read_checkpoint(path).items()}
    if trained:
        model.load_state_dict(weights)
        return model, path
    # A learned noise schedule is kept: both copies then read the same noised inputs.
    schedule = {key: value for key, value in weights.items() if key.startswith("schedule.")}
    model.load_state_dict(model.state_dict() | schedule)
    return model, None


def _shape(name, config, folder, trained):
    """A randomly initialised model with what it needs to read its inputs."""
    if name == "dit-scenes":
        encoder = PatchPCA.load(folder / "latents.safetensors")
        return DiT(**config, encoder=encoder, closed_gates=trained)
    return Plaid(**config, tokenizer=Tokenizer.from_file(str(folder / "tokenizer.json")))
