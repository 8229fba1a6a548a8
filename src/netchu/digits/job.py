"""A training job: what is asked for, checked before anything is loaded.

    job = Job(recipe="quick", data="sample", engine="numpy", batch_size=256)
    job.check()

`netchu.digits.training` does it.  Messages name the flags of `netchu train`, which most jobs come from.  Importing this
loads no NumPy, so that a mistyped number is an error at once.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from typing import Any, get_type_hints

from netchu.digits.run_folder import RunFolder
from netchu.errors import CheckpointError, UsageError

TUTORIAL = "tutorial"
DEFAULT_MODEL = "./netchu-model.safetensors"
MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Job:
    """What to train, and where to put it.

    Attributes:
        data: see `netchu.datasets.load`.
        layers: the widths of the hidden layers; None for the recipe's layers.
        epochs: None for the recipe's.
        batch_size: None for the recipe's, until it is known.
        optimizer: None for the recipe's.
        learning_rate: None for the optimizer's default, or the recipe's.
        seed: 0 to 2**32 - 1.
        out: the model file.
        checkpoint_every: steps; None for an epoch.
        engine: None until it is known.
        recipe: a name in `netchu.digits.recipes`.
    """

    # The order is that of settings.json.
    data: str | None = None
    layers: list[int] | None = None
    epochs: int | None = None
    batch_size: int | None = None
    optimizer: str | None = None
    learning_rate: float | None = None
    seed: int = 0
    out: str = DEFAULT_MODEL
    checkpoint_every: int | None = None
    engine: str | None = None
    recipe: str = TUTORIAL

    def check(self) -> None:
        """Raise UsageError for a number that cannot be meant, or for layers beside a recipe, which has its own."""
        for name in ("layers", "optimizer"):
            if self.recipe != TUTORIAL and getattr(self, name) is not None:
                expected = "no --recipe beside it, which has its own"
                raise UsageError(f"--{name}", expected=expected, got=f"--recipe {self.recipe:.60}")
        for name, value in (
            ("--epochs", self.epochs),
            ("--batch-size", self.batch_size),
            ("--checkpoint-every", self.checkpoint_every),
        ):
            if value is not None and value < 1:
                raise UsageError(name, expected="a whole number from 1", got=f"{value}")
        rate = self.learning_rate
        if rate is not None and not (math.isfinite(rate) and rate > 0):
            raise UsageError(
                "--learning-rate",
                expected="a number above 0",
                got=f"{rate:g}",
                do="Write --learning-rate 0.001, for example.",
            )
        if not 0 <= self.seed <= MAX_SEED:
            raise UsageError("--seed", expected=f"a whole number from 0 to {MAX_SEED}", got=f"{self.seed}")
        if not self.out.endswith(".safetensors"):
            raise UsageError("--out", expected="a name ending in .safetensors", got=f"{self.out!r}")

    def settings(self) -> dict[str, Any]:
        """What the run folder keeps of it: files by their whole names, so that it can be resumed from elsewhere."""
        names_a_file = self.data is not None and os.path.exists(self.data)  # else it is the name of a data set
        data = os.path.abspath(str(self.data)) if names_a_file else self.data
        return vars(self) | {"data": data, "out": os.path.abspath(self.out)}


def job_in(folder: RunFolder) -> Job:
    """What the run in a folder was asked to do.

    Raises:
        DataNotFoundError: there is no run.
        CheckpointError: its settings cannot be read, or are of another kind.
        UsageError: its layers are no widths.
    """
    settings = {"recipe": TUTORIAL, **folder.read()}  # older runs name no recipe
    kinds = get_type_hints(Job)
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
    if job.layers is not None:
        parse_layers(",".join(map(str, job.layers)))
    return job


def parse_layers(text: str) -> list[int]:
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
