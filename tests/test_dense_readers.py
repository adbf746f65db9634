"""Readers of pixels and points: SPair-71k, ADE20K, Horse-21 in their official layouts, masks of COCO's."""

import json
import tarfile

import numpy as np
import pytest
from PIL import Image

import data_prep
from data_prep.readers import ade20k, coco_objects, horse21, spair
from difffeat.features.dense import IGNORED


def picture(path, size=(20, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (10, 20, 30)).save(path)


PAIRS = {
    "trn": [("cat", "2007_000001", "2007_000002"), ("cat", "2007_000002", "2007_000003")],
    "val": [("dog", "2008_000004", "2008_000005")],
    "test": [("cat", "2007_000006", "2007_000007"), ("horse", "2007_000006", "2008_000008")],
}
KPS = {"0": [3, 4], "1": None, "7": [8.5, 2]}


def write_spair(folder):
    root = folder / "SPair-71k"
    for part, pairs in PAIRS.items():
        path = root / "Layout" / "large" / f"{part}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [
            f"{n:06d}-{source}-{target}:{category}" for n, (category, source, target) in enumerate(pairs, 1)
        ]
        path.write_text("\n".join(lines) + "\n")
        for category, *names in pairs:
            for name in names:
                picture(root / "JPEGImages" / category / f"{name}.jpg")
                noted = root / "ImageAnnotation" / category / f"{name}.json"
                noted.parent.mkdir(parents=True, exist_ok=True)
                content = {
                    "filename": f"{name}.jpg",
                    "category": category,
                    "bndbox": [1, 2, 15, 9],
                    "kps": KPS,
                }
                noted.write_text(
                    json.dumps(content | {"image_width": 20, "image_height": 10, "truncated": 0})
                )
    return root


@pytest.fixture
def spair_root(tmp_path):
    return write_spair(tmp_path)


def spair_settings(root, **options):
    return {"reader": "spair", "folder": str(root.parent), "check_counts": False} | options


def test_spair_gives_images_objects_and_the_pairs_of_its_lists(spair_root):
    settings = spair_settings(spair_root)
    read = data_prep.splits(settings)
    assert {part: len(split) for part, split in read.items()} == {"train": 3, "val": 2, "test": 4}
    assert data_prep.gives(settings) == {"images", "one class", "keypoints"}
    test = read["test"]
    assert [test.names[row.argmax()] for row in test.labels] == ["cat", "cat", "horse", "horse"]
    assert test.images[2] == spair_root / "JPEGImages" / "horse" / "2007_000006.jpg"
    assert len(set(test.ids.tolist())) == 4  # an image that shows two categories is there once for each
    objects = data_prep.objects(settings, "test")
    assert [one.image for one in objects] == test.ids.tolist()
    assert objects[0].category == "cat" and objects[0].box == (1, 2, 15, 9)
    assert objects[0].points == {"0": (3, 4), "7": (8.5, 2)}  # what is null is not seen
    assert data_prep.pairs(settings, "test") == [(0, 1), (2, 3)]
    assert data_prep.pairs(settings, "train") == [(0, 1), (1, 2)]
    assert data_prep.pairs({"reader": "scenes"}, "train") is None
    inner = data_prep.splits(settings | {"folder": str(spair_root)})
    assert inner["val"].ids.tolist() == read["val"].ids.tolist()


def test_spair_wants_as_many_pairs_as_were_published(spair_root):
    with pytest.raises(ValueError, match=r"trn.txt: 2 pairs, 53,340 were published"):
        data_prep.splits(spair_settings(spair_root, check_counts=True))


@pytest.mark.parametrize(
    "line",
    ["2007_000001-2007_000002:cat", "000001-2007_000001-2007_000002:tiger", "000001-a-b:cat", "../../x"],
    ids=["no number", "no category", "no names", "a path"],
)
def test_a_line_that_is_no_pair_is_refused(spair_root, line):
    path = spair_root / "Layout" / "large" / "trn.txt"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"trn.txt, line 3: .* is no pair"):
        data_prep.splits(spair_settings(spair_root))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kps": [[1, 2]]}, "kps is"),
        ({"kps": {"0": [1]}}, "kps is"),
        ({"bndbox": [1, 2, 3]}, "bndbox is"),
        ({"category": "dog"}, "is of category .dog.; expected cat"),
    ],
    ids=["a list", "half a point", "half a box", "another category"],
)
def test_a_damaged_annotation_of_spair_is_named(spair_root, change, message):
    path = spair_root / "ImageAnnotation" / "cat" / "2007_000002.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message) as error:
        spair.objects(spair_root, "train")
    assert str(path) in str(error.value)


def test_what_spair_lacks_is_named(spair_root):
    (spair_root / "ImageAnnotation" / "dog" / "2008_000004.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"2008_000004.json does not exist"):
        spair.objects(spair_root, "val")
    with pytest.raises(FileNotFoundError, match=r"small.trn.txt does not exist; expected a list of pairs"):
        data_prep.splits(spair_settings(spair_root, size="small"))
    with pytest.raises(ValueError, match="the setting `size` is .huge."):
        data_prep.splits(spair_settings(spair_root, size="huge"))
    (spair_root / "JPEGImages" / "dog" / "2008_000005.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="2008_000005.jpg"):
        data_prep.splits(spair_settings(spair_root))


def write_ade(folder, train=4, validation=2):
    root = folder / "ADEChallengeData2016"
    root.mkdir()
    rows = [f"{n}\t0.1\t1\t1\t0\tthing {n}, also {n}\n" for n in range(1, 151)]
    (root / "objectInfo150.txt").write_text("Idx\tRatio\tTrain\tVal\tStuff\tName\n" + "".join(rows))
    for inner, start, count in (("training", "ADE_train_", train), ("validation", "ADE_val_", validation)):
        for n in range(1, count + 1):
            picture(root / "images" / inner / f"{start}{n:08d}.jpg")
            labels = np.zeros((10, 20), np.uint8)
            labels[:, 10:] = n
            labels[0, 0] = 150
            path = root / "annotations" / inner / f"{start}{n:08d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(labels).save(path)
    return root


def ade_settings(root, **options):
    how = {"check_counts": False, "validation": 1}
    return {"reader": "ade20k", "folder": str(root.parent)} | how | options


def test_ade20k_gives_label_maps_and_what_they_show(tmp_path):
    settings = ade_settings(write_ade(tmp_path))
    read = data_prep.splits(settings)
    assert {part: len(split) for part, split in read.items()} == {"train": 3, "val": 1, "test": 2}
    test = read["test"]
    assert test.ids.tolist() == [1_000_001, 1_000_002]
    assert [np.flatnonzero(row).tolist() for row in test.labels] == [[0, 149], [1, 149]]
    maps = data_prep.maps(settings, "test")
    assert maps.names[0] == "thing 1, also 1" and len(maps.names) == 150
    found = maps.read(1_000_002)
    assert found[0, 0] == 149 and (found[1:, :10] == IGNORED).all() and (found[:, 10:] == 1).all()
    held_out = int(read["val"].ids[0])
    assert data_prep.maps(settings, "val").read(held_out)[5, 15] == held_out - 1


def test_ade20k_wants_as_many_images_as_were_published(tmp_path):
    with pytest.raises(ValueError, match=r"images.training: 4 images, 20,210 were published"):
        data_prep.splits(ade_settings(write_ade(tmp_path), check_counts=True))


def rewritten(path, change):
    path.write_text(change(path.read_text()))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda root: rewritten(root / "objectInfo150.txt", lambda text: text.replace("\n7\t", "\n8\t")),
            "line 8: ",
        ),
        (lambda root: rewritten(root / "objectInfo150.txt", lambda text: text[:900]), "objectInfo150.txt"),
        (
            lambda root: picture(root / "annotations" / "training" / "ADE_train_00000002.png"),
            "00002.png is uint8",
        ),
        (
            lambda root: (root / "annotations/training/ADE_train_00000002.png").write_bytes(b"no"),
            "00002.png is no whole",
        ),
        (
            lambda root: picture(root / "images" / "training" / "holiday.jpg"),
            "holiday.jpg is no image of ADE20K",
        ),
    ],
    ids=["a number twice", "a list cut off", "a map in colours", "a map that is none", "a strange name"],
)
def test_a_wrong_file_of_ade20k_is_named(tmp_path, damage, message):
    root = write_ade(tmp_path)
    damage(root)
    with pytest.raises(ValueError, match=message):
        data_prep.splits(ade_settings(root))


def test_classes_above_150_and_missing_maps_are_refused(tmp_path):
    root = write_ade(tmp_path)
    path = root / "annotations" / "validation" / "ADE_val_00000001.png"
    Image.fromarray(np.full((10, 20), 151, np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"ADE_val_00000001.png is .* values up to 151; .* 0 to 150"):
        ade20k.maps(root, "test").read(1_000_001)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"ADE_val_00000001.png does not exist"):
        data_prep.splits(ade_settings(root))


def write_horses(folder, train=5, test=3):
    root = folder / "horse_21"
    for part, count in (("train", train), ("test", test)):
        for n in range(count):
            picture(root / "real" / part / f"img_{n}.png", (16, 16))
            labels = np.zeros((16, 16))  # stored as floats, as numpy makes them
            labels[4:8] = n + 1
            labels[0, 0] = IGNORED
            np.save(root / "real" / part / f"img_{n}.npy", labels)
    return root


def horse_settings(root, **options):
    how = {"check_counts": False, "validation": 2}
    return {"reader": "horse21", "folder": str(root.parent)} | how | options


def test_horse21_gives_its_label_maps(tmp_path):
    settings = horse_settings(write_horses(tmp_path))
    read = data_prep.splits(settings)
    assert {part: len(split) for part, split in read.items()} == {"train": 3, "val": 2, "test": 3}
    assert read["test"].ids.tolist() == [1001, 1002, 1003]
    assert read["test"].names == horse21.NAMES and len(horse21.NAMES) == 21
    assert np.flatnonzero(read["test"].labels[1]).tolist() == [0, 2]
    for part, split in read.items():
        maps = data_prep.maps(settings, part)
        for row, sample in enumerate(split.ids):
            number = int(split.images[row].stem.removeprefix("img_")) + 1
            found = maps.read(sample)
            assert found.dtype == np.uint8 and (found[5] == number).all() and found[0, 0] == IGNORED


def test_horse21_wants_thirty_and_thirty(tmp_path):
    with pytest.raises(ValueError, match="5 pictures, 30 were published"):
        data_prep.splits(horse_settings(write_horses(tmp_path), check_counts=True))


@pytest.mark.parametrize(
    "content",
    [np.full((4, 4), 21), np.full((4, 4), 0.5), np.zeros((4, 4, 3)), np.array("horse"), b"no array", b""],
    ids=["a class too many", "half a class", "colours", "text", "no array", "nothing"],
)
def test_a_wrong_label_map_of_horse21_is_named(tmp_path, content):
    root = write_horses(tmp_path)
    path = root / "real" / "test" / "img_1.npy"
    path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
    with pytest.raises(ValueError, match="img_1.npy"):
        data_prep.splits(horse_settings(root))


def test_objects_in_a_pickle_are_not_run(tmp_path):
    root = write_horses(tmp_path)
    np.save(root / "real" / "test" / "img_1.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"img_1.npy is no whole array"):
        data_prep.splits(horse_settings(root))


def test_a_picture_without_its_map_is_named(tmp_path):
    root = write_horses(tmp_path)
    (root / "real" / "train" / "img_3.npy").unlink()
    with pytest.raises(FileNotFoundError, match=r"img_3.npy does not exist"):
        data_prep.splits(horse_settings(root))
    with pytest.raises(FileNotFoundError, match="expected the layout of horse_21"):
        data_prep.splits(horse_settings(tmp_path / "elsewhere" / "x"))


def write_camvid(folder, counts=(3, 2, 2)):
    root = folder / "CamVid"
    for part, count in zip(("train", "val", "test"), counts, strict=True):
        for n in range(count):
            picture(root / part / f"Seq_{n:05d}.jpg")
            labels = np.full((10, 20), n, np.uint8)
            labels[0] = 11
            path = root / f"{part}annot" / f"Seq_{n:05d}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(labels).save(path)
    return root


def test_camvid_gives_its_three_parts_and_their_maps(tmp_path):
    root = write_camvid(tmp_path)
    settings = {"reader": "camvid", "folder": str(tmp_path), "check_counts": False}
    read = data_prep.splits(settings)
    assert {part: split.ids.tolist() for part, split in read.items()} == {
        "train": [1, 2, 3],
        "val": [1001, 1002],
        "test": [2001, 2002],
    }
    assert [np.flatnonzero(row).tolist() for row in read["train"].labels] == [[0], [1], [2]]
    found = data_prep.maps(settings, "test").read(2002)
    assert (found[0] == IGNORED).all() and (found[1:] == 1).all()
    with pytest.raises(ValueError, match="3 pictures, 367 were published"):
        data_prep.splits(settings | {"check_counts": True})
    path = root / "valannot" / "Seq_00001.png"
    Image.fromarray(np.full((10, 20), 12, np.uint8)).save(path)
    with pytest.raises(ValueError, match=r"Seq_00001.png is .* values up to 12; .* 0 to 11"):
        data_prep.splits(settings)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"Seq_00001.png does not exist"):
        data_prep.splits(settings)


def write_weizmann(folder, count=9):
    for n in range(1, count + 1):
        picture(folder / "rgb" / f"horse{n:03d}.jpg")
        mask = np.zeros((10, 20), bool)
        mask[:n] = True
        (folder / "mask").mkdir(exist_ok=True)
        Image.fromarray(mask).save(folder / "mask" / f"horse{n:03d}.png")
    return {"reader": "weizmann_horses", "folder": str(folder), "validation": 2, "test": 3}


def test_horses_of_weizmann_are_parted_by_their_numbers(tmp_path):
    settings = write_weizmann(tmp_path)
    read = data_prep.splits(settings)
    assert {part: len(split) for part, split in read.items()} == {"train": 4, "val": 2, "test": 3}
    assert sorted(sample for split in read.values() for sample in split.ids.tolist()) == list(range(1, 10))
    for part, split in read.items():
        maps = data_prep.maps(settings, part)
        assert all(maps.read(sample).sum() == 20 * sample for sample in split.ids.tolist())
        assert [path.name for path in split.images] == [f"horse{n:03d}.jpg" for n in split.ids]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: picture(folder / "rgb" / "cow.jpg"), "cow.jpg has no number of its own"),
        (lambda folder: picture(folder / "rgb" / "horse1.jpg"), "horse1.jpg has no number of its own"),
        (lambda folder: (folder / "mask" / "horse003.png").write_bytes(b""), "horse003.png"),
        (lambda folder: picture(folder / "mask" / "horse003.png"), "horse003.png is uint8"),
        (lambda folder: (folder / "mask" / "horse003.png").unlink(), "horse003.png does not exist"),
    ],
    ids=["another animal", "a number twice", "an empty mask", "a mask in colours", "no mask"],
)
def test_a_wrong_file_of_weizmanns_horses_is_named(tmp_path, damage, message):
    settings = write_weizmann(tmp_path)
    damage(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        maps = data_prep.maps(settings, "train")
        for split in data_prep.splits(settings).values():
            for sample in split.ids:
                maps.read(sample)


def test_horses_of_weizmann_must_be_enough(tmp_path):
    settings = write_weizmann(tmp_path)
    with pytest.raises(ValueError, match="has 9 pictures; expected more than 4 for val and 5 for test"):
        data_prep.splits(settings | {"validation": 4, "test": 5})
    with pytest.raises(ValueError, match="the setting `test` is 0"):
        data_prep.splits(settings | {"test": 0})


COCO = {
    "images": [{"id": 7, "width": 6, "height": 4}, {"id": 9, "width": 3, "height": 3}],
    "categories": [{"id": 3, "name": "dog"}, {"id": 1, "name": "cat"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 3, "segmentation": [[0, 0, 5, 0, 5, 1, 0, 1]]},
        {"id": 2, "image_id": 7, "category_id": 1, "segmentation": {"counts": [4, 8, 12], "size": [4, 6]}},
    ],
}


def written(tmp_path, **changes):
    path = tmp_path / "instances.json"
    path.write_text(json.dumps(COCO | changes))
    return path


def test_polygons_and_run_lengths_of_coco_make_label_maps(tmp_path):
    maps = coco_objects.maps(written(tmp_path))
    assert maps.names == ("background", "cat", "dog")  # in the order of their ids
    expected = np.zeros((4, 6), int)
    expected[:2] = 2
    expected[:, 1:3] = 1  # the later one lies in front
    assert maps.read(7).tolist() == expected.tolist()
    assert (maps.read(9) == 0).all()
    with pytest.raises(ValueError, match="does not list image 8"):
        maps.read(8)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ([[0, 0, 5]], "at least three corners"),
        ([["a", 0, 1, 1, 2, 2]], "at least three corners"),
        ({"counts": [4, 8], "size": [4, 6]}, "run lengths of 12 pixels"),
        ({"counts": [-4, 8, 20], "size": [4, 6]}, "counts is"),
        ({"counts": [9], "size": [3, 3]}, "run lengths of 9 pixels"),
        ({"counts": "PZX02", "size": [4, 6]}, "counts is"),
        ("everything", "expected an object"),
    ],
    ids=["a line", "text", "too short", "negative", "another size", "compressed", "no mask"],
)
def test_a_mask_that_is_none_is_named(tmp_path, mask, message):
    annotations = [COCO["annotations"][0] | {"id": 12, "segmentation": mask}]
    path = written(tmp_path, annotations=annotations)
    with pytest.raises(ValueError, match=message) as error:
        coco_objects.maps(path).read(7)
    assert f"{path}: annotation 12" in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 4}, "annotation 1 has image 4, which is not in the list"),
        ({"category_id": 4}, "annotation 1 has category 4, which is not in the list"),
        ({"keypoints": [1, 2]}, "has 2 numbers of keypoints; expected x, y"),
        ({"keypoints": "none"}, "keypoints is"),
        ({"bbox": [1, 2]}, "bbox is"),
    ],
    ids=["image", "category", "too few", "no list", "half a box"],
)
def test_keypoints_of_coco_that_do_not_fit_are_named(tmp_path, change, message):
    categories = [one | {"keypoints": ["nose"], "skeleton": []} for one in COCO["categories"]]
    entry = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 1, 2, 3], "keypoints": [1.5, 2, 2]}
    (found,) = coco_objects.objects(written(tmp_path, categories=categories, annotations=[entry]))
    assert found.points == {"nose": [1.5, 2]} and found.box == (0, 1, 2, 4) and found.category == "cat"
    with pytest.raises(ValueError, match=message):
        coco_objects.objects(written(tmp_path, categories=categories, annotations=[entry | change]))


@pytest.mark.parametrize(("write", "archive"), [(write_camvid, "camvid.tar"), (write_weizmann, "horses.tar")])
def test_an_archive_is_read_as_its_folders(write, archive, tmp_path):
    for name in ("folders", "packed"):
        (tmp_path / name).mkdir()
    given = write(tmp_path / "folders")
    reader = {"reader": "camvid", "check_counts": False} if archive == "camvid.tar" else dict(given)
    root = given if archive == "camvid.tar" else tmp_path / "folders"
    with tarfile.open(tmp_path / "packed" / archive, "w") as packed:
        for inner in sorted(root.iterdir()):
            packed.add(inner, inner.name)
    found = []
    for name in ("folders", "packed"):
        settings = reader | {"folder": str(tmp_path / name)}
        splits = data_prep.splits(settings)
        maps = {part: data_prep.maps(settings, part) for part in splits}
        found.append(
            {
                part: [(sample, maps[part].read(sample).tobytes()) for sample in split.ids.tolist()]
                for part, split in splits.items()
            }
        )
        assert all(path.is_file() for split in splits.values() for path in split.images)
    assert found[0] == found[1]
    (tmp_path / "packed" / archive).write_bytes(b"no archive" * 100)
    with pytest.raises(ValueError, match=f"{archive} is damaged"):
        data_prep.splits(reader | {"folder": str(tmp_path / "packed")})
