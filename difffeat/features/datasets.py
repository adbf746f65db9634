"""A prepared split of a data set: sample ids, labels, captions and image files, in one fixed order.

Letters: N samples, K labels. Everything else in this package reads data through `Split`, so it does not know
which data set it is looking at. A reader in `data_prep` makes a `Split`; `Split.save` and `load` keep one as
a JSON file.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from difffeat.base.checked import INTEGER, TEXT, shown
from difffeat.base.contents import digests, of_files
from difffeat.base.files import write_whole
from difffeat.features.pictures import on_disk, picture

ON_BROKEN = ("error", "skip")  # what is done about pictures that cannot be decoded


class BrokenImage(ValueError):
    """A file that is there but cannot be decoded as an image."""


class BrokenSplit(ValueError):
    """A file of a prepared split that is there but is not one, or not the one that was written."""


@dataclass(frozen=True, eq=False)
class Split:
    """Samples of one part (train, val, test) of a data set.

    Parameters
    ----------
    name : str, the part: "train", "val", "test"
    ids : array-like of int, shape (N,), no two alike; noise, shards and labels are all tied to them
    names : sequence of K str, the label names in column order
    labels : array-like of shape (N, K), 1 where the label applies, else 0
    captions : sequence of N str, or empty for a data set without text
    images : sequence of N paths, or empty for a data set without images; a name that differs from the one on
        disk by case, slashes or Unicode form alone becomes that
    dataset : str, the data set's name, kept in the provenance of features
    ignored : array-like of shape (N, K), 1 where a prediction is not judged, else 0; optional, for data sets
        whose evaluation leaves pairs of image and label out
    kinds : sequence of K str, or empty: what kind of thing each label says, as "type" or "colour"

    Raises
    ------
    ValueError
        If the split is empty, ids repeat or are no integers, lengths differ, a label is not 0 or 1, or a name
        or a caption is no text.
    FileNotFoundError
        If images are not on disk; the message counts and names them.
    """

    name: str
    ids: np.ndarray
    names: tuple[str, ...]
    labels: np.ndarray
    captions: tuple[str, ...] = ()
    images: tuple[Path, ...] = ()
    dataset: str = "unnamed"
    ignored: np.ndarray | None = None
    kinds: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ids = _integers(self.name, self.ids)
        labels = np.array(self.labels)
        _check_ids(self.name, ids)
        _check_text(self.name, "label name", self.names, range(len(self.names)))
        _check_labels(self.name, ids, self.names, labels)
        if self.ignored is not None:
            _check_labels(self.name, ids, self.names, np.array(self.ignored), "ignored labels")
        each = {"captions": (len(ids), "id"), "images": (len(ids), "id"), "kinds": (len(self.names), "name")}
        for field, (count, what) in each.items():
            if len(getattr(self, field)) not in (0, count):
                raise ValueError(
                    f"split {self.name!r} has {count} {what}s but {len(getattr(self, field))} {field}; "
                    f"give one for each {what}, or none at all"
                )
        _check_text(self.name, "caption", self.captions, ids[: len(self.captions)])
        coerced = {
            "ids": ids,
            "names": tuple(self.names),
            "labels": labels.astype(np.uint8),
            "captions": tuple(self.captions),
            "kinds": tuple(self.kinds),
            "images": _located(self.name, [Path(image) for image in self.images]),
            "ignored": None if self.ignored is None else np.array(self.ignored, dtype=bool),
        }
        for array in (coerced["ids"], coerced["labels"], coerced["ignored"]):
            if array is not None:
                array.setflags(write=False)
        for field, value in coerced.items():
            object.__setattr__(self, field, value)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> Split:
        """The samples `split[lo:hi]`, as a split of the same name."""
        if not isinstance(rows, slice):
            raise TypeError(f"a split takes a slice, got {rows!r}; for one image use split.image(i)")
        return self._rows(range(len(self))[rows])

    def select(self, ids: Sequence[int] | np.ndarray) -> Split:
        """The samples with these ids, in this order; aligns labels with the rows of a features cache.

        Raises
        ------
        ValueError
            If an id is not in the split; the message names the first ones.
        """
        rows = {int(sample): row for row, sample in enumerate(self.ids)}
        unknown = [int(sample) for sample in ids if int(sample) not in rows]
        if unknown:
            raise ValueError(f"{len(unknown)} ids are not in split {self.name!r}: {_some(unknown)}")
        return self._rows([rows[int(sample)] for sample in ids])

    def _rows(self, rows: Sequence[int]) -> Split:
        return replace(
            self,
            ids=self.ids[list(rows)],
            labels=self.labels[list(rows)],
            captions=tuple(self.captions[row] for row in rows) if self.captions else (),
            images=tuple(self.images[row] for row in rows) if self.images else (),
            ignored=None if self.ignored is None else self.ignored[list(rows)],
        )

    def judged(self, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels and scores as metrics take them: a pair that is ignored is no positive and is ranked last,
        where it changes neither a precision nor a recall.

        Parameters
        ----------
        scores : array of shape (..., N, K)

        Returns
        -------
        labels : array of shape (N, K); scores : array of shape (..., N, K)
        """
        if self.ignored is None:
            return self.labels, scores
        return self.labels * ~self.ignored, np.where(self.ignored, np.min(scores) - 1, scores)

    def image(self, row: int) -> Image.Image:
        """Decode one image to RGB of 8 bits as viewers show it: upright, on white where it is transparent.

        Raises
        ------
        BrokenImage
            If the file cannot be decoded, is of no format that is opened here, or would take far more memory
            than a picture does; the message names the file and the sample id.
        FileNotFoundError, PermissionError
            If the file has gone, or may not be read.
        """
        path = self.images[row]
        try:
            return picture(path)
        except (FileNotFoundError, PermissionError):
            raise
        except Exception as error:  # on damaged files decoders raise whatever they meet
            said = str(error) or type(error).__name__
            raise BrokenImage(f"cannot decode image {path} (id {self.ids[row]}): {said}") from error

    @cached_property
    def digest(self) -> str:
        """Hash of ids, labels and captions: the whole of what this split says about its samples."""
        labels = [row.tolist() for row in self.labels]
        ignored = [] if self.ignored is None else [np.argwhere(self.ignored).tolist()]
        return digest_of([self.ids.tolist(), list(self.names), labels, list(self.captions), *ignored])

    def input_digest(self, modality: str) -> str:
        """Hash of what a backbone is fed: ids, with captions ("text") or the bytes of images ("image").

        Image features stay valid when captions, labels or file names change, and text features when images
        do.

        Raises
        ------
        ValueError
            If the split has no inputs of this modality, or the modality is unknown.
        """
        inputs = {"text": self.captions, "image": self.images}
        if modality not in inputs:
            raise ValueError(f"modality {modality!r} is unknown; known: {', '.join(inputs)}")
        if not inputs[modality]:
            raise ValueError(f"split {self.name!r} of {self.dataset!r} has no {modality} inputs")
        if modality == "text":
            return digest_of([self.ids.tolist(), list(self.captions)])
        return digest_of([self.ids.tolist(), digests(self.images)])

    def save(self, folder: Path | str) -> Path:
        """Write `<folder>/<name>.json`, image paths relative to the folder; returns the path.

        The file holds dataset, name, names, ids, labels (indices into names), captions and images, and where
        there are any `ignored` labels and `kinds`, and can as well be written by hand or by another program;
        then without `sha256`, the hash of the rest.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        content = {
            "dataset": self.dataset,
            "name": self.name,
            "names": list(self.names),
            "ids": self.ids.tolist(),
            "labels": [np.flatnonzero(row).tolist() for row in self.labels],
            "captions": list(self.captions),
            "images": [os.path.relpath(image, folder) for image in self.images],
        }
        if self.ignored is not None:
            content["ignored"] = [np.flatnonzero(row).tolist() for row in self.ignored]
        if self.kinds:
            content["kinds"] = list(self.kinds)
        content["sha256"] = digest_of(content)
        return write_whole(path, json.dumps(content, ensure_ascii=False).encode())


def first(splits: dict[str, Split], counts: Sequence[int], on_broken: str = "error") -> dict[str, Split]:
    """The first samples of each part, for a run on less than everything.

    Parameters
    ----------
    splits : dict of part to Split
    counts : for each part, in the same order, how many samples; 0 takes all
    on_broken : "error" leaves it to whatever reads a picture to say that it cannot be decoded; "skip" leaves
        its sample out, with a warning

    Raises
    ------
    ValueError
        If there is not one count for each part, a part has fewer samples, or none that can be decoded.
    """
    if on_broken not in ON_BROKEN:
        raise ValueError(f"on_broken {on_broken!r} is unknown; known: {', '.join(ON_BROKEN)}")
    if len(counts) != len(splits):
        raise ValueError(f"one count for each of {', '.join(splits)}, got {list(counts)}")
    for (part, split), count in zip(splits.items(), counts, strict=True):
        if not 0 <= count <= len(split):
            raise ValueError(f"{part} has {len(split)} samples, {count} were asked for")
    taken = {
        part: split[: count or None] for (part, split), count in zip(splits.items(), counts, strict=True)
    }
    return {part: _readable(split) for part, split in taken.items()} if on_broken == "skip" else taken


def _readable(split):
    """The samples of a split whose pictures can be decoded; a warning names the others."""
    sound = of_files(split.images, "decodes", _decodes)
    broken = [split.images[row].name for row, decodes in enumerate(sound) if not decodes]
    if not broken:
        return split
    message = f"{len(broken)} of {len(split)} images of {split.name!r} cannot be decoded: {_some(broken)}"
    if len(broken) == len(split):
        raise BrokenImage(f"{message}; none is left")
    warnings.warn(f"{message}; they are left out", stacklevel=3)
    return split._rows(np.flatnonzero(sound).tolist())


def _decodes(path):
    try:
        picture(path)
    except (FileNotFoundError, PermissionError):
        raise
    except Exception:  # on damaged files decoders raise whatever they meet
        return False
    return True


def _integers(name, ids) -> np.ndarray:
    """Ids as an array of 64-bit integers, shape (N,)."""
    given = np.array(ids, ndmin=1)
    if given.size and not (given.dtype.kind in "iu" and given.max() < 2**63):
        wrong = [one for one in given.ravel().tolist() if not INTEGER.holds(one)]
        raise ValueError(
            f"split {name!r} has ids that are not integers of 64 bits: {_some([shown(one) for one in wrong])}"
        )
    return given.astype(np.int64)


def _check_text(name, what, texts, ids):
    for sample, text in zip(ids, texts, strict=True):
        if not TEXT.holds(text):
            raise ValueError(f"split {name!r}: {what} {sample} is {shown(text)}; expected text")


def _check_ids(name, ids):
    if ids.ndim != 1:
        raise ValueError(f"split {name!r}: ids must have shape (N,), got {ids.shape}")
    if not len(ids):
        raise ValueError(f"split {name!r} is empty; expected at least one sample")
    values, counts = np.unique(ids, return_counts=True)
    if len(values) < len(ids):
        twice = values[counts > 1].tolist()
        raise ValueError(
            f"split {name!r} has {len(twice)} ids more than once: {_some(twice)}; make them unique"
        )


def _check_labels(name, ids, names, labels, what="labels"):
    if labels.shape != (len(ids), len(names)):
        raise ValueError(
            f"split {name!r}: {what} must be {(len(ids), len(names))} (ids, names), got {labels.shape}"
        )
    if len(set(names)) < len(names):
        raise ValueError(
            f"split {name!r}: label names repeat: {_some([n for n in names if names.count(n) > 1])}"
        )
    wrong = np.argwhere((labels != 0) & (labels != 1))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(
            f"split {name!r}: {what} must be 0 or 1, got {labels[row, column]} for id {ids[row]}, "
            f"{names[column]!r}"
        )


def _located(name, images) -> tuple[Path, ...]:
    """The images under the names that they have on disk."""
    found, missing = on_disk(images)
    if missing:
        raise FileNotFoundError(
            f"split {name!r}: {len(missing)} of {len(images)} images are not on disk: {_some(missing)}; "
            f"check the image folder, or prepare the split without images"
        )
    return tuple(found)


def _some(items: Sequence, most: int = 5) -> str:
    """The first items, and how many more."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more


def digest_of(content: object) -> str:
    """Hash of what JSON can hold."""
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()
