"""Files that are complete or not there: one writer at a time, another name until done, then a rename."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]  # the project


def cache_root() -> Path:
    """Where data, features and downloads are kept: $DIFFFEAT_CACHE, else `cache`, starting at the project."""
    return ROOT / os.environ.get("DIFFFEAT_CACHE", "cache")


def downloads() -> Path:
    """Where `data_prep.fetch` puts what it gets, unless told otherwise, and where it is looked for."""
    return cache_root() / "downloads"


@contextmanager
def only_writer(path: Path | str) -> Iterator[None]:
    """Hold the lock of a file to be written, so that processes given the same work do not do it twice.

    Look for the file after entering: somebody else may have just finished it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    with FileLock(lock):
        yield
        lock.unlink(missing_ok=True)  # safe while held: whoever comes next finds the file complete


def write_whole(path: Path | str, content: bytes | memoryview) -> Path:
    """Write bytes to a file, whole or not at all: after a kill or a full disk nothing stands under its name.

    Raises
    ------
    OSError
        If the file cannot be written; for a full disk or quota the message says what to do.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.part")
    try:
        partial.unlink(missing_ok=True)  # of a run that was killed, or a link that leads elsewhere
        with partial.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise OSError(
                error.errno,
                f"no room for {path} ({len(content) / 1e6:.1f} MB): {os.strerror(error.errno)}; what was "
                f"complete is kept: make room or name another folder, then run the same again",
            ) from error
        raise
    return path
