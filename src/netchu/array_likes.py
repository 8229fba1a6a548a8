"""The one place where arrays come in: whatever holds numbers becomes a plain NumPy array, or one sentence says why not.

    plain_array("x", [[1, 2], [3, 4]])            # lists, tuples, ranges, numbers
    plain_array("x", numpy.matrix("1 2; 3 4"))    # NumPy's own kinds, in this machine's byte order
    plain_array("x", frame)                       # what has `__array__` or `to_numpy`: data frames, others' tensors

Numbers are truth values, whole numbers and floats.  Texts, dates, complex numbers, records and objects are none.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from netchu.errors import DataError, NetchuError, UsageError

KINDS = "biuf"  # NumPy's letters for truth values, whole numbers with and without sign, floats


def plain_array(name: str, value: object) -> np.ndarray:
    """`value` as a plain array of numbers; one that is plain already is given back itself, and so is a memory map.

    Args:
        name: what a message calls the value: the argument, or the function that was called.
        value: see the module's text.

    Raises:
        DataError: no numbers, rows of different lengths, masked values, or an object that fails to give its array.
    """
    if type(value) is np.ndarray and value.dtype.kind in KINDS and value.dtype.isnative and value.dtype.itemsize <= 8:
        return value
    array = _array_of(name, value)
    if array.dtype.kind not in KINDS:
        convert = 'If all of it are numbers: numpy.asarray(..., dtype="float32").' if array.dtype == object else ""
        raise DataError(name, expected="numbers", got=f"dtype={array.dtype} from {type(value).__name__}", do=convert)
    if isinstance(array, np.memmap):
        return array  # batches are read as they are needed
    if array.dtype.itemsize > 8:  # NumPy's longest floats, which no engine has
        return np.asarray(array, dtype=np.float64)
    return np.asarray(array, dtype=array.dtype.newbyteorder("="))


def plain_arrays(name: str, values: object) -> list[np.ndarray]:
    """Each of several values as a plain array; see `plain_array`.

    Raises:
        DataError: also where `values` cannot be gone through.
    """
    if not isinstance(values, Iterable):
        raise DataError(name, expected="a list of arrays", got=f"{values!r:.60}")
    return [plain_array(f"{name}, [{i}]", value) for i, value in enumerate(values)]


def _array_of(name: str, value: object) -> np.ndarray:
    """Whatever NumPy makes of `value`; DataError if it makes nothing."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        fill = "Take those samples out, or fill them: .filled(0)."
        raise DataError(
            name, expected="no masked values", got=f"{np.ma.getmaskarray(value).sum()} of {value.size}", do=fill
        )
    try:
        if not hasattr(value, "__array__") and hasattr(value, "to_numpy"):
            value = value.to_numpy()
        return np.asanyarray(value)
    except NetchuError:  # of a Tensor that has no values yet
        raise
    except Exception as error:  # whatever a stranger's object raises
        if isinstance(error, ValueError) and isinstance(value, (list, tuple)):
            kind = type(value).__name__
            raise DataError(name, expected="rows of one length", got=f"a {kind} of uneven rows") from None
        got = f"a {type(value).__name__} that gives no array: {str(error).rstrip('.')!s:.200}"
        raise DataError(name, expected="numbers", got=got) from error


def check_element_type(where: str, dtype: object) -> None:
    """Raise UsageError unless `dtype` names an element type of numbers, as NumPy spells it or as one of its classes."""
    try:
        found = np.dtype(dtype)  # type: ignore[call-overload]
    except (TypeError, ValueError, SyntaxError):
        found = np.dtype(object)
    if found.kind not in KINDS and found.name != "bfloat16":
        expected = "dtype as the name of an element type, such as 'float32'"
        raise UsageError(where, expected=expected, got=f"dtype={dtype!r:.60}")


def check_whole_numbers(name: str, array: np.ndarray, size: int) -> None:
    """Raise DataError for a whole number that `size` bytes cannot hold, where an engine would silently take another.

    Args:
        name: what a message calls the array.
        array: of any type; only whole numbers of more bytes are looked at.
        size: bytes that the engine has for a whole number.
    """
    if array.dtype.kind not in "iu" or array.dtype.itemsize <= size or array.size == 0:
        return
    limits = np.iinfo(np.dtype(f"{array.dtype.kind}{size}"))
    lowest, highest = int(array.min()), int(array.max())
    if lowest < limits.min or highest > limits.max:
        raise DataError(
            name,
            expected=f"whole numbers from {limits.min} to {limits.max}, which the engine has {8 * size} bits for",
            got=f"{lowest if lowest < limits.min else highest}",
            do='Write .astype("float32"), or use the engine "numpy".',
        )
