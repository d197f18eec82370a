"""Any picture mode, size and damage gets an answer or an InputError, and means the same in every form."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, ImageCms

from pyclassify.errors import ConfigError, InputError
from pyclassify.image import transform as transforms
from pyclassify.image.transform import ImageTransform

TRANSFORM = ImageTransform(size_px=32)
SHAPES = st.one_of(
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
    st.tuples(st.integers(1, 50), st.integers(1, 50), st.sampled_from([1, 3, 4])),
)
ARRAYS = st.one_of(
    hnp.arrays(dtype=st.sampled_from([np.uint8, np.uint16, np.bool_]), shape=SHAPES),
    hnp.arrays(dtype=np.float32, shape=SHAPES, elements=st.floats(0, 1, width=32)),
)


def _half_and_half() -> Image.Image:
    """Red above, blue below: shows which way is up."""
    pixels = np.zeros((40, 40, 3), dtype=np.uint8)
    pixels[:20, :, 0] = 255
    pixels[20:, :, 2] = 255
    return Image.fromarray(pixels)


def _is_red_above_blue(tensor: torch.Tensor) -> bool:
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
def test_any_bytes_get_a_tensor_or_an_input_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.jpg"
    path.write_bytes(content)
    try:
        shape = TRANSFORM(path).tensor.shape
    except InputError:
        return
    assert shape == (3, 32, 32)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr", "LAB", "HSV", "I", "F"]
)
def test_every_mode_is_read(mode: str) -> None:
    gray = Image.new("RGB", (50, 40), (128, 128, 128))
    image = gray.convert("RGBA").convert(mode) if mode in ("RGBa", "LA", "PA") else _converted(gray, mode)
    assert TRANSFORM(image).tensor.shape == (3, 32, 32)


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if mode == "LAB":
        return ImageCms.profileToProfile(
            image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
    return image.convert("L").convert(mode) if mode in ("I", "F") else image.convert(mode)


@pytest.mark.parametrize(("orientation", "undo"), [(3, 2), (6, 1), (8, 3)])
def test_phone_photos_are_set_upright(tmp_path: Path, orientation: int, undo: int) -> None:
    stored = Image.fromarray(np.rot90(np.asarray(_half_and_half()), undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "phone.jpg", exif=exif, quality=95)
    assert _is_red_above_blue(TRANSFORM(tmp_path / "phone.jpg").tensor)
    with Image.open(tmp_path / "phone.jpg") as opened:
        assert _is_red_above_blue(TRANSFORM(opened).tensor)


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


def test_animation_is_read_by_its_first_frame_and_says_so(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    prepared = TRANSFORM(tmp_path / "two.gif")
    assert prepared.tensor[0].min() > 200
    assert prepared.notes == ("only the first of 2 frames was read",)


def test_colour_profile_is_applied(tmp_path: Path) -> None:
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    gray = Image.new("RGB", (32, 32), (100, 150, 200))
    gray.save(tmp_path / "tagged.png", icc_profile=swapped.tobytes())
    gray.save(tmp_path / "broken.png", icc_profile=b"this is no profile")
    plain = TRANSFORM(gray).tensor.int()
    assert (TRANSFORM(tmp_path / "tagged.png").tensor.int() - plain).abs().max() <= 2
    assert (TRANSFORM(tmp_path / "broken.png").tensor.int() - plain).abs().max() == 0


def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(_png_header(20_000, 20_000))  # holds no pixels: decoding it would fail otherwise
    with pytest.raises(InputError, match=r"huge\.png has far more than 100 million pixels"):
        TRANSFORM(path)
    path.write_bytes(_png_header(12_000, 10_000))
    with pytest.raises(InputError, match="12,000 x 10,000 pixels; at most 100 million"):
        TRANSFORM(path)


def _png_header(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (1, 1)).save(buffer, "PNG")
    content = bytearray(buffer.getvalue())
    content[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    import zlib

    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    return bytes(content)


def test_damage_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    for name, reason in (("cut.jpg", "truncated"), ("text.jpg", "none of JPEG"), ("empty.png", "none of JPEG")):
        with pytest.raises(InputError, match=reason) as caught:
            TRANSFORM(tmp_path / name)
        assert str(tmp_path) not in str(caught.value)
    with pytest.raises(InputError, match=r"missing\.png does not exist"):
        TRANSFORM(tmp_path / "missing.png")


@pytest.mark.parametrize("thing", [None, 3, b"bytes", [1, 2]])
def test_what_is_no_picture_is_refused(thing: object) -> None:
    with pytest.raises(InputError, match="a picture is a path"):
        TRANSFORM(thing)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), (2, 2, 3, 1), (0, 4, 3)])
def test_arrays_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="no picture"):
        TRANSFORM(np.zeros(shape, dtype=np.uint8))


def test_crop_keeps_the_aspect_and_stretch_the_whole() -> None:
    pixels = np.zeros((40, 120, 3), dtype=np.uint8)
    pixels[:, 40:80] = 255  # only the middle third is white
    assert TRANSFORM(pixels).tensor[:, :, 4:28].min() > 250
    stretched = ImageTransform(size_px=32, fit="stretch")(pixels).tensor
    assert stretched[:, :, 0].max() == 0
    assert stretched[:, :, 16].min() == 255


@pytest.mark.parametrize("value", [-0.5, 1.5, 255.0])
def test_floats_on_another_scale_are_refused_and_not_clipped(value: float) -> None:
    with pytest.raises(InputError, match="floats between 0 and 1"):
        TRANSFORM(np.full((4, 4, 3), value))


def test_normalise_is_what_it_says() -> None:
    transform = ImageTransform(size_px=8, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    (batch,) = transform.collate([torch.full((3, 8, 8), 255, dtype=torch.uint8)])
    assert torch.allclose(batch[0, :, 0, 0], torch.tensor([1.0, 3.0, 1.0]), atol=1e-6)


def test_config_round_trip() -> None:
    transform = ImageTransform(size_px=64, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), fit="stretch")
    assert ImageTransform.from_config(transform.config()) == transform


@pytest.mark.parametrize("values", [{"size_px": 2}, {"size_px": 32, "fit": "squash"}])
def test_bad_transforms_are_refused(values: dict) -> None:
    with pytest.raises(ConfigError):
        ImageTransform(**values)


def test_reduced_decoding_gives_nearly_the_same_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.linspace(0, 255, 1600)
    pixels = np.stack([np.tile(rows, (1200, 1)), np.tile(rows[:1200, None], (1, 1600)), np.zeros((1200, 1600))], axis=2)
    Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "large.jpg", quality=95)
    reduced = TRANSFORM(tmp_path / "large.jpg").tensor.int()
    monkeypatch.setattr(transforms, "_draft_size", lambda image, at_least_px: image.size)
    assert (TRANSFORM(tmp_path / "large.jpg").tensor.int() - reduced).abs().max() <= 3
