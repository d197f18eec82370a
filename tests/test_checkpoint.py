"""A checkpoint folder: written whole, read back equal, refused when anything about it is wrong."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from huggingface_hub import ModelCard
from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError
from torch import Tensor

from pyclassify import checkpoint, modality
from pyclassify.errors import CheckpointError, ConfigError
from pyclassify.manifest import Description
from tests import fakes

Change = Callable[[Path], object]


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    return fakes.write_text_checkpoint(tmp_path / "reviews")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return fakes.write_image_checkpoint(tmp_path / "pets", ["cat", "dog"])


def refusal(folder: Path) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(folder)
    assert folder.name in str(caught.value)
    assert caught.value.text("ko")
    return caught.value


# Saving


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("image", (torch.linspace(-1, 1, 4 * 3 * 8 * 8).view(4, 3, 8, 8),)),
        ("text", (torch.tensor([[2, 3, 6], [4, 5, 0]]), torch.tensor([3, 2]))),
    ],
)
def test_save_then_load_gives_equal_logits(tmp_path: Path, kind: str, inputs: tuple[Tensor, ...]) -> None:
    described = fakes.make_manifest(kind)
    network = fakes.make_network(described)
    halves = {name: tensor.half() for name, tensor in network.state_dict().items()}
    path = fakes.write_checkpoint(tmp_path / "some" / "mine", described, weights=halves)
    network.load_state_dict({name: tensor.float() for name, tensor in halves.items()})
    loaded = checkpoint.load(path)
    with torch.inference_mode():
        assert torch.equal(loaded.network(*inputs), network(*inputs))
    assert (loaded.name, loaded.kind, loaded.labels) == ("mine", kind, described.labels)
    assert loaded.modality is modality.get(kind)
    assert loaded.transform.settings() == described.transform
    assert safetensors.torch.load((path / "model.safetensors").read_bytes()).keys() == halves.keys()


def test_the_manifest_is_kept_with_the_hashes_of_all_files(reviews: Path) -> None:
    described = fakes.make_manifest("text", name="reviews")
    found = checkpoint.load(reviews).manifest
    assert found.selftest is not None
    assert found.replace(selftest=None, files={}, sha256="") == described
    assert found.files.keys() == {"model.safetensors", "vocab.txt"}
    for name, sha256 in found.files.items():
        assert hashlib.sha256((reviews / name).read_bytes()).hexdigest() == sha256
    assert checkpoint.read_manifest(reviews) == found


def test_what_save_returns_is_what_load_returns(tmp_path: Path) -> None:
    described = fakes.make_manifest("text")
    transform = modality.get("text").make_transform(described.transform, fakes.FILES["text"])
    weights = fakes.make_network(described).state_dict()
    saved = checkpoint.save(tmp_path / "a", manifest=described, weights=weights, transform=transform, card="")
    assert saved.manifest == checkpoint.load(tmp_path / "a").manifest


def test_saving_again_replaces_and_leaves_nothing_beside(reviews: Path) -> None:
    (reviews / "old.safetensors").write_bytes(b"of before")
    fakes.write_checkpoint(reviews, fakes.make_manifest("text"), card="# another\n", figures={"a.png": b"png"})
    assert (reviews / "README.md").read_text() == "# another\n"
    assert {path.name for path in reviews.iterdir()} == {
        "README.md",
        "a.png",
        "config.json",
        "model.safetensors",
        "vocab.txt",
    }
    assert [path.name for path in reviews.parent.iterdir()] == ["reviews"]
    assert reviews.stat().st_mode & 0o777 == 0o755


def test_a_failed_save_leaves_the_old_checkpoint(reviews: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", full)
        with pytest.raises(CheckpointError) as caught:
            fakes.write_text_checkpoint(reviews)
    assert caught.value.code == "checkpoint_not_writable"
    assert caught.value.fields["reason"] == "no space left on device"
    assert [path.name for path in reviews.parent.iterdir()] == ["reviews"]
    assert checkpoint.load(reviews).labels == ["negative", "positive"]


def test_other_content_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(ConfigError) as caught:
            fakes.write_text_checkpoint(path)
        assert caught.value.code == "not_a_checkpoint"
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file" / "pets", tmp_path / ("x" * 250), Path("/proc/pets")):
        with pytest.raises(CheckpointError) as caught:
            checkpoint.check_writable(path)
        assert caught.value.code == "checkpoint_not_writable"
    checkpoint.check_writable(tmp_path / "new" / "newer" / "pets")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_weights_that_do_not_fit_are_not_saved(tmp_path: Path) -> None:
    described = fakes.make_manifest("text", ["a", "b", "c"])
    weights = fakes.make_network(fakes.make_manifest("text")).state_dict()
    with pytest.raises(CheckpointError) as caught:
        fakes.write_checkpoint(tmp_path / "a", described, weights=weights)
    assert caught.value.code == "checkpoint_weights_unfit"
    assert list(tmp_path.iterdir()) == []


def test_names_change_without_touching_the_rest(reviews: Path) -> None:
    before = {path.name: path.read_bytes() for path in reviews.iterdir()}
    manifest = checkpoint.read_manifest(reviews)
    titled = manifest.replace(description=Description(title={"en": "Films"}))
    checkpoint.resave(reviews, titled, card="# new\n", figures={"curves.png": b"png"})
    loaded = checkpoint.load(reviews)
    assert loaded.manifest.title("en") == "Films"
    assert loaded.manifest.replace(description=manifest.description, sha256=manifest.sha256) == manifest
    after = {path.name: path.read_bytes() for path in reviews.iterdir()}
    assert after.keys() == before.keys() | {"curves.png"}
    assert after["README.md"] == b"# new\n"
    assert all(after[name] == before[name] for name in ("model.safetensors", "vocab.txt"))


# Loading


def edited(*, reseal: bool = True, **changes: Any) -> Change:
    return lambda folder: fakes.edit_config(folder, lambda config: config.update(changes), reseal=reseal)


def dropped(*names: str) -> Change:
    return lambda folder: fakes.edit_config(folder, lambda config: [config.pop(name) for name in names])


def written(name: str, content: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(content)


def replaced(name: str, content: bytes) -> Change:
    return lambda folder: fakes.replace_file(folder, name, content)


def lstm(**arguments: Any) -> dict[str, Any]:
    return {"name": "lstm", "arguments": {**fakes.NETWORKS["text"].arguments, **arguments}}


OTHER_WEIGHTS = safetensors.torch.save({"linear.weight": torch.zeros(2, 3)})


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda folder: (folder / "config.json").unlink(), "checkpoint_file_missing"),
        (written("config.json", b"{"), "checkpoint_file_unreadable"),
        (written("config.json", b"\xff\xfe{}"), "checkpoint_file_unreadable"),
        (written("config.json", b"[" * 100_000), "checkpoint_file_unreadable"),
        (written("config.json", b"[1]"), "checkpoint_format_missing"),
        (written("config.json", b'{"format": "2"}'), "checkpoint_format_missing"),
        (lambda folder: (folder / "model.safetensors").unlink(), "checkpoint_file_missing"),
        (lambda folder: (folder / "vocab.txt").unlink(), "checkpoint_file_missing"),
        (written("model.safetensors", b"x"), "checkpoint_file_altered"),
        (written("vocab.txt", b"<pad>\n<unk>\nother"), "checkpoint_file_altered"),
        (edited(format=3), "checkpoint_format_newer"),
        (edited(format=1, reseal=False), "checkpoint_format_older"),
        (edited(kind="sound"), "checkpoint_kind_unknown"),
        (edited(kind=["text"]), "checkpoint_kind_unknown"),
        (edited(labels=[]), "checkpoint_manifest_invalid"),
        (edited(labels=["a", "a"]), "checkpoint_manifest_invalid"),
        (edited(labels=[1, 2]), "checkpoint_manifest_invalid"),
        (edited(labels=["a", "b", "c"]), "checkpoint_weights_unfit"),
        (edited(unheard_of=1), "checkpoint_manifest_invalid"),
        (edited(network=None), "checkpoint_manifest_invalid"),
        (edited(calibration={"temperature": 0}), "checkpoint_manifest_invalid"),
        (edited(calibration={"temperature": "warm"}), "checkpoint_manifest_invalid"),
        (edited(calibration={"temperature": float("nan")}), "checkpoint_manifest_invalid"),
        (edited(calibration={"thresholds": {"0.90": 0.5}}), "checkpoint_manifest_invalid"),
        (edited(calibration={"thresholds": {"0.90": 2, "0.95": 0, "0.99": 0}}), "checkpoint_manifest_invalid"),
        (edited(network={"name": "resnet9000"}), "checkpoint_unusable"),
        (edited(network={"name": "lstm", "arguments": {"depth": 3}}), "checkpoint_unusable"),
        (edited(network=lstm(vocabulary_size=-1)), "checkpoint_unusable"),
        (edited(network=lstm(vocabulary_size=10**30)), "checkpoint_unusable"),
        (edited(network=lstm(vocabulary_size=10**9)), "checkpoint_weights_unfit"),  # takes no memory
        (edited(transform={}), "checkpoint_unusable"),
        (edited(transform=[1]), "checkpoint_manifest_invalid"),
        (edited(transform={**fakes.TRANSFORMS["text"], "tokens": "syllables"}), "checkpoint_unusable"),
        (edited(files={}), "checkpoint_file_altered"),
        (edited(ood={"threshold": 1, "views": ["energy"], "num_examples": 9}), "checkpoint_file_missing"),
        (replaced("vocab.txt", b"\xff"), "checkpoint_unusable"),
        (replaced("model.safetensors", OTHER_WEIGHTS), "checkpoint_weights_unfit"),
        (replaced("model.safetensors", b"junk"), "checkpoint_file_unreadable"),
        (dropped("labels"), "checkpoint_manifest_invalid"),
    ],
)
def test_a_spoilt_checkpoint_is_refused_by_name(reviews: Path, spoil: Change, code: str) -> None:
    spoil(reviews)
    assert refusal(reviews).code == code


@pytest.mark.parametrize(
    "transform",
    [
        {"size_px": 1},
        {"size_px": float("inf")},
        {"size_px": 64},
        {"std": [0, 0, 0]},
        {"fit": "squeeze"},
        {"interpolation": "magic"},
    ],
)
def test_settings_for_images_that_cannot_work_are_refused(pets: Path, transform: dict[str, Any]) -> None:
    fakes.edit_config(pets, lambda config: config["transform"].update(transform))
    dropped("selftest")(pets)  # which would see another picture
    assert refusal(pets).code in ("checkpoint_unusable", "checkpoint_manifest_invalid", "checkpoint_answers_not_finite")


@pytest.mark.parametrize(
    "change",
    [
        lambda config: config["labels"].reverse(),
        lambda config: config["labels"].__setitem__(0, "neutral"),
        lambda config: config["transform"].update(max_tokens=7),
        lambda config: config.update(calibration={"temperature": 1.1}),
        lambda config: config["scores"].update(accuracy=0.99),
        lambda config: config["description"].update(title={"en": "Better"}),
        lambda config: config.pop("selftest"),
        lambda config: config.pop("sha256"),
        lambda config: config.update(sha256=None),
    ],
)
def test_any_edit_of_the_manifest_is_refused(reviews: Path, change: Callable[[dict[str, Any]], object]) -> None:
    fakes.edit_config(reviews, change, reseal=False)
    assert refusal(reviews).code == "checkpoint_manifest_altered"


def test_the_layout_of_config_json_does_not_matter(reviews: Path) -> None:
    path = reviews / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True))
    checkpoint.load(reviews)


def test_a_checkpoint_that_never_had_a_selftest_is_loaded(reviews: Path) -> None:
    dropped("selftest")(reviews)
    assert checkpoint.load(reviews).manifest.selftest is None


def test_a_manifest_without_fields_that_came_later_is_loaded(reviews: Path) -> None:
    """The digest is that of the file, not of the fields with their defaults."""
    dropped("skipped", "size_bytes", "description")(reviews)
    assert checkpoint.load(reviews).manifest.skipped == []


def test_nothing_is_unpickled(reviews: Path, tmp_path: Path) -> None:
    torch.save({"linear.weight": torch.zeros(1)}, tmp_path / "pickled")
    fakes.replace_file(reviews, "model.safetensors", (tmp_path / "pickled").read_bytes())
    assert refusal(reviews).code == "checkpoint_file_unreadable"


def test_loading_draws_no_random_weights_and_imports_no_compiler(reviews: Path) -> None:
    code = f"""
import sys
import torch
import pyclassify.modality
from pyclassify.classifier import load
pyclassify.modality.get("text")
before, state = set(sys.modules), torch.random.get_rng_state()
load({str(reviews)!r}, device="cpu")
is_same = torch.equal(state, torch.random.get_rng_state())
print(len(set(sys.modules) - before), "torch._inductor" in sys.modules, is_same)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported, compiler, is_same = done.stdout.split()
    assert int(imported) < 50
    assert (compiler, is_same) == ("False", "True")


# The Hub


@pytest.mark.parametrize("name", ["no-such-folder", "/no/such/folder", "a/b/c", "..", ""])
def test_impossible_names_are_not_looked_up_on_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("huggingface_hub.snapshot_download", never)
    with pytest.raises(CheckpointError):
        checkpoint.load(name)


def test_a_missing_folder_is_not_looked_up_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load("checkpoints/pets")
    assert (caught.value.code, caught.value.fields) == ("checkpoint_not_found", {"source": "checkpoints/pets"})


@pytest.mark.parametrize("kind", ["reviews", "pets"])
def test_the_hub_is_a_source(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    folder: Path = request.getfixturevalue(kind)
    patterns: list[str] = []

    def download(_: str, *, allow_patterns: list[str]) -> str:
        patterns.extend(allow_patterns)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert checkpoint.load("someone/pets").name == "someone/pets"
    names = {path.name for path in folder.iterdir()}
    assert names == {name for name in names if any(Path(name).match(pattern) for pattern in patterns)}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LocalEntryNotFoundError("cannot connect"), "hub_unreachable"),
        (RepositoryNotFoundError.__new__(RepositoryNotFoundError), "hub_model_not_found"),
        (OSError("disk full"), "hub_download_failed"),
    ],
)
def test_errors_of_the_hub_are_told_apart(error: Exception, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load("someone/pets")
    assert caught.value.code == code
    assert "someone/pets" in str(caught.value)


@pytest.mark.parametrize("name", ["colours", "reviews"])
def test_the_card_is_one_that_the_hub_reads(checkpoints: Path, name: str) -> None:
    card = ModelCard.load(checkpoints / name / "README.md")
    manifest = checkpoint.read_manifest(checkpoints / name)
    assert manifest.scores is not None
    assert manifest.training is not None
    accuracy = next(result for result in card.data.eval_results if result.metric_type == "accuracy")
    assert accuracy.metric_value == round(manifest.scores.accuracy, 4)
    assert manifest.training.command in card.text
    assert (checkpoints / name).stat().st_mode & 0o777 == 0o755
