"""`benchmarks/`: the tutorial's fault is there and is measured, and what is written is what the tables show."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import drawn, latency, load, mirrored, peers, results, serving, tables, trained, tutorial
from benchmarks.tutorial_pictures import Cnn
from benchmarks.tutorial_text import LstmReader, Step, answers
from pyclassify.device import pick
from pyclassify.image import models as image_models
from pyclassify.ui.page import build_page, launch_options
from tests import drawing
from tests.fakes import FakeClassifier, write_image_checkpoint, write_text_checkpoint
from train import image as train_image

ENVELOPE = {"benchmark", "date", "commit", "hardware", "versions", "command", "seconds", "results"}
IDS = torch.tensor([[2, 3, 4, 5], [3, 4, 5, 2], [4, 5, 1, 1], [5, 1, 1, 1]])
LENGTHS = torch.tensor([4, 4, 2, 1])


def _reader(step: Step) -> LstmReader:
    torch.manual_seed(0)
    return LstmReader(labels=2, vocabulary_size=6, padding_id=1, step=step, embedding_size=5, hidden_size=7)


def test_the_wrong_form_reads_zeros_for_all_but_the_longest() -> None:
    wrong = _reader("last padded").read(IDS, LENGTHS)
    assert (wrong == 0).all(dim=1).tolist() == [False, False, True, True]
    right = _reader("last valid").read(IDS, LENGTHS)
    assert not (right == 0).all(dim=1).any()
    assert torch.equal(wrong[:2], right[:2])


def test_the_right_form_reads_what_each_text_gives_alone() -> None:
    reader = _reader("last valid")
    alone = [reader.read(row[:length].unsqueeze(0), length.view(1)) for row, length in zip(IDS, LENGTHS, strict=True)]
    torch.testing.assert_close(reader.read(IDS, LENGTHS), torch.cat(alone))


def test_the_share_of_zeros_is_counted_over_texts_not_batches() -> None:
    batches = [((IDS, LENGTHS), torch.zeros(4, dtype=torch.int64)), ((IDS[:1], LENGTHS[:1]), torch.ones(1).long())]
    logits, label_ids, share = answers(_reader("last padded"), iter(batches))
    assert share == pytest.approx(2 / 5)
    assert logits.shape == (5, 2)
    assert label_ids.tolist() == [0, 0, 0, 0, 1]
    assert torch.equal(logits[2], logits[3])


def test_the_tutorials_sizes() -> None:
    network = LstmReader(labels=2, vocabulary_size=9, padding_id=1, step="last padded")
    assert (network.embedding.embedding_dim, network.lstm.hidden_size, network.fc.in_features) == (300, 256, 256)
    assert Cnn(10)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert sum(each.numel() for each in Cnn(10).parameters()) == 32 * 28 + 10 * (32 * 16 * 16 + 1)


def test_a_budget_ends_a_training_between_epochs() -> None:
    assert trained._has_time([], 1.0)  # one epoch is always run
    assert trained._has_time([4.0, 5.0], 14.0)
    assert not trained._has_time([4.0, 5.0], 13.9)
    assert trained._has_time([4.0, 5.0], None)
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    settings = trained.Settings(epochs=9, device=pick("cpu"), budget_s=0.0)
    batch = ((torch.zeros(1, 2),), torch.zeros(1, dtype=torch.int64))
    assert len(trained.fit(model, lambda: [batch], optimizer, settings)) == 1


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of both halves of the tutorial's benchmark on drawn data."""
    root = tmp_path_factory.mktemp("tutorial")
    pictures = drawing.picture_folder(root / "colours", per_label=6)
    for number, (label, text) in enumerate(drawing.reviews(60)):
        folder = root / "reviews" / ("train" if number < 40 else "test") / {"good": "pos", "bad": "neg"}[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}_7.txt").write_text(text + " and so on" * (number % 5), encoding="utf-8")
    tutorial.main(
        [
            *("--pictures", str(pictures), "--text", str(root / "reviews"), "--results", str(root / "results")),
            *("--epochs", "2", "--default-epochs", "1", "--limit", "30", "--max-tokens", "20", "--device", "cpu"),
        ]
    )
    return root / "results"


def test_both_programs_of_the_tutorial_are_run_beside_ours(measured: Path) -> None:
    programs = {
        kind: [row["program"] for row in results.read(f"tutorial-{kind}", measured)["results"]["rows"]]
        for kind in ("pictures", "text")
    }
    assert programs == {
        "pictures": ["tutorial, as it stands", "ours, `simple_cnn`", "ours, the default: `whitened_convnet`"],
        "text": [
            "tutorial, as it stands",
            "tutorial, last valid step read",
            "ours, `lstm`",
            "ours, the default: `wide_deep`",
        ],
    }


@pytest.mark.parametrize(("kind", "examples", "held_out"), [("pictures", 18, 18), ("text", 30, 20)])
def test_what_was_run_is_written_down(measured: Path, kind: str, examples: int, held_out: int) -> None:
    content = results.read(f"tutorial-{kind}", measured)
    assert set(content) == ENVELOPE
    assert "python -m benchmarks.tutorial --pictures" in content["command"]
    assert content["results"]["asked"] == {"epochs": 2, "limit": 30, "max_tokens": 20, "budget_s": None, "seed": 0}
    first, *_, default = content["results"]["rows"]
    assert (first["epochs"], first["train_examples"], first["test_examples"]) == (2, examples, held_out)
    assert default["epochs"] == 1
    for row in content["results"]["rows"]:
        low, high = row["accuracy_interval"]
        assert 0 <= low <= row["accuracy"] <= high <= 1
        assert 0 < row["training_s"] <= row["whole_s"]
        assert row["parameters"] > 0


def test_the_share_of_zeros_is_written_down(measured: Path) -> None:
    wrong, right, *ours = results.read("tutorial-text", measured)["results"]["rows"]
    assert 0 < wrong["reads_zeros"] < 1
    assert right["reads_zeros"] == 0
    assert all(row["reads_zeros"] is None for row in ours)
    assert "nothing but zeros" in tables.tutorial(measured)


def test_a_shipped_checkpoints_figures_come_from_its_card(image_checkpoint: Path) -> None:
    info = json.loads((image_checkpoint / "config.json").read_text())
    row = trained.from_card("ours:", image_checkpoint)
    assert row.accuracy == info["scores"]["accuracy"]
    assert row.training_s == info["training"]["duration_s"]
    assert row.whole_s is None
    assert "from the card" in row.notes[0]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--epochs", "0"], "--epochs must be"),
        (["--pictures", "missing"], "no folders train and test"),
        (["--shipped", "missing"], "no checkpoint"),
    ],
)
def test_what_cannot_work_is_said_first(
    tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = drawing.picture_folder(tmp_path / "data", per_label=1)
    with pytest.raises(SystemExit):
        tutorial.main(["--pictures", str(folder), "--only", "pictures", *more])
    assert message in capsys.readouterr().err


def test_a_part_of_the_data_has_all_labels(tmp_path: Path) -> None:
    source = drawing.picture_folder(tmp_path / "all", per_label=6)
    (source / "train" / "unsup").mkdir()
    part = trained.limited(source, tmp_path / "part", limit=6)
    found = sorted(path.relative_to(part).as_posix() for path in (part / "train").rglob("*.png"))
    assert found == [f"train/{label}/{name}.png" for label in ("blue", "green", "red") for name in (0, 3)]


def test_pictures_and_texts_are_drawn_the_same_each_time(tmp_path: Path) -> None:
    for path, size in zip(drawn.pictures(tmp_path, photo_px=(80, 60)).values(), [(32, 32), (80, 60)], strict=True):
        with Image.open(path) as picture:
            assert picture.size == size
    assert np.array_equal(drawn.photo((80, 60)), drawn.photo((80, 60)))
    assert drawn.PHOTO_PX[0] * drawn.PHOTO_PX[1] == 12_000_000
    assert drawn.text(200) == drawn.text(200)
    assert len(drawn.text(200).split()) == 200


def test_calls_are_timed_by_turns() -> None:
    order: list[str] = []
    found = latency.measure({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, most=4)
    assert order == ["a", "b"] * (latency.WARM_UPS + 4)
    assert {name: len(each) for name, each in found.items()} == {"a": 4, "b": 4}


@pytest.fixture
def answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results of the latency benchmark for checkpoints that answer by chance, without a start of the page."""
    write_image_checkpoint(tmp_path / "checkpoints" / "animals")
    write_text_checkpoint(tmp_path / "checkpoints" / "films")
    monkeypatch.setattr(peers, "text", lambda _: lambda text: [0.5, 0.5])  # the real one takes seconds
    monkeypatch.setattr(drawn, "pictures", partial(drawn.pictures, photo_px=(400, 300)))
    options = ["--checkpoints", str(tmp_path / "checkpoints"), "--most", "2", "--starts", "0", "--device", "cpu"]
    latency.main([*options, "--results", str(tmp_path / "results")])
    return tmp_path / "results"


def test_each_checkpoint_is_timed_on_each_input(answered: Path) -> None:
    content = results.read("latency", answered)
    assert set(content) == ENVELOPE
    rows = content["results"]["predict"]
    animals, films = "`animals`, simple_cnn", "`films`, lstm"
    of_texts = [row for row in rows if row["input"].startswith("text")]
    assert [row["program"] for row in rows if row not in of_texts] == [animals, *peers.PICTURES] * 2
    assert [row["program"] for row in of_texts] == [films, peers.TEXT] * 3
    assert [row["input"] for row in of_texts if row["program"] == films] == [
        "text of 20 words",
        "text of 200 words",
        "text of 2,000 words",
    ]
    assert content["results"]["left_out"] == []
    assert all(0 < row["least_ms"] <= row["p50_ms"] <= row["p95_ms"] and row["n"] == 2 for row in rows)
    assert content["results"]["start"] is None
    assert "| text of 20 words |" in tables.latency(answered)


def test_a_peer_whose_package_is_missing_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text_checkpoint(tmp_path / "films")
    monkeypatch.setitem(sys.modules, "transformers", None)
    latency.main(
        ["--checkpoints", str(tmp_path), "--most", "1", "--starts", "0", "--device", "cpu", "--results", str(tmp_path)]
    )
    assert {row["program"] for row in results.read("latency", tmp_path)["results"]["predict"]} == {"`films`, lstm"}
    assert f"- {latency.WITHOUT_PEER}" in tables.latency(tmp_path)


@pytest.mark.slow
def test_the_peer_of_texts_reads_as_many_tokens_as_there_would_be() -> None:
    pytest.importorskip("transformers")
    read: list[int] = []
    embed = torch.nn.Embedding.forward

    def forward(self: torch.nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
        read.append(ids.shape[1])
        return embed(self, ids)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Embedding, "forward", forward)
        answer = peers.text(pick("cpu"))
        assert answer is not None
        assert sum(answer(drawn.text(200))) == pytest.approx(1)
    assert set(read) == {262} == {peers.pieces(drawn.text(200))}
    assert peers.pieces(drawn.text(2000)) == 512


@pytest.fixture
def served() -> Iterator[serving.Page]:
    page = build_page({"fake": FakeClassifier()}, {})  # type: ignore[dict-item]
    port = serving.free_port()
    page.launch(server_port=port, prevent_thread_lock=True, quiet=True, **launch_options())
    yield serving.Page(os.getpid(), port, 0.0)
    page.close()


def test_what_is_lost_or_other_than_alone_is_counted(served: serving.Page) -> None:
    right = load.Question("classify_text", "hello", "fake", {"ham": 0.5, "spam": 0.5})
    other = load.Question("classify_text", "hello", "fake", {"ham": 0.4, "spam": 0.6})
    lost = load.Question("classify_text", "hello", "nobody", {})
    fine = load.ask_all(served, [right] * 8, 4)
    assert (fine.lost, fine.difference) == (0, 0)
    assert 0 < fine.p50_ms <= fine.p95_ms
    assert fine.per_second > 0
    mixed = load.ask_all(served, [right, other, lost, right], 2)
    assert (mixed.lost, mixed.difference) == (1, pytest.approx(0.1))


@pytest.mark.slow
def test_the_page_under_load(tmp_path: Path) -> None:
    write_image_checkpoint(tmp_path / "animals")
    write_text_checkpoint(tmp_path / "films")
    options = ["--users", "6", "--answers", "24", "--repeats", "1", "--device", "cpu"]
    load.main(["--checkpoints", str(tmp_path), *options, "--results", str(tmp_path / "results")])
    content = results.read("load", tmp_path / "results")
    assert set(content) == ENVELOPE
    ways = ["1 visitor", "6 visitors, one by one", "6 visitors, together"]
    assert [row["way"] for row in content["results"]["rows"]] == ways * 2
    rounds = [row["rounds"] for row in content["results"]["rows"]]
    assert all(len(each) == 1 and each[0]["lost"] == 0 and each[0]["difference"] < 1e-5 for each in rounds)


def test_answers_per_second_have_a_table(tmp_path: Path) -> None:
    record = results.Record(benchmark="load", module="m", arguments=[], device=pick("cpu"), folder=tmp_path)
    one = {"p50_ms": 20.0, "p95_ms": 30.0, "cpu_ms": None, "lost": 0, "difference": 2e-7}
    rounds = [{"per_second": rate, **one} for rate in (90.0, 110.0, 100.0)]
    record.save({"users": 50, "rows": [{"input": "text", "way": "1 visitor", "rounds": rounds}]})
    table = tables.load(tmp_path)
    assert "| text | 1 visitor | 100 (90 to 110) | 20.0 ms | 30.0 ms | – | 3 |" in table
    assert "- No answers were lost; the largest difference from an input's answer alone is 2e-07." in table


@pytest.mark.slow
def test_the_start_of_the_page_is_timed(tmp_path: Path) -> None:
    write_text_checkpoint(tmp_path / "films")
    found = serving.measure(tmp_path, device="cpu", repeats=1)
    assert found["page_s"][0] > 0.1
    assert found["peer_s"][0] > 0.1
    for megabytes in (*found["page_mb"], *found["peer_mb"]):
        assert megabytes is None or megabytes > 50


@pytest.mark.slow
def test_a_page_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"status 2.*there is no folder"):
        serving.start_page(tmp_path / "missing")


def test_the_readme_is_filled_between_its_markers_and_only_there(
    measured: Path, answered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- table:latency -->\nold\n<!-- /table:latency -->\nafter\n", encoding="utf-8")
    arguments = ["--readme", str(readme), "--results", str(answered)]
    with pytest.raises(SystemExit, match="out of date"):
        tables.main([*arguments, "--check"])
    tables.main(arguments)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- table:latency -->\n| Input |")
    assert text.endswith("<!-- /table:latency -->\nafter\n")
    tables.main([*arguments, "--check"])
    assert tables.find(text, "latency") == tables.latency(answered)
    tables.main(["--readme", str(readme), "--results", str(measured)])
    assert "has no <!-- table:tutorial -->" in capsys.readouterr().err
    assert readme.read_text(encoding="utf-8") == text


def test_a_start_has_a_table_of_its_own(tmp_path: Path) -> None:
    record = results.Record(benchmark="latency", module="m", arguments=[], device=pick("cpu"), folder=tmp_path)
    start = {"command": "python app.py", "peer": "p", "page_s": [3.0, 1.0, 2.0], "page_mb": [500.0, 502.0, 501.0]}
    record.save({"predict": [], "start": {**start, "peer_s": [0.5], "peer_mb": [None]}})
    table = tables.latency(tmp_path)
    assert "| `python app.py` to the page | 2.00 s (1.00 s to 3.00 s) | 501 MB (500 MB to 502 MB) | 3 |" in table
    assert "| 0.50 s (0.50 s to 0.50 s) | – | 1 |" in table


def test_a_command_names_the_variables_that_change_the_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "99")
    record = results.Record(benchmark="b", module="m", arguments=["--a", "b c"], device=pick("cpu"), folder=tmp_path)
    record.save([])
    assert results.read("b", tmp_path)["command"].endswith("99 OMP_NUM_THREADS=1 python -m m --a 'b c'")


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.24, "0.2 s"), (59.6, "1 min 0 s"), (750, "12 min 30 s"), (7499, "2 h 5 min")]
)
def test_durations_are_easy_to_read(seconds: float, shown: str) -> None:
    assert results.duration(seconds) == shown


@pytest.mark.parametrize("name", list(tables.TABLES))
def test_the_readmes_tables_are_those_of_the_results(name: str) -> None:
    shown = tables.find(tables.README.read_text(encoding="utf-8"), name) if tables.README.is_file() else None
    table = tables.rendered().get(name)
    if shown is None or table is None:
        pytest.skip(f"there is no table {name} yet, or no result for it")
    assert shown == table, "run python -m benchmarks.tables"


def test_mirror_images_are_measured_beside_the_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = drawing.picture_folder(tmp_path / "data", per_label=8)
    train_image.main(["--data", str(folder), "--model", "simple_cnn", "--epochs", "1", "--out", str(tmp_path / "out")])
    mirrored.main(
        ["--data", str(folder), "--checkpoint", str(tmp_path / "out"), "--results", str(tmp_path), "--device", "cpu"]
    )
    rows = json.loads((tmp_path / "mirrored.json").read_text())["results"]["rows"]
    shipped = json.loads((tmp_path / "out" / "config.json").read_text())["scores"]["accuracy"]
    assert [row["way"] for row in rows] == ["as shipped", "and mirrored"]
    assert rows[0]["accuracy"] == pytest.approx(shipped)


def test_both_ways_give_a_picture_and_its_mirror_image_the_same_answer() -> None:
    model = mirrored.BothWays(image_models.build("simple_cnn", labels=3, size_px=8))
    pictures = torch.rand(2, 3, 8, 8)
    assert torch.allclose(model(pictures), model(pictures.flip(3)), atol=1e-6)
