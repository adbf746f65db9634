"""Pictures with captions, as many in a row as the page has room for."""

import io
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from PIL import Image

from difffeat.features.datasets import BrokenImage, Split
from difffeat.show.figure import small, source

SIDE = 224  # pixels of the longer side at most; larger pictures are reduced
BLANK = Image.new("RGB", (64, 64), "grey")
COLUMN = 130  # pixels of a column on the page at least


class Gallery:
    """Pictures with captions; what stands below a picture is also its alternative text.

    Attributes
    ----------
    pictures : list of bytes, PNG
    captions : list of str
    notes : list of str, a second line each; empty for none
    """

    def __init__(self, pictures: Sequence[bytes], captions: Sequence[str], notes: Sequence[str]) -> None:
        self.pictures, self.captions, self.notes = pictures, captions, notes

    def __repr__(self) -> str:
        return "\n".join(self.captions)

    def _repr_html_(self):
        cells = map(_cell, self.pictures, self.captions, self.notes)
        style = "display: grid; gap: 0.9rem; grid-template-columns: "
        style += f"repeat(auto-fill, minmax(min({COLUMN}px, 45%), 1fr))"
        return f'<div style="{style}">{"".join(cells)}</div>'


def pictures(pictures: Iterable, captions: Iterable[str] | None = None) -> Gallery:
    """Pictures, as many in a row as the page has room for.

    Parameters
    ----------
    pictures : sequence of PIL images, or of arrays (H, W, 3), uint8 or floats in [0, 1]
    captions : sequence of as many str; by default "sample 1", "sample 2", ...

    Returns
    -------
    Gallery

    Raises
    ------
    ValueError
        If there are not as many captions as pictures, or one is empty: it is the alternative text.
    """
    pictures = list(pictures)
    captions = [f"sample {i + 1}" for i in range(len(pictures))] if captions is None else list(captions)
    if len(pictures) != len(captions) or not all(captions):
        raise ValueError(f"{len(pictures)} pictures need as many captions, none empty; got {len(captions)}")
    return Gallery([png(picture) for picture in pictures], captions, [""] * len(pictures))


def images(split: Split, count: int = 12) -> Gallery:
    """The first images of a split, each with its caption and its labels; a grey one where one is broken.

    Parameters
    ----------
    split : Split with images
    count : int

    Returns
    -------
    Gallery
    """
    shown = split[:count]
    labels = [
        ", ".join(name for name, on in zip(shown.names, row, strict=True) if on) for row in shown.labels
    ]
    captions = shown.captions or [f"Holds: {held or 'none of the labels'}" for held in labels]
    notes = labels if shown.captions else [""] * len(shown)
    found = [_seen(shown, row) for row in range(len(shown))]
    said = [
        note if picture else f"{note} (cannot be decoded)" for picture, note in zip(found, notes, strict=True)
    ]
    return Gallery([png(picture or BLANK) for picture in found], list(captions), said)


def _seen(split, row):
    """The image, None if it cannot be decoded."""
    try:
        return split.image(row)
    except BrokenImage:
        return None


def _cell(held, caption, note):
    style = "width: 100%; background: #fff; image-rendering: pixelated"
    words = f"{caption} ({note})" if note else caption
    below = escape(caption) + (f"<br><em>{escape(note)}</em>" if note else "")
    return (
        '<figure style="margin: 0; font-size: 0.85em; line-height: 1.35">'
        f'<img src="{source(held)}" alt="{escape(words)}" style="{style}">'
        f"<figcaption>{below}</figcaption></figure>"
    )


def png(picture: Image.Image | np.ndarray) -> bytes:
    """As PNG: small pictures as they are, large ones reduced and with a palette."""
    if not isinstance(picture, Image.Image):
        array = np.asarray(picture)
        scale = 1 if array.dtype == np.uint8 else 255
        picture = Image.fromarray((array * scale).round().clip(0, 255).astype(np.uint8))
    picture = picture.convert("RGB")
    if max(picture.size) > SIDE:
        picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        return small(picture)
    packed = io.BytesIO()
    picture.save(packed, format="png", optimize=True)
    return packed.getvalue()
