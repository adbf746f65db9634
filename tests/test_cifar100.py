import io
import tarfile

import numpy as np
import pytest
from layouts import reference
from PIL import Image

import data_prep
from data_prep.readers import packed

COUNTS = {"train": 25, "test": 5}


def record(coarse, fine, image):
    """One record; `image` has shape (32, 32, 3)."""
    return bytes([coarse, fine]) + image.transpose(2, 0, 1).tobytes()


def write(folder, parts, names):
    root = folder / "cifar-100-binary"
    root.mkdir()
    for part, records in parts.items():
        (root / f"{part}.bin").write_bytes(b"".join(record(*each) for each in records))
    (root / "fine_label_names.txt").write_text("\n".join(names) + "\n\n")
    (root / "coarse_label_names.txt").write_text("".join(f"group {n}\r\n" for n in range(20)))
    return root


@pytest.fixture
def parts():
    random = np.random.default_rng(0)
    return {
        part: [(n % 20, n % 100, random.integers(0, 256, (32, 32, 3), dtype=np.uint8)) for n in range(count)]
        for part, count in COUNTS.items()
    }


@pytest.fixture
def root(tmp_path, parts):
    return write(tmp_path, parts, [f"class {n}" for n in range(100)])


def splits(root, **options):
    settings = {"reader": "cifar100", "folder": str(root.parent), "validation": 5, "check_counts": False}
    return data_prep.splits(settings | options)


def test_labels_ids_and_pixels(root, parts):
    read = splits(root)
    assert {part: len(split) for part, split in read.items()} == {"train": 20, "val": 5, "test": 5}
    assert read["test"].ids.tolist() == [50000, 50001, 50002, 50003, 50004]
    for part, first in (("train", 0), ("val", 0), ("test", 50000)):
        split = read[part]
        assert split.labels.shape == (len(split), 100) and (split.labels.sum(axis=1) == 1).all()
        for row, place in enumerate((split.ids - first).tolist()):
            _, fine, pixels = parts["test" if part == "test" else "train"][place]
            assert np.array_equal(np.asarray(split.image(row)), pixels)
            assert split.names[split.labels[row].argmax()] == f"class {fine}"


def test_superclasses(root, parts):
    test = splits(root, labels="coarse")["test"]
    assert test.names[3] == "group 3" and test.labels.argmax(axis=1).tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="labels is 'rough'; expected 'coarse' or 'fine'"):
        splits(root, labels="rough")


def test_unpacking_goes_on_where_it_was_stopped(root, monkeypatch, tmp_path):
    monkeypatch.setattr(packed, "TOGETHER", 10)
    monkeypatch.setenv("DIFFFEAT_CACHE", str(tmp_path / "cache"))
    unpacked = tmp_path / "cache" / "prepared" / "cifar-100"
    png, written = packed.png, []

    def stop(record):
        if len(written) == 18:  # the first is looked at for its kind, then ten make a folder
            raise KeyboardInterrupt
        written.append(record)
        return png(record)

    with monkeypatch.context() as patch:
        patch.setattr(packed, "png", stop)
        with pytest.raises(KeyboardInterrupt):
            splits(root)
    folders = [path for path in unpacked.glob("train-*/*") if path.name[0] != "."]
    assert [path.name for path in folders] == ["00000"] and len(list(folders[0].iterdir())) == 10
    first = (folders[0] / "00000.png").stat().st_mtime_ns
    read = splits(root)
    assert (folders[0] / "00000.png").stat().st_mtime_ns == first
    assert [len(read[part]) for part in ("train", "val", "test")] == [20, 5, 5]
    assert not list(unpacked.glob("**/*.part"))
    assert read["test"].image(4).size == (32, 32)


def test_another_file_gives_other_images(root, parts):
    before = np.asarray(splits(root)["test"].image(0))
    parts["test"] = [(c, f, 255 - pixels) for c, f, pixels in parts["test"]] + parts["train"][:1]
    (root / "test.bin").write_bytes(b"".join(record(*each) for each in parts["test"]))
    test = splits(root)["test"]
    assert len(test) == 6 and np.array_equal(np.asarray(test.image(0)), 255 - before)


def test_published_counts(root):
    with pytest.raises(ValueError, match=r"train\.bin: 25 images, 50,000 were published"):
        splits(root, check_counts=True)


def test_damaged_files(root):
    path = root / "test.bin"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(
        ValueError, match=r"test\.bin ends inside record 4 .*15,369 bytes are not one or more"
    ):
        splits(root)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"test\.bin ends inside record 0"):
        splits(root)
    path.write_bytes(whole[: 3 * 3074 + 1] + bytes([100]) + whole[3 * 3074 + 2 :])
    with pytest.raises(ValueError, match=r"test\.bin: record 3 .* has fine label 100, expected 0 to 99"):
        splits(root)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"test\.bin does not exist; expected the files of cifar-100"):
        splits(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"apple\nbear\n", "has 2 names, expected 100"),
        (b"apple\nbear\napple\n", "line 3: 'apple' is on line 1 already"),
        (b"apple\nb\xe9b\xe9\n", r"fine_label_names\.txt, line 2: byte 0xe9 is not utf-8"),
    ],
)
def test_damaged_names(root, content, message):
    (root / "fine_label_names.txt").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        splits(root)


def test_an_unpacked_image_that_went_away_is_named(root):
    splits(root)["test"].images[2].unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 5 images are not on disk: .*00002\.png"):
        splits(root)


def test_real_images_come_back_bit_for_bit(tmp_path):
    """Two images of each class from train and one from test, written as records and read back."""
    folder, parts = reference("cifar100_subset"), {}
    for part, name, step in (("train", "train_40_per_class", 20), ("test", "test_20_per_class", 20)):
        with tarfile.open(folder / f"{name}.tar") as tar:
            members = sorted((m for m in tar if m.isfile()), key=lambda member: member.name)[::step]
            files = [(m.name.split("/")[1], tar.extractfile(m).read()) for m in members]
        parts[part] = [(name, np.asarray(Image.open(io.BytesIO(file)))) for name, file in files]
    names = sorted({name for name, _ in parts["train"]})
    records = {part: [(0, names.index(n), image) for n, image in rows] for part, rows in parts.items()}
    read = splits(write(tmp_path, records, names), validation=50)
    assert {part: len(split) for part, split in read.items()} == {"train": 150, "val": 50, "test": 100}
    for row, (name, pixels) in enumerate(parts["test"]):
        assert np.array_equal(np.asarray(read["test"].image(row)), pixels)
        assert read["test"].names[read["test"].labels[row].argmax()] == name


def npz(path, files, **columns):
    """An `.npz` file of pictures: PNG files one after another, and a row of each column a picture."""
    ends = np.cumsum([0, *map(len, files)])
    np.savez(path, data=np.frombuffer(b"".join(files), np.uint8), offsets=ends, **columns)


@pytest.fixture
def packed_root(tmp_path, parts):
    """The same images as `.npz` files, classes one after another."""
    root = tmp_path / "packed"
    root.mkdir()
    for part, records in parts.items():
        files = [packed.png(pixels.transpose(2, 0, 1).reshape(-1)) for _, _, pixels in records]
        npz(root / f"{part}.npz", files, labels=np.array([fine for _, fine, _ in records], np.uint8))
    (root / "classes.txt").write_text("\n".join(f"class {n}" for n in range(100)))
    return root


def test_npz_files_give_the_same_images_mixed(root, packed_root, tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFFEAT_CACHE", str(tmp_path / "cache"))
    settings = {"reader": "cifar100", "folder": str(packed_root), "validation": 5, "check_counts": False}
    read, binary = data_prep.splits(settings), splits(root)
    for part, split in read.items():
        assert sorted(split.ids) == sorted(binary[part].ids)
        other = binary[part].select(split.ids)
        assert np.array_equal(split.labels, other.labels)
        for row in range(len(split)):
            assert np.array_equal(np.asarray(split.image(row)), np.asarray(other.image(row)))
    assert read["train"].ids.tolist() != sorted(read["train"].ids), (
        "classes come one after another in the file"
    )
    with pytest.raises(ValueError, match=r"hold fine labels alone, labels is 'coarse'"):
        data_prep.splits(settings | {"labels": "coarse"})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, r"train\.npz lacks labels; it has data, offsets"),
        ({"labels": np.zeros(3, np.uint8)}, r"train\.npz: 3 labels of 2 pictures"),
        ({"labels": np.array([0, 200], np.uint8)}, r"record 1 .* has fine label 200, expected 0 to 99"),
        ({"labels": np.zeros(2, np.uint8), "offsets": np.array([0, 9, 4])}, "offsets do not cut its"),
    ],
)
def test_damaged_npz_files(packed_root, columns, message):
    np.savez(
        packed_root / "train.npz",
        **{"data": np.zeros(9, np.uint8), "offsets": np.array([0, 4, 9])} | columns,
    )
    settings = {"reader": "cifar100", "folder": str(packed_root), "validation": 1, "check_counts": False}
    with pytest.raises(ValueError, match=message):
        data_prep.splits(settings)


def test_an_npz_file_cut_anywhere_is_named(packed_root):
    path = packed_root / "train.npz"
    whole = path.read_bytes()
    settings = {"reader": "cifar100", "folder": str(packed_root), "validation": 5, "check_counts": False}
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"train\.npz is no \.npz file, or ends early"):
            data_prep.splits(settings)
