"""The table that `model.summary()` prints, in Keras's box."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from netchu.layers.base import BatchShape, Layer


def readable_size(numbers: int, bytes_in_all: int) -> str:
    """401920 numbers of 4 bytes -> "401,920 (1.53 MB)"."""
    size = float(bytes_in_all)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1024 or unit == "GB":
            break
        size /= 1024
    return f"{numbers:,} ({size:.2f} {unit})"


def summary_text(model: Any, rows: Sequence[tuple[Layer, BatchShape | None]], line_length: int | None = None) -> str:
    """The summary of a model.

    Args:
        model: for its name and its numbers of parameters.
        rows: each layer with the shape of its output, None while that is not known.
        line_length: columns; as wide as needed, at most 100, if None.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("Layer (type)", "Output Shape", box=box.HEAVY_HEAD, show_lines=True)
    table.add_column("Param #", justify="right")
    for layer, shape in rows:
        parameters = f"{layer.count_params():,}" if layer.built else "0 (unbuilt)"
        table.add_row(f"{layer.name} ({type(layer).__name__})", "?" if shape is None else str(shape), parameters)
    out = io.StringIO()
    Console(file=out, width=line_length or 100, color_system=None, markup=False, highlight=False).print(table)

    def size(weights: Sequence[Any]) -> str:
        return readable_size(sum(w.numpy().size for w in weights), sum(w.numpy().nbytes for w in weights))

    optimizer = model.optimizer.variables if model.optimizer is not None and model.optimizer.weights else []
    lines = [
        f'Model: "{model.name}"',
        out.getvalue().rstrip(),
        f" Total params: {size([*model.weights, *optimizer])}",
        f" Trainable params: {size(model.trainable_weights)}",
        f" Non-trainable params: {size(model.non_trainable_weights)}",
    ]
    return "\n".join([*lines, f" Optimizer params: {size(optimizer)}"] if optimizer else lines)
