"""Reader of SPair-71k: objects of 18 categories with keypoints, and the pairs of images that are compared.

Layout, as `SPair-71k.tar.gz` unpacks:

    SPair-71k/Layout/large/{trn,val,test}.txt           a pair a line:
    000001-2007_000032-2007_000256:aeroplane SPair-71k/ImageAnnotation/aeroplane/2007_000032.json
    category, bndbox and kps: name to [x, y], or null SPair-71k/JPEGImages/aeroplane/2007_000032.jpg

What `PairAnnotation` says of a pair follows from the annotations of its two images, and is not read.
"""

import re
from functools import cache
from pathlib import Path

from data_prep.readers.reading import check_count, check_parts, listed, there, unpacked
from difffeat.base.checked import TEXT, Kind, json_object, shown, take
from difffeat.features.datasets import Split
from difffeat.features.dense import Annotated
from difffeat.features.prepared import multi_hot

NAMES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair"),
    *("cow", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "train", "tvmonitor"),
)
LISTS = {"train": "trn", "val": "val", "test": "test"}
SIZES = ("large", "small")
COUNTS = {"trn": 53_340, "val": 5_384, "test": 12_234}  # pairs of the large lists
PAIR = re.compile(r"\d+-(\d{4}_\d{6})-(\d{4}_\d{6}):(\w+)")


def _numbers(count):
    """A kind: a list of so many numbers."""
    return Kind(
        f"a list of {count} numbers",
        lambda value: (
            type(value) is list and len(value) == count and all(type(one) in (int, float) for one in value)
        ),
    )


BOX, POINT = _numbers(4), _numbers(2)
POINTS = Kind(
    "an object of keypoints, each [x, y] or null",
    lambda value: type(value) is dict and all(one is None or POINT.holds(one) for one in value.values()),
)


def gives(**_: object) -> set[str]:
    """What a page can find in these data."""
    return {"images", "one class", "keypoints"}


def sources(folder: Path | str, *, size: str = "large", **_: object) -> list[Path]:
    """The lists of pairs, and the folders of annotations, which tell of files that come or go."""
    root = _root(folder)
    lists = [_list(root, size, part) for part in LISTS]
    return lists + sorted((root / "ImageAnnotation").glob("*"))


def read(folder: Path | str, *, size: str = "large", check_counts: bool = True) -> dict[str, Split]:
    """Train, val and test of SPair-71k: the images of the pairs of each list, in the order of the lists.

    Sample ids are 10^10 times the place of the category, from 1, plus the digits of the image's name: an
    image may show objects of two categories, and is there once for each.

    Parameters
    ----------
    folder : path of the folder that holds SPair-71k, or of that folder
    size : str, "large" or "small", which lists of pairs are read
    check_counts : bool, whether the large lists must have as many pairs as were published

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError
        If a list or an image is not on disk.
    ValueError
        If a line is no pair, names an unknown category, or a list has another length than published; the
        message names the file and the line.
    """
    root, read = _root(folder), {}
    check_parts(LISTS)
    for part, stem in LISTS.items():
        path = _list(root, size, part)
        pairs = _lines(path)
        if check_counts and size == "large":
            check_count(path, len(pairs), COUNTS[stem], "pairs")
        images = list(dict.fromkeys(image for pair in pairs for image in pair))
        ids = [_id(*image) for image in images]
        labels = multi_hot([[NAMES.index(category)] for category, _ in images], NAMES, ids)
        files = [root / "JPEGImages" / category / f"{name}.jpg" for category, name in images]
        read[part] = Split(part, ids, NAMES, labels, images=files, dataset="spair")
    return read


def objects(folder: Path | str, part: str, *, size: str = "large", **_: object) -> list[Annotated]:
    """The object of every image of a part, with the keypoints that are seen.

    Raises
    ------
    ValueError
        If the annotation of an image is none of SPair-71k; the message names the file and the field.
    """
    root = _root(folder)
    return [_object(root, *image) for image in _images(_list(root, size, part))]


def pairs(folder: Path | str, part: str, *, size: str = "large", **_: object) -> list[tuple[int, int]]:
    """The pairs of a part's list: places of source and target among its `objects`."""
    path = _list(_root(folder), size, part)
    places = {image: place for place, image in enumerate(_images(path))}
    return [(places[source], places[target]) for source, target in _lines(path)]


def _images(path):
    return list(dict.fromkeys(image for pair in _lines(path) for image in pair))


def _object(root, category, name):
    path = root / "ImageAnnotation" / category / f"{name}.json"
    content = json_object(path, "the annotation of an image on the list")
    said, box, points = take(str(path), content, category=TEXT, bndbox=BOX, kps=POINTS)
    if said != category:
        raise ValueError(f"{path} is of category {shown(said)}; expected {category}, by its folder")
    seen = {key: tuple(point) for key, point in points.items() if point is not None}
    return Annotated(_id(category, name), category, tuple(box), seen)


@cache
def _lines(path):
    """((category, source), (category, target)) of every line of a list."""
    found = []
    for line, number in listed(path).items():
        match = PAIR.fullmatch(line)
        if not match or match[3] not in NAMES:
            raise ValueError(
                f"{path}, line {number}: {shown(line)} is no pair; expected one as in "
                f"000001-2007_000032-2007_000256:aeroplane, of one of the {len(NAMES)} categories"
            )
        found.append(((match[3], match[1]), (match[3], match[2])))
    return found


def _id(category, name):
    return 10**10 * (NAMES.index(category) + 1) + int(name.replace("_", ""))


def _root(folder):
    root = unpacked(folder, "SPair-71k")
    there(root / "ImageAnnotation", "the layout of SPair-71k with its ImageAnnotation, Layout, JPEGImages")
    return root


def _list(root: Path, size: str, part: str) -> Path:
    if size not in SIZES:
        raise ValueError(f"the setting `size` is {shown(size)}; expected one of {', '.join(SIZES)}")
    return there(root / "Layout" / size / f"{LISTS[part]}.txt", "a list of pairs of SPair-71k")
