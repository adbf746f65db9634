"""What the probe of every point does with single labels and single test samples: its best and worst labels,
and samples that it finds and misses.

Both stand on the page for the best point, and in a file for all. In the book `book/static/map.js` shows those
of the point that a reader chooses on the map.
"""

import base64
import io
from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd
from PIL import Image

from difffeat.base.format import show
from difffeat.features.datasets import BrokenImage, Split
from difffeat.features.points import Point
from difffeat.probing.grid import Grid
from difffeat.probing.ranked import ENOUGH, KINDS, Example, Ranked, enough
from difffeat.show.gallery import BLANK
from difffeat.show.sortable import Sortable, link

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
    """Test samples that probes find and miss: pictures, or captions where a split has no pictures.

    Those of one point are shown. Every other sample of the file lies beside them once, in a part of the page
    that is not shown.

    Attributes
    ----------
    ranked : dict of Point to ranked.Ranked
    best : Point, whose samples are shown
    modality : "image" or "text", what of a sample is shown
    """

    def __init__(self, ranked: Mapping[Point, Ranked], best: Point, modality: str) -> None:
        self.ranked, self.best, self.modality = ranked, best, modality

    def __repr__(self) -> str:
        return "\n".join(f"{kind}, {_said(self.here, one)}" for kind, one in _examples(self.here))

    @property
    def here(self) -> Ranked:
        """What the probe of the best point finds and misses."""
        return self.ranked[self.best]

    @property
    def csv(self) -> pd.DataFrame:
        """A row for every example of every point."""
        rows = [
            {
                "timestep": point.timestep,
                "block": point.block,
                "kind": kind,
                "sample": found.test.ids[one.row],
                "label": found.test.names[one.label],
                "rank": one.rank,
                "of": len(found.test),
                "held by": one.positives,
            }
            for point, found in self.ranked.items()
            for kind, one in _examples(found)
        ]
        columns = ["timestep", "block", "kind", "sample", "label", "rank", "of", "held by"]
        return pd.DataFrame(rows, columns=columns)

    def _repr_html_(self):
        told = f"Ranked by the probe at <span>{_named(self.best)}</span>, for labels that at least {ENOUGH} "
        told += "test samples hold."
        none = [f"<p>No such label is {kind} anywhere.</p>" for kind in KINDS if not getattr(self.here, kind)]
        cells = "".join(self._cell(kind, one) for kind, one in _examples(self.here))
        file = f"Those of every point as CSV: {link(self.csv, f'{self.modality}_samples.csv')}"
        return (
            f'<div class="difffeat-samples" data-of="{self.modality}"><p>{told}</p>{"".join(none)}'
            f'<div style="{STYLE}">{cells}</div><p>{file}</p><template>{self._elsewhere()}</template></div>'
        )

    def _elsewhere(self):
        """The samples of other points, each once."""
        rows = {one.row for found in self.ranked.values() for _, one in _examples(found)}
        here = {one.row for _, one in _examples(self.here)}
        return "".join(map(self._sample, sorted(rows - here)))

    def _cell(self, kind, one):
        """One sample: the label and its rank, and what was ranked."""
        below = f"<b>{kind.capitalize()}:</b> {escape(_said(self.here, one))}"
        return (
            '<figure style="margin: 0; font-size: 0.85em; line-height: 1.35">'
            f"{self._sample(one.row)}<figcaption>{below}</figcaption></figure>"
        )

    def _sample(self, row):
        """The picture or the caption of a sample, which says of which."""
        test = self.here.test
        if self.modality == "text":
            said = escape(test.captions[row])
            return f'<blockquote data-sample="{test.ids[row]}" style="margin: 0">{said}</blockquote>'
        try:
            picture = test.image(row)
        except BrokenImage:
            picture = BLANK
        alt = escape(f"Test picture {test.ids[row]}, which holds {_held(test, row)}")
        style = "width: 100%; max-width: 10rem; background: #fff; image-rendering: pixelated"
        return f'<img data-sample="{test.ids[row]}" src="{_jpeg(picture)}" alt="{alt}" style="{style}">'


def _examples(found):
    """(kind, Example) in the order that they are shown in."""
    return [(kind, one) for kind in KINDS for one in getattr(found, kind)]


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
