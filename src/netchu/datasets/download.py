"""Download a data set's files from a list of mirrors that need not be trusted, on a network that need not work.

    with Downloader(MNIST, Limits()) as downloader:
        data = downloader.fetch(MNIST.files[1])      # the unpacked, verified bytes

What is guarded against: no answer, slow answers, broken connections (tried again), error pages, short, long, endless
and wrong bodies, gzip bombs (the next mirror is tried), and redirects away from https (refused).  A file counts only if
its unpacked bytes have the size and the SHA-256 that `RemoteFile` names.  Proxy settings of the environment are
respected.

Limits: one file at a time, held in memory (MNIST's largest is 47 MB); a broken transfer starts anew.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import ssl
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable
from email.message import Message
from types import TracebackType
from typing import IO, NoReturn, Self
from urllib.parse import urlsplit

from netchu.datasets.mirrors import DownloadFailedError, Limits, RemoteDataset, RemoteFile

_log = logging.getLogger("netchu")
_GZIP = b"\x1f"
_CHUNK = 1 << 16
_SLACK = 1 << 16  # packed bytes may outnumber unpacked ones by a header and little else


class _RejectedError(Exception):
    """This mirror's answer is wrong in a way that asking again will not mend."""


class _StoppedError(Exception):
    """The caller has given up waiting."""


class _StrictRedirects(urllib.request.HTTPRedirectHandler):
    """Follow a redirect only to the schemes of the data set: never from https down to http, never to file."""

    def __init__(self, schemes: tuple[str, ...]) -> None:
        self._schemes = schemes

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage | Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        scheme = urlsplit(newurl).scheme.lower()
        if scheme not in self._schemes:
            fp.close()
            raise _RejectedError(f"refused: redirect to {scheme or 'nowhere'}, allowed is {', '.join(self._schemes)}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


class Downloader:
    """Fetches verified files, remembering across files which mirrors work and whether anything has answered yet.

    Attributes:
        hosts: the mirrors' host names that have delivered a file, in order.
        answered: whether any byte of data (not of an error page) has come from any mirror.
    """

    def __init__(self, remote: RemoteDataset, limits: Limits) -> None:
        """Nothing is opened until `fetch`; the clocks of `limits` start now."""
        self.hosts: list[str] = []
        self._remote = remote
        self._limits = limits
        self._mirrors = list(remote.mirrors)  # the one that worked last stands first
        self._reasons: list[str] = []
        self._start = time.monotonic()
        self._answer = threading.Event()
        self._stop = threading.Event()
        self._opener = _make_opener(remote.schemes)

    def __enter__(self) -> Self:
        """Nothing to open; leaving the block stops the worker."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell a worker that is still waiting for the network to end without doing anything more."""
        self._stop.set()

    @property
    def answered(self) -> bool:
        """Whether any byte of data has come from any mirror."""
        return self._answer.is_set()

    def fetch(self, file: RemoteFile) -> bytearray:
        """Fetch one file from the first mirror that has it right.

        The work is done in a daemon thread, because looking up a host name cannot be interrupted: on some networks it
        hangs for half a minute, and the caller must have its answer after `limits.first_byte` seconds.

        Returns:
            The unpacked bytes, whose size and SHA-256 are those of `file`.

        Raises:
            DownloadFailedError: no mirror delivered; the reasons name each mirror.
        """
        results: list[bytearray | Exception] = []
        ended = threading.Event()

        def work() -> None:
            try:
                results.append(self._from_any_mirror(file))
            except Exception as error:
                results.append(error)
            ended.set()

        threading.Thread(target=work, name="netchu-download", daemon=True).start()
        while not ended.wait(0.02):
            waited = time.monotonic() - self._start
            if waited > self._limits.total:
                self._give_up(f"the download was not done after {self._limits.total:g} s")
            if waited > self._limits.first_byte and not self.answered:
                self._give_up(f"no byte came in {self._limits.first_byte:g} s")
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    def _give_up(self, why: str) -> NoReturn:
        self._stop.set()
        raise DownloadFailedError([*self._reasons, f"{', '.join(map(_host, self._mirrors))}: {why}"])

    def _from_any_mirror(self, file: RemoteFile) -> bytearray:
        for mirror in tuple(self._mirrors):
            try:
                data = self._from_mirror(mirror, file)
            except _RejectedError as error:
                self._reasons.append(f"{_host(mirror)}: {error} ({file.name})")
                _log.info("mirror failed: %s", self._reasons[-1])
                self._mirrors.remove(mirror)  # to the end: the next file begins with the mirror that worked
                self._mirrors.append(mirror)
                continue
            if _host(mirror) not in self.hosts:
                self.hosts.append(_host(mirror))
            return data
        raise DownloadFailedError(self._reasons)

    def _from_mirror(self, mirror: str, file: RemoteFile) -> bytearray:
        """Try one mirror, again after a pause when the connection (not the content) was at fault."""
        for attempt in range(1, self._limits.tries + 1):
            try:
                return self._transfer(f"{mirror}{file.name}.gz", file)
            except urllib.error.HTTPError as error:
                error.close()
                raise _RejectedError(f"HTTP {error.code} {error.reason}".replace("\n", " ")) from error
            except (OSError, http.client.HTTPException, EOFError) as error:
                cause = getattr(error, "reason", error)
                # Silence before the first byte is not asked for again: the other mirrors need what is left of the wait.
                silent = isinstance(cause, TimeoutError) and not self.answered
                if attempt == self._limits.tries or silent or isinstance(cause, ssl.SSLError):
                    raise _RejectedError(str(cause) or type(cause).__name__) from error
                _log.info("%s: %s; trying again", _host(mirror), cause)
            if self._stop.wait(self._limits.pause * 2 ** (attempt - 1)):
                raise _StoppedError
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _transfer(self, url: str, file: RemoteFile) -> bytearray:
        """One attempt: the verified bytes, or an exception that says whether another attempt may help."""
        scheme = urlsplit(url).scheme.lower()
        if scheme not in self._remote.schemes:
            raise _RejectedError(f"refused: address begins with {scheme}:, allowed is {self._remote.schemes}")
        limits = self._limits
        # Until something has answered, every mirror gets its share of the short first wait; afterwards `stall` counts.
        patience = limits.stall if self.answered else min(limits.stall, limits.first_byte / len(self._mirrors))
        _log.info("downloading %s from %s (%.1f MB unpacked)", file.name, _host(url), file.size / 1e6)
        request = urllib.request.Request(url, headers={"User-Agent": "netchu", "Accept-Encoding": "identity"})
        with self._opener.open(request, timeout=patience) as response:
            data = _unpack(self._watched(response), file)
        if (found := hashlib.sha256(data).hexdigest()) != file.sha256:
            raise _RejectedError(f"wrong SHA-256 {found[:12]}... instead of {file.sha256[:12]}...")
        return data

    def _watched(self, response: http.client.HTTPResponse) -> Callable[[], bytes]:
        """A reader of the body's next bytes that watches the clocks, and whether anybody still waits."""
        window_start = time.monotonic()
        window_bytes = 0
        total_bytes = 0
        reported = time.monotonic()

        def read() -> bytes:
            nonlocal window_start, window_bytes, total_bytes, reported
            block = response.read1(_CHUNK)  # read1 returns what is there; read would wait for a full chunk
            now = time.monotonic()
            if self._stop.is_set():
                raise _StoppedError
            if total_bytes == 0 and block.startswith(_GZIP):
                self._answer.set()  # a sign-in page, which some networks send in place of anything, is no answer
            window_bytes = window_bytes + len(block)
            total_bytes = total_bytes + len(block)
            if now - window_start >= self._limits.slow_window:
                if window_bytes < self._limits.slow_rate * (now - window_start):
                    raise _RejectedError(f"too slow, {window_bytes} bytes in {now - window_start:.0f} s")
                window_start = now
                window_bytes = 0
            if now - reported >= 2.0:
                _log.info("%.1f MB received", total_bytes / 1e6)
                reported = now
            return block

        return read


def _unpack(read: Callable[[], bytes], file: RemoteFile) -> bytearray:
    """Gunzip a body while it arrives, never holding more than the expected size and one chunk."""
    inflater = zlib.decompressobj(wbits=31)
    data = bytearray()
    received = 0
    while not inflater.eof:
        block = read()
        if not received and block and not block.startswith(_GZIP):
            kind = "a text or HTML page" if block.lstrip()[:1] in (b"<", b"{") else f"bytes that begin {block[:4]!r}"
            raise _RejectedError(f"expected gzip, got {kind}")
        received += len(block)
        if not block:
            raise EOFError(f"the body ended after {received} bytes, before its gzip did")
        if received > file.size + _SLACK:
            raise _RejectedError(f"more than {received - 1} packed bytes for a file of {file.size}")
        try:
            # One byte beyond the expected size is enough to know that there is too much, be it a bomb or not.
            data += inflater.decompress(block, max_length=file.size + 1 - len(data))
        except zlib.error as error:
            raise _RejectedError(f"damaged gzip: {error}") from error
        if len(data) > file.size:
            raise _RejectedError(f"unpacks to more than the expected {file.size} bytes")
    if inflater.unused_data or read():
        raise _RejectedError("more bytes behind the end of the gzip")
    if len(data) != file.size:
        raise _RejectedError(f"unpacks to {len(data)} bytes instead of {file.size}")
    return data


def _make_opener(schemes: tuple[str, ...]) -> urllib.request.OpenerDirector:
    """An opener without the handlers for file:, ftp: and data: addresses that urllib's default one has."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),  # also needed to speak with a proxy; addresses are checked before it is reached
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _StrictRedirects(schemes),
    ):
        opener.add_handler(handler)
    return opener


def _host(url: str) -> str:
    return urlsplit(url).netloc
