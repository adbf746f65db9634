"""Several data sets side by side: what claims come to on each, and what readers of their texts reach."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from difffeat.base.format import MISSING
from difffeat.evidence import across
from difffeat.evidence.results import Result, read_all
from difffeat.features.datasets import Split
from difffeat.show import tables
from difffeat.show.table import Table

# Readers of texts, and the results that hold their numbers.
READERS = {
    "label frequency": "floor_label_frequency_score",
    "bag of words": "floor_bag_of_words_score",
    "untrained text feature": "text_untrained_score",
    "text feature, random noise": "text_random_best_score",
    "text feature": "text_best_score",
    "image feature": "image_best_score",
    "fused feature": "fusion_addition_score",
}


def statuses(root: Path | str, profiles: Mapping[str, str]) -> Table:
    """What each general claim comes to on each data set, as a table.

    Parameters
    ----------
    root : folder of the results folders of profiles
    profiles : dict of profile to the name of its data, as the head of its column
    """
    told = across.found(root, list(profiles))
    return tables.rows(
        {"claim": claim.said(), "paper": claim.source}
        | {data: _status(told[claim.id].get(name)) for name, data in profiles.items()}
        for claim in across.general()
    )


def _status(result: Result | None):
    return MISSING if result is None else result.status


def readers(root: Path | str, profiles: Mapping[str, str]) -> Table:
    """What each reader of `READERS` reaches under each profile, with intervals.

    Parameters
    ----------
    root, profiles : as for `statuses`
    """
    held = {
        name: {result.id: result for page in read_all(Path(root) / name).values() for result in page.results}
        for name in profiles
    }
    rows = []
    for reader, key in READERS.items():
        numbers = {data: held[name].get(key) for name, data in profiles.items()}
        cells = {data: number.text if number else MISSING for data, number in numbers.items()}
        if set(cells.values()) != {MISSING}:
            rows.append({"reader": reader} | cells)
    return tables.rows(rows)


def samples(split: Split, count: int = 6, letters: int = 160) -> Table:
    """The first texts of a split and their labels, long ones cut."""
    rows = []
    for text, row in zip(split.captions[:count], split.labels, strict=False):
        shown = text if len(text) <= letters else f"{text[:letters]} ..."
        labels: Sequence = [name for name, on in zip(split.names, row, strict=True) if on]
        rows.append({"text": shown, "labels": ", ".join(labels)})
    return tables.rows(rows)
