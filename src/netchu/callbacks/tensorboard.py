"""Event files for TensorBoard, with Keras's folders, tags and steps; neither TensorFlow nor TensorBoard is needed.

model.fit(x, y, callbacks=[TensorBoard("logs")])        # then: tensorboard --logdir logs
"""

from __future__ import annotations

import math
import os
import time
from os import PathLike
from pathlib import Path

from netchu.arguments import check_whole, checked_path, is_whole
from netchu.callbacks import appending, event_file
from netchu.callbacks.base import Callback, Logs, State
from netchu.errors import UsageError


def _refuse(**settings: object) -> None:
    """Raise UsageError for a setting of Keras's that is not at its default."""
    for name, value in settings.items():
        if value:
            raise UsageError(
                "TensorBoard", expected=f"no {name}: netchu does not write it", got=f"{name}={value!r:.60}"
            )


def _checked_frequency(update_freq: object) -> str | int:
    """Either "epoch" or a number of batches; UsageError for anything else."""
    every = 1 if update_freq == "batch" else update_freq
    if every == "epoch":
        return "epoch"
    if not is_whole(every) or every < 1:
        expected = 'update_freq to be "epoch", "batch" or a number of batches'
        raise UsageError("TensorBoard", expected=expected, got=f"{update_freq=}")
    return int(every)


class TensorBoard(Callback):
    """Writes the figures of a training, and how its weights are spread, for TensorBoard to draw.

    | folder | tag | step |
    | --- | --- | --- |
    | train | `epoch_loss`, `epoch_accuracy`, ..., `epoch_learning_rate` | epoch |
    | train | `batch_loss`, `batch_accuracy`, ... | training batch, from 1 |
    | train | `sequential/dense/kernel/histogram`, ... | epoch |
    | validation | `epoch_loss`, `epoch_accuracy`, ... | epoch |
    | validation | `evaluation_loss_vs_iterations`, ... | the optimizer's steps |

    Each `fit` begins a file of its own in each folder; a resumed one goes on in its file, from where the checkpoint was
    taken.  A TensorBoard that watched while the run was cut has read what was taken away: start it anew.

    Args:
        log_dir: the folder of the two folders; they are made if they are not there.
        histogram_freq: every so many epochs, the spread of each weight; 0 for none.
        write_graph: accepted for Keras's sake; no graph is written.
        write_images: must be False.
        write_steps_per_second: also write `epoch_steps_per_second`, and by batches `batch_steps_per_second`.
        update_freq: "epoch", "batch", or a number: also write the figures so far every so many batches.
        profile_batch: must be 0; JAX and TensorFlow have profilers of their own.
        embeddings_freq: must be 0.
        embeddings_metadata: must be None.

    Raises:
        UsageError: an argument that must not be set, or a wrong frequency; at the beginning of training, a folder that
            cannot be written.
    """

    def __init__(
        self,
        log_dir: str | PathLike[str] = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: int = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: object = None,
    ) -> None:
        _refuse(
            write_images=write_images,
            profile_batch=profile_batch,
            embeddings_freq=embeddings_freq,
            embeddings_metadata=embeddings_metadata,
        )
        check_whole("TensorBoard", histogram_freq=histogram_freq)
        self.log_dir = checked_path("TensorBoard", log_dir=log_dir)
        self.histogram_freq = histogram_freq
        self.write_graph = write_graph
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = _checked_frequency(update_freq)
        self._files: dict[str, Path] = {}
        self._batch = self._batches_before = 0  # since training began, and up to when the epoch's clock was started
        self._batch_began = self._epoch_began = 0.0
        self._first_batch = 0

    # --- hooks -------------------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """New files, which are made with their first record."""
        self._batch = 0
        self._files = self._new_files()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Start the clock."""
        self._epoch_began = time.monotonic()
        self._batches_before = self._batch

    def next_batch(self, batch: int) -> float:
        """Every batch, if figures are written by batches."""
        return batch if isinstance(self.update_freq, int) else math.inf

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Note the first of the batches that are gone through together, and start the clock."""
        self._first_batch = batch
        self._batch_began = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Count, and write the figures so far, if it is time for them."""
        self._batch += batch + 1 - self._first_batch
        if isinstance(self.update_freq, int) and self._batch % self.update_freq == 0:
            figures = {f"batch_{name}": value for name, value in (logs or {}).items()}
            if self.write_steps_per_second:
                figures["batch_steps_per_second"] = 1 / max(time.monotonic() - self._batch_began, 1e-9)
            self._write("train", event_file.scalars(self._batch, figures))

    def on_test_end(self, logs: Logs | None = None) -> None:
        """The figures of an evaluation, validation included."""
        if logs and self.model.optimizer is not None:
            figures = {f"evaluation_{name}_vs_iterations": value for name, value in logs.items()}
            self._write("validation", event_file.scalars(int(self.model.optimizer.iterations), figures))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """The figures of the epoch, and the spread of the weights."""
        logs = logs or {}
        train = {f"epoch_{name}": value for name, value in logs.items() if not name.startswith("val_")}
        train["epoch_learning_rate"] = float(self.model.optimizer.learning_rate)
        if self.write_steps_per_second:
            steps = self._batch - self._batches_before
            seconds = time.monotonic() - self._epoch_began
            train["epoch_steps_per_second"] = steps / max(seconds, 1e-9)
        self._write("train", event_file.scalars(epoch, train))
        validation = {f"epoch_{name[4:]}": value for name, value in logs.items() if name.startswith("val_")}
        if validation:
            self._write("validation", event_file.scalars(epoch, validation))
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            weights = set(map(id, self.model.weights))
            for name, variable in self.model._named_state().items():
                if id(variable) in weights:
                    tag = f"{self.model.name}/{name}/histogram"
                    self._write("train", event_file.histogram(epoch, tag, variable.numpy()))

    # --- state -------------------------------------------------------------------------------------------------------

    def get_state(self) -> State:
        """The batches so far, and how long each file is."""
        sizes = {kind: appending.size_on_disk(path) for kind, path in self._files.items()}
        return {"batch": self._batch, "names": {kind: path.name for kind, path in self._files.items()}, "sizes": sizes}

    def set_state(self, state: State) -> None:
        """Go on in the same files, without the records that are to be made again."""
        self._batch = state["batch"]
        self._epoch_began = time.monotonic()
        self._batches_before = self._batch
        self._files = {kind: Path(self.log_dir, kind, name) for kind, name in state["names"].items()}
        for kind, path in self._files.items():
            appending.cut("TensorBoard", path, state["sizes"][kind])

    # --- files -------------------------------------------------------------------------------------------------------

    def _new_files(self) -> dict[str, Path]:
        """A new file's path for each folder.

        TensorBoard reads the files of a folder in the order of their names: these come after those that are there, even
        if the clock was set back or two runs begin in one second.
        """
        folders = {kind: Path(self.log_dir, kind) for kind in ("train", "validation")}
        try:
            for folder in folders.values():
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                "TensorBoard", expected="a folder that can be written", got=f"{self.log_dir!r}: {error.strerror}"
            ) from None
        there = [
            path.name.split(".")[3] for folder in folders.values() for path in folder.glob("events.out.tfevents.*")
        ]
        second = max(int(time.time()), *(int(name) + 1 for name in there if name.isdigit()), 0)
        name = f"events.out.tfevents.{second}.{os.getpid()}.netchu.v2"
        return {kind: folder / name for kind, folder in folders.items()}

    def _write(self, kind: str, record: bytes) -> None:
        if not self._files:  # an evaluation outside of fit
            self._files = self._new_files()
        path = self._files[kind]
        if not (path.exists() and path.stat().st_size):
            record = event_file.beginning() + record
        appending.append(path, record)
