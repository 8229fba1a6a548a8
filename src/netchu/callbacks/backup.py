"""BackupAndRestore: a `fit` that was cut at any moment goes on where it was, bit for bit."""

from __future__ import annotations

from os import PathLike

from netchu.arguments import checked_path, positive_integer
from netchu.callbacks.base import Callback
from netchu.errors import UsageError


class BackupAndRestore(Callback):
    """Saves all of a training run, and restores it when `fit` is called again with the same folder.

        model.fit(x, y, epochs=50, callbacks=[BackupAndRestore("backup")])      # killed, and started again: goes on

    What comes out is what an undisturbed run gives, to the last bit, on every engine: weights, optimizer, random
    layers, figures of the epoch, History and the state of each callback are restored, in the middle of an epoch too.
    SIGTERM saves and ends the process with exit code 75.  The work is done by `netchu.training.resuming`; data
    and settings must be the same, and the data must be arrays.

    Args:
        backup_dir: a folder of this run alone; made if it is missing.
        save_freq: "epoch", or a number of batches.
        double_checkpoint: for Keras's signature; the newest `keep` are kept in any case.
        delete_checkpoint: whether to remove the checkpoints when the training is over.
        keep: how many of the newest checkpoints are kept.

    Raises:
        UsageError: a `save_freq` or a `keep` that is no positive whole number.
    """

    def __init__(
        self,
        backup_dir: str | PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
        *,
        keep: int = 3,
    ) -> None:
        if save_freq != "epoch":
            save_freq = positive_integer("BackupAndRestore", "save_freq", save_freq)
        if not checked_path("BackupAndRestore", backup_dir=backup_dir):
            raise UsageError("BackupAndRestore", expected="the name of a folder", got="backup_dir=''")
        self.backup_dir = backup_dir
        self.save_freq = save_freq
        self.keep = positive_integer("BackupAndRestore", "keep", keep)
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
