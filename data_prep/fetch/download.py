"""One file over HTTP: complete or not there, and it goes on where it stopped.

While `name` comes, the bytes so far are in `.name.part`, and `.name.part.json` says which version of the file
they are of, so that a file that has changed meanwhile is never joined to its older half.

A server is trusted with nothing: not with how much it sends, nor how slowly, nor where it leads. pooch does
not go on with what is there, and huggingface_hub gets what is at its own address only, so neither is used.
"""

import errno
import json
import os
import queue
import re
import stat
import threading
import time
from pathlib import Path
from urllib.parse import urljoin

import requests
import urllib3

from data_prep.fetch.room import require_room, show_size
from difffeat.base.files import only_writer, write_whole
from difffeat.base.progress import bar

TRIES = 5  # one after the other without a new byte, then it gives up
WAIT = 1.0  # seconds before the second try, twice as long before each further one
TIMEOUT = (20, 30)  # seconds to connect, and to wait for the next byte
WINDOW = 30.0  # seconds over which the rate is measured
SLOWEST = 1000  # bytes a second; what comes slower than that is as good as stopped
REDIRECTS = 10
CHUNK = 2**18  # bytes
PASSING = {408, 429, 500, 502, 503, 504}  # HTTP statuses that may be over soon
GONE = {404, 410}
PAGE_TYPES = {"text/html", "application/xhtml+xml"}
PAGE_STARTS = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml.*?\?>\s*)?(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.I | re.S
)
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # not on every system


class _Cut(Exception):
    """The transfer stopped for a reason that may pass."""


class _TooMuch(Exception):
    """More bytes came than the file has."""


def download(
    url,
    path,
    size=None,
    *,
    hashed=False,
    tries=TRIES,
    wait=WAIT,
    timeout=TIMEOUT,
    window=WINDOW,
    slowest=SLOWEST,
    say=print,
) -> Path:
    """Get a file, or the rest of one that stopped halfway. A file that is there is not asked for again.

    Parameters
    ----------
    url : str
    path : path of the file to write
    size : int, the file's documented bytes, optional; not a byte more is written
    hashed : bool, whether a checksum of it is documented and compared afterwards. Without that and without
        `size` only the server can say what the file is, and it must say more.
    tries : int, how often to try without getting a new byte
    wait : float, seconds before the second try, doubled for each further one
    timeout : two floats, seconds to connect and to wait for the next byte
    window, slowest : float, seconds and bytes a second: a transfer that brings less in that time is ended,
        and given up after `tries` such times in a row
    say : function of str, told what was found damaged and is made again

    Returns
    -------
    path

    Raises
    ------
    FileNotFoundError
        If the server does not have the file (any more).
    ConnectionError
        If the connection fails or is cut `tries` times without a new byte, is too slow, leads from https to
        http, or the server refuses; what came is kept, and the same call goes on from there.
    ValueError
        If the server's file is of another size than `size`, or cannot be the file: a web page, or a body
        without length, where neither size nor checksum is known. Nothing of it is kept.
    OSError
        If the disk has no room for it.
    """
    path = Path(path)
    with only_writer(path):
        if not path.is_file():
            part = _Part(path, url, size, hashed, say)
            pace = _Pace(window, slowest)
            _try_until_complete(url, part, pace, tries, wait, timeout)
            part.finish()
    return path


class _Pace:
    """Whether bytes come fast enough, over one window of time after another, tries and waits included."""

    def __init__(self, window, slowest):
        self.window, self.slowest = window, slowest
        self.slow = 0  # windows in a row with too few bytes
        self.restart()

    def restart(self):
        self.since, self.came = time.monotonic(), 0

    def receive(self, count):
        """Count bytes that came; _Cut if a window is over and had too few."""
        self.came += count
        if time.monotonic() - self.since < self.window:
            return
        came, enough = self.came, self.came >= self.slowest * self.window
        self.slow = 0 if enough else self.slow + 1
        self.restart()
        if not enough:
            raise _Cut(
                f"too slow: {show_size(came)} came in {self.window:g} s, expected {self.slowest:g} bytes "
                f"each second"
            )


class _Part:
    """The bytes of a file so far, of which version of it they are, and what is documented of it.

    `said` is how the server tells versions apart (its ETag, the date of the last change), `total` its bytes
    in all; both are None or empty where it does not say.
    """

    def __init__(self, path, url, size=None, hashed=False, say=print):
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
    def size(self):
        return self.bytes.stat().st_size if self.bytes.is_file() else 0

    @property
    def expected(self):
        """Bytes of the whole file, as the server says or as documented; None if neither does."""
        return self.documented if self.total is None else self.total

    @property
    def complete(self):
        return self.bytes.is_file() and self.size == self.expected

    @property
    def mark(self):
        """What a server is asked to compare: a strong ETag, else the date; None if it gave neither."""
        tag = self.said.get("ETag", "")
        return tag if tag.startswith('"') else self.said.get("Last-Modified")

    def same_version(self, said):
        """Whether a later answer is of the version that these bytes are of."""
        if any(said[name] != value for name, value in self.said.items() if name in said):
            return False
        # One may leave out what it was asked to compare; then a checksum must be there to tell.
        tag = self.said.get("ETag")
        return self.hashed or bool(said) and (tag is None or "ETag" in said)

    def discard(self):
        self.bytes.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)
        self.said, self.total = {}, None

    def begin(self, said, total):
        """Start over with a version of the file; the bytes of another go first."""
        self.discard()
        self.said, self.total = said, total
        write_whole(self.version, json.dumps({"url": self.url, "said": said, "total": total}).encode())

    def append(self, chunks):
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

    def finish(self):
        """Give the file its name, unless it is a web page in the place of one that nothing is known of."""
        if not self.hashed and not self._wants_page() and _is_page(self.bytes):
            self.discard()
            raise ValueError(_page_came(self.url, "it begins as HTML"))
        self.bytes.replace(self.path)
        self.version.unlink(missing_ok=True)

    def _wants_page(self):
        return self.path.suffix.lower() in (".html", ".htm", ".xhtml")

    def check_answer(self, kind, total):
        """ValueError if this is not the file: a web page by its type, of another length, or of none at all.

        A checksum would tell anyhow. What came before stays: the next answer may be the file again.
        """
        kind = kind.split(";")[0].strip().lower()
        if kind in PAGE_TYPES and not self.hashed and not self._wants_page():
            raise ValueError(_page_came(self.url, f"Content-Type {kind}"))
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


def _page_came(url, how):
    return (
        f"{url} gives a web page, expected the file ({how}): perhaps a login, an error, or a notice of the "
        f"network. Nothing of it is kept. Open the address in a browser to see; a file got there can be put "
        f"in place by hand"
    )


class _Session(requests.Session):
    """Follows no redirect by itself: it would read the body of each, however long, and go on without TLS."""

    def get_redirect_target(self, resp):
        return None


def _try_until_complete(url, part, pace, tries, wait, timeout):
    """Ask for what is missing until nothing is; give up when `tries` in a row bring nothing or too little."""
    furthest, fruitless = part.size, 0
    with _Session() as session:
        while not part.complete:
            try:
                _ask(session, url, part, pace, timeout)
                return
            except _Cut as cut:
                fruitless = 0 if part.size > furthest else fruitless + 1
                furthest = max(furthest, part.size)
                if max(fruitless, pace.slow) >= tries and not part.complete:
                    what = "without a new byte" if fruitless >= tries else "that were too slow"
                    raise ConnectionError(
                        f"{url}: {cut}; gave up after {tries} tries {what}. What came is kept: the same "
                        f"command goes on from there"
                    ) from cut
            time.sleep(wait * 2 ** max(fruitless - 1, 0))
            if fruitless:  # a server that is down is not slow
                pace.restart()


def _ask(session, url, part, pace, timeout):
    """One request, and its answer written down."""
    # Without "identity" a server may send a compressed copy, whose bytes are not the file's.
    headers = {"Accept-Encoding": "identity", "User-Agent": "difffeat"}
    if part.size and part.mark:
        headers |= {"Range": f"bytes={part.size}-", "If-Range": part.mark}
    try:
        with _within(sum(timeout), lambda: _open(session, url, headers, timeout)) as response:
            _check_status(response, url)
            start = _take_place(response, part)
            _receive(response, part, start, pace)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _Cut(f"no connection ({type(error).__name__})") from error
    except urllib3.exceptions.ReadTimeoutError as error:
        came = f"{show_size(part.size)} of {show_size(part.expected)}"
        raise _Cut(f"stopped after {came}, nothing came for {timeout[1]:g} s") from error
    except urllib3.exceptions.HTTPError as error:
        raise _Cut(f"cut after {show_size(part.size)} of {show_size(part.expected)}") from error
    except requests.RequestException as error:
        raise ConnectionError(f"{url}: {error}") from error


def _within(seconds, call):
    """What a call returns or raises; _Cut if it does neither in time, and then it is left alone.

    `timeout` alone is for each byte: the head of an answer that comes byte by byte would never be over.
    """
    done = queue.SimpleQueue()

    def run():
        try:
            done.put((call(), None))
        except BaseException as error:
            done.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        answer, error = done.get(timeout=seconds)
    except queue.Empty:
        raise _Cut(f"no whole answer in {seconds:g} s") from None
    if error is not None:
        raise error
    return answer


def _open(session, url, headers, timeout):
    """The answer at the end of all redirects; ConnectionError before one leads from https to http."""
    address = url
    for _ in range(REDIRECTS):
        response = session.get(address, headers=headers, stream=True, timeout=timeout)
        target = requests.Session.get_redirect_target(session, response)
        if target is None:
            return response
        response.close()
        before, address = address, urljoin(address, target)
        if before.lower().startswith("https:") and not address.lower().startswith("https:"):
            raise ConnectionError(
                f"{url} leads to {address}, which is not encrypted; it was not asked. Look for the file's "
                f"new address on the source's page"
            )
    raise ConnectionError(f"{url}: more than {REDIRECTS} redirects, the last to {address}")


def _check_status(response, url):
    said = f"HTTP {response.status_code} {response.reason}"
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
    heads = response.headers
    said = {name: heads[name] for name in ("ETag", "Last-Modified") if heads.get(name)}
    if response.status_code == 200:
        length = heads.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
        part.check_answer(heads.get("Content-Type", ""), total)
        part.begin(said, total)
        return 0
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", heads.get("Content-Range", ""))
    wanted = (part.size, part.total)
    if response.status_code == 206 and match and (int(match[1]), int(match[2])) == wanted:
        if part.same_version(said):
            return part.size
    part.discard()
    raise _Cut("the server has another file now, or sent another piece of it than asked for")


def _receive(response, part, start, pace):
    """Append the answer's body; _Cut if it is not the whole rest, ValueError if it is more than that."""
    expected = part.expected
    if expected is not None:
        require_room(part.path.parent, expected - start, part.path.name)
    with bar(expected, part.path.name, "B", initial=start) as progress:

        def chunks():
            came = start
            # Read below requests, which would drop what came of a chunk when the connection is cut within it,
            # and only what there is: to wait for a whole chunk may be to wait for days.
            while chunk := response.raw.read1(CHUNK, decode_content=False):
                came += len(chunk)
                if expected is not None and came > expected:
                    raise _TooMuch
                yield chunk
                progress.update(len(chunk))
                pace.receive(len(chunk))

        try:
            part.append(chunks())
        except _TooMuch:
            part.discard()
            raise ValueError(
                f"{part.url} sends more than {expected} bytes, all that the file has: it has changed at this "
                f"address, or is another. Nothing of it is kept"
            ) from None
    if expected is not None and part.size != expected:
        raise _Cut(f"the server sent {part.size} bytes of {expected}")
