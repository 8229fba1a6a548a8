"""The NumPy engine.  README.md beside this file walks through one step of three calls.

Reading order: `engine.py`, `functions.py`, `recording.py`, `memory.py`, `program.py`.
"""

from netchu.engines.numpy.engine import NumpyEngine

__all__ = ["NumpyEngine"]
