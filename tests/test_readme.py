"""What the README says works: its front matter is what Spaces reads, and its commands run as they stand there."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import SpaceCard

from tests import drawing

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHIPPED = ("cifar10", "imdb", "naver", "sms-spam")

BLOCKS = re.findall(r"^```(bash|python|javascript)\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def _blocks(language: str, part: str) -> str:
    (found,) = [code for name, code in BLOCKS if name == language and part in code]
    return found


def test_every_block_is_one_that_is_run() -> None:
    run = [
        "pip install -r requirements.txt && python app.py",  # .ci/run installs the same pins; the page is opened below
        "pip install -r requirements-dev.txt",  # .ci/run
        "python -m pytest",  # .ci/run takes it from here
        "python -m train.image",
        "python -m train.text",
        "python -m train.cards",
        "pyclassify.load(",
        "Client(",
        "curl",
        "await ask(",
        "python app.py --mcp",  # the page below
        "streamable_http_client(",
        "hf repos create",
        "python app.py --share",  # tests/test_app.py
    ]
    unknown = [code for _, code in BLOCKS if not any(part in code for part in run)]
    assert unknown == []


def test_front_matter_is_what_spaces_reads() -> None:
    data = SpaceCard.load(ROOT / "README.md").data
    pins = dict(line.split("#")[0].strip().split("==") for line in (ROOT / "requirements.txt").read_text().splitlines())
    assert (data.sdk, data.sdk_version, data.app_file) == ("gradio", pins["gradio"], "app.py")
    assert data.python_version in {"3.11", "3.12"}
    assert data.license == "mit"
    assert (ROOT / "LICENSE").is_file()
    assert {"image-classification", "text-classification"} <= set(data.tags)
    assert len(data.short_description) <= 60


def test_requirements_are_pinned_and_explained() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text().splitlines():
            assert re.fullmatch(r"[a-z-]+==[\d.]+\s+# \S.*|-r requirements\.txt", line), line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder as the README's reader has it: checkpoints, a photo and their own data."""
    root = tmp_path_factory.mktemp("reader")
    (root / "checkpoints").mkdir()
    for name in SHIPPED:
        shutil.copytree(ROOT / "checkpoints" / name, root / "checkpoints" / name)
    drawing.picture(drawing.COLOURS["red"], seed=0, size_px=64).save(root / "cat.jpg")
    drawing.picture_folder(root / "data" / "pictures", parts=())
    with (root / "data" / "reviews.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("label", "text"), *drawing.reviews(40)])
    return root


def _environment() -> dict[str, str]:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("module", ["train.image", "train.text"])
def test_training_commands(folder: Path, module: str) -> None:
    assert "Test accuracy" in _run(["bash", "-c", _blocks("bash", f"python -m {module}")], folder)


def test_names_are_given_as_the_readme_says(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "checkpoints" / "imdb", tmp_path / "checkpoints" / "imdb")
    _run(["bash", "-c", _blocks("bash", "python -m train.cards")], tmp_path)
    card = json.loads((tmp_path / "checkpoints" / "imdb" / "config.json").read_text(encoding="utf-8"))["card"]
    assert card["title"]["en"] == "Film reviews"
    assert set(card["label_names"]["ko"]) == {"neg", "pos"}


def test_use_from_python(folder: Path) -> None:
    said = _run([sys.executable, "-c", _blocks("python", "pyclassify.load(")], folder).splitlines()
    label, probability = said[0].split()
    assert said[1].startswith((f"{label}, ", f"Probably {label} ", "I don't know"))
    assert label in ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    assert 0.1 <= float(probability) <= 1


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[str]:
    """The page of the README's first command; its address."""
    line = [sys.executable, str(ROOT / "app.py"), "--checkpoints", "checkpoints", "--mcp"]
    with subprocess.Popen(line, cwd=folder, env=_environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1].rstrip("/")
        _wait_for(address)
        yield address
        process.terminate()


def _wait_for(address: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(100):
        try:
            with opener.open(address, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"nothing answers at {address}")


def test_call_as_an_api(folder: Path, page: str) -> None:
    code = _blocks("python", "Client(").replace("http://127.0.0.1:7860", page)
    said = _run([sys.executable, "-c", code], folder)
    assert "'checkpoint': 'cifar10'" in said
    assert "'probabilities'" in said


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_call_with_curl(folder: Path, page: str) -> None:
    code = _blocks("bash", "curl").replace("http://127.0.0.1:7860", page)
    said = _run(["bash", "-ec", code], folder)
    assert said.count("event: complete") == 2
    assert '"checkpoint": "imdb"' in said
    assert '"checkpoint": "cifar10"' in said


@pytest.mark.skipif(not shutil.which("node"), reason="there is no node")
def test_call_from_javascript(folder: Path, page: str) -> None:
    (folder / "call.mjs").write_text(_blocks("javascript", "await ask(").replace("http://127.0.0.1:7860", page))
    said = _run(["node", "call.mjs"], folder)
    assert said.index("checkpoint: 'imdb'") < said.index("checkpoint: 'cifar10'")
    assert re.search(r"message: '[^']*[가-힣]", said)


def test_call_as_an_assistant(folder: Path, page: str) -> None:
    code = _blocks("python", "streamable_http_client(").replace("http://127.0.0.1:7860", page)
    assert json.loads(_run([sys.executable, "-c", code], folder))["checkpoint"] == "cifar10"


def test_the_command_that_makes_a_space_has_these_options() -> None:
    said = _run(["hf", "repos", "create", "--help"], ROOT)
    for option in re.findall(r"--[a-z-]+", _blocks("bash", "hf repos create")):
        assert option in said


def test_pictures_of_the_readme_are_there() -> None:
    for target in re.findall(r"!?\[[^\]]*\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target
