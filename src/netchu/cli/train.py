"""`netchu train`: the tutorial's job. Load digits, learn, test, save.

Without flags it is what the tutorial writes with Keras: 784-512-10, rmsprop, cross-entropy, 5 epochs, batches of 128.
`--recipe` names something else to train, see `netchu.digits.recipes`; flags beside it change the recipe's numbers.
This file makes a job of the flags, and a report of what came of it; `netchu.digits.training` does the work.

Limits: the recipes, and with --layers networks of Dense layers with relu; Python offers the rest.
"""

from __future__ import annotations

import re
import sys
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, cast

from cyclopts import Parameter

from netchu.cli import timing
from netchu.cli.options import DEFAULTS, Common, Data, as_flag, flag
from netchu.cli.outcome import INTERRUPTED, OK, RESUMABLE
from netchu.cli.outfile import check_place
from netchu.cli.output import LastingStream, message, result, result_json
from netchu.digits.job import DEFAULT_MODEL, TUTORIAL, Job, job_in
from netchu.digits.run_folder import RunFolder, new_run_folder
from netchu.errors import UsageError
from netchu.system.signals import Terminated, ending_by_signal

if TYPE_CHECKING:
    from netchu.digits.training import Outcome


@Parameter(name="*")
@dataclass(frozen=True)
class Flags:
    """What to train, and where to put it; the fields are the command's flags, in the order of its help."""

    data: Data = None
    recipe: Annotated[
        str, flag("What to train: tutorial, quick (98 % soonest), convnet (99 % soonest), best (slowly).", "NAME")
    ] = TUTORIAL
    layers: Annotated[
        str | None, flag("Widths of the hidden layers, separated by commas.", "WIDTHS", default="512")
    ] = None
    epochs: Annotated[
        int | None, flag("How often to go through the data.", default="the recipe's; tutorial: 5, or 20 on the sample")
    ] = None
    batch_size: Annotated[int | None, flag("Images a step.", default="the recipe's; tutorial: 128")] = None
    optimizer: Annotated[str | None, flag("sgd, rmsprop, adam or adamw.", "NAME", default="rmsprop")] = None
    learning_rate: Annotated[
        float | None, flag("Size of the steps, at its highest.", default="the optimizer's own; the recipe's")
    ] = None
    seed: Annotated[int, flag("Of all random numbers; equal runs give equal files.")] = 0
    out: Annotated[str, flag("Where to save the model, in place of an old one.", "FILE")] = DEFAULT_MODEL
    run: Annotated[
        str | None, flag("Folder of the run: settings, log, checkpoints.", "DIR", default="runs/<date-time>")
    ] = None
    checkpoint_every: Annotated[int | None, flag("Save a checkpoint every so many.", "STEPS", default="an epoch")] = (
        None
    )
    resume: Annotated[str | None, flag("Go on with the run in a folder, as it was begun.", "DIR", default="none")] = (
        None
    )

    def job(self) -> Job:
        """The job that they ask for.

        Raises:
            UsageError: `layers` is no list of widths.
        """
        return Job(
            data=self.data,
            layers=None if self.layers is None else parse_layers(self.layers),
            epochs=self.epochs,
            batch_size=self.batch_size,
            optimizer=self.optimizer,
            learning_rate=self.learning_rate,
            seed=self.seed,
            out=self.out,
            checkpoint_every=self.checkpoint_every,
            recipe=self.recipe,
        )


NO_FLAGS = Flags()


def train(*, flags: Flags = NO_FLAGS, common: Common = DEFAULTS) -> int:
    """Train, test, save and report; the exit code."""
    job = flags.job()
    if flags.resume is not None:
        refuse_other_flags(flags.resume, flags)
        folder = RunFolder(Path(flags.resume), as_flag("resume"))
        job = job_in(folder)
        if job.layers is not None:
            parse_layers(",".join(map(str, job.layers)))  # the settings may have been written by hand
        if common.engine not in (None, job.engine):
            raise UsageError("--engine", expected=f"{job.engine}, the run's own", got=f"{common.engine}")
    job.check(as_flag)
    check_place(as_flag("out"), job.out)
    if flags.resume is None:
        common.use_engine()
        from netchu.digits.training import prepared

        job = prepared(job, as_flag)
        folder = new_run_folder(flags.run, as_flag("run"))
    with ending_by_signal():
        try:
            if flags.resume is None:
                folder.begin(job.settings())
            with nullcontext() if flags.resume is not None else folder.forgotten_unless_training_begins():
                return run_job(job, folder, common)
        except Terminated:
            go_on = f"netchu train --resume {folder.path}" if folder.settings.exists() else "the same command"
            with suppress(OSError):  # its terminal may have been closed
                message(f"Stopped by a signal. To go on: {go_on}")
            return RESUMABLE


def parse_layers(text: str) -> list[int]:
    """`"512,128"` as [512, 128].

    Raises:
        UsageError: anything but whole numbers from 1 to 9,999,999.
    """
    widths = [part.strip() for part in text.split(",")]
    if not all(re.fullmatch("0*[1-9][0-9]{0,6}", width) for width in widths):
        raise UsageError(
            as_flag("layers"),
            expected="whole numbers from 1, separated by commas",
            got=f"{text:.80}",
            do=f"Write {as_flag('layers', '512,128')}, for example.",
        )
    return [int(width) for width in widths]


def refuse_other_flags(resume: str, flags: Flags) -> None:
    """Raise UsageError for flags beside --resume that the run's own settings would override."""
    given = {**vars(flags.job()), "run": flags.run}
    usual = {**vars(NO_FLAGS.job()), "run": NO_FLAGS.run}
    other = [as_flag(name) for name, value in given.items() if value != usual[name]]
    if other:
        raise UsageError(
            "--resume",
            expected="no other flag that says what to train",
            got=", ".join(other),
            do=f"The run in {resume!r} goes on with the settings it was begun with.",
        )


def run_job(job: Job, folder: RunFolder, common: Common) -> int:
    """Do the job, its progress on standard error, and report; the exit code."""
    replace(common, engine=job.engine).use_engine()
    from netchu.cli.tools import say_if_busy
    from netchu.digits.training import run

    say_if_busy(common)
    progress = None if common.quiet else cast("TextIO", LastingStream(sys.stderr))
    outcome = run(job, folder, say=common.say, progress=progress, named=as_flag)
    if outcome.figures is None:
        message(
            f"Interrupted in epoch {outcome.begun} of {outcome.epochs}, after {outcome.model.info['updates']:,} "
            f"updates. The model as it was then is saved: {job.out}. To go on: netchu train --resume {folder.path}"
        )
        return INTERRUPTED
    if common.json:
        result_json(as_json(outcome, job))
    else:
        report(outcome, job)
        common.say(what_next(job.out))
    return OK


# --- the report ------------------------------------------------------------------------------------------------------


def as_json(outcome: Outcome, job: Job) -> dict[str, Any]:
    """The one object of `--json`; its keys stay as they are while `schema` is 1."""
    data = outcome.data
    model = outcome.model
    figures = outcome.figures
    assert figures is not None  # an interrupted run has no report
    seconds = {"total": timing.seconds(), **outcome.seconds}
    return {
        "schema": 1,
        "test_accuracy": figures.accuracy,
        "test_loss": figures.loss,
        "epochs": model.info["epochs"],
        "updates": model.info["updates"],
        "parameters": model.count_params(),
        "engine": job.engine,
        "data": {"name": data.name, "source": data.source, "train": len(data.x_train), "test": len(data.x_test)},
        "model": job.out,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


def report(outcome: Outcome, job: Job) -> None:
    """Print the same for people."""
    facts = as_json(outcome, job)
    data = facts["data"]
    seconds = facts["seconds"]
    result(f"Test {outcome.figures}, on {data['name']} from {data['source']}.")
    result(
        f"Saved {job.out}: {facts['parameters']:,} parameters after {facts['epochs']} epochs, "
        f"{facts['updates']:,} updates."
    )
    result(f"Took {seconds['total']:.1f} s: data {seconds['data']:.1f} s, training {seconds['train']:.1f} s.")


def what_next(out: str) -> str:
    """Three commands that make sense now."""
    model = "" if out in (DEFAULT_MODEL, Path(DEFAULT_MODEL).name) else f" --model {out}"
    return f"Next:  netchu predict seven.png{model}\n       netchu evaluate {out}\n       netchu info {out}"
