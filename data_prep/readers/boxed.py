"""Labels that the boxes of a file in COCO's format give: whether a picture has something large or small, and
where something is.

N samples, K labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_prep.readers.coco_objects import BOX, RUNS
from difffeat.base.checked import INTEGER, json_object, rows
from difffeat.features.datasets import Split

FIELDS = ("object", "size", "place")
SIZES = ("something large", "something small")
THIRDS = ("something on the left", "something on the right", "something above", "something below")


def with_fields(
    split: Split, instances: Path | str, fields: Sequence[str], *, small: float, large: float
) -> Split:
    """A split with labels of several kinds, `Split.kinds` among them; the samples stay.

    Parameters
    ----------
    split : Split, with a label for each category
    instances : path of the `instances_*.json` that it was read from
    fields : which of `FIELDS` make labels, in this order. "object": the categories. "size": two labels, for a
        picture with a box of at least `large`, and for one with a box below `small`. "place": four labels,
        for a picture with the middle of a box in its left, right, upper or lower third.
    small, large : float, areas of a box as shares of the picture's

    Raises
    ------
    ValueError
        If a field is unknown or named twice, not 0 < small <= large < 1, or the file is not of this format.
    """
    if set(fields) - set(FIELDS) or len(set(fields)) < len(fields):
        raise ValueError(f"fields are {list(fields)}; expected some of {', '.join(FIELDS)}, each once")
    if not 0 < small <= large < 1:
        raise ValueError(f"small is {small} and large {large}; expected 0 < small <= large < 1")
    boxes = _boxes(Path(instances))
    told = {
        "object": (split.names, split.labels),
        "size": (SIZES, _rows(split, boxes, lambda found: _sizes(found, small, large))),
        "place": (THIRDS, _rows(split, boxes, _places)),
    }
    return replace(
        split,
        names=[name for field in fields for name in told[field][0]],
        kinds=[field for field in fields for _ in told[field][0]],
        labels=np.concatenate([told[field][1] for field in fields], axis=1),
    )


def _boxes(path) -> Mapping[int, np.ndarray]:
    """{image id: left, top, width and height of each thing that is seen, as shares of its sides}, (n, 4)."""
    content = json_object(path, "a file in COCO's format")
    sides = {
        image: (width, height)
        for image, width, height in rows(path, content, "images", id=INTEGER, width=RUNS, height=RUNS)
    }
    found = {image: [] for image in sides}
    for image, box in rows(path, content, "annotations", image_id=INTEGER, bbox=BOX):
        if box[2] * box[3] > 0:
            found[image].append(np.array(box) / (2 * sides[image]))
    return {image: np.reshape(boxes, (-1, 4)) for image, boxes in found.items()}


def _rows(split, boxes, judge) -> np.ndarray:
    """Labels (N, K): for each picture whether any of its boxes has each of K properties."""
    return np.array([judge(boxes[image]).any(axis=0) for image in split.ids.tolist()], dtype=np.uint8)


def _sizes(boxes, small, large) -> np.ndarray:
    area = boxes[:, 2] * boxes[:, 3]
    return np.stack([area >= large, area < small], axis=1)


def _places(boxes) -> np.ndarray:
    x, y = (boxes[:, :2] + boxes[:, 2:] / 2).T  # of the middle
    return np.stack([x < 1 / 3, x >= 2 / 3, y < 1 / 3, y >= 2 / 3], axis=1)
