"""Callbacks: code that runs at each turn of the training loop, with Keras's hooks, names and decisions.

    model.fit(x, y, validation_split=0.1, epochs=100, callbacks=[
        callbacks.EarlyStopping(patience=3, restore_best_weights=True),
        callbacks.ModelCheckpoint("best.safetensors", save_best_only=True),
    ])

| file | what |
| --- | --- |
| `base.py` | `Callback`, from which one's own are derived; `CallbackList`, `History`, `LambdaCallback` |
| `stopping.py` | `EarlyStopping`, `TerminateOnNaN` |
| `learning_rate.py` | `LearningRateScheduler`, `ReduceLROnPlateau` |
| `saving.py` | `ModelCheckpoint` |
| `averaging.py` | `SwapEMAWeights` |
| `backup.py` | `BackupAndRestore` |
| `logs.py` | `CSVLogger`, `RunLog` |
| `tensorboard.py` | `TensorBoard`, with `event_file.py` |
| `monitoring.py`, `appending.py` | which way a figure is better; files that survive |

What a callback needs to go on after a crash is its `get_state`.  A log that cannot be written, or a model that cannot
be saved, in the midst of a training is a RuntimeWarning that names the file, not the end of the training.
"""

from netchu.callbacks.averaging import SwapEMAWeights
from netchu.callbacks.backup import BackupAndRestore
from netchu.callbacks.base import Callback, CallbackList, History, LambdaCallback, Logs, State
from netchu.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from netchu.callbacks.logs import CSVLogger, RunLog
from netchu.callbacks.model_checkpoint import ModelCheckpoint
from netchu.callbacks.stopping import EarlyStopping, TerminateOnNaN
from netchu.callbacks.tensorboard import TensorBoard

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "Logs",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "RunLog",
    "State",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]
