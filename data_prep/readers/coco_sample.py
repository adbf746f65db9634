"""A part of MS-COCO 2014 written in its official layout: the val images that come as one small archive.

For a run of the whole way on real pictures, captions and labels, at a size that a laptop holds. Read from

    coco_val2014_images/images.tar     COCO_val2014_<id, 12 digits>.jpg, 256 pixels on the short side
    coco_val2014_images/index.tsv      image id, its size, size here, label columns, the first caption
    coco2014/categories.txt            the 80 names, one a line, in the order of COCO's ids

and written as COCO is published: `annotations/{instances,captions}_<part>.json` and `<part>/`, without boxes,
which the index does not hold.
"""

import json
import tempfile
from pathlib import Path

from data_prep.fetch.unpack import unpack
from data_prep.kept import key_of, make_once, or_again
from data_prep.readers import coco
from data_prep.readers.reading import listed, modalities, number, tab_rows, there
from difffeat.base.checked import shown
from difffeat.base.files import cache_root, write_whole
from difffeat.features.datasets import Split

# Images of each part, in the order of the index; None takes the rest.
PARTS = {"train": 900, "val": 200, "test": None}

gives = modalities


def made_by() -> list:
    """What decides its pictures besides the settings: with another one, what was prepared serves no more."""
    return [PARTS]


def sources(folder: Path | str) -> list[Path]:
    """The annotations of the sample in COCO's layout; written with their pictures on the first call."""
    written = _home(folder)
    instances = [written / "annotations" / f"instances_{part}.json" for part in PARTS]
    make_once(instances, written, lambda: write(folder, written))
    return coco.sources(written, parts={part: part for part in PARTS})


def read(folder: Path | str) -> dict[str, Split]:
    """Train, val and test of the sample, as COCO is read; what is damaged of it is written again.

    Parameters
    ----------
    folder : path of the folder that holds `coco_val2014_images` and `coco2014`
    """
    written, parts = _home(folder), {part: part for part in PARTS}
    damages = (FileNotFoundError, ValueError)
    return or_again(lambda: coco.read(written, parts=parts), written, lambda: write(folder, written), damages)


def _home(folder):
    """Where the sample is written."""
    return cache_root() / "coco-sample" / key_of(PARTS, sources=_archives(folder))


def _archives(folder) -> list[Path]:
    """The files that the sample is written from."""
    files = ("coco_val2014_images/images.tar", "coco_val2014_images/index.tsv", "coco2014/categories.txt")
    return [there(Path(folder) / name, "a file of the sample of MS-COCO") for name in files]


def write(folder: Path | str, out: Path | str) -> Path:
    """Write the sample in COCO's layout, all parts anew.

    Parameters
    ----------
    folder : path of the folder that holds `coco_val2014_images` and `coco2014`
    out : path of the folder to write to

    Returns
    -------
    Path of `out`

    Raises
    ------
    FileNotFoundError
        If a file is not there, or an image of the index is not in the archive.
    ValueError
        If a line of the index has not five cells of their kinds, or the archive is damaged or unsafe.
    """
    (images, index, categories), out = _archives(folder), Path(out)
    names, rows = list(listed(categories)), _index(index)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as unpacked:
        unpack([images], unpacked)
        first = 0
        for part, count in PARTS.items():
            taken = rows[first : first + count if count else None]
            first += len(taken)
            _write_part(out, part, taken, names, Path(unpacked))
    return out


def _index(path):
    """(image id, file name, width, height, label columns, caption) of every line."""
    rows = []
    for line, row in tab_rows(path):
        if len(row) != 5 or number(row[0]) is None:
            raise ValueError(
                f"{path}, line {line}: expected an image id and four more cells, got {shown(row)}"
            )
        image, size = number(row[0]), [number(side) for side in row[2].split("x")]
        columns = [number(column) for column in row[3].split()]
        if len(size) != 2 or None in size + columns:
            raise ValueError(
                f"{path}, line {line}: expected a size as in 341x256 and label columns, got {shown(row[2:4])}"
            )
        rows.append((image, f"COCO_val2014_{image:012d}.jpg", *size, columns, row[4]))
    return rows


def _write_part(out, part, rows, names, unpacked):
    """Images, then captions and instances: where the instances are, the part is complete."""
    (out / part).mkdir(exist_ok=True)
    (out / "annotations").mkdir(exist_ok=True)
    images, captions, instances = [], [], []
    for image, file, width, height, columns, caption in rows:
        there(unpacked / file, "an image of the index in the archive").replace(out / part / file)
        images.append({"id": image, "file_name": file, "width": width, "height": height})
        captions.append({"id": len(captions) + 1, "image_id": image, "caption": caption})
        instances += [
            {"id": len(instances) + 1 + place, "image_id": image, "category_id": column + 1}
            for place, column in enumerate(columns)
        ]
    categories = [{"id": column, "name": name} for column, name in enumerate(names, start=1)]
    contents = {
        "captions": {"images": images, "annotations": captions},
        "instances": {"images": images, "annotations": instances, "categories": categories},
    }
    for kind, content in contents.items():
        path = out / "annotations" / f"{kind}_{part}.json"
        write_whole(path, json.dumps(content, ensure_ascii=False).encode())
