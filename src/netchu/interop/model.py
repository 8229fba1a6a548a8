"""What the files of other programs hold of a model: layers that follow one another, and the state of its training.

    if is_model(layer):                                # a model within a model
        for inner in layer.input_and_layers: ...

`netchu.models.Sequential` is such a model.  The rooms that read and write files know it by this description alone.
"""

from __future__ import annotations

from typing import Protocol, TypeGuard

from netchu.errors import UsageError
from netchu.layers.base import BatchShape, Layer
from netchu.optimizers import Optimizer
from netchu.tensor import Variable


class Model(Protocol):
    """A model as files see it; see `netchu.models.Sequential` for what the names mean.

    Attributes:
        name, dtype, trainable, built: as every layer has them.
        optimizer: None before `compile`.
        run_eagerly: see `compile`.
    """

    name: str
    dtype: str
    trainable: bool
    built: bool
    optimizer: Optimizer | None
    run_eagerly: bool

    @property
    def layers(self) -> list[Layer]:
        """The layers in order, without the Input."""

    @property
    def input_and_layers(self) -> list[Layer]:
        """The layers in order, the Input first if there is one."""

    def layers_with_shapes(self) -> list[tuple[Layer, BatchShape | None]]:
        """Each layer with the shape of its output, None while that is not known."""

    @property
    def calls_layers_in_order(self) -> bool:
        """Whether all that it computes is one layer after the other."""

    @property
    def input_shape(self) -> BatchShape:
        """(None, ...)."""

    @property
    def output_shape(self) -> BatchShape:
        """(None, ...)."""

    @property
    def weights(self) -> list[Variable]:
        """All of them, in order."""

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes."""

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training leaves alone."""

    def named_weights(self) -> dict[str, Variable]:
        """The weights by the names that files use: `dense/kernel`."""

    def count_params(self) -> int:
        """How many numbers its weights hold."""


def is_model(layer: Layer) -> TypeGuard[Model]:
    """Whether a layer is itself a model whose layers follow one another.

    The class is asked, because a property of the object may not be ready before the model is built.
    """
    return hasattr(type(layer), "input_and_layers")


def check_order(where: str, model: Model) -> None:
    """Raise UsageError for a model with a `call` of its own: a file holds layers that follow one another."""
    if not model.calls_layers_in_order:
        got = f"{type(model).__qualname__}, with a call of its own"
        raise UsageError(where, expected="a Sequential", got=got, do="Save its weights: save_weights(...).")
