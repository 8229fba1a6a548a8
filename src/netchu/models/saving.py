"""Saving a model: what goes into a file, and which room knows which ending.

netchu's own format is specified in docs/file-format.md and written by `netchu.formats.safetensors`; the files of other
programs belong to `netchu.interop`, whose modules are loaded when they are asked for.
"""

from __future__ import annotations

import inspect
import math
from os import PathLike
from typing import Any

from netchu import activations, engines, layers, losses, metrics, optimizers, random
from netchu.errors import UsageError, unknown_name
from netchu.formats import safetensors
from netchu.formats.document import MAX_OUTPUT, check_counts
from netchu.registry import Configurable, is_netchus, to_json
from netchu.training.step import Learner


def save_model(model: Learner, filepath: str | PathLike[str]) -> None:
    """Write a model to a file of its own; see `Sequential.save`.

    Args:
        model: built.
        filepath: a name ending in .safetensors or .keras.

    Raises:
        UsageError, ModelFileError, OSError: see there.
    """
    if not str(filepath).endswith((".safetensors", ".keras")):
        raise UsageError("save", expected="a name ending in .safetensors or .keras", got=f"filepath={str(filepath)!r}")
    if not model.built:
        raise UsageError("save", expected="a built model", got="built=False", do="Call build() or fit().")
    config = {"model": model.get_config(), "compile": compile_config(model)}
    check_counts("save", config)
    check_outputs("save", model)
    _refuse_namesakes(model)
    if str(filepath).endswith(".keras"):
        from netchu.interop import keras  # loaded when it is asked for

        keras.save_model(model, filepath, config["compile"], model.info)
        return
    engine = engines.current()
    about = {
        "engine": engine.name,
        "engine_version": engine.version(),
        "threads": engine.threads(),
        "seed": random.seed(),
    }
    arrays = {name: variable.numpy() for name, variable in model.named_weights().items()}
    safetensors.write(filepath, config, {**about, **model.info}, arrays)


def compile_config(model: Learner) -> dict[str, Any] | None:
    """What `compile` was given, where netchu knows it by name; None for an optimizer or a loss of your own."""
    chosen = model._measures
    if chosen is None or not optimizers.is_known(model.optimizer) or type(model.loss) not in losses.classes:
        return None
    plain, weighted = (
        [to_json(m) for m in given if isinstance(m, str) or type(m) in metrics.classes]
        for given in (chosen.plain_given, chosen.weighted_given)
    )
    both = {"optimizer": to_json(model.optimizer), "loss": to_json(model.loss)}
    return {**both, "metrics": plain, "weighted_metrics": weighted}


def _refuse_namesakes(model: Learner) -> None:
    """Raise UsageError for code of the user's that a file could only name, and that would come back as netchu's."""
    for layer in model.layers:
        known = layers.registry.table.get(type(layer).__name__, type(layer))
        if known is not type(layer):
            raise UsageError(
                "save", expected="a class name that netchu does not use", got=f"{type(layer).__qualname__}"
            )
        of_netchu = (
            type(layer).__name__ in layers.registry.table
        )  # what a layer of the user's keeps is its own business
        for name, value in vars(layer).items():
            if of_netchu and _is_unknown(value):
                raise UsageError(
                    "save",
                    expected=f"a function or a class that netchu knows as {name} of layer {layer.name!r}",
                    got=getattr(value, "__qualname__", type(value).__qualname__),
                    do="Write it as a layer of your own, and give its class to load_model(custom_objects=...).",
                )
        if isinstance(layer, Learner):
            _refuse_namesakes(layer)


def _is_unknown(value: Any) -> bool:
    """Whether an attribute is a function, or an object such as a regularizer, of a class that netchu does not have."""
    if inspect.isfunction(value):
        return value not in activations.known
    return isinstance(value, Configurable) and not is_netchus(value)


def check_outputs(where: str, model: Learner) -> None:
    """Raise UsageError if a layer makes more numbers of a sample than a prediction should ever need memory for."""
    for layer, shape in model.layers_with_shapes():
        if shape is not None and math.prod(n or 1 for n in shape) > MAX_OUTPUT:
            raise UsageError(
                where, expected=f"layers of at most {MAX_OUTPUT} outputs", got=f"output shape {shape} of {layer.name!r}"
            )
        if isinstance(layer, Learner):
            check_outputs(where, layer)


def export_model(model: Learner, filepath: str | PathLike[str], format: str) -> None:
    """Write a model for other programs; see `Sequential.export`.

    Raises:
        UsageError: an unknown format; the message lists the known ones.
    """
    if format != "onnx":
        raise unknown_name("export format", format, ["onnx"])
    from netchu.interop import onnx  # loaded when it is asked for

    onnx.export(model, filepath)
