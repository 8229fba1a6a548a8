"""Callbacks judged by real Keras: the same decisions, the same words, the same files.

Most cases drive one callback by hand, once Keras's and once netchu's, through epochs with given figures on a model that
only notes what is done to it; the others are real fits from the same weights.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import netchu
from small_nets import clusters, fixed_weights

pytestmark = [pytest.mark.judge, pytest.mark.filterwarnings("ignore")]  # the judges' own warnings are not ours

RUN_RTOL = 1e-4  # figures of two float32 libraries after 9 updates
HISTOGRAM_RTOL = 1e-6  # edges of equal weights: two ways to round a float64 division


# --- driven by hand --------------------------------------------------------------------------------------------------


class Optimizer:
    """A learning rate in float32; `learning_rate_source` tells netchu that a number can be put there."""

    learning_rate_source = netchu.Variable(0.01)

    def __init__(self) -> None:
        self._rate = np.float32(0.01)

    @property
    def learning_rate(self) -> np.float32:
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._rate = np.float32(value)


class Model:
    """Notes what a callback does to it."""

    def __init__(self) -> None:
        self.stop_training = False
        self.optimizer = Optimizer()
        self.metrics: list[Any] = []
        self.weights = [np.zeros(1)]
        self.saved: list[str] = []

    def get_weights(self) -> list[np.ndarray]:
        return [w.copy() for w in self.weights]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.weights = weights

    def save(self, path: str, **_: Any) -> None:
        self.saved.append(path)

    save_weights = save


def first_sentence(error: str) -> str:
    """What an error says in Keras's words; behind it netchu says what it expected and got, in a form of its own."""
    return re.split(r": expected |\. (?=[A-Z])| \(Keras ", error.replace("netchu isn't", "Keras isn't"))[0]


def driven(library: Any, name: str, settings: dict[str, Any], epochs: list[dict[str, Any]], batches: int = 0) -> Any:
    """All that can be seen of a callback of that name that is taken through these epochs."""
    model, rates, seen, callback = Model(), [], [], None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            callback = getattr(library.callbacks, name)(**settings)
            callback.set_model(model)
            callback.on_train_begin({})
            for epoch, figures in enumerate(epochs):
                logs = dict(figures)
                callback.on_epoch_begin(epoch, {})
                for batch in range(batches):
                    callback.on_train_batch_begin(batch, {})
                    callback.on_train_batch_end(batch, dict(figures))
                model.weights = [np.full(1, epoch)]
                callback.on_epoch_end(epoch, logs)
                rates.append(float(model.optimizer.learning_rate))
                seen.append(logs)
                if model.stop_training:
                    break
            callback.on_train_end({})
        except (ValueError, RuntimeError, ArithmeticError) as error:
            printed.write(first_sentence(str(error)))
    noted = {key: getattr(callback, key, None) for key in ("best", "best_epoch", "wait", "stopped_epoch")}
    said = [str(w.message) for w in caught if issubclass(w.category, UserWarning)]
    end = [float(w[0]) for w in model.weights]
    return {"rates": rates, "logs": seen, "printed": printed.getvalue(), "warnings": said, "weights": end} | {
        "saved": model.saved,
        "attributes": noted,
    }


def agree(keras: ModuleType, name: str, settings: dict[str, Any], epochs: list[dict[str, Any]], **more: Any) -> Any:
    ours, theirs = driven(netchu, name, settings, epochs, **more), driven(keras, name, settings, epochs, **more)
    np.testing.assert_equal(ours, theirs)  # NaN equals NaN
    return ours


def figures_of(seed: int) -> list[dict[str, Any]]:
    """12 epochs of a loss that falls, now and then rises, stays, is NaN or missing."""
    rng = np.random.default_rng(seed)
    value, epochs = 1.0, []
    for _ in range(12):
        value += float(rng.choice([-0.2, -0.05, -1e-4, 0.0, 0.05, 0.1]))
        kind = rng.integers(40)
        loss = np.nan if kind == 0 else float(np.float32(value))
        epochs.append({"loss": 1.0} | ({} if kind == 1 else {"val_loss": loss}))
    return epochs


def drawn(seed: int, choices: dict[str, list[Any]]) -> dict[str, Any]:
    """One of the choices for each setting."""
    rng = np.random.default_rng(1000 + seed)
    return {name: values[rng.integers(len(values))] for name, values in choices.items()}


EARLY_STOPPING = {
    "patience": [0, 1, 2, 4],
    "min_delta": [0, 0.01, 0.1, -0.05],
    "mode": ["auto", "min", "max"],
    "baseline": [None, None, 0.8, 1.1],
    "restore_best_weights": [False, True],
    "start_from_epoch": [0, 0, 3],
    "verbose": [0, 1],
}
PLATEAU = {
    "patience": [0, 1, 2, 3],
    "factor": [0.1, 0.5, 0.3],
    "min_delta": [1e-4, 0, 0.05],
    "mode": ["auto", "min", "max"],
    "cooldown": [0, 1, 3],
    "min_lr": [0.0, 0.0005, 0.01],
    "verbose": [0, 1],
}
CHECKPOINT = {
    "filepath": ["m.keras", "{epoch:02d}-{loss:.2f}.keras", "{epoch}.keras"],
    "save_best_only": [True, True, False],
    "mode": ["auto", "min", "max"],
    "initial_value_threshold": [None, 0.9],
    "verbose": [0, 1],
}


@pytest.mark.parametrize(
    ("name", "choices"),
    [("EarlyStopping", EARLY_STOPPING), ("ReduceLROnPlateau", PLATEAU), ("ModelCheckpoint", CHECKPOINT)],
)
def test_a_hundred_drawn_cases_are_decided_as_keras_does(
    name: str, choices: dict[str, list[Any]], keras: ModuleType
) -> None:
    said = [agree(keras, name, drawn(seed, choices), figures_of(seed)) for seed in range(100)]
    assert sum(bool(one["printed"]) for one in said) > 20  # the cases do reach what is to be judged
    assert sum(bool(one["warnings"]) for one in said) > 5


NAMED = {
    "batches": ("ModelCheckpoint", {"filepath": "{epoch}-{batch}.keras", "save_freq": 2, "verbose": 1}, 3),
    "batches across": ("ModelCheckpoint", {"filepath": "{epoch}-{batch}.keras", "save_freq": 5}, 3),
    "weights": ("ModelCheckpoint", {"filepath": "{epoch}.weights.h5", "save_weights_only": True, "verbose": 1}, 0),
    "schedule": ("LearningRateScheduler", {"schedule": lambda epoch, rate: rate * 0.5, "verbose": 1}, 0),
    "schedule of one": ("LearningRateScheduler", {"schedule": lambda epoch: 0.1 / (epoch + 1), "verbose": 1}, 0),
    "schedule of float32": ("LearningRateScheduler", {"schedule": lambda e, r: np.float32(r), "verbose": 1}, 0),
    "schedule of int": ("LearningRateScheduler", {"schedule": lambda epoch: 1}, 0),
    "factor": ("ReduceLROnPlateau", {"factor": 1.0}, 0),
    "unknown mode": ("EarlyStopping", {"mode": "least"}, 0),
    "unknown monitor": ("EarlyStopping", {"monitor": "val_f1"}, 0),
    "unknown monitor, mode": ("EarlyStopping", {"monitor": "val_f1", "mode": "max"}, 0),
    "unknown monitor of plateau": ("ReduceLROnPlateau", {"monitor": "val_f1", "mode": "max"}, 0),
    "ending of weights": ("ModelCheckpoint", {"filepath": "m.keras", "save_weights_only": True}, 0),
    "NaN": ("TerminateOnNaN", {}, 1),
    "NaN raised": ("TerminateOnNaN", {"raise_error": True}, 1),
}


@pytest.mark.parametrize("case", NAMED)
def test_named_cases_are_as_in_keras(case: str, keras: ModuleType) -> None:
    name, settings, batches = NAMED[case]
    epochs = [
        {"loss": 1.0, "val_loss": 0.5},
        {"loss": np.nan if "NaN" in case else 0.5, "val_loss": 0.75},
        {"loss": 1.0},
    ]
    agree(keras, name, settings, epochs, batches=batches)


TABLES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "validation": ({}, [{"loss": 0.1, "val_loss": 1e-7}, {"loss": 1e22, "val_loss": 2.0}]),
    "none": ({}, [{"b": 0.1, "a": 2.0}, {"a": 3.0, "c": 4.0}]),
    "not each epoch": ({"separator": ";"}, [{"loss": 0.1, "val_loss": 1.0}, {"loss": 0.1}]),
    "kinds": (
        {},
        [{"s": "a,b", "n": np.float32(0.1), "l": [1, 2], "v": np.array([0.5]), "z": np.array(3), "x": np.nan}],
    ),
    "appended": ({"append": True}, [{"loss": 0.1}]),
}


@pytest.mark.parametrize("case", TABLES)
def test_csv_is_keras_csv_byte_for_byte(case: str, keras: ModuleType, tmp_path: Path) -> None:
    settings, epochs = TABLES[case]
    paths = {library: tmp_path / f"{library.__name__}.csv" for library in (netchu, keras)}
    for library, path in paths.items():
        for _ in range(2):  # a second run begins anew, or goes on
            driven(library, "CSVLogger", {"filename": str(path), **settings}, epochs)
    assert paths[netchu].read_bytes() == paths[keras].read_bytes()
    assert b"\r\n" in paths[netchu].read_bytes()


# --- real fits -------------------------------------------------------------------------------------------------------


def fitted(library: Any, callbacks: Any, **settings: Any) -> Any:
    """History and model of a small fit from fixed weights."""
    if library is not netchu:
        library.backend.clear_session()
    dense = library.layers.Dense
    model = library.Sequential([library.Input((6,)), dense(5, "relu"), dense(3, "softmax")], name="net")
    model.compile(
        library.optimizers.SGD(settings.pop("rate", 0.05)), "sparse_categorical_crossentropy", metrics=["acc"]
    )
    fixed_weights(model)
    x, y = clusters(30)
    shared: dict[str, Any] = {"batch_size": 10, "epochs": 3, "shuffle": False, "validation_data": (x[:6], y[:6])}
    history = model.fit(x, y, callbacks=callbacks(library), **shared | {"verbose": 0} | settings)
    return history, model


def test_a_fit_with_all_of_them_says_and_logs_the_same(keras: ModuleType, tmp_path: Path) -> None:
    keys: dict[Any, list[str]] = {netchu: [], keras: []}

    def callbacks(library: Any) -> list[Any]:
        kinds, folder = library.callbacks, tmp_path / library.__name__
        folder.mkdir()

        def note(hook: str) -> Any:
            return lambda *arguments: keys[library].append(f"{hook} {list(arguments[-1])}")

        return [
            kinds.LearningRateScheduler(lambda epoch, rate: rate * 0.5, verbose=1),
            kinds.ReduceLROnPlateau("acc", patience=1, min_delta=1.0, verbose=1),
            kinds.EarlyStopping("val_acc", patience=2, min_delta=1.0, verbose=1, restore_best_weights=True),
            kinds.CSVLogger(str(folder / "log.csv")),
            kinds.ModelCheckpoint(str(folder / "{epoch:02d}-{acc:.2f}.keras"), "acc", 1, save_best_only=True),
            kinds.ModelCheckpoint(str(folder / "{epoch}-{batch}.weights.h5"), save_weights_only=True, save_freq=4),
            kinds.LambdaCallback(**{hook: note(hook) for hook in ("on_epoch_begin", "on_epoch_end", "on_train_end")}),
        ]

    said, histories = {}, {}
    for library in (netchu, keras):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            histories[library], _ = fitted(library, callbacks, epochs=6)
        said[library] = out.getvalue().replace(str(tmp_path / library.__name__), "FOLDER")
    assert said[netchu] == said[keras]
    assert "early stopping" in said[netchu]
    assert "reducing" in said[netchu]
    assert keys[netchu] == keys[keras]
    ours, theirs = histories[netchu], histories[keras]
    assert list(ours.history) == list(theirs.history)
    assert ours.epoch == theirs.epoch
    for name, values in theirs.history.items():
        assert ours.history[name] == pytest.approx(values, rel=RUN_RTOL)
    files = [sorted(path.name for path in (tmp_path / library.__name__).iterdir()) for library in (netchu, keras)]
    assert files[0] == files[1]
    assert len(files[0]) == 4
    heads = [(tmp_path / library.__name__ / "log.csv").read_bytes().split(b"\r\n")[0] for library in (netchu, keras)]
    assert heads[0] == heads[1]


def written(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """tag -> (step, value) of each scalar and histogram in the event files of a folder, whoever wrote them."""
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    found = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    kinds = {tag: found.SummaryMetadata(tag).plugin_data.plugin_name for tag in found.Tags()["tensors"]}
    return {
        f"{kind} {tag}": [(event.step, make_ndarray(event.tensor_proto)) for event in found.Tensors(tag)]
        for tag, kind in sorted(kinds.items())
        if kind != "graph_keras_model"  # netchu writes no graph
    }


@pytest.mark.parametrize("update_freq", ["epoch", "batch"])
@pytest.mark.parametrize("rate", [0.05, 0.0], ids=["learning", "weights as they are"])
def test_tensorboard_finds_what_keras_writes(update_freq: str, rate: float, keras: ModuleType, tmp_path: Path) -> None:
    for library in (netchu, keras):
        folder = tmp_path / library.__name__
        settings = {"update_freq": update_freq, "histogram_freq": 2, "write_steps_per_second": True}
        fitted(library, lambda library, f=folder, s=settings: [library.callbacks.TensorBoard(str(f), **s)], rate=rate)
    assert sorted(p.name for p in (tmp_path / "netchu").iterdir()) == ["train", "validation"]
    for kind in ("train", "validation"):
        ours, theirs = written(tmp_path / "netchu" / kind), written(tmp_path / "keras" / kind)
        assert list(ours) == list(theirs)
        for tag, events in theirs.items():
            assert [step for step, _ in ours[tag]] == [step for step, _ in events], tag
            for (_, a), (_, b) in zip(ours[tag], events):
                assert (a.shape, a.dtype) == (b.shape, b.dtype), tag
                if "second" not in tag and (rate == 0.0 or not tag.startswith("histograms")):
                    np.testing.assert_allclose(a, b, rtol=HISTOGRAM_RTOL if rate == 0.0 else RUN_RTOL, err_msg=tag)
