"""Model files: what is saved comes back bit for bit, and what could not come back is not saved.

What hostile files do is in `test_hostile_files.py`; what a file holds, byte by byte, in `docs/file-format.md`.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import assert_close
from netchu import Sequential, engines, losses, metrics, ops, optimizers, regularizers
from netchu.callbacks import BackupAndRestore
from netchu.errors import ModelFileError, UsageError
from netchu.formats.document import MAX_LAYERS
from netchu.layers import Dense, Flatten, Input, Layer, ZeroPadding2D
from netchu.models import load_model
from netchu.training.trainer import Trainer
from random_architectures import random_model, random_samples
from small_nets import classifier, clusters, fixed_weights, run_python, sha256_of

DATA = Path(__file__).parent / "data"
PREDICTIONS_ATOL = 1e-6  # of probabilities in float32: other libraries than those of the day add in another order


def test_everything_comes_back(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "model.safetensors"
    x, y = clusters()
    model = classifier(optimizer=optimizers.RMSprop(3e-3, momentum=0.5), loss=losses.SparseCategoricalCrossentropy())
    model.fit(x, y, verbose=0)
    model.info = {"data": "clusters", "epochs": 1}
    model.save(path)
    loaded = load_model(path)
    assert sha256_of(loaded.get_weights()) == sha256_of(model.get_weights())
    assert loaded.get_config() == model.get_config()
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    assert loaded.loss.get_config() == model.loss.get_config()
    assert loaded.info.items() >= {"data": "clusters", "epochs": 1, "engine": engine, "seed": 0}.items()
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    assert np.array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    loaded.fit(x, y, verbose=0)


def test_save_load_save_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    model = classifier()
    model.fit(*clusters(), verbose=0)
    model.save(first)
    load_model(first).save(second)
    assert first.read_bytes() == second.read_bytes()


RUN = """
import sys
from small_nets import clusters
from netchu import Sequential, utils
from netchu.layers import Dense, Dropout, Input
utils.set_random_seed(9)
model = Sequential([Input((6,)), Dense(8, activation="relu"), Dropout(0.2), Dense(3, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(*clusters(), epochs=2, verbose=0)
model.save(sys.argv[1])
"""


def test_equal_runs_in_two_processes_give_equal_files(tmp_path: Path) -> None:
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path, salt in zip(paths, ("1", "2")):
        run_python(RUN, str(path), PYTHONHASHSEED=salt)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_model_saved_on_one_engine_loads_on_the_other(tmp_path: Path, traced_engine: engines.Engine) -> None:
    engines.set_engine("numpy")
    path = tmp_path / "model.safetensors"
    x, _ = clusters()
    model = classifier()
    model.save(path)
    expected = model.predict(x, verbose=0)
    engines.set_engine(traced_engine.name)
    np.testing.assert_allclose(load_model(path).predict(x, verbose=0), expected, rtol=1e-5)


def test_any_program_can_read_the_tensors(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    path = tmp_path / "model.safetensors"
    model = classifier()
    model.save(path)
    found = load_file(path)
    assert list(found) == sorted(model.named_weights())
    assert all(np.array_equal(found[name], w) for name, w in model.named_weights().items())


def test_load_without_compiling(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    classifier().save(path)
    assert load_model(path, compile=False).optimizer is None


@pytest.mark.parametrize("loss", [lambda t, p: (t - p) ** 2], ids=["function"])
def test_settings_that_have_no_name_are_left_out(loss: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    classifier(loss=loss, metrics=None).save(path)
    assert load_model(path).optimizer is None


class Scaled(Layer):
    """A layer that netchu does not know."""

    def __init__(self, factor: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.shift = self.add_weight((input_shape[-1],), "ones", name="shift")

    def call(self, x: Any) -> Any:
        return x * self.factor + self.shift


def test_own_layers_come_back_through_custom_objects(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    model = fixed_weights(Sequential([Input((3,)), Scaled(3.0), Sequential([Scaled(), Dense(2)], name="inner")]))
    model.save(path)
    with pytest.raises(
        ModelFileError, match=r"Could not interpret layer identifier: 'Scaled'. Known: Activation, Activ"
    ):
        load_model(path)
    loaded = load_model(path, custom_objects={"Scaled": Scaled})
    x = np.ones((2, 3), "float32")
    assert loaded.layers[0].factor == 3.0
    assert np.array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


class Residual(Trainer):
    """A model that is no Sequential, used as a layer."""

    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.inner = Dense(units)

    def call(self, x: Any) -> Any:
        return x + self.inner(x)


def test_a_model_of_another_kind_is_a_layer_like_any_other(tmp_path: Path) -> None:
    model = fixed_weights(Sequential([Input((3,)), Residual(3), Dense(2)]))
    model.save(tmp_path / "model.safetensors")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = load_model(tmp_path / "model.safetensors", custom_objects={"Residual": Residual})
    assert sha256_of(loaded.get_weights()) == sha256_of(model.get_weights())
    loaded.load_weights(tmp_path / "model.weights.h5")
    lines: list[str] = []
    loaded.summary(print_fn=lines.append, expand_nested=True)
    assert "residual (Residual)" in lines[0]
    with pytest.raises(UsageError, match="Got: Residual 'residual'"):
        model.save(tmp_path / "model.keras")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_not_saved(value: float, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = classifier()
    model.save(path)
    before = path.read_bytes()
    model.weights[2].assign(np.full((5, 3), value, "float32"))
    with pytest.raises(ModelFileError, match=r"finite weights to save\. Got: NaN or infinity in 'dense_1/kernel'"):
        model.save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["model.h5", "model", "model.safetensors.bak"])
def test_another_ending_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"save: expected a name ending in \.safetensors or \.keras\. Got: filepath="):
        classifier().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_model_that_is_not_built_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="save: expected a built model"):
        Sequential([Dense(2)]).save(tmp_path / "model.safetensors")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_saved_file_has_plain_permissions(tmp_path: Path) -> None:
    plain, saved = tmp_path / "plain", tmp_path / "model.safetensors"
    plain.write_bytes(b"")
    classifier().save(saved)
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


# --- every release, every architecture -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.stem for path in DATA.glob("format_*.safetensors")))
def test_file_of_an_earlier_release_predicts_what_it_did(name: str) -> None:
    known = json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
    model = load_model(DATA / f"{name}.safetensors")
    assert_close(model.predict(np.array(known["x"], "float32"), verbose=0), known["predictions"], atol=PREDICTIONS_ATOL)
    assert type(model.optimizer).__name__ == "RMSprop"
    assert model.info["data"] == "normal(0, 1), labels in turn"


SEEDS = [*range(60), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(60, 500))]


@pytest.mark.parametrize("seed", SEEDS)
def test_random_architecture_comes_back(seed: int, tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    model = random_model(seed)
    model.save(first)
    loaded = load_model(first)
    loaded.save(second)
    assert first.read_bytes() == second.read_bytes()
    assert loaded.get_config() == model.get_config()
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    x = random_samples(model.input_shape[1:], 3, seed)
    assert model.predict(x, verbose=0).tobytes() == loaded.predict(x, verbose=0).tobytes()


class Temperature(Layer):
    """A layer whose only weight is one number."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.scale = self.add_weight((), "ones", name="scale")

    def call(self, x: Any) -> Any:
        return x * self.scale


def test_weight_of_shape_nothing_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = fixed_weights(Sequential([Input((3,)), Temperature(), Dense(2)]))
    model.save(path)
    loaded = load_model(path, custom_objects={"Temperature": Temperature})
    assert loaded.weights[0].shape == ()
    assert sha256_of(loaded.get_weights()) == sha256_of(model.get_weights())


def test_weight_of_shape_nothing_comes_back_from_a_checkpoint(tmp_path: Path) -> None:
    x, y = clusters()

    def fitted(epochs: int, **settings: Any) -> Sequential:
        model = fixed_weights(Sequential([Input((6,)), Temperature(), Dense(3, activation="softmax")]))
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(x, y, epochs=epochs, verbose=0, shuffle=False, **settings)
        return model

    backup = BackupAndRestore(tmp_path / "run", delete_checkpoint=False)
    fitted(1, callbacks=[backup])
    resumed = fitted(2, callbacks=[BackupAndRestore(tmp_path / "run", delete_checkpoint=False)])
    assert sha256_of(resumed.get_weights()) == sha256_of(fitted(2).get_weights())


# --- what could not be read again is not written ---------------------------------------------------------------------


def with_info(**info: Any) -> Sequential:
    model = classifier()
    model.info = info
    return model


class Deep(Layer):
    """A weight of more axes than a file may have."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.w = self.add_weight((1,) * 9, "ones", name="w")

    def call(self, x: Any) -> Any:
        return x


class Half(Deep):
    """A weight of a type that a file may not have."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.w = self.add_weight((2,), "ones", dtype="uint16", name="w")


UNREADABLE: dict[str, tuple[Any, type[Exception], str]] = {
    "long info": (lambda: with_info(log="x" * (1 << 20)), ModelFileError, "a header of at most 1048576 bytes"),
    "NaN in info": (lambda: with_info(loss=float("nan")), UsageError, "JSON values in the configuration and in info"),
    "array in info": (lambda: with_info(w=np.zeros(2)), UsageError, "JSON values in the configuration and in info"),
    "half a surrogate pair": (lambda: with_info(name="\ud800"), ModelFileError, "surrogates not"),
    "nine axes": (lambda: Sequential([Input((3,)), Deep()]), ModelFileError, "whole numbers as shape and offsets"),
    "uint16": (lambda: Sequential([Input((3,)), Half()]), ModelFileError, "expected a dtype among"),
    "too many layers": (
        lambda: Sequential([Input((3,)), *(Flatten() for _ in range(MAX_LAYERS))]), UsageError, "at most 2000 layers"),
    "too many metrics": (
        lambda: classifier(metrics=[metrics.Mean(f"m{i}") for i in range(101)]), UsageError, "at most 100 metrics"),
    "too large an output": (
        lambda: Sequential([Input((2, 2, 1)), ZeroPadding2D(10_000)]), UsageError, "at most 268435456 outputs"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_could_not_be_read_again_is_not_written(name: str, tmp_path: Path) -> None:
    make, error, message = UNREADABLE[name]
    model = make()
    with pytest.raises(error, match=message):
        model.save(tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


class Halved(regularizers.Regularizer):
    """A regularizer of one's own, which a file could only name."""

    def __call__(self, x: Any) -> Any:
        return 0.5 * ops.sum(x)


def test_regularizers_of_ones_own_are_refused_before_a_file_is_written(tmp_path: Path) -> None:
    model = Sequential([Input((3,)), Dense(2, kernel_regularizer=Halved())])
    with pytest.raises(UsageError, match=r"kernel_regularizer of layer 'dense'\. Got: Halved"):
        model.save(tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())
