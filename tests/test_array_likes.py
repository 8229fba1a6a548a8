"""Every public function that takes numbers, with every kind of thing that holds numbers, and with what holds none.

What holds numbers gives the very figures of the plain array that NumPy makes of it; what holds none is refused in one
sentence of netchu's that names the argument.  No exception of another library comes through, and no warning.
"""

from __future__ import annotations

import functools
import re
import warnings
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netchu
from netchu import Tensor, Variable, engines, losses, metrics, ops, optimizers, utils
from netchu.array_likes import plain_array
from netchu.datasets import scale_pixels
from netchu.errors import DataError, NetchuError
from netchu.layers import Dense, Input

# --- things that hold numbers ----------------------------------------------------------------------------------------


class WithArray:
    """What NumPy asks for its array, in the form that NumPy 2 wants."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype, copy=copy)


class WithOldArray(WithArray):
    """The form of before NumPy 2."""

    def __array__(self, dtype: Any = None) -> np.ndarray:  # type: ignore[override]
        return np.asarray(self.values, dtype=dtype)


class WithBareArray(WithArray):
    """A form that never was right, and is met all the same."""

    def __array__(self) -> np.ndarray:  # type: ignore[override]
        return self.values


class OtherTensor(WithArray):
    """As a tensor of another library: a dtype, a shape and items of its own."""

    @property
    def dtype(self) -> str:
        return f"other.{self.values.dtype}"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, i: Any) -> Any:
        return OtherTensor(self.values[i])


class Frame(WithArray):
    """As a table of pandas or polars: going through it gives the names of its columns."""

    @property
    def columns(self) -> list[str]:
        return [f"c{i}" for i in range(self.values.shape[-1])]

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Any:
        return iter(self.columns)

    def __getitem__(self, name: str) -> Any:
        return self.values[:, self.columns.index(name)]

    def to_numpy(self) -> np.ndarray:
        return self.values


class OnlyToNumpy:
    """A column that knows `to_numpy` alone."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def to_numpy(self) -> np.ndarray:
        return self.values


class Sub(np.ndarray):
    """An array class of somebody's own."""


def strided(a: np.ndarray) -> np.ndarray:
    room = np.full((2 * a.shape[0], *a.shape[1:]), 77, a.dtype)
    room[::2] = a
    return room[::2]


def read_only(a: np.ndarray) -> np.ndarray:
    a = a.copy()
    a.flags.writeable = False
    return a


def unaligned(a: np.ndarray) -> np.ndarray:
    room = np.zeros(a.nbytes + 1, np.uint8)[1:]
    out = room.view(a.dtype).reshape(a.shape)
    out[...] = a
    return out


def mapped(a: np.ndarray, dtype: Any, folder: Path) -> np.ndarray:
    path = folder / "a.npy"
    np.save(path, a.astype(dtype))
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


def matrix(a: np.ndarray) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy advises against it, and people have it
        return np.matrix(a)


def nested_tuples(a: np.ndarray) -> Any:
    return tuple(map(nested_tuples, a)) if a.ndim > 1 else tuple(a.tolist())


Make = Callable[[np.ndarray, Path], Any]
"""What makes the thing of a plain float32 array of small whole numbers."""

NUMBERS: dict[str, Make] = {
    "array": lambda a, _: a,
    "list": lambda a, _: a.tolist(),
    "list of ints": lambda a, _: a.astype(int).tolist(),
    "tuples": lambda a, _: nested_tuples(a),
    "list of tuples": lambda a, _: list(nested_tuples(a)),
    "list of arrays": lambda a, _: list(a),
    "list of tensors": lambda a, _: [Tensor(row) for row in a],
    "matrix": lambda a, _: matrix(a) if a.ndim == 2 else a,
    "subclass": lambda a, _: a.view(Sub),
    "masked without a mask": lambda a, _: np.ma.masked_array(a),
    "masked nowhere": lambda a, _: np.ma.masked_array(a, mask=np.zeros(a.shape, bool)),
    "fortran": lambda a, _: np.asfortranarray(a),
    "strided": lambda a, _: strided(a),
    "reversed": lambda a, _: a[::-1].copy()[::-1],
    "read-only": lambda a, _: read_only(a),
    "unaligned": lambda a, _: unaligned(a),
    "memory map": lambda a, folder: mapped(a, "<f4", folder),
    "big-endian memory map": lambda a, folder: mapped(a, ">f4", folder),
    "memory map of bytes": lambda a, folder: mapped(a, "u1", folder),
    "object with __array__": lambda a, _: WithArray(a),
    "object with the old __array__": lambda a, _: WithOldArray(a),
    "object with a bare __array__": lambda a, _: WithBareArray(a),
    "other tensor": lambda a, _: OtherTensor(a),
    "frame": lambda a, _: Frame(a),
    "only to_numpy": lambda a, _: OnlyToNumpy(a),
    "frame of doubles": lambda a, _: Frame(a.astype("float64")),
    "memoryview": lambda a, _: memoryview(np.ascontiguousarray(a)),
    "standard array": lambda a, _: array("f", a.tolist()) if a.ndim == 1 else a,
    "tensor": lambda a, _: Tensor(a),
    "variable": lambda a, _: Variable(a),
    "engine's array": lambda a, _: engines.current().asarray(a),
    **{t: lambda a, _, t=t: a.astype(t) for t in ("float16", "float64", "longdouble", "int8", "uint8", "int16")},
    **{t: lambda a, _, t=t: a.astype(t) for t in ("uint16", "int32", "uint32", "int64", "uint64")},
    **{t: lambda a, _, t=t: a.astype(t) for t in (">f2", ">f4", ">f8", ">i2", ">i4", ">i8", ">u4")},
}  # fmt: skip


# --- things that hold none -------------------------------------------------------------------------------------------


class Raising(WithArray):
    """A tensor that will not be an array, as one that is differentiated."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise RuntimeError("Can't call numpy() on a tensor that requires grad.")


class Lying(WithArray):
    """Its array is none."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return "seven"


class Sparse:
    """As a sparse matrix: NumPy knows nothing of it."""

    def __init__(self, values: np.ndarray) -> None:
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, values.ndim

    def __len__(self) -> int:
        raise TypeError("sparse array length is ambiguous; use getnnz()")


def masked(a: np.ndarray) -> Any:
    mask = np.zeros(a.shape, bool)
    mask.flat[0] = True
    return np.ma.masked_array(a, mask=mask)


def mixed(a: np.ndarray) -> Any:
    out = a.astype(object)
    out.flat[0] = None
    return out


NO_NUMBERS: dict[str, Make] = {
    "masked": lambda a, _: masked(a),
    "objects": lambda a, _: a.astype(object),
    "objects and None": lambda a, _: mixed(a),
    "objects in a frame": lambda a, _: Frame(a.astype(object)),
    "texts as objects": lambda a, _: a.astype(str).astype(object),
    "texts": lambda a, _: a.astype(str),
    "texts in a list": lambda a, _: a.astype(str).tolist(),
    "bytes": lambda a, _: a.astype("S3"),
    "dates": lambda a, _: a.astype("datetime64[s]"),
    "times": lambda a, _: a.astype("timedelta64[s]"),
    "complex": lambda a, _: a.astype("complex64"),
    "complex in a list": lambda a, _: a.astype("complex64").tolist(),
    "records": lambda a, _: a.astype([("a", "f4"), ("b", "i4")]),
    "huge ints": lambda a, _: [10**30] * len(a),
    "uneven rows": lambda a, _: [[1.0], [1.0, 2.0]] * (len(a) // 2),
    "None in a list": lambda a, _: [None] * len(a),
    "dictionaries in a list": lambda a, _: [{"a": 1}] * len(a),
    "a text": lambda a, _: "abc",
    "some bytes": lambda a, _: b"abc",
    "a dictionary": lambda a, _: {"x": a},
    "a set": lambda a, _: {1, 2, 3},
    "an object": lambda a, _: object(),
    "a function": lambda a, _: len,
    "a class": lambda a, _: dict,
    "an array that raises": lambda a, _: Raising(a),
    "an array that lies": lambda a, _: Lying(a),
    "sparse": lambda a, _: Sparse(a),
}  # fmt: skip

NO_SAMPLES: dict[str, Make] = {
    "empty": lambda a, _: a[:0],
    "an empty list": lambda a, _: [],
    "a number": lambda a, _: 3.0,
    "a number of NumPy's": lambda a, _: np.float32(3),
    "an array of no axis": lambda a, _: np.array(3.0),
    "an infinite number": lambda a, _: float("inf"),
    "one row too many": lambda a, _: np.concatenate([a, a[:1]]),
}  # fmt: skip


# --- who takes them --------------------------------------------------------------------------------------------------

X = (np.arange(48).reshape(8, 6) * 7 % 5).astype("float32")  # whole and small, so that every type can hold them
Y = (np.arange(24).reshape(8, 3) * 5 % 4).astype("float32")
LABELS = (np.arange(8) % 3).astype("float32")
WEIGHTS = (np.arange(8) % 4 + 1).astype("float32")
P = np.random.default_rng(0).dirichlet(np.ones(3), 8).astype("float32")
KERNEL = (np.arange(18).reshape(6, 3) % 4).astype("float32")


@functools.cache
def model_on(engine: str, loss: str) -> netchu.Sequential:
    """One for each engine and loss, so that nothing is compiled twice."""
    model = netchu.Sequential([Input((6,)), Dense(3, "softmax")])
    weighted = [metrics.MeanSquaredError()] if loss == "mse" else ["accuracy"]
    model.compile(optimizers.SGD(0.01), loss, weighted_metrics=weighted)
    return model


def fresh(loss: str = "mse") -> netchu.Sequential:
    model = model_on(engines.current().name, loss)
    model.set_weights([KERNEL * 0.1, np.zeros(3, "float32")])
    return model


def trained(loss: str = "mse", **data: Any) -> list[Any]:
    model = fresh(loss)
    history = model.fit(**data, epochs=2, batch_size=8, shuffle=False, verbose=0).history
    return [*history.values(), *model.get_weights()]


def after(model: netchu.Sequential, figures: Any) -> list[Any]:
    return [figures, *model.get_weights()]


def updated(metric: metrics.Metric, *given: Any, **more: Any) -> list[Any]:
    metric.update_state(*given, **more)
    return [metric.result()]


def assigned(value: Any) -> list[Any]:
    variable = Variable(np.zeros_like(KERNEL))
    variable.assign(value)
    variable.assign_add(value)
    return [variable]


def weights_set(value: Any) -> list[Any]:
    model = fresh()
    model.set_weights([value, [0.0, 1.0, 2.0]])
    return list(model.get_weights())


@dataclass(frozen=True)
class Use:
    """`call(value)` gives arrays; `plain` is the plain value, and `name` what a message calls it."""

    plain: np.ndarray
    call: Callable[[Any], list[Any]]
    name: str
    samples: bool = True


USES: dict[str, Use] = {
    "fit x": Use(X, lambda v: trained(x=v, y=Y), "x"),
    "fit y": Use(Y, lambda v: trained(x=X, y=v), "y"),
    "fit labels": Use(LABELS, lambda v: trained("sparse_categorical_crossentropy", x=X, y=v), "y"),
    "fit sample_weight": Use(WEIGHTS, lambda v: trained(x=X, y=Y, sample_weight=v), "sample_weight"),
    "fit validation x": Use(X, lambda v: trained(x=X, y=Y, validation_data=(v, Y)), "x"),
    "fit validation y": Use(Y, lambda v: trained(x=X, y=Y, validation_data=(X, v)), "y"),
    "fit validation weight": Use(WEIGHTS, lambda v: trained(x=X, y=Y, validation_data=(X, Y, v)), "sample_weight"),
    "fit validation_split": Use(X, lambda v: trained(x=v, y=Y, validation_split=0.25), "x"),
    "fit class_weight": Use(
        LABELS, lambda v: trained("sparse_categorical_crossentropy", x=X, y=v, class_weight={0: 2, 1: 0.5}), "y"
    ),
    "fit batches x": Use(X, lambda v: trained(x=[(v, Y)]), "x"),
    "fit batches y": Use(Y, lambda v: trained(x=[(X, v)]), "y"),
    "evaluate x": Use(X, lambda v: [fresh().evaluate(v, Y, verbose=0)], "x"),
    "evaluate y": Use(Y, lambda v: [fresh().evaluate(X, v, verbose=0)], "y"),
    "evaluate sample_weight": Use(
        WEIGHTS, lambda v: [fresh().evaluate(X, Y, sample_weight=v, verbose=0)], "sample_weight"
    ),
    "evaluate batches": Use(X, lambda v: [fresh().evaluate([(v, Y)], verbose=0)], "x"),
    "predict batches": Use(X, lambda v: [fresh().predict([(v,)], verbose=0)], "x"),
    "predict": Use(X, lambda v: [fresh().predict(v, batch_size=3, verbose=0)], "x"),
    "predict one": Use(X[:1], lambda v: [fresh().predict(v, verbose=0)], "x"),
    "predict_on_batch": Use(X, lambda v: [fresh().predict_on_batch(v)], "x"),
    "train_on_batch x": Use(X, lambda v: after(m := fresh(), m.train_on_batch(v, Y)), "x"),
    "train_on_batch y": Use(Y, lambda v: after(m := fresh(), m.train_on_batch(X, v)), "y"),
    "train_on_batch weight": Use(WEIGHTS, lambda v: after(m := fresh(), m.train_on_batch(X, Y, v)), "sample_weight"),
    "test_on_batch x": Use(X, lambda v: [fresh().test_on_batch(v, Y)], "x"),
    "test_on_batch y": Use(Y, lambda v: [fresh().test_on_batch(X, v)], "y"),
    "call": Use(X, lambda v: [fresh()(v)], "", samples=False),
    "set_weights": Use(KERNEL, weights_set, "set_weights", samples=False),
    "Tensor": Use(X, lambda v: [Tensor(v)], "Tensor", samples=False),
    "Tensor of a type": Use(X, lambda v: [Tensor(v, dtype="float32")], "Tensor", samples=False),
    "Variable": Use(X, lambda v: [Variable(v)], "Tensor", samples=False),
    "assign": Use(KERNEL, assigned, "Tensor", samples=False),
    "convert_to_tensor": Use(X, lambda v: [ops.convert_to_tensor(v)], "Tensor", samples=False),
    "convert_to_numpy": Use(X, lambda v: [ops.convert_to_numpy(v)], "Tensor", samples=False),
    "an operation": Use(X, lambda v: [ops.maximum(v, v)], "maximum: x1", samples=False),
    "mean": Use(X, lambda v: [ops.mean(v)], "mean: x", samples=False),
    "loss y_true": Use(Y, lambda v: [losses.MeanSquaredError()(v, P)], "Tensor", samples=False),
    "loss y_pred": Use(Y, lambda v: [losses.MeanSquaredError()(P, v)], "Tensor", samples=False),
    "loss labels": Use(LABELS, lambda v: [losses.SparseCategoricalCrossentropy()(v, P)], "", samples=False),
    "loss weight": Use(WEIGHTS, lambda v: [losses.MeanSquaredError()(Y, P, v)], "Tensor", samples=False),
    "metric y_true": Use(Y, lambda v: updated(metrics.MeanSquaredError(), v, P), "Tensor", samples=False),
    "metric labels": Use(LABELS, lambda v: updated(metrics.SparseCategoricalAccuracy(), v, P), "Tensor", samples=False),
    "metric weight": Use(WEIGHTS, lambda v: updated(metrics.MeanSquaredError(), Y, P, v), "Tensor", samples=False),
    "mean metric": Use(X, lambda v: updated(metrics.Mean(), v), "Tensor", samples=False),
    "to_categorical": Use(LABELS, lambda v: [utils.to_categorical(v)], "to_categorical", samples=False),
}

WHOLE_OR_HALF = {kind for kind in NUMBERS if "int" in kind or kind[-2:] in ("i2", "i4", "i8", "u4", "f2")}
EXCEPT = {("loss y_pred", kind) for kind in {*WHOLE_OR_HALF, "float16", "memory map of bytes"}}
"""Predictions in whole or half numbers, of which there is no plain figure."""


def values_of(results: list[Any]) -> list[np.ndarray]:
    return [np.asarray(r.numpy() if isinstance(r, Tensor) else r, dtype="float64") for r in results]


@pytest.mark.parametrize("use", USES)
def test_what_holds_numbers_gives_the_figures_of_the_plain_array(use: str, engine: str, tmp_path: Path) -> None:
    wanted = USES[use]
    expected = values_of(wanted.call(wanted.plain))
    wrong: dict[str, Any] = {}
    for kind in (kind for kind in NUMBERS if (use, kind) not in EXCEPT):
        try:
            found = values_of(wanted.call(NUMBERS[kind](wanted.plain, tmp_path)))
        except Exception as error:  # all of them are told at the end
            wrong[kind] = error
            continue
        fits = all(np.allclose(a, b, rtol=2e-6, atol=1e-7) for a, b in zip(found, expected, strict=True))
        if not fits:
            wrong[kind] = found
    assert not wrong


def complaint(call: Callable[[Any], Any], value: Any, name: str) -> str:
    """What is wrong with how the value is refused; nothing if it is one sentence of netchu's with the name in it."""
    try:
        return f"taken: {call(value)!r:.80}"
    except NetchuError as error:
        message = str(error)
        good = "expected " in message and "Got: " in message and "\n" not in message and len(message) < 600
        return "" if good and re.search(rf"\b{name}\b", message) else f"said: {message}"
    except Exception as error:  # no other exception may come through
        return f"raw: {error!r:.200}"


@pytest.mark.parametrize("use", USES)
def test_what_holds_no_numbers_is_refused_by_name(use: str, engine: str, tmp_path: Path) -> None:
    wanted = USES[use]
    things = {kind: make(wanted.plain, tmp_path) for kind, make in NO_NUMBERS.items()}
    said = {kind: complaint(wanted.call, thing, wanted.name) for kind, thing in things.items()}
    assert not {kind: words for kind, words in said.items() if words}


@pytest.mark.parametrize("use", [name for name, use in USES.items() if use.samples])
def test_what_is_no_row_of_samples_is_refused(use: str, engine: str, tmp_path: Path) -> None:
    wanted = USES[use]
    kinds = {kind: make for kind, make in NO_SAMPLES.items() if not ("predict" in use and kind == "one row too many")}
    said = {kind: complaint(wanted.call, make(wanted.plain, tmp_path), "") for kind, make in kinds.items()}
    assert not {kind: words for kind, words in said.items() if words}


@pytest.mark.parametrize("kind", NUMBERS | NO_NUMBERS | NO_SAMPLES)
def test_pixels_are_bytes_whatever_holds_them(kind: str, tmp_path: Path) -> None:
    images = X.reshape(8, 2, 3).astype("uint8")
    said = complaint(scale_pixels, (NUMBERS | NO_NUMBERS | NO_SAMPLES)[kind](images, tmp_path), "scale_pixels")
    assert not said or said.startswith("taken: array(")


def test_images_in_another_array_are_scaled_alike() -> None:
    images = X.reshape(8, 2, 3).astype("uint8")
    for given in (WithArray(images), OnlyToNumpy(images), read_only(images), strided(images), np.ma.array(images)):
        np.testing.assert_array_equal(scale_pixels(given), X / np.float32(255))


# --- the place where they come in ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_plain_array_is_plain(kind: str, tmp_path: Path) -> None:
    made = plain_array("x", NUMBERS[kind](X, tmp_path))
    assert type(made) in (np.ndarray, np.memmap)
    assert made.dtype.kind in "biuf"
    assert made.dtype.isnative or isinstance(made, np.memmap)
    np.testing.assert_array_equal(made, X)


def test_a_plain_array_and_a_memory_map_are_not_copied(tmp_path: Path) -> None:
    for a in (X, X.astype("int64"), mapped(X, ">f8", tmp_path)):
        assert plain_array("x", a) is a


def test_what_an_object_raises_is_told(engine: str) -> None:
    with pytest.raises(DataError, match=r"x: expected numbers\. Got: a Raising that gives no array: Can't call numpy"):
        fresh().predict(Raising(X), verbose=0)


def test_a_tensor_never_shares_the_memory_that_it_was_given(engine: str) -> None:
    for kind in ("array", "object with the old __array__", "object with a bare __array__", "only to_numpy"):
        a = X.copy()
        tensor, variable = Tensor(NUMBERS[kind](a, Path())), Variable(NUMBERS[kind](a, Path()))
        a[:] = 99
        np.testing.assert_array_equal(tensor.numpy(), X)
        np.testing.assert_array_equal(variable.numpy(), X)


def test_a_range_is_a_row_of_numbers(engine: str) -> None:
    assert Tensor(range(5)).numpy().tolist() == [0, 1, 2, 3, 4]
    assert utils.to_categorical(range(2)).tolist() == [[1, 0], [0, 1]]
    model = netchu.Sequential([Input((1,)), Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(NetchuError, match="incompatible"):
        model.predict(range(5), verbose=0)
    assert model.evaluate(X[:, :1], range(8), verbose=0) == model.evaluate(X[:, :1], np.arange(8), verbose=0)


# --- whole numbers that an engine has no bits for --------------------------------------------------------------------

LARGE = [2**31 - 1, -(2**31), 2**31, -(2**31) - 1, 3_000_000_000, 2**53, -(2**62)]


@pytest.mark.parametrize("number", LARGE)
@pytest.mark.parametrize("as_list", [True, False])
def test_large_whole_numbers_are_right_or_refused(number: int, as_list: bool, engine: str) -> None:
    """Never another number: 3,000,000,000 in 32 bits is -1,294,967,296."""
    fits = engine != "jax" or -(2**31) <= number < 2**31
    x: Any = [[number, 1, 1, 1, 1, 1]] if as_list else np.array([[number, 1, 1, 1, 1, 1]])
    y: Any = [[number, 1, 1]] if as_list else np.array([[number, 1, 1]])
    model = fresh()
    kernel = np.zeros((6, 3), "float32")
    kernel[0] = 1.0
    calls: dict[str, Callable[[], Any]] = {
        "Tensor": lambda: Tensor(x).numpy()[0, 0],
        "Variable": lambda: Variable(y).numpy()[0, 0],
        "operation": lambda: ops.maximum(x, x).numpy()[0, 0],
        "predict": lambda: model.predict(x, verbose=0).sum(),
        "evaluate": lambda: model.evaluate(X[:1], y, verbose=0)[0] ** 0.5 * 3**0.5,
        "train_on_batch": lambda: model.train_on_batch(X[:1], y)[0] ** 0.5 * 3**0.5,
    }
    for name, call in calls.items():
        if not fits:
            with pytest.raises(DataError, match=r"whole numbers from -2147483648 to 2147483647, .* Got: -?\d+"):
                call()
        elif name == "predict":
            assert call() == pytest.approx(1.0)  # a softmax
        else:
            assert abs(float(call())) == pytest.approx(abs(number), rel=1e-5)


def test_a_large_label_is_refused_by_name_before_the_first_step() -> None:
    pytest.importorskip("jax")
    engines.set_engine("jax")
    for data in ({"x": np.full((8, 6), 2**40), "y": Y}, {"x": X, "y": np.full((8, 3), 2**40)}):
        name = "x" if data["y"] is Y else "y"
        with pytest.raises(DataError, match=rf"^{name}: expected whole numbers .* which the engine has 32 bits for"):
            fresh().fit(**data, verbose=0)


@pytest.mark.parametrize("weights", [None, 3, "ab", [KERNEL], [KERNEL, "b"], [None, None], {"a": 1}], ids=repr)
def test_what_is_no_list_of_weights_is_refused_and_changes_nothing(weights: Any) -> None:
    model = fresh()
    before = model.get_weights()
    with pytest.raises(NetchuError, match=r"set_weights of 'sequential.*expected .* Got: "):
        model.set_weights(weights)
    for a, b in zip(model.get_weights(), before):
        np.testing.assert_array_equal(a, b)
