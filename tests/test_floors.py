"""The house keeps its order: who may import whom, where heavy and POSIX-only libraries may appear, what is said.

A file imports from floors below its own, and within its own room.  On a floor with several rooms, a room may import
those listed before it; on the vocabulary's floor nobody imports a neighbour.  Imports inside functions count, and so do
those by name (`import_module("netchu.x")`, a table of such names), except in `cli`, the door, which loads a command's
needs when the command is called.  Among files there is no circle at all, in no room, `cli` included.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import netchu
from helpers import SOURCE

# Each floor: its rooms in the order in which they may build on each other.
FLOORS: list[list[str]] = [
    ["errors", "arguments", "left_to_keras", "system", "registry", "array_likes"],
    ["formats"],
    ["engines"],
    ["tensor", "operation", "listening", "tape"],
    ["ops", "random", "gradient_check"],
    ["initializers", "activations", "regularizers", "constraints", "losses", "metrics", "optimizers"],
    ["layers"],
    ["callbacks", "training"],
    ["interop", "models", "utils"],
    ["datasets", "digits"],
    ["naive"],
    ["cli", "__main__"],
]
NEIGHBOURS_FORBIDDEN = FLOORS[5]
"""The vocabulary: initializers, activations, losses, metrics and optimizers do not know each other."""
NEIGHBOURS_ALLOWED = {("metrics", "losses"), ("metrics", "initializers")}
"""But for two: a metric may be the mean of a loss, and its state begins as a weight does."""

INSIDE: dict[str, list[str]] = {
    "digits": [
        "form", "pictures", "__init__", "distortion", "recipes", "run_folder", "job", "data", "reader", "measuring",
        "training",
    ],
    "engines": ["contract", "types", "tracing", "numpy", "jax_cache", "jax", "tensorflow", "forks", "__init__"],
    "engines/numpy": ["functions", "recording", "memory", "program", "engine", "__init__"],
    "formats": [
        "document", "foreign", "safetensors", "checkpoint", "read_hdf5", "write_hdf5", "zip_archive", "__init__",
    ],
    "interop": [
        "model", "keras_config", "keras", "onnx_graph", "onnx_activations", "onnx_layers", "onnx", "__init__",
    ],
    "models": ["summary", "saving", "sequential", "loading", "__init__"],
    "system": ["environment", "disk", "signals", "printing", "__init__"],
    "training": [
        "arrays", "batches", "measures", "traced", "step", "checks", "data", "recovery", "loop", "resuming", "trainer",
        "__init__",
    ],
}  # fmt: skip
"""Of the rooms whose files build on each other in a long row: the files in that order."""

MOST_FLOORS = 13
MOST_FILES_AT_THE_TOP = 22
MOST_LINES = 400
MOST_CODE_LINES = 40

MODULE = r"netchu(\.\w+)+"
"""How a module is called in a text."""

OWN_FLOOR = {"__init__": None}
"""`netchu/__init__.py` is the door to all rooms; it imports lazily, which `test_imports.py` measures."""

HEAVY = {"jax", "jaxlib", "tensorflow", "torch", "keras", "h5py"}
FOR_FILES = {"onnx", "onnxruntime"}
"""Libraries that read and write files: imported by functions of `interop` only, when such a file is asked for."""
POSIX_ONLY = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty", "crypt", "nis", "spwd"}

FILES = sorted(SOURCE.rglob("*.py"))


def place(room: str) -> tuple[int, int]:
    """(floor, position on it)."""
    for number, rooms in enumerate(FLOORS):
        if room in rooms:
            return number, rooms.index(room)
    raise AssertionError(f"src/netchu has a room {room!r} that stands on no floor: give it one in tests/test_floors.py")


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def where(path: Path) -> str:
    return path.relative_to(SOURCE.parent).as_posix()


def imports(tree: ast.AST, *, module_level_only: bool = False, typing_too: bool = False) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import: `from netchu import ops` gives netchu.ops, and so does a text "netchu.ops".

    Args:
        tree: of a file.
        module_level_only: leave out what stands in functions.
        typing_too: also those under `if TYPE_CHECKING`.
    """
    left_out = set() if typing_too else _inside(tree, lambda node: isinstance(node, ast.If) and _is_typing(node))
    if module_level_only:
        left_out |= _inside(tree, lambda node: isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings, and notes of values
    for node in ast.walk(tree):
        if id(node) in left_out:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are written in full here, from netchu.x import y"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Constant) and id(node) not in said and re.fullmatch(MODULE, str(node.value)):
            yield node.lineno, str(node.value)


def _inside(tree: ast.AST, chosen: Callable[[ast.AST], bool]) -> set[int]:
    return {id(node) for branch in ast.walk(tree) if chosen(branch) for node in ast.walk(branch)}


def _is_typing(node: ast.If) -> bool:
    return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def forbidden(importer: str, imported: str) -> str:
    """Why a room may not import another; empty if it may."""
    if importer == imported:
        return ""
    (floor, position), (other_floor, other_position) = place(importer), place(imported)
    if other_floor > floor:
        return f"{imported} (floor {other_floor}) lies above {importer} (floor {floor})"
    if other_floor == floor and importer in NEIGHBOURS_FORBIDDEN and (importer, imported) not in NEIGHBOURS_ALLOWED:
        return f"{importer} and {imported} are vocabulary and do not know each other"
    if other_floor == floor and other_position > position:
        return f"{imported} comes after {importer} on floor {floor}"
    return ""


@pytest.mark.parametrize("path", FILES, ids=where)
def test_a_file_imports_from_floors_below(path: Path) -> None:
    room = room_of(path)
    if room in OWN_FLOOR:
        return
    for line, name in imports(parsed(path), module_level_only=room == "cli"):
        if name == "netchu" or name.startswith("netchu."):
            assert name != "netchu", f"{where(path)}:{line} imports the whole of netchu instead of a room"
            reason = forbidden(room, room_behind(name))
            assert not reason, f"{where(path)}:{line} imports {name}: {reason}"


def room_behind(name: str) -> str:
    """The room that `netchu.tape.Tensor`, or `netchu.Tensor` for short, lies in."""
    first = name.split(".")[1]
    return netchu._NAMES.get(first, f"netchu.{first}").split(".")[1] if first not in rooms() else first


def rooms() -> set[str]:
    return {room_of(path) for path in FILES} - {"__init__"}


def test_every_room_stands_on_a_floor_and_every_floor_has_its_rooms() -> None:
    for room in rooms():
        place(room)
    listed = {room for floor in FLOORS for room in floor}
    assert listed == rooms(), f"the table lists rooms that are not there: {sorted(listed - rooms())}"
    assert len(FLOORS) <= MOST_FLOORS
    assert len([path for path in FILES if path.parent == SOURCE]) <= MOST_FILES_AT_THE_TOP


# --- files -----------------------------------------------------------------------------------------------------------


def file_behind(name: str) -> Path | None:
    """The file that `netchu.training.loop.Run` stands in; None for what is not netchu's, and for `netchu` itself."""
    parts = name.split(".")
    for end in range(len(parts), 1, -1):
        path = SOURCE.joinpath(*parts[1:end])
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if parts[0] == "netchu" and candidate in FILES:
                return candidate
    return None


@cache
def files_imported_by(path: Path) -> dict[Path, int]:
    """Each file that one imports, in whatever way, with the line where it does so."""
    found = ((file_behind(name), line) for line, name in imports(parsed(path), typing_too=True))
    return {file: line for file, line in found if file not in (None, path)}  # type: ignore[misc]


def circle(graph: dict[Path, dict[Path, int]]) -> list[Path]:
    """Files that import each other in a circle; empty if there are none."""
    done: set[Path] = set()

    def walk(path: Path, way: list[Path]) -> list[Path]:
        if path in way:
            return [*way[way.index(path) :], path]
        if path in done:
            return []
        for other in graph[path]:
            if found := walk(other, [*way, path]):
                return found
        done.add(path)
        return []

    return next((found for path in graph if (found := walk(path, []))), [])


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {path: files_imported_by(path) for path in FILES if path != SOURCE / "__init__.py"}
    assert sum(map(len, graph.values())) > 500
    found = circle(graph)
    assert not found, " -> ".join(map(where, found))


def test_a_circle_is_found() -> None:
    a, b, c = Path("a"), Path("b"), Path("c")
    assert circle({a: {b: 1}, b: {c: 1}, c: {b: 1}}) == [b, c, b]
    assert circle({a: {b: 1, c: 1}, b: {c: 1}, c: {}}) == []


@pytest.mark.parametrize("folder", INSIDE)
def test_inside_a_room_files_build_on_those_before_them(folder: str) -> None:
    names = INSIDE[folder]
    there = {path.stem for path in (SOURCE / folder).glob("*.py")}
    there |= {path.parent.name for path in (SOURCE / folder).glob("*/__init__.py")}
    assert sorted(there) == sorted(names)
    for path in (SOURCE / folder).rglob("*.py"):
        own = path.relative_to(SOURCE / folder).parts[0].removesuffix(".py")
        for file, line in files_imported_by(path).items():
            if file.is_relative_to(SOURCE / folder):
                other = file.relative_to(SOURCE / folder).parts[0].removesuffix(".py")
                assert names.index(other) <= names.index(own), f"{where(path)}:{line} imports {where(file)}"


@pytest.mark.parametrize("path", FILES, ids=where)
def test_no_file_and_no_function_is_long(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES
    for function in functions(parsed(path)):
        said = function.body[0]
        doc = range(said.lineno, (said.end_lineno or 0) + 1) if ast.get_docstring(function) else range(0)
        numbers = range(function.lineno, (function.end_lineno or 0) + 1)
        code = [n for n in numbers if n not in doc and lines[n - 1].strip() and lines[n - 1].strip()[0] != "#"]
        assert len(code) <= MOST_CODE_LINES, f"{function.name} has {len(code)} lines of code"


WRONG = [("tape", "ops"), ("losses", "metrics"), ("layers", "models"), ("ops", "random"), ("errors", "engines")]
RIGHT = [("ops", "tape"), ("gradient_check", "ops"), ("models", "interop"), ("cli", "naive"), ("layers", "layers")]


@pytest.mark.parametrize(("importer", "imported"), WRONG)
def test_the_rule_forbids(importer: str, imported: str) -> None:
    assert forbidden(importer, imported)


@pytest.mark.parametrize(("importer", "imported"), RIGHT)
def test_the_rule_allows(importer: str, imported: str) -> None:
    assert not forbidden(importer, imported)


def test_public_names_lead_to_their_rooms() -> None:
    assert room_behind("netchu.Sequential") == "models"
    assert room_behind("netchu.ops.exp") == "ops"


def test_imports_inside_functions_and_by_name_are_seen() -> None:
    tree = ast.parse(
        "def f():\n    from netchu import ops\n    import netchu.tape\nTABLE = {'a': 'netchu.interop.onnx'}"
    )
    assert sorted(imports(tree)) == [(2, "netchu.ops"), (3, "netchu.tape"), (4, "netchu.interop.onnx")]
    assert list(imports(tree, module_level_only=True)) == [(4, "netchu.interop.onnx")]
    assert list(imports(ast.parse('"""See netchu.ops."""\n"netchu.ops"'))) == []
    only_types = ast.parse("if TYPE_CHECKING:\n    from netchu import ops")
    assert (list(imports(only_types)), len(list(imports(only_types, typing_too=True)))) == ([], 1)


@pytest.mark.parametrize("path", FILES, ids=where)
def test_heavy_libraries_are_imported_by_their_engine_only(path: Path) -> None:
    for line, name in imports(parsed(path)):
        library = name.split(".")[0]
        if library in HEAVY:
            assert path == SOURCE / "engines" / f"{library}.py", f"{where(path)}:{line} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=where)
def test_libraries_for_files_are_imported_by_functions_of_interop(path: Path) -> None:
    at_module_level = set(imports(parsed(path), module_level_only=True))
    for line, name in imports(parsed(path)):
        if name.split(".")[0] in FOR_FILES:
            inside = room_of(path) == "interop" and (line, name) not in at_module_level
            assert inside, f"{where(path)}:{line} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=where)
def test_nothing_posix_only_is_imported_at_module_level(path: Path) -> None:
    for line, name in imports(parsed(path), module_level_only=True):
        assert name.split(".")[0] not in POSIX_ONLY, f"{where(path)}:{line} imports {name}, which Windows lacks"


# --- what is said ----------------------------------------------------------------------------------------------------


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


@pytest.mark.parametrize("path", FILES, ids=where)
def test_every_function_is_annotated(path: Path) -> None:
    for function in functions(parsed(path)):
        a = function.args
        named = [
            *a.posonlyargs,
            *a.args,
            *a.kwonlyargs,
            *([a.vararg] if a.vararg else []),
            *([a.kwarg] if a.kwarg else []),
        ]
        bare = [p.arg for p in named if p.annotation is None and p.arg not in ("self", "cls")]
        spot = f"{where(path)}:{function.lineno} {function.name}"
        assert not bare, f"{spot}: no annotation for {bare}"
        assert function.returns is not None, f"{spot}: no annotation for what it returns"


@pytest.mark.parametrize("path", FILES, ids=where)
def test_every_file_opens_with_a_docstring(path: Path) -> None:
    assert ast.get_docstring(parsed(path)), f"{where(path)} says nothing about itself"


def public(tree: ast.Module) -> Iterator[tuple[str, bool]]:
    """(name, whether it has a docstring) of every public class, function and method at module or class level."""
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        prefix, node = waiting.pop()
        for child in getattr(node, "body", []):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and child.name[0] != "_":
                yield f"{prefix}{child.name}", ast.get_docstring(child) is not None
                if isinstance(child, ast.ClassDef):
                    waiting.append((f"{prefix}{child.name}.", child))


def test_public_docstrings_are_at_least_95_percent() -> None:
    found = [(f"{where(path)} {name}", said) for path in FILES for name, said in public(parsed(path))]
    silent = [name for name, said in found if not said]
    assert len(found) > 300
    assert len(silent) <= 0.05 * len(found), f"{len(silent)} of {len(found)} have no docstring: {silent}"
