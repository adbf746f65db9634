"""Methods beside each other: the rows of the paper's Tables 1, 2 and 7, and methods measured here."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from difffeat.base.format import MISSING, show, show_interval
from difffeat.evidence.numbers import result
from difffeat.evidence.results import Result
from difffeat.probing.methods import Methods
from difffeat.show.figure import COLOURS, LIGHT, MARKERS, Figure, canvas, finished, styled, value_axis
from difffeat.show.table import Table

KINDS = ("CNN", "RNN", "Graph", "Transformer", "Diff-Feat, one feature", "not stated")  # each has its mark
TITLES = {
    "method": "method",
    "kind": "kind",
    "mAP": "mAP",
    "CF1": "CF1",
    "OF1": "OF1",
    "resolution": "pixels a side",
    "pretraining": "pretrained on",
    "captions_at_test": "reads captions",
    "labels_in_captions": "labels in them",
    "source": "source of what is no number",
}


def published(rows: pd.DataFrame) -> Table:
    """Printed rows with what they are fed, as `baselines.rows` gives them."""
    columns = [name for name in TITLES if name in rows]
    texts = {TITLES[name]: [_cell(value) for value in rows[name]] for name in columns}
    return Table(pd.DataFrame(texts))


def _cell(value):
    return value if isinstance(value, str) else show(float(value), "percent", 1)


@styled
def printed(rows: pd.DataFrame, others: Mapping[str, float] | None = None) -> Figure:
    """The printed mAP of every row, by kind, filled where a method reads pictures alone.

    Parameters
    ----------
    rows : DataFrame, from `baselines.rows`
    others : dict of name to mAP, optional: what the paper prints of its own single features

    Returns
    -------
    Figure

    Source
    ------
    Diff-Feat, Tables 1 and 2.
    """
    lines = [(row.method, row.kind, row.mAP, row.captions_at_test == "yes") for row in rows.itertuples()]
    lines += [(name, KINDS[4], value, "text" in name) for name, value in (others or {}).items()]
    lines.sort(key=lambda line: line[2])
    page, axes = canvas(1.1 + 0.25 * len(lines))
    for place, (_, kind, value, reads) in enumerate(lines):
        colour, marker = COLOURS[KINDS.index(kind)], MARKERS[KINDS.index(kind)]
        face = "white" if reads else colour
        axes.plot(value, place, marker, color=colour, markerfacecolor=face, markersize=7, markeredgewidth=1.6)
        axes.annotate(
            show(float(value), "percent", 1),
            (value, place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(lines)), [line[0] for line in lines])
    axes.set_ylim(-0.7, len(lines) - 0.3)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=LIGHT, linewidth=0.6)
    axes.margins(x=0.14)
    value_axis(axes.xaxis, "percent", "mAP as printed")
    page.legend(handles=_keys({line[1] for line in lines}), loc="outside upper center", ncols=3)
    return finished(page, _words(lines), _table(lines))


def _keys(kinds):
    """What marks mean."""
    style = {"linestyle": "", "markersize": 7}
    marks = [mark for mark in zip(KINDS, COLOURS, MARKERS, strict=False) if mark[0] in kinds]
    keys = [Line2D([], [], color=c, marker=m, label=kind, **style) for kind, c, m in marks]
    hollow = Line2D(
        [], [], color="#444444", marker="o", markerfacecolor="white", label="reads captions", **style
    )
    return [*keys, hollow]


def _words(lines):
    best, others = lines[-1], [line for line in lines[:-1] if not line[3]]
    reads = "which reads captions" if best[3] else "which reads pictures alone"
    return (
        f"Printed mAP of {len(lines)} rows. Highest: {best[0]} with {show(float(best[2]), 'percent', 1)}, "
        f"{reads}. The highest that reads pictures alone: {others[-1][0]} with "
        f"{show(float(others[-1][2]), 'percent', 1)}; the lowest: {others[0][0]} with "
        f"{show(float(others[0][2]), 'percent', 1)}."
    )


def _table(lines):
    cells = [
        [name, kind, show(float(value), "percent", 1), "captions too" if reads else "pictures"]
        for name, kind, value, reads in reversed(lines)
    ]
    return pd.DataFrame(cells, columns=["method", "kind", "mAP", "reads"])


def measured(methods: Methods, about: Mapping[str, tuple[str, str]]) -> Table:
    """Methods measured on the same samples, by every metric.

    Parameters
    ----------
    methods : Methods
    about : dict of name to (what it reads, whether labels are in its captions)

    Returns
    -------
    Table
    """
    rows = []
    for name, (reads, told) in about.items():
        counted = methods.report(name)
        texts = {key.replace("_", ", "): show(value, "percent", 1) for key, value in counted.items()}
        number = result("mAP", methods.measured(name)).text
        rows.append({"method": name, "reads": reads, "labels in captions": told, "mAP": number} | texts)
    return Table(pd.DataFrame(rows))


def errors(printed: pd.DataFrame, articles: int, found: Mapping[int, Iterable[Result]]) -> Table:
    """Error rates as printed and as measured here, the least first.

    Parameters
    ----------
    printed : DataFrame, the paper's Table 7
    articles : int, training articles of the data set as published
    found : dict of training articles to error rates that were measured after so many

    Source
    ------
    Diff-Feat, Table 7.
    """
    lines = [
        (row.error_rate, row.method, "printed", articles, show(row.error_rate, "percent", 2))
        for row in printed.itertuples()
    ]
    lines += [(one.value, one.what, "here", seen, one.text) for seen, ones in found.items() for one in ones]
    rows = [
        {"reader": name, "measured": where, "training articles": f"{seen:,}", "error rate": text}
        for _, name, where, seen, text in sorted(lines)
    ]
    return Table(pd.DataFrame(rows))


def differences(found: Mapping[str, Mapping[str, tuple]]) -> Table:
    """mAP of some methods less that of all others, in points, with paired intervals.

    Parameters
    ----------
    found : dict of name to what `Methods.less` gives of it
    """
    others = list(dict.fromkeys(other for ones in found.values() for other in ones))
    rows = [
        {"less": other} | {name: _points(ones.get(other)) for name, ones in found.items()} for other in others
    ]
    return Table(pd.DataFrame(rows))


def _points(given):
    """ "+3.1 (+1.0 to +5.2)", with a mark where the interval leaves 0 out."""
    if given is None:
        return MISSING
    value, interval = given
    sure = "" if np.prod(np.sign(interval)) <= 0 else " *"
    return f"{show(value, 'points', 1)} ({show_interval(interval, 'points', 1)}){sure}"
