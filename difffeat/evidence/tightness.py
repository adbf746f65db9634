"""Sentences on how tight clusters are: which representation is the tightest, by which index."""

from collections.abc import Mapping, Sequence

import numpy as np

from difffeat.base.format import show, show_interval
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.tables import Published
from difffeat.evidence.results import Result
from difffeat.probing.clusters import INDICES, RATIOS, SIGN
from difffeat.probing.stats import Measured

PRINTED = ("image", "text", "fused")  # the rows of the paper's Table 10
Found = Mapping[str, Mapping[str, Measured]]  # {representation: {index: Measured}}


def agreement(found: Found, where: str) -> str:
    """Whether the three indices call the same representation the tightest; nothing where none was measured.

    Parameters
    ----------
    found : dict of name to what `clusters.tightness` gives
    where : str, "on the plane"
    """
    if not measured(found):
        return ""
    first = {index: max(found, key=lambda name: SIGN[index] * found[name][index].value) for index in INDICES}
    start = f"{where[0].upper()}{where[1:]}"
    if len(set(first.values())) == 1:
        return f"{start} the three indices name the same features as the tightest: {first[INDICES[0]]}."
    named = ", ".join(f"{index} names {name}" for index, name in first.items())
    return f"{start} the three indices do not agree on the tightest features: {named}."


def against(found: Found, name: str, others: Sequence[str]) -> str:
    """How much tighter one representation is than each of some others, by silhouette, with paired intervals.

    Parameters
    ----------
    found : as in `agreement`
    name : str, the representation; others : sequence of str
    """
    if not measured(found):
        return ""
    parts = []
    for other in others:
        gap = found[name]["silhouette"] - found[other]["silhouette"]
        low, high = gap.interval
        ends = f"{show(gap.value, '', 2)}, {show_interval((low, high), '', 2)}"
        how = "tighter than" if low > 0 else "looser than" if high < 0 else "not told apart from"
        parts.append(f"{how} {other} ({ends})")
    value = show(found[name]["silhouette"].value, "", 2)
    return f"By silhouette, {name} ({value}) is {'; '.join(parts)}; differences with 95 % intervals."


def by_seed(seeds: Mapping[str, Mapping[str, np.ndarray]], names: Sequence[str], where: str) -> str:
    """How far indices move between t-SNE seeds, and whether the seed decides what is the tightest.

    Parameters
    ----------
    seeds : dict of name to what `clusters.over_seeds` gives
    names : two or more representations: the first is held against the others
    where : str, what the planes are of: "captions enhanced"
    """
    first, *others = names
    count = len(seeds[first][INDICES[0]])
    if count < 2:
        return ""
    moved = "; ".join(_most_moved(seeds, names, index) for index in INDICES)
    turned = []
    for index in INDICES:
        mine, theirs = (SIGN[index] * np.stack([seeds[n][index] for n in of]) for of in ([first], others))
        tightest = (mine > theirs).all(axis=0)  # under each seed
        turned += [index] if tightest.any() and not tightest.all() else []
    order = f"the seed decides by {', '.join(turned)}" if turned else "no seed decides, by any of the indices"
    return (
        f"Over {count} t-SNE seeds, {where}, the farthest moves are: {moved}. "
        f"Whether {first} is the tightest of {len(names)}: {order}."
    )


def _most_moved(seeds, names, index):
    """The representation whose index moves most between seeds, ratios of ratios, in words."""
    scale = np.log if index in RATIOS else np.asarray
    name = max(names, key=lambda name: np.ptp(scale(seeds[name][index])))
    ends = [show(float(end(seeds[name][index])), "", 0 if index == "CHI" else 2) for end in (np.min, np.max)]
    return f"{index} of {name} from {ends[0]} to {ends[1]}"


def measured(found: Found) -> bool:
    """Whether there were samples enough for numbers."""
    return all(np.size(number.value) for one in found.values() for number in one.values())


def results(
    found: Found, name: str, what: str, *, seeds: Sequence[int] = (), printed: bool = False
) -> list[Result]:
    """The indices of each representation as results of a page: `<name>_<representation>_<index>`.

    Parameters
    ----------
    found : as in `agreement`
    name : str, start of the ids
    what : str, where they were measured
    seeds : t-SNE seeds averaged over
    printed : bool, whether the paper's Table 10 stands beside them
    """
    if not measured(found):
        return []
    return [
        Result(
            "_".join([name, key.replace(", ", "_").replace(" ", "_"), index.lower()]),
            number.value,
            tuple(number.interval),
            f"{key}, {what}",
            index,
            "",
            paper=table_10(key, index) if printed else None,
            seeds=tuple(seeds),
            draws=len(number.draws),
        )
        for key, one in found.items()
        for index, number in one.items()
    ]


def table_10(name: str, index: str) -> Published | None:
    """The paper's number of a representation; None of one that it does not have."""
    if name not in PRINTED:
        return None
    rows = paper.table(10)["representation"]
    return paper.value(10, index, representation=rows[PRINTED.index(name)])
