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

A file that exists under its name is complete: it is built in memory, written under another name, flushed to
the disk and renamed. No time is put into it, so the same run gives the same bytes.
"""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np

from difffeat import __version__
from difffeat._files import write_whole
from difffeat._hdf5 import (
    AGAIN,
    FORMAT,
    SCHEMA,
    CacheError,
    attribute,
    compact,
    reading,
    write_attributes,
    write_rows,
)

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
    """

    path: Path
    ids: np.ndarray
    blocks: tuple[int, ...]
    timesteps: tuple[int, ...]
    provenance: dict
    environment: dict
    skipped: tuple[tuple[int, str], ...]

    def __len__(self):
        return len(self.ids)

    def read(self, block: int, timestep: int) -> np.ndarray:
        """Features of one point, float32 (N, D).

        Raises
        ------
        ValueError
            If the cache does not hold this block or timestep; the message lists those it holds.
        CacheError
            If a shard has gone or its bytes have changed since the cache was opened.
        """
        self._check_points([block], [timestep])
        with reading(self.path) as view:
            features = view[_point_name(block, timestep)].astype(np.float32)[:]
        if np.isnan(
            features
        ).any():  # extraction refuses NaN, so this is the fill value of a source that is gone
            raise CacheError(f"a shard of {self.path} has gone since it was opened; run the extraction again")
        return features

    def grid(self, blocks: Sequence[int] | None = None, timesteps: Sequence[int] | None = None) -> np.ndarray:
        """Features of blocks x timesteps (default all), float32 (P, N, D).

        P runs over the blocks of the first timestep, then those of the next: `grid.reshape(timesteps, blocks,
        N, D)`.
        """
        narrowed = self.select(
            self.blocks if blocks is None else blocks, self.timesteps if timesteps is None else timesteps
        )
        points = [(block, timestep) for timestep in narrowed.timesteps for block in narrowed.blocks]
        first = self.read(*points[0])
        grid = np.empty((len(points), *first.shape), dtype=np.float32)
        grid[0] = first
        for place, point in enumerate(points[1:], start=1):
            grid[place] = self.read(*point)
        return grid

    def select(self, blocks: Sequence[int], timesteps: Sequence[int]) -> Features:
        """The same features, narrowed to some of the points."""
        self._check_points(blocks, timesteps)
        return replace(self, blocks=tuple(blocks), timesteps=tuple(timesteps))

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

    Looks at names, sizes, sample ids and provenance, not at every byte: `verify` does that, and HDF5 itself
    checks each chunk it reads.

    Parameters
    ----------
    path : path of the view, `<folder>/<split>.h5`
    expected : mapping, optional; provenance fields that must have these values

    Raises
    ------
    CacheError
        If the view or a shard is missing, truncated, of another run or another schema, or not as `expected`.
    """
    path = Path(path)
    with reading(path) as view:
        found = {name: attribute(view, name) for name in ("provenance", "environment", "skipped", "sources")}
        ids = view["index"][:]
    check_provenance(path, expected or {}, found["provenance"])
    row = 0
    for source in found["sources"]:
        _check_source(
            path.parent / source["file"], source, found["provenance"], ids[row : row + source["rows"]]
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
    )


def verify(path) -> Features:
    """Open a view and read every byte of every shard against its checksums; returns the features.

    Raises
    ------
    CacheError
        As `open`, and if a checksum does not hold, a point is missing or has another length, or a value is
        not finite.
    """
    features = open(path)
    with reading(features.path) as view:
        sources = attribute(view, "sources")
    for source in sources:
        shard = features.path.parent / source["file"]
        with reading(shard) as file:
            for name in _point_names(features.provenance):
                if name not in file or len(file[name]) != source["rows"]:
                    raise CacheError(f"{shard} has no {name} of {source['rows']} rows; {AGAIN}")
                if not np.isfinite(file[name][:]).all():
                    raise CacheError(f"{shard} holds values in {name} that are not finite; {AGAIN}")
    return features


def attributes(path) -> dict:
    """Provenance, environment and skipped images of a shard or view, read without any other check."""
    with reading(Path(path)) as file:
        return {name: attribute(file, name) for name in ("provenance", "environment", "skipped")}


def missing(path) -> list[Path]:
    """The shards that a view names and that are not there."""
    path = Path(path)
    with reading(path) as view:
        shards = [path.parent / source["file"] for source in attribute(view, "sources")]
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
    image = io.BytesIO()
    with h5py.File(image, "w", libver=FORMAT) as file:
        write_attributes(file, provenance=provenance, environment=environment(), skipped=list(skipped))
        write_rows(file, "index", np.asarray(ids, dtype=np.int64))
        for block, timestep, features in points:
            _check_finite(features, ids, block, timestep)
            write_rows(file, _point_name(block, timestep), compact(features))
    return write_whole(path, image.getbuffer())


def write_view(folder, split_name: str) -> Path:
    """Write the view over all shards of a split. Call it within `only_writer(view_path(...))`.

    Raises
    ------
    CacheError
        If the shards do not cover the split exactly once, or are not of one run.
    """
    path = view_path(folder, split_name)
    shards = sorted((Path(folder) / split_name).glob("*.h5"))
    headers = [_header(shard) for shard in shards]
    if not headers:
        raise CacheError(f"there are no shards of {split_name!r} in {folder}; run the extraction first")
    common = headers[0]["provenance"]
    for shard, header in zip(shards, headers, strict=True):
        check_provenance(shard, common, header["provenance"])
    _check_cover(path, shards, common["samples"])
    image = io.BytesIO()
    with h5py.File(image, "w", libver=FORMAT) as view:
        write_attributes(
            view,
            provenance=common,
            environment=headers[0]["environment"],
            skipped=[entry for header in headers for entry in header["skipped"]],
            sources=[header["source"] for header in headers],
        )
        write_rows(view, "index", np.concatenate([header["ids"] for header in headers]))
        for name in _point_names(common):
            _link(view, name, headers)
    return write_whole(path, image.getbuffer())


def _header(shard: Path) -> dict:
    """What a view needs to know of a shard."""
    header = attributes(shard)
    with reading(shard) as file:
        points = {name: (file[name].shape, file[name].dtype) for name in _point_names(header["provenance"])}
        ids = file["index"][:]
    source = {"file": f"{shard.parent.name}/{shard.name}", "rows": len(ids), "bytes": shard.stat().st_size}
    return header | {"ids": ids, "points": points, "source": source}


def _link(view, name, headers):
    """A virtual data set over the same point of all shards; NaN, not zero, where a shard is missing."""
    points = [header["points"][name] for header in headers]
    samples = sum(shape[0] for shape, _ in points)
    dtype = np.result_type(*[dtype for _, dtype in points])
    layout = h5py.VirtualLayout((samples, points[0][0][1]), dtype=dtype)
    row = 0
    for header, (shape, _) in zip(headers, points, strict=True):
        if shape[0]:
            layout[row : row + shape[0]] = h5py.VirtualSource(header["source"]["file"], name, shape)
        row += shape[0]
    layout.dcpl.set_obj_track_times(False)  # h5py leaves this out for virtual data sets alone
    view.create_virtual_dataset(name, layout, fillvalue=np.nan)


def _check_source(shard, source, expected, ids):
    if not shard.is_file():
        raise CacheError(f"shard {shard} is missing; run the extraction again: it makes what is not there")
    size = shard.stat().st_size
    if size != source["bytes"]:
        raise CacheError(
            f"{shard} is truncated or replaced: expected {source['bytes']} bytes, found {size}; {AGAIN}"
        )
    with reading(shard) as file:
        check_provenance(shard, expected, attribute(file, "provenance"))
        if not np.array_equal(file["index"][:], ids):
            raise CacheError(f"{shard} holds other sample ids than its view says; {AGAIN}")


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
    bad = ~np.isfinite(features).all(axis=1)
    if bad.any():
        raise ValueError(
            f"features of block {block} at timestep {timestep} are not finite for {bad.sum()} samples, "
            f"the first is id {ids[bad.argmax()]}; check the weights and the number format of the model"
        )


def _point_name(block, timestep):
    return f"b{block:02d}/t{timestep:04d}"


def _point_names(provenance):
    return [
        _point_name(block, timestep) for timestep in provenance["timesteps"] for block in provenance["blocks"]
    ]


def _listed(values):
    return ", ".join(map(str, values))
