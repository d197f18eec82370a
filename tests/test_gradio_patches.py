"""Each change to Gradio: what Gradio does without it, and with it. A test fails when Gradio no longer needs one."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import gradio.routes
import gradio_client.snippet
import httpx
import pytest
from gradio import processing_utils
from gradio.mcp import DEFAULT_TEMP_DIR
from gradio_client.utils import is_http_url_like

from pyclassify.ui import gradio_patches
from pyclassify.ui.classify_tab import EXAMPLES
from pyclassify.ui.serving import PROBLEM
from pyclassify.ui.uploads import is_readable
from tests.test_api import use, words
from tests.test_launch import FILE, ask, free_port, listen, wait_until

# Gradio as it is warns of what is not ours, and must not fail for that reason
pytestmark = pytest.mark.filterwarnings("ignore")

patched = pytest.mark.parametrize("patched", [False, True], ids=["as it is", "patched"])


@pytest.fixture(autouse=True)
def _no_analytics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")


@pytest.fixture
def pages() -> Iterator[list[gr.Blocks]]:
    """Pages that are closed at the end."""
    opened: list[gr.Blocks] = []
    yield opened
    for page in opened:
        page.close()


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a thread: after browser tests, the loop of the main thread is Playwright's."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def launch(page: gr.Blocks, pages: list[gr.Blocks], **options: Any) -> str:
    pages.append(page)
    page.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **options)
    return str(page.local_url)


class Batched:
    """A page whose only endpoint answers in batches, when it is let."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.sizes: list[int] = []
        with gr.Blocks() as self.page:
            inputs, output = [gr.Image(type="filepath"), gr.Textbox()], gr.JSON()
            gr.on(
                [],
                self.answer,
                inputs,
                output,
                preprocess=False,
                postprocess=False,
                api_name="answer",
                batch=True,
                max_batch_size=8,
                concurrency_limit=1,
            )
        self.page.queue()

    def answer(self, image: list[Any], text: list[str]) -> tuple[list[Any]]:
        self.sizes.append(len(text))
        self.gate.wait(timeout=20)
        return ([{PROBLEM: "no"} if item == "problem" else {"text": item} for item in text],)

    def ask_together(self, address: str, inputs: list[list[Any]], sessions: list[str]) -> list[tuple[str, Any]]:
        """Ask all while the endpoint is busy, so that they wait together; return the events and their data."""
        busy = ask(address, "answer", {"image": None, "text": "busy"})
        wait_until(lambda: self.sizes == [1])
        asked = [
            httpx.post(f"{address}gradio_api/call/answer", json={"data": data, "session_hash": session})
            for data, session in zip(inputs, sessions, strict=True)
        ]
        self.gate.set()
        listen(address, "answer", busy)
        return [listen(address, "answer", response) for response in asked]


@patched
def test_requests_of_a_batch_are_separate(pages: list[gr.Blocks], patched: bool) -> None:
    batched = Batched()
    if patched:
        gradio_patches.separate_requests(batched.page, is_readable)
    address = launch(batched.page, pages, show_error=True)
    unreadable = [{"path": "/etc/hostname", "meta": FILE}, "unreadable"]
    others = [[None, item] for item in ("one", "problem", "two")]
    (bad, _), *answers = batched.ask_together(address, [unreadable, *others], ["a", "b", "c", "d"])
    assert bad == "error"
    if patched:
        assert [event for event, _ in answers] == ["complete", "error", "complete"]
        assert answers[1][1]["error"] == "no"
    else:
        assert [event for event, _ in answers] == ["error", "error", "error"]


@patched
def test_a_batch_is_noted_in_no_session(pages: list[gr.Blocks], patched: bool) -> None:
    batched = Batched()
    if patched:
        gradio_patches.separate_requests(batched.page, is_readable)
    address = launch(batched.page, pages)
    batched.ask_together(address, [[None, "secret of mine"], [None, "secret of yours"]], ["mine", "yours"])
    noted = [str(session.config_values) for session in batched.page.app.state_holder.session_data.values()]
    assert any("secret of yours" in values for values in noted) == (not patched)


@patched
def test_statistics_are_not_summed_up_after_each_answer(
    pages: list[gr.Blocks], monkeypatch: pytest.MonkeyPatch, patched: bool
) -> None:
    batched, summed = Batched(), []
    batched.gate.set()
    if patched:
        gradio_patches.disable_statistics(batched.page)
    queue = batched.page._queue
    get_table = queue._get_df
    monkeypatch.setattr(queue, "_get_df", lambda records: summed.append(len(records)) or get_table(records))
    address = launch(batched.page, pages)
    for _ in range(3):
        listen(address, "answer", ask(address, "answer", {"image": None, "text": "hello"}))
    if patched:
        assert summed == []
    else:
        wait_until(lambda: len(summed) == 3)


@patched
@pytest.mark.parametrize("component", [gr.Image, gr.File, gr.UploadButton])
def test_nothing_is_fetched_from_an_address(
    component: type[gr.Image], monkeypatch: pytest.MonkeyPatch, patched: bool
) -> None:
    fetched = []

    async def fetch(url: str, **_: object) -> str:
        fetched.append(url)
        return "/fetched"

    monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", fetch)
    made, address = component(), "https://example.org/cat.jpg"
    if patched:
        gradio_patches.take_uploads_only(made)
    kept = run(made.async_move_resource_to_block_cache(address))
    assert (kept, fetched) == ((address, []) if patched else ("/fetched", [address]))


def test_uploads_are_taken_as_before(tmp_path: Path) -> None:
    image = gr.Image()
    gradio_patches.take_uploads_only(image)
    path = tmp_path / "a.png"
    path.write_bytes(b"content")
    kept = run(image.async_move_resource_to_block_cache(path))
    assert kept is not None
    assert Path(kept).read_bytes() == b"content"
    assert run(image.async_move_resource_to_block_cache(None)) is None


def test_example_of_the_api_is_on_this_server() -> None:
    image = gr.Image()
    assert is_http_url_like(image.example_payload()["path"])
    gradio_patches.set_api_example(image, EXAMPLES / "cat.jpg")
    example = image.example_payload()
    assert example["meta"] == FILE
    assert Path(example["path"]).read_bytes() == (EXAMPLES / "cat.jpg").read_bytes()
    gradio_patches.set_api_example(image, ["anything"])
    assert image.example_payload() == ["anything"]


def test_schema_of_an_answer_is_what_was_set() -> None:
    answer = gr.JSON()
    assert "properties" not in answer.api_info()
    gradio_patches.set_api_schema(answer, {"type": "object", "properties": {}})
    assert answer.api_info() == {"type": "object", "properties": {}}


def described_page() -> gr.Blocks:
    def classify(picture: Any, text: str) -> dict[str, Any]:
        return {"text": text, "answer": None}

    with gr.Blocks() as page:
        image = gr.Image(type="filepath", label="key.of.label")
        gr.on([], classify, [image, gr.Textbox()], gr.JSON(), api_name="classify", preprocess=False)
    return page


def test_parameters_have_names_and_descriptions() -> None:
    page = described_page()
    before = page.get_api_info()["named_endpoints"]["/classify"]["parameters"][0]
    assert before["label"] == "key.of.label"
    assert "description" not in before["type"]
    gradio_patches.describe_parameters(page, {"/classify": {"picture": "The picture."}})
    first, second = page.get_api_info()["named_endpoints"]["/classify"]["parameters"]
    assert (first["label"], second["label"]) == ("picture", "text")
    assert first["type"]["description"] == first["python_type"]["description"] == "The picture."
    assert "description" not in second["type"]


def test_code_of_the_api_view_runs_on_the_page_that_was_changed_alone(pages: list[gr.Blocks]) -> None:
    addresses = [launch(described_page(), pages) for _ in range(2)]
    for page in pages:
        for component in page.blocks.values():
            if isinstance(component, gr.Image):
                gradio_patches.set_api_example(component, EXAMPLES / "cat.jpg")
    httpx.get(f"{addresses[0]}gradio_api/info")  # what was prepared before is forgotten
    gradio_patches.correct_code_examples(pages[0])
    changed, other = (
        httpx.get(f"{address}gradio_api/info").json()["named_endpoints"]["/classify"]["code_snippets"]
        for address in addresses
    )
    assert "| read EVENT_ID" in other["bash"]
    assert "| read EVENT_ID" not in changed["bash"]
    assert "EVENT_ID=$(curl" in changed["bash"]
    assert addresses[1] not in other["javascript"].partition("fetch(")[2].partition(")")[0]
    assert f'fetch("{addresses[0]}gradio_api/file=' in changed["javascript"]
    assert f"handle_file('{addresses[0]}gradio_api/file=" in changed["python"]
    assert gradio.routes.generate_code_snippets is gradio_client.snippet.generate_code_snippets  # type: ignore[attr-defined]


def test_code_in_the_html_of_the_page_runs_as_well(pages: list[gr.Blocks]) -> None:
    address = launch(described_page(), pages)
    assert "| read EVENT_ID" in httpx.get(address).text
    gradio_patches.correct_code_examples(pages[0])
    assert "| read EVENT_ID" not in httpx.get(address).text


@patched
def test_tools_take_files_and_answer_in_json(pages: list[gr.Blocks], image_path: Path, patched: bool) -> None:
    read = []

    def read_file(value: object, language: object) -> Any:
        read.append((value, language))
        return None

    address = launch(described_page(), pages, mcp_server=True)
    server = pages[0].mcp_server_obj
    assert server is not None
    assert server.manager.asgi_app.max_body_size < 20_000_000
    if patched:
        gradio_patches.replace_tools(
            pages[0], is_tool=lambda endpoint: True, read_file=read_file, max_body_bytes=30_000_000
        )
        assert server.manager.asgi_app.max_body_size == 30_000_000
    content = image_path.read_bytes() + str(patched).encode()  # of no other test
    url = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    answer = words(use(address, "classify", {"picture": url, "text": "hello"}))
    if patched:
        assert json.loads(answer) == {"text": "hello", "answer": None}
        assert read == [(url, None)]
    else:
        with pytest.raises(json.JSONDecodeError):
            json.loads(answer)
        written = [
            path for path in Path(DEFAULT_TEMP_DIR).rglob("*") if path.is_file() and path.read_bytes() == content
        ]
        assert {str(path) for path in written} - pages[0].upload_file_set  # is never deleted
        for path in written:
            path.unlink()


def test_endpoints_that_are_no_tools_are_not_offered(pages: list[gr.Blocks]) -> None:
    launch(described_page(), pages, mcp_server=True)
    server = pages[0].mcp_server_obj
    assert server is not None
    assert list(server.tool_to_endpoint) == ["classify"]
    gradio_patches.replace_tools(
        pages[0], is_tool=lambda endpoint: False, read_file=lambda value, language: None, max_body_bytes=1
    )
    assert server.tool_to_endpoint == {}


def test_pages_without_tools_are_left_alone() -> None:
    page = gr.Blocks()
    gradio_patches.replace_tools(
        page, is_tool=lambda endpoint: True, read_file=lambda value, language: None, max_body_bytes=1
    )
    assert page.mcp_server_obj is None
