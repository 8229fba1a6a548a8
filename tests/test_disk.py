"""Atomic writes: whatever fails, and whenever the process dies, the old file or the new one is there whole."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from netchu.system.disk import write_atomically
from small_nets import classifier, python_environment

OLD, NEW = b"old " * 1000, b"new " * 3000

# Writes file A, then B, then A ... until it is killed.
WRITER = """
import sys
from netchu.system.disk import write_atomically
path = sys.argv[1]
contents = [bytes([65 + i]) * 400_000 for i in range(2)]
write_atomically(path, contents[0])
print("started", flush=True)
while True:
    for data in contents[::-1]:
        write_atomically(path, data)
"""


def no_space(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


class FullFile:
    """A file that takes a part of what is written and then has no space left."""

    def __init__(self, descriptor: int, mode: str) -> None:
        self.file = open(descriptor, mode)  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> FullFile:
        return self

    def __exit__(self, *_: Any) -> None:
        self.file.close()

    def write(self, data: bytes) -> int:
        self.file.write(data[: len(data) // 2])
        return no_space()  # type: ignore[no-any-return]


FAILURES = {
    "write": ("fdopen", FullFile),
    "fsync": ("fsync", no_space),
    "chmod": ("chmod", no_space),
    "replace": ("replace", no_space),
}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(OLD)
    return path


def test_new_file_and_replaced_file_hold_the_data(tmp_path: Path) -> None:
    path = tmp_path / "new.bin"
    for data in (OLD, NEW, b"", bytearray(NEW)):
        write_atomically(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", FAILURES)
def test_failure_at_each_step_leaves_the_old_file_and_nothing_else(
    step: str, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, *FAILURES[step])
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(target, NEW)
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert target.read_bytes() == OLD
    assert list(target.parent.iterdir()) == [target]


def test_ctrl_c_leaves_no_temporary_file(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(target, NEW)
    assert target.read_bytes() == OLD
    assert list(target.parent.iterdir()) == [target]


def test_file_is_forced_to_the_disk_before_it_gets_its_name(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        order.append(f"fsync {kind}")
        fsync(descriptor)

    def noted_replace(source: Any, destination: Any) -> None:
        order.append("replace")
        replace(source, destination)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_atomically(target, NEW)
    assert order == ["fsync file", "replace", "fsync folder"] if os.name != "nt" else ["fsync file", "replace"]


def test_temporary_file_lies_in_the_same_folder(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources: list[Path] = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (sources.append(Path(a)), replace(a, b)))
    write_atomically(target, NEW)
    assert [source.parent for source in sources] == [target.parent]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664])
def test_permissions_of_the_old_file_are_kept(mode: int, target: Path) -> None:
    target.chmod(mode)
    write_atomically(target, NEW)
    assert stat.S_IMODE(target.stat().st_mode) == mode


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_new_file_gets_the_permissions_of_a_plain_one(tmp_path: Path) -> None:
    plain, atomic = tmp_path / "plain", tmp_path / "atomic"
    plain.write_bytes(b"")
    write_atomically(atomic, b"")
    assert stat.S_IMODE(atomic.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize("path", ["missing/model.bin", "."], ids=["no folder", "a folder"])
def test_place_that_cannot_be_written_is_an_os_error(path: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"."):
        write_atomically(tmp_path / path, NEW)
    assert list(tmp_path.iterdir()) == []


def test_full_disk_while_saving_a_model_keeps_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    model = classifier()
    model.save(path)
    before = path.read_bytes()
    model.set_weights([w + 1 for w in model.get_weights()])
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space left"):
        model.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_writers_leave_a_whole_file(tmp_path: Path) -> None:
    whole = [bytes([65 + i]) * 400_000 for i in range(2)]
    found = []
    for i in range(20):
        path = tmp_path / f"{i}.bin"
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], env=python_environment(), stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        assert process.stdout.readline() == "started\n"
        time.sleep(0.002 * i)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        found.append(path.read_bytes())
    assert all(data in whole for data in found)
