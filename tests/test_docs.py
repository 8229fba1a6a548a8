"""The documents are true: their Python runs and prints what they say, their twins agree, their links lead somewhere.

How the Markdown is read:

* a block ```` ```python ```` is run, in order, in one namespace a document; one that names jax is skipped without it;
* a block ```` ```python src/netchu/FILE.py ```` is a quotation: each piece between lines of `...` stands in that file;
* a block ```` ```text ```` is what the Python block right above it prints;
* other blocks (```` ```sh ````, ```` ```console ````) are not run, but for the README's two commands, which CI runs.

A document `X.vi.md` is the Vietnamese twin of `X.md`: it has the same blocks, so only `X.md` is run.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import importlib.util
import io
import re
import textwrap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netchu import ops, tape

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "netchu"
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "src").rglob("README.md")]
    if path.is_file()
)
TWINS = [name for name in DOCUMENTS if name.endswith(".vi.md")]
RUNNABLE = [name for name in DOCUMENTS if name not in TWINS]
COMMANDS = {
    "main job": "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/netchu train",
    "tests": "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/python -m pytest -n auto",
}
README_EXAMPLE_LINES = 20

# What a document may name in `code` and need not hold: files that running netchu makes, and names to be filled in.
MADE_BY_RUNNING = {"netchu-model.safetensors", "digits.safetensors"}
FOLDERS = ("src/", "tests/", "docs/", "benchmarks/", "tools/", ".ci/")
OWN_FILES = [
    path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()
]
HAS_JAX = importlib.util.find_spec("jax") is not None


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what follows on the fence's line, its text, and the line it begins at."""

    language: str
    argument: str
    text: str
    line: int


def blocks_of(document: str) -> list[Block]:
    """All fenced blocks of a document, in order; indented ones (in lists) are brought to the margin."""
    lines = (ROOT / document).read_text("utf-8").splitlines()
    blocks, start = [], None
    for number, line in enumerate(lines):
        if not line.lstrip().startswith("```"):
            continue
        if start is None:
            start = number
            continue
        language, _, argument = lines[start].lstrip().removeprefix("```").partition(" ")
        text = textwrap.dedent("\n".join(lines[start + 1 : number])) + "\n"
        blocks.append(Block(language, argument.strip(), text, start + 1))
        start = None
    assert start is None, f"{document}: the block that begins at line {(start or 0) + 1} does not end"
    return blocks


def prose_of(document: str) -> str:
    """A document without its fenced blocks."""
    return re.sub(r"^[ ]*```.*?^[ ]*```[ ]*$", "", (ROOT / document).read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def _as_a_reader_would(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """In an empty folder, without network or cache; operations that a document defines are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert ops.matmul  # importing ops has filled the table
    before = dict(tape.operations)
    yield
    tape.operations.clear()
    tape.operations.update(before)


def run(document: str, block: Block, namespace: dict[str, Any]) -> str:
    """Run a block and return what it printed; a traceback shows the document's own line numbers."""
    code = compile("\n" * block.line + block.text, str(ROOT / document), "exec", dont_inherit=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The sample of MNIST")  # the reader sees it, too
        exec(code, namespace)
    return printed.getvalue()


@pytest.mark.usefixtures("_as_a_reader_would")
@pytest.mark.parametrize("document", RUNNABLE)
def test_python_blocks_run_and_print_what_the_document_says(document: str) -> None:
    namespace: dict[str, Any] = {"__name__": "document"}
    blocks = blocks_of(document)
    for block, following in zip(blocks, [*blocks[1:], None]):
        if block.language != "python" or block.argument or ("jax" in block.text and not HAS_JAX):
            continue
        printed = run(document, block, namespace)
        if following is not None and following.language == "text":
            assert printed == following.text, f"{document}:{following.line} says otherwise"


@pytest.mark.parametrize("document", RUNNABLE)
def test_outputs_stand_under_the_python_that_prints_them(document: str) -> None:
    blocks = blocks_of(document)
    assert {block.language for block in blocks} <= {"python", "text", "sh", "console"}, document
    for before, block in zip([None, *blocks], blocks):
        if block.language == "text":
            assert before is not None, document
            assert (before.language, before.argument) == ("python", ""), f"{document}:{block.line} is nobody's output"


@pytest.mark.parametrize("document", RUNNABLE)
def test_quotations_stand_in_the_file_they_name(document: str) -> None:
    for block in blocks_of(document):
        if not (block.language == "python" and block.argument):
            continue
        source = (ROOT / block.argument).read_text("utf-8")
        at = 0
        for piece in re.split(r"^\s*\.\.\.\n", block.text, flags=re.MULTILINE):
            found = find_piece(piece, source, at)
            assert found is not None, f"{document}:{block.line}: {block.argument} no longer has\n{piece}"
            at = found


def find_piece(piece: str, source: str, start: int) -> int | None:
    """Where `piece` ends in `source` at or after `start`, whatever its indentation; None if it is not there."""
    for indentation in ("", " " * 4, " " * 8, " " * 12):
        indented = textwrap.indent(piece, indentation)
        if (found := source.find(indented, start)) >= 0:
            return found + len(indented)
    return None


# --- the README ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", ["README.md", "README.vi.md"])
def test_readme_example_is_short_and_first(document: str) -> None:
    first = next(block for block in blocks_of(document) if block.language == "python")
    assert len(first.text.splitlines()) <= README_EXAMPLE_LINES
    assert "load_data()" in first.text
    assert blocks_of(document)[0] == first


@pytest.mark.parametrize("document", ["README.md", "README.vi.md"])
@pytest.mark.parametrize("name", COMMANDS)
def test_readme_has_the_command(document: str, name: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    assert f"<!-- command: {name} -->\n```sh\n{COMMANDS[name]}\n```\n" in text


def test_ci_runs_the_readmes_test_command() -> None:
    script = ROOT / ".ci" / "run"
    if not script.exists():
        pytest.skip("no .ci/run in this checkout")
    assert COMMANDS["tests"] in script.read_text("utf-8")


# --- twins, links, paths ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("twin", TWINS)
def test_vietnamese_twin_has_the_same_blocks(twin: str) -> None:
    original = blocks_of(twin.replace(".vi.md", ".md"))
    translated = blocks_of(twin)
    for ours, theirs in zip(original, translated):
        assert (ours.language, ours.argument, ours.text) == (theirs.language, theirs.argument, theirs.text), theirs.line
    assert len(original) == len(translated)


@pytest.mark.parametrize("twin", TWINS)
def test_vietnamese_twin_has_the_same_sections(twin: str) -> None:
    def levels(document: str) -> list[str]:
        return re.findall(r"^(#+) ", prose_of(document), flags=re.MULTILINE)

    assert levels(twin) == levels(twin.replace(".vi.md", ".md"))


def test_the_twins_are_there() -> None:
    assert {"README.vi.md", "docs/how-it-works.vi.md"} <= set(TWINS)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_and_named_files_exist(document: str) -> None:
    prose = prose_of(document)
    missing = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (ROOT / document).parent / path if path else ROOT / document
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            missing.append(link)
    missing += [code for code in re.findall(r"`([^`\n]+)`", prose) if is_path(code) and not exists(code)]
    assert not missing, f"{document} names what is not there: {missing}"


def is_path(code: str) -> bool:
    """Whether `code` in a document means a file of the repository: `src/netchu/tape.py`, `tape.py`, `ops/shapes.py`."""
    if re.search(r"[^\w./-]|\bNAME\b|\bX\.", code) or code in MADE_BY_RUNNING or code.startswith(("/", "~")):
        return False
    return code.startswith(FOLDERS) or re.search(r"\w\.(py|md|toml)$", code) is not None


def exists(code: str) -> bool:
    """Whether the repository has a file or folder whose path ends so."""
    return (ROOT / code).exists() or any(f"/{path}".endswith(f"/{code}") for path in OWN_FILES)


def anchors_of(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a Markdown file."""
    headings = re.findall(r"^#+ (.+)$", prose_of(path.relative_to(ROOT).as_posix()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


# --- docstrings ------------------------------------------------------------------------------------------------------

WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
    if ">>> " in path.read_text("utf-8")
)


def test_some_docstrings_have_examples() -> None:
    assert WITH_EXAMPLES


@pytest.mark.usefixtures("_as_a_reader_would")
@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_docstring_examples_are_true(name: str) -> None:
    module = importlib.import_module(name)
    failed, tried = doctest.testmod(module, extraglobs={"np": np}, optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert tried
    assert not failed
