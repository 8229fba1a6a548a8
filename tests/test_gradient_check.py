"""`netchu.gradcheck` over the whole table of operations, and that the checker notices what it should."""

from __future__ import annotations

import numpy as np
import pytest

import netchu
from helpers import GRADIENT_RTOL
from netchu import engines, ops
from netchu.engines import Array
from netchu.errors import EngineError
from netchu.gradient_check import GradientError, gradcheck
from netchu.tape import GradientTape, Result, operation
from netchu.tensor import Tensor, operations
from op_cases import CASES, GRADIENT_CASES, NETCHU_OPERATIONS, NOT_DIFFERENTIABLE, Case

DIFFERENTIABLE = [name for name in NETCHU_OPERATIONS if name not in NOT_DIFFERENTIABLE]


@pytest.mark.parametrize("case", GRADIENT_CASES, ids=lambda case: case.label)
def test_each_derivative_is_the_central_difference(case: Case) -> None:
    gradcheck(case.function, *case.arrays(), rtol=GRADIENT_RTOL, name=case.label)


@pytest.mark.parametrize("name", NETCHU_OPERATIONS)
def test_every_operation_has_a_case(name: str) -> None:
    own = [case for case in CASES if case.operation == name]
    assert own, f"the operation {name!r} has no case in tests/op_cases.py"
    assert any(case.differentiable for case in own) is (name not in NOT_DIFFERENTIABLE), name


def test_the_list_of_flat_operations_names_only_operations() -> None:
    assert set(NETCHU_OPERATIONS) >= NOT_DIFFERENTIABLE


def recorded(case: Case) -> set[str]:
    tensors = [Tensor(array) for array in case.arrays()]
    with GradientTape() as tape:
        for tensor in tensors:
            tape.watch(tensor)
        case.function(*tensors)
    return {record.operation for record in tape.records}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_cases_use_the_operation_they_are_listed_under(name: str) -> None:
    for case in GRADIENT_CASES:
        if case.operation == name:
            assert name in recorded(case), case.label


@pytest.mark.parametrize("name", sorted(NOT_DIFFERENTIABLE))
def test_no_gradient_flows_through_flat_operations(name: str) -> None:
    for case in CASES:
        if case.operation == name:
            tensors = [Tensor(array) for array in case.arrays()]
            with GradientTape() as tape:
                for tensor in tensors:
                    tape.watch(tensor)
                y = case.function(*tensors)
            fractions = [tensor for tensor in tensors if "float" in tensor.dtype]  # whole numbers have none anyway
            assert tape.gradient(y, fractions) == [None] * len(fractions), case.label


# --- the checker itself ----------------------------------------------------------------------------------------------


@pytest.fixture
def own_operation(monkeypatch: pytest.MonkeyPatch):
    """Lets a test make operations that are gone afterwards."""
    before = dict(operations)
    yield operation
    operations.clear()
    operations.update(before)


def test_a_right_derivative_passes(own_operation) -> None:
    @own_operation
    def cube(x: Array) -> Result:
        return x * x * x, (lambda g: 3 * x * x * g,)

    gradcheck(cube, np.array([1.0, -2.0, 0.5]))


@pytest.mark.parametrize("factor", [1.001, 0.999, 1.00001, 0.0, -1.0])
def test_a_derivative_wrong_by_a_factor_is_named(own_operation, factor: float) -> None:
    @own_operation
    def cube(x: Array) -> Result:
        return x * x * x, (lambda g: 3 * factor * x * x * g,)

    with pytest.raises(GradientError, match=r"gradcheck\(cube\).*argument 0 is wrong") as caught:
        gradcheck(cube, np.array([1.0, -2.0, 0.5]))
    if factor:
        assert f"ratio={factor:.6f}" in str(caught.value)


def test_one_wrong_element_of_twelve_is_found(own_operation) -> None:
    wrong = np.ones((3, 4))
    wrong[1, 2] = 1.001

    @own_operation
    def double(x: Array) -> Result:
        return 2 * x, (lambda g: 2 * g * wrong,)

    with pytest.raises(GradientError, match="double"):
        gradcheck(double, np.ones((3, 4)))


def test_only_the_wrong_argument_is_named(own_operation) -> None:
    @own_operation
    def scaled(x: Array, y: Array) -> Result:
        return x * y, (lambda g: g * y, lambda g: 1.001 * g * x)

    with pytest.raises(GradientError, match="argument 1"):
        gradcheck(scaled, np.array([1.0, 2.0]), np.array([3.0, 4.0]))


def test_a_missing_derivative_is_an_error(own_operation) -> None:
    @own_operation
    def half_done(x: Array, y: Array) -> Result:
        return x + y, (lambda g: g, None)

    with pytest.raises(GradientError, match=r"half_done.*argument 1.*None"):
        gradcheck(half_done, np.ones(2), np.ones(2))


def test_a_gradient_of_another_shape_is_an_error(own_operation) -> None:
    @own_operation
    def forgot_to_sum(x: Array, y: Array) -> Result:
        return x + y, (lambda g: g, lambda g: g)

    with pytest.raises(GradientError, match=r"forgot_to_sum.*\(3,\).*\(2, 3\)"):
        gradcheck(forgot_to_sum, np.ones((2, 3)), np.ones(3))


def test_whole_numbers_are_passed_through_unchecked() -> None:
    gradcheck(lambda x, i: ops.take(x, i, axis=0), np.arange(3.0), np.array([2, 0]))


def test_float32_is_checked_in_float64() -> None:
    seen = []

    def square(x: Tensor) -> Tensor:
        seen.append(x.dtype)
        return ops.square(x)

    gradcheck(square, np.ones(3, dtype="float32"))
    assert set(seen) == {"float64"}


def test_it_is_public_whether_or_not_its_module_was_imported_before() -> None:
    netchu.gradcheck(ops.matmul, np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(GradientError, match="stopped"):
        netchu.gradcheck(ops.stop_gradient, np.ones(3), name="stopped")


def test_it_asks_for_the_numpy_engine(traced_engine: engines.Engine) -> None:
    with pytest.raises(EngineError, match=rf"numpy engine.*engine={traced_engine.name}"):
        gradcheck(ops.exp, np.ones(3))
