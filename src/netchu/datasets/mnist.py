"""MNIST: 70,000 handwritten digits, found wherever they can be had.

    (x_train, y_train), (x_test, y_test) = netchu.datasets.mnist.load_data()

Data: uint8 images of 28 x 28 pixels, 0 background to 255 ink; labels 0 to 9; 60,000 for training, 10,000 for test, by
different writers.  By Yann LeCun, Corinna Cortes and Christopher J. C. Burges, CC BY-SA 3.0
(http://yann.lecun.com/exdb/mnist/, 1998).

Where it is looked for, in this order:

1. the folder named by `data_dir` or the environment variable `NETCHU_DATA_DIR` (a named folder without the files is an
   error, not a reason to look elsewhere);
2. the cache of an earlier download;
3. the mirrors, over https, each file checked by its SHA-256 (with `NETCHU_OFFLINE=1` no network call is made);
4. the sample in the package, 10,000 of the digits, with a warning.

The pixels stay bytes; `netchu.datasets.scale_pixels` makes the floats that networks take.
"""

from __future__ import annotations

import os
import warnings

from netchu.datasets.dataset import Dataset, Split
from netchu.datasets.folders import read_path
from netchu.datasets.mirrors import MNIST, DownloadFailedError, Limits, RemoteDataset
from netchu.datasets.packaged import SAMPLE_NAME, read_sample
from netchu.errors import DataError, DataNotFoundError, UsageError
from netchu.system import environment

SOURCES = ("mnist", "sample", SAMPLE_NAME)
_WAY_OUT = "Name a folder that holds it with --data, data_dir or NETCHU_DATA_DIR"


def load_data(source: str | None = None, *, data_dir: str | os.PathLike[str] | None = None) -> tuple[Split, Split]:
    """Load MNIST, or the sample of it when it cannot be had.

    Args:
        source: None for the order above; `"mnist"` for the real, whole MNIST or an error; `"sample"` for the packaged
            10,000 digits, without a warning.
        data_dir: a folder with the four IDX files (raw or `.gz`) or `mnist.npz`, in itself or in its subfolder `mnist`.

    Returns:
        `(x_train, y_train), (x_test, y_test)`: uint8 `(60000, 28, 28)`, `(60000,)`, `(10000, 28, 28)`, `(10000,)`;
        the sample has 8,004 and 1,996.  Pixels 0 background to 255 ink, labels 0 to 9.  Licence: CC BY-SA 3.0.

    Raises:
        DataNotFoundError: the named folder lacks the files, or `source="mnist"` and MNIST is nowhere to be had.
        DataError: a file in the named folder is damaged, or is not MNIST's though `source="mnist"`.
        UsageError: an unknown source; `NETCHU_OFFLINE` is neither on nor off.

    Example:
        >>> (x_train, y_train), (x_test, y_test) = load_data("sample")
        >>> x_train.shape, y_test.shape
        ((8004, 28, 28), (1996,))

    References:
        Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
        Proceedings of the IEEE 86(11), 1998.  The arguments differ from `keras.datasets.mnist.load_data`, whose `path`
        names a file in Keras's own cache.
    """
    data, notes = find_mnist(source, data_dir)
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=2)
    return data.splits


def find_mnist(
    source: str | None,
    data_dir: str | os.PathLike[str] | None,
    *,
    remote: RemoteDataset = MNIST,
    limits: Limits | None = None,
) -> tuple[Dataset, list[str]]:
    """The data set and what its user should be warned about; `remote` and `limits` are there for tests."""
    if source not in (None, *SOURCES):
        do = "For a folder or file of your own write netchu.datasets.load(path)."
        raise UsageError("mnist", expected="source 'mnist', 'sample' or None", got=f"source={source!r}", do=do)
    if source in ("sample", SAMPLE_NAME):
        if data_dir is not None:
            got = f"source={source!r}, data_dir={os.fspath(data_dir)!r}"
            raise UsageError("mnist", expected="either the sample or a folder", got=got)
        return read_sample(), []
    folder = data_dir if data_dir is not None else environment.text("NETCHU_DATA_DIR")
    if folder is not None:
        return _from_folder(folder, must_be_mnist=source == "mnist"), []
    return _from_cache_or_mirrors(source, remote, limits or Limits())


def _from_folder(folder: str | os.PathLike[str], *, must_be_mnist: bool) -> Dataset:
    data = read_path(folder)
    if must_be_mnist and data.name != MNIST.name:
        got = f"{data.source}, whose SHA-256 are others"
        do = f"Load it as what it is with netchu.datasets.load({os.fspath(folder)!r})."
        raise DataError("mnist", expected="the files of MNIST itself", got=got, do=do)
    return data


def _from_cache_or_mirrors(source: str | None, remote: RemoteDataset, limits: Limits) -> tuple[Dataset, list[str]]:
    from netchu.datasets import cache  # here, because not every source needs it

    offline = environment.switch("NETCHU_OFFLINE")
    try:
        arrays, origin, notes = cache.obtain(remote, limits, offline=offline)
    except DownloadFailedError as error:
        reasons = "; ".join((*error.reasons, "NETCHU_OFFLINE is set") if offline else error.reasons)
        if source == "mnist":
            do = f"{_WAY_OUT}, or take the sample (--data sample, load_data('sample'))."
            raise DataNotFoundError("mnist", expected="MNIST", got=reasons, do=do) from error
        note = (
            "The sample of MNIST in the package stands in for the whole: 8,004 digits for training and 1,996 for test, "
            f"easier than MNIST's own test. {_WAY_OUT}, or ask for the sample by name (--data sample, "
            f"load_data('sample')). MNIST could not be had: {reasons}."
        )
        return read_sample(), [note]
    return Dataset(remote.name, origin, *arrays), notes
