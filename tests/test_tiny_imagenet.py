import tarfile

import numpy as np
import pytest
from layouts import reference
from PIL import Image

import data_prep

WORDS = {"n02": "crane", "n01": "goldfish, Carassius auratus", "n03": "crane"}


@pytest.fixture
def root(tmp_path):
    """Three classes, two of one name, three training images each; two test images, one of them grey."""
    root = tmp_path / "tiny-imagenet-200"
    (root / "val" / "images").mkdir(parents=True)
    (root / "wnids.txt").write_text("n02\nn01\nn03\n")
    words = {"n00": "entity"} | WORDS
    (root / "words.txt").write_text("".join(f"{wnid}\t{said}\n" for wnid, said in words.items()))
    for wnid in WORDS:
        (root / "train" / wnid / "images").mkdir(parents=True)
        for number in (10, 9, 499):
            Image.new("RGB", (8, 8)).save(root / "train" / wnid / "images" / f"{wnid}_{number}.JPEG")
        (root / "train" / wnid / f"{wnid}_boxes.txt").touch()
    for number, mode in ((7, "L"), (0, "RGB")):
        Image.new(mode, (8, 8)).save(root / "val" / "images" / f"val_{number}.JPEG")
    (root / "val" / "val_annotations.txt").write_text(
        "val_0.JPEG\tn01\t0\t32\t4\t6\nval_7.JPEG\tn03\t0\t0\t1\t1\n"
    )
    return root


def splits(root, **options):
    settings = {"reader": "tiny_imagenet", "folder": str(root.parent), "validation": 2, "check_counts": False}
    return data_prep.splits(settings | options)


def test_labels_ids_and_files(root):
    read = splits(root)
    assert {part: len(split) for part, split in read.items()} == {"train": 7, "val": 2, "test": 2}
    ids = sorted([*read["train"].ids, *read["val"].ids])
    assert ids == [9, 10, 499, 509, 510, 999, 1009, 1010, 1499]
    test = read["test"]
    assert test.ids.tolist() == [100000, 100007] and test.labels.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert test.names == ("crane (n02)", "goldfish, Carassius auratus", "crane (n03)")
    assert test.images[1] == root / "val" / "images" / "val_7.JPEG" and test.image(1).mode == "RGB"
    for split in read.values():
        for path, row in zip(split.images, split.labels, strict=True):
            assert split.name == "test" or path.parent.parent.name == list(WORDS)[row.argmax()]


def test_an_image_that_comes_later_is_seen(root):
    splits(root)
    Image.new("RGB", (8, 8)).save(root / "train" / "n01" / "images" / "n01_77.JPEG")
    assert len(splits(root)["train"]) == 8


def test_published_counts(root):
    with pytest.raises(ValueError, match=r"train: 9 images, 100,000 were published"):
        splits(root, check_counts=True)


def test_windows_line_ends_and_a_byte_order_mark(root):
    for name in ("wnids.txt", "words.txt", "val/val_annotations.txt"):
        path = root / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    test = splits(root)["test"]
    assert test.names[1] == "goldfish, Carassius auratus" and test.labels.tolist() == [[0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("wnids.txt", "n02\nn01\nn03\nn01\n", r"wnids\.txt, line 4: 'n01' is on line 2 already"),
        ("wnids.txt", "n02\nn01\n", "train has a folder 'n03', which is not in wnids.txt"),
        ("words.txt", "n02\tcrane\n", "has no words for 2 classes, the first is n01"),
        ("words.txt", "n02\tcr\xe2ne\n", r"words\.txt, line 1: byte 0xe2 is not utf-8"),
        (
            "val/val_annotations.txt",
            "val_0.JPEG\tn01\nval_7.JPEG\tn09\n",
            r'line 2: "val_7\.JPEG" has class "n09"',
        ),
        ("val/val_annotations.txt", "val_0.JPEG\n", r'line 1: "val_0\.JPEG" has class "", not in wnids'),
        ("val/val_annotations.txt", "val_0.JPEG\tn01\nval_0.JPEG\tn01\n", "line 2: .* is on line 1 already"),
        (
            "val/val_annotations.txt",
            "0.JPEG\tn01\n",
            r"0\.JPEG: expected a name of the form val_<number>\.JPEG",
        ),
        ("val/val_annotations.txt", "\n", "'test' is empty"),
        (
            "val/val_annotations.txt",
            f"val_{'9' * 30}.JPEG\tn01\n",
            "expected a name of the form val_<number>",
        ),
    ],
)
def test_damaged_lists(root, name, content, message):
    (root / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        splits(root)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("n01_500.JPEG", r"n01_500\.JPEG: images of a class are numbered 0 to 499"),
        ("n02_1.JPEG", r"n02_1\.JPEG: expected a name of the form n01_<number>\.JPEG"),
    ],
)
def test_images_of_other_names(root, name, message):
    (root / "train" / "n01" / "images" / name).touch()
    with pytest.raises(ValueError, match=message):
        splits(root)


def test_files_that_are_not_there(root):
    (root / "val" / "images" / "val_0.JPEG").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 2 images are not on disk: .*val_0\.JPEG"):
        splits(root)
    (root / "train" / "n03" / "images").rename(root / "train" / "n03" / "elsewhere")
    with pytest.raises(FileNotFoundError, match="images does not exist; expected the images of a class"):
        splits(root)
    (root / "words.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"words\.txt does not exist; expected the layout of tiny-"):
        splits(root)


def test_real_images(tmp_path):
    """One training and one test image of each of the 200 classes, in the layout of the archive."""
    folder, root = reference("tiny_imagenet_subset"), tmp_path / "tiny-imagenet-200"
    (root / "val" / "images").mkdir(parents=True)
    rows = [line.split("\t") for line in (folder / "classes.tsv").read_text("utf-8").splitlines()]
    (root / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid, _ in rows))
    (root / "words.txt").write_text("".join(f"{wnid}\t{words}\n" for wnid, words in rows), "utf-8")
    lines = []
    for name, step in (("train_10_per_class", 10), ("val_5_per_class", 5)):
        with tarfile.open(folder / f"{name}.tar") as tar:
            members = sorted((m for m in tar if m.isfile()), key=lambda member: member.name)[::step]
            for part, wnid, file in (member.name.split("/") for member in members):
                place = root / "train" / wnid / "images" if part == "train" else root / "val" / "images"
                place.mkdir(parents=True, exist_ok=True)
                (place / file).write_bytes(tar.extractfile(f"{part}/{wnid}/{file}").read())
                lines += [f"{file}\t{wnid}\t0\t0\t63\t63\n"] if part == "val" else []
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    read = splits(root, validation=20)
    assert {part: len(split) for part, split in read.items()} == {"train": 180, "val": 20, "test": 200}
    test = read["test"]
    assert np.array_equal(test.labels, np.eye(200)) and test.names[0] == "goldfish, Carassius auratus"
    assert {test.image(row).size for row in range(0, 200, 20)} == {(64, 64)}
    assert all(test.image(row).mode == "RGB" for row in range(0, 200, 20))
