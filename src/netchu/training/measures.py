"""What `compile` was given to measure with: names become losses and metrics once the shapes are known.

    compile(loss="crossentropy", metrics=["accuracy", metrics.AUC()], weighted_metrics=["accuracy"])

The rules are Keras's: which cross-entropy and which accuracy fit the shapes, and how figures are named.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from netchu import losses
from netchu.errors import UsageError
from netchu.metrics import Mean, Metric, accuracy_for
from netchu.metrics import get as get_metric
from netchu.registry import snake_case
from netchu.tensor import Tensor


class Measures:
    """What `compile` was given to measure with: the loss and the metrics, those that depend on shapes made later.

    Attributes:
        loss: None while "crossentropy" waits for shapes, or if there is none.
        plain_given, weighted_given: the metrics as `compile` was given them, those that are no names as Metrics.
        mean_loss, plain, weighted: the metrics themselves, after `build`.

    Raises:
        UsageError: an unknown name, a metric that gives no single number, or one that is given twice; at once.
    """

    def __init__(self, loss: Any, plain: list[Any], weighted: list[Any]) -> None:
        self._loss_by_shape = loss in ("crossentropy", "ce")
        self.loss = None if loss is None or self._loss_by_shape else losses.get(loss)
        self.plain_given: list[str | Metric] = [m if isinstance(m, str) else get_metric(m) for m in plain]
        self.weighted_given: list[str | Metric] = [m if isinstance(m, str) else get_metric(m) for m in weighted]
        self.mean_loss = Mean("loss")
        self.plain: list[Metric] = []
        self.weighted: list[Metric] = []
        self.built = False
        given = [*self.plain_given, *self.weighted_given]
        for metric in (metric_for(m, (1,), (1, 1)) for m in given):  # what is wrong is an error now, not in a batch
            if not metric.scalar:
                raise UsageError(
                    "compile",
                    expected="metrics that give one number each",
                    got=f"{metric!r}",
                    do='Choose one threshold, or an average such as F1Score(average="macro"); or use it by hand: '
                    "metric.update_state(y, model.predict(x)).",
                )
        self._names = unique_names(self.plain_given, self.weighted_given)
        objects = [(m, name) for m, name in zip(given, self._names) if not isinstance(m, str)]
        if len({"loss", *self._names}) <= len(self._names) or len({m for m, _ in objects}) < len(objects):
            raise UsageError("compile", expected="each metric once, under a name of its own", got=f"{given}")
        for metric, name in objects:
            metric.name = name

    @property
    def names(self) -> list[str]:
        """Of the figures that there will be: the loss, the metrics, the weighted metrics."""
        return ["loss", *self._names]

    @property
    def all(self) -> list[Metric]:
        """The mean loss, the metrics, the weighted metrics; before `build` those that are no names."""
        metrics = (*self.plain, *self.weighted) if self.built else (*self.plain_given, *self.weighted_given)
        return [self.mean_loss, *(metric for metric in metrics if not isinstance(metric, str))]

    def loss_for(self, y_shape: tuple[int, ...], output_shape: tuple[int | None, ...]) -> losses.Loss | None:
        """The loss, also where the shapes decide which one it is."""
        by_shape = self._loss_by_shape and self.loss is None
        return losses.get(crossentropy_for(y_shape, output_shape)) if by_shape else self.loss

    def build(self, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        """Make the metrics for these shapes."""
        if self.built:
            return
        self.loss = self.loss_for(y_shape, output_shape)
        self.plain = [metric_for(identifier, y_shape, output_shape) for identifier in self.plain_given]
        self.weighted = [metric_for(identifier, y_shape, output_shape) for identifier in self.weighted_given]
        for metric, name in zip((*self.plain, *self.weighted), self._names):
            metric.name = name
            metric.build(y_shape, output_shape)
        self.built = True

    def update(self, y: Any, y_pred: Any, sample_weight: Any, loss: Tensor | None, samples: int) -> None:
        """Take a batch into account; the mean loss weighs batches by their samples."""
        if loss is not None:
            self.mean_loss.update_state(loss, samples)
        for metric in self.plain:
            metric.update_state(y, y_pred)
        for metric in self.weighted:
            metric.update_state(y, y_pred, sample_weight)


def unique_names(plain: list[str | Metric], weighted: list[str | Metric]) -> list[str]:
    """The names of the figures, Keras's rule: accuracy, accuracy_1, ...; the weighted one is weighted_accuracy.

    Metrics that nobody named are numbered first, in this order: auc, auc_1, weighted or not.
    """
    unnamed: Counter[str] = Counter()
    seen: Counter[str] = Counter()

    def numbered(name: str, so_far: Counter[str]) -> str:
        so_far[name] += 1
        return name if so_far[name] == 1 else f"{name}_{so_far[name] - 1}"

    def own_name(metric: str | Metric) -> str:
        if isinstance(metric, str):
            return metric
        return metric.name if metric.named_by_user else numbered(snake_case(type(metric).__name__), unnamed)

    own = [own_name(metric) for metric in (*plain, *weighted)]
    names = [numbered(name, seen) for name in own[: len(plain)]]
    return names + [numbered(f"weighted_{name}" if seen[name] else name, seen) for name in own[len(plain) :]]


def crossentropy_for(y_shape: tuple[int, ...], output_shape: tuple[int | None, ...]) -> str:
    """Which cross-entropy fits targets and outputs of these shapes; Keras's rule."""
    if output_shape[-1] == 1:
        return "binary_crossentropy"
    sparse = len(y_shape) < len(output_shape) or y_shape[-1] == 1
    return "sparse_categorical_crossentropy" if sparse else "categorical_crossentropy"


def metric_for(identifier: Any, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> Metric:
    """The metric that a name means for targets and outputs of these shapes, under the name that was typed.

    Raises:
        UsageError: an unknown name; the message lists the known ones.
    """
    if not isinstance(identifier, str):
        return get_metric(identifier)
    if identifier in ("accuracy", "acc"):
        return accuracy_for(y_shape, output_shape, identifier)
    by_shape = identifier in ("crossentropy", "ce")
    metric = get_metric(crossentropy_for(y_shape, output_shape) if by_shape else identifier)
    metric.name = identifier
    return metric
