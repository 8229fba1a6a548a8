"""`netchu info`: what computes here and where data would come from; `netchu info MODEL`: what is in a model file."""

from __future__ import annotations

import os
import platform
from importlib import util
from typing import TYPE_CHECKING, Annotated, Any

from netchu.cli.options import DEFAULTS, Common, flag
from netchu.cli.outcome import OK
from netchu.cli.output import result, result_json
from netchu.system import environment

if TYPE_CHECKING:
    from netchu.models import Sequential


def info(
    model: Annotated[str | None, flag("A model file; without it, the environment.")] = None,
    /,
    *,
    common: Common = DEFAULTS,
) -> int:
    """Report; the exit code."""
    engine = common.use_engine()
    information = about_environment(engine) if model is None else about_model(model)
    if common.json:
        result_json({"schema": 1, **information})
    else:
        result("\n".join(environment_lines(information) if model is None else model_lines(information)))
    return OK


# --- the environment -------------------------------------------------------------------------------------------------


def about_environment(engine: str) -> dict[str, Any]:
    """Versions, engines, threads, and the state of the data, found out without loading any."""
    from netchu import engines

    return {
        "netchu": environment.version(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "engine": engine,
        "engines": {name: library_version(name) for name in engines.engine_names()},
        "threads": engines.current().threads(),
        **data_state(),
    }


def library_version(engine: str) -> str | None:
    """The version of the library behind an engine, which has its name; None if it is not there.  Imports nothing."""
    if util.find_spec(engine) is None:
        return None
    found = environment.version(engine)
    # tensorflow-cpu is the same library, for the processor only.
    return environment.version(f"{engine}-cpu") if found == "unknown" else found


def data_state() -> dict[str, Any]:
    """The cache folder, and which source `netchu train` would take now."""
    from netchu.datasets.mirrors import MNIST
    from netchu.system.disk import cache_folder

    named = environment.text("NETCHU_DATA_DIR")
    offline = environment.switch("NETCHU_OFFLINE")
    try:
        folder = cache_folder()
        cache = str(folder)
        cached = all((folder / MNIST.name / file.name).is_file() for file in MNIST.files)
    except OSError as error:
        cache = f"none: {error}"
        cached = False
    if named is not None:
        found = os.path.exists(named)
        source = f"NETCHU_DATA_DIR={named}" + ("" if found else ", which does not exist")
    elif cached:
        source = "cache"
    else:
        source = (
            "package sample (NETCHU_OFFLINE is set)" if offline else "download, or the package sample without a network"
        )
    return {"cache": cache, "data": {"source": source, "cached": cached, "data_dir": named, "offline": offline}}


def environment_lines(about: dict[str, Any]) -> list[str]:
    """The environment for people."""
    missing = "not installed: pip install 'netchu[{}]'"
    engines = [
        f"{name} {found}" if found else f"{name} ({missing.format(name)})" for name, found in about["engines"].items()
    ]
    rows = {
        "netchu": about["netchu"],
        "python": f"{about['python']} on {about['system']}",
        "engine": f"{about['engine']}, {about['threads']} threads",
        "engines": ", ".join(engines),
        "cache": about["cache"],
        "data": about["data"]["source"],
    }
    return [f"{name:8} {value}" for name, value in rows.items()]


# --- a model ---------------------------------------------------------------------------------------------------------


def about_model(path: str) -> dict[str, Any]:
    """A model file's layers, compile settings and record of training."""
    from netchu.models import load_model

    model = load_model(path)
    return {
        "model": path,
        "parameters": model.count_params(),
        "input_shape": list(model.input_shape[1:]),
        "layers": layer_rows(model),
        "optimizer": type(model.optimizer).__name__ if model.optimizer is not None else None,
        "learning_rate": float(model.optimizer.learning_rate) if model.optimizer is not None else None,
        "loss": type(model.loss).__name__ if model.loss is not None else None,
        "training": model.info,
    }


def layer_rows(model: Sequential) -> list[dict[str, Any]]:
    """For each layer: name, type, the shape of its output without the batch, activation, parameters."""
    rows = []
    shape = model.input_shape
    for layer in model.layers:
        shape = layer.compute_output_shape(shape)
        activation = layer.get_config().get("activation")
        rows.append(
            {
                "name": layer.name,
                "type": type(layer).__name__,
                "output_shape": list(shape[1:]),
                "activation": activation if isinstance(activation, str) else None,
                "parameters": layer.count_params(),
            }
        )
    return rows


def model_lines(about: dict[str, Any]) -> list[str]:
    """The same for people."""
    lines = [f"{about['model']}: {about['parameters']:,} parameters", "", "Layers"]
    rows = [("input", "", by(about["input_shape"]), "", "")]
    for layer in about["layers"]:
        shape = by(layer["output_shape"])
        count = f"{layer['parameters']:,}"
        rows.append((layer["name"], layer["type"], shape, layer["activation"] or "", count))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:4], widths)]
        lines.append(f"  {'  '.join(cells)}  {row[4].rjust(widths[4])}".rstrip())
    trained = {name: about[name] for name in ("optimizer", "learning_rate", "loss")}
    trained = {name: f"{value:g}" if isinstance(value, float) else value for name, value in trained.items() if value}
    rest = {name: flat(value) for name, value in sorted(about["training"].items())}
    width = max(map(len, (*trained, *rest)), default=0)
    return [*lines, "", "Training", *(f"  {name:{width}}  {value}" for name, value in (trained | rest).items())]


def by(shape: list[Any]) -> str:
    """[28, 28] -> "28 x 28"."""
    return " x ".join(map(str, shape))


def flat(value: Any) -> str:
    """A value of the record in one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    return by(value) if isinstance(value, list) else f"{value}"
