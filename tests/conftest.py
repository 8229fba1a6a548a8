"""What every test starts from: the numpy engine, a fixed seed, and no data folder of the user's."""

from __future__ import annotations

import functools
import importlib
import os
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from threadpoolctl import threadpool_limits

from cli_tools import Run, process, write_own_data
from netchu import engines, random

if "PYTEST_XDIST_WORKER" in os.environ:  # workers side by side: with several BLAS threads each they would fight
    threadpool_limits(1, user_api="blas")

MNIST = Path(__file__).parents[2] / "shared" / "mnist"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--skips-fail`: where everything is installed, a test that is skipped has proved nothing."""
    parser.addoption("--skips-fail", action="store_true", help="count a skipped test as a failure")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn skips into failures where that was asked for."""
    report = yield
    if report.skipped and item.config.getoption("--skips-fail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which counts as a failure here: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _fresh_start(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Same engine and seed for each test; a test that changes them leaves nothing behind."""
    monkeypatch.delenv("NETCHU_DATA_DIR", raising=False)
    monkeypatch.setenv("NETCHU_OFFLINE", "1")
    monkeypatch.setenv("NETCHU_COMPILATION_CACHE", "0")
    monkeypatch.setenv("NETCHU_THREADS", "0")  # as many as there are, busy or not: equal runs are compared
    engines.set_engine("numpy")
    random.set_seed(0)
    yield
    engines.set_engine("numpy")


@pytest.fixture
def mnist_folder() -> Path:
    """The whole of MNIST, where it lies beside the checkout."""
    if not (MNIST / "train-images-idx3-ubyte.gz").exists():
        pytest.skip("needs the whole of MNIST in ../shared/mnist; set nothing to run without it")
    return MNIST


COMPILED = ["jax", pytest.param("tensorflow", marks=pytest.mark.tensorflow)]
"""The engines that trace and compile; `-m tensorflow` runs what is marked so."""


def chosen(name: str) -> str:
    """Set the engine `name`, or skip the test where its library is missing."""
    if name != "numpy":
        pytest.importorskip(name, reason=f"needs {name}: pip install -e '.[dev]', or '.[judge]' for tensorflow")
    return engines.set_engine(name).name


@pytest.fixture(params=["numpy", *COMPILED])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return chosen(request.param)


@pytest.fixture(params=COMPILED)
def traced_engine(request: pytest.FixtureRequest) -> engines.Engine:
    """Each engine that compiles, in turn."""
    chosen(request.param)
    return engines.current()


@pytest.fixture(scope="session")
def keras() -> ModuleType:
    """Real Keras on TensorFlow, the judge; its absence is an error, never a skip."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow's own deprecations are not ours to mend
        module = importlib.import_module("keras")
    assert module.backend.backend() == "tensorflow"
    return module


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with `own.npz`."""
    write_own_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Run:
    """`netchu` as a process in that folder."""
    return functools.partial(process, folder)
