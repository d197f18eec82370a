"""How checkpoints and labels are called on the page, and how they get their names."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

import pyclassify
from pyclassify import Prediction
from pyclassify.errors import ConfigError
from pyclassify.ui.naming import label_names, renamed, title, titles
from pyclassify.ui.wording.en import English
from pyclassify.ui.wording.ko import Korean
from tests.fakes import FakeClassifier
from train import cards
from train.names import add_names, given_names

CARD = {
    "title": {"en": "Film reviews", "ko": "영화평"},
    "label_names": {"en": {"neg": "negative"}, "ko": {"neg": "부정"}},
}


def test_title_is_of_the_language_or_of_another_or_the_name_of_the_folder() -> None:
    assert title("imdb", {"card": CARD}, English) == "Film reviews"
    assert title("imdb", {"card": CARD}, Korean) == "영화평"
    assert title("imdb", {"card": {"title": {"en": "Film reviews"}}}, Korean) == "Film reviews"
    for without in ({}, {"card": {}}, {"card": {"title": "no mapping"}}, {"card": {"title": {"en": " "}}}):
        assert title("imdb", without, English) == "imdb"


def test_checkpoints_of_the_same_title_are_told_apart() -> None:
    same = {name: FakeClassifier(info={"card": CARD}) for name in ("old", "new")} | {"mine": FakeClassifier()}
    assert titles(same, English) == {"old": "Film reviews (old)", "new": "Film reviews (new)", "mine": "mine"}  # type: ignore[arg-type]


def test_labels_are_called_by_their_names_and_never_two_by_the_same() -> None:
    info: dict[str, Any] = {"labels": ["neg", "pos"], "card": CARD}
    assert label_names(info, English) == {"neg": "negative", "pos": "pos"}
    assert label_names(info, Korean) == {"neg": "부정", "pos": "pos"}
    info["card"] = {"label_names": {"en": {"neg": "pos"}}}
    assert label_names(info, English) == {"neg": "neg", "pos": "pos"}


def test_a_renamed_answer_is_the_same_answer() -> None:
    found = Prediction("neg", {"neg": 0.7, "pos": 0.3}, ("a note",), True, ("neg", "pos"))
    named = renamed(found, {"neg": "negative", "pos": "positive"})
    assert named.message() == "Probably negative (70 %), or possibly positive."
    assert (named.probabilities, named.notes, named.known) == ({"negative": 0.7, "positive": 0.3}, ("a note",), True)


def parsed(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_names(parser)
    return parser.parse_args(arguments)


def test_options_become_names_by_language() -> None:
    options = parsed("--title", "Mail", "--title-ko", "편지", "--label-names", "a=b=wanted mail", "spam=unwanted")
    assert given_names(options, ["a=b", "spam"]) == {
        "title": {"en": "Mail", "ko": "편지"},
        "label_names": {"en": {"a=b": "wanted mail", "spam": "unwanted"}},
    }
    assert given_names(parsed(), ["a"]) == {}


@pytest.mark.parametrize(
    ("pair", "said"), [("cat=tiger", "there is no label 'cat'"), ("ham=spam", "both be called 'spam'")]
)
def test_names_that_cannot_be_are_refused(pair: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        given_names(parsed("--label-names", pair), ["ham", "spam"])


@pytest.mark.parametrize("pair", ["ham", "=name", "ham=", "ham= "])
def test_names_without_a_label_or_a_name_are_refused(pair: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--label-names", pair)
    assert "LABEL=NAME" in capsys.readouterr().err


def test_a_checkpoint_is_named_without_training(text_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "reviews"
    folder.mkdir()
    for path in text_checkpoint.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    cards.main([str(folder), "--title", "Reviews", "--label-names", "bad=a bad one"])
    cards.main([str(folder), "--title-ko", "평"])
    info = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    before = json.loads((text_checkpoint / "config.json").read_text(encoding="utf-8"))
    assert info["card"].pop("title") == {"en": "Reviews", "ko": "평"}
    assert info["card"].pop("label_names") == {"en": {"bad": "a bad one"}}
    assert info == before
    assert pyclassify.load(folder).predict(["good"])[0].label in ("bad", "good")
    with pytest.raises(SystemExit):
        cards.main([str(folder), "--label-names", "cat=tiger"])
