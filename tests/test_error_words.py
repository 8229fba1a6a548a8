"""Every error of netchu's says where, expected, got, and its advice is code that can be run.

What stays otherwise is listed with its reason, and a line of a list that holds no more fails.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netchu
from hostile_arguments import CALLS, ENDLESS, HOSTILE, Call, outcome
from netchu import errors
from netchu.engines import Array
from netchu.errors import NetchuError, UsageError
from small_nets import classifier, clusters

SOURCE = Path(netchu.__file__).parent

# --- hostile arguments -----------------------------------------------------------------------------------------------

INSIDE = "the operation inside, which is given it, says what it got, under its own name for it"
OPERATION = "an operation that is made of others: the one that fails says what it got"
LISTED: dict[tuple[str, str], str] = {
    ("losses.*_crossentropy", "alpha"): INSIDE,
    ("losses.*_crossentropy", "gamma"): INSIDE,
    ("losses.huber", "delta"): INSIDE,
    ("losses.reduce", "losses"): INSIDE,
    ("activations.relu", "*"): INSIDE,
    ("Sequential.add_loss", "loss"): "it is made a Tensor first, which says what it got",
    ("Tensor", "value"): "it is what the Tensor is made of",
    ("Variable", "value"): "it is what the Tensor is made of",
    ("losses.sparse_categorical_crossentropy", "axis"): "the labels are of another shape then",
    ("ops.sparse_categorical_crossentropy", "axis"): "the labels are of another shape then",
    ("ops.average_pool", "*"): OPERATION,
    ("ops.max_pool", "*"): OPERATION,
    ("ops.concatenate", "xs"): OPERATION,
    ("ops.in_top_k", "*"): OPERATION,
    ("ops.stop_gradient", "variable"): OPERATION,
    ("ops.swapaxes", "axis?"): OPERATION,
    ("ops.take", "indices"): OPERATION,
    ("ops.transpose", "axes"): OPERATION,
    ("Sequential.compile", "weighted_metrics"): "metrics.get says what came",
    ("Sequential.summary", "print_fn"): "what a user's function raises is the user's",
    ("Sequential.compute_output_shape", "input_shape"): "the layer says what it expected and got",
    ("Sequential.from_config", "config"): "a configuration without layers says so",
    ("load_model", "filepath"): "a name without letters",
}
"""Arguments, by call and name, whose error does not name them.  It is a sentence of netchu's all the same."""

THE_USERS = {("Sequential.summary", "print_fn")}
"""Where what comes through is an exception of the user's own code."""


@cache
def listed(call: str, argument: str) -> tuple[str, str] | None:
    """The first line of the list that covers it."""
    return next((key for key in LISTED if fnmatch(call, key[0]) and fnmatch(argument, key[1])), None)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, str]]:
    """What every call said to every hostile value that it did not take well: (call, argument) -> value -> words."""
    netchu.random.set_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("calls"))
        patch.setattr("os.fsync", lambda descriptor: None)  # these files need to survive nothing
        classifier().save("there.keras")
        classifier().save_weights("there.weights.h5")
        return {(call.name, argument): found for call, argument, found in _all_outcomes()}


def _all_outcomes() -> Iterator[tuple[Call, str, dict[str, str]]]:
    for call in CALLS:
        for argument in call.arguments:
            values = {word: v for word, v in HOSTILE.items() if (call.name, argument, word) not in ENDLESS}
            said = {word: outcome(call, argument, value) for word, value in values.items()}
            yield call, argument, {word: words for word, words in said.items() if words}


def test_a_hostile_argument_is_named_in_a_sentence(outcomes: dict[tuple[str, str], dict[str, str]]) -> None:
    wrong = {key: said for key, said in outcomes.items() if said and listed(*key) is None}
    assert not wrong, "\n".join(f"{key}: {said}" for key, said in wrong.items())


def test_no_exception_comes_raw_listed_or_not(outcomes: dict[tuple[str, str], dict[str, str]]) -> None:
    raw = {
        (*key, value): words
        for key, said in outcomes.items()
        for value, words in said.items()
        if "which does not name" not in words and key not in THE_USERS
    }
    assert not raw


def test_each_line_of_the_list_still_holds(outcomes: dict[tuple[str, str], dict[str, str]]) -> None:
    needed = {listed(*key) for key, said in outcomes.items() if said}
    assert set(LISTED) - needed == set()


def test_the_calls_are_many_and_right(outcomes: dict[tuple[str, str], dict[str, str]]) -> None:
    assert len(outcomes) > 1000
    assert not [call.name for call in CALLS if not callable(call.make())]


@pytest.mark.parametrize("name", ["units", "rate"])
def test_the_judge_sees_a_raw_error_and_one_without_a_name(name: str) -> None:
    def raw(**settings: Any) -> None:
        raise TypeError("unsupported operand")

    def nameless(**settings: Any) -> None:
        raise UsageError("Dense", expected="something", got="something else")

    for function in (raw, nameless):
        assert outcome(Call("f", lambda function=function: function, {}, [name]), name, 0)  # type: ignore[misc]


# --- operations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["numpy", "jax"])  # TensorFlow's errors are classes of its own, and say enough
def test_an_operation_says_what_it_got(name: str) -> None:
    pytest.importorskip(name)
    netchu.set_engine(name)
    a, b = np.ones((2, 3), "float32"), np.ones((4, 5), "float32")
    with pytest.raises(
        UsageError, match=r"add: expected shapes.*Got: shapes \(2, 3\), \(4, 5\)\. The engine '\w+' says: "
    ):
        netchu.ops.add(a, b)
    with pytest.raises(
        UsageError, match=r"sum: expected shapes.*Got: shapes \(2, 3\), axis='rows'\. The engine '\w+' says"
    ):
        netchu.ops.sum(a, axis="rows")


def test_a_call_that_python_cannot_bind_is_pythons_error() -> None:
    with pytest.raises(TypeError, match="missing 1 required"):
        netchu.ops.matmul(np.ones((2, 3), "float32"))  # type: ignore[call-arg]


def test_what_a_users_operation_raises_is_the_users() -> None:
    @netchu.tape.operation
    def own_division(x: Array) -> Any:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        own_division(1.0)


# --- sentences -------------------------------------------------------------------------------------------------------

CLASSES = {name for name, thing in vars(errors).items() if isinstance(thing, type) and issubclass(thing, NetchuError)}
BARE = {
    ("errors.py", "missing_extra"): "ends with the line that installs it",
    ("errors.py", "unknown_name"): "Keras's words, with all the right names",
    ("formats/checkpoint.py", "read"): "hands on a whole sentence",
    ("registry.py", "__array__"): "points at the page",
}
"""Errors that are made without `expected` and `got`: file and function."""


def functions_with_errors() -> Iterator[tuple[str, str, ast.Call]]:
    """(file, function, call) for every error of netchu's that is made somewhere."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in CLASSES:
                        yield path.relative_to(SOURCE).as_posix(), function.name, node


def test_every_error_says_what_was_expected_and_what_came() -> None:
    found = list(functions_with_errors())
    assert len(found) > 200
    bare = {(f, name) for f, name, call in found if not {"expected", "got"} <= {k.arg for k in call.keywords}}
    assert bare == set(BARE)


# --- advice ----------------------------------------------------------------------------------------------------------

CODE = re.compile(r"[A-Za-z_][\w.]*\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
"""A call, with calls in it."""


def advice() -> Iterator[tuple[str, str]]:
    """(file, code) for each call that stands in the advice of an error."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for keyword in node.keywords if isinstance(node, ast.Call) else ():
                if keyword.arg == "do":
                    for text in _texts(keyword.value):
                        yield from ((path.relative_to(SOURCE).as_posix(), code) for code in CODE.findall(text))


def _texts(node: ast.expr) -> Iterator[str]:
    """The texts in an expression; what an f-string fills in is `x`."""
    if isinstance(node, ast.JoinedStr):
        yield "".join(str(p.value) if isinstance(p, ast.Constant) else "x" for p in node.values)
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from _texts(child)


def surroundings() -> dict[str, Any]:
    """What a user who reads the advice has at hand."""
    import multiprocessing
    import os

    x, y = clusters(12)
    model, tape = classifier(), netchu.GradientTape()
    metric = netchu.metrics.SparseCategoricalAccuracy()
    rooms = (netchu.layers, netchu.optimizers, netchu.metrics, netchu.callbacks)
    names = {name: getattr(room, name) for room in rooms for name in room.__all__}
    methods = {name: getattr(model, name) for name in ("compile", "fit", "build", "add", "evaluate", "save_weights")}
    images = np.zeros((2, 3, 5, 5), "float32")
    return {
        **names, **methods, "netchu": netchu, "numpy": np, "os": os, "multiprocessing": multiprocessing, "x": x, "y": y,
        "model": model, "metric": metric, "ops": netchu.ops, "utils": netchu.utils, "set_engine": netchu.set_engine,
        "images": images, "g": netchu.Tensor(1.0), "tape": tape, "width": 6, "load_model": netchu.models.load_model,
        "indices": [0, 1], "axis": 0, "GradientTape": netchu.GradientTape, "print": print,
    }  # fmt: skip


NOT_RUN: dict[str, str] = {
    "...": "stands for what the user has",
    "x(": "a class that the message fills in",
    "jax.config": "changes the whole process",
    "mmap_mode": "a file of the user's",
    "netchu.ops.transpose": "x is a picture there",
    "os.makedirs": "test_left_to_keras.py makes that folder",
    "to_categorical(y, x)": "x is the number of classes",
    "rint": "x holds pixels",
    "astype": "of that x",
    "Mine(": "the class is the user's",
    "add()": "the layer is the user's",
    "build()": "the shape is the user's",
    "fit()": "the data are the user's",
    "model.predict": "the metric is the user's",
}
"""Pieces of advice that are only parsed, and why."""

ADVICE = sorted(set(advice()))


@pytest.mark.parametrize(("file", "code"), ADVICE, ids=[f"{file}: {code}" for file, code in ADVICE])
def test_advice_is_code(file: str, code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ast.parse(code, mode="eval")
    if any(piece in code for piece in NOT_RUN):
        return
    monkeypatch.chdir(tmp_path)
    eval(code, surroundings())


def test_each_piece_that_is_not_run_is_there() -> None:
    assert [piece for piece in NOT_RUN if not any(piece in code for _, code in ADVICE)] == []
    assert len([code for _, code in ADVICE if not any(piece in code for piece in NOT_RUN)]) > 10
