"""The words of the page: the table for the browser, and what checkpoints and their labels are called."""

from __future__ import annotations

import json
import re
from html import escape

import pytest
from gradio.i18n import I18nData

from pyclassify.classifier import Prediction
from pyclassify.locales import LANGUAGES, Message, sentences
from pyclassify.ui.i18n import (
    Translations,
    checkpoint_choices,
    checkpoint_key,
    label_choices,
    language_of,
    milliseconds,
    renamed,
    say,
    title,
    titles,
)
from pyclassify.ui.page import build_page
from tests.fakes import FakeClassifier, make_manifest

NAMED = {
    "title": {"en": "Film reviews", "ko": "영화평"},
    "label_names": {"en": {"neg": "negative"}, "ko": {"neg": "부정"}},
}


def reviews() -> FakeClassifier:
    return FakeClassifier(labels=["neg", "pos"], description=NAMED)


# Languages


@pytest.mark.parametrize("value", ["xx", "", None, 3, ["ko"]])
def test_unknown_languages_are_english(value: object) -> None:
    assert language_of(value) == "en"
    assert say("page.why", value) == say("page.why", "en")
    assert language_of("ko") == "ko"


def test_short_times_have_a_decimal() -> None:
    assert milliseconds(4.26, "en") == "4.3 ms"
    assert milliseconds(1234.4, "ko") == "1,234 ms"


# The browser's table


def test_fixed_words_have_their_key_in_every_language() -> None:
    translations = Translations()
    assert translations.fixed("page.why").key == "page.why"
    table = translations.table().translations
    assert table == {language: {"page.why": say("page.why", language)} for language in LANGUAGES}


def test_a_key_has_one_meaning() -> None:
    translations = Translations()
    words = {language: "a" for language in LANGUAGES}
    assert translations.add("checkpoint.a.title", words).key == translations.add("checkpoint.a.title", words).key
    with pytest.raises(ValueError, match="other words"):
        translations.add("checkpoint.a.title", {**words, "en": "b"})


def test_keys_of_checkpoints_survive_any_name() -> None:
    # the browser reads a key out of a string, up to the next brace
    key = checkpoint_key('a} "b" 글', "title")
    marker = str(I18nData(key))
    assert json.loads(marker.removeprefix("__i18n__")[: marker.removeprefix("__i18n__").index("}") + 1])["key"] == key
    assert checkpoint_key("a.b", "title") != checkpoint_key("a", "b", "title")  # dots of names stay apart


def test_words_of_the_page_are_the_same_as_html() -> None:
    # they are put into HTML as they are
    fixed = [words for key, words in sentences("en").items() if key.startswith("page.") and isinstance(words, str)]
    assert [words for words in fixed if escape(words, quote=False) != words] == []


def test_the_table_holds_all_that_the_page_asks_for() -> None:
    described = {"title": {"en": "Letters", "ko": "편지"}, "label_names": {"ko": {"ham": "보통", "spam": "광고"}}}
    classifiers = {kind: FakeClassifier(kind, description=described) for kind in ("text", "image")}
    page = build_page(classifiers, {"old": Message("errors.unexpected")})
    config = "".join(repr(block.get_config()) for block in page.blocks.values())
    asked = set(re.findall(r'"key": "([^"]+)"', config))
    assert page.i18n_instance is not None
    table = page.i18n_instance.translations
    assert len(asked) > 15
    assert asked <= table["en"].keys() == table["ko"].keys()
    for key, words in table["en"].items():
        if re.search("[A-Za-z]{2}", words):
            assert re.search("[가-힣]", table["ko"][key]), key


# Names


def test_title_is_of_the_language_or_of_another_or_the_name_of_the_folder() -> None:
    assert title("imdb", make_manifest("text", description=NAMED), "en") == "Film reviews"
    assert title("imdb", make_manifest("text", description=NAMED), "ko") == "영화평"
    assert title("imdb", make_manifest("text", description={"title": {"en": "Film reviews"}}), "ko") == "Film reviews"
    for description in ({}, {"title": {}}, {"title": {"en": " "}}):
        assert title("imdb", make_manifest("text", description=description), "en") == "imdb"


def test_checkpoints_of_the_same_title_are_told_apart() -> None:
    classifiers = {"old": reviews(), "new": reviews(), "mine": FakeClassifier()}
    assert titles(classifiers, "en") == {"old": "Film reviews (old)", "new": "Film reviews (new)", "mine": "mine"}


def test_menus_have_names_for_people_and_values_for_programs() -> None:
    translations = Translations()
    (choice,) = checkpoint_choices({"imdb": reviews()}, translations)
    negative, positive = label_choices("imdb", reviews(), translations)
    assert [choice[1], negative[1], positive[1]] == ["imdb", "neg", "pos"]
    table = translations.table().translations["ko"]
    assert [table[label.key] for label in (choice[0], negative[0], positive[0])] == ["영화평", "부정", "pos"]


def test_titles_in_one_menu_do_not_depend_on_another_menu() -> None:
    translations = Translations()
    classifiers = {"text": reviews(), "image": FakeClassifier("image", description=NAMED)}
    for menu in ({"text": classifiers["text"]}, {"image": classifiers["image"]}, classifiers):
        checkpoint_choices(menu, translations)
    assert set(translations.table().translations["en"].values()) == {
        "Film reviews",
        "Film reviews (text)",
        "Film reviews (image)",
    }


def test_a_renamed_answer_is_the_same_answer() -> None:
    note = Message("items.text", {"count": 1})
    prediction = renamed(
        Prediction("neg", {"neg": 0.7, "pos": 0.3}, (note,), True, ("neg", "pos")),
        {"neg": "negative", "pos": "positive"},
    )
    assert prediction == Prediction(
        "negative", {"negative": 0.7, "positive": 0.3}, (note,), True, ("negative", "positive")
    )
