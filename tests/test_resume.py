"""A run that was cut at any moment and started again ends with the bits of one that was left alone.

A cut is an exception from a hook: what is on disk then is what a killed process leaves, since nothing is written when
a run ends by an exception.  Real processes are killed in test_cli_train_runs.py and tests/long/kill_runs.py.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import chosen
from netchu import Sequential, optimizers, random
from netchu.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ReduceLROnPlateau,
    RunLog,
    SwapEMAWeights,
    TerminateOnNaN,
)
from netchu.errors import CheckpointError, NetchuError, TrainingError, UsageError
from netchu.formats.checkpoint import CheckpointFolder
from netchu.layers import BatchNormalization, Dense, Dropout, Flatten, GaussianNoise, Input, RandomTranslation
from netchu.optimizers import SGD
from netchu.optimizers.schedules import CosineDecay
from small_nets import clusters, run_python, sha256_of

SLOW_ENGINES = [
    "numpy",
    pytest.param("jax", marks=pytest.mark.slow),
    pytest.param("tensorflow", marks=[pytest.mark.tensorflow, pytest.mark.slow]),
]
HOOKS = [name for name in dir(Callback) if name.startswith(("on_train", "on_epoch", "on_test"))]


class Killed(Exception):
    """Stands for a power failure."""


class Cut(Callback):
    """Ends the run at its `number`-th event (hook that is called), counted from 1; counts them all without a number."""

    def __init__(self, number: int | None = None, hooks: list[str] = HOOKS) -> None:
        self.number, self.events = number, 0
        for name in hooks:
            setattr(self, name, self._count)

    def _count(self, *_: Any) -> None:
        self.events += 1
        if self.events == self.number:
            raise Killed


def network(optimizer: Any = None) -> Sequential:
    """A network with random layers and moving averages, drawn from the program's seed."""
    random.set_seed(5)
    hidden = [Dense(8, activation="relu"), BatchNormalization(), Dropout(0.3)]
    model = Sequential([Input((6,)), GaussianNoise(0.1), *hidden, Dense(3, activation="softmax")])
    optimizer = optimizer or SGD(0.05, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


X, Y = clusters(100)
WEIGHTS = np.linspace(0.5, 1.5, 100, dtype="float32")
SETTINGS: dict[str, Any] = {"batch_size": 8, "epochs": 5, "validation_split": 0.2, "verbose": 0}  # 5 epochs of 10 steps


def outcome(model: Sequential, history: Any) -> dict[str, Any]:
    """All that a run leaves: every Variable of its state, its History, and the random streams."""
    state = model.state()
    bits = sha256_of(state[name].numpy() for name in sorted(state))
    return {"sha256": bits, "history": history.history, "epoch": history.epoch, "random": random.state()}


def start(backup: Callback | None, *others: Callback, model: Any = None, **settings: Any) -> dict[str, Any]:
    """One start of the program: a new model, and `fit`."""
    model = model or network()
    listeners = [*others, *([backup] if backup else [])]
    return outcome(model, model.fit(X, Y, callbacks=listeners, **{**SETTINGS, **settings}))


def until_done(attempt: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], int]:
    """The outcome of the start that is not cut, and how many were cut."""
    for cuts in range(100):
        try:
            return attempt(), cuts
        except Killed:
            continue
    raise AssertionError("100 starts, and it is not done")


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is forced to the disk: these tests are of numbers, and no computer fails in them."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


# --- a cut at any moment ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SLOW_ENGINES)
def test_every_one_of_50_steps_can_be_resumed_from(name: str, tmp_path: Path) -> None:
    chosen(name)
    whole = start(None)
    backup = BackupAndRestore(tmp_path / "all", save_freq=1, delete_checkpoint=False, keep=99)
    assert start(backup) == whole  # keeping checkpoints changes nothing
    files = sorted((tmp_path / "all").glob("*.safetensors"))
    assert len(files) == 50
    for i, file in enumerate(files[:: 1 if name == "numpy" else 3]):  # a compilation each
        folder = tmp_path / str(i)
        folder.mkdir()
        shutil.copy(file, folder)
        assert start(BackupAndRestore(folder)) == whole, file.name
        assert not list(folder.glob("*.safetensors"))


def test_a_step_can_be_resumed_from_on_each_engine(engine: str, tmp_path: Path) -> None:
    whole = start(None)
    with pytest.raises(Killed):
        start(BackupAndRestore(tmp_path, save_freq=1), Cut(14, ["on_train_batch_begin"]))
    assert start(BackupAndRestore(tmp_path)) == whole


@pytest.mark.parametrize(
    ("save_freq", "settings"),
    [
        ("epoch", {}),
        (1, {}),
        (3, {}),
        (3, {"steps_per_epoch": 7}),
        (4, {"steps_per_epoch": 13, "shuffle": "batch"}),
        ("epoch", {"shuffle": False, "validation_freq": 2}),
        (5, {"sample_weight": WEIGHTS}),
        (5, {"class_weight": {0: 2.0, 1: 0.5}, "initial_epoch": 2, "epochs": 6}),
        (3, {"validation_split": 0.0, "validation_data": (X[:30], Y[:30], WEIGHTS[:30]), "validation_steps": 2}),
    ],
)
@pytest.mark.parametrize("every", [29, pytest.param(7, marks=pytest.mark.slow)])
def test_a_cut_in_any_hook(every: int, save_freq: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    counting = Cut()
    whole = start(None, counting, **settings)
    for number in range(1, counting.events + 1, every):
        folder = tmp_path / str(number)

        def attempt(folder: Path = folder, number: int = number) -> dict[str, Any]:
            first = not folder.exists()
            return start(BackupAndRestore(folder, save_freq), *([Cut(number)] if first else []), **settings)

        assert until_done(attempt) == (whole, 1), f"cut at event {number} of {counting.events}"


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_a_cut_in_any_hook_with_averages_in_the_model(swap_on_epoch: bool, tmp_path: Path) -> None:
    def averaged(backup: Callback | None, *others: Callback) -> dict[str, Any]:
        model = network(SGD(0.05, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=4))
        return start(backup, SwapEMAWeights(swap_on_epoch), *others, model=model, epochs=2)

    counting = Cut()
    whole = averaged(None, counting)
    for number in range(1, counting.events + 1, 5):
        folder = tmp_path / str(number)
        with pytest.raises(Killed):
            averaged(BackupAndRestore(folder, 3), Cut(number))
        assert averaged(BackupAndRestore(folder, 3)) == whole, f"cut at event {number} of {counting.events}"


def test_cut_again_and_again(tmp_path: Path) -> None:
    whole = start(None)
    done, cuts = until_done(lambda: start(BackupAndRestore(tmp_path, save_freq=2), Cut(20)))
    assert done == whole
    assert cuts == 10


def test_what_was_done_since_the_checkpoint_is_done_again(tmp_path: Path) -> None:
    steps: list[int] = []
    note = LambdaCallback(on_train_batch_begin=lambda batch, logs: steps.append(batch))
    with pytest.raises(Killed):
        start(BackupAndRestore(tmp_path), note, Cut(17, ["on_train_batch_end"]))
    start(BackupAndRestore(tmp_path), note)
    epoch = list(range(10))
    assert steps == [*epoch, *epoch[:7], *epoch * 4]


def test_the_same_model_goes_on_after_an_exception(tmp_path: Path) -> None:
    whole = start(None, ReduceLROnPlateau("loss", patience=0, min_delta=1.0))
    model = network()
    plateau = ReduceLROnPlateau("loss", patience=0, min_delta=1.0)
    with pytest.raises(Killed):
        start(BackupAndRestore(tmp_path), plateau, Cut(34, ["on_train_batch_end"]), model=model)
    again = ReduceLROnPlateau("loss", patience=0, min_delta=1.0)
    assert start(BackupAndRestore(tmp_path), again, model=model) == whole


def test_a_model_that_is_built_by_its_first_batch_goes_on(tmp_path: Path) -> None:
    def unbuilt() -> Sequential:
        random.set_seed(5)
        model = Sequential([Dense(4, activation="relu"), Dense(3, activation="softmax")])
        model.compile("adam", "crossentropy", metrics=["accuracy"])
        return model

    whole = start(None, model=unbuilt())
    model = unbuilt()
    with pytest.raises(Killed):
        start(BackupAndRestore(tmp_path, save_freq=4), Cut(17, ["on_train_batch_end"]), model=model)
    copy = shutil.copytree(tmp_path, tmp_path / "copy")
    assert start(BackupAndRestore(tmp_path), model=model) == whole
    assert start(BackupAndRestore(copy), model=unbuilt()) == whole


def test_a_stop_in_the_middle_of_an_epoch_is_not_forgotten(tmp_path: Path) -> None:
    def stop() -> Callback:
        listener = LambdaCallback()
        steps = itertools.count(1)

        def after_step(batch: int, logs: Any = None) -> None:
            if next(steps) == 16 and listener.model.optimizer.iterations == 16:
                listener.model.stop_training = True

        listener.on_train_batch_end = after_step  # type: ignore[method-assign]
        return listener

    whole = start(None, stop())
    with pytest.raises(Killed):
        start(BackupAndRestore(tmp_path, save_freq=4), stop(), Cut(5, ["on_test_batch_end"]))
    assert start(BackupAndRestore(tmp_path), stop()) == whole


def test_validation_that_is_cut_by_a_signal_begins_anew(tmp_path: Path) -> None:
    import signal

    class CountsTests(Callback):
        """Has a state that validation changes."""

        def __init__(self) -> None:
            self.batches = 0

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self.batches += 1

        def get_state(self) -> dict[str, Any]:
            return {"batches": self.batches}

        def set_state(self, state: dict[str, Any]) -> None:
            self.batches = state["batches"]

    counts = [CountsTests() for _ in range(3)]
    whole = start(None, counts[0])
    hook = iter(range(100))

    def terminate(*_: Any) -> None:
        if next(hook) == 4:  # the second epoch's second batch of validation
            signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        start(BackupAndRestore(tmp_path), counts[1], LambdaCallback(on_test_batch_begin=terminate))
    assert ended.value.code == 75
    assert signal.getsignal(signal.SIGTERM) is before
    assert start(BackupAndRestore(tmp_path), counts[2]) == whole
    assert counts[2].batches == counts[0].batches


# --- 5 epochs are 2 and 3 --------------------------------------------------------------------------------------------


def variant(kind: Any, **settings: Any) -> Callable[..., Any]:
    """A function that makes an optimizer with these settings and more."""
    return lambda **more: kind(**(settings | more))


OPTIMIZERS = {kind.__name__: variant(kind) for kind in optimizers.classes} | {
    "SGD, nesterov": variant(SGD, learning_rate=0.05, momentum=0.9, nesterov=True),
    "RMSprop, centered": variant(optimizers.RMSprop, momentum=0.5, centered=True),
    "Adam, amsgrad": variant(optimizers.Adam, amsgrad=True, clipnorm=0.1, weight_decay=0.01),
}
IMAGES = X.reshape(100, 2, 3, 1)


FEATURES: dict[str, dict[str, Any]] = {
    "dropout": {"hidden": lambda: [GaussianNoise(0.1), Dropout(0.3)]},
    "augmentation": {"hidden": lambda: [RandomTranslation(0.3, 0.3)]},
    "normalization": {"hidden": lambda: [GaussianNoise(0.1), BatchNormalization()]},
    "schedule": {"optimizer": lambda: {"learning_rate": CosineDecay(0.05, 40)}},
    "accumulation": {"optimizer": lambda: {"gradient_accumulation_steps": 3}},
    "averages": {"optimizer": lambda: {"use_ema": True, "ema_momentum": 0.9}},
    "averages put in": {
        "optimizer": lambda: {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 3},
        "callbacks": lambda folder: [SwapEMAWeights(swap_on_epoch=True)],
    },
    "early stopping": {
        "callbacks": lambda folder: [EarlyStopping("val_loss", patience=3, min_delta=9.0, restore_best_weights=True)]
    },
    "plateau": {
        "callbacks": lambda folder: [ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=0.1, cooldown=1)]
    },
    "logs": {"callbacks": lambda folder: [CSVLogger(folder / "log.csv"), RunLog(folder / "run", batch_freq=3)]},
}


def with_feature(optimizer: str, hidden: list[Any], optimizer_settings: dict[str, Any]) -> Sequential:
    """A network for IMAGES; of the hidden layers, the first is for images."""
    dense = [Flatten(), Dense(8, "tanh"), *hidden[1:], Dense(3, "softmax")]
    model = Sequential([Input((2, 3, 1)), *hidden[:1], *dense])
    loss = "sparse_categorical_crossentropy"
    model.compile(OPTIMIZERS[optimizer](**optimizer_settings), loss, metrics=["accuracy"])
    return model


def files(folder: Path) -> dict[str, bytes]:
    """The logs, without times and process numbers."""
    varying = rb'"(time|started|ended|process|resumed)": ([^,\]\[]+|\[[^\]]*\])'
    found = [p for p in sorted(folder.rglob("*")) if p.is_file() and "backup" not in p.parts]
    return {str(path.relative_to(folder)): re.sub(varying, b"", path.read_bytes()) for path in found}


def five_epochs_are_two_and_three(optimizer: str, feature: str, tmp_path: Path) -> None:
    parts = {"callbacks": lambda folder: [], "hidden": list, "optimizer": dict} | FEATURES[feature]

    def fit(place: str, *others: Callback, **more: Any) -> dict[str, Any]:
        folder = tmp_path / place
        folder.mkdir(exist_ok=True)
        random.set_seed(5)
        model = with_feature(optimizer, parts["hidden"](), parts["optimizer"]())
        listeners = [*parts["callbacks"](folder), *others]
        return outcome(model, model.fit(IMAGES, Y, callbacks=listeners, **{**SETTINGS, "batch_size": 16, **more}))

    def backup(place: str) -> BackupAndRestore:
        return BackupAndRestore(tmp_path / place / "backup", delete_checkpoint=False)

    whole = fit("whole")
    with pytest.raises(Killed):  # killed in the third epoch
        fit("killed", backup("killed"), Cut(13, ["on_train_batch_end"]))
    assert fit("killed", backup("killed")) == whole
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    fit("ended", backup("ended"), epochs=2)  # asked for two, and then for five
    assert fit("ended", backup("ended")) == whole


# Every optimizer with every feature; two of three pairs are slow tests.
PAIRS = [
    pytest.param(optimizer, feature, marks=[pytest.mark.slow] if (i + j) % 3 else [])
    for i, optimizer in enumerate(OPTIMIZERS)
    for j, feature in enumerate(FEATURES)
]


@pytest.mark.parametrize(("optimizer", "feature"), PAIRS)
def test_five_epochs_are_two_and_three(optimizer: str, feature: str, tmp_path: Path) -> None:
    five_epochs_are_two_and_three(optimizer, feature, tmp_path)


@pytest.mark.parametrize("feature", ["averages", "averages put in"])
def test_a_run_with_averages_goes_on_from_before_they_became_its_weights(
    feature: str, engine: str, tmp_path: Path
) -> None:
    five_epochs_are_two_and_three("Adam, amsgrad", feature, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("feature", ["dropout", "augmentation", "normalization", "accumulation", "early stopping"])
def test_five_epochs_are_two_and_three_when_compiled(feature: str, traced_engine: Any, tmp_path: Path) -> None:
    five_epochs_are_two_and_three("Adam, amsgrad", feature, tmp_path)


# --- a process of its own --------------------------------------------------------------------------------------------


SCRIPT = """
import sys
import numpy as np
from netchu import Sequential, engines, random, utils
from netchu.callbacks import BackupAndRestore, LambdaCallback
from netchu.layers import Dense, Dropout, Input
from small_nets import clusters, sha256_of

folder, seed, kill_at = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
utils.set_random_seed(seed)
random.next_stream() if seed else None                      # another number of streams given out, too
x, y = clusters(300, width=200)
model = Sequential([Input((200,)), Dense(300, "relu"), Dropout(0.2), Dense(3, "softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
steps = iter(range(1, 1000))
kill = LambdaCallback(on_train_batch_end=lambda batch, logs: sys.exit(9) if next(steps) == kill_at else None)
history = model.fit(x, y, 64, epochs=4, verbose=0, callbacks=[kill, BackupAndRestore(folder, save_freq=3)])
print(sha256_of(model.get_weights()), history.history["loss"], random.state(), engines.current().threads())
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_new_process_with_another_seed_folder_and_thread_count_goes_on(threads: str, tmp_path: Path) -> None:
    whole = run_python(SCRIPT, str(tmp_path / "whole"), "0", "0", OPENBLAS_NUM_THREADS=threads)
    with pytest.raises(AssertionError):  # exit code 9
        run_python(SCRIPT, str(tmp_path / "cut"), "0", "8", OPENBLAS_NUM_THREADS=threads)
    assert run_python(SCRIPT, str(tmp_path / "cut"), "77", "0", OPENBLAS_NUM_THREADS="1") == whole


# --- what is refused -------------------------------------------------------------------------------------------------


def other_model(loss: str, *hidden: Any) -> Sequential:
    model = Sequential([Input((6,)), *hidden, Dense(3, activation="softmax")])
    model.compile(SGD(0.05, momentum=0.9), loss, metrics=["accuracy"])
    return model


# The field, and arguments of a resumed `start` that differ in it.
CHANGES: dict[str, Callable[[], dict[str, Any]]] = {
    "model.layers": lambda: {"model": other_model("sparse_categorical_crossentropy", Dense(9))},
    "optimizer.class_name": lambda: {"model": network("adam")},
    "optimizer.config.momentum": lambda: {"model": network(SGD(0.05, momentum=0.8))},
    "optimizer.config.learning_rate": lambda: {"model": network(SGD(0.04, momentum=0.9))},
    "data.batch_size": lambda: {"batch_size": 16},
    "data.x": lambda: {"validation_split": 0.3},
    "data.sample_weight": lambda: {"sample_weight": WEIGHTS},
    "validation_data.x": lambda: {"validation_data": (X[70:90], Y[70:90])},
    "fit.shuffle": lambda: {"shuffle": False},
    "fit.steps_per_epoch": lambda: {"steps_per_epoch": 3},
    "fit.validation_freq": lambda: {"validation_freq": 2},
    "fit.initial_epoch": lambda: {"initial_epoch": 1},
}


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    """The folder of a run that was cut."""
    with pytest.raises(Killed):
        start(BackupAndRestore(tmp_path), EarlyStopping(patience=9), Cut(15, ["on_train_batch_end"]))
    return tmp_path


@pytest.mark.parametrize("change", CHANGES)
def test_another_setting_is_refused_by_its_name(change: str, cut: Path) -> None:
    before = {path.name: path.read_bytes() for path in cut.glob("*.safetensors")}
    with pytest.raises(CheckpointError, match=rf"the run began with, {re.escape(change)}\S*="):
        start(BackupAndRestore(cut), EarlyStopping(patience=9), **CHANGES[change]())
    assert {path.name: path.read_bytes() for path in cut.glob("*.safetensors")} == before


@pytest.mark.parametrize("callbacks", [[], [EarlyStopping(patience=9), ReduceLROnPlateau()], [ReduceLROnPlateau()]])
def test_other_callbacks_are_refused(callbacks: list[Callback], cut: Path) -> None:
    with pytest.raises(CheckpointError, match="began with, callbacks"):
        start(BackupAndRestore(cut), *callbacks)


def test_another_engine_is_refused(cut: Path) -> None:
    chosen("jax")
    with pytest.raises(CheckpointError, match=r"engine='numpy'\. Got: engine='jax'"):
        start(BackupAndRestore(cut), EarlyStopping(patience=9))


def test_one_sample_changed_is_other_data(cut: Path) -> None:
    x = X.copy()
    x[17, 3] = np.nextafter(x[17, 3], 9)
    with pytest.raises(CheckpointError, match=r"began with, data\.x="):
        network().fit(x, Y, callbacks=[BackupAndRestore(cut), EarlyStopping(patience=9)], **SETTINGS)


def test_batches_from_an_iterable_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected arrays x and y, whose order can be made again"):
        network().fit([(X, Y)], callbacks=[BackupAndRestore(tmp_path)], verbose=0)


def test_another_version_is_said_once(cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netchu.engines.numpy.engine.NumpyEngine.version", lambda self: "9.9")
    with pytest.warns(UserWarning, match=r"last bits may differ: version: \S+ then, 9.9 now") as said:
        start(BackupAndRestore(cut), EarlyStopping(patience=9))
    assert len(said) == 1


# --- endings ---------------------------------------------------------------------------------------------------------


def test_a_finished_run_that_is_kept_is_told_again(tmp_path: Path) -> None:
    def again(*others: Callback) -> dict[str, Any]:
        backup = BackupAndRestore(tmp_path, save_freq=7, delete_checkpoint=False)
        return start(backup, EarlyStopping("loss", patience=9, restore_best_weights=True), *others)

    finished, counting = again(), Cut(hooks=["on_train_batch_begin"])
    assert again(counting) == finished
    assert counting.events == 0


def test_nothing_is_left_of_a_finished_run(tmp_path: Path) -> None:
    start(BackupAndRestore(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} <= {"lock"}


@pytest.mark.skipif(not hasattr(signal, "SIGTERM") or os.name != "posix", reason="POSIX signals")
def test_no_signal_is_promised_a_resume_while_the_checkpoints_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers: list[Any] = []
    prune = CheckpointFolder.prune

    def watched(folder: CheckpointFolder, keep: int) -> None:
        handlers.append(signal.getsignal(signal.SIGTERM))
        prune(folder, keep)

    monkeypatch.setattr(CheckpointFolder, "prune", watched)
    x, y = clusters()
    model = Sequential([Input((x.shape[1],)), Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0, callbacks=[BackupAndRestore(tmp_path)])
    assert handlers == [signal.SIG_DFL]  # it would end the process with the run complete, not with exit code 75


def test_two_backups_are_refused(tmp_path: Path) -> None:
    x, y = clusters()
    model = Sequential([Input((x.shape[1],)), Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    backups = [BackupAndRestore(tmp_path / name) for name in ("one", "other")]
    with pytest.raises(UsageError, match=r"expected one BackupAndRestore\. Got: 2"):
        model.fit(x, y, verbose=0, callbacks=backups)
    assert not list(tmp_path.iterdir())


def test_a_weight_that_is_nan_is_not_saved(tmp_path: Path) -> None:
    def spoil(batch: int, logs: Any) -> None:
        if model.optimizer.iterations == 12:
            model.layers[-1].bias.assign(np.full(3, np.nan, "float32"))

    model = network()
    spoiler = LambdaCallback(on_train_batch_end=spoil)
    with pytest.raises(TrainingError, match=r"Epoch 2, step 2: expected finite weights to save. Got: .*bias"):
        start(BackupAndRestore(tmp_path, save_freq=2), spoiler, TerminateOnNaN(), model=model)
    assert [path.name for path in sorted(tmp_path.glob("*.safetensors"))][-1] == "checkpoint-000000010.safetensors"
    assert start(BackupAndRestore(tmp_path)) == start(None)


@pytest.mark.parametrize("what", ["folder", "disk"])
def test_a_save_that_fails_in_the_middle_ends_the_run_with_a_sentence(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "backup"

    def break_it(batch: int, logs: Any) -> None:
        if what == "folder" and model.optimizer.iterations == 15:
            shutil.rmtree(folder)
        if what == "disk" and model.optimizer.iterations == 15:
            monkeypatch.setattr(os, "fsync", full)

    def full(_: int) -> None:
        raise OSError(28, os.strerror(28))

    model = network()
    with pytest.raises(NetchuError, match=r"could not be saved: .*(ENOENT|ENOSPC)") as told:
        start(BackupAndRestore(folder, 10), LambdaCallback(on_train_batch_end=break_it), model=model)
    assert "checkpoint-000000020.safetensors" in str(told.value)
    monkeypatch.undo()
    assert start(BackupAndRestore(folder, 10)) == start(None)


def test_a_damaged_newest_gives_way_to_the_one_before(cut: Path, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        start(BackupAndRestore(cut, 2), EarlyStopping(patience=9), Cut(10, ["on_train_batch_end"]))
    newest = max(cut.glob("*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-1])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        resumed = start(BackupAndRestore(cut), EarlyStopping(patience=9))
    assert [newest.name in str(warning.message) for warning in said] == [True]
    assert resumed == start(None, EarlyStopping(patience=9))


def test_when_all_are_damaged_nothing_is_begun_anew(cut: Path) -> None:
    for path in cut.glob("*.safetensors"):
        path.write_bytes(b"\0" * 100)
    counting = Cut(hooks=["on_train_batch_begin"])
    with pytest.raises(CheckpointError, match=r"1 damaged: .* Train anew with another run folder"):
        start(BackupAndRestore(cut), EarlyStopping(patience=9), counting)
    assert counting.events == 0
