"""The commands: what they print, the JSON they promise, the files they write."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import netchu
from cli_tools import MODEL, Run, train_quickly, trained_pictures
from netchu import datasets, engines
from netchu.cli import main
from netchu.layers import Dense, Flatten, Input, Rescaling
from netchu.models import Sequential, load_model

KEYS = {"schema", "test_accuracy", "test_loss", "epochs", "updates", "parameters", "engine", "data", "model", "seconds"}


# --- train -----------------------------------------------------------------------------------------------------------


def test_train_json_is_exactly_one_object(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_quickly("--json") == 0
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    printed = json.loads(out)
    assert set(printed) == KEYS
    assert printed["schema"] == 1
    assert printed["data"] == {"name": "own", "source": "file own.npz", "train": 90, "test": 30}
    assert (printed["epochs"], printed["updates"], printed["parameters"]) == (2, 18, 64 * 16 + 16 + 16 * 3 + 3)
    assert set(printed["seconds"]) == {"total", "data", "train"}
    assert 0 <= printed["test_accuracy"] <= 1
    assert printed["engine"] == "numpy"
    assert Path(printed["model"]) == Path(MODEL)
    assert "Data: own from file own.npz, 90 images" in err
    assert "Epoch 2/2" in err


def test_train_in_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_quickly("--epochs", "20") == 2  # given twice
    assert main(["train", "--data", "own.npz", "--layers", "16,8", "--epochs", "30", "--batch-size", "10"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("Test accuracy 1.0000 (30 of 30), loss ")
    assert "on own from file own.npz" in out
    assert "270 updates" in out
    assert "Took " in out
    assert "64-16-8-3" in err
    assert "Next:  netchu predict" in err


def test_quiet_train_prints_results_only(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_quickly("-q") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "own from file own.npz" in out  # the source is always printed


def test_file_says_how_it_was_made(folder: Path) -> None:
    assert train_quickly("--seed", "7", "--learning-rate", "0.01", "--optimizer", "adam", "-q") == 0
    model = load_model(MODEL)
    assert model.optimizer is not None
    assert float(model.optimizer.learning_rate) == pytest.approx(0.01)
    data = datasets.load("own.npz")
    wanted = {"data": {"name": "own", "sha256": data.sha256}, "seed": 7, "epochs": 2, "batch_size": 10, "updates": 18,
              "image_shape": [8, 8], "engine": "numpy"}  # fmt: skip
    assert {name: model.info[name] for name in wanted} == wanted
    assert {"engine_version", "threads", "test_accuracy", "netchu"} <= set(model.info)
    figures = model.evaluate(datasets.scale_pixels(data.x_test), data.y_test, verbose=0)
    assert figures[1] == pytest.approx(model.info["test_accuracy"])


def test_equal_runs_give_equal_files(run: Run, folder: Path) -> None:
    flags = ("--data", "own.npz", "--layers", "16", "--epochs", "2", "-q")
    hashes = []
    for i, more in enumerate(((), ("--seed", "0"), ("--seed", "1"))):
        out = f"{i}.safetensors"
        assert run("train", *flags, "--out", out, *more, env={"PYTHONHASHSEED": str(i)}).returncode == 0
        hashes.append(hashlib.sha256((folder / out).read_bytes()).hexdigest())
    assert hashes[0] == hashes[1] != hashes[2]


def test_sample_stands_in_with_a_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--layers", "4", "--epochs", "1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["data"] == {"name": "mnist-sample", "source": "package sample", "train": 8004, "test": 1996}
    assert "netchu: warning: The sample of MNIST in the package stands in" in err
    assert "UserWarning" not in err
    assert "Data: mnist-sample from package sample" in err


def test_sample_gets_twenty_epochs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", "sample", "--layers", "2", "--batch-size", "4000", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["epochs"] == 20


@pytest.mark.slow
def test_the_main_job_on_mnist(engine: str, run: Run, mnist_folder: Path) -> None:
    done = run(
        "train", "--json", "--engine", engine, env={"NETCHU_DATA_DIR": str(mnist_folder), "OPENBLAS_NUM_THREADS": "2"}
    )
    printed = json.loads(done.stdout)
    assert (printed["updates"], printed["engine"], printed["data"]["name"]) == (2345, engine, "mnist")
    assert printed["test_accuracy"] >= 0.975


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_the_main_job_on_the_sample(seed: int, run: Run) -> None:
    printed = json.loads(run("train", "--data", "sample", "--json", "--seed", str(seed)).stdout)
    assert printed["test_accuracy"] >= 0.95


def test_engine_by_flag(traced_engine: engines.Engine, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engines.set_engine("numpy")
    assert train_quickly("--engine", traced_engine.name, "--json") == 0
    assert json.loads(capsys.readouterr().out)["engine"] == traced_engine.name
    assert load_model(MODEL).info["engine"] == traced_engine.name


# --- evaluate --------------------------------------------------------------------------------------------------------


def test_evaluate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_quickly("--json") == 0
    trained = json.loads(capsys.readouterr().out)
    assert main(["evaluate", MODEL, "--data", "own.npz", "--json"]) == 0
    out, err = capsys.readouterr()
    printed = json.loads(out)
    assert set(printed) == {"schema", "accuracy", "loss", "n", "per_digit", "engine", "data", "model"}
    assert (printed["accuracy"], printed["loss"]) == (trained["test_accuracy"], trained["test_loss"])
    assert printed["n"] == 30
    assert np.mean(list(printed["per_digit"].values())) == pytest.approx(printed["accuracy"])  # ten of each
    assert list(printed["per_digit"]) == ["0", "1", "2"]
    assert "other data" not in err
    assert main(["evaluate", MODEL, "--data", "own.npz"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Test accuracy ")
    assert len(lines) == 4


def test_evaluate_says_when_the_data_is_other_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_quickly("-q") == 0
    arrays = dict(np.load("own.npz"))
    np.savez("other.npz", **{**arrays, "x_test": arrays["x_test"] // 2})
    assert main(["evaluate", MODEL, "--data", "other.npz"]) == 0
    assert "The model has learnt from other data, own" in capsys.readouterr().err


def test_evaluate_takes_models_made_in_python(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = datasets.load("own.npz")
    model = Sequential([Input((8, 8)), Rescaling(1 / 255), Flatten(), Dense(3)])
    loss = netchu.losses.CategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    model.fit(data.x_train.astype("float32"), netchu.utils.to_categorical(data.y_train), epochs=60, verbose=0)
    model.save("own.safetensors")
    assert main(["evaluate", "own.safetensors", "--data", "own.npz", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] > 0.9
    Image.fromarray(data.x_test[1]).resize((80, 80), Image.Resampling.NEAREST).save("row.png")
    assert main(["predict", "row.png", "--model", "own.safetensors", "--json"]) == 0
    assert 0.3 < json.loads(capsys.readouterr().out)["probability"] <= 1


# --- predict ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(folder: Path) -> list[str]:
    """A model in its default place, and three pictures that it takes as they are."""
    return trained_pictures()


def test_predict_one_plain_line_a_picture(pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["predict", *pictures]) == 0
    out, err = capsys.readouterr()
    assert [line.rpartition(" (")[0] for line in out.splitlines()] == ["zero.png: 0", "one.png: 1", "two.png: 2"]
    assert err == ""


def test_predict_json_lines(pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["predict", *pictures, "--json"]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [set(line) for line in printed] == [{"image", "label", "probability"}] * 3
    assert [line["label"] for line in printed] == [0, 1, 2]
    assert all(0.33 < line["probability"] <= 1 for line in printed)


def test_bad_picture_does_not_stop_the_others(pictures: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.png").write_text("no picture")
    capsys.readouterr()
    assert main(["predict", "zero.png", "bad.png", "missing.png", "one.png"]) == 65
    out, err = capsys.readouterr()
    assert out.splitlines()[1].startswith("one.png: 1")
    assert len(out.splitlines()) == 2
    assert "netchu: bad.png: expected a PNG or JPEG picture" in err
    assert "netchu: missing.png: expected an existing" in err
    assert main(["predict", "zero.png", "missing.png"]) == 66


def test_predict_from_standard_input(
    pictures: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path("two.png").read_bytes())))
    assert main(["predict", "-", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["image"], printed["label"]) == ("-", 2)
    assert main(["predict", "-"]) == 65  # nothing is left in it
    assert "standard input: expected a PNG or JPEG picture" in capsys.readouterr().err


def test_names_that_are_no_text(pictures: list[str], run: Run, folder: Path) -> None:
    names = [os.fsencode(folder / "line\nbreak.png"), os.fsencode(folder) + b"/caf\xe9.png", b"./-x.png"]
    for name in names:
        try:
            Path(os.fsdecode(name)).write_bytes(Path("one.png").read_bytes())
        except (OSError, ValueError):  # not every system takes such names
            pytest.skip(f"this system takes no file name {name!r}; nothing to be done")
    done = run("predict", *names, "--", b"-x.png")
    assert (done.returncode, done.stderr) == (0, b"")
    assert [line.rpartition(b" (")[0][-3:] for line in done.stdout.splitlines()] == [b": 1"] * 4
    done = run("predict", *names, "--json")
    assert [os.fsencode(json.loads(line)["image"]) for line in done.stdout.splitlines()] == names


def test_predict_without_a_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "seven.png"]) == 66
    assert "Run `netchu train` first" in capsys.readouterr().err


def test_predict_refuses_a_model_for_other_things(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model, says in (
        (Sequential([Input((7,)), Dense(3)]), "expected a model for grey pictures"),
        (Sequential([Input((16,)), Dense(1)]), "expected a classifier"),
        (Sequential([Input((4, 4, 3)), Flatten(), Dense(3)]), "4 x 4 x 3 values"),
    ):
        model.save("other.safetensors")
        assert main(["predict", "seven.png", "--model", "other.safetensors"]) == 2
        assert says in capsys.readouterr().err


# --- info ------------------------------------------------------------------------------------------------------------


def test_info_of_the_environment(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert set(printed) == {"schema", "netchu", "python", "system", "engine", "engines", "threads", "cache", "data"}
    assert set(printed["engines"]) == set(engines.engine_names())
    assert printed["engines"]["numpy"] == np.__version__
    assert printed["threads"] >= 1
    assert main(["info"]) == 0
    assert "engine   numpy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("variables", "source"),
    [
        ({}, "download, or the package sample without a network"),
        ({"NETCHU_OFFLINE": "1"}, "package sample (NETCHU_OFFLINE"),
        ({"NETCHU_OFFLINE": "off"}, "download, or the package sample without a network"),
        ({"NETCHU_DATA_DIR": "nowhere"}, "NETCHU_DATA_DIR=nowhere, which does not exist"),
    ],
)
def test_info_tells_where_data_would_come_from(
    variables: dict[str, str],
    source: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NETCHU_OFFLINE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["info", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["source"].startswith(source)


def test_info_of_a_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_quickly("-q") == 0
    capsys.readouterr()
    assert main(["info", MODEL, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    about = {"schema", "model", "parameters", "input_shape", "layers", "optimizer", "learning_rate", "loss", "training"}
    assert set(printed) == about
    assert [layer["output_shape"] for layer in printed["layers"]] == [[16], [3]]
    assert [layer["activation"] for layer in printed["layers"]] == ["relu", "softmax"]
    assert sum(layer["parameters"] for layer in printed["layers"]) == printed["parameters"]
    assert printed["training"]["data"]["name"] == "own"
    assert main(["info", MODEL]) == 0
    out = capsys.readouterr().out
    assert "1,040" in out
    assert "RMSprop" in out


def test_strangers_text_cannot_command_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Sequential([Input((4,)), Dense(2)])
    model.info = {"note": "a\x1b[2Jb\x1b]0;title\x07\n"}
    model.save("odd.safetensors")
    assert main(["info", "odd.safetensors"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "a\\x1b[2Jb" in out
    assert main(["info", "odd.safetensors", "--json"]) == 0
    assert capsys.readouterr().out.isascii()
