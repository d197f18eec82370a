"""A checkpoint folder: written whole, read back equal, refused when anything about it is wrong."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from huggingface_hub import ModelCard
from huggingface_hub.errors import LocalEntryNotFoundError

from pyclassify import checkpoint, folder
from pyclassify.errors import CheckpointError, ConfigError
from pyclassify.image import models
from pyclassify.image.transform import ImageTransform

INFO = {
    "kind": "image",
    "labels": ["cat", "dog"],
    "model": {"name": "simple_cnn", "arguments": {"size_px": 32}},
}


def _save(path: Path, **changes: Any) -> torch.nn.Module:
    model = models.build("simple_cnn", labels=2).eval()
    weights = {name: each.half() for name, each in model.state_dict().items()}
    options = {"info": INFO, "weights": weights, "transform": ImageTransform(size_px=32), "card": "# a card\n"}
    checkpoint.save(path, **{**options, **changes})
    model.load_state_dict({name: each.float() for name, each in weights.items()})
    return model


def test_save_then_load_gives_equal_logits(tmp_path: Path) -> None:
    model = _save(tmp_path / "some" / "pets")
    loaded = checkpoint.load(tmp_path / "some" / "pets")
    x = torch.randn(4, 3, 32, 32)
    assert torch.equal(loaded.model(x), model(x))
    assert (loaded.name, loaded.kind, loaded.labels) == ("pets", "image", ["cat", "dog"])
    assert loaded.transform == ImageTransform(size_px=32)
    assert sorted(p.name for p in (tmp_path / "some" / "pets").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_saving_again_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    _save(tmp_path / "pets")
    _save(tmp_path / "pets", card="# another\n")
    assert (tmp_path / "pets" / "README.md").read_text() == "# another\n"
    assert [p.name for p in tmp_path.iterdir()] == ["pets"]


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save(tmp_path / "pets")

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(folder, "_write", full)
    with pytest.raises(CheckpointError, match="no space left"):
        _save(tmp_path / "pets")
    assert [p.name for p in tmp_path.iterdir()] == ["pets"]
    assert checkpoint.load(tmp_path / "pets").labels == ["cat", "dog"]


def test_other_content_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="no checkpoint"):
        _save(tmp_path)
    with pytest.raises(ConfigError, match="no checkpoint"):
        _save(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def _edit(**changes: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return spoil


def _other_weights(folder: Path) -> None:
    """Weights of another shape, with a hash that fits."""
    content = safetensors.torch.save({"linear.weight": torch.zeros(2, 3)})
    (folder / "model.safetensors").write_bytes(content)
    _edit(sha256={"model.safetensors": checkpoint.hashlib.sha256(content).hexdigest()})(folder)


def _no_weights_at_all(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"junk")
    _edit(sha256={"model.safetensors": checkpoint.hashlib.sha256(b"junk").hexdigest()})(folder)


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file" / "pets", tmp_path / ("x" * 250), Path("/proc/pets")):
        with pytest.raises(CheckpointError, match="cannot write"):
            checkpoint.check_writable(path)
    checkpoint.check_writable(tmp_path / "new" / "newer" / "pets")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "config.json").unlink(), r"config\.json is missing"),
        (lambda f: (f / "config.json").write_text("{"), r"cannot read .*config\.json"),
        (lambda f: (f / "config.json").write_bytes(b"\xff\xfe{}"), r"cannot read .*config\.json"),
        (lambda f: (f / "config.json").write_text("[1]"), "does not say which format"),
        (lambda f: (f / "model.safetensors").unlink(), r"model\.safetensors is missing"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x"), r"model\.safetensors was altered"),
        (_edit(format=2), "newer than 1.*Install a newer"),
        (_edit(format=0), "unknown format"),
        (_edit(kind="sound"), "unknown format or kind"),
        (_edit(labels=[]), "does not list its labels"),
        (_edit(labels=["a", "b", "c"]), "do not fit"),
        (_edit(model={"name": "resnet9000", "arguments": {}}), "no network for pictures named"),
        (_edit(model={"name": "simple_cnn", "arguments": {"depth": 3}}), "cannot be built"),
        (_edit(model=None), "incomplete or wrong"),
        (_edit(transform={}), "incomplete or wrong"),
        (_edit(transform={"size_px": 1, "mean": [0, 0, 0], "std": [1, 1, 1], "fit": "crop"}), "size_px must be"),
        (_edit(labels=["a", "a"]), "lists a label twice"),
        (_edit(transform={"size_px": float("inf"), "mean": [0, 0, 0], "std": [1, 1, 1], "fit": "crop"}), "or wrong"),
        (_edit(transform={"size_px": 64, "mean": [0, 0, 0], "std": [1, 1, 1], "fit": "crop"}), "not describe a usable"),
        (_edit(transform={"size_px": 32, "mean": [0, 0, 0], "std": [0, 0, 0], "fit": "crop"}), "not describe a usable"),
        (_edit(sha256=None), "was altered"),
        (_other_weights, "do not fit the network"),
        (_no_weights_at_all, r"cannot read .*model\.safetensors"),
    ],
)
def test_whatever_is_wrong_is_named(tmp_path: Path, spoil: Callable[[Path], None], message: str) -> None:
    _save(tmp_path / "pets")
    spoil(tmp_path / "pets")
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoint.load(tmp_path / "pets")
    assert "pets" in str(caught.value)


def test_a_huge_network_in_the_config_takes_no_memory(tmp_path: Path) -> None:
    _save(tmp_path / "pets")
    _edit(model={"name": "small_convnet", "arguments": {"widths": [10**5, 10**5, 10**5]}})(tmp_path / "pets")
    with pytest.raises(CheckpointError, match="do not fit"):
        checkpoint.load(tmp_path / "pets")


def test_loading_draws_no_random_weights_and_imports_no_compiler(text_checkpoint: Path) -> None:
    code = f"""
import sys
import pyclassify
before = set(sys.modules)
pyclassify.load({str(text_checkpoint)!r}, device="cpu")
print(len(set(sys.modules) - before), "torch._inductor" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported, compiler = done.stdout.split()
    assert int(imported) < 50
    assert compiler == "False"


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    _save(tmp_path / "pets")
    path = tmp_path / "pets" / "model.safetensors"
    torch.save({"linear.weight": torch.zeros(1)}, path)
    _edit(sha256={path.name: checkpoint.hashlib.sha256(path.read_bytes()).hexdigest()})(tmp_path / "pets")
    with pytest.raises(CheckpointError, match="cannot read"):
        checkpoint.load(tmp_path / "pets")


@pytest.mark.parametrize("name", ["no-such-folder", "/no/such/folder", "a/b/c", "..", ""])
def test_what_cannot_be_on_the_hub_is_not_asked_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.snapshot_download", never)
    with pytest.raises(CheckpointError):
        checkpoint.load(name)


def test_a_folder_that_misses_is_not_looked_up_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match="there is no checkpoint at checkpoints/pets"):
        checkpoint.load("checkpoints/pets")


def test_the_hub_is_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _save(tmp_path / "snapshot")
    asked: list[str] = []

    def download(name: str, **_: object) -> str:
        asked.append(name)
        return str(tmp_path / "snapshot")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert checkpoint.load("someone/pets").name == "someone/pets"
    assert asked == ["someone/pets"]


def test_a_hub_out_of_reach_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: object, **__: object) -> None:
        raise LocalEntryNotFoundError("cannot connect")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(CheckpointError, match="cannot be reached"):
        checkpoint.load("someone/pets")


def test_settings_of_a_text_that_are_no_settings(tmp_path: Path, text_checkpoint: Path) -> None:
    shutil.copytree(text_checkpoint, tmp_path / "reviews")
    _edit(transform=[1])(tmp_path / "reviews")
    with pytest.raises(CheckpointError, match="incomplete or wrong"):
        checkpoint.load(tmp_path / "reviews")


def test_text_needs_its_vocabulary(tmp_path: Path, text_checkpoint: Path) -> None:
    folder = shutil.copytree(text_checkpoint, tmp_path / "reviews")
    (folder / "vocab.txt").unlink()
    with pytest.raises(CheckpointError, match=r"vocab\.txt is missing"):
        checkpoint.load(folder)
    (folder / "vocab.txt").write_text("<pad>\n<unk>\nother")
    with pytest.raises(CheckpointError, match=r"vocab\.txt was altered"):
        checkpoint.load(folder)


@pytest.mark.parametrize("name", ["colours", "reviews"])
def test_the_card_is_one_that_the_hub_reads(checkpoints: Path, name: str) -> None:
    card = ModelCard.load(checkpoints / name / "README.md")
    info = json.loads((checkpoints / name / "config.json").read_text())
    accuracy = next(each for each in card.data.eval_results if each.metric_type == "accuracy")
    assert accuracy.metric_value == round(info["scores"]["accuracy"], 4)
    assert info["training"]["command"] in card.text
    assert (checkpoints / name).stat().st_mode & 0o777 == 0o755
