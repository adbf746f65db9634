"""Reader of Horse-21: sixty horses of LSUN, whose every pixel is one of 21 parts or classes.

Layout, as the `datasets.tar.gz` of "Label-efficient semantic segmentation with diffusion models" unpacks, of
which this is one folder; names of files are free:

    horse_21/real/train/<name>.{png,jpg,jpeg}    a square picture
    horse_21/real/train/<name>.npy               its label map, an array (H, W) of 0 to 20; 255 is not judged
    horse_21/real/test/...

The other data sets of that archive have the same layout and other classes.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from data_prep.readers.reading import check_count, pictures_in, there, unpacked, with_val
from difffeat.base.checked import regular
from difffeat.features.datasets import Split
from difffeat.features.dense import IGNORED, LabelMaps, classes_shown

NAMES = (
    *("background", "person", "back", "barrel", "bridle", "chest", "ear", "eye", "forelock", "head", "hoof"),
    *("leg", "mane", "muzzle", "neck", "nostril", "tail", "thigh", "saddle", "shoulder", "leg protection"),
)
COUNTS = {"train": 30, "test": 30}
SUFFIXES = (".png", ".jpg", ".jpeg")
OF_TEST = 1_000  # sample ids of test start behind it


def gives(**_: object) -> set[str]:
    """What a page can find in these data."""
    return {"images", "masks"}


def sources(folder: Path | str, **_: object) -> list[Path]:
    """The label maps."""
    wanted = [path.with_suffix(".npy") for part in COUNTS for path in _pictures(folder, part)]
    return [there(path, "the label map of a picture") for path in wanted]


def read(folder: Path | str, *, validation: int = 6, check_counts: bool = True) -> dict[str, Split]:
    """Train, val and test of Horse-21; labels are the classes that a map shows.

    Sample ids count the pictures of a part by name, from 1; those of test from 1,001.

    Parameters
    ----------
    folder : path of the folder that holds horse_21, or of that folder
    validation : int, pictures of train held out for val
    check_counts : bool, whether there must be as many pictures as were published

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError
        If a folder or the label map of a picture is not on disk.
    ValueError
        If a label map is no array of these classes, or there is another number of pictures than published;
        the message names the file.
    """
    parts = {}
    for part, count in COUNTS.items():
        pictures = _pictures(folder, part)
        if check_counts:
            check_count(pictures[0].parent, len(pictures), count, "pictures")
        labels = classes_shown(map(_map, pictures), len(NAMES))
        ids = list(_ids(folder, part))
        parts[part] = Split(part, ids, NAMES, labels, images=pictures, dataset="horse21")
    return with_val(parts, validation)


def maps(folder: Path | str, part: str, **_: object) -> LabelMaps:
    """What every pixel of a picture shows."""
    return LabelMaps(NAMES, partial(_map_of, _ids(folder, "test" if part == "test" else "train")))


def _map_of(pictures: Mapping[int, Path], sample: int) -> np.ndarray:
    return _map(pictures[sample])


def _ids(folder, part):
    """{sample id: picture} of a folder, by name."""
    first = 1 + OF_TEST * (part == "test")
    return dict(enumerate(_pictures(folder, part), start=first))


def _pictures(folder, part):
    inner = unpacked(folder, "horse_21") / "real" / part
    there(inner, "the layout of horse_21, real/train and real/test")
    return pictures_in(inner, SUFFIXES, ".png or .jpg, each with its .npy")


def _map(picture):
    """The label map beside a picture, uint8 (H, W)."""
    path = regular(picture.with_suffix(".npy"), f"the label map of {picture.name}")
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path} is no whole array of numpy's: {error}") from error
    known = [*range(len(NAMES)), IGNORED]
    if getattr(found, "ndim", 0) != 2 or found.dtype.kind not in "iuf" or not np.isin(found, known).all():
        raise ValueError(
            f"{path} holds {getattr(found, 'dtype', type(found).__name__)} {getattr(found, 'shape', '')}; "
            f"expected (H, W) of classes 0 to {len(NAMES) - 1}, and {IGNORED} for none"
        )
    return found.astype(np.uint8)
