"""Texts unlike the training data are told from others, without touching the answers."""

from __future__ import annotations

import copy
import itertools
import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from pyclassify.dataset import Examples
from pyclassify.manifest import Ood
from pyclassify.text import english, networks, ood
from pyclassify.text.data import TextBatches, build_vocabulary
from pyclassify.text.ood import NEVER_SEEN, TextOod, TokenSurprise, count_tokens
from pyclassify.text.transform import TextTransform, Tokens
from pyclassify.training.config import TEXT_NETWORKS

NOUNS = ("film", "story", "actor", "scene", "ending", "music", "joke", "plot")
ADJECTIVES = ("good", "bad", "slow", "funny", "long", "sad", "great", "dull")
ENDINGS = ("and I liked it", "so we left early", "but nobody cared", "and that is all")

Fitted = tuple[nn.Module, Ood, dict[str, Tensor], TextTransform]


def sentence(generator: random.Random) -> str:
    parts = [
        f"the {generator.choice(NOUNS)} was {generator.choice(ADJECTIVES)}" for _ in range(generator.choice((1, 2, 3)))
    ]
    return f"{' and '.join(parts)} {generator.choice(ENDINGS)}"


SENTENCES = [sentence(random.Random(i)) for i in range(400)]


def batches_of(texts: list[str], transform: TextTransform) -> TextBatches:
    return TextBatches(Examples(tuple(texts), tuple(i % 2 for i in range(len(texts)))), transform, batch_size=32)


def make_transform(tokens: Tokens) -> TextTransform:
    return TextTransform(build_vocabulary(SENTENCES[:300], tokens=tokens, max_size=500), tokens=tokens)


def make_network(name: str, transform: TextTransform) -> nn.Module:
    torch.manual_seed(0)
    sizes = {"embedding_size": 8, "hidden_size": 8}
    if name == "wide_deep":
        sizes = {"buckets": 256, "order": 2, "embedding_size": 8, "channels": 8}
    return networks.build(name, num_labels=2, vocabulary_size=len(transform.vocabulary), **sizes).eval()


@pytest.fixture(scope="module", params=["words", "characters"])
def fitted(request: pytest.FixtureRequest) -> Fitted:
    transform = make_transform(request.param)
    network = make_network("wide_deep", transform)
    train, validation = (batches_of(part, transform) for part in (SENTENCES[:300], SENTENCES[300:]))
    return network, *ood.fit(network, train, validation, transform=transform), transform


def collate(transform: TextTransform, texts: list[str]) -> tuple[Tensor, Tensor]:
    return transform.collate([transform(text).tensor for text in texts])


def ood_scores(detector: TextOod, transform: TextTransform, texts: list[str]) -> Tensor:
    return detector.answer(*collate(transform, texts))[1]


def test_about_a_twentieth_of_the_validation_texts_is_refused(fitted: Fitted) -> None:
    network, settings, tensors, transform = fitted
    detector = TextOod(network, settings, tensors)
    scores = ood_scores(detector, transform, SENTENCES[300:])
    assert settings.num_examples == 100
    assert detector.threshold == settings.threshold
    assert list(detector.views) == settings.views == ["energy", "tokens", "order"]
    assert 0.02 <= (scores > detector.threshold).float().mean() <= 0.06


def test_other_words_gibberish_and_jumbles_are_refused(fitted: Fitted) -> None:
    network, settings, tensors, transform = fitted
    detector = TextOod(network, settings, tensors)
    others = [
        "der Zug nach Hamburg hatte heute wieder eine halbe Stunde Verspätung",
        "qwsdf jklpo mnbvc zxsaq poiuy",
        "좋은 영화였다 다시 보고 싶다",
        "def main(argv=None): return sys.exit(run(argv))",
    ]
    assert (ood_scores(detector, transform, others) > detector.threshold).all()
    generator = random.Random(0)
    new = [sentence(generator) for _ in range(50)]
    jumbled = [" ".join(generator.sample(text.split(), len(text.split()))) for text in new]
    assert ood_scores(detector, transform, jumbled).median() > detector.threshold
    assert (ood_scores(detector, transform, new) > detector.threshold).float().mean() < 0.2


@pytest.mark.parametrize(("name", "tokens"), [*itertools.product(TEXT_NETWORKS, ("words", "characters"))])
def test_logits_are_the_networks_own(name: str, tokens: Tokens) -> None:
    transform = make_transform(tokens)
    network = make_network(name, transform)
    batches = batches_of(SENTENCES[:60], transform)
    detector = TextOod(network, *ood.fit(network, batches, batches, transform=transform))
    inputs = collate(transform, SENTENCES[60:70])
    logits, scores = detector.answer(*inputs)
    with torch.inference_mode():
        assert torch.equal(logits, network(*inputs))
    assert scores.isfinite().all()


def test_a_score_is_the_energys_surprise_and_the_largest_of_the_others(fitted: Fitted) -> None:
    network, settings, tensors, transform = fitted
    detector = TextOod(network, settings, tensors)
    inputs = collate(transform, ["the film was good", "qwsdf jklpo", SENTENCES[0]])
    logits, surprises = detector.surprises(*inputs)
    assert surprises.shape == (3, 3)
    total = surprises[:, 0] + surprises[:, 1:].amax(dim=1)
    torch.testing.assert_close(detector.answer(*inputs)[1], total)
    assert torch.equal(logits, detector.answer(*inputs)[0])


def test_a_batch_equals_its_singles_whatever_the_padding_holds(fitted: Fitted) -> None:
    network, settings, tensors, transform = fitted
    detector = TextOod(network, settings, tensors)
    ids, lengths = collate(transform, SENTENCES[:20])
    alone = torch.cat([ood_scores(detector, transform, [text]) for text in SENTENCES[:20]])
    padding = torch.arange(ids.shape[1] + 7) >= lengths.unsqueeze(1)
    for fill in (0, 1, 5):
        longer = nn.functional.pad(ids, (0, 7)).masked_fill(padding, fill)
        torch.testing.assert_close(detector.answer(longer, lengths)[1], alone, atol=1e-4, rtol=1e-5)


def test_many_threads_get_what_one_gets(fitted: Fitted) -> None:
    network, settings, tensors, transform = fitted
    detector = TextOod(network, settings, tensors)
    inputs = [collate(transform, [text]) for text in SENTENCES[:30]]
    expected = [detector.answer(*pair)[1].item() for pair in inputs]
    with ThreadPoolExecutor(8) as pool:
        scores = list(pool.map(lambda pair: detector.answer(*pair)[1].item(), inputs * 4))
    assert scores == pytest.approx(expected * 4, abs=1e-4)


def test_settings_and_tensors_can_be_written_and_read(fitted: Fitted) -> None:
    network, settings, tensors, transform = fitted
    again = TextOod(
        network,
        Ood.model_validate_json(settings.model_dump_json()),
        safetensors.torch.load(safetensors.torch.save(tensors)),
    )
    inputs = collate(transform, SENTENCES[:5])
    assert torch.equal(again.answer(*inputs)[1], TextOod(network, settings, tensors).answer(*inputs)[1])
    assert tensors.keys() == {"tokens", "ngrams", "knots"}
    assert list(json.loads(settings.model_dump_json())["settings"]) == ["order", "word", "usual"]


@pytest.mark.parametrize("num_examples", [1, 2, 10])
def test_few_validation_examples_will_do(num_examples: int) -> None:
    transform = make_transform("words")
    network = make_network("wide_deep", transform)
    train, validation = (batches_of(part, transform) for part in (SENTENCES[:9], SENTENCES[9 : 9 + num_examples]))
    settings, tensors = ood.fit(network, train, validation, transform=transform)
    assert settings.num_examples == num_examples
    assert ood_scores(TextOod(network, settings, tensors), transform, SENTENCES[:20]).isfinite().all()


def test_the_oddest_texts_have_a_score(fitted: Fitted) -> None:
    detector = TextOod(*fitted[:3])
    unknown = torch.ones((1, 4), dtype=torch.int64)
    for ids, length in ((unknown[:, :1], 0), (unknown[:, :1], 1), (unknown, 4), (torch.full((1, 4), 10**6), 4)):
        _, scores = detector.answer(ids, torch.tensor([length]))
        assert scores.isfinite().all()
        assert scores > detector.threshold


def test_ordinary_words_are_not_refused_for_being_few() -> None:
    generator = random.Random(0)
    texts = [" ".join(sentence(generator) for _ in range(generator.randrange(20, 40))) for _ in range(100)]
    transform = make_transform("words")
    network = make_network("wide_deep", transform)
    batches = batches_of(texts, transform)
    detector = TextOod(network, *ood.fit(network, batches, batches, transform=transform))
    short = ["the film", "the film was good", "the ending was sad and I liked it"]
    _, surprises = detector.surprises(*collate(transform, [*short, "asdf"]))
    assert detector.views == ("energy", "tokens", "order")
    surface = surprises[:, 1:].amax(dim=1)
    assert surface[:3].max() < 5 < surface[3]


def test_a_detector_with_a_view_of_the_length_still_works(fitted: Fitted) -> None:
    network, settings, tensors, transform = fitted
    knots = torch.cat([tensors["knots"], torch.linspace(0.001, 0.2, tensors["knots"].shape[1]).unsqueeze(0).double()])
    older = settings.model_copy(update={"views": [*settings.views, "shortness"]})
    _, surprises = TextOod(network, older, {**tensors, "knots": knots}).surprises(
        *collate(transform, ["film", SENTENCES[0]])
    )
    assert surprises.shape == (2, 4)
    assert surprises[0, 3] > surprises[1, 3]


def test_few_texts_set_the_threshold_by_cross_validation() -> None:
    texts = list(dict.fromkeys(SENTENCES))[:60]
    transform = TextTransform(build_vocabulary(texts, tokens="characters", max_size=500), tokens="characters")
    train, nothing = batches_of(texts, transform), batches_of([], transform)
    arguments = {"buckets": 2**12, "order": 3, "channels": 0, "cross_validated": True}
    network = networks.build("wide_deep", num_labels=2, vocabulary_size=len(transform.vocabulary), **arguments)
    assert isinstance(network, networks.WideDeep)
    network.prepare(train)
    answers = network.out_of_fold()
    assert answers is not None
    settings, tensors = ood.fit(network, train, nothing, transform=transform, out_of_fold=answers[0])
    assert settings.num_examples == 60
    detector = TextOod(network.eval(), settings, tensors)
    new = list(dict.fromkeys(SENTENCES))[60:160]
    assert (ood_scores(detector, transform, new) > detector.threshold).float().mean() < 0.2
    others = ["asdf", "for i in range(10): print(i)", "qwsdf jklpo", "좋은 영화였다"]
    assert (ood_scores(detector, transform, others) > detector.threshold).all()
    with pytest.raises(ValueError, match="cross-validation"):
        ood.fit(network, train, nothing, transform=transform)


SUPPORT = [
    f"{opening} {thing} {ending}"
    for opening, things, endings in (
        (
            "I was charged twice for",
            ("my invoice", "the subscription", "this order"),
            ("please refund me", "last month"),
        ),
        ("Please correct", ("the amount on my bill", "my payment details", "the tax"), ("on the invoice", "thank you")),
        ("I cannot open", ("the app", "my account page", "the settings"), ("since the update", "it shows an error")),
        ("There is a crash in", ("the browser", "the installer", "my phone"), ("when I log in", "after restarting")),
    )
    for thing in things
    for ending in endings
]


def test_a_model_of_few_english_texts_refuses_other_subjects() -> None:
    transform = TextTransform(build_vocabulary(SUPPORT, tokens="characters", max_size=500), tokens="characters")
    examples = Examples(tuple(SUPPORT), tuple(int(i >= len(SUPPORT) // 2) for i in range(len(SUPPORT))))
    train = TextBatches(examples, transform, batch_size=32)
    arguments = {"buckets": 2**12, "order": 4, "channels": 0, "cross_validated": True}
    network = networks.build("wide_deep", num_labels=2, vocabulary_size=len(transform.vocabulary), **arguments)
    assert isinstance(network, networks.WideDeep)
    network.prepare(train)
    answers = network.out_of_fold()
    assert answers is not None
    settings, tensors = ood.fit(
        network.eval(),
        train,
        batches_of([], transform),
        transform=transform,
        out_of_fold=answers[0],
        word_vectors=english.load(),
    )
    assert settings.views == ["energy", "tokens", "order", "meaning"]
    detector = TextOod(network, settings, safetensors.torch.load(safetensors.torch.save(tensors)))
    others = ["asdf", "I love you", "The weather will be sunny tomorrow", "for i in range(10): print(i)"]
    assert (ood_scores(detector, transform, others) > detector.threshold).all()
    own = ["I was charged twice for this order", "Please correct the tax on my bill", "I cannot open the app"]
    assert (ood_scores(detector, transform, own) <= detector.threshold).all()
    for name in ("words", "bank", "vocabulary"):
        with pytest.raises(ValueError, match=r"missing|vectors"):
            TextOod(network, settings, {other: tensor for other, tensor in tensors.items() if other != name})


def test_word_vectors_tell_what_a_text_is_about() -> None:
    vectors = english.load()
    rain, sun, doctor, nothing = vectors(["rain and wind", "the sun and clouds", "a doctor", "zxqj \ufffdbill 좋은"])
    assert rain @ sun > rain @ doctor + 0.3
    assert float(rain @ rain) == pytest.approx(1)
    assert not nothing.any()
    assert vectors.coverage(["the film was good"]) == 1
    assert vectors.coverage(["좋은 영화였다"]) == 0
    with pytest.raises(ValueError, match="vectors"):
        english.WordVectors({**vectors.tensors, "vectors": torch.zeros(2, 3, dtype=torch.int8)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda settings, tensors: tensors.pop("knots"), "knots"),
        (lambda settings, tensors: tensors.update(knots=torch.zeros(2, 2)), "knots"),
        (lambda settings, tensors: tensors.update(knots=-tensors["knots"]), "knots"),
        (lambda settings, tensors: tensors["knots"].fill_(float("nan")), "knots"),
        (lambda settings, tensors: tensors.pop("tokens"), "tokens"),
        (lambda settings, tensors: tensors.update(ngrams=torch.zeros(3, dtype=torch.int16)), "ngrams"),
        (lambda settings, tensors: settings.update(threshold=float("inf")), "threshold"),
        (lambda settings, tensors: settings.pop("threshold"), "threshold"),
        (lambda settings, tensors: settings.update(views=["energy"]), "views"),
        (lambda settings, tensors: settings["settings"].update(order=99), "order"),
        (lambda settings, tensors: settings["settings"].update(order=True), "order"),
        (lambda settings, tensors: settings["settings"].update(usual=3), "usual"),
        (lambda settings, tensors: settings["settings"]["usual"]["tokens"].update(between=0.0), "between"),
        (lambda settings, tensors: settings["settings"].pop("word"), "word"),
    ],
)
def test_parts_that_do_not_fit_are_refused(fitted: Fitted, change: Callable[[Any, Any], Any], message: str) -> None:
    network = fitted[0]
    settings, tensors = fitted[1].model_dump(), copy.deepcopy(fitted[2])
    change(settings, tensors)
    with pytest.raises(ValueError, match=message):
        TextOod(network, Ood.model_validate(settings), tensors)


def test_a_token_costs_the_logarithm_of_its_share() -> None:
    transform = make_transform("words")
    batches = batches_of(SENTENCES[:300], transform)
    tensors = count_tokens(batches, vocabulary_size=len(transform.vocabulary), order=2)
    words = [word for text in SENTENCES[:300] for word in text.lower().split()]
    place = transform.vocabulary.index("the")
    assert tensors["tokens"][place] / 16 == pytest.approx(np.log(len(words) / words.count("the")), abs=0.04)
    assert tensors["tokens"][1] == NEVER_SEEN
    # after "the" comes one of the nouns
    surprise = TokenSurprise(tensors, 2)
    _, costs = surprise(*collate(transform, ["the film"]))
    following = [second for first, second in itertools.pairwise(words) if first == "the"]
    assert costs[1, 0, 1] == pytest.approx(np.log(len(following) / following.count("film")), abs=0.04)
