"""Downloads from a server on this machine that misbehaves, and archives that attack whoever unpacks them."""

import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
import warnings
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import yaml
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from data_prep.fetch import __main__, fetch, room, sources
from data_prep.fetch.download import CHUNK, _ask, _Pace, _Session, download
from data_prep.fetch.part import Part
from data_prep.fetch.sources import File, Source
from data_prep.fetch.unpack import unpack
from difffeat.base.files import downloads

BODY = random.Random(0).randbytes(5 * CHUNK + 321)


class Server(ThreadingHTTPServer):
    """Gives `files` out; the other attributes make it misbehave."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked = {"/big.bin": BODY}, []
        self.statuses = []  # of the first requests, instead of an answer
        self.cuts = []  # bytes of the body after which the first answers end
        self.ranges, self.marks = True, True
        self.lie = 0  # added to Content-Length
        self.redirects = {}
        self.encoding = "identity"
        self.hold = None  # (bytes after which to stop, event to wait for then)
        self.careless = False  # whether If-Range is ignored
        self.length = True  # whether to say Content-Length
        self.more = 0  # bytes sent after the body, where no length is said
        self.kind = "application/octet-stream"
        self.dates = []  # Last-Modified of the first answers
        self.slow_head = False  # whether the head of the answer comes byte by byte, and has no end
        self.drip = None  # seconds between the bytes of the body
        self.stopped = threading.Event()

    @property
    def base(self):
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def pieces(self):
        """The Range header of each request so far."""
        return [headers.get("Range") for _, headers in self.asked]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append((self.path, dict(self.headers)))
        if server.slow_head:
            return self.send_slowly(b"HTTP/1.0 200 OK\r\nName: " + bytes(10_000), 0.02)
        if server.statuses:
            return self.send_error(server.statuses.pop(0))
        if self.path in server.redirects:
            self.send_response(302)
            self.send_header("Location", server.redirects[self.path])
            return self.end_headers()
        if self.path not in server.files:
            return self.send_error(404)
        body, tag = server.files[self.path], f'"{hashlib.sha256(server.files[self.path]).hexdigest()}"'
        start = self.start_of_piece(tag)
        self.send_response(200 if start is None else 206)
        if server.marks:
            self.send_header("ETag", tag)
        if server.dates:
            self.send_header("Last-Modified", server.dates.pop(0))
        self.send_header("Content-Type", server.kind)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        piece = body[start:]
        if server.length:
            self.send_header("Content-Length", str(len(piece) + server.lie))
        self.send_header("Content-Encoding", server.encoding)
        self.end_headers()
        self.send_body(piece[: server.cuts.pop(0) if server.cuts else None])

    def start_of_piece(self, tag):
        asked = self.headers.get("Range")
        if asked is None or not self.server.ranges:
            return None
        if self.headers.get("If-Range") != tag and not self.server.careless:
            return None
        return int(asked.removeprefix("bytes=").removesuffix("-"))

    def send_body(self, piece):
        with contextlib.suppress(ConnectionError):  # the reader may be gone
            if self.server.drip:
                return self.send_slowly(piece, self.server.drip)
            if self.server.hold:
                count, event = self.server.hold
                self.wfile.write(piece[:count])
                self.wfile.flush()
                event.wait(20)
                piece = piece[count:]
            self.wfile.write(piece)
            for _ in range(self.server.more // CHUNK):
                self.wfile.write(bytes(CHUNK))

    def send_slowly(self, piece, pause):
        with contextlib.suppress(ConnectionError):
            for byte in piece:
                self.wfile.write(bytes([byte]))
                if self.server.stopped.wait(pause):
                    return

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.stopped.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def get(server, tmp_path):
    """Download big.bin with no time between the tries."""

    def get(size=None, tries=3, name="big.bin", **options):
        return download(f"{server.base}/{name}", tmp_path / name, size, tries=tries, wait=0, **options)

    return get


def names(folder):
    """Every name below a folder; the locks that a failure leaves are empty."""
    paths = [path for path in folder.rglob("*") if path.suffix != ".lock"]
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def part(tmp_path):
    return tmp_path / ".big.bin.part"


def test_a_file_comes_whole_and_once(server, get, tmp_path):
    assert get(len(BODY)).read_bytes() == BODY
    assert get() == tmp_path / "big.bin"
    assert server.pieces == [None]
    assert names(tmp_path) == ["big.bin"]


@pytest.mark.parametrize("cuts", [[CHUNK], [100], [0], [CHUNK + 1, 2 * CHUNK, 7]])
def test_a_cut_connection_goes_on_by_range(server, get, tmp_path, cuts):
    server.cuts = cuts.copy()
    assert get().read_bytes() == BODY
    starts = [sum(cuts[:count]) for count in range(len(cuts) + 1)]
    assert server.pieces == [f"bytes={start}-" if start else None for start in starts]
    assert names(tmp_path) == ["big.bin"]


def test_a_connection_that_always_breaks_is_given_up_and_goes_on_later(server, get, tmp_path):
    server.cuts = [1000, *[0] * 3]
    with pytest.raises(ConnectionError, match=r"cut after 1\.0 kB of 1\.3 MB; gave up after 3 tries"):
        get()
    assert len(server.asked) == 4
    assert part(tmp_path).read_bytes() == BODY[:1000]
    assert get().read_bytes() == BODY
    assert server.pieces[4] == "bytes=1000-"


def test_a_server_without_ranges_starts_over(server, get):
    server.ranges, server.cuts = False, [CHUNK, CHUNK]
    assert get().read_bytes() == BODY
    assert server.pieces == [None, *[f"bytes={CHUNK}-"] * 2]


def test_a_server_without_ranges_that_always_breaks_is_given_up(server, get):
    server.ranges, server.cuts = False, [CHUNK] * 9
    with pytest.raises(ConnectionError, match="gave up after 3 tries"):
        get()


def test_without_a_mark_of_its_version_a_part_is_not_continued(server, get):
    server.marks, server.cuts = False, [CHUNK]
    assert get().read_bytes() == BODY
    assert server.pieces == [None, None]


def test_a_file_that_changes_between_tries_starts_over(server, get, tmp_path):
    server.cuts = [CHUNK, 0, 0, 0]
    with pytest.raises(ConnectionError):
        get()
    server.files["/big.bin"] = BODY[::-1]
    assert get().read_bytes() == BODY[::-1]
    assert server.pieces[-1] == f"bytes={CHUNK}-", "asked for, and refused by If-Range"


def test_a_piece_of_another_version_is_not_joined(server, get, monkeypatch):
    """A server that ignores If-Range."""
    server.cuts = [CHUNK, 0, 0, 0]
    with pytest.raises(ConnectionError):
        get()
    server.files["/big.bin"] = BODY[::-1]
    monkeypatch.setattr(
        Handler, "start_of_piece", lambda self, tag: CHUNK if self.headers.get("Range") else None
    )
    assert get().read_bytes() == BODY[::-1]
    assert server.pieces[-2:] == [f"bytes={CHUNK}-", None]


def test_a_part_of_another_address_is_not_continued(server, tmp_path):
    server.files["/other.bin"], server.cuts = BODY[::-1], [CHUNK, 0]
    with pytest.raises(ConnectionError):
        download(f"{server.base}/big.bin", tmp_path / "big.bin", tries=1, wait=0)
    assert download(f"{server.base}/other.bin", tmp_path / "big.bin").read_bytes() == BODY[::-1]
    assert server.pieces[-1] is None


def test_a_length_above_the_truth_is_never_complete(server, get, tmp_path):
    server.lie = 10
    with pytest.raises(ConnectionError, match="gave up"):
        get()
    assert not (tmp_path / "big.bin").exists()


@pytest.mark.parametrize("lie", [-10, 10])
def test_a_length_that_is_not_the_documented_one_is_refused(server, get, tmp_path, lie):
    server.lie = lie
    with pytest.raises(ValueError, match=rf"big.bin has {len(BODY) + lie} bytes, expected {len(BODY)}"):
        get(len(BODY))
    assert names(tmp_path) == []


def test_a_missing_file_is_said_at_once(server, get):
    with pytest.raises(FileNotFoundError, match="lost.bin is not there .HTTP 404"):
        get(name="lost.bin")
    assert len(server.asked) == 1


def test_a_refusal_is_said_at_once(server, get):
    server.statuses = [403]
    with pytest.raises(ConnectionError, match="the server answers HTTP 403"):
        get()
    assert len(server.asked) == 1


def test_a_server_in_trouble_is_asked_again(server, get):
    server.statuses = [500, 503]
    assert get().read_bytes() == BODY
    server.statuses = [500] * 3
    with pytest.raises(ConnectionError, match="HTTP 500 .*; gave up after 3 tries"):
        get(name="lost.bin")


def test_a_range_that_cannot_be_given_starts_over(server, get):
    server.cuts = [CHUNK, 0]
    with pytest.raises(ConnectionError):
        get(tries=1)
    server.statuses = [416]
    assert get().read_bytes() == BODY
    assert server.pieces[-2:] == [f"bytes={CHUNK}-", None]


def test_a_compressed_copy_is_refused(server, get):
    server.encoding = "gzip"
    with pytest.raises(ConnectionError, match="sends it compressed .gzip."):
        get()
    assert {headers["Accept-Encoding"] for _, headers in server.asked} == {"identity"}


class Elsewhere(HTTPAdapter):
    """Answers https itself: a redirect."""

    def __init__(self, target):
        super().__init__()
        self.target = target

    def send(self, request, **_):
        raw = HTTPResponse(status=302, headers={"Location": self.target}, body=b"", preload_content=False)
        return self.build_response(request, raw)


@pytest.mark.parametrize("way", ["", "HTTP://127.0.0.1:{port}/big.bin"])
def test_a_redirect_away_from_encryption_is_not_followed(server, tmp_path, way):
    target = way.format(port=server.server_port) or f"{server.base}/big.bin"
    session, part = _Session(), Part(tmp_path / "big.bin", "https://a/x")
    session.mount("https://", Elsewhere(target))
    with pytest.raises(
        ConnectionError, match="https://a/x leads to (http|HTTP)://.*, which is not encrypted"
    ):
        _ask(session, part.url, part, _Pace(30, 1), (5, 5))
    assert not server.asked and names(tmp_path) == []


def test_the_body_of_a_redirect_is_not_read(server, get, monkeypatch):
    """However long it is."""
    server.redirects["/moved.bin"] = "/big.bin"
    finish = Handler.end_headers

    def end_headers(self):
        finish(self)
        if self.path == "/moved.bin":
            self.wfile.write(b"moved")
            self.wfile.flush()
            server.stopped.wait(10)

    monkeypatch.setattr(Handler, "end_headers", end_headers)
    started = time.monotonic()
    assert get(name="moved.bin").read_bytes() == BODY
    assert time.monotonic() - started < 5


# No more than the file has, and nothing else than the file.


@pytest.mark.parametrize("extra", [CHUNK, 400 * CHUNK])
def test_not_a_byte_more_than_documented_is_written(server, get, tmp_path, monkeypatch, extra):
    server.length, server.more = False, extra
    largest, append = [], Part.append

    def watched(self, chunks):
        append(self, (largest.append(self.size) or chunk for chunk in chunks))

    monkeypatch.setattr(Part, "append", watched)
    with pytest.raises(
        ValueError, match=rf"big.bin sends more than {len(BODY)} bytes, all that the file has"
    ):
        get(len(BODY))
    assert max(largest) <= len(BODY) and names(tmp_path) == []
    assert len(server.asked) == 1


def test_a_piece_that_is_longer_than_the_rest_is_refused(server, get, tmp_path):
    server.cuts = [CHUNK, 0, 0]
    with pytest.raises(ConnectionError):
        get(tries=2)
    server.length, server.more = False, CHUNK
    with pytest.raises(ValueError, match=rf"sends more than {len(BODY)} bytes"):
        get()
    assert names(tmp_path) == []


@pytest.mark.parametrize("options", [{"size": len(BODY)}, {"hashed": True}])
def test_a_body_without_length_is_taken_where_something_else_tells(server, get, options):
    server.length = False
    assert get(**options).read_bytes() == BODY


def test_a_body_without_length_is_refused_where_nothing_tells(server, get, tmp_path):
    server.length = False
    with pytest.raises(ValueError, match="comes without its length, and neither size nor checksum"):
        get()
    assert names(tmp_path) == [] and len(server.asked) == 1


PAGES = [b"<!DOCTYPE html><title>Sign in</title>", b"\n <HTML>" + bytes(10), b"<!-- a --><html>"]


@pytest.mark.parametrize("body", PAGES)
def test_a_page_in_the_place_of_a_file_is_refused_by_its_start(server, get, tmp_path, body):
    server.files["/big.bin"] = body
    with pytest.raises(ValueError, match="big.bin gives a web page, expected the file .it begins as HTML"):
        get()
    assert names(tmp_path) == []


def test_a_page_in_the_place_of_a_file_is_refused_by_its_type_and_what_came_stays(server, get, tmp_path):
    server.cuts = [CHUNK, 0, 0]
    with pytest.raises(ConnectionError):
        get(tries=2)
    server.kind, server.ranges = "text/html; charset=utf-8", False  # a notice of the network, say
    with pytest.raises(ValueError, match="gives a web page, expected the file .Content-Type text/html"):
        get()
    assert part(tmp_path).read_bytes() == BODY[:CHUNK]
    server.kind, server.ranges = "application/zip", True
    assert get().read_bytes() == BODY
    assert server.pieces[-1] == f"bytes={CHUNK}-"


@pytest.mark.parametrize("name", ["page.html", "big.bin"])
def test_a_page_that_is_the_file_is_taken(server, get, name):
    server.files[f"/{name}"], server.kind = PAGES[0], "text/html"
    assert get(name=name, hashed=name == "big.bin").read_bytes() == PAGES[0]


def test_a_page_of_the_list_is_refused(listed, tmp_path):
    listed(data={"a.txt": (PAGES[0], {})})
    with pytest.raises(SystemExit, match="a.txt gives a web page"):
        run("data", folder=tmp_path / "downloads")
    assert not (tmp_path / "downloads/data").exists()


def test_halves_of_two_dates_are_not_joined(server, get):
    """A server that says nothing else of its versions, and ignores If-Range."""
    server.marks, server.ranges, server.cuts = False, True, [CHUNK]
    server.dates = ["Mon, 01 Jan 2024 00:00:00 GMT", "Tue, 02 Jan 2024 00:00:00 GMT"]
    server.careless = True
    assert get().read_bytes() == BODY
    assert server.pieces == [None, f"bytes={CHUNK}-", None]


def test_a_piece_that_does_not_say_its_version_is_not_joined(server, get, tmp_path, monkeypatch):
    server.cuts = [CHUNK, 0, 0]
    with pytest.raises(ConnectionError):
        get(tries=2)
    server.marks, server.careless = False, True
    server.files["/big.bin"] = BODY[::-1]
    assert get().read_bytes() == BODY[::-1]
    assert server.pieces[-2:] == [f"bytes={CHUNK}-", None]


def test_a_piece_that_does_not_say_its_version_is_joined_where_a_checksum_tells(server, get):
    server.cuts = [CHUNK, 0, 0]
    with pytest.raises(ConnectionError):
        get(tries=2, hashed=True)
    server.marks, server.careless = False, True
    assert get(hashed=True).read_bytes() == BODY
    assert server.pieces[-1] == f"bytes={CHUNK}-"


# Slow ones.


def test_a_transfer_that_stalls_ends_and_goes_on_later(server, get, tmp_path):
    server.cuts, server.hold = [CHUNK, 0], None
    with pytest.raises(ConnectionError, match="cut after"):
        get(tries=1)
    server.cuts, server.hold = [], (0, server.stopped)
    with pytest.raises(
        ConnectionError, match=r"nothing came for 0\.2 s; gave up after 2 tries without a new"
    ):
        get(tries=2, timeout=(5, 0.2))
    assert part(tmp_path).read_bytes() == BODY[:CHUNK]
    server.hold = None
    assert get().read_bytes() == BODY
    assert server.pieces[-1] == f"bytes={CHUNK}-"


def test_a_transfer_that_drips_ends_and_goes_on_later(server, get, tmp_path):
    server.drip = 0.02
    started = time.monotonic()
    with pytest.raises(
        ConnectionError, match=r"too slow: \d+ B came in 0\.3 s.*gave up after 2 tries that were"
    ):
        get(tries=2, window=0.3, slowest=1000)
    assert time.monotonic() - started < 5
    so_far = part(tmp_path).read_bytes()
    assert 0 < len(so_far) < 300 and BODY.startswith(so_far)
    server.drip = None
    assert get(window=0.3, slowest=1000).read_bytes() == BODY
    assert server.pieces[-1] == f"bytes={len(so_far)}-"


def test_a_head_that_drips_ends(server, get):
    server.slow_head = True
    with pytest.raises(ConnectionError, match=r"no whole answer in 0\.5 s; gave up after 2 tries"):
        get(tries=2, timeout=(0.2, 0.3))
    server.slow_head = False
    assert get().read_bytes() == BODY


def test_a_server_that_gives_one_byte_a_connection_is_given_up(server, tmp_path):
    server.cuts = [1] * 1000
    with pytest.raises(ConnectionError, match="too slow"):
        download(f"{server.base}/big.bin", tmp_path / "big.bin", tries=2, wait=0.02, window=0.3)
    assert len(server.cuts) > 900


# What lies in the folder.


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_part_that_is_a_link_is_not_written_through(get, tmp_path, link):
    victim = tmp_path / "victim.txt"
    victim.write_bytes(b"mine")
    getattr(part(tmp_path), link)(victim)
    assert get().read_bytes() == BODY
    assert victim.read_bytes() == b"mine" and not (tmp_path / "big.bin").is_symlink()


def test_a_part_that_becomes_a_link_is_not_followed(server, tmp_path):
    victim = tmp_path / "victim.txt"
    victim.write_bytes(b"mine")
    made = Part(tmp_path / "big.bin", f"{server.base}/big.bin")
    part(tmp_path).symlink_to(victim)
    with pytest.raises(OSError, match=r"\.big\.bin\.part is a link, which is not followed: remove it"):
        made.append([b"theirs"])
    assert victim.read_bytes() == b"mine"


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[]", b'{"url": 3}', b'{"url": "u"}', b'{"url": "u", "said": {}, "total": "9"}'],
)
def test_a_damaged_note_of_a_part_names_itself_and_is_made_again(server, get, tmp_path, content):
    server.cuts = [CHUNK, 0, 0]
    with pytest.raises(ConnectionError):
        get(tries=2)
    (tmp_path / ".big.bin.part.json").write_bytes(content)
    told = []
    assert get(say=told.append).read_bytes() == BODY
    assert len(told) == 1 and f"{tmp_path / '.big.bin.part.json'} is damaged" in told[0]
    assert server.pieces[-1] is None


def test_a_note_of_before_is_understood(server, get, tmp_path):
    tag = f'"{hashlib.sha256(BODY).hexdigest()}"'
    part(tmp_path).write_bytes(BODY[:100])
    note = {"url": f"{server.base}/big.bin", "mark": tag, "total": len(BODY)}
    (tmp_path / ".big.bin.part.json").write_text(json.dumps(note))
    assert get().read_bytes() == BODY
    assert server.pieces == ["bytes=100-"]


@pytest.mark.parametrize("content", [b"", b'{"data/a.txt": {"fet', b"\xff", b"[]", b'{"data/a.txt": 3}'])
def test_a_damaged_record_names_itself_and_is_made_again(listed, tmp_path, capsys, content):
    listed(data={"a.txt": (b"first", {})})
    record = tmp_path / "downloads" / "fetched.json"
    record.parent.mkdir()
    record.write_bytes(content)
    run("data", folder=tmp_path / "downloads")
    assert f"{record} is damaged" in capsys.readouterr().out
    assert record.with_name("fetched.json.refused").read_bytes() == content
    assert json.loads(record.read_text())["data/a.txt"]["size"] == 5


def test_nobody_there_is_said(get, server, tmp_path):
    server.server_close()
    with pytest.raises(ConnectionError, match="no connection"):
        get()


def test_a_redirect_is_followed_and_continued(server, get):
    server.redirects["/moved.bin"], server.cuts = "/big.bin", [CHUNK]
    assert get(name="moved.bin").read_bytes() == BODY
    assert [path for path, _ in server.asked] == ["/moved.bin", "/big.bin"] * 2
    assert server.pieces[-1] == f"bytes={CHUNK}-"


def test_a_circle_of_redirects_ends(server, get):
    server.redirects["/big.bin"] = "/big.bin"
    with pytest.raises(ConnectionError, match="redirects"):
        get()


def test_a_full_disk_is_noticed_before_the_download(server, get, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match=r"no room for big.bin: it needs 1.3 MB in .*, 1.0 kB are free"):
        get()
    assert not (tmp_path / "big.bin").exists()


# As a person calls it: sources of its own, a process that is killed, what it prints.


@pytest.fixture
def listed(server, tmp_path, monkeypatch):
    """Write a list of sources, files given as {name: content or documented values}, and use it."""
    path = tmp_path / "sources.yaml"

    def listed(profiles=None, **entries):
        content = {"sources": {}, "profiles": profiles or {}}
        for name, files in entries.items():
            for file, (body, _) in files.items():
                server.files[f"/{file}"] = body
            about = {"what": f"what {name} is", "licence": "MIT", "page": "https://example.org"}
            addresses = [
                {"url": f"{server.base}/{file}", **documented} for file, (_, documented) in files.items()
            ]
            content["sources"][name] = about | {"files": addresses}
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    monkeypatch.setattr(sources, "LIST", path)
    return listed


def run(*arguments, folder):
    __main__.main([*arguments, "--folder", str(folder)])


@pytest.mark.parametrize(("how", "returned"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_a_download_that_is_stopped_goes_on_by_range(server, listed, tmp_path, how, returned):
    path, folder, released = listed(big={"big.bin": (BODY, {})}), tmp_path / "downloads", threading.Event()
    server.hold = (3 * CHUNK, released)
    program = (
        "import pathlib, sys\nfrom data_prep.fetch import __main__, sources\n"
        "sources.LIST = pathlib.Path(sys.argv[1])\n__main__.main(['big', '--folder', sys.argv[2]])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(path), str(folder)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    so_far = folder / "files" / "big" / ".big.bin.part"
    while not (so_far.exists() and so_far.stat().st_size == 3 * CHUNK):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, how)
    _, said = process.communicate(timeout=20)
    assert process.returncode == returned
    assert how == signal.SIGKILL or said.decode().splitlines()[-1].startswith(
        "stopped; the same command goes on"
    )
    released.set()
    server.hold = None
    run("big", folder=folder)
    assert server.pieces == [None, f"bytes={3 * CHUNK}-"]
    assert (folder / "big" / "big.bin").read_bytes() == BODY


def zipped(files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return content.getvalue()


def tarred(files, mode="w"):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return content.getvalue()


def test_a_source_is_unpacked_to_one_folder(server, listed, tmp_path, capsys):
    whole = tarred({"weights/model.pt": BODY}, "w:gz")
    files = {
        "w.tar.gz.01": (whole[1000:], {}),
        "w.tar.gz.00": (whole[:1000], {"bytes": 1000}),
        "images.zip": (zipped({"train/": b"", "train/1.jpg": b"one"}), {}),
        "VOC.tar": (tarred({"./train/2.jpg": b"two"}), {}),
        "list.txt": (b"1\n2\n", {"sha256": hashlib.sha256(b"1\n2\n").hexdigest()}),
    }
    listed(data=files, other={"b.txt": (b"b", {})}, profiles={"all": ["data", "other"], "more": ["all"]})
    folder = tmp_path / "downloads"
    run("more", folder=folder)
    assert names(folder / "data") == [
        *["list.txt", "train", "train/1.jpg", "train/2.jpg", "weights", "weights/model.pt"]
    ]
    assert (folder / "data/weights/model.pt").read_bytes() == BODY
    assert names(folder) == sorted(
        ["data", "fetched.json", "files", "files/data", "files/other", "other", "other/b.txt"]
        + [f"data/{name}" for name in names(folder / "data")]
        + [f"files/data/{name}" for name in files]
        + ["files/other/b.txt"]
    )
    said = capsys.readouterr().out
    assert f"b.txt: sha256 {hashlib.sha256(b'b').hexdigest()}" in said and "checksums recorded in" in said
    asked = len(server.asked)
    run("more", folder=folder)
    assert len(server.asked) == asked, "nothing is left to do"
    shutil.rmtree(folder / "data")
    run("more", folder=folder)
    assert len(server.asked) == asked and (folder / "data/train/1.jpg").exists()


def test_a_file_that_differs_from_the_first_time_is_refused(server, listed, tmp_path):
    listed(data={"a.txt": (b"first", {})})
    folder = tmp_path / "downloads"
    run("data", folder=folder)
    record = json.loads((folder / "fetched.json").read_text())["data/a.txt"]
    assert record["sha256"] == hashlib.sha256(b"first").hexdigest() and record["size"] == 5
    for name in ("data", "files"):
        shutil.rmtree(folder / name)
    server.files["/a.txt"] = b"other"
    with pytest.raises(SystemExit) as error:
        run("data", folder=folder)
    for said in (b"first", b"other"):
        assert hashlib.sha256(said).hexdigest() in str(error.value)
    assert names(folder) == ["fetched.json", "files", "files/data", "files/data/a.txt.refused"]


@pytest.mark.parametrize("kind", ["sha256", "md5"])
def test_a_file_that_is_not_the_documented_one_is_refused(listed, tmp_path, kind):
    documented = hashlib.new(kind, b"right").hexdigest()
    listed(data={"a.txt": (b"wrong", {"bytes": 5, kind: documented})})
    with pytest.raises(
        SystemExit, match=rf"{kind} {hashlib.new(kind, b'wrong').hexdigest()}, expected {documented}"
    ):
        run("data", folder=tmp_path / "downloads")
    assert names(tmp_path / "downloads") == ["files", "files/data", "files/data/a.txt.refused"]


def test_a_file_put_there_by_hand_is_verified_and_used(server, listed, tmp_path):
    listed(data={"a.txt": (b"right", {"bytes": 5})})
    place = tmp_path / "downloads/files/data"
    place.mkdir(parents=True)
    (place / "a.txt").write_bytes(b"right and more")
    with pytest.raises(SystemExit, match="size 14, expected 5"):
        run("data", folder=tmp_path / "downloads")
    (place / "a.txt").write_bytes(b"right")
    run("data", folder=tmp_path / "downloads")
    assert not server.asked


def test_a_part_that_is_missing_is_noticed(listed, tmp_path):
    whole = tarred({"model.pt": BODY}, "w:gz")
    listed(data={"w.tar.gz.00": (whole[:-1000], {})})
    with pytest.raises(SystemExit, match="w.tar.gz.00 is damaged or incomplete"):
        run("data", folder=tmp_path / "downloads")
    assert not (tmp_path / "downloads/data").exists()


def test_a_disk_without_room_for_all_is_noticed_before_anything(server, listed, tmp_path, monkeypatch):
    listed(data={"a.zip": (b"", {"bytes": 4000}), "b.txt": (b"", {"bytes": 500})})
    monkeypatch.setattr(room.shutil, "disk_usage", lambda path: SimpleNamespace(free=8400))
    with pytest.raises(SystemExit, match="no room for data and its unpacked archives: it needs 8.5 kB"):
        run("data", folder=tmp_path / "downloads")
    assert not server.asked


def test_what_a_name_needs_is_listed(server, listed, tmp_path, capsys):
    listed(data={"a.zip": (b"", {"bytes": 13_510_573_713}), "b.txt": (b"", {})}, profiles={"all": ["data"]})
    run(folder=tmp_path)
    run("all", "--list", folder=tmp_path)
    said = capsys.readouterr().out
    for expected in ("what data is", "licence: MIT", "13.5 GB  http", "unknown  http", "(not there yet)"):
        assert expected in said
    assert not server.asked and names(tmp_path) == ["sources.yaml"]


def test_an_unknown_name_is_an_error_that_lists_the_known(listed, tmp_path):
    listed(data={}, profiles={"all": ["data"]})
    with pytest.raises(SystemExit, match="unknown: dta; known: data, all"):
        run("data", "dta", folder=tmp_path)


def test_the_list_that_comes_with_the_project_is_sound():
    entries, profiles = sources.known()
    assert {source.name for source in sources.chosen(profiles)} <= entries.keys()
    for source in entries.values():
        assert source.licence and source.page.startswith("http")
        assert len({file.name for file in source.files}) == len(source.files)
        assert bool(source.files) != bool(source.by_hand), "fetched, or what a person has to do instead"
        for file in source.files:
            assert file.url.startswith("https://")
            assert file.size is None or isinstance(file.size, int)
            assert file.md5 is None or len(bytes.fromhex(file.md5)) == 16
            assert file.sha256 is None or len(bytes.fromhex(file.sha256)) == 32
    assert entries["plaid-1b"].archives == {
        "plaid1b_weights.tar.gz": [f"plaid1b_weights.tar.gz.0{part}" for part in range(3)]
    }


def test_files_of_a_folder_go_by_their_paths_there_and_here(server, listed, tmp_path):
    server.files |= {"/model/unet/config.json": b"one", "/model/vae/config.json": b"two"}
    path = listed()
    paths = [{"path": "unet/config.json", "bytes": 3}, {"path": "vae/config.json"}]
    about = {"what": "a model", "licence": "MIT", "page": "https://example.org"}
    content = {"sources": {"model": about | {"folder": f"{server.base}/model", "files": paths}}}
    path.write_text(yaml.safe_dump(content))
    run("model", folder=tmp_path / "downloads")
    ready = tmp_path / "downloads" / "model"
    assert (ready / "unet" / "config.json").read_bytes() == b"one"
    assert (ready / "vae" / "config.json").read_bytes() == b"two"
    known = json.loads((tmp_path / "downloads" / "fetched.json").read_text())
    assert known.keys() == {"model/unet-config.json", "model/vae-config.json"}


def test_the_folder_follows_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("DIFFFEAT_CACHE", str(tmp_path))
    assert downloads() == tmp_path / "downloads"


# Archives made to attack. Each is unpacked to `out`; nothing may appear beside it.


@pytest.fixture
def refused(tmp_path):
    """Fetch an archive of these bytes, expect it to be refused and set aside, and nothing left of it."""

    def refused(name, content, message):
        folder = tmp_path / "downloads"
        files = folder / "files" / "data"
        files.mkdir(parents=True)
        (files / name).write_bytes(content)
        source = Source("data", "", "", "", (File(f"http://127.0.0.1:9/{name}"),))
        before = names(tmp_path)
        with pytest.raises(ValueError, match=message):
            fetch(source, folder, say=lambda line: None)
        assert names(tmp_path) == [*before[:-1], f"{before[-1]}.refused"]

    return refused


def entry(name, body=b"", layout=tarfile.GNU_FORMAT, **changes):
    """A tar archive of one plain file, then one entry with these changes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=layout) as archive:
        for made, inside in ((tarfile.TarInfo("first.txt"), b"first"), (tarfile.TarInfo(name), body)):
            made.size = len(inside)
            if made.name == name:
                for attribute, value in changes.items():
                    setattr(made, attribute, value)
            archive.addfile(made, io.BytesIO(inside))
    return content.getvalue()


@pytest.mark.parametrize(
    "name", ["../out.txt", "a/../../out.txt", "/nowhere/out.txt", "..\\out.txt", "C:\\out.txt"]
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_name_that_leads_out_is_refused(refused, kind, name):
    refused(
        f"a.{kind}",
        entry(name, b"out") if kind == "tar" else zipped({name: b"out"}),
        "leads out of the folder",
    )


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "first.txt"),
        (tarfile.LNKTYPE, "first.txt"),
        (tarfile.LNKTYPE, "/etc/passwd"),
        (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""),
        (tarfile.FIFOTYPE, ""),
        (tarfile.GNUTYPE_SPARSE, ""),
    ],
)
def test_a_link_or_device_in_a_tar_is_refused(refused, kind, target):
    refused("a.tar", entry("bad", type=kind, linkname=target), "bad is a link, a device|damaged")


def test_a_file_with_holes_in_a_tar_is_refused(refused):
    """It would be larger than its bytes in the archive."""
    pieces = b"1\n0\n5\n".ljust(512, b"\0")  # one, at the start, of five bytes
    sizes = {"major": "1", "minor": "0", "name": "bad", "realsize": "1000000"}
    headers = {f"GNU.sparse.{name}": value for name, value in sizes.items()}
    content = entry("bad", pieces + b"hello", layout=tarfile.PAX_FORMAT, pax_headers=headers)
    refused("a.tar", content, "bad .* has holes, not a plain file")


def test_a_link_in_a_tar_is_never_written_through(refused, tmp_path):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        through = tarfile.TarInfo("link/out.txt")
        through.size = 3
        archive.addfile(through, io.BytesIO(b"out"))
    refused("a.tar", content.getvalue(), "link is a link")


def test_a_link_in_a_zip_is_refused(refused, tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(tmp_path))
        archive.writestr("link/out.txt", b"out")
    refused("a.zip", content.getvalue(), "link is a link or device")


def test_permissions_are_not_taken_over(tmp_path):
    (tmp_path / "a.tar").write_bytes(entry("tool", b"x", mode=0o7777, uid=0))
    (tmp_path / "out").mkdir()
    unpack([tmp_path / "a.tar"], tmp_path / "out")
    mode = (tmp_path / "out" / "tool").stat().st_mode
    assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX | stat.S_IXUSR)


def test_two_files_of_one_name_are_refused(refused):
    refused("a.tar", entry("./first.txt", b"second"), "two files named first.txt")


def test_a_file_that_is_a_folder_too_is_refused(refused):
    refused("a.tar", entry("first.txt/inside", b"x"), "first.txt is a file and a folder")


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_a_bomb_is_refused(refused, name):
    files = {"zeros": bytes(20_000_000)}
    content = zipped(files) if name == "a.zip" else tarred(files, "w:gz")
    refused(name, content, r"unpack(s)? to (more than )?\d+ bytes, refused|refused above")


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_a_small_archive_of_much_the_same_is_unpacked(tmp_path, name):
    files = {"log.txt": b"epoch 1: nothing to report\n" * 200_000}
    path, out = tmp_path / name, tmp_path / "out"
    path.write_bytes(zipped(files) if name == "a.zip" else tarred(files, "w:gz"))
    assert path.stat().st_size < 30_000 and len(files["log.txt"]) > 5e6
    out.mkdir()
    unpack([path], out)
    assert (out / "log.txt").read_bytes() == files["log.txt"]


def test_a_zip_with_more_in_it_than_it_says_is_refused(refused):
    """Its directory says 10 bytes for what unpacks to 20,000."""
    content = bytearray(zipped({"a": bytes(range(200)) * 100}))
    true, false = (20_000).to_bytes(4, "little"), (10).to_bytes(4, "little")
    assert content.count(true) == 2, "in the entry and in the directory"
    refused("a.zip", bytes(content.replace(true, false)), "a.zip is damaged or incomplete")


def test_a_zip_with_less_in_it_than_it_says_is_refused(refused):
    content = zipped({"a": bytes(range(200)) * 100})
    true, false = (20_000).to_bytes(4, "little"), (20_001).to_bytes(4, "little")
    refused("a.zip", content.replace(true, false), "a.zip is damaged")


def test_an_archive_larger_than_the_disk_is_refused(refused, monkeypatch):
    monkeypatch.setattr(
        room.shutil, "disk_usage", lambda path: SimpleNamespace(free=100 if "part" in str(path) else 10**9)
    )
    content = zipped({"a": BODY})
    with pytest.raises(OSError, match="no room for what a.zip holds"):
        refused("a.zip", content, "no")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("a.zip", lambda content: content[:-30]),
        ("a.zip", lambda content: content[:500] + b"\0\0\0\0" + content[504:]),
        ("a.tar.gz", lambda content: content[:-9]),
        ("a.tar.gz", lambda content: content[:-8] + b"\0\0\0\0" + content[-4:]),
        ("a.tar", lambda content: content[: CHUNK - 100]),
        ("a.tar", lambda content: b"<!doctype html>" + bytes(2000)),
    ],
    ids=["zip-cut", "zip-changed", "gz-cut", "gz-checksum", "tar-cut", "not-a-tar"],
)
def test_a_damaged_archive_is_refused(refused, name, change):
    files = {"a": BODY, "b": BODY}
    content = {"a.zip": lambda: zipped(files), "a.tar": lambda: tarred(files)}.get(
        name, lambda: gzip.compress(tarred(files), compresslevel=1)
    )()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(name, change(content), f"{name} is damaged or incomplete")


def test_a_killed_unpacking_is_begun_again(listed, server, tmp_path):
    listed(data={"a.zip": (zipped({"a.txt": b"a"}), {})})
    left = tmp_path / "downloads" / ".data.part"
    left.mkdir(parents=True)
    (left / "a.txt").write_bytes(b"half")
    run("data", folder=tmp_path / "downloads")
    assert (tmp_path / "downloads/data/a.txt").read_bytes() == b"a"
    assert not left.exists()


def test_what_no_program_may_get_says_what_to_do(tmp_path):
    source = sources.known()[0]["fashion"]
    with pytest.raises(ValueError, match=r"kaggle\.com/.*asks for an account; unpack .*: .*fashion"):
        fetch(source, tmp_path)
    (tmp_path / "fashion").mkdir()
    assert fetch(source, tmp_path) == tmp_path / "fashion"
