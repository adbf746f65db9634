"""Files that begin with a seal: what they hold, where, and checksums of every byte that follows.

| bytes | hold |
| --- | --- |
| 16 | `MAGIC` |
| 64 | SHA-256, in hexadecimal, of the rest of the seal: what tells one file from another |
| 10 | length of the whole seal, a power of two, and a line feed |
| up to that length | the contents as JSON, filled up with spaces |
| the rest | an HDF5 file: tools find it behind a seal, and leave the seal alone |

The contents say for every array its place, type, shape and CRC-32, and the CRC-32 of all that lies between
the arrays. So what is read is checked, in the same open file, and no parser ever meets a damaged byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

MAGIC = b"difffeat cache\r\n"
HDF5 = b"\x89HDF\r\n\x1a\n"
LEAST = 512  # of a seal, and the smallest that HDF5 looks behind
HEAD = len(MAGIC) + 64 + 10
SUPERBLOCK = 48  # bytes of HDF5's first block; a program that writes marks it while it has the file open
FLAGS, CHECKSUM = slice(11, 12), slice(44, 48)  # where in it the mark is, and what changes with it
BLOCK_BYTES = 2**18  # read, checked and converted together: they stay in the processor's cache
ONE_THREAD = 2**15 - 1  # torch shares out what has more elements
AGAIN = "delete that file and run the extraction again: what is complete is kept"


class CacheError(RuntimeError):
    """A cache that must not be read: damaged, incomplete, of another run. The message says what to do."""


@dataclass(frozen=True)
class Sealed:
    """A file whose seal has been read and holds.

    Attributes
    ----------
    path : Path, absolute
    digest : str, known to whoever lists this file
    contents : dict, what the seal says
    """

    path: Path
    digest: str
    contents: dict
    seal: bytes = field(repr=False)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """Shape of an array; None if there is none of this name."""
        return tuple(self.contents["data"][name][2]) if name in self.contents["data"] else None

    def check_same(self, stream: BinaryIO) -> None:
        """The open file must begin with the same seal and have the length that it says."""
        stream.seek(0)
        if stream.read(len(self.seal)) != self.seal:
            raise CacheError(
                f"{self.path} was replaced or damaged since it was opened; open the cache again: that says "
                f"what to delete"
            )
        self.check_size(stream)

    def check_size(self, stream: BinaryIO) -> None:
        size, expected = os.fstat(stream.fileno()).st_size, self.contents["bytes"]
        if size != expected:
            raise CacheError(
                f"{self.path} is damaged or truncated: expected {expected} bytes, found {size}; {AGAIN}"
            )

    def check_frame(self, stream: BinaryIO) -> None:
        """All bytes but those of the arrays."""
        self.check_size(stream)
        frame = b"".join(_at(stream, *gap) for gap in gaps(self.contents, len(self.seal)))
        found, expected = frame[:SUPERBLOCK], bytes.fromhex(self.contents["superblock"])
        if _marked(found, expected):
            raise CacheError(
                f"{self.path} is in use: another program has it open for writing; close it there and run the "
                f"same again. If none has, {AGAIN}"
            )
        if found != expected or zlib.crc32(frame[SUPERBLOCK:]) != self.contents["frame"]:
            raise CacheError(f"{self.path} is damaged: a checksum of its structure does not hold; {AGAIN}")

    def read_into(self, stream: BinaryIO, name: str, out: np.ndarray) -> None:
        """Fill an array of the right shape, float32 or of the stored type, with the checked values."""
        offset, dtype, shape, checksum = self.contents["data"][name]
        if not prod(shape):
            return
        stored = np.dtype(dtype)
        rows = max(1, BLOCK_BYTES // (stored.itemsize * prod(shape[1:])))
        buffer = None if stored == out.dtype else np.empty((min(rows, len(out)), *shape[1:]), stored)
        stream.seek(offset)
        found = 0
        for lo in range(0, len(out), rows):
            part = out[lo : lo + rows]
            block = part if buffer is None else buffer[: len(part)]
            _fill(stream, memoryview(block).cast("B"))
            found = zlib.crc32(block, found)
            if block is not part:
                convert(block, part)
        if found != checksum:
            raise CacheError(f"{self.path} is damaged: a checksum of {name} does not hold; {AGAIN}")

    def ids(self, stream: BinaryIO) -> np.ndarray:
        """The sample ids, int64 (n,)."""
        ids = np.empty(self.shape("index"), np.int64)
        self.read_into(stream, "index", ids)
        return ids


@contextmanager
def opened(path: Path | str) -> Iterator[BinaryIO]:
    """A file open for reading without a buffer; whatever the system has against it is a `CacheError`."""
    try:
        with Path(path).open("rb", buffering=0) as stream:
            yield stream
    except FileNotFoundError as error:
        raise CacheError(f"{path} does not exist; run the extraction, or check the folder") from error
    except OSError as error:
        raise CacheError(
            f"{path} cannot be read ({error.strerror or error}); it may be in use, or not yours to read: see "
            f"to that and run the same again"
        ) from error


def sealed(stream: BinaryIO, path: Path | str) -> Sealed:
    """The seal of an open file, checked."""
    head = stream.read(LEAST)
    if head.startswith(HDF5):
        raise CacheError(
            f"{path} is not a features cache of this version, it has no seal; if it is of an earlier one, "
            f"{AGAIN}"
        )
    length = head[len(MAGIC) + 64 : HEAD].strip()
    seal = head + (_rest(stream, int(length) - len(head)) if length.isdigit() else b"")
    digest = hashlib.sha256(seal[len(MAGIC) + 64 :]).hexdigest()
    if not seal.startswith(MAGIC + digest.encode()):
        raise CacheError(f"{path} is damaged or truncated: its seal does not hold; {AGAIN}")
    return Sealed(Path(path).absolute(), digest, json.loads(seal[HEAD:]), seal)


def convert(source: np.ndarray, target: np.ndarray) -> None:
    """Copy a contiguous array into one of another number format: as numpy does, at several times its rate.

    In pieces that torch gives to one thread: two would wait for each other on cores that are busy otherwise.
    """
    source, target = source.reshape(-1), target.reshape(-1)
    for lo in range(0, len(source), ONE_THREAD):
        part = slice(lo, lo + ONE_THREAD)
        torch.from_numpy(target[part]).copy_(torch.from_numpy(source[part]))


def length_of(contents: dict) -> int:
    """The length of a seal of such contents."""
    length = LEAST
    while length < HEAD + len(_json(contents)):
        length *= 2
    return length


def seal_of(contents: dict, length: int) -> bytes:
    """The seal of these contents."""
    body = b"%9d\n" % length + _json(contents).ljust(length - HEAD)
    return MAGIC + hashlib.sha256(body).hexdigest().encode() + body


def _json(contents):
    return json.dumps(contents, sort_keys=True).encode()


def gaps(contents: Mapping, begin: int) -> Iterator[tuple[int, int]]:
    """Yield (offset, length) of all that lies between the arrays."""
    arrays = [
        (offset, prod(shape) * np.dtype(dtype).itemsize)
        for offset, dtype, shape, _ in contents["data"].values()
        if prod(shape)
    ]
    for offset, length in [*sorted(arrays), (contents["bytes"], 0)]:
        yield begin, offset - begin
        begin = offset + length


def _marked(found, expected):
    """Whether a superblock differs from the one written only as one does that is open for writing."""
    whole = bytearray(found)
    whole[FLAGS], whole[CHECKSUM] = expected[FLAGS], expected[CHECKSUM]
    changed = all(found[part] != expected[part] for part in (FLAGS, CHECKSUM))
    return len(found) == SUPERBLOCK and changed and bytes(whole) == expected


def _at(stream, offset, length):
    stream.seek(offset)
    return _rest(stream, length)


def _rest(stream, length):
    """The next bytes, fewer where the file ends."""
    length = max(0, min(length, os.fstat(stream.fileno()).st_size - stream.tell()))
    content = bytearray(length)
    _fill(stream, memoryview(content))
    return bytes(content)


def _fill(stream, view):
    """Read until full, or to the end of the file."""
    while len(view):
        count = stream.readinto(view)
        if not count:
            return
        view = view[count:]
