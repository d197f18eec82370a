"""Every change to Gradio's own behaviour, each with its reason and the versions that it was tried with.

All of them change one page, component or app and nothing for the whole process. `tests/test_gradio_patches.py` fails
when Gradio no longer needs one of them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import CellType
from typing import Any

import gradio as gr
from gradio import route_utils
from gradio.exceptions import Error
from gradio.queueing import Event, Queue
from gradio.server_messages import EventMessage, ProcessCompletedMessage
from gradio.utils import error_payload, safe_deepcopy
from gradio_client.utils import encode_file_path, is_http_url_like

from pyclassify.ui.i18n import TITLE
from pyclassify.ui.serving import PROBLEM

IsReadable = Callable[[list[Any]], bool]
"""Tells whether Gradio can read the inputs of a request."""


# The queue


def separate_requests(page: gr.Blocks, is_readable: IsReadable) -> None:
    """Let no request spoil, or learn of, those that it shares a batch with.

    Gradio batches (`batch=True`), but not for strangers: a request that it cannot read, or one exception, is the end of
    the whole batch, and what all of it asked is noted in the session of the first.

    Tried with Gradio 6.31.0.

    Args:
        page: after `page.queue`, which makes the queue.
        is_readable: a request that is not is run alone, so that Gradio refuses nothing else with it.
    """
    _take_readable_together(page._queue, is_readable)
    _send_problems_as_errors(page._queue)


def _take_readable_together(queue: Queue, is_readable: IsReadable) -> None:
    take = queue.get_events

    def fits(event: Event) -> bool:
        return event.data is not None and len(event.data.data) == len(event.fn.inputs) and is_readable(event.data.data)

    def get_events() -> tuple[list[Event], bool, str] | None:
        taken = take()
        if taken is None or len(taken[0]) == 1:
            return taken
        events, batch, concurrency_id = taken
        together = [event for event in events if fits(event)] or events[:1]
        # the others stay where they were, in front
        waiting = queue.event_queue_per_concurrency_id[concurrency_id].queue
        waiting[:0] = [event for event in events if event not in together]
        if len(together) > 1 and together[0].data is not None:
            together[0].data = together[0].data.model_copy(update={"session_hash": None})
        return together, batch, concurrency_id

    queue.get_events = get_events  # type: ignore[method-assign]


def _send_problems_as_errors(queue: Queue) -> None:
    send = queue.send_message

    def send_message(event: Event, event_message: EventMessage) -> None:
        problem = _problem_of(event_message)
        if problem is not None:
            content = error_payload(Error(problem, title=TITLE), show_error=True)
            event_message = ProcessCompletedMessage(output=content, title=TITLE, success=False)
        send(event, event_message)

    queue.send_message = send_message  # type: ignore[method-assign]


def _problem_of(message: EventMessage) -> str | None:
    if not (isinstance(message, ProcessCompletedMessage) and message.success):
        return None
    answer = next(iter(message.output.get("data") or ()), None)
    return str(answer[PROBLEM]) if isinstance(answer, dict) and answer.keys() == {PROBLEM} else None


def disable_statistics(page: gr.Blocks) -> None:
    """Keep Gradio from summing up all noted events after each new one, for a page of statistics that is off here.

    Tried with Gradio 6.31.0.

    Args:
        page: after `page.queue`.
    """
    page._queue.ANALYTICS_MAX_EVENTS, page._queue.ANAYLTICS_CACHE_FREQUENCY = 1, sys.maxsize


# Components


def take_uploads_only(component: gr.Image | gr.File | gr.UploadButton) -> None:
    """Keep Gradio from fetching a file from an address that a request names.

    It would fetch before our code is asked, without a limit on the size. Here the address is passed on, and
    `uploads.picture_path` refuses it.

    Tried with Gradio 6.31.0.
    """
    keep = component.async_move_resource_to_block_cache

    async def move(url_or_file_path: str | Path | None) -> str | None:
        return str(url_or_file_path) if is_http_url_like(str(url_or_file_path)) else await keep(url_or_file_path)

    # on the instance: a subclass of a component would make Gradio write a .pyi file beside it
    component.async_move_resource_to_block_cache = move  # type: ignore[method-assign]


def set_api_example(component: gr.Image | gr.File | gr.UploadButton, example: Any) -> None:
    """Set the example of an input in the API view; Gradio's own are files on other servers.

    Tried with Gradio 6.31.0.

    Args:
        component: the input.
        example: what a program sends; a path becomes a file that this server serves.
    """
    if isinstance(example, Path):
        path = component.move_resource_to_block_cache(example)
        assert path is not None
        component.keep_in_cache.add(path)
        example = {"path": path, "meta": {"_type": "gradio.FileData"}}
    component.example_payload = lambda: example  # type: ignore[method-assign]


def set_api_schema(component: gr.JSON, schema: Mapping[str, Any]) -> None:
    """Set the JSON schema of an output; Gradio says of all JSON that it may be anything.

    Tried with Gradio 6.31.0.
    """
    component.api_info = lambda: dict(schema)  # type: ignore[method-assign]


# The API


def describe_parameters(page: gr.Blocks, descriptions: Mapping[str, Mapping[str, str]]) -> None:
    """Name and describe the parameters of the endpoints.

    Gradio has nothing for the API view and the clients but the labels of the components, which here are keys that the
    browser translates.

    Tried with Gradio 6.31.0.

    Args:
        page: whose API it is.
        descriptions: by endpoint, such as "/classify_text", and parameter.
    """
    get_info = page.get_api_info

    def get_api_info(all_endpoints: bool = False, page: str | None = None) -> Any:
        info = get_info(all_endpoints=all_endpoints, page=page)
        for name, endpoint in info["named_endpoints"].items():
            for parameter in endpoint["parameters"]:
                _describe(parameter, descriptions.get(name, {}).get(parameter["parameter_name"], ""))
        return info

    page.get_api_info = get_api_info  # type: ignore[method-assign]


def _describe(parameter: Any, description: str) -> None:
    parameter["label"] = parameter["parameter_name"]
    if description:
        parameter["type"] = {**parameter["type"], "description": description}
        parameter["python_type"] = {**parameter["python_type"], "description": description}


def correct_code_examples(page: gr.Blocks) -> None:
    """Make the code in the API view run as it is shown.

    Gradio's needs a file of another server, and in bash it loses the event's id, since `read` at the end of a pipe runs
    in a process of its own. The function that prepares the API info is a variable of the function that made this app;
    only this app's is replaced.

    Tried with Gradio 6.31.0.

    Args:
        page: after its launch, which makes the app.
    """
    app = page.app
    cell = _variable(_variable(_endpoint(app, "/info"), "get_api_info").cell_contents, "prepare_api_info")
    prepare = cell.cell_contents

    def prepare_api_info(request: Any, info: Any, route_path: str) -> Any:
        info = safe_deepcopy(info)
        root = route_utils.get_root_url(request=request, route_path=route_path, root_path=app.root_path)
        for description in info["named_endpoints"].values():
            for parameter in description["parameters"]:
                example = parameter["example_input"]
                if isinstance(example, dict) and example.get("path"):
                    example["url"] = (
                        f"{str(root).rstrip('/')}{route_utils.API_PREFIX}/file={encode_file_path(example['path'])}"
                    )
        prepared = prepare(request, info, route_path)
        for description in prepared["named_endpoints"].values():
            description["code_snippets"]["bash"] = _keep_event_id(description["code_snippets"]["bash"])
        return prepared

    cell.cell_contents = prepare_api_info
    app.api_info = None  # of a request since the launch


def _endpoint(app: Any, path: str) -> Any:
    """Return the function behind a path of Gradio's; FastAPI keeps routes in a router or, before 0.130, copies them."""
    routers = [app, *(getattr(route, "original_router", None) for route in app.routes)]
    routes = (route for router in routers if router for route in router.routes)
    return next(r.endpoint for r in routes if getattr(r, "path", "") in (path, f"{route_utils.API_PREFIX}{path}"))


def _variable(function: Any, name: str) -> CellType:
    cell: CellType = function.__closure__[function.__code__.co_freevars.index(name)]
    return cell


def _keep_event_id(code: str) -> str:
    asked, separator, listened = code.partition(" \\\n  | read EVENT_ID; ")
    if not separator:
        return code
    uploaded, post, question = asked.rpartition("curl -X POST ")
    return f"{uploaded}EVENT_ID=$({post}{question})\n{listened}"


def replace_tools(
    page: gr.Blocks,
    *,
    is_tool: Callable[[Mapping[str, Any]], bool],
    read_file: Callable[[object, object], Any],
    max_body_bytes: int,
) -> None:
    """Let the tools of a page that was launched as an MCP server take files in their arguments and answer in JSON.

    Gradio's own would answer in Python's notation, keep each file on the disk for good, and call the server's upload
    with whatever else a caller puts in the place of a file. The limit of the package mcp on a request, 4 MiB, is less
    than a photo.

    Tried with Gradio 6.31.0 and mcp 1.30.0.

    Args:
        page: after its launch; nothing happens if it is no MCP server.
        is_tool: whether an endpoint, of its API info, is a tool.
        read_file: from the value of a file and the language asked for to what Gradio's client would send.
        max_body_bytes: of a request.
    """
    server = page.mcp_server_obj
    if server is None:
        return

    def convert(arguments: Mapping[str, Any], positions: Sequence[Sequence[str | int]]) -> dict[str, Any]:
        files = {position[0] for position in positions}
        return {
            name: read_file(value, arguments.get("language")) if name in files and value is not None else value
            for name, value in arguments.items()
        }

    def write(answers: Sequence[Any], _root: str) -> list[Any]:
        from mcp.types import TextContent  # optional

        return [TextContent(type="text", text=json.dumps(answer, ensure_ascii=False)) for answer in answers]

    endpoints = server.api_info["named_endpoints"]
    server.tool_to_endpoint = {
        tool: endpoint for tool, endpoint in server.tool_to_endpoint.items() if is_tool(endpoints[endpoint])
    }
    server.convert_strings_to_filedata = convert  # type: ignore[method-assign, assignment]
    server.postprocess_output_data = write  # type: ignore[method-assign, assignment]
    limited = getattr(server.manager, "asgi_app", None)
    if limited is not None:
        limited.max_body_size = max_body_bytes
