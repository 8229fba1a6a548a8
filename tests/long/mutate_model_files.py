"""Change model files by chance, many times, and see that each is refused or works.

    python tests/long/mutate_model_files.py [--count 200000] [--processes 2] [--seed 0]

Five small models are changed as `mutated_files.py` says.  Each changed file must raise ModelFileError, or load and
predict finite numbers (unless it holds large ones), without any event that an audit hook sees but opening the file.
Prints one JSON object; the exit code is 1 if anything was wrong.  200,000 files take a few minutes.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from mutated_files import OUTCOMES, mutated, outcome_of_bytes, seed_files
from read_hostile_files import Watch

WARM_UP = 500  # what is imported at the first error of a kind is not the file's doing


def read_many(work: tuple[int, int]) -> dict[str, Any]:
    """Change and read `count` files from `seed`: counts, the slowest, the memory, and all that is wrong."""
    seed, count = work
    rng = np.random.default_rng([seed, count])
    counts: collections.Counter[str] = collections.Counter()
    found: dict[str, Any] = {"wrong": [], "slowest": (0.0, ""), "events": []}
    with tempfile.TemporaryDirectory() as name:
        seeds, path, watch = seed_files(Path(name)), Path(name) / "mutated.safetensors", Watch()
        for i in range(count + WARM_UP):
            what, data = mutated(rng, *seeds[i % len(seeds)])
            path.write_bytes(data)
            if i == WARM_UP:
                counts.clear()
            began = time.process_time()
            if i >= WARM_UP:
                watch.begin(str(path))
            outcome = outcome_of_bytes(path, data)
            events = [event for event in watch.end() if not is_own(event, str(path))]
            found["slowest"] = max(found["slowest"], (time.process_time() - began, what)) if i >= WARM_UP else (0.0, "")
            counts[outcome if outcome in OUTCOMES else "wrong"] += 1
            if outcome not in OUTCOMES or events:
                found["wrong"].append(f"seed {seed}, number {i}, {what}: {outcome} {events}")
    return found | {"counts": dict(counts), "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}


def is_own(event: str, path: str) -> bool:
    """Whether it is this script writing the file that is then read."""
    return event.startswith("open") and path in event


def main() -> int:
    """Read the arguments, do the work, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began = time.monotonic()
    work = [(given.seed + i, given.count // given.processes) for i in range(given.processes)]
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        parts = pool.map(read_many, work)
    counts = sum((collections.Counter(part["counts"]) for part in parts), collections.Counter())
    wrong = [text for part in parts for text in part["wrong"]]
    slowest = max(part["slowest"] for part in parts)
    memory = [part["memory_mb"] for part in parts]
    summary = {"counts": counts, "slowest_cpu_seconds": slowest, "memory_peak_mb": memory, "wrong": wrong[:50]}
    print(json.dumps(summary | {"seconds": round(time.monotonic() - began, 1)}, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
