"""From what a visitor sends to the path of a picture that may be opened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import gradio as gr
from gradio.data_classes import ImageData
from gradio_client.utils import is_http_url_like
from pydantic import ValidationError

from pyclassify.errors import InputError
from pyclassify.many import Upload
from pyclassify.ui.wording.en import English

MAX_FILE_SIZE = "200mb"
"""Of an upload: zips and tables are larger than pictures."""

MAX_PICTURE_BYTES = 20_000_000
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
    path = uploaded_path(str((payload or {}).get("path") or ""))
    if not path:
        raise InputError(English.NO_PICTURE)
    if is_http_url_like(path):
        raise InputError(English.ADDRESS)
    if not gr.utils.is_in_or_equal(path, gr.utils.get_upload_folder()) or not Path(path).is_file():
        raise InputError(English.NOT_UPLOADED)
    if Path(path).stat().st_size > MAX_PICTURE_BYTES:
        raise InputError(English.TOO_LARGE)
    _check_format(Path(path))
    return path


def uploaded_files(payload: object) -> list[Upload]:
    """The uploaded files behind the value of a component of many files, with the names that they had.

    Raises:
        InputError: one of them was not uploaded here, or is gone.
    """
    found = []
    given: list[Any] = payload if isinstance(payload, list) else [payload] if payload else []
    for each in given:
        path = str(each.get("path") or "") if isinstance(each, dict) else ""
        inside = path and not is_http_url_like(path) and gr.utils.is_in_or_equal(path, gr.utils.get_upload_folder())
        if not inside or not Path(path).is_file():
            raise InputError(English.MANY_UPLOADED)
        found.append(Upload(str(each.get("orig_name") or Path(path).name), Path(path)))
    return found


def uploaded_path(address: str) -> str:
    """The path in an address of Gradio's for an uploaded file; anything else as it is.

    Assistants name an upload by its address. Nothing is fetched from it, on whatever host it is, and the path is
    checked as any other.
    """
    _, found, path = address.partition("/gradio_api/file=")
    return unquote(path) if found and is_http_url_like(address) else address


def take_uploads_only(component: gr.Image | gr.File | gr.UploadButton, example: Path | None = None) -> None:
    """Keep Gradio from fetching a picture from an address that a request names, and from showing such an example.

    It would fetch before our code is asked, without a limit on the size. Here the address is passed on, and
    `picture_path` says why it is not taken.

    Args:
        component: takes the files.
        example: a picture that programs may send to try.
    """
    keep = component.async_move_resource_to_block_cache

    async def move(url_or_file_path: str | Path | None) -> str | None:
        return str(url_or_file_path) if is_http_url_like(str(url_or_file_path)) else await keep(url_or_file_path)

    # On the instance: a subclass would make Gradio write a .pyi file beside this one.
    component.async_move_resource_to_block_cache = move  # type: ignore[method-assign]
    if example is None:
        return
    path = component.move_resource_to_block_cache(example)
    component.keep_in_cache.add(path)
    component.example_payload = lambda: {  # type: ignore[method-assign]
        "path": path,
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
        raise InputError(English.HEIC)
    if path.suffix.lower() not in SUFFIXES or not _is_picture(head):
        raise InputError(English.UNKNOWN_PICTURE)


def _is_picture(head: bytes) -> bool:
    webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return head.startswith(_SIGNATURES) or webp
