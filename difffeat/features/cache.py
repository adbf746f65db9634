"""Pooled features on disk: HDF5 shards, a virtual view over them, and what it takes to trust them.

Letters: N samples in a split, n samples in a shard, T tokens, D width, P points of a (timestep, block) grid.

    <folder>/<split>/00000000-00001024.h5   a shard: the samples [0, 1024) of the split
    <folder>/<split>.h5                     the view: all shards as one file, holding only their names

| in a shard (in the view) | shape | type | meaning |
| --- | --- | --- | --- |
| b08/t0030 | (n, D), (N, D) | float16 or float32 | features of block 8 at timestep 30 |
| b08/attention/t0030 | as wide as its tokens | the same | the same, at a place inside the block |
| of pooling "none" each | (n, T, D), (N, T, D) | the same | tokens instead of features |
| index | (n,), (N,) | int64 | sample ids, in the order of the split |
| attribute provenance | | JSON | what decides the features: model, inputs, points, noise, pooling |
| attribute environment | | JSON | what made them: versions, commit |
| attribute skipped | | JSON | ids and files of images that could not be decoded |
| attribute file (not in the view) | | JSON | the shard's own name, which says which samples it holds |
| attribute sources (in the view only) | | JSON | names, sizes and seals of the shards |

A file that exists under its name is complete: it is built in memory, written under another name, flushed to
the disk and renamed. No time is put into it, so the same run gives the same bytes.

Every file begins with a seal that repeats the attributes and has checksums of all else (`sealed.py`). What
is read here is read through it, from the shards themselves: HDF5 is for other programs, which find all points
as virtual data sets in the view. Call `verify` before they read, for HDF5 itself checks no values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from difffeat.base.files import write_whole
from difffeat.base.run import environment
from difffeat.features.hdf5 import SCHEMA, first_not_finite, image, reading
from difffeat.features.layout import (
    check_points_of,
    check_provenance,
    header,
    listed,
    places,
    point_names,
)
from difffeat.features.points import OUT, Point, points_of
from difffeat.features.sealed import AGAIN, CacheError, Sealed, opened

__all__ = ["SCHEMA", "Features", "attributes", "missing", "open", "verify", "write_shard"]


@dataclass(frozen=True, eq=False)
class Features:
    """The pooled features of a split, read from disk when asked for. Made by `open`.

    Attributes
    ----------
    path : Path of the view
    ids : int64 array of shape (N,); `split.select(features.ids)` gives labels in the same order
    blocks, timesteps : tuples of int, the points that can be read
    places : tuple of str, where in each block
    provenance, environment : dicts, what decided the features and what made them
    skipped : tuple of (id, file name), images that could not be decoded and are not among `ids`
    shards : tuple of Sealed, the files that were checked, in order; reads go to no others
    """

    path: Path
    ids: np.ndarray
    blocks: tuple[int, ...]
    timesteps: tuple[int, ...]
    places: tuple[str, ...]
    provenance: dict
    environment: dict
    skipped: tuple[tuple[int, str], ...]
    shards: tuple[Sealed, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, point: Point | tuple) -> np.ndarray:
        """Features of one point, (timestep, block) or (timestep, block, place), float32 (N, D).

        Features that are not pooled come as tokens, (N, T, D).

        Raises
        ------
        ValueError
            If the cache does not hold this block, timestep or place; the message lists those it holds.
        CacheError
            If a shard has gone, was replaced or damaged since the cache was opened, or its bytes do not
            agree with their checksum.
        """
        point = Point.of(point)
        self._check_points([point.block], [point.timestep], [point.place])
        return self._read([point.name])[0]

    def stack(
        self,
        blocks: Sequence[int] | None = None,
        timesteps: Sequence[int] | None = None,
        place: str = OUT,
    ) -> np.ndarray:
        """Features of blocks x timesteps (default all) at one place, float32 (P, N, D).

        P runs over the blocks of the first timestep, then those of the next: reshaped, (T, B, N, D).
        """
        narrowed = self.select(
            self.blocks if blocks is None else blocks,
            self.timesteps if timesteps is None else timesteps,
            [place],
        )
        return self._read(
            [
                Point(timestep, block, place).name
                for timestep in narrowed.timesteps
                for block in narrowed.blocks
            ]
        )

    def select(
        self, blocks: Sequence[int], timesteps: Sequence[int], places: Sequence[str] | None = None
    ) -> Features:
        """The same features, narrowed to some of the points; by default at all places."""
        places = self.places if places is None else places
        self._check_points(blocks, timesteps, places)
        return replace(self, blocks=tuple(blocks), timesteps=tuple(timesteps), places=tuple(places))

    @property
    def points(self) -> list[Point]:
        """The points that can be read: timestep by timestep, of each its blocks, of each its places."""
        return points_of(self.blocks, self.timesteps, self.places)

    def _read(self, names):
        """Points by name, float32 (P, N, D): from each shard those rows, in the open file that is checked."""
        features = np.empty((len(names), len(self), *self.shards[0].shape(names[0])[1:]), np.float32)
        row = 0
        for shard in self.shards:
            if not shard.path.is_file():
                raise CacheError(f"{shard.path} has gone since it was opened; run the extraction again")
            rows = slice(row, row + shard.shape("index")[0])
            with opened(shard.path) as stream:
                shard.check_same(stream)
                for place, name in enumerate(names):
                    shard.read_into(stream, name, features[place, rows])
            row = rows.stop
        return features

    def _check_points(self, *asked_for):
        held_of = self.blocks, self.timesteps, self.places
        for what, asked, held in zip(("block", "timestep", "place"), asked_for, held_of, strict=True):
            if not len(asked):
                raise ValueError(f"no {what} asked for; {self.path} holds {what}s {listed(held)}")
            for value in asked:
                if value not in held:
                    raise ValueError(f"{what} {value} is not in {self.path}; it holds {what}s {listed(held)}")


def open(path: Path | str, *, expected: Mapping | None = None) -> Features:
    """Open a view after checking that every shard is there and belongs to it.

    Looks at names, sizes, seals, sample ids and provenance, not at the features: each read checks those that
    it returns, and `verify` all of them.

    Parameters
    ----------
    path : path of the view, `<folder>/<split>.h5`
    expected : mapping, optional; provenance fields that must have these values

    Raises
    ------
    CacheError
        If the view or a shard is missing, damaged, in use by a program that writes, of another run or another
        schema, or not as `expected`.
    """
    path = Path(path)
    view, ids = _view(path)
    found = view.contents
    check_provenance(path, expected or {}, found["provenance"])
    shards, row = [], 0
    for source in found["sources"]:
        shards.append(
            _source(
                path.parent / source["file"], source, found["provenance"], ids[row : row + source["rows"]]
            )
        )
        row += source["rows"]
    return Features(
        path=path,
        ids=ids,
        blocks=tuple(found["provenance"]["blocks"]),
        timesteps=tuple(found["provenance"]["timesteps"]),
        places=tuple(places(found["provenance"])),
        provenance=found["provenance"],
        environment=found["environment"],
        skipped=tuple((sample, name) for sample, name in found["skipped"]),
        shards=tuple(shards),
    )


def verify(path: Path | str) -> Features:
    """Open a view and hold every byte of every shard against its checksums, as reading does; returns the
    features.

    Raises
    ------
    CacheError
        As `open`, and if a checksum does not hold or a value is not finite.
    """
    features = open(path)
    for shard in features.shards:
        with opened(shard.path) as stream:
            shard.check_same(stream)
            for name in point_names(features.provenance):
                rows = np.empty(shard.shape(name), np.float32)
                shard.read_into(stream, name, rows)
                if first_not_finite(rows):
                    raise CacheError(f"{shard.path} holds values in {name} that are not finite; {AGAIN}")
    return features


def attributes(path: Path | str) -> dict:
    """Provenance, environment and skipped images of a shard or view, read without looking at the rest."""
    with reading(Path(path)) as (_, file):
        return {name: file.contents[name] for name in ("provenance", "environment", "skipped")}


def missing(path: Path | str) -> list[Path]:
    """The shards that a view names and that are not there."""
    path = Path(path)
    view, _ = _view(path)
    shards = [path.parent / source["file"] for source in view.contents["sources"]]
    return [shard for shard in shards if not shard.is_file()]


def write_shard(
    path: Path | str,
    *,
    ids: np.ndarray,
    points: Iterable[tuple[Point, np.ndarray]],
    provenance: Mapping,
    skipped: Sequence[tuple[int, str]] = (),
) -> Path:
    """Write one shard, whole or not at all. Call it within `only_writer(path)`.

    Parameters
    ----------
    path : path, from `shard_path`
    ids : int64 array of shape (n,)
    points : iterable of (Point, float32 features of shape (n, D)), consumed one at a time; tokens that are
        not pooled are of shape (n, T, D)
    provenance : mapping that JSON can hold
    skipped : (id, file name) of images in the slice that could not be decoded

    Raises
    ------
    ValueError
        If a feature is NaN or infinite; the message names the point and the sample.
    OSError
        If the file cannot be written, a full disk for one; nothing is left under its name.
    """
    about = {"provenance": dict(provenance), "environment": environment(), "skipped": list(skipped)}
    about["file"] = Path(path).name
    arrays = _arrays(np.asarray(ids, dtype=np.int64), points)
    return write_whole(path, image(arrays, about, ["index", *point_names(provenance)]))


def _arrays(ids, points):
    """Yield (name, array) of what a shard holds."""
    yield "index", ids
    for point, features in points:
        _check_finite(features, ids, point)
        yield point.name, features


def _view(path: Path):
    """(seal, sample ids) of a view, all of it checked."""
    view, ids = header(path)
    if "sources" not in view.contents:
        raise CacheError(
            f"{path} is a shard, not a view: name the view, which lies beside the folder of the shards; if "
            f"this is its name, {AGAIN}"
        )
    return view, ids


def _source(shard, source, expected, ids) -> Sealed:
    """The shard that a view names, checked to be that one."""
    if not shard.is_file():
        raise CacheError(f"shard {shard} is missing; run the extraction again: it makes what is not there")
    size = shard.stat().st_size
    if size != source["bytes"]:
        raise CacheError(
            f"{shard} is truncated or replaced: expected {source['bytes']} bytes, found {size}; {AGAIN}"
        )
    file, found = header(shard)
    check_provenance(shard, expected, file.contents["provenance"])
    if not np.array_equal(found, ids):
        raise CacheError(f"{shard} holds other sample ids than its view says; {AGAIN}")
    if file.digest != source["seal"]:
        raise CacheError(f"{shard} was replaced after the view {shard.parent}.h5 was written; {AGAIN}")
    check_points_of([file], expected)
    return file


def _check_finite(features, ids, point):
    bad = first_not_finite(features)
    if bad:
        count, first = bad
        where = f"block {point.block}" if point.place == OUT else f"{point.place} in block {point.block}"
        raise ValueError(
            f"features of {where} at timestep {point.timestep} are not finite for {count} samples, "
            f"the first is id {ids[first]}; check the weights and the number format of the model"
        )
