"""What files hold, by their bytes, read once for as long as a file stays the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from difffeat.base.files import cache_root, only_writer, write_whole
from difffeat.base.progress import bar


def digests(paths: Iterable[Path]) -> list[str]:
    """sha256 of each file; of a folder, of the names in it."""
    return of_files(paths, "sha256", _digest)


def of_files(paths: Iterable[Path], what: str, measure: Callable[[Path], object]) -> list:
    """`measure(path)` of each file, kept beside the caches and read there until a file changes.

    A file is taken to be the same while its size, its inode and both its times are: an edit changes the
    second of them whatever is done to the first.

    Parameters
    ----------
    paths : sequence of Path
    what : str, a name for what is measured, another one for another `measure`
    measure : callable of a Path, returns what JSON can hold; called in threads

    Returns
    -------
    list, one entry for each path
    """
    paths = [Path(path) for path in paths]
    folders = list(dict.fromkeys(path.parent for path in paths))
    notes = {folder: _note(folder, what) for folder in folders}
    known = {folder: _read(note) for folder, note in notes.items()}
    stamps = [_stamp(path) for path in paths]
    new = [
        place
        for place, (path, stamp) in enumerate(zip(paths, stamps, strict=True))
        if known[path.parent].get(path.name, [None])[0] != stamp
    ]
    with (
        bar(len(new), f"reading {what}", "files", progress=len(new) > 1000) as progress,
        ThreadPoolExecutor() as pool,
    ):
        for place, found in zip(new, pool.map(measure, [paths[place] for place in new]), strict=True):
            known[paths[place].parent][paths[place].name] = [stamps[place], found]
            progress.update()
    for folder in {paths[place].parent for place in new}:
        with suppress(OSError):  # where nothing can be kept, it is read again the next time
            with only_writer(notes[folder]):
                write_whole(notes[folder], json.dumps(known[folder]).encode())
    return [known[path.parent][path.name][1] for path in paths]


def _stamp(path):
    status = path.stat()
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def _digest(path):
    if path.is_dir():
        return hashlib.sha256(
            json.dumps(sorted(inside.name for inside in path.iterdir())).encode()
        ).hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _note(folder, what):
    """Where it is kept what the files of a folder gave."""
    key = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return cache_root() / "contents" / f"{what}-{key}.json"


def _read(note):
    """{file name: [stamp, what it gave]}; empty where there is no note or a damaged one."""
    try:
        kept = json.loads(note.read_text(encoding="utf-8"))
        return {name: [stamp, found] for name, (stamp, found) in kept.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
