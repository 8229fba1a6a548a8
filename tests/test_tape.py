"""The tape: what is recorded, what the walk backwards gives and what it leaves out, and one step worked out by hand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import netchu
from helpers import assert_close, assert_same_bits
from netchu import engines, ops, tape
from netchu.engines import Array
from netchu.errors import TapeError, UsageError
from netchu.layers import Dense, Input
from netchu.losses import SparseCategoricalCrossentropy
from netchu.models import Sequential
from netchu.optimizers import SGD
from netchu.tape import GradientTape, Record, operation, stop_gradient
from netchu.tensor import Tensor, Variable

CHAIN = 100_000


# --- the walk --------------------------------------------------------------------------------------------------------


def test_a_chain_of_100000_operations() -> None:
    x = Variable(np.float64(2.0))
    with GradientTape() as recorder:
        y = x
        for _ in range(CHAIN):
            y = y + 1.0
    assert len(recorder.records) == CHAIN
    assert recorder.gradient(y * y, x) is None  # recorded outside: no path
    assert recorder.gradient(y, x).item() == 1.0


def test_uses_of_one_tensor_add_up(engine: str) -> None:
    x = Variable([3.0])
    with GradientTape() as recorder:
        y = x * x + x
    assert recorder.gradient(y, x).numpy().tolist() == [7.0]


def test_an_unconnected_source_gives_none(engine: str) -> None:
    x, other = Variable([1.0]), Variable([2.0])
    with GradientTape() as recorder:
        y = x * 3.0
    assert recorder.gradient(y, other) is None
    assert recorder.gradient(y, [x, other])[1] is None


def test_a_target_that_nothing_recorded_gives_none() -> None:
    x = Variable([1.0])
    y = x * 3.0
    with GradientTape() as recorder:
        x * 2.0
    assert recorder.gradient(y, x) is None


def test_a_target_with_axes_is_summed(engine: str) -> None:
    x = Variable([[1.0, 2.0], [3.0, 4.0]])
    with GradientTape() as recorder:
        y = x * x
    assert recorder.gradient(y, x).numpy().tolist() == [[2.0, 4.0], [6.0, 8.0]]


def test_gradients_of_several_targets_add_up(engine: str) -> None:
    x = Variable([2.0])
    with GradientTape() as recorder:
        y, z = x * 3.0, x * x
    assert recorder.gradient([y, z], x).numpy().tolist() == [7.0]


def test_a_target_on_the_way_to_another_counts_twice() -> None:
    x = Variable([2.0])
    with GradientTape() as recorder:
        y = x * 3.0
        z = y * y
    assert recorder.gradient([y, z], x).numpy().tolist() == [3.0 + 2 * 6.0 * 3.0]


def test_the_gradient_of_a_source_with_respect_to_itself_is_one() -> None:
    x = Variable([2.0, 5.0])
    with GradientTape() as recorder:
        x * 1.0
    assert recorder.gradient(x, x).numpy().tolist() == [1.0, 1.0]


def test_gradients_come_in_the_structure_of_the_sources() -> None:
    x, y = Variable([1.0]), Variable([2.0])
    with GradientTape() as recorder:
        z = x * y
    assert isinstance(recorder.gradient(z, x), Tensor)
    assert isinstance(recorder.gradient(z, [x, y]), list)
    assert isinstance(recorder.gradient(z, (x, y)), tuple)


def test_the_gradient_may_be_taken_twice(engine: str) -> None:
    x = Variable([2.0])
    with GradientTape() as recorder:
        y = x * x * x
    first, second = recorder.gradient(y, x), recorder.gradient(y, x)
    assert first.numpy().tolist() == second.numpy().tolist() == [12.0]


def test_a_gradient_at_an_intermediate_tensor() -> None:
    x = Variable([2.0])
    with GradientTape() as recorder:
        y = x * 3.0
        z = y * y
    assert recorder.gradient(z, y).numpy().tolist() == [12.0]


def test_stop_gradient_keeps_the_value_and_ends_the_path(engine: str) -> None:
    x = Variable([3.0])
    with GradientTape() as recorder:
        y = x * stop_gradient(x)
        z = stop_gradient(x * x)
    assert y.numpy().tolist() == [9.0]
    assert recorder.gradient(y, x).numpy().tolist() == [3.0]
    assert recorder.gradient(z, x) is None


# --- what is followed ------------------------------------------------------------------------------------------------


def test_a_tensor_is_followed_when_watched(engine: str) -> None:
    x = Tensor([2.0])
    with GradientTape() as recorder:
        ignored = x * x
        recorder.watch(x)
        y = x * x
    assert recorder.gradient(ignored, x) is None
    assert recorder.gradient(y, x).numpy().tolist() == [4.0]


def test_watching_an_array_is_an_error_that_says_what_to_do() -> None:
    with GradientTape() as recorder, pytest.raises(TapeError, match=r"expected a Tensor.*netchu\.Tensor\(x\) first"):
        recorder.watch(np.ones(3))


def test_a_variable_that_is_not_trainable_is_not_followed() -> None:
    x = Variable([2.0], trainable=False)
    with GradientTape() as recorder:
        y = x * x
    assert recorder.records == []
    assert recorder.gradient(y, x) is None


def test_variables_are_followed_only_on_request_if_asked_so() -> None:
    x, y = Variable([2.0]), Variable([5.0])
    with GradientTape(watch_accessed_variables=False) as recorder:
        recorder.watch(x)
        z = x * y
    assert recorder.gradient(z, x).numpy().tolist() == [5.0]
    assert recorder.gradient(z, y) is None


def test_a_tensor_that_was_not_followed_has_no_gradient_rather_than_half_of_it() -> None:
    x, t = Variable([2.0]), Tensor([5.0])
    with GradientTape() as recorder:
        y = x * t + t * t  # t * t is not recorded: without it the gradient at t would be 2 instead of 12
    assert recorder.gradient(y, t) is None


def test_nothing_is_recorded_outside_or_for_plain_arrays() -> None:
    x = Variable([1.0])
    with GradientTape() as recorder:
        ops.exp(np.ones(3))
    x * 2.0
    assert recorder.records == []


# --- tapes in tapes ---------------------------------------------------------------------------------------------------


def test_each_of_two_open_tapes_records() -> None:
    w = Variable([3.0])
    with GradientTape() as outer:
        y = w * w
        with GradientTape() as inner:
            z = y * w
        last = z * 2.0
    assert [record.operation for record in outer.records] == ["multiply"] * 3
    assert len(inner.records) == 1
    assert inner.gradient(z, w).numpy().tolist() == [9.0]  # y is a constant to the inner one
    assert outer.gradient(last, w).numpy().tolist() == [54.0]


def test_an_inner_gradient_is_a_constant_that_may_be_used() -> None:
    w = Variable([3.0])
    with GradientTape() as outer:
        with GradientTape() as inner:
            loss = w * w * w
        g = inner.gradient(loss, w)
        penalty = w * ops.stop_gradient(g)
    assert outer.gradient(penalty, w).numpy().tolist() == [27.0]


@pytest.mark.parametrize("inside", [True, False])
def test_a_second_derivative_is_an_error_that_says_what_to_do(inside: bool) -> None:
    w = Variable([3.0])
    with GradientTape() as outer:
        with GradientTape() as inner:
            loss = w * w * w
            g = inner.gradient(loss, w) if inside else None
        g = inner.gradient(loss, w) if g is None else g
        total = ops.sum(g * g) + loss
    assert outer.gradient(loss, w).numpy().tolist() == [27.0]
    with pytest.raises(TapeError, match=r"no other gradient went into.*no second derivatives.*stop_gradient"):
        outer.gradient(total, w)


def test_a_tape_that_is_open_cannot_be_opened_again() -> None:
    tape = GradientTape()
    with tape, pytest.raises(TapeError, match="a tape that is not open"), tape:
        pass
    with tape:
        Variable([1.0]) * 2.0
    assert len(tape.records) == 1


# --- what a record knows ---------------------------------------------------------------------------------------------


class Doubled(netchu.Layer):
    def call(self, x: Tensor) -> Tensor:
        return x * 2.0


def test_a_record_knows_its_layer_settings_and_line() -> None:
    layer, w = Doubled(), Variable([[1.0, -2.0]])
    with GradientTape() as tape:
        y = ops.sum(layer(w), axis=1, keepdims=True)
        y = ops.sum(layer(y), 1)
    doubled, summed = tape.records[0], tape.records[1]
    assert (doubled.layer, summed.layer) == (layer, None)
    assert summed.settings == {"axis": 1, "keepdims": True}
    assert tape.records[3].settings == {"axis": 1}
    file, line = doubled.source
    assert file == __file__
    assert "return x * 2.0" in Path(file).read_text(encoding="utf-8").splitlines()[line - 1]
    file, line = summed.source
    assert "keepdims=True" in Path(file).read_text(encoding="utf-8").splitlines()[line - 1]


def test_the_innermost_layer_is_the_one_that_made_a_record() -> None:
    inner = Doubled()

    class Outer(netchu.Layer):
        def call(self, x: Tensor) -> Tensor:
            return inner(x) + 1.0

    outer, w = Outer(), Variable([1.0])
    with GradientTape() as tape:
        outer(w)
    assert [record.layer for record in tape.records] == [inner, outer]


def test_a_step_of_every_layer_can_be_replayed(engine: str) -> None:
    """Each record of a convolutional network's step, computed again, gives its output again, bit for bit."""
    layers = netchu.layers
    model = netchu.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(3, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(2),
            layers.GaussianNoise(0.1),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.LayerNormalization(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    x = np.random.default_rng(0).normal(size=(4, 8, 8, 1)).astype("float32")
    with GradientTape() as tape:
        loss = ops.mean(ops.sparse_categorical_crossentropy(np.array([0, 1, 2, 0]), model(x, training=True)))
    assert len(tape.records) > 20
    assert {type(r.layer).__name__ for r in tape.records} >= {"Conv2D", "BatchNormalization", "Dropout", "Dense"}
    for record in tape.records:
        assert_same_bits(engines.current().to_numpy(record.replay()), record.output.numpy())
    assert tape.records[-1].output is loss


def test_contributions_add_up_to_the_gradients() -> None:
    w = Variable([2.0, 3.0])
    with GradientTape() as tape:
        y = w * w + w
    sums: dict[int, np.ndarray] = {}
    parts = []
    for part in tape.contributions(y, w, sums):
        parts.append((part.record.operation, part.at_output.tolist(), part.array.tolist()))
    assert parts == [
        ("add", [1.0, 1.0], [1.0, 1.0]),
        ("add", [1.0, 1.0], [1.0, 1.0]),
        ("multiply", [1.0, 1.0], [2.0, 3.0]),
        ("multiply", [1.0, 1.0], [2.0, 3.0]),
    ]
    assert len(list(tape.contributions(y, w))) == 4
    assert sums[id(w)].tolist() == tape.gradient(y, w).numpy().tolist() == [5.0, 7.0]


# --- a tape and its thread -------------------------------------------------------------------------------------------


def test_a_tape_is_closed_by_an_exception() -> None:
    with pytest.raises(RuntimeError, match="in the middle"), GradientTape():
        raise RuntimeError("in the middle")
    with GradientTape() as recorder:
        Variable([1.0]) * 2.0
    assert len(recorder.records) == 1


def test_two_threads_do_not_mix_their_tapes() -> None:
    both_open = threading.Barrier(2, timeout=20)
    found: dict[float, list[float]] = {}

    def work(factor: float) -> None:
        x = Variable([factor])
        with GradientTape() as recorder:
            both_open.wait()
            y = x
            for _ in range(50):
                y = y * 1.0
            y = y * x
            both_open.wait()
        found[factor] = [len(recorder.records), recorder.gradient(y, x).item()]

    threads = [threading.Thread(target=work, args=(factor,)) for factor in (3.0, 5.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {3.0: [51, 6.0], 5.0: [51, 10.0]}


# --- records ---------------------------------------------------------------------------------------------------------


def test_records_tell_operation_shapes_and_values(engine: str) -> None:
    x, w = Tensor(np.ones((2, 3), dtype="float32")), Variable(np.full((3, 4), 2.0, dtype="float32"))
    with GradientTape() as recorder:
        y = ops.relu(x @ w)
    assert [repr(record) for record in recorder.records] == [
        "matmul((2, 3), (3, 4)) -> (2, 4)",
        "relu((2, 4)) -> (2, 4)",
    ]
    product = recorder.records[0]
    assert product.operation == "matmul"
    assert product.inputs == (x, w)
    assert np.asarray(product.values[1]).tolist() == np.full((3, 4), 2.0).tolist()
    assert recorder.records[1].output is y


def test_a_record_keeps_a_variables_value_of_that_moment(engine: str) -> None:
    w = Variable([2.0])
    with GradientTape() as recorder:
        y = w * w
        w.assign([100.0])
    assert np.asarray(recorder.records[0].values[0]).tolist() == [2.0]
    assert recorder.gradient(y, w).numpy().tolist() == [4.0]


def test_assigning_with_add_and_sub_leaves_recorded_values_alone(engine: str) -> None:
    w = Variable([2.0])
    with GradientTape() as recorder:
        w * 3.0
    kept = np.asarray(recorder.records[0].values[0]).copy()
    w.assign_add([1.0])
    w.assign_sub([0.5])
    assert w.numpy().tolist() == [2.5]
    assert_same_bits(recorder.records[0].values[0], kept)


def test_a_number_among_the_inputs_is_listed_without_axes() -> None:
    w = Variable([[2.0]])
    with GradientTape() as recorder:
        2.0 * w
    assert repr(recorder.records[0]) == "multiply((), (1, 1)) -> (1, 1)"


# --- only what is needed ---------------------------------------------------------------------------------------------


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every derivative of a matrix product that is called, as "for the left/right of (shapes)"."""
    called: list[str] = []
    right = GradientTape.record

    def record(self: GradientTape, one: Record) -> None:
        def noted(side: str, derivative: Callable) -> Callable:
            def call(g: object) -> object:
                called.append(f"{side} of {one!r}")
                return derivative(g)

            return call

        if one.operation == "matmul":
            one.derivatives = tuple(noted(side, d) for side, d in zip(("left", "right"), one.derivatives))
        right(self, one)

    monkeypatch.setattr(GradientTape, "record", record)
    return called


def test_the_first_layers_backward_is_one_large_product(products: list[str]) -> None:
    model = Sequential([Input((784,)), Dense(512, activation="relu"), Dense(10, activation="softmax")])
    with GradientTape() as recorder:
        y = model(np.zeros((4, 784), dtype="float32"))
        loss = SparseCategoricalCrossentropy()(np.array([1, 2, 3, 4]), y)
    gradients = recorder.gradient(loss, model.trainable_variables)
    assert [g.shape for g in gradients] == [(784, 512), (512,), (512, 10), (10,)]
    assert products == [
        "left of matmul((4, 512), (512, 10)) -> (4, 10)",
        "right of matmul((4, 512), (512, 10)) -> (4, 10)",
        "right of matmul((4, 784), (784, 512)) -> (4, 512)",  # and not the left: nobody asked for the pixels
    ]


def test_only_the_last_layer_is_walked_for_its_own_weights(products: list[str]) -> None:
    model = Sequential([Input((784,)), Dense(512, activation="relu"), Dense(10)])
    with GradientTape() as recorder:
        loss = ops.sum(model(np.zeros((4, 784), dtype="float32")))
    recorder.gradient(loss, model.layers[-1].kernel)
    assert products == ["right of matmul((4, 512), (512, 10)) -> (4, 10)"]


def test_the_pixels_gradient_is_computed_when_watched(products: list[str]) -> None:
    model = Sequential([Input((6,)), Dense(3)])
    x = Tensor(np.ones((2, 6), dtype="float32"))
    with GradientTape() as recorder:
        recorder.watch(x)
        loss = ops.sum(model(x))
    assert recorder.gradient(loss, x).shape == (2, 6)
    assert products == ["left of matmul((2, 6), (6, 3)) -> (2, 3)"]


def test_a_derivative_off_the_path_is_never_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tape, "operations", dict(tape.operations))

    def never(g: object) -> object:
        raise AssertionError("called for a tensor that is no source")

    @operation
    def guarded(x: Array, y: Array):
        return x * y, (lambda g: g * y, never)

    w, v = Variable([2.0]), Variable([3.0])
    with GradientTape() as recorder:
        y = guarded(w, v)
    assert recorder.gradient(y, w).numpy().tolist() == [3.0]
    with pytest.raises(AssertionError, match="no source"):
        recorder.gradient(y, v)


# --- tensors ---------------------------------------------------------------------------------------------------------

OPERATORS: list[tuple[str, Callable[[Tensor], Tensor], list[float]]] = [
    ("+", lambda t: t + 1, [3.0, -3.0]),
    ("r+", lambda t: 1 + t, [3.0, -3.0]),
    ("-", lambda t: t - 1, [1.0, -5.0]),
    ("r-", lambda t: 1 - t, [-1.0, 5.0]),
    ("*", lambda t: t * 2, [4.0, -8.0]),
    ("r*", lambda t: np.float32(2) * t, [4.0, -8.0]),
    ("/", lambda t: t / 2, [1.0, -2.0]),
    ("r/", lambda t: 8 / t, [4.0, -2.0]),
    ("**", lambda t: t**2, [4.0, 16.0]),
    ("r**", lambda t: 2**t, [4.0, 0.0625]),
    ("@", lambda t: (t[None] @ t[:, None])[0], [20.0]),
    ("r@", lambda t: np.eye(2, dtype="float32") @ t[:, None], [[2.0], [-4.0]]),
    ("neg", lambda t: -t, [-2.0, 4.0]),
    ("abs", abs, [2.0, 4.0]),
    ("item", lambda t: t[1:], [-4.0]),
    ("==", lambda t: t == 2, [True, False]),
    ("!=", lambda t: t != 2, [False, True]),
    ("<", lambda t: t < 0, [False, True]),
    ("<=", lambda t: t <= 2, [True, True]),
    (">", lambda t: t > 0, [True, False]),
    (">=", lambda t: t >= 2, [True, False]),
    ("array first", lambda t: np.array([1.0, 1.0], dtype="float32") - t, [-1.0, 5.0]),
]


@pytest.mark.parametrize(("name", "function", "expected"), OPERATORS, ids=[name for name, _, _ in OPERATORS])
def test_operators(engine: str, name: str, function: Callable[[Tensor], Tensor], expected: list[float]) -> None:
    result = function(Tensor([2.0, -4.0]))
    assert isinstance(result, Tensor)
    assert result.numpy().tolist() == expected


def test_a_tensor_knows_its_shape_type_and_values(engine: str) -> None:
    t = Tensor([[1, 2, 3]], dtype="float32")
    assert (t.shape, t.ndim, t.dtype, len(t)) == ((1, 3), 2, "float32", 1)
    assert isinstance(t.numpy(), np.ndarray)
    assert np.asarray(t).tolist() == [[1.0, 2.0, 3.0]]
    assert [row.numpy().tolist() for row in t] == [[1.0, 2.0, 3.0]]


def test_python_floats_become_float32_and_arrays_keep_their_type() -> None:
    assert Tensor(1.5).dtype == "float32"
    assert Tensor([1.5, 2.0]).dtype == "float32"
    assert Tensor(np.float64(1.5)).dtype == "float64"
    assert Tensor(np.arange(3, dtype="uint8")).dtype == "uint8"
    assert (Tensor(np.ones(2, dtype="float32")) * 2.5).dtype == "float32"


def test_one_number_becomes_a_python_number() -> None:
    t = Tensor(2.5)
    assert (float(t), int(t), t.item(), bool(t)) == (2.5, 2, 2.5, True)
    assert [10, 20, 30][Tensor(np.int64(1))] == 20


def test_a_tensor_without_axes_has_no_length() -> None:
    with pytest.raises(UsageError, match="at least one axis"):
        len(Tensor(1.0))


def test_a_tensor_as_a_key_means_this_very_one() -> None:
    a, b = Tensor([1.0]), Tensor([1.0])
    assert {a: "a", b: "b"}[b] == "b"


def test_repr_shows_values_shape_and_type(engine: str) -> None:
    assert repr(Tensor([1.0, 2.0])) == "Tensor([1. 2.], shape=(2,), dtype=float32)"
    assert repr(Variable([3.0])) == "Variable([3.], shape=(1,), dtype=float32)"


def test_assigning_another_shape_names_the_variable() -> None:
    with pytest.raises(UsageError, match=r"kernel\.assign: expected shape \(2,\)\. Got: shape=\(3,\)"):
        Variable([1.0, 2.0], name="kernel").assign([1.0, 2.0, 3.0])


def test_assigning_keeps_the_type(engine: str) -> None:
    v = Variable(np.zeros(2, dtype="float32"))
    v.assign(np.array([1, 2]))
    assert v.dtype == "float32"
    assert v.numpy().tolist() == [1.0, 2.0]


# --- one step by hand ------------------------------------------------------------------------------------------------


def test_one_step_worked_out_by_hand(engine: str) -> None:
    # One sample x = [1, 2], label 0; a hidden layer of two with relu, an output layer of two with softmax.
    x = np.array([[1.0, 2.0]], dtype="float32")
    w1 = Variable([[1.0, -1.0], [0.5, 0.25]])
    b1 = Variable([0.0, 0.0])
    w2 = Variable([[1.0, 0.0], [3.0, 5.0]])
    b2 = Variable([0.0, 2.0])

    with GradientTape() as recorder:
        # hidden:  x @ w1 = [1 * 1 + 2 * 0.5, 1 * -1 + 2 * 0.25] = [2, -0.5];  relu: [2, 0]
        h = ops.relu(x @ w1 + b1)
        # logits:  h @ w2 + b2 = [2 * 1, 0] + [0, 2] = [2, 2];  softmax: [0.5, 0.5]
        p = ops.softmax(h @ w2 + b2)
        # loss:    -log(0.5) = 0.6931472
        loss = SparseCategoricalCrossentropy()(np.array([0]), p)
    assert h.numpy().tolist() == [[2.0, 0.0]]
    assert p.numpy().tolist() == [[0.5, 0.5]]
    assert_close(loss.numpy(), np.float32(0.6931472), atol=1e-7)

    # d loss / d logits = p - one_hot = [-0.5, 0.5]
    # d loss / d b2     = [-0.5, 0.5]
    # d loss / d w2     = h^T @ that = [[2 * -0.5, 2 * 0.5], [0, 0]] = [[-1, 1], [0, 0]]
    # d loss / d h      = [-0.5, 0.5] @ w2^T = [-0.5 * 1 + 0.5 * 0, -0.5 * 3 + 0.5 * 5] = [-0.5, 1]
    # through relu, which let only the first through: [-0.5, 0]
    # d loss / d b1     = [-0.5, 0]
    # d loss / d w1     = x^T @ that = [[-0.5, 0], [-1, 0]]
    weights = [w1, b1, w2, b2]
    gradients = recorder.gradient(loss, weights)
    by_hand = [[[-0.5, 0.0], [-1.0, 0.0]], [-0.5, 0.0], [[-1.0, 1.0], [0.0, 0.0]], [-0.5, 0.5]]
    assert [g.numpy().tolist() for g in gradients] == by_hand

    # the update: w = w - 0.5 * gradient
    SGD(learning_rate=0.5).apply_gradients(zip(gradients, weights))
    assert w1.numpy().tolist() == [[1.25, -1.0], [1.0, 0.25]]
    assert b1.numpy().tolist() == [0.25, 0.0]
    assert w2.numpy().tolist() == [[1.5, -0.5], [3.0, 5.0]]
    assert b2.numpy().tolist() == [0.25, 1.75]
