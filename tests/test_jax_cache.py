"""Compiled programs are kept from one process to the next, and no trouble with them reaches the user."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netchu.engines import jax_cache
from netchu.engines.jax_cache import SWITCH, cut_back, executables_folder, processor
from small_nets import python_environment

PROGRAM = """
import netchu
netchu.set_engine("jax")
netchu.utils.set_random_seed(0)
import jax
from jax import monitoring
hits = []
monitoring.register_event_listener(lambda event, **_: hits.append(event) if event.endswith("cache_hits") else None)
from small_nets import classifier, clusters
model = classifier()
model.fit(*clusters(20), batch_size=8, verbose=0)
import hashlib
print(len(hits), jax.config.jax_compilation_cache_dir or "",
      hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest())
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(SWITCH, raising=False)
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    return tmp_path / "netchu" / "compiled"


def run(**environment: str) -> tuple[int, str, str]:
    """Hits in the cache, its folder, and the weights of a training in a process of its own, which says nothing."""
    pytest.importorskip("jax")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=python_environment(**environment), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    hits, folder, weights = done.stdout.rstrip("\n").split(" ")
    return int(hits), folder, weights


@pytest.mark.skipif(sys.platform != "linux", reason="names the folder as Linux has it")
def test_a_second_process_compiles_nothing_and_a_damaged_file_breaks_nothing(cache: Path) -> None:
    hits, folder, weights = run()
    assert (hits, Path(folder).parent) == (0, cache)
    files = sorted(Path(folder).glob("*-cache"))
    assert len(files) > 2
    assert run() == (len(files), folder, weights)
    for i, file in enumerate(files):
        whole = file.read_bytes()
        file.write_bytes([b"", whole[: len(whole) // 2], b"x" * len(whole)][i % 3])
    assert run() == (0, folder, weights)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind here")
def test_a_folder_that_cannot_be_written_is_no_concern(cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o500)
    assert run()[1] == ""


def test_a_file_in_the_way_is_no_concern(cache: Path) -> None:
    cache.parent.write_bytes(b"")
    assert run()[1] == ""


def test_the_users_own_choice_stands(cache: Path, tmp_path: Path) -> None:
    own = str(tmp_path / "own")
    assert run(JAX_COMPILATION_CACHE_DIR=own)[1] == own
    assert run(**{SWITCH: "0"})[1] == ""
    assert not cache.exists()


def test_another_processor_has_another_folder(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = executables_folder("jax-1")
    monkeypatch.setattr(jax_cache, "processor", lambda: processor() + " amx")
    assert executables_folder("jax-1") not in (here, None)


def test_the_oldest_files_go_when_there_are_too_many(tmp_path: Path) -> None:
    for i in range(10):
        (tmp_path / str(i)).write_bytes(b"x" * 10)
        os.utime(tmp_path / str(i), (i, i))
    cut_back(tmp_path, most=100)
    assert len(list(tmp_path.iterdir())) == 10
    cut_back(tmp_path, most=99)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["6", "7", "8", "9"]
