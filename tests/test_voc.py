import gzip

import numpy as np
import pytest
from layouts import reference
from PIL import Image

import data_prep
from data_prep.readers import voc

OBJECTS = {  # image: (class, difficult) of each object
    "000012": [("dog", 0), ("car", 1)],
    "000005": [("chair", 1), ("chair", 0), ("person", 1)],
    "000007": [("car", 0)],
    "000001": [("dog", 0)],
    "000002": [("train", 1)],
}
LISTS = {"trainval": ["000012", "000005", "000007"], "test": ["000001", "000002"]}


def write(folder, objects, lists):
    """VOC's layout, with image files that are there but empty; returns the folder VOC2007."""
    root = folder / "VOCdevkit" / "VOC2007"
    for inner in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (root / inner).mkdir(parents=True)
    for image, things in objects.items():
        inside = "".join(
            f"<object><name>{name}</name><difficult>{difficult}</difficult>"
            f"<part><name>head</name></part></object>"
            for name, difficult in things
        )
        annotation = f"<annotation><filename>{image}.jpg</filename>{inside}</annotation>"
        (root / "Annotations" / f"{image}.xml").write_text(annotation)
        (root / "JPEGImages" / f"{image}.jpg").touch()
    for name, images in lists.items():
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text("".join(f"{image}\n" for image in images))
    return root


@pytest.fixture
def root(tmp_path):
    return write(tmp_path, OBJECTS, LISTS)


def splits(root, **options):
    settings = {"reader": "voc", "folder": str(root.parent.parent), "validation": 1, "check_counts": False}
    return data_prep.splits(settings | options)


def present(split):
    rows = zip(split.ids.tolist(), split.labels, strict=True)
    return {image: {split.names[column] for column in np.flatnonzero(row)} for image, row in rows}


def test_labels_ids_and_files(root):
    read = splits(root)
    assert {part: len(split) for part, split in read.items()} == {"train": 2, "val": 1, "test": 2}
    assert sorted([*read["train"].ids, *read["val"].ids]) == [5, 7, 12]
    assert present(read["test"]) == {1: {"dog"}, 2: {"train"}}
    assert read["test"].images[0] == root / "JPEGImages" / "000001.jpg"
    assert read["test"].dataset == "voc2007" and len(read["test"].names) == 20
    assert read["test"].captions == ()


def test_the_folder_may_be_the_inner_one(root):
    assert splits(root, folder=str(root))["test"].ids.tolist() == [1, 2]


def test_classes_with_difficult_objects_alone(root):
    parts = {"train": "trainval", "val": "test", "test": "trainval"}
    with pytest.raises(ValueError, match="sample (5|7|12) is in both train and test: what is tested on"):
        splits(root, parts=parts)
    keep = voc.read(root, validation=1, check_counts=False)["test"]
    drop = voc.read(root, validation=1, check_counts=False, difficult="drop")["test"]
    assert present(keep)[2] == {"train"} and present(drop)[2] == set()
    ignore = voc.read(root, validation=1, check_counts=False, difficult="ignore")["test"]
    assert np.array_equal(ignore.labels, keep.labels)
    assert np.array_equal(ignore.ignored, keep.labels != drop.labels)
    assert np.array_equal(splits(root, difficult="ignore")["test"].ignored, ignore.ignored)
    assert present(splits(root, parts={"train": "test", "test": "trainval"}, difficult="drop")["test"]) == {
        12: {"dog"},
        5: {"chair"},
        7: {"car"},
    }
    with pytest.raises(ValueError, match="difficult is 'skip'; expected 'keep', 'drop' or 'ignore'"):
        splits(root, difficult="skip")


def test_a_second_call_reads_the_prepared_files_until_an_annotation_changes(root, monkeypatch):
    before = splits(root)
    with monkeypatch.context() as patch:
        patch.setattr(voc, "_classes", None)
        assert splits(root)["test"].digest == before["test"].digest
    path = root / "Annotations" / "000002.xml"
    path.write_text(path.read_text().replace("train", "sheep"))
    assert present(splits(root)["test"])[2] == {"sheep"}


def test_published_counts(root):
    with pytest.raises(
        ValueError, match=r"trainval\.txt: 3 images, 5,011 were published.*`check_counts: false`"
    ):
        splits(root, check_counts=True)


def test_windows_line_ends_and_a_byte_order_mark(root):
    path = root / "ImageSets" / "Main" / "test.txt"
    path.write_bytes(b"\xef\xbb\xbf000001\r\n000002  \r\n\r\n")
    assert splits(root)["test"].ids.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("000001\n000002\n000001\n", r"test\.txt, line 3: '000001' is on line 1 already"),
        ("000001\n2008_000002\n", r"test\.txt, line 2: '2008_000002' is not a name of six digits"),
        ("\n", r"test\.txt is empty; expected one entry per line"),
        ("000001\n00000\xe9\n", r"test\.txt, line 2: byte 0xe9 is not utf-8"),
    ],
)
def test_damaged_list(root, content, message):
    (root / "ImageSets" / "Main" / "test.txt").write_bytes(content.encode("latin-1"))
    with pytest.raises(ValueError, match=message):
        splits(root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"000002\.xml is not XML, or ends early: no element found: line 1"),
        ("<annotation><object>", r"000002\.xml is not XML, or ends early"),
        (
            "<annotation><object><name>Dog</name></object></annotation>",
            r"000002\.xml: object 1 has class 'Dog', none of the 20",
        ),
        ("<annotation><object></object></annotation>", "object 1 has class ''"),
        ("<html><p/></html>", r"000002\.xml holds <html>; expected an <annotation> of VOC"),
        (
            "<annotation><object><name>dog</name><difficult>yes</difficult></object></annotation>",
            r'000002\.xml: object 1 has difficult "yes"; expected 0 or 1',
        ),
    ],
)
def test_damaged_annotation(root, content, message):
    (root / "Annotations" / "000002.xml").write_text(content)
    with pytest.raises(ValueError, match=message):
        splits(root)


def test_files_that_are_not_there(root):
    (root / "JPEGImages" / "000007.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 3 images are not on disk: .*000007\.jpg"):
        splits(root)
    (root / "JPEGImages" / "000007.jpg").touch()
    (root / "Annotations" / "000002.xml").unlink()
    with pytest.raises(FileNotFoundError, match=r"000002\.xml does not exist; expected the annotation"):
        splits(root)
    (root / "ImageSets" / "Main" / "test.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"test\.txt does not exist; expected a list of VOC 2007"):
        splits(root)
    with pytest.raises(FileNotFoundError, match="Annotations does not exist; expected VOC 2007's layout"):
        splits(root, folder=str(root / "elsewhere"))


def test_an_image_without_bytes_is_named_when_it_is_opened(root):
    Image.new("L", (5, 4), 9).save(root / "JPEGImages" / "000001.jpg")
    test = splits(root)["test"]
    assert test.image(0).mode == "RGB" and test.image(0).size == (5, 4)
    with pytest.raises(ValueError, match=r"cannot decode image .*000002\.jpg \(id 2\)"):
        test.image(1)


def test_published_labels_of_all_images(tmp_path):
    """Both lists at full length: labels without difficult objects, and in test those with them alone."""
    folder = reference("voc2007_labels")
    rows = {}
    for part in ("train", "test"):
        lines = gzip.decompress((folder / f"{part}.tsv.gz").read_bytes()).decode().splitlines()
        rows[part] = {image: classes.split(",") for image, classes in (line.split("\t") for line in lines)}
    with gzip.open(folder / "test_difficult_4952x20.npy.gz") as stream:
        difficult = np.load(stream).astype(bool)
    names = (folder / "label.txt").read_text().split()
    assert names == list(voc.NAMES)
    objects = {
        image: [(name, 0) for name in present if name]
        for part in rows.values()
        for image, present in part.items()
    }
    for row, image in enumerate(rows["test"]):
        objects[image] += [(names[column], 1) for column in np.flatnonzero(difficult[row])]
    root = write(tmp_path, objects, {"trainval": rows["train"], "test": rows["test"]})
    drop = splits(root, check_counts=True, validation=500, difficult="drop")
    keep = splits(root, check_counts=True, validation=500)
    assert {part: len(split) for part, split in keep.items()} == {"train": 4511, "val": 500, "test": 4952}
    assert present(drop["test"]) == {int(image): set(row) for image, row in rows["test"].items()}
    assert np.array_equal(keep["test"].labels, drop["test"].labels | difficult)
    ignore = splits(root, check_counts=True, validation=500, difficult="ignore")
    assert np.array_equal(ignore["test"].ignored, difficult) and difficult.sum() == 619
    cars = keep["train"].labels[:, 6].sum() + keep["val"].labels[:, 6].sum()
    assert cars == 713  # trainval images with a car, as the challenge's own table has them
