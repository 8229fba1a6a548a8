"""The version that is installed."""

from __future__ import annotations


def version() -> str:
    """netchu's version, `"unknown"` when it runs from a folder that was never installed."""
    from importlib import metadata

    try:
        return metadata.version("netchu")
    except metadata.PackageNotFoundError:
        return "unknown"
