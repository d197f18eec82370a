"""The documents are right: front matter that Spaces reads, links that lead somewhere, commands that run as written."""

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

from benchmarks.tables import DOCUMENTS, rendered
from tests import drawing

ROOT = Path(__file__).parent.parent
PATHS = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SHIPPED = ("cifar10", "imagenet", "naver", "sentiment", "sms-spam")
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in PATHS}
BLOCKS = [
    (name, language, code)
    for name, text in TEXTS.items()
    for language, code in re.findall(
        r"^ *```(bash|python|javascript)\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL
    )
]

RUN_ELSEWHERE = {
    "pip install -r requirements.txt && python app.py": "`page` below, with the same pins",
    "pip install -r requirements-dev.txt": ".ci/run",
    "python -m venv": ".ci/run",
    "python -m pytest": ".ci/run",
    "python app.py --share": "tests/test_launch.py",
    "git push https://huggingface.co": "the options are checked below; it needs an account",
    "python app.py": "`page` below",
}


def block(name: str, part: str) -> str:
    """Return the only block of a document that holds a part, without its indentation."""
    (code,) = [code for document, _, code in BLOCKS if document == name and part in code]
    indentation = len(code) - len(code.lstrip(" "))
    return "\n".join(line[indentation:] for line in code.splitlines()) + "\n"


def test_every_command_is_run_somewhere() -> None:
    here = [
        "python -m train.",
        "pyclassify.load(",
        "pyclassify.train(",
        "Client(",
        "curl -s",
        "await classify(",
        "app.py --mcp",
    ]
    here += ["streamable_http_client("]
    unknown = [code for _, _, code in BLOCKS if not any(part in code for part in (*here, *RUN_ELSEWHERE))]
    assert unknown == []


def test_readme_is_short() -> None:
    words = re.sub(r"^---.*?^---", "", TEXTS["README.md"], count=1, flags=re.MULTILINE | re.DOTALL).split()
    assert len(words) <= 1200


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
            assert re.fullmatch(r"[a-z0-9-]+==[\d.]+\s+# \S.*|-r requirements\.txt", line), line


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"!?\[[^\]]*\]\(([^)#]+)", path.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (path.parent / target).exists(), target


def test_every_table_has_its_place() -> None:
    measured = rendered()
    for name, document in DOCUMENTS.items():
        text = (ROOT / document).read_text(encoding="utf-8")
        assert f"<!-- table:{name} -->\n{'| ' if name in measured else '<!-- /table'}" in text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reader's folder: the shipped checkpoints, a photo and data of their own."""
    root = tmp_path_factory.mktemp("reader")
    (root / "checkpoints").mkdir()
    for name in SHIPPED:
        shutil.copytree(ROOT / "checkpoints" / name, root / "checkpoints" / name)
    drawing.image(drawing.COLOURS["red"], seed=0, size_px=64).save(root / "cat.jpg")
    drawing.image_folder(root / "photos", splits=())
    with (root / "reviews.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("label", "text"), *drawing.reviews(40)])
    return root


def _environment() -> dict[str, str]:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def _run(command: list[str], folder: Path) -> str:
    process = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_check(folder: Path) -> None:
    output = _run(["bash", "-c", block("README.md", "--data photos --check")], folder)
    assert all(colour in output for colour in drawing.COLOURS)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["train.image --data photos --out", "train.text --data reviews.csv"])
def test_training_commands(folder: Path, part: str) -> None:
    # a budget of minutes is spent; a second shows the same
    command = block("README.md", part).replace("--minutes 10", "--minutes 0.05")
    assert "Test accuracy" in _run(["bash", "-c", command], folder)


@pytest.mark.slow
def test_names_are_changed_after_the_training(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "checkpoints" / "sentiment", tmp_path / "checkpoints" / "sentiment")
    _run(["bash", "-c", block("training.md", "python -m train.cards")], tmp_path)
    manifest = json.loads((tmp_path / "checkpoints" / "sentiment" / "config.json").read_text(encoding="utf-8"))
    assert manifest["description"]["title"]["en"] == "Opinions"
    assert set(manifest["description"]["label_names"]["ko"]) == {"neg", "pos"}
    command = block("README.md", "python -m train.cards").replace("reviews", "sentiment").replace("bad=", "neg=")
    _run(["bash", "-c", command.replace("good=", "pos=")], tmp_path)


def test_use_from_python(folder: Path) -> None:
    lines = _run([sys.executable, "-c", block("README.md", "pyclassify.load(")], folder).splitlines()
    label, probability = lines[0].split()
    assert lines[1].startswith((f"{label}, ", f"Probably {label} ", "I don't know"))
    assert label in ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    assert 0.1 <= float(probability) <= 1
    assert (folder / "why.png").is_file()


@pytest.mark.slow
def test_train_from_python(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "photos", tmp_path / "photos")
    accuracy = _run([sys.executable, "-c", block("training.md", "pyclassify.train(")], tmp_path)
    assert 0 <= float(accuracy) <= 1


@pytest.fixture(scope="module")
def page(folder: Path) -> Iterator[str]:
    """The address of the page that the first command opens."""
    line = [sys.executable, str(ROOT / "app.py"), "--checkpoints", "checkpoints", "--mcp"]
    with subprocess.Popen(line, cwd=folder, env=_environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = next(
            word.rstrip("/") for line in process.stdout for word in line.split() if word.startswith("http://")
        )
        _wait_for(address)
        yield address
        process.terminate()


def _wait_for(address: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/config", timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"nothing answers at {address}")


@pytest.mark.parametrize("name", ["README.md", "api.md"])
def test_call_from_python(folder: Path, page: str, name: str) -> None:
    code = block(name, "from gradio_client").replace("http://127.0.0.1:7860", page)
    output = _run([sys.executable, "-c", code], folder)
    assert "'rows': 40" in output if name == "api.md" else "'checkpoint': 'cifar10'" in output
    assert "'probabilities'" in output


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_call_with_curl(folder: Path, page: str) -> None:
    output = _run(["bash", "-ec", block("api.md", "curl").replace("http://127.0.0.1:7860", page)], folder)
    assert output.count("event: complete") == 2
    assert '"checkpoint": "sentiment"' in output
    assert '"checkpoint": "imagenet"' in output


@pytest.mark.skipif(not shutil.which("node"), reason="there is no node")
def test_call_from_javascript(folder: Path, page: str) -> None:
    code = block("api.md", "await classify(").replace("http://127.0.0.1:7860", page)
    (folder / "call.mjs").write_text(code, encoding="utf-8")
    output = _run(["node", "call.mjs"], folder)
    assert output.index("checkpoint: 'sentiment'") < output.index("checkpoint: 'imagenet'")
    assert re.search(r"message: '[^']*[가-힣]", output)


def test_call_as_an_assistant(folder: Path, page: str) -> None:
    code = block("api.md", "streamable_http_client(").replace("http://127.0.0.1:7860", page)
    assert json.loads(_run([sys.executable, "-c", code], folder))["checkpoint"] == "cifar10"


def test_the_command_that_makes_a_space_has_these_options() -> None:
    usage = _run(["hf", "repos", "create", "--help"], ROOT)
    for option in re.findall(r"--[a-z-]+", block("hosting.md", "hf repos create")):
        assert option in usage
