"""Reader of Weizmann's horses: pictures with one horse and its mask.

Layout; names as in both folders:

    rgb/horse001.jpg
    mask/horse001.png    1 where the horse is, else 0

or the archive `horses.tar` of these folders.
"""

import re
from functools import partial
from pathlib import Path

import numpy as np

from data_prep.readers import packed
from data_prep.readers.label_png import labels_in
from data_prep.readers.reading import mixed, there
from difffeat.base.checked import shown
from difffeat.features.datasets import Split
from difffeat.features.dense import LabelMaps

NAMES = ("background", "horse")
PICTURE = re.compile(r"horse(\d{1,6})\.(jpg|png)")


def gives(**_: object) -> set[str]:
    """What a page can find in these data."""
    return {"images", "masks"}


def sources(folder: Path | str, **_: object) -> list[Path]:
    """The masks."""
    return [there(_mask(path), "the mask of a picture") for path in _pictures(folder).values()]


def read(folder: Path | str, *, validation: int = 60, test: int = 150) -> dict[str, Split]:
    """Train, val and test: no parts were published, so they are drawn, and depend on the numbers alone.

    Sample ids are the numbers in the names. Both classes are on every picture.

    Parameters
    ----------
    folder : path of the folder that holds rgb and mask, or horses.tar
    validation, test : int, pictures of val and of test

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError
        If a folder or a mask is not on disk.
    ValueError
        If a picture has no number in its name, two have the same, or there are not more pictures than val and
        test take.
    """
    pictures = _pictures(folder)
    for name, count in (("validation", validation), ("test", test)):
        if type(count) is not int or count < 1:
            raise ValueError(f"the setting `{name}` is {shown(count)}; expected a number of pictures")
    if len(pictures) <= validation + test:
        raise ValueError(
            f"{folder} has {len(pictures)} pictures; expected more than {validation} for val and {test} for "
            f"test: set `validation` and `test`"
        )
    labels = np.ones((len(pictures), len(NAMES)), np.uint8)
    images = list(pictures.values())
    whole = Split("train", list(pictures), NAMES, labels, images=images, dataset="weizmann_horses")
    order = mixed({"train": whole})["train"]
    ends = {"test": (0, test), "val": (test, test + validation), "train": (test + validation, len(order))}
    return {
        part: Split(part, some.ids, NAMES, some.labels, images=some.images, dataset=whole.dataset)
        for part in ("train", "val", "test")
        for some in [order[slice(*ends[part])]]
    }


def maps(folder: Path | str, part: str, **_: object) -> LabelMaps:
    """Where the horse is."""
    return LabelMaps(NAMES, partial(_map, _pictures(folder)))


def _map(pictures, sample):
    return labels_in(_mask(pictures[sample]), 1)


def _pictures(folder):
    """{number: picture}, by number."""
    root, found = packed.opened(folder, "horses.tar"), {}
    inner = there(root / "rgb", "the folder of pictures, rgb, beside that of masks")
    for path in sorted(inner.iterdir()):
        named = PICTURE.fullmatch(path.name)
        if not named or int(named[1]) in found:
            raise ValueError(f"{path} has no number of its own; expected names as in horse001.jpg")
        found[int(named[1])] = path
    return dict(sorted(found.items()))


def _mask(picture):
    return picture.parent.with_name("mask") / f"{picture.stem}.png"
