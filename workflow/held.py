"""Hashes of what files hold, by which a page is up to date whatever their times are."""

import hashlib
import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path


def digest(paths: Iterable[Path | str], run: Iterable[Path | str] = ()) -> str:
    """One hash of files, by name and content.

    Parameters
    ----------
    paths : of files
    run : those of them, notebooks, whose outputs do not count: a run renews them
    """
    run = {os.path.relpath(path) for path in run}
    told = [(path, _held(path, path in run, _version(path))) for path in map(os.path.relpath, paths)]
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _version(path):
    """What changes when a file is written while this process runs, so that it is read once until then."""
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size


@cache
def _held(path, without_outputs, version):
    """A hash of what a file holds."""
    content = Path(path).read_bytes()
    if without_outputs:
        notebook = json.loads(content)
        for cell in notebook["cells"]:
            cell |= {"outputs": None, "execution_count": None}
        content = json.dumps(notebook, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()
