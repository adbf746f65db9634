"""Reader of the people of MS-COCO 2017: one a picture, with up to 17 named keypoints.

Layout, as its archives unpack:

    annotations/person_keypoints_{train2017,val2017}.json
    {train2017,val2017}/000000000139.jpg

or the two files of `coco_small`. A person is cut out of a photo: the square around its box, as far as the
photo reaches. Those that are smaller than `LEAST` pixels are left out, those without a keypoint that is seen,
and those in whose square the middle of another person lies: there would be two right places for a keypoint.
"""

from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_prep.readers import coco_objects, coco_small, packed
from data_prep.readers.reading import mixed, there
from difffeat.base.checked import FILE, INTEGER, json_object, rows, shown
from difffeat.features.datasets import Split
from difffeat.features.dense import Annotated
from difffeat.features.pictures import picture

NAMES = ("person",)
STEMS = {"train": "train2017", "val": "train2017", "test": "val2017"}  # test of COCO is not published
LEAST = 32  # pixels of the longer side of a person's box
CUT_OUT = "coco_people-1"  # where squares are kept; the number counts what is cut out of the same photos


class Person(NamedTuple):
    """A person that is cut out: the photo it is in, its square there, and what is known of it in that."""

    image: int
    photo: Path
    square: tuple[int, int, int, int]
    annotated: Annotated


def gives(**_: object) -> set[str]:
    """What a page can find in these data."""
    return {"images", "keypoints"}


def sources(folder: Path | str, **_: object) -> list[Path]:
    """The annotations."""
    root = coco_small.laid_out(folder)
    return [_listed(root, stem) for stem in dict.fromkeys(STEMS.values())]


def read(folder: Path | str, *, validation: int = 2000) -> dict[str, Split]:
    """Train, val and test of the people, in an order that depends on their ids alone.

    Sample ids are those of the annotations; every label is "person". Val is held out of train by photos, so
    that no photo is in both.

    Parameters
    ----------
    folder : path of the folder that holds the layout, or the two files
    validation : int, photos of train2017 whose people are val

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError
        If the annotations or a photo are not on disk.
    ValueError
        If a file is not of this layout, or there are not more photos than val takes; the message names it.
    """
    root = coco_small.laid_out(folder)
    found = {stem: _people(root, stem) for stem in dict.fromkeys(STEMS.values())}
    files = {stem: _cut_out(root, stem, people) for stem, people in found.items()}
    held = _held_out(found[STEMS["val"]], validation)
    read = {}
    for part, stem in STEMS.items():
        places = [
            place
            for place, one in enumerate(found[stem])
            if part == "test" or (one.image in held) == (part == "val")
        ]
        ids = [found[stem][place].annotated.image for place in places]
        images, labels = [files[stem][place] for place in places], np.ones((len(ids), len(NAMES)), np.uint8)
        read[part] = Split(part, ids, NAMES, labels, images=images, dataset="coco_people")
    return mixed(read)


def objects(folder: Path | str, part: str, **_: object) -> list[Annotated]:
    """The people of a part with the keypoints that are seen, in pixels of their squares.

    Those of train and val come together, as they are published.
    """
    return [one.annotated for one in _people(coco_small.laid_out(folder), STEMS[part])]


def _listed(root, stem):
    path = root / "annotations" / f"person_keypoints_{stem}.json"
    return there(path, "the layout of MS-COCO 2017 with its keypoints")


def _people(root, stem) -> list[Person]:
    """Those of a part that are cut out, in the order of the file."""
    path = _listed(root, stem)
    content = json_object(path, "a file in COCO's keypoint layout")
    everyone = coco_objects.objects(path, content)
    ids = [sample for (sample,) in rows(path, content, "annotations", id=INTEGER)]
    photos = {
        image: (root / stem / file, width, height)
        for image, file, width, height in rows(
            path, content, "images", id=INTEGER, file_name=FILE, width=INTEGER, height=INTEGER
        )
    }
    in_photo = defaultdict(list)
    for one in everyone:
        in_photo[one.image].append(_middle(one.box))
    found = []
    for sample, one in zip(ids, everyone, strict=True):
        photo, *size = photos[one.image]
        square = _square(one.box, size)
        large = max(one.box[2] - one.box[0], one.box[3] - one.box[1]) >= LEAST
        if one.points and large and sum(_within(square, middle) for middle in in_photo[one.image]) == 1:
            found.append(Person(one.image, photo, square, _moved(one, sample, square[:2])))
    if not found:
        raise ValueError(f"{path} has no person that can be cut out: see the description of this reader")
    return found


def _middle(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _within(square, point):
    return square[0] <= point[0] <= square[2] and square[1] <= point[1] <= square[3]


def _square(box, size):
    """The square around a box, moved into the picture and cut where it does not fit, in whole pixels."""
    edge, ends = max(box[2] - box[0], box[3] - box[1]), []
    for middle, length in zip(_middle(box), size, strict=True):
        low = max(0.0, min(middle - edge / 2, length - edge))
        ends.append((int(low), min(length, int(np.ceil(low + edge)))))
    (left, right), (top, bottom) = ends
    return left, top, right, bottom


def _moved(one, sample, origin):
    """A person as it lies in its square, whose corner is at `origin` of the photo."""
    left, top = origin
    box = tuple(value - origin[place % 2] for place, value in enumerate(one.box))
    points = {name: (x - left, y - top) for name, (x, y) in one.points.items()}
    return replace(one, image=sample, box=box, points=points)


def _held_out(people, count) -> set[int]:
    """The photos that val takes."""
    photos = sorted({one.image for one in people})
    if type(count) is not int or not 0 < count < len(photos):
        raise ValueError(
            f"cannot hold {shown(count)} of {len(photos)} photos out for val: set `validation` to a number "
            f"of photos that is smaller"
        )
    return set(np.random.default_rng(0).choice(photos, size=count, replace=False).tolist())


def _cut_out(root, stem, people):
    """Files of the squares, in the order of the people."""
    return packed.unpack(_listed(root, stem), range(len(people)), partial(_png, people), CUT_OUT)


def _png(people, place):
    photo = there(people[place].photo, "a photo of MS-COCO")
    try:
        return packed.as_png(picture(photo).crop(people[place].square))
    except (OSError, ValueError) as error:
        raise ValueError(f"{photo} cannot be decoded: {error}") from error
