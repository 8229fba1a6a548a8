"""`netchu train`: the tutorial's job. Load digits, learn, test, save.

Without flags it is what the tutorial writes with Keras: 784-512-10, rmsprop, cross-entropy, 5 epochs, batches of 128.
`--recipe` names something else to train, see `netchu.digits.recipes`; flags beside it change the recipe's numbers.
Equal commands on one machine give equal files, byte for byte: the seed has a default, and the file holds no clock and
no path.  A run that is cut at any moment and resumed gives the same file as one that was left alone.

Limits: the recipes, and with --layers networks of Dense layers with relu; Python offers the rest.
"""

from __future__ import annotations

import glob
import inspect
import math
import os
import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, cast, get_type_hints

from netchu.cli import timing
from netchu.cli.options import DEFAULT_MODEL, DEFAULTS, Common, Data, flag
from netchu.cli.outcome import INTERRUPTED, OK, RESUMABLE
from netchu.cli.outfile import check_place
from netchu.cli.output import message, result, result_json
from netchu.cli.runs import LastingStream, RunFolder, absolute_if_path, ending_by_signal, new_run_folder
from netchu.cli.version import version
from netchu.errors import CheckpointError, NetchuError, UsageError
from netchu.system.disk import temporary_name
from netchu.system.signals import Terminated

if TYPE_CHECKING:
    from netchu.callbacks import History
    from netchu.cli.tools import Figures
    from netchu.datasets import Dataset
    from netchu.digits.recipes import Recipe
    from netchu.models import Sequential
    from netchu.optimizers import Optimizer

TUTORIAL = "tutorial"
MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Job:
    """What to train, and where to put it.

    Attributes:
        data: see `netchu.datasets.load`.
        recipe: a name in `netchu.digits.recipes`.
        layers: the widths of the hidden layers; None for the recipe's layers.
        epochs: None for the recipe's.
        batch_size: None for the recipe's, until it is known.
        optimizer: None for the recipe's.
        learning_rate: None for the optimizer's default, or the recipe's.
        seed: 0 to 2**32 - 1.
        out: the model file.
        checkpoint_every: steps; None for an epoch.
        engine: None until it is known.
    """

    data: str | None
    layers: list[int] | None
    epochs: int | None
    batch_size: int | None
    optimizer: str | None
    learning_rate: float | None
    seed: int
    out: str
    checkpoint_every: int | None = None
    engine: str | None = None
    recipe: str = TUTORIAL


def train(
    *,
    data: Data = None,
    recipe: Annotated[
        str, flag("What to train: tutorial, quick (98 % soonest), convnet (99 % soonest), best (slowly).", "NAME")
    ] = TUTORIAL,
    layers: Annotated[
        str | None, flag("Widths of the hidden layers, separated by commas.", "WIDTHS", default="512")
    ] = None,
    epochs: Annotated[
        int | None, flag("How often to go through the data.", default="the recipe's; tutorial: 5, or 20 on the sample")
    ] = None,
    batch_size: Annotated[int | None, flag("Images a step.", default="the recipe's; tutorial: 128")] = None,
    optimizer: Annotated[str | None, flag("sgd, rmsprop, adam or adamw.", "NAME", default="rmsprop")] = None,
    learning_rate: Annotated[
        float | None, flag("Size of the steps, at its highest.", default="the optimizer's own; the recipe's")
    ] = None,
    seed: Annotated[int, flag("Of all random numbers; equal runs give equal files.")] = 0,
    out: Annotated[str, flag("Where to save the model, in place of an old one.", "FILE")] = DEFAULT_MODEL,
    run: Annotated[
        str | None, flag("Folder of the run: settings, log, checkpoints.", "DIR", default="runs/<date-time>")
    ] = None,
    checkpoint_every: Annotated[
        int | None, flag("Save a checkpoint every so many.", "STEPS", default="an epoch")
    ] = None,
    resume: Annotated[
        str | None, flag("Go on with the run in a folder, as it was begun.", "DIR", default="none")
    ] = None,
    common: Common = DEFAULTS,
) -> int:
    """Train, test, save and report; the exit code."""
    widths = None if layers is None else checked_layers(layers)
    job = Job(data, widths, epochs, batch_size, optimizer, learning_rate, seed, out, checkpoint_every, recipe=recipe)
    if resume is not None:
        refuse_other_flags(resume, {**vars(job), "layers": layers, "run": run})
        folder = RunFolder(Path(resume))
        job = job_from(folder, common)
    check_numbers(job)
    check_out(job.out)
    if resume is None:
        job = replace(job, engine=common.use_engine())
        job = replace(job, batch_size=batch_size or recipe_of(job).batch_size)
        make_optimizer(job)  # an unknown name is an error before anything is written
        folder = new_run_folder(run)
    with ending_by_signal():
        try:
            if resume is not None:
                return run_job(job, folder, common)
            folder.begin(vars(job) | {"data": absolute_if_path(data), "out": os.path.abspath(out)})
            with folder.forgotten_unless_training_begins():
                return run_job(job, folder, common)
        except Terminated:
            go_on = f"netchu train --resume {folder.path}" if folder.settings.exists() else "the same command"
            with suppress(OSError):  # its terminal may have been closed
                message(f"Stopped by a signal. To go on: {go_on}")
            return RESUMABLE


def run_job(job: Job, folder: RunFolder, common: Common) -> int:
    """The job, step by step; the exit code."""
    engine = replace(common, engine=job.engine).use_engine()
    from netchu.cli.tools import load_data, measure, say_if_busy
    from netchu.formats.checkpoint import CheckpointFolder

    # 1. Data and model.
    started = time.time()
    say_if_busy(common)
    recipe, began = recipe_of(job), timing.seconds()
    data = load_data(job.data, common)
    loaded = timing.seconds()
    epochs = job.epochs or (recipe.epochs_on_sample if is_sample(data) else recipe.epochs)
    optimizer = make_optimizer(job, epochs * math.ceil(len(data.x_train) / (job.batch_size or 1)))
    model = make_model(job, optimizer, data)
    common.say(
        f"Model: {describe(model)}, {model.count_params():,} parameters, on {engine}; {optimizer.name}, "
        f"{epochs} epochs, batches of {job.batch_size}, seed {job.seed}."
    )
    # 2. Learning, then the test. Ctrl-C in either leaves a model that is worth keeping.
    before = timing.seconds()
    history = learn(model, data, epochs, job, folder, common)
    learnt = timing.seconds()
    try:
        figures = None if history.interrupted else measure(model, data.x_test, data.y_test)
    except KeyboardInterrupt:
        figures = None
    # 3. Saving, then the report.
    model.info = about(job, data, model, history, figures)
    save(model, job.out, started)
    if figures is None:
        message(
            f"Interrupted in epoch {len(history.epoch)} of {epochs}, after {model.info['updates']:,} updates. "
            f"The model as it was then is saved: {job.out}. To go on: netchu train --resume {folder.path}"
        )
        return INTERRUPTED
    seconds = {"total": timing.seconds(), "data": loaded - began, "train": learnt - before}
    CheckpointFolder(folder.checkpoints).prune(1)
    outcome = as_json(figures, model, data, job.out, seconds, engine)
    if common.json:
        result_json(outcome)
    else:
        report(outcome, figures)
        common.say(what_next(job.out))
    return OK


# --- the run ---------------------------------------------------------------------------------------------------------


def refuse_other_flags(resume: str, given: dict[str, Any]) -> None:
    """Raise UsageError for flags beside --resume that the run's own settings would override."""
    defaults = {name: p.default for name, p in inspect.signature(train).parameters.items()}
    other = [f"--{name.replace('_', '-')}" for name, value in given.items() if value != defaults.get(name, value)]
    if other:
        raise UsageError(
            "--resume",
            expected="no other flag that says what to train",
            got=", ".join(other),
            do=f"The run in {resume!r} goes on with the settings it was begun with.",
        )


def job_from(folder: RunFolder, common: Common) -> Job:
    """What the run in a folder was asked to do.

    Raises:
        DataNotFoundError, CheckpointError: there is no such run, or its settings cannot be read.
        UsageError: it runs on another engine than the one asked for now.
    """
    settings, kinds = {"recipe": TUTORIAL, **folder.read()}, get_type_hints(Job)  # older runs name no recipe
    if set(settings) != set(kinds):
        raise CheckpointError(str(folder.settings), expected=f"the settings {list(kinds)}", got=f"{list(settings)}")
    for name, kind in kinds.items():
        if not isinstance(settings[name], list | None if name == "layers" else kind):
            raise CheckpointError(
                str(folder.settings),
                expected=f"{name} of type {Job.__annotations__[name]}",
                got=f"{name}={settings[name]!r:.60}",
            )
    job = Job(**settings)
    checked_layers(",".join(map(str, [1] if job.layers is None else job.layers)))
    if common.engine not in (None, job.engine):
        raise UsageError("--engine", expected=f"{job.engine}, the run's own", got=f"{common.engine}")
    return job


# --- before training -------------------------------------------------------------------------------------------------


def checked_layers(text: str) -> list[int]:
    """`"512,128"` as [512, 128]; UsageError for anything but whole numbers from 1 to 9,999,999."""
    widths = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("0*[1-9][0-9]{0,6}", width) for width in widths):
        raise UsageError(
            "--layers",
            expected="whole numbers from 1, separated by commas",
            got=f"{text:.80}",
            do="Write --layers 512,128, for example.",
        )
    return [int(width) for width in widths]


def check_numbers(job: Job) -> None:
    """Raise UsageError for a number that cannot be meant, or for layers a recipe has, before anything is loaded."""
    for name in ("layers", "optimizer"):
        if job.recipe != TUTORIAL and getattr(job, name) is not None:
            expected = "no --recipe beside it, which has its own"
            raise UsageError(f"--{name}", expected=expected, got=f"--recipe {job.recipe:.60}")
    for name, value in (
        ("--epochs", job.epochs),
        ("--batch-size", job.batch_size),
        ("--checkpoint-every", job.checkpoint_every),
    ):
        if value is not None and value < 1:
            raise UsageError(name, expected="a whole number from 1", got=f"{value}")
    rate = job.learning_rate
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise UsageError(
            "--learning-rate",
            expected="a number above 0",
            got=f"{rate:g}",
            do="Write --learning-rate 0.001, for example.",
        )
    if not 0 <= job.seed <= MAX_SEED:
        raise UsageError("--seed", expected=f"a whole number from 0 to {MAX_SEED}", got=f"{job.seed}")


def check_out(out: str) -> None:
    """Raise now what would otherwise be found out after the training: no such folder, or none to write to."""
    if not out.endswith(".safetensors"):
        raise UsageError("--out", expected="a name ending in .safetensors", got=f"{out!r}")
    check_place("--out", out)


def recipe_of(job: Job) -> Recipe:
    """What the job starts from; UsageError lists the recipes."""
    from netchu.digits import recipes

    return recipes.get(job.recipe)


def make_optimizer(job: Job, steps: int = 1) -> Optimizer:
    """The optimizer for a training of so many steps: the recipe's, or by its name; UsageError lists the known ones."""
    from netchu import optimizers

    if job.optimizer is None:
        recipe = recipe_of(job)
        return recipe.optimizer(job.learning_rate or recipe.learning_rate, steps)
    optimizer = optimizers.get(job.optimizer)
    if job.learning_rate is not None:
        optimizer.learning_rate = job.learning_rate
    return optimizer


def make_model(job: Job, optimizer: Optimizer, data: Dataset) -> Sequential:
    """The compiled network for the data's image size and classes, its weights drawn from the seed."""
    from netchu import utils
    from netchu.layers import Dense

    utils.set_random_seed(job.seed)
    hidden = [Dense(width, activation="relu") for width in job.layers or ()]
    classes = max(2, int(max(data.y_train.max(), data.y_test.max())) + 1)
    return recipe_of(job).model(data.x_train.shape[1:], classes, optimizer, hidden)


# --- training and after ----------------------------------------------------------------------------------------------


def learn(model: Sequential, data: Dataset, epochs: int, job: Job, folder: RunFolder, common: Common) -> History:
    """Fit, with the progress on standard error, the log and the checkpoints in the run's folder."""
    from netchu.callbacks import BackupAndRestore, RunLog
    from netchu.callbacks.progress import ProgressLine
    from netchu.cli.tools import as_pixels

    progress = ProgressLine(0 if common.quiet else 1, stream=cast("TextIO", LastingStream(sys.stderr)))
    log = RunLog(folder.path, about={"data": {"name": data.name, "sha256": data.sha256}})
    backup = BackupAndRestore(folder.checkpoints, job.checkpoint_every or "epoch", delete_checkpoint=False)
    x, y = as_pixels(model, data.x_train), recipe_of(job).targets(data.y_train, model.output_shape[-1])
    return model.fit(x, y, batch_size=job.batch_size, epochs=epochs, callbacks=[progress, log, backup])


def about(job: Job, data: Dataset, model: Sequential, history: History, figures: Figures | None) -> dict[str, Any]:
    """What the file says of its making: no clock, no path, so that equal runs give equal files."""
    optimizer = model.optimizer
    assert optimizer is not None  # compiled above
    told: dict[str, Any] = {
        "netchu": version(),
        "data": {"name": data.name, "sha256": data.sha256},
        "image_shape": list(data.x_train.shape[1:]),
        "seed": job.seed,
        "epochs": len(history.epoch),
        "batch_size": job.batch_size,
        "updates": int(optimizer.iterations.numpy()),
    }
    told |= {} if job.recipe == TUTORIAL else {"recipe": job.recipe}
    if figures is None:
        return {**told, "interrupted": True}
    return {**told, "test_accuracy": figures.accuracy, "test_loss": figures.loss}


def save(model: Sequential, out: str, began: float) -> None:
    """Save the model; NetchuError with path and reason if the disk does not take it.

    What processes that were killed while saving it left half written before `began`, in seconds, is removed.
    """
    place = Path(out)
    try:
        model.save(out)
        for leftover in place.parent.glob(temporary_name(glob.escape(place.name), "*")):
            if leftover.stat().st_mtime < began:
                leftover.unlink(missing_ok=True)
    except OSError as error:
        raise NetchuError(
            f"{out}: the model could not be saved: {error.strerror or error}. An older file of that "
            "name is untouched. Make room, or train again with another --out."
        ) from error


def as_json(
    figures: Figures, model: Sequential, data: Dataset, out: str, seconds: dict[str, float], engine: str
) -> dict[str, Any]:
    """The one object of `--json`; its keys stay as they are while `schema` is 1."""
    return {
        "schema": 1,
        "test_accuracy": figures.accuracy,
        "test_loss": figures.loss,
        "epochs": model.info["epochs"],
        "updates": model.info["updates"],
        "parameters": model.count_params(),
        "engine": engine,
        "data": {"name": data.name, "source": data.source, "train": len(data.x_train), "test": len(data.x_test)},
        "model": out,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


def report(outcome: dict[str, Any], figures: Figures) -> None:
    """The same for people."""
    data, seconds = outcome["data"], outcome["seconds"]
    result(f"Test {figures}, on {data['name']} from {data['source']}.")
    result(
        f"Saved {outcome['model']}: {outcome['parameters']:,} parameters after {outcome['epochs']} epochs, "
        f"{outcome['updates']:,} updates."
    )
    result(f"Took {seconds['total']:.1f} s: data {seconds['data']:.1f} s, training {seconds['train']:.1f} s.")


def what_next(out: str) -> str:
    """Three commands that make sense now."""
    model = "" if out in (DEFAULT_MODEL, Path(DEFAULT_MODEL).name) else f" --model {out}"
    return f"Next:  netchu predict seven.png{model}\n       netchu evaluate {out}\n       netchu info {out}"


def describe(model: Sequential) -> str:
    """`"784-512-10"`, with images as `28x28x1`."""
    shape = model.input_shape
    shapes = [shape, *((shape := layer.compute_output_shape(shape)) for layer in model.layers)]
    return "-".join("x".join(map(str, shape[1:])) for shape in shapes)


def is_sample(data: Dataset) -> bool:
    """Whether these are the digits in the package."""
    return data.name == "mnist-sample"
