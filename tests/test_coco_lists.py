"""COCO as plain lists: what is read of them, and what is refused."""

import gzip
import os
from pathlib import Path

import pytest

from data_prep.readers import coco_lists


@pytest.fixture
def lists(tmp_path):
    """Two categories, two training images, three validation images of which two have a caption."""
    write(tmp_path / "train2014_labels.tsv.gz", "9\t0 1\n25\t\n")
    write(tmp_path / "val2014_labels.tsv.gz", "3\t1\n4\t\n5\t0\n")
    write(tmp_path / coco_lists.CAPTIONS, '5\tA "cat", asleep.\n3\tTwo dogs\n')
    (tmp_path / "categories.txt").write_text("cat\ndog\n")
    return tmp_path


def write(path, text):
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write(text)


def test_labels_of_all_and_captions_of_some(lists):
    read = coco_lists.read(lists)
    train, val = read["train"], read["val"]
    assert (train.ids.tolist(), train.labels.tolist(), train.captions) == ([9, 25], [[1, 1], [0, 0]], ())
    assert val.ids.tolist() == [5, 3]
    assert val.labels.tolist() == [[1, 0], [0, 1]]
    assert val.captions == ('A "cat", asleep.', "Two dogs")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("train2014_labels.tsv.gz", "9\t0\n9\t1\n", "line 2: image 9 is there already"),
        ("train2014_labels.tsv.gz", "9\t0\nnine\t1\n", "line 2: expected an image id"),
        ("train2014_labels.tsv.gz", "9\tcat\n", "image 9 has a label that is no number of a category"),
        ("train2014_labels.tsv.gz", "9\t7\n", "id 9 has label 7, outside the list"),
        ("val2014_labels.tsv.gz", "3\t1\n", "image 5 is not among the images with labels"),
        (coco_lists.CAPTIONS, "5 A cat\n", "line 1: expected an image id, a tab and one cell"),
        (coco_lists.CAPTIONS, "5\t" + "a" * 200_000, "has a line that is none of a list: field larger"),
    ],
)
def test_a_wrong_line_is_named(lists, name, text, message):
    write(lists / name, text)
    with pytest.raises(ValueError, match=message):
        coco_lists.read(lists)


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"9\t0\n" * 99)[:-20], gzip.compress(b"\xe9")],
    # gzip writes the time, and every process that tests names them for itself.
    ids=["not gzip", "cut short", "not UTF-8"],
)
def test_a_damaged_list_is_named(lists, content):
    (lists / "train2014_labels.tsv.gz").write_bytes(content)
    with pytest.raises(
        ValueError,
        match=r"train2014_labels\.tsv\.gz( is not gzipped, or ends early|, line 1: byte 0xe9 is not)",
    ):
        coco_lists.read(lists)


def test_a_missing_list_is_named(lists):
    (lists / coco_lists.CAPTIONS).unlink()
    with pytest.raises(FileNotFoundError, match=coco_lists.CAPTIONS):
        coco_lists.read(lists)


def test_the_real_lists():
    folder = os.environ.get("DIFFFEAT_REFERENCE")
    if not folder:
        pytest.skip("DIFFFEAT_REFERENCE is not set: it names the folder with the real lists")
    read = coco_lists.read(Path(folder) / "data" / "coco2014")
    assert (len(read["train"]), len(read["val"])) == (82783, 30000)
    assert len(read["train"].names) == 80
    assert (read["train"].labels.sum(axis=1) == 0).sum() == 702
