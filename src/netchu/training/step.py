"""One step of learning, and what `compile` chooses for it.

    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])

`train_step` is the whole of learning in eight lines; override it to learn differently.  A step is traced as a pure
function of `state()`, a flat dictionary of every Variable that it reads or changes; model, optimizer and metrics are
views of it (`traced.py`).
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from netchu import engines, losses, optimizers
from netchu.arguments import check_choice, returned
from netchu.callbacks.base import Logs
from netchu.errors import UsageError
from netchu.layers.base import BatchShape, Layer
from netchu.metrics import Metric
from netchu.registry import is_netchus, unused_name
from netchu.tape import GradientTape
from netchu.tensor import Tensor, Variable
from netchu.training.arrays import Batch, unpack_x_y_sample_weight
from netchu.training.batches import Chunk
from netchu.training.measures import Measures
from netchu.training.traced import TracedSteps, is_netchus_own

READ_BY_STEPS = {"loss", "optimizer", "run_eagerly", "jit_compile", "activity_regularizer", "dtype"}
"""Attributes of a model that its traced steps depend on."""


class Learner(Layer):
    """A Layer with a loss, an optimizer and metrics, that can make a step.

    Attributes:
        optimizer: set by `compile`.
        loss: set by `compile`; a Loss, or None.
        run_eagerly, jit_compile: see `compile`.
        measures: what `compile` was given to measure with; None before.
        info: JSON values that `save` writes into the file and `load_model` reads: how the model was trained.
        stop_training: set it, in a callback or from another thread, to end a training after the batch.
    """

    set_as_it_works = Layer.set_as_it_works | {"history", "info", "stop_training"}

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: losses.Loss | None = None
        self.run_eagerly = False
        self.jit_compile: bool | str = "auto"
        self.stop_training = False
        self.info: dict[str, Any] = {}
        self.measures: Measures | None = None
        self._traced = TracedSteps()

    def __setattr__(self, name: str, value: Any) -> None:
        if is_netchus(type(self)) and not hasattr(type(self), name) and name not in READ_BY_STEPS:
            object.__setattr__(self, name, value)  # a callback's note, say: no step of netchu's own reads it
        else:
            super().__setattr__(name, value)

    @property
    def layers(self) -> list[Layer]:
        """The layers in order."""
        raise NotImplementedError

    @property
    def input_shape(self) -> BatchShape:
        """(None, ...)."""
        raise NotImplementedError

    def named_weights(self) -> dict[str, Variable]:
        """The weights by the names that files use: `dense/kernel`."""
        weights = set(map(id, self.weights))
        return {name: variable for name, variable in self._named_state().items() if id(variable) in weights}

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
        weights = self.trainable_variables
        gradients = self.exchange_gradients(tape.gradient(loss, weights))
        self.chosen_optimizer("train_step").apply_gradients(zip(gradients, weights))
        return self.compute_metrics(x, y, y_pred, sample_weight, loss)

    def exchange_gradients(self, gradients: list[Tensor | None]) -> list[Tensor | None]:
        """What the optimizer is given for the gradients of this batch: the same.

        Override it to change them between the walk backwards and the update, or to take their mean over machines.
        """
        return gradients

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
        """The loss of a batch and what the layers add to it, a scalar; override it for a loss of your own."""
        parts = [] if self.loss is None else [self.loss(y, y_pred, sample_weight)]
        parts += self.losses
        if not parts:
            raise UsageError("compute_loss", expected="a loss", got="loss=None", do='Write compile(loss="...").')
        return functools.reduce(operator.add, parts)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, loss: Tensor | None = None
    ) -> Logs:
        """Take a batch, and its loss if given, into the metrics; all of them so far, by name."""
        if self.measures is not None:
            self.measures.update(y, y_pred, sample_weight, loss, samples=len(x))
        return self.get_metrics_result()

    def get_metrics_result(self) -> Logs:
        """The loss and the metrics so far, by name."""
        metrics = self._traced.metrics_of(self)
        return {m.name: returned(f"{type(m).__name__}.result", "a number", m.result()) for m in metrics}

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
            jit_compile: matters under the NumPy engine, where lines also run one by one: "auto" traces a step of
                netchu's own parts, and leaves one with a layer, loss, metric or `train_step` of yours as it is, so
                that its prints print at each step and a debugger stops there; True traces that too, False nothing.

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
        check_choice("compile", (True, False, "auto"), jit_compile=jit_compile)
        check_choice("compile", (1,), steps_per_execution=steps_per_execution)
        measures = Measures(loss, list(metrics or ()), list(weighted_metrics or ()))
        self.optimizer = optimizers.get(optimizer)
        self.measures = measures
        self.loss = measures.loss
        self.run_eagerly = run_eagerly
        self.jit_compile = jit_compile
        self._traced.forget()

    @property
    def compiled(self) -> bool:
        """Whether `compile` was called, and no layer added or taken away since."""
        return self.optimizer is not None

    @property
    def metrics(self) -> list[Metric]:
        """The mean loss, the metrics of `compile`, then those held by the model and its layers; anew in each epoch."""
        compiled = self.measures.all if self.measures is not None else []
        return list(dict.fromkeys((*compiled, *super().metrics)))

    def _metrics_lent(self) -> list[Metric]:
        """Only those of its layers: its own are updated by its own steps, which a model around it does not make."""
        return self._metrics_inside()

    @property
    def metrics_names(self) -> list[str]:
        """The names of the figures that `evaluate` returns, in its order."""
        return [metric.name for metric in self.metrics]

    @property
    def metrics_given(self) -> list[str | Metric]:
        """What `compile` was given to measure with: metrics, then weighted metrics."""
        return [] if self.measures is None else [*self.measures.plain_given, *self.measures.weighted_given]

    def reset_metrics(self) -> None:
        """Begin all metrics anew."""
        for metric in self._traced.metrics_of(self):
            metric.reset_state()

    def _named_state(self) -> dict[str, Variable]:
        """Every Variable that a step reads or changes, by name: weights, random steps, slots, metrics."""
        named = super()._named_state()
        names = {id(variable): name for name, variable in named.items()}
        for optimizer in self._parts(optimizers.Optimizer):
            prefix = unused_name("optimizer", {key.partition("/")[0]: 0 for key in named})
            named |= {f"{prefix}/{key}": variable for key, variable in optimizer.state(names).items()}
        known = set(map(id, named.values()))
        for i, metric in enumerate(self.metrics):
            state = {f"metrics/{i}_{metric.name}/{key}": variable for key, variable in metric._named_state().items()}
            named |= {key: variable for key, variable in state.items() if id(variable) not in known}
        return named

    def check_compiled(self, where: str) -> None:
        """Raise UsageError before `compile`, or if other weights are trainable now than when the step was made.

        Args:
            where: who asks, for messages.
        """
        built_for = self.chosen_optimizer(where).weights
        if not built_for or not self._traced.is_stale("train"):
            return
        now = self.trainable_variables
        if list(map(id, built_for)) != list(map(id, now)):
            raise UsageError(
                where,
                expected=f"the {len(built_for)} weights to train that there were when the model was compiled",
                got=f"{len(now)} trainable weights",
                do="Call compile() again after changing `trainable`.",
            )

    def chosen_optimizer(self, where: str) -> optimizers.Optimizer:
        """The optimizer; UsageError if there is none yet."""
        if self.optimizer is None:
            raise UsageError(
                f"{where}: You must call `compile()` before using the model",
                expected="an optimizer and a loss",
                got="optimizer=None",
                do='Write model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy").',
            )
        return self.optimizer

    # --- under the engine --------------------------------------------------------------------------------------------

    @property
    def is_traced(self) -> bool:
        """Whether the engine traces the steps; see `compile`."""
        choice = self.jit_compile if engines.current().runs_line_by_line else True
        return not self.run_eagerly and (is_netchus_own(self) if choice == "auto" else bool(choice))

    def step_of(self, mode: str) -> Callable[[Any], Any]:
        """What a step of the mode "train", "test" or "predict" does."""
        return {"train": self.train_step, "test": self.test_step, "predict": self.predict_step}[mode]

    def step_function(self, mode: str, batch: Batch) -> Callable[[Batch], Any]:
        """The traced "train", "test" or "predict" step; see `TracedSteps.on_batch`."""
        return self._traced.on_batch(self, mode, batch)

    def chunk_function(self, chunk: Chunk) -> Callable[[Any], Logs]:
        """The traced training steps on the batches of a chunk; see `TracedSteps.on_chunk`."""
        self.check_compiled("fit")
        return self._traced.on_chunk(self, chunk)

    def forget_traced_steps(self) -> None:
        """Trace anew at the next batch: something changed that is a constant of a traced step."""
        self._traced.forget()

    @property
    def traced_variables(self) -> list[Variable]:
        """What the traced steps read and change."""
        return self._traced.variables

    def make_all(self, mode: str, batch: Batch) -> None:
        """Make everything that a step changes before it is traced: weights, metrics, slots."""
        x, y, _ = batch
        input_shape = (None, *np.shape(x)[1:])
        self.ensure_built(input_shape)
        if mode != "predict" and self.measures is not None:
            output_shape = tuple(n or 1 for n in self.compute_output_shape(input_shape))
            self.measures.build(np.shape(y), output_shape)
            self.loss = self.loss or self.measures.loss
        if mode == "train":
            self.chosen_optimizer("fit").build(self.trainable_variables)
