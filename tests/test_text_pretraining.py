"""What is learned where nobody has put labels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pyclassify.errors import DataError
from pyclassify.text import models, pretraining, unlabelled
from pyclassify.text.regions import Regions
from pyclassify.text.transform import PADDING, UNKNOWN, TextTransform
from train import text as command

WORDS = [f"w{i}" for i in range(40)]
TRANSFORM = TextTransform((PADDING, UNKNOWN, *WORDS), tokens="words")


def _regions() -> Regions:
    torch.manual_seed(0)
    return Regions(
        labels=2,
        vocabulary_size=42,
        embedding_size=16,
        channels=16,
        top_channels=8,
        width=3,
        dropout=0.2,
        word_dropout=0.1,
    )


def _texts(count: int) -> list[str]:
    """Half of them of the first twenty words, half of the others: what is said around a word tells which."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 20, (count, 40), generator=generator)
    return [" ".join(WORDS[20 * (row % 2) + word] for word in words) for row, words in enumerate(rows.tolist())]


def test_regions_do_not_see_padding() -> None:
    model = _regions().eval()
    ids, lengths = torch.randint(2, 42, (3, 12)), torch.tensor([12, 5, 1])
    padded = torch.nn.functional.pad(ids, (0, 7), value=33)
    assert torch.allclose(model(ids, lengths), model(padded, lengths), atol=1e-6)
    for row, length in enumerate(lengths.tolist()):
        alone = model(ids[row : row + 1, :length], lengths[row : row + 1])
        assert torch.allclose(model(ids, lengths)[row : row + 1], alone, atol=1e-5)


def test_foretelling_is_learned_and_tells_subjects_apart() -> None:
    model, corpus = _regions(), pretraining.corpus_of(_texts(400), TRANSFORM)
    losses: list[float] = []
    pretraining.pretrain(model, corpus, epochs=8, on_step=lambda progress: losses.append(progress.loss))
    assert losses[-1] < losses[0] - 0.2
    first, second = model.embedding.weight[2:22].mean(dim=0), model.embedding.weight[22:].mean(dim=0)
    own, other = (torch.cosine_similarity(model.embedding.weight[2:22], each, dim=1).mean() for each in (first, second))
    assert own > other + 0.5


def test_pretraining_leaves_the_rest_of_the_network_and_the_random_state_alone() -> None:
    model, corpus = _regions(), pretraining.corpus_of(_texts(60), TRANSFORM)
    before, drawn = {name: each.clone() for name, each in model.state_dict().items()}, torch.random.get_rng_state()
    pretraining.pretrain(model, corpus, epochs=1, seed=3)
    assert torch.equal(drawn, torch.random.get_rng_state())
    changed = {name for name, each in model.state_dict().items() if not torch.equal(each, before[name])}
    assert changed == {"embedding.weight", "region.weight", "region.bias"}


def test_the_same_seed_gives_the_same_regions() -> None:
    corpus = pretraining.corpus_of(_texts(60), TRANSFORM)
    results = []
    for seed in (1, 1, 2):
        model = _regions()
        pretraining.pretrain(model, corpus, epochs=1, seed=seed)
        results.append(model.region.weight.clone())
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_what_was_learned_is_kept_for_a_training_that_is_begun_again(tmp_path: Path) -> None:
    corpus, path = pretraining.corpus_of(_texts(60), TRANSFORM), tmp_path / "name.training" / "pretrained.pt"
    device, steps = torch.device("cpu"), []
    results = []
    for texts in (corpus, corpus, pretraining.corpus_of(_texts(61), TRANSFORM)):
        model = _regions()
        loss = pretraining.pretrain_once(model, texts, path=path, seed=0, device=device, on_step=steps.append)
        results.append((loss, model.region.weight.clone(), len(steps)))
    (first, weight, count), (again, same, unchanged), (_, other, more) = results
    assert (first, count) == (again, unchanged)
    assert torch.equal(weight, same)
    assert more > count
    assert not torch.equal(weight, other)


def test_a_corpus_of_one_word_is_refused() -> None:
    with pytest.raises(DataError, match="too little text"):
        pretraining.pretrain(_regions(), pretraining.corpus_of(["w1 w1 w1"] * 5, TRANSFORM), epochs=1)


def test_many_passes_over_little_text_and_few_over_much() -> None:
    little = pretraining.Corpus(torch.zeros(1000, dtype=torch.int32), torch.tensor([0, 1000]))
    much = pretraining.Corpus(
        torch.zeros(1, dtype=torch.int32).expand(4 * pretraining.MOST_TOKENS), torch.tensor([0, 4])
    )
    assert pretraining.passes_over(little) == 8
    assert pretraining.passes_over(much) == pytest.approx(0.25)


def test_unlabelled_texts_are_read_from_a_folder_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "a.txt").write_text("one text\nof two lines")
    (tmp_path / "deep" / "er" / "b.txt").write_text("another")
    (tmp_path / "deep" / "er" / "c.txt").write_text("another")
    (tmp_path / "deep" / "empty.txt").write_text(" \n")
    (tmp_path / "deep" / "binary.txt").write_bytes(bytes(300))
    (tmp_path / "deep" / "latin.txt").write_bytes("schön".encode("latin-1"))
    (tmp_path / "deep" / ".hidden.txt").write_text("hidden")
    assert unlabelled.read(tmp_path / "deep") == ["one text\nof two lines", "another"]
    assert "schön" in unlabelled.read(tmp_path / "deep", encoding="latin-1")
    lines = tmp_path / "lines.txt"
    lines.write_text("first\n\nsecond\nfirst\n")
    assert unlabelled.read(lines) == ["first", "second"]
    assert unlabelled.without(["a", "b", "c"], ["b"], ["c", "d"]) == ["a"]


@pytest.mark.parametrize("make", ["missing", "empty", "table"])
def test_nothing_unlabelled_to_read_is_said_in_a_sentence(make: str, tmp_path: Path) -> None:
    path = tmp_path / ("table.csv" if make == "table" else "folder")
    if make == "empty":
        path.mkdir()
    if make == "table":
        path.write_text("text\nx\n")
    with pytest.raises(DataError, match=r"unlabelled text"):
        unlabelled.read(path)


def test_the_command_learns_from_unlabelled_texts_but_not_from_those_it_is_tested_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{'ab'[i % 2]}\t{text}" for i, text in enumerate(_texts(80))]
    (tmp_path / "rows.tsv").write_text("\n".join(["label\ttext", *rows]))
    (tmp_path / "more.txt").write_text("\n".join([*_texts(90), "w1 w2 w3"]))
    options = ["--data", str(tmp_path / "rows.tsv"), "--unlabelled", str(tmp_path / "more.txt")]
    command.main([*options, "--tokens", "words", "--epochs", "1", "--out", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "from 11 unlabelled texts" in printed  # the other 80 of 91 have labels, or are kept apart
    info = json.loads((tmp_path / "out" / "config.json").read_text())
    assert info["model"]["arguments"]["top_channels"] == 128
    assert "from 11 unlabelled texts" in (tmp_path / "out" / "README.md").read_text()
    assert not (tmp_path / "out.training").exists()


def test_a_network_of_regions_is_built_from_plain_arguments() -> None:
    arguments = models.arguments_for(
        "wide_deep",
        vocabulary_size=300,
        labels=3,
        tokens="words",
        examples=100,
        total_tokens=5000,
        pretrained=True,
    )
    model = models.build("wide_deep", labels=3, **json.loads(json.dumps(arguments)))
    assert isinstance(model.deep, Regions)
    assert model(torch.ones(2, 4, dtype=torch.int64), torch.tensor([4, 2])).shape == (2, 3)
