"""The layers that the tutorial's network is made of: Input, Dense, Activation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netchu import activations, constraints, initializers, regularizers
from netchu.arguments import is_whole, positive_integer
from netchu.errors import ShapeError, UsageError
from netchu.layers.base import MAX_AXES, BatchShape, Layer, check_axis
from netchu.registry import rewritten, thread
from netchu.tensor import Tensor, Variable


class ActivatedLayer(Layer):
    """Base of the layers with an activation, a name, a function or None, which may be set anew at any time."""

    casts_integers = True

    @property
    def activation(self) -> Callable[..., Tensor]:
        """What the output is put through; `linear` for none."""
        return self._activation

    @activation.setter
    def activation(self, identifier: Any) -> None:
        before, self._activation = vars(self).get("_activation"), activations.get(identifier)
        self._changes += before not in (None, self._activation) and not thread.works


class KernelLayer(ActivatedLayer):
    """Base of the layers that apply a kernel to their input: bias, activation, and what keeps the weights in bounds.

    Args:
        activation: a name or a function; None for none.
        use_bias: whether to add a bias, one number for each output.
        kernel_initializer: first values of the kernel, a name or an Initializer.
        bias_initializer: first values of the bias.
        kernel_regularizer: what the size of the kernel adds to the loss, a name or a Regularizer.
        bias_regularizer: the same for the bias.
        kernel_constraint: what the kernel is put through after each step, a name or a Constraint.
        bias_constraint: the same for the bias.
        name, trainable, dtype, activity_regularizer: see `Layer`.
    """

    def __init__(
        self,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.activation = activation
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def add_kernel_and_bias(self, shape: tuple[int, ...], outputs: int) -> None:
        """Make `kernel`, of `shape`, and `bias` (outputs,), or None for it."""
        self.kernel = self.add_weight(
            shape,
            self.kernel_initializer,
            name="kernel",
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = self.add_bias(outputs)

    def add_bias(self, outputs: int) -> Variable | None:
        """A bias (outputs,), or None if the layer has none."""
        if not self.use_bias:
            return None
        return self.add_weight(
            (outputs,),
            self.bias_initializer,
            name="bias",
            regularizer=self.bias_regularizer,
            constraint=self.bias_constraint,
        )

    def biased_and_activated(self, y: Tensor) -> Tensor:
        """activation(y + bias)."""
        return self.activation(y if self.bias is None else y + self.bias)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; no activation is written as None."""
        config = super().get_config()
        return rewritten(config, activation=None) if self.activation is activations.linear else config


class Dense(KernelLayer):
    """A fully connected layer: each output is a weighted sum of all inputs, through an activation.

        y = activation(x @ kernel + bias)

    Shapes: x (batch, ..., in), kernel (in, units), bias (units,), y (batch, ..., units).

    Args:
        units: how many outputs, a positive integer.
        activation: a name or a function; None for none.
        use_bias: whether to add the bias.
        **settings: initializers, regularizers and constraints of kernel and bias; see `KernelLayer`.

    Raises:
        UsageError: units that are no positive integer, or an unknown name.
        ShapeError: an input with fewer than two axes, or whose last axis is not what the layer was built for.

    Example:
        >>> Dense(3, activation="relu")
        Dense(units=3, activation='relu')
        >>> Dense(3)([[1.0, 2.0], [3.0, 4.0]]).shape
        (2, 3)
    """

    def __init__(self, units: int, activation: Any = None, use_bias: bool = True, **settings: Any) -> None:
        super().__init__(activation, use_bias, **settings)
        self.units = positive_integer("Dense", "units", units)

    def build(self, input_shape: BatchShape) -> None:
        """Make kernel and bias for inputs (None, ..., in)."""
        width = input_shape[-1]
        if len(input_shape) < 2 or width is None:
            raise ShapeError(
                f"layer '{self.name}' (Dense)",
                expected="an input (batch, ..., features) with a known number of features",
                got=f"input_shape={input_shape}",
                do="Put Reshape((1,)) before it." if len(input_shape) < 2 else "Say all lengths in Input(...).",
            )
        self.add_kernel_and_bias((width, self.units), self.units)

    def call(self, x: Tensor) -> Tensor:
        """y = activation(x @ kernel + bias)."""
        check_axis(self, self.kernel.shape[0], x.shape)
        return self.biased_and_activated(x @ self.kernel)

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """(None, ..., in) -> (None, ..., units), or half as many for `glu`."""
        return activations.output_shape(self.activation, (*input_shape[:-1], self.units))


class Activation(ActivatedLayer):
    """An activation function as a layer of its own.

    Args:
        activation: a name or a function.
        name, trainable, dtype: see `Layer`.
    """

    def __init__(self, activation: Any, **settings: Any) -> None:
        super().__init__(**settings)
        self.activation = activation

    def call(self, x: Tensor) -> Tensor:
        """activation(x)."""
        return self.activation(x)

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """Unchanged, but for `glu`, which halves the last axis."""
        return activations.output_shape(self.activation, input_shape)


class InputLayer(Layer):
    """Says what shape a model's input has; made by `Input`."""

    def __init__(self, shape: tuple[int | None, ...], **settings: Any) -> None:
        super().__init__(**settings)
        if not isinstance(shape, Sequence) or len(shape) > MAX_AXES or not all(n is None or is_whole(n) for n in shape):
            raise UsageError(
                "Input", expected="a tuple of lengths without the batch, such as (784,)", got=f"shape={shape!r:.60}"
            )
        self.shape = tuple(None if n is None else positive_integer("Input", "shape", n) for n in shape)
        self.built = True  # there is nothing to make

    def call(self, x: Tensor) -> Tensor:
        """The input itself."""
        return x

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """(None, *shape)."""
        return (None, *self.shape)


def Input(shape: tuple[int | None, ...], *, name: str | None = None) -> InputLayer:
    """The shape of one sample, as the first entry of a Sequential, which is then built at once.

    Args:
        shape: without the batch: `(784,)` for rows of 784 numbers.
        name: of the input.
    """
    return InputLayer(shape, name=name)
