"""Write the scenes data set in COCO's own layout: image folders, and three files of annotations a split."""

import argparse
import json
import multiprocessing
import os
import threading
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np

from data_prep.scenes.drawing import render
from data_prep.scenes.keypoints import fields, keypoints, posed
from data_prep.scenes.language import describe
from data_prep.scenes.regions import regions
from data_prep.scenes.world import CATEGORIES, COUNT_SHARE, SUPERCATEGORY, layout
from difffeat.base.progress import bar

KINDS = ("scenes", "single", "regions")  # several things; one thing; several, each told of at length
VERSION = "3"  # of what is drawn and said; raise it when a seed gives other pictures or captions
COUNTS = {"train": 4_000, "val": 1_000, "test": 2_000}
FIRST_INDEX = {
    "train": 0,
    "val": 1_000_000,
    "test": 2_000_000,
}  # splits never share an image, whatever their sizes
CHUNK = 250  # images a worker draws before it reports
JPEG = dict(quality=95, subsampling=0)


def generate(
    folder: Path | str,
    *,
    seed: int = 0,
    counts: Mapping[str, int] | None = None,
    side: int = 64,
    kind: str = "scenes",
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Draw the scenes and write them in COCO's layout.

    Parameters
    ----------
    folder : path; gets `<split>/<id, 12 digits>.jpg` and, in `annotations`, `captions_<split>.json`,
        `keypoints_<split>.json` and `instances_<split>.json`
    seed : int, the data seed
    counts : dict of split name to number of images; default `COUNTS`
    side : int, pixels
    kind : one of `KINDS`: "scenes", "single" with one thing in each picture, or "regions", whose captions
        join descriptions of every thing and its surroundings, as Visual Genome's are joined
    workers : int, processes; the files do not depend on it
    progress : bool, show a bar

    Returns
    -------
    Path of the folder. The annotation files of a split are written last: where they exist, the split is
    complete.
    """
    folder, counts = Path(folder), counts or COUNTS
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r} of scenes; there are {', '.join(KINDS)}")
    if unknown := set(counts) - set(FIRST_INDEX):
        raise ValueError(f"unknown split {sorted(unknown)}: scenes has {sorted(FIRST_INDEX)}")
    with (
        ProcessPoolExecutor(workers or os.cpu_count(), initializer=end_with_parent) as pool,
        bar(sum(counts.values()), "drawing scenes", "images", progress) as shown,
    ):
        for split, count in counts.items():
            (folder / split).mkdir(parents=True, exist_ok=True)
            first = FIRST_INDEX[split]
            starts = range(first, first + count, CHUNK)
            draw = partial(_draw_chunk, folder / split, seed, side, kind, first + count)
            records = []
            for chunk in pool.map(draw, starts):
                records += chunk
                shown.update(len(chunk))
            _write_annotations(folder, split, seed, side, kind, records)
    return folder


def end_with_parent() -> None:
    """In a worker process: end it when the process that started it does, however that ends.

    Killed, that could not say so, and its workers would wait for more work for ever.
    """

    def watch():
        wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _draw_chunk(folder, seed, side, kind, stop, start):
    """Draw the scenes [start, start + CHUNK) up to `stop`; one record each."""
    records = []
    for index in range(start, min(start + CHUNK, stop)):
        scene = layout(seed, index, most=1 if kind == "single" else len(COUNT_SHARE))
        image, masks = render(scene, side)
        image.save(folder / file_name(index), **JPEG)
        records.append(
            (
                index,
                scene,
                (regions(scene),) if kind == "regions" else describe(scene),
                [_described(thing, mask) for thing, mask in zip(scene.things, masks, strict=True)],
            )
        )
    return records


def _described(thing, mask):
    """(box, run lengths, area, keypoints) of a thing in a picture."""
    return _box(mask), _run_lengths(mask), int(mask.sum()), keypoints(thing, mask)


def file_name(index: int) -> str:
    """Image ids start at 1, as COCO's do."""
    return f"{index + 1:012d}.jpg"


def _box(mask):
    """COCO's [left, top, width, height] of a mask; zeros when nothing is visible."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return [0, 0, 0, 0]
    return [int(v) for v in (columns[0], rows[0], columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1)]


def _run_lengths(mask):
    """COCO's uncompressed run-length code: column-major, starting with the zeros."""
    flat = np.concatenate([[0], mask.flatten(order="F").astype(np.int8)])
    edges = np.flatnonzero(np.diff(flat))
    return np.diff(np.concatenate([[0], edges, [len(flat) - 1]])).tolist()


def _write_annotations(folder, split, seed, side, kind, records):
    images, instances, points, captions = [], [], [], []
    for index, scene, sentences, things in records:
        images.append({"id": index + 1, "file_name": file_name(index), "width": side, "height": side})
        for thing, (box, counts, area, found) in zip(scene.things, things, strict=True):
            instances.append(
                {
                    "id": len(instances) + 1,
                    "image_id": index + 1,
                    "category_id": CATEGORIES.index(thing.category) + 1,
                    "bbox": box,
                    "area": area,
                    "iscrowd": 0,
                    "segmentation": {"counts": counts, "size": [side, side]},
                }
            )
            points.append(instances[-1] | fields(found))
        captions += [
            {"id": 5 * index + n + 1, "image_id": index + 1, "caption": text}
            for n, text in enumerate(sentences)
        ]
    info = {"description": "scenes: generated pictures in COCO's format", "version": VERSION, "seed": seed}
    info["kind"] = kind
    categories = [
        {"id": n + 1, "name": name, "supercategory": SUPERCATEGORY[name]} for n, name in enumerate(CATEGORIES)
    ]
    annotations = folder / "annotations"
    annotations.mkdir(exist_ok=True)
    _write_json(
        annotations / f"captions_{split}.json", {"info": info, "images": images, "annotations": captions}
    )
    body = {"info": info, "images": images, "annotations": instances, "categories": categories}
    _write_json(annotations / f"keypoints_{split}.json", posed(body, points))
    _write_json(annotations / f"instances_{split}.json", body)


def _write_json(path, body):
    """Write under a temporary name, then rename: a file that exists is complete."""
    temporary = path.with_suffix(".partial")
    temporary.write_text(json.dumps(body, separators=(",", ":")))
    os.replace(temporary, path)


def main() -> None:
    """Command line: `python -m data_prep.scenes --help`."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.scenes", description=__doc__)
    parser.add_argument("folder", help="where to write the data set")
    parser.add_argument("--seed", type=int, default=0, help="data seed (default 0)")
    parser.add_argument("--kind", default="scenes", choices=KINDS, help="what is drawn (default scenes)")
    parser.add_argument("--side", type=int, default=64, help="pixels (default 64)")
    parser.add_argument("--workers", type=int, default=None, help="processes (default: all cores)")
    for split, count in COUNTS.items():
        parser.add_argument(
            f"--{split}", type=int, default=count, help=f"images in {split} (default {count})"
        )
    options = parser.parse_args()
    counts = {split: getattr(options, split) for split in COUNTS}
    generate(
        options.folder,
        seed=options.seed,
        counts=counts,
        side=options.side,
        kind=options.kind,
        workers=options.workers,
    )


if __name__ == "__main__":
    main()
