"""Callbacks: code that runs at each turn of the training loop, with Keras's hooks, names and decisions.

    model.fit(x, y, validation_split=0.1, epochs=100, callbacks=[
        callbacks.EarlyStopping(patience=3, restore_best_weights=True),
        callbacks.ModelCheckpoint("best.safetensors", save_best_only=True),
    ])

| file | what |
| --- | --- |
| `base.py` | `Callback`, from which you derive your own; `CallbackList`, `History`, `LambdaCallback` |
| `stopping.py` | `EarlyStopping`, `TerminateOnNaN` |
| `learning_rate.py` | `LearningRateScheduler`, `ReduceLROnPlateau` |
| `model_checkpoint.py` | `ModelCheckpoint` |
| `averaging.py` | `SwapEMAWeights` |
| `backup.py` | `BackupAndRestore` |
| `logs.py` | `CSVLogger`, `RunLog` |
| `tensorboard.py` | `TensorBoard`, with `event_file.py` |
| `progress.py` | the progress line of `fit`, `evaluate` and `predict` |
| `monitoring.py`, `appending.py` | which way a figure is better; files that survive |

`get_state` gives what a callback needs to go on after a crash.  Where a log cannot be written, or a model cannot be
saved, in the middle of a training, a RuntimeWarning names the file, and the training goes on.
"""

from netchu.callbacks.averaging import SwapEMAWeights
from netchu.callbacks.backup import BackupAndRestore
from netchu.callbacks.base import Callback, CallbackList, History, LambdaCallback, Logs, State
from netchu.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from netchu.callbacks.logs import CSVLogger, RunLog
from netchu.callbacks.model_checkpoint import ModelCheckpoint
from netchu.callbacks.stopping import EarlyStopping, TerminateOnNaN
from netchu.callbacks.tensorboard import TensorBoard
from netchu.left_to_keras import missing_names

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

__getattr__ = missing_names("callbacks")
