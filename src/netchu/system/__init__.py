"""The machine that netchu runs on: its disk, its signals, its environment.  Nothing here imports NumPy.

`disk.py` (a file is written whole or not at all; where the cache lies), `signals.py` (Ctrl-C and termination that lose
nothing), `printing.py` (words that any terminal can show), `environment.py` (every `NETCHU_*` variable, and the
versions of what is installed).
"""
