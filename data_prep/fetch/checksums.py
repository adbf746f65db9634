"""Is a file the one it should be: its documented size and checksum, and the sha256 of the first time."""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

from data_prep.fetch.sources import File
from difffeat.base.files import only_writer, write_whole
from difffeat.base.progress import bar

CHUNK = 2**20  # bytes


def verify(path: Path | str, file: File, record: Path | str) -> dict:
    """Compare a file with what is documented of it, and with what was recorded when it first came.

    Parameters
    ----------
    path : path of the file
    file : File; its size, md5 and sha256 are compared where they are known
    record : path of the JSON file that `remember` writes, there or not

    Returns
    -------
    dict of the file's own "size" (bytes), "md5" and "sha256" (hexadecimal)

    Raises
    ------
    ValueError
        If something differs; the message names both values. The file is set aside under another name.
    """
    path, found = Path(path), _digests(path)
    for kind, documented in (("size", file.size), ("md5", file.md5), ("sha256", file.sha256)):
        if documented is not None and found[kind] != documented:
            _refuse(path, kind, found[kind], documented, "as documented in data_prep/fetch/sources.yaml")
    first = _recorded(record).get(_key(path))
    if first and found["sha256"] != first["sha256"]:
        when = f"as on {first['fetched']}, by {record} (a new version is accepted without that entry)"
        _refuse(path, "sha256", found["sha256"], first["sha256"], when)
    return found


def remember(found: Mapping, record: Path | str) -> int:
    """Write down what files were when they first came; an entry is never changed.

    Parameters
    ----------
    found : dict of path to what `verify` returned for it
    record : path of the JSON file

    Returns
    -------
    int, how many of the files are new in it
    """
    with only_writer(record):
        known, today = _recorded(record), time.strftime("%Y-%m-%d")
        new = {_key(path): {"fetched": today, **values} for path, values in found.items()}
        added = new.keys() - known.keys()
        if added:
            write_whole(record, (json.dumps(new | known, indent=1, sort_keys=True) + "\n").encode())
    return len(added)


def mend(record: Path | str) -> str | None:
    """Set a damaged record aside, so that a new one is made.

    Returns
    -------
    str that says so, or None if the record is sound or not there
    """
    record = Path(record)
    try:
        _recorded(record)
        return None
    except ValueError:
        pass
    with only_writer(record):
        try:
            _recorded(record)  # somebody else may have just made it again
        except ValueError as error:
            return f"{error}. It is set aside as {set_aside(record)} and made again from what comes now"


def set_aside(path: Path) -> Path:
    """Rename a file so that it is not used again, and say to what."""
    return path.replace(path.with_name(f"{path.name}.refused"))


def _key(path):
    return f"{path.parent.name}/{path.name}"


def _recorded(record):
    """What the record holds; ValueError that names it if it is damaged."""
    record = Path(record)
    if not record.is_file():
        return {}
    try:
        known = json.loads(record.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{record} is damaged or ends early: {error}") from error
    if not isinstance(known, dict):
        raise ValueError(f"{record} is damaged: it holds a {type(known).__name__}, expected files by name")
    for name, entry in known.items():
        if not (isinstance(entry, dict) and {"fetched", "sha256"} <= entry.keys()):
            raise ValueError(f"{record} is damaged: of {name} it holds {entry!r}, expected date and sha256")
    return known


def _digests(path):
    """Size in bytes, md5 and sha256 of a file, read once."""
    # md5 only because it is what many of these files were published with.
    hashes = {"md5": hashlib.md5(usedforsecurity=False), "sha256": hashlib.sha256()}
    size = path.stat().st_size
    with path.open("rb") as stream, bar(size, f"checking {path.name}", "B") as progress:
        while chunk := stream.read(CHUNK):
            for digest in hashes.values():
                digest.update(chunk)
            progress.update(len(chunk))
    return {"size": size} | {kind: digest.hexdigest() for kind, digest in hashes.items()}


def _refuse(path, kind, found, expected, why):
    raise ValueError(
        f"{path.name} is not the file it should be: {kind} {found}, expected {expected}, {why}. It is set "
        f"aside as {set_aside(path)} and not used"
    )
