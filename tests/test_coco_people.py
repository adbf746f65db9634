"""Reader of COCO's people: squares around persons, their keypoints, as published and as two files."""

import gzip
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

import data_prep

NAMES = [f"part{number}" for number in range(17)]
WIDTH, HEIGHT = 200, 120
# photo: (id of the person, box, [x, y, visibility] of the first keypoints)
PHOTOS = {
    "train2017": {
        1: [(11, [20, 10, 30, 60], [[25, 20, 2], [40, 60, 1], [30, 65, 2]])],
        2: [(12, [150, 40, 50, 80], [[199, 119, 2]])],  # in the corner: its square is moved inwards
        3: [(13, [60, 30, 40, 40], [[70, 40, 2]]), (14, [140, 30, 20, 50], [[150, 40, 2]])],
        4: [
            (15, [10, 10, 100, 90], [[20, 20, 2]]),
            (16, [20, 20, 32, 32], [[30, 30, 2]]),
        ],  # one in the other
        5: [(17, [10, 10, 20, 31], [[15, 20, 2]]), (18, [100, 20, 60, 60], [[120, 40, 1]])],  # small; unseen
    },
    "val2017": {
        6: [(21, [0, 0, 190, 100], [[5, 90, 2], [180, 10, 2]])],
        7: [(22, [50, 20, 40, 40], [[60, 30, 2]])],
    },
}
KEPT = {"train2017": [11, 12, 13, 14, 16], "val2017": [21, 22]}


def shade(photo):
    """A picture that is brighter from left to right, and tells which photo it is."""
    across = np.tile(np.arange(WIDTH, dtype=np.uint8), (HEIGHT, 1))
    down = np.tile(np.arange(HEIGHT, dtype=np.uint8)[:, None], (1, WIDTH))
    return Image.fromarray(np.stack([across, down, np.full_like(across, 10 * photo)], axis=2))


def photos(folder):
    for part, held in PHOTOS.items():
        (folder / part).mkdir(parents=True)
        for photo in held:
            shade(photo).save(folder / part / f"{photo:012d}.png")


def points_of(given):
    return given + [[0, 0, 0]] * (17 - len(given))


def write_official(folder):
    photos(folder)
    (folder / "annotations").mkdir()
    category = {"id": 1, "name": "person", "keypoints": NAMES, "skeleton": []}
    for part, held in PHOTOS.items():
        images = [
            {"id": photo, "file_name": f"{photo:012d}.png", "width": WIDTH, "height": HEIGHT}
            for photo in held
        ]
        people = [
            dict(
                id=one,
                image_id=photo,
                category_id=1,
                bbox=box,
                iscrowd=0,
                keypoints=sum(points_of(given), []),
            )
            for photo, listed in held.items()
            for one, box, given in listed
        ]
        content = {"info": str(folder), "images": images, "annotations": people, "categories": [category]}
        (folder / "annotations" / f"person_keypoints_{part}.json").write_text(json.dumps(content))


def write_small(folder):
    photos(folder / "inside")
    with tarfile.open(folder / "images.tar", "w") as archive:
        for part in PHOTOS:
            archive.add(folder / "inside" / part, part)
    images = [
        {
            "id": photo, "file": f"{part}/{photo:012d}.png", "width": WIDTH, "height": HEIGHT,
            "objects": [{"label": 3, "bbox": [30, 30, 20, 20], "iscrowd": 0}]
            + [
                {"label": 0, "bbox": box, "iscrowd": 0, "keypoints": points_of(given)}
                for _, box, given in people
            ]
            + [{"label": 0, "bbox": [196, 0, 4, 4], "iscrowd": 0}],
        }
        for part, held in PHOTOS.items()
        for photo, people in held.items()
    ]  # fmt: skip
    content = {"keypoint_names": NAMES, "skeleton": [], "images": images}
    (folder / "annotations.json.gz").write_bytes(gzip.compress(json.dumps(content).encode()))


def settings(folder, validation=2):
    return {"reader": "coco_people", "folder": str(folder), "validation": validation}


@pytest.fixture
def official(tmp_path):
    write_official(tmp_path)
    return tmp_path


def people_of(given):
    """{sample: (picture, Annotated)} of all parts."""
    splits, found = data_prep.splits(given), {}
    for part, split in splits.items():
        known = {one.image: one for one in data_prep.objects(given, part)}
        found |= {sample: (split.image(row), known[sample]) for row, sample in enumerate(split.ids.tolist())}
    return found


def test_people_are_cut_out_with_what_is_seen_of_them(official):
    given = settings(official)
    splits, found = data_prep.splits(given), people_of(given)
    assert sorted(splits["test"].ids.tolist()) == KEPT["val2017"]
    assert sorted([*splits["train"].ids, *splits["val"].ids]) == KEPT["train2017"]
    assert all(split.names == ("person",) and split.labels.all() for split in splits.values())
    picture, one = found[11]
    assert picture.size == (60, 60) and picture.getpixel((0, 0)) == (5, 10, 10)
    assert one.box == (15, 0, 45, 60) and one.points == {"part0": (20, 10), "part2": (25, 55)}
    picture, one = found[12]  # a square of 80 that ends at the edges of the photo
    assert picture.size == (80, 80) and one.points == {"part0": (79, 79)}
    assert picture.getpixel((79, 79)) == (199, 119, 20)
    picture, one = found[21]  # wider than the photo is high
    assert picture.size == (190, 120) and one.points == {"part0": (5, 90), "part1": (180, 10)}


def test_val_takes_photos_whole(official):
    for validation in (1, 2, 3):
        splits = data_prep.splits(settings(official, validation))
        parts = {part: {min(sample, 13) for sample in splits[part].ids.tolist() if sample < 15}
                 for part in ("train", "val")}  # fmt: skip
        assert not parts["train"] & parts["val"], "13 and 14 are of one photo"
        assert len(splits["val"]) >= validation


def test_two_files_are_read_as_the_published_layout(official, tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    write_small(folder)
    published, packed = people_of(settings(official)), people_of(settings(folder))
    assert len(packed) == len(published)
    bare = [
        sorted((one.box, sorted(one.points.items()), picture.tobytes()) for picture, one in found.values())
        for found in (published, packed)
    ]
    assert bare[0] == bare[1]


def lose(name):
    return lambda folder: next(folder.rglob(name)).unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lose("person_keypoints_val2017.json"), "person_keypoints_val2017.json does not exist"),
        (lose("000000000003.png"), "000000000003.png does not exist"),
        (
            lambda folder: (folder / "val2017" / "000000000006.png").write_bytes(b"no"),
            "000000000006.png cannot",
        ),
    ],
    ids=["no annotations", "no photo", "no picture"],
)
def test_what_is_missing_of_the_layout_is_named(official, damage, message):
    damage(official)
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        data_prep.splits(settings(official))


def test_settings_and_files_that_leave_nobody_are_refused(official):
    with pytest.raises(ValueError, match="cannot hold 4 of 4 photos"):
        data_prep.splits(settings(official, 4))
    path = official / "annotations" / "person_keypoints_val2017.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"annotations": []}))
    with pytest.raises(ValueError, match=r"person_keypoints_val2017.json has no person that can be cut out"):
        data_prep.splits(settings(official))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image: image.update(file="test2017/1.png"), "expected it in train2017 or val2017"),
        (lambda image: image["objects"][0].pop("label"), "an object of image 1 has no label"),
        (lambda image: image["objects"][1].update(keypoints=[1, 2]), "keypoints is a list with 1 at place 0"),
    ],
    ids=["another part", "no label", "no keypoints"],
)
def test_a_wrong_entry_of_the_two_files_is_named(tmp_path, change, message):
    write_small(tmp_path)
    path = tmp_path / "annotations.json.gz"
    content = json.loads(gzip.decompress(path.read_bytes()))
    change(content["images"][0])
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    with pytest.raises(ValueError, match=message):
        data_prep.splits(settings(tmp_path))
    (tmp_path / "images.tar").unlink()
    with pytest.raises(FileNotFoundError, match=r"images.tar does not exist"):
        data_prep.splits(settings(tmp_path))
