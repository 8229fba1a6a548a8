"""Keras's files without Keras: one that real Keras made, round trips, and training on.

Hostile files stand in `test_hostile_keras_files.py`.  `test_judge_keras_files.py` compares with real Keras; here h5py
judges the HDF5 reader and writer, and Python's zipfile the archives.
"""

from __future__ import annotations

import copy
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import netchu
from helpers import STEP_ATOL, assert_close, assert_same_bits
from netchu import Sequential, constraints, initializers, layers, losses, metrics, optimizers, regularizers
from netchu.errors import DataNotFoundError, ModelFileError, UsageError
from netchu.formats.read_hdf5 import UnreadableError, find_arrays, read_array
from netchu.formats.write_hdf5 import write_hdf5
from netchu.interop.keras_config import layer_from_keras
from netchu.layers import Dense, Dropout, Input
from netchu.models import load_model
from netchu.optimizers import schedules
from test_hostile_keras_files import CONFIG, EVERYTHING, forged, keras_layer, loaded, with_layers
from test_layers import CASES as LAYERS

BY_KERAS = Path(__file__).parent / "data" / "by_keras.keras"


def saved(model: Sequential, folder: Path) -> bytes:
    path = folder / "model.keras"
    model.save(path)
    return path.read_bytes()


# --- a file that real Keras 3.15.1 made ------------------------------------------------------------------------------

BY_KERAS_PREDICTS = [
    [0.35537898540496826, 0.21766360104084015, 0.42695745825767517],
    [0.3400481045246124, 0.2770412266254425, 0.3829106390476227],
]
BY_KERAS_SLOT_SUMS = [
    -0.605917381355539, 0.0039940045098774135, -0.1873612217605114, 0.0030209957621991634, 0.13033375464146957,
    0.0031805336614354474, 0.1692174095660448, 0.0007248040947160916, 0.11885178554803133, 0.0004181761087238556,
    -1.3969838619232178e-08, 0.0018888237846113043, 0.0, 0.0005628181897918694,
]  # fmt: skip


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 6, 6, 1)).astype("float32")


def test_keras_file_predicts_what_keras_predicted(engine: str) -> None:
    assert_close(load_model(BY_KERAS).predict(pictures()[:2], verbose=0), BY_KERAS_PREDICTS, atol=STEP_ATOL)


def test_keras_file_has_keras_layers_and_settings() -> None:
    model = load_model(BY_KERAS)
    assert [layer.name for layer in model.layers][-2:] == ["inner", "classes"]
    assert repr(model.layers[1].kernel_regularizer) == "L2(l2=0.001)"
    assert repr(model.layers[-1].kernel_constraint) == "MaxNorm(max_value=3)"
    assert model.input_shape == (None, 6, 6, 1)


def test_keras_file_is_compiled_with_the_optimizer_in_the_middle_of_its_run() -> None:
    optimizer = load_model(BY_KERAS).optimizer
    assert repr(optimizer) == "Adam(learning_rate=ExponentialDecay(...), clipnorm=1.0)"
    assert optimizer.iterations.item() == 4
    sums = [slot.numpy().astype("float64").sum() for slots in optimizer.slots for slot in slots.values()]
    assert_close(sums, BY_KERAS_SLOT_SUMS, atol=STEP_ATOL)


def test_keras_file_without_its_compile_settings() -> None:
    assert load_model(BY_KERAS, compile=False).optimizer is None


def test_keras_file_trains_on() -> None:
    model = load_model(BY_KERAS)
    history = model.fit(pictures(), np.arange(8) % 3, batch_size=4, verbose=0)
    assert sorted(history.history) == ["accuracy", "loss"]
    assert model.optimizer.iterations.item() == 6


# --- round trips -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "InputLayer"])
def test_every_layer_comes_back(name: str, tmp_path: Path) -> None:
    case = LAYERS[name]
    model = Sequential([Input(case.sample), case.make(name="it")])
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape).astype("float32") for w in model.weights])
    data = saved(model, tmp_path)
    again = loaded(data, tmp_path)
    x = rng.normal(0, 1, (3, *case.sample)).astype("float32")
    assert_same_bits(again(x).numpy(), model(x).numpy(), name)
    assert saved(again, tmp_path) == data


PARTS: dict[str, dict[str, Any]] = {
    **{f"initializer {name}": {"kernel_initializer": name} for name in initializers._registry.table},
    "initializer with settings": {"kernel_initializer": initializers.RandomNormal(stddev=0.2, seed=3)},
    **{f"regularizer {name}": {"kernel_regularizer": name} for name in regularizers.names},
    "regularizer with settings": {"bias_regularizer": regularizers.L1L2(0.1, 0.2)},
    **{f"constraint {name}": {"kernel_constraint": name} for name in constraints.names},
    "constraint with settings": {"bias_constraint": constraints.MaxNorm(1.5)},
    **{f"activation {name}": {"activation": name} for name in netchu.activations._registry.table if name != "glu"},
    "frozen": {"trainable": False},
    "float64": {"dtype": "float64"},
    "named": {"name": "classes"},
    "no bias": {"use_bias": False},
}


@pytest.mark.parametrize("name", PARTS)
def test_every_setting_comes_back(name: str, tmp_path: Path) -> None:
    model = Sequential([Input((3,)), Dense(4, **PARTS[name])])
    again = loaded(saved(model, tmp_path), tmp_path)
    assert again.get_config() == model.get_config()
    assert_same_bits(again.get_weights()[0], model.get_weights()[0])


def small(optimizer: Any = "adam", loss: Any = "mse", **settings: Any) -> Sequential:
    model = Sequential([Input((3,)), Dense(4, activation="tanh"), Dropout(0.5), Dense(2)])
    model.compile(optimizer, loss, **settings)
    return model


OPTIMIZERS = {
    **{name: (lambda name=name: optimizers.get(name)) for name in optimizers.names},
    "SGD momentum": lambda: optimizers.SGD(momentum=0.9, nesterov=True),
    "RMSprop all": lambda: optimizers.RMSprop(momentum=0.5, centered=True),
    "Adam amsgrad": lambda: optimizers.Adam(amsgrad=True, clipvalue=0.5),
    "Adam accumulating": lambda: optimizers.Adam(gradient_accumulation_steps=2),
    "RMSprop averaging": lambda: optimizers.RMSprop(
        momentum=0.5, centered=True, use_ema=True, ema_overwrite_frequency=2, gradient_accumulation_steps=2
    ),
    "schedule": lambda: optimizers.SGD(schedules.CosineDecay(0.1, 10), momentum=0.5),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_with_the_same_bits(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 3)).astype("float32"), rng.normal(size=(12, 2)).astype("float32")
    model = Sequential([Input((3,)), Dense(4, activation="tanh"), Dense(2)])
    model.compile(OPTIMIZERS[name](), "mse")
    model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    again = loaded(saved(model, tmp_path), tmp_path)
    for each in (model, again):
        each.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    for ours, theirs in zip(again.optimizer.variables, model.optimizer.variables):
        assert_same_bits(ours.numpy(), theirs.numpy(), theirs.name)
    for ours, theirs in zip(again.get_weights(), model.get_weights()):
        assert_same_bits(ours, theirs)


@pytest.mark.parametrize("loss", losses.classes, ids=lambda cls: cls.__name__)
def test_every_loss_comes_back(loss: type, tmp_path: Path) -> None:
    again = loaded(saved(small(loss=loss()), tmp_path), tmp_path)
    assert again.loss.get_config() == loss().get_config()


def test_metrics_come_back(tmp_path: Path) -> None:
    model = small(metrics=["mae", metrics.MeanSquaredError(name="square")], weighted_metrics=["mse"])
    again = loaded(saved(model, tmp_path), tmp_path)
    x, y = np.ones((4, 3)), np.zeros((4, 2))
    assert again.evaluate(x, y, verbose=0, return_dict=True) == model.evaluate(x, y, verbose=0, return_dict=True)
    assert again.metrics_names == ["loss", "mae", "square", "mse"]


def test_info_comes_back(tmp_path: Path) -> None:
    model = small()
    model.info = {"data": "mnist", "epochs": 5}
    assert loaded(saved(model, tmp_path), tmp_path).info == {"data": "mnist", "epochs": 5}


def test_models_in_models_come_back(tmp_path: Path) -> None:
    inner = Sequential([Dense(4, "relu"), Sequential([Dense(5), Dense(2)], name="innermost")], name="inner")
    model = Sequential([Input((3,)), Dense(4), inner, Dense(1), Sequential([Dense(2)])])
    again = loaded(saved(model, tmp_path), tmp_path)
    assert_same_bits(again(np.ones((2, 3))).numpy(), model(np.ones((2, 3))).numpy())


def test_frozen_inner_model_stays_frozen(tmp_path: Path) -> None:
    inner = Sequential([Dense(4)])
    inner.trainable = False
    again = loaded(saved(Sequential([Input((3,)), inner, Dense(2)]), tmp_path), tmp_path)
    assert [w.shape for w in again.trainable_weights] == [(4, 2), (2,)]


def test_many_layers_of_a_kind_keep_their_order(tmp_path: Path) -> None:
    model = Sequential([Input((3,)), *(Dense(3) for _ in range(12))])
    again = loaded(saved(model, tmp_path), tmp_path)
    for ours, theirs in zip(again.get_weights(), model.get_weights()):
        assert_same_bits(ours, theirs)


def test_layer_of_ones_own_comes_back_with_its_class(tmp_path: Path) -> None:
    class Scale(layers.Layer):
        def build(self, input_shape: Any) -> None:
            self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")

        def call(self, x: Any) -> Any:
            return x * self.factor

    config = {"class_name": "Scale", "module": "__main__", "config": {"name": "it"}, "registered_name": "Custom>Scale"}
    weights = write_hdf5({"layers": {"scale": {"vars": {"0": np.array([1, 2, 3], "float32")}}}})
    data = forged(config=with_layers(config), weights=weights)
    assert loaded(data, tmp_path, custom_objects={"Scale": Scale}).predict(np.ones((1, 3)), verbose=0).tolist() == [
        [1, 2, 3]
    ]
    with pytest.raises(ModelFileError, match=r"Got: '__main__\.Scale'"):
        loaded(data, tmp_path)


# --- what is written -------------------------------------------------------------------------------------------------


def test_equal_models_give_equal_files(tmp_path: Path) -> None:
    files = []
    for _ in range(2):
        netchu.random.set_seed(3)
        files.append(saved(small(), tmp_path))
    assert files[0] == files[1]


def test_other_zip_readers_read_the_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(saved(small(), tmp_path))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())


def test_arrays_lie_where_keras_looks_for_them(tmp_path: Path) -> None:
    model = small(optimizers.Adam())
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    file = h5py.File(io.BytesIO(zipfile.ZipFile(io.BytesIO(saved(model, tmp_path))).read("model.weights.h5")))
    assert sorted(file["layers"]) == ["dense", "dense_1", "dropout"]
    assert_same_bits(file["layers/dense_1/vars/0"][()], model.layers[2].kernel.numpy())
    assert len(file["layers/dropout/vars"]) == 0
    assert [file[f"optimizer/vars/{i}"].shape for i in range(6)] == [(), (), (3, 4), (3, 4), (4,), (4,)]


def test_layer_that_keras_lacks_is_not_written(tmp_path: Path) -> None:
    class Own(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(UsageError, match="expected layers that Keras has, too"):
        saved(Sequential([Input((3,)), Own(), Dense(1)]), tmp_path)
    assert list(tmp_path.iterdir()) == []


class Plain(Sequential):
    """A Sequential under another name."""


class Doubled(Sequential):
    """A Sequential that computes something else."""

    def call(self, x: Any, training: bool = False) -> Any:
        return 2 * super().call(x, training)


NOT_SEQUENTIAL = {
    "Got: Plain 'plain'. Save it as .safetensors.": lambda: Sequential([Input((3,)), Plain([Dense(2)])]),
    "Got: Doubled 'doubled'. Save it as .safetensors.": lambda: Sequential([Input((3,)), Doubled([Dense(2)])]),
    "Got: Doubled, with a call of its own. Save its weights": lambda: Doubled([Input((3,)), Dense(2)]),
}


@pytest.mark.parametrize("message", NOT_SEQUENTIAL)
def test_model_that_would_come_back_as_another_is_not_written(message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        saved(NOT_SEQUENTIAL[message](), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_schedule_that_keras_lacks_is_not_written(tmp_path: Path) -> None:
    rate = schedules.OneCycle(0.1, 10)
    with pytest.raises(UsageError, match=re.escape("Got: OneCycle. Save it as .safetensors.")):
        saved(small(optimizers.SGD(rate)), tmp_path)


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    model = small()
    model.layers[0].bias.assign([0, np.nan, 0, 0])
    with pytest.raises(ModelFileError, match="NaN or infinity in 'layers/dense/vars/1'"):
        saved(model, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_name_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ending in \.safetensors or \.keras"):
        small().save(tmp_path / "model.h5")
    for method in (small().save_weights, small().load_weights):
        with pytest.raises(UsageError, match=r"ending in \.weights\.h5"):
            method(tmp_path / "model.keras")


# --- weights alone ---------------------------------------------------------------------------------------------------


def test_weights_go_from_one_model_to_another(tmp_path: Path) -> None:
    first, second = small(), small()
    first.save_weights(tmp_path / "first.weights.h5")
    second.load_weights(tmp_path / "first.weights.h5")
    for ours, theirs in zip(second.get_weights(), first.get_weights()):
        assert_same_bits(ours, theirs)


def test_weights_are_written_with_the_optimizers_state_and_read_without(tmp_path: Path) -> None:
    model, path = small(), tmp_path / "m.weights.h5"
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    model.save_weights(path)
    assert len(h5py.File(io.BytesIO(path.read_bytes()))["optimizer/vars"]) == 2 + 2 * 4
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    model.load_weights(path)
    assert model.optimizer.iterations.item() == 2


def test_weights_that_do_not_fit_change_nothing(tmp_path: Path) -> None:
    Sequential([Input((3,)), Dense(4), Dense(3)]).save_weights(tmp_path / "other.weights.h5")
    model = small()
    before = model.get_weights()
    with pytest.raises(ModelFileError) as refusal:
        model.load_weights(tmp_path / "other.weights.h5")
    assert "'layers/dense_1/vars/0': float32 (4, 3) where the model has float32 (4, 2)" in str(refusal.value)
    for ours, theirs in zip(model.get_weights(), before):
        assert_same_bits(ours, theirs)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError):
        load_model(tmp_path / "none.keras")
    with pytest.raises(DataNotFoundError):
        small().load_weights(tmp_path / "none.weights.h5")


# --- HDF5, judged by h5py --------------------------------------------------------------------------------------------


def some_tree() -> dict[str, Any]:
    """Groups of 0 to 600 members, so that there are B-trees of one and of two levels."""
    rng = np.random.default_rng(0)
    wide = {str(i): np.float32(i) for i in range(600)}
    middle = {f"dense_{i}": {"vars": {"0": rng.normal(size=(i % 3, 2)).astype("float32")}} for i in range(70)}
    kinds = {dtype: np.arange(6, dtype=dtype).reshape(1, 2, 3) for dtype in ("float64", "int32", "int64", "uint8")}
    return {"wide": {"vars": wide}, "layers": middle, "empty": {}, "kinds": kinds}


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    pairs = [(f"{prefix}{name}", inside) for name, inside in tree.items()]
    nested = [flat(inside, f"{path}/") if isinstance(inside, dict) else {path: inside} for path, inside in pairs]
    return {path: array for part in nested for path, array in part.items()}


def test_h5py_reads_what_is_written() -> None:
    expected, found = flat(some_tree()), {}
    with h5py.File(io.BytesIO(write_hdf5(some_tree()))) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
        assert len(file["empty"]) == 0
    assert found.keys() == expected.keys()
    for path, array in expected.items():
        assert_same_bits(found[path], array, path)


def test_what_h5py_writes_is_read() -> None:
    expected, data = flat(some_tree()), io.BytesIO()
    with h5py.File(data, "w") as file:
        for path, array in expected.items():
            file[path] = array
            file[path].parent.attrs["name"] = "an attribute, which is passed over"
    places = find_arrays(data.getvalue(), EVERYTHING, EVERYTHING)
    assert places.keys() == expected.keys()
    for path, array in expected.items():
        assert_same_bits(read_array(data.getvalue(), places[path]), array, path)


def test_a_group_of_9000_members_has_a_tree_of_three_levels() -> None:
    data = write_hdf5({"vars": {str(i): np.array(i) for i in range(9000)}})
    with h5py.File(io.BytesIO(data)) as file:
        assert list(file["vars"]) == sorted(map(str, range(9000)))
        assert [file[f"vars/{i}"][()] for i in range(0, 9000, 501)] == list(range(0, 9000, 501))
    assert len(find_arrays(data, EVERYTHING, EVERYTHING)) == 9000


def test_half_floats_are_not_written() -> None:
    with pytest.raises(UsageError, match="Got: dtype=float16"):
        write_hdf5({"a": np.zeros(2, "float16")})


@pytest.mark.parametrize("length", [0, 7, 95, 96, 500, -1])
def test_truncated_hdf5_is_refused(length: int) -> None:
    data = write_hdf5({"layers": {"a": np.ones(3)}})
    with pytest.raises(UnreadableError):
        find_arrays(data[:length], EVERYTHING, EVERYTHING)


# --- settings --------------------------------------------------------------------------------------------------------


NEUTRAL = {
    "quantization_config": keras_layer("Dense", units=2, quantization_config=None, lora_rank=None),
    "policy": keras_layer(
        "Dense", units=2, dtype={"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}
    ),
    "renorm": keras_layer(
        "BatchNormalization", renorm=False, renorm_clipping=None, renorm_momentum=0.9, synchronized=False
    ),
    "channels last": keras_layer("MaxPooling2D", data_format="channels_last"),
    "one group": keras_layer("Conv2D", filters=1, kernel_size=[2, 2], groups=1),
    "fan axes": keras_layer(
        "Dense", units=2,
        kernel_initializer={"module": "keras.initializers", "class_name": "GlorotUniform",
                            "config": {"seed": None, "input_axes": None, "output_axes": None}},
    ),
    "input": keras_layer(
        "InputLayer", batch_shape=[32, 4], dtype="float32", sparse=False, ragged=False, optional=False
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NEUTRAL)
def test_settings_that_netchu_follows_anyway_are_dropped(name: str) -> None:
    assert isinstance(layers.registry.get(layer_from_keras(NEUTRAL[name])), layers.Layer)


REFUSED = {
    "layer 'it': expected data_format='channels_last', which is what netchu does. Got: data_format='channels_first'.":
        keras_layer("Flatten", name="it", data_format="channels_first"),
    "expected sparse=False, which is what netchu does. Got: sparse=True.":
        keras_layer("InputLayer", batch_shape=[None, 3], sparse=True),
    "Got: quantization_config={'mode': 'int8'}":
        keras_layer("Dense", units=2, quantization_config={"mode": "int8"}),
    "expected dtype among": keras_layer(
        "Dense", units=2, dtype={"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}),
    "Got: 'keras.layers.LSTM'.": keras_layer("LSTM", units=2),
    "Got: 'keras.layers.Lambda'.": keras_layer("Lambda", function={"class_name": "__lambda__", "config": {}}),
    "Got: 'my_package.Dense'.": keras_layer("Dense", units=2) | {"module": "my_package"},
    "expected a keras.Sequential": keras_layer("Functional", layers=[]) | {"module": "keras"},
    "Got: 'keras.initializers.Orthogonal'.": keras_layer(
        "Dense", units=2,
        kernel_initializer={"module": "keras.initializers", "class_name": "Orthogonal", "config": {}}),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_settings_that_netchu_cannot_follow_are_named(message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        layer_from_keras(REFUSED[message])


def test_unknown_compile_settings_say_how_to_load_without(tmp_path: Path) -> None:
    config = copy.deepcopy(CONFIG)
    config["compile_config"]["optimizer"] = {"module": "keras.optimizers", "class_name": "Muon", "config": {}}
    with pytest.raises(ModelFileError, match=re.escape("load_model(..., compile=False).")):
        loaded(forged(config=config), tmp_path)
    assert loaded(forged(config=config), tmp_path, compile=False).optimizer is None
