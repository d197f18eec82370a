"""Sentences: each key in every language with the same fields, used by the sources, and written as a person would."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyclassify import errors, locales
from pyclassify.locales import DEFAULT, LANGUAGES, Message, Sentence

ROOT = Path(locales.__file__).parent.parent
SOURCES = [*ROOT.rglob("*.py"), *(ROOT.parent / "train").glob("*.py"), ROOT.parent / "app.py"]
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
NODES = [node for tree in TREES.values() for node in ast.walk(tree)]

KEYS = sorted(locales.sentences(DEFAULT))
SECTIONS = {key.partition(".")[0] for key in KEYS}
ERRORS = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
OTHERS = [language for language in LANGUAGES if language != DEFAULT]

HANGUL = re.compile("[가-힣]")
NAMES = {"PyClassify", "CPU", "GPU", "Apple", "Intel", "MB", "ms"}
"""Words that are the same in every language."""


def forms(sentence: Sentence) -> list[str]:
    return [sentence] if isinstance(sentence, str) else list(sentence.values())


def fields(sentence: Sentence) -> set[str]:
    return {name for form in forms(sentence) for _, name, _, _ in string.Formatter().parse(form) if name}


# The files


@pytest.mark.parametrize("language", OTHERS)
def test_every_language_has_every_key_with_the_same_fields(language: str) -> None:
    sentences = locales.sentences(language)
    assert sorted(sentences) == KEYS
    assert [key for key in KEYS if fields(sentences[key]) != fields(locales.sentences(DEFAULT)[key])] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_plural_forms_have_one_for_all_other_numbers(language: str) -> None:
    for sentence in locales.sentences(language).values():
        assert isinstance(sentence, str) or "other" in sentence
        assert all(form == form.strip() != "" for form in forms(sentence))


def test_korean_is_written_in_hangul() -> None:
    latin = []
    for key, sentence in locales.sentences("ko").items():
        for form in forms(sentence):
            words = re.findall("[A-Za-z]+", re.sub(r"\{\w+\}", "", form))
            if not HANGUL.search(form) and not set(words) <= NAMES:
                latin.append(key)
    assert not latin, "\n".join(latin)


# The sources


def patterns(nodes: list[ast.AST]) -> list[re.Pattern[str]]:
    """A pattern for each f-string, whose holes may hold anything but a space."""
    return [
        re.compile("".join(re.escape(part.value) if isinstance(part, ast.Constant) else r"\S+" for part in node.values))
        for node in nodes
        if isinstance(node, ast.JoinedStr)
    ]


LITERALS = {node.value for node in NODES if isinstance(node, ast.Constant) and isinstance(node.value, str)}
KEY_PATTERNS = [
    pattern
    for pattern in patterns(NODES)
    # any code makes the key of an error, so that codes are looked for instead
    if pattern.pattern.split(r"\.")[0] in SECTIONS and pattern.pattern != r"errors\.\S+"
]


@dataclass(frozen=True, slots=True)
class Raised:
    """An error in the sources: where, with which code or pattern, and with which fields; None if they are not known."""

    place: str
    code: str | re.Pattern[str]
    fields: frozenset[str] | None


def raised() -> Iterator[Raised]:
    for path, tree in TREES.items():
        for scope in ast.walk(tree):
            if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module):
                for call in _calls(scope):
                    place = f"{path.relative_to(ROOT.parent)}:{call.lineno}"
                    names = [keyword.arg for keyword in call.keywords]
                    known = None if None in names else frozenset(filter(None, names))
                    for code in _codes(call.args[0], scope):
                        yield Raised(place, code, known)


def _calls(scope: ast.AST) -> Iterator[ast.Call]:
    """Calls of error classes in a function or module, but not in the functions within it."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.Call) and node.args:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ERRORS:
                yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _calls(node)


def _codes(node: ast.expr, scope: ast.AST) -> Iterator[str | re.Pattern[str]]:
    """The values that an expression may have, as far as they stand in the same function."""
    match node:
        case ast.Constant(value=str(code)):
            yield code
        case ast.JoinedStr():
            yield from patterns([node])
        case ast.IfExp():
            yield from _codes(node.body, scope)
            yield from _codes(node.orelse, scope)
        case ast.Name():
            for assignment in ast.walk(scope):
                if isinstance(assignment, ast.Assign) and ast.unparse(assignment.targets[0]) == node.id:
                    yield from _codes(assignment.value, scope)


RAISED = sorted(raised(), key=lambda error: error.place)
CODES = {key.removeprefix("errors.") for key in KEYS if key.startswith("errors.")}


def test_every_sentence_is_used() -> None:
    code_patterns = [error.code for error in RAISED if isinstance(error.code, re.Pattern)]
    unused = [
        key
        for key in KEYS
        if key not in LITERALS
        and not any(pattern.fullmatch(key) for pattern in KEY_PATTERNS)
        and key.removeprefix("errors.") not in CODES & LITERALS
        and not any(pattern.fullmatch(key.removeprefix("errors.")) for pattern in code_patterns)
    ]
    assert not unused, "\n".join(unused)


def test_every_error_has_a_sentence_with_its_fields() -> None:
    assert len(RAISED) > 20
    problems = []
    for error in RAISED:
        codes = [error.code] if isinstance(error.code, str) else list(filter(error.code.fullmatch, CODES))
        if not codes or not set(codes) <= CODES:
            problems.append(f"{error.place}: {error.code} has no sentence")
        elif error.fields is not None:
            for code in codes:
                wanted = fields(locales.sentences(DEFAULT)[f"errors.{code}"])
                if error.fields - {"count"} != wanted - {"count"}:
                    problems.append(f"{error.place}: {code} has {set(error.fields)}, its sentence {wanted}")
    assert not problems, "\n".join(problems)


def test_every_message_has_a_sentence_and_its_fields() -> None:
    """Where key and fields are written out: `Message("notes.x", {"count": 3})` and `text("notes.x", count=3)`."""
    problems = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)):
                continue
            key = node.args[0].value
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if not isinstance(key, str) or name not in {"Message", "text", "say", "fixed"} or "." not in key:
                continue
            place = f"{path.relative_to(ROOT.parent)}:{node.lineno}"
            known = _fields_of(node)
            if key not in KEYS:
                problems.append(f"{place}: {key} has no sentence")
            elif known is not None and (missing := fields(locales.sentences(DEFAULT)[key]) - known):
                problems.append(f"{place}: {key} lacks {missing}")
    assert not problems, "\n".join(problems)


def _fields_of(call: ast.Call) -> set[str] | None:
    """The names of the fields that a call gives; None if they are not written out."""
    names: set[str | None] = {keyword.arg for keyword in call.keywords}
    if getattr(call.func, "id", "") == "Message" and len(call.args) > 1:
        if not isinstance(call.args[1], ast.Dict):
            return None
        names |= {key.value if isinstance(key, ast.Constant) else None for key in call.args[1].keys}
    return None if None in names else {name for name in names if name}


# Writing


@pytest.mark.parametrize(
    ("count", "english", "korean"),
    [(1, "1 picture", "사진 1장"), (0, "0 pictures", "사진 0장"), (2, "2 pictures", "사진 2장")],
)
def test_plural_forms(count: int, english: str, korean: str) -> None:
    assert locales.text("items.image", count=count) == english
    assert locales.text("items.image", "ko", count=count) == korean


@pytest.mark.parametrize("count", [1234567, np.int64(1234567)])
def test_whole_numbers_are_grouped(count: int) -> None:
    assert locales.text("items.text", count=count) == "1,234,567 texts"
    assert locales.text("items.text", "ko", count=count) == "글 1,234,567개"
    assert "1234567" in locales.text("errors.option_too_small", option="x", low=1, value="1234567")


def test_messages_are_written_in_the_language_of_their_sentence() -> None:
    message = Message(
        "errors.option_unknown", {"option": Message("kinds.text.plural"), "known": ["a", 1000], "value": 0}
    )
    assert str(message) == message.text() == "texts must be one of a, 1,000, got 0."
    assert message.text("ko").startswith("글 값은 a, 1,000 중")


@pytest.mark.parametrize("value", [0.5, True, np.float64(0.5), [0.5]])
def test_numbers_that_are_not_whole_must_be_formatted(value: object) -> None:
    with pytest.raises(TypeError, match="format"):
        locales.text("errors.option_too_small", option="x", low=1, value=value)


def test_a_missing_key_field_or_language_is_an_error() -> None:
    with pytest.raises(KeyError, match="no_such"):
        locales.text("errors.no_such")
    with pytest.raises(KeyError, match="option"):
        locales.text("errors.option_too_small")
    for language in ("fr", "", "../en"):
        with pytest.raises(ValueError, match="language must be one of en, ko"):
            locales.text("items.text", language, count=1)


@pytest.mark.parametrize(
    ("share", "english", "korean"),
    [
        (0.0, "under 1%", "1% 미만"),
        (0.0099, "under 1%", "1% 미만"),
        (0.01, "1%", "1%"),
        (0.505, "51%", "51%"),
        (0.97, "97%", "97%"),
        (0.99, "99%", "99%"),
        (0.9901, "over 99%", "99% 초과"),
        (1.0, "over 99%", "99% 초과"),
    ],
)
def test_shares_in_whole_percent(share: float, english: str, korean: str) -> None:
    assert locales.percent(share) == english
    assert locales.percent(share, "ko") == korean


@given(st.floats(0, 1))
def test_no_share_is_rounded_to_certainty_or_impossibility(share: float) -> None:
    for language in LANGUAGES:
        assert not {"0%", "100%"} & set(re.findall(r"\d+%", locales.percent(share, language)))


def test_shares_and_numbers_with_decimals() -> None:
    assert locales.percent(0.89449, digits=1) == locales.percent(0.89449, "ko", digits=1) == "89.4%"
    assert locales.percent(1, digits=1) == "100.0%"
    assert locales.number(1234.567, digits=1) == "1,234.6"
    assert locales.number(1234.567) == "1,235"


def test_alternatives() -> None:
    assert locales.alternatives(["a"]) == "a"
    assert locales.alternatives(["a", "b"]) == "a or b"
    assert locales.alternatives(["a", "b"], "ko") == "a 또는 b"
