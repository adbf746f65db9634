"""Write and read the features of a grid: the cache against a plain file of the same bytes.

Run by hand, on an otherwise idle machine: python benchmarks/cache_rate.py [--help]

Ours is `cache.write_shard` for every shard and `views.write_view`, then `cache.open` and `Features.stack`:
float32 comes in and goes out, float16 is kept; what is written is flushed to the disk, what is read is held
against its checksums. Beside it, in the same run and taking turns:

numpy   the same values of each shard by `astype` and `np.save`, flushed to the disk; `np.load` and `astype`
bytes   the same float16 values, one file of bytes each shard, flushed and read: nothing is converted

The fastest of the repeats counts. The ratio is that way's time for both over ours: our share of its rate.
"""

import argparse
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from difffeat.features import cache, layout, views
from difffeat.features.points import Point


def ours(folder, grid, points, size):
    """Seconds of writing and of reading."""
    samples = grid.shape[1]
    blocks, timesteps = sorted({block for block, _ in points}), sorted({timestep for _, timestep in points})
    provenance = {"schema": cache.SCHEMA, "samples": samples, "blocks": blocks, "timesteps": timesteps}
    begin = time.perf_counter()
    for lo in range(0, samples, size):
        hi = min(lo + size, samples)
        path = layout.shard_path(folder, "val", lo, hi)
        path.parent.mkdir(parents=True, exist_ok=True)
        features = (
            (Point(timestep, block), grid[place, lo:hi]) for place, (block, timestep) in enumerate(points)
        )
        cache.write_shard(path, ids=np.arange(lo, hi), points=features, provenance=provenance)
    view = views.write_view(folder, "val")
    written = time.perf_counter()
    found = cache.open(view).stack()
    end = time.perf_counter()
    assert np.array_equal(found[:, :3], grid[:, :3].astype(np.float16)), "the grid differs"
    return written - begin, end - written


def plain(folder, grid, size, write, read):
    """The same of a plain way: `write(stream, shard)` and `read(path)` for every shard."""
    folder.mkdir()
    slices = [slice(lo, lo + size) for lo in range(0, grid.shape[1], size)]
    shards = [grid[:, rows] if write is save else grid[:, rows].astype(np.float16) for rows in slices]
    begin = time.perf_counter()
    for place, shard in enumerate(shards):
        with (folder / f"{place}.npy").open("wb") as stream:
            write(stream, shard)
            stream.flush()
            os.fsync(stream.fileno())
    written = time.perf_counter()
    found = [read(folder / f"{place}.npy") for place in range(len(slices))]
    if write is save:
        found = np.concatenate(found, axis=1).astype(np.float32)
    end = time.perf_counter()
    assert len(found)
    return written - begin, end - written


def save(stream, shard):
    np.save(stream, shard.astype(np.float16))


def pour(stream, shard):
    stream.write(memoryview(shard).cast("B"))


def main():
    form = {"description": __doc__, "formatter_class": argparse.RawDescriptionHelpFormatter}
    parser = argparse.ArgumentParser(**form)
    parser.add_argument("--samples", type=int, default=4096, help="N")
    parser.add_argument("--shard-size", type=int, default=1024, help="samples to a shard")
    parser.add_argument("--width", type=int, default=1152, help="D; DiT-XL/2 has 1152")
    parser.add_argument("--points", type=int, default=12, help="of the grid")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", help="where to write (default: a temporary folder)")
    args = parser.parse_args()
    grid = np.random.default_rng(0).standard_normal((args.points, args.samples, args.width), np.float32)
    points = [(block, 0) for block in range(args.points)]
    ways = {
        "ours": lambda folder: ours(folder, grid, points, args.shard_size),
        "numpy": lambda folder: plain(folder, grid, args.shard_size, save, np.load),
        "bytes": lambda folder: plain(folder, grid, args.shard_size, pour, Path.read_bytes),
    }
    taken = {name: [] for name in ways}
    for _ in range(args.repeats):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory(dir=args.folder) as folder:
                taken[name].append(way(Path(folder) / name))
    megabytes = grid.nbytes / 2e6
    print(f"{platform.machine()}, {torch.get_num_threads()} threads of torch, {os.cpu_count()} cores")
    print(f"{args.points} points, {args.samples} samples, width {args.width}: {megabytes:.0f} MB as float16")
    print(f"{'':8}{'write, s':>10}{'read, s':>10}{'MB/s of both':>14}{'ratio':>8}")
    best = {name: np.min(times, axis=0) for name, times in taken.items()}
    for name, (write, read) in best.items():
        ratio = (write + read) / best["ours"].sum()
        print(f"{name:8}{write:10.3f}{read:10.3f}{megabytes / (write + read):14.0f}{ratio:8.2f}")


if __name__ == "__main__":
    main()
