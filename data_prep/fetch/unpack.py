"""Archives unpacked as data, whoever made them: plain files and folders, inside one folder, of bounded size.

Nothing of an archive is taken over but names and bytes: no links, devices, owners or permissions. As no link
is ever made, no later entry can be written through one.
"""

import gzip
import io
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path, PureWindowsPath

from data_prep.fetch.room import require_room
from difffeat.base.progress import bar

CHUNK = 2**20  # bytes
EXPANSION = 100  # times its own size that an archive may unpack to; text takes about a tenth when compressed
HARMLESS = 2**24  # bytes that any archive may unpack to: a small one of much the same does no harm
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError)


def unpack(parts: Iterable[Path | str], folder: Path | str) -> None:
    """Unpack an archive into a folder.

    Parameters
    ----------
    parts : sequence of paths: one .zip, or the parts of one .tar or .tar.gz in order. The parts are read one
        after the other and never joined on disk.
    folder : path, there already. Entries that exist in it are not overwritten.

    Raises
    ------
    ValueError
        If the archive is damaged, or holds what it should not: a name outside the folder, a link, a device,
        two files of one name, far more bytes than its size suggests. What comes before that is in the folder
        then, so unpack to one that can be removed.
    OSError
        If the disk has no room for it.
    """
    parts, folder = [Path(part) for part in parts], Path(folder)
    size = sum(part.stat().st_size for part in parts)
    limit = max(EXPANSION * size, HARMLESS)
    with bar(size, f"unpacking {parts[0].name}", "B") as progress:
        try:
            if parts[0].suffix == ".zip":
                _unzip(parts[0], folder, limit, progress)
            else:
                _untar(parts, folder, limit, progress)
        except DAMAGED as error:
            raise ValueError(
                f"{parts[0].name} is damaged or incomplete: {error or type(error).__name__}"
            ) from error


def _unzip(path, folder, limit, progress):
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        total = sum(member.file_size for member in members)
        if total > limit:
            raise ValueError(f"{path.name} would unpack to {total} bytes, refused above {limit}")
        require_room(folder, total, f"what {path.name} holds")
        for member in members:
            target = _target(path.name, folder, member.filename)
            # Zero where the archive was made on a system without such modes.
            if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise ValueError(f"{path.name}: {member.filename} is a link or device, not a plain file")
            if member.flag_bits & 1:
                raise ValueError(f"{path.name}: {member.filename} is encrypted")
            if member.is_dir():
                _folder(path.name, target)
            else:
                with archive.open(member) as stream:
                    _write(path.name, stream, target, member.file_size)
            progress.update(member.compress_size)


def _untar(parts, folder, limit, progress):
    name = parts[0].name
    with ExitStack() as stack:
        stream = stack.enter_context(io.BufferedReader(_Joined(parts, progress)))
        if stream.peek(2)[:2] == b"\x1f\x8b":  # how gzip begins
            stream = stack.enter_context(gzip.GzipFile(fileobj=stream))
        stream = _Limited(stream, limit, name)
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                target = _target(name, folder, member.name)
                if member.isdir():
                    _folder(name, target)
                elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse():
                    require_room(folder, member.size, f"{member.name} of {name}")
                    _write(name, archive.extractfile(member), target, member.size)
                else:
                    raise ValueError(
                        f"{name}: {member.name} is a link, a device or has holes, not a plain file"
                    )
        while stream.read(CHUNK):  # to the end, where gzip has its checksum
            pass


def _target(archive, folder, name):
    """Where an entry goes. Read as on Windows, which takes both slashes, the name is safe on every system."""
    path = PureWindowsPath(name)
    if path.anchor or ".." in path.parts:
        raise ValueError(f"{archive}: {name!r} leads out of the folder to unpack to")
    return folder.joinpath(*path.parts)


def _folder(archive, target):
    try:
        target.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ValueError(f"{archive}: {target.name} is a file and a folder") from error


def _write(archive, stream, target, size):
    """Write an entry of so many bytes to a new file."""
    _folder(archive, target.parent)
    try:
        with target.open("xb") as out:
            while chunk := stream.read(CHUNK):
                out.write(chunk)
            written = out.tell()
    except FileExistsError as error:
        raise ValueError(f"{archive}: there are two files named {target.name} in one folder") from error
    if written != size:
        raise ValueError(f"{archive} is damaged: {target.name} has {written} bytes, expected {size}")


class _Joined(io.RawIOBase):
    """Files read one after the other as if they were one."""

    def __init__(self, paths, progress):
        self.paths, self.progress, self.stream = list(paths), progress, None

    def readable(self):
        return True

    def readinto(self, buffer):
        while self.stream or self.paths:
            self.stream = self.stream or self.paths.pop(0).open("rb")
            count = self.stream.readinto(buffer)
            if count:
                self.progress.update(count)
                return count
            self._close_part()
        return 0

    def close(self):
        self._close_part()
        super().close()

    def _close_part(self):
        if self.stream:
            self.stream.close()
        self.stream = None


class _Limited:
    """A stream that ends in an error when it gives more bytes than allowed."""

    def __init__(self, stream, limit, name):
        self.stream, self.limit, self.left, self.name = stream, limit, limit, name

    def read(self, size):
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise ValueError(f"{self.name} unpacks to more than {self.limit} bytes, refused")
        return data
