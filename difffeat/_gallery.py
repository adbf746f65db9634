"""Pictures with captions, as many in a row as the page has room for."""

import io
from html import escape

import numpy as np
from PIL import Image

from difffeat._figure import small, source

SIDE = 224  # pixels of the longer side at most; larger pictures are reduced


class Gallery:
    """Pictures with captions; the caption is also the alternative text.

    Attributes
    ----------
    pictures : list of bytes, PNG
    captions : list of str
    width : int, pixels of a column at least
    """

    def __init__(self, pictures, captions, width):
        self.pictures, self.captions, self.width = pictures, captions, width

    def __repr__(self):
        return "\n".join(self.captions)

    def _repr_html_(self):
        cells = "".join(
            '<figure style="margin: 0; font-size: 0.85em; line-height: 1.35">'
            f'<img src="{source(png)}" alt="{escape(caption)}" '
            'style="width: 100%; background: #fff; image-rendering: pixelated">'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
            for png, caption in zip(self.pictures, self.captions, strict=True)
        )
        columns = f"repeat(auto-fill, minmax(min({self.width}px, 45%), 1fr))"
        return f'<div style="display: grid; gap: 0.9rem; grid-template-columns: {columns}">{cells}</div>'


def images(pictures, captions, *, width=130) -> Gallery:
    """Pictures with captions, as many in a row as the page has room for.

    Parameters
    ----------
    pictures : sequence of PIL images, or of arrays (H, W, 3), uint8 or floats in [0, 1]
    captions : sequence of as many str, each saying what its picture shows
    width : int, pixels of a column at least

    Returns
    -------
    Gallery

    Raises
    ------
    ValueError
        If there are not as many captions as pictures, or one is empty: it is the alternative text.
    """
    pictures, captions = list(pictures), list(captions)
    if len(pictures) != len(captions) or not all(captions):
        raise ValueError(f"{len(pictures)} pictures need as many captions, none empty; got {len(captions)}")
    return Gallery([_png(picture) for picture in pictures], captions, width)


def _png(picture):
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
