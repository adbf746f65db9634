"""Files that others wrote, read with care: text, JSON and its fields.

Every error names the file, the entry and the field, what was expected and what came.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

BLANK = re.compile(r"[ \t\r\n]*")
CHUNK = 1 << 20  # characters of a long JSON file that are read together
MARKS = {  # byte order marks; UTF-32's comes first, because UTF-16's is its start
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
ONE_BYTE = {"cp1250", "cp1252", "iso8859-1", "iso8859-15"}  # in these every byte is a letter: nothing fails
ABSENT = object()


class Kind(NamedTuple):
    """What a field may hold: as an error says it, and whether a value is of it."""

    said: str
    holds: Callable[[Any], bool]
    each: Kind | None = None  # of the items of a list


def _is_text(value) -> bool:
    """Whether a value is text that can be written; half a surrogate pair, which JSON can spell, cannot."""
    if not isinstance(value, str):  # numpy has its own
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


INTEGER = Kind("an integer of 64 bits", lambda value: type(value) is int and -(2**63) <= value < 2**63)
TEXT = Kind("text", _is_text)
FILE = Kind("text that names a file", lambda v: _is_text(v) and bool(v.strip()) and "\0" not in v)
LABEL = Kind("text that is not blank", lambda value: _is_text(value) and bool(value.strip()))
LIST = Kind("a list", lambda value: type(value) is list)


def many(kind: Kind) -> Kind:
    """A list of values of one kind."""
    return Kind(
        f"a list, each {kind.said}", lambda value: type(value) is list and all(map(kind.holds, value)), kind
    )


def shown(value: object) -> str:
    """A value in an error: as JSON has it, no longer than a line."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def take(where: str | tuple, entry: object, /, **kinds: Kind) -> list:
    """The fields of an entry, in the order in which they are asked for.

    Parameters
    ----------
    where : str, or (path, name of a list, place in it); put into words only for an error
    entry : what should be an object with these fields
    **kinds : name of a field to what it may hold

    Raises
    ------
    ValueError
        If the entry is no object, or lacks a field or has it of another kind.
    """
    if type(entry) is not dict:
        raise ValueError(f"{_named(where)} is {shown(entry)}; expected an object")
    taken = [entry.get(name, ABSENT) for name in kinds]
    for value, (name, kind) in zip(taken, kinds.items(), strict=True):
        if value is ABSENT:
            raise ValueError(f"{_named(where, entry)} has no {name}; expected {kind.said}")
        if not kind.holds(value):
            raise ValueError(f"{_named(where, entry)}: {name} is {_wrong(value, kind)}; expected {kind.said}")
    return taken


def rows(path: Path | str, content: object, name: str, /, **kinds: Kind) -> list[list]:
    """The fields of every entry of the list `content[name]`, as `take` gives them."""
    (entries,) = take(str(path), content, **{name: LIST})
    return [take((path, name, place), entry, **kinds) for place, entry in enumerate(entries)]


def unique(path: Path | str, name: str, field: str, values: Iterable) -> dict:
    """Value -> its place in the list `name`.

    Raises
    ------
    ValueError
        If a value comes twice; the message names both places.
    """
    places = {}
    for place, value in enumerate(values):
        if value in places:
            raise ValueError(
                f"{path}: {name}[{places[value]}] and {name}[{place}] both have {field} {shown(value)}; "
                f"give each its own"
            )
        places[value] = place
    return places


def regular(path: Path | str, expected: str) -> Path:
    """The path itself, if it is that of a file; `expected` says in the error what it should be.

    A folder is refused, and so are pipes and devices, which may never end.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected {expected}: check the setting `folder`")
    if not path.is_file():
        what = "folder" if path.is_dir() else "pipe or a device"
        raise ValueError(f"{path} is a {what}; expected a file, {expected}")
    return path


def text_of(path: Path | str, encoding: str | None = None, expected: str = "a text file") -> str:
    """The text of a file, without its byte order mark; of one that ends in .gz, the text packed in it.

    A byte order mark says the encoding, whatever else is said.

    Parameters
    ----------
    path : path
    encoding : str, as a person set it; without it UTF-8, or what the zeros among the first bytes show
    expected : str, what the file should be

    Raises
    ------
    ValueError
        If the bytes are not of this encoding, or plainly of another; the message names the file and the line,
        and the setting where there is one. If it ends in .gz and is not gzipped, or ends early.
    """
    raw = _bytes(regular(path, expected))
    marked = next((name for mark, name in MARKS.items() if raw.startswith(mark)), None)
    used = marked or _known(path, encoding or json.detect_encoding(raw))
    if encoding and not marked:
        _check_one_byte(path, raw, used)
    way_out = ", or name its encoding, as in `encoding: {}`" if encoding else ""
    if b"\0" in raw and not used.startswith(("utf-16", "utf-32")):
        line = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        raise ValueError(
            f"{path}, line {line}: there is a zero byte, which {used} text has not; if the file is UTF-16, "
            f"convert it to utf-8{way_out.format('utf-16')}"
        )
    try:
        return raw.decode(used).removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path}, line {line}: byte {raw[error.start]:#04x} is not {used}; convert the file to utf-8"
            f"{way_out.format('cp1252')}"
        ) from error


def _bytes(path):
    """What a file holds, unpacked where it is gzipped."""
    raw = path.read_bytes()
    if path.suffix != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is not gzipped, or ends early: {error}") from error


def json_object(path: Path | str, expected: str = "a JSON file") -> dict:
    """The object in a JSON file.

    Raises
    ------
    ValueError
        If the file is not JSON or not an object, a key comes twice (Python alone keeps the last), a number
        is NaN or infinite, or lists nest without end.
    """
    text = text_of(path, expected=expected)
    try:
        content = _DECODER.decode(text)
    except _Refused as error:
        raise ValueError(f"{path}: {error}") from error
    except RecursionError:
        raise ValueError(f"{path}: lists or objects nest too deeply; expected {expected}") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON, or ends early: {error}") from error
    if type(content) is not dict:
        raise ValueError(f"{path} holds a {type(content).__name__}; expected an object")
    return content


def json_entries(path: Path | str) -> Iterator[tuple[Any, int]]:
    """Yield (entry, bytes read so far) of a JSON file that is one long list, which is never in memory whole.

    A byte that is not of the encoding becomes half a surrogate pair, which is no `TEXT`.

    Raises
    ------
    ValueError
        If the file is not a JSON list or ends early, or as for `json_object`; the message does not name it.
    """
    with Path(path).open("rb") as raw:
        encoding = json.detect_encoding(raw.read(4))
        raw.seek(0)
        tape = _Tape(io.TextIOWrapper(raw, encoding, errors="surrogateescape", newline=""))
        tape.skip("[", "a list")
        first = True
        while tape.peek() != "]":
            if not first:
                tape.skip(",", ", or ]")
            yield tape.value(), raw.tell()
            first = False
        tape.skip("]", "]")
        if tape.peek():
            raise ValueError("the file goes on after its list")


class _Tape:
    """Text of a stream and a place in it; what lies before the place is let go when more is read."""

    def __init__(self, stream):
        self.stream, self.text, self.at = stream, "", 0

    def more(self) -> bool:
        """Read on, twice as much each time for an entry that is long."""
        piece = self.stream.read(max(CHUNK, len(self.text) - self.at))
        self.text, self.at = self.text[self.at :] + piece, 0
        return bool(piece)

    def peek(self) -> str:
        """The next character that is not blank; nothing at the end."""
        while True:
            self.at = BLANK.match(self.text, self.at).end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def skip(self, character, expected):
        """Go on behind this character, which comes next."""
        found = self.peek()
        if found != character:
            came = f"has {found!r}" if found else "ends early"
            raise ValueError(f"the file {came}; expected {expected}")
        self.at += 1

    def value(self):
        """The value that starts here."""
        self.peek()
        while True:
            try:
                value, stop = _DECODER.raw_decode(self.text, self.at)
                if stop < len(self.text) or not self.more():  # a number at the end may go on
                    self.at = stop
                    return value
            except RecursionError:
                raise ValueError("lists or objects nest too deeply") from None
            except json.JSONDecodeError as error:
                # Cut off, not wrong: an open string, or something that the last word may explain.
                cut = error.msg.startswith("Unterminated") or error.pos >= len(self.text) - 16
                if not cut or not self.more():
                    raise ValueError(f"not JSON, or it ends early: {error.msg}") from error


class _Refused(ValueError):
    """JSON that Python takes and this project does not."""


def _unique_keys(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise _Refused(f"{twice!r} comes more than once")
    return found


def _no_constant(name):
    raise _Refused(f"{name} is no number of JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant)


def _named(where, entry=None) -> str:
    """Where an entry is, with its id where it has one."""
    if isinstance(where, str):
        return where
    path, name, place = where
    known = f" (id {shown(entry['id'])})" if isinstance(entry, dict) and "id" in entry else ""
    return f"{path}: {name}[{place}]{known}"


def _wrong(value, kind) -> str:
    """A wrong value in an error; of a list, the item that is wrong."""
    if kind.each and type(value) is list:
        place = next(place for place, item in enumerate(value) if not kind.each.holds(item))
        return f"a list with {_wrong(value[place], kind.each)} at place {place}"
    return shown(value)


def _known(path, encoding) -> str:
    """The encoding as Python names it."""
    try:
        name = codecs.lookup(encoding).name
        "a".encode(name)  # some codecs are not of text
        return name
    except (LookupError, TypeError, ValueError):
        raise ValueError(
            f"{path}: the setting `encoding` is {encoding!r}; expected one as in utf-8, utf-16, cp1252"
        ) from None


def _check_one_byte(path, raw, encoding):
    """Refuse UTF-8 that is called something else: it would be read without an error, as other letters."""
    if encoding not in ONE_BYTE or raw.isascii():
        return
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return
    raise ValueError(f"{path} is utf-8, the setting `encoding` says {encoding}: leave the setting out")
