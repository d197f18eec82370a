"""The API: descriptions, the code of the API view, tools for assistants, and answers in two languages."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, Tool
from PIL import Image

import app
from pyclassify.classifier import Prediction
from pyclassify.errors import ConfigError
from pyclassify.locales import Message, text
from pyclassify.ui.api import ANSWER, LARGEST_ENCODED, serve_tools
from pyclassify.ui.classify_tab import EXAMPLES
from pyclassify.ui.page import build_page
from tests.fakes import FakeClassifier, write_image_checkpoint, write_text_checkpoint
from tests.test_launch import call, free_port, serve

TOOLS = {"classify_image": ["picture", "checkpoint", "language"], "classify_text": ["text", "checkpoint", "language"]}
Result = TypeVar("Result")
FILE = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gr.Blocks]:
    folder = tmp_path_factory.mktemp("checkpoints")
    write_image_checkpoint(folder / "animals")
    write_text_checkpoint(folder / "films")
    write_text_checkpoint(folder / "naver", ["부정", "긍정"])
    page = app.start(app.parse_options(["--checkpoints", str(folder), "--mcp", "--port", str(free_port())]))
    yield page
    page.close()


@pytest.fixture(scope="module")
def address(page: gr.Blocks) -> str:
    return str(page.local_url)


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


def data_url(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def run_apart(program: Callable[[], Awaitable[Result]]) -> Result:
    """Run an asynchronous program in a thread of its own, since Playwright's loop runs on in the tests' own thread."""
    with start_blocking_portal() as portal:
        return portal.call(program)


def use(address: str, name: str, arguments: Mapping[str, Any], *, progress: bool = False) -> CallToolResult:
    """Call a tool as an assistant does."""

    async def note(*_: object) -> None: ...

    async def calling() -> CallToolResult:
        async with (
            streamable_http_client(f"{address}gradio_api/mcp/") as (receive, send, _),
            ClientSession(receive, send) as session,
        ):
            await session.initialize()
            return await session.call_tool(name, dict(arguments), progress_callback=note if progress else None)

    return run_apart(calling)


def words(result: CallToolResult) -> str:
    (content,) = result.content
    return str(getattr(content, "text", content))


# Descriptions


def test_every_parameter_and_answer_is_described(client: Client) -> None:
    described = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    for name, parameters in TOOLS.items():
        endpoint = described[f"/{name}"]
        assert endpoint["description"].startswith("Classify one ")
        assert [parameter["parameter_name"] for parameter in endpoint["parameters"]] == parameters
        for parameter in endpoint["parameters"]:
            assert parameter["label"] == parameter["parameter_name"]
            assert len(parameter["python_type"]["description"]) > 5
            assert parameter["type"]["description"] == parameter["python_type"]["description"]
        (returned,) = endpoint["returns"]
        assert (returned["label"], returned["type"]) == ("answer", ANSWER)
    types = [parameter["python_type"]["type"] for parameter in described["/classify_text"]["parameters"]]
    assert types == ["str", "Literal['films', 'naver']", "Literal['en', 'ko']"]


def test_answer_is_as_described(client: Client) -> None:
    assert set(client.predict("good film", api_name="/classify_text")) == set(ANSWER["properties"])  # type: ignore[call-overload]


def test_openapi_has_the_endpoints_with_their_parameters(address: str) -> None:
    paths = httpx.get(f"{address}gradio_api/openapi.json").json()["paths"]
    for name in TOOLS:
        (path,) = [path for path in paths if path.endswith(f"/{name}")]
        assert "Classify one" in json.dumps(paths[path])


# Examples of the API view


def snippets(address: str, endpoint: str) -> dict[str, str]:
    info = httpx.get(f"{address}gradio_api/info").json()
    code: dict[str, str] = info["named_endpoints"][f"/{endpoint}"]["code_snippets"]
    return code


def run(command: list[str], folder: Path) -> str:
    variables = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("endpoint", "checkpoint"), [("classify_image", "animals"), ("classify_text", "films")])
def test_shown_python_runs(address: str, tmp_path: Path, endpoint: str, checkpoint: str) -> None:
    assert f"'checkpoint': '{checkpoint}'" in run(
        [sys.executable, "-c", snippets(address, endpoint)["python"]], tmp_path
    )


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
@pytest.mark.parametrize(("endpoint", "checkpoint"), [("classify_image", "animals"), ("classify_text", "films")])
def test_shown_bash_runs(address: str, image_path: Path, endpoint: str, checkpoint: str) -> None:
    shown = snippets(address, endpoint)["bash"].replace("/path/to/your/file", str(image_path))
    answered = run(["bash", "-c", shown], image_path.parent)
    assert "event: complete" in answered
    assert f'"checkpoint": "{checkpoint}"' in answered


def test_shown_javascript_names_parameters_and_a_picture_that_is_here(address: str) -> None:
    shown = snippets(address, "classify_image")["javascript"]
    (example,) = re.findall(r'await fetch\("([^"]+)"\)', shown)
    assert example.startswith(address)
    assert httpx.get(example).content == (EXAMPLES / "cat.jpg").read_bytes()
    for name in TOOLS["classify_image"]:
        assert f"\t\t{name}: " in shown


def npm_client() -> str:
    """The folder above node_modules/@gradio/client where there is one; nothing is installed."""
    return os.environ.get("PYCLASSIFY_GRADIO_CLIENT", "")


@pytest.mark.skipif(not (shutil.which("node") and npm_client()), reason="there is no @gradio/client")
@pytest.mark.slow
@pytest.mark.parametrize(("endpoint", "checkpoint"), [("classify_image", "animals"), ("classify_text", "films")])
def test_shown_javascript_runs(address: str, endpoint: str, checkpoint: str) -> None:
    path = Path(npm_client()) / f"{endpoint}.mjs"
    path.write_text(snippets(address, endpoint)["javascript"] + "\nprocess.exit(0);\n", encoding="utf-8")
    assert f"checkpoint: '{checkpoint}'" in run(["node", str(path)], path.parent)


# Tools


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "mcp" else find(name, *more))
    with pytest.raises(ConfigError) as error:
        app.start(app.parse_options(["--mcp"]))
    assert error.value.code == "mcp_missing"


def test_address_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    options = ["--checkpoints", str(tmp_path), "--port", str(port)]
    app.start(app.parse_options([*options, "--mcp"])).close()
    assert f"http://127.0.0.1:{port}/gradio_api/mcp/\n" in capsys.readouterr().out
    page = app.start(app.parse_options(options))
    assert "mcp" not in capsys.readouterr().out
    assert httpx.post(f"{page.local_url}gradio_api/mcp/", json={}).status_code in (404, 405)
    page.close()


def test_tools_are_the_two_endpoints_with_types(address: str) -> None:
    async def listing() -> list[Tool]:
        async with (
            streamable_http_client(f"{address}gradio_api/mcp/") as (receive, send, _),
            ClientSession(receive, send) as session,
        ):
            await session.initialize()
            return (await session.list_tools()).tools

    tools = {tool.name: tool for tool in run_apart(listing)}
    assert set(tools) == set(TOOLS)
    for name, parameters in TOOLS.items():
        schema = tools[name].inputSchema
        assert (tools[name].description or "").startswith("Classify one ")
        assert list(schema["properties"]) == parameters
        assert schema["required"] == parameters[:1]
        for parameter in schema["properties"].values():
            assert parameter["type"] == "string"
            assert parameter["description"]
    assert tools["classify_text"].inputSchema["properties"]["checkpoint"]["enum"] == ["films", "naver"]


@pytest.mark.parametrize("progress", [False, True])
def test_tool_answers_as_the_endpoint_does(address: str, client: Client, image_path: Path, progress: bool) -> None:
    by_tool = use(address, "classify_image", {"picture": data_url(image_path)}, progress=progress)
    assert not by_tool.isError
    answer, expected = json.loads(words(by_tool)), client.predict(handle_file(image_path), api_name="/classify_image")
    assert answer["probabilities"] == pytest.approx(expected["probabilities"])
    text = json.loads(words(use(address, "classify_text", {"text": "좋아요", "checkpoint": "naver", "language": "ko"})))
    assert text["label"] in {"부정", "긍정"}


def test_upload_is_taken_by_its_address(address: str, image_path: Path) -> None:
    (path,) = httpx.post(f"{address}gradio_api/upload", files={"files": ("red.png", image_path.read_bytes())}).json()
    answer = use(address, "classify_image", {"picture": f"{address}gradio_api/file={path}"})
    assert json.loads(words(answer))["checkpoint"] == "animals"


class Visited:
    """A server that notes whether anything was fetched from it."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.paths.append((await reader.readline()).decode())
        writer.close()


@pytest.mark.parametrize("path", ["cat.png", "gradio_api/file=/cat.png"])
def test_tool_fetches_nothing(address: str, path: str) -> None:
    visited = Visited()

    async def calling() -> CallToolResult:
        server = await asyncio.start_server(visited.handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        arguments = {"picture": f"http://127.0.0.1:{port}/{path}"}
        async with server:
            answered = await asyncio.to_thread(use, address, "classify_image", arguments)
            await asyncio.to_thread(httpx.get, f"http://127.0.0.1:{port}/check", timeout=0.2)
        return answered

    with pytest.raises(httpx.HTTPError):  # the stand-in notes who comes and answers nothing
        run_apart(calling)
    assert visited.paths == ["GET /check HTTP/1.1\r\n"]


@pytest.mark.parametrize("progress", [False, True])
def test_tool_reads_no_file_of_the_server(address: str, image_path: Path, progress: bool) -> None:
    assert not str(image_path).startswith(get_upload_folder())
    for value in (
        str(image_path),
        f"file://{image_path}",
        f"{address}gradio_api/file={image_path}",
        f"{address}gradio_api/file={get_upload_folder()}/../../{image_path}",
        {"path": str(image_path), "meta": FILE},
        [{"path": str(image_path), "meta": FILE}],
    ):
        refused = use(address, "classify_image", {"picture": value}, progress=progress)
        assert refused.isError, value
        assert "Traceback" not in words(refused)
    for name in ("checkpoint", "language"):
        refused = use(
            address, "classify_image", {"picture": data_url(image_path), name: {"path": "/etc/hostname", "meta": FILE}}
        )
        assert refused.isError


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("classify_image", {"picture": "cat.jpg"}, text("errors.picture_no_data_url")),
        ("classify_image", {"picture": "cat.jpg", "language": "ko"}, text("errors.picture_no_data_url", "ko")),
        ("classify_image", {"picture": "data:image/png;base64,!"}, text("errors.picture_no_data_url")),
        ("classify_image", {"picture": "data:image/png;base64,aGVsbG8="}, text("errors.picture_format_unknown")),
        ("classify_image", {"picture": "https://example.org/cat.jpg"}, text("errors.foreign_address")),
        (
            "classify_image",
            {"picture": "https://example.org/cat.jpg", "language": "ko"},
            text("errors.foreign_address", "ko"),
        ),
        (
            "classify_image",
            {"picture": "https://example.org/gradio_api/file=/etc/hostname"},
            text("errors.picture_not_uploaded"),
        ),
        (
            "classify_image",
            {"picture": f"data:image/png;base64,{'A' * (LARGEST_ENCODED + 1)}"},
            text("errors.picture_file_too_large", limit_mb=20),
        ),
        ("classify_text", {"text": " "}, text("errors.no_text")),
        ("classify_text", {"text": " ", "language": "ko"}, text("errors.no_text", "ko")),
        ("classify_text", {"text": "good", "checkpoint": "animals"}, "'animals' is not one of ['films', 'naver']"),
        ("classify_text", {}, "'text' is a required property"),
    ],
)
def test_problem_comes_as_an_error_in_words(address: str, name: str, arguments: dict[str, str], problem: str) -> None:
    result = use(address, name, arguments)
    assert result.isError
    assert problem in words(result)
    assert len(words(result)) < 300


def test_pictures_of_tools_are_deleted_with_the_uploads(page: gr.Blocks, address: str, image_path: Path) -> None:
    before = set(page.upload_file_set)
    Image.new("RGB", (41, 31), "blue").save(image_path.with_name("blue.png"))
    use(address, "classify_image", {"picture": data_url(image_path.with_name("blue.png"))})
    kept = {path for path in page.upload_file_set - before if Path(path).is_file()}
    assert kept
    content = image_path.with_name("blue.png").read_bytes()
    written = {
        str(path) for path in Path(get_upload_folder()).rglob("*") if path.is_file() and path.read_bytes() == content
    }
    assert kept == written


def test_page_without_tools_is_left_alone() -> None:
    page = gr.Blocks()
    serve_tools(page)
    assert page.mcp_server_obj is None


# Languages


class Doubtful(FakeClassifier):
    """Is never sure, and has a note on every input."""

    def predict(self, inputs: Iterable[Any]) -> list[Prediction]:
        notes = (Message("items.text", {"count": 1234}),)
        return [Prediction("ham", {"ham": 0.6, "spam": 0.4}, notes, True, ("ham", "spam")) for _ in inputs]


def test_answer_in_korean() -> None:
    page = build_page({"mails": Doubtful()}, {})
    address = serve(page)
    _, (korean,) = call(address, "classify_text", {"text": "hello", "language": "ko"})
    _, (english,) = call(address, "classify_text", {"text": "hello"})
    page.close()
    assert (korean["notes"], english["notes"]) == (["글 1,234개"], ["1,234 texts"])
    for answer, word in ((korean, "아마"), (english, "Probably")):
        assert word in answer["message"]
        assert "60%" in answer["message"]
    same = ("label", "probabilities", "known", "prediction_set", "checkpoint")
    assert [korean[name] for name in same] == [english[name] for name in same]


@pytest.mark.parametrize(
    ("endpoint", "body", "problem"),
    [
        ("classify_text", {"text": ""}, text("errors.no_text", "ko")),
        (
            "classify_text",
            {"text": "a", "checkpoint": "x"},
            text("errors.no_such_checkpoint", "ko", name="x", checkpoints="films, naver"),
        ),
        ("classify_image", {"picture": None}, text("errors.no_picture", "ko")),
        ("classify_image", {"picture": {"path": "/etc/hostname"}}, text("errors.picture_not_uploaded", "ko")),
        (
            "classify_image",
            {"picture": {"path": "https://example.org/a.jpg", "meta": FILE}},
            text("errors.foreign_address", "ko"),
        ),
    ],
)
def test_problem_in_korean(address: str, endpoint: str, body: dict[str, Any], problem: str) -> None:
    event, data = call(address, endpoint, {**body, "language": "ko"})
    assert event == "error"
    assert data["error"] == problem


@pytest.mark.parametrize("language", ["xx", "", None, 3, ["ko"]])
def test_unknown_language_answers_in_english(address: str, language: Any) -> None:
    event, (answer,) = call(
        address, "classify_text", {"text": "good film", "checkpoint": "films", "language": language}
    )
    assert event == "complete"
    assert answer["message"].isascii()
    event, data = call(address, "classify_text", {"text": "", "language": language})
    assert (event, data["error"]) == ("error", text("errors.no_text"))
