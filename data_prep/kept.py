"""What is made once of a data set and kept in the cache: pictures drawn or unpacked, splits prepared."""

import hashlib
import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from difffeat.base.contents import digests
from difffeat.base.files import cache_root, only_writer
from difffeat.features.datasets import BrokenSplit, Split
from difffeat.features.prepared import load
from difffeat.profiles import PARTS

VERSION = 2  # counts what readers make of the same files: what another version prepared is read anew


def prepared(
    folder: Path,
    settings: object,
    sources: Sequence[Path],
    read: Callable[[], dict[str, Split]],
    damages: Sequence[type[Exception]] = (),
) -> dict[str, Split]:
    """What `read()` makes of these sources with these settings, kept as files: it may take a minute.

    They lie in a folder of the cache, for the folder of the data may be one that must not be written to.

    Parameters
    ----------
    folder : Path of the data
    settings : what JSON can hold; another one is prepared apart
    sources : list of Path, the files that are read; with another content they are read anew
    read : callable without arguments, returns the splits
    damages : errors of a prepared split that make it be read anew, besides BrokenSplit

    Returns
    -------
    dict of "train", "val", "test" to Split
    """
    key = key_of(VERSION, str(folder.resolve()), settings, sources=sources)
    kept = cache_root() / "prepared" / f"{folder.name}-{key}"

    def save():
        for split in read().values():
            split.save(kept)

    make_once([kept / f"{part}.json" for part in PARTS], kept, save)
    return or_again(lambda: {part: load(kept, part) for part in PARTS}, kept, save, (BrokenSplit, *damages))


def make_once(wanted: Sequence[Path], folder: Path | str, make: Callable[[], object]) -> None:
    """Call `make` unless its last files are there; of several processes one makes them, the others wait."""
    if not _there(wanted):
        with only_writer(folder):
            if not _there(wanted):
                make()


def or_again(
    read: Callable[[], dict[str, Split]], folder: Path | str, make: Callable[[], object], damages: tuple
) -> dict[str, Split]:
    """What `read()` gives; where files that this project made are damaged, once they are made again."""
    try:
        return read()
    except damages as error:
        warnings.warn(f"{error}: made again", stacklevel=2)
    with only_writer(folder):
        make()
    return read()


def key_of(*content: object, sources: Sequence[Path] = ()) -> str:
    """A short hash of what JSON can hold, and of the names and bytes of files."""
    stamps = [path.name for path in sources], digests(sources)
    return hashlib.sha256(json.dumps([*content, stamps], sort_keys=True).encode()).hexdigest()[:12]


def _there(paths):
    return all(path.is_file() for path in paths)
