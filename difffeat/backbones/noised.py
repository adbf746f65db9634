"""What a noised input still shows: of a picture its pixels, of a caption the words nearest to its tokens.

N texts, T tokens, V vocabulary, E size of an embedding.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image

from difffeat.backbones.base import Backbone
from difffeat.backbones.plaid import Plaid
from difffeat.features import schedule

BATCH = 32  # texts at a time: each token is held against the whole vocabulary


class Word(NamedTuple):
    """A token of a caption and the one that it is nearest to once noised, as text."""

    written: str
    nearest: str


class Noised(NamedTuple):
    """A picture and its caption at one timestep.

    `noised` and `estimate` are the noised picture and what the model makes of it; `words` has the caption's
    tokens for each noising, `read` what the text model takes the randomly noised ones for.
    """

    timestep: int
    noised: Image.Image
    estimate: Image.Image
    words: dict[str, list[Word]]
    read: list[Word]


@torch.inference_mode()
def frame(
    image_model: Backbone,
    text_model: Plaid,
    image: Image.Image,
    caption: str,
    timestep: int,
    noisings: Sequence[str],
    seed: int = 0,
) -> Noised:
    """One picture and its caption noised to a timestep.

    Parameters
    ----------
    image_model, text_model : Backbones
    image : PIL image
    caption : str
    timestep : int in [0, 1000)
    noisings : of the caption, names in `schedule.NOISINGS` but "ddim"; the picture gets random noise
    seed : int, of the noise
    """
    clean = image_model.latents([image]).z
    z = _noised(image_model, clean, timestep, "random", seed)
    pictures = image_model.decode(torch.cat([z, image_model.predict(z, timestep).cpu()]))
    told = text_model.latents([caption])
    texts = {kind: _noised(text_model, told.z, timestep, kind, seed) for kind in noisings}
    words = {kind: _words(text_model, told, z) for kind, z in texts.items()}
    drawn = _noised(text_model, told.z, timestep, "random", seed)
    return Noised(timestep, *pictures, words, _words(text_model, told, text_model.predict(drawn, timestep)))


@torch.inference_mode()
def kept(model: Plaid, captions: Sequence[str], timestep: int, noising: str, seed: int = 0) -> float:
    """The share of the captions' tokens that stay nearest to their own word.

    Parameters
    ----------
    model : Plaid
    captions : sequence of N str
    timestep : int in [0, 1000)
    noising : name in `schedule.NOISINGS` but "ddim"
    seed : int, of the noise
    """
    same = []
    for first in range(0, len(captions), BATCH):
        told = model.latents(captions[first : first + BATCH])
        z = _noised(model, told.z, timestep, noising, seed, first)
        same.append((_nearest(model, z) == _nearest(model, told.z))[told.mask])
    return float(torch.cat(same).double().mean())


def _noised(model, z, timestep, noising, seed, first=0):
    """Latents noised as samples `first` and after it are."""
    noise = schedule.noise(seed, range(first, first + len(z)), z.shape[1:])
    return schedule.noised(z, timestep, noising, model.schedule, noise)


def _nearest(model, z):
    """Ids (N, T) of the tokens whose embeddings lie in the direction of z (N, T, E)."""
    return (z.to(model.device) @ model.embeddings.T).argmax(dim=-1).cpu()


def _words(model, told, z):
    """The real tokens of one caption with those that z is nearest to."""
    rows = [_nearest(model, tokens)[0][told.mask[0]].tolist() for tokens in (told.z, z)]
    texts = [[model.tokenizer.decode([token]).strip() or "end" for token in row] for row in rows]
    return [Word(*pair) for pair in zip(*texts, strict=True)]
