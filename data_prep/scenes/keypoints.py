"""Named keypoints of the things in scenes, in COCO's layout, beside the instances that are there.

A category has five: the ends of its silhouette and its middle, each a place on the thing itself. They are
found once in the category's own box and go through the flip, stretch, turn, size and place of a thing, so
that the nose of a fish is its `left` wherever it swims. The layout of a scene and the masks that were
written decide them: no picture is needed, and none changes.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from data_prep.readers.coco_objects import mask_of
from data_prep.scenes.drawing import SHAPES, to_pixels
from data_prep.scenes.world import CATEGORIES, COUNT_SHARE, Scene, Thing, layout
from difffeat.base.checked import INTEGER, Kind, json_object, rows, take
from difffeat.base.files import only_writer, write_whole

NAMES = ("left", "right", "top", "bottom", "centre")
SKELETON = [[1, 5], [2, 5], [3, 5], [4, 5]]  # counted from 1, as COCO's
# A flip of these is not to be seen, so that their left is the picture's.
SYMMETRIC = frozenset({"sun", "cloud", "tree", "castle", "car", "balloon", "rocket", "bottle", "cake"})
END = 0.12  # of the width or height of a thing: so far does one of its ends reach
FINE = 256  # pixels of the box in which the ends are found
OBJECT = Kind("an object", lambda value: type(value) is dict)
REACH = 1.2  # of that box: some shapes are a little larger than their own, which has side 2


def keypoints(thing: Thing, mask: np.ndarray) -> list[float]:
    """COCO's keypoints of a thing: x, y and visibility of each of `NAMES`, one after the other.

    Parameters
    ----------
    thing : Thing
    mask : bool array of shape (side, side), its visible pixels

    Returns
    -------
    list of 15 numbers
        In pixels, 0 at the left and upper edge of the picture. Visibility is 2 where the thing is seen there,
        1 where something stands in front, and 0, with x and y, outside of the picture.
    """
    side, found = len(mask), []
    for x, y in np.round(to_pixels(_places(thing.category), _seen(thing), side), 1).tolist():
        inside = 0 <= x < side and 0 <= y < side
        found += [x, y, 1 + bool(mask[int(y), int(x)])] if inside else [0, 0, 0]
    return found


def fields(points: list[float]) -> dict:
    """What an annotation of COCO's says of keypoints, from those of `keypoints`."""
    return {"keypoints": points, "num_keypoints": sum(seen > 0 for seen in points[2::3])}


def posed(content: dict, annotations: list[dict]) -> dict:
    """A file of instances as one of keypoints: with these annotations, and named parts in its categories."""
    told = {"keypoints": list(NAMES), "skeleton": SKELETON}
    categories = [category | told for category in content.get("categories", [])]
    return content | {"annotations": annotations, "categories": categories}


def _seen(thing):
    """The thing as it looks: where a flip is not to be seen, without it."""
    return Thing(**vars(thing) | {"flip": 1}) if thing.category in SYMMETRIC else thing


@cache
def _places(category):
    """The keypoints in a category's own box of side 2, (5, 2); y grows down."""
    silhouette = Image.new("1", (FINE, FINE))
    pen = ImageDraw.Draw(silhouette)
    for colour, points in SHAPES[category]:
        corners = (points / REACH + 1) * FINE / 2
        pen.polygon([tuple(corner) for corner in corners], fill=int(colour != "hole"))
    rows, columns = np.nonzero(np.asarray(silhouette))
    pixels = ((np.stack([columns, rows], axis=1) + 0.5) * 2 / FINE - 1) * REACH  # (n, 2)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    near, far = low + END * (high - low), high - END * (high - low)
    ends = (pixels[:, 0] <= near[0], pixels[:, 0] >= far[0], pixels[:, 1] <= near[1], pixels[:, 1] >= far[1])
    return np.stack([_middle(pixels[end]) for end in ends] + [_middle(pixels)])


def _middle(pixels):
    """The pixel that is nearest to the mean of some."""
    return pixels[np.linalg.norm(pixels - pixels.mean(axis=0), axis=1).argmin()]


def annotated(scene: Scene, instances: list[dict], path: Path | str) -> list[dict]:
    """Instances of one scene with their keypoints, as COCO has them.

    Parameters
    ----------
    scene : Scene
    instances : list of dicts, of its things in the order in which they are drawn
    path : where they were read, for an error

    Raises
    ------
    ValueError
        If they are not of the things of this scene.
    """
    said = [entry.get("category_id") for entry in instances]
    if said != [CATEGORIES.index(thing.category) + 1 for thing in scene.things]:
        raise ValueError(
            f"{path}: image {scene.index + 1} has annotations of categories {said}; expected those of the "
            f"{len(scene.things)} things of scene {scene.index} of seed {scene.seed}"
        )
    found = []
    for thing, entry in zip(scene.things, instances, strict=True):
        points = keypoints(thing, mask_of(entry, f"{path}: annotation {entry.get('id')}"))
        found.append(entry | fields(points))
    return found


def with_keypoints(content: dict, path: Path | str) -> dict:
    """What `keypoints_<part>.json` holds: all that the instances of that part say, and keypoints.

    Parameters
    ----------
    content : dict, of the file of instances
    path : of that file, for an error

    Raises
    ------
    ValueError
        If the instances are not those of scenes; the message names the file.
    """
    (info,) = take(str(path), content, info=OBJECT)
    (seed,) = take(f"{path}: info", info, seed=INTEGER)
    most = 1 if info.get("kind") == "single" else len(COUNT_SHARE)
    of_image = {image: [] for (image,) in rows(path, content, "images", id=INTEGER)}
    listed = rows(path, content, "annotations", image_id=INTEGER)
    for (image,), entry in zip(listed, content["annotations"], strict=True):
        if image not in of_image:
            raise ValueError(f"{path}: annotation {entry.get('id')} is of image {image}, which is not listed")
        of_image[image].append(entry)
    things = []
    for image, entries in of_image.items():
        things += annotated(layout(seed, image - 1, most=most), entries, path)
    return posed(content, things)


def complete(folder: Path | str, part: str) -> Path:
    """The path of `annotations/keypoints_<part>.json`, written now where scenes were drawn without it.

    Raises
    ------
    ValueError
        As `with_keypoints`.
    OSError
        If the file cannot be written.
    """
    path = Path(folder) / "annotations" / f"keypoints_{part}.json"
    if not path.is_file():
        instances = path.with_name(f"instances_{part}.json")
        with only_writer(path):
            body = with_keypoints(json_object(instances), instances)
            write_whole(path, json.dumps(body, separators=(",", ":")).encode())
    return path
