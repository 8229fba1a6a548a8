"""Kills trainings with `kill -9` at random moments until they are done, and compares what comes out.

    PYTHONPATH=src python tests/long/kill_runs.py --kills 100 --engine numpy

`netchu train` runs on the packaged sample and is started again with `--resume` after each kill.  Half of the kills come
at a random time, half between two system calls of a file's writing (or in the middle of one).  Each finished run must
give the model file of an undisturbed one, byte for byte, must never have met a damaged checkpoint, and must leave no
temporary file.  Prints a table; the exit code is 1 if anything was wrong.

This folder is for what takes too long for the tests; test_cli_train_runs.py runs it with a few kills.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src"
TRAIN = ["train", "--data", "sample", "--layers", "16", "--epochs", "6", "--checkpoint-every", "7", "--run", "run"]
MODEL = "netchu-model.safetensors"

# Before or after these calls, or in the middle of a write, the process kills itself.
POINTS = [
    f"{when} {name}" for name in ("fdopen", "fsync", "chmod", "replace", "unlink") for when in ("before", "after")
]
POINTS.append("amid write")

CHILD = """
import io, itertools, os, signal, sys
from pathlib import Path

def die():
    os.kill(os.getpid(), signal.SIGKILL)

when, name, count = os.environ.get("KILL_AT", "never at 0").split()
calls = itertools.count(1)
owner = {"unlink": Path, "write": io.BytesIO}.get(name, os)

def dies(*given, **more):
    if next(calls) != int(count):
        return real(*given, **more)
    if when == "after":
        real(*given, **more)
    die()

class Torn(io.FileIO):
    def write(self, data):
        super().write(memoryview(data)[: len(data) // 2])
        die()

def torn(descriptor, mode):
    return Torn(descriptor, mode) if next(calls) == int(count) else real(descriptor, mode)

if when == "amid":
    real, os.fdopen = os.fdopen, torn
elif when != "never":
    real = getattr(owner, name)
    setattr(owner, name, dies)
from netchu.cli import main
sys.exit(main())
"""


def started(folder: Path, engine: str, kill_at: str = "") -> subprocess.Popen[bytes]:
    """A training in a folder: begun, or resumed where there is one."""
    arguments = ["train", "--resume", "run"] if (folder / "run" / "settings.json").exists() else TRAIN
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "NETCHU_OFFLINE": "1", "NETCHU_THREADS": "0"}  # equal runs
    if kill_at:
        environment["KILL_AT"] = kill_at
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments, "--engine", engine],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def attempt(folder: Path, engine: str, draw: random.Random, seconds: float) -> tuple[str, int, str]:
    """One start: how it was to be killed, its exit code, and what it said."""
    kill_at = f"{draw.choice(POINTS)} {draw.randrange(1, 40)}" if draw.random() < 0.5 else ""
    with started(folder, engine, kill_at) as training:
        if not kill_at:
            try:
                training.wait(draw.uniform(0, seconds))
            except subprocess.TimeoutExpired:
                training.kill()
        said = training.communicate(timeout=300)[1].decode()
    return kill_at.rpartition(" ")[0] or "at a random time", training.returncode, said


def hash_of(folder: Path) -> str:
    """Of the model file."""
    return hashlib.sha256((folder / MODEL).read_bytes()).hexdigest()


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="Kill trainings at random moments.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--engine", default="numpy")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    draw, kills, runs, wrong = random.Random(options.seed), Counter[str](), 0, []
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place, "undisturbed")
        whole.mkdir()
        began = time.monotonic()
        with started(whole, options.engine) as training:
            said = training.communicate()[1].decode()
        seconds = time.monotonic() - began
        if training.returncode != 0:
            print(said)
            return 1
        while kills.total() < options.kills:
            runs += 1
            folder = Path(place, str(runs))
            folder.mkdir()
            code = -signal.SIGKILL
            while code == -signal.SIGKILL:
                how, code, said = attempt(folder, options.engine, draw, seconds)
                kills[how] += code == -signal.SIGKILL
                if code not in (0, -signal.SIGKILL) or "Passed over" in said or "Traceback" in said:
                    wrong.append(f"run {runs}, killed {how}: exit code {code}: {said[-500:]}")
            if code == 0 and hash_of(folder) != hash_of(whole):
                wrong.append(f"run {runs}: another model")
            wrong += [f"run {runs} left {path.name}" for path in folder.rglob("*.tmp")]
    for how, number in sorted(kills.items()):
        print(f"{number:6}  killed {how}")
    print(f"{kills.total():6}  kills in {runs} runs on {options.engine}; undisturbed: {seconds:.1f} s")
    print(f"{len(wrong):6}  things wrong", *wrong, sep="\n        ")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
