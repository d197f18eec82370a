"""The dependency rule: who may import whom."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "pyclassify"

LAYERS = (
    {"errors", "locales"},
    {"device", "dataset", "archives", "formats", "manifest", "weights", "tables", "evaluation"},
    {"modality", "ood", "dedup", "training", "plots", "model_card"},
    {"image", "text"},
    {"selftest", "checkpoint", "data_report"},
    {"classifier"},
    {"recipe", "batch"},
    {"ui", "cli", "train", "app", "__init__"},
)
"""A module imports from its own layer and from those above it; `modality` loads image and text by name."""

FORBIDDEN = {
    "image": {"pyclassify.text", "torchtext", "gradio"},
    "text": {"pyclassify.image", "torchvision", "gradio"},
    "ui": {"torch", "torchvision", "torchtext"},
}


def sources() -> list[Path]:
    return sorted([*PACKAGE.rglob("*.py"), *(ROOT / "train").glob("*.py"), ROOT / "app.py"])


def part_of(path: Path) -> str:
    """Return the module or package that a file belongs to, such as "image" or "checkpoint"."""
    return path.relative_to(PACKAGE if PACKAGE in path.parents else ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Return what a file imports when it runs, anywhere in it; imports for type checkers alone are left out."""
    names: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
        else:
            pending += ast.iter_child_nodes(node)
    return names


def test_modules_import_only_what_lies_above_them() -> None:
    rank = {part: number for number, parts in enumerate(LAYERS) for part in parts}
    assert {part_of(path) for path in sources()} == rank.keys()
    offences = []
    torchtext_users = set()
    for path in sources():
        part, names = part_of(path), imports(path)
        below = {other for other in rank if rank[other] > rank[part]}
        forbidden = {f"pyclassify.{other}" for other in below} | (below & {"train", "app"}) | FORBIDDEN.get(part, set())
        if part not in ("ui", "app"):
            forbidden.add("gradio")
        roots = {name: {name, *(name[:i] for i, letter in enumerate(name) if letter == ".")} for name in names}
        offences += [f"{path.relative_to(ROOT)} imports {name}" for name in sorted(names) if roots[name] & forbidden]
        if any("torchtext" in parents for parents in roots.values()):
            torchtext_users.add(path.relative_to(PACKAGE).as_posix())
    assert offences == []
    assert torchtext_users == {"text/datasets.py"}


def test_nothing_of_a_machine_is_written_down() -> None:
    suffixes = {".py", ".md", ".toml", ".txt", ".css", ".js", ".json", ".j2", ".yaml", ".yml", ".cff"}
    ignored = {"data", ".git", ".venv", "venv"}
    texts = [path for path in ROOT.rglob("*") if path.suffix in suffixes]
    ours = [path for path in texts if not ignored & set(path.relative_to(ROOT).parts)]
    assert [path for path in ours if str(ROOT) in path.read_text(encoding="utf-8", errors="replace")] == []
