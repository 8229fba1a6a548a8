"""The settings of layers, optimizers and losses: Keras's JSON and netchu's, each made from the other.

    config = layer_to_keras(layer)          # {"module": "keras.layers", "class_name": "Dense", "config": {...}, ...}
    entry = layer_from_keras(config)        # {"class_name": "Dense", "config": {...}}, for netchu's registry

The names are the same on both sides, so that there is one rule instead of a table for each class: a setting that
netchu's constructor takes is handed over, and one that it does not take must say what netchu does anyway (None, or the
value in `ANYWAY`); otherwise the file is refused.  Nothing is made here and no name is looked up outside the modules in
`MODULES`: the closed registries do that afterwards.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from netchu import constraints, initializers, layers, losses, metrics, optimizers, regularizers
from netchu.engines.contract import DTYPES
from netchu.errors import UsageError
from netchu.interop.model import Model, check_order, is_model
from netchu.layers.base import Layer
from netchu.optimizers import schedules
from netchu.registry import Configurable

__all__ = [
    "arguments", "layer_from_keras", "layer_to_keras", "model_to_keras", "object_from_keras", "object_to_keras",
]  # fmt: skip

# Keras's module -> netchu's, for what stands in settings by class name.
PARTS = {
    "keras.initializers": initializers,
    "keras.regularizers": regularizers,
    "keras.constraints": constraints,
    "keras.optimizers.schedules": schedules,
}
MODULES = PARTS | {"keras.losses": losses, "keras.metrics": metrics, "keras.optimizers": optimizers}

# What netchu does anyway, for settings that its constructors do not take.
ANYWAY: dict[str, Any] = {
    "data_format": "channels_last",
    "dtype": "float32",  # of a loss or a metric
    "ragged": False,
    "sparse": False,
}
# Settings without effect on what a model computes.
WITHOUT_EFFECT = {"optional"}

NOT_IN_KERAS = {"OneCycle"}


def arguments(cls: type) -> set[str]:
    """The names of the arguments that a class's constructor takes, or hands on to that of its base."""
    names: set[str] = set()
    for base in cls.__mro__[:-1]:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names


# --- from Keras ------------------------------------------------------------------------------------------------------


def layer_from_keras(entry: object, custom_objects: Mapping[str, type[Layer]] | None = None) -> dict[str, Any]:
    """netchu's configuration of a layer or a Sequential.

    Args:
        entry: as Keras writes it.
        custom_objects: class name -> class, for layers of your own.

    Raises:
        UsageError: a layer that netchu does not have, or one with a setting that it cannot follow.
    """
    name, module, config = _parts(entry)
    if name == "Sequential" and module == "keras":
        return {"class_name": name, "config": _sequential_from_keras(config, custom_objects)}
    if name in ("Functional", "Model") and module.startswith("keras"):
        raise UsageError(
            "layer_from_keras", expected="a keras.Sequential", got=f"class_name={name!r}",
            do="netchu has no graphs of layers; build the model as a keras.Sequential.",
        )  # fmt: skip
    where = f"layer {str(config.get('name'))[:60]!r}"
    cls = (custom_objects or {}).get(name) or (layers.registry.table.get(name) if module == "keras.layers" else None)
    if cls is None:
        raise UsageError(where, expected="a layer that netchu has", got=repr(f"{module}.{name}"[:80]))
    if name == "InputLayer" and "batch_shape" in config:
        others = {key: value for key, value in config.items() if key != "batch_shape"}
        config = {**others, "shape": _without_batch("batch_shape", config["batch_shape"])}
    return {"class_name": name, "config": _settings_from_keras(cls, config, where)}


def _parts(entry: object) -> tuple[str, str, dict[str, Any]]:
    """Class name, module and settings of what Keras wrote down."""
    if isinstance(entry, dict):
        name = entry.get("class_name")
        module = entry.get("module")
        config = entry.get("config")
        if isinstance(name, str) and isinstance(module, str | None) and isinstance(config, dict):
            return name, module or "", config
    raise UsageError("the configuration", expected="class_name, module and config", got=f"{entry!r:.60}")


def _without_batch(name: str, shape: object) -> list[Any]:
    """The shape of a sample, from that of a batch."""
    if not isinstance(shape, list) or not shape:
        raise UsageError("InputLayer", expected=f"{name} as a list", got=f"{name}={shape!r:.60}")
    return shape[1:]


def _sequential_from_keras(config: dict[str, Any], custom_objects: Mapping[str, type[Layer]] | None) -> dict[str, Any]:
    """netchu's configuration of a Sequential; one that its data have built gets an Input of their shape."""
    entries = config.get("layers")
    if not isinstance(entries, list):
        raise UsageError("Sequential", expected="layers as a list", got=f"layers={entries!r:.60}")
    found = [layer_from_keras(entry, custom_objects) for entry in entries]
    built_for = config.get("build_input_shape")
    if built_for and not (found and found[0]["class_name"] == "InputLayer"):
        shape = _without_batch("build_input_shape", built_for)
        found.insert(0, {"class_name": "InputLayer", "config": {"shape": shape}})
    return {"name": config.get("name"), "layers": found}


def _settings_from_keras(cls: type, config: dict[str, Any], where: str) -> dict[str, Any]:
    """The settings that netchu's constructor takes; UsageError for another that asks for what netchu does not do."""
    known = arguments(cls)
    kept: dict[str, Any] = {}
    for key, value in config.items():
        if key == "dtype" and key in known:
            kept[key] = _dtype_from_keras(value, where)
        elif key in known:
            kept[key] = _value_from_keras(value, where)
        elif value is not None and key not in WITHOUT_EFFECT and (key not in ANYWAY or value != ANYWAY[key]):
            expected = f"{key}={ANYWAY.get(key)!r}, which is what netchu does"
            raise UsageError(where, expected=expected, got=f"{key[:60]}={value!r:.60}")
    return kept


def _dtype_from_keras(value: object, where: str) -> str:
    """The name of a dtype, from itself or from a policy that computes in that same dtype."""
    if isinstance(value, dict) and value.get("class_name") == "DTypePolicy" and isinstance(value.get("config"), dict):
        value = value["config"].get("name")
    if not isinstance(value, str) or value not in DTYPES:
        raise UsageError(where, expected=f"dtype among {DTYPES}", got=f"dtype={value!r:.60}")
    return value


def _value_from_keras(value: Any, where: str) -> Any:
    if isinstance(value, list):
        return [_value_from_keras(item, where) for item in value]
    return object_from_keras(value, where) if isinstance(value, dict) else value


def object_from_keras(value: object, where: str = "the configuration") -> str | dict[str, Any] | None:
    """netchu's name or configuration of an initializer, a loss, an optimizer ...

    Args:
        value: a name, or a configuration as Keras writes it; None stays None.
        where: for messages.

    Raises:
        UsageError: a class of a module other than those in `MODULES`, or a setting that netchu cannot follow.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict) and value.get("class_name") == "function" and isinstance(value.get("config"), str):
        return str(value["config"])
    name, module, config = _parts(value)
    cls = getattr(MODULES.get(module), name, None) if name.isidentifier() and name[0].isupper() else None
    if not (isinstance(cls, type) and issubclass(cls, Configurable)):
        raise UsageError(where, expected=f"a class of {', '.join(MODULES)}", got=repr(f"{module}.{name}"[:80]))
    return {"class_name": name, "config": _settings_from_keras(cls, config, f"{where}, {name}")}


# --- to Keras --------------------------------------------------------------------------------------------------------


def model_to_keras(model: Model, trainable: bool = True) -> dict[str, Any]:
    """Keras's configuration of a Sequential.

    Args:
        model: built.
        trainable: whether the models that hold it are trainable.

    Raises:
        UsageError: it has a `call` of its own, or one of its layers is your own or has a setting that Keras lacks.
    """
    check_order("save", model)
    shape = list(model.input_shape)
    inner = [layer_to_keras(layer, trainable and model.trainable) for layer in model.input_and_layers]
    config = {**_common_to_keras(model, trainable), "layers": inner, "build_input_shape": shape}
    return {**_named("keras", "Sequential", config), "build_config": {"input_shape": shape}}


def layer_to_keras(layer: Layer, trainable: bool = True) -> dict[str, Any]:
    """Keras's configuration of a layer, which may itself be a model.

    Args:
        layer: of netchu.
        trainable: whether the models that hold it are trainable.

    Raises:
        UsageError: a layer of your own, which Keras does not know, or a setting that it lacks.
    """
    name = type(layer).__name__
    if is_model(layer) and name == "Sequential":  # Keras looks for its weights by the name of the class
        return model_to_keras(layer, trainable)
    if layers.registry.table.get(name) is not type(layer):
        raise UsageError("save", expected="layers that Keras has, too", got=f"{name} {layer.name!r}",
                         do="Save it as .safetensors.")  # fmt: skip
    config = {key: _value_to_keras(value) for key, value in layer.get_config().items() if key != "trainable"}
    if name == "InputLayer":
        shape = config.pop("shape")
        return _named("keras.layers", name, {"batch_shape": [None, *shape], "dtype": layer.dtype, "name": layer.name})
    if "data_format" in config:
        config["data_format"] = "channels_last"
    return _named("keras.layers", name, {**config, **_common_to_keras(layer, trainable)})


def _common_to_keras(layer: Layer | Model, trainable: bool) -> dict[str, Any]:
    """The settings that layers and models have in common."""
    common: dict[str, Any] = {"name": layer.name, "dtype": _policy(layer.dtype)}
    if layer.weights and not (trainable and layer.trainable):  # some layers of Keras without weights do not take it
        common["trainable"] = False
    return common


def _named(module: str, class_name: str, config: dict[str, Any]) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def _policy(dtype: str) -> dict[str, Any]:
    return _named("keras", "DTypePolicy", {"name": dtype})


def _value_to_keras(value: Any) -> Any:
    """A setting; an object in it is an initializer, a regularizer, a constraint or a schedule."""
    if isinstance(value, list):
        return [_value_to_keras(item) for item in value]
    if isinstance(value, dict) and isinstance(value.get("class_name"), str):
        name = value["class_name"]
        module = next(
            (module for module, room in PARTS.items() if hasattr(room, name) and name not in NOT_IN_KERAS), ""
        )
        if not module:
            raise UsageError("save", expected=f"a class of {', '.join(PARTS)}", got=name, do="Save it as .safetensors.")
        return _named(module, value["class_name"], {k: _value_to_keras(v) for k, v in value["config"].items()})
    return value


def object_to_keras(entry: str | Mapping[str, Any], module: str) -> str | dict[str, Any]:
    """Keras's configuration of an optimizer, a loss or a metric, which has the same name in Keras's `module`.

    Args:
        entry: a name, which stays as it is, or a configuration of netchu's.
        module: `"keras.optimizers"`, for example.
    """
    if isinstance(entry, str):
        return entry
    config = {key: _value_to_keras(value) for key, value in entry["config"].items()}
    return _named(module, entry["class_name"], config)
