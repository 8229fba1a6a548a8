"""Every public operation at special values, on every engine, beside real Keras on TensorFlow.

The calls stand in `special_values.py`.  Where netchu and the judge differ, the difference is listed here with its
reason; one that is not listed fails, and so does a listed one that no longer occurs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from conftest import chosen
from helpers import SMALLEST_NORMAL
from netchu import activations, engines, ops
from netchu.errors import NetchuError, UsageError
from netchu.tape import GradientTape
from netchu.tensor import Tensor, wrap
from special_values import (
    ARITHMETIC,
    CALLS,
    FLAT,
    GRADIENT_ATOL,
    MISTAKES,
    SMOOTH,
    Call,
    Outcome,
    differences,
    narrowed,
    outcome,
)  # fmt: skip

OPERATIONS = list(dict.fromkeys(one.operation for one in CALLS))
ENGINES = ["numpy", "jax", pytest.param("tensorflow", marks=pytest.mark.tensorflow)]

# --- what stays different --------------------------------------------------------------------------------------------

ALL, NOT_TF = ["numpy", "jax", "tensorflow"], ["numpy", "jax"]
FRACTIONS = ["every float16", "every float32", "every float64"]
LISTED: list[tuple[str, list[str], str, list[str]]] = [
    (
        "JAX as it is set has no 64 bits: an error, where other engines hold the number",
        ["jax"], "value", ["convert_to_tensor(2**31)", "convert_to_numpy(2**31)"],
    ),
    (
        "netchu and NumPy name the place of the NaN, TensorFlow passes over it",
        NOT_TF, "value", ["argmax(rows)", *(f"{name}({x})" for name in ("argmax", "argmin") for x in FRACTIONS)],
    ),
    (
        "to netchu 0 and -0 are equal, so the first of them counts; Keras takes the sign",
        ALL, "value", ["argmin(rows)"],
    ),
    (
        "JAX sorts -0 below 0",
        ["jax"], "value", ["top_k(ties)", "top_k(every float64)"],
    ),
    (
        "TensorFlow's softmax of a row with an infinity has zeros beside NaN; by the formula the whole row is NaN",
        ALL, "value", ["softmax(rows)", "softmax(every float32)"],
    ),
    (
        "the same, in 32 bits",
        ["jax"], "value", ["softmax(every float64)"],
    ),
    (
        "the sparsemax of Keras 3.15 is wrong: its rows do not sum to 1 (test_judge_ops.py)",
        ALL, "value", ["sparsemax(rows)", *(f"sparsemax(large {x})" for x in ("float16", "float32", "float64"))],
    ),
    (
        "the same",
        ["numpy", "tensorflow"], "value", [f"sparsemax({x})" for x in FRACTIONS],
    ),
    (
        "the same",
        ALL, "gradient", ["sparsemax(rows)"],
    ),
    (
        "TensorFlow's erf of float64 infinity is NaN; it is 1",
        ["numpy"], "value", ["erf(every float64)"],
    ),
    (
        "Keras rounds the constants of these to float32, also for float64",
        ["numpy", "tensorflow"], "value", ["leaky_relu(every float64)", "gelu(every float64)"],
    ),
    (
        "at NaN netchu's slope is NaN, Keras's a number; for celu Keras adds up both slopes at 0; TensorFlow takes "
        "what is nearly a denormal for 0",
        ALL, "gradient", ["elu(every float32)", "selu(every float32)", "celu(every float32)"],
    ),
    (
        "at NaN netchu's slope is 0, as outside the bounds; Keras's is that between them",
        ALL, "gradient", ["sparse_sigmoid(every float32)"],
    ),
    (
        "NumPy computes x ** 0.5 as sqrt(x), which is NaN at -infinity; a power would be infinity",
        ["numpy"], "value", ["power(** 0.5)"],
    ),
    (
        "XLA divides by multiplying with 1 / x, which it takes for 0 where x is the largest number",
        ["jax"], "value", ["divide(every two of float32)", "true_divide(every two of float32)"],
    ),
    (
        "TensorFlow has no powers of bytes",
        ["tensorflow"], "value",
        [*(f"power({x}, uint8)" for x in ("bool", "uint8", "True", "2")),
         *(f"power(uint8, {x})" for x in ("bool", "True", "2"))],
    ),
    (
        "a window with NaN gives NaN, TensorFlow passes over it (ops.max_pool)",
        ALL, "value", ["max_pool(NaN)"],
    ),
    (
        "for no images Keras forgets that valid windows make the output smaller",
        ALL, "value", ["conv(valid, no images)", "depthwise_conv(valid, no images)"],
    ),
]  # fmt: skip
"""Each difference: its reason, the engines, "value" or "gradient", and the calls."""


def listed(engine: str, operation: str) -> set[tuple[str, str]]:
    """(aspect, label) of the differences that are known for an operation."""
    return {
        (aspect, label)
        for _, on, aspect, labels in LISTED
        for label in labels
        if engine in on and label.partition("(")[0] == operation
    }


# --- the judge -------------------------------------------------------------------------------------------------------


class KerasOps:
    """Keras's operations under netchu's names: what netchu has among them and Keras has elsewhere is found, too."""

    def __init__(self, keras: ModuleType) -> None:
        self.keras = keras

    def __getattr__(self, name: str) -> Any:
        found = self.keras.ops
        for part in name.split("."):
            found = getattr(found, part, None) or getattr(self.keras.activations, part)
        return found


Judged = dict[tuple[str, bool], tuple[Outcome, Outcome | None]]


@pytest.fixture(scope="module")
def judged(keras: ModuleType) -> Judged:
    """What Keras gives for every call, and the gradients; by the label, and whether in 32 bits."""
    import tensorflow as tf

    theirs, answers = KerasOps(keras), {}

    def value(one: Call, inputs: list[Any]) -> Outcome:
        return outcome(lambda: one.function(theirs, *inputs))

    def gradient(one: Call, inputs: list[Any]) -> Any:
        with tf.GradientTape() as tape:
            for x in inputs:
                tape.watch(x)
            y = one.function(theirs, *inputs)
        return [None if g is None else tf.convert_to_tensor(g) for g in tape.gradient(y, inputs)]

    for one in CALLS:
        for narrow in (False, True):
            inputs = [tf.constant(narrowed(x) if narrow else x) for x in one.inputs]
            slope = outcome(lambda one=one, inputs=inputs: gradient(one, inputs)) if one.gradient else None
            found = value(one, inputs)
            if narrow and not isinstance(found, Exception):
                found = [narrowed(array) for array in found]
            answers[one.label, narrow] = found, slope
    return answers


# --- netchu ----------------------------------------------------------------------------------------------------------


def arrays_of(result: Any) -> list[Any]:
    """The arrays of what an operation returns; numbers and truth values as they are."""
    several = result if isinstance(result, (list, tuple)) else [result]
    return [one.array if isinstance(one, Tensor) else one for one in several]


def value_of(one: Call, inputs: list[Any]) -> list[Any]:
    return arrays_of(one.function(ops, *map(wrap, inputs)))


def gradient_of(one: Call, inputs: list[Any]) -> list[Any]:
    tensors = list(map(wrap, inputs))
    with GradientTape() as tape:
        for tensor in tensors:
            tape.watch(tensor)
        y = one.function(ops, *tensors)
    return [None if g is None else g.array for g in tape.gradient(y, tensors)]


def one_by_one(jobs: list[tuple[Callable[..., Any], Call]], narrow: bool) -> list[Outcome]:
    """What each job gives, computed line by line; with `narrow` from 32 bits, and in 32 bits."""
    asarray = engines.current().asarray
    kept: Callable[[Any], Any] = narrowed if narrow else np.asarray
    found = [outcome(lambda f=f, one=one: f(one, [asarray(kept(x)) for x in one.inputs])) for f, one in jobs]
    return [f if isinstance(f, Exception) else [a if a is None else kept(a) for a in f] for f in found]


def compiled(jobs: list[tuple[Callable[..., Any], Call]]) -> list[Outcome]:
    """What each job gives, all of them compiled as one step: XLA takes longer for many small ones."""
    forms: list[Any] = []

    def step(*arguments: Any) -> list[Any]:
        results = []
        for (function, one), inputs in zip(jobs, arguments):
            try:
                with np.errstate(all="ignore"):
                    found = function(one, list(inputs))
            except Exception as error:
                forms.append(error)
                continue
            forms.append([None if one is None else ... for one in found])
            results += [one for one in found if one is not None]
        return results

    asarray = engines.current().asarray
    arrays = iter(engines.current().trace(step, {})(*[[asarray(narrowed(x)) for x in one.inputs] for _, one in jobs]))
    return [
        form if isinstance(form, Exception) else [None if part is None else np.asarray(next(arrays)) for part in form]
        for form in forms
    ]


BY_VALUE = {"convert_to_numpy"}
"""Operations that need the numbers, which a traced tensor does not have."""


def found_differences(engine: str, operation: str, judged: Judged) -> dict[tuple[str, str], str]:
    """By aspect and label: how an operation differs from Keras's on an engine."""
    calls = [one for one in CALLS if one.operation == operation]
    jobs = [(value_of, one) for one in calls] + [(gradient_of, one) for one in calls if one.gradient]
    narrow = engine == "jax"
    engines.set_engine("numpy")
    on_numpy = one_by_one(jobs, narrow)
    chosen(engine)
    mine = compiled(jobs) if narrow and operation not in BY_VALUE else one_by_one(jobs, narrow)
    found = {}
    for (function, one), actual, numpys in zip(jobs, mine, on_numpy):
        value, gradient = judged[one.label, narrow]
        if isinstance(actual, NetchuError) and isinstance(value, Exception):
            continue  # both refuse, and netchu says what it expected
        if function is value_of:
            text = differences(actual, numpys if isinstance(value, Exception) else value, atol=ATOL.get(operation, 0.0))
            if isinstance(actual, Exception) and not isinstance(actual, NetchuError):
                text = f"raises {type(actual).__name__}: {actual!s:.100}"
            found["value", one.label] = text
        elif not isinstance(gradient, Exception):
            found["gradient", one.label] = differences(actual, where_defined(gradient, actual), atol=GRADIENT_ATOL)
    return {key: text for key, text in found.items() if text}


def where_defined(gradient: Any, actual: Outcome) -> Outcome:
    """The judge's gradient, but netchu's own where the judge's is NaN: there every answer will do."""
    if isinstance(actual, Exception) or len(actual) != len(gradient):
        return gradient  # type: ignore[no-any-return]
    return [
        g if g is None or a is None or g.shape != a.shape else np.where(np.isnan(g), a, g).astype(g.dtype)
        for g, a in zip(gradient, actual)
    ]


ATOL = {"gelu": 2e-7}
"""Far below 0 it is x times a difference of two numbers near 1."""


@pytest.mark.judge
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("engine_name", ENGINES)
def test_special_values_are_kerass(judged: Judged, engine_name: str, operation: str) -> None:
    found = found_differences(engine_name, operation, judged)
    known = listed(engine_name, operation)
    new = {key: text for key, text in found.items() if key not in known}
    assert not new, "\n".join(f"{label}, {aspect}: {text}" for (aspect, label), text in new.items())
    gone = sorted(known - found.keys())
    assert not gone, f"listed as different, and equal by now: {gone}"


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine_name", ENGINES)
def test_mistakes_are_refused_in_a_sentence(engine_name: str) -> None:
    chosen(engine_name)
    for one in MISTAKES:
        said = outcome(lambda one=one: one.function(ops, *map(Tensor, one.inputs)))
        assert isinstance(said, UsageError), f"{one.label}: {said!r}"
        assert re.search("expected .* Got: ", str(said)), f"{one.label}: {said}"


# --- denormals -------------------------------------------------------------------------------------------------------

DENORMALS = np.array([1, 4, 1000], "int32").view("float32") * np.float32([[1], [-1]])


def denormals_as(dtype: str, zero: bool) -> np.ndarray:
    return np.copysign(0, DENORMALS).astype(dtype) if zero else DENORMALS.astype(dtype)


@pytest.mark.parametrize("engine_name", ENGINES)
@pytest.mark.parametrize("operation", [*SMOOTH, *FLAT, "add", "subtract", "multiply", "maximum", "minimum"])
def test_a_denormal_counts_as_itself_or_as_zero(engine_name: str, operation: str) -> None:
    """Libraries may take numbers below 1.2e-38 for 0; they must not make anything else of them."""
    two = [1.5] if operation in ARITHMETIC else []

    def value(dtype: str, zero: bool) -> np.ndarray:
        with np.errstate(all="ignore"):
            y: np.ndarray = getattr(ops, operation)(denormals_as(dtype, zero), *two).numpy()
            return y.astype("float32")

    allowed = [value("float64", False), value("float64", True)]
    chosen(engine_name)
    actual = value("float32", False)
    if operation == "log":
        actual = np.where(actual < np.log(SMALLEST_NORMAL), -np.inf, actual)  # TensorFlow's is -103.97 for all of them
    right = [np.isclose(actual, y, rtol=2e-6, atol=1e-37, equal_nan=True) for y in allowed]
    assert np.logical_or(*right).all(), (actual, *allowed)


def test_every_public_operation_is_called() -> None:
    public = {name for name in ops.__all__ if name != "image"}
    public |= {f"image.{name}" for name in ("affine_transform",)}
    public |= {name for name in activations.__all__ if name not in ("exponential", "get", "linear")}
    missing = sorted(public - set(OPERATIONS))
    assert not missing, f"give these a call in special_values.py: {missing}"


def test_labels_are_unique_and_listed_ones_exist() -> None:
    labels = [one.label for one in CALLS]
    assert len(labels) == len(set(labels))
    unknown = {label for _, _, _, calls in LISTED for label in calls} - set(labels)
    assert not unknown
