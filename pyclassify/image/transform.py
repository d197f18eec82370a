"""One picture to one tensor, the very same way in training and in serving."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import torch
from PIL import ExifTags, Image, ImageCms, ImageOps
from torch import Tensor

from pyclassify.errors import ConfigError, InputError
from pyclassify.examples import Prepared

MAX_PIXELS = 100_000_000
"""A larger picture is refused before it is decoded: decoded, it takes 3 bytes per pixel and more."""

EXTENSIONS = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
"""Files with these endings are pictures; the content decides how they are read."""

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
"""What may be decoded, by content. Pillow knows more, and more formats are more ways to be attacked."""

SMALLER = "Make it smaller first."
FITS = ("crop", "stretch")
INTERPOLATIONS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

Result = TypeVar("Result")
Picture = str | Path | Image.Image | np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTransform:
    """Decode, set upright, flatten onto white, resize and normalise.

    Args:
        size_px: height and width of what the network sees.
        mean: per channel, on the scale 0 to 1, subtracted.
        std: per channel, on the scale 0 to 1, divided by.
        fit: "crop" keeps the aspect and takes the middle square; "stretch" squeezes all of the picture into a square.
        crop: share of the middle square's sides that "crop" keeps, the rest being margin.
        interpolation: one of INTERPOLATIONS.
    """

    size_px: int
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    fit: str = "crop"
    crop: float = 1.0
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        if not 8 <= self.size_px <= 1024:
            raise ConfigError(f"size_px must be between 8 and 1024, got {self.size_px}")
        if self.fit not in FITS:
            raise ConfigError(f"fit must be one of {', '.join(FITS)}, got {self.fit!r}")
        if not 0.1 <= self.crop <= 1 or (self.fit == "stretch" and self.crop != 1):
            raise ConfigError(f"crop must be between 0.1 and 1, and 1 where fit is stretch, got {self.crop}")
        if self.interpolation not in INTERPOLATIONS:
            raise ConfigError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}, got {self.interpolation!r}")

    def __call__(self, picture: Picture) -> Prepared:
        """One picture as (3, H, W) uint8 with H = W = size_px.

        Args:
            picture: a path, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, uint16, or
                floats between 0 and 1.

        Raises:
            InputError: it is no picture, is damaged, or has more than MAX_PIXELS pixels.
        """
        image, notes = open_picture(picture, at_least_px=math.ceil(2 * self.size_px / self.crop))
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
        """(N, 3, H, W) uint8 to float32 of the same shape, on the pixels' device."""
        scale = torch.tensor([1 / (255 * s) for s in self.std], device=pixels.device)
        shift = torch.tensor([-m / s for m, s in zip(self.mean, self.std, strict=True)], device=pixels.device)
        return pixels.float() * scale.view(1, 3, 1, 1) + shift.view(1, 3, 1, 1)

    def collate(self, tensors: Sequence[Tensor]) -> tuple[Tensor]:
        """What the network takes: (N, 3, H, W) float32."""
        return (self.normalise(torch.stack(list(tensors))),)

    def config(self) -> dict[str, Any]:
        """Plain data that `from_config` reads."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The transform that `config` was taken of."""
        mean, std = ((float(r), float(g), float(b)) for r, g, b in (config["mean"], config["std"]))
        return cls(
            size_px=int(config["size_px"]),
            mean=mean,
            std=std,
            fit=str(config["fit"]),
            crop=float(config.get("crop", 1.0)),  # checkpoints of the first releases say nothing of these two
            interpolation=str(config.get("interpolation", "bilinear")),
        )


def open_picture(picture: Picture, *, at_least_px: int = 0) -> tuple[Image.Image, tuple[str, ...]]:
    """A picture as upright sRGB, with notes on what was left out of it.

    Args:
        picture: as for `ImageTransform`.
        at_least_px: a JPEG may be decoded at a reduced scale while its shorter side stays at least this long; 0 decodes
            at full scale.

    Returns:
        An RGB image and a tuple of short sentences.

    Raises:
        InputError: it is no picture, is damaged, or has more than MAX_PIXELS pixels.
    """
    if isinstance(picture, np.ndarray):
        return _from_array(picture).convert("RGB"), ()
    if isinstance(picture, Image.Image):
        _refuse_too_large(picture, "the picture")
        return _guarded(lambda: _to_srgb(picture.copy()), "the picture"), ()
    if not isinstance(picture, (str, Path)):
        raise InputError(f"a picture is a path, a PIL image or an array, not {type(picture).__name__}.")
    path = Path(picture)
    return _guarded(lambda: _read(path, at_least_px), path.name)


def upright_size(picture: Picture) -> tuple[int, int]:
    """Width and height of a picture as a person sees it, in pixels; nothing is decoded.

    Raises:
        InputError: it is no picture.
    """
    if isinstance(picture, np.ndarray):
        return picture.shape[1], picture.shape[0]
    if isinstance(picture, Image.Image):
        return _guarded(lambda: _turned_size(picture), "the picture")
    with _guarded(lambda: Image.open(picture, formats=FORMATS), Path(picture).name) as image:
        return _guarded(lambda: _turned_size(image), Path(picture).name)


def _turned_size(image: Image.Image) -> tuple[int, int]:
    # Pillow gives the size of a TIFF as it will be once it is turned, which it does by itself
    turned = image.format != "TIFF" and image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    return (image.height, image.width) if turned else (image.width, image.height)


def _guarded(read: Callable[[], Result], name: str) -> Result:
    """Run `read`; whatever Pillow raises on a damaged file becomes an InputError that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata; the picture is what matters
            return read()
    except InputError:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit, which it checks before ours can be
        raise InputError(f"{name} has far more than {MAX_PIXELS // 1_000_000} million pixels. {SMALLER}") from error
    except FileNotFoundError as error:
        raise InputError(f"{name} does not exist.") from error
    except Exception as error:  # Pillow's decoders raise OSError, ValueError, SyntaxError, struct.error, KeyError, ...
        refused = getattr(error, "strerror", None)  # by the system: its whole message would show the path
        if refused:
            raise InputError(f"{name[-100:]} cannot be read: {refused}.") from error
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{name} is damaged or not a picture: {_without_path(reason)}.") from error


def _without_path(reason: str) -> str:
    """Pillow names the whole path or a memory address; a visitor of the page must see neither."""
    if reason.startswith("cannot identify image file"):
        return f"its content is none of {', '.join(FORMATS)}"
    return reason.rstrip(".")


def _read(path: Path, at_least_px: int) -> tuple[Image.Image, tuple[str, ...]]:
    with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
        _refuse_too_large(image, path.name)
        frames = getattr(image, "n_frames", 1)
        if at_least_px and image.format == "JPEG":
            image.draft("RGB" if image.mode == "RGB" else None, _draft_size(image, at_least_px))
        image.load()
        # a phone's MPO holds further views of the same moment, which nobody would miss
        notes = (f"only the first of {frames} frames was read",) if frames > 1 and image.format != "MPO" else ()
        return _to_srgb(image), notes


def _draft_size(image: Image.Image, at_least_px: int) -> tuple[int, int]:
    scale = at_least_px / min(image.size)
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _refuse_too_large(image: Image.Image, name: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise InputError(
            f"{name} has {image.width:,} x {image.height:,} pixels; at most {MAX_PIXELS // 1_000_000} million are read."
            f" {SMALLER}"
        )
    if not image.width or not image.height:
        raise InputError(f"{name} has no pixels.")


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
        return _from_array(values if _is_share(values) else _stretched(values))
    top = 255 if values.max(initial=0) <= 255 else 65535 if values.max() <= 65535 else 2**31 - 1
    return _from_array(values.astype(np.float64) / top)


def _is_share(values: np.ndarray[Any, Any]) -> bool:
    """Whether all are between 0 and 1, as far as they are numbers."""
    numbers = values[np.isfinite(values)]
    return not numbers.size or (float(numbers.min()) >= 0 and float(numbers.max()) <= 1)


def _stretched(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    numbers = values[np.isfinite(values)]
    low, high = float(numbers.min()), float(numbers.max())
    return (values - low) / max(high - low, 1e-12)


def _on_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def _apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """To sRGB by the embedded profile; a damaged or unfitting profile is passed over."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        known = image if image.mode in ("RGB", "CMYK", "L") else image.convert("RGB")
        converted = ImageCms.profileToProfile(known, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image.convert("RGB")
    return converted if converted is not None else image.convert("RGB")


def _from_array(array: np.ndarray[Any, Any]) -> Image.Image:
    """Pixels as an 8-bit image; floats are on the scale 0 to 1, uint16 on 0 to 65535."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise InputError(f"an array of shape {array.shape} is no picture; (H, W), (H, W, 3) or (H, W, 4) is.")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise InputError(f"the picture has {array.shape[1]:,} x {array.shape[0]:,} pixels, more than are read.")
    image = Image.fromarray(_scaled_to_uint8(array))
    return _on_white(image) if image.mode == "RGBA" else image


def _scaled_to_uint8(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype == np.uint8:
        same: np.ndarray[Any, Any] = np.ascontiguousarray(array)
        return same
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint16:
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if np.issubdtype(array.dtype, np.floating) and _is_share(array):
        rounded: np.ndarray[Any, Any] = (np.clip(np.nan_to_num(array), 0, 1) * 255).round().astype(np.uint8)
        return rounded
    if np.issubdtype(array.dtype, np.integer) and array.min(initial=0) >= 0 and array.max(initial=0) <= 255:
        return array.astype(np.uint8)
    raise InputError(f"an array of {array.dtype} is no picture; uint8, uint16 or floats between 0 and 1 are.")
