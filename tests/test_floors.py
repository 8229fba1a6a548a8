"""The house keeps its order: who may import whom, where heavy and POSIX-only libraries may appear, what is said.

A file imports from floors below its own, and within its own room.  On a floor with several rooms, a room may import
those listed before it; on the vocabulary's floor nobody imports a neighbour.  Imports inside functions count, except in
`cli`, the door, which loads a command's needs when the command is called.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import netchu
from helpers import SOURCE

# Each floor: its rooms in the order in which they may build on each other.
FLOORS: list[list[str]] = [
    ["errors", "registry", "files", "limits"],
    ["engines"],
    ["tape"],
    ["ops", "random", "gradient_check"],
    ["initializers", "activations", "regularizers", "constraints", "losses", "metrics", "optimizers"],
    ["layers"],
    ["saving", "checkpoints"],
    [
        "batches",
        "callbacks",
        "progress",
        "interruption",
        "checks",
        "compiled_metrics",
        "stepping",
        "resuming",
        "loop",
        "training",
        "summary",
        "models",
        "utils",
    ],
    ["interop"],
    ["datasets", "digits"],
    ["naive"],
    ["cli", "__main__"],
]
NEIGHBOURS_FORBIDDEN = FLOORS[4]
"""The vocabulary: initializers, activations, losses, metrics and optimizers do not know each other."""
NEIGHBOURS_ALLOWED = {("metrics", "losses")}
"""But for one: a metric may be the mean of a loss."""

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


def imports(tree: ast.AST, *, module_level_only: bool = False) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import: `from netchu import ops` gives netchu.ops."""
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for node in ast.walk(branch)
    }
    in_functions = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only or (module_level_only and id(node) in in_functions):
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are written in full here, from netchu.x import y"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


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
    being_built = {"cli", "__main__", "digits"}
    assert listed - rooms() <= being_built, f"the table lists rooms that are not there: {sorted(listed - rooms())}"


WRONG = [("tape", "ops"), ("losses", "metrics"), ("layers", "models"), ("ops", "random"), ("errors", "engines")]
RIGHT = [("ops", "tape"), ("gradient_check", "ops"), ("models", "training"), ("cli", "naive"), ("layers", "layers")]


@pytest.mark.parametrize(("importer", "imported"), WRONG)
def test_the_rule_forbids(importer: str, imported: str) -> None:
    assert forbidden(importer, imported)


@pytest.mark.parametrize(("importer", "imported"), RIGHT)
def test_the_rule_allows(importer: str, imported: str) -> None:
    assert not forbidden(importer, imported)


def test_public_names_lead_to_their_rooms() -> None:
    assert room_behind("netchu.Sequential") == "models"
    assert room_behind("netchu.ops.exp") == "ops"


def test_imports_inside_functions_are_seen() -> None:
    tree = ast.parse("def f():\n    from netchu import ops\n    import netchu.tape")
    assert list(imports(tree)) == [(2, "netchu.ops"), (3, "netchu.tape")]
    assert list(imports(tree, module_level_only=True)) == []


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
