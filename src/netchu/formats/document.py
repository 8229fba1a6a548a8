"""What every format begins with: bytes of bounded size, strict JSON, and what a described model may ask for.

Nothing that stands in a file is believed.  A file is opened only if it is a regular one, no more of it is read than its
format allows, a configuration is counted before anything is made of it, and the arrays are compared with what the model
needs before any of them is read.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from netchu.errors import DataNotFoundError, ModelFileError, NetchuError, UsageError

MAX_FILE_BYTES = 1 << 30

# What a file's configuration may ask for, at most.
MAX_LAYERS = 2000  # making a model takes time in proportion to their square
MAX_METRICS = 100
MAX_OUTPUT = 1 << 28  # numbers that a layer makes of one sample: 1 GiB in float32

# What making something of a hostile configuration can raise.
UNFIT = (
    NetchuError, ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError,
)  # fmt: skip


class UnreadableError(ValueError):
    """What a file has that it should not have."""


def read_bytes(path: str, count: int, limit: int = MAX_FILE_BYTES) -> tuple[bytes, int]:
    """The first `count` bytes of a regular file of bounded size, and its size; devices and pipes are not opened.

    Args:
        path: of the file.
        count: how many bytes to read, at most.
        limit: how large the file may be.

    Raises:
        DataNotFoundError: no such file.
        ModelFileError: a folder, a device, a file that is too large or cannot be read.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise ModelFileError(path, expected="a file", got="a folder or a device")
        if status.st_size > limit:
            raise ModelFileError(path, expected=f"at most {limit} bytes", got=f"{status.st_size}")
        with Path(path).open("rb") as file:
            return file.read(count), status.st_size
    except FileNotFoundError:
        raise DataNotFoundError(
            path, expected="an existing file", got="no such model file", do="`netchu train` makes one."
        ) from None
    except ModelFileError:  # a ValueError, too: refused above
        raise
    except (OSError, ValueError) as error:
        raise ModelFileError(path, expected="a readable file", got=f"{error}") from None


def strict_json(path: str, text: bytes) -> dict[str, Any]:
    """The JSON object in a text.

    Args:
        path: of the file, for messages.
        text: UTF-8.

    Raises:
        ModelFileError: it is something else, or has duplicate keys, NaN, Infinity, or text that is none.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key occurs twice")
        return dict(pairs)

    def no_constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON")

    def finite(digits: str) -> float:
        if not math.isfinite(float(digits)):
            raise ValueError(f"{digits[:20]} is too large")
        return float(digits)

    try:
        found = json.loads(
            text.decode("utf-8"), object_pairs_hook=unique, parse_constant=no_constant, parse_float=finite
        )
        if b"\\ud" in text.lower():
            json.dumps(found, ensure_ascii=False).encode("utf-8")  # fails for half a surrogate pair, which is no text
    except (ValueError, RecursionError) as error:  # also UnicodeDecodeError, and integers of too many digits
        raise ModelFileError(path, expected="a JSON header", got=str(error)[:80]) from None
    if not isinstance(found, dict):
        raise ModelFileError(path, expected="a JSON object as header", got=type(found).__name__)
    return found


@dataclass(frozen=True)
class ArraySpec:
    """The dtype and the shape of an array that has not been read."""

    dtype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


def misfits(found: Mapping[str, ArraySpec], expected: Mapping[str, ArraySpec]) -> str:
    """In words, where the arrays of a file are not those that a model needs; empty if they are.

    Args:
        found: in the file, by name.
        expected: by the model, by name.
    """
    wrong = [
        f"{name[:100]!r}: {found.get(name, 'nothing')} where the model has {expected.get(name, 'nothing')}"
        for name in sorted({*expected, *found})
        if expected.get(name) != found.get(name)
    ]
    return "; ".join(wrong[:5])[:1000]


def count_layers(config: object) -> int:
    """How many layers a configuration describes, those of inner models included."""
    entries = config.get("layers") if isinstance(config, dict) else None
    if not isinstance(entries, list):
        return 0
    return sum(1 + count_layers(e.get("config") if isinstance(e, dict) else e) for e in entries)


def check_counts(where: str, config: Mapping[str, Any]) -> None:
    """Raise UsageError if the configuration of a file asks for too much; looked at before anything is made of it.

    Args:
        where: who asks, for messages.
        config: `"model"` and `"compile"`, each of which may be missing or None.
    """
    counts = {"layers": (count_layers(config.get("model")), MAX_LAYERS)}
    chosen = config.get("compile") or {}
    for key in ("metrics", "weighted_metrics"):
        counts[key] = (len(chosen.get(key, [])), MAX_METRICS)
    for name, (count, most) in counts.items():
        if count > most:
            raise UsageError(where, expected=f"at most {most} {name}", got=f"{count}")
