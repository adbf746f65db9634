"""A picture and its caption over timesteps: all of them one below the other, or behind a slider.

All stand in the page. In the book `book/static/frames.js` shows one at a time, which a slider chooses.
"""

from collections.abc import Sequence
from html import escape

from difffeat.backbones.noised import Noised
from difffeat.show.figure import source
from difffeat.show.gallery import png

KINDS = {
    "random": "Random noise",
    "mean": "Deterministic noising",
    "read": "What the model reads, random noise",
}


class Slider:
    """Frames of one picture and its caption.

    Attributes
    ----------
    frames : list of Noised, by timestep
    """

    def __init__(self, frames: Sequence[Noised]) -> None:
        self.frames = list(frames)

    def __repr__(self) -> str:
        return "\n".join(
            f"t = {frame.timestep}, {KINDS[kind].lower()}: {' '.join(word.nearest for word in words)}"
            for frame in self.frames
            for kind, words in _lines(frame)
        )

    def _repr_html_(self):
        return f'<div class="difffeat-frames">{"".join(map(_frame, self.frames))}</div>'


def _lines(frame):
    """(kind, words) of a frame, as it shows them."""
    return [*frame.words.items(), ("read", frame.read)]


def _frame(frame):
    """One timestep: the noised picture, the model's estimate of it, and the words of each noising."""
    pictures = {
        f"The picture at t = {frame.timestep}": frame.noised,
        f"What the model makes of it at t = {frame.timestep}": frame.estimate,
    }
    shown = "".join(_picture(name, picture) for name, picture in pictures.items())
    lines = "".join(f"<dt>{KINDS[kind]}</dt><dd>{_words(words)}</dd>" for kind, words in _lines(frame))
    time = frame.timestep
    return (
        f'<section data-timestep="{time}" style="margin: 0 0 1rem"><p><b>t = {time}</b></p>'
        f'<div style="display: flex; flex-wrap: wrap; gap: 0.75rem">{shown}</div><dl>{lines}</dl></section>'
    )


def _picture(name, picture):
    style = "image-rendering: pixelated; background: #fff"
    image = f'<img src="{source(png(picture))}" alt="{escape(name)}" width="160" style="{style}">'
    return f'<figure style="margin: 0">{image}<figcaption>{escape(name)}</figcaption></figure>'


def _words(words):
    """Words in a row; one that is not the written one is struck out and followed by what stands there now."""
    shown = (
        escape(word.nearest)
        if word.nearest == word.written
        else f"<del>{escape(word.written)}</del> <ins>{escape(word.nearest)}</ins>"
        for word in words
    )
    return " ".join(shown)
