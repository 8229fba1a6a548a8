"""Whole programs judged by real Keras: the files in `keras_programs/`, which differ in their import lines only.

Each is a Keras program as its examples are written.  It runs as it stands under Keras on TensorFlow, and with the
lines of `IMPORTS` put in other words under netchu on NumPy and on JAX.  What it leaves in `history`, `score` and
`predictions`, what it prints, and the tables that it writes must be the same.

Two things are arranged so that there is one right answer: `same_start` gives both libraries the same first weights and
takes the draws out of Dropout, and `shuffle=False` keeps the order of the samples.  Dropout with its draws is compared
by its mean effect over several starts, in a test of its own.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import netchu
from netchu import engines
from netchu.datasets.packaged import read_sample

pytestmark = [pytest.mark.judge, pytest.mark.filterwarnings("ignore")]  # the judges' own warnings are not ours

FOLDER = Path(__file__).parent / "keras_programs"
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "same_start")

IMPORTS = [  # a line of a Keras program -> the same for netchu
    (re.compile(r"^import keras$"), "import netchu as keras"),
    (re.compile(r"^from keras(\.\w+)? import "), r"from netchu\1 import "),
    (re.compile(r"^from tensorflow import GradientTape$"), "from netchu import GradientTape"),
]

RTOL = 1e-4  # figures of two float32 libraries after up to 90 updates
ATOL = 1e-6  # for a figure near 0, such as a probability in `predictions`
PRINTED = 1.01e-4  # one in the last of the four places that are printed

SAMPLES = 1000


def for_netchu(line: str) -> str:
    """A line of a program, put in netchu's words if it is one of the imports."""
    for pattern, replacement in IMPORTS:
        line = pattern.sub(replacement, line)
    return line


@dataclass
class Outcome:
    """What is left of a program.

    Attributes:
        numbers: `history`, `score` and `predictions`, as dictionaries and lists of numbers.
        text: what it printed, without times.
        tables: the .csv files it wrote, by name.
        files: the names of all files it wrote.
    """

    numbers: dict[str, Any]
    text: str
    tables: dict[str, str]
    files: set[str]


TIMES = re.compile(r"\b\d+(s|ms|us)(/step)?\b")


def run(name: str, library: str, folder: Path) -> Outcome:
    """Run a program in an empty folder that holds `digits.npz`."""
    lines = (FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()
    if library == "netchu":
        lines = [for_netchu(line) for line in lines]
    write_digits(folder)
    before = set(os.listdir(folder))
    names: dict[str, Any] = {"__name__": "__main__"}
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(compile("\n".join(lines), f"{name}.py under {library}", "exec"), names)  # our own text, in a test
    history = names["history"]
    return Outcome(
        {
            "history": getattr(history, "history", history),
            "score": names["score"],
            "predictions": names["predictions"],
        },
        TIMES.sub("TIME", printed.getvalue()).replace(str(folder), "."),
        {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.csv")},
        set(os.listdir(folder)) - before,
    )


def write_digits(folder: Path) -> None:
    """The first of the packaged digits, as `mnist.npz` names them."""
    digits = read_sample()
    np.savez(
        folder / "digits.npz",
        x_train=digits.x_train[:SAMPLES],
        y_train=digits.y_train[:SAMPLES],
        x_test=digits.x_test[:200],
        y_test=digits.y_test[:200],
    )


@pytest.fixture(autouse=True)
def _as_a_user_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """`same_start` beside the program, and a terminal of one width."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module")
def by_keras(keras: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function from a program's name to what is left of it under Keras, run once."""
    found: dict[str, Outcome] = {}

    def outcome(name: str) -> Outcome:
        if name not in found:
            keras.backend.clear_session()  # Keras numbers layers through the whole process: begin anew
            found[name] = run(name, "keras", tmp_path_factory.mktemp(name))
        return found[name]

    return outcome


# --- comparing -------------------------------------------------------------------------------------------------------


def assert_same_numbers(ours: Any, theirs: Any, what: str) -> None:
    """The same keys in the same order, the same lengths, and each number within RTOL."""
    if isinstance(theirs, dict):
        assert list(ours) == list(theirs), what
        for key, value in theirs.items():
            assert_same_numbers(ours[key], value, f"{what} {key}")
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs), what
        for i, (a, b) in enumerate(zip(ours, theirs)):
            assert_same_numbers(a, b, f"{what} [{i}]")
    else:
        assert np.shape(ours) == np.shape(theirs), what
        np.testing.assert_allclose(ours, theirs, rtol=RTOL, atol=ATOL, err_msg=what)


NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d+(?:e[+-]?\d+)?")


def assert_same_text(ours: str, theirs: str, *, printed: float = PRINTED) -> None:
    """The same words; numbers with a point within RTOL, and one in the last place that is printed."""
    assert [w.rstrip() for w in NUMBER.sub("#", ours).splitlines()] == [
        w.rstrip() for w in NUMBER.sub("#", theirs).splitlines()
    ]
    assert [float(n) for n in NUMBER.findall(ours)] == [
        pytest.approx(float(n), rel=RTOL, abs=printed) for n in NUMBER.findall(theirs)
    ]


@pytest.mark.parametrize("engine_name", ["numpy", "jax"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_does_the_same_with_other_imports(name: str, engine_name: str, by_keras: Any, tmp_path: Path) -> None:
    theirs = by_keras(name)
    engines.set_engine(engine_name)
    ours = run(name, "netchu", tmp_path)
    assert_same_numbers(ours.numbers, theirs.numbers, name)
    assert_same_text(ours.text, theirs.text)
    assert ours.files == theirs.files
    for table, text in theirs.tables.items():
        assert_same_text(ours.tables[table], text, printed=ATOL)


# --- the programs themselves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROGRAMS)
def test_only_import_lines_are_swapped(name: str) -> None:
    lines = (FOLDER / f"{name}.py").read_text(encoding="utf-8").splitlines()
    changed = [(line, for_netchu(line)) for line in lines if line != for_netchu(line)]
    assert changed
    for theirs, ours in changed:
        assert theirs.startswith(("import keras", "from keras", "from tensorflow import GradientTape"))
        assert ours.startswith(("import netchu as keras", "from netchu"))
    left = [line for line in map(for_netchu, lines) if re.match(r"\s*(import|from)\s", line)]
    assert all("numpy" in line or "netchu" in line or "same_start" in line for line in left), left
    assert not any("netchu" in line for line in lines), "a program does not ask under which library it runs"


def test_the_programs_are_eight_at_least() -> None:
    assert len(PROGRAMS) >= 8


def test_another_learning_rate_would_be_noticed(by_keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (FOLDER / "mnist_mlp.py").read_text(encoding="utf-8")
    assert 'optimizer="rmsprop"' in text
    (tmp_path / "programs").mkdir()
    changed = text.replace('optimizer="rmsprop"', "optimizer=keras.optimizers.RMSprop(1.01e-3)")
    (tmp_path / "programs" / "mnist_mlp.py").write_text(changed, encoding="utf-8")
    theirs = by_keras("mnist_mlp")
    monkeypatch.setattr("test_judge_programs.FOLDER", tmp_path / "programs")
    ours = run("mnist_mlp", "netchu", tmp_path)
    with pytest.raises(AssertionError):
        assert_same_numbers(ours.numbers, theirs.numbers, "mnist_mlp")


# --- with the draws of Dropout ---------------------------------------------------------------------------------------

STARTS = 6
STANDARD_ERRORS = 4.0  # two means of equal things lie farther apart once in 10,000 times; the seeds are fixed besides


def losses_with_dropout(library: Any, *, with_dropout: bool = True) -> np.ndarray:
    """(starts, 2): training and validation loss at the end, from the same weights, for several seeds of the draws."""
    digits = read_sample()
    x, y = digits.x_train[:600].reshape(600, 784).astype("float32") / 255, digits.y_train[:600]
    layers, start = library.layers, importlib.import_module("same_start")
    found = []
    for seed in range(STARTS):
        library.utils.set_random_seed(seed)
        dense = [layers.Dense(64, "relu"), layers.Dropout(0.5), layers.Dense(10, "softmax")]
        model = library.Sequential([library.Input((784,)), *dense])
        start.with_dropout = with_dropout
        start.same_start(model)
        model.compile("adam", "sparse_categorical_crossentropy")
        history = model.fit(x, y, batch_size=50, epochs=3, validation_split=0.2, shuffle=False, verbose=0).history
        found.append([history["loss"][-1], history["val_loss"][-1]])
    start.with_dropout = False
    return np.array(found)


def standard_errors_apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How far the means of two samples lie apart, in standard errors of their difference."""
    error = np.sqrt(a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b))
    return np.asarray(np.abs(a.mean(axis=0) - b.mean(axis=0)) / error)


def test_dropout_does_to_training_what_it_does_in_keras(keras: ModuleType) -> None:
    theirs, ours = losses_with_dropout(keras), losses_with_dropout(netchu)
    assert (standard_errors_apart(ours, theirs) < STANDARD_ERRORS).all()
    without = losses_with_dropout(netchu, with_dropout=False)
    assert (without[:, 0] < theirs.mean(axis=0)[0]).all()
    assert standard_errors_apart(without, theirs)[0] > 3 * STANDARD_ERRORS, "this network does not show the draws"
