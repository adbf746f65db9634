import errno
import json
import os
import time
import zlib

import h5py
import numpy as np
import pytest
import torch

from difffeat.base import files
from difffeat.features import cache, hdf5, layout, views
from difffeat.features.cache import CacheError
from difffeat.features.points import Point

BLOCKS, TIMESTEPS, WIDTH = [0, 8], [0, 30, 999], 6
PROVENANCE = {
    "schema": cache.SCHEMA,
    "backbone": "dit-tiny",
    "backbone_sha256": "abc",
    "samples": 10,
    "blocks": BLOCKS,
    "timesteps": TIMESTEPS,
    "seed": 0,
}
IDS = np.array([31, 4, 15, 9, 26, 5, 35, 8, 97, 93])
POINTS = [(block, timestep) for timestep in TIMESTEPS for block in BLOCKS]
VALUES = (
    np.random.default_rng(0).normal(size=(len(POINTS), len(IDS), WIDTH)).astype(np.float16).astype(np.float32)
)


def write_shard(folder, lo, hi, *, values=VALUES, ids=IDS, skipped=(), **changes):
    path = layout.shard_path(folder, "val", lo, hi)
    points = (
        (Point(timestep, block), values[place, lo:hi]) for place, (block, timestep) in enumerate(POINTS)
    )
    with files.only_writer(path):
        return cache.write_shard(
            path, ids=ids[lo:hi], points=points, provenance=PROVENANCE | changes, skipped=skipped
        )


def write_all(folder, edges=(0, 4, 8, 10), **how):
    for lo, hi in zip(edges, edges[1:], strict=False):
        write_shard(folder, lo, hi, **how)
    return views.write_view(folder, "val")


def test_what_was_written_is_read_back(tmp_path):
    features = cache.open(write_all(tmp_path))
    assert features.ids.tolist() == IDS.tolist() and len(features) == 10
    assert (features.blocks, features.timesteps) == ((0, 8), (0, 30, 999))
    assert features.provenance == PROVENANCE and features.environment["torch"]
    assert features.read((30, 8)).dtype == np.float32
    assert np.array_equal(features.read((30, 8)), VALUES[3])


def test_grid_runs_over_blocks_within_timesteps(tmp_path):
    features = cache.open(write_all(tmp_path))
    assert np.array_equal(features.stack(), VALUES)
    assert np.array_equal(features.stack([8], [999, 0]), VALUES[[5, 1]])
    narrow = features.select([8], [30])
    assert np.array_equal(narrow.stack(), VALUES[[3]])
    with pytest.raises(ValueError, match=r"block 0 is not in .*val\.h5; it holds blocks 8"):
        narrow.read((30, 0))


@pytest.mark.parametrize(
    ("block", "timestep", "message"),
    [(9, 0, "it holds blocks 0, 8"), (8, 10, "it holds timesteps 0, 30, 999")],
)
def test_unknown_points_are_refused_with_those_there_are(tmp_path, block, timestep, message):
    with pytest.raises(ValueError, match=message):
        cache.open(write_all(tmp_path)).read((timestep, block))


def test_no_points_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no block asked for"):
        cache.open(write_all(tmp_path)).stack([], [0])


def test_the_view_is_the_same_for_any_division_into_shards(tmp_path):
    one, many = write_all(tmp_path / "one", (0, 10)), write_all(tmp_path / "many", (0, 1, 6, 10))
    assert np.array_equal(cache.open(one).stack(), cache.open(many).stack())


def test_the_view_moves_with_its_folder_and_reads_from_anywhere(tmp_path, monkeypatch):
    write_all(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.chdir("/")
    assert np.array_equal(cache.verify(tmp_path / "there" / "val.h5").stack(), VALUES)


def test_same_content_gives_the_same_bytes_at_another_time(tmp_path):
    view = write_all(tmp_path / "first")
    time.sleep(1.1)  # HDF5 counts in seconds
    again = write_all(tmp_path / "second")
    assert view.read_bytes() == again.read_bytes()
    for shard in (tmp_path / "first" / "val").glob("*.h5"):
        assert shard.read_bytes() == (tmp_path / "second" / "val" / shard.name).read_bytes()


def test_values_are_float16_in_one_piece_and_the_seal_has_their_checksum(tmp_path):
    path = write_shard(tmp_path, 0, 4)
    with h5py.File(path) as shard:
        assert shard["b08/t0030"].dtype == np.float16 and shard["b08/t0030"].chunks is None
        offset, size = shard["b08/t0030"].id.get_offset(), shard["b08/t0030"].id.get_storage_size()
    with hdf5.reading(path) as (_, file):
        place = file.contents["data"]["b08/t0030"]
    assert place == [offset, "<f2", [4, WIDTH], zlib.crc32(path.read_bytes()[offset : offset + size])]


def test_other_programs_find_the_same_behind_the_seals(tmp_path):
    with h5py.File(write_all(tmp_path)) as view:
        for point, values in zip(POINTS, VALUES, strict=True):
            assert np.array_equal(view["b{:02d}/t{:04d}".format(*point)][:], values)
        assert np.array_equal(view["index"][:], IDS)
        assert json.loads(view.attrs["provenance"]) == PROVENANCE
        assert [source["rows"] for source in json.loads(view.attrs["sources"])] == [4, 4, 2]
    with h5py.File(tmp_path / "val" / "00000004-00000008.h5") as shard:
        assert json.loads(shard.attrs["provenance"]) == PROVENANCE


def test_float32_where_float16_would_overflow(tmp_path):
    values = VALUES.copy()
    values[3, 5] = 1e5
    features = cache.open(write_all(tmp_path, values=values))
    assert np.array_equal(features.stack(), values)
    with h5py.File(tmp_path / "val" / "00000004-00000008.h5") as shard:
        assert shard["b08/t0030"].dtype == np.float32 and shard["b08/t0999"].dtype == np.float16


@pytest.mark.parametrize(
    ("mean", "spread", "dtype"),
    [
        (0.0, 1.0, np.float16),
        (20.0, 1.0, np.float16),
        (1000.0, 0.1, np.float32),  # float16 is spaced by 0.5 there
        (0.0, 1e-7, np.float32),  # below float16's smallest steps
        (7.0, 0.0, np.float16),  # a constant loses nothing
        (0.0, 1e6, np.float32),
    ],
)
def test_one_column_decides_the_precision(mean, spread, dtype):
    features = np.random.default_rng(1).normal(size=(50, WIDTH)).astype(np.float32)
    features[:, 2] = mean + spread * features[:, 2]
    assert hdf5.compact(features).dtype == dtype


def plainly_compact(features):
    """The rule as it is stated: every column to the end, in float64."""
    with np.errstate(over="ignore"):
        half = features.astype(np.float16)
    if not np.isfinite(half).all():
        return features
    rounding = (half - features).std(axis=0, dtype=np.float64)
    return half if (rounding <= 0.01 * features.std(axis=0, dtype=np.float64)).all() else features


@pytest.mark.parametrize("seed", range(60))
def test_the_quick_way_to_a_precision_decides_as_the_rule_does(seed):
    random = np.random.default_rng(seed)
    shape = random.integers(1, 400), random.integers(1, 30)
    features = random.normal(size=shape) * 10 ** random.uniform(-7, 2, size=shape[1])
    features += random.choice([0, 0, 1], size=shape[1]) * 10 ** random.uniform(-3, 3)
    features[random.integers(shape[0])] *= 10 ** random.uniform(0, 3)  # the first row, at times, is far off
    features = features.astype(np.float32)
    quick, plain = hdf5.compact(features), plainly_compact(features)
    assert quick.dtype == plain.dtype and np.array_equal(quick, plain)


def test_every_float32_rounds_and_returns_as_numpy_has_it():
    random = np.random.default_rng(0)
    values = random.integers(0, 2**32, size=200_000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    edges = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)  # all that are finite
    values = np.concatenate([values[np.abs(values) < 65504], edges, -edges, (edges[:-1] + edges[1:]) / 2])
    halves = values.astype(np.float16)
    ours = torch.from_numpy(values).half().numpy()
    assert np.array_equal(ours.view(np.uint16), halves.view(np.uint16))
    back = torch.empty(len(halves)).copy_(torch.from_numpy(halves)).numpy()
    assert np.array_equal(back.view(np.uint32), halves.astype(np.float32).view(np.uint32))


def test_values_that_are_not_finite_are_refused_and_nothing_is_left(tmp_path):
    values = VALUES.copy()
    values[1, 2, 3] = np.nan
    with pytest.raises(
        ValueError, match="block 8 at timestep 0 are not finite for 1 samples, the first is id 15"
    ):
        write_shard(tmp_path, 0, 4, values=values)
    assert not list((tmp_path / "val").glob("*.h5"))


def test_skipped_images_leave_their_rows_out(tmp_path):
    write_shard(tmp_path, 0, 4)
    path = layout.shard_path(tmp_path, "val", 4, 10)
    kept = [row for row in range(4, 10) if row != 6]
    points = ((Point(timestep, block), VALUES[place, kept]) for place, (block, timestep) in enumerate(POINTS))
    skipped = [(35, "broken.jpg")]
    cache.write_shard(path, ids=IDS[kept], points=points, provenance=PROVENANCE, skipped=skipped)
    features = cache.verify(views.write_view(tmp_path, "val"))
    assert features.skipped == ((35, "broken.jpg"),) and 35 not in features.ids
    assert np.array_equal(features.read((0, 0)), np.delete(VALUES[0], 6, axis=0))


def test_shard_without_any_row_left(tmp_path):
    write_shard(tmp_path, 0, 8)
    path = layout.shard_path(tmp_path, "val", 8, 10)
    points = ((Point(timestep, block), np.empty((0, WIDTH), np.float32)) for block, timestep in POINTS)
    cache.write_shard(path, ids=IDS[:0], points=points, provenance=PROVENANCE, skipped=[(97, "a"), (93, "b")])
    features = cache.verify(views.write_view(tmp_path, "val"))
    assert len(features) == 8 and np.array_equal(features.stack(), VALUES[:, :8])


def test_missing_view_and_missing_shard(tmp_path):
    with pytest.raises(CacheError, match=r"val\.h5 does not exist; run the extraction"):
        cache.open(tmp_path / "val.h5")
    view = write_all(tmp_path)
    (tmp_path / "val" / "00000004-00000008.h5").unlink()
    with pytest.raises(
        CacheError, match=r"shard .*00000004-00000008\.h5 is missing; run the extraction again"
    ):
        cache.open(view)


def test_shard_that_goes_away_later_never_reads_as_numbers(tmp_path):
    features = cache.open(write_all(tmp_path))
    (tmp_path / "val" / "00000004-00000008.h5").unlink()
    with h5py.File(features.path) as view:
        assert np.isnan(view["b08/t0030"][4:8]).all()
    with pytest.raises(CacheError, match="has gone since it was opened"):
        features.read((30, 8))


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_truncated_shard(tmp_path, share):
    view = write_all(tmp_path)
    shard = tmp_path / "val" / "00000004-00000008.h5"
    whole = shard.read_bytes()
    shard.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(
        CacheError, match=rf"truncated or replaced: expected {len(whole)} bytes.*; delete that file"
    ):
        cache.open(view)
    with pytest.raises(CacheError, match="damaged or truncated"):
        views.write_view(tmp_path, "val")


def test_truncated_view(tmp_path):
    view = write_all(tmp_path)
    view.write_bytes(view.read_bytes()[:-100])
    with pytest.raises(CacheError, match=r"val\.h5 is damaged or truncated: .*; delete that file"):
        cache.open(view)


def test_changed_byte_is_found_by_verify_and_by_read(tmp_path):
    features = cache.open(write_all(tmp_path))
    shard = tmp_path / "val" / "00000004-00000008.h5"
    content = bytearray(shard.read_bytes())
    place = content.index(VALUES[3, 4:8].astype(np.float16).tobytes())
    content[place + 5] ^= 1
    shard.write_bytes(content)
    cache.open(features.path)  # looks at names and sizes, which still fit
    with pytest.raises(CacheError, match="damaged"):
        cache.verify(features.path)
    with pytest.raises(CacheError, match="damaged"):
        features.read((30, 8))


def test_foreign_cache_names_every_field_that_differs(tmp_path):
    view = write_all(tmp_path)
    cache.open(view, expected={"seed": 0, "backbone": "dit-tiny"})
    with pytest.raises(CacheError) as error:
        cache.open(
            view, expected={"seed": 1, "backbone": "dit-tiny", "backbone_sha256": "def", "pooling": "mean"}
        )
    message = str(error.value)
    assert (
        "seed: expected 1, found 0" in message and "backbone_sha256: expected 'def', found 'abc'" in message
    )
    assert "pooling: expected 'mean', found None" in message and "backbone: " not in message
    assert "use another folder, or delete that file" in message


def test_shard_of_another_run_under_the_view(tmp_path):
    view = write_all(tmp_path)
    write_shard(tmp_path, 4, 8, backbone_sha256="abd")  # as many bytes
    with pytest.raises(
        CacheError, match="00000004-00000008.h5 is of another run:\n  backbone_sha256: expected 'abc'"
    ):
        cache.open(view)
    with pytest.raises(CacheError, match="is of another run"):
        views.write_view(tmp_path, "val")


def test_shard_of_other_samples_under_the_view(tmp_path):
    view = write_all(tmp_path)
    write_shard(tmp_path, 4, 8, ids=IDS + 1)
    with pytest.raises(CacheError, match="holds other sample ids than its view says"):
        cache.open(view)


def test_cache_of_another_schema(tmp_path, monkeypatch):
    view = write_all(tmp_path, schema=cache.SCHEMA)
    monkeypatch.setattr(hdf5, "SCHEMA", cache.SCHEMA + 1)
    with pytest.raises(CacheError, match=f"has schema {cache.SCHEMA}, this version reads {cache.SCHEMA + 1}"):
        cache.open(view)


def test_file_of_somebody_else(tmp_path):
    with h5py.File(tmp_path / "val.h5", "w") as file:
        file["features"] = np.zeros(3)
    with pytest.raises(
        CacheError, match="is not a features cache of this version, it has no seal; if it is of"
    ):
        cache.open(tmp_path / "val.h5")


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        (
            ((4, 8), (8, 10)),
            "shards reach sample 0, the next is 00000004-00000008.h5; extract what is missing",
        ),
        (((0, 4), (3, 10)), "shards reach sample 4, the next is 00000003-00000010.h5"),
        (((0, 4), (4, 8)), "shards reach sample 8 of 10; extract the others first"),
        ((), "there are no shards of 'val'"),
    ],
)
def test_view_needs_every_sample_once(tmp_path, edges, message):
    for lo, hi in edges:
        write_shard(tmp_path, lo, hi)
    with pytest.raises(CacheError, match=message):
        views.write_view(tmp_path, "val")


def test_a_view_needs_every_point_in_every_shard(tmp_path):
    write_all(tmp_path)
    shard = layout.shard_path(tmp_path, "val", 4, 8)
    points = [
        (Point(timestep, block), VALUES[0, 4:8]) for block, timestep in POINTS if (block, timestep) != (8, 30)
    ]
    cache.write_shard(shard, ids=IDS[4:8], points=points, provenance=PROVENANCE)
    with pytest.raises(CacheError, match="has no b08/t0030 of 4 rows"):
        views.write_view(tmp_path, "val")


def test_writing_under_a_failing_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(
        OSError, match=r"no room for .*00000000-00000004\.h5 .*MB\): No space left.*make room"
    ) as error:
        write_shard(tmp_path, 0, 4)
    assert error.value.errno == errno.ENOSPC
    assert not list((tmp_path / "val").glob("*.h5")) and not list((tmp_path / "val").glob(".*.part"))


def test_reads_go_to_the_files_that_were_checked_wherever_one_stands(tmp_path, monkeypatch):
    """Neither a namesake in the working directory nor HDF5's own search path gives other numbers."""
    write_all(tmp_path / "here")
    write_all(tmp_path / "elsewhere", values=VALUES + 1)
    monkeypatch.chdir(tmp_path / "here")
    features = cache.open("val.h5")
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("HDF5_VDS_PREFIX", str(tmp_path / "elsewhere"))
    assert np.array_equal(features.stack(), VALUES)
    assert np.array_equal(cache.open(tmp_path / "here" / "val.h5").read((30, 8)), VALUES[3])


def test_shard_replaced_after_open_is_refused(tmp_path):
    features = cache.open(write_all(tmp_path))
    write_shard(tmp_path, 4, 8, values=2 * VALUES)  # says the same of itself, and is whole
    with pytest.raises(CacheError, match="00000004-00000008.h5 was replaced or damaged since it was opened"):
        features.read((30, 8))
    with pytest.raises(CacheError, match="was replaced after the view .* was written; delete that file"):
        cache.open(features.path)
    views.write_view(tmp_path, "val")
    assert np.array_equal(cache.open(features.path).stack()[:, 4:8], 2 * VALUES[:, 4:8])


@pytest.mark.parametrize("name", ["val.h5", "val/00000004-00000008.h5"])
def test_file_open_for_writing_is_in_use_and_whole_when_that_ends(tmp_path, name):
    view = write_all(tmp_path)
    features, content = cache.open(view), (tmp_path / name).read_bytes()
    with h5py.File(tmp_path / name, "r+"):
        with pytest.raises(CacheError, match=f"{name} is in use: another program has it open") as error:
            cache.open(view)
        assert "damaged" not in str(error.value)
        assert np.array_equal(features.stack(), VALUES)  # checked bytes, whatever the mark says
    assert (tmp_path / name).read_bytes() == content
    assert np.array_equal(cache.verify(view).stack(), VALUES)
    with h5py.File(tmp_path / name, "r"):
        cache.verify(view)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EBUSY, errno.EIO, errno.ESTALE])
def test_what_the_system_refuses_is_not_called_damaged(tmp_path, monkeypatch, number):
    view = write_all(tmp_path)

    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(
        CacheError, match=rf"val\.h5 cannot be read \({os.strerror(number)}\).*again"
    ) as error:
        cache.open(view)
    assert "damaged" not in str(error.value)


def test_a_shard_is_no_view(tmp_path):
    write_all(tmp_path)
    with pytest.raises(CacheError, match="00000004-00000008.h5 is a shard, not a view"):
        cache.open(tmp_path / "val" / "00000004-00000008.h5")


def test_view_is_current_when_every_byte_is(tmp_path):
    view = write_all(tmp_path)
    assert views.view_is_current(tmp_path, "val")
    view.write_bytes(view.read_bytes()[:-1])
    assert not views.view_is_current(tmp_path, "val")
    view.unlink()
    assert not views.view_is_current(tmp_path, "val")


def test_many_rows_and_points_take_more_than_one_block(tmp_path):
    random, points = (
        np.random.default_rng(2),
        [(block, timestep) for block in range(29) for timestep in (0, 5)],
    )
    values = random.normal(size=(len(points), 3000, 64)).astype(np.float32)
    values[7, :, 3] += 1e6  # in float32
    provenance = PROVENANCE | {"samples": 3000, "blocks": list(range(29)), "timesteps": [0, 5]}
    path = layout.shard_path(tmp_path, "val", 0, 3000)
    path.parent.mkdir()
    features = ((Point(timestep, block), values[place]) for place, (block, timestep) in enumerate(points))
    cache.write_shard(path, ids=np.arange(3000), points=features, provenance=provenance)
    found = cache.verify(views.write_view(tmp_path, "val"))
    for place, point in enumerate(points):
        expected = values[place] if place == 7 else values[place].astype(np.float16).astype(np.float32)
        assert np.array_equal(found.read(point[::-1]), expected)
