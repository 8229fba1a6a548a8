"""One step: what `compile` chooses, what a training step does, and how the engine compiles it.

    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])

`train_step` is the whole of learning in eight lines; override it to learn differently.  A step is compiled as a pure
function of `state()`, a flat dictionary of every Variable that it reads or changes; model, optimizer and metrics are
views of it.  On its way through a step a batch is

    NumPy arrays -> the engine's arrays -> Tensors -> train_step -> the engine's arrays -> floats
    `_on_host`      `engine.compile`       `_on_arrays`
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netchu import engines, losses, optimizers
from netchu.errors import UsageError
from netchu.layers.base import Layer, unused_name
from netchu.metrics import Metric
from netchu.registry import Configurable
from netchu.tape import GradientTape
from netchu.tensor import Tensor, Variable, to_array, unwrap, wrap
from netchu.training.batches import Batch, Chunk, Rows, unpack_x_y_sample_weight
from netchu.training.measures import CompiledMetrics

Logs = dict[str, Any]


@dataclass
class CompiledSteps:
    """The compiled steps by engine and mode ("train", "test", "predict"), and the Variables they carry.

    Attributes:
        functions: a step on one batch.
        loops: by engine, training steps on many batches, where the engine compiles a loop.
        variables: by name.
        freezes, changes: `Layer.freezes` when they were made, `Configurable.changes` after the last step: what was set
            since, the steps do not know.
    """

    functions: dict[tuple[str, str], Callable[..., Any]] = field(default_factory=dict)
    loops: dict[str, Callable[[Rows], Logs]] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    freezes: int = field(default_factory=lambda: Layer.freezes)
    changes: int = field(default_factory=lambda: Configurable.changes)

    @property
    def up_to_date(self) -> bool:
        """Whether nothing was set since that the steps hold as it was."""
        return (self.freezes, self.changes) == (Layer.freezes, Configurable.changes)

    def __deepcopy__(self, memo: Any) -> CompiledSteps:
        return CompiledSteps()  # a copied model compiles its own


class Stepping(Layer):
    """A Layer with a loss, an optimizer and metrics, that can make a step.

    Attributes:
        optimizer: set by `compile`.
        loss: set by `compile`; a Loss, or None.
        stop_training: set it in a callback to end training after the batch.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self.run_eagerly = False
        self.jit_compile: bool | str = "auto"
        self.stop_training = False
        self._compiled_metrics: CompiledMetrics | None = None
        self._compiled_steps = CompiledSteps()

    def __setattr__(self, name: str, value: Any) -> None:
        steps = self.__dict__.get("_compiled_steps")
        if steps is not None and name in ("loss", "run_eagerly", "jit_compile"):
            steps.changes = -1  # other attributes of a model, such as `stop_training`, are no constants of a step
        object.__setattr__(self, name, value)

    # --- one step ----------------------------------------------------------------------------------------------------

    def train_step(self, data: Any) -> Logs:
        """One step of learning on a batch `(x, y)` or `(x, y, sample_weight)`; override it to train differently.

        Returns:
            The loss and the metrics, means over the epoch so far, as Tensors by name.
        """
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        with GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(x, y, y_pred, sample_weight)
        weights, optimizer = self.trainable_variables, self._compiled_optimizer()
        gradients = tape.gradient(loss, weights)
        optimizer.apply_gradients(zip(gradients, weights))
        return self.compute_metrics(x, y, y_pred, sample_weight, loss)

    def test_step(self, data: Any) -> Logs:
        """The loss and the metrics of a batch, without learning."""
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        loss = self.compute_loss(x, y, y_pred, sample_weight)
        return self.compute_metrics(x, y, y_pred, sample_weight, loss)

    def predict_step(self, data: Any) -> Tensor:
        """The output for a batch."""
        return self(unpack_x_y_sample_weight(data)[0], training=False)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """The loss of a batch and what the layers add to it, a scalar; override it for a loss of one's own."""
        losses = [] if self.loss is None else [self.loss(y, y_pred, sample_weight)]
        losses += self.losses
        if not losses:
            raise UsageError("compute_loss", expected="a loss", got="loss=None", do='Write compile(loss="...").')
        return functools.reduce(operator.add, losses)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, loss: Tensor | None = None
    ) -> Logs:
        """Take a batch, and its loss if given, into the compiled metrics; all of them so far, by name."""
        if self._compiled_metrics is not None:
            self._compiled_metrics.update(y, y_pred, sample_weight, loss, samples=len(x))
        return self.get_metrics_result()

    def get_metrics_result(self) -> Logs:
        """The loss and the metrics so far, by name."""
        return {metric.name: metric.result() for metric in self.metrics}

    # --- compile -----------------------------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        *,
        metrics: Sequence[Any] | None = None,
        weighted_metrics: Sequence[Any] | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
    ) -> None:
        """Choose how to train.

        Args:
            optimizer: a name or an Optimizer.
            loss: a name, a Loss, or a function `(y_true, y_pred) -> loss of each sample`.
            metrics: names, Metrics or functions, which ignore weights; "accuracy" is the form that fits the shapes.
            weighted_metrics: the same, weighted by sample and class weights.
            run_eagerly: compute line by line under any engine, to look inside with a debugger.
            steps_per_execution: 1; callbacks are called at each batch.
            jit_compile: matters under the NumPy engine, where lines also run one by one: "auto" compiles a step of
                netchu's own parts, and leaves one with a layer, loss, metric or `train_step` of yours as it is, so
                that its prints print at each step and a debugger stops there; True compiles that too, False nothing.

        Raises:
            UsageError: an unknown name; the message lists the known ones.
        """
        for key, given in (("metrics", metrics), ("weighted_metrics", weighted_metrics)):
            if not isinstance(given, (list, tuple, type(None))):
                raise UsageError(
                    "compile",
                    expected=f"{key} as a list",
                    got=f"{key}={given!r:.60}",
                    do=f"Write {key}=[{given!r:.60}].",
                )
        if jit_compile not in (True, False, "auto"):
            raise UsageError("compile", expected='jit_compile to be True, False or "auto"', got=f"{jit_compile=!r:.60}")
        if steps_per_execution != 1:
            raise UsageError("compile", expected="steps_per_execution=1", got=f"{steps_per_execution=}")
        self.optimizer = optimizers.get(optimizer)
        self._compiled_metrics = CompiledMetrics(loss, list(metrics or ()), list(weighted_metrics or ()))
        self.loss = self._compiled_metrics.loss
        self.run_eagerly, self.jit_compile = run_eagerly, jit_compile
        self._compiled_steps = CompiledSteps()

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called, and no layer added or taken away since."""
        return self.optimizer is not None

    @property
    def metrics(self) -> list[Metric]:
        """The mean loss and the compiled metrics, which start anew in each epoch.  Override it to add one's own."""
        return self._compiled_metrics.all if self._compiled_metrics is not None else []

    @property
    def metrics_names(self) -> list[str]:
        """The names of the figures that `evaluate` returns, in its order."""
        return [metric.name for metric in self.metrics]

    @property
    def metrics_given(self) -> list[Any]:
        """What `compile` was given to measure with: metrics, then weighted metrics."""
        chosen = self._compiled_metrics
        return [] if chosen is None else [*chosen.plain_given, *chosen.weighted_given]

    def reset_metrics(self) -> None:
        """Begin all metrics anew."""
        for metric in self.metrics:
            metric.reset_state()

    def state(self) -> dict[str, Variable]:
        """Every Variable that a step reads or changes, by name: weights, random steps, slots, metrics."""
        named = super().state()
        names = {id(variable): name for name, variable in named.items()}
        for optimizer in self._parts(optimizers.Optimizer):
            prefix = unused_name("optimizer", {key.partition("/")[0]: 0 for key in named})
            named |= {f"{prefix}/{key}": variable for key, variable in optimizer.state(names).items()}
        for i, metric in enumerate(dict.fromkeys((*self.metrics, *self._parts(Metric)))):
            named |= {f"metrics/{i}_{metric.name}/{v.name}": v for v in metric.variables}
        return named

    # --- under the engine --------------------------------------------------------------------------------------------

    def _compiled_optimizer(self) -> optimizers.Optimizer:
        """The optimizer; UsageError if there is none yet."""
        if self.optimizer is None:
            raise UsageError(
                "You must call `compile()` before using the model, for example "
                'model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"]).'
            )
        return self.optimizer

    def _check_ready(self, each_batch: bool = False) -> None:
        """Raise UsageError before `compile`, or if other weights are trainable now than when the step was made.

        Asked at each batch, it does not look at all layers again unless a `trainable` was set.
        """
        built_for = self._compiled_optimizer().weights
        steps = self._compiled_steps
        trained = (engines.current().name, "train") in steps.functions
        look = trained and not (each_batch and steps.freezes == Layer.freezes)
        if look and list(map(id, built_for)) != list(map(id, self.trainable_variables)):
            raise UsageError(
                "fit",
                expected=f"the {len(built_for)} weights to train that there were when the model was compiled",
                got=f"{len(self.trainable_variables)} trainable weights",
                do="Call compile() again after changing `trainable`.",
            )

    @property
    def compiles(self) -> bool:
        """Whether the engine compiles the steps; see `compile`."""
        choice = self.jit_compile if engines.current().runs_line_by_line else True
        return not self.run_eagerly and (is_netchus_own(self) if choice == "auto" else bool(choice))

    def step_function(self, mode: str, batch: Batch) -> Callable[[Batch], Any]:
        """The compiled "train", "test" or "predict" step, made at the first batch.

        It takes a batch of NumPy arrays and returns the figures as floats by name, or the outputs as a NumPy array.
        """
        if not self._compiled_steps.up_to_date:
            self.forget_compiled_steps()
        compiled, key = self._compiled_steps, (engines.current().name, mode)
        if key not in compiled.functions:
            self.make_all(mode, batch)
            compiled.variables = self.state()
            step = {"train": self.train_step, "test": self.test_step, "predict": self.predict_step}[mode]
            function, names = _on_arrays(step, self.forget_losses)
            if self.compiles:
                loop = engines.current().compile_loop(function, compiled.variables) if mode == "train" else None
                if loop is not None:
                    compiled.loops[key[0]] = _on_rows(loop, names, compiled)
                function = engines.current().compile(function, compiled.variables)
            compiled.functions[key] = _on_host(function, names, compiled)
        return compiled.functions[key]

    def chunk_function(self, chunk: Chunk) -> Callable[[Any], Logs]:
        """The compiled training steps on the batches of a chunk, which returns the figures after the last.

        The engine's loop, where it has one and the data lies on its device; else one step after the other.
        """
        self._check_ready(each_batch=True)
        compiled, name = self._compiled_steps, engines.current().name
        if (name, "train") not in compiled.functions or not compiled.up_to_date:
            self.step_function("train", next(iter(chunk)))
            compiled = self._compiled_steps
        loop, step = compiled.loops.get(name), compiled.functions[name, "train"]
        if loop is not None and isinstance(chunk, Rows) and chunk.data.resident:
            return loop

        def one_by_one(chunk: Chunk) -> Logs:
            logs: Logs = {}
            for batch in chunk:
                logs = step(batch)
            return logs

        return one_by_one

    @property
    def compiled_variables(self) -> list[Variable]:
        """What the compiled steps read and change."""
        return list(self._compiled_steps.variables.values())

    def forget_compiled_steps(self) -> None:
        """Compile anew at the next batch: something changed that is a constant of a compiled step."""
        self._compiled_steps = CompiledSteps()

    def make_all(self, mode: str, batch: Batch) -> None:
        """Make everything that a step changes before it is compiled: weights, metrics, slots."""
        x, y, _ = batch
        input_shape = (None, *np.shape(x)[1:])
        self.ensure_built(input_shape)
        if mode != "predict" and self._compiled_metrics is not None:
            output_shape = tuple(n or 1 for n in self.compute_output_shape(input_shape))
            self._compiled_metrics.build(np.shape(y), output_shape)
            self.loss = self.loss or self._compiled_metrics.loss
        if mode == "train":
            self._compiled_optimizer().build(self.trainable_variables)


def is_netchus_own(model: object) -> bool:
    """Whether `model`, and every object that it reaches through attributes, holds no code but netchu's."""
    waiting, seen = [model], {id(None)}
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, (bool, int, float, str, bytes, np.ndarray, np.generic, np.dtype)):
            continue
        seen.add(id(thing))
        if isinstance(thing, Mapping):
            waiting += thing.values()
        elif isinstance(thing, (list, tuple, set, frozenset)):
            waiting += thing
        else:
            code = thing if hasattr(thing, "__code__") or isinstance(thing, type) else type(thing)
            if not code.__module__.startswith("netchu."):
                return False
            waiting += getattr(thing, "__dict__", {}).values()
            waiting += [thing.regularizer, thing.constraint] if isinstance(thing, Variable) else []
    return True


def _on_arrays(step: Callable[[Any], Any], forget_losses: Callable[[], None]) -> tuple[Callable[..., Any], list[str]]:
    """A step on Tensors as a function of the engine's arrays, which is what a compiler takes.

    The names of its figures are noted when it first runs or is traced: a compiler does not keep their order.  What
    `add_loss` was given while it was traced is forgotten afterwards: those Tensors never get a value.
    """
    names: list[str] = []

    def function(*arrays: Any) -> Any:
        x, y, sample_weight = (None if a is None else wrap(a) for a in arrays)
        given = (x, y, sample_weight) if sample_weight is not None else (x, y) if y is not None else (x,)
        try:
            result = step(given)
        finally:
            if engines.current().is_traced(arrays[0]):
                forget_losses()
        if result is None:
            raise UsageError(step.__name__, expected="a dictionary of figures", got="None", do="Return one.")
        if not isinstance(result, Mapping):
            return unwrap(result)
        names[:] = result
        return tuple(unwrap(value) for value in result.values())

    return function, names


def _on_host(function: Callable[..., Any], names: list[str], steps: CompiledSteps) -> Callable[[Batch], Any]:
    """A function of the engine's arrays as one of NumPy arrays, its figures as floats by name."""

    def on_host(batch: Batch) -> Any:
        with np.errstate(all="ignore"):  # a loss that is not finite is an error of its own, in a sentence
            result = function(*(None if a is None else to_array(a) for a in batch))
        steps.changes = Configurable.changes  # a layer of one's own may set attributes as it computes
        return _told(result, names)

    return on_host


def _on_rows(loop: engines.Loop, names: list[str], steps: CompiledSteps) -> Callable[[Rows], Logs]:
    """The engine's loop as a function of batches whose data lies on its device."""

    def on_rows(rows: Rows) -> Logs:
        result = loop(rows.data.placed, rows.order.placed, rows.begin, len(rows), rows.size)
        steps.changes = Configurable.changes
        logs: Logs = _told(result, names)
        return logs

    return on_rows


def _told(result: Any, names: list[str]) -> Any:
    """The figures as floats by name; an output as a NumPy array."""
    if isinstance(result, tuple):
        return {name: float(value) for name, value in zip(names, result)}
    return engines.current().to_numpy(result)
