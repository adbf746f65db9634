"""Views: one file that leads to all shards of a split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from difffeat.base.files import write_whole
from difffeat.features.hdf5 import image, put_links
from difffeat.features.layout import (
    check_cover,
    check_points_of,
    check_provenance,
    header,
    point_names,
    view_path,
)
from difffeat.features.sealed import CacheError, Sealed, opened


def write_view(folder: Path | str, split_name: str) -> Path:
    """Write the view over all shards of a split. Call it within `only_writer(view_path(...))`.

    Raises
    ------
    CacheError
        If the shards do not cover the split exactly once, or are not of one run.
    """
    return write_whole(view_path(folder, split_name), _view_image(folder, split_name))


def view_is_current(folder: Path | str, split_name: str) -> bool:
    """Whether the view is there and has every byte that `write_view` would write. Raises as that does."""
    path, content = view_path(folder, split_name), _view_image(folder, split_name)
    if not path.is_file():
        return False
    with opened(path) as stream:
        return stream.read() == content


def _view_image(folder, split_name):
    path = view_path(folder, split_name)
    shards = sorted((Path(folder) / split_name).glob("*.h5"))
    headers = [header(shard) for shard in shards]
    if not headers:
        raise CacheError(f"there are no shards of {split_name!r} in {folder}; run the extraction first")
    contents = [file.contents for file, _ in headers]
    common = contents[0]["provenance"]
    for shard, content in zip(shards, contents, strict=True):
        check_provenance(shard, common, content["provenance"])
    check_cover(path, shards, common["samples"])
    files = [file for file, _ in headers]
    check_points_of(files, common)
    about = {
        "provenance": common,
        "environment": contents[0]["environment"],
        "skipped": [entry for content in contents for entry in content["skipped"]],
        "sources": [_source_entry(file) for file in files],
    }
    ids = np.concatenate([ids for _, ids in headers])
    return image([("index", ids)], about, ["index"], lambda view: _link(view, files, common))


def _source_entry(file: Sealed):
    """How a view names a shard."""
    name = f"{file.path.parent.name}/{file.path.name}"
    rows = file.shape("index")[0]
    return {"file": name, "rows": rows, "bytes": file.contents["bytes"], "seal": file.digest}


def _link(view, files, provenance):
    """A virtual data set over each point of all shards."""
    for name in point_names(provenance):
        dtype = np.result_type(*[np.dtype(file.contents["data"][name][1]) for file in files])
        put_links(view, name, dtype, [(_source_entry(file)["file"], file.shape(name)) for file in files])
