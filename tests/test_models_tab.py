"""The cards of the checkpoints on the page, and their figures."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import gradio as gr
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyclassify
from pyclassify.locales import LANGUAGES, text
from pyclassify.manifest import DataReport, DataSummary, Description, Finding, LeakFreeScore, Measurement, Scores
from pyclassify.ui.models_tab import card, confusion_table, figures, most_confused
from pyclassify.ui.page import build_page
from tests import fakes
from tests.fakes import FakeClassifier

KEPT = Path(__file__).with_name("kept")
LARGEST_CARD = 60_000
MEASURED = Measurement(date="2026-02-03", hardware="CPU with 2 cores", answer_ms=6.7)

in_all_languages = pytest.mark.parametrize("language", LANGUAGES)


def measured(labels: list[str] | None = None, **fields: Any) -> FakeClassifier:
    """A classifier with everything in its manifest that a training would write."""
    filled = {"training": fakes.training(), "measured": MEASURED, "size_bytes": 4_000_000, **fields}
    return FakeClassifier("image", labels or ["cat", "dog"], **filled)


def bare(labels: list[str] | None = None, **fields: Any) -> FakeClassifier:
    """A classifier with a manifest of the least that can be served."""
    return FakeClassifier("image", labels or ["cat", "dog"], **{"data": None, "scores": None, **fields})


def scores(labels: list[str], **changes: Any) -> Scores:
    return fakes.scores(labels).model_copy(update=changes)


def heading(key: str, language: str) -> str:
    return f"<h3>{escape(text(key, language))}</h3>"


# Cards


@in_all_languages
def test_card_of_a_measured_checkpoint_is_whole(language: str) -> None:
    finding = Finding(code="unreadable", count=7)
    classifier = measured(data_report=DataReport(counts={}, sizes={}, findings=[finding]))
    html = card("animals", classifier, language, answer_ms=4.2, is_open=True)
    for part in ("scores.title", "findings", "facts.title", "command"):
        assert heading(f"page.models.{part}", language) in html
    drawn = figures(classifier.manifest, language)
    for part in ("confusion.title", "reliability.title", "curves.title"):
        assert heading(f"page.models.{part}", language) in drawn
    assert drawn.count('<svg class="chart" role="img"') == 3
    assert '<table class="confusion' in drawn
    assert "4.2 ms" in html
    assert escape(finding.summary("image", language)) in html
    assert escape(fakes.training().command) in html
    assert html.startswith('<details class="model" open>')
    assert html.count('<div class="figures"></div>') == 1, "the place where the page puts the figures"


def test_only_the_first_card_is_open() -> None:
    assert card("animals", measured(), "en").startswith('<details class="model"><summary>')


def test_card_calls_the_checkpoint_and_its_labels_by_their_names() -> None:
    description = Description(title={"en": "Two animals"}, label_names={"en": {"dog": "a dog"}})
    classifier = measured(description=description)
    html = card("pets", classifier, "en")
    assert "<h2>Two animals <small>pets</small></h2>" in html
    assert "<li>a dog</li>" in html
    assert '<th scope="row">a dog</th>' in figures(classifier.manifest, "en")


@in_all_languages
def test_card_of_a_checkpoint_without_records_has_what_there_is(language: str) -> None:
    classifier = bare()
    html = card("foreign", classifier, language)
    assert "<h2>foreign</h2>" in html
    assert "<li>cat</li>" in html
    assert escape(text("page.models.no_record", language)) in html
    assert not any(part in html for part in ("figures", heading("page.models.command", language)))
    assert figures(classifier.manifest, language) == '<div class="figures"></div>'


@pytest.mark.parametrize("confusion", [[], [[1, 2]], [[1, 2], [3]], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]])
def test_confusion_of_another_shape_costs_that_figure_alone(confusion: list[list[int]]) -> None:
    classifier = measured(scores=scores(["cat", "dog"], confusion=confusion))
    drawn = figures(classifier.manifest, "en")
    assert "<table" not in drawn
    assert drawn.count("<svg") == 3


def test_numbers_that_are_missing_cost_their_figure_alone() -> None:
    calibration = fakes.scores(["cat", "dog"]).calibration.model_copy(update={"bins": []})
    training = fakes.training().model_copy(update={"epochs": []})
    drawn = figures(measured(scores=scores(["cat", "dog"], calibration=calibration), training=training).manifest, "en")
    assert "<svg" not in drawn
    assert "<table" in drawn


@in_all_languages
def test_without_validation_data_curves_are_of_training_data(language: str) -> None:
    drawn = figures(measured(data=DataSummary(name="x", train=90, validation=0, test=20)).manifest, language)
    assert heading("page.models.curves.title", language) in drawn
    assert escape(text("page.models.curves.training", language)) in drawn
    assert escape(text("page.models.curves.validation", language)) not in drawn


@in_all_languages
def test_sentences_of_another_version_are_left_out(language: str) -> None:
    unknown = [Finding(code="of_another_day", count=1), Finding(code="unreadable", count=2)]
    baseline = fakes.scores(["cat", "dog"]).baseline.model_copy(update={"name": "of_another_day"})
    report = DataReport(counts={}, sizes={}, findings=unknown)
    html = card("x", measured(data_report=report, scores=scores(["cat", "dog"], baseline=baseline)), language)
    assert "of_another_day" not in html
    assert escape(unknown[1].summary("image", language)) in html
    assert heading("page.models.facts.title", language) in html


def test_what_comes_from_a_checkpoint_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    labels = [f"{evil}{number}" for number in range(3)]
    training = fakes.training().model_copy(update={"command": evil, "hardware": evil})
    classifier = measured(
        labels,
        training=training,
        measured=MEASURED.model_copy(update={"hardware": evil}),
        description=Description(title={"en": evil}),
    )
    html = card(evil, classifier, "en") + figures(classifier.manifest, "en")
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 5


def test_many_labels_are_listed_by_their_mistakes_and_not_in_a_table() -> None:
    labels = [f"label {number}" for number in range(300)]
    counts = [[0] * 300 for _ in labels]
    counts[7][9] = 5
    classifier = bare(labels, scores=scores(labels, confusion=counts))
    html, drawn = card("x", classifier, "en"), figures(classifier.manifest, "en")
    assert "<table" not in drawn
    assert "label 7 taken for label 9: 5 of 5" in drawn
    assert "and 240 more" in html
    assert len(html) + len(drawn) < LARGEST_CARD


@pytest.mark.parametrize(("p_value", "ours", "verdict"), [(0.5, 9, "undecided"), (0.0, 9, "better"), (0.0, 1, "worse")])
@in_all_languages
def test_verdict_on_the_simple_model_follows_the_test(p_value: float, ours: int, verdict: str, language: str) -> None:
    baseline = fakes.scores(["cat", "dog"]).baseline.model_copy(
        update={"p_value": p_value, "only_ours": ours, "only_baseline": 5}
    )
    html = card("x", measured(scores=scores(["cat", "dog"], baseline=baseline)), language)
    words = {
        "en": {"undecided": "No difference", "better": "is better", "worse": "is worse"},
        "ko": {"undecided": "확인되지 않았습니다", "better": "더 낫고", "worse": "더 못하고"},
    }
    assert [name for name, part in words[language].items() if part in html] == [verdict]
    assert escape(baseline.title(language)) in html


@in_all_languages
def test_score_without_leaked_examples_is_told(language: str) -> None:
    leaked = LeakFreeScore(leaked=12, accuracy=0.5, accuracy_interval=(0.4, 0.6))
    html = card("x", measured(scores=scores(["cat", "dog"], without_leaked=leaked)), language)
    assert escape(text("items.image", language, count=12)) in html
    assert "50.0%" in html


@in_all_languages
@pytest.mark.parametrize("folder", sorted(KEPT.glob("*/checkpoint")), ids=lambda path: path.parent.name)
def test_card_of_every_kept_checkpoint_is_drawn_and_small(folder: Path, language: str) -> None:
    classifier = pyclassify.load(folder, device="cpu")
    html = card("old", classifier, language) + figures(classifier.manifest, language)
    assert (heading("page.models.curves.title", language) in html) == (classifier.manifest.training is not None)
    assert len(html.encode()) < LARGEST_CARD


def test_page_with_checkpoints_ends_with_the_two_tabs() -> None:
    page = build_page({"a": measured(), "b": FakeClassifier()}, {}, answer_ms={"a": 3.0})
    tabs = [block.id for block in page.blocks.values() if isinstance(block, gr.Tab)]
    assert tabs[-2:] == ["compare", "models"]
    tabs = [block.id for block in build_page({}, {}).blocks.values() if isinstance(block, gr.Tab)]
    assert not {"compare", "models"} & set(tabs)


def test_page_draws_no_figures_at_its_start() -> None:
    page = build_page({"a": measured(), "b": FakeClassifier()}, {})
    assert "<svg" not in str(page.get_config_file())


# The confusion matrix


def table(counts: list[list[int]], labels: list[str]) -> ElementTree.Element:
    return ElementTree.fromstring(confusion_table(counts, labels, caption="mixed up", true_label="is", answer="said"))


def test_table_has_a_row_per_true_label_with_what_was_answered() -> None:
    html = table([[8, 2], [0, 1000]], ["<cat>", "dog"])
    assert html.findtext("caption") == "mixed up"
    assert [cell.text for cell in html.iter("td")][1:] == ["8", "2", "0", "1,000"]
    assert [cell.text for cell in html.iterfind("tbody/tr/th[@scope='row']")] == ["<cat>", "dog"]
    assert [cell.findtext("span") for cell in html.iterfind("thead/tr/th[@scope='col']")][1:] == ["<cat>", "dog"]
    assert [cell.text for cell in html.iter("td") if cell.get("class") == "right"] == ["8", "1,000"]
    shades = [cell.get("style") for cell in html.iterfind("tbody/tr/td")]
    assert shades == ["--share:0.89", "--share:0.45", None, "--share:1.00"]


@given(
    st.integers(1, 6).flatmap(
        lambda k: st.lists(st.lists(st.integers(0, 9), min_size=k, max_size=k), min_size=k, max_size=k)
    )
)
def test_most_confused_are_mistakes_and_the_most_frequent_ones(counts: list[list[int]]) -> None:
    labels = [f"label {i}" for i in range(len(counts))]
    pairs = most_confused(counts, labels, most=3)
    mistakes = sorted((n for i, row in enumerate(counts) for j, n in enumerate(row) if i != j and n), reverse=True)
    assert [count for *_, count, _ in pairs] == mistakes[:3]
    for label, answer, count, total in pairs:
        row = counts[labels.index(label)]
        assert label != answer
        assert (row[labels.index(answer)], sum(row)) == (count, total)
