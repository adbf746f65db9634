"""One file over HTTP: complete or not there, and it goes on where it stopped.

While `name` comes, the bytes so far are in `.name.part`, and `.name.part.json` says which version of the file
they are of, so that a file that has changed meanwhile is never joined to its older half.

A server is trusted with nothing: not with how much it sends, nor how slowly, nor where it leads. pooch does
not go on with what is there, and huggingface_hub gets what is at its own address only, so neither is used.
"""

import queue
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin

import requests
import urllib3

from data_prep.fetch.part import Part
from data_prep.fetch.room import require_room, show_size
from difffeat.base.files import only_writer
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


class _Cut(Exception):
    """The transfer stopped for a reason that may pass."""


class _TooMuch(Exception):
    """More bytes came than the file has."""


def download(
    url: str,
    path: Path | str,
    size: int | None = None,
    *,
    hashed: bool = False,
    tries: int = TRIES,
    wait: float = WAIT,
    timeout: tuple[float, float] = TIMEOUT,
    window: float = WINDOW,
    slowest: float = SLOWEST,
    say: Callable[[str], object] = print,
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
            part = Part(path, url, size, hashed, say)
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
