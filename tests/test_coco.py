import json
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import data_prep
from data_prep.readers import coco

COUNTS = {"train": 12, "val": 5, "test": 4}


@pytest.fixture
def content():
    """Three images; category ids with a gap, out of order; a crowd; captions out of order."""
    return {
        "images": [{"id": number, "file_name": f"{number:03d}.jpg"} for number in (9, 4, 6)],
        "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}, {"id": 17, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 4, "category_id": 18, "iscrowd": 0},
            {"id": 2, "image_id": 4, "category_id": 18, "iscrowd": 1},
            {"id": 3, "image_id": 4, "category_id": 3, "iscrowd": 0},
            {"id": 4, "image_id": 6, "category_id": 17, "iscrowd": 1},
        ],
        "captions": [
            {"id": 52, "image_id": 9, "caption": "nine, second"},
            {"id": 51, "image_id": 9, "caption": "nine, first"},
            {"id": 12, "image_id": 4, "caption": "four, first"},
            {"id": 13, "image_id": 4, "caption": "four, second"},
            {"id": 70, "image_id": 6, "caption": "six, second"},
            {"id": 60, "image_id": 6, "caption": "six, first"},
        ],
    }


@pytest.fixture
def read(tmp_path, content):
    """Write `content` as COCO would, then read it."""
    (tmp_path / "part").mkdir()
    for image in content["images"]:
        Image.new("RGB", (8, 8), (image["id"], 0, 0)).save(tmp_path / "part" / image["file_name"])

    def write_and_read(**options):
        captions = {"images": content["images"], "annotations": content["captions"]}
        (tmp_path / "instances.json").write_text(
            json.dumps({k: v for k, v in content.items() if k != "captions"})
        )
        (tmp_path / "captions.json").write_text(json.dumps(captions))
        options = {
            "captions": tmp_path / "captions.json",
            "images": tmp_path / "part",
            "name": "train",
        } | options
        return coco.read_part(tmp_path / "instances.json", **options)

    return write_and_read


def test_labels_captions_and_files_of_each_image(read, tmp_path):
    split = read()
    assert split.ids.tolist() == [9, 4, 6] and split.names == ("car", "cat", "dog")
    assert split.labels.tolist() == [[0, 0, 0], [1, 0, 1], [0, 1, 0]]
    assert split.captions == ("nine, first", "four, first", "six, first")
    assert split.images[1] == tmp_path / "part" / "004.jpg"
    assert (split.name, split.dataset) == ("train", "coco")


def test_another_caption_by_its_place(read):
    assert read(caption=1).captions == ("nine, second", "four, second", "six, second")


def test_images_without_instances_can_be_dropped(read):
    split = read(unlabelled=False)
    assert (
        split.ids.tolist() == [4, 6]
        and split.captions[0] == "four, first"
        and split.images[0].name == "004.jpg"
    )


def test_text_or_images_alone(read):
    assert read(images=None).images == () and read(captions=None).captions == ()


def test_caption_that_an_image_does_not_have(read, content):
    content["captions"].pop()
    with pytest.raises(ValueError, match="1 images have no caption 1 .* the first is image 6 with 1"):
        read(caption=1)


def test_category_outside_the_list(read, content):
    content["annotations"][2]["category_id"] = 90
    with pytest.raises(ValueError, match="annotation 3 has category 90, which is not in the list of 3"):
        read()


def test_annotation_of_an_image_outside_the_list(read, content):
    content["annotations"][0]["image_id"] = 5
    with pytest.raises(ValueError, match="annotation 1 is of image 5"):
        read()


def test_duplicate_image_ids(read, content):
    content["images"].append(content["images"][0])
    with pytest.raises(
        ValueError, match=r"instances\.json: images\[0\] and images\[3\] both have id 9; give"
    ):
        read()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["annotations"][0].pop("category_id"),
            r"annotations\[0\] \(id 1\) has no category_id; exp",
        ),
        (
            lambda c: c["annotations"][0].update(category_id=None),
            r"annotations\[0\] .*: category_id is null; exp",
        ),
        (lambda c: c["annotations"].append(7), r"annotations\[4\] is 7; expected an object"),
        (lambda c: c.update(annotations=None), r"instances\.json: annotations is null; expected a list"),
        (lambda c: c["categories"][0].pop("name"), r"categories\[0\] \(id 18\) has no name; expected text"),
        (lambda c: c["categories"][0].update(name=7), r"categories\[0\] .*: name is 7; expected text"),
        (lambda c: c["categories"][0].update(id=3), r"categories\[0\] and categories\[1\] both have id 3"),
        (
            lambda c: c["categories"][0].update(name="car"),
            r'categories\[0\] and .*\[1\] both have name "car"',
        ),
        (lambda c: c["images"][0].pop("id"), r"instances\.json: images\[0\] has no id; expected an integer"),
        (lambda c: c["images"][0].update(id="9"), r'images\[0\] \(id "9"\): id is "9"; expected an integer'),
        (lambda c: c["images"][0].update(id=9.5), r"images\[0\] .*: id is 9\.5; expected an integer"),
        (lambda c: c["images"][0].update(id=2**64), r"images\[0\] .*: id is 18446744073709551616; expected"),
        (lambda c: c["images"][0].update(id=True), r"images\[0\] .*: id is true; expected an integer"),
        (lambda c: c["images"][0].pop("file_name"), r"images\[0\] \(id 9\) has no file_name; expected text"),
        (lambda c: c["images"][0].update(file_name=""), r'images\[0\] .*: file_name is ""; expected text'),
        (lambda c: c["captions"][0].pop("id"), r"captions\.json: annotations\[0\] has no id; expected an"),
        (
            lambda c: c["captions"][0].update(caption=None),
            r"captions\.json: .*: caption is null; expected text",
        ),
        (
            lambda c: c["captions"][0].update(caption="\ud83d"),
            r"captions\.json: .*: caption is .*; expected text",
        ),
        (lambda c: c["captions"][0].update(id=51), r"annotations\[0\] and annotations\[1\] both have id 51"),
    ],
)
def test_an_entry_that_is_not_as_coco_has_it_is_named(read, content, change, message):
    change(content)
    with pytest.raises(ValueError, match=message):
        read()


def test_nothing_left(read, content):
    content["annotations"] = []
    with pytest.raises(ValueError, match="'train' is empty"):
        read(unlabelled=False)


def test_images_missing_on_disk(read, tmp_path):
    (tmp_path / "part" / "004.jpg").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"1 of 3 images are not on disk: .*004\.jpg; check the image folder"
    ):
        read()


def test_files_of_another_format(read, tmp_path):
    (tmp_path / "notes.json").write_text("[]")
    (tmp_path / "half.json").write_text('{"annotations": [')
    with pytest.raises(ValueError, match=r"notes\.json holds a list; expected an object"):
        read(captions=tmp_path / "notes.json")
    with pytest.raises(ValueError, match=r"half\.json is not JSON, or ends early"):
        read(captions=tmp_path / "half.json")
    with pytest.raises(FileNotFoundError, match=r"none\.json does not exist"):
        read(captions=tmp_path / "none.json")
    for content, message in (
        (b"{}", "is not in COCO's format: it has no annotations"),
        (b"[" * 10**5, "lists or objects nest too deeply"),
        (b'{"annotations": [{"id": NaN}]}', "NaN is no number of JSON"),
        (b'{"annotations": [], "annotations": []}', "'annotations' comes more than once"),
        (b'{"annotations":\n "caf\xe9"}', "line 2: byte 0xe9 is not utf-8; convert the file to utf-8$"),
    ):
        (tmp_path / "notes.json").write_bytes(content)
        with pytest.raises(ValueError, match=rf"notes\.json.*{message}"):
            read(captions=tmp_path / "notes.json")
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(ValueError, match=r"pipe\.json is a pipe or a device; expected a file"):
        read(captions=tmp_path / "pipe.json")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_json_of_other_encodings_is_read(read, content, tmp_path, encoding):
    content["captions"][1]["caption"] = "neun, ein Bär"
    read()
    captions = {"annotations": content["captions"]}
    (tmp_path / "other.json").write_bytes(json.dumps(captions, ensure_ascii=False).encode(encoding))
    assert read(captions=tmp_path / "other.json").captions[0] == "neun, ein Bär"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    settings = {
        "reader": "scenes",
        "folder": str(tmp_path_factory.mktemp("scenes")),
        "counts": COUNTS,
        "workers": 1,
    }
    return settings, data_prep.splits(settings)


def test_scenes_are_drawn_and_read(scenes):
    _, splits = scenes
    assert {part: len(split) for part, split in splits.items()} == COUNTS
    train = splits["train"]
    assert train.dataset == "scenes" and len(train.names) == 20 and train.labels.any(axis=1).all()
    assert train.image(0).mode == "RGB" and all(train.captions)
    assert not set(train.ids) & set(splits["test"].ids)


def test_second_call_reads_what_the_first_prepared(scenes, monkeypatch):
    settings, splits = scenes
    monkeypatch.setattr(coco, "read", None)
    again = data_prep.splits(settings)
    assert {part: split.digest for part, split in again.items()} == {
        part: s.digest for part, s in splits.items()
    }


def test_changed_annotations_are_read_again(scenes):
    settings, splits = scenes
    path = Path(settings["folder"]) / "annotations" / "captions_val.json"
    before = path.read_text()
    path.write_text(before.replace('"caption":"', '"caption":"Look: '))
    try:
        assert data_prep.splits(settings)["val"].captions[0] == "Look: " + splits["val"].captions[0]
    finally:
        path.write_text(before)


@pytest.mark.parametrize(("field", "other"), [("seed", 7), ("version", "0")])
def test_scenes_of_another_seed_or_version_are_not_taken_for_these(scenes, field, other):
    settings, _ = scenes
    path = Path(settings["folder"]) / "annotations" / "captions_test.json"
    content = json.loads(path.read_text())
    before = json.dumps(content)
    content["info"][field] = other
    path.write_text(json.dumps(content))
    try:
        with pytest.raises(ValueError, match=f"holds scenes of {field} {other}, .* is asked for: delete"):
            data_prep.splits(settings)
    finally:
        path.write_text(before)


def test_scenes_prepared_before_the_code_drew_others_do_not_serve(scenes, monkeypatch):
    settings, _ = scenes
    monkeypatch.setattr("data_prep.readers.scenes.VERSION", "99")
    with pytest.raises(ValueError, match="holds scenes of version .*, 99 is asked for: delete"):
        data_prep.splits(settings)


def test_scenes_of_other_counts_are_not_taken_for_these(scenes):
    settings, _ = scenes
    with pytest.raises(ValueError, match="holds 12 scenes for train, 99 are asked for: delete that folder"):
        data_prep.splits(settings | {"counts": COUNTS | {"train": 99}})


def test_the_reader_of_coco_reads_scenes_and_holds_out_a_validation_part(scenes):
    settings, drawn = scenes
    options = {"reader": "coco", "folder": settings["folder"], "parts": {"train": "train", "test": "val"}}
    splits = data_prep.splits(options | {"validation": 4})
    assert len(splits["train"]) == 8 and len(splits["val"]) == 4 and splits["val"].name == "val"
    assert sorted([*splits["train"].ids, *splits["val"].ids]) == sorted(drawn["train"].ids)
    assert np.array_equal(splits["test"].ids, drawn["val"].ids)
    assert data_prep.splits(options | {"validation": 4, "images": False})["val"].images == ()
    with pytest.raises(ValueError, match="cannot hold out 12 of 12"):
        data_prep.splits(options | {"validation": 12})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reader": "imagenet"}, "the data settings have reader 'imagenet'; known: ade20k, .*coco"),
        ({}, "the data settings have reader None; known"),
        ({"reader": "scenes", "sede": 1}, "does not take sede; it takes folder, seed, counts"),
        ({"reader": "voc"}, "reader 'voc' needs the data settings folder"),
        ({"reader": "coco", "folder": "x", "parts": {"train": "a", "dev": "b"}}, "must name train and test"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        data_prep.splits(settings)


@pytest.fixture
def own(tmp_path, content):
    """Two parts in COCO's layout: `own()` writes them, `own.parts` holds what is written."""
    described = {name: value for name, value in content.items() if name != "captions"}
    test = json.loads(json.dumps(described))
    for image in test["images"]:
        image["id"] += 10
    for annotation in test["annotations"]:
        annotation["image_id"] += 10
    parts = {"train": described, "test": test}

    def write_and_read(draw=True, **options):
        (tmp_path / "annotations").mkdir(exist_ok=True)
        for part, written in parts.items():
            (tmp_path / part).mkdir(exist_ok=True)
            path = tmp_path / "annotations" / f"instances_{part}.json"
            if not path.exists() or path.read_text() != json.dumps(written):  # else it stays as old as it is
                path.write_text(json.dumps(written))
            for image in written["images"] if draw else ():
                if not (tmp_path / part / image["file_name"]).exists():
                    Image.new("RGB", (8, 8)).save(tmp_path / part / image["file_name"])
        settings = {"reader": "coco", "folder": str(tmp_path), "parts": {part: part for part in parts}}
        return data_prep.splits(settings | {"validation": 1, "captions": False} | options)

    write_and_read.parts = parts
    return write_and_read


def test_labels_are_the_same_by_name_whatever_their_numbers(own):
    before = own()["test"]
    numbers = {18: 2, 3: 9, 17: 5}
    for category in own.parts["test"]["categories"]:
        category["id"] = numbers[category["id"]]
    for annotation in own.parts["test"]["annotations"]:
        annotation["category_id"] = numbers[annotation["category_id"]]
    after = own()["test"]
    assert after.names == before.names == ("car", "cat", "dog") and after.digest == before.digest


def test_parts_with_other_labels_are_refused(own):
    own.parts["test"]["categories"][0]["name"] = "wolf"
    with pytest.raises(ValueError, match='test alone has "wolf", train alone has "dog"; give every part the'):
        own()


def test_an_image_is_in_one_part_and_there_once(own, tmp_path):
    own.parts["test"]["images"][0]["file_name"] = "../train/004.jpg"
    with pytest.raises(
        ValueError, match=r"image .*train/004\.jpg is in both (train|val) and test .samples 4 and 19"
    ):
        own()
    own.parts["test"]["images"][0]["file_name"] = "./006.jpg"
    with pytest.raises(
        ValueError, match=r"image .*006\.jpg is twice in test .samples 19 and 16.: list each image"
    ):
        own()
    own.parts["test"]["images"][0]["file_name"] = "009.jpg"
    own()
    shutil.rmtree(tmp_path / "test")
    (tmp_path / "test").symlink_to(tmp_path / "train")
    with pytest.raises(ValueError, match="is in both (train|val) and test"):
        own()


@pytest.mark.parametrize("damage", [b"", b"{", b"[" * 10**5, b'{"ids": [NaN]}', None])
def test_damaged_prepared_files_name_themselves_and_are_made_again(own, tmp_path, damage, monkeypatch):
    monkeypatch.setenv("DIFFFEAT_CACHE", str(tmp_path / "cache"))
    before = own()
    (path,) = (tmp_path / "cache" / "prepared").glob("*/test.json")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"14", b"15", 1) if damage is None else damage)
    with pytest.warns(UserWarning, match=r"prepared/.*/test\.json.*: made again"):
        assert own()["test"].digest == before["test"].digest
    assert path.read_bytes() == whole


def test_images_that_went_away_are_no_damage(own, tmp_path):
    own()
    path = tmp_path / "test" / "004.jpg"
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 3 images are not on disk: .*004\.jpg"):
        own(draw=False)


def test_real_coco_images_and_captions(tmp_path):
    """Two images of val2014 with their published labels and captions, through the same reader."""
    if "DIFFFEAT_REFERENCE" not in os.environ:
        pytest.skip("DIFFFEAT_REFERENCE is not set: no copy of COCO images to read")
    data = Path(os.environ["DIFFFEAT_REFERENCE"]) / "data"
    names = (data / "coco2014" / "categories.txt").read_text().split("\n")[:80]
    rows = [
        line.split("\t") for line in (data / "coco_val2014_images" / "index.tsv").read_text().split("\n")[:2]
    ]
    files = [f"COCO_val2014_{int(row[0]):012d}.jpg" for row in rows]
    with tarfile.open(data / "coco_val2014_images" / "images.tar") as tar:
        for member in (member for member in tar if Path(member.name).name in files):
            (tmp_path / Path(member.name).name).write_bytes(tar.extractfile(member).read())
    images = [{"id": int(row[0]), "file_name": file} for row, file in zip(rows, files, strict=True)]
    instances = [
        {"id": n, "image_id": int(row[0]), "category_id": 2 * int(label)}
        for n, (row, label) in enumerate((row, label) for row in rows for label in row[3].split())
    ]
    categories = [{"id": 2 * place, "name": name} for place, name in enumerate(names)]
    captions = [{"id": n, "image_id": int(row[0]), "caption": row[4]} for n, row in enumerate(rows)]
    body = {"images": images, "annotations": instances, "categories": categories}
    (tmp_path / "instances.json").write_text(json.dumps(body))
    (tmp_path / "captions.json").write_text(json.dumps({"annotations": captions}))
    split = coco.read_part(tmp_path / "instances.json", tmp_path / "captions.json", tmp_path, name="test")
    assert split.image(1).size == (342, 256)
    assert [names[k] for k in np.flatnonzero(split.labels[1])] == [
        "person",
        "boat",
        "umbrella",
        "suitcase",
        "chair",
    ]
    assert split.captions[1] == "A man sitting under an umbrella next to a body of water."


def test_parts_of_coco_2014_have_the_published_number_of_images(tmp_path, content):
    (tmp_path / "annotations").mkdir()
    described = {name: value for name, value in content.items() if name != "captions"}
    captions = {"images": content["images"], "annotations": content["captions"]}
    for part in ("train2014", "val2014"):
        (tmp_path / "annotations" / f"instances_{part}.json").write_text(json.dumps(described))
        (tmp_path / "annotations" / f"captions_{part}.json").write_text(json.dumps(captions))
    settings = {"reader": "coco", "folder": str(tmp_path), "validation": 1, "images": False}
    with pytest.raises(ValueError, match="instances_train2014.json: 3 images, 82,783 were published"):
        data_prep.splits(settings)
    with pytest.raises(ValueError, match="sample [0-9]+ is in both (train|val) and test: .*`renumber: true`"):
        data_prep.splits(settings | {"check_counts": False})
    read = data_prep.splits(settings | {"check_counts": False, "renumber": True})
    assert read["test"].ids.tolist() == [3, 4, 5] and len(read["train"]) == 2
