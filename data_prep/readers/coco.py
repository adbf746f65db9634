"""Reader of COCO's format: `instances_*.json`, `captions_*.json` and a folder of images become a `Split`.

Reads COCO itself and anything written like it, `data_prep.scenes` for one.
"""

from collections import defaultdict
from pathlib import Path

from difffeat.base.checked import FILE, INTEGER, LABEL, TEXT, json_object, rows, shown, unique
from difffeat.features.datasets import Split
from difffeat.features.prepared import multi_hot

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
        If a file is not of this format, an entry lacks a field or has one of another type, an annotation has
        a category or an image that is not listed, ids of images, categories or captions repeat, an image has
        no such caption, or nothing is left; the message names the file and the entry.
    """
    content = _load(instances, ("images", "annotations", "categories"))
    needed = {"id": INTEGER} | ({"file_name": FILE} if images else {})
    listed = rows(instances, content, "images", **needed)
    ids = list(unique(instances, "images", "id", [row[0] for row in listed]))
    names, columns = _categories(instances, content)
    present = _columns_by_image(instances, content, columns, set(ids))
    kept = [row for row in listed if unlabelled or row[0] in present]
    ids = [row[0] for row in kept]
    return Split(
        name=name,
        ids=ids,
        names=names,
        labels=multi_hot([sorted(present.get(image, ())) for image in ids], names, ids),
        captions=_captions(captions, ids, caption) if captions else (),
        images=[Path(images) / file for _, file in kept] if images else (),
        dataset=dataset,
    )


def _categories(path, content):
    """Label names in the order of their ids, and category id -> label column."""
    listed = rows(path, content, "categories", id=INTEGER, name=LABEL)
    unique(path, "categories", "id", [category for category, _ in listed])
    unique(path, "categories", "name", [name for _, name in listed])
    listed.sort()
    return [name for _, name in listed], {category: column for column, (category, _) in enumerate(listed)}


def _columns_by_image(path, content, columns, listed):
    """Image id -> set of label columns, for images with instances."""
    present = defaultdict(set)
    fields = rows(path, content, "annotations", image_id=INTEGER, category_id=INTEGER)
    for place, (image, category) in enumerate(fields):
        if category not in columns:
            raise ValueError(
                f"{path}: {_which(content, place)} has category {category}, which is not in the list of "
                f"{len(columns)} categories"
            )
        if image not in listed:
            raise ValueError(
                f"{path}: {_which(content, place)} is of image {image}, which is not in the list of images"
            )
        present[image].add(columns[category])
    return present


def _which(content, place):
    """An annotation by its id, or by its place where it has none."""
    entry = content["annotations"][place]
    return f"annotation {shown(entry['id'])}" if "id" in entry else f"annotations[{place}]"


def _captions(path, ids, place):
    """The caption at this place, in the order of annotation ids, for each image id."""
    if type(place) is not int or place < 0:
        raise ValueError(f"the setting `caption` is {shown(place)}; expected a place, counted from 0")
    by_image = defaultdict(list)
    content = _load(path, ("annotations",))
    fields = rows(path, content, "annotations", image_id=INTEGER, id=INTEGER, caption=TEXT)
    unique(path, "annotations", "id", [row[1] for row in fields])
    for image, annotation, caption in fields:
        by_image[image].append((annotation, caption))
    short = [image for image in ids if place >= len(by_image[image])]
    if short:
        raise ValueError(
            f"{path}: {len(short)} images have no caption {place} (counted from 0), "
            f"the first is image {short[0]} with {len(by_image[short[0]])}"
        )
    return [sorted(by_image[image])[place][1] for image in ids]


def _load(path, keys):
    content = json_object(path, "a file in COCO's format")
    lacking = [key for key in keys if key not in content]
    if lacking:
        raise ValueError(f"{path} is not in COCO's format: it has no {', '.join(lacking)}")
    return content
