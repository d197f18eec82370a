"""The cards of the checkpoints, and what is said of two that answer the same input."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

import pyclassify
from pyclassify import Prediction, findings
from pyclassify.message import percent
from pyclassify.ui.asking import asker
from pyclassify.ui.compare_tab import both, verdict
from pyclassify.ui.models_tab import card
from pyclassify.ui.page import build_page
from pyclassify.ui.text_tab import read
from pyclassify.ui.wording import LANGUAGES
from pyclassify.ui.wording.en import English
from pyclassify.ui.wording.en_models import EnglishModels
from pyclassify.ui.wording.ko import Korean
from pyclassify.ui.wording.ko_models import KoreanModels
from tests.fakes import FakeClassifier

KEPT = Path(__file__).with_name("kept")
MEASURED = KEPT / "2026-11-trusted-image-simple_cnn" / "checkpoint"
LARGEST_CARD = 40_000

words_in_all = pytest.mark.parametrize("words", LANGUAGES.values(), ids=list(LANGUAGES))


def fake(info: dict[str, Any] | None = None, labels: list[str] | None = None) -> Any:
    return FakeClassifier("image", labels or ["cat", "dog"], info=info or {})


def measured() -> dict[str, Any]:
    info: dict[str, Any] = json.loads((MEASURED / "config.json").read_text(encoding="utf-8"))
    return info


def drawn(info: dict[str, Any], **options: Any) -> str:
    return card("animals", fake(info, info.get("labels")), English, **options)


# Cards


@words_in_all
def test_card_of_a_measured_checkpoint_is_whole(words: type[English]) -> None:
    info = measured()
    finding = {"kind": "repetition", "summary": "7 of the pictures are there more than once.", "count": 7}
    info["findings"]["findings"] = [finding]
    found = card("animals", fake(info, info["labels"]), words, answer_ms=4.2, is_open=True)
    headings = (words.SCORES, words.CONFUSION, words.RELIABILITY, words.CURVES, words.FINDINGS, words.FACTS)
    assert [heading for heading in headings if f"<h3>{heading}</h3>" not in found] == []
    assert found.count('<svg class="chart" role="img"') == 3
    assert '<table class="confusion' in found
    assert "4.2 ms" in found
    assert escape(words.baseline(info["scores"]["baseline"], None).split(".")[0]) in found
    assert escape(words.finding(finding, "image")) in found
    assert words.COMMAND in found
    assert found.startswith('<details class="model" open>')


def test_card_calls_the_checkpoint_and_its_labels_by_their_names() -> None:
    names = {"title": {"en": "Two animals"}, "label_names": {"en": {"dog": "a dog"}}}
    found = card("pets", fake({"labels": ["cat", "dog"], "card": names}), English)
    assert "<h2>Two animals <small>pets</small></h2>" in found
    assert "<li>a dog</li>" in found


def test_every_finding_is_said_in_korean() -> None:
    kinds = re.findall(r'kind=f?"([a-z_]+)', Path(findings.__file__).read_text(encoding="utf-8"))
    assert len(kinds) >= 7
    for kind in [*kinds, "leak_test", "leak_validation"]:
        if kind == "leak_":
            continue
        found = {"kind": kind, "count": 1234, "summary": "English"}
        assert re.search("[가-힣]", Korean.finding(found, "text"))
    assert Korean.finding({"kind": "of another day", "count": 1, "summary": "English"}, "text") == "English"


@words_in_all
@pytest.mark.parametrize("folder", sorted(KEPT.glob("*/checkpoint")), ids=lambda path: path.parent.name)
def test_card_of_every_earlier_day_is_drawn_and_small(folder: Path, words: type[English]) -> None:
    found = card("old", pyclassify.load(folder, device="cpu"), words)
    assert words.CURVES in found
    assert len(found.encode()) < LARGEST_CARD


@words_in_all
def test_card_of_a_foreign_checkpoint_has_what_there_is(words: type[English]) -> None:
    found = card("foreign", fake(), words)
    assert "<h2>foreign</h2>" in found
    assert "<li>cat</li>" in found
    assert words.UNKNOWN_DATA in found
    assert not any(each in found for each in ("<svg", "<table", words.COMMAND))


@pytest.mark.parametrize("odd", [None, 7, "odd", [], {}, [[1]], {"bins": []}, {"epochs": [{}]}])
@pytest.mark.parametrize("key", ["confusion", "calibration", "baseline", "refused", "without_leaked"])
def test_a_score_of_another_form_costs_its_own_part_alone(key: str, odd: Any) -> None:
    info = measured()
    info["scores"][key] = odd
    found = drawn(info)
    assert English.COMMAND in found
    assert f"<h3>{English.CURVES}</h3>" in found


@pytest.mark.parametrize("odd", [None, 7, "odd", [], {}])
@pytest.mark.parametrize("key", ["scores", "training", "measured", "data", "model", "calibration"])
def test_a_whole_section_of_another_form_is_no_error(key: str, odd: Any) -> None:
    assert "<h2>animals</h2>" in drawn({**measured(), key: odd})


def test_what_comes_from_a_checkpoint_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    info = measured()
    info["labels"] = [f"{evil}{number}" for number in range(len(info["labels"]))]
    info["training"]["command"] = info["training"]["hardware"] = info["model"]["name"] = evil
    info["data"]["name"] = info["scores"]["baseline"]["name"] = info["measured"]["hardware"] = evil
    found = card(evil, fake(info, info["labels"]), English)
    assert "<script" not in found
    assert found.count("&lt;script&gt;") > 5


def test_many_labels_are_named_by_their_mistakes_and_not_in_a_table() -> None:
    labels = [f"label {number}" for number in range(300)]
    counts = [[0] * 300 for _ in labels]
    counts[7][9] = 5
    found = drawn({"labels": labels, "scores": {"confusion": counts}})
    assert "<table" not in found
    assert "label 7 taken for label 9: 5 of 5" in found
    assert English.more(240) in found
    assert len(found) < LARGEST_CARD


def test_page_with_checkpoints_ends_with_the_two_tabs() -> None:
    page = build_page({"a": fake(), "b": FakeClassifier()}, {}, answer_ms={"a": 3.0})  # type: ignore[dict-item]
    tabs = [block.id for block in page.blocks.values() if isinstance(block, gr.Tab)]
    assert tabs[-2:] == ["compare", "models"]
    tabs = [block.id for block in build_page({}, {}).blocks.values() if isinstance(block, gr.Tab)]
    assert not {"compare", "models"} & set(tabs)


@pytest.mark.parametrize(("p_value", "ours", "said"), [(0.5, 9, "not shown"), (0.0, 9, "better"), (0.0, 1, "worse")])
def test_verdict_on_the_simple_program_follows_the_test(p_value: float, ours: int, said: str) -> None:
    info = measured()
    info["scores"]["baseline"] |= {"p_value": p_value, "only_ours": ours, "only_other": 5}
    assert said in drawn(info)


def test_korean_says_all_that_english_says() -> None:
    missing = [name for name in vars(EnglishModels) if not name.startswith("__") and name not in vars(KoreanModels)]
    assert missing == []


# Two checkpoints


def prediction(known: bool | None = None, **probabilities: float) -> Prediction:
    return Prediction(max(probabilities, key=probabilities.__getitem__), probabilities, known=known)


def test_agreement_is_said_with_the_distance() -> None:
    said = verdict(("a", "b"), (prediction(cat=0.9, dog=0.1), prediction(cat=0.6, dog=0.4)), English)
    assert said == "They agree on cat: “a” gives it 90 %, “b” gives it 60 %, 30 percentage points apart."


def test_disagreement_is_said_with_what_each_gives_to_the_other() -> None:
    said = verdict(("a", "b"), (prediction(cat=0.9, dog=0.1), prediction(cat=0.2, dog=0.8)), English)
    assert "“a” says cat (90 %, the other gives it 20 %)" in said
    assert "“b” says dog (80 %, the other gives it 10 %)" in said
    said = verdict(("a", "b"), (prediction(cat=0.9, dog=0.1), prediction(cat=0.2, cow=0.8)), English)
    assert f"“b” says cow (80 %, the other gives it {English.NO_SHARE})" in said


def test_checkpoints_without_a_common_label_neither_agree_nor_disagree() -> None:
    said = verdict(("a", "b"), (prediction(cat=0.9, dog=0.1), prediction(ham=0.2, spam=0.8)), English)
    assert "neither agree nor disagree: “a” says cat (90 %) and “b” says spam (80 %)" in said


@words_in_all
def test_doubt_and_the_same_checkpoint_twice_are_said(words: type[English]) -> None:
    sure, lost = prediction(cat=0.9, dog=0.1), prediction(known=False, cat=0.6, dog=0.4)
    share = percent(0.9, language=words.CODE)
    assert verdict(("a", "b"), (sure, lost), words) == words.only("a", "cat", share, "b")
    assert verdict(("a", "b"), (lost, sure), words) == words.only("b", "cat", share, "a")
    assert verdict(("a", "b"), (lost, lost), words) == words.NEITHER_KNOWS
    assert verdict(("a", "a"), (lost, lost), words) == words.SAME_CHECKPOINT


def test_both_are_asked_once_for_all_who_wait() -> None:
    first, second = FakeClassifier(labels=["x", "y"]), FakeClassifier(labels=["y", "x", "z"])
    classifiers: Any = {"first": first, "second": second}
    ask = asker(classifiers)
    values, languages = ["one", "", "two"], ["en", "en", "ko"]
    columns = both(ask, classifiers, read, lambda words: "waiting", values, ["first"] * 3, ["second"] * 3, languages)
    assert first.asked == second.asked == ["one", "two"]
    assert [len(column) for column in columns] == [3] * 5
    assert [each.get("label") for each in columns[0]] == ["x, 50 %", None, "x, 50%"]
    assert [each.get("label") for each in columns[2]] == ["y, 33 %", None, "y, 33%"]
    assert "They disagree" in columns[4][0]
    assert columns[4][1] == ""
    assert Korean.disagree([])[:5] in columns[4][2]


def test_a_checkpoint_that_fails_leaves_the_other_ones_answer() -> None:
    classifiers: Any = {"works": FakeClassifier(), "fails": FakeClassifier(error=RuntimeError("no"))}
    columns = both(
        asker(classifiers), classifiers, read, lambda words: "waiting", ["one"], ["works"], ["fails"], ["en"]
    )
    assert columns[0][0]["label"] == "ham, 50 %"
    assert escape(English.UNEXPECTED) in columns[3][0]
    assert columns[4] == [""]
