"""Saving and loading models: what goes into a file, what a file may ask for, and which module knows which ending.

netchu's own format is specified in docs/file-format.md and read and written by `netchu.formats.safetensors`; the files
of other programs belong to `netchu.interop`, on a floor above, whose modules are loaded when they are asked for.
"""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Mapping
from os import PathLike
from typing import Any

from netchu import activations, engines, layers, losses, metrics, optimizers, random
from netchu.errors import ModelFileError, NetchuError, UsageError, choices, printable
from netchu.formats import safetensors
from netchu.layers.base import shapes_only
from netchu.models.sequential import Sequential
from netchu.registry import Configurable, to_json

# Export format -> the module whose `export(model, filepath)` writes it.
EXPORTERS = {"onnx": "netchu.interop.onnx"}


def keras_files() -> Any:
    """The module that reads and writes `.keras` and `.weights.h5`."""
    return importlib.import_module("netchu.interop.keras")


def exporter(format: str) -> Any:
    """The module that exports to a format; UsageError lists the known ones."""
    if format not in EXPORTERS:
        raise UsageError(choices("export format", format, list(EXPORTERS)))
    return importlib.import_module(EXPORTERS[format])


# --- save ------------------------------------------------------------------------------------------------------------


def save_model(model: Sequential, filepath: str | PathLike[str]) -> None:
    """See `Sequential.save`."""
    if not str(filepath).endswith((".safetensors", ".keras")):
        raise UsageError("save", expected="a name ending in .safetensors or .keras", got=f"filepath={str(filepath)!r}")
    if not model.built:
        raise UsageError("save", expected="a built model", got="built=False", do="Call build() or fit().")
    config = {"model": model.get_config(), "compile": compile_config(model)}
    _check_limits("save", config)
    _check_outputs("save", model)
    _refuse_namesakes(model)
    if str(filepath).endswith(".keras"):
        keras_files().save_model(model, filepath)
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


def compile_config(model: Sequential) -> dict[str, Any] | None:
    """What `compile` was given, where netchu knows it by name; None for an optimizer or a loss of one's own."""
    chosen = model._measures
    if chosen is None or not optimizers.is_known(model.optimizer) or type(model.loss) not in losses.classes:
        return None
    plain, weighted = (
        [to_json(m) for m in given if isinstance(m, str) or type(m) in metrics.classes]
        for given in (chosen.plain_given, chosen.weighted_given)
    )
    both = {"optimizer": to_json(model.optimizer), "loss": to_json(model.loss)}
    return {**both, "metrics": plain, "weighted_metrics": weighted}


def _refuse_namesakes(model: Sequential) -> None:
    """Raise UsageError for code of one's own that a file could only name, and that would come back as netchu's."""
    for layer in model.layers:
        known = layers.registry.table.get(type(layer).__name__, type(layer))
        if known is not type(layer):
            raise UsageError(
                "save", expected="a class name that netchu does not use", got=f"{type(layer).__qualname__}"
            )
        of_netchu = type(layer).__name__ in layers.registry.table  # what a layer of one's own keeps is its own business
        for name, value in vars(layer).items():
            if of_netchu and _is_ones_own(value):
                raise UsageError(
                    "save",
                    expected=f"a function or a class that netchu knows as {name} of layer {layer.name!r}",
                    got=getattr(value, "__qualname__", type(value).__qualname__),
                    do="Write it as a layer of your own, and give its class to load_model(custom_objects=...).",
                )
        if isinstance(layer, Sequential):
            _refuse_namesakes(layer)


def _is_ones_own(value: Any) -> bool:
    """Whether an attribute is a function, or an object such as a regularizer, of a class that netchu does not have."""
    if inspect.isfunction(value):
        return value not in activations.known
    return isinstance(value, Configurable) and not type(value).__module__.startswith("netchu.")


# --- limits ----------------------------------------------------------------------------------------------------------

# What a file may ask for, at most.
MAX_LAYERS = 2000  # making a model takes time in proportion to their square
MAX_METRICS = 100
MAX_OUTPUT = 1 << 28  # numbers that a layer makes of one sample: 1 GiB in float32


def _check_limits(where: str, config: dict[str, Any]) -> None:
    """Raise UsageError if the configuration of a file asks for too much; looked at before anything is made of it."""
    counts = {"layers": (count_layers(config.get("model")), MAX_LAYERS)}
    chosen = config.get("compile") or {}
    for key in ("metrics", "weighted_metrics"):
        counts[key] = (len(chosen.get(key, [])), MAX_METRICS)
    for name, (count, most) in counts.items():
        if count > most:
            raise UsageError(where, expected=f"at most {most} {name}", got=f"{count}")


def _check_outputs(where: str, model: Sequential) -> None:
    """Raise UsageError if a layer makes more numbers of a sample than a prediction should ever need memory for."""
    for layer, shape in model.layers_with_shapes():
        if shape is not None and math.prod(n or 1 for n in shape) > MAX_OUTPUT:
            raise UsageError(
                where, expected=f"layers of at most {MAX_OUTPUT} outputs", got=f"output shape {shape} of {layer.name!r}"
            )
        if isinstance(layer, Sequential):
            _check_outputs(where, layer)


def count_layers(config: Any) -> int:
    """How many layers a configuration describes, those of inner models included."""
    entries = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(entries, list):
        return 0
    return sum(1 + count_layers(e.get("config") if isinstance(e, dict) else e) for e in entries)


# --- load ------------------------------------------------------------------------------------------------------------

# What making a layer from a hostile configuration can raise.
UNFIT = (
    NetchuError, ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError,
)  # fmt: skip


def empty_model(config: Any, custom_objects: Mapping[str, Any] | None, path: str) -> Sequential:
    """A model of a file's architecture, whose weights have shapes but no memory yet.

    Args:
        config: as `Sequential.get_config` gives it.
        custom_objects: class name -> class, for layers of one's own.
        path: of the file, for messages.

    Raises:
        ModelFileError: it describes no model.
    """
    try:
        _check_limits("load_model", {"model": config})
        with shapes_only():
            model = Sequential.from_config(config, custom_objects)
            model.ensure_built(model.input_shape)
        _check_outputs("load_model", model)
    except UNFIT as error:
        raise ModelFileError(
            f"{path}: expected an architecture of known layers, got: {printable(f'{error!s:.300}')}"
        ) from None
    return model


def load_model(
    filepath: str | PathLike[str], custom_objects: Mapping[str, Any] | None = None, compile: bool = True
) -> Sequential:
    """Read a model that `save` wrote, or from a `.keras` file one that Keras wrote.

    Nothing in the file is executed; only netchu's own layers, and classes given here, are made.

    Args:
        filepath: of the model.
        custom_objects: class name -> class, for layers of one's own.
        compile: whether to compile it as it was.

    Raises:
        DataNotFoundError: no such file.
        ModelFileError: it is no such model, is damaged, names an unknown layer, or its tensors do not fit its
            architecture; found out before anything of its size is allocated.
    """
    if str(filepath).endswith(".keras"):
        read: Sequential = keras_files().load_model(filepath, custom_objects, compile)
        return read
    file = safetensors.read(filepath)
    model = empty_model(file.config.get("model"), custom_objects, file.path)
    variables = model.named_weights()
    expected = {name: safetensors.TensorSpec(v.dtype, v.shape) for name, v in variables.items()}
    wrong = [
        f"{name[:60]!r}: expected {expected.get(name, 'nothing')}, got {file.specs.get(name, 'nothing')}"
        for name in sorted({*expected, *file.specs})
        if expected.get(name) != file.specs.get(name)
    ]
    if wrong:
        raise ModelFileError(f"{file.path}: expected tensors that fit the architecture. {'; '.join(wrong[:5])[:1000]}")
    arrays = file.arrays()
    for name, variable in variables.items():
        variable.array = engines.current().asarray(arrays[name])
    model.info = file.info
    if compile and file.config.get("compile"):
        _compile_as_saved(model, file)
    return model


def _compile_as_saved(model: Sequential, file: safetensors.ModelFile) -> None:
    try:
        settings = file.config["compile"]
        _check_limits("load_model", {"compile": settings})
        if settings["loss"] is None:
            raise UsageError("compile", expected="a loss", got="loss=None")
        optimizer, loss = optimizers.get(settings["optimizer"]), losses.get(settings["loss"])
        plain, weighted = (settings.get(key, []) for key in ("metrics", "weighted_metrics"))
        model.compile(optimizer, loss, metrics=plain, weighted_metrics=weighted)
    except UNFIT as error:
        raise ModelFileError(
            f"{file.path}: expected compile settings with known names, got: {printable(f'{error!s:.300}')}"
        ) from None
