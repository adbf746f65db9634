"""The generator: same seed, same bytes; COCO's format; labels, boxes, masks and captions that agree."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import data_prep
from data_prep import scenes
from data_prep.scenes.drawing import SHAPES, render
from data_prep.scenes.generate import FIRST_INDEX
from data_prep.scenes.language import GROUP_WORDS, SYNONYMS, describe
from data_prep.scenes.regions import WORDS, regions
from data_prep.scenes.world import MAX_OVERLAP, PLACES, SUPERCATEGORIES, _overlap

COUNTS = {"train": 300, "val": 20, "test": 20}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return scenes.generate(tmp_path_factory.mktemp("scenes"), counts=COUNTS, workers=2, progress=False)


def _files(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_bytes_do_not_depend_on_process_or_workers(drawn, tmp_path):
    command = [sys.executable, "-m", "data_prep.scenes", str(tmp_path), "--workers", "1"]
    command += [f"--{split}={count}" for split, count in COUNTS.items()]
    subprocess.run(command, check=True, capture_output=True)
    assert _files(tmp_path) == _files(drawn)


def test_workers_end_with_the_process_that_is_killed(tmp_path):
    """They hold its output: that ends when the last of them has."""
    program = (
        "import sys; from data_prep import scenes; scenes.generate(sys.argv[1], workers=3, progress=False)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        while not any(tmp_path.rglob("*.jpg")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.communicate(timeout=10)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_another_seed_draws_other_scenes(drawn, tmp_path):
    scenes.generate(tmp_path, seed=1, counts={"val": 3}, workers=1, progress=False)
    name = next((tmp_path / "val").glob("*.jpg")).name
    assert (tmp_path / "val" / name).read_bytes() != (drawn / "val" / name).read_bytes()


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"unknown split \['dev'\]: scenes has"):
        scenes.generate(tmp_path, counts={"dev": 1}, progress=False)


def test_annotations_are_cocos(drawn):
    for split, count in COUNTS.items():
        instances = json.loads((drawn / "annotations" / f"instances_{split}.json").read_text())
        captions = json.loads((drawn / "annotations" / f"captions_{split}.json").read_text())
        assert len(instances["images"]) == count
        assert [category["name"] for category in instances["categories"]] == list(scenes.CATEGORIES)
        for image in instances["images"]:
            with Image.open(drawn / split / image["file_name"]) as picture:
                assert picture.size == (image["width"], image["height"]) == (64, 64)
        per_image = [caption["image_id"] for caption in captions["annotations"]]
        assert per_image == [image["id"] for image in instances["images"] for _ in range(5)]
        for part in (instances, captions):
            ids = [annotation["id"] for annotation in part["annotations"]]
            assert len(ids) == len(set(ids))


def test_masks_boxes_and_areas_agree(drawn):
    instances = json.loads((drawn / "annotations" / "instances_train.json").read_text())
    for annotation in instances["annotations"]:
        runs, size = annotation["segmentation"]["counts"], annotation["segmentation"]["size"]
        mask = np.repeat(np.arange(len(runs)) % 2, runs).reshape(size, order="F")
        left, top, width, height = annotation["bbox"]
        assert mask.sum() == annotation["area"] > 0
        assert mask[top : top + height, left : left + width].sum() == annotation["area"]


def test_captions_without_drawing_are_those_on_disk(drawn):
    captions = json.loads((drawn / "annotations" / "captions_val.json").read_text())["annotations"]
    instances = json.loads((drawn / "annotations" / "instances_val.json").read_text())["annotations"]
    first = FIRST_INDEX["val"]
    for row, (sentences, labels) in enumerate(scenes.captions(0, first, first + COUNTS["val"])):
        image_id = first + row + 1
        assert list(sentences) == [entry["caption"] for entry in captions[5 * row : 5 * row + 5]]
        on_disk = {a["category_id"] - 1 for a in instances if a["image_id"] == image_id}
        assert labels == sorted(on_disk)


def test_the_world_is_long_tailed_and_co_occurring():
    laid_out = [scenes.layout(0, index) for index in range(6000)]
    present = np.array([[name in scene.categories for name in scenes.CATEGORIES] for scene in laid_out])
    share = present.mean(axis=0)
    assert len(scenes.CATEGORIES) == 20 and len(SUPERCATEGORIES) == 5
    assert (share > 0).all() and (share < 0.01).sum() >= 3
    assert {len(scene.things) for scene in laid_out} == {1, 2, 3, 4, 5, 6}
    boat, fish, house = (scenes.CATEGORIES.index(name) for name in ("boat", "fish", "house"))
    assert present[present[:, boat], fish].mean() > 2 * present[:, fish].mean()  # the sea has both
    assert present[present[:, boat], house].mean() == 0
    weights = {name for place in PLACES.values() for name in place.weights}
    assert weights == set(scenes.CATEGORIES) == set(SHAPES)


def test_every_labelled_thing_can_be_seen():
    for index in range(200):
        scene = scenes.layout(3, index)
        _, masks = render(scene)
        assert masks.any(axis=(1, 2)).all()
        pairs = [(a, b) for n, a in enumerate(scene.things) for b in scene.things[n + 1 :]]
        assert all(_overlap(a, b) <= MAX_OVERLAP for a, b in pairs)


def test_captions_are_sentences_that_leave_labels_out():
    told = total = negated = 0
    for index in range(400):
        scene = scenes.layout(0, index)
        for sentence in describe(scene):
            assert re.fullmatch(r"[A-Z][a-z, ]+\.", sentence), sentence
            assert (
                "  " not in sentence and " a a" not in sentence and not re.search(r"\ba [aeiou]", sentence)
            ), sentence
            affirmed, _, denied = sentence.lower().partition(" but no ")
            negated += bool(denied)
            words = {
                name: (*SYNONYMS[name], GROUP_WORDS[scenes.SUPERCATEGORY[name]]) for name in scene.categories
            }
            told += sum(any(word in affirmed for word in words[name]) for name in scene.categories)
            total += len(scene.categories)
    assert 0.5 < told / total < 0.9
    assert negated > 0


def test_single_scenes_hold_one_thing_each_and_are_read_as_one_class(tmp_path):
    read = data_prep.splits(
        {"reader": "scenes", "kind": "single", "folder": str(tmp_path), "counts": COUNTS, "workers": 2}
    )
    assert {split.dataset for split in read.values()} == {"scenes-single"}
    assert all((split.labels.sum(axis=1) == 1).all() for split in read.values())
    assert "one class" in data_prep.gives({"reader": "scenes", "kind": "single"})
    assert "one class" not in data_prep.gives({"reader": "scenes"})


def test_scenes_of_another_kind_are_refused(drawn):
    settings = {"reader": "scenes", "folder": str(drawn), "counts": COUNTS}
    assert len(data_prep.splits(settings)["test"]) == COUNTS["test"]
    with pytest.raises(ValueError, match="holds scenes of kind scenes, single is asked for"):
        data_prep.splits(settings | {"kind": "single"})
    with pytest.raises(
        ValueError, match="unknown kind 'double' of scenes; there are scenes, single, regions"
    ):
        scenes.generate(drawn / "other", kind="double", progress=False)


def test_regions_are_long_name_most_things_and_list_nothing():
    told = [(scene, regions(scene)) for scene in (scenes.layout(0, index) for index in range(200))]
    assert [text for _, text in told] == [regions(scenes.layout(0, index)) for index in range(200)]
    named, things = 0, 0
    for scene, text in told:
        assert len(text.split()) >= WORDS
        assert "there are also" not in text.lower()
        for category in scene.categories:
            things += 1
            named += any(re.search(rf"\b{word}\b", text.lower()) for word in SYNONYMS[category])
    assert 0.75 < named / things < 0.98  # some are left out


def test_regions_do_not_name_things_that_are_not_there():
    for index in range(100):
        scene = scenes.layout(0, index)
        nouns = {
            word for category in SYNONYMS for word in SYNONYMS[category] if category not in scene.categories
        }
        subjects = re.findall(r"(?:^|\. )(?:An?|The) (?:\w+ )?(\w+) (?:is|at)\b", regions(scene))
        assert not nouns & set(subjects)
