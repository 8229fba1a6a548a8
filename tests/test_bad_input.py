"""Bad input: a sentence that says where, expected, got and what to do, before any weight has changed.

One row a mistake: what is called, the class of the error, and the pieces that its message must hold.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from netchu import Sequential, engines, initializers, losses, optimizers
from netchu.callbacks import LambdaCallback
from netchu.errors import DataError, NetchuError, ShapeError, TrainingError, UsageError
from netchu.layers import Activation, Dense, Flatten, Input, Rescaling
from small_nets import classifier, clusters, sha256_of

X, Y = clusters(12)
ONE_HOT = np.eye(3, dtype="float32")[Y]


def with_value(array: np.ndarray, place: Any, value: float) -> np.ndarray:
    changed = array.copy()
    changed[place] = value
    return changed


@dataclass(frozen=True)
class Mistake:
    """`call(model)` must raise `error` with `pieces` in its message, in this order; `compiled` is how the model is."""

    call: Callable[[Sequential], Any]
    error: type[Exception]
    pieces: tuple[str, ...]
    compiled: dict[str, Any] | None = None


DATA: dict[str, Mistake] = {
    "label too large": Mistake(
        lambda m: m.fit(X, with_value(Y, 5, 3)), DataError,
        ("expected labels from 0 to 2 (3 classes", "Got: label 3 at index 5.", "Give the last layer more units")),
    "label negative": Mistake(
        lambda m: m.fit(X, with_value(Y, 2, -1)), DataError,
        ("expected labels from 0 to 2", "Got: label -1 at index 2.", "mend the labels")),
    "label too large in evaluate": Mistake(
        lambda m: m.evaluate(X, with_value(Y, 5, 3)), DataError, ("labels from 0 to 2", "label 3 at index 5")),
    "label too large in validation data": Mistake(
        lambda m: m.fit(X, Y, validation_data=(X, with_value(Y, 5, 3))), DataError, ("labels from 0 to 2", "label 3")),
    "label too large in train_on_batch": Mistake(
        lambda m: m.train_on_batch(X, with_value(Y, 5, 3)), DataError, ("labels from 0 to 2", "label 3 at index 5")),
    "label too large in a batch of an iterable": Mistake(
        lambda m: m.fit([(X, with_value(Y, 5, 3))]), DataError, ("labels from 0 to 2", "label 3 at index 5")),
    "fractions as labels": Mistake(
        lambda m: m.fit(X, with_value(Y.astype("float32"), 4, 1.5)), DataError,
        ("sparse_categorical_crossentropy: expected integer labels.", "Got: label 1.5 at index 4, dtype=float32.",
         "mean_squared_error")),
    "a number that float32 cannot hold": Mistake(
        lambda m: m.fit(with_value(X.astype("float64"), (4, 1), 1e300), Y), DataError,
        ("fit: expected numbers that float32 can hold in x.", "Got: x[4, 1]=1e+300 (1 such values).", "scale x")),
    "a number that float32 cannot hold, in a list": Mistake(
        lambda m: m.fit(with_value(X.astype("float64"), (4, 1), -1e39).tolist(), Y.tolist()), DataError,
        ("fit: expected numbers that float32 can hold in x.", "Got: x[4, 1]=-1e+39 (1 such values).")),
    "a number that float32 cannot hold, in targets": Mistake(
        lambda m: m.evaluate(X, np.full((12, 3), 1e300)), DataError,
        ("expected numbers that float32 can hold in y.", "Got: y[0, 0]=1e+300 (36 such values)."),
        {"loss": "mean_squared_error", "metrics": None}),
    "one-hot for integer labels": Mistake(
        lambda m: m.fit(X, ONE_HOT), DataError,
        ("expected integer labels of shape (n,)", "y.shape=(12, 3), which looks one-hot", 'loss="categorical_cros')),
    "integer labels for one-hot": Mistake(
        lambda m: m.fit(X, Y), DataError,
        ("categorical_crossentropy: expected one-hot targets of shape (n, 3)", "y.shape=(12,)", "to_categorical(y, 3)"),
        {"loss": "categorical_crossentropy"}),
    "one-hot of another width": Mistake(
        lambda m: m.fit(X, np.eye(4, dtype="float32")[Y]), DataError,
        ("expected one-hot targets of shape (n, 3)", "y.shape=(12, 4)"), {"loss": "categorical_crossentropy"}),
    "targets of another width": Mistake(
        lambda m: m.fit(X, np.zeros((12, 2), "float32")), ShapeError,
        ("the loss: expected targets of shape (12, 3).", "Got: y_true.shape=(12, 2)"),
        {"loss": "mean_squared_error", "metrics": None}),
    "lengths differ": Mistake(
        lambda m: m.fit(X[:5], Y[:4]), DataError,
        ("Data cardinality is ambiguous. Make sure all arrays contain the same number of samples",
         "'x' sizes: 5", "'y' sizes: 4")),
    "lengths differ in evaluate": Mistake(
        lambda m: m.evaluate(X[:5], Y[:4]), DataError, ("Data cardinality is ambiguous", "'x' sizes: 5")),
    "too few sample weights": Mistake(
        lambda m: m.fit(X, Y, sample_weight=np.ones(5)), DataError, ("cardinality", "'sample_weight' sizes: 5")),
    "wrong width": Mistake(
        lambda m: m.fit(X[:, :4], Y), ShapeError,
        ("layer 'dense' is incompatible", "expected shape (None, 6)", "input with shape (None, 4)")),
    "wrong width in predict": Mistake(
        lambda m: m.predict(X[:, :4]), ShapeError, ("layer 'dense'", "expected shape (None, 6)", "shape (None, 4)")),
    "wrong width in predict_on_batch": Mistake(
        lambda m: m.predict_on_batch(X[:, :4]), ShapeError, ("layer 'dense'", "(None, 6)", "shape (None, 4)")),
    "wrong rank": Mistake(
        lambda m: m.fit(X.reshape(12, 2, 3), Y), ShapeError,
        ("layer 'dense'", "expected shape (None, 6)", "shape (None, 2, 3)", "Put Flatten() first, or write x.reshape")),
    "rank too low": Mistake(
        lambda m: m.predict(X[0]), ShapeError, ("layer 'dense'", "expected shape (None, 6)", "shape (None,)")),
    "empty arrays": Mistake(
        lambda m: m.fit(X[:0], Y[:0]), DataError, ("x: expected at least one sample.", "Got: x.shape=(0, 6)")),
    "empty arrays in evaluate": Mistake(
        lambda m: m.evaluate(X[:0], Y[:0]), DataError, ("x: expected at least one sample.", "x.shape=(0, 6)")),
    "empty array in predict": Mistake(
        lambda m: m.predict(X[:0]), DataError, ("x: expected at least one sample.", "x.shape=(0, 6)")),
    "NaN in x": Mistake(
        lambda m: m.fit(with_value(X, (7, 2), np.nan), Y), DataError,
        ("expected finite numbers in x.", "Got: x[7, 2]=nan (1 such values).", "x = numpy.nan_to_num(x)")),
    "infinity in x": Mistake(
        lambda m: m.fit(with_value(X, 3, -np.inf), Y), DataError, ("finite numbers in x", "x[3, 0]=-inf (6 such")),
    "NaN in x of evaluate": Mistake(
        lambda m: m.evaluate(with_value(X, (7, 2), np.nan), Y), DataError, ("finite numbers in x", "x[7, 2]=nan")),
    "NaN in y": Mistake(
        lambda m: m.fit(X, with_value(ONE_HOT, (4, 1), np.nan)), DataError,
        ("expected finite numbers in y.", "y[4, 1]=nan"), {"loss": "categorical_crossentropy"}),
    "NaN in sample_weight": Mistake(
        lambda m: m.fit(X, Y, sample_weight=with_value(np.ones(12), 4, np.nan)), DataError,
        ("finite numbers in sample_weight", "sample_weight[4]=nan")),
    "uneven rows": Mistake(
        lambda m: m.fit([[1.0, 2.0], [3.0]], [0, 1]), DataError, ("x: expected rows of one length",)),
    "texts": Mistake(lambda m: m.fit(np.array([["a"] * 6] * 12), Y), DataError, ("x", "expected numbers", "<U1")),
    "objects": Mistake(lambda m: m.fit(np.array([[None] * 6] * 12), Y), DataError, ("x", "expected numbers", "object")),
    "text labels": Mistake(
        lambda m: m.fit(X, np.array(["cat"] * 12)), DataError, ("y", "expected numbers", "<U3")),
}  # fmt: skip

ARGUMENTS: dict[str, Mistake] = {
    "no targets": Mistake(
        lambda m: m.fit(X), UsageError, ("fit: expected targets.", "Got: y=None.", "Write fit(x, y)")),
    "no targets in evaluate": Mistake(
        lambda m: m.evaluate(X), UsageError, ("evaluate: expected targets.", "y=None", "Write evaluate(x, y)")),
    "batch_size=0": Mistake(
        lambda m: m.fit(X, Y, batch_size=0), UsageError,
        ("fit: expected batch_size as a whole number >= 1.", "batch_size=0")),
    "batch_size=2.5": Mistake(
        lambda m: m.fit(X, Y, batch_size=2.5), UsageError, ("fit: expected batch_size as a whole number", "2.5")),
    "batch_size=0 in predict": Mistake(
        lambda m: m.predict(X, batch_size=0), UsageError, ("predict: expected batch_size", ">= 1", "batch_size=0")),
    "batch_size=0 in evaluate": Mistake(
        lambda m: m.evaluate(X, Y, batch_size=0), UsageError, ("evaluate: expected batch_size", ">= 1", "=0")),
    "epochs=1.5": Mistake(lambda m: m.fit(X, Y, epochs=1.5), UsageError, ("epochs", "whole number", "epochs=1.5")),
    "epochs='5'": Mistake(lambda m: m.fit(X, Y, epochs="5"), UsageError, ("epochs", "whole number", "epochs='5'")),
    "epochs=-1": Mistake(lambda m: m.fit(X, Y, epochs=-1), UsageError, ("epochs", "whole number", "epochs=-1")),
    "steps_per_epoch=0": Mistake(
        lambda m: m.fit(X, Y, steps_per_epoch=0), UsageError,
        ("fit: expected steps_per_epoch as a whole number >= 1", "Got: steps_per_epoch=0")),
    "validation_split=1.0": Mistake(
        lambda m: m.fit(X, Y, validation_split=1.0), UsageError,
        ("fit: expected 0 <= validation_split < 1.", "Got: validation_split=1.0")),
    "validation_split=-0.1": Mistake(
        lambda m: m.fit(X, Y, validation_split=-0.1), UsageError, ("0 <= validation_split < 1", "-0.1")),
    "validation_split that leaves nothing": Mistake(
        lambda m: m.fit(X[:1], Y[:1], validation_split=0.5), UsageError,
        ("Training data contains 1 samples, which is not sufficient to split", "validation_split=0.5")),
    "validation_split of an iterable": Mistake(
        lambda m: m.fit([(X, Y)], validation_split=0.5), UsageError,
        ("expected arrays for a validation split.", "Got: x=list.", "Pass validation_data instead")),
    "class_weight and sample_weight": Mistake(
        lambda m: m.fit(X, Y, class_weight={0: 2.0}, sample_weight=np.ones(12)), UsageError,
        ("fit: expected class_weight or sample_weight. Got: both.", "Multiply them into sample_weight")),
    "class_weight by name": Mistake(
        lambda m: m.fit(X, Y, class_weight={"one": 2.0}), UsageError, ("class numbers as keys", "'one'")),
    "class_weight and sample_weight on a batch": Mistake(
        lambda m: m.train_on_batch(X, Y, class_weight={0: 2.0}, sample_weight=np.ones(12)), UsageError,
        ("train_on_batch: expected class_weight or sample_weight. Got: both.", "Multiply them")),
    "verbose='loud'": Mistake(
        lambda m: m.fit(X, Y, verbose="loud"), UsageError,
        ('verbose: expected "auto", 0, 1, 2 or "steps:100".', "Got: verbose='loud'")),
    "verbose='steps:0'": Mistake(lambda m: m.fit(X, Y, verbose="steps:0"), UsageError, ("verbose", "steps:0")),
    "shuffle='yes'": Mistake(
        lambda m: m.fit(X, Y, shuffle="yes"), UsageError,
        ("fit: expected shuffle among True, False, 'batch'.", "'yes'")),
    "x is a number": Mistake(
        lambda m: m.fit(3, Y), UsageError, ("fit: expected arrays, or an iterable of batches.", "Got: x=3")),
    "a batch of four": Mistake(
        lambda m: m.fit([(X, Y, None, None)]), DataError, ("a batch: expected (x, y)", "Got: 4 entries")),
}  # fmt: skip

BUILDING: dict[str, Mistake] = {
    "unknown optimizer": Mistake(
        lambda m: m.compile("rmspop"), UsageError,
        ("Could not interpret optimizer identifier: 'rmspop'.", "Known: adadelta, adagrad, adam,",
         "Did you mean 'rmsprop'?")),
    "unknown loss": Mistake(
        lambda m: m.compile("sgd", "spare_categorical_crossentropy"), UsageError,
        ("Could not interpret loss identifier", "Known: ", "mse", "Did you mean 'sparse_categorical_crossentropy'?")),
    "unknown metric": Mistake(
        lambda m: m.compile("sgd", "mse", metrics=["acuracy"]), UsageError,
        ("Could not interpret metric identifier: 'acuracy'.", "Known: acc, accuracy", "Did you mean 'accuracy'?")),
    "metrics as one text": Mistake(
        lambda m: m.compile("sgd", "mse", metrics="accuracy"), UsageError, ("metrics", "a list", "metrics='accuracy'")),
    "unknown activation": Mistake(
        lambda m: Dense(3, activation="rellu"), UsageError,
        ("Could not interpret activation identifier: 'rellu'.", "softmax", "Did you mean 'relu'?")),
    "unknown activation layer": Mistake(
        lambda m: Activation("rellu"), UsageError, ("activation identifier: 'rellu'", "Did you mean 'relu'?")),
    "unknown initializer": Mistake(
        lambda m: Dense(3, kernel_initializer="glorot"), UsageError,
        ("Could not interpret initializer identifier: 'glorot'.", "Known: constant, glorot_normal, glorot_uniform")),
    "unknown engine": Mistake(
        lambda m: engines.set_engine("cupy"), UsageError, ("engine identifier: 'cupy'.", "Known: jax, numpy")),
    "optimizer that is none": Mistake(
        lambda m: m.compile(None), UsageError, ("optimizer: expected one of ['sgd'", "Got: None")),
    "negative learning rate": Mistake(
        lambda m: optimizers.SGD(-0.1), UsageError,
        ("SGD: expected a learning rate >= 0.", "Got: learning_rate=-0.1.", "Write SGD(learning_rate=1e-3)")),
    "NaN as learning rate": Mistake(
        lambda m: optimizers.Adam(float("nan")), UsageError, ("Adam: expected a learning rate >= 0", "nan")),
    "text as learning rate": Mistake(
        lambda m: optimizers.Adam("fast"), UsageError, ("Adam: expected a learning rate >= 0", "'fast'")),
    "unknown reduction": Mistake(
        lambda m: losses.MeanSquaredError(reduction="average"), UsageError,
        ("MeanSquaredError: expected reduction among", "Got: reduction='average'")),
    "unknown mode": Mistake(
        lambda m: initializers.VarianceScaling(mode="fan"), UsageError, ("expected mode among 'fan_in'", "mode='fan'")),
    "units=0": Mistake(
        lambda m: Dense(0), UsageError,
        ("Dense: Received an invalid value for `units`, expected a positive integer.", "Got: units=0.")),
    "no layer": Mistake(
        lambda m: Sequential([3]), UsageError,
        ("Only instances of `netchu.layers.Layer` can be added", "Got: 3 (of type <class 'int'>)")),
    "duplicate names": Mistake(
        lambda m: Sequential([Dense(2, name="a"), Dense(2, name="a")]), UsageError,
        ("unique names: expected a name", "Got: name='a'", "Pass another `name`")),
}  # fmt: skip


def said(mistake: Mistake, model: Sequential) -> str:
    """The message of the error that the mistake must raise, with every piece in it and no warning beside it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(mistake.error) as error:
            mistake.call(model)
    message = str(error.value)
    at = 0
    for piece in mistake.pieces:
        assert piece in message[at:], f"{piece!r} is missing after character {at} of: {message}"
        at = message.index(piece, at)
    assert isinstance(error.value, NetchuError)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", DATA)
def test_bad_data_is_refused_before_any_weight_changes(name: str, engine: str) -> None:
    mistake = DATA[name]
    model = classifier(**(mistake.compiled or {}))
    before = sha256_of(model.get_weights())
    said(mistake, model)
    assert sha256_of(model.get_weights()) == before
    assert model.optimizer.iterations.item() == 0


@pytest.mark.parametrize("name", ARGUMENTS)
def test_bad_argument_is_refused_before_any_weight_changes(name: str) -> None:
    model = classifier()
    before = sha256_of(model.get_weights())
    said(ARGUMENTS[name], model)
    assert sha256_of(model.get_weights()) == before


@pytest.mark.parametrize("name", BUILDING)
def test_bad_names_and_settings_are_refused_at_once(name: str) -> None:
    said(BUILDING[name], classifier())


@pytest.mark.parametrize("use", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_use_before_compile_shows_the_line_to_write(use: str) -> None:
    model = Sequential([Input((6,)), Dense(3, activation="softmax")])
    mistake = Mistake(
        lambda m: getattr(m, use)(X, Y), UsageError,
        ("You must call `compile()` before using the model", 'model.compile(optimizer="rmsprop", loss="sparse_'),
    )  # fmt: skip
    said(mistake, model)


def test_compile_without_a_loss_says_so() -> None:
    model = Sequential([Input((6,)), Dense(3, activation="softmax")])
    model.compile("sgd")
    with pytest.raises(UsageError, match=r"compute_loss: expected a loss. Got: loss=None. Write compile\(loss="):
        model.fit(X, Y, verbose=0)


def test_mistakes_are_caught_as_keras_users_catch_them() -> None:
    for mistake in (*DATA.values(), *ARGUMENTS.values(), *BUILDING.values()):
        assert issubclass(mistake.error, ValueError)


# --- pixels that were not scaled -------------------------------------------------------------------------------------

PIXELS = np.random.default_rng(1).integers(0, 256, (12, 2, 3)).astype("uint8")


def pixel_model(*first: Any) -> Sequential:
    model = Sequential([*first, Flatten(), Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def test_unscaled_pixels_give_a_hint_once_for_each_model() -> None:
    for model in (pixel_model(), pixel_model()):
        with pytest.warns(UserWarning, match=r"x holds values from \d+ to 25\d: these look like pixels") as caught:
            model.fit(PIXELS, Y, verbose=0)
        assert len(caught) == 1
        assert caught[0].filename == __file__  # the line to mend, not one of the library's
        model.fit(PIXELS, Y, verbose=0)  # a second warning would be an error


@pytest.mark.parametrize(
    ("first", "x"),
    [([Rescaling(1 / 255)], PIXELS), ([], PIXELS / np.float32(255)), ([], PIXELS.astype("float32") - 128),
     ([], PIXELS % 10), ([], PIXELS.astype("float32") * 100)],
    ids=["rescaling", "scaled", "centred", "small", "large"],
)  # fmt: skip
def test_no_hint_where_numbers_are_no_unscaled_pixels(first: list[Any], x: np.ndarray) -> None:
    pixel_model(*first).predict(x, verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixel_model(*first).evaluate(x, Y, verbose=0)


# --- a loss that is not finite ---------------------------------------------------------------------------------------


RATE = "optimizer/learning_rate"  # the test itself changes it


def everything(model: Sequential) -> dict[str, bytes]:
    """Weights, slots, counters and figures, as bytes."""
    return {name: v.numpy().tobytes() for name, v in model.state().items()}


def explode_after(steps: int) -> tuple[Sequential, list[dict[str, bytes]]]:
    """A model that is to get an absurd learning rate before step `steps` of its second epoch, and its states."""
    model = classifier(optimizer=optimizers.RMSprop(1e-3, momentum=0.5), loss="mean_squared_error", metrics=["mae"])
    states: list[dict[str, bytes]] = []

    def before(batch: int, logs: Any = None) -> None:
        states.append(everything(model))
        if len(states) == 6 + steps:
            model.optimizer.learning_rate = 3e38

    with pytest.raises(TrainingError) as caught:
        model.fit(X, ONE_HOT, batch_size=2, epochs=3, shuffle=False, verbose=0,
                  callbacks=[LambdaCallback(on_train_batch_begin=before)])  # fmt: skip
    states.append(everything(model))
    model.error = str(caught.value)  # type: ignore[attr-defined]
    return model, states


def test_loss_that_is_not_finite_names_epoch_step_and_layer_and_takes_the_step_back(engine: str) -> None:
    model, _ = explode_after(steps=2)
    message: str = model.error  # type: ignore[attr-defined]
    assert re.match(r"Epoch 2, step 1: expected a finite loss and finite weights. Got: loss=", message)
    assert re.search(r"; first not finite: the (weights|output) of layer 'dense(_1)?'\.", message)
    assert "The model has the weights of before this happened." in message
    assert "Try a smaller learning rate" in message
    assert model.optimizer.iterations.item() == 7  # of the step which made it so, nothing is left


def test_weights_that_one_step_made_infinite_are_taken_back_too(engine: str) -> None:
    model, states = explode_after(steps=2)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert any(states[-1] | {RATE: b""} == before | {RATE: b""} for before in states[-3:-1])


def test_loss_that_is_not_finite_at_once_leaves_the_first_weights(engine: str) -> None:
    model = classifier(loss="mean_squared_error", metrics=None)
    before = everything(model)
    with pytest.raises(TrainingError, match=r"Epoch 1, step 0: .*loss=inf; first not finite: the loss itself"):
        model.fit(X, np.full((12, 3), 1e30, "float32"), verbose=0)
    after = everything(model)
    assert {name: after[name] for name in before} == before
    assert model.optimizer.iterations.item() == 0


def test_training_goes_on_after_a_bad_batch_was_mended(engine: str) -> None:
    model, mended = classifier(loss="mean_squared_error", metrics=None), classifier(loss="mean_squared_error")
    for trained in (model, mended):
        trained.fit(X, ONE_HOT, shuffle=False, verbose=0)
    with pytest.raises(TrainingError):
        model.fit(X, np.full((12, 3), 1e30, "float32"), verbose=0)
    for trained in (model, mended):
        trained.fit(X, ONE_HOT, shuffle=False, verbose=0)
    assert sha256_of(model.get_weights()) == sha256_of(mended.get_weights())


def test_run_eagerly_takes_a_bad_step_back_too(engine: str) -> None:
    model = classifier(loss="mean_squared_error", metrics=None, run_eagerly=True)
    before = sha256_of(model.get_weights())
    with pytest.raises(TrainingError, match="Epoch 1, step 0"):
        model.fit(X, np.full((12, 3), 1e30, "float32"), verbose=0)
    assert sha256_of(model.get_weights()) == before


def test_training_error_is_caught_as_arithmetic_error() -> None:
    assert issubclass(TrainingError, ArithmeticError)
