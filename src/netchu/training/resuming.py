"""Resuming: a training run that was cut at any moment goes on as if nothing had happened, bit for bit.

`fit` asks a `Keeper` at its safe points: after a step, and after an epoch with all that belongs to it.  What it saves
is every Variable of `model.state()` (weights, slots, iterations, learning rate, the steps of random layers, the
partial sums of the metrics), where in which epoch the run stands, the state of each callback, the random streams, and
a fingerprint of data and settings.  The order of the samples is not saved: it is a function of (stream, epoch).

Limits: data in arrays, whose order can be made again; the same engine.  Other versions of the libraries, or another
number of threads on an engine that cannot set it, may give other last bits: that is said.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from netchu import engines, random
from netchu.callbacks import BackupAndRestore, Callback, CallbackList
from netchu.callbacks.base import State
from netchu.errors import CheckpointError, TrainingError, UsageError
from netchu.formats.checkpoint import Checkpoint, CheckpointFolder
from netchu.registry import to_json
from netchu.training.batches import ArrayBatches, Batches
from netchu.training.loop import Position, Saver
from netchu.training.recovery import put_back, snapshot
from netchu.training.step import Learner


class Keeper(Saver):
    """Saves and restores one `fit`; a context that holds the folder's lock.

    Args:
        backup: the callback that asked for it.
        model: compiled and built.
        data: of the training.
        hooks: all callbacks.
        settings: what must be the same when the run is resumed; see `fingerprint`.

    Raises:
        UsageError: data that is not in arrays.
        CheckpointError: another process uses the folder.
    """

    resumable = True

    def __init__(
        self, backup: BackupAndRestore, model: Learner, data: Batches, hooks: CallbackList, settings: dict[str, Any]
    ) -> None:
        if not isinstance(data, ArrayBatches):
            raise UsageError(
                "BackupAndRestore",
                expected="arrays x and y, whose order can be made again when the run is resumed",
                got="an iterable of batches",
                do="Pass arrays (numpy.load(path, mmap_mode='r') for large ones), or train without it.",
            )
        self.backup = backup
        self.model = model
        self.data = data
        self.hooks = hooks
        settings = settings | {"callbacks": [type(callback).__name__ for callback in self.stateful]}
        self.settings = json.loads(json.dumps(to_json(settings), default=lambda value: type(value).__name__))
        self.folder = CheckpointFolder(backup.backup_dir, backup.keep)
        self._found: Checkpoint | None = None
        self._held = ExitStack()

    def __enter__(self) -> Keeper:
        self._held.enter_context(self.folder.locked())
        return self

    def __exit__(self, *error: Any) -> None:
        self._held.close()

    # --- restoring ---------------------------------------------------------------------------------------------------

    def begin(self, first_epoch: int) -> Position:
        """Restore the run, and say where it goes on or begins.

        In the middle of an epoch the loop calls `restore` again after `on_epoch_begin`, whose effects it had already.

        Raises:
            CheckpointError: all checkpoints are damaged, or the newest is of other settings or other data.
        """
        self._found = self.folder.newest()
        if self._found is None:
            return Position(first_epoch, 0, {}, 0)
        saved = self._found.about["settings"]
        if (
            int(self.model.chosen_optimizer("fit").iterations) > 0
        ):  # this very model was cut; callbacks may have changed its rate
            self.settings["optimizer"] = saved["optimizer"]
        _refuse_difference(str(self._found.path), saved, self.settings)
        _restore_engine(self._found.about["engine"])
        self.restore()
        return Position(**self._found.about["position"])

    def restore(self) -> None:
        """Put everything back as the checkpoint has it."""
        assert self._found is not None  # `begin` found it
        about, arrays = self._found.about, self._found.arrays
        model = self.model
        variables = model._named_state()
        if sorted(variables) != sorted(arrays):
            missing = sorted(set(variables) ^ set(arrays))
            raise CheckpointError(
                str(self._found.path), expected="this model's variables", got=f"others: {missing[:6]}"
            )
        for name, variable in variables.items():
            variable.assign(arrays[name])
        random.restore(*about["random"])
        self.data.stream = tuple(about["data_stream"])
        for stream, (seed, number) in zip(type(model).streams(model), about["streams"]):
            stream.seed, stream.stream = seed, number
        model.forget_traced_steps()  # seeds and streams are constants of a traced step
        for callback, state in zip(self.stateful, about["callbacks"]):
            callback.set_state(state)

    @property
    def stateful(self) -> list[Callback]:
        """The callbacks that have a state, in order."""
        return [c for c in self.hooks.callbacks if type(c).get_state is not Callback.get_state]

    # --- saving ------------------------------------------------------------------------------------------------------

    def after_step(self, at: Position, ending: bool) -> None:
        """A safe point: nothing of a step is half done.  A run that is ending here is saved in any case."""
        every = self.backup.save_freq
        if ending or (isinstance(every, int) and at.updates % every == 0):
            self.save(at)

    def room(self, at: Position) -> float:
        """How many steps may be made from here before `after_step` must be called."""
        every = self.backup.save_freq
        return every - at.updates % every if isinstance(every, int) else math.inf

    def before_validation(self, at: Position) -> Callable[[], None]:
        """A function that saves the run as it is now, for a validation that is cut short: it begins anew."""
        before = snapshot(self.model._named_state().values())
        states = [callback.get_state() for callback in self.stateful]

        def save_as_it_was() -> None:
            put_back(before)
            self.save(at, states)

        return save_as_it_was

    def after_epoch(self, at: Position, ending: bool) -> None:
        """A safe point: the epoch is over for everyone.  `ending`: the run is, too, and is kept as it is here."""
        if ending or self.backup.save_freq == "epoch":
            self.save(at)

    def save(self, at: Position, states: list[State] | None = None) -> None:
        """Write a checkpoint.

        Args:
            at: where the run stands.
            states: of the callbacks; as they are now if None.

        Raises:
            TrainingError: a weight is NaN or infinite; what was saved before stays.
            NetchuError: the disk does not take it.
        """
        arrays = {name: variable.numpy() for name, variable in self.model._named_state().items()}
        for weight in self.model.weights:
            if not np.isfinite(weight.numpy()).all():
                raise TrainingError(
                    f"Epoch {at.epoch + 1}, step {at.step}", expected="finite weights to save", got=f"{weight.name}"
                )
        about = {
            "position": vars(at),
            "settings": self.settings,
            "engine": _engine(),
            "random": random.state(),
            "data_stream": self.data.stream,
            "streams": [(stream.seed, stream.stream) for stream in type(self.model).streams(self.model)],
            "callbacks": [callback.get_state() for callback in self.stateful] if states is None else states,
        }
        self.folder.save(at.updates, about, arrays)

    def finish(self) -> None:
        """The run is over: where its checkpoints are not to stay, nothing is left to resume."""
        if self.backup.delete_checkpoint:
            self.folder.prune(0)


def _engine() -> dict[str, Any]:
    current = engines.current()
    return {"name": current.name, "version": current.version(), "threads": current.threads()}


def _restore_engine(saved: dict[str, Any]) -> None:
    """Use as many threads as the run did; warn about what cannot be the same."""
    engines.current().fix_threads(saved["threads"])
    now = _engine()
    differing = [f"{key}: {saved[key]} then, {now[key]} now" for key in saved if saved[key] != now[key]]
    if differing:
        warnings.warn(f"Resuming goes on, but its last bits may differ: {'; '.join(differing)}.", stacklevel=3)


# --- what must be the same -------------------------------------------------------------------------------------------


def fingerprint(model: Learner, data: Batches, validation: Batches | None, fit: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a run what it is: model, compile settings, arguments of `fit`, and the checksums of the data."""
    if isinstance(data, ArrayBatches):
        model.make_all("train", next(data.epoch(0)))  # some of it depends on the shapes
    return {
        "engine": engines.current().name,
        "model": model.get_config(),
        "optimizer": to_json(model.optimizer),
        "loss": to_json(model.loss),
        "metrics": model.metrics_given,
        "fit": dict(fit),
        "data": _checksums(data),
        "validation_data": _checksums(validation),
    }


def _checksums(data: Batches | None) -> dict[str, Any]:
    if not isinstance(data, ArrayBatches):
        return {}
    return {"batch_size": data.batch_size} | {
        name: f"{array.dtype}{list(array.shape)} sha256:{hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()}"
        for name, array in data.arrays.items()
    }


def _refuse_difference(path: str, saved: Any, given: Any, field: str = "") -> None:
    """Raise CheckpointError that names the first field in which two settings differ."""
    if isinstance(saved, dict) and isinstance(given, dict):
        for key in sorted({*saved, *given}):
            _refuse_difference(path, saved.get(key), given.get(key), f"{field}.{key}" if field else key)
    elif isinstance(saved, list) and isinstance(given, list) and len(saved) == len(given):
        for i, (one, other) in enumerate(zip(saved, given)):
            _refuse_difference(path, one, other, f"{field}[{i}]")
    elif saved != given:
        raise CheckpointError(
            path,
            expected=f"the settings and data that the run began with, {field}={saved!r:.120}",
            got=f"{field}={given!r:.120}",
            do="Resume with what was used then, or begin a new run in another folder.",
        )
