"""Reader of CIFAR-10: 32 x 32 images of 10 classes.

Layout of the binary version, as `cifar-10-binary.tar.gz` unpacks:

    cifar-10-batches-bin/data_batch_1.bin ... data_batch_5.bin, test_batch.bin
                                                records of 3,073 bytes: the label, then 1,024 bytes each of
                                                red, green and blue, row by row
    cifar-10-batches-bin/batches.meta.txt       10 names

or two `.npz` files of JPEG or PNG files (see `packed`), train.npz and test.npz, with `labels`, in the
order of classes: they are mixed, and the names are those of the data set.
"""

from pathlib import Path

from data_prep.readers import packed
from data_prep.readers.reading import check_count, listed, mixed, unpacked, with_val
from difffeat.base.checked import regular
from difffeat.features.datasets import Split
from difffeat.features.prepared import multi_hot

COUNTS = {"train": 50000, "test": 10000}
FILES = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ARCHIVE = "the files of cifar-10-binary.tar.gz, or train.npz and test.npz"


def gives(**_: object) -> set[str]:
    """What a page can find in these data."""
    return {"images", "one class"}


def sources(folder: Path | str, **_: object) -> list[Path]:
    """The files that labels and images are read from."""
    root = unpacked(folder, "cifar-10-batches-bin")
    names = [f"{part}.npz" for part in COUNTS]
    if not (root / names[0]).exists():
        names = ["batches.meta.txt", *FILES["train"], *FILES["test"]]
    return [regular(root / name, ARCHIVE) for name in names]


def read(folder: Path | str, *, validation: int = 5000, check_counts: bool = True) -> dict[str, Split]:
    """Train, val and test of CIFAR-10, one label an image. The first call writes each image to a file.

    Sample ids are places in the files, from 0 in the first of train and from 50,000 in test.

    Parameters
    ----------
    folder : path of the folder that holds cifar-10-batches-bin, or of that folder; the files of images go to
        the cache
    validation : int, images of train held out for val, which the data set does not have
    check_counts : bool, whether a part must have as many images as were published

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError
        If a file is not on disk.
    ValueError
        If a file is damaged, a part has another number of images than published, a label has no name, or the
        list of names is not of 10.
    """
    root, read = unpacked(folder, "cifar-10-batches-bin"), {}
    is_packed = (root / "train.npz").exists()
    names = list(NAMES) if is_packed else list(listed(root / "batches.meta.txt"))
    if len(names) != len(NAMES):
        raise ValueError(f"{root / 'batches.meta.txt'} has {len(names)} names, expected {len(NAMES)}")
    for part, first in (("train", 0), ("test", COUNTS["train"])):
        labels, images = [], []
        for file in [f"{part}.npz"] if is_packed else FILES[part]:
            own, files = (_of_npz if is_packed else _of_records)(root / file)
            labels += own
            images += files
        if check_counts:
            check_count(root, len(images), COUNTS[part], f"images for {part}")
        ids = [first + place for place in range(len(images))]
        columns = multi_hot([[label] for label in labels], names, ids)
        read[part] = Split(name=part, ids=ids, names=names, labels=columns, images=images, dataset="cifar10")
    read = with_val(read, validation)
    return mixed(read) if is_packed else read


def _of_records(path):
    """(labels, files) of one file of the binary version."""
    rows = packed.records(path, 1, ARCHIVE)
    labels = packed.label_column(path, rows[:, 0], "label", len(NAMES))
    return labels, packed.unpack(
        path, range(len(rows)), lambda place: packed.png(rows[place, 1:]), "cifar-10"
    )


def _of_npz(path):
    """(labels, files) of an `.npz` file."""
    found = packed.columns(path, "labels")
    labels = packed.label_column(path, found["labels"], "label", len(NAMES))
    return labels, packed.unpack(path, range(len(labels)), packed.whole(found), "cifar-10")
