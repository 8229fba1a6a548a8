"""The command line: `netchu train`, `evaluate`, `predict`, `export`, `bench`, `info`; also `python -m netchu`.

    raise SystemExit(netchu.cli.main(["train", "--epochs", "1", "--json"]))

Results go to standard output, everything else (progress, the source of the data, warnings, errors) to standard error.
Exit codes: 0 done, 1 failure, 2 usage, 3 a missing extra, 65 bad data, 66 no such file, 75 stopped by a signal, to be
resumed, 130 interrupted.

Reading order: `app` (the commands and their help), `options` (the flags they share), `train`, `evaluate`, `predict`,
`export`, `bench` (with `bench_engine`), `info` (one each), `outfile` and `tools` (what they share), `outcome` (how any
ending becomes a sentence and an exit code), `output`.  These are doors only: the work is done in `netchu.digits`.
What a command computes with is loaded once it has read its flags: help and usage errors need no NumPy.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from netchu.cli import garbage, timing
from netchu.cli.outcome import guarded
from netchu.cli.output import result

__all__ = ["main"]

WELCOME = """\
netchu: train small neural networks, and read every line that does the learning.

  netchu train                    train a digit classifier on MNIST; writes netchu-model.safetensors
  netchu predict seven.png        tell which digit a picture shows
  netchu info                     engines, threads, where the data comes from

More: netchu --help, netchu train --help"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: what follows the program's name; those of the process if None.

    Returns:
        The exit code; nothing is raised, whatever happens.
    """
    timing.start(whole_process=arguments is None)
    if arguments is not None:
        return guarded(lambda: _run(list(arguments)), debugging="--debug" in arguments)
    given = sys.argv[1:]
    garbage.hold_back()  # until `Common.use_engine`
    code = guarded(lambda: _run(given), debugging="--debug" in given)
    garbage.leave_all()
    return code


def _run(arguments: list[str]) -> int:
    if not arguments:
        result(WELCOME)
        return 0
    if arguments in (["--version"], ["-V"]):
        from netchu.system.environment import version

        result(f"netchu {version()}")
        return 0
    from netchu.cli.app import run  # costs more than all of the above together

    return run(arguments)
