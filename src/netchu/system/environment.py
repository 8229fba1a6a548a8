"""What the environment says: every `NETCHU_*` variable is read here, by one rule, and versions are looked up here.

    NETCHU_ENGINE             the engine, "numpy", "jax" or "tensorflow"
    NETCHU_THREADS            how many threads a large product uses on NumPy; 0 for as many as there are
    NETCHU_DATA_DIR           a folder with MNIST's files
    NETCHU_OFFLINE            a switch: make no network call
    NETCHU_COMPILATION_CACHE  a switch, on unless it is off: keep what JAX compiled for the next process
    NETCHU_DEBUG              a switch: show tracebacks on the command line

An unset and an empty variable say nothing.  A switch is on for 1, true, yes, on and off for 0, false, no, off.
"""

from __future__ import annotations

import os

from netchu.errors import UsageError

SWITCHES = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def text(name: str) -> str | None:
    """What the variable says; None if it is unset or empty."""
    return os.environ.get(name, "").strip() or None


def switch(name: str, default: bool = False) -> bool:
    """Whether the variable is on; `default` if it says nothing.

    Raises:
        UsageError: it says something else than on or off.
    """
    said = text(name)
    if said is None:
        return default
    if said.lower() not in SWITCHES:
        raise UsageError(name, expected="1 or 0 (or true, yes, on, false, no, off)", got=f"{name}={said!r:.60}")
    return SWITCHES[said.lower()]


def whole_number(name: str, default: int | None = None) -> int | None:
    """The variable as a whole number from 0; `default` if it says nothing.

    Raises:
        UsageError: it says something else.
    """
    said = text(name)
    if said is None:
        return default
    if not (said.isascii() and said.isdigit()):
        raise UsageError(name, expected="a whole number from 0", got=f"{name}={said!r:.60}")
    return int(said)


def version(distribution: str = "netchu") -> str:
    """The version of what is installed under that name; `"unknown"` where it was never installed."""
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"
