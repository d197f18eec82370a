"""Data sets to download: what they become, and what is told without a network."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pyclassify.errors import DataError
from pyclassify.image import datasets
from pyclassify.image.data import read_splits
from pyclassify.training.config import IMAGE_DATASETS


@pytest.mark.parametrize("name", IMAGE_DATASETS)
def test_without_a_network_it_says_what_to_do(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("the network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(DataError) as error:
        datasets.fetch(name, tmp_path)
    assert error.value.code == "image_dataset_download"
    assert "unreachable" in str(error.value)
    assert str(tmp_path / f"{name}.download") in str(error.value)


def test_a_data_set_is_written_as_folders_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tiny(list[tuple[Image.Image, int]]):
        classes = ("zero/one", "two")

    tiny = Tiny((Image.new("RGB", (4, 4)), i % 2) for i in range(8))
    monkeypatch.setattr(datasets, "_DATASETS", {"tiny": lambda root, is_train: tiny})
    path = datasets.fetch("tiny", tmp_path)
    assert read_splits(path).labels == ("two", "zero-one")
    assert [file.name for file in path.parent.iterdir()] == ["tiny"]
    monkeypatch.setattr(datasets, "_DATASETS", {})
    assert datasets.fetch("tiny", tmp_path) == path


def test_an_unknown_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        datasets.fetch("cifar11", tmp_path)
    assert error.value.code == "image_dataset_unknown"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "_DATASETS", {"tiny": lambda root, is_train: [(Image.new("RGB", (4, 4)), 0)]})
    (tmp_path / "file").touch()
    with pytest.raises(DataError) as error:
        datasets.fetch("tiny", tmp_path / "file")
    assert error.value.code == "image_dataset_write"
