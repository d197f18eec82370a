"""What the page tells programs about its endpoints, and how assistants call them as tools (MCP)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
import gradio.routes
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_function_description, get_upload_folder
from gradio_client.snippet import generate_code_snippets
from gradio_client.utils import encode_file_path, handle_file, is_http_url_like

from pyclassify.errors import InputError
from pyclassify.ui.uploads import MAX_PICTURE_BYTES
from pyclassify.ui.wording import words

LARGEST_ENCODED = MAX_PICTURE_BYTES * 4 // 3 + 4
"""Characters of the largest picture in a data: URL."""

ANSWER = {
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
            "description": "false where the input is unlike what was trained on; null where that is not measured",
        },
        "labels_set": {
            "type": "array",
            "items": {"type": "string"},
            "description": "labels of which one is right for nine in ten inputs like the training's",
        },
        "message": {"type": "string", "description": "the answer in words, in the language asked for"},
        "milliseconds": {"type": "number", "description": "what the model took for all that it answered together"},
        "notes": {
            "type": "array",
            "items": {"type": "string"},
            "description": "remarks, as that only the beginning of a long text was read",
        },
        "checkpoint": {"type": "string", "description": "the checkpoint that answered"},
    },
}
"""JSON schema of what an endpoint returns; see `asking.as_json`."""


def describe(page: gr.Blocks) -> None:
    """Name and describe the endpoints' parameters as the docstrings of their functions do.

    Gradio takes from there what the endpoint does, and the parameters for tools only; for the API view and the clients
    it has nothing but the components' labels, which here are keys that the browser translates.
    """
    found = page.get_api_info

    def get_api_info(all_endpoints: bool = False, page: str | None = None) -> Any:
        info = found(all_endpoints=all_endpoints, page=page)
        for name, endpoint in info["named_endpoints"].items():
            for each in endpoint["parameters"]:
                _describe(each, said.get(name, {}).get(each["parameter_name"], ""))
        return info

    said = {f"/{fn.api_name}": get_function_description(fn.fn)[1] for fn in page.fns.values() if fn.fn}
    page.get_api_info = get_api_info  # type: ignore[method-assign]
    gradio.routes.generate_code_snippets = _snippets  # type: ignore[attr-defined]


def _describe(parameter: Any, said: str) -> None:
    parameter["label"] = parameter["parameter_name"]
    if said:
        parameter["type"] = {**parameter["type"], "description": said}
        parameter["python_type"] = {**parameter["python_type"], "description": said}


def _snippets(
    api_name: str, endpoint: dict[str, Any], root: str, space_id: str | None = None, api_prefix: str = "/"
) -> dict[str, str]:
    """Gradio's examples for the API view, so that they run as they are shown.

    The example file is one of this server, which fetches none from elsewhere; and the event's id is kept, which bash
    forgets where `read` ends a pipe.
    """
    for each in endpoint["parameters"]:
        example = each["example_input"]
        if isinstance(example, dict) and example.get("path"):
            example["url"] = f"{root.rstrip('/')}{api_prefix}file={encode_file_path(example['path'])}"
    made: dict[str, str] = generate_code_snippets(api_name, endpoint, root, space_id=space_id, api_prefix=api_prefix)
    asked, reads, listened = made["bash"].partition(" \\\n  | read EVENT_ID; ")
    if reads:
        uploaded, post, question = asked.rpartition("curl -X POST ")
        made["bash"] = f"{uploaded}EVENT_ID=$({post}{question})\n{listened}"
    return made


def tend_tools(page: gr.Blocks) -> None:
    """Let the tools of a page that was launched as an MCP server take one picture or text and answer in JSON.

    Gradio's own would answer in Python's notation, keep each picture on the disk for good, and call the server's
    upload with whatever else a caller puts in the place of a picture.
    """
    server = page.mcp_server_obj
    if server is None:
        return

    def convert(arguments: Mapping[str, Any], positions: Sequence[Sequence[str | int]]) -> dict[str, Any]:
        files = {position[0] for position in positions}
        said = words(arguments.get("language"))
        return {
            name: _file(value, page.upload_file_set, said) if name in files and value is not None else value
            for name, value in arguments.items()
        }

    endpoints = server.api_info["named_endpoints"]
    # Gradio asks a tool for each file as a string: one that takes many files at once is none.
    server.tool_to_endpoint = {
        tool: endpoint
        for tool, endpoint in server.tool_to_endpoint.items()
        if [each["type"] for each in endpoints[endpoint]["returns"]] == [ANSWER]
    }
    server.convert_strings_to_filedata = convert  # type: ignore[method-assign, assignment]
    server.postprocess_output_data = _as_text  # type: ignore[method-assign, assignment]
    limited = getattr(server.manager, "asgi_app", None)
    if limited is not None:  # the package's own limit, 4 MiB, is less than a photo
        limited.max_body_size = LARGEST_ENCODED + 2**20


def _file(value: object, kept: set[str], said: Any) -> Any:
    """What Gradio's client sends for a picture; an address is passed on, and judged where uploads are."""
    if isinstance(value, str) and is_http_url_like(value):
        return handle_file(value)
    head, comma, content = value.partition(",") if isinstance(value, str) else ("", "", "")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise InputError(said.TOOL_PICTURE)
    if len(content) > LARGEST_ENCODED:
        raise InputError(said.TOO_LARGE)
    try:
        path = save_bytes_to_cache(base64.b64decode(content, validate=True), "picture", get_upload_folder())
    except ValueError as error:
        raise InputError(said.TOOL_PICTURE) from error
    kept.add(path)  # so that it is deleted when uploads are
    return handle_file(path)


def _as_text(answers: Sequence[Any], _root: str) -> list[Any]:
    from mcp.types import TextContent  # optional

    return [TextContent(type="text", text=json.dumps(each, ensure_ascii=False)) for each in answers]
