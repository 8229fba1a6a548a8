"""Measure netchu beside its peers, everything in turn on one machine; see README.md in this folder.

    python benchmarks/run.py --data FOLDER
    python benchmarks/run.py --data FOLDER --rows main_job,steady --rounds 5 --json all.json --markdown table.md

A round runs every command once, A B C ...; a figure is made within a round, and the table has the median over the
rounds.  The files are written anew after each round: a run that is stopped leaves what it has measured.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bars import BARS, BESIDE_THEM, LONG, Bar
from commands import COMMANDS
from harness import Command, Round, Setup, machine, side_by_side
from tables import document

ROWS = list(dict.fromkeys(bar.row for bar in BARS))


def rows(text: str) -> list[str]:
    """`"steady,conv"` as a list."""
    chosen = text.split(",")
    if unknown := set(chosen) - set(ROWS):
        raise argparse.ArgumentTypeError(f"expected some of {','.join(ROWS)}, got {','.join(sorted(unknown))}")
    return chosen


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder with MNIST's four IDX files")
    parser.add_argument("--rows", type=rows, default=[row for row in ROWS if row not in LONG], help=",".join(ROWS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bars-only", action="store_true", help="leave out what no bar needs")
    parser.add_argument("--json", help="file for every figure")
    parser.add_argument("--markdown", help="file for the tables, which are printed in any case")
    return parser.parse_args()


def commands_of(bars: list[Bar], chosen_rows: list[str]) -> list[Command]:
    """The commands that the bars are made of, and those beside them in these rows, in their own order."""
    names = {name for bar in bars for name in (*bar.needs, *bar.either)}
    names |= {name for row in chosen_rows for name in BESIDE_THEM.get(row, ())}
    return [command for command in COMMANDS if command.name in names]


def as_json(bars: list[Bar], rounds: list[Round], skipped: dict[str, str], about: dict[str, Any]) -> str:
    """Every figure of the run."""
    figures = [
        {key: getattr(bar, key) for key in ("row", "what", "beside", "unit", "floor", "aim")}
        | {"figures": bar.figures(rounds)}
        for bar in bars
    ]
    samples = [{name: asdict(sample) for name, sample in r.items()} for r in rounds]
    return json.dumps({"machine": about, "bars": figures, "rounds": samples, "skipped": skipped}, indent=1) + "\n"


def main() -> None:
    """Run what was chosen and print the tables."""
    chosen = arguments()
    about = machine()
    bars = [bar for bar in BARS if bar.row in chosen.rows]
    commands = commands_of(bars, [] if chosen.bars_only else chosen.rows)
    skipped = {command.name: reason for command in commands if (reason := command.reason())}

    def write(rounds: list[Round]) -> None:
        """Both files as far as they are known."""
        if chosen.json:
            Path(chosen.json).write_text(as_json(bars, rounds, skipped, about), encoding="utf-8")
        if chosen.markdown:
            Path(chosen.markdown).write_text(document(bars, commands, rounds, skipped, about), encoding="utf-8")

    with tempfile.TemporaryDirectory(prefix="netchu-benchmarks-") as folder:
        setup = Setup(str(Path(chosen.data).resolve()), Path(folder))
        runnable = [command for command in commands if command.name not in skipped]
        rounds = side_by_side(runnable, setup, chosen.rounds, write)
    print(document(bars, commands, rounds, skipped, about))
    if any(len(r) < len(runnable) for r in rounds):
        sys.exit("A command failed: see above.")


if __name__ == "__main__":
    main()
