"""HDF5 as the cache writes it: arrays in one piece each, no times inside, behind a seal that says where."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import torch

from difffeat._sealed import AGAIN, SUPERBLOCK, CacheError, length_of, opened, seal_of, sealed

SCHEMA = 2
FORMAT = ("v110", "v110")  # the oldest HDF5 that knows virtual data sets; it puts checksums on its metadata
# Rounding to float16 may add to a feature at most this share of its own spread over the samples.
ROUNDING_SHARE = 0.01
ROWS = 128  # looked at together, in the processor's cache


@contextmanager
def reading(path: Path):
    """A file of ours as (open file, its seal); `CacheError` if it is missing, damaged, or not ours."""
    with opened(path) as stream:
        file = sealed(stream, path)
        schema = file.contents["provenance"].get("schema")
        if schema != SCHEMA:
            raise CacheError(f"{path} has schema {schema}, this version reads {SCHEMA}; {AGAIN}")
        yield stream, file


def image(
    arrays: Mapping[str, np.ndarray], attributes: Mapping, link: Callable[[h5py.File], None] | None = None
) -> bytes:
    """A sealed HDF5 file of these arrays and root attributes: the same content gives the same bytes.

    HDF5 lays out the file without the values, which are then put where it has made room for them.

    Parameters
    ----------
    arrays : mapping of name to array
    attributes : mapping of name to what JSON takes; in the seal, and as root attributes for other programs
    link : callable, optional, adds to the HDF5 file what holds no values
    """
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    contents = dict(attributes, bytes=2**62, frame=2**32, superblock="00" * SUPERBLOCK)
    contents["data"] = {
        name: [2**62, array.dtype.str, array.shape, zlib.crc32(array)] for name, array in arrays.items()
    }
    begin, layout = length_of(contents), io.BytesIO()
    with h5py.File(layout, "w", libver=FORMAT, userblock_size=begin) as file:
        for name, value in attributes.items():
            file.attrs[name] = json.dumps(value, sort_keys=True)
        offsets = {name: _make_room(file, name, array) for name, array in arrays.items()}
        if link:
            link(file)
    layout, pieces, at = layout.getvalue(), [], begin
    for name in sorted(filter(offsets.get, offsets), key=offsets.get):
        between = layout[at : offsets[name]].ljust(offsets[name] - at, b"\0")
        pieces += [between, memoryview(arrays[name]).cast("B")]
        at = offsets[name] + arrays[name].nbytes
    pieces.append(layout[at:])
    frame = b"".join(pieces[::2])
    contents["bytes"] = at + len(pieces[-1])
    contents["superblock"], contents["frame"] = frame[:SUPERBLOCK].hex(), zlib.crc32(frame[SUPERBLOCK:])
    for name, place in contents["data"].items():
        place[0] = offsets[name]
    return b"".join([seal_of(contents, begin), *pieces])


def _make_room(file, name, array):
    """Give an array its place in the file, 0 where it holds nothing."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    made = file.create_dataset(name, array.shape, array.dtype, track_times=False, dcpl=plan)
    return (made.id.get_offset() or 0) if array.size else 0


def first_not_finite(features: np.ndarray):
    """(how many rows of (n, D) hold a value that is not finite, the first of them), or None."""
    with np.errstate(all="ignore"):
        if np.isfinite(features.sum()):  # whatever is not finite makes the sum so
            return None
    bad = ~np.isfinite(features).all(axis=1)
    return (int(bad.sum()), int(bad.argmax())) if bad.any() else None


def compact(features: np.ndarray) -> np.ndarray:
    """The features (n, D) as float16, or as they are where float16 would overflow or lose them.

    float16 keeps 11 bits. Where a feature's mean is far above its spread over the samples (residual streams
    have such channels), rounding can erase the spread, which is all a probe sees; hence the test is per
    column.
    """
    if not len(features):
        return features.astype(np.float16)
    own = features if features.flags.writeable else features.copy()  # torch warns of arrays that are not
    half = torch.from_numpy(np.ascontiguousarray(own)).half().numpy()  # as numpy rounds, and faster
    doubtful = ~_surely_fine(features)
    if not doubtful.any():
        return half
    if not np.isfinite(half).all():
        return features
    exact = features[:, doubtful]
    rounding = (half[:, doubtful] - exact).std(axis=0, dtype=np.float64)
    spread = exact.std(axis=0, dtype=np.float64)
    return half if (rounding <= ROUNDING_SHARE * spread).all() else features


def _surely_fine(features):
    """Columns, (D,) bool, whose largest value cannot round by as much as is allowed, whatever the others.

    A value rounds by 2^-11 of itself at most, or by 2^-25 where it is tiny. The spread is summed in float32,
    from the first row on: a tenth is left for what that loses.
    """
    first = features[0]
    low, high = first.copy(), first.copy()
    sums, squares = np.zeros((2, features.shape[1]))
    with np.errstate(all="ignore"):
        for lo in range(0, len(features), ROWS):
            rows = features[lo : lo + ROWS]
            np.minimum(low, rows.min(axis=0), out=low)
            np.maximum(high, rows.max(axis=0), out=high)
            away = rows - first
            sums += away.sum(axis=0)
            squares += np.einsum("nd,nd->d", away, away)
        spread = np.sqrt(squares / len(features) - (sums / len(features)) ** 2)
        largest = np.maximum(high, -low)
        rounding = np.maximum(largest.astype(np.float64) * 2**-11, 2**-25)
        return (rounding <= 0.9 * ROUNDING_SHARE * spread) & (largest < np.finfo(np.float16).max)
