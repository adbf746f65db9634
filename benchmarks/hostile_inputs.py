"""Inputs that are damaged, odd or made to harm, through every reader: what comes of each.

python benchmarks/hostile_inputs.py [--each 28] [--seed 0] [--show]

Each input is drawn with a seed, of one of a few kinds, and known to say this or to be refused. A line for
each kind: tried; right, read as it should be; clear error, one that names the file and the field; refused, an
error where it could have been read; raw error, any other; silently wrong. The last three should be 0.
"""

import argparse
import copy
import csv
import io
import json
import os
import random
import resource
import struct
import sys
import tempfile
import unicodedata
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

import data_prep
from difffeat.base.files import cache_root
from difffeat.features.datasets import BrokenImage, BrokenSplit

OUTCOMES = ("right", "clear error", "refused", "raw error", "silently wrong")
NAMES = ("bird", "tree", "cup")
LABELS = {1: "bt", 2: "tc", 3: "bc", 4: "b", 5: "t", 6: "c", 7: "btc", 8: "", 11: "b", 12: "tc", 13: "t"}
PARTS = {"train": range(1, 9), "test": range(11, 14)}
CLEAR = (ValueError, FileNotFoundError, BrokenImage, BrokenSplit)  # not their subclasses: those are Python's
WRONG = {  # values of a field, by what it should hold
    "integer": [None, "7", "img_7", 7.5, 7.0, True, [], {}, 2**64, float("nan"), 1e400],
    "text": [None, 7, 7.5, ["a"], {}, True, "\ud800", float("nan")],
    "list": [None, 7, "abc", {}, True],
}


class Case(NamedTuple):
    """An input: the settings that read it, whether what was read is right, and what an error must name."""

    settings: dict
    right: Callable | None  # None: it must be refused
    names: tuple = ()


def outcome(case):
    """(one of `OUTCOMES`, what came)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read = data_prep.splits(case.settings)
            seen = said(read)
    except Exception as error:
        if type(error) not in CLEAR or not all(name in str(error) for name in case.names):
            return "raw error", repr(error)
        return ("clear error" if case.right is None else "refused"), repr(error)
    if case.right is None or not case.right(read, seen):
        wrong = {sample: what for sample, what in seen.items() if what != TRUTH.get(sample)}
        return "silently wrong", f"{case.settings} {wrong}"
    return "right", ""


def said(read):
    """Sample id -> (label names, caption, colour of its corner), over all parts."""
    return {
        sample: (
            {split.names[column] for column in np.flatnonzero(split.labels[row])},
            split.captions[row] if split.captions else None,
            split.image(row).getpixel((0, 0)) if split.images else None,
        )
        for split in read.values()
        for row, sample in enumerate(split.ids.tolist())
    }


# What all kinds start from: eleven samples, each image of one colour that tells which it is.


def labels(sample):
    return [name for name in NAMES if name[0] in LABELS[sample]]


def caption(sample):
    return f"Bär, café {sample}"


def colour(sample):
    return (sample * 18, 100, 255 - sample * 18)


TRUTH = {sample: (set(labels(sample)), caption(sample), colour(sample)) for sample in LABELS}


def is_truth(read, seen):
    return seen == TRUTH


def draw(path, sample):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), colour(sample)).save(path, "PNG")


def coco_content():
    """{file: content} of COCO's format."""
    files = {}
    for part, samples in PARTS.items():
        images = [{"id": sample, "file_name": f"{sample}.png"} for sample in samples]
        instances = [
            {"id": 100 * sample + place, "image_id": sample, "category_id": 3 * NAMES.index(name) + 2}
            for sample in samples
            for place, name in enumerate(labels(sample))
        ]
        captions = [{"id": n, "image_id": n, "caption": caption(n)} for n in samples]
        categories = [{"id": 3 * place + 2, "name": name} for place, name in enumerate(NAMES)]
        described = {"images": images, "annotations": instances, "categories": categories}
        files |= {f"instances_{part}": described, f"captions_{part}": {"annotations": captions}}
    return copy.deepcopy(files)


def coco(folder, content=None, drawn=True, **options):
    """Write COCO's layout; returns the settings that read it."""
    (folder / "annotations").mkdir()
    for name, described in (content or coco_content()).items():
        (folder / "annotations" / f"{name}.json").write_text(json.dumps(described))
    for part, samples in PARTS.items():
        for sample in samples if drawn else ():
            draw(folder / part / f"{sample}.png", sample)
    settings = {"reader": "coco", "folder": str(folder), "parts": {part: part for part in PARTS}}
    return settings | {"validation": 2} | options


def wrong(choose, entry, field, holds):
    """Take a field away, or give it a value that it cannot have."""
    value = choose.choice([*WRONG[holds], "absent"])
    if value == "absent":
        del entry[field]
    else:
        entry[field] = value


# The kinds: each takes a source of chance and an empty folder, and gives a case.


def coco_fields(choose, folder):
    """A field of COCO's that is not there, null, or of another type."""
    content, part = coco_content(), choose.choice(list(PARTS))
    kind, name, field, holds = choose.choice(
        [
            ("instances", "images", "id", "integer"),
            ("instances", "images", "file_name", "text"),
            ("instances", "annotations", "image_id", "integer"),
            ("instances", "annotations", "category_id", "integer"),
            ("instances", "categories", "id", "integer"),
            ("instances", "categories", "name", "text"),
            ("captions", "annotations", "id", "integer"),
            ("captions", "annotations", "image_id", "integer"),
            ("captions", "annotations", "caption", "text"),
            ("instances", None, choose.choice(["images", "annotations", "categories"]), "list"),
        ]
    )
    described = content[f"{kind}_{part}"]
    wrong(choose, choose.choice(described[name]) if name else described, field, holds)
    names = [f"{kind}_{part}.json", *([name] if name else [])]
    if "NaN" not in json.dumps(described):  # which names itself, before any field is looked at
        names.append(field)
    else:
        names = names[:1]
    return Case(coco(folder, content), None, tuple(names))


def coco_ids(choose, folder):
    """Ids and names that come twice, and annotations of things that are not listed."""
    content, part = coco_content(), choose.choice(list(PARTS))
    kind, name, field, names = choose.choice(
        [
            ("instances", "images", "id", ("images[", "id")),
            ("instances", "categories", "id", ("categories[", "id")),
            ("instances", "categories", "name", ("categories[", "name")),
            ("captions", "annotations", "id", ("annotations[", "id")),
            ("instances", "annotations", "image_id", ("annotation ", "image 99")),
            ("instances", "annotations", "category_id", ("annotation ", "category 99")),
        ]
    )
    entries = content[f"{kind}_{part}"][name]
    one, other = choose.sample(entries, 2)
    one[field] = 99 if names[0] == "annotation " else other[field]
    return Case(coco(folder, content), None, (f"{kind}_{part}.json", *names))


def json_bytes(choose, folder):
    """JSON cut short, nested without end, of other encodings, with NaN, or with a key twice."""
    settings = coco(folder)
    path = choose.choice(sorted((folder / "annotations").glob("*.json")))
    text = json.dumps(json.loads(path.read_text()), ensure_ascii=False)
    depth = choose.randrange(2000, 10**5)
    encoding = choose.choice(["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    content, right = choose.choice(
        [
            (text[: choose.randrange(len(text))].encode(), None),
            (b"[" * depth, None),
            (b'{"images":' * depth, None),
            (text.replace('"id": ', '"id": NaN, "of": ', 1).encode(), None),
            (("{" + text[1:-1] + "," + text[1:]).encode(), None),
            (f"[{text}]".encode(), None),
            (text.encode() + b"{}", None),
            (text.replace('"id"', '"\udce4": 1, "id"', 1).encode("utf-8", "surrogateescape"), None),
            (text.encode(encoding), is_truth),
            (text.encode(encoding), is_truth),
        ]
    )
    path.write_bytes(content)
    return Case(settings, right, (path.name,))


def regions(choose, folder):
    """Visual Genome's lists, labels and region descriptions."""
    for part, samples in PARTS.items():
        (folder / f"{part}_list_500.txt").write_text("".join(f"{sample}.jpg\n" for sample in samples))
    index = {f"{n}.jpg": [NAMES.index(name) for name in labels(n)] for n in LABELS}
    entries = [{"id": n, "regions": [{"phrase": caption(n), "x": 1}, {"phrase": "sky"}]} for n in LABELS]
    settings = {
        "reader": "vg500",
        "folder": str(folder),
        "validation": 2,
        "images": False,
        "check_counts": False,
    }
    names, what, cut = ("region_descriptions.json",), choose.randrange(7), choose.randrange(1, 400)
    entry = choose.choice(entries)
    if what == 0:
        wrong(choose, entry, "id", "integer")
    elif what == 1:
        wrong(choose, entry, "regions", "list")
    elif what == 2:
        wrong(choose, choose.choice(entry["regions"]), "phrase", "text")
    elif what == 3:
        names = ("vg_category_500_labels_index.json",)
        name = choose.choice(sorted(index))
        value = choose.choice(["cat", None, 7, [None], ["1"], [1.5], [[1]], {"a": 1}])
        index[name] = value
    (folder / "vg_category_500_labels_index.json").write_text(json.dumps(index))
    text = json.dumps(entries)
    content = {4: text[:-cut], 5: choose.choice(["[", '[{"a":', '[{"id":1,"regions":[']) * 10**5}.get(
        what, text
    )
    (folder / "region_descriptions.json").write_text(content)
    if what < 6:
        return Case(settings, None, names)
    return Case(settings, lambda read, seen: {n: s[1] for n, s in seen.items()} == {
        n: f"{caption(n)}. sky" for n in LABELS}, names)  # fmt: skip


def table(folder, rows=None, *, write=None, end="\n", delimiter=",", encoding="utf-8", sep="|", **options):
    """Write a table; returns the settings that read it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerow(["n", "file", "text", "tags", "of"])
    for part, samples in PARTS.items():
        for n in samples:
            draw(folder / f"{n}.png", n)
            for cell in write(labels(n)) if write else [sep.join(labels(n))]:
                writer.writerow([n, f"{n}.png", caption(n), cell, part])
    for row in rows or ():
        writer.writerow(row)
    (folder / "birds.csv").write_bytes(text.getvalue().encode(encoding))
    columns = {"id": "n", "image": "file", "caption": "text", "labels": "tags", "part": "of"}
    settings = {"reader": "table", "folder": str(folder), "files": "birds.csv", "columns": columns}
    return settings | {"validation": 2} | options


def table_text(choose, folder):
    """Encodings, line ends and delimiters, as the settings name them and otherwise."""
    written = choose.choice(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1"])
    named = choose.choice([None, written, "cp1252", "utf-8"])
    delimiter = choose.choice([",", ";", "\t", "|"])
    told = choose.choice([delimiter, delimiter, delimiter, ","])
    settings = table(folder, encoding=written, delimiter=delimiter, end=choose.choice(["\n", "\r\n", "\r"]))
    options = {name: value for name, value in (("encoding", named), ("delimiter", told)) if value}
    marked = written in ("utf-8", "utf-8-sig", "utf-16")
    same = {"latin-1": "cp1252"}.get(written, written)
    legible = marked and named != "cp1252" or written in ("utf-8-sig", "utf-16")
    legible = legible or {"latin-1": "cp1252"}.get(named, named) == same
    names = ("birds.csv",) if told == delimiter else ()
    return Case(settings | options, is_truth if legible and told == delimiter else None, names)


def table_labels(choose, folder):
    """Labels with another separator than the setting's, as lists, or with a row for each."""
    written, told = choose.choice(["|", ";", ",", "\t", " ", "/", "||"]), choose.choice(["|", ";", None])
    options = {"separator": told} if told else {}
    write = choose.choice([None, None, lambda x: [repr(x)], lambda x: [json.dumps(x)], lambda x: x or [""]])
    settings = table(folder, write=write, sep=written, delimiter=choose.choice([",", ";"]))
    options["delimiter"] = (folder / "birds.csv").read_text()[1]
    if write is None:
        reads = written == (told or "|") or (written == "||" and (told or "|") == "|")
        return Case(settings | options, is_truth if reads else None, ("birds.csv, line", "separator"))
    return Case(settings | options, None, ("birds.csv, line",))


def table_rows(choose, folder):
    """Rows with cells that cannot be."""
    value, place = choose.choice(
        [("7.5", 0), ("x", 0), ("", 0), ("9" * 25, 0), ("1_0", 0), ("", 1), ("none.png", 1)]
        + [("dev", 4), ("", 4), ("few", 9), ("many", 9), ("1.png", 1), ("1", 0), ("\ud800", 0)][:-1]
    )
    row = ["99", "99.png", "x", "bird", "train"]
    draw(folder / "99.png", 9)
    row = row[:3] if value == "few" else [*row, "x"] if value == "many" else row
    if place < len(row):
        row[place] = value
    names = {"none.png": ("none.png",), "1": ("1",)}.get(value, ("birds.csv, line",))
    return Case(table(folder, [row]), None, names)


def parts(choose, folder):
    """Parts that number labels or samples otherwise, or share what they must not."""
    content = coco_content()
    test, train = content["instances_test"], content["instances_train"]
    what = choose.randrange(7)
    options, right, names = {}, None, ()
    if what in (0, 1):  # the same names under other numbers
        numbers = dict(zip([2, 5, 8], choose.sample(range(1, 50), 3), strict=True))
        for entry in test["categories"]:
            entry["id"] = numbers[entry["id"]]
        for entry in test["annotations"]:
            entry["category_id"] = numbers[entry["category_id"]]
        right = is_truth
    elif what == 2:
        name = choose.choice(NAMES)
        next(entry for entry in test["categories"] if entry["name"] == name)["name"] = "other"
        names = ("test", name, "other")
    elif what in (3, 4):  # numbered from the start in each part
        for entry in test["images"]:
            entry["id"] -= 10
        for entry in test["annotations"] + content["captions_test"]["annotations"]:
            entry["image_id"] -= 10
        names = ("sample", "test")
        if what == 4:
            options, places = {"renumber": True}, list(LABELS)
            right = lambda read, seen: seen == {n: TRUTH[s] for n, s in enumerate(places)}  # noqa: E731
    elif what == 5:
        one, other = choose.sample(train["images"], 2)
        one["file_name"] = other["file_name"]
        names = ("train", other["file_name"])
    else:
        other = choose.choice(train["images"])["file_name"]
        choose.choice(test["images"])["file_name"] = f"../train/{other}"
        names = ("test", other)
    return Case(coco(folder, content, **options), right, names)


def file_names(choose, folder):
    """Names that differ from those on disk by case, slashes, Unicode form or blanks."""
    content, settings = coco_content(), None
    part = choose.choice(list(PARTS))
    entry = choose.choice(content[f"instances_{part}"]["images"])
    disk = f"Süb dir/été {entry['id']}.Png"
    entry["file_name"] = disk
    for change in choose.sample(
        [
            lambda name: name.replace("/", "\\"),
            str.upper,
            str.lower,
            lambda name: unicodedata.normalize("NFD", name),
            lambda name: f" {name} ",
            lambda name: f"./{name}",
        ],
        choose.randrange(1, 4),
    ):
        entry["file_name"] = change(entry["file_name"])
    settings = coco(folder, content)
    form, twice = choose.choice(["NFC", "NFD"]), choose.random() < 0.2
    draw(folder / part / unicodedata.normalize(form, disk), entry["id"])
    if twice:
        draw(folder / part / unicodedata.normalize(form, disk.swapcase()), entry["id"])
        exact = (folder / part / entry["file_name"]).exists()
        return Case(settings, is_truth if exact else None, ("not on disk", "there: "))
    return Case(settings, is_truth)


def pictures(choose, folder):
    """Modes, formats, orientations and transparency, against what a viewer shows."""
    settings, random_pixels = coco(folder), np.random.default_rng(choose.randrange(2**32))
    part = choose.choice(list(PARTS))
    sample = choose.choice(PARTS[part])
    path = folder / part / f"{sample}.png"
    coarse = random_pixels.integers(0, 256, (2, 3, 3)).astype(np.uint8)
    pixels = np.kron(coarse, np.ones((8, 8, 1), np.uint8))  # (16, 24, 3)
    grey = pixels[..., 0]
    alpha = np.full((16, 24), choose.choice([0, 90, 255]), np.uint8)
    stored, expected = {
        "RGB": (pixels, pixels),
        "L": (grey, grey),
        "LA": (np.dstack([grey, alpha]), over_white(grey[..., None], alpha)),
        "RGBA": (np.dstack([pixels, alpha]), over_white(pixels, alpha)),
        "I;16": (grey.astype(np.uint16) * 257, grey),
        "1": (grey > 127, np.where(grey > 127, 255, 0)),
        "P": (np.digitize(grey, [64, 128, 192]).astype(np.uint8), None),
        "CMYK": (np.dstack([255 - pixels, np.zeros_like(grey)]), pixels),
    }[mode := choose.choice(["RGB", "L", "LA", "RGBA", "I;16", "1", "P", "CMYK"])]
    orientation = choose.randrange(1, 9)
    image = Image.fromarray(
        np.ascontiguousarray(lain(stored, orientation)), mode if mode in ("LA", "CMYK") else None
    )
    kinds = {
        "I;16": ["PNG", "TIFF"],
        "CMYK": ["JPEG", "TIFF"],
        "LA": ["PNG"],
        "RGBA": ["PNG", "TIFF", "WEBP"],
    }
    if mode == "P":
        image, palette = image.convert("L"), random_pixels.integers(0, 256, (4, 3)).astype(np.uint8)
        image = Image.frombytes("P", image.size, image.tobytes())
        image.putpalette(palette.tobytes())
        clear = choose.choice([None, 0, 3])
        image.info |= {} if clear is None else {"transparency": clear}
        expected = palette[stored].astype(int)
        expected[stored == clear] = 255
    exif, save = (
        Image.Exif(),
        choose.choice(kinds.get(mode, ["PNG"] if mode in ("P", "1") else ["PNG", "TIFF", "JPEG", "WEBP"])),
    )
    exif[0x0112] = orientation
    image.save(
        path,
        save,
        exif=exif,
        **({"lossless": True} if save == "WEBP" else {"quality": 98} if save == "JPEG" else {}),
    )
    expected = np.broadcast_to(
        expected if np.ndim(expected) == 3 else expected[..., None], (16, 24, 3)
    ).astype(int)

    def right(read, seen):
        split, row = next((s, s.ids.tolist().index(sample)) for s in read.values() if sample in s.ids)
        shown = np.asarray(split.image(row)).astype(int)
        return shown.shape == expected.shape and np.abs(shown - expected).mean() < (
            6 if save == "JPEG" else 1
        )

    return Case(settings, right, (path.name,))


def over_white(pixels, alpha):
    share = alpha[..., None] / 255
    return pixels * share + 255 * (1 - share)


def lain(pixels, orientation):
    """Pixels as a camera stores them that are to be seen as they are here."""
    swap = lambda array: array.swapaxes(0, 1)  # noqa: E731
    return {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: swap,
        6: lambda a: swap(a)[::-1],
        7: lambda a: swap(a[::-1, ::-1]),
        8: lambda a: swap(a)[:, ::-1],
    }[orientation](pixels)


def no_pictures(choose, folder):
    """Files under a picture's name that are cut short, run a program, fill the memory, or are no files."""
    settings = coco(folder)
    part = choose.choice(list(PARTS))
    path = folder / part / f"{choose.choice(PARTS[part])}.png"
    whole = path.read_bytes()
    header = header_of(*choose.choice([(13000, 13000), (10**6, 10**6), (1, 90000), (2**31 - 1, 1), (0, 5)]))
    content = choose.choice(
        [
            whole[: choose.randrange(len(whole) - 30)],
            header,
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n%%EndComments\n",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            choose.randbytes(choose.randrange(1, 300)),
            "pipe",
            "folder",
        ]
    )
    path.unlink()
    if content == "pipe":
        os.mkfifo(path)
    elif content == "folder":
        path.mkdir()
    else:
        path.write_bytes(content)
    return Case(settings, None, (path.name,))


def header_of(width, height):
    """A PNG that says it has these dimensions, and has nothing."""
    ihdr = b"IHDR" + struct.pack(">II5B", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + ihdr + struct.pack(">I", zlib.crc32(ihdr))
    return start + bytes(4) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))


def prepared(choose, folder):
    """Prepared files with bytes that are other, gone, or all gone: they are made again."""
    settings = coco(folder)
    data_prep.splits(settings)
    path = choose.choice(sorted((cache_root() / "prepared").glob("*/*.json")))
    whole = path.read_bytes()
    place = choose.randrange(len(whole))
    flipped = bytes([whole[place] ^ choose.randrange(1, 256)])
    content = choose.choice(
        [whole[:place] + flipped + whole[place + 1 :]] * 3
        + [whole[:place], b"", b"null", b"[" * 10**5, whole.replace(b'"labels": [[', b'"labels": [[0, ', 1)]
    )
    path.write_bytes(content)
    return Case(settings, is_truth)


def layouts(choose, folder):
    """Published layouts with a damaged line, record or annotation."""
    return choose.choice([voc, ag_news, tiny_imagenet, cifar100])(choose, folder)


def voc(choose, folder):
    for inner in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / inner).mkdir(parents=True)
    text = "<annotation><object><name>dog</name><difficult>0</difficult></object></annotation>"
    for n in LABELS:
        (folder / "Annotations" / f"{n:06d}.xml").write_text(text)
        draw(folder / "JPEGImages" / f"{n:06d}.jpg", n)
    for part, samples in PARTS.items():
        (folder / "ImageSets" / "Main" / f"{part}.txt").write_text("".join(f"{n:06d}\n" for n in samples))
    path = folder / "Annotations" / f"{choose.choice(list(LABELS)):06d}.xml"
    entities = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    content = choose.choice(
        [
            text[: choose.randrange(len(text))],
            text.replace("dog", "dragon"),
            text.replace(">0<", ">maybe<"),
            "<html><body/></html>",
            f"{entities}]>" + text.replace("dog", "&j;"),
            '<?xml version="1.0" encoding="no-such"?>' + text,
        ]
    )
    path.write_text(content)
    settings = {"reader": "voc", "folder": str(folder), "parts": {"train": "train", "test": "test"}}
    return Case(settings | {"validation": 2, "check_counts": False}, None, (path.name,))


def ag_news(choose, folder):
    (folder / "classes.txt").write_text("World\nSports\n")
    for part, samples in PARTS.items():
        (folder / f"{part}.csv").write_text("".join(f'"{n % 2 + 1}","t {n}","x"\n' for n in samples))
    path = folder / f"{choose.choice(list(PARTS))}.csv"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[choose.randrange(len(lines))] = choose.choice(
        [b'"3","a","b"\n', b'"","a","b"\n', b'"1","a"\n', b'"1","a","b","c"\n', b'"1","caf\xe9","b"\n']
        + [b'"1.0","a","b"\n', b'"1","a\0","b"\n', b'"1","a"b","c"\n', b'"1","' + b"a" * 200000 + b'","b"\n']
    )
    path.write_bytes(b"".join(lines))
    settings = {"reader": "ag_news", "folder": str(folder), "validation": 2, "check_counts": False}
    return Case(settings, None, (path.name, "line"))


def tiny_imagenet(choose, folder):
    (folder / "wnids.txt").write_text("n1\nn2\n")
    (folder / "words.txt").write_text("n1\tbird\nn2\ttree\n")
    for n in PARTS["train"]:
        draw(folder / "train" / f"n{n % 2 + 1}" / "images" / f"n{n % 2 + 1}_{n}.JPEG", n)
    for n in PARTS["test"]:
        draw(folder / "val" / "images" / f"val_{n}.JPEG", n)
    lines = [f"val_{n}.JPEG\tn1\t0\t0\t1\t1\n" for n in PARTS["test"]]
    lines[choose.randrange(3)] = choose.choice(
        [
            "val_11.JPEG\n",
            "val_11.JPEG\tn9\n",
            "11.JPEG\tn1\n",
            f"val_{'9' * 30}.JPEG\tn1\n",
            "val_x.JPEG\tn1\n",
        ]
    )
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    settings = {"reader": "tiny_imagenet", "folder": str(folder), "validation": 2, "check_counts": False}
    return Case(settings, None, ("JPEG",))


def cifar100(choose, folder):
    for part, samples in PARTS.items():
        (folder / f"{part}.bin").write_bytes(b"".join(bytes([0, n]) + bytes([n]) * 3072 for n in samples))
    for kind, count in (("fine", 100), ("coarse", 20)):
        (folder / f"{kind}_label_names.txt").write_text("".join(f"{kind} {n}\n" for n in range(count)))
    path = folder / choose.choice(["train.bin", "test.bin", "fine_label_names.txt"])
    whole = path.read_bytes()
    cut = whole[: choose.randrange(1, len(whole) - 1)]
    cut = cut if len(cut) % 3074 else cut[:-1]
    other = whole[:1] + b"\xff" + whole[2:] if path.suffix == ".bin" else b"\xff" + whole
    path.write_bytes(choose.choice([cut, other, b""]))
    settings = {"reader": "cifar100", "folder": str(folder), "validation": 2, "check_counts": False}
    return Case(settings, None, (path.name,))


KINDS = (coco_fields, coco_ids, json_bytes, regions, table_text, table_labels, table_rows, parts, file_names)
KINDS += (pictures, no_pictures, prepared, layouts)


@contextmanager
def cache_of_its_own():
    """What is prepared meanwhile lies in a folder that is empty before and gone after."""
    before = os.environ.get("DIFFFEAT_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DIFFFEAT_CACHE"] = folder
        try:
            yield
        finally:
            os.environ.pop("DIFFFEAT_CACHE")
            if before is not None:
                os.environ["DIFFFEAT_CACHE"] = before


def tried(kind, each, seed, show=False):
    """How often each outcome came, of `each` inputs of a kind."""
    counts = Counter()
    for number in range(each):
        with tempfile.TemporaryDirectory() as folder, cache_of_its_own():
            came, what = outcome(kind(random.Random(f"{kind.__name__} {seed} {number}"), Path(folder)))
        counts[came] += 1
        if show and came not in OUTCOMES[:2]:
            print(f"  {kind.__name__} {number}: {came}: {what}", file=sys.stderr)
    return counts


def main(arguments=None):
    """Print the table; returns whether all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--each", type=int, default=24, help="inputs of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print what is not as it should be")
    args = parser.parse_args(arguments)
    total = Counter()
    print(f"{'kind':16} {'tried':>6} " + " ".join(f"{name:>14}" for name in OUTCOMES))
    for kind in KINDS:
        counts = tried(kind, args.each, args.seed, args.show)
        total += counts
        print(line(kind.__name__, counts))
    print(line("all", total))
    print(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    return not any(total[name] for name in OUTCOMES[2:])


def line(name, counts):
    return f"{name:16} {counts.total():6} " + " ".join(f"{counts[outcome]:14}" for outcome in OUTCOMES)


if __name__ == "__main__":
    sys.exit(not main())
