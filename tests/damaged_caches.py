"""A small cache damaged in every way we know, and what comes of it.

By hand: `python tests/damaged_caches.py [--caches 624] [--bits 2792]` prints for every kind of damage how
many were tried and how they ended:

right    ids and features as they were written, and verified
clear    a `CacheError` that names a file that is there or should be, and says what to do
raw      any other error, or the end of the interpreter: every try has a process of its own
silent   other numbers without a word, or damage that `verify` passes

It fails unless the last two are 0.
"""

import argparse
import json
import os
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import torch

from difffeat.features import cache, layout, views
from difffeat.features.points import Point

BLOCKS, TIMESTEPS, WIDTH = [0, 8], [0, 30, 999], 40
SAMPLES, EDGES = 24, (0, 8, 16, 24)
IDS = 7 + 3 * np.random.default_rng(1).permutation(SAMPLES)
POINTS = [(block, timestep) for timestep in TIMESTEPS for block in BLOCKS]
VALUES = (
    np.random.default_rng(0).normal(size=(len(POINTS), SAMPLES, WIDTH)).astype(np.float16).astype(np.float32)
)
WAYS_OUT = re.compile(r"run the extraction|delete th|open the cache again|run the same again")
SHARDS = [f"val/{lo:08d}-{hi:08d}.h5" for lo, hi in zip(EDGES, EDGES[1:], strict=False)]
VIEW = "val.h5"


def write(folder, values=VALUES, **changes):
    """A cache of three shards and its view; returns the view."""
    provenance = {"schema": cache.SCHEMA, "samples": SAMPLES, "blocks": BLOCKS, "timesteps": TIMESTEPS}
    for lo, hi in zip(EDGES, EDGES[1:], strict=False):
        path = layout.shard_path(folder, "val", lo, hi)
        path.parent.mkdir(parents=True, exist_ok=True)
        points = (
            (Point(timestep, block), values[place, lo:hi]) for place, (block, timestep) in enumerate(POINTS)
        )
        cache.write_shard(path, ids=IDS[lo:hi], points=points, provenance=provenance | changes)
    return views.write_view(folder, "val")


def contents(folder):
    """{name: bytes} of the files of a cache."""
    return {name: (Path(folder) / name).read_bytes() for name in [*SHARDS, VIEW]}


def restore(folder, whole):
    """Make the files of a cache what they were."""
    for path in Path(folder).rglob("*.h5"):
        if str(path.relative_to(folder)) not in whole:
            path.unlink()
    for name, content in whole.items():
        path = Path(folder) / name
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)


class Damage:
    """Ways to damage one file of a cache: each takes the path, another file's, and a random generator."""

    @staticmethod
    def truncated(path, other, random):
        content = path.read_bytes()
        path.write_bytes(content[: random.integers(1, len(content))])

    @staticmethod
    def empty(path, other, random):
        path.write_bytes(b"")

    @staticmethod
    def longer(path, other, random):
        path.write_bytes(path.read_bytes() + random.bytes(int(random.integers(1, 5000))))

    @staticmethod
    def flipped(path, other, random):
        content = bytearray(path.read_bytes())
        content[random.integers(len(content))] ^= 1 << int(random.integers(8))
        path.write_bytes(content)

    @staticmethod
    def zeroed(path, other, random):
        content = bytearray(path.read_bytes())
        page = 512 * int(random.integers(len(content) // 512))
        content[page : page + 512] = bytes(len(content[page : page + 512]))
        path.write_bytes(content)

    @staticmethod
    def scrambled(path, other, random):
        content = bytearray(path.read_bytes())
        begin, length = int(random.integers(len(content))), int(random.integers(1, 4096))
        content[begin : begin + length] = random.bytes(len(content[begin : begin + length]))
        path.write_bytes(content)

    @staticmethod
    def moved(path, other, random):
        content = path.read_bytes()
        half = int(random.integers(1, len(content)))
        path.write_bytes(content[half:] + content[:half])

    @staticmethod
    def swapped(path, other, random):
        mine, theirs = path.read_bytes(), other.read_bytes()
        path.write_bytes(theirs)
        other.write_bytes(mine)

    @staticmethod
    def copied(path, other, random):
        path.write_bytes(other.read_bytes())

    @staticmethod
    def renamed(path, other, random):
        path.rename(path.with_name("elsewhere.h5"))

    @staticmethod
    def overwritten(path, other, random):
        path.rename(other)

    @staticmethod
    def schema(path, other, random):
        with h5py.File(path, "r+") as file:
            provenance = json.loads(file.attrs["provenance"])
            file.attrs["provenance"] = json.dumps(provenance | {"schema": int(random.integers(3, 100))})

    @staticmethod
    def edited(path, other, random):
        with h5py.File(path, "r+") as file:
            file["index"][...] = file["index"][:][::-1]

    @staticmethod
    def replaced(path, other, random):
        """By the file of a run that says the same of itself and has other numbers."""
        with tempfile.TemporaryDirectory() as folder:
            write(folder, values=VALUES + np.float32(random.integers(1, 9)))
            path.write_bytes((Path(folder) / "val" / path.name).read_bytes())

    @staticmethod
    def foreign(path, other, random):
        with h5py.File(path, "w") as file:
            file["features"] = random.normal(size=(SAMPLES, WIDTH))


KINDS = [name for name in vars(Damage) if not name.startswith("_")]


def damages(*names):
    """(kind, file) of all damage that makes sense."""
    of_shards = ("replaced", "overwritten")
    return [(kind, name) for kind in KINDS for name in names if name != VIEW or kind not in of_shards]


def damage(folder, kind, name, random):
    """Damage the file of this name."""
    others = [shard for shard in SHARDS if shard != name]
    path, other = Path(folder) / name, Path(folder) / others[random.integers(len(others))]
    getattr(Damage, kind)(path, other, random)


def outcome(folder, opened=None):
    """(how reading and verifying ends, what was said); `opened` are features that were opened before."""
    ends = [
        _attempt(folder, lambda: _read(opened or cache.open(Path(folder) / VIEW))),
        _attempt(folder, lambda: _read(cache.verify(Path(folder) / VIEW))),
    ]
    return max(ends, key=lambda end: ("right", "clear", "silent", "raw").index(end[0]))


def _read(features):
    right = features.ids.tolist() == IDS.tolist() and np.array_equal(features.stack(), VALUES)
    return right and all(
        np.array_equal(features.read(point[::-1]), values)
        for point, values in zip(POINTS, VALUES, strict=True)
    )


def _attempt(folder, read):
    try:
        return ("right", "") if read() else ("silent", "other numbers")
    except cache.CacheError as error:
        named = str(folder) in str(error) and ".h5" in str(error) and WAYS_OUT.search(str(error))
        return ("clear" if named else "raw"), f"CacheError: {error}"
    except Exception as error:
        return "raw", f"{type(error).__name__}: {error}"


def tried(folder, whole, kind, name, random, late=False):
    """Damage one file, before or after the cache is opened, and see how that ends; mends it again."""
    opened = cache.open(Path(folder) / VIEW) if late else None
    damage(folder, kind, name, random)
    changed = {path: path.read_bytes() for path in Path(folder).rglob("*.h5")} != {
        Path(folder) / name: content for name, content in whole.items()
    }
    end, said = outcome(folder, opened)
    if changed and end == "right":
        end, said = "silent", f"verify passes {kind} {name}"
    if end == "clear" and kind not in ("swapped", "overwritten") and name not in said:
        end = "raw"  # it names another file
    restore(folder, whole)
    return end, said


def flipped(folder, whole, bit):
    """Flip one bit of the view and see how that ends."""
    content = bytearray(whole[VIEW])
    content[bit // 8] ^= 1 << bit % 8
    (Path(folder) / VIEW).write_bytes(content)
    end, said = outcome(folder)
    restore(folder, whole)
    return end, said


def apart(call):
    """How a try ends in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        try:
            said = call()
        except Exception as error:
            said = "raw", f"{type(error).__name__}: {error}"
        os.write(writing, json.dumps(said).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        said = stream.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return tuple(json.loads(said)) if said and not status else ("raw", f"ended with {status}")


def cases(count):
    """Yield (kind, file, whether damaged only after opening), each equally often, `count` or a few more."""
    every = [(*case, late) for case in damages(SHARDS[1], VIEW) for late in (False, True)]
    for _ in range(-(-count // len(every))):
        yield from every


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--caches", type=int, default=624, help="damaged caches")
    parser.add_argument("--bits", type=int, default=2792, help="views with one flipped bit")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)  # before a fork, no pool of threads may exist
    ends, examples = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        write(folder)
        whole = contents(folder)

        def count(line, call):
            end, said = apart(call)
            restore(folder, whole)
            ends.setdefault(line, Counter())[end] += 1
            if end in ("raw", "silent"):
                examples.setdefault(f"{line}: {end}", said)

        for number, (kind, name, late) in enumerate(cases(args.caches)):
            random = np.random.default_rng([args.seed, number])
            what = "view" if name == VIEW else "shard"
            line = f"{what} {kind}" + (" after open" if late else "")
            count(line, lambda case=(kind, name, random, late): tried(folder, whole, *case))
        bits = np.random.default_rng(args.seed).permutation(8 * len(whole[VIEW]))[: args.bits]
        for bit in sorted(bits.tolist()):
            count("view, one bit of all", lambda bit=bit: flipped(folder, whole, bit))
    print(f"{'damage':34}{'tried':>7}{'right':>7}{'clear':>7}{'raw':>7}{'silent':>7}")
    ends["all"] = sum(ends.values(), Counter())
    for line, ended in ends.items():
        counts = [sum(ended.values()), *(ended[end] for end in ("right", "clear", "raw", "silent"))]
        print(f"{line:34}" + "".join(f"{number:7}" for number in counts))
    for line, said in examples.items():
        print(f"{line}: {said[:300]}")
    sys.exit(bool(examples))


if __name__ == "__main__":
    main()
