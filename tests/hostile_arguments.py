"""Calls of every public function and class, each with one argument that nobody means and the others right.

    for call in CALLS: for name in call.arguments: for value in HOSTILE: outcome(call, name, value)

An argument is told by its name: what is right for `units` or `rate` stands in RIGHT, what is right for one call only in
its own table.  Nothing here computes with large numbers: what would take much memory is refused or only kept.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import numpy as np

import netchu
from netchu import (
    activations,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    ops,
    optimizers,
    regularizers,
    utils,
)
from netchu.errors import NetchuError
from netchu.models import load_model
from small_nets import classifier, clusters

HOSTILE: dict[str, Any] = {
    "None": None, "''": "", "a word": "no such name", "-1": -1, "0": 0, "1.5": 1.5, "nan": math.nan, "inf": math.inf,
    "10**30": 10**30, "1e300": 1e300, "True": True, "[]": [], "{}": {}, "an object": object(), "a class": dict,
    "a function": lambda *_: None, "bytes": b"ab", "[None]": [None], "complex": 1j, "a text array": np.array(["a"]),
}  # fmt: skip

X, Y = clusters(12)
IMAGES = np.zeros((2, 6, 6, 2), "float32")
ONE_HOT = np.eye(3, dtype="float32")[Y]
KERNEL = np.zeros((2, 2, 2, 3), "float32")
MATRIX = np.arange(12, dtype="float32").reshape(3, 4)

RIGHT: dict[str, Any] = {
    "units": 3, "filters": 2, "kernel_size": 2, "pool_size": 2, "rate": 0.1, "stddev": 0.1, "height_factor": 0.1,
    "width_factor": 0.1, "factor": 0.1, "scale": 2.0, "target_shape": (4,), "dims": (1,), "shape": (4,),
    "activation": "relu", "x": MATRIX, "x1": MATRIX, "x2": MATRIX, "y_true": ONE_HOT, "y_pred": ONE_HOT,
    "target": ONE_HOT, "output": ONE_HOT, "condition": MATRIX > 1, "indices": np.array([0, 1]), "axis": 0,
    "learning_rate": 0.1, "initial_learning_rate": 0.1, "maximum_learning_rate": 0.1, "total_steps": 10,
    "first_decay_steps": 10,
    "decay_steps": 10, "decay_rate": 0.5, "boundaries": [10], "values": [0.1, 0.2], "filepath": "a.keras",
    "filename": "a.csv", "folder": "run", "backup_dir": "backup", "schedule": lambda epoch: 0.1, "num_classes": 3,
    "fn": losses.mean_squared_error, "seed": 1, "value": [1.0], "name": "word", "key": 0, "k": 1, "newshape": (4, 3),
    "axes": (1, 0), "dtype": "float32", "inputs": MATRIX, "kernel": np.zeros((2, 2, 2, 3), "float32"),
    "layer": layers.Dense(2), "loss": "sparse_categorical_crossentropy", "y": Y, "input_shape": (None, 6),
    "weights": classifier().get_weights(), "start": 0, "fill_value": 1.0, "xs": [MATRIX, MATRIX], "images": IMAGES,
    "transforms": np.zeros((2, 8), "float32"), "targets": np.array([0, 1, 2]), "predictions": ONE_HOT,
    "pad_width": ((1, 1), (0, 0)), "x_min": 0.0, "x_max": 1.0, "repeats": 2, "shift": 1, "a": MATRIX, "b": MATRIX,
}  # fmt: skip


HANDED_ON_ITSELF = {("layers.ActivityRegularization", "activity_regularizer")}
"""What a base class takes and the class itself gives: Python says so."""


@dataclass
class Call:
    """A public function or class, and what is right for its arguments.

    Attributes:
        name: as messages and tests show it.
        make: gives what is called, anew.
        right: arguments by name, those that it needs at least.
        arguments: the names that hostile values are given for.
    """

    name: str
    make: Callable[[], Callable[..., Any]]
    right: dict[str, Any] = field(default_factory=dict)
    arguments: list[str] = field(default_factory=list)


def parameters_of(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters by name; of a class also those that its constructors hand on."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    makers = [c.__init__ for c in function.__mro__ if "__init__" in vars(c)][:-1] if isinstance(function, type) else []
    found: dict[str, inspect.Parameter] = {}
    for maker in makers or [function]:
        signature = inspect.signature(maker).parameters
        found = {name: p for name, p in signature.items() if p.kind in kinds and name != "self"} | found
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature.values()):
            break
    return found


def call_of(where: str, function: Callable[..., Any], make: Callable[[], Any] | None = None, /, **right: Any) -> Call:
    """A call of `function`; `right` adds to RIGHT."""
    parameters = parameters_of(function)
    needed = {
        key: right.get(key, RIGHT.get(key)) for key, p in parameters.items() if p.default is p.empty or key in right
    }
    names = [name for name in parameters if (where, name) not in HANDED_ON_ITSELF]
    return Call(where, make or (lambda: function), needed, names)


def of_room(room: Any, base: type | None) -> Iterator[Call]:
    """The calls of a module's public names: of the classes under `base`, or of the functions."""
    for name in room.__all__:
        thing = getattr(room, name)
        where = f"{room.__name__.partition('.')[2]}.{name}"
        if (base is None and inspect.isfunction(thing)) or (
            base is not None and isinstance(thing, type) and issubclass(thing, base) and thing.__name__ == name
        ):
            yield call_of(where, thing, **OWN.get(where, {}))


def method(name: str, /, **right: Any) -> Call:
    """A method of a compiled model of its own."""
    parameters = parameters_of(getattr(netchu.Sequential, name))
    right = {"verbose": 0, **right} if "verbose" in parameters else right
    return call_of(f"Sequential.{name}", getattr(netchu.Sequential, name), lambda: getattr(classifier(), name), **right)


POOLED: dict[str, Any] = {"inputs": IMAGES, "pool_size": 2}
OWN: dict[str, dict[str, Any]] = {
    "losses.sparse_categorical_crossentropy": {"y_true": Y}, "ops.sparse_categorical_crossentropy": {"target": Y},
    "callbacks.CallbackList": {"callbacks": [], "model": None, "params": {}},
    "metrics.MeanMetricWrapper": {"fn": losses.mean_squared_error, "name": "m"}, "ops.average_pool": POOLED,
    "ops.max_pool": POOLED, "ops.conv": {"inputs": IMAGES, "kernel": KERNEL},
    "ops.depthwise_conv": {"inputs": IMAGES, "kernel": KERNEL},
    "losses.reduce": {"losses": netchu.Tensor(ONE_HOT), "reduction": "sum"},
}  # fmt: skip

CALLS = [
    *of_room(layers, layers.Layer), *of_room(losses, losses.Loss), *of_room(metrics, metrics.Metric),
    *of_room(initializers, initializers.Initializer), *of_room(regularizers, regularizers.Regularizer),
    *of_room(constraints, constraints.Constraint), *of_room(optimizers, optimizers.Optimizer),
    *of_room(optimizers.schedules, optimizers.schedules.LearningRateSchedule),
    *of_room(callbacks, callbacks.Callback), *of_room(losses, None), *of_room(activations, None), *of_room(ops, None),
    call_of("utils.set_random_seed", utils.set_random_seed),
    call_of("utils.to_categorical", utils.to_categorical, x=Y),
    call_of("set_engine", netchu.set_engine, name="numpy"), call_of("Input", netchu.Input),
    call_of("load_model", load_model, filepath="there.keras"), call_of("Tensor", netchu.Tensor),
    call_of("Sequential", netchu.Sequential, layers=[]), call_of("Variable", netchu.Variable),
    method("compile"), method("fit", x=X, y=Y), method("evaluate", x=X, y=Y), method("predict", x=X),
    method("train_on_batch", x=X, y=Y), method("test_on_batch", x=X, y=Y), method("predict_on_batch", x=X),
    method("add"), method("get_layer", name="dense"), method("build"), method("set_weights"),
    method("summary", print_fn=print), method("save", filepath="m.keras"), method("export", filepath="m.onnx"),
    method("save_weights", filepath="m.weights.h5"), method("load_weights", filepath="there.weights.h5"),
    method("compute_output_shape"), method("from_config", config=classifier().get_config()),
    method("add_weight", shape=(2,)), method("add_loss", loss=1.0),
]  # fmt: skip


DATA = {"x", "x1", "x2", "y", "y_true", "y_pred", "target", "output", "sample_weight", "validation_data", "condition"}
"""What a Tensor is made of."""

ENDLESS = {("Sequential.fit", "epochs", "10**30"), ("Sequential.fit", "steps_per_epoch", "10**30")}
"""What is right, and would take for ever."""


def outcome(call: Call, name: str, value: Any) -> str:
    """Empty if the value is taken, or refused in a sentence of netchu's that shows the argument; else what came.

    Where numbers are expected a Tensor is made of the value first, and the sentence may show its type or shape.
    """
    netchu.random.set_seed(0)
    with redirect_stdout(StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call.make()(**{**call.right, name: value})
        except NetchuError as error:
            said = name in DATA or name in str(error) or f"{value!r:.30}" in str(error)
            return "" if said else f"{type(error).__name__}, which does not name {name}: {error!s:.200}"
        except Exception as error:
            return f"{type(error).__name__}: {error!s:.120}"
    return ""
