"""Read a data set that lies on the user's disk: a folder of four IDX files, a folder with `mnist.npz`, or an `.npz`.

    read_path("my-digits")            # train-images-idx3-ubyte(.gz), train-labels-..., t10k-images-..., t10k-labels-...
    read_path("my-digits.npz")        # keys x_train, y_train, x_test, y_test

A folder itself is searched first, then its subfolder `mnist`.  Raw files go before `.gz` ones (they read faster), IDX
before `mnist.npz`.  Both halves must be there: netchu does not split a set behind its user's back, because a test set
chosen by a tool is one that nobody knows.

Limits: those of `idx` and `npz` (1 GiB an array); any height and width; labels 0 to 255.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from netchu.datasets.dataset import KEYS, Dataset
from netchu.datasets.idx import read_idx
from netchu.datasets.mirrors import MNIST
from netchu.datasets.packaged import SAMPLE_NAME
from netchu.errors import DataError, DataNotFoundError

IDX_NAMES = tuple(file.name for file in MNIST.files)  # x_train, y_train, x_test, y_test
NPZ_NAME = "mnist.npz"
_MNIST_DIGESTS = tuple(file.sha256 for file in MNIST.files)


def read_path(path: str | os.PathLike[str]) -> Dataset:
    """Read the data set in a folder or an `.npz` file.

    Args:
        path: the folder or file.

    Returns:
        A `Dataset` called `"mnist"` if its bytes are MNIST's, otherwise after the folder or file.

    Raises:
        DataNotFoundError: no such path, or a folder without the files; the message lists what was looked for.
        DataError: a file is damaged, of another kind, or the four do not fit each other.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        do = "Mend what --data, data_dir or NETCHU_DATA_DIR names."
        got = f"path={str(path)!r}"
        raise DataNotFoundError("data", expected="an existing folder or .npz file", got=got, do=do)
    if not path.is_file() or path.suffix.lower() != ".npz":
        do = "For IDX files name the folder that holds all four."
        raise DataError("data", expected="a folder or an .npz file", got=f"path={str(path)!r}", do=do)
    return _dataset(path.stem, f"file {path}", _read_npz(path))


def _read_folder(folder: Path) -> Dataset:
    for place in (folder, folder / "mnist"):
        files = [_raw_or_gz(place, name) for name in IDX_NAMES]
        found = [file for file in files if file is not None]
        if len(found) == len(IDX_NAMES):
            arrays = {key: read_idx(file) for key, file in zip(KEYS, found, strict=True)}
            return _dataset(place.resolve().name, f"folder {place}", arrays)
        if (place / NPZ_NAME).is_file():
            return _dataset(place.resolve().name, f"folder {place}", _read_npz(place / NPZ_NAME))
        if found:
            missing = ", ".join(name for name, file in zip(IDX_NAMES, files, strict=True) if file is None)
            got = f"folder={str(place)!r} without {missing}"
            raise DataNotFoundError("data", expected="all four IDX files, raw or .gz", got=got)
    raise DataNotFoundError(
        "data",
        expected=f"{', '.join(IDX_NAMES)} (raw or .gz), or {NPZ_NAME}, in the folder or in its subfolder mnist",
        got=f"folder={str(folder)!r} with none of them",
        do="Name another folder with --data or NETCHU_DATA_DIR, or neither to let netchu find the data.",
    )


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    from netchu.datasets.npz import read_npz  # here, because zipfile is needed for this alone

    return read_npz(path)


def _raw_or_gz(folder: Path, name: str) -> Path | None:
    for candidate in (folder / name, folder / f"{name}.gz"):
        if candidate.is_file():
            return candidate
    return None


def _dataset(name: str, source: str, arrays: dict[str, NDArray[Any]]) -> Dataset:
    """Call a set "mnist" if, and only if, its bytes are MNIST's: the same file names also serve Fashion-MNIST."""
    data = Dataset(f"{name}-other" if name in (MNIST.name, SAMPLE_NAME) else name, source, **arrays)
    if data.digests != _MNIST_DIGESTS:
        return data
    renamed = replace(data, name=MNIST.name)
    vars(renamed)["digests"] = data.digests  # cached: hashing 55 MB once is enough
    return renamed
