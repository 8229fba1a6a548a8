"""fit, evaluate, predict and the one-batch forms: figures, weights of samples, validation, steps, overridden steps."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netchu import GradientTape, Sequential, losses, metrics, ops, optimizers
from netchu.callbacks import LambdaCallback
from netchu.errors import DataError, UsageError
from netchu.layers import Dense, Input
from small_nets import classifier, clusters, fixed_weights, sha256_of

LOSS_RTOL = 1e-6  # a mean of a few float32 numbers, added in another order


def losses_by_hand(model: Sequential, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """-log(p[label]) of each sample, in float64 from the model's own probabilities."""
    p = model.predict(x, verbose=0).astype("float64")
    return -np.log(p[np.arange(len(y)), y])


def frozen(**settings: Any) -> Sequential:
    """A classifier that does not learn, so that its figures can be worked out by hand."""
    return classifier(optimizer=optimizers.SGD(0.0), **settings)


def endless(x: np.ndarray, y: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    while True:
        for i in range(0, len(x), size):
            yield x[i : i + size], y[i : i + size]


class Repeatable:
    """Batches that can be gone through again, without a length."""

    def __init__(self, x: np.ndarray, y: np.ndarray, size: int) -> None:
        self.x, self.y, self.size = x, y, size

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for i in range(0, len(self.x), self.size):
            yield self.x[i : i + self.size], self.y[i : i + self.size]


def one_epoch(x: Any, y: Any = None, **settings: Any) -> str:
    """The weights after an epoch over the data, as a fingerprint."""
    model = classifier()
    model.fit(x, y, shuffle=False, verbose=0, **settings)
    return sha256_of(model.get_weights())


# --- fit -------------------------------------------------------------------------------------------------------------


def test_fit_learns(engine: str) -> None:
    x, y = clusters(120)
    model = classifier(optimizer=optimizers.Adam(0.05))
    history = model.fit(x, y, epochs=15, batch_size=16, verbose=0).history
    assert history["loss"][-1] < 0.25 * history["loss"][0]
    assert history["accuracy"][-1] > 0.9


def test_epoch_loss_is_the_exact_sample_mean_with_a_partial_last_batch(engine: str) -> None:
    x, y = clusters(5)
    model = frozen()
    by_hand = losses_by_hand(model, x, y)
    loss = model.fit(x, y, batch_size=2, shuffle=False, verbose=0).history["loss"][0]
    batch_means = np.mean([by_hand[:2].mean(), by_hand[2:4].mean(), by_hand[4:].mean()])
    assert loss == pytest.approx(by_hand.mean(), rel=LOSS_RTOL)
    assert abs(batch_means - by_hand.mean()) > 1e-3


def test_keys_of_history_are_alphabetical() -> None:
    x, y = clusters()
    model = classifier(metrics=["sparse_categorical_accuracy", "accuracy"])
    history = model.fit(x, y, epochs=2, validation_split=0.2, verbose=0)
    expected = ["accuracy", "loss", "sparse_categorical_accuracy"]
    assert list(history.history) == [*expected, *(f"val_{name}" for name in expected)]
    assert history.epoch == [0, 1]
    assert history.params == {"verbose": 0, "epochs": 2, "steps": 2}


def test_second_fit_continues(engine: str) -> None:
    x, y = clusters()
    once, twice = classifier(), classifier()
    once.fit(x, y, epochs=4, shuffle=False, verbose=0)
    for _ in range(2):
        twice.fit(x, y, epochs=2, shuffle=False, verbose=0)
    assert sha256_of(once.get_weights()) == sha256_of(twice.get_weights())
    assert twice.optimizer.iterations.item() == 8


def test_initial_epoch_counts_from_there() -> None:
    x, y = clusters()
    model = classifier()
    assert model.fit(x, y, initial_epoch=3, epochs=5, verbose=0).epoch == [3, 4]
    assert model.fit(x, y, initial_epoch=5, epochs=5, verbose=0).epoch == []


def test_no_epochs_change_nothing() -> None:
    model = classifier()
    before = sha256_of(model.get_weights())
    assert model.fit(*clusters(), epochs=0, verbose=0).history == {}
    assert sha256_of(model.get_weights()) == before


def test_batch_size_is_32_unless_given() -> None:
    x, y = clusters(70)
    assert classifier().fit(x, y, verbose=0).params["steps"] == 3
    assert one_epoch(x, y) == one_epoch(x, y, batch_size=32) != one_epoch(x, y, batch_size=16)


def test_shuffle_true_false_and_batch() -> None:
    x, y = clusters()

    def fingerprint(shuffle: Any) -> str:
        model = classifier()
        model.fit(x, y, batch_size=20, shuffle=shuffle, verbose=0)
        return sha256_of(model.get_weights())

    assert fingerprint(False) == fingerprint(False)
    assert fingerprint(True) != fingerprint(False)
    assert fingerprint(True) != fingerprint(True)  # two fits of one program draw from two streams


def test_shuffle_batch_only_reorders_inside_batches(engine: str) -> None:
    x, y = clusters()
    order: list[np.ndarray] = []

    class Watching(Sequential):
        def train_step(self, data: Any) -> Any:
            order.append(data[0].numpy())
            return super().train_step(data)

    model = fixed_weights(Watching([Input((6,)), Dense(3, activation="softmax")]))
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    model.fit(x, y, batch_size=20, shuffle="batch", verbose=0)
    for i, batch in enumerate(order):
        given = x[20 * i : 20 * i + 20]
        assert not np.array_equal(batch, given)
        assert np.array_equal(np.sort(batch, axis=0), np.sort(given, axis=0))


# --- where data comes from -------------------------------------------------------------------------------------------


def test_lists_arrays_memory_maps_and_iterables_give_the_same_weights(tmp_path: Path) -> None:
    x, y = clusters(40)
    np.save(tmp_path / "x.npy", x)
    expected = one_epoch(x, y, batch_size=10)
    batches = [(x[i : i + 10], y[i : i + 10]) for i in range(0, 40, 10)]
    assert one_epoch(x.tolist(), y.tolist(), batch_size=10) == expected
    assert one_epoch(np.load(tmp_path / "x.npy", mmap_mode="r"), y, batch_size=10) == expected
    assert one_epoch(batches) == expected
    assert one_epoch(Repeatable(x, y, 10)) == expected
    assert one_epoch(endless(x, y, 10), steps_per_epoch=4) == expected


def test_steps_of_an_endless_generator_make_the_epochs() -> None:
    x, y = clusters(40)
    drawn = []

    def counted() -> Iterator[Any]:
        for batch in endless(x, y, 10):
            drawn.append(len(batch[0]))
            yield batch

    history = classifier().fit(counted(), steps_per_epoch=3, epochs=2, verbose=0)
    assert history.epoch == [0, 1]
    assert len(drawn) == 6


def test_steps_per_epoch_goes_on_through_the_arrays() -> None:
    x, y = clusters(40)
    seen: list[int] = []
    count = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    model = classifier()
    model.fit(x, y, batch_size=10, steps_per_epoch=3, epochs=4, shuffle=False, callbacks=[count], verbose=0)
    assert seen == [0, 1, 2] * 4
    straight = classifier()
    straight.fit(x, y, batch_size=10, epochs=3, shuffle=False, verbose=0)
    assert sha256_of(model.get_weights()) == sha256_of(straight.get_weights())


def test_iterable_that_is_used_up_is_a_warning_and_ends_training() -> None:
    x, y = clusters(40)
    once = ((x[i : i + 10], y[i : i + 10]) for i in range(0, 40, 10))
    with pytest.warns(UserWarning, match=r"The data gave no batch in epoch 1: expected an iterable that can be gone"):
        history = classifier().fit(once, epochs=3, verbose=0)
    assert history.epoch == [0]


def test_batches_of_an_iterable_may_carry_weights(engine: str) -> None:
    x, y = clusters(5)
    w = np.array([1, 2, 0, 4, 1], "float32")
    model = frozen()
    expected = (w * losses_by_hand(model, x, y)).sum() / 5
    assert model.fit([(x, y, w)], verbose=0).history["loss"][0] == pytest.approx(expected, rel=LOSS_RTOL)


# --- validation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "share", "stay"), [(5, 0.3, 3), (7, 0.5, 3)])
def test_validation_split_takes_the_last_samples_with_keras_rounding(n: int, share: float, stay: int) -> None:
    x, y = clusters(n)
    y[:] = np.arange(n) % 2
    model = frozen()
    by_hand = losses_by_hand(model, x, y)
    history = model.fit(x, y, validation_split=share, verbose=0).history
    assert history["loss"][0] == pytest.approx(by_hand[:stay].mean(), rel=LOSS_RTOL)
    assert history["val_loss"][0] == pytest.approx(by_hand[stay:].mean(), rel=LOSS_RTOL)


def test_validation_data_goes_before_the_split() -> None:
    x, y = clusters(20)
    model = frozen()
    expected = losses_by_hand(model, x[:3], y[:3]).mean()
    history = model.fit(x, y, validation_split=0.2, validation_data=(x[:3], y[:3]), verbose=0).history
    assert history["val_loss"][0] == pytest.approx(expected, rel=LOSS_RTOL)


@pytest.mark.parametrize("form", ["tuple", "list", "weights", "batches"])
def test_validation_data_in_each_form(form: str) -> None:
    x, y = clusters(9)
    w = np.array([1, 1, 1, 0, 0, 0, 1, 1, 1], "float32")
    model = frozen()
    by_hand = losses_by_hand(model, x, y)
    given = {"tuple": (x, y), "list": [x, y], "weights": (x, y, w), "batches": [(x[:5], y[:5]), (x[5:], y[5:])]}[form]
    expected = (by_hand * w).sum() / 9 if form == "weights" else by_hand.mean()
    found = model.fit(x, y, validation_data=given, verbose=0).history["val_loss"][0]
    assert found == pytest.approx(expected, rel=LOSS_RTOL)


@pytest.mark.parametrize(("freq", "validated"), [(1, 4), (2, 2), (3, 1), (5, 0), ([1, 4], 2), ((2,), 1)], ids=str)
def test_validation_frequency(freq: Any, validated: int) -> None:
    x, y = clusters(12)
    history = classifier().fit(x, y, epochs=4, validation_data=(x, y), validation_freq=freq, verbose=0).history
    assert len(history.get("val_loss", [])) == validated
    assert len(history["loss"]) == 4


def test_validation_does_not_train_or_shuffle() -> None:
    x, y = clusters(30)
    with_validation, without = classifier(), classifier()
    with_validation.fit(x, y, validation_data=(x, y), shuffle=False, epochs=2, verbose=0)
    without.fit(x, y, shuffle=False, epochs=2, verbose=0)
    assert sha256_of(with_validation.get_weights()) == sha256_of(without.get_weights())


def test_validation_batch_size_and_steps() -> None:
    x, y = clusters(12)
    seen: list[int] = []
    count = LambdaCallback(on_test_batch_end=lambda batch, logs: seen.append(batch))
    classifier().fit(x, y, validation_data=(x, y), validation_batch_size=3, callbacks=[count], verbose=0)
    assert seen == [0, 1, 2, 3]
    seen.clear()
    model = classifier()
    model.fit(x, y, validation_data=(x, y), validation_batch_size=3, validation_steps=2, callbacks=[count], verbose=0)
    assert seen == [0, 1]


def test_split_of_sorted_classes_is_a_warning() -> None:
    x, y = clusters(30)
    order = np.argsort(y, kind="stable")
    with pytest.warns(UserWarning, match=r"validation_split: the classes \[2\] are in the validation part"):
        classifier().fit(x[order], y[order], validation_split=0.4, verbose=0)


def test_split_of_mixed_classes_is_none() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        classifier().fit(*clusters(30), validation_split=0.3, verbose=0)
    assert caught == []


# --- weights of samples and classes ----------------------------------------------------------------------------------

WEIGHTS = np.array([1, 2, 0, 4, 1], "float32")


@pytest.mark.parametrize("batch_size", [5, 2])
def test_sample_weights_divide_by_the_number_of_samples(batch_size: int, engine: str) -> None:
    x, y = clusters(5)
    model = frozen()
    expected = (WEIGHTS * losses_by_hand(model, x, y)).sum() / 5
    loss = model.fit(x, y, sample_weight=WEIGHTS, batch_size=batch_size, shuffle=False, verbose=0).history["loss"][0]
    assert loss == pytest.approx(expected, rel=LOSS_RTOL)
    assert model.evaluate(x, y, sample_weight=WEIGHTS, batch_size=batch_size, verbose=0)[0] == pytest.approx(
        expected, rel=LOSS_RTOL
    )


def test_class_weights_are_sample_weights_of_the_classes() -> None:
    x, y = clusters(12)
    by_class, by_sample = classifier(), classifier()
    by_class.fit(x, y, class_weight={1: 3.0, 2: 0.5}, shuffle=False, verbose=0)
    by_sample.fit(x, y, sample_weight=np.array([1.0, 3.0, 0.5])[y], shuffle=False, verbose=0)
    assert sha256_of(by_class.get_weights()) == sha256_of(by_sample.get_weights())


def test_class_weights_do_not_reach_the_validation() -> None:
    x, y = clusters(12)
    model = frozen()
    history = model.fit(x, y, class_weight={0: 9.0}, validation_data=(x, y), verbose=0).history
    assert history["val_loss"][0] == pytest.approx(losses_by_hand(model, x, y).mean(), rel=LOSS_RTOL)
    assert history["loss"][0] > history["val_loss"][0]


def test_class_weights_of_iterables() -> None:
    x, y = clusters(12)
    arrays, batches = classifier(), classifier()
    arrays.fit(x, y, class_weight={1: 3.0}, batch_size=6, shuffle=False, verbose=0)
    batches.fit([(x[:6], y[:6]), (x[6:], y[6:])], class_weight={1: 3.0}, verbose=0)
    assert sha256_of(arrays.get_weights()) == sha256_of(batches.get_weights())


def test_metrics_ignore_weights_and_weighted_metrics_use_them(engine: str) -> None:
    x, y = clusters(5)
    model = frozen(metrics=["accuracy"], weighted_metrics=["accuracy"])
    right = model.predict(x, verbose=0).argmax(axis=1) == y
    figures = model.evaluate(x, y, sample_weight=WEIGHTS, verbose=0, return_dict=True)
    assert list(figures) == ["accuracy", "loss", "weighted_accuracy"]
    assert figures["accuracy"] == pytest.approx(right.mean())
    assert figures["weighted_accuracy"] == pytest.approx((right * WEIGHTS).sum() / WEIGHTS.sum())


def test_weighted_metric_alone_keeps_its_name() -> None:
    model = frozen(metrics=None, weighted_metrics=["accuracy"])
    assert list(model.evaluate(*clusters(5), verbose=0, return_dict=True)) == ["accuracy", "loss"]


# --- evaluate and predict --------------------------------------------------------------------------------------------


def test_evaluate_returns_a_float_a_list_or_a_dictionary(engine: str) -> None:
    x, y = clusters(9)
    without = classifier(metrics=None)
    assert type(without.evaluate(x, y, verbose=0)) is float
    model = classifier(metrics=["sparse_categorical_accuracy", "accuracy"])
    listed = model.evaluate(x, y, verbose=0)
    named = model.evaluate(x, y, verbose=0, return_dict=True)
    assert list(named) == ["accuracy", "loss", "sparse_categorical_accuracy"]
    assert model.metrics_names == ["loss", "sparse_categorical_accuracy", "accuracy"]
    assert listed == [named[name] for name in model.metrics_names]
    assert [type(value) for value in listed] == [float] * 3


def test_order_of_evaluates_list_is_compile_order(engine: str) -> None:
    x, y = clusters(9)
    names = ["sparse_top_k_categorical_accuracy", "accuracy"]
    model = classifier(classes=3, metrics=names)
    top_5, accuracy = model.evaluate(x, y, verbose=0)[1:]
    assert (top_5, accuracy) == (1.0, pytest.approx((model.predict(x, verbose=0).argmax(axis=1) == y).mean()))
    assert accuracy < 1


def test_evaluate_does_not_depend_on_the_batch_size() -> None:
    x, y = clusters(50)
    model = classifier()
    figures = [model.evaluate(x, y, batch_size=size, verbose=0) for size in (1, 7, 50)]
    assert figures[0] == pytest.approx(figures[2], rel=1e-5)
    assert figures[1] == pytest.approx(figures[2], rel=1e-5)


def test_evaluate_changes_no_weight() -> None:
    model = classifier()
    before = sha256_of(model.get_weights())
    model.evaluate(*clusters(), verbose=0)
    assert sha256_of(model.get_weights()) == before


def test_evaluate_takes_batches_and_steps() -> None:
    x, y = clusters(20)
    model = classifier()
    whole = model.evaluate(x[:10], y[:10], verbose=0)
    assert model.evaluate([(x[:5], y[:5]), (x[5:10], y[5:10])], verbose=0) == pytest.approx(whole, rel=LOSS_RTOL)
    assert model.evaluate(endless(x, y, 5), steps=2, verbose=0) == pytest.approx(whole, rel=LOSS_RTOL)
    with pytest.raises(DataError, match=r"evaluate: expected at least one batch. Got: none"):
        model.evaluate(iter(()), verbose=0)


def test_predict_keeps_rows_in_order(engine: str) -> None:
    x, _ = clusters(50)
    model = classifier()
    whole = np.asarray(model(x))
    for size in (1, 7, 32, 50, 99):
        found = model.predict(x, batch_size=size, verbose=0)
        assert (type(found), found.dtype, found.shape) == (np.ndarray, np.float32, (50, 3))
        np.testing.assert_allclose(found, whole, rtol=1e-5)


def test_predict_needs_no_compile_and_takes_batches() -> None:
    x, y = clusters(20)
    model = fixed_weights(Sequential([Input((6,)), Dense(3)]))
    whole = model.predict(x, verbose=0)
    np.testing.assert_allclose(model.predict([(x[:8], y[:8]), (x[8:], y[8:])], verbose=0), whole, rtol=1e-5)
    np.testing.assert_allclose(model.predict((b for b in [(x[:8],), (x[8:],)]), verbose=0), whole, rtol=1e-5)
    np.testing.assert_allclose(model.predict(endless(x, y, 5), steps=4, verbose=0), whole, rtol=1e-5)


def test_predict_without_a_batch_is_an_error() -> None:
    with pytest.raises(DataError, match=r"predict: expected at least one batch. Got: none"):
        classifier().predict(iter(()), verbose=0)


# --- one batch -------------------------------------------------------------------------------------------------------


def test_train_on_batch_is_one_step_of_fit(engine: str) -> None:
    x, y = clusters(20)
    by_fit, by_hand = classifier(), classifier()
    by_fit.fit(x, y, batch_size=20, shuffle=False, verbose=0)
    by_hand.train_on_batch(x, y)
    assert sha256_of(by_fit.get_weights()) == sha256_of(by_hand.get_weights())


def test_figures_of_the_one_batch_forms_are_those_of_the_batch(engine: str) -> None:
    x, y = clusters(9)
    model = frozen()
    by_hand = losses_by_hand(model, x, y)
    for part in (slice(0, 4), slice(4, 9), slice(0, 3)):
        assert model.train_on_batch(x[part], y[part])[0] == pytest.approx(by_hand[part].mean(), rel=LOSS_RTOL)
        assert model.test_on_batch(x[part], y[part])[0] == pytest.approx(by_hand[part].mean(), rel=LOSS_RTOL)


def test_one_batch_forms_return_as_evaluate_does(engine: str) -> None:
    x, y = clusters(9)
    model = classifier()
    assert [type(value) for value in model.train_on_batch(x, y)] == [float, float]
    assert list(model.test_on_batch(x, y, return_dict=True)) == ["accuracy", "loss"]
    assert type(classifier(metrics=None).train_on_batch(x, y)) is float
    np.testing.assert_allclose(model.predict_on_batch(x), model.predict(x, verbose=0), rtol=1e-6)


def test_one_batch_forms_take_weights() -> None:
    x, y = clusters(5)
    model = frozen(metrics=None)
    by_hand = losses_by_hand(model, x, y)
    expected = (WEIGHTS * by_hand).sum() / 5
    assert model.train_on_batch(x, y, sample_weight=WEIGHTS) == pytest.approx(expected, rel=LOSS_RTOL)
    assert model.test_on_batch(x, y, sample_weight=WEIGHTS) == pytest.approx(expected, rel=LOSS_RTOL)
    weighted = (np.array([2.0, 1.0, 1.0])[y] * by_hand).sum() / 5
    assert model.train_on_batch(x, y, class_weight={0: 2.0}) == pytest.approx(weighted, rel=LOSS_RTOL)


# --- compile ---------------------------------------------------------------------------------------------------------


def test_run_eagerly_runs_python_in_every_step(engine: str) -> None:
    runs: list[int] = []

    class Counting(Sequential):
        def train_step(self, data: Any) -> Any:
            runs.append(1)
            return super().train_step(data)

    x, y = clusters(40)
    model = fixed_weights(Counting([Input((6,)), Dense(3, activation="softmax")]))
    model.compile("sgd", "sparse_categorical_crossentropy", run_eagerly=True)
    model.fit(x, y, batch_size=10, epochs=2, verbose=0)
    assert len(runs) == 8
    runs.clear()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=10, epochs=2, verbose=0)
    assert len(runs) == (8 if engine == "numpy" else 1)


def test_eager_and_compiled_steps_agree(engine: str) -> None:
    compiled, eager = classifier(), classifier(run_eagerly=True)
    for model in (compiled, eager):
        model.fit(*clusters(), epochs=2, shuffle=False, verbose=0)
    for a, b in zip(compiled.get_weights(), eager.get_weights()):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["crossentropy", "ce"])
@pytest.mark.parametrize("form", ["sparse", "one-hot", "binary"])
def test_crossentropy_chooses_its_form_by_the_shapes(name: str, form: str) -> None:
    x, y = clusters(20)
    units, activation, expected = 3, "softmax", "sparse_categorical_crossentropy"
    if form == "one-hot":
        y, expected = np.eye(3, dtype="float32")[y], "categorical_crossentropy"
    elif form == "binary":
        y, units, activation, expected = y % 2, 1, "sigmoid", "binary_crossentropy"
    found = []
    for loss in (name, expected):
        model = fixed_weights(Sequential([Input((6,)), Dense(units, activation=activation)]))
        model.compile("sgd", loss, metrics=["accuracy"])
        found.append(model.fit(x, y, shuffle=False, verbose=0).history)
    assert found[0] == found[1]


def test_loss_may_be_a_function_and_metrics_too(engine: str) -> None:
    def cube(y_true: Any, y_pred: Any) -> Any:
        return ops.mean(ops.abs(y_true - y_pred) ** 3, axis=-1)

    x, _ = clusters(10)
    target = np.ones((10, 2), "float32")
    model = fixed_weights(Sequential([Input((6,)), Dense(2)]))
    model.compile("sgd", cube, metrics=[cube, losses.mean_squared_error])
    expected = np.mean(np.abs(target - model.predict(x, verbose=0)) ** 3)
    figures = model.evaluate(x, target, verbose=0, return_dict=True)
    assert list(figures) == ["cube", "loss", "mean_squared_error"]
    assert figures["loss"] == pytest.approx(expected, rel=1e-5)
    assert figures["cube"] == pytest.approx(expected, rel=1e-5)


def test_compile_anew_starts_the_optimizer_anew_and_keeps_weights() -> None:
    model = classifier()
    model.fit(*clusters(), verbose=0)
    before = sha256_of(model.get_weights())
    model.compile("adam", "sparse_categorical_crossentropy")
    assert sha256_of(model.get_weights()) == before
    assert model.optimizer.iterations.item() == 0


# --- a step of one's own ---------------------------------------------------------------------------------------------


class OwnStep(Sequential):
    """The Keras guide's custom training step, with metrics of its own."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.loss_tracker = metrics.Mean(name="loss")
        self.own_accuracy = metrics.SparseCategoricalAccuracy(name="own_accuracy")

    def train_step(self, data: Any) -> dict[str, Any]:
        x, y = data
        with GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = ops.mean(losses.sparse_categorical_crossentropy(y, y_pred))
        gradients = tape.gradient(loss, self.trainable_weights)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_weights))
        self.loss_tracker.update_state(loss)
        self.own_accuracy.update_state(y, y_pred)
        return {m.name: m.result() for m in self.metrics}

    @property
    def metrics(self) -> list[Any]:
        return [self.loss_tracker, self.own_accuracy]


def test_own_train_step_with_own_metrics_learns_like_fits(engine: str) -> None:
    x, y = clusters(40)
    layers = [Input((6,)), Dense(5, activation="relu"), Dense(3, activation="softmax")]
    own, plain = fixed_weights(OwnStep(layers)), classifier()
    own.compile(optimizer="rmsprop")
    a = own.fit(x, y, batch_size=10, epochs=3, shuffle=False, verbose=0).history
    b = plain.fit(x, y, batch_size=10, epochs=3, shuffle=False, verbose=0).history
    assert list(a) == ["loss", "own_accuracy"]
    assert a["loss"] == pytest.approx(b["loss"], rel=1e-6)
    assert a["own_accuracy"] == pytest.approx(b["accuracy"])


def test_own_compute_loss_is_used(engine: str) -> None:
    class Doubled(Sequential):
        def compute_loss(self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None) -> Any:
            return 2.0 * super().compute_loss(x, y, y_pred, sample_weight)

    x, y = clusters(9)
    layers = [Input((6,)), Dense(5, activation="relu"), Dense(3, activation="softmax")]
    model = fixed_weights(Doubled(layers))
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert model.evaluate(x, y, verbose=0) == pytest.approx(
        2 * frozen(metrics=None).evaluate(x, y, verbose=0), rel=1e-6
    )


def test_exception_in_a_step_leaves_the_model_usable(engine: str) -> None:
    x, y = clusters(20)
    fail = [True]

    class Failing(Sequential):
        def train_step(self, data: Any) -> Any:
            logs = super().train_step(data)
            if fail:
                raise RuntimeError("in the middle")
            return logs

    model = fixed_weights(Failing([Input((6,)), Dense(3, activation="softmax")]))
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(RuntimeError, match="in the middle"):
        model.fit(x, y, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    fail.clear()
    assert math.isfinite(model.fit(x, y, verbose=0).history["loss"][0])


def test_two_models_share_no_state(engine: str) -> None:
    x, y = clusters()
    alone, beside, other = classifier(), classifier(), classifier(optimizer="sgd")
    alone.fit(x, y, epochs=2, shuffle=False, verbose=0)
    beside.fit(x, y, epochs=1, shuffle=False, verbose=0)
    other.fit(x, y, epochs=1, shuffle=False, verbose=0)
    beside.fit(x, y, epochs=1, shuffle=False, verbose=0)
    assert sha256_of(alone.get_weights()) == sha256_of(beside.get_weights())


def test_optimizer_of_another_model_is_refused() -> None:
    shared = optimizers.Adam()
    classifier(optimizer=shared).fit(*clusters(), verbose=0)
    with pytest.raises(UsageError, match="Adam: expected the weights it was built for"):
        classifier(optimizer=shared).fit(*clusters(), verbose=0)
