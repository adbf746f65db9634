"""Reader of CIFAR-100's binary version: 32 x 32 images of 100 classes, unpacked to PNG files once.

Layout, as `cifar-100-binary.tar.gz` unpacks:

    cifar-100-binary/train.bin, test.bin          records of 3,074 bytes: the coarse label, the fine label,
                                                  then 1,024 bytes each of red, green and blue, row by row
    cifar-100-binary/fine_label_names.txt         100 names
    cifar-100-binary/coarse_label_names.txt       20 names

The version for Python is not read: unpickling a file runs what is in it.
"""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.readers.reading import check_count, listed, unpacked, with_val
from difffeat.base.checked import regular
from difffeat.base.contents import digests
from difffeat.base.files import cache_root, only_writer
from difffeat.base.progress import bar
from difffeat.features.datasets import Split
from difffeat.features.prepared import multi_hot

SIDE = 32  # pixels
RECORD = 2 + 3 * SIDE * SIDE  # bytes
COUNTS = {"train": 50000, "test": 10000}
CLASSES = {"coarse": 20, "fine": 100}
TOGETHER = 1000  # images in a folder: the unit that is complete or not there


def gives(**_: object) -> set[str]:
    """What a page can find in these data."""
    return {"images", "one class"}


def sources(folder: Path | str, **_: object) -> list[Path]:
    """The files that labels and images are read from."""
    root = unpacked(folder, "cifar-100-binary")
    files = [f"{part}.bin" for part in COUNTS] + [f"{kind}_label_names.txt" for kind in CLASSES]
    return [regular(root / name, "the files of cifar-100-binary.tar.gz") for name in files]


def read(
    folder: Path | str, *, labels: str = "fine", validation: int = 5000, check_counts: bool = True
) -> dict[str, Split]:
    """Train, val and test of CIFAR-100, one label an image. The first call writes the images as PNG files.

    Sample ids are places in the files, from 0 in train.bin and from 50,000 in test.bin, so that no two
    images share an id, and with it their noise.

    Parameters
    ----------
    folder : path of the folder that holds cifar-100-binary, or of that folder; the PNG files go to
        the cache
    labels : str, "fine" for the 100 classes, "coarse" for the 20 superclasses
    validation : int, images of train held out for val, which the data set does not have
    check_counts : bool, whether a file must have as many images as were published

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError
        If a file is not on disk.
    ValueError
        If a file ends inside a record or has another number of them than published, a record has a label
        without a name, or the lists of names are not of 100 and 20.
    """
    if labels not in CLASSES:
        raise ValueError(f"labels is {labels!r}; expected {' or '.join(map(repr, CLASSES))}")
    root = unpacked(folder, "cifar-100-binary")
    names = _names(root / f"{labels}_label_names.txt", CLASSES[labels])
    counts = {part: _records(root / f"{part}.bin", part, check_counts) for part in COUNTS}
    read = {}
    for part, first in (("train", 0), ("test", COUNTS["train"])):
        path = root / f"{part}.bin"
        ids = [first + place for place in range(counts[part])]
        columns = [[column] for column in _labels(path, labels)]
        images = _unpack(path, counts[part], cache_root() / "prepared" / "cifar-100")
        how = {"labels": multi_hot(columns, names, ids), "images": images, "dataset": "cifar100"}
        read[part] = Split(name=part, ids=ids, names=names, **how)
    return with_val(read, validation)


def _names(path, count):
    names = list(listed(path))
    if len(names) != count:
        raise ValueError(f"{path} has {len(names)} names, expected {count}")
    return names


def _records(path, part, check_counts):
    """How many records the file holds."""
    size = regular(path, "a file of CIFAR-100's binary version").stat().st_size
    count, rest = divmod(size, RECORD)
    if rest or not count:
        raise ValueError(
            f"{path} ends inside record {count} (counted from 0): its {size:,} bytes are not one or more "
            f"whole records of {RECORD:,} bytes"
        )
    if check_counts:
        check_count(path, count, COUNTS[part], "images")
    return count


def _labels(path, kind):
    """The label of each record, (N,)."""
    place = list(CLASSES).index(kind)
    labels = np.memmap(path, np.uint8, mode="r").reshape(-1, RECORD)[:, place]
    wrong = np.flatnonzero(labels >= CLASSES[kind])
    if len(wrong):
        raise ValueError(
            f"{path}: record {wrong[0]} (counted from 0) has {kind} label {labels[wrong[0]]}, expected "
            f"0 to {CLASSES[kind] - 1}"
        )
    return labels.tolist()


def _unpack(path, count, prepared):
    """Paths of the images as PNG files; those that are not there are written, a folder at a time.

    The folder's name follows the file's content, so that another train.bin gets other images.
    """
    (digest,) = digests([path])
    folder = prepared / f"{path.stem}-{digest[:12]}"
    starts = range(0, count, TOGETHER)
    with only_writer(folder), bar(count, f"unpack {path.name}", "images") as progress:
        for start in starts:
            _write(path, start, min(start + TOGETHER, count), folder / f"{start:05d}")
            progress.update(min(TOGETHER, count - start))
    return [folder / f"{place - place % TOGETHER:05d}" / f"{place:05d}.png" for place in range(count)]


def _write(path, start, stop, folder):
    """Images [start, stop) into a folder that has its name only when all of them are in it."""
    if folder.is_dir():
        return
    partial = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was stopped
    partial.mkdir(parents=True)
    records = np.fromfile(path, np.uint8, (stop - start) * RECORD, offset=start * RECORD)
    pixels = records.reshape(-1, RECORD)[:, 2:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    for place, image in enumerate(pixels, start):  # image: (32, 32, 3)
        Image.fromarray(image).save(partial / f"{place:05d}.png")
    partial.rename(folder)
