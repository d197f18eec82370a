"""Predictions: the same alone, in a batch and from many threads."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import pyclassify
from benchmarks import drawn
from pyclassify import Classifier, InputError
from pyclassify.image import transform
from tests import drawing


@pytest.fixture(scope="module")
def pictures(image_checkpoint: Path) -> Classifier:
    return pyclassify.load(image_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def texts(text_checkpoint: Path) -> Classifier:
    return pyclassify.load(str(text_checkpoint), device="cpu")


def _check(prediction: pyclassify.Prediction, labels: list[str]) -> None:
    values = list(prediction.probabilities.values())
    assert sum(values) == pytest.approx(1, abs=1e-9)
    assert values == sorted(values, reverse=True)
    assert set(prediction.probabilities) == set(labels)
    assert prediction.label == next(iter(prediction.probabilities))


def test_what_it_learned(pictures: Classifier, texts: Classifier) -> None:
    images = [drawing.picture(colour, seed=5) for colour in drawing.COLOURS.values()]
    assert [p.label for p in pictures.predict(images)] == list(drawing.COLOURS)
    answers = texts.predict(["a wonderful film with great acting", "a terrible film with awful acting"])
    assert [p.label for p in answers] == ["good", "bad"]


def test_paths_images_and_arrays_are_one(pictures: Classifier, tmp_path: Path) -> None:
    image = drawing.picture((30, 200, 60), seed=1)
    image.save(tmp_path / "a.png")
    forms = [tmp_path / "a.png", str(tmp_path / "a.png"), image, np.asarray(image)]
    first, *others = pictures.predict(forms)
    assert all(other.probabilities == pytest.approx(first.probabilities, abs=1e-6) for other in others)


@given(st.lists(st.text(alphabet=st.characters(), min_size=1, max_size=60), min_size=1, max_size=8))
@settings(deadline=None, max_examples=50)
def test_batch_of_texts_equals_singles(text_checkpoint: Path, inputs: list[str]) -> None:
    classifier = _once(text_checkpoint)
    try:
        together = classifier.predict(inputs)
    except InputError:
        return
    for text, row in zip(inputs, together, strict=True):
        _check(row, classifier.labels)
        assert row.probabilities == pytest.approx(classifier.predict([text])[0].probabilities, abs=1e-5)


_LOADED: dict[Path, Classifier] = {}


def _once(path: Path) -> Classifier:
    return _LOADED.setdefault(path, pyclassify.load(path, device="cpu"))


@given(st.integers(0, 2**31), st.integers(1, 6))
@settings(deadline=None, max_examples=20)
def test_batch_of_pictures_equals_singles(image_checkpoint: Path, seed: int, count: int) -> None:
    classifier = _once(image_checkpoint)
    generator = np.random.default_rng(seed)
    images = [generator.integers(0, 256, (*generator.integers(1, 80, 2), 3), dtype=np.uint8) for _ in range(count)]
    for image, row in zip(images, classifier.predict(images), strict=True):
        _check(row, classifier.labels)
        assert row.probabilities == pytest.approx(classifier.predict([image])[0].probabilities, abs=1e-5)


def test_more_than_a_batch(texts: Classifier) -> None:
    inputs = [f"{'great ' * (i % 7)}film {i}" for i in range(200)]
    rows = texts.predict(inputs)
    assert len(rows) == 200
    for i in (0, 63, 64, 199):
        assert rows[i].probabilities == pytest.approx(texts.predict([inputs[i]])[0].probabilities, abs=1e-5)


def test_many_threads_get_what_one_gets(pictures: Classifier, texts: Classifier) -> None:
    inputs = [f"a {'wonderful' if i % 2 else 'terrible'} film number {i}" for i in range(60)]
    images = [drawing.picture(list(drawing.COLOURS.values())[i % 3], seed=i) for i in range(60)]
    expected = [texts.predict([each])[0] for each in inputs], [pictures.predict([each])[0] for each in images]
    with ThreadPoolExecutor(8) as pool:
        got_texts = list(pool.map(lambda each: texts.predict([each])[0], inputs))
        got_images = list(pool.map(lambda each: pictures.predict([each])[0], images))
    assert (got_texts, got_images) == expected


def test_nothing_gives_nothing(texts: Classifier, pictures: Classifier) -> None:
    assert texts.predict([]) == []
    assert pictures.predict([]) == []


@pytest.mark.parametrize(
    "single",
    ["a text", b"bytes", Path("cat.jpg"), None, 5, drawing.picture((9, 9, 9), 1), np.zeros((32, 32, 3), np.uint8)],
    ids=str,
)
def test_a_single_input_is_a_mistake_that_is_explained(texts: Classifier, single: object) -> None:
    with pytest.raises(InputError, match="list of inputs"):
        texts.predict(single)  # type: ignore[arg-type]


def test_arrays_of_inputs(texts: Classifier, pictures: Classifier) -> None:
    assert len(texts.predict(np.array(["good", "bad"]))) == 2
    assert len(pictures.predict(np.zeros((2, 32, 32, 3), np.uint8))) == 2
    assert len(pictures.predict(np.zeros((2, 32, 32), np.uint8))) == 2


@pytest.mark.parametrize("bad", ["", "   \n", None, 3])
def test_texts_without_text_are_refused(texts: Classifier, bad: object) -> None:
    with pytest.raises(InputError):
        texts.predict(["fine", bad])


def test_long_texts_are_cut_and_say_so(texts: Classifier) -> None:
    (prediction,) = texts.predict(["great " * 5000])
    assert prediction.notes
    assert "only the first" in prediction.notes[0]
    assert texts.predict(["great"])[0].notes == ()


def test_pictures_without_a_file_are_refused(pictures: Classifier, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        pictures.predict([tmp_path / "none.png"])
    with pytest.raises(InputError, match="an array of shape"):
        pictures.predict([np.zeros((3, 3, 7))])


def test_hangul_means_the_same_composed_and_decomposed(texts: Classifier) -> None:
    composed, decomposed = texts.predict(["정말 좋은 영화", "정말 좋은 영화"])
    assert composed.probabilities == pytest.approx(decomposed.probabilities, abs=1e-6)


def test_exif_rotation_does_not_change_the_answer(pictures: Classifier, tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 32), (220, 40, 40))
    image.paste((40, 60, 220), (0, 0, 32, 8))
    image.save(tmp_path / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.rotate(90).save(tmp_path / "rotated.png", exif=exif)
    upright, rotated = pictures.predict([tmp_path / "upright.png", tmp_path / "rotated.png"])
    assert upright.probabilities == pytest.approx(rotated.probabilities, abs=1e-5)


def test_a_photo_decoded_at_a_reduced_scale_gets_the_answer_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera's 12 megapixels and the shipped network; no probability may differ by 0.02."""
    shipped = pyclassify.load(Path(__file__).parents[1] / "checkpoints" / "cifar10", device="cpu")
    photo = drawn.pictures(tmp_path)["picture, JPEG of 12 megapixels"]
    sizes: list[tuple[int, int]] = []
    draft = transform._draft_size
    monkeypatch.setattr(transform, "_draft_size", lambda image, least: sizes.append(image.size) or draft(image, least))
    (reduced,) = shipped.predict([photo])
    monkeypatch.setattr(transform, "_draft_size", lambda image, least: image.size)
    (whole,) = shipped.predict([photo])
    assert sizes == [drawn.PHOTO_PX]
    assert reduced.probabilities != whole.probabilities
    assert reduced.label == whole.label
    assert reduced.probabilities == pytest.approx(whole.probabilities, abs=0.02)


def test_importing_imports_neither_gradio_nor_torchtext() -> None:
    code = "import sys, pyclassify; print(sorted({'gradio', 'torchtext', 'sklearn', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_repr_is_for_people(texts: Classifier) -> None:
    assert repr(texts) == "<Classifier reviews: text, 2 labels, on cpu>"
