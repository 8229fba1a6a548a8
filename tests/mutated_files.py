"""Model files changed by chance: bits, pieces, the length field, and JSON that stays JSON; and what comes of them.

    seeds = seed_files(folder)                                     # small models, as files' bytes
    what, data = mutated(np.random.default_rng(0), *seeds[0])
    outcome_of_bytes(path, data)                                   # one of OUTCOMES, or what should not be

A file that is read may hold other weights than before; it must predict finite numbers all the same, unless it holds
a number that is large, or a variance below 0, with which arithmetic itself comes to infinity or NaN.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hostile_files import JUNK, changed, forged, places
from netchu import Input, Sequential, layers, optimizers
from netchu.errors import ModelFileError, ShapeError
from netchu.models import load_model
from netchu.optimizers import schedules
from random_architectures import random_weights

OUTCOMES = ("refused", "finite", "large numbers", "other inputs")
LARGE = 1e6


def seed_files(folder: Path) -> list[tuple[str, bytes]]:
    """(name, bytes) of five kinds of model."""
    rate = schedules.PiecewiseConstantDecay([10, 20], [0.1, 0.01, 0.001])
    models = {
        "dense": [Input((6,)), layers.Dense(5, activation="relu"), layers.Dense(3, activation="softmax")],
        "images": [
            Input((6, 6, 1)), layers.ZeroPadding2D(1), layers.Conv2D(3, 3, padding="same", kernel_regularizer="l2"),
            layers.BatchNormalization(), layers.ReLU(max_value=6.0), layers.MaxPooling2D(), layers.DepthwiseConv2D(2),
            layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax", kernel_constraint="non_neg"),
        ],
        "nested": [
            Input((4,)), Sequential([layers.Dense(4), layers.PReLU(), Sequential([layers.LayerNormalization()])]),
            layers.Reshape((2, 2)), layers.Permute((2, 1)), layers.Softmax(), layers.Flatten(), layers.Dense(1),
        ],
        "compiled": [Input((3,)), layers.Rescaling([1.0, 0.5, 2.0]), layers.Dropout(0.2, seed=1), layers.Dense(2)],
    }  # fmt: skip
    files = [("tiny", forged())]
    for seed, (name, entries) in enumerate(models.items()):
        model = Sequential(entries, name=name)
        model.set_weights(random_weights(model.weights, seed))
        if name in ("compiled", "images"):
            model.compile(optimizers.Adam(rate, clipnorm=1.0), "mse", metrics=["mae"], weighted_metrics=["accuracy"])
        model.info = {"history": [0.5, 0.25], "data": "none"}
        path = folder / f"{name}.safetensors"
        model.save(path)
        files.append((name, path.read_bytes()))
    return files


# --- changes ---------------------------------------------------------------------------------------------------------


def changed_bytes(rng: np.random.Generator, data: bytes) -> bytes:
    """One to four bytes replaced, or one bit turned over."""
    found = bytearray(data)
    if rng.random() < 0.5:
        found[int(rng.integers(len(found)))] ^= 1 << int(rng.integers(8))
        return bytes(found)
    for _ in range(int(rng.integers(1, 5))):
        found[int(rng.integers(len(found)))] = int(rng.choice([rng.integers(256), *b'{}[]",:0199-.eNt\\']))
    return bytes(found)


def spliced(rng: np.random.Generator, data: bytes) -> bytes:
    """Cut off, a piece taken out, doubled, or exchanged with another."""
    start, stop = sorted(int(i) for i in rng.integers(0, len(data), 2))
    piece = data[start : min(stop, start + 60)]
    return (
        data[:start],
        data[:start] + data[start + len(piece) :],
        data[:start] + piece + data[start:],
        data[:start] + data[stop : stop + 8] + data[start + 8 : stop] + data[start : start + 8] + data[stop + 8 :],
        data + piece,
    )[int(rng.integers(5))]


def lying_length(rng: np.random.Generator, data: bytes) -> bytes:
    """Another number in the length field."""
    length = int.from_bytes(data[:8], "little")
    choices = [length + int(rng.integers(-20, 20)), int(rng.integers(0, 2 * len(data))), 2 ** int(rng.integers(64))]
    return (max(choices[int(rng.integers(3))], 0) % 2**64).to_bytes(8, "little") + data[8:]


def changed_json(rng: np.random.Generator, value: Any) -> Any:
    """A JSON value with one thing in it changed: another number, another kind, another key, another place."""
    paths = list(places(value))
    path = paths[int(rng.integers(len(paths)))]
    at, key = value, path[-1]
    for step in path[:-1]:
        at = at[step]
    kind, found = int(rng.integers(5)), at[key]
    other_path = paths[int(rng.integers(len(paths)))]
    if kind == 0 and isinstance(found, (int, float)):  # another number
        near, far = found + int(rng.integers(-3, 4)), found * 10.0 ** int(rng.integers(-9, 10))
        return changed(value, path, near if rng.random() < 0.5 else far)
    if kind == 1 and isinstance(at, dict) and path[:-1]:  # another key
        name = str(key)[: int(rng.integers(1, 5))] if rng.random() < 0.5 else str(other_path[-1])
        return changed(value, path[:-1], {(name if k == key else k): v for k, v in at.items()})
    if kind == 2:  # what stands elsewhere
        elsewhere = value
        for step in other_path:
            elsewhere = elsewhere[step]
        return changed(value, path, elsewhere)
    if kind == 3 and isinstance(found, list) and found:
        return changed(value, path, [*found, found[int(rng.integers(len(found)))]])
    return changed(value, path, JUNK[int(rng.integers(len(JUNK)))])


def changed_header(rng: np.random.Generator, data: bytes) -> bytes:
    """JSON that stays JSON, within netchu's part of the header or in the tensors' part; sometimes a key twice."""
    length = int.from_bytes(data[:8], "little")
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
    if rng.random() < 0.7:
        about = json.loads(header["__metadata__"]["netchu"])
        for _ in range(int(rng.integers(1, 3))):
            about = changed_json(rng, about)
        header["__metadata__"]["netchu"] = json.dumps(about)
    else:
        header = changed_json(rng, header)
    text = json.dumps(header)
    if rng.random() < 0.05:
        text = text[:-1] + "," + text[1:]
    return len(text.encode()).to_bytes(8, "little") + text.encode() + rest


CHANGES = {"bytes": changed_bytes, "pieces": spliced, "length": lying_length, "header": changed_header}
SHARES = [0.35, 0.2, 0.05, 0.4]


def mutated(rng: np.random.Generator, name: str, data: bytes) -> tuple[str, bytes]:
    """(what was done, the changed file)."""
    what = str(rng.choice(list(CHANGES), p=SHARES))
    return f"{what} of {name}", CHANGES[what](rng, data)


# --- what comes of it ------------------------------------------------------------------------------------------------


def numbers_in(value: Any) -> Iterator[float]:
    """Every number in a JSON value."""
    if isinstance(value, (dict, list)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from numbers_in(item)
    elif isinstance(value, (int, float)):
        yield float(value)


def has_large_numbers(model: Sequential) -> bool:
    """Whether a weight or a setting is large enough, or a variance small enough, to excuse infinity and NaN."""
    weights = [(w.name, w.numpy()) for w in model.weights]
    large = any(np.abs(a).max(initial=0) > LARGE or ("variance" in name and a.min() < 0.001) for name, a in weights)
    return large or any(abs(number) > LARGE for number in numbers_in(model.get_config()))


def outcome_of_bytes(path: Path, data: bytes) -> str:
    """Write `data` to `path`, load it, predict: one of OUTCOMES, or else what is wrong."""
    path.write_bytes(data)
    try:
        model = load_model(path)
    except ModelFileError as error:
        return "refused" if str(error).isprintable() and len(str(error)) < 1500 else f"message {str(error)[:300]!a}"
    except Exception as error:
        return f"load: {type(error).__name__}: {error}"
    samples = np.random.default_rng(0).normal(size=(2, *(n or 3 for n in model.input_shape[1:]))).astype("float32")
    try:
        finite = np.isfinite(model.predict(samples, verbose=0)).all()
    except Exception as error:
        unknown = isinstance(error, ShapeError) and None in model.input_shape[1:]  # a length that only data can tell
        return "other inputs" if unknown else f"predict: {type(error).__name__}: {error}"
    if finite:
        return "finite"
    return "large numbers" if has_large_numbers(model) else "NaN or infinity of small numbers"
