"""HDF5 as the cache uses it: checksums everywhere, no times inside, errors that say what to do."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

SCHEMA = 1
FORMAT = ("v110", "v110")  # the oldest HDF5 that knows virtual data sets; it puts checksums on its metadata
CHUNK_BYTES = 2**18
# Rounding to float16 may add to a feature at most this share of its own spread over the samples.
ROUNDING_SHARE = 0.01
AGAIN = "delete that file and run the extraction again: what is complete is kept"


class CacheError(RuntimeError):
    """A cache that must not be read: truncated, incomplete, of another run. The message says what to do."""


@contextmanager
def reading(path: Path):
    """A file of ours open for reading; `CacheError` if it is missing, damaged, or not ours."""
    if not path.is_file():
        raise CacheError(f"{path} does not exist; run the extraction, or check the folder")
    try:
        # Finished files never change, so HDF5's own lock, which some network disks lack, is not needed.
        with h5py.File(path, "r", locking=False) as file:
            schema = attribute(file, "provenance").get("schema")
            if schema != SCHEMA:
                raise CacheError(f"{path} has schema {schema}, this version reads {SCHEMA}; {AGAIN}")
            yield file
    except OSError as error:
        raise CacheError(f"{path} or a shard it names is damaged or truncated ({error}); {AGAIN}") from error


def attribute(file, name):
    """A root attribute, from JSON."""
    if name not in file.attrs:
        raise CacheError(f"{file.filename} is not a features cache: it has no attribute {name!r}")
    return json.loads(file.attrs[name])


def write_attributes(file, **attributes):
    """Root attributes, as JSON with sorted keys: the same content gives the same bytes."""
    for name, value in attributes.items():
        file.attrs[name] = json.dumps(value, sort_keys=True)


def write_rows(file, name, array):
    """An array in chunks of whole rows, each with a checksum that HDF5 holds against every read."""
    chunks = {}
    if len(array):
        rows = int(np.clip(CHUNK_BYTES // array[:1].nbytes, 1, len(array)))
        chunks = {"chunks": (rows, *array.shape[1:]), "fletcher32": True}
    file.create_dataset(name, data=array, track_times=False, **chunks)


def compact(features: np.ndarray) -> np.ndarray:
    """The features (n, D) as float16, or as they are where float16 would overflow or lose them.

    float16 keeps 11 bits. Where a feature's mean is far above its spread over the samples (residual streams
    have such channels), rounding can erase the spread, which is all a probe sees; hence the test is per
    column.
    """
    if not len(features):
        return features.astype(np.float16)
    with np.errstate(over="ignore"):
        half = features.astype(np.float16)
    if not np.isfinite(half).all():
        return features
    rounding = (half - features).std(axis=0, dtype=np.float64)
    spread = features.std(axis=0, dtype=np.float64)
    return half if (rounding <= ROUNDING_SHARE * spread).all() else features
