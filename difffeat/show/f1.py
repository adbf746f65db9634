"""The printed CF1 of every row of Tables 5 and 6 against the harmonic mean of its CP and CR."""

import pandas as pd

from difffeat.base.format import show
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.checks_scores import harmonic
from difffeat.show.figure import COLOURS, GREY, MARKERS, Figure, canvas, finished, styled, value_axis

MODALITIES = ("image", "text", "fusion")


def rows() -> pd.DataFrame:
    """Every row: table, modality, CF1 as printed, the harmonic mean of CP and CR, how far CF1 is above."""
    found = pd.concat([paper.table(number).assign(table=number) for number in (5, 6)], ignore_index=True)
    mean = harmonic(found.CP, found.CR)
    return found[["table", "modality", "CF1"]].assign(harmonic=mean, above=found.CF1 - mean)


@styled
def draw() -> Figure:
    """How far the printed CF1 is above the harmonic mean of CP and CR; on the line it would be that.

    Source
    ------
    Diff-Feat, Tables 5 and 6.
    """
    found = rows()
    page, axes = canvas(3.4)
    axes.axhline(0, color=GREY, linewidth=1.1, linestyle=(0, (4, 3)))
    for colour, number in zip(COLOURS, (5, 6), strict=False):
        for marker, modality in zip(MARKERS, MODALITIES, strict=False):
            some = found[(found.table == number) & (found.modality == modality)]
            style = {"marker": marker, "linestyle": "", "color": colour, "alpha": 0.8}
            axes.plot(some.harmonic, some.above, **style, label=f"{modality}, Table {number}")
    value_axis(axes.xaxis, "percent", "harmonic mean of CP and CR")
    value_axis(axes.yaxis, "points", "printed CF1 less that")
    page.legend(loc="outside upper center", ncols=3)
    cells = [
        [f"Table {row.table}", row.modality, show(row.CF1, "percent", 2), show(row.harmonic, "percent", 2)]
        + [show(row.above, "points", 2)]
        for row in found.itertuples()
    ]
    columns = ["table", "modality", "CF1, printed", "harmonic mean", "difference, points"]
    return finished(page, words(), pd.DataFrame(cells, columns=columns))


def words() -> str:
    """In how many rows the printed CF1 is below the harmonic mean, and by how much, in words."""
    gap = -rows().above
    ends = " to ".join(show(100 * float(end), digits=2) for end in (gap.min(), gap.max()))
    return (
        f"The printed CF1 is below the harmonic mean of the printed CP and CR in {(gap > 0).sum()} of "
        f"{len(gap)} rows of Tables 5 and 6, by {ends} points."
    )
