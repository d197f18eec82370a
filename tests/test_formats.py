"""Files that are pictures, and files that are junk."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from pyclassify import formats
from pyclassify.errors import InputError

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


@pytest.mark.parametrize("name", [".DS_Store", ".git", "._cat.png", "Thumbs.db", "desktop.ini", "__MACOSX", "@eaDir"])
def test_junk_is_hidden_or_left_behind(name: str) -> None:
    assert formats.is_junk(name)
    assert formats.is_junk_path(f"a/{name}/b.png")
    assert formats.is_junk_path(f"a\\{name}")


@pytest.mark.parametrize("name", ["cat.png", "..", "thumbs", "고양이"])
def test_other_names_are_no_junk(name: str) -> None:
    assert not formats.is_junk(name)
    assert not formats.is_junk_path(f"./{name}/b.png")


def test_junk_is_listed_once_and_not_entered(tmp_path: Path) -> None:
    for name in (".git/config", "train/cat/.DS_Store", "train/cat/1.png", "train/Thumbs.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    junk = (Path(path).as_posix() for path in formats.junk_below(tmp_path))
    assert sorted(junk) == sorted([".git", "train/Thumbs.db", "train/cat/.DS_Store"])
    assert formats.junk_below(tmp_path / "train" / "cat" / "1.png") == ()


@pytest.mark.parametrize(("name", "suffix"), [("a/B.JPG", ".jpg"), ("a.tar.GZ", ".gz"), (".png", ""), ("a", "")])
def test_suffixes_are_in_small_letters(name: str, suffix: str) -> None:
    assert formats.suffix_of(name) == suffix


def _encoded(name: str) -> bytes:
    formats.register_heif()
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(buffer, format=name)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "suffix"), [(name, suffix) for name, suffixes in formats.PICTURE_FORMATS.items() for suffix in suffixes]
)
def test_every_format_passes_with_each_of_its_suffixes_and_without(tmp_path: Path, name: str, suffix: str) -> None:
    for path in (tmp_path / f"picture{suffix.upper()}", tmp_path / "picture"):
        path.write_bytes(_encoded(name))
        formats.check_picture_file(path)


def test_pillow_knows_the_suffixes() -> None:
    Image.init()
    assert set(formats.PICTURE_SUFFIXES) <= set(Image.registered_extensions())
    for name, suffixes in formats.PICTURE_FORMATS.items():
        assert {Image.registered_extensions()[suffix] for suffix in suffixes} == {name}


@pytest.mark.parametrize("magic", [b"P2\n2 2\n255\n", b"P3\n", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"])
def test_plain_ppm_and_large_tiff_pass(tmp_path: Path, magic: bytes) -> None:
    path = tmp_path / "picture"
    path.write_bytes(magic)
    formats.check_picture_file(path)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("film.mov", b"\0\0\0\x18ftypqt  \0\0\0\0", "picture_format_unknown"),
        ("film.heic", b"\0\0\0\x18ftypmp42\0\0\0\0", "picture_format_unknown"),
        ("drawing.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "picture_format_unknown"),
        ("page.html", PNG, "picture_format_unknown"),
        ("text.png", b"just some text", "picture_format_unknown"),
        ("sound.webp", b"RIFF\0\0\0\0WAVE", "picture_format_unknown"),
        ("empty.png", b"", "picture_format_unknown"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: bytes, code: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        formats.check_picture_file(path)
    assert error.value.code == code


def test_large_files_are_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.write(PNG)
        file.truncate(formats.MAX_PICTURE_BYTES + 1)
    with pytest.raises(InputError) as error:
        formats.check_picture_file(path)
    assert (error.value.code, error.value.fields) == ("picture_file_too_large", {"limit_mb": 20})
