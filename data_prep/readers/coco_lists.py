"""Reader of COCO 2014 as plain lists: labels of all images and the first captions of some, without pictures.

For questions about labels and captions alone, which do not need COCO's own files of a gigabyte. Layout,
tables with a header where named, tabs between cells, gzipped:

    categories.txt                              the 80 names, one a line, in the order of COCO's ids
    train2014_labels.tsv.gz, val2014_labels.tsv.gz    image id, columns of its labels with spaces between
    val2014_first_captions_30000.tsv.gz         image id, the caption with the lowest annotation id
"""

from pathlib import Path

from data_prep.readers.reading import listed, number, tab_rows
from difffeat.base.checked import shown
from difffeat.features.datasets import Split
from difffeat.features.prepared import multi_hot

CAPTIONS = "val2014_first_captions_30000.tsv.gz"


def read(folder: Path | str) -> dict[str, Split]:
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


def labels(folder: Path | str, part: str) -> Split:
    """The labels of every image of a part, those without a caption among them.

    Parameters
    ----------
    folder : path, as for `read`
    part : "train", 82,783 images, or "val", 40,504

    Raises
    ------
    FileNotFoundError, ValueError
        As `read` does.
    """
    folder = Path(folder)
    names, found = list(listed(folder / "categories.txt")), _labels(folder / f"{part}2014_labels.tsv.gz")
    return Split(part, list(found), names, multi_hot(list(found.values()), names, list(found)))


def _labels(path):
    """Image id -> label columns."""
    labels = {image: [number(column) for column in cell.split()] for image, cell in _cells(path).items()}
    wrong = [image for image, columns in labels.items() if None in columns]
    if wrong:
        raise ValueError(f"{path}: image {wrong[0]} has a label that is no number of a category")
    return labels


def _cells(path):
    """Image id -> the other cell of its line."""
    found = {}
    for line, row in tab_rows(path):
        image = number(row[0]) if len(row) == 2 else None
        if image is None:
            raise ValueError(
                f"{path}, line {line}: expected an image id, a tab and one cell, got {shown(row)}"
            )
        if image in found:
            raise ValueError(f"{path}, line {line}: image {image} is there already")
        found[image] = row[1]
    return found
