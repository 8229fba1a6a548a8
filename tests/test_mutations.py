"""Proof of the proof: each derivative of each operation, made wrong by 0.1 %, is caught by the table of cases.

The derivative is multiplied by 1.001 as the tape records it; then the operation's own cases are run through
`gradcheck`, and at least one must fail with a GradientError that names the operation and the argument.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from helpers import GRADIENT_RTOL
from netchu.gradient_check import GradientError, gradcheck
from netchu.tape import GradientTape, Record
from netchu.tensor import Tensor
from op_cases import GRADIENT_CASES, NETCHU_OPERATIONS, NOT_DIFFERENTIABLE

WRONG_BY = 1.001


def derivatives_of(operation: str) -> int:
    """The largest number of derivatives among the records of the operation's cases."""
    counts = [0]
    for case in GRADIENT_CASES:
        if case.operation == operation:
            tensors = [Tensor(array) for array in case.arrays()]
            with GradientTape() as tape:
                for tensor in tensors:
                    tape.watch(tensor)
                case.function(*tensors)
            counts += [len(record.derivatives) for record in tape.records if record.operation == operation]
    return max(counts)


def mutations() -> Iterator[tuple[str, int]]:
    """(operation, position of the derivative), for each derivative that is not None."""
    for operation in NETCHU_OPERATIONS:
        if operation not in NOT_DIFFERENTIABLE:
            none = {
                "affine_transform": {1},
                "sample": {1, 2},
                "where": {0},
                "take": {1},
                "sparse_crossentropy": {0},
            }  # a choice: no slope
            fixed = none.get(operation, set())
            yield from ((operation, i) for i in range(derivatives_of(operation)) if i not in fixed)


def make_wrong(monkeypatch: pytest.MonkeyPatch, operation: str, position: int) -> None:
    """From now on each tape records the operation with that derivative multiplied by WRONG_BY."""
    right = GradientTape.record

    def record(self: GradientTape, one: Record) -> None:
        if one.operation == operation and position < len(one.derivatives):
            derivative = one.derivatives[position]
            wrong = None if derivative is None else lambda g: derivative(g) * WRONG_BY
            one.derivatives = (*one.derivatives[:position], wrong, *one.derivatives[position + 1 :])
        right(self, one)

    monkeypatch.setattr(GradientTape, "record", record)


def errors_of(operation: str) -> list[str]:
    """What gradcheck says of the operation's cases; it stops at the first wrong argument of each."""
    found = []
    for case in GRADIENT_CASES:
        if case.operation == operation:
            try:
                gradcheck(case.function, *case.arrays(), rtol=GRADIENT_RTOL, name=case.label)
            except GradientError as error:
                found.append(str(error))
    return found


@pytest.mark.parametrize(("operation", "position"), list(mutations()))
def test_a_derivative_wrong_by_a_thousandth_is_caught(
    monkeypatch: pytest.MonkeyPatch, operation: str, position: int
) -> None:
    make_wrong(monkeypatch, operation, position)
    found = errors_of(operation)
    assert found, f"derivative {position} of {operation} times {WRONG_BY} went unnoticed"
    assert any(message.startswith(f"gradcheck({operation}(") for message in found)


@pytest.mark.parametrize("operation", [name for name in NETCHU_OPERATIONS if name not in NOT_DIFFERENTIABLE])
def test_without_a_mutation_nothing_is_reported(operation: str) -> None:
    assert errors_of(operation) == []


def test_there_are_as_many_mutations_as_derivatives() -> None:
    by_operation = [operation for operation, _ in mutations()]
    assert by_operation.count("matmul") == 2
    assert by_operation.count("where") == 2
    assert by_operation.count("exp") == 1
    assert set(by_operation) == set(NETCHU_OPERATIONS) - NOT_DIFFERENTIABLE
