"""The results as Markdown: the bars, then every command's own figures, then the machine."""

from __future__ import annotations

import statistics
from typing import Any

from bars import Bar
from harness import Command, Round


def median_and_range(values: list[float], form: str = ".2f") -> tuple[str, str]:
    """`("0.42", "0.40-0.47")`; dashes for no values."""
    if not values:
        return "-", "-"
    return f"{statistics.median(values):{form}}", f"{min(values):{form}}-{max(values):{form}}"


def table_of_bars(bars: list[Bar], rounds: list[Round], skipped: dict[str, str]) -> list[str]:
    """A line for each bar; for one that was not measured, the reason."""
    lines = ["| what | beside | median | range | n | floor | holds | aim | holds |", "| --- " * 9 + "|"]
    for bar in bars:
        values = bar.figures(rounds)
        if not values:
            missing = [name for name in (*bar.needs, *bar.either) if name in skipped]
            reason = "; ".join(f"{name}: {skipped[name]}" for name in missing) or "no round was finished"
            lines.append(f"| {bar.what} | {bar.beside} | skipped ({reason}) | | | | | | |")
            continue
        middle, spread = median_and_range(values)
        value = statistics.median(values)
        bounds = [
            cell
            for bound in (bar.floor, bar.aim)
            for cell in ("" if bound is None else f"{bound:g} {bar.unit}", bar.holds(value, bound))
        ]
        lines.append(
            f"| {bar.what} | {bar.beside} | {middle} {bar.unit} | {spread} | {len(values)} | {' | '.join(bounds)} |"
        )
    return lines


def table_of_commands(commands: list[Command], rounds: list[Round], skipped: dict[str, str]) -> list[str]:
    """A line for each command: the whole process, an epoch after the first, accuracy, memory."""
    lines = [
        "| command | whole process s | range | an epoch s | range | test accuracy | peak MB | n |",
        "| --- " * 8 + "|",
    ]
    for command in commands:
        samples = [r[command.name] for r in rounds if command.name in r]
        if not samples:
            lines.append(f"| {command.name} | {skipped.get(command.name, 'failed')} | | | | | | 0 |")
            continue
        epochs = [statistics.median(s.told["seconds"][1:]) for s in samples if has_epochs(s.told)]
        accuracies = [s.told["test_accuracy"] for s in samples if "test_accuracy" in s.told]
        cells = [
            *median_and_range([s.wall for s in samples]),
            *median_and_range(epochs),
            median_and_range(accuracies, ".4f")[1],
            median_and_range([s.peak_mb for s in samples], ".0f")[0],
        ]
        lines.append(f"| {command.name} | {' | '.join(cells)} | {len(samples)} |")
    return lines


def has_epochs(output: dict[str, Any]) -> bool:
    """Whether a command printed the seconds of more than one epoch; `netchu train` prints those of other things."""
    return isinstance(output.get("seconds"), list) and len(output["seconds"]) > 1


def line_of_machine(machine: dict[str, Any]) -> str:
    """The machine and the versions in a sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    vectors = f" ({', '.join(machine['vectors'])})" if machine["vectors"] else ""
    return (
        f"{machine['system']}, {machine['processor']}{vectors}, {machine['processors']} processors, load before "
        f"the run {machine['load']}, Python {machine['python']}, {versions}."
    )


def document(
    bars: list[Bar], commands: list[Command], rounds: list[Round], skipped: dict[str, str], machine: dict[str, Any]
) -> str:
    """The whole."""
    return "\n".join(
        [
            *table_of_bars(bars, rounds, skipped),
            "",
            *table_of_commands(commands, rounds, skipped),
            "",
            line_of_machine(machine),
            "",
        ]
    )
