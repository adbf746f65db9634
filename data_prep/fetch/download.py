"""One file over HTTP: complete or not there, and it goes on where it stopped.

While `name` comes, the bytes so far are in `.name.part`, and `.name.part.json` says which version of the file
they are of, so that a file that has changed meanwhile is never joined to its older half.
"""

import errno
import json
import os
import re
import time
from pathlib import Path

import requests
import urllib3

from data_prep.fetch.room import require_room, show_size
from difffeat._files import only_writer, write_whole
from difffeat._progress import bar

TRIES = 5  # one after the other without a new byte, then it gives up
WAIT = 1.0  # seconds before the second try, twice as long before each further one
TIMEOUT = (20, 60)  # seconds to connect, and to wait for the next byte
CHUNK = 2**18  # bytes
PASSING = {408, 429, 500, 502, 503, 504}  # HTTP statuses that may be over soon
GONE = {404, 410}


class _Cut(Exception):
    """The transfer stopped for a reason that may pass."""


def download(url, path, size=None, *, tries=TRIES, wait=WAIT) -> Path:
    """Get a file, or the rest of one that stopped halfway. A file that is there is not asked for again.

    Parameters
    ----------
    url : str
    path : path of the file to write
    size : int, the file's documented bytes, optional
    tries : int, how often to try without getting a new byte
    wait : float, seconds before the second try, doubled for each further one

    Returns
    -------
    path

    Raises
    ------
    FileNotFoundError
        If the server does not have the file (any more).
    ConnectionError
        If the connection fails or is cut `tries` times without a new byte, or the server refuses; what came
        is kept, and the same call goes on from there.
    ValueError
        If the server's file is of another size than `size`; nothing of it is kept.
    OSError
        If the disk has no room for it.
    """
    path = Path(path)
    with only_writer(path):
        if not path.is_file():
            part = _Part(path, url)
            _try_until_complete(url, part, size, tries, wait)
            part.finish()
    return path


class _Part:
    """The bytes of a file so far, and of which version of it: address, the server's mark, bytes in all."""

    def __init__(self, path, url):
        self.path, self.url = path, url
        self.bytes, self.version = (
            path.with_name(f".{path.name}.part"),
            path.with_name(f".{path.name}.part.json"),
        )
        try:
            kept = json.loads(self.version.read_text())
        except (OSError, ValueError):
            kept = {}
        self.mark, self.total = kept.get("mark"), kept.get("total")
        if kept.get("url") != url:
            self.discard()

    @property
    def size(self):
        return self.bytes.stat().st_size if self.bytes.is_file() else 0

    @property
    def complete(self):
        return self.bytes.is_file() and self.size == self.total

    def discard(self):
        self.bytes.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)
        self.mark = self.total = None

    def begin(self, mark, total):
        """Start over with a version of the file; the bytes of another go first."""
        self.discard()
        self.mark, self.total = mark, total
        write_whole(self.version, json.dumps({"url": self.url, "mark": mark, "total": total}).encode())

    def append(self, chunks):
        try:
            with self.bytes.open("ab", buffering=0) as stream:
                for chunk in chunks:
                    stream.write(chunk)
                os.fsync(stream.fileno())
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise OSError(
                    error.errno,
                    f"no room for {self.path}: {os.strerror(error.errno)} after {show_size(self.size)}; they "
                    f"are kept: make room, then run the same again",
                ) from error
            raise

    def finish(self):
        self.bytes.replace(self.path)
        self.version.unlink(missing_ok=True)


def _try_until_complete(url, part, size, tries, wait):
    """Ask for what is missing, until nothing is or `tries` times in a row bring nothing new."""
    furthest, fruitless = part.size, 0
    with requests.Session() as session:
        while not part.complete:
            try:
                _ask(session, url, part, size)
                return
            except _Cut as cut:
                fruitless = 0 if part.size > furthest else fruitless + 1
                furthest = max(furthest, part.size)
                if fruitless >= tries:
                    raise ConnectionError(
                        f"{url}: {cut}; gave up after {tries} tries without a new byte. What came is kept: "
                        f"the same command goes on from there"
                    ) from cut
            time.sleep(wait * 2 ** max(fruitless - 1, 0))


def _ask(session, url, part, size):
    """One request, and its answer written down."""
    # Without "identity" a server may send a compressed copy, whose bytes are not the file's.
    headers = {"Accept-Encoding": "identity", "User-Agent": "difffeat"}
    if part.size and part.mark:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.mark}
    try:
        with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            _check_status(response, url)
            start = _take_place(response, part)
            if None not in (size, part.total) and size != part.total:
                total = part.total
                part.discard()
                raise ValueError(
                    f"{url} has {total} bytes, expected {size}: the file at this address has changed"
                )
            _receive(response, part, start)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _Cut(f"no connection ({type(error).__name__})") from error
    except urllib3.exceptions.HTTPError as error:
        raise _Cut(f"cut after {show_size(part.size)} of {show_size(part.total)}") from error
    except requests.RequestException as error:
        raise ConnectionError(f"{url}: {error}") from error


def _check_status(response, url):
    said = f"HTTP {response.status_code} {response.reason}"
    plain = [step.url for step in (*response.history, response) if not step.url.startswith("https:")]
    if url.startswith("https:") and plain:
        raise ConnectionError(f"{url} leads to {plain[0]}, which is not encrypted")
    if response.status_code in GONE:
        raise FileNotFoundError(f"{url} is not there ({said}); look for its new address on the source's page")
    if response.status_code in PASSING:
        raise _Cut(f"the server answers {said}")
    if response.status_code not in (200, 206, 416):
        raise ConnectionError(f"{url}: the server answers {said}")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise ConnectionError(f"{url}: the server sends it compressed ({encoding}), asked for as it is")


def _take_place(response, part):
    """Where the answer's bytes belong: after those there are, or at the start of a new part."""
    mark = _mark(response)
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        part.begin(mark, int(length) if length.isdecimal() else None)
        return 0
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
    wanted = (part.size, part.total, part.mark)
    if response.status_code == 206 and match and (int(match[1]), int(match[2]), mark or part.mark) == wanted:
        return part.size
    part.discard()
    raise _Cut("the server has another file now, or sent another piece of it than asked for")


def _mark(response):
    """What tells versions of a file apart: a strong ETag, else its date; None if the server gives neither."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


def _receive(response, part, start):
    """Append the answer's body; _Cut if it is not the whole rest."""
    if part.total is not None:
        require_room(part.path.parent, part.total - start, part.path.name)
    with bar(part.total, part.path.name, "B", initial=start) as progress:

        def chunks():
            # Read below requests, which would drop what came of a chunk when the connection is cut within it.
            while chunk := response.raw.read(CHUNK, decode_content=False):
                yield chunk
                progress.update(len(chunk))

        part.append(chunks())
    if part.total is not None and part.size != part.total:
        received = part.size
        if received > part.total:
            part.discard()
        raise _Cut(f"the server sent {received} bytes of {part.total}")
