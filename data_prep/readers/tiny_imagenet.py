"""Reader of Tiny ImageNet: 64 x 64 images of 200 classes.

Layout, as `tiny-imagenet-200.zip` unpacks:

    tiny-imagenet-200/wnids.txt                                        the 200 classes, "n02124075"
    tiny-imagenet-200/words.txt                                        what WordNet calls them, and others
    tiny-imagenet-200/train/n02124075/images/n02124075_0.JPEG          500 a class
    tiny-imagenet-200/val/images/val_0.JPEG
    tiny-imagenet-200/val/val_annotations.txt                          image, class and box, tabs between

The images in `test/` have no published labels and are not read.
"""

import re
from collections import Counter
from pathlib import Path

from data_prep.readers.reading import check_count, listed, number, text_lines, there, unpacked, with_val
from difffeat.base.checked import shown
from difffeat.features.datasets import Split
from difffeat.features.prepared import multi_hot

PER_CLASS = 500
COUNTS = {"train": 100000, "test": 10000}


def gives(**_: object) -> set[str]:
    """What a page can find in these data."""
    return {"images", "one class"}


def sources(folder: Path | str, **_: object) -> list[Path]:
    """The files that labels are read from, and the folders of images, which tell of files that come or go."""
    root = unpacked(folder, "tiny-imagenet-200")
    names = ["wnids.txt", "words.txt", "val/val_annotations.txt", "train", "val/images"]
    files = [there(root / name, "the layout of tiny-imagenet-200.zip") for name in names]
    return files + sorted((root / "train").glob("*/images"))


def read(folder: Path | str, *, validation: int = 5000, check_counts: bool = True) -> dict[str, Split]:
    """Train, val and test of Tiny ImageNet, one label an image; test is the official val, which has labels.

    Label names are WordNet's words, in the order of wnids.txt. Sample ids follow from the file names: image
    n of class k (both from 0) is 500 k + n, val image n is 100,000 + n. Some images are greyscale on disk.

    Parameters
    ----------
    folder : path of the folder that holds tiny-imagenet-200, or of that folder
    validation : int, images of train held out for val
    check_counts : bool, whether there must be as many images as were published

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError
        If a file, the folder of a class, or an image is not on disk.
    ValueError
        If there are fewer or more images than published, a class is not in wnids.txt or comes there twice,
        an image's name is not of the form above, or a line has no class.
    """
    root = unpacked(folder, "tiny-imagenet-200")
    columns = {wnid: column for column, wnid in enumerate(listed(root / "wnids.txt"))}
    names = _names(root, columns)
    samples = {"train": _train(root, columns), "test": _test(root, columns)}
    if check_counts:
        for part, where in (("train", root / "train"), ("test", root / "val" / "val_annotations.txt")):
            check_count(where, len(samples[part]), COUNTS[part], "images")
    read = {}
    for part, rows in samples.items():
        ids = [sample for sample, _, _ in rows]
        labels = multi_hot([[column] for _, column, _ in rows], names, ids)
        images = [path for _, _, path in rows]
        read[part] = Split(part, ids, names, labels, images=images, dataset="tiny_imagenet")
    return with_val(read, validation)


def _names(root, columns):
    """WordNet's words for each class; where two classes have the same, with their wnid."""
    path = root / "words.txt"
    words = dict(line.rstrip("\r\n").split("\t", 1) for line in text_lines(path) if "\t" in line)
    lacking = [wnid for wnid in columns if wnid not in words]
    if lacking:
        raise ValueError(f"{path} has no words for {len(lacking)} classes, the first is {lacking[0]}")
    counts = Counter(words[wnid] for wnid in columns)
    return [words[wnid] if counts[words[wnid]] == 1 else f"{words[wnid]} ({wnid})" for wnid in columns]


def _train(root, columns):
    """(id, label column, path) of each training image."""
    folders = [path.name for path in (root / "train").iterdir() if path.is_dir()]
    unknown = sorted(set(folders) - columns.keys())
    if unknown:
        raise ValueError(f"{root / 'train'} has a folder {unknown[0]!r}, which is not in wnids.txt")
    rows = []
    for wnid, column in columns.items():
        folder = there(root / "train" / wnid / "images", "the images of a class in wnids.txt")
        numbered = sorted((_number(path, wnid), path) for path in folder.glob("*.JPEG"))
        rows += [(column * PER_CLASS + place, column, path) for place, path in numbered]
        if numbered and numbered[-1][0] >= PER_CLASS:
            raise ValueError(f"{numbered[-1][1]}: images of a class are numbered 0 to {PER_CLASS - 1}")
    return rows


def _test(root, columns):
    """(id, label column, path) of each image of the official val."""
    path = root / "val" / "val_annotations.txt"
    rows, lines = [], {}
    for place, line in enumerate(text_lines(path), start=1):
        if not line.strip():
            continue
        image, wnid = (*line.rstrip("\r\n").split("\t"), "")[:2]
        if wnid not in columns:
            raise ValueError(
                f"{path}, line {place}: {shown(image)} has class {shown(wnid)}, not in wnids.txt"
            )
        if image in lines:
            raise ValueError(f"{path}, line {place}: {shown(image)} is on line {lines[image]} already")
        lines[image] = place
        file = root / "val" / "images" / image
        rows.append((COUNTS["train"] + _number(file, "val"), columns[wnid], file))
    return rows


def _number(path, prefix):
    found = re.fullmatch(rf"{re.escape(prefix)}_([0-9]+)\.JPEG", path.name)
    place = number(found[1]) if found else None
    if place is None:
        raise ValueError(f"{path}: expected a name of the form {prefix}_<number>.JPEG")
    return place
