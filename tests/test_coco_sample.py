"""A part of COCO in its own layout: what is written is what the index says, read by COCO's reader."""

import json
import shutil
import tarfile

import pytest
from layouts import reference

from data_prep import splits
from data_prep.readers import coco_sample


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Five real images with their lines of the index."""
    source, made = reference("coco_val2014_images"), tmp_path / "data"
    (made / "coco_val2014_images").mkdir(parents=True)
    (made / "coco2014").mkdir()
    shutil.copy(reference("coco2014") / "categories.txt", made / "coco2014")
    lines = (source / "index.tsv").read_text(encoding="utf-8").splitlines(keepends=True)[:5]
    (made / "coco_val2014_images" / "index.tsv").write_text("".join(lines), encoding="utf-8")
    with (
        tarfile.open(source / "images.tar") as whole,
        tarfile.open(made / "coco_val2014_images" / "images.tar", "w") as part,
    ):
        for line in lines:
            name = f"COCO_val2014_{int(line.split()[0]):012d}.jpg"
            part.addfile(whole.getmember(name), whole.extractfile(name))
    monkeypatch.setattr(coco_sample, "PARTS", {"train": 2, "val": 1, "test": None})
    monkeypatch.setenv("DIFFFEAT_CACHE", str(tmp_path / "cache"))
    return made


def test_it_is_read_as_coco_is(folder):
    read = splits({"reader": "coco_sample", "folder": str(folder)})
    assert {part: len(split) for part, split in read.items()} == {"train": 2, "val": 1, "test": 2}
    train = read["train"]
    assert train.ids.tolist() == [1205, 1244] and train.dataset == "coco"
    assert train.captions[0] == "A hut with a bed, lantern and pillows on the floor."
    present = [name for name, on in zip(train.names, train.labels[1], strict=True) if on]
    assert present == ["person", "boat", "umbrella", "suitcase", "chair"]
    assert train.image(0).size == (341, 256)
    again = splits({"reader": "coco_sample", "folder": str(folder)})
    assert again["test"].digest == read["test"].digest


def test_what_is_damaged_there_is_written_again(folder, tmp_path):
    before = splits({"reader": "coco_sample", "folder": str(folder)})
    (path,) = (tmp_path / "cache").glob("coco-sample/*/annotations/captions_val.json")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(UserWarning, match=r"captions_val\.json is not JSON, or ends early.*: made again"):
        again = splits({"reader": "coco_sample", "folder": str(folder)})
    assert again["val"].digest == before["val"].digest


@pytest.mark.parametrize(
    "line", ["9\t1x1\tbig\t0\tA cup.", "9\t1x1\t1x1\tcup\tA cup.", "9e9\t1x1\t1x1\t0\tA"]
)
def test_a_wrong_line_of_the_index_is_named(folder, tmp_path, line):
    (folder / "coco_val2014_images" / "index.tsv").write_text(f"{line}\n")
    with pytest.raises(ValueError, match=r"index\.tsv, line 1: expected"):
        coco_sample.write(folder, tmp_path / "out")


def test_it_is_written_whole_or_not_at_all(folder, tmp_path):
    index = folder / "coco_val2014_images" / "index.tsv"
    lines = index.read_text(encoding="utf-8")
    index.write_text(lines + "999\t10x10\t10x10\t0\tNo such picture.\n", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="COCO_val2014_000000000999.jpg"):
        coco_sample.write(folder, tmp_path / "out")
    assert not (tmp_path / "out" / "annotations" / "instances_test.json").exists()
    index.write_text(lines, encoding="utf-8")
    coco_sample.write(folder, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "annotations" / "instances_test.json").read_text())
    assert len(written["images"]) == 2 and len(written["categories"]) == 80
    index.write_text("12\tonly two cells\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 1: expected an image id and four more cells"):
        coco_sample.write(folder, tmp_path / "other")
