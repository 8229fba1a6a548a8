"""Loading a model: from a file to a Sequential, the architecture before the arrays.

    model = load_model("digits.safetensors")           # or "digits.keras", whoever of the two wrote it

What a file describes is built first, with weights that have shapes and no memory; only when the arrays of the file fit
them is anything of their size read.  netchu's own format is read by `netchu.formats.safetensors`, Keras's by
`netchu.interop.keras`, which is loaded when it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from typing import Any

from netchu import engines
from netchu.arguments import checked_path
from netchu.errors import ModelFileError, UsageError, printable
from netchu.formats import safetensors
from netchu.formats.document import UNFIT, ArraySpec, check_counts
from netchu.formats.foreign import naming_foreign_files
from netchu.layers.base import Layer, shapes_only
from netchu.models.saving import check_outputs
from netchu.models.sequential import Sequential


def load_model(
    filepath: str | PathLike[str], custom_objects: Mapping[str, type[Layer]] | None = None, compile: bool = True
) -> Sequential:
    """Read a model that `save` wrote, or from a `.keras` file one that Keras wrote.

    Nothing in the file is executed; only netchu's own layers, and classes given here, are made.

    Args:
        filepath: of the model.
        custom_objects: class name -> class, for layers of your own.
        compile: whether to compile it as it was.

    Raises:
        UsageError: no name of a file, or no dictionary of classes.
        DataNotFoundError: no such file.
        ModelFileError: it is no such model, is damaged, names an unknown layer, or its tensors do not fit its
            architecture; found out before anything of its size is allocated.
    """
    path = checked_path("load_model", filepath=filepath)
    if not isinstance(custom_objects, (Mapping, type(None))):
        got = f"custom_objects={custom_objects!r:.60}"
        raise UsageError("load_model", expected="custom_objects as a dictionary, name -> class", got=got)
    load = _load_keras if path.endswith(".keras") else _load_safetensors
    with naming_foreign_files(path):
        return load(path, custom_objects, compile)


def _load_safetensors(
    filepath: str | PathLike[str], custom_objects: Mapping[str, type[Layer]] | None, compile: bool
) -> Sequential:
    """The model in a file of netchu's own format."""
    file = safetensors.read(filepath)
    model = empty_model(file.config.get("model"), custom_objects, file.path)
    weights = model.named_weights()
    arrays = file.arrays({name: ArraySpec(weight.dtype, weight.shape) for name, weight in weights.items()})
    for name, weight in weights.items():
        weight.array = engines.current().asarray(arrays[name])
    model.info = file.info
    if compile and file.config.get("compile"):
        with _fitting(file.path, "compile settings with known names"):
            settings = file.config["compile"]
            check_counts("load_model", {"compile": settings})
            if settings["loss"] is None:
                raise UsageError("compile", expected="a loss", got="loss=None")
            _compile(model, settings)
    return model


def _load_keras(
    filepath: str | PathLike[str], custom_objects: Mapping[str, type[Layer]] | None, compile: bool
) -> Sequential:
    """The model in a `.keras` file; with `compile` also its optimizer's state."""
    from netchu.interop import keras  # loaded when it is asked for

    file = keras.read(filepath, custom_objects)
    model = empty_model(file.config, custom_objects, file.path)
    settings = None
    if compile:
        with keras.refusing(file.path, "Load it without its compile settings: load_model(..., compile=False)."):
            settings = file.compile_settings()
            if settings is not None:
                _compile(model, settings)
    file.restore(model, with_optimizer=settings is not None)
    model.info = file.info
    return model


def empty_model(config: object, custom_objects: Mapping[str, type[Layer]] | None, path: str) -> Sequential:
    """A model of a file's architecture, whose weights have shapes but no memory yet.

    Args:
        config: as `Sequential.get_config` gives it, or whatever else stands in its place in the file.
        custom_objects: class name -> class, for layers of your own.
        path: of the file, for messages.

    Raises:
        ModelFileError: it describes no model.
    """
    with _fitting(path, "an architecture of known layers"):
        if not isinstance(config, dict):
            raise UsageError("load_model", expected="a configuration", got=f"{config!r:.60}")
        check_counts("load_model", {"model": config})
        with shapes_only():
            model = Sequential.from_config(config, custom_objects)
            model.ensure_built(model.input_shape)
        check_outputs("load_model", model)
    return model


def _compile(model: Sequential, settings: Mapping[str, Any]) -> None:
    """Compile a model as a file says, with names and configurations for the objects."""
    model.compile(
        settings["optimizer"],
        settings["loss"],
        metrics=settings.get("metrics", []),
        weighted_metrics=settings.get("weighted_metrics", []),
        run_eagerly=settings.get("run_eagerly") is True,
    )


@contextmanager
def _fitting(path: str, expected: str) -> Iterator[None]:
    """Turn whatever making something of a hostile configuration raises into one ModelFileError."""
    try:
        yield
    except UNFIT as error:
        raise ModelFileError(path, expected=expected, got=printable(f"{error!s:.300}").rstrip(".")) from None
