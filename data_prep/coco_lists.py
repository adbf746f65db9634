"""Reader of COCO 2014 as plain lists: labels of all images and the first captions of some, without pictures.

For questions about labels and captions alone, which do not need COCO's own files of a gigabyte. Layout,
tables with a header where named, tabs between cells, gzipped:

    categories.txt                              the 80 names, one a line, in the order of COCO's ids
    train2014_labels.tsv.gz, val2014_labels.tsv.gz    image id, columns of its labels with spaces between
    val2014_first_captions_30000.tsv.gz         image id, the caption with the lowest annotation id
"""

import csv
import gzip
from pathlib import Path

from data_prep._reading import listed, there
from difffeat.datasets import Split, multi_hot

CAPTIONS = "val2014_first_captions_30000.tsv.gz"


def read(folder) -> dict[str, Split]:
    """The lists as splits.

    Parameters
    ----------
    folder : path

    Returns
    -------
    dict of "train", all 82,783 images with labels alone, and "val", those images that have a caption here

    Raises
    ------
    FileNotFoundError
        If a list is not there.
    ValueError
        If a line has not two cells or an id that is no number, a label is none of the 80, an image is listed
        twice, or one with a caption has no labels listed.
    """
    folder = Path(folder)
    names = list(listed(folder / "categories.txt"))
    train, val = (_labels(folder / f"{part}2014_labels.tsv.gz") for part in ("train", "val"))
    captions = _cells(folder / CAPTIONS)
    if lacking := captions.keys() - val.keys():
        raise ValueError(f"{folder / CAPTIONS}: image {min(lacking)} is not among the images with labels")
    return {
        "train": Split("train", list(train), names, multi_hot(list(train.values()), names, list(train))),
        "val": Split(
            "val",
            list(captions),
            names,
            multi_hot([val[image] for image in captions], names, list(captions)),
            list(captions.values()),
        ),
    }


def _labels(path):
    """Image id -> label columns."""
    return {image: [int(column) for column in cell.split()] for image, cell in _cells(path).items()}


def _cells(path):
    """Image id -> the other cell of its line."""
    found = {}
    with gzip.open(there(path, "a list of COCO 2014"), "rt", encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE), start=1):
            if len(row) != 2 or not row[0].isdecimal():
                raise ValueError(
                    f"{path}, line {number}: expected an image id, a tab and one cell, got {row}"
                )
            if int(row[0]) in found:
                raise ValueError(f"{path}, line {number}: image {row[0]} is there already")
            found[int(row[0])] = row[1]
    return found
