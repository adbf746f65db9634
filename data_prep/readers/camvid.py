"""Reader of CamVid as SegNet's tutorial gives it: street scenes, whose every pixel is one of 11 classes.

Layout, as its folder `CamVid` lies there; pictures may be JPEG too:

    CamVid/{train,val,test}/0001TP_006690.png
    CamVid/{train,val,test}annot/0001TP_006690.png    0 to 10; 11 is not labelled

or the archive `camvid.tar` of these folders. Frames of one drive follow one another, so that neighbours of a
part look alike.
"""

from functools import partial
from pathlib import Path

import numpy as np

from data_prep.kept import PARTS
from data_prep.readers import packed
from data_prep.readers.label_png import labels_in
from data_prep.readers.reading import check_count, pictures_in, there, unpacked
from difffeat.features.datasets import Split
from difffeat.features.dense import IGNORED, LabelMaps, classes_shown

NAMES = (
    *("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian"),
    "bicyclist",
)
COUNTS = {"train": 367, "val": 101, "test": 233}
SUFFIXES = (".png", ".jpg", ".jpeg")
APART = 1_000  # between the first sample ids of two parts


def gives(**_: object) -> set[str]:
    """What a page can find in these data."""
    return {"images", "masks"}


def sources(folder: Path | str, **_: object) -> list[Path]:
    """The label maps."""
    wanted = [_annotation(path) for part in PARTS for path in _pictures(folder, part)]
    return [there(path, "the label map of a picture") for path in wanted]


def read(folder: Path | str, *, check_counts: bool = True) -> dict[str, Split]:
    """Train, val and test of CamVid; labels are the classes that a map shows.

    Sample ids count the pictures of a part by name, from 1 in train, 1,001 in val and 2,001 in test.

    Parameters
    ----------
    folder : path of the folder that holds CamVid or camvid.tar, or of CamVid
    check_counts : bool, whether there must be as many pictures as were published

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError
        If a folder or the label map of a picture is not on disk.
    ValueError
        If a label map is none of these classes, or there is another number of pictures than published; the
        message names the file.
    """
    parts = {}
    for part in PARTS:
        pictures = _ids(folder, part)
        if check_counts:
            check_count(_folder(folder, part), len(pictures), COUNTS[part], "pictures")
        labels = classes_shown(map(_map, pictures.values()), len(NAMES))
        images = list(pictures.values())
        parts[part] = Split(part, list(pictures), NAMES, labels, images=images, dataset="camvid")
    return parts


def maps(folder: Path | str, part: str, **_: object) -> LabelMaps:
    """What every pixel of a picture shows."""
    return LabelMaps(NAMES, partial(_map_of, _ids(folder, part)))


def _map_of(pictures, sample):
    return _map(pictures[sample])


def _ids(folder, part):
    """{sample id: picture} of a part, by name."""
    return dict(enumerate(_pictures(folder, part), start=1 + APART * PARTS.index(part)))


def _folder(folder, part):
    root = unpacked(packed.opened(folder, "camvid.tar"), "CamVid")
    return there(root / part, "the layout of CamVid, train, trainannot and so on")


def _pictures(folder, part):
    return pictures_in(_folder(folder, part), SUFFIXES, ".png or .jpg")


def _annotation(picture):
    return picture.parent.with_name(f"{picture.parent.name}annot") / f"{picture.stem}.png"


def _map(picture):
    """The label map of a picture, uint8 (H, W)."""
    found = labels_in(_annotation(picture), len(NAMES))
    return np.where(found == len(NAMES), IGNORED, found).astype(np.uint8)
