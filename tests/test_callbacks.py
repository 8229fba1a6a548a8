"""Callbacks: every hook, in Keras's order, with the figures that Keras hands over; stopping; NaN."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netchu import callbacks, optimizers
from netchu.callbacks import Callback, CallbackList, History, LambdaCallback, TerminateOnNaN
from netchu.callbacks.progress import ProgressLine
from netchu.errors import TrainingError, UsageError
from small_nets import classifier, clusters

HOOKS = [name for name in dir(Callback) if name.startswith("on_")]

FIT_WITH_VALIDATION = """
train_begin
  epoch_begin 0
    train_batch_begin 0
    train_batch_end 0 accuracy,loss
    train_batch_begin 1
    train_batch_end 1 accuracy,loss
    test_begin
      test_batch_begin 0
      test_batch_end 0 accuracy,loss
    test_end accuracy,loss
  epoch_end 0 accuracy,loss,val_accuracy,val_loss
  epoch_begin 1
    train_batch_begin 0
    train_batch_end 0 accuracy,loss
    train_batch_begin 1
    train_batch_end 1 accuracy,loss
  epoch_end 1 accuracy,loss
train_end accuracy,loss
"""
EVALUATE = ["test_begin", "test_batch_begin", "0", "test_batch_end", "0", "accuracy,loss", "test_end", "accuracy,loss"]
PREDICT = ["predict_begin", "predict_batch_begin", "0", "predict_batch_end", "0", "outputs", "predict_end"]


class Trace(Callback):
    """Writes down every hook with its number and the names of its figures."""

    def __init__(self) -> None:
        self.words: list[str] = []
        for hook in HOOKS:
            if hook not in ("on_batch_begin", "on_batch_end"):  # the older names, called by the newer hooks
                setattr(self, hook, lambda *arguments, hook=hook: self.note(hook[3:], *arguments))

    def note(self, hook: str, *arguments: Any) -> None:
        logs = arguments[-1] if arguments and isinstance(arguments[-1], dict) else {}
        self.words += [hook, *(str(a) for a in arguments if isinstance(a, int)), *([",".join(logs)] if logs else [])]


class Calls(Callback):
    """Writes its name and the hook into a shared list."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name, self.calls = name, calls

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.calls.append(f"{self.name} sees {','.join(logs or {})}")
        (logs or {})[self.name] = 1.0


def test_every_hook_of_a_fit_with_validation_in_order(engine: str) -> None:
    x, y = clusters(20)
    trace = Trace()
    classifier().fit(
        x, y, batch_size=10, epochs=2, validation_data=(x[:6], y[:6]), validation_freq=[1], callbacks=[trace], verbose=0
    )
    assert trace.words == FIT_WITH_VALIDATION.split()


def test_hooks_of_evaluate_and_predict() -> None:
    x, y = clusters(6)
    trace, model = Trace(), classifier()
    model.evaluate(x, y, callbacks=[trace], verbose=0)
    assert trace.words == EVALUATE
    trace.words.clear()
    model.predict(x, callbacks=[trace], verbose=0)
    assert trace.words == PREDICT


def test_older_names_of_the_batch_hooks_are_called() -> None:
    steps: list[tuple[str, int]] = []
    older = LambdaCallback(
        on_batch_begin=lambda batch, logs: steps.append(("begin", batch)),
        on_batch_end=lambda batch, logs: steps.append(("end", batch)),
    )
    classifier().fit(*clusters(20), batch_size=10, callbacks=[older], verbose=0)
    assert steps == [("begin", 0), ("end", 0), ("begin", 1), ("end", 1)]


def test_user_callbacks_then_history_then_progress(capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[str] = []
    model = classifier()
    history = model.fit(*clusters(20), callbacks=[Calls("b", calls), Calls("a", calls)], verbose=2)
    assert calls == ["b sees accuracy,loss", "a sees accuracy,loss,b"]
    assert list(history.history) == ["accuracy", "loss", "b", "a"]
    assert capsys.readouterr().out.rstrip().endswith(" - b: 1.0000 - a: 1.0000")


def test_model_and_params_are_set_first() -> None:
    seen: dict[str, Any] = {}
    look = LambdaCallback(on_train_begin=lambda logs=None: seen.update(model=look.model, params=look.params))
    model = classifier()
    history = model.fit(*clusters(25), batch_size=10, epochs=2, callbacks=[look], verbose=0)
    assert seen == {"model": model, "params": {"verbose": 0, "epochs": 2, "steps": 3}}
    assert history.params == seen["params"]


def test_one_callback_needs_no_list() -> None:
    trace = Trace()
    classifier().fit(*clusters(10), callbacks=trace, verbose=0)
    assert trace.words[0] == "train_begin"


def test_history_is_what_fit_returns_and_model_keeps() -> None:
    model = classifier()
    history = model.fit(*clusters(20), epochs=3, verbose=0)
    assert isinstance(history, History)
    assert model.history is history
    assert history.epoch == [0, 1, 2]
    assert {name: len(values) for name, values in history.history.items()} == {"accuracy": 3, "loss": 3}
    assert all(type(value) is float for values in history.history.values() for value in values)
    assert history.interrupted is False
    assert repr(history).startswith("<History of 3 epochs: accuracy=")


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_epoch_end", "on_epoch_begin", "on_train_batch_begin"])
def test_stop_training_is_honoured_after_the_batch(hook: str) -> None:
    trace, model = Trace(), classifier()

    def stop(*_: Any) -> None:
        model.stop_training = True

    model.fit(*clusters(40), batch_size=10, epochs=5, callbacks=[trace, LambdaCallback(**{hook: stop})], verbose=0)
    batches = sum(word == "train_batch_end" for word in trace.words)
    assert batches == (4 if hook == "on_epoch_end" else 1)
    assert sum(word == "epoch_end" for word in trace.words) == 1
    assert trace.words[-2] == "train_end"


def test_stop_training_does_not_last_into_the_next_fit() -> None:
    model = classifier()
    model.stop_training = True
    assert model.fit(*clusters(40), epochs=2, verbose=0).epoch == [0, 1]


def test_callback_changes_the_learning_rate_of_a_compiled_step(engine: str) -> None:
    def freeze(epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            model.optimizer.learning_rate = 0.0

    model = classifier(optimizer=optimizers.SGD(0.1))
    losses = model.fit(
        *clusters(40),
        epochs=4,
        shuffle=False,
        batch_size=40,
        callbacks=[LambdaCallback(on_epoch_begin=freeze)],
        verbose=0,
    ).history["loss"]
    assert losses[0] > losses[1] == losses[2] == losses[3]


def test_exception_in_a_callback_reaches_the_caller() -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        classifier().fit(*clusters(10), callbacks=[LambdaCallback(on_train_batch_end=fail)], verbose=0)


@pytest.mark.parametrize("wrong", [print, Trace, "early stopping", None, 3], ids=str)
def test_what_is_no_callback_is_refused(wrong: Any) -> None:
    model = classifier()
    before = model.get_weights()
    with pytest.raises(UsageError, match=r"callbacks: expected objects of netchu\.callbacks\.Callback"):
        model.fit(*clusters(10), callbacks=[wrong], verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_lambda_callback_refuses_a_name_that_is_no_hook() -> None:
    with pytest.raises(UsageError, match=r"LambdaCallback: expected hooks among .*'on_epoch_end'.* Got: on_epoch_stop"):
        LambdaCallback(on_epoch_stop=print)


def test_a_progress_line_of_the_users_takes_the_place_of_fits(capsys: pytest.CaptureFixture[str]) -> None:
    classifier().fit(*clusters(10), callbacks=[ProgressLine(0)], verbose=1)
    assert capsys.readouterr().out == ""


# --- TerminateOnNaN --------------------------------------------------------------------------------------------------


def diverging() -> Any:
    return classifier(optimizer=optimizers.SGD(1e30), loss="mean_squared_error", metrics=None)


def targets(n: int) -> tuple[np.ndarray, np.ndarray]:
    x, _ = clusters(n)
    return x, np.full((n, 3), 1e20, "float32")


def test_terminate_on_nan_stops_with_keras_words(engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    history = diverging().fit(*targets(40), batch_size=10, epochs=3, callbacks=[TerminateOnNaN()], verbose=0)
    assert capsys.readouterr().out == "Batch 0: Invalid loss, terminating training\n"
    assert history.epoch == [0]
    assert not np.isfinite(history.history["loss"][0])


def test_terminate_on_nan_may_raise(engine: str) -> None:
    with pytest.raises(TrainingError, match=r"NaN or Inf loss encountered at batch 0: expected .* Got: loss=inf"):
        diverging().fit(*targets(40), batch_size=10, callbacks=[TerminateOnNaN(raise_error=True)], verbose=0)


def test_without_it_the_loss_is_an_error(engine: str) -> None:
    with pytest.raises(TrainingError, match="Epoch 1, step 0: expected a finite loss"):
        diverging().fit(*targets(40), batch_size=10, epochs=3, verbose=0)


# --- state, and what every hook is given -----------------------------------------------------------------------------


def test_every_hook_gets_a_dictionary_as_in_keras() -> None:
    seen: list[Any] = []
    hooks = {hook: lambda *arguments: seen.append(arguments[-1]) for hook in HOOKS}
    model, (x, y) = classifier(), clusters(10)
    model.fit(x, y, validation_data=(x, y), callbacks=[LambdaCallback(**hooks)], verbose=0)
    model.predict(x, callbacks=[LambdaCallback(**hooks)], verbose=0)
    assert len(seen) == 14  # the newer names of the batch hooks are given, so the older two are not called
    assert all(type(logs) is dict for logs in seen)


def test_what_a_callback_adds_is_gone_at_the_end_of_training_as_in_keras() -> None:
    at_the_end: dict[str, Any] = {}
    look = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(mine=1.0), on_train_end=at_the_end.update)
    history = classifier().fit(*clusters(10), callbacks=[look], verbose=0)
    assert list(history.history) == ["accuracy", "loss", "mine"]
    assert list(at_the_end) == ["accuracy", "loss"]


def test_lambda_callback_takes_keras_arguments_in_keras_order() -> None:
    calls: list[str] = []
    noted = [lambda *_, name=name: calls.append(name) for name in ("1", "2", "3", "4", "5", "6")]
    classifier().fit(*clusters(10), callbacks=[LambdaCallback(*noted)], verbose=0)
    assert calls == ["3", "1", "5", "6", "2", "4"]


def test_a_plain_callback_has_no_state() -> None:
    plain = Callback()
    assert plain.get_state() == {}
    plain.set_state({})


def test_public_names() -> None:
    assert sorted(callbacks.__all__) == callbacks.__all__
    for name in callbacks.__all__:
        assert hasattr(callbacks, name)
    for name in ("Callback", "CallbackList", "History", "LambdaCallback", "TerminateOnNaN"):
        assert isinstance(getattr(callbacks, name), type)


# --- CallbackList ----------------------------------------------------------------------------------------------------


class Seen(Callback):
    """Keeps what a hook of its own and each of Keras's are given."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def on_pause(self, *arguments: Any) -> None:
        self.seen.append(arguments)


for _hook in HOOKS:
    setattr(Seen, _hook, lambda self, *arguments, hook=_hook: self.seen.append((hook, *arguments)))


@pytest.mark.parametrize("hook", HOOKS)
def test_a_list_hands_every_hook_on_with_one_copy_of_logs(hook: str) -> None:
    first, second = Seen(), Seen()
    both = CallbackList([first, second], model=None, params={})
    number = (7,) if "epoch" in hook or "batch" in hook else ()
    logs = {"loss": 0.5}
    getattr(both, hook)(*number, logs)
    getattr(both, hook)(*number)
    getattr(both, hook)(*number, logs=logs)
    assert first.seen == second.seen == [(hook, *number, logs), (hook, *number, {}), (hook, *number, logs)]
    assert first.seen[0][-1] is second.seen[0][-1]
    assert first.seen[0][-1] is not logs


def test_a_list_defines_every_hook_that_a_callback_has() -> None:
    assert set(HOOKS) == {name for name in vars(CallbackList) if name.startswith("on_")}
    assert len(HOOKS) == 16


def test_a_list_hands_on_a_hook_that_its_callbacks_invented() -> None:
    first, second = Seen(), Seen()
    both = CallbackList([first, second], model=None, params={})
    both.on_pause(3, {"loss": 0.5})
    both.on_pause()
    both.on_pause(None)
    assert first.seen == second.seen == [(3, {"loss": 0.5}), ({},), ({},)]
    with pytest.raises(AttributeError, match="on_resume"):
        both.on_resume()
    with pytest.raises(AttributeError, match="pause"):
        both.pause  # noqa: B018
