"""Layer: a function with weights.

    class Scale(netchu.layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")

        def call(self, x):
            return x * self.factor

A layer is made first and built later, when the shape of its input is known: on its first call, or when the model it
stands in is built.  Shapes are tuples with None for the batch: (None, 784).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import numpy as np

from netchu import constraints, initializers, ops, registry, regularizers
from netchu.arguments import checked_name, checked_shape, returned
from netchu.array_likes import plain_arrays
from netchu.engines.contract import checked_dtype
from netchu.engines.tracing import carrying
from netchu.errors import ShapeError, UsageError, missing_method
from netchu.layers.calling import AddedLosses, CallSignature, build_once, each_tensor, open_calls
from netchu.listening import nobody_listening
from netchu.metrics import Metric
from netchu.operation import here, tapes_set_aside
from netchu.random import Stream
from netchu.registry import Configurable, snake_case, unused_name, without_defaults
from netchu.tensor import Tensor, Variable

BatchShape: TypeAlias = tuple[int | None, ...]

MAX_AXES = 63  # of a sample; with the batch, as many as NumPy's arrays can have

_shapes_only: ContextVar[bool] = ContextVar("_shapes_only", default=False)


@contextmanager
def shapes_only() -> Iterator[None]:
    """While it is open, new weights take no memory and have no values: a file's architecture is measured this way."""
    token = _shapes_only.set(True)
    try:
        yield
    finally:
        _shapes_only.reset(token)


class Layer(Configurable):
    """Base of all layers: a subclass makes weights in `build` and computes in `call`.

    Args:
        name: unique in a model; made from the class name if None.
        trainable: whether training changes its weights.
        dtype: of its weights and of its input, which is cast to it; None is float32.
        activity_regularizer: what its output adds to the loss, a function of the output, divided by the batch; or None.

    Attributes:
        built: whether the weights exist.
        casts_integers: whether an input of whole numbers is cast to `dtype`, as one of other fractions always is.
    """

    casts_integers = False

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if "build" in vars(cls):
            cls.build = build_once(cls.build)  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        name: str | None = None,
        trainable: bool = True,
        dtype: str | None = None,
        activity_regularizer: Any = None,
        **unknown: Any,
    ) -> None:
        for key in ("input_shape", "input_dim"):
            if key in unknown:
                do = f"Put Input({unknown[key]!r:.60}) first in the Sequential."
                raise UsageError(type(self).__name__, expected=f"no {key}", got=f"{key}={unknown[key]!r:.60}", do=do)
        self.refuse_unknown(unknown)
        if name is not None and "/" in checked_name("Layer", name):  # files write layer/weight
            raise UsageError("Layer", expected="a printable name without '/'", got=f"name={name!r}")
        if not isinstance(trainable, bool):
            raise UsageError("Layer", expected="`trainable` to be a boolean", got=f"trainable={trainable!r:.60}")
        self.named_by_user = name is not None
        self.name = name or snake_case(type(self).__name__)
        self._trainable = trainable
        self.dtype = checked_dtype("Layer", dtype)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.built = False
        self._own_weights: list[Variable] = []
        self._added_losses = AddedLosses()

    # --- what a subclass defines -------------------------------------------------------------------------------------

    @build_once
    def build(self, input_shape: BatchShape) -> None:
        """Make the weights for inputs of `input_shape`, e.g. (None, 784); a layer that is built stays as it is."""

    def call(self, x: Tensor) -> Tensor:
        """Compute the output.  May take `training`, a bool, and what else it is called with."""
        raise missing_method(self, "call(self, x)")

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """The shape of the output, from one sample of zeros unless a subclass knows better."""
        self.ensure_built(input_shape)
        state = self._named_state()
        # Asking for a shape must not count as a call: what it assigns stays in this block, and nobody takes note of it.
        arrays = {name: variable.array for name, variable in state.items()}
        with carrying(state, arrays, strict=False), tapes_set_aside(), nobody_listening():
            try:
                x = ops.zeros(tuple(n or 1 for n in input_shape), dtype=self.dtype)
                y = returned(f"{type(self).__name__}.call", "a tensor", self(x, training=False))
                return (None, *y.shape[1:])
            finally:
                self.forget_losses()

    # --- what a subclass uses ----------------------------------------------------------------------------------------

    def add_weight(
        self,
        shape: Sequence[int] | None = (),
        initializer: Any = None,
        dtype: str | None = None,
        trainable: bool = True,
        name: str = "weight",
        regularizer: Any = None,
        constraint: Any = None,
    ) -> Variable:
        """Make a Variable that belongs to the layer.

        Args:
            shape: of the weight.
            initializer: a name or an Initializer; None for glorot_uniform, or zeros in a dtype that has no fractions.
            dtype: the layer's if None.
            trainable: whether training changes it.
            name: unique in the layer.
            regularizer: what its size adds to the loss; a name, a Regularizer or a function of the weight.
            constraint: what it is put through after each step; a name, a Constraint or a function of the weight.
        """
        dtype, shape = checked_dtype("add_weight", dtype or self.dtype), checked_shape("add_weight", shape)
        if initializer is None:
            initializer = "glorot_uniform" if "float" in dtype else "zeros"
        if _shapes_only.get():
            variable = Variable(np.zeros((), dtype), trainable=trainable, name=name)
            variable.array = np.broadcast_to(np.zeros((), dtype), shape)  # one number, seen as often as the shape says
        else:
            first = returned(f"{initializer!r:.60}", "initial values", initializers.get(initializer)(shape, dtype))
            variable = Variable(first, trainable=trainable, name=name)
            if dtype == "float64" != variable.dtype:  # a file would say float64 and hold float32
                raise UsageError(
                    f"layer '{self.name}' ({type(self).__name__})",
                    expected=f"a dtype that the engine {variable.engine.name!r} has",
                    got=f"dtype={dtype!r}",
                    do='For float64 call jax.config.update("jax_enable_x64", True) first.',
                )
        variable.regularizer = regularizers.get(regularizer)
        variable.constraint = constraints.get(constraint)
        self._own_weights.append(variable)
        return variable

    def add_loss(self, loss: Tensor) -> None:
        """Add a scalar, computed in `call`, to what training makes small."""
        self._added_losses.add(ops.convert_to_tensor(loss))

    # --- what a caller uses ------------------------------------------------------------------------------------------

    def __call__(self, *inputs: Any, **named: Any) -> Tensor:
        """Build if needed, and compute.

        Args:
            inputs: x (batch, ...), Tensor or array, floating-point numbers of it cast to the layer's dtype; then what
                else `call` takes.
            named: the same by name.  `training` says whether this is a training step (Dropout drops only then); if it
                is not given, the call around this one decides, then the default in `call`.

        Raises:
            UsageError: `call` returned nothing, within a step or another layer's call.
        """
        outer = (here.layer, registry.thread.works, open_calls.training)
        signature, frozen = self._signature(), not self.trainable
        x, more, others, training = signature.arranged(inputs, named)
        here.layer = self  # what a tape says of each operation
        registry.thread.works = True
        open_calls.training = training = signature.decided(training)
        open_calls.frozen += frozen
        try:
            x = self._cast(x) if registry.is_netchus(type(self)) else each_tensor(x, self._cast)
            self.ensure_built(each_tensor(x, lambda part: (None, *part.shape[1:])))
            if outer[0] is None:
                self.forget_losses()
            if signature.takes_training and training is not None:
                others["training"] = training
            y = self.call(x, *more, **others)
            if outer[1]:  # somebody goes on with it: a layer around this one, or a step
                returned(f"{type(self).__name__}.call", "a tensor", y)
            if self.activity_regularizer is not None:  # a mean over samples, as the loss is
                self.add_loss(self.activity_regularizer(y) / max(y.shape[0], 1))
        finally:
            here.layer, registry.thread.works, open_calls.training = outer
            open_calls.frozen -= frozen
        return y

    def _cast(self, x: Any) -> Tensor:
        """An input as a Tensor, its floating-point numbers in the layer's dtype; whole ones if `casts_integers`."""
        tensor = ops.convert_to_tensor(x)
        if tensor.dtype != self.dtype and (self.casts_integers or "float" in tensor.dtype):
            return ops.cast(tensor, self.dtype)
        return tensor

    @classmethod
    def _signature(cls) -> CallSignature:
        known = cls.__dict__.get("_call_signature")
        if known is None:
            known = cls._call_signature = CallSignature(cls.call)  # type: ignore[attr-defined]
        return known

    @staticmethod
    def is_frozen() -> bool:
        """Within a call: whether this layer, or one that holds it, has `trainable = False`."""
        return open_calls.frozen > 0

    def forget_losses(self) -> None:
        """Drop what `add_loss` was given, here and in the layers it holds: the outermost call begins with none."""
        self._added_losses.forget()
        for layer in self.sublayers:
            layer.forget_losses()

    @property
    def losses(self) -> list[Tensor]:
        """What its last call, and then the regularizers of its trainable weights, add to the loss; scalars."""
        regularized = ((w.regularizer, w) for w in self.trainable_weights if w.regularizer)
        return [*self._called_losses(), *(returned(f"{r!r:.60}", "a penalty", r(w)) for r, w in regularized)]

    def _called_losses(self) -> list[Tensor]:
        return [*self._added_losses.mine(), *(loss for layer in self.sublayers for loss in layer._called_losses())]

    def ensure_built(self, input_shape: BatchShape) -> None:
        """Call `build` once."""
        if not self.built:
            self.build(tuple(input_shape))

    def _build_inside(self, input_shape: BatchShape) -> None:
        """Build the layers that it holds and did not build itself, by a call on zeros."""
        if not all(layer.built for layer in self.sublayers):
            Layer.compute_output_shape(self, input_shape)

    @property
    def trainable(self) -> bool:
        """Whether training changes its weights; set, it holds for the layers inside, too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._changes += bool(value) is not self._trainable and not registry.thread.works
        self._trainable = bool(value)
        for layer in self.sublayers:
            layer.trainable = value

    @property
    def metrics(self) -> list[Metric]:
        """The metrics among its attributes, and in the layers that it holds; they start anew with each epoch."""
        return list(dict.fromkeys((*self._parts(Metric), *self._metrics_inside())))

    def _metrics_inside(self) -> list[Metric]:
        """The metrics of the layers that it holds."""
        return [metric for layer in self.sublayers for metric in layer._metrics_lent()]

    def _metrics_lent(self) -> list[Metric]:
        """Those that a model around it shows and resets."""
        return self.metrics

    @property
    def sublayers(self) -> list[Layer]:
        """The layers among its attributes."""
        return self._parts(Layer)

    def _own(self) -> list[Variable]:
        """The weights in the order they were added, then Variables that were simply assigned to attributes."""
        return list(dict.fromkeys((*self._own_weights, *self._parts(Variable))))

    @property
    def weights(self) -> list[Variable]:
        """Its own weights, then those of the layers it holds."""
        nested = (w for layer in self.sublayers for w in layer.weights)
        return list(dict.fromkeys((*self._own(), *nested)))

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training changes."""
        if not self.trainable:
            return []
        nested = (w for layer in self.sublayers for w in layer.trainable_weights)
        return list(dict.fromkeys((*(w for w in self._own() if w.trainable), *nested)))

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training leaves alone."""
        trainable = set(map(id, self.trainable_weights))
        return [w for w in self.weights if id(w) not in trainable]

    @property
    def variables(self) -> list[Variable]:
        """The same as `weights`; `state()` has random steps, slots and metrics, too."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Variable]:
        """The same as `trainable_weights`: what gradients are taken for."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """The same as `non_trainable_weights`."""
        return self.non_trainable_weights

    def state(self) -> dict[str, Variable]:
        """Every Variable by name: its weights, the steps of its random streams, its metrics' state; a model's slots."""
        return self._named_state()

    def _named_state(self) -> dict[str, Variable]:
        """Every Variable of the layer by name: its weights, the steps of its random streams, its metrics' state."""
        named: dict[str, Variable] = {}
        for variable in (*self._own(), *(stream.step for stream in self._parts(Stream))):
            named[unused_name(variable.name, named)] = variable
        for metric in self._parts(Metric):
            prefix = unused_name(metric.name, {key.partition("/")[0]: 0 for key in named})
            named |= {f"{prefix}/{key}": variable for key, variable in metric._named_state().items()}
        for layer in self.sublayers:
            prefix = unused_name(layer.name, {key.partition("/")[0]: 0 for key in named})
            named |= {f"{prefix}/{key}": variable for key, variable in layer._named_state().items()}
        return named

    def streams(self) -> list[Stream]:
        """The random streams of the layer, then those of the layers it holds."""
        return [*self._parts(Stream), *(stream for layer in self.sublayers for stream in Layer.streams(layer))]

    @property
    def metrics_variables(self) -> list[Variable]:
        """The state of the metrics."""
        return [variable for metric in self.metrics for variable in metric.variables]

    def get_weights(self) -> list[np.ndarray]:
        """The values of the weights, as NumPy arrays of the caller's own."""
        return [np.array(w.numpy()) for w in self.weights]

    def set_weights(self, weights: list[Any]) -> None:
        """Assign values in the order of `get_weights`.

        Raises:
            DataError: something that is no array of numbers.
            ShapeError: another number of arrays, or other shapes; every mismatch is listed.  Nothing is changed then.
        """
        own, weights = self.weights, plain_arrays(f"set_weights of {self.name!r}", weights)
        pairs = enumerate(zip(own, weights))
        wrong = [f"[{i}] {w.name} {w.shape} got {a.shape}" for i, (w, a) in pairs if w.shape != a.shape]
        if len(own) != len(weights) or wrong:
            raise ShapeError(
                f"set_weights of {self.name!r}",
                got=f"{len(weights)} arrays {'; '.join(wrong)}",
                expected=f"{len(own)} arrays of shapes {[w.shape for w in own]}",
            )
        for variable, value in zip(own, weights):
            variable.assign(value)

    def count_params(self) -> int:
        """How many numbers its weights hold."""
        return sum(int(np.prod(w.shape, dtype=np.int64)) for w in self.weights)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return without_defaults(super().get_config(), trainable=True, dtype="float32", activity_regularizer=None)


class ShapeKeepingLayer(Layer):
    """Base of the layers whose output has the shape of their input."""

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """Unchanged."""
        return input_shape


def check_axis(layer: Layer, expected: int | None, shape: tuple[int, ...]) -> None:
    """Raise ShapeError, in Keras's words, if the last axis of an input is not what the layer was built for."""
    if expected is not None and shape[-1] != expected:
        raise ShapeError(
            f"Input 0 of layer '{layer.name}' is incompatible with the layer",
            expected=f"axis -1 of input shape to have value {expected}",
            got=f"input with shape {(None, *shape[1:])}",
            do="Reshape x, or build the layer for this width.",
        )
