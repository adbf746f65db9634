"""Tables 1 and 2 with what decides whether two of their rows may be compared.

The paper prints a method and its numbers. What a method is fed stands in `baselines.csv`, each fact with its
source; what is not known from the paper or from the method's own is "not stated".
"""

import pandas as pd

from difffeat.evidence.numbers import result
from difffeat.evidence.papers.diff_feat import tables as paper
from difffeat.evidence.papers.diff_feat.tables import Published
from difffeat.evidence.results import Result, comparable
from difffeat.probing.stats import Measured

OURS = "Diff-Feat"
KINDS = ("CNN", "Graph", "Transformer")  # those that the abstract names
FACTS = ["kind", "cite", "resolution", "pretraining", "captions_at_test", "labels_in_captions", "source"]
DATASETS = {"coco": 1, "vg500": 2}  # the table of each data set of a profile


def rows(number: int) -> pd.DataFrame:
    """The rows of a table, in print order, with the facts of each method.

    Parameters
    ----------
    number : 1 (MS-COCO) or 2 (VG500)

    Returns
    -------
    DataFrame
        What `tables.table` gives, metrics as fractions, and the columns of `FACTS`, text.

    Raises
    ------
    ValueError
        If it is another table, or a row has no facts.
    """
    if number not in DATASETS.values():
        raise ValueError(f"Table {number} compares no methods; 1 and 2 do")
    said = pd.read_csv(paper.FOLDER / "baselines.csv", dtype=str, keep_default_na=False)
    said = said[said["table"] == str(number)].set_index("method")[FACTS]
    printed = paper.table(number)
    without = sorted(set(printed["method"]) ^ set(said.index))
    if without:
        raise ValueError(f"Table {number} and baselines.csv disagree about {', '.join(without)}")
    return printed.join(said, on="method")


def best(number: int, kind: str | None = None) -> tuple[str, Published]:
    """The method of others with the highest printed mAP, of one kind or of all, and that number.

    Parameters
    ----------
    number : 1 or 2
    kind : "CNN", "Graph", "Transformer", ...; None takes all
    """
    found = rows(number)
    found = found[(found["method"] != OURS) & ((found["kind"] == kind) | (kind is None))]
    method = found["method"][found["mAP"].idxmax()]
    return method, paper.value(number, "mAP", method=method)


def margin(number: int, kind: str | None = None) -> Published:
    """How far the paper's own mAP is above the highest of others in the same table."""
    ours, (_, other) = paper.value(number, "mAP", method=OURS), best(number, kind)
    rounding = ours.rounding + other.rounding
    return Published(round(ours.value - other.value, 8), rounding, f"Table {number}", ours.dataset)


def margins(dataset: str, fused: Measured) -> list[Result]:
    """How far a fused feature is above the highest published mAP of each kind, as results: on the paper's own
    data, elsewhere none.

    Parameters
    ----------
    dataset : str, as `profiles.Parameters` names it
    fused : stats.Measured, its mAP
    """
    number = DATASETS.get(dataset)
    if number is None or not comparable(dataset, margin(number)):
        return []
    return [
        result(
            f"margin_{kind.lower()}",
            Measured(fused.value - other.value, fused.draws - other.value),
            f"the fused feature above {method}, the best {kind} row of Table {number}",
            unit="points",
            paper=margin(number, kind),
        )
        for kind in KINDS
        for method, other in [best(number, kind)]
    ]


def readers_of_pictures(number: int) -> pd.DataFrame:
    """The rows of methods that read no caption at test time."""
    found = rows(number)
    return found[found["captions_at_test"] == "no"]
