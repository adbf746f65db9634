"""Reader of MS-COCO's captions as lists: 30,000 images of val2014 with their first caption and all 80 labels.

The files are those of `coco_lists`. Train, val and test are cut out of these images here, for the lists hold
no captions of train2014: numbers on them are not the paper's, whose probes see 82,783.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from data_prep.readers import coco_lists
from data_prep.readers.reading import mixed, with_val
from difffeat.base.checked import regular
from difffeat.features.datasets import Split

LISTS = ("categories.txt", "val2014_labels.tsv.gz", "train2014_labels.tsv.gz", coco_lists.CAPTIONS)


def gives(**_: object) -> set[str]:
    """What a page can find in these data."""
    return {"captions"}


def sources(folder: Path | str, **_: object) -> list[Path]:
    """The lists."""
    return [regular(Path(folder) / name, "a list of COCO 2014") for name in LISTS]


def read(folder: Path | str, *, validation: int = 2000, test: int = 8000) -> dict[str, Split]:
    """Train, val and test of the captions, in an order that depends on the ids alone.

    Parameters
    ----------
    folder : path
    validation, test : int, samples of each; the others are of train

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError, ValueError
        As `coco_lists.read` does, or if too few samples are left for train.
    """
    told = replace(coco_lists.read(folder)["val"], dataset="coco_captions")
    if type(test) is not int or not 0 < test < len(told):
        raise ValueError(
            f"cannot take {test!r} of {len(told)} captions for test: set `test` to a number below"
        )
    tested = np.random.default_rng(1).choice(np.sort(told.ids), size=test, replace=False)
    held = np.isin(told.ids, tested)
    parts = {
        name: replace(told.select(told.ids[rows]), name=name)
        for name, rows in (("train", ~held), ("test", held))
    }
    return mixed(with_val(parts, validation))
