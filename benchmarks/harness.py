"""Commands that run in turn, each a process of its own, and what their runs gave.

rounds = side_by_side(commands, Setup(data, folder), 5)     # A B C A B C ...
rounds[0]["Keras on TensorFlow"].wall
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SOURCE = HERE.parent / "src"
LIBRARIES = ("netchu", "numpy", "jax", "jaxlib", "keras", "tensorflow", "tensorflow-cpu", "torch", "scikit-learn")
OURS = ("NETCHU_", "KERAS_BACKEND", "JAX_COMPILATION_CACHE_DIR", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Sample:
    """One run of a command.

    Attributes:
        wall: seconds from start to end of the process.
        peak_mb: the most memory it had at a time, in MB of 10^6 bytes.
        told: the JSON object it printed last.
    """

    wall: float
    peak_mb: float
    told: dict[str, Any]


Round = dict[str, Sample]
"""The samples of one round, by the names of the commands; one that failed is not there."""


@dataclass(frozen=True)
class Command:
    """One command of the comparison.

    Attributes:
        name: in the table.
        arguments: for Python; `{data}` is the data folder, `{seed}` the number of the round.
        needs: the libraries without which it is skipped; netchu is that of this checkout.
        environment: variables to set.
        cold: begin with an empty cache folder, in which netchu keeps what JAX has compiled; others share one.
        warm_up: run it once more before the first round; that run does not count.
        skip: a function that gives a reason not to run it, or "".
    """

    name: str
    arguments: tuple[str, ...]
    needs: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    cold: bool = False
    warm_up: bool = False
    skip: Callable[[], str] = lambda: ""

    def reason(self) -> str:
        """Why it cannot run here; "" if it can."""
        missing = [library for library in self.needs if importlib.util.find_spec(library) is None]
        return f"not installed: {', '.join(missing)}" if missing else self.skip()


@dataclass(frozen=True)
class Setup:
    """Where everything lies.

    Attributes:
        data: the folder with MNIST's IDX files.
        folder: an empty one, in which the commands run.
    """

    data: str
    folder: Path

    def environment(self, command: Command, seed: int) -> dict[str, str]:
        """The user's own variables, without those that would change what is measured."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        cache = self.folder / (f"cache-{command.name}-{seed}".replace(" ", "-") if command.cold else "cache")
        path = os.pathsep.join(filter(None, (str(SOURCE), os.environ.get("PYTHONPATH"))))
        ours = {"PYTHONPATH": path, "XDG_CACHE_HOME": str(cache), "TF_CPP_MIN_LOG_LEVEL": "3"}
        return {**clean, **ours, **command.environment}

    def run(self, command: Command, seed: int) -> Sample:
        """Run a command once.

        Raises:
            RuntimeError: it failed; with the last lines that it printed.
        """
        arguments = [part.format(data=self.data, seed=seed) for part in command.arguments]
        printed = self.folder / "stdout"
        complaints = self.folder / "stderr"
        with printed.open("w") as out, complaints.open("w") as err:
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.folder,
                env=self.environment(command, seed),
                stdout=out,
                stderr=err,
            )
            peak = wait(process)
            wall = time.perf_counter() - began
        if process.returncode:
            raise RuntimeError(f"exit code {process.returncode}: {complaints.read_text()[-1500:]}")
        return Sample(wall, peak, json.loads(printed.read_text().strip().splitlines()[-1]))


def wait(process: subprocess.Popen[bytes]) -> float:
    """Wait for the end of a process; its peak memory in MB, NaN where the system does not say."""
    if not hasattr(os, "wait4"):  # Windows
        process.wait()
        return float("nan")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss / 1e6 if sys.platform == "darwin" else usage.ru_maxrss * 1024 / 1e6


def side_by_side(
    commands: Iterable[Command], setup: Setup, rounds: int, after_round: Callable[[list[Round]], None]
) -> list[Round]:
    """Run all commands in turn, `rounds` times; a command that fails is reported, and tried again in the next round."""
    chosen = list(commands)
    for command in chosen:
        if command.warm_up:
            attempt(command, setup, 0, "warm-up")
    done: list[Round] = []
    for number in range(rounds):
        samples = {c.name: attempt(c, setup, number, f"round {number + 1}/{rounds}") for c in chosen}
        done.append({name: sample for name, sample in samples.items() if sample is not None})
        after_round(done)
    return done


def attempt(command: Command, setup: Setup, seed: int, when: str) -> Sample | None:
    """Run a command and say so; None if it failed."""
    try:
        sample = setup.run(command, seed)
    except RuntimeError as error:
        print(f"{when}  {command.name}: FAILED, {error}", file=sys.stderr, flush=True)
        return None
    print(f"{when}  {command.name}: {sample.wall:.2f} s, {sample.told}"[:300], file=sys.stderr, flush=True)
    return sample


def machine() -> dict[str, Any]:
    """Processor, memory, system, versions, and how busy the machine is; no names of hosts or users."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "vectors": [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags],
        "processors": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "versions": {name: version for name in LIBRARIES if (version := installed(name))},
    }


def installed(name: str) -> str:
    """The version of a distribution; "" if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "of this checkout" if name == "netchu" else ""
