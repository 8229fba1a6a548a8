"""Keras's files: `.keras`, a whole model, and `.weights.h5`, its weights; read without trust, and written.

    model.save("digits.keras")                         # real Keras loads it, and trains on from where netchu stopped
    model = load_model("digits.keras")                 # whoever of the two wrote it
    model.save_weights("digits.weights.h5");  model.load_weights("digits.weights.h5")

A `.keras` file is a zip archive of three members: `metadata.json`; `config.json`, the settings of the layers and of
`compile`; and `model.weights.h5`, an HDF5 file of arrays, the same as a `.weights.h5` file:

    layers/<class>[_<number>]/vars/<number>            the weights of a layer; the class as in `dense`, `p_re_lu`
    layers/sequential/layers/...                       those of a Sequential within the model
    optimizer/vars/<number>                            iterations, learning rate (if no schedule), slots

This file translates the documents, with `keras_config.py`, and brings the arrays to a model that exists already:
`netchu.models.loading` builds it between the two.  Neither needs a library that a hostile file could mislead: see
docs/decisions/0004-keras-files.md.

Limits: Sequential models of layers that both know, in float32 or float64; files of Keras 3.  Metrics, losses,
optimizers and layers of your own are not written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

import numpy as np

from netchu import optimizers
from netchu.arguments import checked_path
from netchu.errors import ModelFileError, UsageError, printable
from netchu.formats.document import (
    MAX_FILE_BYTES,
    MAX_LAYERS,
    MAX_METRICS,
    UNFIT,
    ArraySpec,
    UnreadableError,
    count_layers,
    misfits,
    read_bytes,
    strict_json,
)
from netchu.formats.read_hdf5 import ArrayPlace, find_arrays, read_array
from netchu.formats.write_hdf5 import write_hdf5
from netchu.formats.zip_archive import Member, open_archive, write_archive
from netchu.interop.keras_config import layer_from_keras, model_to_keras, object_from_keras, object_to_keras
from netchu.interop.model import Model, is_model
from netchu.layers.base import Layer
from netchu.registry import snake_case, to_json, unused_name
from netchu.system.disk import write_atomically
from netchu.tensor import Variable

__all__ = ["KerasFile", "load_weights", "read", "save_model", "save_weights"]

KERAS_VERSION = "3.15.1"  # whose files these are
WEIGHTS = "model.weights.h5"
MEMBERS = {"metadata.json": 1 << 20, "config.json": 4 << 20, WEIGHTS: MAX_FILE_BYTES}  # and their greatest sizes
MAX_SLOTS = 8  # of one weight
OPTIMIZER_GROUPS = {"optimizer", "optimizer/vars"}

# In what order Keras writes slots: all weights' slots of one group, weight by weight, then the next group.
SLOT_GROUPS: dict[type, tuple[tuple[str, ...], ...]] = {
    optimizers.Adam: (("momentum", "velocity"), ("velocity_hat",)),
    optimizers.AdamW: (("momentum", "velocity"), ("velocity_hat",)),
    optimizers.RMSprop: (("velocity",), ("momentum",), ("average",)),
}


# --- where things lie ------------------------------------------------------------------------------------------------


def weight_paths(model: Model, prefix: str = "") -> tuple[set[str], dict[str, Variable]]:
    """The paths of all groups in a weights file of the model, and the weights by path.

    Args:
        model: built.
        prefix: of all paths; that of the layer if the model is one within another.
    """
    groups = {f"{prefix}vars", f"{prefix}layers"}
    weights: dict[str, Variable] = {}
    taken: set[str] = set()
    for layer in model.layers:
        taken.add(name := unused_name(snake_case(type(layer).__name__), taken))
        path = f"{prefix}layers/{name}"
        groups |= {path, f"{path}/vars"}
        if is_model(layer):
            inner_groups, inner_weights = weight_paths(layer, f"{path}/")
            groups |= inner_groups
            weights |= inner_weights
            continue
        in_order = sorted(layer.weights, key=lambda w: not w.trainable)  # those that are trained first, as in Keras
        weights |= {f"{path}/vars/{i}": weight for i, weight in enumerate(in_order)}
    return groups, weights


def optimizer_paths(optimizer: optimizers.Optimizer) -> dict[str, Variable]:
    """An optimizer's Variables by path, in Keras's order; those of its slots are missing as long as it is not built."""
    state = optimizer.state()
    first = [state[name] for name in ("iterations", "learning_rate") if name in state]
    in_one_group = (tuple(slot.name for slot in optimizer.slot_kinds),)
    of_its_rule = SLOT_GROUPS.get(type(optimizer), in_one_group)
    groups = (("moving_average",), ("gradient_accumulator",), *of_its_rule)
    slots = [
        of_weight[name] for group in groups for of_weight in optimizer.slots for name in group if name in of_weight
    ]
    in_order = [*first, *slots, *optimizer.shared_slots.values()]
    return {f"optimizer/vars/{i}": variable for i, variable in enumerate(in_order)}


# --- write -----------------------------------------------------------------------------------------------------------


def save_model(
    model: Model, filepath: str | PathLike[str], settings: Mapping[str, Any] | None, info: Mapping[str, Any]
) -> None:
    """Write a `.keras` file, atomically; equal models give equal files, for no time is written into it.

    Args:
        model: built.
        filepath: of the file.
        settings: what `compile` was given, as netchu writes it down; None for what Keras does not know.
        info: how the model was trained, in JSON values.

    Raises:
        UsageError: a layer, or a setting of one, that Keras does not have.
        ModelFileError: weights with NaN or infinity.
        OSError: the file cannot be written; an old one stays.
    """
    members, with_optimizer = documents(model, settings, info)
    members[WEIGHTS] = _weights_file(model, fspath(filepath), with_optimizer)
    write_atomically(filepath, write_archive(members))


def documents(
    model: Model, settings: Mapping[str, Any] | None, info: Mapping[str, Any]
) -> tuple[dict[str, bytes], bool]:
    """The members of a `.keras` file but the weights, and whether these hold the optimizer's state."""
    config = model_to_keras(model) | {"compile_config": _compile_to_keras(settings, model.run_eagerly)}
    about = {"keras_version": KERAS_VERSION, "date_saved": "1980-01-01@00:00:00", "netchu": dict(info)}
    members = {
        "metadata.json": json.dumps(about, sort_keys=True, allow_nan=False).encode(),
        "config.json": json.dumps(config, allow_nan=False).encode(),
    }
    return members, bool(config["compile_config"])


def save_weights(model: Model, filepath: str | PathLike[str]) -> None:
    """Write a `.weights.h5` file, atomically: the weights, and the optimizer's state if the model is compiled.

    Args:
        model: built.
        filepath: a name ending in .weights.h5.

    Raises:
        UsageError: the model is not built, or the name has another ending.
        ModelFileError: weights with NaN or infinity.
        OSError: the file cannot be written; an old one stays.
    """
    path = _checked_weights_file("save_weights", model, filepath)
    write_atomically(path, _weights_file(model, path, with_optimizer=model.optimizer is not None))


def _checked_weights_file(where: str, model: Model, filepath: str | PathLike[str]) -> str:
    """The name of the file; UsageError for another ending, or a model without weights yet."""
    path = checked_path(where, filepath=filepath)
    if not path.endswith(".weights.h5"):
        raise UsageError(where, expected="a name ending in .weights.h5", got=f"filepath={path!r}")
    if not model.built:
        raise UsageError(where, expected="a built model", got="built=False", do="Call build() or fit().")
    return path


def _weights_file(model: Model, shown: str, with_optimizer: bool) -> bytes:
    """The bytes of the HDF5 file; `shown` is the name of the file for messages."""
    groups, variables = weight_paths(model)
    if with_optimizer and model.optimizer is not None:
        optimizer = model.optimizer
        if not optimizer.weights and optimizers.is_known(optimizer):  # Keras, too, wants slots before the first step
            optimizer = optimizers.get(to_json(optimizer))
            optimizer.build(model.trainable_weights)
        groups |= OPTIMIZER_GROUPS
        variables |= optimizer_paths(optimizer)
    arrays = {path: variable.numpy() for path, variable in variables.items()}
    for path, array in arrays.items():
        if not np.isfinite(array).all():
            raise ModelFileError(shown, expected="finite weights to save", got=f"NaN or infinity in {path!r}")
    tree: dict[str, Any] = {}
    for path in (*sorted(groups), *arrays):
        *parents, name = path.split("/")
        place = tree
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = arrays[path] if path in arrays else place.get(name, {})
    return write_hdf5(tree)


def _compile_to_keras(settings: Mapping[str, Any] | None, run_eagerly: bool) -> dict[str, Any]:
    """What `compile` was given, in Keras's words; nothing for None."""
    if settings is None:
        return {}
    plain = [object_to_keras(metric, "keras.metrics") for metric in settings["metrics"]]
    weighted = [object_to_keras(metric, "keras.metrics") for metric in settings["weighted_metrics"]]
    return {
        "optimizer": object_to_keras(settings["optimizer"], "keras.optimizers"),
        "loss": object_to_keras(settings["loss"], "keras.losses"),
        "loss_weights": None,
        "metrics": plain or None,
        "weighted_metrics": weighted or None,
        "run_eagerly": run_eagerly,
        "steps_per_execution": 1,
        "jit_compile": "auto",
    }


# --- read ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class KerasFile:
    """A `.keras` file whose documents were read and translated; no array of it has been read.

    Attributes:
        path: of the file, for messages.
        config: the architecture, as netchu's `Sequential.get_config` would give it.
        info: how the model was trained, if netchu wrote the file.
    """

    path: str
    config: dict[str, Any]
    info: dict[str, Any]
    _compile_config: Any
    _weights: Member

    def compile_settings(self) -> dict[str, Any] | None:
        """What `compile` is to be given, as netchu writes it down; None if the file says nothing.

        `jit_compile` and `steps_per_execution` are passed over.

        Raises:
            UsageError: settings that netchu cannot follow.
        """
        settings = self._compile_config
        if not settings:
            return None
        if not isinstance(settings, dict):
            raise UsageError("compile", expected="settings by name", got=f"{settings!r:.60}")
        plain = settings.get("metrics") or []
        weighted = settings.get("weighted_metrics") or []
        if not isinstance(plain, list) or not isinstance(weighted, list):
            raise UsageError("compile", expected="lists of metrics", got=f"{plain!r:.60}, {weighted!r:.60}")
        if len(plain) + len(weighted) > MAX_METRICS:
            raise UsageError("compile", expected=f"at most {MAX_METRICS} metrics", got=f"{len(plain) + len(weighted)}")
        loss = settings.get("loss")
        loss_weights = settings.get("loss_weights")
        if isinstance(loss, list) or loss_weights is not None:
            raise UsageError("compile", expected="one loss, not weighted", got=f"{loss=!r:.60}, {loss_weights=!r:.60}")
        return {
            "optimizer": object_from_keras(settings.get("optimizer"), "compile"),
            "loss": _named_or_made(loss),
            "metrics": [_named_or_made(metric) for metric in plain],
            "weighted_metrics": [_named_or_made(metric) for metric in weighted],
            "run_eagerly": settings.get("run_eagerly") is True,
        }

    def restore(self, model: Model, with_optimizer: bool) -> None:
        """Give a model of this architecture its weights, and its optimizer the state.

        Args:
            model: built as `config` says; its weights need no memory yet.
            with_optimizer: whether to restore the optimizer, which must be that of the file.

        Raises:
            ModelFileError: the arrays do not fit; found out before anything of their size is allocated.
        """
        with refusing(self.path):
            most = 8 * MAX_SLOTS * model.count_params() + (1 << 23)  # slots and headers included
            if self._weights.size > most:
                raise UnreadableError(f"{self._weights.size} bytes of weights for layers that need far fewer")
            _restore(model, self._weights.read(), with_optimizer)


def _named_or_made(value: Any) -> Any:
    """A name as it is, and the configuration of a loss or a metric in netchu's words."""
    return object_from_keras(value, "compile") if isinstance(value, dict) else value


def read(filepath: str | PathLike[str], custom_objects: Mapping[str, type[Layer]] | None = None) -> KerasFile:
    """Read the documents of a `.keras` file, which Keras or netchu wrote.

    Nothing in the file is executed or looked up.

    Args:
        filepath: of the model.
        custom_objects: class name -> class, for layers of your own, without layers inside them.

    Raises:
        DataNotFoundError: no such file.
        ModelFileError: it is no such file, is damaged, or uses what netchu does not have.
    """
    shown = fspath(filepath)
    data, _ = read_bytes(shown, MAX_FILE_BYTES + 1)
    with refusing(shown):
        members = open_archive(data, MEMBERS)
        about = strict_json(f"{shown}, metadata.json", members["metadata.json"].read())
        config = strict_json(f"{shown}, config.json", members["config.json"].read())
        if not str(about.get("keras_version")).startswith("3."):
            raise UnreadableError(f"a file of Keras {str(about.get('keras_version'))[:20]!r}, not of Keras 3")
        if count_layers(config.get("config")) > MAX_LAYERS:
            raise UnreadableError(f"a model of more than {MAX_LAYERS} layers")
        entry = layer_from_keras(config, custom_objects)
        if entry["class_name"] != "Sequential":
            raise UnreadableError(f"a {entry['class_name']} that is no Sequential")
    info = about.get("netchu")
    return KerasFile(
        shown,
        entry["config"],
        info if isinstance(info, dict) else {},
        config.get("compile_config"),
        members[WEIGHTS],
    )


def load_weights(model: Model, filepath: str | PathLike[str]) -> None:
    """Read the weights of a `.weights.h5` file into a model of the same layers; an optimizer's state in it is left out.

    Args:
        model: built.
        filepath: a name ending in .weights.h5.

    Raises:
        UsageError: the model is not built, or the name has another ending.
        DataNotFoundError: no such file.
        ModelFileError: it is no such file, is damaged, or its arrays do not fit; then no weight has changed.
    """
    shown = _checked_weights_file("load_weights", model, filepath)
    data, _ = read_bytes(shown, MAX_FILE_BYTES + 1)
    with refusing(shown):
        _restore(model, data, with_optimizer=False)


@contextmanager
def refusing(shown: str, do: str = "") -> Iterator[None]:
    """Turn what is wrong with a file into one ModelFileError.

    Args:
        shown: the name of the file, for the message.
        do: the mend, if there is one.
    """
    try:
        yield
    except ModelFileError:  # a sentence already
        raise
    except UnreadableError as error:
        raise ModelFileError(shown, expected="a file of Keras 3", got=f"{error}", do=do) from None
    except UNFIT as error:
        got = printable(f"{error!s:.300}").rstrip(".")
        raise ModelFileError(shown, expected="what netchu and Keras both know", got=got, do=do) from None


def _restore(model: Model, data: bytes, with_optimizer: bool) -> None:
    """Give the model the weights of a file, and its optimizer the state, if all of them fit; else change no weight."""
    groups, variables = weight_paths(model)
    optimizer = model.optimizer if with_optimizer else None
    state: set[str] = set()  # where its state may be
    if optimizer is not None:
        groups |= OPTIMIZER_GROUPS
        state = {f"optimizer/vars/{i}" for i in range(MAX_SLOTS * (len(variables) + 1))}
    places = find_arrays(data, groups, variables.keys() | state, left_out=() if with_optimizer else ("optimizer",))
    _check_fit({path: place for path, place in places.items() if path not in state}, variables)
    if optimizer is not None:
        # Slots take as much memory as the weights: they are made only now that those are known to be in the file.
        if len(places) - len(variables) > len(optimizer_paths(optimizer)):  # it had slots when it was saved
            optimizer.build(model.trainable_weights)
        of_optimizer = optimizer_paths(optimizer)
        _check_fit({path: place for path, place in places.items() if path in state}, of_optimizer)
        variables |= of_optimizer
    arrays = {path: read_array(data, place) for path, place in places.items()}
    for path, array in arrays.items():
        if not np.isfinite(array).all() or (path in state and array.ndim == 0 and array < 0):
            raise UnreadableError(f"NaN, infinity or a negative count in {path!r}")
    for path, array in arrays.items():
        variables[path].assign(array)


def _check_fit(places: Mapping[str, ArrayPlace], variables: Mapping[str, Variable]) -> None:
    """Raise UnreadableError, with a list, unless there is an array for each Variable, and no other."""
    if wrong := misfits(_specs(places), _specs(variables)):
        raise UnreadableError(f"arrays that do not fit the layers: {wrong}")


def _specs(arrays: Mapping[str, ArrayPlace | Variable]) -> dict[str, ArraySpec]:
    """Dtypes and shapes; Keras counts steps in int32 or int64, which may stand for each other."""
    return {path: ArraySpec(a.dtype.replace("int32", "int64"), a.shape) for path, a in arrays.items()}
