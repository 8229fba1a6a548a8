"""The table that `model.summary()` prints, in Keras's box."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from netchu.arguments import check_choice, check_whole, checked_list, is_number
from netchu.errors import UsageError
from netchu.interop.model import Model, is_model
from netchu.layers.base import BatchShape, Layer

POSITIONS = (0.45, 0.80, 1.0)  # where the columns end, as shares of the line
WIDEST = 88
MARGIN = 4
TRAINABLE_COLUMN = 12


def readable_size(numbers: int, bytes_in_all: int) -> str:
    """401920 numbers of 4 bytes -> "401,920 (1.53 MB)"."""
    size = float(bytes_in_all)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{numbers:,} ({size:.2f} {unit})"


def summary_text(
    model: Model,
    line_length: int | None = None,
    positions: Sequence[float] | None = None,
    expand_nested: bool = False,
    show_trainable: bool = False,
) -> str:
    """The summary of a Sequential.

    Args:
        model: it need not be built.
        line_length: columns; as Keras has it, at most 88 and what the terminal has, if None.
        positions: where the columns end, as shares of the line.
        expand_nested: whether to show the layers of the models in it.
        show_trainable: whether to show which layers are trained.

    Raises:
        UsageError: a line too short for its columns.
    """
    check_whole("summary", 1, 10_000, or_none=True, line_length=line_length)
    check_choice("summary", (True, False), expand_nested=expand_nested, show_trainable=show_trainable)
    ends = list(POSITIONS) if positions is None else checked_list("summary", positions=positions)
    if not ends or not all(is_number(end) and end > 0 for end in ends):
        raise UsageError("summary", expected="shares of the line, from 0 to 1", got=f"positions={positions!r:.60}")
    if show_trainable:
        ends = [0.9 * end for end in ends] + [1.0]
    widest = WIDEST + TRAINABLE_COLUMN * show_trainable
    width = line_length or min(widest, shutil.get_terminal_size().columns - MARGIN)
    stops = [0, *(int(end * width) for end in ends)]
    widths = [stop - start for start, stop in pairwise(stops)]
    if min(widths) < 4:
        raise UsageError("summary", expected="at least 4 columns for each part", got=f"line_length={width}")
    heads = ["Layer (type)", "Output Shape", "Param #", "Trainable"]
    rows = [row[: len(widths)] for row in _rows(model, expand_nested)]
    return "\n".join([f'Model: "{model.name}"', _box(heads, widths, width, rows), *_totals(model)])


def _rows(model: Model, expand_nested: bool, level: int = 0) -> Iterator[tuple[str, str, str, str]]:
    """Name, output shape, parameters and whether it is trained, of each layer."""
    for layer, shape in model.layers_with_shapes():
        yield _row(layer, shape, "   " * level + "└ " if level else "")
        if expand_nested and is_model(layer):
            yield from _rows(layer, expand_nested, level + 1)


def _row(layer: Layer, shape: BatchShape | None, indentation: str) -> tuple[str, str, str, str]:
    parameters = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
    trained = "-" if not layer.weights else "Y" if layer.trainable else "N"
    name = f"{indentation}{layer.name} ({type(layer).__name__})"
    return name, "?" if shape is None else str(shape), parameters, trained


def _box(heads: list[str], widths: list[int], width: int, rows: list[tuple[str, ...]]) -> str:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.HEAVY_HEAD, show_lines=True, width=width)
    for head, column_width, justify in zip(heads, widths, ("left", "left", "right", "center")):
        table.add_column(head, width=column_width, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*row)
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, markup=False, highlight=False).print(table)
    return out.getvalue().rstrip()


def _totals(model: Model) -> list[str]:
    def size(weights: Sequence[Any]) -> str:
        numbers = [int(np.prod(w.shape, dtype=np.int64)) for w in weights]
        return readable_size(sum(numbers), sum(n * np.dtype(w.dtype).itemsize for n, w in zip(numbers, weights)))

    optimizer = model.optimizer.variables if model.optimizer is not None and model.optimizer.weights else []
    lines = [
        f" Total params: {size([*model.weights, *optimizer])}",
        f" Trainable params: {size(model.trainable_weights)}",
        f" Non-trainable params: {size(model.non_trainable_weights)}",
    ]
    return [*lines, f" Optimizer params: {size(optimizer)}"] if optimizer else lines
