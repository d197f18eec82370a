"""What is not like the training data is told from what is, without touching the answers."""

from __future__ import annotations

import copy
import itertools
import json
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from pyclassify.examples import Examples
from pyclassify.image import known as image_known
from pyclassify.image import models as image_models
from pyclassify.image.data import Decoded, ImageBatches
from pyclassify.image.transform import ImageTransform
from pyclassify.known import LEVELS, Scale, Taps, View, fit_scale
from pyclassify.text import known as text_known
from pyclassify.text import models as text_models
from pyclassify.text.data import TextBatches, build_vocabulary
from pyclassify.text.surprise import NEVER, Surprise
from pyclassify.text.surprise import fit as count
from pyclassify.text.transform import TextTransform
from tests import drawing

PICTURES = ImageTransform(size_px=32)
NOUNS = ("film", "story", "actor", "scene", "ending", "music", "joke", "plot")
ADJECTIVES = ("good", "bad", "slow", "funny", "long", "sad", "great", "dull")
ENDINGS = ("and I liked it", "so we left early", "but nobody cared", "and that is all")


def _drawn(names: tuple[str, ...], seeds: range) -> tuple[Tensor, list[int]]:
    """So many pictures of each shape."""
    pairs = [(drawing.shape(name, seed), label_id) for label_id, name in enumerate(names) for seed in seeds]
    return torch.stack([PICTURES(image).tensor for image, _ in pairs]), [label_id for _, label_id in pairs]


def _image_batches(pixels: Tensor, label_ids: list[int]) -> ImageBatches:
    names = tuple(Path(str(i)) for i in range(len(pixels)))
    return ImageBatches(Decoded(pixels, Examples(names, tuple(label_ids)), ()), PICTURES, batch_size=32)


TRAIN = _drawn(drawing.SHAPES, range(40))
VALIDATION = _drawn(drawing.SHAPES, range(1000, 1040))


def _sentence(generator: random.Random) -> str:
    parts = [
        f"the {generator.choice(NOUNS)} was {generator.choice(ADJECTIVES)}" for _ in range(generator.choice((1, 2, 3)))
    ]
    return f"{' and '.join(parts)} {generator.choice(ENDINGS)}"


SENTENCES = [_sentence(random.Random(i)) for i in range(400)]


def _text_batches(texts: list[str], transform: TextTransform) -> TextBatches:
    return TextBatches(Examples(tuple(texts), tuple(i % 2 for i in range(len(texts)))), transform, batch_size=32)


def _transform(tokens: str) -> TextTransform:
    vocabulary = build_vocabulary(SENTENCES[:300], tokens=tokens, max_size=500)  # type: ignore[arg-type]
    return TextTransform(vocabulary, tokens=tokens)  # type: ignore[arg-type]


def _text_model(name: str, transform: TextTransform) -> nn.Module:
    torch.manual_seed(0)
    size = len(transform.vocabulary)
    arguments = (
        {"vocabulary_size": size, "embedding_size": 8, "hidden_size": 8}
        if name == "lstm"
        else {"vocabulary_size": size, "buckets": 256, "order": 2, "embedding_size": 8, "channels": 8}
    )
    return text_models.build(name, labels=2, **arguments).eval()


def _fitted_image(name: str, step: int = 1) -> tuple[nn.Module, dict[str, Any], dict[str, Tensor]]:
    torch.manual_seed(0)
    model = image_models.build(name, labels=3, size_px=32).eval()
    train, validation = (_image_batches(pixels[::step], ids[::step]) for pixels, ids in (TRAIN, VALIDATION))
    return model, *image_known.fit(model, train, validation, transform=PICTURES)


@pytest.fixture(scope="module")
def picture() -> tuple[nn.Module, dict[str, Any], dict[str, Tensor]]:
    return _fitted_image("whitened_convnet")


@pytest.fixture(scope="module", params=["words", "characters"])
def text(request: pytest.FixtureRequest) -> tuple[nn.Module, dict[str, Any], dict[str, Tensor], TextTransform]:
    transform = _transform(request.param)
    model = _text_model("wide_deep", transform)
    train, validation = (_text_batches(part, transform) for part in (SENTENCES[:300], SENTENCES[300:]))
    return model, *text_known.fit(model, train, validation, transform=transform), transform


def _strangeness(known: Any, transform: Any, things: list[Any]) -> Tensor:
    found: Tensor = known.answer(*transform.collate([transform(each).tensor for each in things]))[1]
    return found


def test_about_a_twentieth_of_new_pictures_is_refused(picture: Any) -> None:
    known = image_known.Known(*picture)
    assert picture[1]["validation"] == len(VALIDATION[0]) == 120
    pixels, _ = _drawn(drawing.SHAPES, range(2000, 2100))
    _, strangeness = known.answer(*PICTURES.collate(list(pixels)))
    assert 0.01 <= (strangeness > known.threshold).float().mean() <= 0.1


@pytest.mark.parametrize("examples", [10, 20, 50])
def test_few_validation_examples_do_not_make_ordinary_inputs_strange(examples: int) -> None:
    views = [View(name=str(number), is_surface=number == 1, is_two_sided=number == 1) for number in range(6)]
    generator, refused = np.random.default_rng(0), []
    for _ in range(40):
        mixed = generator.normal(size=(6, 6))
        seen, new = (generator.normal(size=(count, 6)) @ mixed for count in (examples, 100))
        config, tensors = fit_scale(seen.tolist(), views)
        scale = Scale(config, tensors, views)
        refused.append((scale(new.tolist()) > scale.threshold).float().mean().item())
    assert 0.01 < np.mean(refused) < 0.08


def test_about_a_twentieth_of_the_validation_texts_is_refused(text: Any) -> None:
    model, config, tensors, transform = text
    known = text_known.Known(model, config, tensors)
    strangeness = _strangeness(known, transform, SENTENCES[300:])
    assert config["validation"] == 100
    assert 0.02 <= (strangeness > known.threshold).float().mean() <= 0.06


def test_noise_and_flat_colour_are_stranger_than_any_picture(picture: Any) -> None:
    known = image_known.Known(*picture)
    generator = np.random.default_rng(0)
    noise = [generator.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(20)]
    flat = [np.full((32, 32, 3), value, dtype=np.uint8) for value in range(0, 250, 25)]
    ordinary = known.answer(*PICTURES.collate(list(_drawn(drawing.SHAPES, range(2000, 2020))[0])))[1]
    assert _strangeness(known, PICTURES, noise).min() > ordinary.max()
    assert (_strangeness(known, PICTURES, flat) > known.threshold).all()


def test_other_words_gibberish_and_jumbles_are_refused(text: Any) -> None:
    model, config, tensors, transform = text
    known = text_known.Known(model, config, tensors)
    others = [
        "der Zug nach Hamburg hatte heute wieder eine halbe Stunde Verspätung",
        "qwsdf jklpo mnbvc zxsaq poiuy",
        "좋은 영화였다 다시 보고 싶다",
        "def main(argv=None): return sys.exit(run(argv))",
    ]
    assert (_strangeness(known, transform, others) > known.threshold).all()
    generator = random.Random(0)
    new = [_sentence(generator) for _ in range(50)]
    jumbled = [" ".join(generator.sample(each.split(), len(each.split()))) for each in new]
    assert _strangeness(known, transform, jumbled).median() > known.threshold
    assert (_strangeness(known, transform, new) > known.threshold).float().mean() < 0.2


@pytest.mark.parametrize("name", image_models.NAMES)
def test_logits_of_pictures_are_the_networks_own(name: str) -> None:
    model, config, tensors = _fitted_image(name, step=4)
    inputs = PICTURES.collate(list(VALIDATION[0][::10]))
    before = model(*inputs)
    known = image_known.Known(model, config, tensors)
    logits, strangeness = known.answer(*inputs)
    assert torch.equal(logits, before)
    assert torch.equal(model(*inputs), before)
    assert strangeness.shape == (12,)
    assert strangeness.isfinite().all()
    assert sum(each.nbytes for each in tensors.values()) < 600_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "mobilenet_v3_small", "vit_b_16", "swin_t"])
def test_networks_of_torchvision_are_looked_into_too(name: str) -> None:
    torch.manual_seed(0)
    model = image_models.build(name, labels=3, size_px=32).eval()
    few = _image_batches(TRAIN[0][::12], TRAIN[1][::12])
    config, tensors = image_known.fit(model, few, few)
    inputs = PICTURES.collate(list(VALIDATION[0][::30]))
    before = model(*inputs)
    logits, strangeness = image_known.Known(model, config, tensors).answer(*inputs)
    assert torch.equal(logits, before)
    assert strangeness.isfinite().all()
    assert len(config["layers"]) >= 1
    assert sum(each.nbytes for each in tensors.values()) < 600_000


@pytest.mark.parametrize(("name", "tokens"), [*itertools.product(text_models.NAMES, ("words", "characters"))])
def test_logits_of_texts_are_the_networks_own(name: str, tokens: str) -> None:
    transform = _transform(tokens)
    model = _text_model(name, transform)
    batches = _text_batches(SENTENCES[:60], transform)
    known = text_known.Known(model, *text_known.fit(model, batches, batches, transform=transform))
    inputs = transform.collate([transform(each).tensor for each in SENTENCES[60:70]])
    logits, strangeness = known.answer(*inputs)
    with torch.inference_mode():
        assert torch.equal(logits, model(*inputs))
    assert strangeness.isfinite().all()


def test_a_batch_of_pictures_equals_its_singles(picture: Any) -> None:
    known = image_known.Known(*picture)
    tensors = list(VALIDATION[0][::8])
    together = known.answer(*PICTURES.collate(tensors))[1]
    alone = torch.cat([known.answer(*PICTURES.collate([each]))[1] for each in tensors])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-5)


def test_a_batch_of_texts_equals_its_singles_whatever_the_padding_holds(text: Any) -> None:
    model, config, tensors, transform = text
    known = text_known.Known(model, config, tensors)
    ids, lengths = transform.collate([transform(each).tensor for each in SENTENCES[:20]])
    alone = torch.cat([_strangeness(known, transform, [each]) for each in SENTENCES[:20]])
    padding = torch.arange(ids.shape[1] + 7) >= lengths.unsqueeze(1)
    for fill in (0, 1, 5):
        longer = nn.functional.pad(ids, (0, 7)).masked_fill(padding, fill)
        torch.testing.assert_close(known.answer(longer, lengths)[1], alone, atol=1e-4, rtol=1e-5)


def test_many_threads_get_what_one_gets(picture: Any, text: Any) -> None:
    model, config, tensors, transform = text
    pictures, texts = image_known.Known(*picture), text_known.Known(model, config, tensors)
    inputs = [PICTURES.collate([each]) for each in VALIDATION[0][:30]]
    sentences = [transform.collate([transform(each).tensor]) for each in SENTENCES[:30]]
    with ThreadPoolExecutor(8) as pool:
        for known, asked in ((pictures, inputs), (texts, sentences)):
            wanted = [known.answer(*each)[1].item() for each in asked]
            found = list(pool.map(lambda each, known=known: known.answer(*each)[1].item(), asked * 4))
            assert found == pytest.approx(wanted * 4, abs=1e-4)


def test_what_is_kept_can_be_written_and_read(picture: Any, text: Any) -> None:
    model, config, tensors, transform = text
    for kind, one, settings, numbers, inputs in (
        (image_known.Known, *picture, PICTURES.collate(list(VALIDATION[0][:5]))),
        (
            text_known.Known,
            model,
            config,
            tensors,
            transform.collate([transform(each).tensor for each in SENTENCES[:5]]),
        ),
    ):
        read = safetensors.torch.load(safetensors.torch.save(numbers))
        again = kind(one, json.loads(json.dumps(settings, allow_nan=False)), read)
        assert torch.equal(again.answer(*inputs)[1], kind(one, settings, numbers).answer(*inputs)[1])


def test_fitting_leaves_nothing_behind_in_the_network() -> None:
    model, _, _ = _fitted_image("simple_cnn", step=10)
    assert all(not each._forward_hooks and not each._forward_pre_hooks for each in model.modules())


def test_a_network_that_is_asked_can_be_copied(picture: Any) -> None:
    model, config, tensors = picture
    image_known.Known(model, config, tensors)
    inputs = PICTURES.collate(list(VALIDATION[0][:2]))
    assert torch.equal(copy.deepcopy(model)(*inputs), model(*inputs))


def test_hooks_are_deaf_after_an_error() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 3))
    taps = Taps(model, outputs={"0": torch.clone}, inputs={})
    with pytest.raises(RuntimeError):
        taps(torch.zeros(1, 2))
    model[1] = nn.Linear(2, 2)
    model(torch.ones(1, 2))
    _, seen = taps(torch.zeros(1, 2))
    torch.testing.assert_close(seen["0"], model[0](torch.zeros(1, 2)))
    with pytest.raises(ValueError, match="no layer 'nine'"):
        Taps(model, outputs={"nine": torch.clone}, inputs={})


@pytest.mark.parametrize("examples", [1, 2, 10])
def test_few_validation_examples_will_do(examples: int) -> None:
    torch.manual_seed(0)
    model = image_models.build("simple_cnn", labels=3, size_px=32).eval()
    few = _image_batches(VALIDATION[0][:examples], VALIDATION[1][:examples])
    known = image_known.Known(model, *image_known.fit(model, _image_batches(*TRAIN), few))
    assert known.answer(*PICTURES.collate(list(VALIDATION[0])))[1].isfinite().all()
    transform = _transform("words")
    texts = _text_model("wide_deep", transform)
    fitted = text_known.fit(
        texts,
        _text_batches(SENTENCES[:9], transform),
        _text_batches(SENTENCES[9 : 9 + examples], transform),
        transform=transform,
    )
    assert fitted[0]["validation"] == examples
    assert _strangeness(text_known.Known(texts, *fitted), transform, SENTENCES[:20]).isfinite().all()


def test_the_oddest_texts_have_a_strangeness(text: Any) -> None:
    known = text_known.Known(*text[:3])
    unknown = torch.ones((1, 4), dtype=torch.int64)
    for ids, lengths in (
        (unknown[:, :1], [0]),
        (unknown[:, :1], [1]),
        (unknown, [4]),
        (torch.full((1, 4), 10**6), [4]),
    ):
        _, strangeness = known.answer(ids, torch.tensor(lengths))
        assert strangeness.isfinite().all()
        assert strangeness > known.threshold


def test_a_sentence_of_ordinary_words_is_no_stranger_for_being_short() -> None:
    """Where all training texts are long, a word costs more than a sentence, and a sentence not everything."""
    view = next(each for each in text_known._views({"word": 1}) if each.name == "shortness")
    config, tensors = fit_scale([[1 / length] for length in range(200, 300)], [view])
    scale = Scale(config, tensors, [view])
    word, sentence, usual = scale([[1.0], [1 / 8], [1 / 250]]).tolist()
    assert usual < sentence < usual + 3 < word


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config, tensors: tensors.pop("knots"), "knots is missing"),
        (lambda config, tensors: tensors.update(knots=torch.zeros(2, 2)), "knots has shape"),
        (lambda config, tensors: tensors.update(knots=-tensors["knots"]), "do not rise"),
        (lambda config, tensors: tensors["knots"].fill_(float("nan")), "no number"),
        (lambda config, tensors: config.update(threshold=float("inf")), "threshold must be a number"),
        (lambda config, tensors: config.pop("threshold"), "threshold must be a number"),
        (lambda config, tensors: config.update(views=["energy"]), "views"),
    ],
)
def test_what_does_not_fit_is_refused(picture: Any, text: Any, change: Any, message: str) -> None:
    for kind, (model, config, tensors) in ((image_known.Known, picture), (text_known.Known, text[:3])):
        config, tensors = copy.deepcopy(config), copy.deepcopy(tensors)
        change(config, tensors)
        with pytest.raises(ValueError, match=message):
            kind(model, config, tensors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config, tensors: config.update(layers=["stages.9"]), "no layer"),
        (lambda config, tensors: config.update(layers=["stages"]), "no layer"),
        (lambda config, tensors: config.update(head=3), "names of layers"),
        (lambda config, tensors: tensors.update({"patches.convolution.center": torch.zeros(3)}), "has shape"),
        (lambda config, tensors: tensors.pop("patches.convolution.directions"), "is missing"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(picture: Any, change: Any, message: str) -> None:
    model, config, tensors = picture[0], copy.deepcopy(picture[1]), copy.deepcopy(picture[2])
    change(config, tensors)
    with pytest.raises(ValueError, match=message):
        image_known.Known(model, config, tensors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda config, tensors: config.update(order=99), "order must be"),
        (lambda config, tensors: config.update(usual=3), "usual"),
        (lambda config, tensors: config["usual"]["tokens"].update(between=0.0), "variances"),
        (lambda config, tensors: config.pop("word"), "word must be a number"),
        (lambda config, tensors: tensors.pop("tokens"), "cannot be"),
        (lambda config, tensors: tensors.update(ngrams=torch.zeros(3, dtype=torch.int16)), "cannot be"),
    ],
)
def test_texts_that_do_not_fit_are_refused(text: Any, change: Any, message: str) -> None:
    model, config, tensors = text[0], copy.deepcopy(text[1]), copy.deepcopy(text[2])
    change(config, tensors)
    with pytest.raises(ValueError, match=message):
        text_known.Known(model, config, tensors)


def test_a_token_costs_the_logarithm_of_its_share() -> None:
    transform = _transform("words")
    batches = _text_batches(SENTENCES[:300], transform)
    tensors = count(batches, vocabulary_size=len(transform.vocabulary), order=2)
    words = [word for each in SENTENCES[:300] for word in each.lower().split()]
    place = transform.vocabulary.index("the")
    assert tensors["tokens"][place] / 16 == pytest.approx(np.log(len(words) / words.count("the")), abs=0.04)
    assert tensors["tokens"][1] == NEVER
    # after "the" comes one of the nouns, and before it nothing or "and"
    surprise = Surprise(tensors, 2)
    _, costs = surprise(*transform.collate([transform("the film").tensor]))
    following = [b for a, b in itertools.pairwise(words) if a == "the"]
    assert costs[1, 0, 1] == pytest.approx(np.log(len(following) / following.count("film")), abs=0.04)


def test_a_scale_is_even_and_goes_on_beyond_its_end() -> None:
    views = [View(name="one", is_surface=False), View(name="two", is_surface=True, is_two_sided=True)]
    values = torch.linspace(0, 1, 1001).tolist()
    config, tensors = fit_scale([[each, each] for each in values], views)
    scale = Scale(config, tensors, views)
    assert tensors["knots"].shape == (2, LEVELS + 2)
    surprises = torch.tensor(
        scale.surprises([[0.5, 0.5], [0.9, 0.9], [0.1, 0.1], [2.0, 2.0], [3.0, 3.0], [-1.0, -1.0]])
    )
    assert surprises[:3, 0].tolist() == pytest.approx([np.log(2), np.log(10), -np.log(0.9)], abs=0.02)
    assert surprises[:3, 1].tolist() == pytest.approx([0, np.log(5), np.log(5)], abs=0.02)
    assert (surprises[4] > surprises[3]).all()
    assert surprises[5, 0] < 0.2
    assert surprises[5, 1] > 5
    assert scale([[float("nan"), 0.5], [float("inf"), 0.5], [-float("inf"), 0.5]]).isfinite().all()
