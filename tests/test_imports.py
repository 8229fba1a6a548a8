"""`import netchu` is light: NumPy and nothing heavy, at most twice NumPy's own import; `--version` needs no NumPy."""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys

import pytest

HEAVY = ["jax", "tensorflow", "keras", "PIL", "rich", "cyclopts", "scipy", "matplotlib", "safetensors"]
PAIRS = 7


def python(program: str) -> str:
    """What a fresh interpreter prints when it runs the program."""
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


def loaded_after(statement: str) -> set[str]:
    """The top-level packages in sys.modules after a statement in a fresh interpreter."""
    return set(python(f"import sys; {statement}; print(*{{name.partition('.')[0] for name in sys.modules}})").split())


LIGHT = [
    "import netchu",
    "import netchu; netchu.GradientTape, netchu.Tensor, netchu.ops",
    "import netchu; netchu.Sequential, netchu.layers.Dense, netchu.optimizers.Adam",
]


@pytest.mark.parametrize("statement", LIGHT)
def test_nothing_heavy_is_loaded(statement: str) -> None:
    assert not loaded_after(statement) & set(HEAVY)


def test_the_probe_sees_what_is_loaded() -> None:
    assert "numpy" in loaded_after("import numpy")


def seconds(module: str) -> float:
    """How long a fresh interpreter takes to import a module, start of the interpreter not included."""
    program = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    return float(python(program))


def test_importing_costs_at_most_as_much_again_as_numpy() -> None:
    seconds("netchu"), seconds("numpy")  # compiled files are written, disks are warm
    pairs = [(seconds("numpy"), seconds("netchu.tape")) for _ in range(PAIRS)]
    numpy_alone, with_netchu = (statistics.median(column) for column in zip(*pairs))
    lightest = min(netchu / numpy for numpy, netchu in pairs)  # on a busy machine single runs mislead
    assert min(with_netchu / numpy_alone, lightest) <= 2.0, pairs
    assert seconds("netchu") <= 2.0 * numpy_alone


def test_version_does_not_import_numpy() -> None:
    if importlib.util.find_spec("netchu.cli") is None:
        pytest.skip("the command line, netchu.cli, is not written yet")
    program = (
        "import runpy, sys; sys.argv = ['netchu', '--version']\n"
        "try: runpy.run_module('netchu', run_name='__main__')\n"
        "except SystemExit as done: assert not done.code, done.code\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    version, modules = python(program).split("\n")
    assert version.startswith("netchu ")
    assert not set(modules.split()) & {"numpy", *HEAVY}


def test_an_unknown_name_of_the_package_is_an_error() -> None:
    import netchu

    with pytest.raises(AttributeError, match="no attribute 'Sequentiel'"):
        netchu.Sequentiel  # noqa: B018


def test_every_public_name_can_be_reached() -> None:
    import netchu

    assert set(netchu.__all__) <= set(dir(netchu))
    for name in netchu.__all__:
        assert getattr(netchu, name) is not None
