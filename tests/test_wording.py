"""Each language says everything anew, and knows how to say what the classifiers say in English."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pyclassify
from pyclassify.ui import wording
from pyclassify.ui.page import build_page
from pyclassify.ui.wording.en import English
from pyclassify.ui.wording.ko import Korean
from tests.fakes import FakeClassifier

ROOT = Path(pyclassify.__file__).parent
SPEAKING = [ROOT / "image" / "transform.py", ROOT / "text" / "transform.py", ROOT / "classifier.py"]

SAME = {"TITLE"}
"""Said alike in every language."""

HANGUL = re.compile("[가-힣]")
NAMES_AND_TERMS = {
    *("jpeg", "png", "webp", "gif", "bmp", "tiff", "heic", "avif", "mb", "url", "data", "image", "base64"),
    *("cpu", "gpu", "apple", "intel", "pyclassify", "label", "cat", "dog", "ms", "noun"),
}
"""Latin words that a Korean sentence may hold: formats, devices, and what the tests put in."""

PUBLIC = [name for name in vars(English) if not name.startswith("_")]
CALLS: dict[str, tuple[Any, ...]] = {
    "unknown_checkpoint": ("cat", ["dog"]),
    "no_checkpoint": ("image",),
    "why_picture": ("cat",),
    "why_words": ("cat", ["dog"], []),
    "legend": ("cat",),
    "small_print": ("mps", 3.0),
    "nearest": ([("cat", "98\u00a0%")],),
    "brief": ({"kind": "text", "scores": {"accuracy": 0.5}}, ["cat"] * 11),
    "about": ({"kind": "text", "data": {"train": 10, "test": 5, "name": "cat"}, "scores": {"accuracy": 0.5}},),
}


def said_by(language: type[English], name: str) -> list[str]:
    """All sentences behind a name."""
    said = getattr(language, name)
    if callable(said):
        said = said(*CALLS[name])
    return [said] if isinstance(said, str) else list(said)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_is_said_anew_in_korean(name: str) -> None:
    assert name in vars(Korean)
    english, korean = vars(English)[name], vars(Korean)[name]
    assert type(english) is type(korean)
    if isinstance(english, staticmethod):
        assert inspect.signature(english.__func__) == inspect.signature(korean.__func__)


def test_korean_has_no_name_of_its_own() -> None:
    assert {name for name in vars(Korean) if not name.startswith("_")} <= set(PUBLIC)


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - {"CODE", "sentence"}))
def test_what_korean_says_is_korean(name: str) -> None:
    assert (said_by(Korean, name) == said_by(English, name)) == (name in SAME)
    if name in SAME:
        return
    for sentence in said_by(Korean, name):
        if sentence.startswith("python -m"):  # a command
            continue
        assert HANGUL.search(sentence)
        foreign = {word.lower() for word in re.findall("[A-Za-z]+[0-9]*", sentence)}
        assert foreign <= NAMES_AND_TERMS


# What the classifiers say


def sentences(path: Path) -> Iterator[str]:
    """Every sentence of an InputError and every note in a source, with a sample in each hole."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InputError":
            yield from _filled(node.args[0], constants)
        elif isinstance(node, (ast.JoinedStr, ast.Constant)):
            # whole ones; a part of one in braces is a node of its own as well
            yield from (each for each in _filled(node, constants) if re.fullmatch("only the first .+ read", each))


def _filled(node: ast.expr, constants: dict[str, Any]) -> list[str]:
    """A literal's text once per sample; nothing for what is no text."""
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if not isinstance(node, ast.JoinedStr):
        raise AssertionError(f"line {node.lineno}: write the sentence where it is raised")
    return [
        "".join(_part(part, constants, tokens) for part in node.values)
        for tokens in (("words", "characters") if "self.tokens" in ast.unparse(node) else ("",))
    ]


def _part(part: ast.expr, constants: dict[str, Any], tokens: str) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    hole = ast.unparse(part)
    if "self.tokens" in hole:
        return tokens
    assert isinstance(part, ast.FormattedValue)
    return str(constants.get(ast.unparse(part.value), "1,234" if "," in hole or "len" in hole else "x.png"))


FOUND = [(path.name, sentence) for path in SPEAKING for sentence in sentences(path)]


def test_the_sentences_are_found() -> None:
    said = " ".join(sentence for _, sentence in FOUND)
    for part in (
        "does not exist",
        "no pixels",
        "the text is empty",
        "words were read",
        "characters were read",
        "frames was",
    ):
        assert part in said
    assert len(FOUND) >= 18


@pytest.mark.parametrize(("source", "sentence"), FOUND)
def test_korean_knows_what_the_classifiers_say(source: str, sentence: str) -> None:
    translated = Korean.sentence(sentence)
    assert translated != English.sentence(sentence)
    assert HANGUL.search(translated)
    holes = [hole for hole in ("1,234", "x.png") if hole in sentence]
    assert all(hole in translated for hole in holes)


@pytest.mark.parametrize("name", [name for name in PUBLIC if isinstance(vars(English)[name], str)])
def test_korean_knows_what_the_page_says(name: str) -> None:
    said = getattr(English, name)
    assert Korean.sentence(said) in {getattr(Korean, each) for each in PUBLIC if getattr(English, each) == said}


# What the browser translates


def test_both_tables_hold_all_that_the_page_fixes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    fixed: dict[str, dict[str, str]] = {language: {} for language in wording.LANGUAGES}
    monkeypatch.setattr(wording, "_fixed", fixed)
    given = {
        "title": {"en": "Letters", "ko": "편지"},
        "label_names": {"en": {"ham": "wanted"}, "ko": {"ham": "보통", "spam": "광고"}},
    }
    classifiers = {kind: FakeClassifier(kind, info={"kind": kind, "card": given}) for kind in ("text", "image")}
    page = build_page(classifiers, {"old": "it is torn"})  # type: ignore[arg-type]
    build_page({}, {})
    for block in page.blocks.values():
        asked += re.findall("pyclassify-[0-9a-f]{16}", repr(block.get_config()))
    translations = wording.table().translations
    assert set(asked) <= set(translations["en"])
    assert len(set(asked)) > 15
    assert set(translations["en"]) == set(translations["ko"]) == set(fixed["en"])
    for key, said in translations["en"].items():
        if not said or not re.search("[A-Za-z]{2}", said):
            continue
        assert HANGUL.search(translations["ko"][key]), said
