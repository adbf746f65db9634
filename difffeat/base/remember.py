"""What took long to measure, kept beside the features that it was measured on."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from difffeat.base.files import only_writer, write_whole

PACKAGE = Path(__file__).resolve().parents[1]


def remembered(
    folder: Path | str | None, what: dict, code: Iterable[str], measure: Callable[[], dict]
) -> dict[str, np.ndarray]:
    """Arrays by name: read from `folder`, or measured and kept there.

    Parameters
    ----------
    folder : path; None keeps nothing
    what : dict, all that decides the arrays besides the code, as JSON takes it
    code : names of the files of this package that make them; after a change of one they are measured again
    measure : callable without arguments, returns a dict of name to array

    Returns
    -------
    dict of name to ndarray
    """
    if folder is None:
        return measure()
    path = _path(folder, what, code)
    found = _read(path)  # before any lock: what is complete serves on a read-only disk too
    if found is None:
        with only_writer(path):  # whoever waited here for another finds what that one has measured
            (found,) = each_remembered(folder, [what], code, lambda _: [measure()])
    return found


def told(*arrays: np.ndarray) -> list:
    """What arrays hold, in a `what`: a hash of each and its shape."""
    whole = [np.ascontiguousarray(values) for values in arrays]
    return [[hashlib.sha256(values).hexdigest(), values.dtype.str, values.shape] for values in whole]


def each_remembered(
    folder: Path | str,
    whats: Sequence[dict],
    code: Iterable[str],
    measure: Callable[[list[int]], Iterable[dict]],
) -> list[dict[str, np.ndarray]]:
    """The same of many things, where those that are not there are best measured together.

    Parameters
    ----------
    folder, code : as in `remembered`
    whats : list of dicts, as its `what`
    measure : callable of the places in that list that have to be measured, returns a dict for each

    Returns
    -------
    list of dicts of name to ndarray, in the order of whats
    """
    paths = [_path(folder, what, code) for what in whats]
    found = [_read(path) for path in paths]
    missing = [place for place, one in enumerate(found) if one is None]
    if missing:
        for place, one in zip(missing, measure(missing), strict=True):
            paths[place].parent.mkdir(parents=True, exist_ok=True)
            _write(paths[place], one)
            found[place] = one
    return found


def _path(folder, what, code):
    """Where something is kept, by all that decides it."""
    key = hashlib.sha256(json.dumps([what, _hash_of(tuple(code))], sort_keys=True).encode()).hexdigest()[:16]
    return Path(folder) / f"{key}.npz"


def _write(path, found):
    content = io.BytesIO()
    np.savez(content, **found)
    write_whole(path, content.getvalue())


def _read(path):
    """The arrays of a file; None where there is none, or it is damaged: then it is made again."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


@cache
def _hash_of(names):
    return hashlib.sha256(b"".join((PACKAGE / name).read_bytes() for name in names)).hexdigest()
