"""Archives of labelled examples."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from pyclassify import ImageConfig, TextConfig, archives, modality
from pyclassify.errors import DataError
from tests import drawing


def pack(folder: Path, path: Path, *, top: str = "") -> Path:
    """Write the files of a folder into an archive, below a folder `top`."""
    files = [(file, str(Path(top) / file.relative_to(folder))) for file in sorted(folder.rglob("*")) if file.is_file()]
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file, name in files:
                archive.write(file, name)
    else:
        with tarfile.open(path, "w:gz" if path.suffix in (".gz", ".tgz") else "w") as tar:
            for file, name in files:
                tar.add(file, name)
    return path


@pytest.mark.parametrize("name", ["pets.zip", "pets.tar", "pets.tar.gz", "pets.tgz"])
@pytest.mark.parametrize("top", ["", "photos"])
def test_an_archive_of_label_folders(tmp_path: Path, name: str, top: str) -> None:
    folder = drawing.image_folder(tmp_path / "drawn", per_label=5, splits=())
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "junk").touch()
    path = pack(folder, tmp_path / name, top=top)
    corpus = modality.get("image").read(ImageConfig(data=path, network="simple_cnn"))
    assert corpus.splits.labels == ("blue", "green", "red")
    assert sum(map(len, corpus.splits.parts.values())) == 15
    assert corpus.splits.name == (top or "pets")


def test_an_archive_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    drawing.review_file(tmp_path / "in" / "reviews.tsv")
    path = pack(tmp_path / "in", tmp_path / "reviews.zip")
    corpus = modality.get("text").read(TextConfig(data=path))
    assert len(corpus.splits.labels) == 2


def test_what_is_no_archive_stays(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").touch()
    (tmp_path / "folder.zip").mkdir()
    for path in (tmp_path / "a.csv.gz", tmp_path / "folder.zip", tmp_path / "missing.zip"):
        assert archives.unpack(path) == path


def test_archives_that_lead_out_or_are_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(tmp_path / "out.tar", "w") as tar:
        member = tarfile.TarInfo("../outside.txt")
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    (tmp_path / "damaged.zip").write_bytes(b"PK\x03\x04 and no more")
    for name in ("out.tar", "damaged.zip"):
        with pytest.raises(DataError) as error:
            archives.unpack(tmp_path / name)
        assert error.value.code == "archive_unreadable"
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.writestr("../../outside.txt", "x")
        archive.writestr("b.txt", "y")
    inside = archives.unpack(tmp_path / "out.zip")
    assert sorted(path.name for path in inside.rglob("*")) == ["b.txt", "outside.txt"]
    monkeypatch.setattr(archives, "MAX_BYTES", 1)
    with pytest.raises(DataError) as error:
        archives.unpack(tmp_path / "out.zip")
    assert error.value.code == "archive_too_large"
