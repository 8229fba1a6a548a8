"""The checks of arguments: for each what passes, what is refused, and the sentence that says so."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netchu.arguments import (
    check_choice,
    check_numbers,
    check_whole,
    checked_list,
    checked_name,
    checked_path,
    is_number,
    is_whole,
    positive_integer,
    whole_numbers,
)
from netchu.errors import UsageError

WHOLE = [0, 1, -7, 2**70, np.int8(3), np.uint64(5), np.int64(-2)]
NUMBERS = [0.5, -1e300, np.float32(0.25), np.float64(3.0), Fraction(1, 3)]
NO_NUMBERS = [True, False, np.True_, None, "1", [1], (1,), np.array([1, 2]), {}, 1j, math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("value", WHOLE)
def test_a_whole_number_is_whole_and_a_number(value: Any) -> None:
    assert is_whole(value)
    assert is_number(value)


@pytest.mark.parametrize("value", NUMBERS)
def test_another_number_is_a_number_and_not_whole(value: Any) -> None:
    assert is_number(value)
    assert not is_whole(value)


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_truth_values_texts_lists_and_what_is_not_finite_are_neither(value: Any) -> None:
    assert not is_whole(value)
    assert not is_number(value)


def test_one_point_zero_is_a_number_that_is_not_whole() -> None:
    assert is_number(1.0)
    assert not is_whole(1.0)


# --- what passes -----------------------------------------------------------------------------------------------------


def test_what_passes_says_nothing() -> None:
    check_whole("f", n=0, m=np.int64(3))
    check_whole("f", 1, 5, n=1, m=5)
    check_whole("f", 1, or_none=True, n=None, m=7)
    check_numbers("f", rate=0, other=1e30)
    check_numbers("f", 0, 1, rate=0.0, other=np.float32(1))
    check_numbers("f", -math.inf, x=-1e300)
    check_numbers("f", 0, 1, above=True, below=True, x=0.5)
    check_choice("f", ("same", "valid"), padding="same", other=np.str_("valid"))
    check_choice("f", (True, False, "batch", None), a=True, b=False, c="batch", d=None)
    check_choice("f", (1, 2), a=1)


def test_values_come_back_as_pythons_own() -> None:
    units = positive_integer("f", "units", np.int32(7))
    assert (units, type(units)) == (7, int)
    assert checked_name("f", "dense 1") == "dense 1"


@pytest.mark.parametrize(
    ("value", "numbers"),
    [(3, [3]), (np.int64(3), [3]), ((1, 2), [1, 2]), ([-1], [-1]), (range(3), [0, 1, 2]), ((np.int8(1), 2), [1, 2])],
)
def test_one_whole_number_or_several_as_a_list(value: Any, numbers: list[int]) -> None:
    found = whole_numbers("f", "axis", value)
    assert found == numbers
    assert all(type(n) is int for n in found)


def test_none_at_all_may_be_allowed() -> None:
    assert whole_numbers("f", "axes", (), fewest=0) == []


# --- what is refused -------------------------------------------------------------------------------------------------

REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: check_whole("fit", 1, epochs=0), "fit: expected epochs as a whole number >= 1. Got: epochs=0."),
    (lambda: check_whole("fit", epochs=1.0), "fit: expected epochs as a whole number >= 0. Got: epochs=1.0."),
    (lambda: check_whole("fit", epochs=True), "fit: expected epochs as a whole number >= 0. Got: epochs=True."),
    (lambda: check_whole("fit", epochs=None), "fit: expected epochs as a whole number >= 0. Got: epochs=None."),
    (lambda: check_whole("fit", a=1, b=-1), "fit: expected b as a whole number >= 0. Got: b=-1."),
    (
        lambda: check_whole("seed", 0, 2**32 - 1, seed=2**32),
        "seed: expected seed as a whole number from 0 to 4294967295. Got: seed=4294967296.",
    ),
    (
        lambda: check_whole("fit", 1, or_none=True, steps="ten"),
        "fit: expected steps as a whole number >= 1 or None. Got: steps='ten'.",
    ),
    (
        lambda: positive_integer("Dense", "units", 0),
        "Dense: Received an invalid value for `units`, expected a positive integer. Got: units=0.",
    ),
    (
        lambda: positive_integer("Dense", "units", 2.0),
        "Dense: Received an invalid value for `units`, expected a positive integer. Got: units=2.0.",
    ),
    (
        lambda: whole_numbers("Softmax", "axis", "last"),
        "Softmax: expected axis as a whole number or a list of them. Got: axis='last'.",
    ),
    (
        lambda: whole_numbers("Softmax", "axis", [1, True]),
        "Softmax: expected axis as a whole number or a list of them. Got: axis=[1, True].",
    ),
    (
        lambda: whole_numbers("Softmax", "axis", []),
        "Softmax: expected axis as a whole number or a list of them. Got: axis=[].",
    ),
    (
        lambda: whole_numbers("PReLU", "shared_axes", (1, 0), 1),
        "PReLU: expected shared_axes as a whole number >= 1 or a list of them. Got: shared_axes=(1, 0).",
    ),
    (lambda: check_numbers("L2", l2=-1), "L2: expected l2 >= 0. Got: l2=-1."),
    (lambda: check_numbers("L2", l2="0.1"), "L2: expected l2 >= 0. Got: l2='0.1'."),
    (lambda: check_numbers("MaxNorm", above=True, value=0), "MaxNorm: expected value > 0. Got: value=0."),
    (lambda: check_numbers("Adam", 0, 1, beta=1.5), "Adam: expected beta from 0 to 1. Got: beta=1.5."),
    (lambda: check_numbers("Adam", 0, 1, beta=math.nan), "Adam: expected beta from 0 to 1. Got: beta=nan."),
    (lambda: check_numbers("Dropout", 0, 1, below=True, rate=1), "Dropout: expected 0 <= rate < 1. Got: rate=1."),
    (lambda: check_numbers("F1", 0, 1, above=True, at=0.0), "F1: expected 0 < at <= 1. Got: at=0.0."),
    (lambda: check_numbers("f", 0, 1, above=True, below=True, x=1), "f: expected 0 < x < 1. Got: x=1."),
    (
        lambda: check_numbers("ELU", -math.inf, alpha=math.inf),
        "ELU: expected alpha as a finite number. Got: alpha=inf.",
    ),
    (lambda: check_numbers("ELU", -math.inf, alpha=True), "ELU: expected alpha as a finite number. Got: alpha=True."),
    (lambda: check_choice("f", ("a", "b"), mode="c"), "f: expected mode among 'a', 'b'. Got: mode='c'."),
    (lambda: check_choice("f", (True, False), shuffle=1), "f: expected shuffle among True, False. Got: shuffle=1."),
    (lambda: check_choice("f", (1,), steps=True), "f: expected steps among 1. Got: steps=True."),
    (lambda: check_choice("f", ("a", None), mode=["a"]), "f: expected mode among 'a', None. Got: mode=['a']."),
    (lambda: checked_name("Layer", ""), "Layer: expected a printable name of 1 to 100 letters. Got: name=''."),
    (lambda: checked_name("Layer", 3), "Layer: expected a printable name of 1 to 100 letters. Got: name=3."),
    (lambda: checked_name("Layer", "a\nb"), "Layer: expected a printable name of 1 to 100 letters. Got: name='a\\nb'."),
]


@pytest.mark.parametrize(("check", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_what_is_refused_is_said_in_one_sentence(check: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        check()
    assert str(error.value) == sentence


def test_a_long_value_is_cut_in_the_sentence() -> None:
    with pytest.raises(UsageError) as error:
        check_whole("f", n="x" * 10_000)
    assert len(str(error.value)) < 120


def test_a_bound_that_hardly_anybody_reaches_is_told_to_who_does() -> None:
    with pytest.raises(UsageError, match=r"steps as a whole number >= 1 or None\. Got: steps=0"):
        check_whole("f", 1, sys.maxsize, or_none=True, steps=0)
    with pytest.raises(UsageError, match=rf"steps as a whole number from 1 to {sys.maxsize}\. Got: steps=1000"):
        check_whole("f", 1, sys.maxsize, steps=10**30)


@pytest.mark.parametrize("value", [None, 5, 1.5, b"a", ["a"], {}, Path, object()])
def test_what_is_no_name_of_a_file_is_refused(value: Any) -> None:
    assert checked_path("f", filepath="a") == checked_path("f", filepath=Path("a")) == "a"
    with pytest.raises(UsageError, match=r"f: expected filepath as the name of a file, .* Got: filepath="):
        checked_path("f", filepath=value)


@pytest.mark.parametrize("value", [None, 5, "ab", b"ab", {"a": 1}, list, np.array(3), object()])
def test_what_is_no_list_is_refused(value: Any) -> None:
    for good in ([1, 2], (1, 2), np.array([1, 2]), iter([1, 2])):
        assert checked_list("f", dims=good) == [1, 2]
    with pytest.raises(UsageError, match=r"f: expected dims as a list\. Got: dims="):
        checked_list("f", dims=value)
