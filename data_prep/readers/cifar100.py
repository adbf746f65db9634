"""Reader of CIFAR-100: 32 x 32 images of 100 classes.

Layout of the binary version, as `cifar-100-binary.tar.gz` unpacks:

    cifar-100-binary/train.bin, test.bin          records of 3,074 bytes: the coarse label, the fine label,
                                                  then 1,024 bytes each of red, green and blue, row by row
    cifar-100-binary/fine_label_names.txt         100 names
    cifar-100-binary/coarse_label_names.txt       20 names

or two `.npz` files of PNG files (see `packed`), train.npz and test.npz, with `labels`, the fine ones, whose
names are in classes.txt; these are in the order of classes, so they are mixed. The version for Python is not
read: unpickling a file runs what is in it.
"""

from pathlib import Path

from data_prep.readers import packed
from data_prep.readers.reading import check_count, listed, mixed, unpacked, with_val
from difffeat.base.checked import regular
from difffeat.features.datasets import Split
from difffeat.features.prepared import multi_hot

COUNTS = {"train": 50000, "test": 10000}
CLASSES = {"coarse": 20, "fine": 100}
ARCHIVE = "the files of cifar-100-binary.tar.gz, or train.npz, test.npz and classes.txt"


def gives(**_: object) -> set[str]:
    """What a page can find in these data."""
    return {"images", "one class"}


def sources(folder: Path | str, **_: object) -> list[Path]:
    """The files that labels and images are read from."""
    root = unpacked(folder, "cifar-100-binary")
    files = [f"{part}.npz" for part in COUNTS] + ["classes.txt"]
    if not (root / files[0]).exists():
        files = [f"{part}.bin" for part in COUNTS] + [f"{kind}_label_names.txt" for kind in CLASSES]
    return [regular(root / name, ARCHIVE) for name in files]


def read(
    folder: Path | str,
    *,
    labels: str = "fine",
    validation: int = 5000,
    check_counts: bool = True,
    dataset: str = "cifar100",
) -> dict[str, Split]:
    """Train, val and test of CIFAR-100, one label an image. The first call writes each image to a file.

    Sample ids are places in the files, from 0 in train.bin and from 50,000 in test.bin, so that no two
    images share an id, and with it their noise.

    Parameters
    ----------
    folder : path of the folder that holds cifar-100-binary, or of that folder; the files of images go to
        the cache
    labels : str, "fine" for the 100 classes, "coarse" for the 20 superclasses
    validation : int, images of train held out for val, which the data set does not have
    check_counts : bool, whether a file must have as many images as were published
    dataset : str, the data set's name; of a part of it another, for its numbers are not the paper's

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
    root, read = unpacked(folder, "cifar-100-binary"), {}
    is_packed = (root / "train.npz").exists()
    if is_packed and labels != "fine":
        raise ValueError(f"{root}: its .npz files hold fine labels alone, labels is {labels!r}")
    names = _names(root / ("classes.txt" if is_packed else f"{labels}_label_names.txt"), CLASSES[labels])
    for part, first in (("train", 0), ("test", COUNTS["train"])):
        path = root / f"{part}.{'npz' if is_packed else 'bin'}"
        columns, images = (_of_npz if is_packed else _of_records)(path, labels, part, check_counts)
        ids = [first + place for place in range(len(images))]
        how = {"labels": multi_hot([[column] for column in columns], names, ids), "images": images}
        read[part] = Split(name=part, ids=ids, names=names, dataset=dataset, **how)
    read = with_val(read, validation)
    return mixed(read) if is_packed else read


def _names(path, count):
    names = list(listed(path))
    if len(names) != count:
        raise ValueError(f"{path} has {len(names)} names, expected {count}")
    return names


def _of_records(path, kind, part, check_counts):
    """(labels, files) of a file of the binary version."""
    rows = packed.records(path, len(CLASSES), ARCHIVE)
    if check_counts:
        check_count(path, len(rows), COUNTS[part], "images")
    place = list(CLASSES).index(kind)
    labels = packed.label_column(path, rows[:, place], f"{kind} label", CLASSES[kind])
    return labels, packed.unpack(path, range(len(rows)), lambda one: packed.png(rows[one, 2:]), "cifar-100")


def _of_npz(path, kind, part, check_counts):
    """(labels, files) of an `.npz` file."""
    found = packed.columns(path, "labels")
    if check_counts:
        check_count(path, len(found["labels"]), COUNTS[part], "images")
    labels = packed.label_column(path, found["labels"], f"{kind} label", CLASSES[kind])
    return labels, packed.unpack(path, range(len(labels)), packed.whole(found), "cifar-100")
