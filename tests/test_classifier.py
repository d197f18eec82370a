"""Predictions: the same alone, in a batch and from many threads."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

import pyclassify
from pyclassify import Classifier, ConfigError, InputError, classifier
from pyclassify.manifest import COVERAGES, Calibration
from tests import drawing, fakes

KEPT = Path(__file__).with_name("kept")


@pytest.fixture(scope="module")
def images(image_checkpoint: Path) -> Classifier:
    return pyclassify.load(image_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def texts(text_checkpoint: Path) -> Classifier:
    return pyclassify.load(str(text_checkpoint), device="cpu")


@pytest.fixture(scope="module")
def small_images() -> Classifier:
    return pyclassify.load(KEPT / "2026-11-image-simple_cnn" / "checkpoint", device="cpu")


@pytest.fixture(scope="module")
def small_texts() -> Classifier:
    return pyclassify.load(KEPT / "2026-11-text-wide_deep" / "checkpoint", device="cpu")


def check(prediction: pyclassify.Prediction, labels: list[str]) -> None:
    values = list(prediction.probabilities.values())
    assert sum(values) == pytest.approx(1, abs=1e-9)
    assert values == sorted(values, reverse=True)
    assert set(prediction.probabilities) == set(labels)
    assert prediction.label == next(iter(prediction.probabilities))
    assert prediction.prediction_set[:1] in ((), (prediction.label,))


def refused(call: Callable[[], object]) -> InputError:
    with pytest.raises(InputError) as caught:
        call()
    return caught.value


def test_trained_checkpoints_know_what_they_learned(images: Classifier, texts: Classifier) -> None:
    squares = [drawing.image(colour, seed=5) for colour in drawing.COLOURS.values()]
    assert [prediction.label for prediction in images.predict(squares)] == list(drawing.COLOURS)
    answers = texts.predict(["a wonderful film with great acting", "a terrible film with awful acting"])
    assert [prediction.label for prediction in answers] == ["good", "bad"]


def test_paths_images_and_arrays_are_one(small_images: Classifier, tmp_path: Path) -> None:
    image = drawing.image((30, 200, 60), seed=1)
    image.save(tmp_path / "a.png")
    forms = [tmp_path / "a.png", str(tmp_path / "a.png"), image, np.asarray(image)]
    first, *others = small_images.predict(forms)
    assert all(other.probabilities == pytest.approx(first.probabilities, abs=1e-6) for other in others)


@given(inputs=st.lists(st.text(alphabet=st.characters(), min_size=1, max_size=60), min_size=1, max_size=8))
@settings(deadline=None, max_examples=50)
def test_a_batch_of_texts_equals_its_singles(small_texts: Classifier, inputs: list[str]) -> None:
    try:
        together = small_texts.predict(inputs)
    except InputError:
        return
    for text, row in zip(inputs, together, strict=True):
        check(row, small_texts.labels)
        (single,) = small_texts.predict([text])
        assert row.probabilities == pytest.approx(single.probabilities, abs=1e-5)
        assert (row.known, row.prediction_set) == (single.known, single.prediction_set)


@given(seed=st.integers(0, 2**31), count=st.integers(1, 6))
@settings(deadline=None, max_examples=20)
def test_a_batch_of_images_equals_its_singles(small_images: Classifier, seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    arrays = [generator.integers(0, 256, (*generator.integers(1, 80, 2), 3), dtype=np.uint8) for _ in range(count)]
    for array, row in zip(arrays, small_images.predict(arrays), strict=True):
        check(row, small_images.labels)
        assert row.probabilities == pytest.approx(small_images.predict([array])[0].probabilities, abs=1e-5)


def test_more_inputs_than_fit_into_a_batch(small_texts: Classifier) -> None:
    inputs = [f"{'great ' * (i % 7)}film {i}" for i in range(200)]
    rows = small_texts.predict(inputs)
    assert len(rows) == 200
    for i in (0, 63, 64, 199):
        assert rows[i].probabilities == pytest.approx(small_texts.predict([inputs[i]])[0].probabilities, abs=1e-5)


def test_many_threads_get_the_answers_of_one(small_images: Classifier, small_texts: Classifier) -> None:
    inputs = [f"{'감동이 남는' if i % 2 else '지루하고 뻔한'} 영화 {i}번째" for i in range(60)]
    squares = [drawing.image(list(drawing.COLOURS.values())[i % 3], seed=i) for i in range(60)]
    expected = (
        [small_texts.predict([text])[0] for text in inputs],
        [small_images.predict([square])[0] for square in squares],
    )
    with ThreadPoolExecutor(8) as pool:
        of_texts = list(pool.map(lambda text: small_texts.predict([text])[0], inputs))
        of_images = list(pool.map(lambda square: small_images.predict([square])[0], squares))
    assert (of_texts, of_images) == expected


def test_nothing_gives_nothing(small_texts: Classifier, small_images: Classifier) -> None:
    assert small_texts.predict([]) == []
    assert small_images.predict([]) == []


@pytest.mark.parametrize(
    "single",
    ["a text", b"bytes", Path("cat.jpg"), None, 5, drawing.image((9, 9, 9), 1), np.zeros((32, 32, 3), np.uint8)],
    ids=str,
)
def test_a_single_input_is_refused(small_texts: Classifier, single: Any) -> None:
    assert refused(lambda: small_texts.predict(single)).code == "predict_takes_a_list"


def test_an_open_file_is_a_single_input(small_texts: Classifier, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    with (tmp_path / "a.txt").open() as file:
        assert refused(lambda: small_texts.predict(file)).code == "predict_takes_a_list"


def test_arrays_of_inputs(small_texts: Classifier, small_images: Classifier) -> None:
    assert len(small_texts.predict(np.array(["good", "bad"]))) == 2
    assert len(small_images.predict(np.zeros((2, 32, 32, 3), np.uint8))) == 2
    assert len(small_images.predict(np.zeros((2, 32, 32), np.uint8))) == 2


@pytest.mark.parametrize("bad", ["", "   \n", None, 3])
def test_texts_without_text_are_refused(small_texts: Classifier, bad: Any) -> None:
    refused(lambda: small_texts.predict(["fine", bad]))


def test_long_texts_are_cut_with_a_note(small_texts: Classifier) -> None:
    (prediction,) = small_texts.predict(["great " * 5000])
    (note,) = prediction.notes
    assert note.fields == {"kept": 1022, "total": 29_999}
    assert small_texts.predict(["great"])[0].notes == ()


def test_images_that_are_none_are_refused(small_images: Classifier, tmp_path: Path) -> None:
    refused(lambda: small_images.predict([tmp_path / "none.png"]))
    refused(lambda: small_images.predict([np.zeros((3, 3, 7))]))


def test_hangul_means_the_same_composed_and_decomposed(small_texts: Classifier) -> None:
    composed, decomposed = small_texts.predict(["정말 좋은 영화", "정말 좋은 영화"])
    assert composed.probabilities == pytest.approx(decomposed.probabilities, abs=1e-6)


def test_exif_rotation_does_not_change_the_answer(small_images: Classifier, tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 32), (220, 40, 40))
    image.paste((40, 60, 220), (0, 0, 32, 8))
    image.save(tmp_path / "upright.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.rotate(90).save(tmp_path / "rotated.png", exif=exif)
    upright, rotated = small_images.predict([tmp_path / "upright.png", tmp_path / "rotated.png"])
    assert upright.probabilities == pytest.approx(rotated.probabilities, abs=1e-5)


def test_a_photo_decoded_at_a_reduced_scale_gets_the_answer_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A camera's 12 megapixels and the shipped network; no probability may differ by 0.02."""
    shipped = pyclassify.load(Path(__file__).parents[1] / "checkpoints" / "cifar10", device="cpu")
    photo = tmp_path / "photo.jpg"
    drawing.photo(4000, 3000).save(photo, quality=90)
    drafts: list[Any] = []
    draft = JpegImageFile.draft

    def recorded(self: JpegImageFile, *arguments: Any) -> Any:
        drafts.append(arguments)
        return draft(self, *arguments)

    monkeypatch.setattr(JpegImageFile, "draft", recorded)
    (reduced,) = shipped.predict([photo])
    monkeypatch.setattr(JpegImageFile, "draft", lambda self, *args: None)
    (whole,) = shipped.predict([photo])
    assert drafts
    assert reduced.probabilities != whole.probabilities
    assert reduced.label == whole.label
    assert reduced.probabilities == pytest.approx(whole.probabilities, abs=0.02)


# Calibration


CALIBRATION = {"temperature": 2.0, "thresholds": {"0.90": 1.0, "0.95": 0.2, "0.99": 0.0}, "num_examples": 100}


def test_logits_are_divided_by_the_temperature(tmp_path: Path) -> None:
    def log_odds(temperature: float) -> float:
        path = fakes.write_text_checkpoint(tmp_path / "a", calibration={"temperature": temperature})
        (prediction,) = pyclassify.load(path, device="cpu").predict(["good film"])
        return float(np.log(prediction.probabilities["positive"] / prediction.probabilities["negative"]))

    assert log_odds(2.0) == pytest.approx(log_odds(1.0) / 2, abs=1e-6)


def test_without_calibration_nothing_is_promised(tmp_path: Path) -> None:
    (prediction,) = pyclassify.load(fakes.write_text_checkpoint(tmp_path / "a"), device="cpu").predict(["good film"])
    assert (prediction.prediction_set, prediction.known) == ((), None)


def test_the_prediction_set_follows_the_coverage(tmp_path: Path) -> None:
    path = fakes.write_image_checkpoint(tmp_path / "pets", calibration=CALIBRATION)
    array = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    sizes = []
    for coverage in map(float, COVERAGES):
        (prediction,) = pyclassify.load(path, device="cpu", coverage=coverage).predict([array])
        assert prediction.prediction_set[0] == prediction.label
        ranked = [label for label in prediction.probabilities if label in prediction.prediction_set]
        assert list(prediction.prediction_set) == ranked
        sizes.append(len(prediction.prediction_set))
    assert (sizes[0], sizes[2]) == (1, 3)


def test_ninety_five_percent_are_covered_unless_others_are_asked_for(tmp_path: Path) -> None:
    path = fakes.write_image_checkpoint(tmp_path / "pets", calibration=CALIBRATION)
    array = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    by_default, asked_for = (
        pyclassify.load(path, device="cpu", **options).predict([array])[0].prediction_set
        for options in ({}, {"coverage": 0.95})
    )
    assert by_default == asked_for


@pytest.mark.parametrize(("num_examples", "is_told"), [(0, True), (1, False), (19, False), (20, True)])
def test_a_percentage_is_told_from_twenty_calibration_examples_on(
    tmp_path: Path, num_examples: int, is_told: bool
) -> None:
    calibration = {**CALIBRATION, "num_examples": num_examples}
    path = fakes.write_text_checkpoint(tmp_path / "a", calibration=calibration)
    (prediction,) = pyclassify.load(path, device="cpu").predict(["good film"])
    assert prediction.has_percentage is is_told
    assert ("%" in prediction.message()) is is_told


def test_no_probability_is_above_the_ceiling(tmp_path: Path) -> None:
    calibration = {**CALIBRATION, "temperature": 1e-6, "ceiling": 0.75}
    path = fakes.write_text_checkpoint(tmp_path / "a", calibration=calibration)
    (prediction,) = pyclassify.load(path, device="cpu").predict(["good film"])
    assert list(prediction.probabilities.values()) == pytest.approx([0.75, 0.25])
    assert prediction.ceiling == 0.75


@pytest.mark.parametrize("coverage", [0.5, 0.901, "much"])
def test_other_coverages_are_refused(tmp_path: Path, coverage: Any) -> None:
    path = fakes.write_text_checkpoint(tmp_path / "a")
    with pytest.raises(ConfigError) as caught:
        pyclassify.load(path, coverage=coverage)
    assert caught.value.code == "coverage_unknown"
    assert "0.90, 0.95, 0.99" in str(caught.value)


# The rest of the interface


@pytest.mark.parametrize("name", ["small_texts", "small_images"])
def test_explanations_are_of_the_label_that_is_asked_for(name: str, request: pytest.FixtureRequest) -> None:
    loaded: Classifier = request.getfixturevalue(name)
    item = loaded.modality.sample()
    (prediction,) = loaded.predict([item])
    assert loaded.explain(item).label == prediction.label
    for label in loaded.labels:
        explanation = loaded.explain(item, label)
        assert explanation.label == label
        assert explanation.probability == pytest.approx(prediction.probabilities[label], abs=1e-6)
    assert refused(lambda: loaded.explain(item, "none")).code == "label_unknown"
    loaded.warm_up_explanations()


def test_importing_imports_neither_torch_nor_gradio() -> None:
    heavy = ("torch", "gradio", "torchtext", "torchvision", "sklearn", "scipy")
    code = f"import sys, pyclassify; print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_loading_imports_neither_gradio_nor_torchtext(tmp_path: Path) -> None:
    path = fakes.write_text_checkpoint(tmp_path / "a")
    heavy = ("gradio", "torchtext", "sklearn", "scipy", "torchmetrics")
    code = f"import sys, pyclassify; pyclassify.load({str(path)!r}); print(sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_repr_is_for_people(tmp_path: Path) -> None:
    loaded = pyclassify.load(fakes.write_text_checkpoint(tmp_path / "reviews"), device="cpu")
    assert repr(loaded) == "<Classifier reviews: text, 2 labels, on cpu>"


def test_a_fake_honours_the_interface() -> None:
    fake = fakes.FakeClassifier("image", ["cat", "dog"])
    (prediction,) = fake.predict(["anything"])
    check(prediction, fake.labels)
    assert fake.asked == ["anything"]
    assert fake.explain(fake.modality.sample(), "dog").label == "dog"
    assert (fake.kind, fake.name, fake.device) == ("image", "fake", torch.device("cpu"))
    assert fake.manifest.scores is not None
    assert fake.manifest.calibration == Calibration()
    assert isinstance(fake, classifier.Classifier)
