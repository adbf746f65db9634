"""The picture of the landing page: what the captions give away, beside what the paper reaches on them."""

from pathlib import Path

import pandas as pd

from difffeat.base.files import ROOT
from difffeat.base.format import show
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.results import read
from difffeat.show.figure import COLOURS, Figure, canvas, finished, styled, value_axis, written

METRIC = "mAP on MS-COCO"


@styled
def verdict(folder: Path | str | None = None) -> Figure:
    """The paper's best fused feature beside a search for the names of labels, on captions of MS-COCO.

    Parameters
    ----------
    folder : path, the results of the page on the captions of MS-COCO; by default the stored ones

    Returns
    -------
    Figure
    """
    page = read(Path(folder or ROOT / "results" / "coco-lists") / "coco_captions.json")
    found = {"the paper's best fused feature, enhanced captions": (paper.best(5, "fusion").value, None)}
    for kind, name in (
        ("enhanced captions", "string_match"),
        ("captions as written", "string_match_original"),
    ):
        number = page[f"{name}_score"]
        found[f"a search for the names of labels, {kind}"] = number.value, number.interval
    return _bars(found)


def _bars(found):
    """Bars from zero, the name of each above it and its value at its end."""
    drawing, axes = canvas(2.7)
    for row, (name, (value, _)) in enumerate(found.items()):
        axes.barh(row, value, height=0.42, color=COLOURS[min(row, 1)])
        axes.text(0, row - 0.29, f"{name[0].upper()}{name[1:]}", va="bottom")
        axes.text(value + 0.01, row, show(value, "percent"), va="center", weight="bold")
    axes.set(xlim=(0, 1.12), ylim=(len(found) - 0.6, -0.75), yticks=[])
    axes.spines["left"].set_visible(False)
    value_axis(axes.xaxis, "percent", METRIC)
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= 1])
    said = "; ".join(f"{name}: {show(value, 'percent')}" for name, (value, _) in found.items())
    rows = [[name, *written(value, interval, "percent")] for name, (value, interval) in found.items()]
    table = pd.DataFrame(rows, columns=["what reads the captions", METRIC, "95 % interval"])
    return finished(drawing, f"Bars of {METRIC}. {said[0].upper()}{said[1:]}.", table)
