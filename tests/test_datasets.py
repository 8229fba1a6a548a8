"""The file formats, the user's own data sets, the packaged sample, and the order in which data is looked for."""

from __future__ import annotations

import doctest
import gzip
import hashlib
import importlib
import io
import os
import socket
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import netchu.datasets
from netchu.datasets import Dataset, cache, idx, load, mnist, scale_pixels
from netchu.datasets.folders import IDX_NAMES
from netchu.datasets.mirrors import MNIST
from netchu.datasets.npz import read_npz
from netchu.errors import DataError, DataNotFoundError, NetchuError, UsageError

REPOSITORY = Path(__file__).resolve().parent.parent
FULL_MNIST = REPOSITORY.parent / "shared" / "mnist"
Arrays = dict[str, NDArray[Any]]


def small(train: int = 12, test: int = 6, height: int = 5, width: int = 3) -> Arrays:
    """A little data set of other proportions than MNIST's."""
    random = np.random.default_rng(7)
    return {
        "x_train": random.integers(0, 256, (train, height, width)).astype(np.uint8),
        "y_train": random.integers(0, 4, train).astype(np.uint8),
        "x_test": random.integers(0, 256, (test, height, width)).astype(np.uint8),
        "y_test": random.integers(0, 4, test).astype(np.uint8),
    }


def write_idx_folder(folder: Path, arrays: Arrays, packed: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(IDX_NAMES, arrays.values(), strict=True):
        data = idx.encode_idx(array)
        (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data) if packed else data)
    return folder


def write_npz(path: Path, arrays: Arrays) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return path


def assert_holds(data: Dataset, arrays: Arrays) -> None:
    for key, array in arrays.items():
        np.testing.assert_array_equal(getattr(data, key), array)
        assert getattr(data, key).dtype == np.uint8


@pytest.fixture(autouse=True)
def _no_network_and_an_empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("a network call was made")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("NETCHU_DATA_DIR", raising=False)
    monkeypatch.setenv("NETCHU_OFFLINE", "1")


# IDX


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(7,), (2, 3), (2, 3, 4), (1, 2, 1, 3)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_round_trip(tmp_path: Path, dtype: str, shape: tuple[int, ...], pack: Callable[[bytes], bytes]) -> None:
    array = (np.arange(np.prod(shape)) * 1.5 - 3).reshape(shape).astype(dtype)
    (tmp_path / "file").write_bytes(pack(idx.encode_idx(array)))
    read = idx.read_idx(tmp_path / "file")
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)
    read[...] = 0  # writable


def test_idx_layout_is_the_published_one() -> None:
    data = bytes.fromhex("00000803 00000001 00000002 00000003") + bytes([1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(idx.parse_idx(data), [[[1, 2, 3], [4, 5, 6]]])
    assert idx.encode_idx(idx.parse_idx(data)) == data
    assert idx.idx_sha256(idx.parse_idx(data)) == hashlib.sha256(data).hexdigest()
    assert idx.idx_sha256(idx.parse_idx(data)[..., ::-1]) != hashlib.sha256(data).hexdigest()


def header(*axes: int, code: int = 8, count: int | None = None) -> bytes:
    return struct.pack(f">BBBB{len(axes)}I", 0, 0, code, len(axes) if count is None else count, *axes)


GOOD = header(2, 3) + bytes(6)
# A bad file and what the message about it must say.
BAD_IDX = {
    "nothing": (b"", "first bytes b''"),
    "three bytes": (GOOD[:3], "IDX"),
    "magic": (b"\x01" + GOOD[1:], "first bytes"),
    "type code": (header(2, 3, code=7) + bytes(6), "IDX"),
    "html": (b"<html><body>Not found</body></html>", "text or HTML"),
    "pickle": (b"\x80\x04\x95" + bytes(40), "first bytes"),
    "no axis": (header() + bytes(6), "axes=0"),
    "255 axes": (header(*[1] * 8, count=255), "axes=255"),
    "half a header": (GOOD[:9], "header of 12 bytes"),
    "empty axis": (header(0, 3), "at least one element"),
    "huge axis": (header(2**32 - 1) + bytes(6), "at most"),
    "huge product": (header(2**16, 2**16, 2**16, 2**16) + bytes(6), "at most"),
    "overflow in 64 bits": (header(2**31, 2**31, 4) + bytes(6), "at most"),
    "truncated": (GOOD[:-1], "bytes"),
    "more declared": (header(2, 2000) + bytes(6), "bytes"),
    "trailing": (GOOD + b"x", "bytes"),
    "wider type": (header(2, 3, code=0x0E) + bytes(6), "bytes"),
}


@pytest.mark.parametrize("kind", BAD_IDX)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_bad_idx_is_one_sentence(tmp_path: Path, kind: str, pack: Callable[[bytes], bytes]) -> None:
    data, part = BAD_IDX[kind]
    path = tmp_path / "some-idx1-ubyte"
    path.write_bytes(pack(data))
    with pytest.raises(DataError, match="some-idx1-ubyte: expected") as caught:
        idx.read_idx(path)
    assert part in str(caught.value)
    with pytest.raises(DataError, match="parse_idx"):
        idx.parse_idx(data)


@pytest.mark.parametrize("harm", [lambda p: p[:-9], lambda p: p[:12], lambda p: p[:2], lambda p: p + b"rubbish!"])
def test_damaged_gzip_is_one_sentence(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    (tmp_path / "file.gz").write_bytes(harm(gzip.compress(GOOD)))
    with pytest.raises(DataError, match=r"file\.gz: expected"):
        idx.read_idx(tmp_path / "file.gz")


def test_gzip_bit_flips_never_pass(tmp_path: Path) -> None:
    packed = gzip.compress(header(200) + bytes(range(200)))
    for position in range(10, len(packed)):
        flipped = bytearray(packed)
        flipped[position] ^= 1
        (tmp_path / "file.gz").write_bytes(flipped)
        with pytest.raises(DataError):
            idx.read_idx(tmp_path / "file.gz")


def test_a_large_claim_in_a_small_file_allocates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file.gz").write_bytes(gzip.compress(header(1000, 1000, 1000)))

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise AssertionError("memory was asked for")

    monkeypatch.setattr(np, "empty", refuse)
    with pytest.raises(DataError, match="1000000016 bytes for the declared shape"):
        idx.read_idx(tmp_path / "file.gz")


def test_bomb_behind_a_small_claim_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "file.gz").write_bytes(gzip.compress(GOOD + bytes(20_000_000)))
    with pytest.raises(DataError, match="behind the last element"):
        idx.read_idx(tmp_path / "file.gz")


@given(data=st.binary(max_size=64) | st.binary(max_size=40).map(lambda tail: header(2, 3)[:9] + tail))
def test_any_bytes_give_an_array_or_a_data_error(data: bytes) -> None:
    try:
        array = idx.parse_idx(data)
    except DataError:
        return
    assert len(idx.encode_idx(array)) == len(data)


def test_missing_idx_file(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match="nothing-here"):
        idx.read_idx(tmp_path / "nothing-here")


@pytest.mark.parametrize("array", [np.zeros((0, 2), np.uint8), np.array(3, np.uint8), np.zeros(2, np.int64)])
def test_what_idx_cannot_hold(array: NDArray[Any]) -> None:
    with pytest.raises(DataError, match="encode_idx"):
        idx.encode_idx(array)


# npz


def npy(array: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


class Marker:
    """If this is ever unpickled, it leaves a trace."""

    unpickled = False

    def __reduce__(self) -> tuple[Callable[..., None], tuple[()]]:
        return _leave_trace, ()


def _leave_trace() -> None:
    Marker.unpickled = True


def npy_with_header(text: str, data: bytes = bytes(180), length: int | None = None, version: int = 1) -> bytes:
    length_format = "<H" if version == 1 else "<I"
    start = b"\x93NUMPY" + bytes([version, 0])
    return start + struct.pack(length_format, len(text) if length is None else length) + text.encode() + data


TYPE = "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }"
BAD_MEMBERS = {
    "object array": (npy(np.array([Marker()], dtype=object), allow_pickle=True), "never reads"),
    "structured": (npy(np.zeros(3, dtype=[("a", "u1")])), "array of numbers"),
    "text": (npy(np.array(["a", "b"])), "array of numbers"),
    "no npy": (b"hello, this is no npy", "first bytes"),
    "too short": (b"\x93NUMPY", "first bytes"),
    "version 3": (npy_with_header(TYPE % "(180,)", version=3), "version 1 or 2"),
    "huge header": (npy_with_header("", length=2**31, version=2), "at most 10000"),
    "header cut": (npy_with_header(TYPE % "(180,)", b"", length=5000), "array of numbers"),
    "header is code": (npy_with_header("__import__('os').getcwd()          "), "array of numbers"),
    "deep header": (npy_with_header("(" * 9000), "array of numbers"),
    "no shape": (npy_with_header("{'descr': '|u1', 'fortran_order': False}"), "array of numbers"),
    "shape of many digits": (npy_with_header(TYPE % f"({'9' * 5000},)"), "array of numbers"),
    "half float of size 3": (npy_with_header("{'descr': '<f1', 'fortran_order': False, 'shape': (180,), }"), "number"),
    "negative shape": (npy_with_header(TYPE % "(-180,)"), "array of numbers"),
    "huge shape": (npy_with_header(TYPE % "(1000000, 1000000)"), "at most"),
    "more than there is": (npy_with_header(TYPE % "(181,)"), "as large as its array"),
    "less than there is": (npy_with_header(TYPE % "(179,)"), "as large as its array"),
}


@pytest.mark.parametrize("kind", BAD_MEMBERS)
def test_hostile_npz_member_is_one_sentence(tmp_path: Path, kind: str) -> None:
    member, part = BAD_MEMBERS[kind]
    members = {f"{key}.npy": npy(array) for key, array in small().items()} | {"x_test.npy": member}
    with pytest.raises(DataError, match=r"set\.npz\['x_test'\]: expected") as caught:
        read_npz(zip_of(tmp_path / "set.npz", members))
    assert part in str(caught.value)
    assert not Marker.unpickled


def test_npz_reads_other_orders_and_versions(tmp_path: Path) -> None:
    arrays = small()
    members = {f"{key}.npy": npy(np.asfortranarray(array), version=(2, 0)) for key, array in arrays.items()}
    read = read_npz(zip_of(tmp_path / "set.npz", members))
    for key, array in arrays.items():
        np.testing.assert_array_equal(read[key], array)
        read[key][...] = 0  # writable


def test_npz_without_test_half_is_refused_and_says_how(tmp_path: Path) -> None:
    arrays = small()
    del arrays["x_test"], arrays["y_test"]
    with pytest.raises(DataError, match=r"missing x_test, y_test.*numpy\.savez"):
        load(write_npz(tmp_path / "set.npz", arrays))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 but no more", b"\x80\x04pickle", bytes(100)])
def test_what_is_no_zip_is_one_sentence(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "set.npz").write_bytes(data)
    with pytest.raises(DataError, match=r"set\.npz: expected a readable \.npz"):
        load(tmp_path / "set.npz")


def test_npz_cut_anywhere_is_a_data_error(tmp_path: Path) -> None:
    whole = write_npz(tmp_path / "whole.npz", small()).read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "set.npz").write_bytes(whole[:length])
        with pytest.raises(DataError):
            read_npz(tmp_path / "set.npz")


def test_npz_with_a_flipped_bit_is_a_data_error_or_the_same_data(tmp_path: Path) -> None:
    arrays = small()
    whole = write_npz(tmp_path / "whole.npz", arrays).read_bytes()
    for position in range(0, len(whole), 3):
        flipped = bytearray(whole)
        flipped[position] ^= 16
        (tmp_path / "set.npz").write_bytes(flipped)
        try:
            read = read_npz(tmp_path / "set.npz")
        except DataError:
            continue
        assert all(np.array_equal(read[key], array) for key, array in arrays.items())


def test_zip_with_a_name_twice_or_too_many_names(tmp_path: Path) -> None:
    many = {f"{number}.npy": b"" for number in range(65)}
    with pytest.raises(DataError, match="65 members"):
        read_npz(zip_of(tmp_path / "many.npz", many))
    twice = zip_of(tmp_path / "twice.npz", {f"{key}.npy": npy(array) for key, array in small().items()})
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("x_train.npy", b"")
    with pytest.raises(DataError, match="each name once"):
        read_npz(twice)


# The user's own data sets


@pytest.mark.parametrize("packed", [False, True])
def test_folder_of_idx_files(tmp_path: Path, packed: bool) -> None:
    folder = write_idx_folder(tmp_path / "digits", small(), packed)
    data = load(folder)
    assert_holds(data, small())
    assert (data.name, data.source) == ("digits", f"folder {folder}")


def test_raw_files_go_before_packed_ones(tmp_path: Path) -> None:
    write_idx_folder(tmp_path, small(train=9), packed=True)
    write_idx_folder(tmp_path, small())
    assert len(load(tmp_path).x_train) == 12


def test_subfolder_mnist_is_searched_too_and_does_not_pass_for_mnist(tmp_path: Path) -> None:
    write_idx_folder(tmp_path / "mnist", small())
    data = load(tmp_path)
    assert data.source == f"folder {tmp_path / 'mnist'}"
    assert data.name == "mnist-other"
    with pytest.raises(DataError, match=r"the files of MNIST itself.*datasets\.load"):
        mnist.load_data("mnist", data_dir=tmp_path)


def test_keras_npz_in_a_folder(tmp_path: Path) -> None:
    write_npz(tmp_path / "mnist.npz", small())
    assert_holds(load(tmp_path), small())
    (x_train, _), (_, y_test) = mnist.load_data(data_dir=tmp_path)
    assert (len(x_train), len(y_test)) == (12, 6)


def test_npz_file_with_other_keys_too_and_integer_labels(tmp_path: Path) -> None:
    arrays = small() | {"y_train": np.arange(12, dtype=np.int64), "note": np.zeros(2)}
    data = load(write_npz(tmp_path / "my.npz", arrays))
    assert data.y_train.dtype == np.uint8
    assert (data.name, data.source) == ("my", f"file {tmp_path / 'my.npz'}")


def test_colour_images_are_allowed(tmp_path: Path) -> None:
    arrays = small() | {"x_train": np.ones((12, 4, 6, 3), np.uint8), "x_test": np.ones((6, 4, 6, 3), np.uint8)}
    assert load(write_idx_folder(tmp_path, arrays)).x_train.shape == (12, 4, 6, 3)


@pytest.mark.parametrize("missing", IDX_NAMES)
def test_incomplete_folder_names_the_missing_file(tmp_path: Path, missing: str) -> None:
    write_idx_folder(tmp_path, small())
    (tmp_path / missing).unlink()
    with pytest.raises(DataNotFoundError, match=f"without {missing}"):
        load(tmp_path)


def test_folder_without_the_files_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError) as caught:
        mnist.load_data(data_dir=tmp_path)
    for part in (*IDX_NAMES, "mnist.npz", ".gz", str(tmp_path), "NETCHU_DATA_DIR"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("given", "part"), [("mnits", "Did you mean 'mnist'"), ("no/such/folder", "no/such/folder"), ("x.npz", "x.npz")]
)
def test_unknown_name_or_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, part: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataNotFoundError, match=part):
        load(given)


def test_the_error_for_a_single_idx_file_asks_for_its_folder(tmp_path: Path) -> None:
    write_idx_folder(tmp_path, small())
    with pytest.raises(DataError, match="folder that holds all four"):
        load(tmp_path / IDX_NAMES[0])


BAD_SETS: dict[str, tuple[Arrays, str]] = {
    "counts": ({"y_train": np.zeros(11, np.uint8)}, "12 images in x_train and 11 labels"),
    "float labels": ({"y_test": np.zeros(6)}, r"dtype=float64.*astype\(numpy.uint8\)"),
    "bool labels": ({"y_test": np.zeros(6, bool)}, "array of numbers"),
    "one-hot labels": ({"y_test": np.zeros((6, 4), np.uint8)}, r"argmax\(axis=1\)"),
    "negative labels": ({"y_train": np.full(12, -1)}, "from -1 to -1"),
    "large labels": ({"y_train": np.full(12, 300)}, "values from 300 to 300"),
    "float images": ({"x_train": np.zeros((12, 5, 3), np.float32)}, r"x_train to hold pixels.*rint\(x \* 255\)"),
    "flat images": ({"x_train": np.zeros((12, 15), np.uint8)}, r"shape=\(12, 15\)"),
    "empty": ({"x_test": np.zeros((0, 5, 3), np.uint8), "y_test": np.zeros(0, np.uint8)}, r"shape=\(0, 5, 3\)"),
    "other shape in test": ({"x_test": np.zeros((6, 5, 4), np.uint8)}, "images of one shape"),
}


@pytest.mark.parametrize("kind", BAD_SETS)
def test_unusable_set_is_one_sentence(tmp_path: Path, kind: str) -> None:
    changes, part = BAD_SETS[kind]
    with pytest.raises(DataError, match=part) as caught:
        load(write_npz(tmp_path / "set.npz", small() | changes))
    assert "set.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_hash_depends_on_the_data_alone(tmp_path: Path) -> None:
    data = load(write_idx_folder(tmp_path / "a", small()))
    assert data.sha256 == load(write_npz(tmp_path / "b.npz", small())).sha256
    changed = small()
    changed["x_test"] = changed["x_test"].transpose(0, 2, 1)
    changed["x_train"] = changed["x_train"].transpose(0, 2, 1)
    assert load(write_npz(tmp_path / "c.npz", changed)).sha256 != data.sha256
    assert len(data.sha256) == 64


def test_repr_is_short() -> None:
    assert repr(load("sample")) == (
        "Dataset(name='mnist-sample', source='package sample', train=(8004, 28, 28), test=(1996, 28, 28))"
    )


# Pixels


def test_scaled_pixels_are_true_float32_quotients() -> None:
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    expected = np.array([np.float32(value) / np.float32(255) for value in range(256)])
    scaled = scale_pixels(images)
    assert scaled.dtype == np.float32
    assert scaled.shape == (1, 256)
    np.testing.assert_array_equal(scaled[0], expected)
    assert (scaled.min(), scaled.max()) == (0, 1)
    assert images[0, 15, 15] == 255  # the images are left alone


@pytest.mark.parametrize("images", [np.zeros((2, 28, 28)), np.zeros((2, 784), np.uint8), np.zeros((0, 2, 2), np.uint8)])
def test_scale_pixels_refuses_what_is_no_image(images: Any) -> None:
    with pytest.raises(DataError, match="scale_pixels"):
        scale_pixels(images)


# The sample


def test_sample_has_all_classes_in_fair_shares_everywhere() -> None:
    data = load("sample")
    for images, labels in data.splits:
        assert images.shape == (len(labels), 28, 28)
        shares = np.bincount(labels, minlength=10) / len(labels)
        assert shares.shape == (10,)
        assert 0.08 < shares.min() < shares.max() < 0.12
        for fraction in (0.1, 0.2, 0.5):  # what validation_split takes: the last part
            last = labels[-int(len(labels) * fraction) :]
            np.testing.assert_allclose(np.bincount(last, minlength=10) / len(last), shares, atol=0.015)
        runs = np.mean(labels[1:] == labels[:-1])
        assert 0.02 < runs < 0.15  # neither sorted nor dealt out in turn


def test_sample_is_the_one_that_was_checked() -> None:
    data = load("sample")
    assert data.sha256 == "6bec0cb0866f6d0c9aa5e683358cd6a335ceab96eeda593f3b6c3b4579b0f0ab"
    assert load("mnist-sample").name == "mnist-sample"
    unique = {image.tobytes() for images, _ in data.splits for image in images}
    assert len(unique) == 10_000


def test_sample_is_small_and_says_whose_it_is() -> None:
    folder = REPOSITORY / "src" / "netchu" / "datasets" / "sample"
    packed = list(folder.glob("*.gz"))
    assert sum(path.stat().st_size for path in packed) <= 2_000_000
    assert all(path.read_bytes()[4:8] == bytes(4) for path in packed)  # no time in the gzip header
    licence = (folder / "LICENSE.md").read_text(encoding="utf-8")
    for part in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0", "same writers", "rint(v * 255)"):
        assert part in licence


@pytest.mark.skipif(not FULL_MNIST.is_dir(), reason="the whole of MNIST does not lie in ../shared/mnist")
def test_sample_is_exactly_the_first_ten_thousand_of_mnist() -> None:
    full, sample = load(FULL_MNIST), load("sample")
    assert full.name == "mnist"
    expected = sorted(
        (image.tobytes(), int(label)) for image, label in zip(full.x_train[:10_000], full.y_train[:10_000], strict=True)
    )
    ours = sorted(
        (image.tobytes(), int(label))
        for images, labels in sample.splits
        for image, label in zip(images, labels, strict=True)
    )
    assert ours == expected


@pytest.mark.skipif(not FULL_MNIST.is_dir(), reason="the whole of MNIST does not lie in ../shared/mnist")
def test_full_mnist_from_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETCHU_DATA_DIR", str(FULL_MNIST.parent))
    (x_train, y_train), (x_test, y_test) = mnist.load_data("mnist")
    assert [a.shape for a in (x_train, y_train, x_test, y_test)] == [
        (60000, 28, 28),
        (60000,),
        (10000, 28, 28),
        (10000,),
    ]
    assert all(a.dtype == np.uint8 for a in (x_train, y_train, x_test, y_test))
    assert [file.sha256 for file in MNIST.files] == list(load("mnist").digests)
    assert load().source == f"folder {FULL_MNIST}"


# The order


def test_named_folder_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx_folder(tmp_path / "a", small())
    write_idx_folder(tmp_path / "b", small(train=9))
    monkeypatch.setenv("NETCHU_DATA_DIR", str(tmp_path / "b"))
    assert load(data_dir=tmp_path / "a").name == "a"
    assert load().name == "b"
    assert len(mnist.load_data()[0][0]) == 9
    assert load("sample").name == "mnist-sample"


def test_named_folder_without_files_is_an_error_not_a_detour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETCHU_DATA_DIR", str(tmp_path / "nowhere"))
    with pytest.raises(DataNotFoundError, match="nowhere"):
        mnist.load_data()
    monkeypatch.setenv("NETCHU_DATA_DIR", "")
    with pytest.warns(UserWarning, match="sample"):
        mnist.load_data()


def test_sample_stands_in_with_a_warning_at_the_callers_line() -> None:
    with pytest.warns(UserWarning, match="The sample of MNIST in the package stands in") as caught:
        data = load()
    assert caught[0].filename == __file__
    assert (data.name, data.source) == ("mnist-sample", "package sample")
    with pytest.raises(DataNotFoundError, match="MNIST"):
        load("mnist")


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"source='mnist\.npz'"):
        mnist.load_data("mnist.npz")
    with pytest.raises(UsageError, match="either the sample or a folder"):
        mnist.load_data("sample", data_dir=tmp_path)
    with pytest.raises(UsageError, match="either a path or data_dir"):
        load(tmp_path, data_dir=tmp_path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="XDG is for Linux")
def test_cache_follows_xdg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = importlib.reload(cache)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert fresh.cache_folder() == tmp_path / "netchu"
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere/relative")
    try:
        place = fresh.cache_folder()
    except OSError:
        return
    assert place.is_absolute()


def test_importing_loads_nothing_heavy() -> None:
    code = "import numpy, sys; before = set(sys.modules); import netchu.datasets; print(*set(sys.modules) - before)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-B", "-c", code]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    heavy = {"filelock", "platformdirs", "ssl", "socket", "urllib.request", "http.client", "zipfile", "fcntl", "PIL"}
    assert not heavy & set(output.split())


@pytest.mark.parametrize("name", ["idx", "dataset", "mnist", "catalog"])
def test_examples_in_docstrings(name: str) -> None:
    module = importlib.import_module(f"netchu.datasets.{name}")
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


def test_public_names_and_their_errors_are_one_family() -> None:
    assert netchu.datasets.__all__ == ["Dataset", "idx", "load", "mnist", "scale_pixels"]
    assert issubclass(DataError, NetchuError)
    assert issubclass(DataNotFoundError, FileNotFoundError)
