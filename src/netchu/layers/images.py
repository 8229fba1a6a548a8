"""What all layers over images (batch, height, width, channels) check and work out before they compute.

    channels = check_images(self, input_shape)              # ShapeError, naming the layer, if these are no images
    rows, columns = images_after(self, input_shape, size, strides, padding)

Shapes are those of layers, with None for the batch and for what is not known yet: (None, 28, 28, 1).
"""

from __future__ import annotations

from netchu.errors import ShapeError
from netchu.layers.base import BatchShape, Layer
from netchu.ops.windows import Pair, windows_along

MAX_BORDER = 1024  # that "same" may add to an image at an edge: a slip of the pen would fill the memory with zeros


def check_images(layer: Layer, input_shape: BatchShape) -> int:
    """How many channels images of `input_shape` have; ShapeError, naming the layer, if they are no images."""
    channels = input_shape[-1] if len(input_shape) == 4 else None
    if channels is None:
        do = ""
        if len(input_shape) == 3:
            shape = f"({input_shape[1]}, {input_shape[2]}, 1)"
            do = f"For grey images put Reshape({shape}) before it, or write x[..., None]; for a single image x[None]."
        raise ShapeError(
            f"layer '{layer.name}' ({type(layer).__name__})",
            expected="images (batch, height, width, channels)",
            got=f"input_shape={(None, *input_shape[1:])}",
            do=do,
        )
    return channels


def images_after(
    layer: Layer, input_shape: BatchShape, size: Pair, strides: Pair, padding: str, dilation: Pair = (1, 1)
) -> tuple[int | None, int | None]:
    """How many windows of `size` there are, (rows, columns); ShapeError, naming the layer, if not even one fits."""
    along = [
        (None, (0, 0)) if length is None else windows_along(length, window, stride, apart, padding)
        for length, window, stride, apart in zip(input_shape[1:3], size, strides, dilation)
    ]
    (rows, _), (columns, _) = along
    if any(count is not None and count < 1 for count in (rows, columns)):
        raise ShapeError(
            f"layer '{layer.name}' ({type(layer).__name__})",
            expected=f"images of at least one window of {size}"
            + (f" with dilation {dilation}" if max(dilation) > 1 else ""),
            got=f"input_shape={(None, *input_shape[1:])}",
            do='Leave out a pooling layer before it, use a smaller window, or padding="same".',
        )
    if max(max(border) for _, border in along) > MAX_BORDER:
        raise ShapeError(
            f"layer '{layer.name}' ({type(layer).__name__})",
            expected=f'windows that reach at most {MAX_BORDER} pixels over an edge with padding="same"',
            got=f"windows of {size} with dilation {dilation} for input_shape={(None, *input_shape[1:])}",
        )
    return rows, columns
