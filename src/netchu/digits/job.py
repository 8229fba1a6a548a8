"""A training job: what is asked for, checked before anything is loaded.

    job = Job(recipe="quick", data="sample", engine="numpy", batch_size=256)
    job.check()

`netchu.digits.training` does it.  Messages call a field as whoever asks does: `Job.epochs` in a program; `netchu train`
hands in how its flags are called.  Importing this loads no NumPy, so that a mistyped number is an error at once.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, Protocol, get_type_hints

from netchu.digits.run_folder import RunFolder
from netchu.errors import CheckpointError, UsageError

TUTORIAL = "tutorial"
DEFAULT_MODEL = "./netchu-model.safetensors"
MAX_SEED = 2**32 - 1
MAX_WIDTH = 9_999_999


class Naming(Protocol):
    """How messages call a field of a job, and the field with a value."""

    def __call__(self, field: str, value: str = "") -> str:
        """`"--epochs"` for the field `epochs`, for example, and `"--epochs 5"` with the value `"5"`."""
        ...


def as_field(field: str, value: str = "") -> str:
    """As Python has it: `"Job.epochs"`, and `"epochs=5"` with a value."""
    return f"{field}={value}" if value else f"Job.{field}"


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

    def check(self, named: Naming = as_field) -> None:
        """Look for what cannot be meant, before anything is loaded.

        Args:
            named: how messages call the fields.

        Raises:
            UsageError: a number out of its bounds, a model file of another kind, or layers or an optimizer beside a
                recipe, which has its own.
        """
        for name in ("layers", "optimizer"):
            if self.recipe != TUTORIAL and getattr(self, name) is not None:
                expected = f"no {named('recipe')} beside it, which has its own"
                raise UsageError(named(name), expected=expected, got=named("recipe", f"{self.recipe:.60}"))
        if not all(type(width) is int and 1 <= width <= MAX_WIDTH for width in self.layers or ()):
            expected = f"whole numbers from 1 to {MAX_WIDTH}"
            raise UsageError(named("layers"), expected=expected, got=f"{self.layers!r:.80}")
        for name in ("epochs", "batch_size", "checkpoint_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(named(name), expected="a whole number from 1", got=f"{value}")
        rate = self.learning_rate
        if rate is not None and not (math.isfinite(rate) and rate > 0):
            raise UsageError(
                named("learning_rate"),
                expected="a number above 0",
                got=f"{rate:g}",
                do=f"Write {named('learning_rate', '0.001')}, for example.",
            )
        if not 0 <= self.seed <= MAX_SEED:
            raise UsageError(named("seed"), expected=f"a whole number from 0 to {MAX_SEED}", got=f"{self.seed}")
        if not self.out.endswith(".safetensors"):
            raise UsageError(named("out"), expected="a name ending in .safetensors", got=f"{self.out!r}")

    def settings(self) -> dict[str, Any]:
        """What the run folder keeps of it: files by their whole names, so that it can be resumed from elsewhere."""
        names_a_file = self.data is not None and os.path.exists(self.data)  # else it is the name of a data set
        data = os.path.abspath(str(self.data)) if names_a_file else self.data
        return vars(self) | {"data": data, "out": os.path.abspath(self.out)}


def job_in(folder: RunFolder) -> Job:
    """What the run in a folder was asked to do; its numbers are not checked yet.

    Raises:
        DataNotFoundError: there is no run.
        CheckpointError: its settings cannot be read, or are of another kind.
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
    return Job(**settings)
