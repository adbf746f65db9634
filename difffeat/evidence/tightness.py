"""Sentences on how tight clusters are: which representation is the tightest, by which index."""

from collections.abc import Mapping, Sequence

import numpy as np

from difffeat.base.format import show, show_interval
from difffeat.evidence.results import Result
from difffeat.probing.clusters import INDICES, SIGN
from difffeat.probing.stats import Measured

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
    """How far one representation's indices move between t-SNE seeds, and whether any seed turns the order.

    Parameters
    ----------
    seeds : dict of name to what `clusters.over_seeds` gives
    names : two or more representations: the first is held against the others
    where : str, what the planes are of: "captions enhanced"
    """
    first, *others = names
    moved = [
        f"{index} of {first} from {show(float(values.min()), '', 2)} to {show(float(values.max()), '', 2)}"
        for index, values in seeds[first].items()
    ]
    turned = [
        index
        for index in INDICES
        if len(
            {
                bool((SIGN[index] * (mine - np.array(theirs)) > 0).all())
                for mine, *theirs in zip(*(seeds[name][index] for name in names), strict=True)
            }
        )
        > 1
    ]
    count = len(seeds[first][INDICES[0]])
    if count < 2:
        return ""
    order = f"the seed decides by {', '.join(turned)}" if turned else "no seed decides, by any of the indices"
    return (
        f"Over {count} t-SNE seeds, {where}: {'; '.join(moved)}. "
        f"Whether {first} is the tightest of {len(names)}: {order}."
    )


def measured(found: Found) -> bool:
    """Whether there were samples enough for numbers."""
    return all(np.size(number.value) for one in found.values() for number in one.values())


def results(found: Found, name: str, what: str, seeds: Sequence[int] = ()) -> list[Result]:
    """The indices of each representation as results of a page: `<name>_<representation>_<index>`.

    Parameters
    ----------
    found : as in `agreement`
    name : str, start of the ids
    what : str, where they were measured
    seeds : t-SNE seeds averaged over
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
            seeds=tuple(seeds),
            draws=len(number.draws),
        )
        for key, one in found.items()
        for index, number in one.items()
    ]
