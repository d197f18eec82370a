"""From what a visitor sends to the path of a picture that may be opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import ImageData
from gradio_client.utils import is_http_url_like
from pydantic import ValidationError

from pyclassify.errors import InputError
from pyclassify.ui import wording

MAX_FILE_SIZE = "20mb"
SUFFIXES = frozenset({"", ".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})

FILE_META = {"_type": "gradio.FileData"}
"""How Gradio knows a file among the inputs."""

_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*")
_PHONE_SUFFIXES = frozenset({".heic", ".heif", ".avif"})


def picture_path(payload: Mapping[str, Any] | None) -> str:
    """The uploaded file behind the value of a picture component, untouched.

    Gradio would open the picture and write it anew; the classifier wants the very file, with its EXIF, its profile and
    its bit depth.

    Raises:
        InputError: nothing was uploaded here, or it is no picture of a format on the list.
    """
    path = str((payload or {}).get("path") or "")
    if not path:
        raise InputError(wording.NO_PICTURE)
    if is_http_url_like(path):
        raise InputError(wording.ADDRESS)
    if not gr.utils.is_in_or_equal(path, gr.utils.get_upload_folder()) or not Path(path).is_file():
        raise InputError(wording.NOT_UPLOADED)
    _check_format(Path(path))
    return path


def take_uploads_only(component: gr.Image) -> None:
    """Keep Gradio from fetching a picture from an address that a request names, and from showing such an example.

    It would fetch before our code is asked, without a limit on the size.
    """
    keep = component.async_move_resource_to_block_cache

    async def move(url_or_file_path: str | Path | None) -> str | None:
        if is_http_url_like(str(url_or_file_path)):
            raise gr.Error(wording.ADDRESS, title=wording.TITLE, print_exception=False)
        return await keep(url_or_file_path)

    # On the instance: a subclass would make Gradio write a .pyi file beside this one.
    component.async_move_resource_to_block_cache = move  # type: ignore[method-assign]
    component.example_payload = lambda: {  # type: ignore[method-assign]
        "path": "cat.jpg",
        "meta": FILE_META,
    }


def readable(inputs: Sequence[Any]) -> bool:
    """Whether Gradio gets through a request's inputs: words, nothing, or one picture that was uploaded here."""
    return all(
        _is_picture_payload(each) if isinstance(each, dict) else each is None or isinstance(each, str)
        for each in inputs
    )


def _is_picture_payload(payload: dict[str, Any]) -> bool:
    try:
        ImageData.model_validate(payload)
        picture_path(payload)
    except (ValidationError, InputError):
        return False
    others = (value for key, value in payload.items() if key != "meta")
    # Gradio opens what looks like a file at any depth
    return payload.get("meta") in (None, FILE_META) and not any(isinstance(value, (dict, list)) for value in others)


def _check_format(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(16)
    if head[4:8] == b"ftyp" or path.suffix.lower() in _PHONE_SUFFIXES:  # the container of HEIC, AVIF and of films
        raise InputError(wording.HEIC)
    if path.suffix.lower() not in SUFFIXES or not _is_picture(head):
        raise InputError(wording.UNKNOWN_PICTURE)


def _is_picture(head: bytes) -> bool:
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return head.startswith(_SIGNATURES) or webp
