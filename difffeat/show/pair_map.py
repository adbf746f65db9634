"""What a search over pairs looked at, step by step, as rows: each point alone, the pairs of the neighbours,
and the pairs of the full grid that it left out.

In the book `book/static/map.js` makes a map of pairs of them, on which a reader follows the search.
"""

import pandas as pd

from difffeat.base.format import show
from difffeat.evidence.numbers import result
from difffeat.features.points import Point
from difffeat.probing.pairs import Pairs
from difffeat.probing.search import SearchResult
from difffeat.show.sortable import Sortable

LEFT = "left out"
STAGES = {
    "image": "images alone",
    "text": "text alone",
    "fusion": "pairs of the best points and their neighbours",
    LEFT: "pairs left out",
}
COLUMNS = ["image timestep", "image block", "text timestep", "text block"]
VALUES = ["val", "test", "low", "high"]


def pair_map(found: SearchResult, measured: Pairs, name: str) -> Sortable:
    """The steps of a search: how much each looked at, and the best of it; every value in the file.

    Parameters
    ----------
    found : search.SearchResult of `local_search`, of outputs of blocks
    measured : pairs.Pairs, with the pairs of the search and those that it left out
    name : str, of the file

    Source
    ------
    Diff-Feat, Algorithm 1.
    """
    alone = found.history[found.history.stage != "fusion"].rename(columns={"value": "val"})
    alone = alone.rename(columns=lambda column: column.replace("_", " "))[["stage", *COLUMNS, "val"]]
    looked = set(found.evaluated)
    pairs = [_row("fusion" if pair in looked else LEFT, pair, one) for pair, one in measured.measured.items()]
    everything = pd.concat([alone.astype(object), pd.DataFrame(pairs, dtype=object)], ignore_index=True)
    everything = everything.astype(dict.fromkeys(COLUMNS, "Int64") | dict.fromkeys(VALUES, float))
    steps = [
        _step(stage, everything[everything.stage == stage])
        for stage in STAGES
        if (everything.stage == stage).any()
    ]
    return Sortable(pd.DataFrame(steps), name, everything[["stage", *COLUMNS, *VALUES]])


def _row(stage, pair, one):
    """One measured pair as a row of the file."""
    low, high = result("pair", one.on_test).interval
    places = [part for point in pair for part in (point.timestep, point.block)]
    values = [one.val, one.test, low, high]
    return dict(zip(["stage", *COLUMNS, *VALUES], [stage, *places, *values], strict=True))


def _step(stage, rows):
    """What one step looked at, in words."""
    best = rows.loc[rows.val.idxmax()]
    sides = {side: [best[f"{side} timestep"], best[f"{side} block"]] for side in ("image", "text")}
    where = ", ".join(f"{side} {Point(*at).label}" for side, at in sides.items() if not pd.isna(at[0]))
    return {
        "step": STAGES[stage],
        "evaluated": show(len(rows)),
        "the best": where,
        "mAP on validation": show(float(best.val), "percent"),
    }
