"""Load many mutated `.keras` files, and say what came of them: python tools/mutate_keras_files.py [how many] [seed].

A third of the files have bytes changed anywhere, a third in the HDF5 file within a valid archive, a third have another
value somewhere in the configuration.  Expected: only ModelFileError or a model, each file in less than 100 ms.  Takes a
minute for every 20,000 files or so; exits with 1 if anything else came out.
"""

from __future__ import annotations

import copy
import json
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import netchu
from netchu.errors import ModelFileError
from netchu.formats.zip_archive import open_archive, write_archive
from netchu.interop.keras import MEMBERS, WEIGHTS

SEED_FILE = Path(__file__).parents[1] / "tests" / "data" / "by_keras.keras"
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 2**31, 2**62, 10**30, 0.5, -1.5, 1e300, "", "relu", "eval", "os.system", [], [1],
    [None, 3], [[1]], {}, {"class_name": "Lambda", "module": "keras.layers", "config": {}}, "a" * 10_000, [2] * 1000,
]  # fmt: skip


def changed_bytes(data: bytes, rng: random.Random, places: list[int]) -> bytes:
    """The bytes with one to eight changes, most of them where there is something."""
    new = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        place = min(rng.choice(places) if rng.random() < 0.7 else rng.randrange(len(new)), len(new) - 9)
        kind = rng.randrange(7)
        if kind == 0:
            new[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            new[place] = rng.randrange(256)
        elif kind == 2:
            number = rng.choice((0, 1, 2**63, 2**64 - 1, 2**32, len(new), place, rng.randrange(len(new))))
            new[place : place + 8] = number.to_bytes(8, "little")
        elif kind == 3:
            new[place : place + 4] = rng.choice((0, 1, 255, 2**31, 2**32 - 1)).to_bytes(4, "little")
        elif kind == 4:
            other = rng.randrange(len(new) - 64)
            new[place : place + 16] = new[other : other + 16]
        elif kind == 5:
            del new[place]
        elif rng.random() < 0.2:
            del new[rng.randrange(len(new) // 2, len(new)) :]
    return bytes(new)


def changed_config(config: Any, rng: random.Random) -> bytes:
    """The configuration as JSON with one to three values changed, taken away or copied to another key."""
    new = json.loads(json.dumps(config))
    for _ in range(rng.choice((1, 1, 2, 3))):
        holders: list[Any] = [new]
        for holder in holders:  # grows while it is walked
            holders += [
                v for v in (holder.values() if isinstance(holder, dict) else holder) if isinstance(v, dict | list)
            ]
        holder = rng.choice([h for h in holders if h] or [{"a": 1}])
        key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
        kind = rng.randrange(4)
        if kind == 0:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            name = rng.choice(("units", "name", "layers", "config", "class_name", "shape"))
            holder[name] = copy.deepcopy(holder[key])
        else:
            holder[key] = copy.deepcopy(rng.choice(VALUES))
    return json.dumps(new).encode()


def mutated(data: bytes, parts: dict[str, bytes], config: Any, number: int, seed: int) -> bytes:
    """File number `number`: the same one for the same seed."""
    rng = random.Random(f"{seed} {number}")
    if number % 3 == 0:
        return changed_bytes(data, rng, [i for i, byte in enumerate(data) if byte])
    if number % 3 == 1:
        weights = parts[WEIGHTS]
        return write_archive(parts | {WEIGHTS: changed_bytes(weights, rng, [i for i, b in enumerate(weights) if b])})
    return write_archive(parts | {"config.json": changed_config(config, rng)})


def main(count: int = 20_000, seed: int = 0) -> int:
    """Load `count` files; returns how many did what they should not."""
    data = SEED_FILE.read_bytes()
    parts = {name: member.read() for name, member in open_archive(data, MEMBERS).items()}
    config = json.loads(parts["config.json"])
    outcomes: Counter[str] = Counter()
    slowest, wrong = (0.0, -1), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutated.keras"
        path.write_bytes(data)
        netchu.models.load_model(path)  # what is slow once
        for number in range(count):
            path.write_bytes(mutated(data, parts, config, number, seed))
            start = time.perf_counter()
            try:
                netchu.models.load_model(path)
                outcome = "loaded"
            except ModelFileError:
                outcome = "ModelFileError"
            except BaseException as error:  # what is looked for
                outcome = type(error).__name__
                wrong.append((number, repr(error)[:200]))
            slowest = max(slowest, (1000 * (time.perf_counter() - start), number))
            outcomes[outcome] += 1
    print(f"{count} files, seed {seed}: {dict(outcomes)}; slowest {slowest[0]:.0f} ms (file {slowest[1]})")
    for number, error in wrong[:10]:
        print(f"file {number}: {error}")
    return len(wrong) + (slowest[0] > 100)


if __name__ == "__main__":
    sys.exit(bool(main(*map(int, sys.argv[1:3]))))
