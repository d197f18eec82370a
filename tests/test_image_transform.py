"""Any picture mode, size and damage gets a tensor or an InputError, and means the same in every form."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms

from pyclassify.errors import ConfigError, InputError
from pyclassify.image import transform as transforms
from pyclassify.image.transform import ImageTransform, upright_size
from pyclassify.locales import Message
from pyclassify.modality import get
from tests import drawing

TRANSFORM = ImageTransform(size_px=32)
SHAPES = st.one_of(
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.tuples(st.integers(1, 50), st.integers(1, 50), st.sampled_from([1, 3, 4])),
)
ARRAYS = st.one_of(
    hnp.arrays(dtype=st.sampled_from([np.uint8, np.uint16, np.bool_]), shape=SHAPES),
    hnp.arrays(dtype=np.float32, shape=SHAPES, elements=st.floats(0, 1, width=32)),
)


def test_photos_of_phones(tmp_path: Path) -> None:
    picture = Image.new("RGB", (80, 60), (200, 40, 40))
    for name in ("photo.heic", "photo.avif"):
        picture.save(tmp_path / name, quality=95)
        read, notes = transforms.open_image(tmp_path / name)
        assert (read.mode, read.size, notes) == ("RGB", (80, 60), ())
        assert np.abs(np.asarray(read, dtype=int).mean(axis=(0, 1)) - (200, 40, 40)).max() < 6
    (tmp_path / "torn.heic").write_bytes((tmp_path / "photo.heic").read_bytes()[:200])
    with pytest.raises(InputError):
        transforms.open_image(tmp_path / "torn.heic")


def half_and_half() -> Image.Image:
    """Red above, blue below: shows which way is up."""
    pixels = np.zeros((40, 40, 3), dtype=np.uint8)
    pixels[:20, :, 0] = 255
    pixels[20:, :, 2] = 255
    return Image.fromarray(pixels)


def is_red_above_blue(tensor: torch.Tensor) -> bool:
    top, bottom = tensor[:, 4, 16].tolist(), tensor[:, 27, 16].tolist()
    return top[0] > 200 > 60 > top[2] and bottom[2] > 200 > 60 > bottom[0]


@given(ARRAYS)
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_array_gets_a_tensor(array: np.ndarray) -> None:
    tensor = TRANSFORM(array).tensor
    assert tensor.shape == (3, 32, 32)
    assert tensor.dtype == torch.uint8


@given(st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_content_gets_a_tensor_or_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.jpg"
    path.write_bytes(content)
    for source in (path, content):
        try:
            shape = TRANSFORM(source).tensor.shape
        except InputError:
            continue
        assert shape == (3, 32, 32)


def test_a_picture_means_the_same_in_every_form(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image = drawing.photo(40, 30)
    image.save(path)
    wanted = TRANSFORM(path).tensor
    with path.open("rb") as file:
        file.read(5)  # read from its beginning all the same, as often as needed
        for source in (str(path), path.read_bytes(), file, file, io.BytesIO(path.read_bytes()), image, np.array(image)):
            assert torch.equal(TRANSFORM(source).tensor, wanted)
            assert upright_size(source) == (40, 30)
        assert not file.closed


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "LAB", "HSV", "I", "F"]
)
def test_every_mode_is_read(mode: str) -> None:
    gray = Image.new("RGB", (50, 40), (128, 128, 128))
    image = gray.convert("RGBA").convert(mode) if mode in ("RGBa", "LA", "PA") else converted(gray, mode)
    assert TRANSFORM(image).tensor.shape == (3, 32, 32)


def converted(image: Image.Image, mode: str) -> Image.Image:
    if mode == "LAB":
        return ImageCms.profileToProfile(
            image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
    return image.convert("L").convert(mode) if mode in ("I", "F") else image.convert(mode)


@pytest.mark.parametrize(("orientation", "undo"), [(3, 2), (6, 1), (8, 3)])
def test_phone_photos_are_turned_upright(tmp_path: Path, orientation: int, undo: int) -> None:
    stored = Image.fromarray(np.rot90(np.asarray(half_and_half()), undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "phone.jpg", exif=exif, quality=95)
    assert is_red_above_blue(TRANSFORM(tmp_path / "phone.jpg").tensor)
    with Image.open(tmp_path / "phone.jpg") as opened:
        assert is_red_above_blue(TRANSFORM(opened).tensor)


def test_transparency_is_flattened_onto_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (32, 32), (255, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    assert TRANSFORM(tmp_path / "clear.png").tensor.min() == 255
    palette = Image.new("P", (32, 32), 0)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert TRANSFORM(tmp_path / "palette.png").tensor.min() == 255
    assert TRANSFORM(np.zeros((8, 8, 4), dtype=np.uint8)).tensor.min() == 255


def test_16_bit_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    for tensor in (TRANSFORM(tmp_path / "ramp.png").tensor, TRANSFORM(ramp).tensor):
        assert abs(int(tensor[0, 16, 0]) - 128) <= 4
        assert tensor[0].float().std() > 60
    wide = Image.fromarray(ramp.astype(np.int32))
    assert abs(int(TRANSFORM(wide).tensor[0, 16, 0]) - 128) <= 4


def test_the_first_frame_of_an_animation_is_read_with_a_note(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    prepared = TRANSFORM(tmp_path / "two.gif")
    assert prepared.tensor[0].min() > 200
    assert prepared.notes == (Message("notes.first_frame_only", {"count": 2}),)


def test_a_colour_profile_is_applied(tmp_path: Path) -> None:
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    gray = Image.new("RGB", (32, 32), (100, 150, 200))
    gray.save(tmp_path / "tagged.png", icc_profile=swapped.tobytes())
    gray.save(tmp_path / "broken.png", icc_profile=b"this is no profile")
    plain = TRANSFORM(gray).tensor.int()
    assert (TRANSFORM(tmp_path / "tagged.png").tensor.int() - plain).abs().max() <= 2
    assert (TRANSFORM(tmp_path / "broken.png").tensor.int() - plain).abs().max() == 0


@pytest.mark.parametrize("size", [(20_000, 20_000), (12_000, 10_000)])
def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(png_header(*size))  # has no pixels: decoding it would fail with another error
    with pytest.raises(InputError) as error:
        TRANSFORM(path)
    assert error.value.code == "picture_too_large"
    assert error.value.fields == {"name": "huge.png", "limit_millions": 100}


def png_header(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (1, 1)).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


def damaged_files(folder: Path) -> dict[str, str]:
    """Write files that cannot be read; return their names with the code of the error."""
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "whole.jpg")
    content = (folder / "whole.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(content[: len(content) // 2])
    (folder / "text.jpg").write_text("not a picture")
    (folder / "empty.png").touch()
    (folder / "folder.png").mkdir()
    return {
        "cut.jpg": "picture_damaged",
        "text.jpg": "picture_content_unknown",
        "empty.png": "picture_content_unknown",
        "missing.png": "picture_missing",
        "folder.png": "picture_unreadable",
    }


def test_errors_name_the_file_and_the_damage_but_no_path(tmp_path: Path) -> None:
    for name, code in damaged_files(tmp_path).items():
        with pytest.raises(InputError) as error:
            TRANSFORM(tmp_path / name)
        assert (error.value.code, error.value.fields["name"]) == (code, name)
        for language in ("en", "ko"):
            assert name in error.value.text(language)
            assert str(tmp_path) not in error.value.text(language)


def test_errors_of_pictures_without_a_file_have_no_name(tmp_path: Path) -> None:
    for content in (b"bytes", io.BytesIO(b"bytes"), io.StringIO("a file opened as text")):
        for read in (TRANSFORM, upright_size):
            with pytest.raises(InputError) as error:
                read(content)
            assert error.value.fields["name"] == Message("kinds.image.unnamed")
            assert "0x" not in str(error.value)


@pytest.mark.parametrize("item", [None, 3, [1, 2], object()])
def test_what_is_not_a_picture_is_refused(item: Any) -> None:
    with pytest.raises(InputError) as error:
        TRANSFORM(item)
    assert error.value.code == "picture_type_unknown"


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), (2, 2, 3, 1), (0, 4, 3)])
def test_arrays_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError) as error:
        TRANSFORM(np.zeros(shape, dtype=np.uint8))
    assert error.value.code == "picture_array_shape"


@pytest.mark.parametrize("value", [-0.5, 1.5, 255.0])
def test_floats_on_another_scale_are_refused_and_not_clipped(value: float) -> None:
    with pytest.raises(InputError) as error:
        TRANSFORM(np.full((4, 4, 3), value))
    assert error.value.code == "picture_array_type"


def test_crop_keeps_the_aspect_and_stretch_the_whole() -> None:
    pixels = np.zeros((40, 120, 3), dtype=np.uint8)
    pixels[:, 40:80] = 255  # only the middle third is white
    assert TRANSFORM(pixels).tensor[:, :, 4:28].min() > 250
    stretched = ImageTransform(size_px=32, fit="stretch")(pixels).tensor
    assert stretched[:, :, 0].max() == 0
    assert stretched[:, :, 16].min() == 255


def test_a_margin_is_cut_off_on_all_sides() -> None:
    pixels = np.zeros((80, 80, 3), dtype=np.uint8)
    pixels[10:70, 10:70] = 255
    image = Image.fromarray(pixels)
    assert ImageTransform(size_px=60)(image).tensor.min() == 0
    assert ImageTransform(size_px=60, crop=0.75)(image).tensor.min() == 255
    assert ImageTransform(size_px=60, crop=0.8)(image).tensor[:, 30, 0].max() < 128
    small = Image.fromarray(pixels[:60, :60])
    cropped, whole = (ImageTransform(size_px=60, crop=crop)(small).tensor for crop in (0.75, 1.0))
    assert not torch.equal(cropped, whole)


def test_pixels_are_normalised_by_mean_and_deviation() -> None:
    transform = ImageTransform(size_px=8, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    (batch,) = transform.collate([torch.full((3, 8, 8), 255, dtype=torch.uint8)])
    assert torch.allclose(batch[0, :, 0, 0], torch.tensor([1.0, 3.0, 1.0]), atol=1e-6)


@pytest.mark.parametrize(
    "transform",
    [
        ImageTransform(size_px=64, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), fit="stretch"),
        ImageTransform(size_px=32, crop=0.875, interpolation="bicubic"),
    ],
)
def test_settings_make_the_same_transform(transform: ImageTransform) -> None:
    assert get("image").make_transform(transform.settings(), {}) == transform


def test_settings_may_leave_out_what_has_a_default() -> None:
    assert get("image").make_transform({"size_px": 32}, {}) == ImageTransform(size_px=32)


@pytest.mark.parametrize(
    "change",
    [
        {"size_px": "32"},
        {"size_px": 32.5},
        {"size_px": True},
        {"size_px": None},
        {"mean": [0.5, 0.5]},
        {"mean": "0.5"},
        {"std": [0.5, 0.5, "a"]},
        {"fit": 3},
        {"colour": "red"},
    ],
)
def test_settings_of_another_type_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        get("image").make_transform({**TRANSFORM.settings(), **change}, {})


@pytest.mark.parametrize(
    "values",
    [
        {"size_px": 2},
        {"size_px": 5000},
        {"fit": "squash"},
        {"crop": 0.0},
        {"crop": 1.5},
        {"crop": 0.9, "fit": "stretch"},
        {"interpolation": "x"},
        {"std": (0.5, 0.0, 0.5)},
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as error:
        ImageTransform(**{"size_px": 32, **values})
    assert error.value.fields["option"] in values
    assert error.value.text("ko")


def test_reduced_decoding_gives_nearly_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.linspace(0, 255, 1600)
    pixels = np.stack([np.tile(rows, (1200, 1)), np.tile(rows[:1200, None], (1, 1600)), np.zeros((1200, 1600))], axis=2)
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "large.jpg", quality=95)
    reduced = TRANSFORM(tmp_path / "large.jpg").tensor.int()
    monkeypatch.setattr(transforms, "_draft_size", lambda image, at_least_px: image.size)
    assert (TRANSFORM(tmp_path / "large.jpg").tensor.int() - reduced).abs().max() <= 3
