"""The API of the page: what programs are told about its endpoints, and the endpoints as tools for assistants (MCP)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_function_description, get_upload_folder
from gradio_client.utils import handle_file, is_http_url_like

from pyclassify.errors import InputError
from pyclassify.formats import MAX_PICTURE_BYTES
from pyclassify.ui.gradio_patches import describe_parameters, replace_tools
from pyclassify.ui.i18n import language_of

LARGEST_ENCODED: Final = MAX_PICTURE_BYTES * 4 // 3 + 4
"""Characters of the largest picture in a data: URL."""

ANSWER: Final[dict[str, Any]] = {
    "type": "object",
    "description": "the answer with its probabilities, and how far to trust it",
    "properties": {
        "label": {"type": "string", "description": "the likeliest label"},
        "probabilities": {
            "type": "object",
            "additionalProperties": {"type": "number"},
            "description": "every label with its probability, best first; they sum to 1",
        },
        "known": {
            "anyOf": [{"type": "boolean"}, {"type": "null"}],
            "description": "false if the input is unlike the training data; null if that is not measured",
        },
        "prediction_set": {
            "type": "array",
            "items": {"type": "string"},
            "description": "labels of which one is right for 95% of inputs like the training data",
        },
        "message": {"type": "string", "description": "the answer in a sentence, in the language asked for"},
        "milliseconds": {"type": "number", "description": "time that the model took for all inputs of its batch"},
        "notes": {
            "type": "array",
            "items": {"type": "string"},
            "description": "remarks, such as that only the beginning of a long text was read",
        },
        "checkpoint": {"type": "string", "description": "the checkpoint that answered"},
    },
}
"""JSON schema of what an endpoint returns; see `serving.as_json`."""


def describe(page: gr.Blocks) -> None:
    """Describe the parameters of the endpoints as the docstrings of their functions do."""
    functions = {f"/{fn.api_name}": fn.fn for fn in page.fns.values() if fn.fn}
    describe_parameters(page, {name: get_function_description(function)[1] for name, function in functions.items()})


def serve_tools(page: gr.Blocks) -> None:
    """Let assistants call the endpoints for single inputs as tools, if the page was launched as an MCP server."""
    replace_tools(
        page,
        is_tool=_is_tool,
        read_file=partial(_read_file, page.upload_file_set),
        max_body_bytes=LARGEST_ENCODED + 2**20,
    )


def _is_tool(endpoint: Mapping[str, Any]) -> bool:
    # Gradio asks a tool for each file as a string: an endpoint for many files at once cannot be a tool
    return [value["type"] for value in endpoint["returns"]] == [ANSWER]


def _read_file(kept: set[str], value: object, language: object) -> Any:
    """Return what Gradio's client sends for a picture; an address is passed on, and judged where uploads are."""
    try:
        return handle_file(value if is_http_url_like(value) else _saved(kept, value))
    except InputError as error:
        # the server sends the words of an exception as they are
        raise ValueError(error.text(language_of(language))) from error


def _saved(kept: set[str], value: object) -> str:
    """Save the picture in a data: URL among the uploads, so that it is deleted with them."""
    head, comma, content = value.partition(",") if isinstance(value, str) else ("", "", "")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise InputError("picture_no_data_url")
    if len(content) > LARGEST_ENCODED:
        raise InputError("picture_file_too_large", limit_mb=MAX_PICTURE_BYTES // 1_000_000)
    try:
        path: str = save_bytes_to_cache(base64.b64decode(content, validate=True), "picture", get_upload_folder())
    except ValueError as error:
        raise InputError("picture_no_data_url") from error
    kept.add(path)
    return path
