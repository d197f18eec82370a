"""`benchmarks.minutes`: networks under the same clock, and the table of what they come to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import minutes, results, tables
from pyclassify.device import pick
from pyclassify.image.models import DEFAULT
from tests import drawing


@pytest.mark.slow
def test_all_networks_are_trained_for_as_long(tmp_path: Path) -> None:
    data = drawing.picture_folder(tmp_path / "colours", per_label=6)
    options = ["--data", str(data), "--minutes", "0.01", "--device", "cpu", "--results", str(tmp_path / "results")]
    minutes.main(options)
    content = results.read("minutes", tmp_path / "results")
    assert content is not None
    rows = content["results"]["rows"]
    assert [(row["network"], row["minutes"]) for row in rows] == [(name, 0.01) for name in minutes.NETWORKS]
    assert all(0 <= row["accuracy"] <= 1 and row["epochs"] >= 1 and row["training_s"] > 0 for row in rows)
    assert "| resnet18 | 11," in tables.minutes(tmp_path / "results")


def _pretend(scores: dict[tuple[str, str], float], lines: list[list[str]]):
    """A training that is over at once; the networks and minutes without a score are broken off."""

    def main(line: Sequence[str]) -> None:
        lines.append(list(line))
        options = dict(zip(line[::2], line[1::2], strict=True))
        accuracy = scores.get((options.get("--model", DEFAULT), options["--minutes"]))
        if accuracy is None:
            raise KeyboardInterrupt
        info = {
            "scores": {"accuracy": accuracy, "accuracy_interval": [accuracy - 0.01, accuracy + 0.01], "examples": 100},
            "data": {"train": 900},
            "training": {"epochs": [{}] * 3, "duration_s": 57 * float(options["--minutes"]), "parameters": 1234},
        }
        Path(options["--out"]).mkdir(parents=True)
        (Path(options["--out"]) / "config.json").write_text(json.dumps(info))

    return main


def test_the_shortest_come_first_and_a_part_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[list[str]] = []
    scores = {(DEFAULT, "1"): 0.5, ("resnet18", "1"): 0.4, (DEFAULT, "5"): 0.75}
    monkeypatch.setattr(minutes.train_image, "main", _pretend(scores, lines))
    options = ["--data", str(tmp_path), "--minutes", "5", "1", "--networks", DEFAULT, "resnet18"]
    with pytest.raises(KeyboardInterrupt):
        minutes.main([*options, "--device", "cpu", "--results", str(tmp_path / "results")])
    assert all(line[line.index("--size") + 1] == "32" for line in lines)
    assert ["none" in line for line in lines] == [False, True, False, True]
    table = tables.minutes(tmp_path / "results")
    assert "| Network | Numbers in it | 1 minute | 5 minutes |" in table
    assert f"| {DEFAULT} | 1,234 | 50.00% (3 epochs) | 75.00% (3 epochs) |" in table
    assert "| resnet18 | 1,234 | 40.00% (3 epochs) | – |" in table
    assert "at most ± 1.00 percentage points" in table
    assert "took 95% to 95% of their time" in table


def test_there_is_no_table_without_results(tmp_path: Path) -> None:
    assert tables.minutes(tmp_path) == ""
    record = results.Record(benchmark="minutes", module="m", arguments=[], device=pick("cpu"), folder=tmp_path)
    record.save({"data": "x", "minutes": [5], "rows": []})
    assert tables.minutes(tmp_path) == ""
    assert "minutes" not in tables.rendered(tmp_path)


def test_missing_data_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is no folder"):
        minutes.main(["--data", str(tmp_path / "nowhere"), "--results", str(tmp_path)])


def test_hours_of_training_can_be_had_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = {(DEFAULT, "1"): 0.5, (DEFAULT, "5"): 0.75}
    monkeypatch.setattr(minutes.train_image, "main", _pretend(scores, []))
    options = [
        "--data",
        str(tmp_path),
        "--networks",
        DEFAULT,
        "--device",
        "cpu",
        "--results",
        str(tmp_path / "results"),
    ]
    minutes.main([*options, "--minutes", "5"])
    minutes.main([*options, "--minutes", "1", "--add"])
    content = results.read("minutes", tmp_path / "results")
    assert content is not None
    assert content["results"]["minutes"] == [1, 5]
    assert {row["minutes"]: row["accuracy"] for row in content["results"]["rows"]} == {1: 0.5, 5: 0.75}
    path = tmp_path / "results" / "minutes.json"
    path.write_text(json.dumps({**content, "hardware": "another computer"}), encoding="utf-8")
    with pytest.raises(SystemExit, match="hardware"):
        minutes.main([*options, "--minutes", "1", "--add"])
