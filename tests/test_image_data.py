"""Folders of pictures: what is listed, what is left out, what stops a training, and batches of the rest."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from pyclassify.dataset import Examples, Skipped
from pyclassify.errors import DataError
from pyclassify.image import data
from pyclassify.image.data import Augmentation, Decoded, ImageBatches
from pyclassify.image.transform import ImageTransform
from pyclassify.locales import Message
from tests.drawing import image_folder

TRANSFORM = ImageTransform(size_px=32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return image_folder(tmp_path / "data")


def test_validation_is_split_off_from_train(folder: Path) -> None:
    splits = data.read_splits(folder, validation_fraction=0.25)
    assert splits.labels == ("blue", "green", "red")
    assert splits.derived == ("validation",)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (18, 6, 24)
    assert all("train" in path.parts for path in splits.train.items + splits.validation.items)
    assert all("test" in path.parts for path in splits.test.items)
    assert all(
        path.parent.name == splits.labels[i] for path, i in zip(splits.train.items, splits.train.label_ids, strict=True)
    )


def test_a_validation_folder_is_used_where_there_is_one(tmp_path: Path) -> None:
    splits = data.read_splits(image_folder(tmp_path, splits=("train", "val", "test")))
    assert splits.derived == ()
    assert len(splits.train) == len(splits.validation) == 24
    assert all("val" in path.parts for path in splits.validation.items)


def test_a_folder_without_splits_is_split_by_its_seed(tmp_path: Path) -> None:
    folder = image_folder(tmp_path, per_label=10, splits=())
    splits = data.read_splits(folder, seed=3)
    assert (len(splits.test), len(splits.validation), len(splits.train)) == (6, 3, 21)
    assert (splits.seed, splits.derived) == (3, ("test", "validation"))
    assert data.read_splits(folder, seed=3) == splits
    assert data.read_splits(folder, seed=4).test != splits.test


def test_hidden_and_foreign_files(folder: Path) -> None:
    (folder / "train" / ".ipynb_checkpoints").mkdir()
    (folder / ".hidden").mkdir()
    for name in ("Thumbs.db", ".DS_Store", "._0.png"):
        (folder / "train" / "red" / name).write_bytes(b"junk")
    (folder / "train" / "red" / "notes.txt").write_text("a note")
    splits = data.read_splits(folder)
    assert splits.labels == ("blue", "green", "red")
    assert len(splits.train) + len(splits.validation) == 24
    (skipped,) = splits.skipped
    assert (skipped.name, skipped.reason.key) == ("train/red/notes.txt", "notes.not_a_picture")


def test_pictures_are_known_by_their_content_if_they_have_no_suffix(folder: Path) -> None:
    red = folder / "train" / "red"
    shutil.copy(red / "0.png", red / "IMG_4")
    (red / "notes").write_text("a note")
    shutil.copy(red / "0.png", folder / "train" / "loose.png")
    splits = data.read_splits(folder)
    assert red / "IMG_4" in splits.train.items + splits.validation.items
    assert [(skipped.name, skipped.reason.key) for skipped in splits.skipped] == [
        ("train/", "notes.loose_pictures"),
        ("train/red/notes", "notes.not_a_picture"),
    ]


def test_folders_of_one_label_are_read_together(tmp_path: Path) -> None:
    for form, label in (("\u1100\u1161", 0), ("\uac00", 1), ("b", 2)):
        image_folder(tmp_path / "drawn", per_label=4, splits=())
        (tmp_path / "drawn" / ("blue", "green", "red")[label]).rename(tmp_path / form)
        shutil.rmtree(tmp_path / "drawn")
    splits = data.read_splits(tmp_path)
    assert splits.labels == ("b", "\uac00")
    assert sum(map(len, splits.parts.values())) == 12
    with pytest.raises(DataError) as error:
        data.read_splits(tmp_path, leave_out=("b",))
    assert error.value.fields["label"] == "\uac00"


def test_hidden_folders_and_loops_within_a_label(folder: Path) -> None:
    red = folder / "train" / "red"
    for name in (".thumbnails", "__MACOSX", "deeper"):
        (red / name).mkdir()
        shutil.copy(red / "0.png", red / name / "copy.png")
    (red / "again").symlink_to(red)
    (red / "deeper" / "all").symlink_to(folder / "train")
    (red / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(red / "pipe.png")  # opened, it would wait for ever
    splits = data.read_splits(folder)
    paths = splits.train.items + splits.validation.items
    assert [path.name for path in paths if "deeper" in path.parts] == ["copy.png"]
    assert len(paths) == len({path.resolve() for path in paths}) == 25
    assert [(skipped.name, skipped.reason.key) for skipped in splits.skipped] == [
        ("train/red/gone.png", "notes.not_a_file"),
        ("train/red/pipe.png", "notes.not_a_file"),
    ]


def test_a_name_in_another_encoding_can_be_printed(folder: Path) -> None:
    name = os.fsdecode(b"\xff\n.txt")
    (folder / "train" / "red" / name).write_text("a note")
    assert data.read_splits(folder).skipped[0].name == r"train/red/\udcff\n.txt"


def rename(old: str, new: str) -> Callable[[Path], object]:
    return lambda folder: (folder / old).rename(folder / new)


def one_folder_too_many(folder: Path) -> None:
    shutil.rmtree(folder / "test")
    (folder / "train").rename(folder / "Photos")


def empty_a_label_of_test(folder: Path) -> None:
    for path in (folder / "test" / "red").iterdir():
        path.unlink()


def empty_test(folder: Path) -> None:
    for path in (folder / "test").rglob("*.png"):
        path.unlink()


def remove_a_label_of_test(folder: Path) -> None:
    shutil.rmtree(folder / "test" / "red")


def leave_one_label(folder: Path) -> None:
    for split in ("train", "test"):
        for label in ("red", "green"):
            shutil.rmtree(folder / split / label)


def leave_one_picture(folder: Path) -> None:
    for path in sorted((folder / "train" / "red").iterdir())[1:]:
        path.unlink()


def empty(folder: Path) -> None:
    for path in folder.rglob("*.png"):
        path.unlink()


def remove_all(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.mark.parametrize(
    ("spoil", "code", "fields"),
    [
        (shutil.rmtree, "data_not_a_folder", {}),
        (remove_all, "folder_without_labels", {}),
        (empty, "folder_without_pictures", {}),
        (leave_one_label, "folder_with_one_label", {"label": "blue"}),
        (leave_one_picture, "too_few_pictures", {"labels": ["red"], "limit": 3}),
        (remove_a_label_of_test, "split_with_other_labels", {"labels": ["red"]}),
        (empty_a_label_of_test, "test_without_label", {"labels": ["red"]}),
        (empty_test, "split_without_pictures", {}),
        (one_folder_too_many, "folder_too_deep", {}),
        (rename("train/red", os.fsdecode(b"train/\xff")), "label_folder_name", {"label": r"\udcff"}),
        (rename("train/red", "train/r\ned"), "label_folder_name", {"label": r"r\ned"}),
    ],
)
def test_what_stops_a_training(folder: Path, spoil: Any, code: str, fields: dict[str, Any]) -> None:
    spoil(folder)
    with pytest.raises(DataError) as error:
        data.read_splits(folder)
    assert error.value.code == code
    assert fields.items() <= error.value.fields.items()
    assert error.value.text("en") != error.value.text("ko")


def test_labels_that_are_called_like_splits(tmp_path: Path) -> None:
    folder = image_folder(tmp_path, splits=())
    (folder / "red").rename(folder / "Train")
    assert data.read_splits(folder).labels == ("Train", "blue", "green")


@pytest.mark.parametrize(
    ("split", "code"), [("train", "no_readable_training"), ("test", "no_readable_test"), ("validation", "")]
)
def test_a_label_without_a_readable_picture(folder: Path, split: str, code: str) -> None:
    splits = data.read_splits(folder)
    part = splits.parts[split]
    rest = part.take([i for i, label_id in enumerate(part.label_ids) if splits.labels[label_id] != "red"])
    unreadable = [Skipped("red/0.png", Message("notes.not_a_file"))]
    if not code:  # one of the labels may be missing, but not all
        data.check_readable(replace(splits, **{split: rest}), unreadable)
        code, rest = "no_readable_validation", part.take([])
    with pytest.raises(DataError) as error:
        data.check_readable(replace(splits, **{split: rest}), unreadable)
    assert error.value.code == code
    assert error.value.fields.get("labels", ["red"]) == ["red"]
    assert Message("notes.not_a_file").text() in str(error.value)


def test_unreadable_pictures_are_left_out_with_the_reason(folder: Path) -> None:
    examples = data.read_splits(folder).train
    bad = examples.items[3]
    bad.write_bytes(bad.read_bytes()[:200])
    progress: list[int] = []
    decoded = data.decode(examples, TRANSFORM, on_progress=progress.append)
    assert progress == sorted(progress)
    assert progress[-1] == len(examples) == len(decoded.pixels) + 1
    (skipped,) = decoded.skipped
    assert (skipped.name, skipped.reason.key) == (str(bad), "errors.picture_damaged")
    assert bad not in decoded.examples.items
    for pixels, path in zip(decoded.pixels, decoded.examples.items, strict=True):
        assert torch.equal(pixels, TRANSFORM(path).tensor)


def test_many_pictures_are_kept_in_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = data.read_splits(folder).train
    in_memory = data.decode(examples, TRANSFORM).pixels
    monkeypatch.setattr(data, "IN_MEMORY_BYTES", 1000)
    assert torch.equal(data.decode(examples, TRANSFORM).pixels, in_memory)


@pytest.mark.parametrize(("side", "size_px"), [(20, 32), (50, 32), (70, 64), (500, 128)])
def test_the_size_follows_the_data(tmp_path: Path, side: int, size_px: int) -> None:
    for i in range(4):
        for label in "ab":
            (tmp_path / label).mkdir(exist_ok=True)
            Image.new("RGB", (side, 2 * side)).save(tmp_path / label / f"{i}.png")
    (tmp_path / "a" / "damaged.png").write_bytes(b"nothing")
    examples = data.read_splits(tmp_path).train
    assert data.choose_size_px(examples) == size_px
    readable = [path for path in examples.items if path.name != "damaged.png"]
    assert data.stored_sizes(readable) == [(side, 2 * side)] * len(readable)


# Batches


def batches_of(folder: Path, augmentation: Augmentation | None = None) -> ImageBatches:
    decoded = data.decode(data.read_splits(folder).train, TRANSFORM)
    return ImageBatches(decoded, TRANSFORM, batch_size=4, augmentation=augmentation)


def test_an_epoch_holds_every_example_once(folder: Path) -> None:
    batches = batches_of(folder)
    assert list(batches.positions) == list(range(batches.num_examples))
    assert len(list(batches.epoch(1))) == len(batches)
    ordered = torch.cat([x for (x,), _ in batches.epoch()])
    shuffled = torch.cat([x for (x,), _ in batches.epoch(1)])
    assert not torch.equal(ordered, shuffled)
    assert torch.equal(ordered.sum(dim=(1, 2, 3)).sort().values, shuffled.sum(dim=(1, 2, 3)).sort().values)


def test_the_same_seed_gives_the_same_epoch(folder: Path) -> None:
    batches = batches_of(folder, Augmentation(blank=0.3))
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


def test_the_named_pictures_are_mirrored_unless_that_is_off() -> None:
    pixels = torch.arange(32, dtype=torch.uint8).repeat(64, 3, 32, 1)
    is_mirrored = torch.arange(64) % 3 == 0
    generator = torch.Generator().manual_seed(0)
    assert torch.equal(Augmentation(mirror=False, shift=0.0)(pixels, generator, is_mirrored), pixels)
    for zoom in (0.0, 1e-9):
        moved = Augmentation(shift=0.0, zoom=zoom)(pixels, generator, is_mirrored)
        assert torch.equal(moved, torch.where(is_mirrored[:, None, None, None], pixels.flip(3), pixels))


def test_each_picture_is_seen_from_both_sides_in_two_epochs(folder: Path) -> None:
    batches = batches_of(folder, Augmentation(shift=0.0))
    plain = {tuple(x.flatten().tolist()) for (rows,), _ in batches.epoch() for x in rows}
    seen = [{tuple(x.flatten().tolist()) for (rows,), _ in batches.epoch(seed) for x in rows} for seed in (7, 8)]
    mirrored = {tuple(x.flip(2).flatten().tolist()) for (rows,), _ in batches.epoch() for x in rows}
    assert seen[0] | seen[1] == plain | mirrored
    assert seen[0] & plain
    assert seen[0] & mirrored


def test_pictures_seen_often_are_augmented_more() -> None:
    few, many = ({"num_examples": n, "epochs": 12, "mirror": False} for n in (1000, 50_000))
    assert data.choose_augmentation(32, **many) == Augmentation(mirror=False, shift=0.0625)
    assert data.choose_augmentation(32, **few).blank > 0
    assert data.choose_augmentation(32, **{**many, "epochs": 40}).blank > 0
    assert data.choose_augmentation(128, **many).zoom > 0


@pytest.mark.parametrize(("free", "is_moved"), [(301, True), (299, False)])
def test_pictures_go_to_the_gpu_where_they_leave_room(
    free: int, is_moved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices: list[torch.device] = []

    class Pixels:
        nbytes = 100

        def to(self, device: torch.device) -> Pixels:
            devices.append(device)
            return self

    monkeypatch.setattr("torch.cuda.mem_get_info", lambda device: (free, 10_000))
    decoded = Decoded(Pixels(), Examples((), ()))  # type: ignore[arg-type]
    for name in ("cuda", "cpu"):
        ImageBatches(decoded, TRANSFORM, batch_size=4, device=torch.device(name))
    ImageBatches(decoded, TRANSFORM, batch_size=4)
    assert devices == [torch.device("cuda")] * is_moved


# Rare labels


def noisy_batches(counts: tuple[int, ...], batch_size: int = 8, *, oversample: bool = False) -> ImageBatches:
    """Noisy pictures whose first pixel is their position."""
    ids = [label for label, count in enumerate(counts) for _ in range(count)]
    pixels = torch.randint(0, 90, (len(ids), 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    pixels[:, :, 0, 0] = torch.arange(len(ids), dtype=torch.uint8)[:, None]
    decoded = Decoded(pixels, Examples(tuple(Path(f"{i}.png") for i in range(len(ids))), tuple(ids)))
    return ImageBatches(decoded, ImageTransform(size_px=8), batch_size=batch_size, oversample=oversample)


def draws(batches: ImageBatches, seed: int | None) -> Counter[int]:
    """Count how often each picture comes in an epoch."""
    corners = torch.cat([inputs[:, 0, 0, 0] for (inputs,), _ in batches.epoch(seed)])
    return Counter(((corners * 0.5 + 0.5) * 255).round().int().tolist())


@pytest.mark.parametrize("counts", [(3, 3), (10, 2), (1,), (7, 0, 7)])
def test_labels_that_are_even_enough_are_drawn_equally(counts: tuple[int, ...]) -> None:
    batches = noisy_batches(counts, oversample=True)
    assert not batches.is_oversampled
    assert Counter(draws(batches, 3).values()) == {1: sum(counts)}


def test_rare_labels_are_drawn_by_the_root_of_their_numbers() -> None:
    counts = (144, 36, 4)
    batches = noisy_batches(counts, oversample=True)
    assert batches.is_oversampled
    times = draws(batches, 3)
    ids = torch.cat([ids for _, ids in batches.epoch(3)])
    expected = [184 * root / 20 for root in (12, 6, 2)]
    assert torch.bincount(ids).tolist() == pytest.approx(expected, abs=1)
    for position in range(184):  # each as often as its weight says, give or take one
        label = 0 if position < 144 else 1 if position < 180 else 2
        assert abs(times[position] - expected[label] / counts[label]) < 1
    assert draws(batches, 3) == times != draws(batches, 4)
    assert Counter(draws(batches, None).values()) == {1: 184}
    assert Counter(draws(noisy_batches(counts), 3).values()) == {1: 184}


@pytest.mark.parametrize(("count", "batch_size"), [(33, 8), (64, 8), (9, 8), (5, 8), (17, 16)])
def test_the_batches_of_an_epoch_are_equally_large(count: int, batch_size: int) -> None:
    batches = noisy_batches((count,), batch_size=batch_size)
    sizes = [len(ids) for _, ids in batches.epoch(1)]
    assert len(sizes) == len(batches)
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size
