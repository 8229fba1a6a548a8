"""Saving a model: what goes into a file, and which room knows which ending.

    save_model(model, "digits.safetensors")            # or "digits.keras"
    export_model(model, "digits.onnx", "onnx")

netchu's own format is specified in docs/file-format.md and written by `netchu.formats.safetensors`.  The files of other
programs belong to `netchu.interop`, whose modules are loaded when they are asked for.  What could not be read back is
refused here, before a file is written.
"""

from __future__ import annotations

import inspect
import math
from os import PathLike
from typing import Any, Protocol

from netchu import activations, engines, layers, losses, metrics, optimizers, random
from netchu.arguments import checked_path
from netchu.errors import UsageError, unknown_name
from netchu.formats import safetensors
from netchu.formats.document import MAX_OUTPUT, check_counts
from netchu.interop.model import Model, check_order, is_model
from netchu.layers import Layer
from netchu.metrics import Metric
from netchu.registry import Configurable, is_netchus, to_json
from netchu.training.measures import Measures


class TrainableModel(Model, Protocol):
    """A model that a file can hold whole: with what `compile` chose, and how it was trained.

    Attributes:
        loss: None before `compile`.
        info: JSON values: how it was trained.
    """

    loss: losses.Loss | None
    info: dict[str, Any]
    measures: Measures | None

    def get_config(self) -> dict[str, Any]:
        """The architecture as JSON values."""


def save_model(model: TrainableModel, filepath: str | PathLike[str]) -> None:
    """Write a model to a file of its own; see `Sequential.save`.

    Args:
        model: built.
        filepath: a name ending in .safetensors or .keras.

    Raises:
        UsageError, ModelFileError, OSError: see there.
    """
    path = checked_path("save", filepath=filepath)
    config, about = checked_documents(model, path)
    if path.endswith(".keras"):
        from netchu.interop import keras  # loaded when it is asked for

        keras.save_model(model, path, config["compile"], model.info)
        return
    arrays = {name: variable.numpy() for name, variable in model.named_weights().items()}
    safetensors.write(path, config, about, arrays)


def checked_documents(model: TrainableModel, path: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a file says of a model besides its weights, its configuration and its info; nothing is written.

    Args:
        model: built.
        path: of the file.

    Raises:
        UsageError: a model, or a name, that could not be saved.
    """
    if not path.endswith((".safetensors", ".keras")):
        raise UsageError("save", expected="a name ending in .safetensors or .keras", got=f"filepath={path!r}")
    if not model.built:
        raise UsageError("save", expected="a built model", got="built=False", do="Call build() or fit().")
    check_order("save", model)
    config = {"model": model.get_config(), "compile": compile_config(model)}
    check_counts("save", config)
    check_outputs("save", model)
    _refuse_what_cannot_be_named(model)
    engine = engines.current()
    about = {
        "engine": engine.name,
        "engine_version": engine.version(),
        "threads": engine.threads(),
        "seed": random.seed(),
        **model.info,
    }
    safetensors.header(config, about)
    if path.endswith(".keras"):
        from netchu.interop import keras  # loaded when it is asked for

        keras.documents(model, config["compile"], model.info)
    return config, about


def compile_config(model: TrainableModel) -> dict[str, Any] | None:
    """What `compile` was given, where netchu knows it by name; None for an optimizer or a loss of your own."""
    measures = model.measures
    if measures is None or not optimizers.is_known(model.optimizer) or type(model.loss) not in losses.classes:
        return None
    return {
        "optimizer": to_json(model.optimizer),
        "loss": to_json(model.loss),
        "metrics": _known_metrics(measures.plain_given),
        "weighted_metrics": _known_metrics(measures.weighted_given),
    }


def _known_metrics(given: list[str | Metric]) -> list[Any]:
    """The names and the configurations of netchu's metrics; your own are left out."""
    return [to_json(metric) for metric in given if isinstance(metric, str) or type(metric) in metrics.classes]


def export_model(model: Model, filepath: str | PathLike[str], format: str) -> None:
    """Write a model for other programs; see `Sequential.export`.

    Args:
        model: built.
        filepath: a name with the format's ending.
        format: `"onnx"`.

    Raises:
        UsageError: an unknown format; the message lists the known ones.
    """
    if format != "onnx":
        raise unknown_name("export format", format, ["onnx"])
    from netchu.interop import onnx  # loaded when it is asked for

    onnx.export(model, checked_path("export", filepath=filepath))


# --- what no file could bring back -----------------------------------------------------------------------------------


def check_outputs(where: str, model: Model) -> None:
    """Raise UsageError if a layer makes more numbers of a sample than a prediction should ever need memory for.

    Args:
        where: who asks, for messages.
        model: built; its weights need no memory yet.
    """
    for layer, shape in model.layers_with_shapes():
        if shape is not None and math.prod(n or 1 for n in shape) > MAX_OUTPUT:
            raise UsageError(
                where, expected=f"layers of at most {MAX_OUTPUT} outputs", got=f"output shape {shape} of {layer.name!r}"
            )
        if is_model(layer):
            check_outputs(where, layer)


def _refuse_what_cannot_be_named(model: Model) -> None:
    """Raise UsageError for code of the user's that a file could only name, and that would come back as netchu's."""
    for layer in model.layers:
        netchus = layers.registry.table.get(type(layer).__name__)
        if netchus is type(layer):
            _refuse_unknown_settings(layer)
        elif netchus is not None:
            got = type(layer).__qualname__
            raise UsageError("save", expected="a class name that netchu does not use", got=got)
        elif type(layer).get_config is Layer.get_config:
            _refuse_arguments(layer)
        if is_model(layer):
            _refuse_what_cannot_be_named(layer)


def _refuse_unknown_settings(layer: Layer) -> None:
    """Raise UsageError if a layer of netchu's keeps a function or an object of a class that netchu does not have.

    What a layer of the user's keeps is the user's business.
    """
    for name, value in vars(layer).items():
        if _is_unknown(value):
            raise UsageError(
                "save",
                expected=f"a function or a class that netchu knows as {name.lstrip('_')} of layer {layer.name!r}",
                got=getattr(value, "__qualname__", type(value).__qualname__),
                do="Write it as a layer of your own, and give its class to load_model(custom_objects=...).",
            )


def _refuse_arguments(layer: Layer) -> None:
    """Raise UsageError if a layer of the user's was made with what a file cannot give to its constructor again."""
    for name, value in vars(layer).get("_given", {}).items():
        if any(isinstance(part, Layer) or (callable(part) and not is_netchus(part)) for part in _inside(value)):
            kind = type(layer).__name__
            raise UsageError(
                "save",
                expected=f"numbers, texts and their like as arguments of {kind}",
                got=f"{name}={value!r:.60}",
                do=f"Give {kind} a get_config and a from_config.",
            )


def _inside(value: Any) -> list[Any]:
    """A value, or all that a list, a tuple or a dictionary holds."""
    if isinstance(value, dict):
        value = list(value.values())
    return [inner for part in value for inner in _inside(part)] if isinstance(value, (list, tuple)) else [value]


def _is_unknown(value: object) -> bool:
    """Whether an attribute is a function, or an object such as a regularizer, of a class that netchu does not have."""
    if inspect.isfunction(value):
        return value not in activations.known
    return isinstance(value, Configurable) and not is_netchus(value)
