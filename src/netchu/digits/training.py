"""The training job, step by step: data and model, learning, the test, saving.

    folder = new_run_folder("runs/first")
    job = prepared(Job(data="sample", recipe="quick"))
    folder.begin(job.settings())
    outcome = run(job, folder, say=print, progress=sys.stderr)
    print(outcome.figures)

It knows no terminal and no flags: it speaks through what it is handed, a function for sentences, a stream for the
progress, and how the job's fields are called.
Equal jobs on one machine give equal files, byte for byte: the file holds no clock and no path.  A run that is cut at
any moment and resumed gives the same file as one that was left alone.

Limits: the engine is the process's own, `netchu.set_engine`; Ctrl-C is waited for in the main thread only.
"""

from __future__ import annotations

import glob
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from netchu import engines, optimizers, utils
from netchu.callbacks import BackupAndRestore, History, RunLog
from netchu.callbacks.progress import ProgressLine
from netchu.datasets import Dataset
from netchu.digits import recipes
from netchu.digits.data import is_sample, load_data
from netchu.digits.job import TUTORIAL, Job, Naming, as_field
from netchu.digits.measuring import Figures, measure
from netchu.digits.reader import as_pixels
from netchu.digits.run_folder import RunFolder
from netchu.errors import NetchuError
from netchu.formats.checkpoint import CheckpointFolder
from netchu.layers import Dense
from netchu.models import Sequential
from netchu.optimizers import Optimizer
from netchu.system import environment
from netchu.system.disk import temporary_name


@dataclass(frozen=True)
class Outcome:
    """What came of a job, whose model is saved.

    Attributes:
        model: as it was saved.
        data: what it learnt from.
        figures: on the test images; None if the run was interrupted, in the training or in the test.
        epochs: how many were asked for.
        begun: in how many of them it learnt.
        seconds: what "data" and "train" took.
    """

    model: Sequential
    data: Dataset
    figures: Figures | None
    epochs: int
    begun: int
    seconds: dict[str, float]


def prepared(job: Job, named: Naming = as_field) -> Job:
    """The job with what the current engine and its recipe add, checked before anything is written.

    Args:
        job: what is asked for.
        named: how messages call its fields.

    Raises:
        UsageError: see `Job.check`; an unknown recipe or optimizer, and the known ones are listed.
    """
    job.check(named)
    recipe = recipes.get(job.recipe, named("recipe"))
    prepared = replace(job, engine=engines.current().name, batch_size=job.batch_size or recipe.batch_size)
    make_optimizer(prepared)
    return prepared


def run(
    job: Job,
    folder: RunFolder,
    *,
    say: Callable[[str], None],
    progress: TextIO | None = None,
    named: Naming = as_field,
) -> Outcome:
    """Train, test and save; a run that lies in the folder goes on.

    Args:
        job: prepared, or read from the folder.
        folder: of the run, in which its settings lie.
        say: gets each sentence that is worth knowing meanwhile.
        progress: a stream for the line that shows how far it is; None for no such line.
        named: how messages call the job's fields.

    Raises:
        NetchuError: the job, the data or the disk do not allow it; the message says what is wrong.
        Terminated: the process was asked to end; the run can be resumed.
    """
    # 1. Data and model.
    started = time.time()
    began = time.perf_counter()
    job.check(named)
    recipe = recipes.get(job.recipe, named("recipe"))
    data = load_data(job.data, say)
    loaded = time.perf_counter()
    epochs = job.epochs or (recipe.epochs_on_sample if is_sample(data) else recipe.epochs)
    optimizer = make_optimizer(job, epochs * math.ceil(len(data.x_train) / (job.batch_size or recipe.batch_size)))
    model = make_model(job, optimizer, data)
    say(
        f"Model: {describe(model)}, {model.count_params():,} parameters, on {engines.current().name}; "
        f"{optimizer.name}, {epochs} epochs, batches of {job.batch_size}, seed {job.seed}."
    )
    # 2. Learning, then the test. Ctrl-C in either leaves a model that is worth keeping.
    before = time.perf_counter()
    history = learn(model, data, epochs, job, folder, progress)
    learnt = time.perf_counter()
    try:
        figures = None if history.interrupted else measure(model, data.x_test, data.y_test, named("learning_rate"))
    except KeyboardInterrupt:
        figures = None
    # 3. Saving.
    model.info = information(job, data, model, history, figures)
    save(model, job.out, started, named)
    if figures is not None:
        CheckpointFolder(folder.checkpoints).prune(1)
    seconds = {"data": loaded - began, "train": learnt - before}
    return Outcome(model, data, figures, epochs, begun=len(history.epoch), seconds=seconds)


# --- before training -------------------------------------------------------------------------------------------------


def make_optimizer(job: Job, steps: int = 1) -> Optimizer:
    """The optimizer for a training of so many steps: the recipe's, or by its name; UsageError lists the known ones."""
    if job.optimizer is None:
        recipe = recipes.get(job.recipe)
        return recipe.optimizer(job.learning_rate or recipe.learning_rate, steps)
    optimizer = optimizers.get(job.optimizer)
    if job.learning_rate is not None:
        optimizer.learning_rate = job.learning_rate
    return optimizer


def make_model(job: Job, optimizer: Optimizer, data: Dataset) -> Sequential:
    """The compiled network for the data's image size and classes, its weights drawn from the seed."""
    utils.set_random_seed(job.seed)
    hidden = [Dense(width, activation="relu") for width in job.layers or ()]
    classes = max(2, int(max(data.y_train.max(), data.y_test.max())) + 1)
    return recipes.get(job.recipe).model(data.x_train.shape[1:], classes, optimizer, hidden)


def describe(model: Sequential) -> str:
    """`"784-512-10"`, with images as `28x28x1`."""
    shapes = [model.input_shape]
    for layer in model.layers:
        shapes.append(layer.compute_output_shape(shapes[-1]))
    return "-".join("x".join(map(str, shape[1:])) for shape in shapes)


# --- training and after ----------------------------------------------------------------------------------------------


def learn(
    model: Sequential, data: Dataset, epochs: int, job: Job, folder: RunFolder, progress: TextIO | None
) -> History:
    """Fit, with the progress on its stream, the log and the checkpoints in the run's folder."""
    line = ProgressLine(0 if progress is None else 1, stream=progress)
    log = RunLog(folder.path, about={"data": {"name": data.name, "sha256": data.sha256}})
    backup = BackupAndRestore(folder.checkpoints, job.checkpoint_every or "epoch", delete_checkpoint=False)
    x = as_pixels(model, data.x_train)
    y = recipes.get(job.recipe).targets(data.y_train, model.output_shape[-1])
    return model.fit(x, y, batch_size=job.batch_size, epochs=epochs, callbacks=[line, log, backup])


def information(
    job: Job, data: Dataset, model: Sequential, history: History, figures: Figures | None
) -> dict[str, Any]:
    """What the file says of its making: no clock, no path, so that equal runs give equal files."""
    optimizer = model.optimizer
    assert optimizer is not None  # compiled above
    making: dict[str, Any] = {
        "netchu": environment.version(),
        "data": {"name": data.name, "sha256": data.sha256},
        "image_shape": list(data.x_train.shape[1:]),
        "seed": job.seed,
        "epochs": len(history.epoch),
        "batch_size": job.batch_size,
        "updates": int(optimizer.iterations.numpy()),
    }
    if job.recipe != TUTORIAL:
        making["recipe"] = job.recipe
    if figures is None:
        return {**making, "interrupted": True}
    return {**making, "test_accuracy": figures.accuracy, "test_loss": figures.loss}


def save(model: Sequential, out: str, began: float, named: Naming = as_field) -> None:
    """Save the model, and remove what processes that were killed while saving it left half written.

    Args:
        model: what to save.
        out: the file.
        began: when this job began, in seconds of `time.time`; what is younger may belong to another process.
        named: how messages call the job's fields.

    Raises:
        NetchuError: the disk does not take it; with path and reason.
    """
    place = Path(out)
    try:
        model.save(out)
        for leftover in place.parent.glob(temporary_name(glob.escape(place.name), "*")):
            if leftover.stat().st_mtime < began:
                leftover.unlink(missing_ok=True)
    except OSError as error:
        raise NetchuError(
            f"{out}: the model could not be saved,",
            expected="a disk that takes it",
            got=f"{error.strerror or error}",
            do=f"An older file of that name is untouched. Make room, or train again with another {named('out')}.",
        ) from error
