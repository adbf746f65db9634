"""A small part of MS-COCO with the keypoints of its people, laid out as COCO publishes them.

It is handed around as two files:

    annotations.json.gz    `keypoint_names`, `skeleton`, and `images`, each with id, file, width, height,
                           `objects`: label (0 is a person), bbox, iscrowd and, of people, keypoints, a
                           list of [x, y, visibility]; all in pixels of these pictures
    images.tar             the pictures, `train2017/*.jpg` and `val2017/*.jpg`

and written, with the pictures in the same folders, as `annotations/person_keypoints_<part>.json`.
"""

import json
from pathlib import Path

from data_prep.fetch.unpack import unpack
from data_prep.kept import key_of
from data_prep.readers import packed
from data_prep.readers.reading import there
from difffeat.base.checked import FILE, INTEGER, LIST, TEXT, json_object, many, rows, take
from difffeat.base.files import cache_root, only_writer

VERSION = 1  # counts what is written of the same files
FILES = ("annotations.json.gz", "images.tar")
PARTS = ("train2017", "val2017")
PERSON = 0  # the label; a category of COCO has the id that follows it


def laid_out(folder: Path | str) -> Path:
    """The folder in COCO's layout: where the two files lie in it one in the cache, else itself.

    Raises
    ------
    FileNotFoundError
        If one of the two is there and the other is not.
    ValueError
        If the annotations lack a field, or the archive is damaged or unsafe; the message names the file.
    """
    files = [Path(folder) / name for name in FILES]
    if not any(path.is_file() for path in files):
        return Path(folder)
    files = [there(path, "one of the two files of the small part of MS-COCO") for path in files]
    kept = cache_root() / "prepared" / f"coco_small-{key_of(VERSION, sources=files)}"
    with only_writer(kept):
        packed.filled(kept, lambda begun: _write(*files, begun))
    return kept


def _write(annotations, images, out):
    unpack([images], out)
    content = json_object(annotations, "the annotations of the small part of MS-COCO")
    names, skeleton = take(str(annotations), content, keypoint_names=many(TEXT), skeleton=LIST)
    category = {"id": PERSON + 1, "name": "person", "keypoints": names, "skeleton": skeleton}
    listed = rows(
        annotations, content, "images", id=INTEGER, file=FILE, width=INTEGER, height=INTEGER, objects=LIST
    )
    count, found = 0, {part: {"images": [], "annotations": [], "categories": [category]} for part in PARTS}
    for image, file, width, height, things in listed:
        part, _, name = file.partition("/")
        if part not in found:
            raise ValueError(f"{annotations}: image {image} is {file}; expected it in {' or '.join(PARTS)}")
        found[part]["images"].append({"id": image, "file_name": name, "width": width, "height": height})
        for thing in things:
            count += 1
            entry = _person(f"{annotations}: an object of image {image}", thing, len(names))
            if entry:
                found[part]["annotations"].append({"id": count, "image_id": image} | entry)
    (out / "annotations").mkdir()
    for part, said in found.items():
        (out / "annotations" / f"person_keypoints_{part}.json").write_text(json.dumps(said), encoding="utf-8")


def _person(where, thing, names):
    """What COCO says of a person besides the ids, nothing of any other thing; all zeros without keypoints."""
    label, box, crowd = take(where, thing, label=INTEGER, bbox=LIST, iscrowd=INTEGER)
    if label != PERSON:
        return None
    (points,) = take(where, {"keypoints": [[0, 0, 0]] * names} | thing, keypoints=many(LIST))
    flat = [number for point in points for number in point]
    seen = sum(number > 0 for number in flat[2::3])
    return {
        "category_id": PERSON + 1,
        "bbox": box,
        "iscrowd": crowd,
        "keypoints": flat,
        "num_keypoints": seen,
    }
