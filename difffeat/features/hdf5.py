"""HDF5 as the cache writes it: arrays in one piece each, no times inside, behind a seal that says where."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import h5py
import numpy as np

from difffeat.features.sealed import (
    AGAIN,
    SUPERBLOCK,
    CacheError,
    Sealed,
    convert,
    gaps,
    length_of,
    opened,
    seal_of,
    sealed,
)

SCHEMA = 2
FORMAT = ("v110", "v110")  # the oldest HDF5 that knows virtual data sets; it puts checksums on its metadata
# Rounding to float16 may add to a feature at most this share of its own spread over the samples.
ROUNDING_SHARE = 0.01
TOGETHER = 2**16  # values looked at or converted at once, in the processor's cache


@contextmanager
def reading(path: Path) -> Iterator[tuple[BinaryIO, Sealed]]:
    """A file of ours as (open file, its seal); `CacheError` if it is missing, damaged, or not ours."""
    with opened(path) as stream:
        file = sealed(stream, path)
        schema = file.contents["provenance"].get("schema")
        if schema != SCHEMA:
            raise CacheError(f"{path} has schema {schema}, this version reads {SCHEMA}; {AGAIN}")
        yield stream, file


def image(
    arrays: Iterable[tuple[str, np.ndarray]],
    attributes: Mapping,
    names: Collection[str],
    link: Callable[[h5py.File], None] | None = None,
) -> bytearray:
    """A sealed HDF5 file of arrays and root attributes: the same content gives the same bytes.

    HDF5 lays out the file and makes room, we put the values there: they are in memory once.

    Parameters
    ----------
    arrays : iterable of (name, array), consumed one at a time; of float32 they are kept as `compact` has them
    attributes : mapping of name to what JSON takes; in the seal, and as root attributes for other programs
    names : of the arrays that may come; the seal has room for so many
    link : callable, optional, adds to the HDF5 file what holds no values
    """
    most = {name: [2**62, "<f2", [2**40, 2**40], 2**32] for name in names}
    contents = dict(attributes, bytes=2**62, frame=2**32, superblock="00" * SUPERBLOCK, data=most)
    begin, memory = length_of(contents), _Memory()
    contents["data"] = {}
    with h5py.File(memory, "w", libver=FORMAT, userblock_size=begin) as file:
        for name, value in attributes.items():
            file.attrs[name] = json.dumps(value, sort_keys=True)
        for name, array in arrays:
            if name not in most:
                raise ValueError(f"{name} is not among what the provenance says is kept: {', '.join(most)}")
            contents["data"][name] = _put(file, memory, name, array)
        if link:
            link(file)
    content = memory.content
    contents["bytes"] = len(content)
    frame = b"".join(content[offset : offset + length] for offset, length in gaps(contents, begin))
    contents["superblock"], contents["frame"] = frame[:SUPERBLOCK].hex(), zlib.crc32(frame[SUPERBLOCK:])
    content[:begin] = seal_of(contents, begin)
    return content


class _Memory(io.RawIOBase):
    """A file in memory, for HDF5 to write what it must and for us to put the values between."""

    def __init__(self):
        self.content, self.at = bytearray(), 0

    def seek(self, offset, whence=io.SEEK_SET):
        self.at = offset + (0, self.at, len(self.content))[whence]
        return self.at

    def tell(self):
        return self.at

    def readinto(self, buffer):
        found = self.content[self.at : self.at + len(buffer)]
        buffer[: len(found)] = found
        self.at += len(found)
        return len(found)

    def write(self, data):
        self.put(self.at, data)
        self.at += len(data)
        return len(data)

    def truncate(self, size):
        self.content += bytes(max(0, size - len(self.content)))
        del self.content[size:]
        return size

    def put(self, offset, data):
        """Write bytes at a place; at the end they are added without a copy in between."""
        if offset >= len(self.content):
            self.content += bytes(offset - len(self.content))
            self.content += data
        else:
            self.content[offset : offset + len(data)] = data


def _put(file, memory, name, array):
    """Let HDF5 make room for an array, and put its values there; what the seal says of it."""
    half = array.dtype == np.float32 and fits_half(array)
    dtype = np.dtype("<f2") if half else array.dtype.newbyteorder("<")
    made = _create(file, name, array.shape, dtype, _plan(early=True))
    offset, checksum = 0, 0
    if array.size:
        offset = at = made.get_offset()
        together = _rows(array)
        for lo in range(0, len(array), together):
            rows = np.ascontiguousarray(array[lo : lo + together])
            stored = memoryview(as_half(rows) if half else rows.astype(dtype, copy=False)).cast("B")
            checksum = zlib.crc32(stored, checksum)
            memory.put(at, stored)
            at += len(stored)
    return [offset, dtype.str, array.shape, checksum]


def put_links(
    file: h5py.File, name: str, dtype: np.dtype, links: Sequence[tuple[str, tuple[int, ...]]]
) -> None:
    """A virtual data set over arrays (rows, ...) of other files; NaN, not zero, where one of them is missing.

    Parameters
    ----------
    links : sequence of (file as seen from this one, shape of its array of the same name)
    """
    samples, width = sum(shape[0] for _, shape in links), links[0][1][1:]
    plan, row = _plan(), 0
    plan.set_fill_value(np.array(np.nan, dtype))
    for source, shape in links:
        if shape[0]:
            place = h5py.h5s.create_simple((samples, *width))
            place.select_hyperslab((row, *[0] * len(width)), shape)
            plan.set_virtual(place, source.encode(), name.encode(), h5py.h5s.create_simple(shape))
        row += shape[0]
    _create(file, name, (samples, *width), np.dtype(dtype), plan)


def _plan(early=False):
    """How a data set is made: without times, and with `early` with room for values that we write."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_obj_track_times(False)
    if early:
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return plan


def _create(file, name, shape, dtype, plan):
    """A data set, with the groups in its name; a third of the time that h5py's upper half takes."""
    parents = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    parents.set_create_intermediate_group(True)
    kind, space = h5py.h5t.py_create(dtype), h5py.h5s.create_simple(shape)
    return h5py.h5d.create(file.id, name.encode(), kind, space, plan, parents)


def _rows(array):
    """How many rows to look at together."""
    return max(1, TOGETHER * len(array) // max(1, array.size))


def first_not_finite(features: np.ndarray) -> tuple[int, int] | None:
    """(how many rows of (n, ...) hold a value that is not finite, the first of them), or None."""
    with np.errstate(all="ignore"):
        if np.isfinite(features.sum()):  # whatever is not finite makes the sum so
            return None
    bad = ~np.isfinite(features).reshape(len(features), -1).all(axis=1)
    return (int(bad.sum()), int(bad.argmax())) if bad.any() else None


def compact(features: np.ndarray) -> np.ndarray:
    """The features (n, D) as float16, or as they are where float16 would overflow or lose them."""
    return as_half(features) if fits_half(features) else features


def as_half(features: np.ndarray) -> np.ndarray:
    """As float16, rounded as numpy does, in a fraction of the time."""
    half = np.empty(features.shape, np.float16)
    own = np.require(features, requirements=["C", "W"])  # torch warns of arrays that cannot be written
    convert(own, half)
    return half


def fits_half(features: np.ndarray) -> bool:
    """Whether float16 keeps the features (n, ...): it does not overflow, and its rounding is small.

    float16 keeps 11 bits. Where a feature's mean is far above its spread over the samples (residual streams
    have such channels), rounding can erase the spread, which is all a probe sees; hence the test is per
    column.
    """
    if not features.size:
        return True
    features = features.reshape(len(features), -1)  # of tokens each number is a column
    doubtful = ~_surely_fine(features)
    if not doubtful.any():
        return True
    exact = features[:, doubtful]
    with np.errstate(over="ignore"):
        half = exact.astype(np.float16)
    if not np.isfinite(half).all():
        return False
    rounding = (half - exact).std(axis=0, dtype=np.float64)
    spread = exact.std(axis=0, dtype=np.float64)
    return bool((rounding <= ROUNDING_SHARE * spread).all())


def _surely_fine(features):
    """Columns, (D,) bool, whose largest value cannot round by as much as is allowed, whatever the others.

    A value rounds by 2^-11 of itself at most, or by 2^-25 where it is tiny. The spread is summed in float32,
    from the first row on: a tenth is left for what that loses.
    """
    first = features[0]
    low, high = first.copy(), first.copy()
    sums, squares = np.zeros((2, features.shape[1]))
    with np.errstate(all="ignore"):
        together = _rows(features)
        for lo in range(0, len(features), together):
            rows = features[lo : lo + together]
            np.minimum(low, rows.min(axis=0), out=low)
            np.maximum(high, rows.max(axis=0), out=high)
            away = rows - first
            sums += away.sum(axis=0)
            squares += np.einsum("nd,nd->d", away, away)
        spread = np.sqrt(squares / len(features) - (sums / len(features)) ** 2)
        largest = np.maximum(high, -low)
        rounding = np.maximum(largest.astype(np.float64) * 2**-11, 2**-25)
        return (rounding <= 0.9 * ROUNDING_SHARE * spread) & (largest < np.finfo(np.float16).max)
