"""Which files a downloadable data set consists of, where they can be had, and how long to wait for them.

`MNIST` is the only one that netchu knows.  Mirrors are named without trust: what they send counts only if its unpacked
bytes have the size and the SHA-256 written here, so adding a mirror cannot change the data.

Tests make a `RemoteDataset` of their own, with `schemes=("http",)` for a server on this machine; the default is https
only.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set: its name, and what its unpacked bytes must be."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class RemoteDataset:
    """A data set that can be downloaded: four IDX files, in the order x_train, y_train, x_test, y_test.

    Attributes:
        name: names the data set and its folder in the cache.
        files: what to fetch; a mirror serves each as `NAME.gz`.
        mirrors: base addresses, ending in a slash, tried in this order.
        schemes: what an address, or a redirect, may begin with.
    """

    name: str
    files: tuple[RemoteFile, ...]
    mirrors: tuple[str, ...]
    schemes: tuple[str, ...] = ("https",)


@dataclass(frozen=True)
class Limits:
    """How patient a download is; all times in seconds.

    Attributes:
        first_byte: when no byte of data has come after this time in all, there is no network worth waiting for.
        stall: longest silence within a transfer, and for a connection once bytes have come.
        total: everything together, the wait for another process included.
        slow_window, slow_rate: a mirror that brings less than `slow_rate` bytes a second over `slow_window` is left.
        tries: attempts at one file on one mirror; only broken connections are tried again.
        pause: wait before the second attempt; doubles each time.
    """

    first_byte: float = 5.0
    stall: float = 10.0
    total: float = 600.0
    slow_window: float = 30.0
    slow_rate: float = 10_000.0
    tries: int = 3
    pause: float = 0.2


class DownloadFailedError(Exception):
    """Nothing usable could be downloaded.  Internal: callers turn it into the sample or into a public error."""

    def __init__(self, reasons: list[str]) -> None:
        """Keep one line for each mirror and file that failed."""
        self.reasons = tuple(reasons)
        super().__init__("; ".join(reasons))


MNIST = RemoteDataset(
    name="mnist",
    files=(
        RemoteFile(
            "train-images-idx3-ubyte", 47_040_016, "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        RemoteFile(
            "train-labels-idx1-ubyte", 60_008, "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte", 7_840_016, "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte", 10_008, "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    ),
    mirrors=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
)
