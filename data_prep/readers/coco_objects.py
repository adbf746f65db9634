"""What COCO's format says of single pixels and points: masks as label maps, keypoints of objects.

A mask is a list of polygons, or run lengths: column by column, starting with the zeros, as a list of numbers.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from difffeat.base.checked import INTEGER, LABEL, TEXT, Kind, json_object, many, rows, shown, take
from difffeat.features.dense import Annotated, LabelMaps

NUMBER = Kind("a number", lambda value: type(value) in (int, float))
RUNS = Kind("an integer from 0", lambda value: type(value) is int and value >= 0)
BOX = Kind(
    "a list of left, top, width and height",
    lambda value: type(value) is list and len(value) == 4 and all(map(NUMBER.holds, value)),
)
BACKGROUND = "background"


def maps(path: Path | str) -> LabelMaps:
    """The label maps of an `instances_*.json`: background, and the categories in the order of their ids.

    Where objects overlap the later one of the file counts.

    Raises
    ------
    ValueError
        If the file is not of this format, or a mask is none; the message names the file and the annotation.
    """
    path = Path(path)
    content = json_object(path, "a file in COCO's format")
    names, classes = _classes(path, content)
    sizes = {
        image: (height, width)
        for image, width, height in rows(path, content, "images", id=INTEGER, width=RUNS, height=RUNS)
    }
    of_image = {image: [] for image in sizes}
    listed = rows(path, content, "annotations", image_id=INTEGER, category_id=INTEGER)
    for (image, category), entry in zip(listed, content["annotations"], strict=True):
        _check_known(path, entry, image, category, sizes, classes)
        of_image[image].append((classes[category], entry))
    return LabelMaps((BACKGROUND, *names), partial(_drawn, path, sizes, of_image))


def _drawn(path, sizes, of_image, image):
    """The label map (H, W) of one image, uint8."""
    if image not in sizes:
        raise ValueError(f"{path} does not list image {image}")
    found = np.zeros(sizes[image], np.uint8)
    for label, entry in of_image[image]:
        found[mask_of(entry, f"{path}: annotation {entry.get('id')}", sizes[image])] = label
    return found


def _classes(path, content):
    """Names in the order of category ids, and the class of each, from 1."""
    listed = sorted(rows(path, content, "categories", id=INTEGER, name=LABEL))
    names = [name for _, name in listed]
    if len(set(names)) < len(names) or len({number for number, _ in listed}) < len(names):
        raise ValueError(f"{path}: categories have a name or an id more than once; give each its own")
    return names, {number: place for place, (number, _) in enumerate(listed, start=1)}


def _check_known(path, entry, image, category, images, classes):
    for what, value, known in (("image", image, images), ("category", category, classes)):
        if value not in known:
            raise ValueError(
                f"{path}: annotation {shown(entry.get('id'))} has {what} {value}, which is not in the list"
            )


def mask_of(entry: Mapping, where: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """The mask of an annotation, bool (H, W).

    Parameters
    ----------
    entry : dict with a `segmentation`: {"counts": run lengths, "size": [H, W]}, or a list of polygons
    where : str, what an error calls the annotation
    size : (H, W) of the image, for polygons and to be checked

    Raises
    ------
    ValueError
        If it is neither, or its run lengths do not make up a picture of that size.
    """
    given = entry.get("segmentation")
    if type(given) is list and size is not None:
        return _filled(given, where, size)
    counts, of_size = take(f"{where}: segmentation", given, counts=many(RUNS), size=many(RUNS))
    if len(of_size) != 2 or sum(counts) != of_size[0] * of_size[1] or size not in (None, tuple(of_size)):
        raise ValueError(
            f"{where}: run lengths of {sum(counts)} pixels, size {of_size}; expected those of "
            f"{list(size or of_size)} rows and columns"
        )
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(of_size, order="F")


def _filled(polygons, where, size):
    """A mask of polygons, each a list of x, y, x, y, ..."""
    canvas = Image.new("1", size[::-1])
    for polygon in polygons:
        if not many(NUMBER).holds(polygon) or len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(
                f"{where}: a polygon is {shown(polygon)}; expected x, y of at least three corners"
            )
        ImageDraw.Draw(canvas).polygon(list(zip(polygon[::2], polygon[1::2], strict=True)), fill=1)
    return np.array(canvas)


def objects(path: Path | str, content: dict | None = None) -> list[Annotated]:
    """The objects with keypoints of a file in COCO's keypoint layout, with those that are seen.

    Parameters
    ----------
    path : path of the file
    content : dict, what it holds, where that was read before

    Raises
    ------
    ValueError
        If the file is not of this layout; the message names the file and the entry.
    """
    path = Path(path)
    content = json_object(path, "a file in COCO's keypoint layout") if content is None else content
    named = {
        category: (name, points)
        for category, name, points in rows(
            path, content, "categories", id=INTEGER, name=LABEL, keypoints=many(TEXT)
        )
    }
    images = {image for (image,) in rows(path, content, "images", id=INTEGER)}
    found = []
    kinds = dict(image_id=INTEGER, category_id=INTEGER, bbox=BOX, keypoints=many(NUMBER))
    listed = rows(path, content, "annotations", **kinds)
    for entry, (image, category, box, points) in zip(content["annotations"], listed, strict=True):
        _check_known(path, entry, image, category, images, named)
        found.append(_object(path, entry, image, named[category], box, points))
    return found


def _object(path, entry, image, named, box, points):
    name, parts = named
    if len(points) != 3 * len(parts):
        raise ValueError(
            f"{path}: annotation {shown(entry.get('id'))} has {len(points)} numbers of keypoints; expected "
            f"x, y and visibility of each of {len(parts)}"
        )
    left, top, width, height = box
    seen = {part: points[3 * k : 3 * k + 2] for k, part in enumerate(parts) if points[3 * k + 2] == 2}
    return Annotated(image, name, (left, top, left + width, top + height), seen)
