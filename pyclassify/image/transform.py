"""Decoding and normalising one picture, the same way in training and in serving."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, Final, TypeVar

import numpy as np
import torch
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError
from pydantic import ConfigDict, JsonValue
from torch import Tensor

from pyclassify.dataset import Prepared
from pyclassify.errors import ConfigError, InputError
from pyclassify.formats import MAX_PIXELS, PICTURE_FORMATS, register_heif
from pyclassify.locales import Message

FITS: Final = ("crop", "stretch")
INTERPOLATIONS: Final = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

register_heif()

Result = TypeVar("Result")
Pixels = np.ndarray[Any, Any]
ImageSource = str | Path | bytes | IO[bytes] | Image.Image | Pixels
"""A path, the content of a file, an open file, a PIL image, or an array as `ImageTransform` takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTransform:
    """Decode, turn upright, flatten onto white, resize and normalise.

    Args:
        size_px: height and width of the network's input.
        mean: per channel, on the scale 0 to 1, subtracted.
        std: per channel, on the scale 0 to 1, divided by.
        fit: "crop" keeps the aspect ratio and takes the middle square; "stretch" resizes the whole picture to a square.
        crop: share of the middle square's sides that "crop" keeps; the rest is margin.
        interpolation: one of INTERPOLATIONS.

    Raises:
        ConfigError: a value is out of range.
    """

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    size_px: int
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    fit: str = "crop"
    crop: float = 1.0
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if not 8 <= self.size_px <= 1024:
            raise ConfigError("option_out_of_range", option="size_px", low=8, high="1024", value=str(self.size_px))
        if min(self.std) <= 0:
            raise ConfigError("option_not_positive", option="std", value=str(min(self.std)))
        for option, known in (("fit", FITS), ("interpolation", tuple(INTERPOLATIONS))):
            if getattr(self, option) not in known:
                raise ConfigError("option_unknown", option=option, known=known, value=repr(getattr(self, option)))
        low = 1.0 if self.fit == "stretch" else 0.1
        if not low <= self.crop <= 1:
            raise ConfigError("option_out_of_range", option="crop", low=f"{low:g}", high=1, value=str(self.crop))

    def __call__(self, item: ImageSource) -> Prepared:
        """Read one picture as (3, H, W) uint8 with H = W = size_px.

        Args:
            item: a path, the content of a file, an open binary file, a PIL image, or an array (H, W), (H, W, 1),
                (H, W, 3) or (H, W, 4) of uint8, uint16, or floats between 0 and 1.

        Raises:
            InputError: it is not a picture, is damaged, or has more than MAX_PIXELS pixels.
        """
        image, notes = open_image(item, at_least_px=math.ceil(2 * self.size_px / self.crop))
        pixels = np.array(self._resize(image), dtype=np.uint8)
        return Prepared(torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), notes)

    def _resize(self, image: Image.Image) -> Image.Image:
        size = (self.size_px, self.size_px)
        method = INTERPOLATIONS[self.interpolation]
        if image.size == size and self.crop == 1:
            return image
        if self.fit == "stretch":
            return image.resize(size, method, reducing_gap=3.0)
        return ImageOps.fit(image, size, method, bleed=(1 - self.crop) / 2)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Turn (N, 3, H, W) uint8 into float32 of the same shape, on the same device."""
        scale = torch.tensor([1 / (255 * s) for s in self.std], device=pixels.device)
        shift = torch.tensor([-m / s for m, s in zip(self.mean, self.std, strict=True)], device=pixels.device)
        return pixels.float() * scale.view(1, 3, 1, 1) + shift.view(1, 3, 1, 1)

    def collate(self, tensors: Sequence[Tensor]) -> tuple[Tensor]:
        """Join (3, H, W) uint8 tensors to the network's input, (N, 3, H, W) float32."""
        return (self.normalise(torch.stack(list(tensors))),)

    def settings(self) -> dict[str, JsonValue]:
        """Return all fields as plain JSON."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}


def open_image(source: ImageSource, *, at_least_px: int = 0) -> tuple[Image.Image, tuple[Message, ...]]:
    """Read a picture as upright sRGB.

    Args:
        source: as for `ImageTransform`.
        at_least_px: a JPEG may be decoded at a reduced scale while its shorter side stays at least this long; 0 decodes
            at full scale.

    Returns:
        An RGB image, and notes on what was left out of it.

    Raises:
        InputError: it is not a picture, is damaged, or has more than MAX_PIXELS pixels.
    """
    name = _name(source)
    if isinstance(source, np.ndarray):
        return _from_array(source).convert("RGB"), ()
    if isinstance(source, Image.Image):
        _check_size(source, name)
        return _guarded(lambda: _to_srgb(source.copy()), name), ()
    return _guarded(lambda: _decode(source, name, at_least_px), name)


def upright_size(source: ImageSource) -> tuple[int, int]:
    """Return width and height of a picture as a person sees it, in pixels, without decoding it.

    Raises:
        InputError: it is not a picture.
    """
    if isinstance(source, np.ndarray):
        return source.shape[1], source.shape[0]

    def read() -> tuple[int, int]:
        if isinstance(source, Image.Image):
            return _turned_size(source)
        with _opened(source) as file, Image.open(file, formats=tuple(PICTURE_FORMATS)) as image:
            return _turned_size(image)

    return _guarded(read, _name(source))


def _name(source: ImageSource) -> str | Message:
    """Return what errors call a picture: the name of its file, where it has one.

    Raises:
        InputError: it is nothing that can be read.
    """
    if isinstance(source, str | Path):
        return Path(source).name[-100:]
    if isinstance(source, bytes | Image.Image | np.ndarray) or (hasattr(source, "read") and hasattr(source, "seek")):
        return Message("kinds.image.unnamed")
    raise InputError("picture_type_unknown", type=type(source).__name__)


@contextmanager
def _opened(source: str | Path | bytes | IO[bytes]) -> Iterator[IO[bytes]]:
    """Open the content of a file; a file that the caller opened is read from its beginning and stays open."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            yield file
    else:
        source.seek(0)
        yield source


def _turned_size(image: Image.Image) -> tuple[int, int]:
    # Pillow turns a TIFF by itself and gives the size that it will have then
    is_turned = image.format != "TIFF" and image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    return (image.height, image.width) if is_turned else (image.width, image.height)


def _guarded(read: Callable[[], Result], name: str | Message) -> Result:
    """Run `read` and turn whatever Pillow raises on a damaged file into an InputError.

    No error shows a path or an address in memory, as Pillow's do: visitors of a page must not see them.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata, which makes no difference to the pixels
            return read()
    except InputError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit, which it checks before `_check_size` can
        raise _too_large(name) from error
    except FileNotFoundError as error:
        raise InputError("picture_missing", name=name) from error
    except UnidentifiedImageError as error:
        raise InputError("picture_content_unknown", name=name, formats=list(PICTURE_FORMATS)) from error
    except Exception as error:  # Pillow's decoders raise OSError, ValueError, SyntaxError, struct.error, KeyError, ...
        if reason := getattr(error, "strerror", None):
            raise InputError("picture_unreadable", name=name, reason=reason) from error
        reason = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise InputError("picture_damaged", name=name, reason=reason) from error


def _decode(
    source: str | Path | bytes | IO[bytes], name: str | Message, at_least_px: int
) -> tuple[Image.Image, tuple[Message, ...]]:
    with _opened(source) as file, Image.open(file, formats=tuple(PICTURE_FORMATS)) as image:
        _check_size(image, name)
        frames = getattr(image, "n_frames", 1)
        if at_least_px and image.format == "JPEG":
            image.draft("RGB" if image.mode == "RGB" else None, _draft_size(image, at_least_px))
        image.load()
        # the further frames of a phone's MPO are views of the same moment, which nobody would miss
        is_cut = frames > 1 and image.format != "MPO"
        return _to_srgb(image), (Message("notes.first_frame_only", {"count": frames}),) if is_cut else ()


def _draft_size(image: Image.Image, at_least_px: int) -> tuple[int, int]:
    scale = at_least_px / min(image.size)
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _too_large(name: str | Message) -> InputError:
    return InputError("picture_too_large", name=name, limit_millions=MAX_PIXELS // 1_000_000)


def _check_size(image: Image.Image, name: str | Message) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(name)
    if not image.width or not image.height:
        raise InputError("picture_empty", name=name)


def _to_srgb(image: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(image)
    profile = image.info.get("icc_profile")
    narrow = _to_8_bit(upright)
    if "A" in narrow.getbands() or "transparency" in narrow.info:
        return _on_white(narrow)
    return _apply_profile(narrow, profile) if profile else narrow.convert("RGB")


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit and float pixels to 8 bits; Pillow's own conversion would clip them."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        return _from_array(values.astype(np.uint16))
    if image.mode == "F":
        return _from_array(values if _is_from_0_to_1(values) else _stretch(values))
    top = 255 if values.max(initial=0) <= 255 else 65535 if values.max() <= 65535 else 2**31 - 1
    return _from_array(values.astype(np.float64) / top)


def _is_from_0_to_1(values: Pixels) -> bool:
    """Return whether all finite values are between 0 and 1."""
    finite = values[np.isfinite(values)]
    return not finite.size or (float(finite.min()) >= 0 and float(finite.max()) <= 1)


def _stretch(values: Pixels) -> Pixels:
    """Scale values linearly to 0 to 1."""
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    return (values - low) / max(high - low, 1e-12)


def _on_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Convert to sRGB by the embedded profile; a damaged or unfitting profile is ignored."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        supported = image if image.mode in ("RGB", "CMYK", "L") else image.convert("RGB")
        converted = ImageCms.profileToProfile(supported, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")


def _from_array(array: Pixels) -> Image.Image:
    """Make an 8-bit image of pixels; floats are on the scale 0 to 1, uint16 on 0 to 65535."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise InputError("picture_array_shape", shape=str(array.shape))
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise _too_large(Message("kinds.image.unnamed"))
    image = Image.fromarray(_to_uint8(array))
    return _on_white(image) if image.mode == "RGBA" else image


def _to_uint8(array: Pixels) -> Pixels:
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if np.issubdtype(array.dtype, np.floating) and _is_from_0_to_1(array):
        return (np.clip(np.nan_to_num(array), 0, 1) * 255).round().astype(np.uint8)  # type: ignore[no-any-return]
    if np.issubdtype(array.dtype, np.integer) and array.min(initial=0) >= 0 and array.max(initial=0) <= 255:
        return array.astype(np.uint8)
    raise InputError("picture_array_type", type=str(array.dtype))
