"""The operations' values: against NumPy's own formulas, on an engine that is strict, and engine against engine.

The table of cases stands in `op_cases.py`; derivatives are proved in `test_gradient_check.py`.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import ENGINE_RTOL, SOURCE, StrictEngine, assert_close, host
from netchu import engines, ops, random, tensor
from netchu.engines.contract import DTYPES, FUNCTIONS
from netchu.errors import EngineError, ShapeError, UsageError
from netchu.layers import Dense, Dropout, Flatten, Input, Rescaling, Reshape
from netchu.models import Sequential
from netchu.tape import GradientTape
from netchu.tensor import Tensor, wrap
from op_cases import CASES, NETCHU_OPERATIONS, Case

LABELS = [case.label for case in CASES]


def value_and_gradients(case: Case, arrays: list[Any]) -> list[Any]:
    """The Tensors of the output, and of the gradient for each floating-point input, weighted so that none is equal."""
    tensors = [Tensor(array) for array in arrays]
    with GradientTape() as recorder:
        for tensor in tensors:
            recorder.watch(tensor)
        y = case.function(*tensors)
        if not case.differentiable:
            return [y]
        weights = np.linspace(0.5, 1.5, math.prod(y.shape)).reshape(y.shape).astype(y.dtype)
        total = ops.sum(y * weights)
    return [y, *recorder.gradient(total, tensors)]


def on_numpy(case: Case, dtype: str) -> list[np.ndarray]:
    engines.set_engine("numpy")
    return [host(t) for t in value_and_gradients(case, case.arrays(dtype))]


# --- against NumPy's own formulas ------------------------------------------------------------------------------------

X = np.linspace(-2.0, 2.0, 12).reshape(3, 4)
P = np.abs(X) + 0.5
FORMULAS: list[tuple[Any, Any]] = [
    (ops.add(X, P), X + P),
    (ops.subtract(X, P), X - P),
    (ops.multiply(X, P), X * P),
    (ops.divide(X, P), X / P),
    (ops.true_divide(X, 2), X / 2),
    (ops.power(P, X), P**X),
    (ops.maximum(X, 0.1), np.maximum(X, 0.1)),
    (ops.minimum(X, P), np.minimum(X, P)),
    (ops.negative(X), -X),
    (ops.absolute(X), np.abs(X)),
    (ops.abs(X), np.abs(X)),
    (ops.square(X), X**2),
    (ops.sqrt(P), np.sqrt(P)),
    (ops.rsqrt(P), 1 / np.sqrt(P)),
    (ops.reciprocal(P), 1 / P),
    (ops.exp(X), np.exp(X)),
    (ops.expm1(X), np.expm1(X)),
    (ops.log(P), np.log(P)),
    (ops.log1p(P), np.log1p(P)),
    (ops.sin(X), np.sin(X)),
    (ops.cos(X), np.cos(X)),
    (ops.tanh(X), np.tanh(X)),
    (ops.erf(X), np.vectorize(math.erf)(X)),
    (ops.clip(X, -1, 1), np.clip(X, -1, 1)),
    (ops.where(X > 0, X, P), np.where(X > 0, X, P)),
    (ops.cast(X, "int32"), X.astype("int32")),
    (ops.sign(X), np.sign(X)),
    (ops.floor(X), np.floor(X)),
    (ops.round(np.array([0.5, 1.5, -0.5, 2.4])), np.array([0.0, 2.0, -0.0, 2.0])),
    (ops.equal(X, X), X == X),
    (ops.not_equal(X, P), X != P),
    (ops.less(X, 0.2), X < 0.2),
    (ops.less_equal(X, X), X <= X),
    (ops.greater(X, P), X > P),
    (ops.greater_equal(X, P), X >= P),
    (ops.logical_and(X > 0, P > 1), (X > 0) & (P > 1)),
    (ops.logical_or(X > 0, P > 1), (X > 0) | (P > 1)),
    (ops.logical_not(X > 0), X <= 0),
    (ops.isnan(np.array([1.0, np.nan])), np.array([False, True])),
    (ops.isfinite(np.array([1.0, np.inf])), np.array([True, False])),
    (ops.sum(X, axis=1), X.sum(axis=1)),
    (ops.mean(X, axis=0, keepdims=True), X.mean(axis=0, keepdims=True)),
    (ops.prod(P, axis=1), P.prod(axis=1)),
    (ops.max(X, axis=0), X.max(axis=0)),
    (ops.min(X), np.asarray(X.min())),
    (ops.var(X, axis=1), X.var(axis=1)),
    (ops.std(X, axis=(0, 1)), np.asarray(X.std())),
    (ops.logsumexp(X, axis=-1), np.log(np.exp(X).sum(axis=-1))),
    (ops.argmax(X, axis=1), X.argmax(axis=1).astype("int32")),
    (ops.argmin(X), np.asarray(X.argmin(), "int32")),
    (ops.any(X > 1.9, axis=1), (X > 1.9).any(axis=1)),
    (ops.all(X > -1, axis=1), (X > -1).all(axis=1)),
    (ops.matmul(X, P.T), X @ P.T),
    (ops.reshape(X, (2, -1)), X.reshape(2, -1)),
    (ops.ravel(X), X.ravel()),
    (ops.transpose(X), X.T),
    (ops.swapaxes(X, 0, 1), X.swapaxes(0, 1)),
    (ops.expand_dims(X, 1), X[:, None]),
    (ops.squeeze(X[:, None]), X),
    (ops.broadcast_to(X[0], (3, 4)), np.broadcast_to(X[0], (3, 4))),
    (ops.concatenate([X, P], axis=1), np.concatenate([X, P], axis=1)),
    (ops.stack([X, P], axis=-1), np.stack([X, P], axis=-1)),
    (ops.get_item(X, (slice(1, None), 2)), X[1:, 2]),
    (ops.take(X, np.array([3, 0]), axis=1), X[:, [3, 0]]),
    (ops.take(X, np.array([3, 0])), X.ravel()[[3, 0]]),
    (ops.one_hot(np.array([2, 0]), 3), np.eye(3, dtype="float32")[[2, 0]]),
    (ops.zeros_like(X), np.zeros_like(X)),
    (ops.ones_like(X), np.ones_like(X)),
    (ops.zeros((2, 3)), np.zeros((2, 3), "float32")),
    (ops.ones((2,), dtype="int32"), np.ones(2, "int32")),
    (ops.full((2,), 7.0), np.full(2, 7.0, "float32")),
    (ops.arange(5), np.arange(5, dtype="int32")),
    (ops.arange(2, 9, 3), np.arange(2, 9, 3, dtype="int32")),
    (ops.arange(2, 5, None), np.arange(2, 5, dtype="int32")),
    (ops.arange(Tensor(3)), np.arange(3, dtype="int32")),
    (ops.zeros(2), np.zeros(2, "float32")),
    (ops.full((2, 2), [1.0, 2.0]), np.full((2, 2), [1, 2], "float32")),
]


@pytest.mark.parametrize("index", range(len(FORMULAS)))
def test_values_are_numpys(index: int) -> None:
    actual, expected = FORMULAS[index]
    assert actual.numpy().dtype == expected.dtype
    assert_close(actual.numpy(), expected, rtol=1e-15)  # float64: one rounding more or less


@pytest.mark.parametrize("op", ["exp", "mean", "sigmoid", "softmax", "log1p", "divide"])
def test_whole_numbers_become_float32(op: str) -> None:
    arguments = (np.arange(1, 5), 2) if op == "divide" else (np.arange(1, 5),)
    assert getattr(ops, op)(*arguments).dtype == "float32"


def test_max_shares_its_gradient_among_equals() -> None:
    x = Tensor([1.0, 3.0, 3.0, 2.0])
    with GradientTape() as recorder:
        recorder.watch(x)
        y = ops.max(x)
    assert recorder.gradient(y, x).numpy().tolist() == [0.0, 0.5, 0.5, 0.0]


def test_argmax_names_the_first_of_equals() -> None:
    assert int(ops.argmax(np.array([1.0, 3.0, 3.0]))) == 1


def test_maximum_gives_ties_to_the_first_argument() -> None:
    a, b = Tensor([1.0]), Tensor([1.0])
    with GradientTape() as recorder:
        recorder.watch(a)
        recorder.watch(b)
        y = ops.maximum(a, b)
    assert [g.numpy().tolist() for g in recorder.gradient(y, [a, b])] == [[1.0], [0.0]]


def test_top_k_puts_equals_in_order_of_their_index(engine: str) -> None:
    values, indices = ops.top_k(np.array([[1.0, 5.0, 5.0, 3.0]], dtype="float32"), 3)
    assert values.numpy().tolist() == [[5.0, 5.0, 3.0]]
    assert indices.numpy().tolist() == [[1, 2, 3]]


def test_top_k_refuses_more_than_there_are() -> None:
    with pytest.raises(UsageError, match="k as a whole number from 1 to 4"):
        ops.top_k(np.ones((2, 4)), 5)


def test_matmul_refuses_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"matmul.*\(2, 3\), \(2, 3\)"):
        ops.matmul(np.ones((2, 3)), np.ones((2, 3)))


def test_matmul_refuses_a_vector_and_says_what_to_do() -> None:
    with pytest.raises(ShapeError, match="reshape"):
        ops.matmul(np.ones((2, 3)), np.ones(3))


def test_indexing_by_an_array_points_to_take() -> None:
    with pytest.raises(UsageError, match=r"netchu\.ops\.take"):
        Tensor([1.0, 2.0])[np.array([0, 1])]


def test_glu_refuses_an_odd_axis() -> None:
    with pytest.raises(ShapeError, match="even length"):
        ops.glu(np.ones((2, 3)))


def test_inputs_may_be_named() -> None:
    assert ops.subtract(x1=3.0, x2=1.0).item() == 2.0
    assert ops.power(2.0, x2=3.0).item() == 8.0


# --- on an engine that is strict -------------------------------------------------------------------------------------


@contextmanager
def strict_engine() -> Iterator[None]:
    """`array-api-strict` as the current engine.

    Tensors keep the names of element types in a table by type; strict types complain when they meet NumPy's there,
    so the table starts and ends empty.
    """
    pytest.importorskip("array_api_strict", reason="needs array-api-strict: pip install -e '.[dev]'")
    tensor.name_of.cache_clear()
    engines.register(StrictEngine())
    engines.set_engine("strict")
    try:
        yield
    finally:
        tensor.name_of.cache_clear()
        engines.set_engine("numpy")
        del engines._loaded["strict"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=LABELS)
def test_nothing_leans_on_numpys_leniency(case: Case, dtype: str) -> None:
    with strict_engine():
        actual = [host(t) for t in value_and_gradients(case, case.arrays(dtype))]
    for a, b in zip(actual, on_numpy(case, dtype), strict=True):
        assert a.dtype == b.dtype, case.label
        assert_close(a, b, rtol=ENGINE_RTOL, what=case.label)


def test_the_strict_engine_is_strict() -> None:
    with strict_engine(), pytest.raises(TypeError):
        engines.xp.exp(engines.current().asarray(np.arange(3)))


OPTIMIZERS = ["sgd", "rmsprop", "adam", "adamw"]


def trained(optimizer: str) -> list[np.ndarray]:
    """The weights after three steps of a net with every kind of layer, figures and all."""
    random.set_seed(3)
    net = [Input((4,)), Rescaling(0.5), Dense(6, "relu"), Reshape((2, 3)), Flatten(), Dropout(0.3), Dense(3, "softmax")]
    model = Sequential(net)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = np.random.default_rng(0).standard_normal((6, 4)).astype("float32")
    for _ in range(3):
        model.train_on_batch(x, np.array([0, 1, 2, 0, 1, 2]))
    return model.get_weights()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_training_step_leans_on_nothing_either(optimizer: str) -> None:
    with strict_engine():
        actual = trained(optimizer)
    for a, b in zip(actual, trained(optimizer), strict=True):
        assert_close(a, b, rtol=ENGINE_RTOL)


def attributes_of(name: str, path: Path) -> set[str]:
    """The names that the code in a file looks up in `name`: all n of `name.n`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
    }


ARRAY_FILES = sorted(
    [*(SOURCE / "ops").glob("*.py"), *(SOURCE / "layers").glob("*.py"), *(SOURCE / "optimizers").rglob("*.py")]
)


@pytest.mark.parametrize("path", ARRAY_FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_only_functions_of_the_closed_list_are_used(path: Path) -> None:
    assert attributes_of("xp", path) <= {*FUNCTIONS, *DTYPES}


# --- NumPy = the engines that compile --------------------------------------------------------------------------------


def cases_of(operation: str) -> list[Case]:
    return [case for case in CASES if case.operation == operation]


def compare_compiled(traced_engine: engines.Engine, cases: list[Case]) -> None:
    """Assert that one compiled function of all these cases gives NumPy's values and gradients."""

    def step(*arguments: list[Any]) -> list[list[Any]]:
        results = [value_and_gradients(case, list(map(wrap, arrays))) for case, arrays in zip(cases, arguments)]
        return [[t.array for t in row] for row in results]

    arguments = [[traced_engine.asarray(a) for a in case.arrays("float32")] for case in cases]
    actual = traced_engine.trace(step, {})(*arguments)
    for case, row in zip(cases, actual):
        for a, b in zip(row, on_numpy(case, "float32"), strict=True):
            assert_close(np.asarray(a), b, rtol=ENGINE_RTOL, what=case.label)


@pytest.mark.parametrize("operation", NETCHU_OPERATIONS)
def test_compiled_is_numpy(traced_engine: engines.Engine, operation: str) -> None:
    cases = cases_of(operation)
    compare_compiled(traced_engine, cases[:: max(1, len(cases) // 5)])  # XLA takes 10 ms to compile each


@pytest.mark.slow
@pytest.mark.parametrize("operation", NETCHU_OPERATIONS)
def test_compiled_is_numpy_in_every_case(traced_engine: engines.Engine, operation: str) -> None:
    compare_compiled(traced_engine, cases_of(operation))


@pytest.mark.parametrize("operation", NETCHU_OPERATIONS)
def test_line_by_line_is_numpy(traced_engine: engines.Engine, operation: str) -> None:
    case = cases_of(operation)[0]
    actual = [host(t) for t in value_and_gradients(case, case.arrays("float32"))]
    for a, b in zip(actual, on_numpy(case, "float32"), strict=True):
        assert_close(a, b, rtol=ENGINE_RTOL, what=case.label)


def test_mixing_tensors_of_two_engines_is_an_error(traced_engine: engines.Engine) -> None:
    elsewhere = Tensor([1.0])
    engines.set_engine("numpy")
    with pytest.raises(EngineError, match=rf"'{traced_engine.name}' met the engine 'numpy'.*set_engine"):
        ops.add(elsewhere, Tensor([1.0]))
