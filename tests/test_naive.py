"""The tutorial's system: bit for bit the same learning as `Sequential.fit`, and runnable from the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netchu import Sequential, datasets, naive, ops, optimizers
from netchu.datasets.packaged import read_sample
from netchu.layers import Dense, Input
from small_nets import run_python, sha256_of

RULES = ["plain", "sgd"]


def an_update(rule: str) -> naive.Update:
    if rule == "plain":
        return naive.update_weights
    optimizer = optimizers.SGD(1e-3)
    return lambda gradients, weights: optimizer.apply_gradients(zip(gradients, weights))


def same_network_as(model: naive.NaiveSequential) -> Sequential:
    twin = Sequential([Input((784,)), Dense(512, activation="relu"), Dense(10, activation="softmax")])
    twin.set_weights(model.weights)
    twin.compile(optimizers.SGD(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return twin


def check_naive_is_fit(x: np.ndarray, y: np.ndarray, rule: str) -> None:
    """Both ways, from the same weights on the same batches, must end with the same bits."""
    model = naive.digit_model()
    twin = same_network_as(model)
    start = sha256_of(model.weights)
    naive.fit(model, x, y, epochs=1, batch_size=128, update=an_update(rule))
    twin.fit(x, y, epochs=1, batch_size=128, shuffle=False, verbose=0)
    assert sha256_of(model.weights) == sha256_of(twin.get_weights())
    assert sha256_of(model.weights) != start


@pytest.mark.parametrize("rule", RULES)
def test_naive_loop_and_fit_give_the_same_bits_on_the_sample(rule: str) -> None:
    data = read_sample()
    check_naive_is_fit(datasets.scale_pixels(data.x_train), data.y_train, rule)


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_naive_loop_and_fit_give_the_same_bits_on_mnist(rule: str, mnist_folder: Path) -> None:
    data = datasets.load(mnist_folder)
    assert len(data.x_train) == 60000
    check_naive_is_fit(datasets.scale_pixels(data.x_train), data.y_train, rule)


def test_overridden_train_step_with_the_naive_rule_gives_the_same_bits_too() -> None:
    class Naive(Sequential):
        def train_step(self, data: Any) -> dict[str, Any]:
            images, labels = data
            return {"loss": naive.one_training_step(self, images, labels)}

    data = read_sample()
    x, y = datasets.scale_pixels(data.x_train[:640]), data.y_train[:640]
    model = naive.digit_model()
    twin = Naive([Input((784,)), Dense(512, activation="relu"), Dense(10, activation="softmax")])
    twin.set_weights(model.weights)
    twin.compile()
    naive.fit(model, x, y, epochs=2)
    twin.fit(x, y, epochs=2, batch_size=128, shuffle=False, verbose=0)
    assert sha256_of(model.weights) == sha256_of(twin.get_weights())


def test_evaluation_is_the_accuracy_of_evaluate() -> None:
    data = read_sample()
    x, y = datasets.scale_pixels(data.x_test), data.y_test
    model = naive.digit_model()
    _, accuracy = same_network_as(model).evaluate(x, y, verbose=0)
    assert naive.evaluate(model, x, y) == pytest.approx(accuracy, abs=1e-7)


def test_first_weights_are_uniform_below_a_tenth_and_biases_zero() -> None:
    layer = naive.NaiveDense(784, 512, ops.relu)
    w, b = (weight.numpy() for weight in layer.weights)
    assert (w.shape, b.shape, w.dtype, b.dtype) == ((784, 512), (512,), np.float32, np.float32)
    assert w.min() >= 0
    assert w.max() < 0.1
    assert w.mean() == pytest.approx(0.05, abs=3e-4)
    assert not b.any()


def test_model_has_four_weights_in_the_order_of_its_layers() -> None:
    assert [w.shape for w in naive.digit_model().weights] == [(784, 512), (512,), (512, 10), (10,)]


def test_batch_generator_hands_out_every_sample_once_in_order() -> None:
    batches = naive.BatchGenerator(np.arange(300), np.arange(300) + 1000, batch_size=128)
    assert batches.num_batches == 3
    parts = [batches.next() for _ in range(batches.num_batches)]
    assert [len(images) for images, _ in parts] == [128, 128, 44]
    assert np.array_equal(np.concatenate([images for images, _ in parts]), np.arange(300))
    assert np.array_equal(np.concatenate([labels for _, labels in parts]), np.arange(300) + 1000)


def test_one_training_step_returns_the_loss_before_the_step() -> None:
    x, y = np.zeros((4, 784), "float32"), np.array([0, 1, 2, 3])
    model = naive.digit_model()
    before = ops.mean(ops.sparse_categorical_crossentropy(y, model(x))).item()
    assert naive.one_training_step(model, x, y).item() == before
    assert naive.one_training_step(model, x, y).item() < before


@pytest.mark.parametrize("flags", [[], ["--optimizer", "sgd"]])
def test_module_prints_the_tutorials_lines(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match="sample"):
        naive.main(["--epochs", "1", *flags])
    lines = capsys.readouterr().out.splitlines()
    assert "Epoch 0" in lines
    assert re.fullmatch(r"loss at batch 0: \d\.\d\d", lines[lines.index("Epoch 0") + 1])
    assert re.fullmatch(r"accuracy: 0\.\d\d", lines[-1])


def test_module_runs_by_its_name() -> None:
    code = "import runpy, sys, warnings; warnings.simplefilter('ignore'); sys.argv[1:] = ['--epochs', '1']; "
    output = run_python(code + "runpy.run_module('netchu.naive', run_name='__main__')").splitlines()
    assert output[0].startswith("data: mnist-sample from ")
    assert output[1] == "Epoch 0"
    assert output[-1].startswith("accuracy: 0.")
