"""The backbones that this project trained: those it ships, and others of real data.

Of real data only the model that several profiles read is shipped; all of them would take most of the
repository. The training command of another writes its weights beside what is fetched.

A folder of weights says three things of a model: config.json its shape, card.json how it was trained and what
its weights hash to, and the files of tensors what they are. They must agree.
"""

import hashlib
import inspect
import json
from pathlib import Path

import pandas as pd
from tokenizers import Tokenizer

from difffeat.backbones.base import Backbone
from difffeat.backbones.latents import FRAMINGS, PatchPCA
from difffeat.backbones.plaid import END, Plaid
from difffeat.base.checkpoint import check_tensors, read_checkpoint
from difffeat.base.files import ROOT, downloads

WEIGHTS = Path(__file__).parent / "weights"
SHIPPED = ("dit-scenes", "plaid-scenes", "unet-scenes", "dit-cifar", "classifier-scenes")
TO_TRAIN = ("dit-fashion", "plaid-captions", "plaid-fashion", "plaid-news")
TRAINED_HERE = tuple(name for name in (*SHIPPED, *TO_TRAIN) if not name.startswith("classifier"))
NOT_IN_CONFIG = ("encoder", "tokenizer", "closed_gates")  # given by what builds the model
GIVEN = ("schedule.", "context")  # beginnings of the names of tensors that an untrained copy has too
# What card.json says as well. Tensors do not show all of it: the number of heads changes no shape.
ALSO_IN_CARD = ("channels", "width", "depth", "heads", "length", "output_prior")


def trained_by(name: str) -> str:
    """The command that trains a model."""
    return f"python -m data_prep.training.{name.partition('-')[0]} --model {name}"


def _class_of(name):
    """The class of a model."""
    if name.startswith("plaid"):
        return Plaid
    if name.startswith("unet"):
        from difffeat.backbones.captioned import CaptionedUNet  # and with it diffusers, which takes seconds

        return CaptionedUNet
    from difffeat.backbones.dit import DiT

    return DiT


def weights_folder(name: str) -> Path:
    """Where the files of a model are: with the code if it is shipped, else beside what is fetched."""
    return (WEIGHTS if name in SHIPPED else downloads()) / name


def training_log(name: str, folder: Path | str | None = None) -> pd.DataFrame:
    """What was measured while a model was trained, a DataFrame with a row per checkpoint.

    Parameters
    ----------
    name : str
    folder : path of its files; by default `weights_folder`
    """
    return pd.read_csv(Path(folder or weights_folder(name)) / "log.csv")


def shape(name: str) -> dict:
    """The shape of a model, as its class takes it, without its weights."""
    return _read_config(name, weights_folder(name) / "config.json")


def build(name: str, folder: Path | str | None, trained: bool, length: int | None = None) -> Backbone:
    """A backbone that this project trained, or its untrained copy.

    Parameters
    ----------
    name : str
    folder : path of its files; by default `weights_folder`
    trained : bool, False for the untrained copy
    length : int, optional, of a text model: tokens that texts are cut or padded to, in place of its own

    Returns
    -------
    Backbone

    Raises
    ------
    FileNotFoundError
        If a file of the model is not there; the message gives the command that makes it.
    ValueError
        If a file is not what it should be: config.json, card.json and the tensors must agree, weights must be
        finite and hash to what the card says. The message names the file, what was expected and what came.
    """
    folder = Path(folder or weights_folder(name))
    path = folder / "model.safetensors"
    if not path.exists():
        raise FileNotFoundError(f"the weights of {name} are not in {folder}: {_way_out(name, folder)}")
    try:
        config = _read_config(name, folder / "config.json")
        _check_card(path, config, shipped=folder == weights_folder(name))
        model = _shape(name, config, folder, trained)
        weights = read_checkpoint(path)
        check_tensors(weights, {key: value.shape for key, value in model.state_dict().items()}, path)
    except (FileNotFoundError, ValueError) as error:
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"{error}. The way out: {_way_out(name, folder)}") from error
    weights = {key: value.float() for key, value in weights.items()}
    if not trained:  # a learned noise schedule and a prompt are kept: both copies then read the same inputs
        given = {key: value for key, value in weights.items() if key.startswith(GIVEN)}
        weights = model.state_dict() | given
    model.load_state_dict(weights)
    if length is None:
        return model
    if model.modality != "text":
        raise ValueError(f"{name} reads no texts, so it has no length")
    return model.at_length(length)


def _way_out(name, folder):
    """How a person gets whole weights, as that person would type it."""
    again = f"`{trained_by(name)} --out {folder}`"
    if name in TO_TRAIN:
        return f"train them with {again}"
    if folder != weights_folder(name):
        return f"fetch the whole repository, or train them with {again}"
    place = folder.resolve().relative_to(ROOT).as_posix()
    return f"fetch the whole repository (in a clone, `git checkout -- {place}`), or train them with {again}"


def _read_json(path):
    """The mapping that a JSON file holds; ValueError naming the file if it holds none."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged or ends early: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__}, expected names and values")
    return content


def _read_config(name, path):
    """What config.json says of a model's shape; ValueError names what is missing, unknown or wrong."""
    config = _read_json(path)
    taken = {
        key: value
        for key, value in inspect.signature(_class_of(name)).parameters.items()
        if key not in NOT_IN_CONFIG
    }
    needed = {key for key, value in taken.items() if value.default is inspect.Parameter.empty}
    for what, keys in (("lacks", needed - config.keys()), ("has the unknown", config.keys() - taken.keys())):
        if keys:
            raise ValueError(
                f"{path} {what} {', '.join(sorted(keys))}: a {name} is told by {', '.join(taken)}"
            )
    for key, value in config.items():
        _check_value(key, value, taken[key].default, path)
    return config


def _check_value(key, value, default, path):
    """Yes or no, one of the framings, or a whole number of at least 1, as the default tells."""
    if isinstance(default, bool):
        good, expected = isinstance(value, bool), "true or false"
    elif isinstance(default, str):
        good, expected = value in FRAMINGS, f"one of {', '.join(FRAMINGS)}"
    else:
        good = isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**16
        expected = f"a whole number from 1 to {2**16 - 1}"
    if not good:
        raise ValueError(f"{path}: {key} is {value!r}, expected {expected}")


def _check_card(weights, config, shipped):
    """The card's hash is that of the weights, and its options those of the configuration.

    A folder of one's own may lack a card: nothing is compared then.
    """
    path = weights.with_name("card.json")
    if not shipped and not path.exists():
        return
    card = _read_json(path)
    options = card.get("options")
    for key in ALSO_IN_CARD:
        if isinstance(options, dict) and key in config and config[key] != options.get(key, config[key]):
            raise ValueError(
                f"{weights.with_name('config.json')}: {key} is {config[key]}, expected {options[key]}, with "
                f"which the weights were trained by {path}"
            )
    with weights.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if card.get("sha256") != found:
        raise ValueError(
            f"{weights} is not the file that was trained: sha256 {found}, expected {card.get('sha256')}, by "
            f"{path}"
        )


def _shape(name, config, folder, trained):
    """A randomly initialised model with what it needs to read its inputs."""
    if not name.startswith("plaid"):
        path = folder / "latents.safetensors"
        encoder = PatchPCA.load(path)
        _check_encoder(encoder, config, path)
        made = dict(encoder=encoder) | ({} if name.startswith("unet") else dict(closed_gates=trained))
    else:
        made = dict(tokenizer=_read_words(folder / "tokenizer.json", config["vocabulary"]))
    try:
        return _class_of(name)(**config, **made)
    except ValueError as error:
        raise ValueError(f"{folder / 'config.json'}: {error}") from error


def _check_encoder(encoder, config, path):
    """The latents it makes are those that the model reads."""
    image_side = config.get("image_side") or 0
    channels, side = len(encoder.scale), image_side / encoder.patch
    if (channels, side) != (config["channels"], config["side"]):
        raise ValueError(
            f"{path} makes latents of channels {channels} and side {side:g} of images of image_side "
            f"{image_side}, expected channels {config['channels']} and side {config['side']}: "
            f"{path.with_name('config.json')} says so"
        )


def _read_words(path, vocabulary):
    """A tokenizer with the end token, whose ids all have an embedding."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        words = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more special
        raise ValueError(f"{path} is damaged or no tokenizer: {error}") from error
    if words.token_to_id(END) is None:
        raise ValueError(f"{path} has no token {END}, expected among them: it ends and pads a text")
    highest = max(words.get_vocab().values())
    if highest >= vocabulary:
        raise ValueError(f"{path} has ids up to {highest}, expected below vocabulary {vocabulary}")
    return words
