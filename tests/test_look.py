"""`--check` and `--fix` of both command lines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests import drawing
from train import image, text


def _tables(folder: Path) -> list[str]:
    rows = [f"{label}\t{text}" for label, text in drawing.reviews(60)]
    leak = rows[0] + "!"
    slip = rows[2].replace("good", "bad", 1)
    (folder / "train.tsv").write_text("\n".join(["label\ttext", *rows[:40], slip]) + "\n")
    (folder / "test.tsv").write_text("\n".join(["label\ttext", *rows[40:], leak]) + "\n")
    return ["--data", str(folder / "train.tsv"), "--test", str(folder / "test.tsv")]


def _listing(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*"))


def test_checking_texts_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = _tables(tmp_path)
    before = _listing(tmp_path)
    text.main([*arguments, "--check", "--out", str(tmp_path / "out")])
    text.main([*arguments, "--check"])
    assert _listing(tmp_path) == before
    printed = capsys.readouterr().out
    assert "2 texts are there under two labels" in printed
    assert "1 of the texts to test with are also among those to learn from" in printed
    assert "characters: " in printed
    assert "epoch" not in printed


def test_a_training_notes_what_it_found_and_fixes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*_tables(tmp_path), "--epochs", "1", "--device", "cpu", "--model", "lstm"]
    text.main([*arguments, "--out", str(tmp_path / "as it is")])
    text.main([*arguments, "--out", str(tmp_path / "fixed"), "--fix"])
    found, fixed = (
        json.loads((tmp_path / name / "config.json").read_text())["findings"] for name in ("as it is", "fixed")
    )
    assert found["leaked_test"] == 1
    assert {"contradiction", "leak_test"} <= {each["kind"] for each in found["findings"]}
    assert fixed["leaked_test"] == 0
    assert not {"contradiction", "leak_test"} & {each["kind"] for each in fixed["findings"]}
    assert "Fixed: left out 2 texts of which there is a copy under another label." in capsys.readouterr().out


def test_a_training_without_a_place_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        text.main(_tables(tmp_path))
    assert left.value.code == 2
    assert "--out is missing" in capsys.readouterr().err


def test_checking_pictures_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = drawing.picture_folder(tmp_path / "data")
    shutil.copy(folder / "train" / "red" / "1.png", folder / "test" / "red" / "copy.png")
    shutil.copy(folder / "train" / "red" / "2.png", folder / "train" / "blue" / "slip.png")
    (folder / "train" / "red" / ".hidden.png").touch()
    (folder / "train" / "red" / "bad.png").write_text("no picture")
    before = _listing(tmp_path)
    image.main(["--data", str(folder), "--check"])
    assert _listing(tmp_path) == before
    printed = capsys.readouterr().out
    assert "2 pictures are there under two labels" in printed
    assert "train/blue/slip.png (blue) and train/red/2.png (red)" in printed
    assert "1 of the pictures to test with are also among those to learn from" in printed
    assert "1 file or row cannot be used" in printed
    assert "1 hidden file was passed over" in printed
    assert "width_px: 32 to 32" in printed


def test_twins_of_pictures_stay_on_one_side_and_fixing_leaves_the_copy_out(tmp_path: Path) -> None:
    folder = drawing.picture_folder(tmp_path / "data", per_label=12, parts=())
    for label in drawing.COLOURS:
        for number in range(6):
            shutil.copy(folder / label / f"{number}.png", folder / label / f"{number} again.png")
    arguments = ["--data", str(folder), "--model", "simple_cnn", "--epochs", "1", "--device", "cpu"]
    for name, more in (("together", []), ("fixed", ["--fix"])):
        image.main([*arguments, "--out", str(tmp_path / name), *more])
        found = json.loads((tmp_path / name / "config.json").read_text())
        assert found["findings"]["leaked_test"] == 0
        assert not {"leak_test", "leak_validation"} & {each["kind"] for each in found["findings"]["findings"]}
        parts = found["data"]
        together = parts["train"] + parts["validation"] + parts["test"]
        assert (together == 54) == (name == "together")
        assert sum(sum(each.values()) for each in found["findings"]["counts"].values()) == together
