"""Reader of COCO's format: `instances_*.json`, `captions_*.json` and a folder of images become a `Split`.

Reads COCO itself and anything written like it, `data_prep.scenes` for one.
"""

import json
from collections import defaultdict
from pathlib import Path

from difffeat.datasets import Split, multi_hot

COUNTS = {"train2014": 82783, "val2014": 40504}  # published, images without any instance among them


def read(instances, captions=None, images=None, *, name, dataset="coco", caption=0, unlabelled=True) -> Split:
    """Read one part of a data set.

    A label applies to an image that has at least one instance of its category, crowds among them, as in
    COCO's multi-label benchmarks. Label names are the categories in the order of their ids, which may have
    gaps.

    Parameters
    ----------
    instances : path of an `instances_*.json`; its list of images is the split, in that order
    captions : path of a `captions_*.json`, optional
    images : folder of the images, optional
    name : str, the part's name: "train", "val", "test"
    dataset : str, the data set's name
    caption : int, which caption of an image to take, counted in the order of annotation ids; 0 is the first.
        The paper does not say which of the five it takes; its Table 8 is matched by the first.
    unlabelled : bool, keep images without any instance (702 in train2014), as the paper's counts do

    Returns
    -------
    Split

    Raises
    ------
    FileNotFoundError
        If a file, or images on the list, are not on disk; the message names them.
    ValueError
        If a file is not of this format, an annotation has a category or an image that is not listed, image
        ids repeat, an image has no such caption, or nothing is left.
    """
    content = _load(instances, ("images", "annotations", "categories"))
    ids = [image["id"] for image in content["images"]]
    present = _categories_by_image(instances, content)
    if not unlabelled:
        ids = [image for image in ids if image in present]
    files = {image["id"]: image["file_name"] for image in content["images"]}
    names = [
        category["name"] for category in sorted(content["categories"], key=lambda category: category["id"])
    ]
    return Split(
        name=name,
        ids=ids,
        names=names,
        labels=multi_hot([sorted(present.get(image, ())) for image in ids], names, ids),
        captions=_captions(captions, ids, caption) if captions else (),
        images=[Path(images) / files[image] for image in ids] if images else (),
        dataset=dataset,
    )


def _categories_by_image(path, content):
    """Image id -> set of label columns, for images with instances."""
    columns = {column: place for place, column in enumerate(sorted(c["id"] for c in content["categories"]))}
    listed = {image["id"] for image in content["images"]}
    present = defaultdict(set)
    for instance in content["annotations"]:
        if instance["category_id"] not in columns:
            raise ValueError(
                f"{path}: annotation {instance['id']} has category {instance['category_id']}, "
                f"which is not in the list of {len(columns)} categories"
            )
        if instance["image_id"] not in listed:
            raise ValueError(
                f"{path}: annotation {instance['id']} is of image {instance['image_id']}, not in the list"
            )
        present[instance["image_id"]].add(columns[instance["category_id"]])
    return present


def _captions(path, ids, place):
    """The caption at this place, in the order of annotation ids, for each image id."""
    by_image = defaultdict(list)
    for annotation in _load(path, ("annotations",))["annotations"]:
        by_image[annotation["image_id"]].append((annotation["id"], annotation["caption"]))
    short = [image for image in ids if not 0 <= place < len(by_image[image])]
    if short:
        raise ValueError(
            f"{path}: {len(short)} images have no caption {place} (counted from 0), "
            f"the first is image {short[0]} with {len(by_image[short[0]])}"
        )
    return [sorted(by_image[image])[place][1] for image in ids]


def _load(path, keys):
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected a file in COCO's format")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON, or ends early: {error}") from error
    lacking = [key for key in keys if key not in content]
    if lacking:
        raise ValueError(f"{path} is not in COCO's format: it has no {', '.join(lacking)}")
    return content
