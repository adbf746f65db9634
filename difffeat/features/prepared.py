"""Prepared splits as files: read what `Split.save` wrote, or another program."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from difffeat.base.checked import FILE, INTEGER, LABEL, LIST, TEXT, json_object, many, take
from difffeat.features.datasets import BrokenSplit, Split, digest_of


def load(folder: Path | str, name: str) -> Split:
    """Read the split that `Split.save` wrote to `<folder>/<name>.json`.

    Raises
    ------
    FileNotFoundError
        If there is no such split (the message names those there are), or images are not on disk.
    BrokenSplit
        If the file is not JSON, lacks a field or has one of another kind, a label index is outside the list
        of names, or the content is not the one that was written; the message names the file.
    """
    folder = Path(folder)
    path = folder / f"{name}.json"
    if not path.exists():
        there = sorted(other.stem for other in folder.glob("*.json"))
        raise FileNotFoundError(f"no split {name!r} in {folder}; there: {', '.join(there) or 'none'}")
    try:
        return Split(**_fields(path, name))
    except BrokenSplit:
        raise
    except ValueError as error:
        raise BrokenSplit(str(error) if str(path) in str(error) else f"{path}: {error}") from error


FIELDS = {  # of the file of a split; ids, names and labels must be there
    "ids": many(INTEGER),
    "names": many(LABEL),
    "labels": many(many(INTEGER)),
    "ignored": many(many(INTEGER)),
    "captions": many(TEXT),
    "kinds": many(TEXT),
    "images": many(FILE),
    "name": TEXT,
    "dataset": TEXT,
    "sha256": TEXT,
}


def _fields(path, name) -> dict:
    """What a file of a split says, as `Split` takes it."""
    content = json_object(path)
    needed = dict.fromkeys(("ids", "names", "labels"), LIST)
    take(str(path), content, **needed | {field: FIELDS[field] for field in FIELDS if field in content})
    given = {"name": name, "dataset": "unnamed"} | {f: content[f] for f in FIELDS if f in content}
    for field in {"labels", "ignored"} & given.keys():
        given[field] = multi_hot(given[field], given["names"], given["ids"])
    written = given.pop("sha256", None)
    if written not in (None, digest_of({field: content[field] for field in content if field != "sha256"})):
        raise BrokenSplit(
            f"{path} is not what was written: its sha256 is another (if you changed the file yourself, take "
            f"the field `sha256` out)"
        )
    given["images"] = [Path(os.path.normpath(path.parent / image)) for image in given.get("images", ())]
    return given


def multi_hot(indices: Sequence[Sequence[int]], names: Sequence[str], ids: Sequence[int]) -> np.ndarray:
    """Label indices per sample to a (N, K) matrix of 0 and 1.

    Raises
    ------
    ValueError
        If an index is outside the list of names; the message gives the sample id and the range.
    """
    if len(indices) != len(ids):
        raise ValueError(f"{len(ids)} ids but labels for {len(indices)} samples")
    labels = np.zeros((len(ids), len(names)), dtype=np.uint8)
    for row, (sample, present) in enumerate(zip(ids, indices, strict=True)):
        for index in present:
            if not 0 <= index < len(names):
                raise ValueError(
                    f"id {sample} has label {index}, outside the list: {len(names)} names, "
                    f"0 to {len(names) - 1}"
                )
            labels[row, index] = 1
    return labels
