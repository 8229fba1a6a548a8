"""Data that comes batch by batch: objects asked by number, loaders, endless and used-up streams; no History is lost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import netchu
from netchu.callbacks import Callback, LambdaCallback
from netchu.errors import DataError, NetchuError, ShapeError, UsageError
from netchu.layers import Dense, Flatten, Input
from netchu.training.batches import IndexedBatches
from small_nets import fixed_weights

X = np.random.default_rng(0).normal(size=(32, 2)).astype("float32")
Y = (X @ np.array([[1.0], [-2.0]], "float32")).astype("float32")
BATCHES = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 32, 8)]


def line(library: Any = netchu) -> Any:
    """A model of one unit on two inputs, with fixed weights."""
    model = library.Sequential([library.layers.Input((2,)), library.layers.Dense(1)])
    model.compile("sgd", "mse")
    return fixed_weights(model)


class Numbered:
    """What Keras calls a PyDataset: batches by number, and it hears of the ends of epochs."""

    def __init__(self, batches: list[Any] = BATCHES) -> None:
        self.batches = batches
        self.asked: list[Any] = []

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, i: int) -> Any:
        self.asked.append(i)
        return self.batches[i]

    def on_epoch_end(self) -> None:
        self.asked.append("end")


class NumberedAndIterable(Numbered):
    """As Keras's own class: it can be gone through as well."""

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))


class Array:
    """A tensor of another library."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values
        self.dtype, self.shape = f"other.{values.dtype}", values.shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype=dtype, copy=copy)


class Loader:
    """As PyTorch's DataLoader: iterable, with a length, its batches lists of tensors."""

    def __len__(self) -> int:
        return len(BATCHES)

    def __iter__(self) -> Iterator[Any]:
        return ([Array(x), Array(y)] for x, y in BATCHES)


class Old:
    """Batches by number until an IndexError: what Python went through before there was `__iter__`."""

    def __getitem__(self, i: int) -> Any:
        return BATCHES[i]


class Endless:
    """As a repeated `tf.data.Dataset`: its length is an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        raise self.error

    def __iter__(self) -> Iterator[Any]:
        return itertools.cycle(BATCHES)


class NoLength(Endless):
    """One that says -1, or infinity."""

    def __init__(self, length: Any) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length  # type: ignore[no-any-return]


STREAMS: dict[str, Callable[[], Any]] = {
    "numbered": Numbered, "numbered and iterable": NumberedAndIterable, "loader": Loader, "old": Old,
    "list": lambda: BATCHES, "lists of lists": lambda: [(x.tolist(), y.tolist()) for x, y in BATCHES],
    "tensors": lambda: [(netchu.Tensor(x), netchu.Tensor(y)) for x, y in BATCHES],
}  # fmt: skip
ENDLESS: dict[str, Callable[[], Any]] = {
    "TypeError": lambda: Endless(TypeError("The dataset is infinite.")),
    "NotImplementedError": lambda: Endless(NotImplementedError()),
    "RuntimeError": lambda: Endless(RuntimeError("unknown")),
    "-1": lambda: NoLength(-1),
    "infinity": lambda: NoLength(math.inf),
    "generator": lambda: itertools.cycle(BATCHES),
}


@pytest.mark.parametrize("stream", STREAMS)
def test_every_stream_trains_evaluates_and_predicts_as_the_arrays_do(stream: str, engine: str) -> None:
    make = STREAMS[stream]
    ours, plain = line(), line()
    history = ours.fit(make(), epochs=2, shuffle=False, verbose=0, validation_data=make()).history
    expected = plain.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0, validation_data=(X, Y)).history
    assert history["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    assert history["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-6)
    assert ours.evaluate(make(), verbose=0) == pytest.approx(plain.evaluate(X, Y, batch_size=8, verbose=0), rel=1e-6)
    np.testing.assert_allclose(ours.predict(make(), verbose=0), plain.predict(X, batch_size=8, verbose=0), rtol=1e-6)


@pytest.mark.parametrize("stream", ENDLESS)
def test_endless_data_needs_no_length(stream: str) -> None:
    model, plain = line(), line()
    history = model.fit(
        ENDLESS[stream](), epochs=2, steps_per_epoch=4, verbose=0, validation_data=ENDLESS[stream](), validation_steps=4
    ).history
    expected = plain.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0, validation_data=(X, Y)).history
    assert history["loss"] == pytest.approx(expected["loss"])
    assert history["val_loss"] == pytest.approx(expected["val_loss"])
    assert model.predict(ENDLESS[stream](), steps=2, verbose=0).shape == (16, 1)
    model.evaluate(ENDLESS[stream](), steps=2, verbose=0)


def test_numbered_batches_come_in_order_or_in_a_new_order_each_epoch() -> None:
    data = Numbered()
    line().fit(data, epochs=2, shuffle=False, verbose=0)
    assert data.asked == [0, 1, 2, 3, "end", 0, 1, 2, 3, "end"]
    many = Numbered(BATCHES * 5)
    line().fit(many, epochs=2, verbose=0)
    first, second = many.asked[:20], many.asked[21:41]
    assert many.asked[20] == many.asked[41] == "end"
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second != list(range(20)) != first
    data = Numbered()
    line().evaluate(data, verbose=0)
    line().predict(data, verbose=0)
    assert data.asked == [0, 1, 2, 3, "end", 0, 1, 2, 3, "end"]


def test_the_order_of_numbered_batches_is_a_function_of_the_seed() -> None:
    asked = []
    for _ in range(2):
        netchu.utils.set_random_seed(3)
        data = Numbered(BATCHES * 5)
        line().fit(data, verbose=0)
        asked.append(data.asked)
    assert asked[0] == asked[1]


def test_on_epoch_begin_and_end_may_change_the_batches() -> None:
    class Doubling(Numbered):
        def on_epoch_begin(self) -> None:
            self.asked.append("begin")

        def on_epoch_end(self) -> None:
            self.batches = self.batches * 2

    data = Doubling(BATCHES[:1])
    batches = IndexedBatches(data)
    assert [len(list(batches.epoch(e))) for e in range(2)] == [1, 1]  # its length was asked at first, as Keras does
    assert data.asked == ["begin", 0, "begin", 0]


def test_what_a_numbered_batch_raises_comes_through() -> None:
    class Broken(Numbered):
        def __getitem__(self, i: int) -> Any:
            raise IndexError("my own")

    with pytest.raises(IndexError, match="my own"):
        line().fit(Broken(), verbose=0)


def test_single_samples_by_number_are_refused_in_a_sentence() -> None:
    samples = Numbered([(X[i], Y[i, 0]) for i in range(4)])
    with pytest.raises(DataError, match=r"^y: expected an array of samples \(n, \.\.\.\)\. Got: y\.shape=\(\)"):
        line().fit(samples, verbose=0)


@pytest.mark.parametrize("x", [3, None, object(), 1.5, Numbered], ids=["int", "none", "object", "float", "class"])
def test_what_is_neither_arrays_nor_batches_is_refused(x: Any) -> None:
    model = line()
    for call in (model.fit, model.evaluate, model.predict):
        with pytest.raises(NetchuError):
            call(x, verbose=0)


# --- tuples of numbers are samples -----------------------------------------------------------------------------------


PAIRS = [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_list_of_pairs_of_numbers_is_samples(engine: str) -> None:
    y = [0, 1, 1, 0]
    given, plain = line(), line()
    arrays = np.array(PAIRS), np.array(y)
    for x in (PAIRS, tuple(PAIRS), [tuple(map(np.float32, pair)) for pair in PAIRS]):
        assert given.evaluate(x, y, verbose=0) == plain.evaluate(*arrays, verbose=0)
        np.testing.assert_array_equal(given.predict(x, verbose=0), plain.predict(arrays[0], verbose=0))
    a = given.fit(PAIRS, y, shuffle=False, verbose=0, validation_data=(PAIRS, y)).history
    assert a == plain.fit(*arrays, shuffle=False, verbose=0, validation_data=arrays).history
    assert given.train_on_batch(PAIRS, y) == plain.train_on_batch(*arrays)


def test_pictures_in_tuples_are_samples_beside_targets() -> None:
    pictures = [((1, 2), (3, 4)), ((5, 6), (7, 8)), ((0, 0), (0, 1))]
    model = netchu.Sequential([Input((2, 2)), netchu.layers.Flatten(), Dense(1)])
    model.compile("sgd", "mse")
    figure = model.evaluate(pictures, [1, 2, 3], verbose=0)
    assert figure == model.evaluate(np.array(pictures), np.array([1, 2, 3]), verbose=0)
    model.fit(pictures, [1, 2, 3], verbose=0)


def test_samples_alone_want_targets() -> None:
    for call in (line().fit, line().evaluate):
        with pytest.raises(UsageError, match="expected targets"):
            call(PAIRS, verbose=0)


# --- streams that end ------------------------------------------------------------------------------------------------


def once(count: int = 3) -> Iterator[Any]:
    yield from itertools.islice(itertools.cycle(BATCHES), count)


def test_validation_data_that_is_used_up_warns_and_training_goes_on(engine: str) -> None:
    model = line()
    with pytest.warns(UserWarning, match="validation data gave no batch after epoch") as told:
        history = model.fit(X, Y, epochs=3, verbose=0, validation_data=once()).history
    assert len(told) == 2
    assert len(history["loss"]) == 3
    assert len(history["val_loss"]) == 1


def test_validation_that_never_gave_a_batch_warns_each_epoch() -> None:
    with pytest.warns(UserWarning, match="after epoch 0, which has no val_ figures"):
        history = line().fit(X, Y, verbose=0, validation_data=once(0)).history
    assert list(history) == ["loss"]


def test_evaluate_and_predict_without_a_batch_are_errors() -> None:
    for call, name in ((line().evaluate, "evaluate"), (line().predict, "predict")):
        with pytest.raises(DataError, match=rf"{name}: expected at least one batch\. Got: none"):
            call(once(0), verbose=0)


@pytest.mark.parametrize(("batches", "steps", "reached", "words"), [
    (3, None, 1, "gave no batch in epoch 1"),
    (5, 2, 3, "gave 1 of 2 batches in epoch 2"),
    (4, 2, 2, "gave no batch in epoch 2"),
    (3, 5, 1, "gave 3 of 5 batches in epoch 0"),
    (0, 5, 0, "gave no batch in epoch 0"),
])  # fmt: skip
def test_training_data_that_is_used_up_warns_once_and_stops(
    batches: int, steps: int | None, reached: int, words: str
) -> None:
    with pytest.warns(UserWarning, match=words) as told:
        history = line().fit(once(batches), epochs=4, steps_per_epoch=steps, verbose=0)
    assert len(told) == 1
    assert history.epoch == list(range(reached))


@pytest.mark.judge
@pytest.mark.filterwarnings("ignore")
def test_keras_too_warns_and_keeps_its_epochs(keras: ModuleType) -> None:
    with pytest.warns(UserWarning, match="ran out of data"):
        history = line(keras).fit(X, Y, epochs=3, verbose=0, validation_data=once()).history
    assert len(history["loss"]) == 3


@pytest.mark.judge
@pytest.mark.filterwarnings("ignore")
def test_kerass_own_pydataset_trains_both(keras: ModuleType) -> None:
    class Data(keras.utils.PyDataset):  # type: ignore[misc,name-defined]
        def __len__(self) -> int:
            return len(BATCHES)

        def __getitem__(self, i: int) -> Any:
            return BATCHES[i]

    settings = {"epochs": 2, "shuffle": False, "verbose": 0}
    ours, theirs = (line(library).fit(Data(), **settings).history["loss"] for library in (netchu, keras))
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert line().predict(Data(), verbose=0).shape == (32, 1)


# --- no History is lost ----------------------------------------------------------------------------------------------


def bad_in_the_third_epoch(bad: Any) -> Any:
    class Turning(Numbered):
        def __getitem__(self, i: int) -> Any:
            super().__getitem__(i)
            late = self.asked.count("end") >= 2
            if late and isinstance(bad, Exception):
                raise bad
            return bad if late else self.batches[i]

    return Turning()


class Raise(Callback):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 2:
            raise RuntimeError("mine")


ENDINGS: dict[str, tuple[type[Exception], Callable[[Any], Any]]] = {
    "the data raises": (OSError, lambda m: m.fit(bad_in_the_third_epoch(OSError("disk")), epochs=5, verbose=0)),
    "NaN in a batch": (DataError, lambda m: m.fit(bad_in_the_third_epoch((X * np.nan, Y)), epochs=5, verbose=0)),
    "no batch": (DataError, lambda m: m.fit(bad_in_the_third_epoch((X, Y, Y, Y)), epochs=5, verbose=0)),
    "texts": (DataError, lambda m: m.fit(bad_in_the_third_epoch(("a", "b")), epochs=5, verbose=0)),
    "another width": (NetchuError, lambda m: m.fit(bad_in_the_third_epoch((X[:, :1], Y)), epochs=5, verbose=0)),
    "the loss": (NetchuError, lambda m: m.fit(bad_in_the_third_epoch((X, Y * 1e30)), epochs=5, verbose=0)),
    "a callback": (RuntimeError, lambda m: m.fit(X, Y, epochs=5, verbose=0, callbacks=Raise())),
    "the validation": (
        OSError,
        lambda m: m.fit(X, Y, epochs=5, verbose=0, validation_data=bad_in_the_third_epoch(OSError("disk"))),
    ),
    "NaN in the validation": (
        DataError,
        lambda m: m.fit(X, Y, epochs=5, verbose=0, validation_data=bad_in_the_third_epoch((X * np.nan, Y))),
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_history_of_a_training_that_fails_in_the_middle_is_kept(ending: str) -> None:
    model = line()
    error, train = ENDINGS[ending]
    with pytest.raises(error):
        train(model)
    assert model.history is not None
    assert model.history.epoch == [0, 1]
    assert len(model.history.history["loss"]) == 2
    assert all(math.isfinite(value) for value in model.history.history["loss"])


# --- steps_per_epoch -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 3, 5, 9, 10, 11, 20])
def test_steps_that_do_not_fit_the_data_go_through_it_again_and_again(steps: int) -> None:
    """80 rows in batches of 8, 4 epochs: every row is seen equally often, as far as whole passes go."""
    made: list[int] = []
    seen: list[float] = []
    rows = np.arange(80, dtype="float32").reshape(80, 1)

    class Seeing(netchu.Sequential):
        def train_step(self, data: Any) -> Any:
            seen.extend(data[0].numpy().ravel().tolist())
            return super().train_step(data)

    model = Seeing([Input((1,)), Dense(1)])
    model.compile(netchu.optimizers.SGD(1e-6), "mse")
    count = LambdaCallback(
        on_epoch_begin=lambda e, logs: made.append(0), on_train_batch_end=lambda b, logs: made.append(made.pop() + 1)
    )
    model.fit(rows, rows, batch_size=8, epochs=4, steps_per_epoch=steps, verbose=0, callbacks=[count])
    assert made == [steps] * 4
    times = np.bincount(np.array(seen, int), minlength=80)
    assert times.sum() == 32 * steps
    assert times.max() - times.min() <= 1


def test_batches_that_are_predicted_may_differ_in_shape() -> None:
    x = np.arange(35, dtype="float32")
    flat = netchu.Sequential([Flatten()]).predict([(x.reshape(1, 5, 7),), (x.reshape(1, 7, 5),)], verbose=0)
    np.testing.assert_array_equal(flat, np.stack([x, x]))
    with pytest.raises(ShapeError, match="axis -1 of input shape to have value 2"):
        line().predict([(x.reshape(5, 7),)], verbose=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_number_that_the_models_type_cannot_hold_is_said(dtype: str) -> None:
    model = netchu.Sequential([Input((6,)), Dense(1, dtype="float64", kernel_initializer="zeros")], dtype=dtype)
    model.compile(netchu.optimizers.SGD(0.0), "mae")
    x = np.ones((4, 6))
    x[2, 1] = 1e300
    if dtype == "float64":
        assert model.fit(x, np.ones(4), verbose=0).history["loss"] == [1.0]
        return
    with pytest.raises(DataError, match=r"numbers that float32 can hold in x\. Got: x\[2, 1\]=1e\+300"):
        model.fit(x, np.ones(4), verbose=0)
