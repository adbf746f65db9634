"""Extractions that cannot run inside the test process, because they are killed or measured.

`python extract_apart.py FOLDER` runs both and prints what the tests in test_extract.py look at.
"""

import os
import resource
import signal
import sys
from pathlib import Path

import tiny
import torch

from difffeat.base import files
from difffeat.features import cache, extract
from difffeat.features.recipe import Recipe

RECIPE = Recipe(blocks=[0, 2], timesteps=[0, 30])
STORING = {"batch_size": 4, "shard_size": 10, "progress": False}
SAMPLES = 35


def killed(folder):
    """Run to the end, and beside it three times with a kill in between, each run a process of its own."""
    split, backbone = tiny.split(SAMPLES), tiny.plaid()
    assert run(split, backbone, folder / "whole") == 0
    assert run(split, backbone, folder / "resumed", die_in_pass=17) == -signal.SIGKILL
    report("in a forward pass", folder / "resumed")
    assert run(split, backbone, folder / "resumed", die_in_write=2) == -signal.SIGKILL
    report("in a write", folder / "resumed")
    assert run(split, backbone, folder / "resumed") == 0
    report("at the end", folder / "resumed")


def run(split, backbone, folder, die_in_pass=None, die_in_write=None):
    """Extract in a child that sends itself SIGKILL at its n-th forward pass or write; its exit code."""
    child = os.fork()
    if not child:
        backbone.activations = after(backbone.activations, die_in_pass)
        files.os.fsync = after(os.fsync, die_in_write)
        extract.extract(split, backbone, RECIPE, folder=folder, **STORING)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def after(function, count):
    """The function, with the process killed at its `count`-th call."""
    calls = []

    def counted(*arguments, **options):
        calls.append(None)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    return counted


def report(when, folder):
    """Name the shards there are, having read each to its end."""
    shards = sorted((folder / "val").glob("*.h5"))
    for shard in shards:
        cache.attributes(shard)
    print(f"{when}: {len(shards)} shards, {len(list((folder / 'val').glob('.*.part')))} unfinished")


def memory(folder):
    """Print by how many MB the peak grows from 512 to 4096 samples, whose features are 25 MB of float32."""
    backbone = tiny.plaid(width=256, depth=2, length=2)
    recipe, storing = Recipe(blocks=[0, 1, 2], timesteps=[0, 30]), {"shard_size": 256, "progress": False}
    splits = [tiny.split(512), tiny.split(4096)]
    peaks = []
    for split in splits:
        extract.extract(split, backbone, recipe, folder=folder / str(len(split)), **storing)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(f"grew by {peaks[1] - peaks[0]:.1f} MB")


if __name__ == "__main__":
    torch.set_num_threads(1)  # before a fork, no pool of threads may exist
    killed(Path(sys.argv[1]))
    memory(Path(sys.argv[1]))
