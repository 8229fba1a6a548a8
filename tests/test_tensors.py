"""Tensors beside Python and NumPy: element types, indices, formats, and whole numbers that are not to be trained.

What Keras gives for each operation and every two types is compared in `test_special_values.py`.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from netchu import engines, ops, optimizers
from netchu.engines import Array
from netchu.engines.types import alike, common_type, counts, floats
from netchu.errors import DataError, UsageError
from netchu.tape import GradientTape, operation
from netchu.tensor import Tensor, Variable, wrap

# --- element types ---------------------------------------------------------------------------------------------------

COMMON = [
    (("int32", "float32"), "float32"),
    (("int64", "float16"), "float16"),
    (("float32", "float64"), "float64"),
    (("uint8", "int8"), "int16"),
    (("uint32", "int32"), "int64"),
    (("uint64", "int64"), "float32"),
    (("bool", "uint8"), "uint8"),
    (("bool", "bool"), "bool"),
    (("bool", int), "int32"),
    (("uint8", int), "uint8"),
    (("int64", float), "float32"),
    (("float16", float), "float16"),
    (("bool", bool), "bool"),
    (("int8", bool), "int8"),
]


@pytest.mark.parametrize(("kinds", "expected"), COMMON, ids=str)
def test_the_common_type(kinds: Any, expected: str) -> None:
    assert common_type(*kinds) == common_type(*kinds[::-1]) == expected


def test_a_python_number_stays_one() -> None:
    assert alike("float32", float) == ("float32", float)
    assert counts("bool", int) == ("int32", int)
    assert floats("int32", int, bool) == ("float32", int, "float32")


MADE: list[tuple[Any, str]] = [
    (1, "int32"),
    ([1, 2], "int32"),
    ([[True]], "bool"),
    (1.0, "float32"),
    ([1, 2.5], "float32"),
    (np.int64(1), "int64"),
    (np.array([1]), "int64"),
    (np.array([1.0]), "float64"),
    (2**31, "int64"),
    (-(2**31), "int32"),
]


@pytest.mark.parametrize(("value", "dtype"), MADE, ids=repr)
def test_what_tensors_are_made_of(value: Any, dtype: str) -> None:
    assert Tensor(value).dtype == Variable(value).dtype == ops.convert_to_tensor(value).dtype == dtype


MIXED: list[tuple[str, Any, str]] = [
    ("int32 * 0.5", lambda: Tensor([1, 2]) * 0.5, "float32"),
    ("0.5 - int32", lambda: 0.5 - Tensor([1, 2]), "float32"),
    ("int32 + float32", lambda: Tensor([1, 2]) + Tensor([0.5, 1.5]), "float32"),
    ("bool + float32", lambda: Tensor([True, False]) + Tensor([0.5, 1.5]), "float32"),
    ("bool + bool", lambda: Tensor([True, False]) + Tensor([True, True]), "int32"),
    ("int32 / int32", lambda: Tensor([1, 2]) / Tensor([2, 2]), "float32"),
    ("int32 @ float32", lambda: Tensor([[1, 2]]) @ Tensor([[0.5], [1.5]]), "float32"),
    ("uint8 * int8", lambda: Tensor(np.uint8([200, 1])) * Tensor(np.int8([-2, 1])), "int16"),
    ("uint8 + 300", lambda: Tensor(np.uint8([200])) + 300, "int32"),
    ("int32 + True", lambda: Tensor([1, 2]) + True, "int32"),
    ("where of both", lambda: ops.where(np.array([True, False]), Tensor([1, 2]), 0.5), "float32"),
    ("concatenate", lambda: ops.concatenate([Tensor([1]), Tensor([0.5])]), "float32"),
    ("stack", lambda: ops.stack([Tensor([1]), Tensor([0.5])]), "float32"),
    ("floor of int32", lambda: ops.floor(Tensor([3])), "float32"),
    ("sum of int32", lambda: ops.sum(Tensor([1, 2])), "int32"),
    ("prod of int32", lambda: ops.prod(Tensor([3, 2])), "int32"),
    ("sum of bytes", lambda: ops.sum(np.uint8([200, 200])), "uint32"),
    ("sum of bool", lambda: ops.sum(Tensor([True, True])), "int32"),
    ("argmax", lambda: ops.argmax(Tensor([1.0, 2.0])), "int32"),
    ("exp of bytes", lambda: ops.exp(np.uint8([1])), "float32"),
    ("erf of int64", lambda: ops.erf(np.array([1])), "float32"),
    ("softplus of bytes", lambda: ops.softplus(np.uint8([1])), "float32"),
    ("mean of bytes", lambda: ops.mean(np.uint8([200, 201])), "float32"),
    ("arange of fractions", lambda: ops.arange(0.0, 1.0, 0.25), "float32"),
    ("relu of int32", lambda: ops.relu(Tensor([-1, 1])), "int32"),
]
RIGHT: dict[str, list[float]] = {
    "int32 * 0.5": [0.5, 1.0], "0.5 - int32": [-0.5, -1.5], "int32 + float32": [1.5, 3.5],
    "bool + float32": [1.5, 1.5], "bool + bool": [2, 1], "int32 / int32": [0.5, 1.0], "int32 @ float32": [3.5],
    "uint8 * int8": [-400, 1], "uint8 + 300": [500], "int32 + True": [2, 3], "where of both": [1.0, 0.5],
    "concatenate": [1.0, 0.5], "stack": [1.0, 0.5], "floor of int32": [3.0], "sum of int32": [3], "prod of int32": [6],
    "sum of bytes": [400], "sum of bool": [2], "argmax": [1], "exp of bytes": [2.7182817], "erf of int64": [0.8427008],
    "softplus of bytes": [1.3132616], "mean of bytes": [200.5], "arange of fractions": [0.0, 0.25, 0.5, 0.75],
    "relu of int32": [0, 1],
}  # fmt: skip


@pytest.mark.parametrize(("what", "make", "dtype"), MIXED, ids=[what for what, _, _ in MIXED])
def test_types_mix_in_the_same_way_on_every_engine(engine: str, what: str, make: Any, dtype: str) -> None:
    found = make()
    assert found.dtype == dtype
    np.testing.assert_allclose(found.numpy().ravel(), RIGHT[what], rtol=3e-7)


def test_a_gradient_has_the_type_of_its_own_input(engine: str) -> None:
    x = Tensor([1.0, 2.0])
    with GradientTape() as tape:
        tape.watch(x)
        y = ops.multiply(x, np.array([3.0, 4.0]))  # float64
    gradient = tape.gradient(y, x)
    assert gradient.dtype == "float32"
    assert gradient.numpy().tolist() == [3.0, 4.0]


def test_fractions_of_numpys_beside_a_tensor_take_its_type(engine: str) -> None:
    x = Tensor([1.0, 2.0])
    for y in (x * np.sqrt(2.0), np.float64(2) * x, x - np.ones(2), np.ones(2) / x, x + 1):
        assert y.dtype == "float32"
    assert (Tensor([1, 2]) * np.float32(0.5)).numpy().tolist() == [0.5, 1.0]


def test_jax_refuses_whole_numbers_that_it_would_cut() -> None:
    pytest.importorskip("jax")
    engines.set_engine("jax")
    for value in (np.array([3_000_000_000]), 3_000_000_000, np.array([2**32], "uint64")):
        with pytest.raises(DataError, match=r"which the engine has 32 bits for"):
            Tensor(value)
    assert Tensor(np.array([2**31 - 1])).numpy().tolist() == [2**31 - 1]


def test_an_operation_of_ones_own_may_say_how_types_mix(engine: str) -> None:
    @operation(types=floats, numbers=False)
    def scaled(x: Array, y: Array) -> Any:
        return x * y, (lambda g: g * y, lambda g: g * x)

    assert scaled(Tensor([1, 2]), 0.5).numpy().tolist() == [0.5, 1.0]


# --- at special values -----------------------------------------------------------------------------------------------


def gradient_of(function: Any, x: Any) -> list[float]:
    tensor = Tensor(x)
    with GradientTape() as tape:
        tape.watch(tensor)
        y = function(tensor)
    return tape.gradient(y, tensor).numpy().tolist()  # type: ignore[no-any-return]


def test_the_gradient_of_a_product_with_zeros(engine: str) -> None:
    assert gradient_of(ops.prod, [0.0, 4.0, 3.0]) == [12.0, 0.0, 0.0]
    assert gradient_of(ops.prod, [0.0, 4.0, 0.0]) == [0.0, 0.0, 0.0]
    two_axes = gradient_of(lambda x: ops.prod(x, axis=(0, 2)), [[[2.0, 0.0]], [[3.0, 5.0]]])
    assert two_axes == [[[0.0, 30.0]], [[0.0, 0.0]]]
    with np.errstate(over="ignore"):
        assert gradient_of(ops.prod, [1e30, 1e30, 1e-30]) == pytest.approx([1.0, 1.0, np.inf], rel=1e-6)


def test_logsumexp_of_infinities(engine: str) -> None:
    with np.errstate(divide="ignore"):
        assert ops.logsumexp([-np.inf, -np.inf]).item() == -np.inf
    assert ops.logsumexp([np.inf, 0.0]).item() == np.inf
    assert ops.logsumexp([-np.inf, 0.0]).item() == 0.0


@pytest.mark.parametrize("cut", [ops.sqrt, ops.rsqrt, ops.reciprocal])
def test_what_where_cut_off_has_no_gradient(engine: str, cut: Any) -> None:
    with np.errstate(divide="ignore"):
        assert gradient_of(lambda x: ops.where(x < 1, x, cut(x)), [0.0, 0.5]) == [1.0, 1.0]


def test_a_label_that_ties_is_among_the_k_best(engine: str) -> None:
    rows = np.array([[0.3, 0.3, 0.3], [0.1, 0.4, 0.5], [0.1, np.nan, 0.2], [0.3, 0.3, 0.4]], "float32")
    assert ops.in_top_k([2, 1, 2, 3], rows, 1).numpy().tolist() == [True, False, False, False]


def test_the_largest_of_nothing_is_an_error(engine: str) -> None:
    for name in ("max", "min", "argmax", "argmin"):
        with pytest.raises(UsageError, match=f"{name}: expected at least one element"):
            getattr(ops, name)(np.zeros((3, 0), "float32"), axis=1)
    assert ops.softmax(np.zeros((3, 0), "float32")).shape == (3, 0)


# --- beside Python and NumPy -----------------------------------------------------------------------------------------


def test_numpys_functions_take_tensors(engine: str) -> None:
    t = Tensor([1.0, 4.0])
    assert np.max(t) == 4.0
    assert np.sqrt(t).tolist() == [1.0, 2.0]
    assert isinstance(np.add(np.ones(2), t), np.ndarray)
    assert np.where(t > 2, t, 0).tolist() == [0.0, 4.0]
    assert t[np.argmax(t)].item() == 4.0


def test_numpys_array_beside_a_tensor_gives_a_tensor(engine: str) -> None:
    t = Tensor([1.0, 4.0])
    for y in (np.ones(2) * t, np.float32(2) - t, np.ones(2) < t, np.ones((1, 2)) @ ops.reshape(t, (2, 1))):
        assert type(y) is Tensor


def test_indices_are_whole_numbers_of_any_kind(engine: str) -> None:
    t = Tensor([[1.0, 2.0], [3.0, 4.0]])
    for one in (1, -1, np.int64(1), np.int8(-1), np.array(1), Tensor(1), ops.argmax(Tensor([0.0, 1.0]))):
        assert t[one].numpy().tolist() == [3.0, 4.0]
        assert t[:, one].numpy().tolist() == [2.0, 4.0]
    assert t[: Tensor(1)].shape == (1, 2)


def test_a_computed_index_works_in_a_traced_step(traced_engine: engines.Engine) -> None:
    def step(x: Any) -> Any:
        return wrap(x)[ops.argmax(wrap(x))].array

    assert float(traced_engine.trace(step, {})(traced_engine.asarray(np.float32([1, 5, 3])))) == 5.0


def test_a_computed_index_works_in_a_recorded_step() -> None:
    def step(x: Any) -> Any:
        x = wrap(x)
        return x[ops.argmax(x)].array, x[ops.argmin(x) - 3].array

    step = engines.current().trace(step, {})
    for row in ([1, 5, 3], [1, 5, 3], [7, 5, 3]):  # recorded, run, run
        assert tuple(map(float, step(np.float32(row)))) == (max(row), min(row))


@pytest.mark.parametrize("key", [2, -3, (0, 2), (..., 2), (0, 0, 0)])
def test_an_index_outside_is_an_error(engine: str, key: Any) -> None:
    with pytest.raises(UsageError, match=r"tensor\[key\]"):
        Tensor([[1.0, 2.0], [3.0, 4.0]])[key]


def test_take_and_reshape_take_single_numbers(engine: str) -> None:
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert ops.take(x, 0).item() == 1.0
    assert ops.take(x, -1, axis=0).numpy().tolist() == [3.0, 4.0]
    assert ops.reshape(x, -1).shape == (4,)
    assert ops.broadcast_to(Tensor(2.0), 3).shape == (3,)
    assert ops.expand_dims(x, (0, -1)).shape == (1, 2, 2, 1)
    with pytest.raises(UsageError, match="take: expected indices from -2 to 1"):
        ops.take(x, [0, 2], axis=1)
    with pytest.raises(UsageError, match="take: expected whole numbers"):
        ops.take(x, [0.5])


def test_lists_do_for_tensors(engine: str) -> None:
    assert ops.swapaxes([[1.0, 2.0]], 0, 1).shape == (2, 1)
    assert ops.shape([[1.0, 2.0]]) == (1, 2)
    assert ops.glu([[0.0, 0.0]]).shape == (1, 1)
    assert ops.sparsemax([[0.0], [0.0]], axis=0).numpy().ravel().tolist() == [0.5, 0.5]
    assert ops.top_k([True, False], 1)[0].numpy().tolist() == [1]


def test_a_number_is_formatted_as_one(engine: str) -> None:
    assert f"{Tensor(0.12345):.3f} {Tensor(3)} {Tensor(0.1)} {Variable(2.0):g}" == "0.123 3 0.1 2"
    assert f"{Tensor([1.0])}" == repr(Tensor([1.0]))
    with pytest.raises(UsageError, match=r"a tensor of one number.*shape=\(2,\)"):
        f"{Tensor([1.0, 2.0]):.3f}"


def test_cast_refuses_an_unknown_type() -> None:
    with pytest.raises(UsageError, match="cast: expected dtype among"):
        ops.cast([1.0], "float31")


NO_OPS_YET = """
import sys
from netchu.tensor import Variable
v = Variable(3.0)
assert "netchu.ops" not in sys.modules
print(float(v * v), float((v + 1)[()]))
"""


def test_signs_work_before_the_operations_were_loaded() -> None:
    run = subprocess.run([sys.executable, "-c", NO_OPS_YET], capture_output=True, text=True, check=False)
    assert (run.stdout.strip(), run.returncode) == ("9.0 4.0", 0), run.stderr


# --- whole numbers are not trained -----------------------------------------------------------------------------------


def test_whole_numbers_have_no_gradient(engine: str) -> None:
    count, weight = Variable([3, 2], name="count"), Variable([1.0, 2.0])
    with GradientTape() as tape:
        loss = ops.sum(count * weight)
    with pytest.warns(UserWarning, match=r"the variable 'count' has dtype=int32.*float32"):
        of_count, of_weight = tape.gradient(loss, [count, weight])
    assert of_count is None
    assert of_weight.numpy().tolist() == [3.0, 2.0]


def test_no_gradient_flows_through_whole_numbers(engine: str) -> None:
    x = Tensor([1.5, 2.5])
    with GradientTape() as tape:
        tape.watch(x)
        y = ops.cast(ops.cast(x, "int32"), "float32") * 2.0
    assert tape.gradient(y, x) is None


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "RMSprop", "Lion"])
def test_an_optimizer_refuses_whole_numbers(engine: str, optimizer: str) -> None:
    count = Variable([3, 2], name="count")
    with pytest.raises(UsageError, match=r"floating-point numbers\. Got: the variable 'count' of dtype=int32"):
        getattr(optimizers, optimizer)(0.1).apply_gradients([(Tensor([1.0, 1.0]), count)])
    assert count.numpy().tolist() == [3, 2]


def test_a_variable_keeps_its_type_when_something_is_added(engine: str) -> None:
    count, mean = Variable([1, 2]), Variable([1.0, 2.0])
    count.assign_add(Tensor([True, False]))
    mean.assign_sub(np.array([1, 1]))
    mean.assign_add(np.array([0.5, 0.5]))
    assert (count.dtype, count.numpy().tolist()) == ("int32", [2, 2])
    assert (mean.dtype, mean.numpy().tolist()) == ("float32", [0.5, 1.5])
