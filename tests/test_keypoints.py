"""Named keypoints of scenes: on the things they are of; pictures and captions stay as they were before."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import data_prep
from data_prep import scenes
from data_prep.readers import coco_objects
from data_prep.readers import scenes as reader
from data_prep.scenes.drawing import _draw, render
from data_prep.scenes.keypoints import NAMES, SYMMETRIC, complete, keypoints
from data_prep.scenes.language import describe
from data_prep.scenes.world import CATEGORIES, Thing

COUNTS = {"train": 30, "val": 10, "test": 10}
SIDE = 64


@pytest.fixture
def drawn(tmp_path):
    return scenes.generate(tmp_path / "scenes", counts=COUNTS, workers=1, progress=False)


def thing(category, flip=1, **changes):
    return replace(Thing(category, "red", (208, 52, 44), 0.5, 0.5, 0.3, 1.0, 0.0, flip), **changes)


def placed(one, side=SIDE):
    """{name: (x, y)} of a thing that nothing hides."""
    points = keypoints(one, np.ones((side, side), bool))
    assert points[2::3] == [2] * len(NAMES)
    return dict(zip(NAMES, np.array(points).reshape(-1, 3)[:, :2], strict=True))


def test_pictures_masks_and_captions_are_those_of_before_there_were_keypoints():
    """Hashes of what the version without them drew and said: features of these pictures stay valid."""
    drawn, said = hashlib.sha256(), hashlib.sha256()
    for index in (0, 1, 2, 3, 4, 1_000_000, 2_000_000, 2_000_001):
        scene = scenes.layout(0, index)
        picture, masks = render(scene)
        drawn.update(picture.tobytes() + masks.tobytes())
        said.update("|".join(describe(scene)).encode())
    assert drawn.hexdigest()[:16] == "b7758d0c8ce55cfa"
    assert said.hexdigest()[:16] == "2dfba9b824c981ef"
    assert scenes.VERSION == "3"


def test_scenes_drawn_before_are_read_and_completed_without_touching_anything(drawn):
    files = sorted(path for path in drawn.rglob("*") if path.is_file())
    whole = {path: path.read_bytes() for path in files}
    for part in COUNTS:
        (drawn / "annotations" / f"keypoints_{part}.json").unlink()
    settings = {"reader": "scenes", "folder": str(drawn), "counts": COUNTS}
    read = data_prep.splits(settings)
    assert {part: len(split) for part, split in read.items()} == COUNTS
    assert not (drawn / "annotations" / "keypoints_val.json").exists()
    objects = data_prep.objects(settings, "val")
    assert {one.image for one in objects} == set(read["val"].ids.tolist())
    for part in COUNTS:
        complete(drawn, part)
    assert {path: path.read_bytes() for path in files} == whole
    assert not (set(path for path in drawn.rglob("*.json")) - set(files))


def test_where_nothing_can_be_written_keypoints_are_made_anew(drawn, monkeypatch):
    expected = reader.objects(drawn, "val")
    (drawn / "annotations" / "keypoints_val.json").unlink()

    def refused(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr("data_prep.scenes.keypoints.write_whole", refused)
    assert reader.objects(drawn, "val") == expected
    assert not (drawn / "annotations" / "keypoints_val.json").exists()


def test_annotations_are_of_cocos_keypoint_layout(drawn):
    instances, points = (
        json.loads((drawn / "annotations" / f"{kind}_train.json").read_text())
        for kind in ("instances", "keypoints")
    )
    assert points["images"] == instances["images"] and points["info"] == instances["info"]
    for category in points["categories"]:
        assert category["keypoints"] == list(NAMES)
        assert all(1 <= end <= len(NAMES) for line in category["skeleton"] for end in line)
    for entry, plain in zip(points["annotations"], instances["annotations"], strict=True):
        assert {key: entry[key] for key in plain} == plain
        x, y, seen = np.array(entry["keypoints"]).reshape(-1, 3).T
        assert entry["num_keypoints"] == (seen > 0).sum()
        assert (x[seen == 0] == 0).all() and (y[seen == 0] == 0).all()
        mask = coco_objects.mask_of(entry, "train")
        assert (mask[y.astype(int), x.astype(int)][seen > 0] == (seen[seen > 0] == 2)).all()


def test_ends_lie_where_they_are_called_and_on_the_thing():
    for category in CATEGORIES:
        one = thing(category)
        at = placed(one, 200)
        silhouette = np.asarray(_draw(Image.new("RGB", (200, 200)), one, 200)) > 0
        rows, columns = np.nonzero(silhouette)
        for name, axis, end in (("left", 0, columns.min()), ("right", 0, columns.max())):
            assert abs(at[name][axis] - end) <= 0.13 * np.ptp(columns) + 1
        for name, end in (("top", rows.min()), ("bottom", rows.max())):
            assert abs(at[name][1] - end) <= 0.13 * np.ptp(rows) + 1
        for x, y in at.values():
            assert silhouette[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].any()


def test_keypoints_follow_flip_turn_size_and_place():
    fish = placed(thing("fish"))
    flipped = placed(thing("fish", flip=-1))
    for name in NAMES:
        np.testing.assert_allclose(flipped[name], [SIDE - fish[name][0], fish[name][1]], atol=0.11)
    assert fish["left"][0] < SIDE / 2 < flipped["left"][0]  # its nose, wherever it swims
    moved = placed(thing("fish", x=0.4, y=0.55, size=0.15, turn=np.pi / 2))
    for name in NAMES:  # a quarter turn takes right to down
        away = (np.array(fish[name]) - SIDE / 2) / 2
        np.testing.assert_allclose(moved[name], [0.4 * SIDE - away[1], 0.55 * SIDE + away[0]], atol=0.16)


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_flip_that_cannot_be_seen_moves_no_keypoint(category):
    drawn = []
    for flip in (1, -1):
        picture = Image.new("RGB", (192, 192), (100, 150, 100))
        silhouette = np.asarray(_draw(picture, thing(category, flip), 192)) > 0
        drawn.append((np.asarray(picture, float), silhouette))
    differs = np.abs(drawn[0][0] - drawn[1][0]).sum(axis=2) > 60
    share = differs.sum() / (drawn[0][1] | drawn[1][1]).sum()
    assert (share < 0.06) == (category in SYMMETRIC)
    same = keypoints(thing(category), np.ones((64, 64), bool))
    other = keypoints(thing(category, -1), np.ones((64, 64), bool))
    assert (same == other) == (category in SYMMETRIC)


def test_what_is_hidden_or_outside_says_so():
    one = thing("cake", x=0.1)
    nothing = keypoints(one, np.zeros((SIDE, SIDE), bool))
    assert set(nothing[2::3]) == {0, 1}
    left = nothing[:3]
    assert left == [0, 0, 0]  # its left end lies outside of the picture


def test_label_maps_are_the_masks_that_were_drawn(drawn):
    maps = data_prep.maps({"reader": "scenes", "folder": str(drawn), "counts": COUNTS}, "val")
    assert maps.names == ("background", *CATEGORIES)
    for index in range(1_000_000, 1_000_005):
        scene = scenes.layout(0, index)
        _, masks = render(scene)
        expected = np.zeros((SIDE, SIDE), int)
        for one, mask in zip(scene.things, masks, strict=True):
            expected[mask] = 1 + CATEGORIES.index(one.category)
        assert (maps.read(index + 1) == expected).all()


def test_objects_have_the_points_that_are_seen(drawn):
    content = json.loads((drawn / "annotations" / "keypoints_val.json").read_text())
    objects = reader.objects(drawn, "val")
    for one, entry in zip(objects, content["annotations"], strict=True):
        seen = [name for name, v in zip(NAMES, entry["keypoints"][2::3], strict=True) if v == 2]
        assert list(one.points) == seen and one.image == entry["image_id"]
        left, top, width, height = entry["bbox"]
        assert one.box == (left, top, left + width, top + height)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["annotations"].pop(), "expected those of the"),
        (lambda content: content["annotations"][0].update(category_id=99), "categories"),
        (lambda content: content["annotations"][0].update(image_id=5), "is of image 5, which is not listed"),
        (lambda content: content["annotations"][0]["segmentation"]["counts"].pop(), "run lengths of"),
        (lambda content: content.pop("info"), "has no info"),
        (lambda content: content["info"].update(seed="x"), "seed"),
    ],
    ids=["one thing less", "another category", "a strange image", "short runs", "no info", "no seed"],
)
def test_instances_that_are_not_those_of_scenes_are_refused_by_name(drawn, change, message):
    path = drawn / "annotations" / "instances_val.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    path.with_name("keypoints_val.json").unlink()
    with pytest.raises(ValueError, match=message) as error:
        reader.objects(drawn, "val")
    assert str(path) in str(error.value)


def test_a_data_set_without_masks_or_keypoints_says_so(tmp_path):
    for what, ask in (("masks", data_prep.maps), ("keypoints", data_prep.objects)):
        with pytest.raises(ValueError, match=f"has no {what}"):
            ask({"reader": "cifar10", "folder": str(tmp_path)}, "test")
