"""NumPy against the engines that compile: one step of the tutorial's network gives the same gradients and figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netchu import GradientTape, Sequential, Tensor, datasets, engines, ops
from netchu.datasets.packaged import read_sample
from netchu.layers import Dense, Input

BATCH = 128
RTOL = 1e-6  # of the norm of a whole array; single elements may differ more where they nearly cancel
OPTIMIZERS = ["sgd", "rmsprop", "adam", "adamw"]


def digits() -> tuple[np.ndarray, np.ndarray]:
    data = read_sample()
    return datasets.scale_pixels(data.x_train[::60][:BATCH]), data.y_train[::60][:BATCH]


def network(optimizer: str) -> Sequential:
    rng = np.random.default_rng(11)
    model = Sequential([Input((784,)), Dense(512, activation="relu"), Dense(10, activation="softmax")])
    model.set_weights([rng.normal(0, 0.05, w.shape).astype("float32") for w in model.weights])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def gradients_and_loss() -> tuple[list[np.ndarray], float]:
    model, (x, y) = network("sgd"), digits()
    with GradientTape() as tape:
        loss = ops.mean(ops.sparse_categorical_crossentropy(y, model(Tensor(x))))
    return [g.numpy() for g in tape.gradient(loss, model.weights)], loss.item()


def compiled_gradients() -> list[np.ndarray]:
    """The gradients as the compiled step sees them: plain steps of 1 from the weights they are subtracted from."""
    model, (x, y) = network("sgd"), digits()
    before = model.get_weights()
    model.optimizer.learning_rate = 1.0
    model.train_on_batch(x, y)
    return [old - new for old, new in zip(before, model.get_weights())]


def weights_and_figures(optimizer: str) -> tuple[list[np.ndarray], dict[str, float]]:
    model = network(optimizer)
    figures = model.train_on_batch(*digits(), return_dict=True)
    return model.get_weights(), figures


def on(engine: str, function: Any, *arguments: Any) -> Any:
    engines.set_engine(engine)
    return function(*arguments)


def assert_near(got: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert len(got) == len(expected) == 4
    for i, (a, b) in enumerate(zip(got, expected)):
        assert np.linalg.norm(b) > 0
        difference = np.linalg.norm(a - b) / np.linalg.norm(b)
        assert difference <= RTOL, f"array {i} {b.shape}: ||a-b|| = {difference:.2e} ||b||"


def test_gradients_and_loss_agree_after_one_step(traced_engine: engines.Engine) -> None:
    (a, loss_a), (b, loss_b) = on(traced_engine.name, gradients_and_loss), on("numpy", gradients_and_loss)
    assert_near(a, b)
    assert loss_a == pytest.approx(loss_b, rel=RTOL)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weights_and_figures_agree_after_one_compiled_step(traced_engine: engines.Engine, optimizer: str) -> None:
    a, figures_a = on(traced_engine.name, weights_and_figures, optimizer)
    b, figures_b = on("numpy", weights_and_figures, optimizer)
    assert_near(a, b)
    assert list(figures_a) == list(figures_b) == ["accuracy", "loss"]
    assert figures_a == pytest.approx(figures_b, rel=RTOL)


def test_numbers_that_agree_can_disagree() -> None:
    a, _ = on("numpy", gradients_and_loss)
    wrong = [g * np.float32(1 + 3e-6) for g in a]
    with pytest.raises(AssertionError, match="array 0"):
        assert_near(wrong, a)


def test_compiled_and_line_by_line_agree(traced_engine: engines.Engine) -> None:
    (eager, _), compiled = gradients_and_loss(), compiled_gradients()
    for a, b in zip(compiled, eager):
        assert np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(b)  # the difference of two weights rounds each element
