"""The download and the cache against a server on this machine that misbehaves in every way we could think of.

Each mirror's address names a behaviour: `http://127.0.0.1:PORT/wrong/` serves files of the right size with other bytes.
Nothing here leaves 127.0.0.1; looking up any other host fails the test.
"""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.message import Message
from pathlib import Path
from typing import Any, NoReturn

import filelock
import numpy as np
import pytest
from numpy.typing import NDArray

from netchu.datasets import cache, download, mnist
from netchu.datasets.idx import encode_idx
from netchu.datasets.mirrors import MNIST, DownloadFailedError, Limits, RemoteDataset, RemoteFile
from netchu.errors import DataNotFoundError, UsageError
from netchu.system.disk import temporary_name

FAST = Limits(first_byte=2.0, stall=0.4, total=6.0, slow_window=0.3, slow_rate=10_000.0, tries=2, pause=0.01)

_random = np.random.default_rng(5)
ARRAYS: list[NDArray[Any]] = [
    _random.integers(0, 256, (40, 7, 5)).astype(np.uint8),
    _random.integers(0, 10, 40).astype(np.uint8),
    _random.integers(0, 256, (10, 7, 5)).astype(np.uint8),
    _random.integers(0, 10, 10).astype(np.uint8),
]
CONTENT = {file.name: encode_idx(array) for file, array in zip(MNIST.files, ARRAYS, strict=True)}
FILES = tuple(RemoteFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in CONTENT.items())
BOMB = gzip.compress(bytes(20_000_000))
REDIRECTS = {"to-file": "file:///etc/hostname", "to-https": "https://127.0.0.1/x", "to-ftp": "ftp://127.0.0.1/x"}


class FaultHandler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, in the manner that the first part of the path names."""

    server: FaultServer

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        behaviour, _, name = self.path.removeprefix("/").partition("/")
        if behaviour.startswith("http:"):  # a proxy is asked for whole addresses
            behaviour, name = "ok", self.path.rsplit("/", 1)[1]
        if behaviour == "flaky":
            behaviour = "cut" if self.server.requests.count(self.path) == 1 else "ok"
        data = CONTENT[name.removesuffix(".gz")]
        if behaviour.isdigit():
            self.send_error(int(behaviour))
        elif behaviour.startswith("to-"):
            self.send_response(302)
            self.send_header("Location", {"to-ok": f"/ok/{name}", "to-loop": self.path, **REDIRECTS}[behaviour])
            self.end_headers()
        elif behaviour in ("silent", "drip", "stall", "endless"):
            self._badly(behaviour, gzip.compress(data))
        else:
            self._body(*self._answers(data)[behaviour])

    def _answers(self, data: bytes) -> dict[str, tuple[bytes, int | None]]:
        """Body and Content-Length (None: the connection's end is the body's) of each behaviour."""
        packed, other = gzip.compress(data, mtime=0), gzip.compress(bytes(reversed(data)), mtime=0)
        half = len(packed) // 2
        damaged = packed[:half] + bytes(16) + packed[half + 16 :]
        return {
            "ok": (packed, len(packed)),
            "no-length": (packed, None),
            "wrong": (other, len(other)),
            "cut": (packed[:half], len(packed)),
            "cut-no-length": (packed[:half], None),
            "short": (gzip.compress(data[:-1]), None),
            "long": (gzip.compress(data + b"x"), None),
            "garbage": (packed + b"more", None),
            "members": (packed + gzip.compress(b"more"), None),
            "damaged": (damaged, len(damaged)),
            "bomb": (BOMB, None),
            "empty": (b"", 0),
            "portal": (b"<!DOCTYPE html><title>Please sign in</title>", None),
        }

    def _body(self, body: bytes, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def _badly(self, behaviour: str, packed: bytes) -> None:
        """Answer for as long as the client, or the test, will have it."""
        if behaviour == "silent":
            self.server.closing.wait(20)
            return
        self.send_response(200)
        self.end_headers()
        if behaviour == "stall":
            self.wfile.write(packed[:20])
            self.server.closing.wait(20)
        elif behaviour == "drip":
            for byte in packed:
                self.wfile.write(bytes([byte]))
                if self.server.closing.wait(0.03):
                    return
        else:  # a gzip header with a file name that never ends
            self.wfile.write(b"\x1f\x8b\x08\x08" + bytes(6))
            while not self.server.closing.is_set():
                self.wfile.write(b"a" * 65536)


class FaultServer(http.server.ThreadingHTTPServer):
    """Remembers which paths were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FaultHandler)
        self.requests: list[str] = []
        self.closing = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what is tested."""

    def remote(self, *behaviours: str) -> RemoteDataset:
        """A small data set whose mirrors behave in these ways, in this order."""
        port = self.server_address[1]
        mirrors = tuple(f"http://127.0.0.1:{port}/{behaviour}/" for behaviour in behaviours)
        return RemoteDataset("mnist", FILES, mirrors, schemes=("http",))


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield running
        running.closing.set()
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("NETCHU_"):
            monkeypatch.delenv(name)
    lookup = socket.getaddrinfo

    def guarded(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "127.0.0.1":
            raise socket.gaierror(f"a test looked up {host!r}")
        return lookup(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", guarded)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of this test."""
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "mnist"


def obtain(remote: RemoteDataset, limits: Limits = FAST, offline: bool = False) -> tuple[str, list[str]]:
    """Obtain the set, check that it is the right one, and return its source and notes."""
    arrays, source, notes = cache.obtain(remote, limits, offline=offline)
    for array, expected in zip(arrays, ARRAYS, strict=True):
        np.testing.assert_array_equal(array, expected)
        assert array.flags.writeable
    return source, notes


def failure(remote: RemoteDataset, limits: Limits = FAST) -> str:
    with pytest.raises(DownloadFailedError) as caught:
        cache.obtain(remote, limits, offline=False)
    return str(caught.value)


def refuse(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError("a network call was made")


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# What a bad mirror does, and what the message about it must say.
FAULTS = {
    "403": "HTTP 403",
    "404": "HTTP 404",
    "429": "HTTP 429",
    "500": "HTTP 500",
    "503": "HTTP 503",
    "wrong": "wrong SHA-256",
    "cut": "ended",
    "cut-no-length": "ended",
    "short": "instead of",
    "long": "unpacks to more than",
    "garbage": "behind the end",
    "members": "behind the end",
    "damaged": "",  # where zlib or the hash notices depends on the bytes hit
    "bomb": "unpacks to more than",
    "endless": "packed bytes",
    "empty": "ended after 0 bytes",
    "portal": "text or HTML page",
    "stall": "timed out",
    "drip": "too slow",
    "to-loop": "redirect",
    "to-file": "not allowed",
    "to-https": "refused: redirect to https",  # here the allowed scheme is http, in real use it is the other way round
    "to-ftp": "refused: redirect to ftp",
}


def test_downloads_into_the_cache_and_reads_it_without_network(
    server: FaultServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert obtain(server.remote("ok")) == (f"download 127.0.0.1:{server.server_address[1]}", [])
    assert sorted(path.name for path in folder.iterdir()) == sorted(CONTENT)
    assert len(server.requests) == 4
    monkeypatch.setattr(socket, "socket", refuse)
    assert obtain(server.remote("ok")) == ("cache", [])
    assert obtain(server.remote("ok"), offline=True) == ("cache", [])


@pytest.mark.parametrize("good", ["no-length", "to-ok"])
def test_unusual_but_right_answers(server: FaultServer, good: str) -> None:
    source, _ = obtain(server.remote(good))
    assert source.startswith("download")


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_mirror_gives_way_to_the_next(server: FaultServer, folder: Path, fault: str) -> None:
    source, notes = obtain(server.remote(fault, "ok"))
    assert source.startswith("download")
    assert notes == []
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    bad = {path for path in server.requests if path.startswith(f"/{fault}/")}
    assert len(bad) == 1  # after its first failure the mirror stands last


@pytest.mark.parametrize("fault", FAULTS)
def test_when_all_mirrors_fail_every_reason_is_told(server: FaultServer, folder: Path, fault: str) -> None:
    message = failure(server.remote(fault, "404"))
    assert FAULTS[fault] in message
    assert "HTTP 404" in message
    assert message.count(f"127.0.0.1:{server.server_address[1]}: ") == 2
    assert FILES[0].name in message
    assert not folder.exists() or list(folder.iterdir()) == []


def test_broken_connection_is_tried_again_on_the_same_mirror(server: FaultServer) -> None:
    obtain(server.remote("flaky"))
    assert len(server.requests) == 8


def test_error_page_is_not_asked_for_again(server: FaultServer) -> None:
    failure(server.remote("500"))
    assert len(server.requests) == 1


def test_refused_connection_is_a_matter_of_moments() -> None:
    remote = RemoteDataset("mnist", FILES, (f"http://127.0.0.1:{unused_port()}/",), schemes=("http",))
    start = time.monotonic()
    assert "refused" in failure(remote).lower()
    assert time.monotonic() - start < 2.0


def test_unknown_host_is_a_reason_like_any_other() -> None:
    remote = RemoteDataset("mnist", FILES, ("http://nowhere.invalid/",), schemes=("http",))
    assert "nowhere.invalid" in failure(remote)


def test_silence_ends_after_the_first_wait(server: FaultServer) -> None:
    start = time.monotonic()
    message = failure(server.remote("silent", "silent"), replace(FAST, first_byte=0.5, stall=5.0))
    assert time.monotonic() - start < 3.0
    assert "127.0.0.1" in message


def test_silent_mirror_leaves_time_for_the_next(server: FaultServer) -> None:
    obtain(server.remote("silent", "ok"), replace(FAST, first_byte=1.0, stall=5.0))


def test_sign_in_page_does_not_prolong_the_first_wait(server: FaultServer) -> None:
    start = time.monotonic()
    message = failure(server.remote("portal", "silent"), replace(FAST, first_byte=0.6, stall=5.0))
    assert time.monotonic() - start < 3.0
    assert "HTML page" in message


def test_a_name_lookup_that_hangs_does_not_hold_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: free.wait(10) and refuse())
    start = time.monotonic()
    remote = RemoteDataset("mnist", FILES, ("http://slow.invalid/",), schemes=("http",))
    assert "no byte came in 0.3 s" in failure(remote, replace(FAST, first_byte=0.3))
    assert time.monotonic() - start < 3.0
    free.set()


def test_total_time_is_bounded_even_if_bytes_keep_coming(server: FaultServer) -> None:
    limits = replace(FAST, slow_rate=0.0, total=0.6)
    assert "not done after 0.6 s" in failure(server.remote("drip"), limits)


def test_http_mirror_is_refused_by_default(server: FaultServer) -> None:
    assert RemoteDataset("mnist", FILES, ()).schemes == ("https",)
    assert MNIST.schemes == ("https",)
    assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in MNIST.mirrors)
    assert len(MNIST.mirrors) >= 2
    assert "refused" in failure(replace(server.remote("ok"), schemes=("https",)))
    assert server.requests == []


@pytest.mark.parametrize("target", ["http://a.invalid/f", "file:///etc/hostname", "ftp://a.invalid/f", "//"])
def test_redirect_from_https_is_never_followed_downwards(target: str) -> None:
    handler = download._StrictRedirects(("https",))
    request = urllib.request.Request("https://a.invalid/f")
    body = io.BytesIO()
    with pytest.raises(download._RejectedError, match="refused: redirect"):
        handler.redirect_request(request, body, 302, "Found", Message(), target)
    assert body.closed


def test_proxy_of_the_environment_is_used(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.server_address[1]}")
    obtain(RemoteDataset("mnist", FILES, ("http://mirror.invalid/",), schemes=("http",)))
    assert server.requests[0] == f"http://mirror.invalid/{FILES[0].name}.gz"


# The cache


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [flip_a_bit, truncate, Path.unlink])
def test_damaged_cache_is_fetched_again_and_only_that_file(
    server: FaultServer, folder: Path, harm: Callable[[Path], None]
) -> None:
    obtain(server.remote("ok"))
    harm(folder / FILES[2].name)
    server.requests.clear()
    assert obtain(server.remote("ok"))[0].startswith("download")
    assert server.requests == [f"/ok/{FILES[2].name}.gz"]
    assert obtain(server.remote("ok")) == ("cache", [])


def test_something_else_under_a_cached_name_is_no_crash(server: FaultServer, folder: Path) -> None:
    obtain(server.remote("ok"))
    make_a_folder(folder / FILES[2].name)
    source, notes = obtain(server.remote("ok"))
    assert source.startswith("download")
    assert "cannot be written" in notes[0]


def test_cache_cleared_between_two_loads(server: FaultServer, folder: Path) -> None:
    obtain(server.remote("ok"))
    for path in (*folder.iterdir(), *folder.parent.glob("*.lock")):
        path.unlink()
    folder.rmdir()
    assert obtain(server.remote("ok"))[0].startswith("download")


def test_unwritable_cache_is_told_and_the_data_used(server: FaultServer, folder: Path) -> None:
    folder.parent.write_bytes(b"a file where the cache folder should be")
    source, notes = obtain(server.remote("ok"))
    assert source.startswith("download")
    assert "cannot be written" in notes[0]
    assert "NETCHU_DATA_DIR" in notes[0]


def test_full_disk_is_told_and_the_data_used(
    server: FaultServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    source, notes = obtain(server.remote("ok"))
    assert source.startswith("download")
    assert len(notes) == 1
    assert "No space left" in notes[0]
    assert list(folder.iterdir()) == []


def test_no_home_is_told_and_the_data_used(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise OSError("no home")

    monkeypatch.setattr(cache, "cache_folder", nowhere)
    assert "no home" in obtain(server.remote("ok"))[1][0]
    with pytest.raises(DownloadFailedError, match="no home"):
        cache.obtain(server.remote("ok"), FAST, offline=True)


def test_leftovers_of_killed_downloads_are_swept(server: FaultServer, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / temporary_name("x", "99")).write_bytes(b"half")
    (folder / "mine.txt").write_bytes(b"kept")
    obtain(server.remote("ok"))
    assert sorted(path.name for path in folder.iterdir()) == sorted([*CONTENT, "mine.txt"])


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="symbolic links need rights here")
def test_lock_that_is_a_link_is_not_followed(server: FaultServer, folder: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder.parent.mkdir(parents=True)
    (folder.parent / "mnist.lock").symlink_to(victim)
    obtain(server.remote("ok"))
    assert victim.read_bytes() == b"precious"


def test_lock_held_for_too_long_is_a_reason(server: FaultServer, folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    with filelock.FileLock(folder.parent / "mnist.lock"):
        assert "another process" in failure(server.remote("ok"), replace(FAST, total=0.3))


def test_those_who_queued_behind_a_vain_wait_do_not_wait_again(server: FaultServer) -> None:
    limits = replace(FAST, first_byte=0.5, stall=5.0)
    messages: list[str] = []
    start = time.monotonic()
    threads = [
        threading.Thread(target=lambda: messages.append(failure(server.remote("silent"), limits))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - start < 2.0
    assert sum("another process" in message for message in messages) == 4
    obtain(server.remote("ok"))  # and a later start tries anew


SCRIPT = """
import sys
from pathlib import Path
from netchu.datasets import cache
from netchu.datasets.mirrors import Limits, RemoteDataset, RemoteFile
cache.cache_folder = lambda: Path(sys.argv[1])
remote = eval(sys.argv[2])
arrays, source, notes = cache.obtain(remote, Limits(), offline=False)
print(source.split()[0], [array.shape for array in arrays], notes)
"""


def start_process(root: Path, remote: RemoteDataset) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-B", "-c", SCRIPT, str(root), repr(remote)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_many_processes_download_once(server: FaultServer, folder: Path) -> None:
    processes = [start_process(folder.parent, server.remote("ok")) for _ in range(4)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(output.split()[0] for output in outputs) == ["cache"] * 3 + ["download"]
    assert len(server.requests) == 4
    assert all("(40, 7, 5)" in output and output.rstrip().endswith("[]") for output in outputs)


def test_killed_download_leaves_nothing_that_hinders_the_next(server: FaultServer, folder: Path) -> None:
    process = start_process(folder.parent, server.remote("stall"))
    deadline = time.monotonic() + 30
    while not server.requests and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=30)
    server.requests.clear()
    assert obtain(server.remote("ok"))[0].startswith("download")
    assert sorted(path.name for path in folder.iterdir()) == sorted(CONTENT)


# What the public function makes of it


@dataclass
class Found:
    """What `find_mnist` came back with."""

    name: str
    source: str
    notes: list[str]


def find(remote: RemoteDataset, source: str | None = None) -> Found:
    data, notes = mnist.find_mnist(source, None, remote=remote, limits=FAST)
    return Found(data.name, data.source, notes)


def test_downloaded_set_has_name_and_source(server: FaultServer) -> None:
    found = find(server.remote("ok"))
    assert (found.name, found.notes) == ("mnist", [])
    assert found.source.startswith("download 127.0.0.1")
    assert find(server.remote("404"), "mnist").source == "cache"


def test_sample_stands_in_and_the_note_tells_why(server: FaultServer) -> None:
    found = find(server.remote("404", "wrong"))
    assert (found.name, found.source) == ("mnist-sample", "package sample")
    (note,) = found.notes
    for part in ("HTTP 404", "wrong SHA-256", "sample", "NETCHU_DATA_DIR", "--data"):
        assert part in note


def test_no_stand_in_for_the_real_mnist(server: FaultServer) -> None:
    with pytest.raises(DataNotFoundError, match=r"HTTP 404.*--data"):
        find(server.remote("404"), "mnist")


@pytest.mark.parametrize("value", ["1", "true", "yes", "on", "YES"])
def test_offline_makes_no_network_call(server: FaultServer, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NETCHU_OFFLINE", value)
    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.warns(UserWarning, match=r"sample.*NETCHU_OFFLINE is set") as caught:
        (x_train, _), _ = mnist.load_data()
    assert caught[0].filename == __file__  # the warning points at the caller's line
    assert x_train.shape == (8004, 28, 28)
    with pytest.raises(DataNotFoundError, match="NETCHU_OFFLINE is set"):
        mnist.load_data("mnist")
    assert server.requests == []


@pytest.mark.parametrize("value", ["", "0", "false", "no", "off", "Off"])
def test_offline_can_be_said_to_be_off(server: FaultServer, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("NETCHU_OFFLINE", value)
    assert find(server.remote("ok")).source.startswith("download")


def test_offline_that_is_neither_on_nor_off_is_an_error(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETCHU_OFFLINE", "perhaps")
    with pytest.raises(UsageError, match=r"NETCHU_OFFLINE: expected 1 or 0 .*Got: NETCHU_OFFLINE='perhaps'"):
        find(server.remote("ok"))
    assert server.requests == []


def test_progress_is_logged_not_printed(
    server: FaultServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level("INFO", logger="netchu"):
        obtain(server.remote("404", "ok"))
    assert any("downloading train-images" in message for message in caplog.messages)
    assert any("HTTP 404" in message for message in caplog.messages)
    assert capfd.readouterr() == ("", "")
