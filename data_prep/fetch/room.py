"""Is there room on the disk, asked before it is full."""

import errno
import shutil
from pathlib import Path


def require_room(folder: Path | str, size: int, what: str) -> None:
    """Raise if the disk of a folder, there already or not, has less than `size` bytes free for `what`.

    Raises
    ------
    OSError
        With errno ENOSPC; the message says how much is free and how much is needed.
    """
    folder = Path(folder).absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    free = shutil.disk_usage(there).free
    if free < size:
        raise OSError(
            errno.ENOSPC,
            f"no room for {what}: it needs {show_size(size)} in {folder}, {show_size(free)} are free; make "
            f"room or name another folder",
        )


def show_size(size: int | None) -> str:
    """Bytes as a person reads them: 13.5 GB; unknown for None."""
    if size is None:
        return "unknown"
    for unit, digits in (("B", 0), ("kB", 1), ("MB", 1), ("GB", 1)):
        if size < 1000 or unit == "GB":
            return f"{size:,.{digits}f} {unit}"
        size /= 1000
