"""Names and points of the files of a cache, and whether they fit together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from difffeat.features.hdf5 import reading
from difffeat.features.points import OUT, Point, points_of
from difffeat.features.sealed import AGAIN, CacheError, Sealed


def check_provenance(path: Path | str, expected: Mapping, found: Mapping) -> None:
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


def shard_path(folder: Path | str, split_name: str, lo: int, hi: int) -> Path:
    """Where the shard of the samples [lo, hi) of a split is kept."""
    return Path(folder) / split_name / f"{lo:08d}-{hi:08d}.h5"


def view_path(folder: Path | str, split_name: str) -> Path:
    """Where the view over all shards of a split is kept."""
    return Path(folder) / f"{split_name}.h5"


def check_points_of(files: Sequence[Sealed], provenance: Mapping) -> None:
    """Every file must hold every point, for all its samples, as wide at all timesteps."""
    found, widths = points(provenance), {}
    for file in files:
        rows = file.shape("index")[0]
        for point in found:
            width = widths.setdefault((point.block, point.place), (file.shape(point.name) or (0, 0))[1:])
            if file.shape(point.name) != (rows, *width):
                wide = " x ".join(map(str, width))
                raise CacheError(
                    f"{file.path} has no {point.name} of {rows} rows and {wide} columns; {AGAIN}"
                )


def check_cover(path: Path | str, shards: Iterable[Path], samples: int) -> None:
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


def places(provenance: Mapping) -> list[str]:
    """The places that files of this provenance hold; those that do not speak of them hold outputs."""
    return list(provenance.get("places", [OUT]))


def points(provenance: Mapping) -> list[Point]:
    """The points that files of this provenance hold, in their order there."""
    return points_of(provenance["blocks"], provenance["timesteps"], places(provenance))


def point_names(provenance: Mapping) -> list[str]:
    """The names of those points."""
    return [point.name for point in points(provenance)]


def listed(values: Iterable) -> str:
    return ", ".join(map(str, values))


def header(shard: Path) -> tuple[Sealed, np.ndarray]:
    """(seal, sample ids) of a shard, all of it checked but its features."""
    with reading(shard) as (stream, file):
        file.check_frame(stream)
        written = file.contents.get("file", shard.name)
        if written != shard.name:
            raise CacheError(f"{shard} was written as {written}: give it that name again, or {AGAIN}")
        return file, file.ids(stream)
