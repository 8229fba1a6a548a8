"""Ctrl-C: the batch is finished and fit returns; a second one, or one in the next fit's first batch, raises.

SIGTERM and SIGHUP: the same for a fit that keeps checkpoints, which ends with exit code 75.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from netchu.callbacks import BackupAndRestore, LambdaCallback
from netchu.system import signals
from netchu.system.signals import Interruption, Terminated
from small_nets import classifier, clusters, python_environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")

# A fit of 100 slow batches that says when each begins and ends; the handler is Python's own.
SLOW_FIT = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from small_nets import classifier, clusters
from netchu.callbacks import LambdaCallback

def slow(batch, logs=None):
    print("batch", batch, flush=True)
    time.sleep(0.4)

model = classifier()
history = model.fit(*clusters(100), batch_size=1, epochs=3, verbose=0, callbacks=[
    LambdaCallback(on_train_batch_begin=slow, on_train_batch_end=lambda batch, logs: print("done", batch, flush=True),
                   on_train_end=lambda logs=None: print("train_end", flush=True))])
print("interrupted", history.interrupted, len(history.epoch), list(history.history), int(model.optimizer.iterations))
print("restored", signal.getsignal(signal.SIGINT) is signal.default_int_handler, flush=True)
"""


@pytest.fixture(autouse=True)
def _no_interruption_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(signals, "_last_interruption", float("-inf"))
    monkeypatch.setattr(signals, "_interrupted_before", False)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Running:
    """SLOW_FIT in a process of its own, that can be told Ctrl-C."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SLOW_FIT],
            env=python_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, line: str) -> None:
        assert self.process.stdout
        for found in self.process.stdout:
            if found.strip() == line:
                return
        raise AssertionError(f"the program ended without {line!r}: {self.process.communicate()[1]}")

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def finish(self) -> tuple[int, list[str], str]:
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out.splitlines(), err


@pytest.fixture
def running() -> Iterator[Running]:
    started = Running()
    yield started
    started.process.kill()
    started.process.communicate()


def ctrl_c(*_: Any) -> None:
    signal.raise_signal(signal.SIGINT)


def fit_with(epochs: int = 3, **hooks: Any) -> Any:
    return classifier().fit(*clusters(40), batch_size=10, epochs=epochs, callbacks=[LambdaCallback(**hooks)], verbose=0)


def on_batch(number: int, action: Any = ctrl_c) -> Any:
    return lambda batch, logs=None: action() if batch == number else None


# --- a real program --------------------------------------------------------------------------------------------------


def test_one_ctrl_c_finishes_the_batch_and_returns(running: Running) -> None:
    running.wait_for("batch 2")
    running.interrupt()
    code, lines, errors = running.finish()
    assert code == 0, errors
    assert lines == [
        "done 2", "train_end", "interrupted True 1 ['accuracy', 'loss'] 3", "restored True",
    ]  # fmt: skip
    assert errors == ""


def test_second_ctrl_c_within_two_seconds_raises(running: Running) -> None:
    running.wait_for("batch 1")
    running.interrupt()
    time.sleep(0.1)
    running.interrupt()
    code, lines, errors = running.finish()
    assert "done 1" not in lines
    assert "KeyboardInterrupt" in errors
    assert code == -signal.SIGINT


# --- the rules, in this process --------------------------------------------------------------------------------------


def test_interrupted_fit_keeps_the_figures_so_far(engine: str) -> None:
    history = fit_with(on_train_batch_begin=on_batch(1))
    assert history.interrupted
    assert history.epoch == [0]
    assert list(history.history) == ["accuracy", "loss"]


def test_interrupted_epoch_is_not_validated() -> None:
    x, y = clusters(40)
    stop = LambdaCallback(on_train_batch_begin=on_batch(0))
    history = classifier().fit(x, y, epochs=2, validation_data=(x, y), callbacks=[stop], verbose=0)
    assert list(history.history) == ["accuracy", "loss"]


def test_ctrl_c_during_validation_ends_after_the_epoch() -> None:
    x, y = clusters(40)
    stop = LambdaCallback(on_test_begin=ctrl_c)
    history = classifier().fit(x, y, epochs=3, validation_data=(x, y), callbacks=[stop], verbose=0)
    assert history.interrupted
    assert history.epoch == [0]
    assert "val_loss" in history.history


def test_second_while_the_batch_still_runs_raises_however_late(monkeypatch: pytest.MonkeyPatch) -> None:
    def two_slow_ones() -> None:
        ctrl_c()
        monkeypatch.setattr(signals, "_last_interruption", time.monotonic() - 60)
        ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        fit_with(on_train_batch_begin=on_batch(1, two_slow_ones))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_one_in_the_first_batch_of_the_next_fit_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fit_with(on_train_batch_begin=on_batch(1)).interrupted
    monkeypatch.setattr(signals, "_last_interruption", time.monotonic() - 60)
    with pytest.raises(KeyboardInterrupt):
        fit_with(on_train_batch_begin=on_batch(0))


def test_one_in_a_later_batch_of_the_next_fit_ends_it_gently(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fit_with(on_train_batch_begin=on_batch(1)).interrupted
    monkeypatch.setattr(signals, "_last_interruption", time.monotonic() - 60)
    assert fit_with(on_train_batch_begin=on_batch(1)).interrupted


def test_one_in_the_first_batch_after_a_whole_fit_ends_it_gently(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fit_with(on_train_batch_begin=on_batch(1)).interrupted
    monkeypatch.setattr(signals, "_last_interruption", time.monotonic() - 60)
    assert not fit_with(epochs=1).interrupted
    assert fit_with(on_train_batch_begin=on_batch(0)).interrupted


def test_one_within_two_seconds_in_the_next_fit_raises() -> None:
    assert fit_with(on_train_batch_begin=on_batch(1)).interrupted
    with pytest.raises(KeyboardInterrupt):
        fit_with(on_train_batch_begin=on_batch(2))


@pytest.mark.parametrize("outcome", ["returns", "raises"])
def test_handler_is_restored(outcome: str) -> None:
    seen = []

    def look(*_: Any) -> None:
        seen.append(signal.getsignal(signal.SIGINT))
        if outcome == "raises":
            raise RuntimeError("mine")

    if outcome == "raises":
        with pytest.raises(RuntimeError, match="mine"):
            fit_with(on_train_batch_begin=look)
    else:
        fit_with(epochs=1, on_train_batch_begin=look)
    assert seen[0] is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handler_of_the_program_is_left_alone() -> None:
    calls: list[int] = []

    def own(number: int, frame: FrameType | None) -> None:
        calls.append(number)

    signal.signal(signal.SIGINT, own)
    history = fit_with(epochs=1, on_train_batch_begin=on_batch(0))
    assert calls == [signal.SIGINT]
    assert signal.getsignal(signal.SIGINT) is own
    assert not history.interrupted


def test_outside_the_main_thread_nothing_is_touched() -> None:
    seen: list[Any] = []

    def work() -> None:
        with Interruption():
            seen.append(signal.getsignal(signal.SIGINT))
        seen.append(fit_with(epochs=1).epoch)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler, [0]]


# --- a run that keeps checkpoints ------------------------------------------------------------------------------------


def resumable_fit(folder: Path, epochs: int = 3, **hooks: Any) -> Any:
    backup = BackupAndRestore(folder, delete_checkpoint=False)
    listeners = [LambdaCallback(**hooks), backup]
    return classifier().fit(*clusters(40), batch_size=10, epochs=epochs, callbacks=listeners, verbose=0)


@pytest.fixture(params=["SIGTERM", "SIGHUP"])
def ending(request: pytest.FixtureRequest) -> Iterator[int]:
    number = getattr(signal, request.param)
    before = signal.signal(number, signal.SIG_DFL)
    yield number
    signal.signal(number, before)


def test_asked_to_end_it_finishes_the_step_saves_and_exits_with_75(ending: int, tmp_path: Path) -> None:
    done: list[int] = []
    with pytest.raises(SystemExit) as ended:
        resumable_fit(
            tmp_path,
            on_train_batch_begin=on_batch(1, lambda: signal.raise_signal(ending)),
            on_train_batch_end=lambda batch, logs: done.append(batch),
        )
    assert ended.value.code == 75
    assert done == [0, 1]
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["checkpoint-000000002.safetensors"]
    assert signal.getsignal(ending) is signal.SIG_DFL


def test_asked_to_end_when_all_is_done_it_still_says_75_and_keeps_the_checkpoint(ending: int, tmp_path: Path) -> None:
    with pytest.raises(Terminated):
        resumable_fit(tmp_path, on_train_end=lambda logs: signal.raise_signal(ending))
    assert resumable_fit(tmp_path).epoch == [0, 1, 2]


def test_without_checkpoints_nobody_listens_for_the_end(ending: int) -> None:
    seen: list[Any] = []
    fit_with(epochs=1, on_train_begin=lambda logs: seen.append(signal.getsignal(ending)))
    assert seen == [signal.SIG_DFL]


def test_a_handler_of_the_program_for_the_end_is_left_alone(ending: int, tmp_path: Path) -> None:
    calls: list[int] = []

    def own(number: int, frame: FrameType | None) -> None:
        calls.append(number)

    signal.signal(ending, own)
    history = resumable_fit(tmp_path, on_train_batch_begin=on_batch(0, lambda: signal.raise_signal(ending)))
    assert calls == [ending] * 3
    assert history.epoch == [0, 1, 2]


def test_ctrl_c_keeps_what_can_be_resumed(tmp_path: Path) -> None:
    history = resumable_fit(tmp_path, on_train_batch_begin=on_batch(2))
    assert history.interrupted
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["checkpoint-000000003.safetensors"]
    assert resumable_fit(tmp_path).epoch == [0, 1, 2]
