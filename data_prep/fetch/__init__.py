"""Published weights and data sets, fetched when somebody asks: `python -m data_prep.fetch --help`.

`sources` says what there is, `download` gets a file, `checksums` verifies it, `unpack` opens archives. In the
folder for downloads:

    <name>/           what readers use; it is complete or not there
    files/<name>/     the files as they came, which can be removed then
    fetched.json      the sha256 of each file when it first came
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from data_prep.fetch.checksums import mend, remember, set_aside, verify
from data_prep.fetch.download import download
from data_prep.fetch.room import require_room
from data_prep.fetch.sources import Source
from data_prep.fetch.unpack import unpack
from difffeat.base.files import only_writer

__all__ = ["fetch"]


def fetch(source: Source, folder: Path | str, *, say: Callable[[str], object] = print) -> Path:
    """Download, verify and unpack a source; what is done already is not done again.

    Parameters
    ----------
    source : Source
    folder : path, the folder for downloads
    say : function of str, told what happens

    Returns
    -------
    path of the folder with the source's files, its archives unpacked

    Raises
    ------
    OSError
        If there is no room, or a file cannot be got (see `download`); the same call goes on from there.
    ValueError
        If a file is not the one it should be (see `verify`), an archive is refused (see `unpack`), or the
        source has to be got by hand.
    """
    folder = Path(folder)
    ready, files = folder / source.name, folder / "files" / source.name
    if ready.is_dir():
        return ready
    if source.by_hand:
        raise ValueError(f"{source.name} is at {source.page}. {source.by_hand}: {ready}")
    _require_room(source, files)
    record, found = folder / "fetched.json", {}
    if why := mend(record):
        say(f"  {why}")
    for file in source.files:
        hashed = bool(file.md5 or file.sha256)
        path = download(file.url, files / file.name, file.size, hashed=hashed, say=say)
        found[path] = verify(path, file, record)
        say(f"  {file.name}: sha256 {found[path]['sha256']}")
    with only_writer(ready):
        if not ready.is_dir():
            _assemble(source, files, ready)
    if remember(found, record):  # not of archives that were refused
        say(f"  checksums recorded in {record}")
    return ready


def _require_room(source, files):
    """Room for what is still to come and for what it unpacks to, which is at least as much."""
    sized = [file for file in source.files if file.size is not None]
    size = sum(2 * file.size if file.archive else file.size for file in sized)
    paths = [files / name for file in sized for name in (file.name, f".{file.name}.part")]
    here = sum(path.stat().st_size for path in paths if path.is_file())
    require_room(files, max(size - here, 0), f"{source.name} and its unpacked archives")


def _assemble(source, files, ready):
    """Make the folder under another name, and give it its own when it is complete."""
    partial = ready.with_name(f".{ready.name}.part")
    if partial.exists():  # of a run that was killed
        shutil.rmtree(partial)
    partial.mkdir()
    try:
        for file in source.files:
            if not file.archive:
                target = partial / file.target
                target.parent.mkdir(parents=True, exist_ok=True)
                _link(files / file.name, target)
        for names in source.archives.values():
            _unpack([files / name for name in names], partial)
        partial.replace(ready)
    except BaseException:
        shutil.rmtree(partial)
        raise


def _unpack(parts, partial):
    try:
        unpack(parts, partial)
    except ValueError as error:
        aside = ", ".join(str(set_aside(part)) for part in parts)
        raise ValueError(f"{error}. It is set aside as {aside} and not used") from error


def _link(path, target):
    """The same file under a second name; a copy where the disk does not have that."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)
