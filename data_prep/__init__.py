"""Data sets made ready for the notebooks: `splits(settings)` gives train, val and test of a profile."""

import hashlib
import inspect
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from data_prep import coco
from difffeat._files import only_writer
from difffeat._progress import shown
from difffeat.datasets import Split, load

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("train", "val", "test")


def splits(settings) -> dict[str, Split]:
    """Train, val and test of a data set; prepared on the first call, read from the prepared files after that.

    Points of a grid are chosen on val, final numbers are read on test.

    Parameters
    ----------
    settings : mapping, the `data` of a profile. `reader` ("scenes" or "coco") names the function below that
    reads the
        data; the other settings are its parameters. A relative `folder` starts at the project.

    Returns
    -------
    dict of "train", "val", "test" to Split

    Raises
    ------
    ValueError
        If the reader is unknown or does not take a setting; the message names those there are.
    """
    readers = {"scenes": _scenes, "coco": _coco}
    options = dict(settings)
    reader = options.pop("reader", None)
    if reader not in readers:
        raise ValueError(f"the data settings have reader {reader!r}; known: {', '.join(readers)}")
    takes = inspect.signature(readers[reader]).parameters
    unknown = sorted(options.keys() - takes.keys())
    if unknown:
        raise ValueError(f"reader {reader!r} does not take {', '.join(unknown)}; it takes {', '.join(takes)}")
    return readers[reader](**options)


def _scenes(folder=None, seed=0, counts=None, workers=None, caption=0, unlabelled=True):
    """The generated scenes, drawn on the first call; `counts` gives the images per part."""
    from data_prep.scenes import VERSION, generate

    folder = ROOT / (folder or Path(os.environ.get("DIFFFEAT_CACHE", "cache")) / "scenes" / "data")
    instances = [folder / "annotations" / f"instances_{part}.json" for part in PARTS]
    if not _there(instances):
        with only_writer(folder):
            if not _there(instances):
                generate(folder, seed=seed, counts=counts, workers=workers, progress=shown())
    prepared = _prepared(
        folder, "scenes", {part: part for part in PARTS}, caption=caption, unlabelled=unlabelled
    )
    info = json.loads((folder / "annotations" / "captions_test.json").read_text())["info"]
    for what, wanted in (("seed", seed), ("version", VERSION)):
        if info.get(what) != wanted:
            raise ValueError(
                f"{folder} holds scenes of {what} {info.get(what)}, {wanted} is asked for: "
                f"delete that folder to have them drawn again, or name another"
            )
    for part, count in (counts or {}).items():
        if len(prepared[part]) != count:
            raise ValueError(
                f"{folder} holds {len(prepared[part])} scenes for {part}, {count} are asked for: "
                f"delete that folder to have them drawn again, or name another"
            )
    return prepared


def _coco(folder, dataset="coco", parts=None, validation=5000, caption=0, unlabelled=True, images=True):
    """COCO's own layout: `annotations/{instances,captions}_<part>.json`, and the images in `<part>/`.

    `parts` names them, by default train2014 for train and val2014 for test. Where there is no part for val,
    `validation` images of train are held out for it. `images` false reads labels and captions alone.
    """
    parts = parts or {"train": "train2014", "test": "val2014"}
    if parts.keys() - set(PARTS) or not {"train", "test"} <= parts.keys():
        raise ValueError(f"parts must name train and test, and may name val; got {', '.join(parts)}")
    how = {"caption": caption, "unlabelled": unlabelled, "with_images": images, "validation": validation}
    return _prepared(ROOT / folder, dataset, parts, **how)


def _prepared(folder, dataset, parts, **how):
    """The splits of this folder read in this way, kept as files: COCO's own take a minute to read."""
    files = [path for stem in parts.values() for path in _annotations(folder, stem)]
    kept = folder / "prepared" / _key(dataset, parts, how, [_stamp(path) for path in files])
    wanted = [kept / f"{part}.json" for part in PARTS]
    if not _there(wanted):
        with only_writer(kept):
            if not _there(wanted):
                for split in _read(folder, dataset, parts, **how).values():
                    split.save(kept)
    return {part: load(kept, part) for part in PARTS}


def _read(folder, dataset, parts, caption, unlabelled, with_images=True, validation=None):
    read = {}
    for part, stem in parts.items():
        instances, captions = _annotations(folder, stem)
        images = folder / stem if with_images else None
        how = {"name": part, "dataset": dataset, "caption": caption, "unlabelled": unlabelled}
        read[part] = coco.read(instances, captions, images, **how)
    if "val" not in read:
        read["train"], read["val"] = _hold_out(read["train"], validation)
    return read


def _hold_out(train, count):
    """(train without `count` samples, those as val); which ones depends on the ids alone."""
    if not 0 < count < len(train):
        raise ValueError(f"cannot hold out {count} of {len(train)} training samples for validation")
    held = np.isin(train.ids, np.random.default_rng(0).choice(np.sort(train.ids), size=count, replace=False))
    return train.select(train.ids[~held]), replace(train.select(train.ids[held]), name="val")


def _annotations(folder, stem):
    return [folder / "annotations" / f"{kind}_{stem}.json" for kind in ("instances", "captions")]


def _there(paths):
    return all(path.is_file() for path in paths)


def _stamp(path):
    """Changes when the file does, without reading it."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; check the data settings `folder` and `parts`")
    return [path.name, path.stat().st_size, path.stat().st_mtime_ns]


def _key(*content):
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
