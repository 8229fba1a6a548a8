"""`netchu bench`: how fast each installed engine learns on this machine, and which one to take.

Each engine runs the main job's network (512 hidden units, RMSprop, batches of 128) in a process of its own, so that
none sees another's threads or memory.  A second column says what the starting costs (imports, data, compilation), a
third what share of the time the two large products would take at the speed that one big product reaches here.

Limits: run it alone; beside other work the figures mean nothing.  It takes 10 to 20 seconds an engine.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Annotated, Any

from netchu.cli.info import library_version
from netchu.cli.options import DEFAULTS, Common, Data, flag
from netchu.cli.outcome import FAILURE, OK
from netchu.cli.output import message, result, result_json
from netchu.errors import UsageError, missing_extra, unknown_name
from netchu.system.signals import Terminated, ending_by_signal

SIDE = 2048  # of the big product's square matrices
TIMES = 10  # how often it is measured
MAIN_JOB_EPOCHS = 5


@dataclass(frozen=True)
class Speed:
    """What was measured of one engine.

    Attributes:
        name: of the engine.
        measured: the JSON object of `bench_engine`.
        wall: seconds of the whole process.
        peak: floating-point operations a second of the big product.
    """

    name: str
    measured: dict[str, Any]
    wall: float
    peak: float

    @property
    def epoch(self) -> float:
        """Seconds an epoch, the median of all but the first."""
        return float(statistics.median(self.measured["seconds"][1:]))

    @property
    def start(self) -> float:
        """Seconds that are no epoch: imports, data, and what the first epoch took longer than the others."""
        return self.wall - float(sum(self.measured["seconds"][1:])) - self.epoch

    @property
    def main_job(self) -> float:
        """Seconds of the whole main job."""
        return self.start + MAIN_JOB_EPOCHS * self.epoch

    @property
    def share(self) -> float:
        """Seconds of the two large products at the machine's peak, by those of the epoch."""
        return float(self.measured["products"]) / self.peak / self.epoch

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "epoch_seconds": round(self.epoch, 4),
            "start_seconds": round(self.start, 4),
            "images_per_second": round(self.measured["images"] / self.epoch),
            "share_of_peak": round(self.share, 4),
            **{name: self.measured[name] for name in ("threads", "version")},
        }


def bench(
    *,
    data: Data = None,
    seconds: Annotated[float, flag("How long to measure each engine, at least.")] = 5.0,
    common: Common = DEFAULTS,
) -> int:
    """Measure and report; the exit code."""
    if not (math.isfinite(seconds) and seconds >= 0):
        raise UsageError("--seconds", expected="a number from 0", got=f"{seconds:g}")
    names = chosen_engines(common.engine)
    from netchu.digits.data import is_sample, load_data

    found = load_data(data, common.say)
    source = "sample" if is_sample(found) else data or ""
    common.say("Measuring; leave the machine alone meanwhile.")
    peak = peak_speed()
    speeds = []
    failed = {}
    try:
        with ending_by_signal():  # so that the engine's process ends with this one
            for name in names:
                common.say(f"  {name} ...")
                try:
                    speeds.append(measured(name, seconds, source, peak))
                except RuntimeError as error:
                    failed[name] = str(error)
    except Terminated:
        message("Stopped by a signal.")
        return FAILURE
    missing = [name for name in engine_names() if library_version(name) is None]
    if common.json:
        about = {"name": found.name, "source": found.source, "train": len(found.x_train)}
        measured_ones = {speed.name: speed.as_json() for speed in speeds}
        report = {"schema": 1, "data": about, "peak_gflops": round(peak / 1e9, 1), "engines": measured_ones}
        result_json({**report, "failed": failed, "missing": missing, "fastest": fastest(speeds)})
    else:
        result("\n".join([*table(speeds), *(f"{name}: failed: {why}" for name, why in failed.items())]))
        result(f"One big product runs at {peak / 1e9:.0f} GFLOP/s here. {advice(speeds, missing)}")
    return FAILURE if failed else OK


# --- measuring -------------------------------------------------------------------------------------------------------


def engine_names() -> list[str]:
    """Every engine, the default first."""
    from netchu import engines

    return sorted(engines.engine_names(), key=lambda name: (name != "numpy", name))


def chosen_engines(engine: str | None) -> list[str]:
    """The one that was asked for, or all that are installed.

    Raises:
        UsageError: no engine of that name.
        MissingExtraError: its library is not installed.
    """
    if engine is None:
        return [name for name in engine_names() if library_version(name) is not None]
    if engine not in engine_names():
        raise unknown_name("engine", engine, engine_names())
    if library_version(engine) is None:
        raise missing_extra(f"The engine {engine!r}", engine, engine)
    return [engine]


def peak_speed() -> float:
    """Floating-point operations a second of a product of two large float32 matrices, the best of many."""
    import numpy as np

    a = np.ones((SIDE, SIDE), np.float32)
    out = np.empty_like(a)
    best = float("inf")
    for _ in range(TIMES):
        began = time.perf_counter()
        np.matmul(a, a, out=out)
        best = min(best, time.perf_counter() - began)
    return 2 * SIDE**3 / best


def measured(name: str, seconds: float, data: str, peak: float) -> Speed:
    """Run an engine in a process of its own.

    Raises:
        RuntimeError: it failed; with its last words.
    """
    variables = {key: value for key, value in os.environ.items() if key != "NETCHU_ENGINE"}
    command = [sys.executable, "-m", "netchu.cli.bench_engine", name, str(seconds), data]
    began = time.perf_counter()
    done = subprocess.run(
        command, env={**variables, "TF_CPP_MIN_LOG_LEVEL": "3"}, capture_output=True, text=True, errors="replace"
    )
    wall = time.perf_counter() - began
    if done.returncode:
        words = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise RuntimeError(words[0].removeprefix("netchu: "))
    return Speed(name, json.loads(done.stdout.strip().splitlines()[-1]), wall, peak)


# --- the words -------------------------------------------------------------------------------------------------------


def table(speeds: list[Speed]) -> list[str]:
    """A line for each engine, at most 50 columns."""
    lines = [f"{'engine':10}  {'epoch':>8}  {'start':>7}  {'images/s':>9}  {'of peak':>7}"]
    for speed in speeds:
        rate = speed.measured["images"] / speed.epoch
        lines.append(f"{speed.name:10}  {speed.epoch:6.2f} s  {speed.start:5.1f} s  {rate:9,.0f}  {speed.share:7.0%}")
    return lines


def fastest(speeds: list[Speed]) -> str | None:
    """The engine whose epoch is the shortest; None if none could be measured."""
    return min(speeds, key=lambda speed: speed.epoch).name if speeds else None


def advice(speeds: list[Speed], missing: list[str]) -> str:
    """Which engine to take, in a line."""
    if not speeds:
        return "No engine could be measured."
    short = min(speeds, key=lambda speed: speed.main_job)
    long = min(speeds, key=lambda speed: speed.epoch)
    if short is long:
        words = f"Take {long.name}: NETCHU_ENGINE={long.name}, or --engine {long.name}."
    else:
        epochs = (long.start - short.start) / (short.epoch - long.epoch)
        words = f"Take {short.name} up to {epochs:.0f} epochs, {long.name} for more: --engine {long.name}."
    more = [f"pip install 'netchu[{name}]'" for name in missing if name == "jax"]
    return f"{words} To try jax too: {more[0]}" if more else words
