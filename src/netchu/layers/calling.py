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
from netchu.tensor import Tensor


class _Thread(threading.local):
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
        names: its parameters without `self`; the first is the input.
        takes_training: whether `training` is one of them.
        default: that of `training`; None if there is none.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        parameters = inspect.signature(call).parameters
        self.names = list(parameters)[1:]
        self.takes_training = "training" in parameters
        given = parameters["training"].default if self.takes_training else None
        self.default: bool | None = None if given is inspect.Parameter.empty else given

    def arranged(self, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, bool | None, dict[str, Any]]:
        """The input, `training` if it was given, and the further arguments by name.

        Raises:
            TypeError: there is no input, or more arguments than parameters; in Python's words.
        """
        if len(inputs) == 1 and not named:
            return inputs[0], None, named
        if len(inputs) > len(self.names) or not (inputs or self.names[0] in named):
            raise TypeError(f"call({', '.join(self.names)}) was given {len(inputs)} arguments and {list(named)}")
        by_name = dict(zip(self.names, inputs)) | named
        x, training = by_name.pop(self.names[0]), by_name.pop("training", None)
        return x, training, {key: _as_tensor(value) for key, value in by_name.items()}

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


def build_once(build: Callable[..., None]) -> Callable[..., None]:
    """`build` of a class, which whoever calls it leaves a built layer behind and makes no weight twice.

    A layer that is built stays as it is; one whose `build` fails has no weights, so that another try may succeed.
    """

    @functools.wraps(build)
    def built_once(self: Any, *shapes: Any, **named: Any) -> None:
        if self._is_building:  # super().build()
            return build(self, *shapes, **named)
        if self.built:
            return None
        self._is_building = True
        before = len(self._own_weights)
        try:
            build(self, *shapes, **named)
        except BaseException:
            del self._own_weights[before:]
            raise
        finally:
            self._is_building = False
        self.built = True

    return built_once
