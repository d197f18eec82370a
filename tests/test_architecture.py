"""The rooms of the house: who may import whom, and how large a room may grow."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pyclassify"
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "train").glob("*.py"), ROOT / "app.py"])

LONGEST_FUNCTION = 60
"""Lines, docstring and signature included; what is inside stays below 40."""


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _offenders(paths: list[Path], *forbidden: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in paths
        for name in sorted(_imports(path))
        if any(name == each or name.startswith(f"{each}.") for each in forbidden)
    ]


def _in(*rooms: str) -> list[Path]:
    return [
        path for path in SOURCES if path.relative_to(PACKAGE if PACKAGE in path.parents else ROOT).parts[0] in rooms
    ]


def test_pictures_and_text_do_not_know_each_other() -> None:
    assert _offenders(_in("image"), "pyclassify.text", "torchtext") == []
    assert _offenders(_in("text"), "pyclassify.image", "torchvision") == []


def test_gradio_lives_in_the_page_alone() -> None:
    others = [path for path in SOURCES if "ui" not in path.parts and path.name != "app.py"]
    assert _offenders(others, "gradio") == []


def test_the_page_does_not_know_torch() -> None:
    assert _offenders(_in("ui"), "torch", "torchvision", "torchtext") == []


def test_torchtext_is_known_to_one_module() -> None:
    assert {path.name for path in SOURCES if any(name.startswith("torchtext") for name in _imports(path))} == {
        "data.py"
    }


ROWS = [
    {"errors.py", "message.py"},
    {"device.py", "examples.py", "known.py", "provenance.py", "threads.py", "twins.py"},
    {"image", "text"},
    {"training"},
    {"evaluation", "card.py", "findings.py", "fixes.py", "report.py", "folder.py", "hub.py"},
    {"selftest"},
    {"checkpoint.py"},
    {"classifier.py"},
    {"many"},
    {"ui", "__init__.py"},
]


def test_a_module_imports_only_from_the_rows_above() -> None:
    offences: list[str] = []
    for number, row in enumerate(ROWS):
        below = {name.removesuffix(".py") for later in ROWS[number + 1 :] for name in later} - {"__init__"}
        offences += _offenders(_in(*row), *(f"pyclassify.{name}" for name in below))
    assert offences == []
    assert {path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")} == set().union(*ROWS)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 310
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, f"{node.name} is too long"


def test_nothing_of_a_machine_is_written_down() -> None:
    tracked = [
        path for path in ROOT.rglob("*") if path.suffix in {".py", ".md", ".toml", ".txt", ".css", ".js", ".json"}
    ]
    mine = [path for path in tracked if not {"data", ".git", ".venv", "venv"} & set(path.relative_to(ROOT).parts)]
    assert [path for path in mine if str(ROOT) in path.read_text(encoding="utf-8", errors="replace")] == []
