"""The benchmarks measure what they say, and the tables of the documents show what was written."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import models

from benchmarks import (
    baselines,
    batch,
    drawn,
    fastai_recipe,
    few_labels,
    latency,
    load,
    minutes,
    mirrored,
    ood,
    ood_inputs,
    photos,
    results,
    serving,
    shipped,
    tables,
    tutorial,
    tutorial_programs,
)
from benchmarks.tutorial_programs import Cnn, LstmReader, Settings, Step, answer_texts
from pyclassify import TextConfig, checkpoint
from pyclassify.checkpoint import Checkpoint, read_manifest
from pyclassify.dataset import Examples
from pyclassify.device import pick
from pyclassify.image import networks
from pyclassify.image.transform import ImageTransform
from pyclassify.manifest import Network
from pyclassify.recipe import TrainResult
from pyclassify.training.config import IMAGE_NETWORKS, ImageConfig, TrainingConfig
from pyclassify.ui.page import build_page, launch_options
from tests import drawing, fakes
from tests.fakes import FakeClassifier, write_image_checkpoint, write_text_checkpoint
from train import image as train_image
from train import text as train_text

ENVELOPE = {"benchmark", "date", "commit", "hardware", "versions", "command", "seconds", "results"}
IDS = torch.tensor([[2, 3, 4, 5], [3, 4, 5, 2], [4, 5, 1, 1], [5, 1, 1, 1]])
LENGTHS = torch.tensor([4, 4, 2, 1])


def content_of(benchmark: str, folder: Path) -> dict[str, Any]:
    content = results.read(benchmark, folder)
    assert content is not None
    assert set(content) == ENVELOPE
    return content


def record_in(folder: Path, benchmark: str, arguments: Sequence[str] = ()) -> results.Record:
    return results.Record(benchmark=benchmark, module="m", arguments=arguments, device=pick("cpu"), folder=folder)


# The tutorial


def _reader(step: Step) -> LstmReader:
    torch.manual_seed(0)
    return LstmReader(num_labels=2, vocabulary_size=6, padding_id=1, step=step, embedding_size=5, hidden_size=7)


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
    logits, label_ids, share = answer_texts(_reader("last padded"), iter(batches))
    assert share == pytest.approx(2 / 5)
    assert logits.shape == (5, 2)
    assert label_ids.tolist() == [0, 0, 0, 0, 1]
    assert torch.equal(logits[2], logits[3])


def test_the_tutorials_sizes() -> None:
    network = LstmReader(num_labels=2, vocabulary_size=9, padding_id=1, step="last padded")
    assert (network.embedding.embedding_dim, network.lstm.hidden_size, network.fc.in_features) == (300, 256, 256)
    assert Cnn(10)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert sum(parameter.numel() for parameter in Cnn(10).parameters()) == 32 * 28 + 10 * (32 * 16 * 16 + 1)


@pytest.mark.parametrize(("budget_s", "epochs"), [(0.0, 1), (25.0, 2), (30.0, 3), (None, 4)])
def test_a_budget_ends_a_training_between_epochs(
    budget_s: float | None, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(0, 1000, 10))  # every epoch takes 10 s
    monkeypatch.setattr(tutorial_programs.time, "perf_counter", lambda: next(ticks))
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    settings = Settings(epochs=4, device=pick("cpu"), budget_s=budget_s)
    batches = [((torch.zeros(1, 2),), torch.zeros(1, dtype=torch.int64))]
    assert tutorial_programs.fit(network, lambda: batches, optimizer, settings) == [10] * epochs


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of both halves of the tutorial's benchmark on drawn data."""
    root = tmp_path_factory.mktemp("tutorial")
    images = drawing.image_folder(root / "colours", per_label=6)
    for number, (label, text) in enumerate(drawing.reviews(60)):
        folder = root / "reviews" / ("train" if number < 40 else "test") / {"good": "pos", "bad": "neg"}[label]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}_7.txt").write_text(text + " and so on" * (number % 5), encoding="utf-8")
    tutorial.main(
        [
            *("--pictures", str(images), "--text", str(root / "reviews"), "--results", str(root / "results")),
            *("--epochs", "2", "--default-epochs", "1", "--limit", "30", "--max-tokens", "20", "--device", "cpu"),
        ]
    )
    return root / "results"


def test_both_programs_of_the_tutorial_are_run_beside_ours(measured: Path) -> None:
    programs = {
        name: [row["program"] for row in content_of(f"tutorial-{name}", measured)["results"]["rows"]]
        for name in ("pictures", "text")
    }
    assert programs == {
        "pictures": ["tutorial, as it stands", "ours, `simple_cnn`", "ours, the default: `efficientnet_lite2`"],
        "text": [
            "tutorial, as it stands",
            "tutorial, last valid step read",
            "ours, `lstm`",
            "ours, the default: `wide_deep`",
        ],
    }


@pytest.mark.parametrize(("name", "examples", "held_out"), [("pictures", 18, 18), ("text", 30, 20)])
def test_a_run_is_written_down(measured: Path, name: str, examples: int, held_out: int) -> None:
    content = content_of(f"tutorial-{name}", measured)
    assert "python -m benchmarks.tutorial --pictures" in content["command"]
    assert content["results"]["options"] == {"epochs": 2, "limit": 30, "max_tokens": 20, "budget_s": None, "seed": 0}
    first, *_, default = content["results"]["rows"]
    assert (first["epochs"], first["train_examples"], first["test_examples"]) == (2, examples, held_out)
    assert default["epochs"] == 1
    for row in content["results"]["rows"]:
        low, high = row["accuracy_interval"]
        assert 0 <= low <= row["accuracy"] <= high <= 1
        assert 0 < row["training_s"] <= row["whole_s"]
        assert row["parameters"] > 0


def test_the_share_of_zeros_is_written_down(measured: Path) -> None:
    wrong, right, *ours = content_of("tutorial-text", measured)["results"]["rows"]
    assert 0 < wrong["reads_zeros"] < 1
    assert right["reads_zeros"] == 0
    assert all(row["reads_zeros"] is None for row in ours)
    assert "nothing but zeros" in tables.tutorial(measured)


def test_our_lstm_reads_as_many_words_as_the_tutorials(measured: Path) -> None:
    rows = content_of("tutorial-text", measured)["results"]["rows"]
    assert "texts are cut to 20 words" in rows[0]["notes"]
    assert rows[2]["notes"][0].startswith("texts are cut to 20 words and marks")


def test_a_shipped_checkpoints_figures_come_from_its_card(image_checkpoint: Path) -> None:
    manifest = read_manifest(image_checkpoint)
    assert manifest.scores is not None
    assert manifest.training is not None
    row = tutorial.from_card(image_checkpoint)
    assert row.accuracy == manifest.scores.accuracy
    assert row.training_s == manifest.training.duration_s
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
def test_options_that_cannot_work_are_refused_before_the_training(
    tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = drawing.image_folder(tmp_path / "data", per_label=1)
    with pytest.raises(SystemExit):
        tutorial.main(["--pictures", str(folder), "--only", "pictures", *more])
    assert message in capsys.readouterr().err


def test_a_part_of_the_data_has_all_labels(tmp_path: Path) -> None:
    source = drawing.image_folder(tmp_path / "all", per_label=6)
    (source / "train" / "unsup").mkdir()
    part = tutorial.limited(source, tmp_path / "part", limit=6)
    names = sorted(path.relative_to(part).as_posix() for path in (part / "train").rglob("*.png"))
    assert names == [f"train/{label}/{name}.png" for label in ("blue", "green", "red") for name in (0, 3)]


# Inputs


def test_pictures_and_texts_are_drawn_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert drawn.PHOTO_PX[0] * drawn.PHOTO_PX[1] == 12_000_000
    monkeypatch.setattr(drawn, "PHOTO_PX", (80, 60))
    for path, size in zip(drawn.images(tmp_path).values(), [(32, 32), (80, 60)], strict=True):
        with Image.open(path) as image:
            assert image.size == size
    assert np.array_equal(drawn.photo((80, 60)), drawn.photo((80, 60)))
    assert drawn.text(200) == drawn.text(200)
    assert len(drawn.text(200).split()) == 200


def test_unlike_texts_are_the_same_each_time_and_as_long_as_the_test_data() -> None:
    texts = ood_inputs.texts(6, [40, 200], {"other reviews": ["so it goes", "and on"]})
    assert texts == ood_inputs.texts(6, [40, 200], {"other reviews": ["so it goes", "and on"]})
    assert {"German", "French", "Spanish", "Turkish", "code", "keyboard gibberish", "single letters"} < set(texts)
    assert all(len(items) == 6 and all(0 < len(text) <= 200 for text in items) for items in texts.values())
    assert len(set(texts["German"])) > 1


def test_unlike_pictures_are_the_same_each_time() -> None:
    pytest.importorskip("skimage")
    first, second = ood_inputs.images(3, 16), ood_inputs.images(3, 16)
    assert list(first) == ["noise", "flat colour", "text screenshots", "other photos", "drawn shapes"]
    for sort, images in first.items():
        assert all(one.tobytes() == two.tobytes() for one, two in zip(images, second[sort], strict=True))


@pytest.mark.parametrize("fraction", ["0.1", "0.3"])
def test_the_data_of_a_checkpoint_is_split_as_in_its_training(tmp_path: Path, fraction: str) -> None:
    drawing.review_file(tmp_path / "reviews.tsv")
    out = tmp_path / "out"
    arguments = ["--data", str(tmp_path / "reviews.tsv"), "--validation-fraction", fraction, "--seed", "3"]
    train_text.main([*arguments, "--epochs", "1", "--device", "cpu", "--out", str(out)])
    loaded = checkpoint.load(out)
    splits, data = shipped.read_splits(loaded, tmp_path), loaded.manifest.data
    assert data is not None
    assert [len(part) for part in splits.parts.values()] == [data.train, data.validation, data.test]
    config = shipped.training_config(loaded, tmp_path)
    assert (config.seed, config.validation_fraction) == (3, float(fraction))


def test_paths_of_the_command_begin_at_the_given_folder(tmp_path: Path) -> None:
    loaded = _trained_by("python -m train.text --data data/train.tsv --test data/test.tsv --out checkpoints/x")
    config = shipped.training_config(loaded, tmp_path)
    assert (config.data, getattr(config, "test", None)) == (tmp_path / "data/train.tsv", tmp_path / "data/test.tsv")
    loaded = _trained_by("pyclassify train text --data data/train.tsv --out checkpoints/x --tokens words")
    assert shipped.training_config(loaded, tmp_path).data == tmp_path / "data/train.tsv"


@pytest.mark.parametrize(
    "command",
    [
        "python -m train.text --dataset imdb --out checkpoints/x",
        "pyclassify.train(pyclassify.TextConfig(data='reviews.tsv', out='x'))",
    ],
)
def test_a_checkpoint_without_known_data_is_refused(tmp_path: Path, command: str) -> None:
    with pytest.raises(SystemExit, match=r"^fake was"):
        shipped.read_splits(_trained_by(command), tmp_path)


def _trained_by(command: str) -> Checkpoint:
    training = fakes.training().model_copy(update={"command": command})
    described = fakes.make_manifest("text", training=training)
    return Checkpoint(name="fake", manifest=described, network=torch.nn.Identity(), transform=ImageTransform(size_px=8))


# Out-of-distribution detection


def test_detection_is_measured_against_the_test_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reviews = tmp_path / "data" / "imdb" / "aclImdb" / "test" / "pos"
    reviews.mkdir(parents=True)
    for number in range(30):
        (reviews / f"{number}.txt").write_text(f"Quite another review, the one with number {number}.")
    (tmp_path / "data" / "naver").mkdir()
    korean = "".join(f"{number}번째 영화는 정말 좋았어요\t1\n" for number in range(30))
    (tmp_path / "data" / "naver" / "test.tsv").write_text(f"text\tlabel\n{korean}", encoding="utf-8")
    data = drawing.review_file(tmp_path / "reviews.tsv", count=80)
    out = tmp_path / "checkpoints" / "reviews"
    train_text.main(["--data", str(data), "--epochs", "4", "--device", "cpu", "--out", str(out)])
    write_text_checkpoint(tmp_path / "checkpoints" / "another")
    options = ["--checkpoints", str(tmp_path / "checkpoints"), "--only", "reviews", "--data", str(tmp_path)]
    ood.main([*options, "--count", "12", "--device", "cpu", "--results", str(tmp_path)])
    (row,) = content_of("ood", tmp_path)["results"]["rows"]
    assert (row["checkpoint"], row["kind"], row["test"]) == ("reviews", "text", 16)
    assert row["bytes"] > 0
    assert 0 <= row["test_refused"] < 0.5
    by_sort = {unlike["set"]: unlike for unlike in row["sets"]}
    assert {"Korean reviews", "English reviews", "German", "code", "test data, first eight words"} <= set(by_sort)
    assert by_sort["Korean reviews"]["auroc"] > 0.9
    assert all(set(unlike["auroc_by_view"]) == set(row["views"]) for unlike in row["sets"])
    assert "| reviews | Korean reviews |" in tables.ood(tmp_path)
    assert "AUROC" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="has no OOD detector"):
        ood.main([*options[:2], "--only", "another", "--data", str(tmp_path), "--results", str(tmp_path)])


def test_the_area_under_the_curve_counts_ties_half() -> None:
    assert ood.auroc(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == 1
    assert ood.auroc(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 0
    assert ood.auroc(np.array([1.0, 1.0]), np.array([1.0])) == 0.5


# Latency


def test_calls_are_timed_by_turns() -> None:
    order: list[str] = []
    times_ms = latency.measure({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, most=4)
    assert order == ["a", "b"] * (latency.WARM_UPS + 4)
    assert {name: len(times) for name, times in times_ms.items()} == {"a": 4, "b": 4}


@pytest.fixture
def answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results of the latency benchmark for checkpoints that answer by chance, without a start of the page."""
    write_image_checkpoint(tmp_path / "checkpoints" / "animals")
    write_text_checkpoint(tmp_path / "checkpoints" / "films")
    peer = latency.Peer(lambda text: [0.5, 0.5], lambda text: ("no tokenizer",))  # the real one takes seconds
    monkeypatch.setitem(latency.PEERS, "text", lambda device: {latency.DISTILBERT: peer})
    monkeypatch.setattr(drawn, "PHOTO_PX", (400, 300))
    options = ["--checkpoints", str(tmp_path / "checkpoints"), "--most", "2", "--starts", "0", "--device", "cpu"]
    latency.main([*options, "--results", str(tmp_path / "results")])
    return tmp_path / "results"


def test_each_checkpoint_is_timed_on_each_input(answered: Path) -> None:
    content = content_of("latency", answered)
    rows = content["results"]["predict"]
    animals, films = "`animals`, simple_cnn", "`films`, lstm"
    on_texts = [row for row in rows if row["input"].startswith("text")]
    peers = [f"torchvision {name}, 224 px" for name in latency.TORCHVISION]
    assert [row["program"] for row in rows if row not in on_texts] == [animals, *peers] * 2
    assert [row["program"] for row in on_texts] == [films, latency.DISTILBERT] * 3
    assert [row["input"] for row in on_texts if row["program"] == films] == [
        "text of 20 words",
        "text of 200 words",
        "text of 2,000 words",
    ]
    assert content["results"]["left_out"] == []
    assert all(0 < row["least_ms"] <= row["p50_ms"] <= row["p95_ms"] and row["n"] == 2 for row in rows)
    assert content["results"]["start"] is None
    assert "| text of 20 words |" in tables.latency(answered)


def test_notes_stand_under_the_table_as_sentences(answered: Path) -> None:
    lines = tables.latency(answered).splitlines()
    assert f"- {latency.DISTILBERT}, text of 20 words: no tokenizer." in lines
    assert "- `films`, lstm, text of 2,000 words: Only the first 1,024 of 2,000 words were read." in lines


def test_a_peer_without_its_package_is_left_out_with_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text_checkpoint(tmp_path / "films")
    monkeypatch.setitem(sys.modules, "transformers", None)
    latency.main(
        ["--checkpoints", str(tmp_path), "--most", "1", "--starts", "0", "--device", "cpu", "--results", str(tmp_path)]
    )
    assert {row["program"] for row in content_of("latency", tmp_path)["results"]["predict"]} == {"`films`, lstm"}
    assert f"- {latency.WITHOUT_PEER}" in tables.latency(tmp_path)


@pytest.mark.slow
def test_the_peer_of_texts_reads_as_many_tokens_as_there_would_be() -> None:
    pytest.importorskip("transformers")
    widths: list[int] = []
    embed = torch.nn.Embedding.forward

    def forward(self: torch.nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
        widths.append(ids.shape[1])
        return embed(self, ids)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Embedding, "forward", forward)
        peer = latency.distilbert_peer(pick("cpu"))[latency.DISTILBERT]
        assert sum(peer.answer(drawn.text(200))) == pytest.approx(1)
    assert set(widths) == {262} == {latency.count_tokens(drawn.text(200))}
    assert latency.count_tokens(drawn.text(2000)) == 512


# Load


@pytest.fixture
def served() -> Iterator[serving.Page]:
    page = build_page({"fake": FakeClassifier()}, {})
    port = serving.free_port()
    page.launch(server_port=port, prevent_thread_lock=True, quiet=True, **launch_options(page))
    yield serving.Page(os.getpid(), port, 0.0)
    page.close()


def test_lost_and_differing_answers_are_counted(served: serving.Page) -> None:
    right = load.Request("classify_text", "hello", "fake", {"ham": 0.5, "spam": 0.5})
    differing = load.Request("classify_text", "hello", "fake", {"ham": 0.4, "spam": 0.6})
    lost = load.Request("classify_text", "hello", "nobody", {})
    fine = load.send_all(served, [right] * 8, 4)
    assert (fine.lost, fine.difference) == (0, 0)
    assert 0 < fine.p50_ms <= fine.p95_ms
    assert fine.per_second > 0
    mixed = load.send_all(served, [right, differing, lost, right], 2)
    assert (mixed.lost, mixed.difference) == (1, pytest.approx(0.1))


@pytest.mark.slow
def test_the_page_under_load(tmp_path: Path) -> None:
    write_image_checkpoint(tmp_path / "animals")
    write_text_checkpoint(tmp_path / "films")
    options = ["--users", "6", "--answers", "24", "--repeats", "1", "--device", "cpu"]
    load.main(["--checkpoints", str(tmp_path), *options, "--results", str(tmp_path / "results")])
    rows = content_of("load", tmp_path / "results")["results"]["rows"]
    ways = ["1 visitor", "6 visitors, one by one", "6 visitors, together"]
    assert [row["way"] for row in rows] == ways * 2
    assert all(len(row["rounds"]) == 1 for row in rows)
    assert all(row["rounds"][0]["lost"] == 0 and row["rounds"][0]["difference"] < 1e-5 for row in rows)


def test_answers_per_second_have_a_table(tmp_path: Path) -> None:
    one = {"p50_ms": 20.0, "p95_ms": 30.0, "cpu_ms": None, "lost": 0, "difference": 2e-7}
    rounds = [{"per_second": rate, **one} for rate in (90.0, 110.0, 100.0)]
    rows = [{"input": "text", "way": "1 visitor", "rounds": rounds}]
    record_in(tmp_path, "load").save({"users": 50, "rows": rows})
    table = tables.load(tmp_path)
    assert "| text | 1 visitor | 100 (90 to 110) | 20.0 ms | 30.0 ms | – | 3 |" in table
    assert "- No answers were lost; the largest difference from an input's answer alone is 2e-07." in table


# The start of the page


@pytest.mark.slow
def test_the_start_of_the_page_is_timed(tmp_path: Path) -> None:
    write_text_checkpoint(tmp_path / "films")
    start = serving.measure(tmp_path, device="cpu", repeats=1)
    assert start["page_s"][0] > 0.1
    assert start["peer_s"][0] > 0.1
    for megabytes in (*start["page_mb"], *start["peer_mb"]):
        assert megabytes is None or megabytes > 50


@pytest.mark.slow
def test_a_page_that_does_not_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"status 2.*missing"):
        serving.start_page(tmp_path / "missing")


def test_a_start_has_a_table_of_its_own(tmp_path: Path) -> None:
    start = {"command": "python app.py", "peer": "p", "page_s": [3.0, 1.0, 2.0], "page_mb": [500.0, 502.0, 501.0]}
    record_in(tmp_path, "latency").save({"predict": [], "start": {**start, "peer_s": [0.5], "peer_mb": [None]}})
    table = tables.latency(tmp_path)
    assert "| `python app.py` to the page | 2.00 s (1.00 s to 3.00 s) | 501 MB (500 MB to 502 MB) | 3 |" in table
    assert "| 0.50 s (0.50 s to 0.50 s) | – | 1 |" in table


# Batch


def test_a_batch_run_is_measured_after_its_first_answer(tmp_path: Path) -> None:
    write_image_checkpoint(tmp_path / "animals")
    data = drawing.image_folder(tmp_path / "data", per_label=4)
    uploads = batch.image_files(data, 40)
    assert len({upload.path for upload in uploads}) == 24  # of all files, some twice
    for number, handed_in in enumerate((uploads, [batch.zipped(uploads, tmp_path)])):
        folder = tmp_path / str(number)
        folder.mkdir()
        result = batch.run(handed_in, tmp_path / "animals", "cpu", folder)
        assert (result["inputs"], result["problems"]) == (40, 0)
        assert result["seconds"] > 0
        assert result["grown_mb"] >= 0
        assert len(json.loads((folder / "answers.json").read_text())) == 40


def test_a_table_of_any_length_repeats_the_rows(tmp_path: Path) -> None:
    write_text_checkpoint(tmp_path / "films")
    upload = batch.table(drawing.review_file(tmp_path / "reviews.tsv", count=6), 15, tmp_path)
    assert batch.run([upload], tmp_path / "films", "cpu", tmp_path)["inputs"] == 15


@pytest.mark.slow
def test_every_way_to_hand_in_inputs_has_two_rows(tmp_path: Path) -> None:
    write_image_checkpoint(tmp_path / "animals")
    write_text_checkpoint(tmp_path / "films")
    data = drawing.image_folder(tmp_path / "data", per_label=4)
    table = drawing.review_file(tmp_path / "reviews.tsv", count=6)
    options = ["--image", str(tmp_path / "animals"), "--text", str(tmp_path / "films"), "--device", "cpu"]
    options += ["--picture-data", str(data), "--text-data", str(table), "--pictures", "20", "--texts", "30"]
    batch.main([*options, "--results", str(tmp_path / "results")])
    rows = content_of("batch", tmp_path / "results")["results"]["rows"]
    inputs = {row["what"]: [run["inputs"] for run in row["runs"]] for row in rows}
    assert inputs == {"pictures, as files": [2, 20], "pictures, as one zip": [2, 20], "short texts": [3, 30]}
    assert "| 30 short texts | films |" in tables.batch(tmp_path / "results")


# Baselines


def test_the_linear_model_learns_from_the_words() -> None:
    label_ids = tuple(int(label == "good") for label, _ in drawing.reviews(40))
    texts = tuple(text for _, text in drawing.reviews(40))
    answers = baselines.answer_linear(Examples(texts, label_ids), texts, **baselines.FEATURES["imdb"])
    assert answers.tolist() == list(label_ids)


@pytest.mark.slow
def test_both_models_are_trained_on_the_same_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sms-spam").mkdir()
    rows = "".join(f"{'spam' if label == 'bad' else 'ham'}\t{text}\n" for label, text in drawing.reviews(60))
    (tmp_path / "sms-spam" / "sms.tsv").write_text(f"label\ttext\n{rows}", encoding="utf-8")
    monkeypatch.setattr(baselines, "FOLDS", 2)
    baselines.main(["--data", str(tmp_path), "--only", "sms-spam", "--results", str(tmp_path)])
    rows = content_of("baselines", tmp_path)["results"]["rows"]
    assert [(row["program"], row["n"]) for row in rows] == [("TF-IDF, linear SVM", 2), ("default model", 2)]
    assert all(0.5 < row["score"] <= 1 and row["seconds"] > 0 for row in rows)
    assert "F1 of spam, 2 folds" in capsys.readouterr().out


# Minutes


@pytest.mark.slow
def test_all_networks_are_trained_for_as_long(tmp_path: Path) -> None:
    data = drawing.image_folder(tmp_path / "colours", per_label=6)
    options = ["--data", str(data), "--minutes", "0.01", "--device", "cpu", "--results", str(tmp_path / "results")]
    minutes.main(options)
    rows = content_of("minutes", tmp_path / "results")["results"]["rows"]
    assert [(row["network"], row["minutes"]) for row in rows] == [(name, 0.01) for name in minutes.NETWORKS]
    assert all(0 <= row["accuracy"] <= 1 and row["epochs"] >= 1 and row["training_s"] > 0 for row in rows)
    assert "| resnet18 | 11," in tables.minutes(tmp_path / "results")


DEFAULT = IMAGE_NETWORKS[0]


def _pretend(scores: dict[tuple[str, float], float], configs: list[ImageConfig]) -> Callable[..., TrainResult]:
    """Return a training that is over at once; networks and minutes without a score are broken off."""

    def train(config: ImageConfig, *, on_progress: object) -> TrainResult:
        configs.append(config)
        assert config.minutes is not None
        accuracy = scores.get((config.network, config.minutes))
        if accuracy is None:
            raise KeyboardInterrupt
        interval = (accuracy - 0.01, accuracy + 0.01)
        training = fakes.training()
        manifest = fakes.make_manifest(
            "image",
            scores=fakes.scores(fakes.LABELS["image"]).model_copy(
                update={"accuracy": accuracy, "accuracy_interval": interval}
            ),
            training=training.model_copy(update={"duration_s": 57 * config.minutes, "num_parameters": 1234}),
        )
        assert config.out is not None
        return TrainResult(path=config.out, manifest=manifest, mistakes=())

    return train


def test_the_shortest_come_first_and_a_part_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs: list[ImageConfig] = []
    scores = {(DEFAULT, 1.0): 0.5, ("resnet18", 1.0): 0.4, (DEFAULT, 5.0): 0.75}
    monkeypatch.setattr(minutes.recipe, "train", _pretend(scores, configs))
    options = ["--data", str(tmp_path), "--minutes", "5", "1", "--networks", DEFAULT, "resnet18"]
    with pytest.raises(KeyboardInterrupt):
        minutes.main([*options, "--device", "cpu", "--results", str(tmp_path / "results")])
    assert all((config.size_px, config.data, config.seed) == (32, tmp_path, 0) for config in configs)
    assert [config.weights for config in configs] == [None, "none", None, "none"]
    table = tables.minutes(tmp_path / "results")
    assert "| Network | Numbers in it | 1 minute | 5 minutes |" in table
    assert f"| {DEFAULT} | 1,234 | 50.00% (2 epochs) | 75.00% (2 epochs) |" in table
    assert "| resnet18 | 1,234 | 40.00% (2 epochs) | – |" in table
    assert "at most ± 1.00 percentage points" in table
    assert "took 95% to 95% of their time" in table


def test_there_is_no_table_without_results(tmp_path: Path) -> None:
    assert tables.minutes(tmp_path) == ""
    record_in(tmp_path, "minutes").save({"data": "x", "minutes": [5], "rows": []})
    assert tables.minutes(tmp_path) == ""
    assert "minutes" not in tables.rendered(tmp_path)


def test_missing_data_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="There is no folder"):
        minutes.main(["--data", str(tmp_path / "nowhere"), "--results", str(tmp_path)])


def test_hours_of_training_can_be_done_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minutes.recipe, "train", _pretend({(DEFAULT, 1.0): 0.5, (DEFAULT, 5.0): 0.75}, []))
    options = ["--data", str(tmp_path), "--networks", DEFAULT, "--device", "cpu", "--results", str(tmp_path)]
    minutes.main([*options, "--minutes", "5"])
    minutes.main([*options, "--minutes", "1", "--add"])
    content = content_of("minutes", tmp_path)
    assert content["results"]["minutes"] == [1, 5]
    assert {row["minutes"]: row["accuracy"] for row in content["results"]["rows"]} == {1: 0.5, 5: 0.75}
    path = tmp_path / "minutes.json"
    path.write_text(json.dumps({**content, "hardware": "another computer"}), encoding="utf-8")
    with pytest.raises(SystemExit, match="hardware"):
        minutes.main([*options, "--minutes", "1", "--add"])


# Few labels


def _messages(root: Path) -> Path:
    """Write 60 messages as the data set sms-spam and return the folder of the data sets."""
    (root / "sms-spam").mkdir(parents=True)
    rows = "".join(f"{'spam' if label == 'bad' else 'ham'}\t{text}\n" for label, text in drawing.reviews(60))
    (root / "sms-spam" / "sms.tsv").write_text(f"label\ttext\n{rows}", encoding="utf-8")
    return root


def _finish_at_once(configs: list[TrainingConfig], *, network: str = "wide_deep") -> Callable[..., TrainResult]:
    """Return a training that writes a checkpoint with the scores of `fakes.scores` for the labels of the data."""

    def train(config: TrainingConfig) -> TrainResult:
        configs.append(config)
        assert config.data is not None
        assert config.out is not None
        if config.kind == "text":
            labels = sorted({json.loads(line)["label"] for line in config.data.read_text().splitlines()})
        else:
            labels = sorted(path.name for path in (config.data / "train").iterdir())
        write = write_image_checkpoint if config.kind == "image" else write_text_checkpoint
        write(config.out, labels)
        described = fakes.make_manifest(config.kind, labels, network=Network(name=network))
        return TrainResult(path=config.out, manifest=described, mistakes=())

    return train


def test_draws_hold_as_many_of_each_label_and_the_smaller_draws() -> None:
    train = Examples(tuple(map(str, range(60))), tuple(number % 3 for number in range(60)))
    data = few_labels.Data(name="x", config=TextConfig, labels=("a", "b", "c"), train=train, test=train)
    small, large = few_labels.draw(data, 4, 0), few_labels.draw(data, 9, 0)
    assert few_labels.draw(data, 4, 0) == small
    assert few_labels.draw(data, 4, 1) != small
    assert [small.label_ids.count(label_id) for label_id in range(3)] == [4, 4, 4]
    assert set(small.items) < set(large.items)


def test_nothing_is_drawn_twice_or_from_the_test() -> None:
    rest, held_out = Examples(("a", "b", "a", "a", "c"), (0, 1, 1, 1, 0)), Examples(("c",), (0,))
    assert few_labels.distinct(rest, held_out) == Examples(("a", "b"), (1, 1))


def test_few_texts_are_measured_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    configs: list[TrainingConfig] = []
    monkeypatch.setattr(few_labels.recipe, "train", _finish_at_once(configs))
    options = ["--data-dir", str(_messages(tmp_path / "data")), "--only", "sms-spam", "--results", str(tmp_path)]
    few_labels.main([*options, "--per-label", "3", "99", "--draws", "1"])
    few_labels.main([*options, "--per-label", "3", "6", "99", "--draws", "2", "--resume"])
    measured = content_of("few_labels", tmp_path)["results"]
    cells = {(cell["system"], cell["per_label"]): cell for cell in measured["cells"]}
    assert list(cells) == [("default", 3), ("linear model", 3), ("default", 6), ("linear model", 6)]
    assert all(len(cell[name]) == 2 for cell in cells.values() for name in ("scores", "seconds", "networks"))
    assert cells["default", 3]["scores"] == [0.89, 0.89]  # F1 of spam
    assert all(0 < score <= 1 for score in cells["linear model", 6]["scores"])
    assert len(configs) == 4
    assert "sms-spam       6 default        0.890 ± 0.000 (0.890)" in capsys.readouterr().out
    (left_out,) = measured["left_out"]
    table = tables.few_labels(tmp_path)
    assert "| Data | Per label | Default | Linear model | Draws | Time of a training |" in table
    assert "| sms-spam, F1 of spam | 3 | 0.890 ± 0.000 (0.890) |" in table
    assert f"no 99 examples of each label: of one there are {left_out['least']}." in table
    with pytest.raises(SystemExit, match="--test-examples"):
        few_labels.main([*options, "--test-examples", "5", "--resume"])


def test_few_pictures_are_trained_from_nothing_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing.image_folder(tmp_path / "data" / "cifar10", per_label=12)
    options = ["--data-dir", str(tmp_path / "data"), "--only", "cifar10", "--results", str(tmp_path), "--draws", "2"]
    options += ["--per-label", "5", "--test-examples", "9"]
    configs: list[TrainingConfig] = []
    monkeypatch.setattr(few_labels.recipe, "train", _finish_at_once(configs, network="efficientnet_lite2"))
    monkeypatch.setattr(few_labels, "QUICK_FROM", 5)
    few_labels.main([*options, "--quick"])
    assert [getattr(config, "start", "") for config in configs] == [None, None, "none"]
    table = tables.few_labels(tmp_path)
    assert "| cifar10, accuracy | 5 | 0.894 ± 0.000 (0.894) | 0.894 | 1.000 ± 0.000 (1.000) | 2 / 1 / 2 |" in table
    configs.clear()
    monkeypatch.setattr(few_labels.recipe, "train", _finish_at_once(configs, network=DEFAULT))
    few_labels.main(options)
    assert len(configs) == 2  # where the default begins with nothing, both are the same


def test_pictures_are_linked_where_a_training_reads_them(tmp_path: Path) -> None:
    drawing.image_folder(tmp_path / "data" / "cifar10", per_label=6)
    data = few_labels.read("cifar10", tmp_path / "data", 9)
    assert (len(data.train), len(data.test)) == (18, 9)
    few_labels._write(data, tmp_path, {"train": few_labels.draw(data, 4, 0), "test": data.test})
    counts = {part: len(list((tmp_path / "data" / part).glob("*/*.png"))) for part in ("train", "test")}
    assert counts == {"train": 12, "test": 9}


# Photos


def test_photos_are_split_by_the_order_of_their_numbers(tmp_path: Path) -> None:
    for label in ("glass", "paper"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in (1, 2, 9, 10, 11):
            drawing.image((9, 9, 9), number, 8).save(tmp_path / "set" / label / f"{label}{number}.png")
    data = photos.with_splits(tmp_path / "set", tmp_path / "links")
    names = {part: [path.name for path in photos.list_photos(data / part / "glass")] for part in ("train", "test")}
    assert names == {"train": ["glass1.png", "glass2.png", "glass9.png"], "test": ["glass10.png", "glass11.png"]}
    split = drawing.image_folder(tmp_path / "split", per_label=1)
    assert photos.with_splits(split, tmp_path / "links") == split
    drawing.image_folder(tmp_path / "half", per_label=1, splits=("train",))
    with pytest.raises(SystemExit, match="no folder test"):
        photos.with_splits(tmp_path / "half", tmp_path / "links")


def test_data_sets_are_folders_with_folders(tmp_path: Path) -> None:
    for name in ("web/cat", "flowers/rose", "other", "trash/glass"):
        (tmp_path / name).mkdir(parents=True)
    found = photos.find_sets(tmp_path, None, without=(tmp_path / "other", tmp_path / "web"))
    assert [path.name for path in found] == ["flowers", "trash"]
    assert photos.find_sets(tmp_path, ["trash"]) == [tmp_path / "trash"]
    with pytest.raises(SystemExit, match="has no folder glass"):
        photos.find_sets(tmp_path, ["glass"])


def test_photos_have_a_row_for_each_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs: list[TrainingConfig] = []
    monkeypatch.setattr(photos.recipe, "train", _finish_at_once(configs, network="efficientnet_lite2"))
    monkeypatch.setattr(fastai_recipe, "answer", lambda *_: ([0, 1, 2, 0], [0, 1, 2, 2]))
    drawing.image_folder(tmp_path / "sets" / "colours", per_label=4, splits=())
    drawing.image_folder(tmp_path / "web", per_label=2, splits=())
    write_image_checkpoint(tmp_path / "shipped", tuple(drawing.COLOURS))
    (tmp_path / "weights.pth").touch()
    options = ["--photos", str(tmp_path / "sets"), "--results", str(tmp_path), "--minutes", "2", "--device", "cpu"]
    photos.main([*options, "--other", str(tmp_path / "web" / "red")])
    assert [(getattr(config, "start", ""), config.minutes) for config in configs] == [(None, None), ("none", 2)]
    table = tables.photos(tmp_path)
    row = "default: `efficientnet_lite2` | 89.40% (88.80% to 90.00%) |"
    assert f"| colours, 50,000 to train on, 10,000 to test | {row}" in table
    assert "| 5.0% | 0.0% | 95.0% (1.20) | 0.010 |" in table
    assert "given 2 minutes" in table
    assert "without `--weights`" in table
    assert "the 2 of `red`" in table
    options += ["--web", str(tmp_path / "web"), "--checkpoint", str(tmp_path / "shipped")]
    photos.main([*options, "--weights", f"resnet18={tmp_path / 'weights.pth'}"])
    table = tables.photos(tmp_path)
    peer = "resnet18, fine-tuned as by fastai: `resnet18` | 75.00%"
    assert f"| colours, 6 to train on, 4 to test | {peer}" in table
    assert "| web | `shipped` |" in table
    assert "without `--weights`" not in table
    with pytest.raises(SystemExit, match="name of a ResNet"):
        photos.main([*options, "--weights", "resnet18=missing.pth"])
    with pytest.raises(SystemExit, match="has no label"):
        photos.main([*options[:-1], str(write_image_checkpoint(tmp_path / "animals"))])


def test_a_network_is_fine_tuned_as_by_fastai(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = models.resnet18().state_dict()
    torch.save(weights, tmp_path / "resnet18.pth")
    folder = drawing.image_folder(tmp_path / "colours", per_label=4)
    monkeypatch.setattr(fastai_recipe, "BATCH_SIZE", 6)
    settings = fastai_recipe.Settings(device=pick("cpu"), size_px=32, epochs=1)
    answers, label_ids = fastai_recipe.answer("resnet18", tmp_path / "resnet18.pth", folder, settings)
    assert label_ids == [0] * 4 + [1] * 4 + [2] * 4
    assert len(answers) == 12
    stem, stages, head = fastai_recipe.layer_groups("resnet18", weights, 3)
    assert torch.equal(stem[0].weight, weights["conv1.weight"])
    assert torch.equal(stages[-1][-1].bn2.bias, weights["layer4.1.bn2.bias"])
    assert head(torch.zeros(2, 512, 1, 1)).shape == (2, 3)


# Mirrored


def test_mirror_images_are_measured_beside_the_pictures(tmp_path: Path) -> None:
    folder = drawing.image_folder(tmp_path / "data", per_label=8)
    train_image.main(["--data", str(folder), "--model", "simple_cnn", "--epochs", "1", "--out", str(tmp_path / "out")])
    options = ["--data", str(folder), "--checkpoint", str(tmp_path / "out"), "--device", "cpu"]
    mirrored.main([*options, "--results", str(tmp_path)])
    rows = content_of("mirrored", tmp_path)["results"]["rows"]
    manifest = read_manifest(tmp_path / "out")
    assert manifest.scores is not None
    assert [row["way"] for row in rows] == ["as shipped", "and mirrored"]
    assert rows[0]["accuracy"] == pytest.approx(manifest.scores.accuracy)


def test_a_picture_and_its_mirror_image_get_the_same_answer() -> None:
    network = mirrored.Mirrored(networks.build("simple_cnn", num_labels=3, size_px=8))
    images = torch.rand(2, 3, 8, 8)
    assert torch.allclose(network(images), network(images.flip(3)), atol=1e-6)


def test_mirroring_needs_a_checkpoint_for_the_labels(tmp_path: Path) -> None:
    folder = drawing.image_folder(tmp_path / "data", per_label=3)
    write_text_checkpoint(tmp_path / "films", ["blue", "green", "red"])
    write_image_checkpoint(tmp_path / "animals")
    for name in ("films", "animals"):
        with pytest.raises(SystemExit, match="is not a checkpoint for the labels"):
            mirrored.main(["--data", str(folder), "--checkpoint", str(tmp_path / name), "--results", str(tmp_path)])


# Results and tables


def test_documents_are_filled_between_their_markers_and_only_there(
    measured: Path, answered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = tmp_path / "docs" / "benchmarks.md"
    document.parent.mkdir()
    document.write_text("before\n<!-- table:latency -->\nold\n<!-- /table:latency -->\nafter\n", encoding="utf-8")
    arguments = ["--documents", str(tmp_path), "--results", str(answered)]
    with pytest.raises(SystemExit, match=r"docs/benchmarks\.md is out of date"):
        tables.main([*arguments, "--check"])
    tables.main(arguments)
    text = document.read_text(encoding="utf-8")
    assert text.startswith("before\n<!-- table:latency -->\n| Input |")
    assert text.endswith("<!-- /table:latency -->\nafter\n")
    tables.main([*arguments, "--check"])
    assert tables.find(text, "latency") == tables.latency(answered)
    tables.main(["--documents", str(tmp_path), "--results", str(measured)])
    assert "has no <!-- table:tutorial -->" in capsys.readouterr().err
    assert document.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(("name", "document"), tables.DOCUMENTS.items())
def test_the_documents_tables_are_those_of_the_results(name: str, document: str) -> None:
    path = tables.ROOT / document
    text = tables.find(path.read_text(encoding="utf-8"), name) if path.is_file() else None
    table = tables.rendered().get(name)
    if text is None or table is None:
        pytest.skip(f"there is no table {name} yet, or no result for it")
    assert text == table, "run python -m benchmarks.tables"


def test_every_table_has_a_document() -> None:
    assert set(tables.DOCUMENTS) == set(tables.TABLES)


def test_a_command_names_the_variables_that_change_the_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "99")
    record_in(tmp_path, "b", ["--a", "b c"]).save([])
    assert content_of("b", tmp_path)["command"].endswith("99 OMP_NUM_THREADS=1 python -m m --a 'b c'")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.24, "0.2 s"), (59.6, "1 min 0 s"), (750, "12 min 30 s"), (7499, "2 h 5 min")]
)
def test_durations_are_easy_to_read(seconds: float, text: str) -> None:
    assert results.duration(seconds) == text
