"""Labels by the boxes of scenes: each checked against the boxes on disk, one after another."""

import json
from pathlib import Path

import numpy as np
import pytest

import data_prep
from data_prep import scenes
from data_prep.readers import boxed
from difffeat.features import kinds

COUNTS = {"train": 300, "val": 20, "test": 40}
SMALL, LARGE = 0.11, 0.21
FIELDS = ["object", "size", "place"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    scenes.generate(folder, counts=COUNTS, workers=2, progress=False)
    return {"reader": "scenes", "folder": str(folder), "counts": COUNTS}


@pytest.fixture(scope="module")
def read(settings):
    return data_prep.splits(settings | {"fields": FIELDS})


def instances(settings, part):
    return (Path(settings["folder"]) / "annotations" / f"instances_{part}.json").read_text()


def things(settings, part):
    """{image id: (left, top, width, height) in pixels of its things}."""
    content = json.loads(instances(settings, part))
    assert {(image["width"], image["height"]) for image in content["images"]} == {(64, 64)}
    found = {image["id"]: [] for image in content["images"]}
    for thing in content["annotations"]:
        found[thing["image_id"]].append(thing["bbox"])
    return found


def said(split, row):
    return {name for name, on in zip(split.names, split.labels[row], strict=True) if on}


@pytest.mark.parametrize("part", COUNTS)
def test_sizes_and_places_are_those_of_the_boxes(settings, read, part):
    split, boxes = read[part], things(settings, part)
    for row, image in enumerate(split.ids.tolist()):
        expected = set()
        for left, top, width, height in boxes[image]:
            pixels, x, y = width * height, 2 * left + width, 2 * top + height  # x, y: twice the middle
            expected |= {"something large"} if pixels >= LARGE * 64 * 64 else set()
            expected |= {"something small"} if pixels < SMALL * 64 * 64 else set()
            expected |= {"something on the left"} if 3 * x < 128 else set()
            expected |= {"something on the right"} if 3 * x >= 256 else set()
            expected |= {"something above"} if 3 * y < 128 else set()
            expected |= {"something below"} if 3 * y >= 256 else set()
        assert said(split, row) - set(scenes.CATEGORIES) == expected


def test_kinds_stand_in_order_and_objects_are_the_categories(settings, read):
    plain, by = data_prep.splits(settings), kinds.by_kind(read)
    assert list(by) == FIELDS and not plain["test"].kinds
    assert by["object"]["test"].names == plain["test"].names == tuple(scenes.CATEGORIES)
    assert np.array_equal(by["object"]["test"].labels, plain["test"].labels)
    assert by["size"]["test"].names == boxed.SIZES and by["place"]["test"].names == boxed.THIRDS
    for parts in by.values():
        assert parts["test"].ids.tolist() == plain["test"].ids.tolist()
        assert parts["test"].input_digest("image") == plain["test"].input_digest("image")


def test_the_default_cuts_leave_a_quarter_of_the_boxes_at_either_end(settings):
    areas = [
        width * height / 64**2 for found in things(settings, "train").values() for *_, width, height in found
    ]
    assert np.mean(np.array(areas) < SMALL) == pytest.approx(0.25, abs=0.05)
    assert np.mean(np.array(areas) >= LARGE) == pytest.approx(0.25, abs=0.05)


def test_other_cuts_give_other_labels(settings, read):
    other = data_prep.splits(settings | {"fields": ["size"], "small": 0.05, "large": 0.3})["train"]
    ours = kinds.by_kind(read)["size"]["train"]
    assert other.names == ours.names and (other.labels.sum(axis=0) < ours.labels.sum(axis=0)).all()


def test_what_cannot_be_seen_is_neither_small_nor_anywhere(settings, read, tmp_path):
    content = json.loads(instances(settings, "test"))
    for thing in content["annotations"]:
        thing["bbox"] = [0, 0, 0, 0]
    (tmp_path / "instances.json").write_text(json.dumps(content))
    split = data_prep.splits(settings)["test"]
    hidden = boxed.with_fields(
        split, tmp_path / "instances.json", ["size", "place"], small=SMALL, large=LARGE
    )
    assert not hidden.labels.any()


def test_a_page_on_kinds_knows_which_scenes_have_them(settings):
    assert "kinds" in data_prep.gives(settings | {"fields": FIELDS})
    assert "kinds" not in data_prep.gives(settings)
    one = {"reader": "scenes", "kind": "single"}
    assert "one class" in data_prep.gives(one) and "one class" not in data_prep.gives(
        one | {"fields": FIELDS}
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fields": ["colour"]}, r"fields are \['colour'\]; expected some of object, size, place, each once"),
        ({"fields": ["size", "size"]}, "each once"),
        ({"fields": ["size"], "small": 0.4}, "small is 0.4 and large 0.21; expected 0 < small <= large < 1"),
        ({"fields": ["size"], "large": 1}, "expected 0 < small <= large < 1"),
    ],
    ids=["unknown", "twice", "crossed", "whole"],
)
def test_wrong_settings_are_refused(settings, given, message):
    with pytest.raises(ValueError, match=message):
        data_prep.splits(settings | given)
