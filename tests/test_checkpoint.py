"""Checkpoint files: damage is noticed, a failed save harms nothing, the newest whole one is found.

What they are for is shown in test_resume.py.
"""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import assert_same_bits
from netchu.errors import CheckpointError, ModelFileError, NetchuError
from netchu.formats import checkpoint
from netchu.formats.checkpoint import CheckpointFolder, read
from netchu.system import disk
from small_nets import python_environment, run_python

posix = pytest.mark.skipif(os.name == "nt", reason="kills as POSIX does, or asks for its limits; nothing to be done")

ARRAYS = {"a": np.arange(300, dtype="float32"), "b": np.array(3, "int64"), "c": np.zeros((0, 2))}
ABOUT = {"list": [1, 0.1, None, "é"], "inf": float("-inf"), "inside": {"best": np.eye(2), "rate": np.float32(0.1)}}


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "checkpoints")


@pytest.fixture(autouse=True)
def _there(folder: CheckpointFolder) -> None:
    folder.folder.mkdir()


def save(folder: CheckpointFolder, number: int) -> Path:
    return folder.save(number, {"number": number}, ARRAYS)


def number_of(folder: CheckpointFolder) -> int:
    found = folder.newest()
    assert found is not None
    return int(found.about["number"])


def names(folder: CheckpointFolder) -> list[str]:
    return sorted(path.name for path in folder.folder.iterdir())


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_what_was_saved_comes_back_to_the_bit(folder: CheckpointFolder) -> None:
    assert folder.newest() is None
    path = folder.save(7, ABOUT, ARRAYS)
    assert path.name == "checkpoint-000000007.safetensors"
    found = folder.newest()
    assert found is not None
    assert found.path == path
    assert set(found.arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert_same_bits(found.arrays[name], array)
    assert_same_bits(found.about["inside"].pop("best"), np.eye(2))
    assert found.about == {"list": ABOUT["list"], "inf": float("-inf"), "inside": {"rate": float(np.float32(0.1))}}


def test_it_is_a_safetensors_file(folder: CheckpointFolder) -> None:
    from safetensors.numpy import load_file

    loaded = load_file(save(folder, 1))
    assert_same_bits(loaded["a"], ARRAYS["a"])


def test_the_newest_are_kept_by_their_number_whatever_the_clock_says(folder: CheckpointFolder) -> None:
    for number in (1, 5, 20, 999_999_999, 1_000_000_000):
        os.utime(save(folder, number), (2e9 - number, 2e9 - number))  # each seems older than the one before
    kept = ["checkpoint-000000020", "checkpoint-1000000000", "checkpoint-999999999"]
    assert names(folder) == [f"{name}.safetensors" for name in kept]
    assert number_of(folder) == 1_000_000_000


def test_other_files_are_left_alone(folder: CheckpointFolder) -> None:
    others = ["checkpoint-000000009 (copy).safetensors", "checkpoint-best.safetensors", "notes.txt", ".mine.tmp"]
    for name in others:
        (folder.folder / name).write_text("mine")
    for number in range(1, 6):
        save(folder, number)
    assert number_of(folder) == 5
    with folder.locked():
        folder.prune(0)
    assert set(names(folder)) - {"lock"} == set(others)


def test_saved_after_a_damaged_one_it_is_not_pruned(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "checkpoints", keep=1)
    (folder.folder / "checkpoint-000000009.safetensors").write_bytes(b"damaged")
    save(folder, 4)
    assert names(folder) == ["checkpoint-000000004.safetensors"]


@pytest.mark.parametrize("array", [np.zeros(2, "uint16"), np.zeros(2, "float16"), np.zeros((1,) * 9)])
def test_what_could_not_be_read_is_not_written(array: np.ndarray, folder: CheckpointFolder) -> None:
    with pytest.raises(ModelFileError):
        folder.save(1, {"state": array}, {})
    assert names(folder) == []


# --- damage ----------------------------------------------------------------------------------------------------------


def damaged_copies(data: bytes) -> Iterator[bytes]:
    """The file cut off at 64 places, and with one bit of 200 turned over; the same ones each time."""
    draw = random.Random(0)
    for part in range(64):
        yield data[: len(data) * part // 64]
    for _ in range(200):
        place = draw.randrange(len(data))
        yield data[:place] + bytes([data[place] ^ (1 << draw.randrange(8))]) + data[place + 1 :]


def test_any_damage_is_noticed_and_the_one_before_is_found(folder: CheckpointFolder) -> None:
    save(folder, 1)
    newest = save(folder, 2)
    data = newest.read_bytes()
    for number, damaged in enumerate(damaged_copies(data)):
        newest.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"checkpoint-000000002\.safetensors: "):
            read(newest)
        if number % 16 == 0:
            with pytest.warns(UserWarning, match=r"Passed over: .*2\.safetensors.* Resuming from .*1\.saf") as said:
                assert number_of(folder) == 1
            assert len(said) == 1
    newest.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert number_of(folder) == 2


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 7, b"\xff" * 8, b"\2\0\0\0\0\0\0\0{}", b"\2\0\0\0\0\0\0\0[]", b"{}" * 500]
)
def test_when_all_are_damaged_it_says_so(content: bytes, folder: CheckpointFolder) -> None:
    for number in (1, 2):
        save(folder, number).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"Got: 2 damaged: .*Train anew with another run folder, or bring"):
        folder.newest()


def test_a_folder_in_the_place_of_a_checkpoint_is_a_damaged_one(folder: CheckpointFolder) -> None:
    save(folder, 1)
    (folder.folder / "checkpoint-000000002.safetensors").mkdir()
    with pytest.warns(UserWarning, match="Got: a folder"):
        assert number_of(folder) == 1


def test_another_format_is_refused(folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FORMAT", 2)
    path = save(folder, 1)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match=r"expected format 1. Got: format=2"):
        read(path)


# --- a disk that does not take it ------------------------------------------------------------------------------------


CALLS = {
    "tempfile.mkstemp": tempfile.mkstemp,
    "os.fdopen": os.fdopen,
    "os.fsync": os.fsync,
    "os.chmod": os.chmod,
    "os.replace": os.replace,
    "netchu.system.disk._sync_folder": disk._sync_folder,
}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("from_then_on", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_fails(
    call: str, from_then_on: bool, number: int, folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(folder, 1)
    failed: list[str] = []

    def failing(*arguments: Any, **more: Any) -> Any:
        if from_then_on or not failed:
            failed.append(call)
            raise OSError(number, os.strerror(number))
        return CALLS[call](*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(call, failing)
        with pytest.raises(
            NetchuError, match=rf"000002\.safetensors: .* could not be saved: .*{errno.errorcode[number]}"
        ):
            save(folder, 2)
    assert failed
    assert not [name for name in names(folder) if name.endswith(".tmp")]
    assert number_of(folder) == (2 if "folder" in call else 1)  # the folder is forced to the disk after the renaming
    save(folder, 3)
    assert number_of(folder) == 3


def test_a_disk_that_takes_a_third_at_a_time(folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    class ShortWrites(io.FileIO):
        """A file that takes at most a third of what it is given."""

        def write(self, data: Any) -> int:
            return super().write(memoryview(data).cast("B")[: max(1, len(data) // 3)])

    monkeypatch.setattr(os, "fdopen", lambda descriptor, mode: io.BufferedWriter(ShortWrites(descriptor, "wb")))
    found = read(save(folder, 1))
    assert_same_bits(found.arrays["a"], ARRAYS["a"])


@posix
def test_a_limit_on_the_size_of_files(folder: CheckpointFolder) -> None:
    save(folder, 1)
    code = f"""
import resource, signal
import numpy as np
from netchu.formats.checkpoint import CheckpointFolder
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
folder = CheckpointFolder({str(folder.folder)!r})
try:
    folder.save(2, {{}}, {{"a": np.zeros(9000)}})
except Exception as error:
    print(type(error).__name__, error)
print(folder.newest().path.name)
"""
    said = run_python(code)
    assert said.startswith("NetchuError")
    assert "File too large (EFBIG)" in said
    assert said.splitlines()[-1] == "checkpoint-000000001.safetensors"
    assert names(folder) == ["checkpoint-000000001.safetensors"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a tmpfs; nothing to be done elsewhere")
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a disk of 1 MiB; run as root to run it")
    try:
        folder, large = CheckpointFolder(disk, keep=9), {"a": np.zeros(100_000, "float32")}
        folder.save(1, {"number": 1}, large)
        folder.save(2, {"number": 2}, large)
        with pytest.raises(NetchuError, match=r"could not be saved: .*No space left on device"):
            folder.save(3, {"number": 3}, large)
        assert number_of(folder) == 2
        assert len(names(folder)) == 2
        folder.files()[-1].unlink()  # room is made
        folder.save(3, {"number": 3}, large)
        assert number_of(folder) == 3
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = CheckpointFolder(tmp_path / "file" / "checkpoints")
    with pytest.raises(NetchuError, match=r"file/checkpoints: .*cannot be used: .*Not a directory \(ENOTDIR\)"):
        folder.locked().__enter__()


# --- one run a folder ------------------------------------------------------------------------------------------------


HOLDER = """
import os, sys, time
from netchu.formats.checkpoint import CheckpointFolder
with CheckpointFolder(sys.argv[1]).locked():
    print(os.getpid(), flush=True)
    time.sleep(60)
"""


def test_a_second_run_hears_who_holds_the_folder_and_a_kill_frees_it(folder: CheckpointFolder) -> None:
    command = [sys.executable, "-c", HOLDER, str(folder.folder)]
    with subprocess.Popen(command, env=python_environment(), stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        number = int(holder.stdout.readline())
        with pytest.raises(CheckpointError, match=rf"no other process uses\. Got: locked by pid {number} on"):
            folder.locked().__enter__()
        holder.kill()
        holder.wait()
    with folder.locked():
        holder_now = json.loads((folder.folder / "holder.json").read_text())
        assert holder_now["pid"] == os.getpid()
    assert set(names(folder)) <= {"lock"}


def test_half_written_files_are_swept(folder: CheckpointFolder) -> None:
    for number in range(200):
        (folder.folder / f".checkpoint-{number:09d}.safetensors.abc{number}.tmp").write_bytes(b"half")
    (folder.folder / ".holder.json.xyz.tmp").write_bytes(b"{")
    (folder.folder / ".other.tmp").write_bytes(b"not ours")
    with folder.locked():
        assert set(names(folder)) == {".other.tmp", "holder.json", "lock"}


KILLED_AT = """
import os, signal, sys
from pathlib import Path
import numpy as np
from netchu.formats.checkpoint import CheckpointFolder

point, folder = sys.argv[1], CheckpointFolder(sys.argv[2], keep=2)
for number in (1, 2):
    folder.save(number, {"number": number}, {"a": np.zeros(9)})

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

when, name = point.split()
owner = Path if name == "unlink" else os
real = getattr(owner, name)
setattr(owner, name, die if when == "before" else lambda *given, **more: (real(*given, **more), die()))
folder.save(3, {"number": 3}, {"a": np.zeros(9)})
"""


@posix
@pytest.mark.parametrize(
    ("point", "newest"),
    [
        ("before fdopen", 2),
        ("before fsync", 2),
        ("after fsync", 2),
        ("after chmod", 2),
        ("before replace", 2),
        ("after replace", 3),
        ("before unlink", 3),
        ("after unlink", 3),
    ],
)
def test_killed_between_two_calls_of_a_save(point: str, newest: int, folder: CheckpointFolder) -> None:
    command = [sys.executable, "-c", KILLED_AT, point, str(folder.folder)]
    assert subprocess.run(command, env=python_environment(), check=False).returncode == -signal.SIGKILL
    assert number_of(folder) == newest
    with folder.locked():
        assert not [name for name in names(folder) if name.endswith(".tmp")]
    save(folder, 4)
    assert len(folder.files()) == 3


# --- the long run ----------------------------------------------------------------------------------------------------


@posix
def test_a_thousand_saves_leave_nothing_behind(folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(os, "fsync", lambda _: None)
    arrays = {"a": np.zeros(10_000, "float32")}

    def used() -> tuple[int, int]:
        descriptors = len(os.listdir("/dev/fd"))
        return descriptors, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    for number in range(100):
        folder.save(number, {}, arrays)
    descriptors, most = used()
    for number in range(100, 1100):
        folder.save(number, {}, arrays)
    assert used()[0] == descriptors
    assert used()[1] - most < 4 * 1024 * (1024 if sys.platform == "darwin" else 1)  # a leak would be 40 MB
    assert len(names(folder)) == 3
