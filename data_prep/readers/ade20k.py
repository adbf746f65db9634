"""Reader of ADE20K as its scene parsing challenge gives it: which of 150 classes every pixel shows.

Layout, as `ADEChallengeData2016.zip` unpacks:

    ADEChallengeData2016/objectInfo150.txt                          the classes, tabs between the columns
    ADEChallengeData2016/images/training/ADE_train_00000001.jpg
    ADEChallengeData2016/annotations/training/ADE_train_00000001.png    0 for none, else 1 to 150
    ADEChallengeData2016/{images,annotations}/validation/ADE_val_00000001.{jpg,png}
"""

from functools import partial
from pathlib import Path

import numpy as np

from data_prep.readers.label_png import labels_in
from data_prep.readers.reading import check_count, number, tab_rows, there, unpacked, with_val
from difffeat.base.checked import shown
from difffeat.features.datasets import Split
from difffeat.features.dense import IGNORED, LabelMaps, classes_shown

FOLDERS = {"train": ("training", "ADE_train_"), "test": ("validation", "ADE_val_")}
COUNTS = {"training": 20_210, "validation": 2_000}
CLASSES = 150
OF_TEST = 1_000_000  # is added to the number of a validation image, for its sample id


def gives(**_: object) -> set[str]:
    """What a page can find in these data."""
    return {"images", "masks"}


def sources(folder: Path | str, **_: object) -> list[Path]:
    """The list of classes, and the folders of maps and images, which tell of files that come or go."""
    root = _root(folder)
    return [
        root / "objectInfo150.txt",
        *(root / kind / inner for kind in ("annotations", "images") for inner, _ in FOLDERS.values()),
    ]


def read(folder: Path | str, *, validation: int = 500, check_counts: bool = True) -> dict[str, Split]:
    """Train, val and test of ADE20K; test is the official validation. Labels are the classes that a map
    shows.

    Sample ids are the numbers in the names of the images, for those of test plus a million.

    Parameters
    ----------
    folder : path of the folder that holds ADEChallengeData2016, or of that folder
    validation : int, images of train held out for val
    check_counts : bool, whether there must be as many images as were published

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError
        If a file or a folder is not on disk, or an image has no map.
    ValueError
        If the list of classes is none, an image has another name than published, or a map is no picture of
        classes; the message names the file.
    """
    root, parts = _root(folder), {}
    names = _names(root)
    for part, (inner, start) in FOLDERS.items():
        images = sorted((root / "images" / inner).glob("*.jpg"))
        if check_counts:
            check_count(root / "images" / inner, len(images), COUNTS[inner], "images")
        ids = [_id(image, part, start) for image in images]
        labels = classes_shown((_map(root, sample) for sample in ids), CLASSES)
        parts[part] = Split(part, ids, names, labels, images=images, dataset="ade20k")
    return with_val(parts, validation)


def maps(folder: Path | str, part: str, **_: object) -> LabelMaps:
    """What every pixel shows; what is none of the 150 classes is not judged, as in the challenge."""
    root = _root(folder)
    return LabelMaps(_names(root), partial(_map, root))


def _root(folder):
    root = unpacked(folder, "ADEChallengeData2016")
    for inner in ("objectInfo150.txt", "images", "annotations"):
        there(root / inner, "the layout of ADEChallengeData2016.zip")
    return root


def _names(root):
    """Names of the classes in the order of their numbers."""
    path, found = root / "objectInfo150.txt", []
    for line, cells in tab_rows(path):
        if line == 1 or not cells:
            continue  # the names of the columns
        if len(cells) < 2 or number(cells[0], 1) != len(found) + 1:
            raise ValueError(
                f"{path}, line {line}: {shown(cells[0])} is not the number of class {len(found) + 1}; "
                f"expected {CLASSES} rows of number, ratio, train, val, stuff and name, with tabs between"
            )
        found.append(cells[-1].strip())
    if len(found) != CLASSES or len(set(found)) < CLASSES or not all(found):
        raise ValueError(f"{path} names {len(set(found) - {''})} classes; expected {CLASSES}, each its own")
    return tuple(found)


def _id(path, part, start):
    count = number(path.stem.removeprefix(start), 1) if path.stem.startswith(start) else None
    if count is None or count >= OF_TEST:
        raise ValueError(f"{path} is no image of ADE20K: expected a name as in {start}00000001.jpg")
    return count + OF_TEST * (part == "test")


def _map(root, sample):
    """The label map of a sample, classes from 0."""
    part = "test" if sample > OF_TEST else "train"
    inner, start = FOLDERS[part]
    path = root / "annotations" / inner / f"{start}{sample % OF_TEST:08d}.png"
    found = labels_in(path, CLASSES)
    return np.where(found == 0, IGNORED, found - 1).astype(np.uint8)
