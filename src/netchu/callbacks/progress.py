"""The progress line of `fit`, `evaluate` and `predict`, in Keras's form.

On a terminal it is a bar that is redrawn in place; in a file or a pipe it is one plain line an epoch, without control
characters.

    Epoch 1/5
    469/469 ━━━━━━━━━━━━━━━━━━━━ 2s 4ms/step - accuracy: 0.9236 - loss: 0.2626

    Epoch 1/5 - 469/469 - 2s - 4ms/step - accuracy: 0.9236 - loss: 0.2626
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from typing import TextIO

from netchu.callbacks.base import Callback, Logs
from netchu.errors import UsageError
from netchu.system.printing import is_terminal, say

BAR_WIDTH = 20
REDRAW_SECONDS = 0.05


def checked_verbose(verbose: object) -> int | str:
    """What `verbose` means: 1 for "auto"; 0, 1, 2 and "steps:100" as they are.  Raises UsageError for anything else."""
    if verbose == "auto" or verbose is True:
        return 1
    if verbose in (0, 1, 2):
        return int(verbose)
    if isinstance(verbose, str) and verbose.startswith("steps:") and verbose[6:].isdigit() and int(verbose[6:]) > 0:
        return verbose
    raise UsageError("verbose", expected='"auto", 0, 1, 2 or "steps:100"', got=f"verbose={verbose!r}")


def step_time(seconds: float) -> str:
    """3.2 -> "3s/step", 0.004 -> "4ms/step", 0.00002 -> "20us/step"."""
    if seconds >= 1 or seconds == 0:
        return f"{seconds:.0f}s/step"
    return f"{seconds * 1e3:.0f}ms/step" if seconds >= 1e-3 else f"{seconds * 1e6:.0f}us/step"


def clock(seconds: float) -> str:
    """75 -> "1:15", 7 -> "7s"."""
    if seconds >= 3600:
        return f"{seconds // 3600:.0f}:{seconds % 3600 // 60:02.0f}:{seconds % 60:02.0f}"
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}" if seconds >= 60 else f"{seconds:.0f}s"


def figures(logs: Logs | None) -> str:
    """The text " - name: value" for each, with four decimals, or scientific where those would show nothing."""
    shown = {name: float(value) for name, value in (logs or {}).items()}
    return "".join(f" - {name}: {v:.4f}" if abs(v) > 1e-3 else f" - {name}: {v:.4e}" for name, v in shown.items())


class ProgressLine(Callback):
    """Draws the line.

    Args:
        verbose: 0 nothing, 1 a bar (plain lines where there is no terminal), 2 plain lines, "steps:N" the loss every
            N steps in the tutorial's form.
        stream: where it is written; standard output if None.
    """

    def __init__(self, verbose: int | str = 1, stream: TextIO | None = None) -> None:
        self.verbose = verbose
        self._stream = stream
        self._every = int(str(verbose)[6:]) if str(verbose).startswith("steps:") else 0
        self._in_fit = False

    @property
    def stream(self) -> TextIO | None:
        """Standard output as it is now, unless another stream was given; None where there is none."""
        return self._stream or sys.stdout

    @property
    def bar(self) -> bool:
        """Whether a line may be redrawn."""
        return self.verbose == 1 and is_terminal(self.stream) and os.environ.get("TERM") != "dumb"

    def _print(self, text: str, end: str = "\n") -> None:
        say(text, stream=self._stream, end=end)

    # --- fit ---------------------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Validation inside fit draws no line of its own."""
        self._in_fit = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Fit is over."""
        self._in_fit = False

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """The heading, on a line of its own as Keras has it, or ahead of the epoch's one plain line."""
        heading = f"Epoch {epoch + 1}/{self.params['epochs']}" if self.params["epochs"] > 1 else ""
        if self._every:
            self._print(f"Epoch {epoch}")
        elif heading and (self.bar or self.verbose == 2):
            self._print(heading)
        self._start()
        self._heading = f"{heading} - " if heading and self.verbose == 1 else ""

    def next_batch(self, batch: int) -> float:
        """The next batch whose loss is to be printed; the bar is drawn whenever a hook is called."""
        return -(-batch // self._every) * self._every if self._every else math.inf

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Draw the steps done so far."""
        self._advance(batch, logs)
        if self._every and batch % self._every == 0:
            self._print(f"loss at batch {batch}: {float((logs or {}).get('loss', float('nan'))):.2f}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Finish the line, validation included."""
        self._finish(logs)

    # --- evaluate and predict ----------------------------------------------------------------------------------------

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Start the clock, unless inside fit."""
        if not self._in_fit:
            self._start()

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Draw the batches done so far, unless inside fit."""
        if not self._in_fit:
            self._advance(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Finish the line, unless inside fit."""
        if not self._in_fit:
            self._finish(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Start the clock."""
        self._start()

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Draw the batches done so far."""
        self._advance(batch, None)

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Finish the line."""
        self._finish(None)

    # --- drawing -----------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._heading = ""
        self._began = self._first_step_done = time.monotonic()
        self._drawn = 0.0
        self._steps = self._first_steps = 0

    def _advance(self, batch: int, logs: Logs | None) -> None:
        now = time.monotonic()
        self._steps = batch + 1
        if not self._first_steps:  # compiling and first touches do not count into the time of a step
            self._first_steps = self._steps
            self._first_step_done = now
        if self.bar and now - self._drawn >= REDRAW_SECONDS:
            self._drawn = now
            self._print(self._line(now, logs, done=False), end="")

    def _finish(self, logs: Logs | None) -> None:
        if not self.verbose or self._every:
            return
        now = time.monotonic()
        if self.bar:
            self._print(self._line(now, logs, done=True))
        else:
            total = self.params.get("steps") or self._steps
            per_step = step_time(self._seconds_a_step(now))
            passed = f"{self._steps}/{total} - {now - self._began:.0f}s - {per_step}"
            self._print(f"{self._heading}{passed}{figures(logs)}")

    def _seconds_a_step(self, now: float) -> float:
        if self._steps > self._first_steps:
            return (now - self._first_step_done) / (self._steps - self._first_steps)
        return (now - self._began) / max(self._steps, 1)

    def _line(self, now: float, logs: Logs | None, *, done: bool) -> str:
        total = self.params.get("steps")
        count = f"{self._steps}/{total or 'Unknown'}"
        per_step = self._seconds_a_step(now)
        filled = BAR_WIDTH * min(self._steps, total) // total if total else 0
        seconds = now - self._began if done or not total else per_step * (total - self._steps)
        tail = f" {clock(seconds)} {step_time(per_step)}{figures(logs)}"
        room = shutil.get_terminal_size().columns - 1
        text = f"{count} {'━' * filled}{'─' * (BAR_WIDTH - filled)}{tail}"
        if len(text) > room:  # a narrow terminal: the figures matter more than the bar
            text = f"{count}{tail}"[: max(room, 1)]
        elif "NO_COLOR" not in os.environ:
            text = (
                f"\033[1m{count}\033[0m \033[32m{'━' * filled}\033[0m{'━' * (BAR_WIDTH - filled)}\033[1m{tail}\033[0m"
            )
        return f"\r\033[K{text}"
