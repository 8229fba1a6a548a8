"""How a layer is called: its arguments, whether it trains, and what is noted while calls stand open in a thread.

Whether a call trains is decided as in Keras: by its own argument; if there is none, by the call around it; at the
outermost, by the default that `call` names; else it does not.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from netchu import ops
from netchu.engines.forks import after_fork
from netchu.tensor import Tensor


class _Thread(threading.local):
    building: tuple[object, ...] = ()  # the layers whose `build` is open
    frozen = 0  # how many of the layers whose calls are open, one within the other, are frozen
    training: bool | None = None  # whether the innermost open call trains; None outside of all calls


open_calls = _Thread()
"""What is open in this thread."""


class AddedLosses:
    """What `add_loss` was given in a thread's last call: each thread sees its own, traced ones above all."""

    __slots__ = ("_by_thread",)

    def __init__(self) -> None:
        self._by_thread: dict[int, list[Tensor]] = {}

    def add(self, loss: Tensor) -> None:
        """Keep a loss for this thread."""
        self._by_thread.setdefault(threading.get_ident(), []).append(loss)

    def mine(self) -> list[Tensor]:
        """Those of this thread."""
        return self._by_thread.get(threading.get_ident(), [])

    def forget(self) -> None:
        """Drop those of this thread."""
        self._by_thread.pop(threading.get_ident(), None)

    def __reduce__(self) -> tuple[type[AddedLosses], tuple[()]]:
        return AddedLosses, ()  # a layer that was copied or read has not been called


class CallSignature:
    """What a layer's `call` takes.

    Attributes:
        takes_training: whether `training` is one of its parameters.
        default: that of `training`; None if there is none.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        self._signature = inspect.Signature(list(inspect.signature(call).parameters.values())[1:])  # without `self`
        training = self._signature.parameters.get("training")
        self.takes_training = training is not None
        given = None if training is None else training.default
        self.default: bool | None = None if given is inspect.Parameter.empty else given

    def arranged(
        self, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[Any, tuple[Any, ...], dict[str, Any], bool | None]:
        """The input, the further arguments by place and by name, and `training`, None if it was not given.

        Raises:
            TypeError: they are not what `call` takes, or there is no input by place; in Python's words.
        """
        training = named.pop("training", None)
        if len(inputs) == 1 and not named:
            return inputs[0], (), named, training
        bound = self._signature.bind_partial(*inputs, **named)
        if self.takes_training and training is None:
            training = bound.arguments.pop("training", None)
        others = {key: _as_tensor(value) for key, value in bound.kwargs.items()}
        if not bound.args:
            raise TypeError("call() missing its input")
        x, *more = map(_as_tensor, bound.args)
        return x, tuple(more), others, training

    def decided(self, training: bool | None) -> bool | None:
        """Whether a call trains that was given `training`; see the module's text."""
        if training is None:
            training = open_calls.training
        return self.default if training is None else training


def _as_tensor(value: Any) -> Any:
    return ops.convert_to_tensor(value) if isinstance(value, np.ndarray) else value


def each_tensor(x: Any, function: Callable[[Any], Any]) -> Any:
    """`function` of an array, or of each in a list, a tuple or a dictionary of them."""
    if isinstance(x, (list, tuple)) and any(isinstance(part, (Tensor, np.ndarray)) for part in x):
        return [function(part) for part in x]
    if isinstance(x, dict):
        return {key: function(part) for key, part in x.items()}
    return function(x)


_one_builder = threading.RLock()
"""Held while a layer is built, so that two threads that call a new layer make one set of weights."""


def _unlock() -> None:
    """In a forked child, where whoever was building is not there to finish it."""
    global _one_builder
    _one_builder = threading.RLock()


after_fork(_unlock)


def build_once(build: Callable[..., None]) -> Callable[..., None]:
    """`build` of a class, which whoever calls it leaves a built layer behind and makes no weight twice.

    A layer that is built stays as it is; one whose `build` fails has no weights, so that another try may succeed.
    """

    @functools.wraps(build)
    def built_once(self: Any, *shapes: Any, **named: Any) -> None:
        outer = open_calls.building
        if any(layer is self for layer in outer):  # super().build()
            return build(self, *shapes, **named)
        with _one_builder:
            if self.built:
                return None
            before = len(self._own_weights)
            open_calls.building = (*outer, self)
            try:
                build(self, *shapes, **named)
            except BaseException:
                del self._own_weights[before:]
                raise
            finally:
                open_calls.building = outer
            self.built = True

    return built_once
