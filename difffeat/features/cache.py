"""Pooled features on disk: HDF5 shards, a virtual view over them, and what it takes to trust them.

Letters: N samples in a split, n samples in a shard, D width, P points of a (block, timestep) grid.

    <folder>/<split>/00000000-00001024.h5   a shard: the samples [0, 1024) of the split
    <folder>/<split>.h5                     the view: all shards as one file, holding only their names

| in a shard (in the view) | shape | type | meaning |
| --- | --- | --- | --- |
| b08/t0030 | (n, D), (N, D) | float16 or float32 | features of block 8 at timestep 30 |
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

import functools
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from difffeat import __version__
from difffeat.base.files import write_whole
from difffeat.features.hdf5 import SCHEMA, first_not_finite, image, put_links, reading
from difffeat.features.sealed import AGAIN, CacheError, Sealed, opened

__all__ = [
    "SCHEMA",
    "CacheError",
    "Features",
    "attributes",
    "check_provenance",
    "environment",
    "missing",
    "open",
    "shard_path",
    "verify",
    "view_is_current",
    "view_path",
    "write_shard",
    "write_view",
]


@dataclass(frozen=True, eq=False)
class Features:
    """The pooled features of a split, read from disk when asked for. Made by `open`.

    Attributes
    ----------
    path : Path of the view
    ids : int64 array of shape (N,); `split.select(features.ids)` gives labels in the same order
    blocks, timesteps : tuples of int, the points that can be read
    provenance, environment : dicts, what decided the features and what made them
    skipped : tuple of (id, file name), images that could not be decoded and are not among `ids`
    shards : tuple of Sealed, the files that were checked, in order; reads go to no others
    """

    path: Path
    ids: np.ndarray
    blocks: tuple[int, ...]
    timesteps: tuple[int, ...]
    provenance: dict
    environment: dict
    skipped: tuple[tuple[int, str], ...]
    shards: tuple[Sealed, ...] = field(repr=False)

    def __len__(self):
        return len(self.ids)

    def read(self, block: int, timestep: int) -> np.ndarray:
        """Features of one point, float32 (N, D).

        Raises
        ------
        ValueError
            If the cache does not hold this block or timestep; the message lists those it holds.
        CacheError
            If a shard has gone, was replaced or damaged since the cache was opened, or its bytes do not
            agree with their checksum.
        """
        self._check_points([block], [timestep])
        return self._read([_point_name(block, timestep)])[0]

    def grid(self, blocks: Sequence[int] | None = None, timesteps: Sequence[int] | None = None) -> np.ndarray:
        """Features of blocks x timesteps (default all), float32 (P, N, D).

        P runs over the blocks of the first timestep, then those of the next: `grid.reshape(timesteps, blocks,
        N, D)`.
        """
        narrowed = self.select(
            self.blocks if blocks is None else blocks, self.timesteps if timesteps is None else timesteps
        )
        return self._read(
            [_point_name(block, timestep) for timestep in narrowed.timesteps for block in narrowed.blocks]
        )

    def select(self, blocks: Sequence[int], timesteps: Sequence[int]) -> Features:
        """The same features, narrowed to some of the points."""
        self._check_points(blocks, timesteps)
        return replace(self, blocks=tuple(blocks), timesteps=tuple(timesteps))

    def _read(self, names):
        """Points by name, float32 (P, N, D): from each shard those rows, in the open file that is checked."""
        features = np.empty((len(names), len(self), self.shards[0].shape(names[0])[1]), np.float32)
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

    def _check_points(self, blocks, timesteps):
        for what, asked, held in (("block", blocks, self.blocks), ("timestep", timesteps, self.timesteps)):
            if not len(asked):
                raise ValueError(f"no {what} asked for; {self.path} holds {what}s {_listed(held)}")
            for value in asked:
                if value not in held:
                    raise ValueError(
                        f"{what} {value} is not in {self.path}; it holds {what}s {_listed(held)}"
                    )


def open(path, *, expected: Mapping | None = None) -> Features:
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
        provenance=found["provenance"],
        environment=found["environment"],
        skipped=tuple((sample, name) for sample, name in found["skipped"]),
        shards=tuple(shards),
    )


def verify(path) -> Features:
    """Open a view and hold every byte of every shard against its checksums, as reading does; returns the
    features.

    Raises
    ------
    CacheError
        As `open`, and if a checksum does not hold or a value is not finite.
    """
    features = open(path)
    for shard in features.shards:
        names = _point_names(features.provenance)
        rows = np.empty(shard.shape(names[0]), np.float32)
        with opened(shard.path) as stream:
            shard.check_same(stream)
            for name in names:
                shard.read_into(stream, name, rows)
                if first_not_finite(rows):
                    raise CacheError(f"{shard.path} holds values in {name} that are not finite; {AGAIN}")
    return features


def attributes(path) -> dict:
    """Provenance, environment and skipped images of a shard or view, read without looking at the rest."""
    with reading(Path(path)) as (_, file):
        return {name: file.contents[name] for name in ("provenance", "environment", "skipped")}


def missing(path) -> list[Path]:
    """The shards that a view names and that are not there."""
    path = Path(path)
    view, _ = _view(path)
    shards = [path.parent / source["file"] for source in view.contents["sources"]]
    return [shard for shard in shards if not shard.is_file()]


def check_provenance(path, expected: Mapping, found: Mapping) -> None:
    """Compare field by field.

    Raises
    ------
    CacheError
        Naming each field of `expected` that differs, with both values.
    """
    differing = [field for field in expected if expected[field] != found.get(field)]
    if differing:
        lines = [
            f"  {field}: expected {expected[field]!r}, found {found.get(field)!r}" for field in differing
        ]
        way_out = "use another folder, or delete that file and run again"
        raise CacheError("\n".join([f"{path} is of another run:", *lines, way_out]))


def environment() -> dict:
    """The commit of this package where there is one, and the versions of what decides the numbers."""
    return dict(_environment())


@functools.cache
def _environment():
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    libraries = {package: version(package) for package in ("torch", "diffusers", "numpy", "h5py", "pillow")}
    return {"difffeat": __version__, "commit": commit.stdout.strip() or None} | libraries


def shard_path(folder, split_name: str, lo: int, hi: int) -> Path:
    """Where the shard of the samples [lo, hi) of a split is kept."""
    return Path(folder) / split_name / f"{lo:08d}-{hi:08d}.h5"


def view_path(folder, split_name: str) -> Path:
    """Where the view over all shards of a split is kept."""
    return Path(folder) / f"{split_name}.h5"


def write_shard(
    path,
    *,
    ids: np.ndarray,
    points: Iterable[tuple[int, int, np.ndarray]],
    provenance: Mapping,
    skipped: Sequence[tuple[int, str]] = (),
) -> Path:
    """Write one shard, whole or not at all. Call it within `only_writer(path)`.

    Parameters
    ----------
    path : path, from `shard_path`
    ids : int64 array of shape (n,)
    points : iterable of (block, timestep, float32 features of shape (n, D)), consumed one at a time
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
    return write_whole(path, image(arrays, about, ["index", *_point_names(provenance)]))


def _arrays(ids, points):
    """Yield (name, array) of what a shard holds."""
    yield "index", ids
    for block, timestep, features in points:
        _check_finite(features, ids, block, timestep)
        yield _point_name(block, timestep), features


def write_view(folder, split_name: str) -> Path:
    """Write the view over all shards of a split. Call it within `only_writer(view_path(...))`.

    Raises
    ------
    CacheError
        If the shards do not cover the split exactly once, or are not of one run.
    """
    return write_whole(view_path(folder, split_name), _view_image(folder, split_name))


def view_is_current(folder, split_name: str) -> bool:
    """Whether the view is there and has every byte that `write_view` would write. Raises as that does."""
    path, content = view_path(folder, split_name), _view_image(folder, split_name)
    if not path.is_file():
        return False
    with opened(path) as stream:
        return stream.read() == content


def _view_image(folder, split_name):
    path = view_path(folder, split_name)
    shards = sorted((Path(folder) / split_name).glob("*.h5"))
    headers = [_header(shard) for shard in shards]
    if not headers:
        raise CacheError(f"there are no shards of {split_name!r} in {folder}; run the extraction first")
    contents = [file.contents for file, _ in headers]
    common = contents[0]["provenance"]
    for shard, content in zip(shards, contents, strict=True):
        check_provenance(shard, common, content["provenance"])
    _check_cover(path, shards, common["samples"])
    files = [file for file, _ in headers]
    _check_points_of(files, common)
    about = {
        "provenance": common,
        "environment": contents[0]["environment"],
        "skipped": [entry for content in contents for entry in content["skipped"]],
        "sources": [_source_entry(file) for file in files],
    }
    ids = np.concatenate([ids for _, ids in headers])
    return image([("index", ids)], about, ["index"], lambda view: _link(view, files, common))


def _header(shard: Path):
    """(seal, sample ids) of a shard, all of it checked but its features."""
    with reading(shard) as (stream, file):
        file.check_frame(stream)
        written = file.contents.get("file", shard.name)
        if written != shard.name:
            raise CacheError(f"{shard} was written as {written}: give it that name again, or {AGAIN}")
        return file, file.ids(stream)


def _view(path: Path):
    """(seal, sample ids) of a view, all of it checked."""
    view, ids = _header(path)
    if "sources" not in view.contents:
        raise CacheError(
            f"{path} is a shard, not a view: name the view, which lies beside the folder of the shards; if "
            f"this is its name, {AGAIN}"
        )
    return view, ids


def _source_entry(file: Sealed):
    """How a view names a shard."""
    name = f"{file.path.parent.name}/{file.path.name}"
    rows = file.shape("index")[0]
    return {"file": name, "rows": rows, "bytes": file.contents["bytes"], "seal": file.digest}


def _link(view, files, provenance):
    """A virtual data set over each point of all shards."""
    for name in _point_names(provenance):
        dtype = np.result_type(*[np.dtype(file.contents["data"][name][1]) for file in files])
        put_links(view, name, dtype, [(_source_entry(file)["file"], file.shape(name)) for file in files])


def _source(shard, source, expected, ids) -> Sealed:
    """The shard that a view names, checked to be that one."""
    if not shard.is_file():
        raise CacheError(f"shard {shard} is missing; run the extraction again: it makes what is not there")
    size = shard.stat().st_size
    if size != source["bytes"]:
        raise CacheError(
            f"{shard} is truncated or replaced: expected {source['bytes']} bytes, found {size}; {AGAIN}"
        )
    file, found = _header(shard)
    check_provenance(shard, expected, file.contents["provenance"])
    if not np.array_equal(found, ids):
        raise CacheError(f"{shard} holds other sample ids than its view says; {AGAIN}")
    if file.digest != source["seal"]:
        raise CacheError(f"{shard} was replaced after the view {shard.parent}.h5 was written; {AGAIN}")
    _check_points_of([file], expected)
    return file


def _check_points_of(files, provenance):
    """Every file must hold every point, for all its samples, as wide as the others."""
    names = _point_names(provenance)
    width = (files[0].shape(names[0]) or (0, 0))[1]
    for file in files:
        rows = file.shape("index")[0]
        for name in names:
            if file.shape(name) != (rows, width):
                raise CacheError(f"{file.path} has no {name} of {rows} rows and {width} columns; {AGAIN}")


def _check_cover(path, shards, samples):
    """The slices in the shards' names must meet end to end, from 0 to `samples`."""
    reached = 0
    for shard in shards:
        lo, hi = map(int, shard.stem.split("-"))
        if lo != reached:
            raise CacheError(
                f"cannot write {path}: shards reach sample {reached}, the next is {shard.name}; "
                f"extract what is missing, or delete the shards of another shard_size"
            )
        reached = hi
    if reached != samples:
        raise CacheError(
            f"cannot write {path}: shards reach sample {reached} of {samples}; extract the others first"
        )


def _check_finite(features, ids, block, timestep):
    bad = first_not_finite(features)
    if bad:
        count, first = bad
        raise ValueError(
            f"features of block {block} at timestep {timestep} are not finite for {count} samples, "
            f"the first is id {ids[first]}; check the weights and the number format of the model"
        )


def _point_name(block, timestep):
    return f"b{block:02d}/t{timestep:04d}"


def _point_names(provenance):
    return [
        _point_name(block, timestep) for timestep in provenance["timesteps"] for block in provenance["blocks"]
    ]


def _listed(values):
    return ", ".join(map(str, values))
