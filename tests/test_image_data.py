"""Folders of pictures: what is found, what is left out, and what stops a training."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from pyclassify.errors import DataError
from pyclassify.image import data, download
from pyclassify.image.augment import Augmentation
from pyclassify.image.transform import ImageTransform
from tests.drawing import picture_folder

TRANSFORM = ImageTransform(size_px=32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return picture_folder(tmp_path / "data")


def test_train_and_test_are_found_and_validation_is_taken_from_train(folder: Path) -> None:
    splits = data.read(folder, validation_fraction=0.25)
    assert splits.labels == ("blue", "green", "red")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (18, 6, 24)
    assert all("train" in path.parts for path in splits.train.items + splits.validation.items)
    assert all("test" in path.parts for path in splits.test.items)
    assert all(
        path.parent.name == splits.labels[i] for path, i in zip(splits.train.items, splits.train.label_ids, strict=True)
    )


def test_a_validation_folder_is_used_where_there_is_one(tmp_path: Path) -> None:
    splits = data.read(picture_folder(tmp_path, parts=("train", "val", "test")))
    assert len(splits.train) == len(splits.validation) == 24
    assert all("val" in path.parts for path in splits.validation.items)


def test_a_folder_without_splits_is_split_by_its_seed(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path, per_label=10, parts=())
    splits = data.read(folder, seed=3)
    assert (len(splits.test), len(splits.validation), len(splits.train)) == (6, 3, 21)
    assert splits.seed == 3
    assert data.read(folder, seed=3) == splits
    assert data.read(folder, seed=4).test != splits.test


def test_hidden_and_foreign_files(folder: Path) -> None:
    (folder / "train" / ".ipynb_checkpoints").mkdir()
    (folder / ".hidden").mkdir()
    for name in ("Thumbs.db", ".DS_Store", "._0.png"):
        (folder / "train" / "red" / name).write_bytes(b"junk")
    (folder / "train" / "red" / "notes.txt").write_text("a note")
    splits = data.read(folder)
    assert splits.labels == ("blue", "green", "red")
    assert len(splits.train) + len(splits.validation) == 24
    (skipped,) = splits.skipped
    assert skipped.name.endswith("notes.txt")


def test_hidden_folders_and_loops_within_a_label(folder: Path) -> None:
    red = folder / "train" / "red"
    for name in (".thumbnails", "__MACOSX", "deeper"):
        (red / name).mkdir()
        shutil.copy(red / "0.png", red / name / "copy.png")
    (red / "again").symlink_to(red)
    (red / "deeper" / "all").symlink_to(folder / "train")
    (red / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(red / "pipe.png")  # opened, it would wait for ever
    splits = data.read(folder)
    found = splits.train.items + splits.validation.items
    assert [path.name for path in found if "deeper" in path.parts] == ["copy.png"]
    assert len(found) == len({path.resolve() for path in found}) == 25
    assert [(each.name, each.reason) for each in splits.skipped] == [
        ("train/red/gone.png", "not a file"),
        ("train/red/pipe.png", "not a file"),
    ]


def test_a_name_in_another_encoding_can_be_told(folder: Path) -> None:
    name = os.fsdecode(b"\xff\n.txt")
    (folder / "train" / "red" / name).write_text("a note")
    assert data.read(folder).skipped[0].name == r"train/red/\udcff\n.txt"


def _rename(old: str, new: str) -> Callable[[Path], object]:
    return lambda folder: (folder / old).rename(folder / new)


def _capitalise(folder: Path) -> None:
    for part in ("train", "test"):
        (folder / part).rename(folder / part.title())


def _empty_a_label_of_test(folder: Path) -> None:
    for path in (folder / "test" / "red").iterdir():
        path.unlink()


def _remove_label(folder: Path) -> None:
    shutil.rmtree(folder / "test" / "red")


def _leave_one_label(folder: Path) -> None:
    for part in ("train", "test"):
        for label in ("red", "green"):
            shutil.rmtree(folder / part / label)


def _leave_one_picture(folder: Path) -> None:
    for path in sorted((folder / "train" / "red").iterdir())[1:]:
        path.unlink()


def _empty(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.unlink()


def _remove_all(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (shutil.rmtree, "is not a folder"),
        (_remove_all, "has no folders in it"),
        (_empty, "has no pictures in its folders"),
        (_leave_one_label, "one label only, blue"),
        (_leave_one_picture, "too few pictures in .* for red"),
        (_remove_label, "they differ in red"),
        (_empty_a_label_of_test, "test has no pictures for red"),
        (_capitalise, "rename Test to test, Train to train"),
        (_rename("test", "validation"), "rename validation to val"),
        (_rename("train/red", os.fsdecode(b"train/\xff")), "is no UTF-8"),
        (_rename("train/red", "train/r\ned"), "has several lines"),
    ],
)
def test_what_stops_a_training(folder: Path, spoil, message: str) -> None:
    spoil(folder)
    with pytest.raises(DataError, match=message):
        data.read(folder)


def test_labels_that_are_called_like_parts(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path, parts=())
    (folder / "red").rename(folder / "Train")
    assert data.read(folder).labels == ("Train", "blue", "green")


def test_a_label_without_a_readable_picture_to_test_with(folder: Path) -> None:
    for path in (folder / "test" / "red").iterdir():
        path.write_text("no picture")
    splits = data.read(folder)
    readable = replace(splits, test=data.decode(splits.test, TRANSFORM).examples)
    with pytest.raises(DataError, match="left to test with for red"):
        data.check_readable(readable)


def test_unreadable_pictures_are_left_out_with_the_reason(folder: Path) -> None:
    bad = folder / "train" / "red" / "0.png"
    bad.write_bytes(bad.read_bytes()[:200])
    examples = data.read(folder, validation_fraction=0.1).train
    calls: list[None] = []
    decoded = data.decode(examples, TRANSFORM, on_picture=lambda: calls.append(None))
    assert len(calls) == len(examples)
    assert len(decoded.pixels) == len(decoded.examples) == len(examples) - len(decoded.skipped)
    assert [each.name for each in decoded.skipped] == [str(bad)] * (bad in examples.items)
    for pixels, path in zip(decoded.pixels, decoded.examples.items, strict=True):
        assert torch.equal(pixels, TRANSFORM(path).tensor)


def test_many_pictures_go_to_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = data.read(folder).train
    in_memory = data.decode(examples, TRANSFORM).pixels
    monkeypatch.setattr(data, "IN_MEMORY_BYTES", 1000)
    assert torch.equal(data.decode(examples, TRANSFORM).pixels, in_memory)


@pytest.mark.parametrize(("side", "size_px"), [(20, 32), (50, 32), (70, 64), (500, 128)])
def test_size_follows_the_data(tmp_path: Path, side: int, size_px: int) -> None:
    for i in range(4):
        for label in "ab":
            (tmp_path / label).mkdir(exist_ok=True)
            Image.new("RGB", (side, 2 * side)).save(tmp_path / label / f"{i}.png")
    assert data.choose_size_px(data.read(tmp_path).train) == size_px


def _batches(folder: Path, augmentation: Augmentation | None = None) -> data.ImageBatches:
    decoded = data.decode(data.read(folder).train, TRANSFORM)
    return data.ImageBatches(decoded, TRANSFORM, batch_size=4).with_augmentation(augmentation)


def test_an_epoch_holds_every_example_once(folder: Path) -> None:
    batches = _batches(folder)
    assert len(list(batches.epoch(1))) == len(batches)
    ordered = torch.cat([x for (x,), _ in batches.epoch()])
    shuffled = torch.cat([x for (x,), _ in batches.epoch(1)])
    assert not torch.equal(ordered, shuffled)
    assert torch.equal(ordered.sum(dim=(1, 2, 3)).sort().values, shuffled.sum(dim=(1, 2, 3)).sort().values)


def test_the_same_seed_gives_the_same_epoch(folder: Path) -> None:
    batches = _batches(folder, Augmentation(blank=0.3))
    first, again, other = ([x for (x,), _ in batches.epoch(seed)] for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("augmentation", [Augmentation(), Augmentation(zoom=0.4), Augmentation(blank=0.5)])
def test_augmentation_keeps_shape_and_colours(augmentation: Augmentation) -> None:
    pixels = torch.full((16, 3, 32, 32), 90, dtype=torch.uint8)
    changed = augmentation(pixels, torch.Generator().manual_seed(0), torch.arange(16) % 2 == 0)
    assert changed.shape == pixels.shape
    assert changed.dtype == torch.uint8
    assert set(changed.unique().tolist()) == ({90, 127} if augmentation.blank else {90})


def test_mirroring_turns_the_pictures_that_are_named_and_can_be_left_out() -> None:
    pixels = torch.arange(32, dtype=torch.uint8).repeat(64, 3, 32, 1)
    turned = torch.arange(64) % 3 == 0
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(Augmentation(mirror=False, shift=0.0)(pixels, generator, turned), pixels)
    for zoom in (0.0, 1e-9):
        moved = Augmentation(shift=0.0, zoom=zoom)(pixels, generator, turned)
        assert torch.equal(moved, torch.where(turned[:, None, None, None], pixels.flip(3), pixels))


def test_each_picture_is_seen_from_both_sides_in_two_epochs(folder: Path) -> None:
    batches = _batches(folder, Augmentation(shift=0.0))
    plain = {tuple(x.flatten().tolist()) for (rows,), _ in batches.epoch() for x in rows}
    seen = [{tuple(x.flatten().tolist()) for (rows,), _ in batches.epoch(seed) for x in rows} for seed in (7, 8)]
    mirrored = {tuple(x.flip(2).flatten().tolist()) for (rows,), _ in batches.epoch() for x in rows}
    assert seen[0] | seen[1] == plain | mirrored
    assert seen[0] & plain
    assert seen[0] & mirrored


def test_download_without_a_network_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("the network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(DataError, match=r"cifar10 cannot be downloaded .*unreachable.*by hand"):
        download.fetch("cifar10", tmp_path)


def test_download_is_laid_out_as_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tiny(list):
        classes = ("zero/one", "two")

    tiny = Tiny((Image.new("RGB", (4, 4)), i % 2) for i in range(8))
    monkeypatch.setattr(download, "_SETS", {"tiny": lambda root, train: tiny})
    path = download.fetch("tiny", tmp_path)
    assert data.read(path).labels == ("two", "zero-one")
    monkeypatch.setattr(download, "_SETS", {})
    assert download.fetch("tiny", tmp_path) == path


@pytest.mark.parametrize(("free", "moved"), [(301, True), (299, False)])
def test_pictures_go_to_the_gpu_where_they_leave_room(free: int, moved: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[torch.device] = []

    class Pixels:
        nbytes = 100

        def to(self, device: torch.device) -> str:
            asked.append(device)
            return "on the GPU"

    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (free, 10_000))
    pixels = Pixels()
    found = data._near(pixels, torch.device("cuda"))
    assert found == ("on the GPU" if moved else pixels)
    assert asked == [torch.device("cuda")] * moved
    assert data._near(pixels, torch.device("cpu")) is pixels
    assert data._near(pixels, None) is pixels
