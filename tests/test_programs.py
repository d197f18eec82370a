"""What programs and assistants get: descriptions, the examples of the API view, tools, and answers in two languages."""

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
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
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
from pyclassify import Prediction
from pyclassify.ui.page import build_page
from pyclassify.ui.programs import ANSWER, LARGEST_ENCODED, tend_tools
from pyclassify.ui.wording.en import English
from pyclassify.ui.wording.ko import Korean
from tests.fakes import FakeClassifier, write_image_checkpoint, write_text_checkpoint
from tests.test_app import call, free_port, serve

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


def said(result: CallToolResult) -> str:
    (content,) = result.content
    return str(getattr(content, "text", content))


# Descriptions


def test_every_parameter_and_answer_is_described(client: Client) -> None:
    described = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    for name, parameters in TOOLS.items():
        endpoint = described[f"/{name}"]
        assert endpoint["description"].startswith("Classify one ")
        assert [each["parameter_name"] for each in endpoint["parameters"]] == parameters
        for each in endpoint["parameters"]:
            assert each["label"] == each["parameter_name"]
            assert len(each["python_type"]["description"]) > 5
            assert each["type"]["description"] == each["python_type"]["description"]
        (returned,) = endpoint["returns"]
        assert (returned["label"], returned["type"]) == ("answer", ANSWER)
    types = [each["python_type"]["type"] for each in described["/classify_text"]["parameters"]]
    assert types == ["str", "Literal['films', 'naver']", "Literal['en', 'ko']"]


def test_answer_is_as_described(client: Client) -> None:
    assert set(client.predict("good film", api_name="/classify_text")) == set(ANSWER["properties"])  # type: ignore[call-overload]


def test_openapi_has_the_endpoints_with_their_parameters(address: str) -> None:
    paths = httpx.get(f"{address}gradio_api/openapi.json").json()["paths"]
    for name in TOOLS:
        (found,) = [path for path in paths if path.endswith(f"/{name}")]
        assert "Classify one" in json.dumps(paths[found])


# Examples of the API view


def snippets(address: str, endpoint: str) -> dict[str, str]:
    info = httpx.get(f"{address}gradio_api/info").json()
    found: dict[str, str] = info["named_endpoints"][f"/{endpoint}"]["code_snippets"]
    return found


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
def test_shown_bash_runs(address: str, picture: Path, endpoint: str, checkpoint: str) -> None:
    shown = snippets(address, endpoint)["bash"].replace("/path/to/your/file", str(picture))
    answered = run(["bash", "-c", shown], picture.parent)
    assert "event: complete" in answered
    assert f'"checkpoint": "{checkpoint}"' in answered


def test_shown_javascript_names_parameters_and_a_picture_that_is_here(address: str) -> None:
    shown = snippets(address, "classify_image")["javascript"]
    (example,) = re.findall(r'await fetch\("([^"]+)"\)', shown)
    assert example.startswith(address)
    assert httpx.get(example).content == (Path(app.__file__).parent / "pyclassify/ui/examples/cat.jpg").read_bytes()
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


def test_without_the_package_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "mcp" else found(name, *more))
    with pytest.raises(SystemExit) as leaving:
        app.main(["--mcp"])
    printed = capsys.readouterr().err
    assert leaving.value.code == 2
    assert printed.count("\n") == 1
    assert 'pip install "gradio[mcp]"' in printed


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
        for each in schema["properties"].values():
            assert each["type"] == "string"
            assert each["description"]
    assert tools["classify_text"].inputSchema["properties"]["checkpoint"]["enum"] == ["films", "naver"]


@pytest.mark.parametrize("progress", [False, True])
def test_tool_answers_as_the_endpoint_does(address: str, client: Client, picture: Path, progress: bool) -> None:
    by_tool = use(address, "classify_image", {"picture": data_url(picture)}, progress=progress)
    assert not by_tool.isError
    answer, expected = json.loads(said(by_tool)), client.predict(handle_file(picture), api_name="/classify_image")
    assert answer["probabilities"] == pytest.approx(expected["probabilities"])
    text = json.loads(said(use(address, "classify_text", {"text": "좋아요", "checkpoint": "naver", "language": "ko"})))
    assert text["label"] in {"부정", "긍정"}


def test_upload_is_taken_by_its_address(address: str, picture: Path) -> None:
    (path,) = httpx.post(f"{address}gradio_api/upload", files={"files": ("red.png", picture.read_bytes())}).json()
    answer = use(address, "classify_image", {"picture": f"{address}gradio_api/file={path}"})
    assert json.loads(said(answer))["checkpoint"] == "animals"


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
def test_tool_reads_no_file_of_the_server(address: str, picture: Path, progress: bool) -> None:
    assert not str(picture).startswith(get_upload_folder())
    for value in (
        str(picture),
        f"file://{picture}",
        f"{address}gradio_api/file={picture}",
        f"{address}gradio_api/file={get_upload_folder()}/../../{picture}",
        {"path": str(picture), "meta": FILE},
        [{"path": str(picture), "meta": FILE}],
    ):
        refused = use(address, "classify_image", {"picture": value}, progress=progress)
        assert refused.isError, value
        assert "Traceback" not in said(refused)
    for name in ("checkpoint", "language"):
        refused = use(
            address, "classify_image", {"picture": data_url(picture), name: {"path": "/etc/hostname", "meta": FILE}}
        )
        assert refused.isError


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("classify_image", {"picture": "cat.jpg"}, English.TOOL_PICTURE),
        ("classify_image", {"picture": "cat.jpg", "language": "ko"}, Korean.TOOL_PICTURE),
        ("classify_image", {"picture": "data:image/png;base64,!"}, English.TOOL_PICTURE),
        ("classify_image", {"picture": "data:image/png;base64,aGVsbG8="}, English.UNKNOWN_PICTURE),
        ("classify_image", {"picture": "https://example.org/cat.jpg"}, English.ADDRESS),
        ("classify_image", {"picture": "https://example.org/cat.jpg", "language": "ko"}, Korean.ADDRESS),
        ("classify_image", {"picture": "https://example.org/gradio_api/file=/etc/hostname"}, English.NOT_UPLOADED),
        ("classify_image", {"picture": f"data:image/png;base64,{'A' * (LARGEST_ENCODED + 1)}"}, English.TOO_LARGE),
        ("classify_text", {"text": " "}, English.NO_TEXT),
        ("classify_text", {"text": " ", "language": "ko"}, Korean.NO_TEXT),
        ("classify_text", {"text": "good", "checkpoint": "animals"}, "'animals' is not one of ['films', 'naver']"),
        ("classify_text", {}, "'text' is a required property"),
    ],
)
def test_problem_comes_as_an_error_in_words(address: str, name: str, arguments: dict[str, str], problem: str) -> None:
    result = use(address, name, arguments)
    assert result.isError
    assert problem in said(result)
    assert len(said(result)) < 300


def test_pictures_of_tools_are_deleted_with_the_uploads(page: gr.Blocks, address: str, picture: Path) -> None:
    before = set(page.upload_file_set)
    Image.new("RGB", (41, 31), "blue").save(picture.with_name("blue.png"))
    use(address, "classify_image", {"picture": data_url(picture.with_name("blue.png"))})
    kept = {path for path in page.upload_file_set - before if Path(path).is_file()}
    assert kept
    content = picture.with_name("blue.png").read_bytes()
    found = {
        str(path) for path in Path(get_upload_folder()).rglob("*") if path.is_file() and path.read_bytes() == content
    }
    assert kept == found


def test_page_without_tools_is_left_alone() -> None:
    page = gr.Blocks()
    tend_tools(page)
    assert page.mcp_server_obj is None


# Languages


class Doubtful(FakeClassifier):
    """Is never sure, and reads the beginning only."""

    def predict(self, inputs: Sequence[Any]) -> list[Prediction]:
        notes = ("only the first 3 of 1,234 words were read",)
        return [Prediction("ham", {"ham": 0.6, "spam": 0.4}, notes, True, ("ham", "spam")) for _ in inputs]


def test_answer_in_korean() -> None:
    page = build_page({"mails": Doubtful()}, {})  # type: ignore[dict-item]
    address = serve(page)
    _, (korean,) = call(address, "classify_text", {"text": "hello", "language": "ko"})
    _, (english,) = call(address, "classify_text", {"text": "hello"})
    page.close()
    assert korean["message"] == "아마 ham일 것입니다(60%). spam일 수도 있습니다."
    assert korean["notes"] == ["단어 1,234개 중 처음 3개만 읽었습니다."]
    assert english["message"] == "Probably ham (60 %), or possibly spam."
    assert english["notes"] == ["Only the first 3 of 1,234 words were read."]
    same = ("label", "probabilities", "known", "labels_set", "checkpoint")
    assert [korean[name] for name in same] == [english[name] for name in same]


@pytest.mark.parametrize(
    ("endpoint", "body", "problem"),
    [
        ("classify_text", {"text": ""}, Korean.NO_TEXT),
        ("classify_text", {"text": "a", "checkpoint": "x"}, Korean.unknown_checkpoint("x", ["films", "naver"])),
        ("classify_image", {"picture": None}, Korean.NO_PICTURE),
        ("classify_image", {"picture": {"path": "/etc/hostname"}}, Korean.NOT_UPLOADED),
        ("classify_image", {"picture": {"path": "https://example.org/a.jpg", "meta": FILE}}, Korean.ADDRESS),
    ],
)
def test_problem_in_korean(address: str, endpoint: str, body: dict[str, Any], problem: str) -> None:
    event, data = call(address, endpoint, {**body, "language": "ko"})
    assert event == "error"
    assert data["error"].rstrip(".") == problem.rstrip(".")


@pytest.mark.parametrize("language", ["xx", "", None, 3, ["ko"]])
def test_unknown_language_answers_in_english(address: str, language: Any) -> None:
    event, (answer,) = call(
        address, "classify_text", {"text": "good film", "checkpoint": "films", "language": language}
    )
    assert event == "complete"
    assert answer["message"].isascii()
    event, data = call(address, "classify_text", {"text": "", "language": language})
    assert (event, data["error"]) == ("error", English.NO_TEXT)
