"""Paths of uploaded files that may be opened, from what a visitor or a program sends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from gradio.data_classes import ImageData
from gradio.utils import get_upload_folder, is_in_or_equal
from gradio_client.utils import is_http_url_like
from pydantic import ValidationError

from pyclassify.batch.files import Upload
from pyclassify.errors import InputError
from pyclassify.formats import check_picture_file

MAX_FILE_SIZE: Final = "200mb"
"""Limit of an upload; zips and tables are larger than pictures."""

FILE_META: Final = {"_type": "gradio.FileData"}
"""By which Gradio knows a file among the inputs."""


def picture_path(payload: Mapping[str, Any] | None) -> str:
    """Return the path of the uploaded picture behind the value of an image component.

    Gradio would open the picture and write it anew; the classifier wants the very file, with its EXIF, its profile and
    its bit depth.

    Raises:
        InputError: nothing was uploaded here, or it is not a picture that can be read.
    """
    path = uploaded_path(str((payload or {}).get("path") or ""))
    if not path:
        raise InputError("no_picture")
    if is_http_url_like(path):
        raise InputError("foreign_address")
    if not _is_upload(path):
        raise InputError("picture_not_uploaded")
    check_picture_file(Path(path))
    return path


def uploaded_files(payload: object) -> list[Upload]:
    """Return the uploaded files behind the value of a component for many files, with the names that they had.

    Raises:
        InputError: one of them was not uploaded here, or is gone.
    """
    uploads = []
    files: list[Any] = payload if isinstance(payload, list) else [payload] if payload else []
    for file in files:
        path = str(file.get("path") or "") if isinstance(file, dict) else ""
        if not path or is_http_url_like(path) or not _is_upload(path):
            raise InputError("files_not_uploaded")
        uploads.append(Upload(str(file.get("orig_name") or Path(path).name), Path(path)))
    return uploads


def uploaded_path(address: str) -> str:
    """Return the path in an address of an uploaded file; anything else is returned as it is.

    Assistants name an upload by its address. Nothing is fetched from it, on whatever host it is, and the path is
    checked like any other.
    """
    _, separator, path = address.partition("/gradio_api/file=")
    return unquote(path) if separator and is_http_url_like(address) else address


def is_readable(inputs: Sequence[Any]) -> bool:
    """Return whether Gradio gets through the inputs of a request: words, nothing, or one picture that was uploaded."""
    return all(
        _is_picture_payload(value) if isinstance(value, dict) else value is None or isinstance(value, str)
        for value in inputs
    )


def _is_picture_payload(payload: dict[str, Any]) -> bool:
    try:
        ImageData.model_validate(payload)
        picture_path(payload)
    except (ValidationError, InputError):
        return False
    others = (value for key, value in payload.items() if key != "meta")
    # Gradio opens whatever looks like a file at any depth
    return payload.get("meta") in (None, FILE_META) and not any(isinstance(value, (dict, list)) for value in others)


def _is_upload(path: str) -> bool:
    return is_in_or_equal(path, get_upload_folder()) and Path(path).is_file()
