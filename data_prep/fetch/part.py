"""A file that is coming: its bytes so far, and which version of it they are of."""

import errno
import json
import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from data_prep.fetch.room import show_size
from difffeat.base.files import write_whole

PAGE_TYPES = {"text/html", "application/xhtml+xml"}
PAGE_STARTS = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml.*?\?>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.I | re.S
)
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # not on every system


class Part:
    """The bytes of a file so far, of which version of it they are, and what is documented of it.

    `said` is how the server tells versions apart (its ETag, the date of the last change), `total` its bytes
    in all; both are None or empty where it does not say.
    """

    def __init__(
        self,
        path: Path,
        url: str,
        size: int | None = None,
        hashed: bool = False,
        say: Callable[[str], object] = print,
    ) -> None:
        self.path, self.url, self.documented, self.hashed = path, url, size, hashed
        self.bytes, self.version = (
            path.with_name(f".{path.name}.part"),
            path.with_name(f".{path.name}.part.json"),
        )
        self.said, self.total = {}, None
        kept = self._kept(say)
        if kept.get("url") == url and self._own():
            self.said, self.total = kept["said"], kept["total"]
        else:
            self.discard()

    def _kept(self, say):
        """What is written of the version; empty if nothing is, or if that is damaged, which is said."""
        try:
            return _check_version(json.loads(self.version.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            say(f"  {self.version} is damaged ({error}): made again, {self.path.name} comes from its start")
            return {}

    def _own(self):
        """Whether the bytes are in a file that nobody else knows by another name: no link, no device."""
        try:
            found = self.bytes.lstat()
        except FileNotFoundError:
            return True
        return stat.S_ISREG(found.st_mode) and found.st_nlink == 1

    @property
    def size(self) -> int:
        return self.bytes.stat().st_size if self.bytes.is_file() else 0

    @property
    def expected(self) -> int | None:
        """Bytes of the whole file, as the server says or as documented; None if neither does."""
        return self.documented if self.total is None else self.total

    @property
    def complete(self) -> bool:
        return self.bytes.is_file() and self.size == self.expected

    @property
    def mark(self) -> str | None:
        """What a server is asked to compare: a strong ETag, else the date; None if it gave neither."""
        tag = self.said.get("ETag", "")
        return tag if tag.startswith('"') else self.said.get("Last-Modified")

    def same_version(self, said: Mapping) -> bool:
        """Whether a later answer is of the version that these bytes are of."""
        if any(said[name] != value for name, value in self.said.items() if name in said):
            return False
        # One may leave out what it was asked to compare; then a checksum must be there to tell.
        tag = self.said.get("ETag")
        return self.hashed or bool(said) and (tag is None or "ETag" in said)

    def discard(self) -> None:
        self.bytes.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)
        self.said, self.total = {}, None

    def begin(self, said: dict, total: int | None) -> None:
        """Start over with a version of the file; the bytes of another go first."""
        self.discard()
        self.said, self.total = said, total
        write_whole(self.version, json.dumps({"url": self.url, "said": said, "total": total}).encode())

    def append(self, chunks: Iterable[bytes]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_FOLLOW | getattr(os, "O_BINARY", 0)
        try:
            with open(os.open(self.bytes, flags, 0o666), "ab", buffering=0) as stream:
                for chunk in chunks:
                    while chunk:  # what a nearly full disk takes of it may be less than all
                        chunk = chunk[stream.write(chunk) :]
                os.fsync(stream.fileno())
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise OSError(
                    error.errno,
                    f"{self.bytes} is a link, which is not followed: remove it (rm '{self.bytes}'), then run "
                    f"the same again",
                ) from error
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise OSError(
                    error.errno,
                    f"no room for {self.path}: {os.strerror(error.errno)} after {show_size(self.size)}; they "
                    f"are kept: make room, then run the same again",
                ) from error
            raise

    def finish(self) -> None:
        """Give the file its name, unless it is a web page in the place of one that nothing is known of."""
        if not self.hashed and not self._wants_page() and _is_page(self.bytes):
            self.discard()
            raise ValueError(page_came(self.url, "it begins as HTML"))
        self.bytes.replace(self.path)
        self.version.unlink(missing_ok=True)

    def _wants_page(self):
        return self.path.suffix.lower() in (".html", ".htm", ".xhtml")

    def check_answer(self, kind: str, total: int | None) -> None:
        """ValueError if this is not the file: a web page by its type, of another length, or of none at all.

        A checksum would tell anyhow. What came before stays: the next answer may be the file again.
        """
        kind = kind.split(";")[0].strip().lower()
        if kind in PAGE_TYPES and not self.hashed and not self._wants_page():
            raise ValueError(page_came(self.url, f"Content-Type {kind}"))
        if None not in (self.documented, total) and self.documented != total:
            raise ValueError(
                f"{self.url} has {total} bytes, expected {self.documented}: the file at this address has "
                f"changed"
            )
        if total is None and self.documented is None and not self.hashed:
            raise ValueError(
                f"{self.url} comes without its length, and neither size nor checksum of it is documented: "
                f"whether it is whole could not be told. Give its bytes or sha256 in "
                f"data_prep/fetch/sources.yaml, or put the file in place by hand"
            )


def _check_version(kept):
    """What `.part.json` holds; ValueError if it is none."""
    if not isinstance(kept, dict) or not isinstance(kept.get("url"), str):
        raise ValueError("expected the address of the file")
    said, total, mark = kept.get("said"), kept.get("total"), kept.get("mark")
    if said is None and isinstance(mark, str):  # as it was written before
        said = {"ETag" if mark.startswith('"') else "Last-Modified": mark}
    texts = isinstance(said, dict) and all(isinstance(value, str) for value in said.values())
    if not texts or not (total is None or type(total) is int and total >= 0):
        raise ValueError("expected what the server said of the file's version, and its bytes in all")
    return {"url": kept["url"], "said": said, "total": total}


def _is_page(path):
    with path.open("rb") as stream:
        return PAGE_STARTS.match(stream.read(2000)) is not None


def page_came(url: str, how: str) -> str:
    """What an error says where a web page came in the place of a file."""
    return (
        f"{url} gives a web page, expected the file ({how}): perhaps a login, an error, or a notice of the "
        f"network. Nothing of it is kept. Open the address in a browser to see; a file got there can be put "
        f"in place by hand"
    )
