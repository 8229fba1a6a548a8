"""Sequential: layers in and out, names, building, the summary, repr, configuration."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import netchu
from netchu import Sequential, ops
from netchu.errors import ShapeError, UsageError
from netchu.layers import Activation, Dense, Dropout, Flatten, Input, Layer, Rescaling
from small_nets import classifier, clusters, fixed_weights

SUMMARY = """\
Model: "sequential"
┏━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┓
┃ Layer (type)                    ┃ Output Shape           ┃       Param # ┃
┡━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━┩
│ dense (Dense)                   │ (None, 512)            │       401,920 │
├─────────────────────────────────┼────────────────────────┼───────────────┤
│ dense_1 (Dense)                 │ (None, 10)             │         5,130 │
└─────────────────────────────────┴────────────────────────┴───────────────┘
 Total params: 407,050 (1.55 MB)
 Trainable params: 407,050 (1.55 MB)
 Non-trainable params: 0 (0.00 B)"""
"""On a terminal of 80 columns, as real Keras prints it (tests/test_judge_training.py)."""


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def digits() -> Sequential:
    return Sequential([Input((784,)), Dense(512, activation="relu"), Dense(10, activation="softmax")])


def without_rules(text: str) -> list[str]:
    """The words of a summary, whatever the widths of its columns."""
    return [
        " ".join(line.replace("┃", "").replace("│", "").split())
        for line in text.splitlines()
        if any(map(str.isalnum, line))
    ]


# --- building --------------------------------------------------------------------------------------------------------


def test_input_builds_the_model_at_once() -> None:
    model = digits()
    assert model.built
    assert [w.shape for w in model.weights] == [(784, 512), (512,), (512, 10), (10,)]
    assert (model.input_shape, model.output_shape) == ((None, 784), (None, 10))


def test_without_input_the_first_data_builds_it(engine: str) -> None:
    x, y = clusters()
    model = Sequential([Dense(5, activation="relu"), Dense(3, activation="softmax")])
    model.compile("rmsprop", "sparse_categorical_crossentropy")
    assert not model.built
    assert model.weights == []
    model.fit(x, y, verbose=0)
    assert model.built
    assert model.input_shape == (None, 6)


@pytest.mark.parametrize("first_use", ["call", "build", "predict", "evaluate", "train_on_batch"])
def test_every_first_use_builds_it(first_use: str) -> None:
    x, y = clusters()
    model = Sequential([Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    if first_use == "call":
        model(x)
    elif first_use == "build":
        model.build((None, 6))
    elif first_use == "predict":
        model.predict(x, verbose=0)
    elif first_use == "evaluate":
        model.evaluate(x, y, verbose=0)
    else:
        model.train_on_batch(x, y)
    assert model.built
    assert [w.shape for w in model.weights] == [(6, 3), (3,)]
    assert model.output_shape == (None, 3)


def test_shapes_of_a_model_that_is_not_built() -> None:
    with pytest.raises(UsageError, match=r"Sequential: expected a built model. Got: built=False. Put Input"):
        _ = Sequential([Dense(3)]).input_shape


def test_model_is_the_loop_over_its_layers() -> None:
    x, _ = clusters()
    model = classifier()
    by_hand = x
    for layer in model.layers:
        by_hand = layer(by_hand)
    assert np.array_equal(model(x), by_hand)


def test_training_reaches_the_layers() -> None:
    x = np.ones((50, 4), "float32")
    model = Sequential([Input((4,)), Dropout(0.5)])
    assert np.array_equal(model(x), x)
    assert np.array_equal(model(x, training=False), x)
    assert not np.array_equal(model(x, training=True), x)


def test_output_shape_follows_every_layer() -> None:
    model = Sequential([Input((28, 28)), Rescaling(1 / 255), Flatten(), Dense(10)])
    assert model.output_shape == (None, 10)
    assert model.compute_output_shape((None, 28, 28)) == (None, 10)
    assert model(np.zeros((2, 28, 28), "uint8")).shape == (2, 10)


# --- layers in and out -----------------------------------------------------------------------------------------------


def test_layers_are_numbered_by_class() -> None:
    model = Sequential([Dense(2), Dense(2), Dropout(0.1), Dense(2), Dropout(0.1)])
    assert [layer.name for layer in model.layers] == ["dense", "dense_1", "dropout", "dense_2", "dropout_1"]


def test_add_goes_on_from_what_is_there() -> None:
    model = Sequential()
    model.add(Input((4,)))
    model.add(Dense(3))
    model.add(Dense(2))
    assert [w.shape for w in model.weights] == [(4, 3), (3,), (3, 2), (2,)]
    assert model.output_shape == (None, 2)


def test_add_keeps_the_weights_there_are() -> None:
    model = classifier()
    before = model.get_weights()
    model.add(Dense(2))
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_pop_returns_the_last_layer_and_the_model_still_works() -> None:
    model = classifier()
    last = model.layers[-1]
    assert model.pop() is last
    assert model.output_shape == (None, 5)
    assert model.predict(clusters()[0], verbose=0).shape == (60, 5)
    assert len(model.weights) == 2


def test_pop_and_add_make_a_new_head_that_trains(engine: str) -> None:
    x, y = clusters()
    model = classifier()
    model.fit(x, y, verbose=0)
    model.pop()
    model.add(Dense(3, activation="softmax"))
    assert [layer.name for layer in model.layers] == ["dense", "dense_1"]
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert np.isfinite(model.fit(x, y, verbose=0).history["loss"][0])


def test_after_add_or_pop_the_model_must_be_compiled_anew() -> None:
    model = classifier()
    model.add(Activation("softmax"))
    with pytest.raises(UsageError, match=r"You must call `compile\(\)` before using the model"):
        model.fit(*clusters(), verbose=0)


def test_layers_is_a_list_of_ones_own() -> None:
    model = classifier()
    model.layers.clear()
    assert len(model.layers) == 2


def test_get_layer_by_name_and_index() -> None:
    model = Sequential([Dense(2, name="body"), Dense(2)])
    assert model.get_layer("body") is model.get_layer(index=0) is model.layers[0]
    assert model.get_layer("dense") is model.get_layer(index=-1)


def test_get_layer_lists_the_names() -> None:
    with pytest.raises(UsageError, match=r"Could not interpret layer identifier: 'dense_9'. Known: body, dense"):
        Sequential([Dense(2, name="body"), Dense(2)]).get_layer("dense_9")
    with pytest.raises(UsageError, match=r"get_layer: expected an index below 1. Got: index=5"):
        Sequential([Dense(2)]).get_layer(index=5)


def test_same_name_twice_in_keras_words() -> None:
    with pytest.raises(UsageError, match=r"should have unique names: .* Got: name='a'"):
        Sequential([Dense(2, name="a"), Dense(2, name="a")])


WRONG_LAYERS = [
    (3, r"Only instances of `netchu.layers.Layer` can be added .* Got: 3 \(of type <class 'int'>\)"),
    ("dense", "Only instances of `netchu.layers.Layer`"),
    (ops.relu, "Only instances of `netchu.layers.Layer`"),
    (None, "Only instances of `netchu.layers.Layer`"),
    (Dense, r"Sequential: expected a layer. Got: the class Dense. Write Dense\(\.\.\.\)"),
]


@pytest.mark.parametrize(("wrong", "words"), WRONG_LAYERS, ids=range(len(WRONG_LAYERS)))
def test_what_is_no_layer_is_refused(wrong: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Sequential([wrong])


def test_same_layer_object_twice_is_refused() -> None:
    layer = Dense(3)
    with pytest.raises(UsageError, match=r"unique names|already"):
        Sequential([Input((3,)), layer, layer])


def test_input_comes_first_or_not_at_all() -> None:
    with pytest.raises(UsageError, match="Sequential: expected Input as the first entry only"):
        Sequential([Dense(2), Input((3,))])


def test_model_without_layers() -> None:
    with pytest.raises(UsageError, match=r"Sequential.pop: expected at least one layer. Got: layers=\[\]"):
        Sequential().pop()
    with pytest.raises(UsageError, match=r"Sequential: expected at least one layer"):
        Sequential().build((None, 3))


def test_layers_that_do_not_fit_each_other_are_found_when_built() -> None:
    with pytest.raises(ShapeError, match=r"layer 'dense' \(Dense\): expected an input \(batch, ..., features\)"):
        Sequential([Input(()), Dense(2)])


def test_sequential_inside_a_sequential(engine: str) -> None:
    x, y = clusters()
    inner = Sequential([Dense(4, activation="relu"), Dense(4, activation="relu")], name="body")
    model = Sequential([Input((6,)), inner, Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    assert len(before) == 6
    assert all((a != b).any() for a, b in zip(before, model.get_weights()))


# --- words -----------------------------------------------------------------------------------------------------------


def test_summary_is_keras_box(capsys: pytest.CaptureFixture[str]) -> None:
    digits().summary()
    assert capsys.readouterr().out.rstrip("\n") == SUMMARY


def test_summary_goes_where_it_is_sent() -> None:
    lines: list[str] = []
    digits().summary(print_fn=lines.append)
    assert "\n".join(lines) == SUMMARY


def test_summary_counts_the_optimizer_once_it_is_built() -> None:
    lines: list[str] = []
    model = classifier()
    model.fit(*clusters(), verbose=0)
    model.summary(print_fn=lines.append)
    words = without_rules("\n".join(lines))
    assert words[-4:] == [  # the counter of steps has 8 bytes
        "Total params: 108 (436.00 B)", "Trainable params: 53 (212.00 B)", "Non-trainable params: 0 (0.00 B)",
        "Optimizer params: 55 (224.00 B)",
    ]  # fmt: skip


def test_summary_of_a_model_that_is_not_built() -> None:
    lines: list[str] = []
    Sequential([Dense(3)]).summary(print_fn=lines.append)
    assert "dense (Dense) ? 0 (unbuilt)" in without_rules("\n".join(lines))


def test_summary_shows_the_layers_of_inner_models() -> None:
    lines: list[str] = []
    inner = Sequential([Input((4,)), Dense(3)], name="inner")
    Sequential([Input((4,)), inner, Dense(2)]).summary(print_fn=lines.append, expand_nested=True)
    assert "└ dense (Dense) (None, 3) 15" in without_rules("\n".join(lines))


def test_summary_refuses_a_line_that_is_too_short() -> None:
    with pytest.raises(UsageError, match="line_length=8"):
        digits().summary(line_length=8)


def test_freezing_a_model_freezes_the_layers_in_it() -> None:
    model = Sequential([Input((4,)), Sequential([Dense(3)]), Dense(2)])
    model.trainable = False
    assert not model.layers[1].trainable
    assert not model.layers[0].layers[0].trainable
    assert model.trainable_weights == []
    assert len(model.non_trainable_weights) == 4
    model.trainable = True
    assert len(model.trainable_weights) == 4


def test_summary_shows_frozen_weights_apart() -> None:
    lines: list[str] = []
    Sequential([Input((4,)), Dense(3, trainable=False), Dense(2)]).summary(print_fn=lines.append)
    words = without_rules("\n".join(lines))
    assert "Trainable params: 8 (32.00 B)" in words
    assert "Non-trainable params: 15 (60.00 B)" in words


def test_repr_is_the_call_that_makes_it() -> None:
    shown = repr(digits())
    assert shown == (
        "Sequential([InputLayer(shape=[784]), Dense(units=512, activation='relu'), Dense(units=10, "
        "activation='softmax')])"
    )
    twin = eval(shown, vars(netchu.layers) | {"Sequential": Sequential})  # our own text, in a test
    assert [w.shape for w in twin.weights] == [w.shape for w in digits().weights]


# --- configuration ---------------------------------------------------------------------------------------------------


def test_configuration_makes_the_same_architecture() -> None:
    model = Sequential([Input((28, 28)), Rescaling(1 / 255), Flatten(), Dense(5, "relu"), Dropout(0.2), Dense(3)])
    written = json.loads(json.dumps(model.get_config()))
    twin = Sequential.from_config(written)
    assert twin.get_config() == model.get_config()
    assert [w.shape for w in twin.weights] == [w.shape for w in model.weights]
    fixed_weights(model), fixed_weights(twin)
    x = np.random.default_rng(0).random((3, 28, 28)).astype("float32")
    assert np.array_equal(model(x), twin(x))


def test_configuration_of_own_layers_needs_their_classes() -> None:
    class Doubled(Layer):
        def call(self, x: Any) -> Any:
            return x * 2.0

    config = Sequential([Input((2,)), Doubled(), Sequential([Doubled()], name="inner")]).get_config()
    with pytest.raises(UsageError, match="Could not interpret layer identifier: 'Doubled'"):
        Sequential.from_config(config)
    twin = Sequential.from_config(config, custom_objects={"Doubled": Doubled})
    assert twin(np.ones((1, 2), "float32")).numpy().tolist() == [[4, 4]]


def test_named_weights_are_those_of_the_files() -> None:
    assert list(classifier().named_weights()) == ["dense/kernel", "dense/bias", "dense_1/kernel", "dense_1/bias"]
