"""The hooks of the training loop, the list that hands them on, and the two plainest callbacks.

    class Stop(callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if logs["accuracy"] > 0.99:
                self.model.stop_training = True

The order is: the user's, then History, then the progress line; a callback may add to `logs`, and those after it see it.
Batches and epochs count from 0.

Steps are made several at a time.  With a callback that has batch hooks each step is made alone, and it is called before
and after it, as in Keras.  A callback that does not need every batch says so with `next_batch`; training stays fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from netchu.errors import UsageError
from netchu.registry import is_netchus

Logs: TypeAlias = dict[str, Any]
"""The figures that a hook is given, by name."""

State: TypeAlias = dict[str, Any]
"""What a callback keeps for a run that goes on later; see `Callback.get_state`."""

BATCH_HOOKS = {"on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end"}


class Callback:
    """Base: every hook does nothing.

    Attributes:
        model: the model in training.
        params: `{"verbose", "epochs", "steps"}`.
    """

    model: Any = None
    params: dict[str, Any]

    def set_model(self, model: Any) -> None:
        """Called first, with the model."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called first, with the parameters of the run."""
        self.params = params

    def get_state(self) -> State:
        """What a checkpoint keeps of this callback: JSON values and NumPy arrays, in dictionaries and lists.

        A callback whose decisions or files depend on earlier epochs gives here all that `set_state` needs to go on
        exactly from there.
        """
        return {}

    def set_state(self, state: State) -> None:
        """Go on from what `get_state` gave; called after `on_train_begin`, on a callback made with equal arguments."""

    def foresee(self, figures: frozenset[str]) -> None:
        """Called before `on_train_begin`, where the names are known that `logs` will have at the end of an epoch.

        Whatever would fail then for want of a figure is refused here.
        """

    def next_batch(self, batch: int) -> float:
        """The first training batch, from number `batch` on, that this callback must be called for; infinity for none.

        The loop makes no step beyond it in the same go.  Of the batches that it goes through together,
        `on_train_batch_begin` gets the first number, `on_train_batch_end` the last.  A class or an object that defines
        batch hooks of its own is called for each batch, unless it defines `next_batch` together with them:

            def next_batch(self, batch):
                return -(-batch // 100) * 100       # batches 0, 100, 200, ...
        """
        return math.inf

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch of `fit`."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch of `fit`, also of an interrupted one."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation; `logs` holds loss, metrics and their `val_` forms."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step; `logs` holds the means of the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_end`."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before `evaluate`, validation included."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After `evaluate`."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `evaluate`."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `evaluate`."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before `predict`."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After `predict`."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `predict`."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))
"""Every hook of the training loop, by name."""


def _is_called_for_each(callback: Callback) -> bool:
    """Whether it has a batch hook that no `next_batch` beside it, or derived from it, speaks for."""
    kinds = type(callback).__mro__
    speaks = next(kind for kind in kinds if "next_batch" in vars(kind))
    for hook in BATCH_HOOKS:
        owner = next(kind for kind in kinds if hook in vars(kind))
        if hook in vars(callback) or (owner is not Callback and not issubclass(speaks, owner)):
            return True
    return False


def _is_users(callback: Callback) -> bool:
    """Whether it is, or calls, a user's code."""
    return isinstance(callback, LambdaCallback) or not is_netchus(callback)


def listed(callbacks: object) -> list[Any]:
    """What a user gave as `callbacks`, None, one or several, as a list; UsageError for anything else."""
    if callbacks is None or isinstance(callbacks, Callback):
        return [] if callbacks is None else [callbacks]
    if (
        isinstance(callbacks, (str, bytes, Mapping))
        or not isinstance(callbacks, Iterable)
        or isinstance(callbacks, type)
    ):
        name = callbacks.__name__ if isinstance(callbacks, type) else "EarlyStopping"
        raise UsageError(
            "callbacks",
            expected="objects of netchu.callbacks.Callback",
            got=f"callbacks={callbacks!r:.80}",
            do=f"Pass an object in a list: callbacks=[{name}()].",
        )
    return list(callbacks)


class CallbackList(Callback):
    """Hands every hook on to a list of callbacks, in order; each hook gets one copy of `logs`, which they share.

    As in Keras, a callback is always given a dictionary, an empty one where there are no figures.

    Attributes:
        callbacks: the list.
        may_change_data: whether a user's code is among them, which may write into the arrays that are trained on.
    """

    def __init__(self, callbacks: Sequence[Callback], model: Any, params: dict[str, Any]) -> None:
        self.callbacks = listed(callbacks)
        self.model = model
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise UsageError(
                    "callbacks",
                    expected="objects of netchu.callbacks.Callback",
                    got=f"{callback!r:.80}",
                    do="Derive the class from Callback, and pass an object of it.",
                )
            callback.set_model(model)
            callback.set_params(params)
        self._for_each = any(map(_is_called_for_each, self.callbacks))
        self.may_change_data = any(map(_is_users, self.callbacks))

    def foresee(self, figures: frozenset[str]) -> None:
        """See `Callback`; nothing is known where a user's code may add figures of its own."""
        if not self.may_change_data and is_netchus(self.model):
            for callback in self.callbacks:
                callback.foresee(figures)

    def next_batch(self, batch: int) -> float:
        """The first batch, from number `batch` on, that one of the callbacks must be called for."""
        if self._for_each or any(BATCH_HOOKS & vars(callback).keys() for callback in self.callbacks):
            return batch
        return min((callback.next_batch(batch) for callback in self.callbacks), default=math.inf)

    def call_each(self, hook: str, logs: Logs | None, *number: int) -> None:
        """Call the hook of that name of every callback, with the number of the epoch or batch if it has one."""
        shared = dict(logs) if logs else {}
        for callback in self.callbacks:
            getattr(callback, hook)(*number, shared)

    def __getattr__(self, name: str) -> Callable[..., None]:
        """A hook that `Callback` does not have: a user's own loop may call it, if each of the callbacks has it."""
        if not name.startswith("on_"):
            raise AttributeError(f"'CallbackList' object has no attribute {name!r}")

        def each(*arguments: Any) -> None:
            has_logs = bool(arguments) and (arguments[-1] is None or isinstance(arguments[-1], Mapping))
            number = arguments[:-1] if has_logs else arguments
            self.call_each(name, arguments[-1] if has_logs else None, *number)

        return each

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch of `fit`."""
        self.call_each("on_train_begin", logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch of `fit`."""
        self.call_each("on_train_end", logs)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""
        self.call_each("on_epoch_begin", logs, epoch)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation."""
        self.call_each("on_epoch_end", logs, epoch)

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training step."""
        self.call_each("on_train_batch_begin", logs, batch)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training step."""
        self.call_each("on_train_batch_end", logs, batch)

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_begin`."""
        self.call_each("on_batch_begin", logs, batch)

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The older name of `on_train_batch_end`."""
        self.call_each("on_batch_end", logs, batch)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before `evaluate`."""
        self.call_each("on_test_begin", logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After `evaluate`."""
        self.call_each("on_test_end", logs)

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `evaluate`."""
        self.call_each("on_test_batch_begin", logs, batch)

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `evaluate`."""
        self.call_each("on_test_batch_end", logs, batch)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before `predict`."""
        self.call_each("on_predict_begin", logs)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After `predict`."""
        self.call_each("on_predict_end", logs)

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `predict`."""
        self.call_each("on_predict_batch_begin", logs, batch)

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `predict`."""
        self.call_each("on_predict_batch_end", logs, batch)


class History(Callback):
    """What `fit` returns: the figures of every epoch.

    Attributes:
        history: name -> one number for each epoch, names in alphabetical order, e.g. `history["val_accuracy"][-1]`.
        epoch: the epochs that ran.
        interrupted: whether Ctrl-C ended the training.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.interrupted = False

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Keep the epoch's figures."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def get_state(self) -> State:
        """The figures and epochs so far."""
        return {"history": {name: list(values) for name, values in self.history.items()}, "epoch": list(self.epoch)}

    def set_state(self, state: State) -> None:
        """Take over the epochs before the cut."""
        self.history = {name: list(values) for name, values in state["history"].items()}
        self.epoch = list(state["epoch"])

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items())
        return f"<History of {len(self.epoch)} epochs: {last}>"


class LambdaCallback(Callback):
    """Hooks given as functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs))`.

    Args:
        on_epoch_begin: function `(epoch, logs)`.
        on_epoch_end: function `(epoch, logs)`.
        on_train_begin: function `(logs)`.
        on_train_end: function `(logs)`.
        on_train_batch_begin: function `(batch, logs)`.
        on_train_batch_end: function `(batch, logs)`.
        **kwargs: any other hook of `Callback` by its name.

    Raises:
        UsageError: a name that is no hook.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Callable[..., Any] | None,
    ) -> None:
        hooks = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
            **kwargs,
        }
        for name, function in hooks.items():
            if name not in HOOKS:
                raise UsageError("LambdaCallback", expected=f"hooks among {sorted(HOOKS)}", got=f"{name}=...")
            if function is not None:
                setattr(self, name, function)
