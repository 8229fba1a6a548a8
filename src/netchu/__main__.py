"""`python -m netchu` is the command `netchu`."""

from netchu.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
