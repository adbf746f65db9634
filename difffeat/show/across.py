"""Several data sets side by side: what claims come to on each, and what readers of their texts reach."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from difffeat.base.format import MISSING
from difffeat.evidence import across
from difffeat.evidence.papers.diff_feat.claims.claim import Claim
from difffeat.evidence.results import Result
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
# Readers of pictures, and where the best feature is.
OF_PICTURES = {
    "label frequency": "floor_label_frequency_score",
    "raw pixels": "floor_raw_pixels_score",
    "untrained image feature": "image_untrained_score",
    "clean input": "image_clean_score",
    "image feature": "image_best_score",
    "best timestep": "image_best_timestep",
    "best block": "image_best_block",
}

# Data sets that stand side by side on the landing page, and what their columns are called.
MAIN = {
    "scenes": "scenes",
    "fashion": "photos of a shop",
    "cifar": "CIFAR-100",
    "cifar10": "CIFAR-10",
    "coco-text": "COCO captions",
    "ag_news_small": "news",
}


def statuses(
    held: Mapping[str, Path],
    names: Mapping[str, str] | None = None,
    claims: Sequence[Claim] | None = None,
) -> Table:
    """What each claim comes to on each data set that can be asked, as a table.

    Parameters
    ----------
    held : dict of profile to the folder of its results
    names : dict of profile to what its column is called, optional; by default all that have measured one, by
        their own names
    claims : sequence of Claim, by default the general ones
    """
    claims = across.general() if claims is None else claims
    told = across.found(held, claims)
    measured = [name for name in held if any(name in results for results in told.values())]
    names = names or {name: name for name in measured}
    names = {name: data for name, data in names.items() if name in held}
    return tables.rows(
        {"claim": claim.said(), "paper": claim.source}
        | {data: _status(told[claim.id].get(name)) for name, data in names.items()}
        for claim in claims
    )


def cite(held: Mapping[str, Path]) -> None:
    """Let prose cite, of page 90, the table of the data sets in `MAIN` and the sentence on all of them.

    Parameters
    ----------
    held : dict of profile to the folder of its results
    """
    from myst_nb import glue  # pulls Sphinx in, which nothing but a notebook needs

    glue("side_by_side", statuses(held, MAIN), display=False)
    glue("side_by_side_words", across.counted(across.found(held)), display=False)


def _status(result: Result | None):
    return MISSING if result is None else result.status


def readers(held: Mapping[str, Path], names: Mapping[str, str], keys: Mapping[str, str] = READERS) -> Table:
    """What each reader reaches under each profile, with intervals.

    Parameters
    ----------
    held : dict of profile to the folder of its results
    names : dict of profile to what its column is called; one without results has none
    keys : dict of reader to the id of its result, `READERS` or `OF_PICTURES`
    """
    names = {name: data for name, data in names.items() if name in held}
    numbers = across.numbers({name: held[name] for name in names})
    rows = []
    for reader, key in keys.items():
        found = {data: numbers[name].get(key) for name, data in names.items()}
        cells = {data: number.text if number else MISSING for data, number in found.items()}
        if set(cells.values()) != {MISSING}:
            rows.append({"reader": reader} | cells)
    return tables.rows(rows)


def sizes(read: Mapping[str, Split], held: Mapping[str, Split]) -> Table:
    """How many samples of each part a page reads, and how many the data have.

    Parameters
    ----------
    read, held : dict of part to Split
    """
    return tables.rows(
        {"part": part, "read here": f"{len(split):,}", "at hand": f"{len(held[part]):,}"}
        for part, split in read.items()
    )


def samples(split: Split, count: int = 6, letters: int = 160) -> Table:
    """The first texts of a split and their labels, long ones cut."""
    rows = []
    for text, row in zip(split.captions[:count], split.labels, strict=False):
        shown = text if len(text) <= letters else f"{text[:letters]} ..."
        labels: Sequence = [name for name, on in zip(split.names, row, strict=True) if on]
        rows.append({"text": shown, "labels": ", ".join(labels)})
    return tables.rows(rows)
