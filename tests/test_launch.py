"""Options, checkpoints and the page as it is served."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest
from gradio.i18n import I18nData
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

import app
import pyclassify
from pyclassify.classifier import Classifier
from pyclassify.errors import ConfigError
from pyclassify.formats import MAX_PICTURE_BYTES
from pyclassify.locales import Message, text
from pyclassify.ui import launch
from pyclassify.ui.page import MAX_BATCH, build_page, launch_options
from tests import fakes
from tests.fakes import FakeClassifier, write_image_checkpoint, write_text_checkpoint

ROOT = Path(app.__file__).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serve(page: gr.Blocks) -> str:
    _, address, _ = page.launch(server_port=free_port(), prevent_thread_lock=True, quiet=True, **launch_options(page))
    return str(address)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints")
    write_image_checkpoint(folder / "animals", ["cat", "dog", "frog", "horse"])
    write_image_checkpoint(folder / "vehicles", ["car", "ship"])
    write_text_checkpoint(folder / "imdb")
    write_text_checkpoint(folder / "naver", ["부정", "긍정"])
    write_text_checkpoint(folder / "altered")
    (folder / "altered" / "vocab.txt").write_text("something else", encoding="utf-8")
    for ignored in (".hidden", "half.training", "x.writing-1", "notes"):
        (folder / ignored).mkdir()
    for ignored in (".hidden", "half.training", "x.writing-1"):
        (folder / ignored / "config.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def address(checkpoints: Path) -> Iterator[str]:
    page = build_page(*launch.load_all(checkpoints, "cpu"))
    yield serve(page)
    page.close()


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


# Options


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--port", "http"], "not a port"),
        (["--port", "70000"], "not a port"),
        (["--device", "tpu"], "tpu"),
        (["--checkpoints", "nowhere"], "no folder nowhere"),
        (["--nonsense"], "--nonsense"),
        (["--max-batch", "0"], "'0' is not a count"),
    ],
)
def test_bad_option_is_one_sentence(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        app.main(argv)
    printed = capsys.readouterr().err
    assert leaving.value.code == 2
    assert words in printed
    assert printed.count("\n") == 1


def test_options_left_out_leave_the_choice_to_variables() -> None:
    options = app.parse_options([])
    assert (options.host, options.port, options.share, options.device) == (None, None, False, "auto")


def test_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        argv = ["--port", str(port), "--host", "127.0.0.1"]
        with pytest.raises(ConfigError) as error:
            app.start(app.parse_options(argv))
        with pytest.raises(SystemExit) as leaving:
            app.main(argv)
    assert (error.value.code, error.value.fields) == ("port_in_use", {"port": str(port)})
    assert leaving.value.code == 2
    assert capsys.readouterr().err == f"app.py: {error.value}\n"


def test_host_of_another_computer_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        app.start(app.parse_options(["--host", "192.0.2.1"]))
    assert error.value.code == "host_unavailable"
    assert error.value.fields["host"] == "192.0.2.1"


def test_port_variable_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", "http")
    with pytest.raises(ConfigError) as error:
        app.start(app.parse_options([]))
    assert (error.value.code, error.value.fields) == ("port_variable_invalid", {"value": "'http'"})


# Checkpoints


def test_only_finished_checkpoints_are_found(checkpoints: Path) -> None:
    assert [path.name for path in launch.find_checkpoints(checkpoints)] == [
        "altered",
        "animals",
        "imdb",
        "naver",
        "vehicles",
    ]
    assert launch.find_checkpoints(checkpoints / "imdb") == [(checkpoints / "imdb").resolve()]
    assert launch.find_checkpoints(checkpoints / "nowhere") == []


def test_models_for_the_latin_script_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = ["<pad>", "<unk>", *"\uac00\ub098\ub2e4\ub77c"]
    with monkeypatch.context() as patched:
        patched.setitem(fakes.FILES, "text", {"vocab.txt": "\n".join(vocabulary).encode()})
        write_text_checkpoint(tmp_path / "korean")
    write_text_checkpoint(tmp_path / "sentiment")
    write_text_checkpoint(tmp_path / "topics", ["a", "b", "c"])
    classifiers, _ = launch.load_all(tmp_path, "cpu")
    assert list(classifiers) == ["topics", "sentiment", "korean"]


def test_broken_checkpoint_is_named_and_the_others_work(checkpoints: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classifiers, broken = launch.load_all(checkpoints, "cpu")
    assert list(classifiers) == ["animals", "imdb", "naver", "vehicles"]
    assert list(broken) == ["altered"]
    assert "altered/vocab.txt" in broken["altered"].text()
    assert str(checkpoints) not in broken["altered"].text()
    assert "Left out altered" in capsys.readouterr().err


def test_unforeseen_failure_of_one_checkpoint_is_named(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(path: Path, *, device: str) -> FakeClassifier:
        if path.name == "imdb":
            raise ZeroDivisionError
        return FakeClassifier()

    monkeypatch.setattr(pyclassify, "load", load)
    classifiers, broken = launch.load_all(checkpoints, "cpu")
    assert "imdb" not in classifiers
    assert broken["imdb"] == Message("errors.checkpoint_failed", {"error": "ZeroDivisionError"})


def test_warming_up_asks_alone_and_in_a_full_batch_and_survives_failures() -> None:
    failing, working = FakeClassifier(error=RuntimeError("no")), FakeClassifier("image")
    launch.warm_up({"failing": failing, "working": working}, 5)
    assert len(failing.asked) == 1
    assert len(working.asked) > 1 + 5


def test_warming_up_takes_the_time_of_single_answers() -> None:
    failing, working = FakeClassifier(error=RuntimeError("no")), FakeClassifier("image")
    found = launch.warm_up({"failing": failing, "working": working}, 1)
    assert found.keys() == {"working"}
    assert 0 < found["working"] < 1000 * launch.MEASURING_S
    assert len(working.asked) == 1 + launch.NUM_MEASURED


def test_checkpoints_are_loaded_once_and_warm_before_the_page_is_announced(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded, load = [], pyclassify.load

    def counted(path: Path, *, device: str) -> pyclassify.Classifier:
        loaded.append(path.name)
        return load(path, device=device)

    def warm_up(classifiers: Mapping[str, Any], max_batch: int) -> dict[str, float]:
        print("warm", *classifiers, max_batch)
        return {}

    monkeypatch.setattr(pyclassify, "load", counted)
    monkeypatch.setattr(launch, "warm_up", warm_up)
    options = ["--port", str(free_port()), "--checkpoints", str(checkpoints), "--max-batch", "7"]
    app.start(app.parse_options(options)).close()
    warm, announced, *_ = capsys.readouterr().out.splitlines()
    assert warm == "warm animals imdb naver vehicles 7"
    assert announced.startswith("The page is at")
    assert loaded == ["altered", "animals", "imdb", "naver", "vehicles"]


def test_page_and_program_batch_alike() -> None:
    assert app.parse_options([]).max_batch == launch.MAX_BATCH == MAX_BATCH


# Page


def words_of(page: gr.Blocks) -> str:
    values = [block.value for block in page.blocks.values() if hasattr(block, "value")]
    assert page.i18n_instance is not None
    words = page.i18n_instance.translations["en"]
    return " ".join(words[value.key] if isinstance(value, I18nData) else str(value) for value in values)


def test_page_without_checkpoints_names_the_commands() -> None:
    words = words_of(build_page({}, {"old": Message("errors.checkpoint_failed", {"error": "<b>broken</b>"})}))
    assert "python -m train.image --data DIR --out checkpoints/NAME" in words
    assert "python -m train.text --data DIR --out checkpoints/NAME" in words
    assert "&lt;b&gt;broken" in words


def test_analytics_are_off_unless_a_variable_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRADIO_ANALYTICS_ENABLED", raising=False)
    assert build_page({}, {}).analytics_enabled is False


def test_models_run_in_the_function_that_the_host_accelerates() -> None:
    wrapped = []

    def accelerate(function: Any) -> Any:
        wrapped.append(function)
        return function

    build_page({"a": FakeClassifier(), "b": FakeClassifier("image")}, {}, accelerate=accelerate)
    assert len(wrapped) == 4  # answers and explanations, of pictures and of texts


# Endpoints


def test_only_the_three_endpoints_are_offered(client: Client) -> None:
    described = client.view_api(return_format="dict", print_info=False)
    assert set(described["named_endpoints"]) == {"/classify_image", "/classify_text", "/classify_files"}
    assert not described["unnamed_endpoints"]


def test_picture_is_answered(client: Client, image_path: Path, checkpoints: Path) -> None:
    answer = client.predict(handle_file(image_path), api_name="/classify_image")
    (expected,) = pyclassify.load(checkpoints / "animals", device="cpu").predict([image_path])
    assert set(answer) == {
        *("label", "probabilities", "known", "prediction_set", "message"),
        *("milliseconds", "notes", "checkpoint"),
    }
    assert answer["label"] == expected.label
    assert answer["probabilities"] == pytest.approx(expected.probabilities)
    assert answer["checkpoint"] == "animals"
    assert answer["milliseconds"] > 0


def test_text_is_answered_by_the_chosen_checkpoint(client: Client) -> None:
    answer = client.predict("좋아요", checkpoint="naver", api_name="/classify_text")
    assert set(answer["probabilities"]) == {"부정", "긍정"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    assert client.predict(text="good film", api_name="/classify_text")["checkpoint"] == "imdb"


@pytest.mark.parametrize(
    ("content", "checkpoint", "sentence"),
    [
        ("", "imdb", text("errors.no_text")),
        (" \n", "imdb", text("errors.no_text")),
        ("hello", "animals", "There is no checkpoint named 'animals' here. Choose one of: imdb, naver."),
        ("\u200b", "imdb", "empty"),
    ],
)
def test_text_that_cannot_be_answered(client: Client, content: str, checkpoint: str, sentence: str) -> None:
    with pytest.raises(AppError, match=re.escape(sentence)):
        client.predict(content, checkpoint, api_name="/classify_text")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("text.jpg", b"hello", text("errors.picture_format_unknown")),
        ("page.svg", b"<svg/>", text("errors.picture_format_unknown")),
        ("script.py", b"\xff\xd8\xff\xe0", text("errors.picture_format_unknown")),
        ("film.mov", b"\0\0\0\x18ftypqt  \0\0\0\0", text("errors.picture_format_unknown")),
        ("empty.png", b"", text("errors.picture_format_unknown")),
        ("torn.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "torn.png is damaged"),
    ],
)
def test_file_that_is_no_picture(client: Client, tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AppError, match=re.escape(sentence)):
        client.predict(handle_file(tmp_path / name), api_name="/classify_image")


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, text("errors.no_picture")),
        ({"path": "/etc/hostname"}, text("errors.picture_not_uploaded")),
        ({"path": "https://example.org/cat.jpg"}, text("errors.foreign_address")),
        ({"path": "https://example.org/cat.jpg", "meta": {"_type": "gradio.FileData"}}, text("errors.foreign_address")),
    ],
)
def test_picture_that_was_not_uploaded(address: str, value: Any, sentence: str) -> None:
    event, data = call(address, "classify_image", {"picture": value})
    assert event == "error"
    assert data["error"] == sentence


def test_failure_of_ours_gives_nothing_away(caplog: pytest.LogCaptureFixture) -> None:
    page = build_page({"fake": FakeClassifier(error=RuntimeError("a secret of the server"))}, {})
    event, data = call(serve(page), "classify_text", {"text": "hello"})
    page.close()
    assert (event, data["error"]) == ("error", text("errors.unexpected"))
    assert "a secret of the server" in caplog.text


def test_full_queue_is_reported_and_waiting_requests_are_answered() -> None:
    slow = FakeClassifier(gate=threading.Event())
    page = build_page({"slow": slow}, {})
    page._queue.max_size = 1
    address = serve(page)
    asked = []
    for running in (1, 2):
        asked.append(ask(address, "classify_text", {"text": "hello"}))
        wait_until(lambda count=running: len(slow.asked) == count)
    asked += [ask(address, "classify_text", {"text": "hello"}) for _ in range(2)]
    assert [response.status_code for response in asked] == [200, 200, 200, 503]
    assert asked[-1].json()["detail"].startswith("Queue is full")
    slow.gate.set()  # type: ignore[union-attr]
    assert {listen(address, "classify_text", response)[0] for response in asked[:3]} == {"complete"}
    page.close()


def wait_until(true: Any, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Plain HTTP, as curl speaks it


def ask(address: str, endpoint: str, body: dict[str, Any]) -> httpx.Response:
    return httpx.post(f"{address}gradio_api/call/v2/{endpoint}", json=body)


def listen(address: str, endpoint: str, asked: httpx.Response) -> tuple[str, Any]:
    told = httpx.get(f"{address}gradio_api/call/{endpoint}/{asked.json()['event_id']}", timeout=20).text
    event, data = told.strip().splitlines()[-2:]
    return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def call(address: str, endpoint: str, body: dict[str, Any]) -> tuple[str, Any]:
    return listen(address, endpoint, ask(address, endpoint, body))


def test_text_over_plain_http(address: str) -> None:
    event, (answer,) = call(address, "classify_text", {"text": "a good film", "checkpoint": "imdb"})
    assert event == "complete"
    assert answer["label"] in {"negative", "positive"}


def test_picture_over_plain_http(address: str, image_path: Path) -> None:
    (path,) = httpx.post(f"{address}gradio_api/upload", files={"files": ("red.png", image_path.read_bytes())}).json()
    event, (answer,) = call(address, "classify_image", {"picture": {"path": path}, "checkpoint": "vehicles"})
    assert event == "complete"
    assert answer["label"] in {"car", "ship"}


CURL = """
set -e
FILE=$(curl -sf $PAGE/upload -F files=@$PICTURE | cut -d'"' -f2)
ID=$(curl -sf $PAGE/call/v2/classify_image -H 'Content-Type: application/json' \\
    -d '{"picture": {"path": "'$FILE'"}}' | cut -d'"' -f4)
curl -sfN $PAGE/call/classify_image/$ID
ID=$(curl -sf $PAGE/call/v2/classify_text -H 'Content-Type: application/json' \\
    -d '{"text": "What a film!"}' | cut -d'"' -f4)
curl -sfN $PAGE/call/classify_text/$ID
"""


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_curl_gets_answers(address: str, image_path: Path) -> None:
    variables = {**os.environ, "PAGE": f"{address}gradio_api", "PICTURE": str(image_path), "no_proxy": "127.0.0.1"}
    output = subprocess.run(["bash", "-c", CURL], env=variables, capture_output=True, text=True, check=True).stdout
    first, second = (
        json.loads(line.removeprefix("data: "))[0] for line in output.splitlines() if line.startswith("data")
    )
    assert (first["checkpoint"], second["checkpoint"]) == ("animals", "imdb")


def test_large_picture_is_refused(address: str) -> None:
    large = b"\xff\xd8\xff" + bytes(MAX_PICTURE_BYTES)
    (path,) = httpx.post(f"{address}gradio_api/upload", files={"files": ("large.jpg", large)}).json()
    event, data = call(address, "classify_image", {"picture": {"path": path}})
    assert (event, data["error"]) == ("error", text("errors.picture_file_too_large", limit_mb=20))


@pytest.mark.slow
def test_large_file_is_refused(address: str) -> None:
    refused = httpx.post(f"{address}gradio_api/upload", files={"files": ("large.zip", bytes(201 * 2**20))}, timeout=60)
    assert refused.status_code == 413
    assert "maximum allowed size" in refused.text


def test_models_cannot_be_reached_past_the_queue(address: str) -> None:
    assert httpx.post(f"{address}gradio_api/run/classify_text", json={"data": ["hello", "imdb"]}).status_code == 404


# Requests that are answered together


class Gated(FakeClassifier):
    """Answers as a real one does, when it is let; notes how many inputs it got at once."""

    def __init__(self, real: Classifier) -> None:
        super().__init__(real.kind, real.labels, name=real.name, gate=threading.Event())
        self.real = real
        self.sizes: list[int] = []

    def predict(self, inputs: Iterable[Any]) -> list[pyclassify.Prediction]:
        inputs = list(inputs)
        self.sizes.append(len(inputs))
        super().predict(inputs)
        return self.real.predict(inputs)

    def let(self) -> None:
        assert self.gate is not None
        self.gate.set()


def gated(path: Path) -> Gated:
    return Gated(pyclassify.load(path, device="cpu"))


def fill(address: str, classifier: Gated, endpoint: str, body: dict[str, Any], at_once: int = 2) -> None:
    """Give the page as much to do as it does at once, so that whoever comes then has to wait."""
    for running in range(at_once):
        ask(address, endpoint, body)
        wait_until(lambda count=running + 1: len(classifier.sizes) == count)


def test_waiting_requests_are_answered_together_and_as_if_alone(checkpoints: Path) -> None:
    films = gated(checkpoints / "imdb")
    page = build_page({"imdb": films}, {}, max_batch=5)
    address = serve(page)
    fill(address, films, "classify_text", {"text": "film"})
    texts = [f"{'good ' * (number % 4)}film {'좋아요 ' * (number % 3)}" for number in range(12)]
    asked = [ask(address, "classify_text", {"text": item}) for item in texts]
    films.let()
    for item, response in zip(texts, asked, strict=True):
        event, (answer,) = listen(address, "classify_text", response)
        assert event == "complete"
        (alone,) = films.real.predict([item])
        assert answer["probabilities"] == pytest.approx(alone.probabilities, abs=1e-5)
    page.close()
    assert sorted(films.sizes) == [1, 1, 2, 5, 5]


def test_one_by_one_is_one_by_one(checkpoints: Path) -> None:
    films = gated(checkpoints / "imdb")
    page = build_page({"imdb": films}, {}, max_batch=1)
    address = serve(page)
    fill(address, films, "classify_text", {"text": "film"}, at_once=1)
    asked = [ask(address, "classify_text", {"text": "film"}) for _ in range(4)]
    assert films.sizes == [1]
    films.let()
    assert {listen(address, "classify_text", response)[0] for response in asked} == {"complete"}
    page.close()
    assert films.sizes == [1] * 5


def test_requests_for_different_checkpoints_are_answered_by_them(checkpoints: Path) -> None:
    films, korean = gated(checkpoints / "imdb"), gated(checkpoints / "naver")
    korean.let()
    page = build_page({"imdb": films, "naver": korean}, {})
    address = serve(page)
    fill(address, films, "classify_text", {"text": "film"})
    names = ["naver", "imdb", "nobody", "naver"]
    asked = [ask(address, "classify_text", {"text": "좋아요", "checkpoint": name}) for name in names]
    films.let()
    results = [listen(address, "classify_text", response) for response in asked]
    assert [event for event, _ in results] == ["complete", "complete", "error", "complete"]
    assert [results[i][1][0]["checkpoint"] for i in (0, 1, 3)] == ["naver", "imdb", "naver"]
    assert "no checkpoint named 'nobody'" in results[2][1]["error"]
    page.close()
    assert (films.sizes, korean.sizes) == ([1, 1, 1], [2])


FILE = {"_type": "gradio.FileData"}


def test_one_bad_picture_spoils_no_other(checkpoints: Path, image_path: Path) -> None:
    animals = gated(checkpoints / "animals")
    page = build_page({"animals": animals}, {})
    address = serve(page)
    good, torn = (
        httpx.post(f"{address}gradio_api/upload", files={"files": (name, content)}).json()[0]
        for name, content in (("red.png", image_path.read_bytes()), ("torn.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"))
    )
    fill(address, animals, "classify_image", {"picture": {"path": good}})
    pictures: list[Any] = [
        {"path": good},
        {"path": torn},
        {"path": "/etc/hostname", "meta": FILE},
        {"path": good, "meta": FILE},
        {"path": "https://example.org/cat.jpg", "meta": FILE},
        {"path": good, "size": "large"},
        {"path": good, "more": {"path": "/etc/hostname", "meta": FILE}},
        None,
        {"path": good},
    ]
    asked = [ask(address, "classify_image", {"picture": payload}) for payload in pictures]
    short = httpx.post(f"{address}gradio_api/call/classify_image", json={"data": [{"path": good}]})
    strange = [{"path": good}, {"path": "/etc/hostname", "meta": FILE}]
    odd = httpx.post(f"{address}gradio_api/call/classify_image", json={"data": strange})
    animals.let()
    events = [listen(address, "classify_image", response)[0] for response in (*asked, short, odd)]
    page.close()
    assert [number for number, event in enumerate(events) if event == "complete"] == [0, 3, 8]
    assert set(events) == {"complete", "error"}


def test_nothing_of_other_requests_is_noted_in_a_visitors_session(checkpoints: Path) -> None:
    films = gated(checkpoints / "imdb")
    page = build_page({"imdb": films}, {})
    address = serve(page)
    fill(address, films, "classify_text", {"text": "film"})
    asked = [
        httpx.post(
            f"{address}gradio_api/call/classify_text",
            json={"data": [f"secret of {name}", "imdb", "en"], "session_hash": name},
        )
        for name in ("mine", "yours")
    ]
    films.let()
    assert [listen(address, "classify_text", response)[0] for response in asked] == ["complete", "complete"]
    alone = {"data": ["secret of one alone", "imdb", "en"], "session_hash": "alone"}
    listen(address, "classify_text", httpx.post(f"{address}gradio_api/call/classify_text", json=alone))
    page.close()
    assert films.sizes == [1, 1, 2, 1]
    noted = {name: str(session.config_values) for name, session in page.app.state_holder.session_data.items()}
    assert [name for name, values in noted.items() if "secret of" in values] == ["alone"]


# Serving


def test_tunnel_out_of_reach_is_reported_and_the_page_works(
    checkpoints: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(**_: object) -> str:
        raise RuntimeError("no network")

    monkeypatch.setattr(gr.networking, "setup_tunnel", unreachable)
    port = free_port()
    page = app.start(app.parse_options(["--share", "--port", str(port), "--checkpoints", str(checkpoints)]))
    printed = capsys.readouterr().out
    assert "There is no public link" in printed
    assert f"The page is at http://127.0.0.1:{port}/" in printed
    assert httpx.get(f"http://127.0.0.1:{port}/").status_code == 200
    page.close()


def test_public_link_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gr.networking, "setup_tunnel", lambda **_: "https://1234.gradio.live")
    monkeypatch.setenv("GRADIO_SHARE", "True")
    page = app.start(app.parse_options(["--port", str(free_port()), "--checkpoints", str(tmp_path)]))
    assert "https://1234.gradio.live" in capsys.readouterr().out
    page.close()


def test_proxy_for_everything_does_not_hide_the_page_from_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    before = dict(os.environ)
    page = app.start(app.parse_options(["--port", str(free_port()), "--checkpoints", str(tmp_path)]))
    page.close()
    assert dict(os.environ) == before


def test_lent_gpu_wraps_the_models(checkpoints: Path) -> None:
    wrapped = []

    def gpu(function: Any) -> Any:
        wrapped.append(function)
        return function

    argv = ["--port", str(free_port()), "--checkpoints", str(checkpoints)]
    app.start(app.parse_options(argv), accelerate=gpu).close()
    assert len(wrapped) == 4  # answers and explanations, of pictures and of texts


@pytest.mark.slow
def test_spaces_comes_before_torch(tmp_path: Path) -> None:
    (tmp_path / "spaces.py").write_text(
        "import sys\nassert 'torch' not in sys.modules\ndef GPU(ask): return ask\n", encoding="utf-8"
    )
    code = (
        "import app, sys; assert app.spaces.GPU; assert 'torch' not in sys.modules; assert 'gradio' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=True)


# Tells of every other computer that the program looks up or connects to.
WATCHED_PROGRAM = """
import sys
def watch(event, details):
    if event in ("socket.getaddrinfo", "socket.connect"):
        host = details[0] if event == "socket.getaddrinfo" else details[1][0]
        if host not in ("127.0.0.1", "localhost", "::1", None, b"localhost"):
            print("FOREIGN", event, host)
sys.addaudithook(watch)
import app
app.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_program_obeys_variables_calls_nobody_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    port = free_port()
    variables = {key: value for key, value in os.environ.items() if not key.startswith("GRADIO_")}
    variables |= {"GRADIO_SERVER_PORT": str(port), "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED_PROGRAM, "--checkpoints", str(tmp_path)],
        cwd=tmp_path,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == f"The page is at http://127.0.0.1:{port}/\n"
            assert "python -m train.image" in httpx.get(f"http://127.0.0.1:{port}/").text
            program.send_signal(signal.SIGINT)
            output, _ = program.communicate(timeout=30)
        finally:
            program.kill()  # or leaving the block would wait for a program that does not end
    assert "Traceback" not in output
    assert "FOREIGN" not in output
    assert program.returncode == 0
