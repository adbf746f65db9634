import codecs
import gzip
import json

import pytest
from layouts import reference

import data_prep
from data_prep.readers import vg500
from difffeat.base import checked

LISTS = {"train": ["12.jpg", "7.jpg", "2405.jpg"], "test": ["3.jpg", "9.jpg"]}
LABELS = {"12.jpg": [0, 499], "7.jpg": [3], "2405.jpg": [], "3.jpg": [1, 2], "9.jpg": [499], "8.jpg": [5]}
PHRASES = {12: ["a red car", " parked here\n"], 7: ["ein Bär"], 2405: ["x"], 3: ["sky"], 9: [], 8: ["y"]}


def regions(phrases, name="id"):
    return [
        {
            "regions": [{"region_id": n, "phrase": phrase, "x": 1} for n, phrase in enumerate(said)],
            name: image,
        }
        for image, said in phrases.items()
    ]


@pytest.fixture
def folder(tmp_path):
    """VG500's files for five images; one image folder for odd ids, one for even."""
    for part, files in LISTS.items():
        (tmp_path / f"{part}_list_500.txt").write_text("".join(f"{file}\n" for file in files))
    (tmp_path / vg500.LABELS).write_text(json.dumps(LABELS))
    (tmp_path / vg500.REGIONS).write_text(json.dumps(regions(PHRASES), ensure_ascii=False), "utf-8")
    for place in ("VG_100K", "VG_100K_2"):
        (tmp_path / place).mkdir()
    for file in LISTS["train"] + LISTS["test"]:
        (tmp_path / ("VG_100K" if int(file[:-4]) % 2 else "VG_100K_2") / file).touch()
    return tmp_path


def splits(folder, **options):
    settings = {"reader": "vg500", "folder": str(folder), "validation": 1, "check_counts": False}
    return data_prep.splits(settings | options)


def captions(splits):
    return {
        int(sample): text
        for split in splits.values()
        for sample, text in zip(split.ids, split.captions, strict=True)
    }


def test_labels_captions_and_files(folder):
    read = splits(folder)
    assert {part: len(split) for part, split in read.items()} == {"train": 2, "val": 1, "test": 2}
    test = read["test"]
    assert test.ids.tolist() == [3, 9] and test.labels.shape == (2, 500)
    assert test.labels[0].nonzero()[0].tolist() == [1, 2] and test.names[499] == "category 499"
    assert captions(read) == {12: "a red car. parked here", 7: "ein Bär", 2405: "x", 3: "sky", 9: ""}
    everything = [path for split in read.values() for path in split.images]
    assert folder / "VG_100K_2" / "12.jpg" in everything and folder / "VG_100K" / "7.jpg" in everything


def test_category_names_from_a_file(folder):
    (folder / "names.txt").write_text("\n".join(f"thing {n}" for n in range(500)))
    assert splits(folder, names="names.txt")["test"].names[1] == "thing 1"
    (folder / "names.txt").write_text("thing\nother\n")
    with pytest.raises(ValueError, match="gives 2 category names, expected 500"):
        splits(folder, names="names.txt")
    with pytest.raises(FileNotFoundError, match=r"none\.txt does not exist"):
        splits(folder, names="none.txt")


def test_images_in_one_folder_or_not_at_all(folder):
    for path in (folder / "VG_100K_2").iterdir():
        path.rename(folder / "VG_100K" / path.name)
    (folder / "VG_100K_2").rmdir()
    assert splits(folder)["test"].images[0] == folder / "VG_100K" / "3.jpg"
    (folder / "VG_100K").rename(folder / "pictures")
    assert splits(folder, image_folders=["pictures"])["test"].images[0] == folder / "pictures" / "3.jpg"
    with pytest.raises(FileNotFoundError, match="no folder VG_100K or VG_100K_2; .* set `images: false`"):
        splits(folder, captions=False)
    assert splits(folder, images=False)["train"].images == ()


def test_labels_without_captions_need_no_region_file(folder):
    (folder / vg500.REGIONS).unlink()
    assert splits(folder, captions=False)["test"].captions == ()
    with pytest.raises(
        FileNotFoundError, match=r"region_descriptions\.json does not exist; expected the lists"
    ):
        splits(folder)


def test_the_other_name_of_an_image_id_and_a_byte_order_mark(folder):
    text = json.dumps(regions(PHRASES, name="image_id"), indent=1).replace("\n", "\r\n")
    (folder / vg500.REGIONS).write_bytes(codecs.BOM_UTF8 + text.encode())
    assert captions(splits(folder))[12] == "a red car. parked here"


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_regions_are_the_same_in_pieces_of_any_length(folder, chunk, encoding, monkeypatch):
    monkeypatch.setattr(checked, "CHUNK", chunk)
    odd = PHRASES | {3: ['"[{\\', "\u2028 \U0001f600", "1e5"], 9: ["x" * 300]}
    text = json.dumps(regions(odd), ensure_ascii=chunk > 3, indent=chunk % 2 or None)
    (folder / vg500.REGIONS).write_bytes(text.encode(encoding))
    assert captions(splits(folder)) == {
        image: ". ".join(phrase.strip() for phrase in said) for image, said in odd.items() if image != 8
    }


def test_changed_regions_are_read_again(folder):
    splits(folder)
    (folder / vg500.REGIONS).write_text(json.dumps(regions(PHRASES | {3: ["blue", "sky"]})))
    assert captions(splits(folder))[3] == "blue. sky"


WHOLE = json.dumps(regions(PHRASES)).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (WHOLE[:-90], r"region_descriptions\.json, after image 3: not JSON, or it ends early"),
        (WHOLE[:-1], r"region_descriptions\.json, after image 8: the file ends early; expected , or ]"),
        (WHOLE + b"[]", r"after image 8: the file goes on after its list"),
        (WHOLE.replace(b", {", b" {", 1), r"after the start: not JSON|after image 12: .*expected , or ]"),
        (b"", r"region_descriptions\.json, after the start: the file ends early; expected a list"),
        (b"[" * 10**5, r"region_descriptions\.json, after the start: lists or objects nest too deeply"),
        (b'[{"a":' * 10**5, "after the start: lists or objects nest too deeply"),
        (WHOLE.replace(b'"sky"', b'"sk\xe9"'), r"after image 2405: image 3: regions\[0\]: phrase is .*exp"),
        (WHOLE.replace(b'"sky"', b"null"), r"image 3: regions\[0\]: phrase is null; expected text"),
        (WHOLE.replace(b'"id": 3', b'"id": 3.5'), r"the next entry: id is 3\.5; expected an integer"),
        (WHOLE.replace(b'"x": 1', b'"x": NaN', 1), "after the start: NaN is no number of JSON"),
        (WHOLE.replace(b'"id": 3', b'"id": 12'), "after image 2405: image 12 comes a second time"),
        (WHOLE.replace(b'"id": 3', b'"id": 4'), "lacks 1 images of the lists, the first is image 3"),
        (
            WHOLE.replace(b'"id": 3', b'"ids": 3'),
            "after image 2405: the next entry has no image_id; expected",
        ),
        (
            WHOLE.replace(b'"phrase": "sky"', b'"said": "sky"'),
            r"image 3: regions\[0\] has no phrase; expected",
        ),
        (b"[3, 4]", "after the start: the next entry is 3; expected an object"),
        (b'{"3": "sky"}', "after the start: the file has '{'; expected a list"),
        (b"[]", "lacks 5 images of the lists, the first is image 3"),
    ],
)
def test_damaged_regions(folder, content, message):
    (folder / vg500.REGIONS).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        splits(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"3.jpg": [1', r"labels_index\.json is not JSON, or ends early"),
        (b"[]", r"labels_index\.json holds a list; expected an object"),
        (b'{"3.jpg": [1], "3.jpg": [2]}', r"labels_index\.json: '3\.jpg' comes more than once"),
        (b'{"3.jpg": [1]}', r"labels_index\.json has no labels for image 12\.jpg, which is on a list"),
        (b'{"a": 1,\n"\xe9": 2}', r"labels_index\.json, line 2: byte 0xe9 is not utf-8"),
        (
            json.dumps(LABELS | {"3.jpg": "cat"}).encode(),
            r'index\.json: 3\.jpg is "cat"; expected a list, each',
        ),
        (json.dumps(LABELS | {"3.jpg": [1, None]}).encode(), r"3\.jpg is a list with null at place 1; expec"),
        (json.dumps(LABELS | {"3.jpg": [500]}).encode(), "id 3 has label 500, outside the list: 500 names"),
    ],
)
def test_damaged_labels(folder, content, message):
    (folder / vg500.LABELS).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        splits(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("3.jpg\n9.jpg\n3.jpg\n", r"test_list_500\.txt, line 3: '3\.jpg' is on line 1 already"),
        ("3.jpg\nnine.jpg\n", r"test_list_500\.txt, line 2: 'nine\.jpg' is not a number with a suffix"),
        ("3.jpg\n12.jpg\n", "sample 12 is in both (train|val) and test"),
    ],
)
def test_damaged_list(folder, content, message):
    (folder / "test_list_500.txt").write_text(content)
    with pytest.raises(ValueError, match=message):
        splits(folder)


def test_an_image_that_is_not_there(folder):
    (folder / "VG_100K" / "9.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 2 images are not on disk: .*9\.jpg"):
        splits(folder)


def test_published_lists(tmp_path):
    """The real lists, with labels made up, pass the check of counts; a list cut short does not."""
    source = reference("vg500")
    files = []
    for name in vg500.LISTS.values():
        content = gzip.decompress((source / f"{name}.gz").read_bytes())
        (tmp_path / name).write_bytes(content)
        files += content.decode().split()
    (tmp_path / vg500.LABELS).write_text(json.dumps({file: [n % 500] for n, file in enumerate(files)}))
    options = {"captions": False, "images": False, "check_counts": True, "validation": 5000}
    read = splits(tmp_path, **options)
    assert {part: len(s) for part, s in read.items()} == {"train": 77904, "val": 5000, "test": 10000}
    assert read["test"].ids[0] == int(files[82904].removesuffix(".jpg"))
    path = tmp_path / "test_list_500.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:1000]))
    with pytest.raises(ValueError, match=r"test_list_500\.txt: 1,000 images, 10,000 were published"):
        splits(tmp_path, **options)
