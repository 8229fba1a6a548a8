"""Random networks trained beside real Keras: how far netchu is from it, and how far Keras is from itself.

    python tests/long/compare_with_keras.py 120                 # the first 120 networks: half an hour on two cores

Keras on TensorFlow is the measure.  Compared with it are netchu on NumPy and on JAX, Keras on JAX, and Keras on
TensorFlow once more from weights and samples that differ in the last bit: a network that sets those apart says nothing
about netchu.  Each library runs in a process of its own, and they exchange `.npz` files; with `--folder` these stay,
and what is there already is not run again.  Printed is a line for each network, with the largest relative differences
of History and weights, and then the summary.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent / "src")]
warnings.simplefilter("ignore")  # the judges' own

from random_training import Differences, Outcome, Training, compare  # noqa: E402

HISTORY_LIMIT, WEIGHTS_LIMIT = 1e-4, 1e-3

JUDGE, NUDGED = "keras-tensorflow", "keras-tensorflow-nudged"
WORKERS = (JUDGE, "keras-jax", "netchu-numpy", "netchu-jax")
COMPARED = ("netchu-numpy", "netchu-jax", "keras-jax", NUDGED)


# --- one library, in a process of its own ----------------------------------------------------------------------------


def work(worker: str, seeds: range, folder: Path) -> None:
    """Train each network, and keep in `folder` what comes out, or the error."""
    library, _, engine = worker.partition("-")
    for seed in seeds:
        path = folder / f"{seed} {worker}"
        if path.with_suffix(".npz").exists() or path.with_suffix(".txt").exists():
            continue
        try:
            if library == "netchu":
                import netchu

                netchu.set_engine(engine)
                outcome = Training(seed).run(netchu)
            else:
                import keras

                assert keras.backend.backend() == engine
                keras.backend.clear_session()
                if worker == JUDGE:
                    outcome, nudged = Training(seed).run_and_nudged(keras)
                    write(folder / f"{seed} {NUDGED}.npz", nudged)
                else:
                    outcome = Training(seed).run(keras)
            write(path.with_suffix(".npz"), outcome)
        except Exception as error:  # a network that a library cannot train is part of the report
            last = [line for line in str(error).splitlines() if line.strip()][-2:]
            path.with_suffix(".txt").write_text(f"{type(error).__name__}: {' '.join(last):.300}", encoding="utf-8")


def write(path: Path, outcome: Outcome) -> None:
    """Keep an outcome in a file."""
    arrays = {f"history/{name}": np.array(values) for name, values in outcome.history.items()}
    arrays |= {f"weights/{i}": w for i, w in enumerate(outcome.weights)}
    arrays |= {f"figures/{name}": np.array(value) for name, value in outcome.figures.items()}
    np.savez(path, predictions=outcome.predictions, **arrays)


def read(path: Path) -> Outcome:
    """An outcome that `write` kept."""
    with np.load(path) as file:
        parts: dict[str, dict[str, np.ndarray]] = {"history": {}, "weights": {}, "figures": {}}
        for key in file.files:
            if key != "predictions":
                part, _, name = key.partition("/")
                parts[part][name] = file[key]
        history = {name: values.tolist() for name, values in parts["history"].items()}
        figures = {name: float(value) for name, value in parts["figures"].items()}
        return Outcome(history, list(parts["weights"].values()), file["predictions"], figures)


# --- the report ------------------------------------------------------------------------------------------------------


def run_all(seeds: range, folder: Path) -> None:
    """Let the four libraries train all networks, at the same time."""
    processes = []
    for worker in WORKERS:
        command = [sys.executable, __file__, str(len(seeds)), "--first", str(seeds.start)]
        environment = os.environ | {"KERAS_BACKEND": worker.partition("-")[2], "TF_CPP_MIN_LOG_LEVEL": "3"}
        processes.append(
            subprocess.Popen(
                [*command, "--folder", str(folder), "--worker", worker], env=environment, stderr=subprocess.DEVNULL
            )
        )
    if any([process.wait() for process in processes]):
        raise RuntimeError("a worker did not come to its end")


def report(seeds: range, folder: Path) -> None:
    """Compare what lies in the folder; print the lines and the summary."""
    found: dict[str, dict[int, Differences]] = {name: {} for name in COMPARED}
    print("seed  history and weights of", *COMPARED)
    for seed in seeds:
        errors = [path.read_text(encoding="utf-8") for path in sorted(folder.glob(f"{seed} *.txt"))]
        if (folder / f"{seed} {JUDGE}.npz").exists():
            theirs = read(folder / f"{seed} {JUDGE}.npz")
            if not all(np.isfinite(values).all() for values in theirs.history.values()):
                errors.append("Keras's loss is not finite")
            else:
                for name in COMPARED:
                    if (folder / f"{seed} {name}.npz").exists():
                        found[name][seed] = compare(read(folder / f"{seed} {name}.npz"), theirs)
        print(f"{seed:4}", *(row(found[name].get(seed)) for name in COMPARED), Training(seed).words, *errors)
    summarize(found)


def within(found: Differences) -> bool:
    """Whether two libraries did the same."""
    return found.history <= HISTORY_LIMIT and found.largest_of_weights <= WEIGHTS_LIMIT


def row(found: Differences | None) -> str:
    """Two numbers of a line."""
    return "      -      - " if found is None else f"{found.history:7.0e}{found.largest_of_weights:7.0e} "


def summarize(found: dict[str, dict[int, Differences]]) -> None:
    """Print median and worst, and every network outside the limits."""
    limits = f"{HISTORY_LIMIT:.0e} and {WEIGHTS_LIMIT:.0e}"
    print(f"\nAgainst {JUDGE}, relative differences, median and worst; outside: history and weights beyond {limits}")
    print(f"{'':24}{'history':>16}{'weights':>16}{'predictions':>16}{'evaluate':>16}   outside")
    for name in COMPARED:
        nets = list(found[name].values())
        columns = [[d.history, d.largest_of_weights, d.predictions, d.figures] for d in nets]
        texts = "".join(f"{np.median(column):8.0e}{max(column):8.0e}" for column in zip(*columns))
        print(f"{name:24}{texts}   {sum(not within(d) for d in nets)} of {len(nets)}")
    print("\nOutside in one of them:")
    for seed in sorted({seed for nets in found.values() for seed, d in nets.items() if not within(d)}):
        print(f"{seed:4}", *(row(found[name].get(seed)) for name in COMPARED), Training(seed).words)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", type=int, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--folder", type=Path, help="where the outcomes are kept")
    parser.add_argument("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        kept = chosen.folder or Path(temporary)
        of_seeds = range(chosen.first, chosen.first + chosen.networks)
        if chosen.worker:
            work(chosen.worker, of_seeds, kept)
        else:
            kept.mkdir(parents=True, exist_ok=True)
            run_all(of_seeds, kept)
            report(of_seeds, kept)
