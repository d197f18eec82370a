"""The manifest: read back as it was written, sealed, and with nothing unknown in it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from pyclassify import manifest
from pyclassify.manifest import COVERAGES, Calibration, Manifest, digest

SHARES = dict.fromkeys(COVERAGES, 0.5)
EPOCH = manifest.Epoch(
    epoch=1,
    epochs=2,
    train_loss=1.5,
    train_accuracy=0.5,
    val_loss=1.25,
    val_accuracy=0.625,
    learning_rate=1e-3,
    examples_per_s=1234.5,
    duration_s=2.0,
    is_best=True,
)
SCORES = manifest.Scores(
    accuracy=0.9,
    accuracy_interval=(0.85, 0.93),
    macro_f1=0.89,
    majority_accuracy=0.5,
    num_examples=100,
    per_label={"neg": manifest.LabelScore(precision=1 / 3, recall=0.5, f1=0.4, num_examples=50)},
    confusion=[[45, 5], [5, 45]],
    calibration=manifest.CalibrationScore(
        ece_before=0.1,
        ece_after=0.05,
        bins=[manifest.ReliabilityBin(confidence=0.7, accuracy=0.65, num_examples=100)],
    ),
    sets={"0.90": manifest.SetScore(coverage=0.9, mean_size=1.1, single=0.9, per_label={"neg": 0.9})},
    baseline=manifest.Baseline(
        name="words",
        fields={"count": 3},
        accuracy=0.8,
        accuracy_interval=(0.7, 0.9),
        only_ours=15,
        only_baseline=5,
        p_value=0.04,
    ),
    mistakes=[manifest.Mistake(position=3, name="글 4", label="neg", answer="pos", probability=0.99)],
    refused=0.05,
    without_leaked=manifest.LeakFreeScore(leaked=2, accuracy=0.88, accuracy_interval=(0.8, 0.92)),
)
FULL = Manifest(
    kind="text",
    labels=["neg", "pos"],
    network=manifest.Network(name="lstm", arguments={"size": 8, "dropout": None, "rates": [0.1, None]}),
    transform={"tokens": "words", "lowercase": True},
    calibration=Calibration(temperature=1.25, thresholds=SHARES, num_examples=10),
    ood=manifest.Ood(threshold=3.5, views=["energy"], num_examples=10, settings={"order": 2}),
    data=manifest.DataSummary(name="영화평", train=80, validation=10, test=10, skipped=1, seed=3),
    data_report=manifest.DataReport(
        counts={"train": {"neg": 40, "pos": 40}},
        sizes={"characters": manifest.Range(minimum=1, median=7.5, maximum=30)},
        findings=[manifest.Finding(code="repetition", count=2, fields={"further": 1}, is_fixable=True)],
        leaked_test=2,
    ),
    scores=SCORES,
    training=manifest.Training(
        command="python -m train.text",
        config={"epochs": 2},
        seed=0,
        epochs=[EPOCH],
        duration_s=3.0,
        date="2026-01-31",
        commit="abc+",
        hardware="CPU",
        versions={"python": "3.11"},
        num_parameters=1000,
        weights="float16",
        remarks=["Begins with random weights."],
    ),
    measured=manifest.Measurement(date="2026-01-31", hardware="CPU", answer_ms=1.5),
    description=manifest.Description(
        title={"en": "Film reviews", "ko": "영화평"},
        label_names={"en": {"neg": "negative"}, "ko": {"neg": "부정"}},
        about="Reviews.",
        data_license="CC0",
        hub_dataset="user/name",
    ),
    skipped=[
        manifest.SkippedItem(name="a.txt", reason="errors.folder_unreadable", fields={"path": "a", "reason": "b"})
    ],
    size_bytes=2000,
    versions={"torch": "2"},
    selftest=manifest.SelfTest(
        versions={"torch": "2"},
        inputs=[manifest.SelfTestInput(name="short", text="good", reading={"ids": [1]}, probabilities={"neg": 0.5})],
    ),
    files={"model.safetensors": "00"},
)
SMALL = Manifest(kind="image", labels=["a", "b"], network=manifest.Network(name="simple_cnn"), transform={})


def _read(content: bytes) -> Manifest:
    return Manifest.model_validate(json.loads(content))


def _content() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(FULL.to_json())
    return content


def _leaves(node: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    if isinstance(node, dict | list) and node:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _leaves(value, *path, key)
    else:
        yield path


def _sections(model: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    if isinstance(model, BaseModel):
        yield path
        for name in type(model).model_fields:
            yield from _sections(getattr(model, name), *path, name)
    elif isinstance(model, dict | list):
        for key, value in model.items() if isinstance(model, dict) else enumerate(model):
            yield from _sections(value, *path, key)


def _at(content: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        content = content[key]
    return content


LEAVES = [path for path in _leaves(_content()) if path != ("sha256",)]
SECTIONS = list(_sections(FULL))


@pytest.mark.parametrize("written", [SMALL, FULL], ids=["small", "full"])
def test_a_manifest_is_read_back_as_it_was_written(written: Manifest) -> None:
    content = written.to_json()
    assert _read(content) == Manifest.model_validate_json(content) == written.sealed()
    assert _read(content).to_json() == content
    assert content.endswith(b"\n")
    assert b"\\u" not in content


@pytest.mark.parametrize("written", [SMALL, FULL], ids=["small", "full"])
def test_the_digest_is_that_of_the_file(written: Manifest) -> None:
    content = json.loads(written.to_json())
    assert content["sha256"] == digest(content) == written.sealed().sha256 == _read(written.to_json()).sealed().sha256
    assert not any(value is None for value in content.values())


@pytest.mark.parametrize("path", LEAVES, ids=lambda path: ".".join(map(str, path)))
def test_the_digest_changes_with_every_value(path: tuple[Any, ...]) -> None:
    content = _content()
    before = digest(content)
    parent = _at(content, path[:-1])
    parent[path[-1]] = "something else"
    assert digest(content) != before
    del parent[path[-1]]
    assert digest(content) != before


@pytest.mark.parametrize("name", [name for name in Manifest.model_fields if name not in ("format", "sha256")])
def test_the_seal_changes_with_every_field(name: str) -> None:
    other = FULL.replace(**{name: getattr(SMALL, name)})
    assert getattr(other, name) != getattr(FULL, name)
    assert other.sealed().sha256 != FULL.sealed().sha256


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: ".".join(map(str, path)) or "manifest")
def test_unknown_fields_are_refused(path: tuple[Any, ...]) -> None:
    content = _content()
    _at(content, path)["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise"):
        Manifest.model_validate(content)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 1),
        (("labels",), ["a"]),
        (("labels",), ["a", "b", "a"]),
        (("labels",), ["a", 3]),
        (("size_bytes",), -1),
        (("calibration", "temperature"), 0),
        (("calibration", "temperature"), "warm"),
        (("calibration", "temperature"), float("nan")),
        (("calibration", "thresholds"), {"0.90": 0.5}),
        (("calibration", "thresholds"), {**SHARES, "0.90": 2}),
        (("calibration", "thresholds"), {**SHARES, "0.50": 0.5}),
        (("ood", "threshold"), float("inf")),
        (("ood", "threshold"), None),
        (("network", "arguments", "rates"), [float("nan")]),
        (("scores", "accuracy"), 1.01),
        (("training", "weights"), "int4"),
        (("selftest", "inputs"), []),
    ],
)
def test_values_that_cannot_be_are_refused(path: tuple[Any, ...], value: Any) -> None:
    content = _content()
    _at(content, path[:-1])[path[-1]] = value
    with pytest.raises(ValidationError):
        Manifest.model_validate(content)


def test_no_thresholds_are_fine() -> None:
    assert Calibration(thresholds={}).temperature == 1


def test_replacing_validates_and_leaves_the_original() -> None:
    before = copy.deepcopy(FULL)
    assert FULL.replace(labels=["x", "y"]).labels == ["x", "y"]
    with pytest.raises(ValidationError, match="twice"):
        FULL.replace(labels=["x", "x"])
    with pytest.raises(ValidationError):
        FULL.replace(colour="red")
    with pytest.raises(ValidationError):
        FULL.kind = "image"
    assert before == FULL


def _described(**fields: Any) -> Manifest:
    return FULL.replace(description=manifest.Description(**fields))


def test_the_title_falls_back_to_any_language() -> None:
    assert (FULL.title("en"), FULL.title("ko")) == ("Film reviews", "영화평")
    assert _described(title={"en": "Film reviews"}).title("ko") == "Film reviews"
    assert _described(title={"en": " ", "ko": "영화평 "}).title("en") == "영화평"
    assert _described(title={"en": " "}).title("en") == _described().title("en") == ""


def test_labels_without_a_name_keep_their_own_and_no_two_are_the_same() -> None:
    assert FULL.label_names("en") == {"neg": "negative", "pos": "pos"}
    assert FULL.label_names("ko") == {"neg": "부정", "pos": "pos"}
    assert FULL.label_names("fr") == {"neg": "neg", "pos": "pos"}
    assert _described(label_names={"en": {"neg": "pos"}}).label_names("en") == {"neg": "neg", "pos": "pos"}
    assert _described(label_names={"en": {"neg": "", "other": "x"}}).label_names("en") == {"neg": "neg", "pos": "pos"}


def test_sentences_are_written_in_each_language() -> None:
    (skipped,) = FULL.skipped
    assert skipped.text("en") != skipped.text("ko")
    (finding,) = FULL.data_report.findings if FULL.data_report else []
    assert finding.summary("text", "en") != finding.summary("text", "ko")
    assert finding.summary("text") != finding.summary("image")


def test_versions_are_of_installed_packages_alone() -> None:
    versions = manifest.versions("pydantic", "no-such-package")
    assert {"python", "torch", "pydantic"} <= set(versions)
    assert "no-such-package" not in versions


def test_today_is_a_date() -> None:
    assert len(manifest.today()) == len("2026-01-31")
