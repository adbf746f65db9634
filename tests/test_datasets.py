import json
import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from difffeat.features import datasets, prepared
from difffeat.features.datasets import BrokenImage, Split

NAMES = ("cat", "dog", "cow")


@pytest.fixture
def split(tmp_path):
    images = [tmp_path / "images" / f"{sample}.png" for sample in (7, 3, 11, 5)]
    images[0].parent.mkdir()
    for shade, path in enumerate(images):
        Image.new("L", (6, 4), shade).save(path)
    labels = np.array([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1]])
    return Split("train", [7, 3, 11, 5], NAMES, labels, ["a cat", "a dog", "ein Bär", "all"], images, "pets")


def test_fields_are_coerced_and_read_only(split):
    assert split.ids.dtype == np.int64 and split.labels.dtype == np.uint8
    assert all(isinstance(path, Path) for path in split.images)
    with pytest.raises(ValueError, match="read-only"):
        split.labels[0, 0] = 0


def test_slices_and_selection_keep_rows_together(split):
    assert split[1:3].captions == ("a dog", "ein Bär") and split[1:3].name == "train"
    chosen = split.select(np.array([5, 7]))
    assert chosen.captions == ("all", "a cat")
    assert chosen.labels.tolist() == [[1, 1, 1], [1, 0, 0]]
    assert chosen.image(1).getpixel((0, 0)) == (0, 0, 0)


def test_selecting_unknown_ids_names_them(split):
    with pytest.raises(ValueError, match="2 ids are not in split 'train': 4, 6"):
        split.select([7, 4, 6])


def test_one_row_is_not_a_split(split):
    with pytest.raises(TypeError, match="takes a slice, got 2"):
        split[2]


def test_image_is_rgb_at_its_stored_size(split):
    image = split.image(2)
    assert image.mode == "RGB" and image.size == (6, 4) and image.getpixel((0, 0)) == (2, 2, 2)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"truncated"])
def test_broken_image_names_the_file_and_the_id(split, content):
    whole = split.images[1].read_bytes()
    split.images[1].write_bytes(whole[: len(whole) // 2] if content == b"truncated" else content)
    with pytest.raises(BrokenImage, match=r"cannot decode image .*3\.png \(id 3\)"):
        split.image(1)


def _grey(values, kind):
    return Image.fromarray(np.array([values, values], dtype=kind))


def _palette(transparency):
    image = Image.new("P", (3, 2), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    image.info["transparency"] = transparency
    return image


def _clear(image, value):
    """A value of its pixels that stands for transparent."""
    image.info["transparency"] = value
    return image


@pytest.mark.parametrize(
    ("suffix", "image", "expected"),
    [
        ("png", _grey([0, 128, 255], np.uint8), [(0, 0, 0), (128, 128, 128), (255, 255, 255)]),
        ("png", _grey([0, 32896, 65535], np.uint16), [(0, 0, 0), (128, 128, 128), (255, 255, 255)]),
        ("tif", _grey([0, 32896, 65535], ">u2"), [(0, 0, 0), (128, 128, 128), (255, 255, 255)]),
        ("tif", _grey([0, 32896, 65535], np.int32), [(0, 0, 0), (128, 128, 128), (255, 255, 255)]),
        ("png", Image.new("1", (3, 2), 1), [(255, 255, 255)] * 3),
        ("png", Image.new("LA", (3, 2), (7, 90)), [(167, 167, 167)] * 3),
        ("png", Image.new("RGBA", (3, 2), (7, 8, 9, 90)), [(167, 168, 168)] * 3),
        ("png", Image.new("RGBA", (3, 2), (7, 8, 9, 255)), [(7, 8, 9)] * 3),
        ("png", _clear(Image.new("L", (3, 2), 7), 7), [(255, 255, 255)] * 3),
        ("png", _clear(_grey([0, 32896, 65535], np.uint16), 0), [(255,) * 3, (128,) * 3, (255,) * 3]),
        ("png", _palette(bytes([255, 90])), [(236, 200, 183)] * 3),
        ("gif", _palette(1), [(255, 255, 255)] * 3),
        ("gif", _palette(0), [(200, 100, 50)] * 3),
        ("jpg", Image.new("CMYK", (3, 2), (0, 255, 255, 0)), [(255, 0, 0)] * 3),
    ],
)
def test_every_kind_of_image_becomes_rgb_of_8_bits(split, suffix, image, expected):
    path = split.images[0].with_suffix(f".{suffix}")
    image.save(path)
    decoded = replace(split, images=[path, *split.images[1:]]).image(0)
    assert decoded.mode == "RGB" and decoded.size == (3, 2)
    assert [decoded.getpixel((column, 1)) for column in range(3)] == expected


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (_grey([0.0, 0.5, 1.0], np.float32), "floating-point numbers of unknown range"),
        (_grey([0, 1, 65536], np.int32), "its pixels are 0 to 65536; expected 8 or 16 bits"),
    ],
)
def test_pixels_of_unknown_range_are_refused(split, image, message):
    path = split.images[0].with_suffix(".tif")
    image.save(path)
    with pytest.raises(BrokenImage, match=message):
        replace(split, images=[path, *split.images[1:]]).image(0)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_stands_as_viewers_show_it(split, suffix, orientation):
    """Four quarters of other shades, and what a viewer makes of each orientation: EXIF's own table."""
    shades = np.kron([[0, 80], [160, 240]], np.ones((8, 16))).astype(np.uint8)
    exif, path = Image.Exif(), split.images[0].with_suffix(f".{suffix}")
    exif[0x0112] = orientation
    Image.fromarray(shades).convert("RGB").save(path, exif=exif)
    shown = replace(split, images=[path, *split.images[1:]]).image(0)
    corners = {1: "0123", 2: "1032", 3: "3210", 4: "2301", 5: "0213", 6: "2031", 7: "3120", 8: "1302"}
    grey = np.asarray(shown.convert("L")).astype(int)
    found = [grey[y, x] for y in (3, -4) for x in (3, -4)]
    assert [round(shade / 80) for shade in found] == [int(place) for place in corners[orientation]]
    assert shown.size == ((32, 16) if orientation < 5 else (16, 32))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_notes_that_are_damaged_do_not_cost_the_image(split):
    path = split.images[0].with_suffix(".jpg")
    Image.new("RGB", (6, 4), (9, 9, 9)).save(path, exif=b"Exif\0\0II*\0" + bytes([255] * 60))
    assert replace(split, images=[path, *split.images[1:]]).image(0).size == (6, 4)


IDAT = bytes(4) + b"IDAT"


def _png_header(width, height):
    """The start of a PNG that says it has these dimensions."""
    ihdr = b"IHDR" + struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + ihdr + struct.pack(">I", zlib.crc32(ihdr))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n%%EndComments\n", "no whole picture of a format"),
        (_png_header(12300, 12300) + IDAT, "12,300 x 12,300 pixels; expected 150,000,000 at most"),
        (_png_header(1, 60000) + IDAT, "1 x 60,000 pixels; expected .* no side more than 100 times"),
        (_png_header(60000, 60000) + IDAT, "cannot decode image .*decompression bomb"),
    ],
)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_would_run_a_program_or_fill_the_memory_is_refused_unopened(split, content, message):
    split.images[0].write_bytes(content)
    with pytest.raises(BrokenImage, match=message):
        split.image(0)


def test_pipes_and_folders_are_not_opened(split):
    split.images[0].unlink()
    os.mkfifo(split.images[0])
    split.images[1].unlink()
    split.images[1].mkdir()
    for row in (0, 1):
        with pytest.raises(BrokenImage, match=r"it is no file but a folder, a pipe or a device"):
            split.image(row)


@pytest.mark.parametrize(
    ("written", "on_disk"),
    [
        ("Sub\\1.PNG", "sub/1.png"),
        ("sub/été.png", "sub/e\u0301te\u0301.png"),
        ("sub/e\u0301te\u0301.png", "sub/été.png"),
        (" sub/1.png ", "sub/1.png"),
        (".\\sub\\..\\SUB\\1.png", "sub/1.png"),
    ],
)
def test_names_of_other_systems_are_found(split, tmp_path, written, on_disk):
    (tmp_path / on_disk).parent.mkdir()
    Image.new("L", (6, 4), 99).save(tmp_path / on_disk)
    found = replace(split, images=[f"{tmp_path}/{written}", *split.images[1:]])
    assert found.images[0] == tmp_path / on_disk and found.image(0).getpixel((0, 0)) == (99, 99, 99)


def test_names_that_may_mean_several_files_are_shown_with_them(split, tmp_path):
    for name in ("A.png", "a.png", "b.jpeg"):
        (tmp_path / name).touch()
    wrong = [tmp_path / "A.PNG", tmp_path / "b.png", *split.images[2:]]
    with pytest.raises(
        FileNotFoundError, match=r"A\.PNG \(there: .*A\.png, .*a\.png\), .*b\.png \(there: b\.jpeg"
    ):
        replace(split, images=wrong)


def test_image_that_went_away_is_not_called_broken(split):
    split.images[0].unlink()
    with pytest.raises(FileNotFoundError):
        split.image(0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": [7, 3, 3, 7]}, "2 ids more than once: 3, 7"),
        ({"ids": [], "labels": np.zeros((0, 3)), "captions": (), "images": ()}, "'train' is empty"),
        ({"ids": [7, 3, 1.5, 5]}, r"ids that are not integers of 64 bits: 7\.0, 3\.0, 1\.5"),
        ({"ids": [7, 3, 2**64, 5]}, "ids that are not integers of 64 bits: 18446744073709551616"),
        ({"ids": ["7", "3", "1", "5"]}, 'ids that are not integers of 64 bits: "7", "3"'),
        ({"captions": ["a", None, "b", "c"]}, "caption 3 is null; expected text"),
        ({"captions": ["a", "b", "c", "\ud800"]}, "caption 5 is .*; expected text"),
        ({"names": ("cat", 7, "cow")}, "label name 1 is 7; expected text"),
        ({"labels": np.zeros((4, 2))}, r"labels must be \(4, 3\) \(ids, names\), got \(4, 2\)"),
        ({"labels": np.full((4, 3), 2)}, "labels must be 0 or 1, got 2 for id 7, 'cat'"),
        ({"labels": np.full((4, 3), np.nan)}, "labels must be 0 or 1, got nan"),
        ({"captions": ["one"]}, "4 ids but 1 captions"),
        ({"names": ("cat", "dog", "cat")}, "label names repeat: cat"),
    ],
)
def test_wrong_content_is_refused(split, change, message):
    with pytest.raises(ValueError, match=message):
        replace(split, **change)


def test_images_missing_on_disk_are_counted_and_named(split, tmp_path):
    elsewhere = [tmp_path / "elsewhere" / "a.png", *split.images[1:]]
    with pytest.raises(FileNotFoundError, match=r"1 of 4 images are not on disk: .*elsewhere/a\.png"):
        replace(split, images=elsewhere)


def test_digest_follows_ids_labels_and_captions(split):
    assert split.digest == replace(split, images=()).digest
    assert split.digest != replace(split, captions=("x", *split.captions[1:])).digest
    assert split.digest != replace(split, labels=1 - split.labels).digest
    assert split.digest != split[:3].digest


def test_input_digest_follows_what_the_backbone_sees(split):
    recaptioned = replace(split, captions=("x", *split.captions[1:]), labels=1 - split.labels)
    assert recaptioned.input_digest("image") == split.input_digest("image")
    assert recaptioned.input_digest("text") != split.input_digest("text")
    before = split.input_digest("image")
    Image.new("RGB", (30, 40), "red").save(split.images[0])
    assert split.input_digest("image") != before


def test_input_digest_needs_the_inputs(split):
    with pytest.raises(ValueError, match="'train' of 'pets' has no image inputs"):
        replace(split, images=()).input_digest("image")
    with pytest.raises(ValueError, match="modality 'sound' is unknown; known: text, image"):
        split.input_digest("sound")


def test_save_and_load_is_the_same_split_wherever_the_folder_goes(split, tmp_path):
    assert split.save(tmp_path / "prepared") == tmp_path / "prepared" / "train.json"
    inputs = split.input_digest("image")
    tmp_path.rename(moved := tmp_path.with_name(tmp_path.name + "-moved"))
    again = prepared.load(moved / "prepared", "train")
    assert again.digest == split.digest and again.dataset == "pets" and again.names == NAMES
    assert again.images[0] == moved / "images" / "7.png"
    assert again.input_digest("image") == inputs


def test_load_names_the_splits_there_are(split, tmp_path):
    split.save(tmp_path)
    with pytest.raises(FileNotFoundError, match="no split 'val' in .*; there: train"):
        prepared.load(tmp_path, "val")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [[0], [3], [], [1]]}, "id 3 has label 3, outside the list: 3 names, 0 to 2"),
        ({"labels": [[0], [-1], [], [1]]}, "id 3 has label -1, outside the list"),
        ({"labels": [[0]]}, "4 ids but labels for 1 samples"),
        ({"names": None}, r"train\.json has no names; expected a list"),
        ({"names": ["cat", 7, "cow"]}, r"train\.json: names is a list with 7 at place 1; expected"),
        (
            {"ids": [7, 3.0, 11, 5]},
            r"train\.json: ids is a list with 3\.0 at place 1; expected a list, each an",
        ),
        ({"captions": ["a", "b", "c", 4]}, r"train\.json: captions is a list with 4 at place 3"),
        ({"images": "x"}, r'train\.json: images is "x"; expected a list, each text that names a file'),
        ({"captions": ["b", "a", "ein Bär", "all"]}, r"train\.json is not what was written: its sha256"),
    ],
)
def test_load_refuses_wrong_files(split, tmp_path, change, message):
    path = split.save(tmp_path)
    content = json.loads(path.read_text()) | change
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    with pytest.raises(ValueError, match=message):
        prepared.load(tmp_path, "train")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 10**5, b'{"ids": NaN}', b"\xff\xfe\xfa", b"{}"])
def test_load_names_a_damaged_file(split, tmp_path, content):
    split.save(tmp_path).write_bytes(content)
    with pytest.raises(datasets.BrokenSplit, match=r"train\.json"):
        prepared.load(tmp_path, "train")


def test_a_file_written_by_hand_needs_no_hash(split, tmp_path):
    path = split.save(tmp_path)
    content = json.loads(path.read_text())
    del content["sha256"]
    path.write_text(json.dumps(content | {"captions": ["1", "2", "3", "4"]}))
    assert prepared.load(tmp_path, "train").captions == ("1", "2", "3", "4")


def test_first_samples_of_each_part(split):
    parts = datasets.first({"train": split, "val": split[:3]}, [2, 0])
    assert parts["train"].ids.tolist() == [7, 3] and len(parts["val"]) == 3
    with pytest.raises(ValueError, match="val has 3 samples, 4 were asked for"):
        datasets.first({"train": split, "val": split[:3]}, [2, 4])
    with pytest.raises(ValueError, match="one count for each of train"):
        datasets.first({"train": split}, [2, 4])


def test_samples_whose_picture_is_broken_are_left_out_on_demand(split):
    split.images[2].write_bytes(split.images[2].read_bytes()[:40])
    both = {"train": split, "val": split[:2]}
    assert len(datasets.first(both, [0, 0])["train"]) == 4  # whatever reads the picture says so
    with pytest.warns(
        UserWarning, match=r"1 of 4 images of 'train' cannot be decoded: 11\.png; they are left"
    ):
        left = datasets.first(both, [0, 0], "skip")
    assert left["train"].ids.tolist() == [7, 3, 5] and left["train"].captions == ("a cat", "a dog", "all")
    assert left["val"].ids.tolist() == [7, 3]
    Image.new("L", (6, 4), 9).save(split.images[2])  # mended
    assert len(datasets.first(both, [0, 0], "skip")["train"]) == 4
    for path in split.images[:2]:
        path.write_bytes(b"")
    with pytest.raises(
        BrokenImage, match=r"2 of 2 images of 'train' cannot be decoded: 7\.png, 3\.png; none is left"
    ):
        datasets.first({"val": split[:2]}, [0], "skip")
    with pytest.raises(ValueError, match="on_broken 'ignore' is unknown; known: error, skip"):
        datasets.first(both, [0, 0], "ignore")
    texts = replace(split, images=())
    assert len(datasets.first({"val": texts}, [0], "skip")["val"]) == 4
