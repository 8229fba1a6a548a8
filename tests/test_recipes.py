"""Recipes: what they train, what may be said beside them, that they are resumed and used like any other model.

How accurate they are is measured with MNIST, in the tests marked slow.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cli_tools import MODEL, no_traceback
from netchu.cli import main
from netchu.digits import recipes
from netchu.errors import UsageError
from netchu.models import load_model
from netchu.utils import set_random_seed

NEW = [name for name in recipes.RECIPES if name != "tutorial"]
FEW_STEPS = ["--data", "small.npz", "--epochs", "2", "--batch-size", "32", "-q"]


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with small.npz: 96 pictures of 28 x 28 to learn from, a lit row for each of 4 classes."""
    draw = np.random.default_rng(0)
    arrays = {}
    for half, n in (("train", 96), ("test", 40)):
        y = np.arange(n) % 4
        x = draw.integers(0, 60, (n, 28, 28))
        x[np.arange(n), 4 + 5 * y, :] = 250
        arrays |= {f"x_{half}": x.astype(np.uint8), f"y_{half}": y.astype(np.uint8)}
    np.savez(tmp_path / "small.npz", **arrays)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETCHU_OFFLINE", "1")
    return tmp_path


def trained(folder: Path, *more: str) -> bytes:
    """The model file of a training with these flags."""
    assert main(["train", *FEW_STEPS, *more]) == 0
    return (folder / MODEL).read_bytes()


# --- what they are ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_each_recipe_states_what_it_reached(name: str) -> None:
    recipe = recipes.get(name)
    assert 0.97 < recipe.accuracy < 1
    assert 0 < recipe.spread < 0.005
    assert recipe.seeds >= (3 if name == "best" else 10)
    assert f"{recipe.accuracy:.2%}" in str(recipe)


def test_an_unknown_name_lists_them() -> None:
    with pytest.raises(UsageError) as caught:
        recipes.get("quik")
    lines = str(caught.value).splitlines()
    assert "Got: 'quik'" in lines[0]
    assert [line.split()[0] for line in lines[1:]] == list(recipes.RECIPES)


def test_the_rate_rises_for_a_fifth_of_the_steps_and_falls_to_zero() -> None:
    rates = [float(recipes.in_one_cycle(0.03, 100).learning_rate_source(step)) for step in range(101)]
    assert np.argmax(rates) == 20
    assert rates[0] == pytest.approx(0.03 / 25)
    assert rates[20] == pytest.approx(0.03)
    assert rates[100] == pytest.approx(0, abs=1e-9)
    assert np.all(np.diff(rates[:21]) > 0)
    assert np.all(np.diff(rates[20:]) < 0)


def test_a_training_of_one_step_has_a_rate() -> None:
    assert float(recipes.in_one_cycle(0.03, 1).learning_rate_source(0)) > 0


# --- on the command line ---------------------------------------------------------------------------------------------


def test_the_tutorial_is_the_default(small: Path) -> None:
    spelt_out = ["--layers", "512", "--optimizer", "rmsprop", "--learning-rate", "0.001"]
    assert trained(small) == trained(small, "--recipe", "tutorial") == trained(small, *spelt_out)


@pytest.mark.parametrize("name", NEW)
def test_its_model_is_used_like_any_other(name: str, small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    epochs = 10 if name == "best" else 3  # its averages over batches and steps take a while
    settings = ["--data", "small.npz", "--batch-size", "8", "--epochs", str(epochs)]
    assert main(["train", "--recipe", name, *settings, "--json", "-q"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["test_accuracy"] > 0.9
    assert printed["updates"] == epochs * 12
    assert main(["evaluate", MODEL, "--data", "small.npz", "--json", "-q"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == printed["test_accuracy"]
    picture = np.load("small.npz")["x_test"][2]
    from PIL import Image

    Image.fromarray(255 - picture).save("two.png")
    assert main(["predict", "two.png", "--model", MODEL]) == 0
    assert re.fullmatch(r"two\.png: [0-3] \(.*%\)\n", capsys.readouterr().out)
    assert main(["export", MODEL, "out.keras", "-q"]) == 0
    assert main(["info", MODEL, "--json"]) == 0
    about = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert about["training"]["recipe"] == name
    assert about["training"]["image_shape"] == [28, 28]


@pytest.mark.parametrize("name", NEW)
def test_the_file_keeps_what_it_was_trained_with(name: str, small: Path) -> None:
    trained(small, "--recipe", name)
    model = load_model(MODEL)
    assert type(model.loss).__name__ == "CategoricalCrossentropy"
    assert model.loss.label_smoothing == recipes.get(name).label_smoothing
    assert type(model.optimizer).__name__ == "Adam"


def test_best_learns_from_distorted_images_and_is_asked_about_them_as_they_are(small: Path) -> None:
    recipe = recipes.get("best")
    images, labels = (np.load("small.npz")[name] for name in ("x_train", "y_train"))
    seen: list[np.ndarray] = []

    def trained_on(distorts: bool) -> np.ndarray:
        set_random_seed(0)
        model = recipe.model((28, 28), 4, recipe.optimizer(recipe.learning_rate, 3))
        assert model.distortion is not None
        if distorts:
            places = model.distortion.draw_places
            model.distortion.draw_places = lambda *shape: (seen.append(shape), places(*shape))[1]  # type: ignore[method-assign, func-returns-value]
        else:
            model.distortion = None
        model.run_eagerly = True
        x = images[..., None]
        model.fit(x, recipe.targets(labels, 4), batch_size=32, epochs=1, shuffle=False, verbose=0)
        drawn = len(seen)
        model.evaluate(x, recipe.targets(labels, 4), verbose=0)
        predicted = model.predict(x, verbose=0)
        assert np.array_equal(predicted, model.predict(x, verbose=0))
        assert len(seen) == drawn
        return predicted

    assert not np.array_equal(trained_on(distorts=True), trained_on(distorts=False))
    assert seen == [(32, 28, 28)] * 3


def test_best_ends_with_averaged_weights(small: Path) -> None:
    recipe = recipes.get("best")
    optimizer = recipe.optimizer(recipe.learning_rate, 3)
    assert (optimizer.use_ema, optimizer.ema_momentum) == (True, 0.99)
    model = recipe.model((28, 28), 4, optimizer)
    data = np.load("small.npz")
    model.fit(data["x_train"][..., None], recipe.targets(data["y_train"], 4), batch_size=32, epochs=1, verbose=0)
    for weight, slots in zip(optimizer.weights, optimizer.slots):
        assert np.array_equal(weight.numpy(), slots["moving_average"].numpy())


def test_flags_beside_a_recipe_change_its_numbers(small: Path) -> None:
    plain = trained(small, "--recipe", "quick")
    assert plain == trained(small, "--recipe", "quick", "--learning-rate", "0.03")
    assert plain != trained(small, "--recipe", "quick", "--learning-rate", "0.01")
    assert plain != trained(small, "--recipe", "quick", "--seed", "1")


@pytest.mark.parametrize("flag", [("--layers", "512"), ("--optimizer", "sgd")])
def test_layers_and_optimizer_are_the_recipes_own(
    flag: tuple[str, str], small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *FEW_STEPS, "--recipe", "quick", *flag]) == 2
    printed = capsys.readouterr().err
    assert f"{flag[0]}: expected no --recipe beside it" in printed
    assert no_traceback(printed)
    assert not (small / "runs").exists()


def test_an_unknown_name_is_an_error_before_anything_is_written(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *FEW_STEPS, "--recipe", "quik"]) == 2
    assert "convnet" in capsys.readouterr().err
    assert not (small / "runs").exists()


def test_pictures_smaller_than_a_window_are_an_error(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.zeros((8, 7, 7), np.uint8)
    y = np.arange(8, dtype=np.uint8) % 2
    np.savez("tiny.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    assert main(["train", "--data", "tiny.npz", "--recipe", "quick"]) == 2
    assert no_traceback(capsys.readouterr().err)


@pytest.mark.parametrize("name", NEW)
def test_a_resumed_run_gives_the_same_file(name: str, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(small, "--recipe", name)
    (small / MODEL).unlink()
    from netchu.callbacks import RunLog
    from netchu.system.signals import Terminated

    with monkeypatch.context() as patched:

        def ends(*_: object, **__: object) -> None:
            raise Terminated

        patched.setattr(RunLog, "on_epoch_end", ends)
        more = ["--recipe", name, "--run", "run", "--checkpoint-every", "2"]
        assert main(["train", *FEW_STEPS, *more]) == 75
    assert not (small / MODEL).exists()
    assert main(["train", "--resume", "run", "-q"]) == 0
    assert (small / MODEL).read_bytes() == whole


def test_a_run_begun_before_there_were_recipes_goes_on(small: Path) -> None:
    whole = trained(small, "--layers", "16", "--optimizer", "adam", "--run", "run")
    settings = small / "run" / "settings.json"
    document = json.loads(settings.read_text())
    del document["train"]["recipe"]
    settings.write_text(json.dumps(document))
    (small / MODEL).unlink()
    assert main(["train", "--resume", "run", "-q"]) == 0
    assert (small / MODEL).read_bytes() == whole


# --- how good they are -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in recipes.RECIPES if name != "best"])
def test_on_mnist_it_reaches_what_it_states(
    name: str, mnist_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three seeds: their mean lies within four standard errors of the stated mean.

    `best` takes half an hour: `benchmarks/run.py --rows best` measures it.
    """
    monkeypatch.chdir(tmp_path)
    accuracies = []
    for seed in "012":
        assert main(["train", "--data", str(mnist_folder), "--recipe", name, "--seed", seed, "--json", "-q"]) == 0
        accuracies.append(json.loads(capsys.readouterr().out)["test_accuracy"])
    recipe = recipes.get(name)
    assert np.mean(accuracies) == pytest.approx(recipe.accuracy, abs=4 * recipe.spread / 3**0.5)
