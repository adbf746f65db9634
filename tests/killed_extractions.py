"""Extractions that are killed at any moment and started again:

    python tests/killed_extractions.py --each 200

Each is killed by SIGKILL after a random time, again and again, until one run gets through; its files must
then have every byte that those of an undisturbed run have. Prints one line of figures, and fails where one
differs.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import tiny
import torch

from difffeat.features import cache, extract
from difffeat.features.recipe import Recipe

RECIPE = Recipe(blocks=[1, 2], timesteps=[0, 30], places=["out", "hidden"])
STORING = {"batch_size": 4, "shard_size": 10, "progress": False}
SAMPLES = 35


def extracted(split, model, folder):
    """Run to the end; {path below the folder: bytes} of what is there then."""
    extract.extract(split, model, RECIPE, folder=folder, **STORING)
    cache.verify(folder / f"{split.name}.h5")
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.h5"))}


def killed_after(seconds, split, model, folder):
    """Extract in a process of its own and kill it; whether it was killed before it had ended."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
    if not child:
        extract.extract(split, model, RECIPE, folder=folder, **STORING)
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def tried(each, seed):
    """(kills, resumed runs that were byte-equal, resumed runs) of at least `each` kills."""
    torch.set_num_threads(1)
    choose, kills, equal, runs = random.Random(seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as place:
        images = Path(place) / "images"
        images.mkdir()
        split, model = tiny.split(SAMPLES, folder=images), tiny.dit()
        started = time.perf_counter()
        whole = extracted(split, model, Path(place) / "whole")
        took = time.perf_counter() - started
        while kills < each:
            folder = Path(place) / "killed"
            for _ in range(choose.randint(1, 4)):
                kills += killed_after(choose.uniform(0, took), split, model, folder)
            equal += extracted(split, model, folder) == whole
            runs += 1
            shutil.rmtree(folder)
    return kills, equal, runs


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--each", type=int, default=200, help="kills")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    kills, equal, runs = tried(options.each, options.seed)
    print(f"killed {kills} times; {equal} of {runs} resumed runs byte-equal")
    return equal != runs


if __name__ == "__main__":
    os.environ["DIFFFEAT_CACHE"] = tempfile.mkdtemp()
    sys.exit(main())
