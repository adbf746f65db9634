"""What a probe does with single labels and single test samples: the best and the worst labels of every point,
and samples that the probe of the best point finds and misses.

Both stand on the page for the best point. In the book `book/static/map.js` shows the labels of the point that
a reader chooses on the map, and the samples where that is the best point.
"""

import base64
import io
from html import escape

import numpy as np
import pandas as pd
from PIL import Image

from difffeat.base.format import show
from difffeat.features.datasets import BrokenImage, Split
from difffeat.features.points import Point
from difffeat.probing.grid import Grid
from difffeat.probing.ranked import ENOUGH, Example, Ranked, enough
from difffeat.show.gallery import BLANK
from difffeat.show.sortable import Sortable

EXTREMES = 3  # labels at either end
SIDE = 160  # pixels of a picture's longer side at most
QUALITY = 80  # of JPEG
STYLE = "display: grid; gap: 0.9rem; grid-template-columns: repeat(auto-fill, minmax(min(13rem, 100%), 1fr))"


def labels(grid: Grid, test: Split, modality: str) -> Sortable:
    """The labels with the highest and the lowest average precision at the best point; all in the file, at all
    points.

    Parameters
    ----------
    grid : grid.Grid, measured, of outputs of blocks
    test : Split, the samples that it was measured on
    modality : "image" or "text", which names the file

    Returns
    -------
    Sortable
        Averages over noise seeds, of the labels that at least `ranked.ENOUGH` test samples hold.
    """
    held = test.select(grid.features[0]["test"].ids) if grid.features else test
    truth, _ = held.judged(np.zeros(held.labels.shape))
    kept = np.flatnonzero(enough(truth))
    precision = grid.by_label["AP"].mean(axis=0).reshape(truth.shape[1], -1)[kept]  # (k, P)
    about = {"label": [held.names[label] for label in kept], "test samples": truth[:, kept].sum(axis=0)}
    points = {_named(point): precision[:, place] for place, point in enumerate(grid.points)}
    best = _named(grid.best)
    everything = pd.DataFrame(about | points).sort_values(best, ascending=False, kind="stable")
    shown = _ends(everything)[["label", "test samples", best]]
    shown = shown.rename(columns={best: f"average precision at {best}"})
    texts = {"label": str, "test samples": lambda count: show(int(count))}
    written = {name: shown[name].map(texts.get(name, lambda v: show(float(v), "percent"))) for name in shown}
    return Sortable(pd.DataFrame(written, dtype=object), f"{modality}_labels.csv", everything)


def _ends(frame):
    """The first and the last rows, each once."""
    first, last = min(EXTREMES, -(-len(frame) // 2)), min(EXTREMES, len(frame) // 2)
    return pd.concat([frame.head(first), frame.tail(last)])


def _named(point: Point) -> str:
    return f"t = {point.timestep}, block {point.block}"


class Samples:
    """Test samples that a probe finds and misses: pictures, or captions where a split has no pictures.

    Attributes
    ----------
    ranked : ranked.Ranked
    modality : "image" or "text", what of a sample is shown
    """

    def __init__(self, ranked: Ranked, modality: str) -> None:
        self.ranked, self.modality = ranked, modality

    def __repr__(self) -> str:
        return "\n".join(f"{kind}, {_said(self.ranked, one)}" for kind, one in self._examples())

    def _examples(self):
        """(kind, Example) in the order that they are shown in."""
        kinds = {"found": self.ranked.found, "missed": self.ranked.missed}
        return [(kind, one) for kind, some in kinds.items() for one in some]

    def _repr_html_(self):
        cells = "".join(self._cell(kind, one) for kind, one in self._examples())
        point = self.ranked.point
        where = f'data-of="{self.modality}" data-timestep="{point.timestep}" data-block="{point.block}"'
        told = f"Ranked by the probe at {_named(point)}, for labels that at least {ENOUGH} test samples hold."
        none = [kind for kind in ("found", "missed") if not getattr(self.ranked, kind)]
        told += "".join(f" No such label is {kind} anywhere." for kind in none)
        return f'<div class="difffeat-samples" {where}><p>{told}</p><div style="{STYLE}">{cells}</div></div>'

    def _cell(self, kind, one):
        """One sample: the label and its rank, and what was ranked."""
        below = f"<b>{kind.capitalize()}:</b> {escape(_said(self.ranked, one))}"
        return (
            '<figure style="margin: 0; font-size: 0.85em; line-height: 1.35">'
            f"{self._picture(one) if self.modality == 'image' else self._caption(one)}"
            f"<figcaption>{below}</figcaption></figure>"
        )

    def _picture(self, one):
        try:
            picture = self.ranked.test.image(one.row)
        except BrokenImage:
            picture = BLANK
        alt = f"Test picture {self.ranked.test.ids[one.row]}, which holds {_held(self.ranked.test, one.row)}"
        style = "width: 100%; max-width: 10rem; background: #fff; image-rendering: pixelated"
        return f'<img src="{_jpeg(picture)}" alt="{escape(alt)}" style="{style}">'

    def _caption(self, one):
        return f'<blockquote style="margin: 0">{escape(self.ranked.test.captions[one.row])}</blockquote>'


def _said(ranked: Ranked, one: Example) -> str:
    """The label, and where the sample is ranked for it."""
    name, all_of_them = ranked.test.names[one.label], show(len(ranked.test))
    return f"{name}, rank {show(one.rank)} of {all_of_them}; {show(one.positives)} hold it"


def _held(test: Split, row: int) -> str:
    """The labels of a sample, in words."""
    return ", ".join(name for name, on in zip(test.names, test.labels[row], strict=True) if on)


def _jpeg(picture: Image.Image) -> str:
    """A picture as a small JPEG, in an address that needs no file."""
    picture, packed = picture.convert("RGB"), io.BytesIO()
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    picture.save(packed, format="jpeg", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode()
