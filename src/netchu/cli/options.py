"""The flags that every command takes, and how a flag is described and called.

A command takes the common flags as its last parameter, `common: Common = DEFAULTS`, and cyclopts spreads the fields
over its help.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from netchu.cli import garbage
from netchu.cli.output import message
from netchu.system import environment

STANDARD_INPUT = "\0stdin"  # what "-" becomes; no argument and no file name can hold a zero byte

Data: TypeAlias = Annotated[
    str | None,
    Parameter(
        help="A name (mnist, sample), a folder of IDX files, or an .npz file. "
        "Without it: NETCHU_DATA_DIR, the cache, a download, or the sample that comes with netchu.",
        metavar="NAME|DIR|FILE",
        show_default=False,
    ),
]


def flag(help_text: str, metavar: str | None = None, *, default: str | None = None) -> Parameter:
    """A flag with a value; `default` says in words what happens without it."""
    return Parameter(help=help_text, metavar=metavar, show_default=None if default is None else lambda _: default)


def as_flag(field: str, value: str = "") -> str:
    """How the command line calls a field: `"--batch-size"` for `batch_size`, and `"--batch-size 128"` with a value."""
    return f"--{field.replace('_', '-')} {value}".rstrip()


def _switch(help_text: str, *names: str) -> Parameter:
    return Parameter(name=names or None, negative="", help=help_text, show_default=False)


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Flags of all commands.

    Attributes:
        engine: what computes; None leaves it to NETCHU_ENGINE.
        json: print JSON instead of words.
        quiet: print no progress and no remarks.
        debug: print a traceback with an error; `outcome.guarded` looks for the flag itself.
    """

    engine: Annotated[
        str | None,
        Parameter(
            help="What computes: numpy, jax or tensorflow. Without it: NETCHU_ENGINE, or numpy.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None
    json: Annotated[bool, _switch("Print the result as JSON.")] = False
    quiet: Annotated[bool, _switch("Print no progress and no remarks.", "--quiet", "-q")] = False
    debug: Annotated[bool, _switch("Print the traceback of an error (or set NETCHU_DEBUG=1).")] = False

    @property
    def debugging(self) -> bool:
        """Whether tracebacks are shown; UsageError if NETCHU_DEBUG is neither on nor off."""
        return self.debug or environment.switch("NETCHU_DEBUG")

    def say(self, text: str) -> None:
        """Print a remark to standard error, unless --quiet."""
        if not self.quiet:
            message(text)

    def use_engine(self) -> str:
        """Set the engine and return its name.

        Raises:
            UsageError: no engine of that name.
            MissingExtraError: its library is not installed.
        """
        if self.engine is not None and "netchu.engines" not in sys.modules:
            os.environ["NETCHU_ENGINE"] = self.engine  # read at the import below: a bad value there must not matter
        from netchu import engines

        engine = engines.current() if self.engine is None else engines.set_engine(self.engine)
        garbage.collect()
        return engine.name


DEFAULTS = Common()
