"""Figures of clusters: the planes of a t-SNE side by side, indices of tightness as a table.

Points of a label set get their colour and marker from seaborn's scatterplot, which nothing else here uses.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from difffeat.base.format import show, show_interval
from difffeat.evidence.tightness import table_10
from difffeat.probing.clusters import INDICES, SIGN
from difffeat.probing.stats import Measured
from difffeat.show.figure import COLOURS, GREY, MARKERS, Figure, canvas, finished, styled
from difffeat.show.table import Table


@styled
def planes(
    planes: Mapping[str, np.ndarray],
    groups: ArrayLike,
    names: Sequence[str],
    found: Mapping[str, Mapping[str, Measured]],
) -> Figure:
    """t-SNE planes of several representations of the same samples, a colour and marker for each label set.

    Parameters
    ----------
    planes : dict of name to array (n, 2)
    groups : int array of shape (n,), 0 to k - 1
    names : sequence of k str, the label sets
    found : dict of the same names to what `clusters.tightness` gives, for the titles

    Returns
    -------
    Figure

    Source
    ------
    Diff-Feat, Figure 6.
    """
    import seaborn  # two seconds to load, and one page needs it

    groups = np.asarray(groups)
    hue = np.asarray(names)[groups]
    looks = dict(
        hue_order=names, style_order=names, palette=_looks(COLOURS, names), markers=_looks(MARKERS, names)
    )
    page, panels = canvas(2.8, [list(planes)])
    for place, (name, plane) in enumerate(planes.items()):
        axes = panels[name]
        drawn = dict(ax=axes, legend=place == 0, s=14, linewidth=0.2, alpha=0.85)
        seaborn.scatterplot(x=plane[:, 0], y=plane[:, 1], hue=hue, style=hue, **looks, **drawn)
        silhouette = f"silhouette {show(found[name]['silhouette'].value, digits=2)}"
        axes.set(title=name, xticks=[], yticks=[], xlabel=silhouette, ylabel="", box_aspect=1)
        axes.spines[:].set(visible=True, color="#c8c8c8")
    first = panels[next(iter(planes))]
    lines, labels = first.get_legend_handles_labels()
    first.get_legend().remove()
    page.legend(lines, labels, loc="outside lower center", ncols=3, markerscale=1.4, labelcolor=GREY)
    words = [
        f"{name}: " + ", ".join(f"{index} {show(found[name][index].value, digits=2)}" for index in INDICES)
        for name in planes
    ]
    sizes = np.bincount(groups, minlength=len(names))
    alt = f"t-SNE planes of {len(groups)} samples of {len(names)} label sets. {'; '.join(words)}."
    table = pd.DataFrame({"label set": list(names), "samples": list(map(str, sizes))})
    for name, plane in planes.items():
        middles = [plane[groups == group].mean(axis=0) for group in range(len(names))]
        table[f"centre, {name}"] = [f"({x:.1f}, {y:.1f})" for x, y in middles]
    return finished(page, alt, table)


def _looks(given, names):
    """{name: colour or marker}."""
    return {name: given[place % len(given)] for place, name in enumerate(names)}


def indices(found: Mapping[str, Mapping[str, Measured]], printed: bool = False) -> Table:
    """Indices of representations with their intervals, the best of each marked by a star.

    Parameters
    ----------
    found : dict of name to what `clusters.tightness` gives
    printed : bool, whether the paper's Table 10 stands beside them

    Returns
    -------
    Table, a row for each representation; empty where there were too few samples
    """
    if not all(np.size(number.value) for one in found.values() for number in one.values()):
        return Table(pd.DataFrame())
    tops = {index: max(found, key=lambda name: SIGN[index] * found[name][index].value) for index in INDICES}
    rows = []
    for name, one in found.items():
        row = {"features": name}
        for index in INDICES:
            digits = 0 if index == "CHI" else 2
            ends = show_interval(one[index].interval, "", digits)
            star = " *" if tops[index] == name else ""
            row[index] = f"{show(one[index].value, '', digits)} ({ends}){star}"
            if printed:
                row[f"{index}, paper"] = show(getattr(table_10(name, index), "value", None), "", 3).rstrip(
                    "0"
                )
        rows.append(row)
    return Table(pd.DataFrame(rows))


def seeds(found: Mapping[str, Mapping[str, np.ndarray]], seeds: Sequence[int]) -> Table:
    """The indices of each t-SNE seed for itself, a row for each representation and seed.

    Parameters
    ----------
    found : dict of name to what `clusters.over_seeds` gives
    seeds : sequence of S int
    """
    rows = [
        {"features": name, "t-SNE seed": str(seed)}
        | {index: show(float(one[index][place]), "", 0 if index == "CHI" else 2) for index in INDICES}
        for name, one in found.items()
        for place, seed in enumerate(seeds)
    ]
    return Table(pd.DataFrame(rows))
