"""The reader of CIFAR-10: its binary version in five files, and `.npz` files."""

import numpy as np
import pytest
from test_cifar100 import npz

import data_prep
from data_prep.readers import cifar10, packed

RANDOM = np.random.default_rng(0)


def records(count):
    return [(n % 10, RANDOM.integers(0, 256, 3 * 32 * 32, dtype=np.uint8)) for n in range(count)]


@pytest.fixture
def parts():
    return {"train": records(25), "test": records(5)}


@pytest.fixture
def root(tmp_path, parts):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for number, name in enumerate(cifar10.FILES["train"]):
        batch = parts["train"][5 * number : 5 * number + 5]
        (folder / name).write_bytes(b"".join(bytes([label]) + image.tobytes() for label, image in batch))
    (folder / "test_batch.bin").write_bytes(
        b"".join(bytes([n]) + image.tobytes() for n, image in parts["test"])
    )
    (folder / "batches.meta.txt").write_text("\n".join(cifar10.NAMES) + "\n\n")
    return tmp_path


def splits(root, **options):
    settings = {"reader": "cifar10", "folder": str(root), "validation": 5, "check_counts": False}
    return data_prep.splits(settings | options)


def test_labels_ids_and_pixels(root, parts):
    read = splits(root)
    assert [len(read[part]) for part in ("train", "val", "test")] == [20, 5, 5]
    for part, first in (("train", 0), ("val", 0), ("test", 50000)):
        for row, place in enumerate((read[part].ids - first).tolist()):
            label, image = parts["test" if part == "test" else "train"][place]
            assert read[part].labels[row].argmax() == label and read[part].labels[row].sum() == 1
            pixels = np.asarray(read[part].image(row)).transpose(2, 0, 1).reshape(-1)
            assert np.array_equal(pixels, image)


def test_npz_files_give_the_same(root, tmp_path, parts):
    folder = tmp_path / "packed"
    folder.mkdir()
    for part, rows in parts.items():
        labels = np.array([label for label, _ in rows], np.uint8)
        npz(folder / f"{part}.npz", [packed.png(image) for _, image in rows], labels=labels)
    read, binary = splits(folder), splits(root)
    for part, split in read.items():
        other = binary[part].select(split.ids)
        assert np.array_equal(split.labels, other.labels)
        assert split.input_digest("image") == split.input_digest("image")
        assert np.array_equal(np.asarray(split.image(0)), np.asarray(other.image(0)))


def test_damaged_files_are_named(root):
    with pytest.raises(ValueError, match="25 images for train, 50,000 were published"):
        splits(root, check_counts=True)
    path = root / "cifar-10-batches-bin" / "data_batch_3.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"data_batch_3\.bin ends inside record 4"):
        splits(root)
    path.write_bytes(bytes([10]) + whole[1:])
    with pytest.raises(ValueError, match=r"data_batch_3\.bin: record 0 .* has label 10, expected 0 to 9"):
        splits(root)
    path.unlink()
    with pytest.raises(
        FileNotFoundError, match=r"data_batch_3\.bin does not exist; expected the files of cifar-10"
    ):
        splits(root)
    (root / "cifar-10-batches-bin" / "batches.meta.txt").write_text("cat\n")
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"batches\.meta\.txt has 1 names, expected 10"):
        splits(root)
