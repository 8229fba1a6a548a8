"""Time the main job as whole processes, netchu beside its peers, in turn; see README.md in this folder."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass
class Job:
    """One command of the comparison and what its runs gave."""

    name: str
    arguments: list[str]
    needs: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)

    def missing(self) -> list[str]:
        """The libraries that are not installed."""
        return [library for library in self.needs if importlib.util.find_spec(library) is None]

    def run(self) -> None:
        """Run it once, keep the seconds and the JSON object that it prints last."""
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *self.arguments],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **self.environment},
            capture_output=True,
            text=True,
        )
        self.seconds.append(time.perf_counter() - began)
        if done.returncode:
            sys.exit(f"{self.name} failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
        self.results.append(json.loads(done.stdout.strip().splitlines()[-1]))


def jobs(data: str, out: str) -> list[Job]:
    """What is compared: the first is what the ratios refer to."""
    train = ["-m", "netchu", "train", "--data", data, "--out", out, "--json"]
    peer = [str(HERE / "peers" / "keras_main_job.py"), data]
    return [
        Job("netchu, numpy", [*train, "--engine", "numpy"], ["netchu"]),
        Job("netchu, jax", [*train, "--engine", "jax"], ["netchu", "jax"]),
        Job("Keras on TensorFlow", peer, ["keras", "tensorflow"], {"KERAS_BACKEND": "tensorflow"}),
        Job("Keras on JAX", peer, ["keras", "jax"], {"KERAS_BACKEND": "jax"}),
        Job("Keras on PyTorch", peer, ["keras", "torch"], {"KERAS_BACKEND": "torch"}),
    ]


def table(done: list[Job], skipped: list[Job]) -> str:
    """A Markdown table of the runs."""
    rows = ["| command | median s | range s | ratio to the first (median of pairs) | n | test accuracy |",
            "| --- | --- | --- | --- | --- | --- |"]  # fmt: skip
    for job in done:
        ratio = statistics.median(a / b for a, b in zip(job.seconds, done[0].seconds))
        accuracies = [result["test_accuracy"] for result in job.results]
        rows.append(
            f"| {job.name} | {statistics.median(job.seconds):.2f} | {min(job.seconds):.2f}-{max(job.seconds):.2f} "
            f"| {ratio:.2f} | {len(job.seconds)} | {min(accuracies):.4f}-{max(accuracies):.4f} |"
        )
    rows += [f"| {job.name} | skipped: not installed: {', '.join(job.missing())} | | | | |" for job in skipped]
    versions = {name: _version(name) for name in ("netchu", "numpy", "jax", "keras", "tensorflow_cpu", "torch")}
    rows += ["", f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python "
             f"{platform.python_version()}, {', '.join(f'{k} {v}' for k, v in versions.items() if v)}."]  # fmt: skip
    return "\n".join(rows)


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def main() -> None:
    """Run the comparison and print its table; `--json FILE` keeps every figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with MNIST's four IDX files")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", default="benchmark-model.safetensors", help="where netchu writes its model")
    parser.add_argument("--json", help="file for all figures")
    chosen = parser.parse_args()

    compared = jobs(chosen.data, chosen.out)
    skipped = [job for job in compared if job.missing()]
    done = [job for job in compared if not job.missing()]
    for number in range(chosen.rounds):
        for job in done:
            job.run()
            print(f"round {number + 1}/{chosen.rounds}  {job.name}: {job.seconds[-1]:.2f} s", file=sys.stderr)
    Path(chosen.out).unlink(missing_ok=True)
    print(table(done, skipped))
    if chosen.json:
        figures = {job.name: {"seconds": job.seconds, "results": job.results} for job in done}
        Path(chosen.json).write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
