"""Reader of COCO's format: COCO itself and anything written like it, `data_prep.scenes` for one.

Layout:

    annotations/instances_<part>.json    images, categories, annotations: image_id and category_id
    annotations/captions_<part>.json     annotations: image_id and caption
    <part>/                              the images that the first of them lists
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from data_prep.kept import PARTS
from data_prep.readers.reading import check_count, check_parts, modalities, with_val
from difffeat.base.checked import FILE, INTEGER, LABEL, TEXT, json_object, rows, shown, unique
from difffeat.features.datasets import Split
from difffeat.features.prepared import multi_hot

COUNTS = {"train2014": 82783, "val2014": 40504}  # published, images without any instance among them

PUBLISHED = {"train": "train2014", "test": "val2014"}  # the parts as COCO names them

gives = modalities  # by the settings `images` and `captions`


def sources(
    folder: Path | str, *, parts: Mapping[str, str] | None = None, captions: bool = True, **_: object
) -> list[Path]:
    """The annotation files that the parts are read from."""
    parts = parts or PUBLISHED
    check_parts(parts)
    files = [file for stem in parts.values() for file in _annotations(Path(folder), stem)[: 1 + captions]]
    for file in files:
        if not file.exists():
            raise FileNotFoundError(f"{file} does not exist; check the data settings `folder` and `parts`")
    return files


def read(
    folder: Path | str,
    *,
    dataset: str = "coco",
    parts: Mapping[str, str] | None = None,
    validation: int = 5000,
    caption: int = 0,
    unlabelled: bool = True,
    images: bool = True,
    captions: bool = True,
    check_counts: bool = True,
    renumber: bool = False,
) -> dict[str, Split]:
    """Train, val and test of a folder in COCO's layout.

    Parameters
    ----------
    folder : path of the folder that holds `annotations` and the images
    dataset : str, the data set's name
    parts : dict of "train", "test" and perhaps "val" to the names of the parts there; by default COCO's own,
        train2014 and val2014
    validation : int, images of train held out for val where no part is named for it
    caption, unlabelled : as in `read_part`
    images : bool; without them labels and captions alone are read
    captions : bool; without them labels and images alone
    check_counts : bool, whether train2014 and val2014 must have as many images as were published
    renumber : bool, replace ids by places, counted through train, val and test: for parts that each start
        from the same id

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    FileNotFoundError, ValueError
        As `read_part`; also if a part has another number of images than was published.
    """
    parts, read, first = parts or PUBLISHED, {}, 0
    check_parts(parts)
    for part, stem in parts.items():
        instances, told = _annotations(Path(folder), stem)
        pictures = Path(folder) / stem if images else None
        how = {"name": part, "dataset": dataset, "caption": caption, "unlabelled": unlabelled}
        read[part] = read_part(instances, told if captions else None, pictures, **how)
        if check_counts and unlabelled and stem in COUNTS:
            check_count(instances, len(read[part]), COUNTS[stem], "images")
    for part in PARTS if renumber else ():
        if part in read:
            read[part] = replace(read[part], ids=range(first, first + len(read[part])))
            first += len(read[part])
    return with_val(read, validation)


def _annotations(folder, stem):
    return [folder / "annotations" / f"{kind}_{stem}.json" for kind in ("instances", "captions")]


def read_part(
    instances: Path | str,
    captions: Path | str | None = None,
    images: Path | str | None = None,
    *,
    name: str,
    dataset: str = "coco",
    caption: int = 0,
    unlabelled: bool = True,
) -> Split:
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
