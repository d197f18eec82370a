"""Explanations of pictures: the heat is where the label is decided, in the picture as a person sees it."""

from __future__ import annotations

import copy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from pyclassify.checkpoint import Checkpoint
from pyclassify.classifier import Classifier
from pyclassify.errors import InputError
from pyclassify.image import explain, networks
from pyclassify.image.explain import ImageExplanation
from pyclassify.image.features import Features, ImageNetwork
from pyclassify.image.transform import ImageTransform, upright_size
from pyclassify.manifest import Manifest, Network
from tests import drawing

CPU = torch.device("cpu")
RED = (230, 20, 20)
LABELS = ["red", "grey", "none"]


class RedDecides(ImageNetwork):
    """Knows one thing: how much more red than green there is anywhere, and says "red" by it."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 1, kernel_size=3, padding=1, bias=False)
        with torch.no_grad():
            self.look.weight.copy_(torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 3, 3) / 9)

    def features(self, images: Tensor) -> Features:
        maps = self.look(images)
        red = torch.relu(maps).mean(dim=(1, 2, 3)) * 20
        return Features(torch.stack([red, torch.zeros_like(red) + 1, -red], dim=1), red, {"look": maps})


def make_classifier(transform: ImageTransform, network: nn.Module | None = None) -> Classifier:
    network = (network or RedDecides()).eval().requires_grad_(False)
    manifest = Manifest(kind="image", labels=LABELS, network=Network(name="fake"), transform=transform.settings())
    return Classifier(Checkpoint(name="fake", manifest=manifest, network=network, transform=transform), CPU)


def planted(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    image = Image.new("RGB", size, (128, 128, 128))
    image.paste(RED, box)
    return image


def explained(item: object, transform: ImageTransform, label: str | None = "red") -> ImageExplanation:
    explanation = make_classifier(transform).explain(item, label)
    assert isinstance(explanation, ImageExplanation)
    return explanation


def share_inside(heat: explain.Heat, box: tuple[int, int, int, int], margin_px: int) -> float:
    """Return the share of all heat for the label that is in the box; of an even heat, it is the box's share."""
    left, top, right, bottom = box
    warm = heat.clip(min=0)
    part = warm[max(0, top - margin_px) : bottom + margin_px, max(0, left - margin_px) : right + margin_px]
    return float(part.sum() / warm.sum())


@pytest.mark.parametrize("fit", ["crop", "stretch"])
@pytest.mark.parametrize("size", [(32, 32), (120, 60), (60, 150), (20, 20)])
def test_the_heat_is_on_the_patch_that_decides(size: tuple[int, int], fit: str) -> None:
    width, height = size
    side = min(size)
    left, top = (width - side) // 2 + side // 8, (height - side) // 2 + side // 2
    box = (left, top, left + side // 4, top + side // 4)
    heat = explained(planted(size, box), ImageTransform(size_px=32, fit=fit)).heat
    assert heat.shape == (height, width)
    assert heat.dtype == np.float32
    assert np.abs(heat).max() <= 1
    assert share_inside(heat, box, max(2, side // 8)) > 0.9


def test_what_speaks_for_one_label_speaks_against_another() -> None:
    box = (4, 4, 12, 12)
    against = explained(planted((32, 32), box), ImageTransform(size_px=32), "none").heat
    assert against[4:12, 4:12].mean() < -0.3
    assert share_inside(-against, box, 3) > 0.9


def test_margins_that_the_network_does_not_see_have_no_heat() -> None:
    explanation = explained(drawing.image(RED, 1, 100).resize((200, 100)), ImageTransform(size_px=32, crop=0.8))
    assert explanation.box == pytest.approx((0.3, 0.1, 0.7, 0.9))
    is_seen = np.zeros((100, 200), dtype=bool)
    is_seen[10:90, 60:140] = True
    assert not explanation.heat[~is_seen].any()
    assert (explanation.heat[is_seen] != 0).mean() > 0.9


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff"])
def test_a_turned_photo_has_its_heat_where_a_person_sees_it(tmp_path: Path, orientation: int, suffix: str) -> None:
    box = (8, 20, 32, 44)
    upright = planted((64, 96), box)
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = upright.transpose(stored[orientation]) if orientation in stored else upright
    path = tmp_path / f"a.{suffix}"
    image.save(path, exif=exif)
    explanation = explained(path, ImageTransform(size_px=32))
    assert explanation.size_px == (64, 96)
    assert explanation.heat.shape == (96, 64)
    assert share_inside(explanation.heat, box, 8) > 0.85
    assert explanation.over(path).size == (64, 96)
    with Image.open(path) as opened:
        assert explained(opened, ImageTransform(size_px=32)).size_px == (64, 96)


def test_sizes_are_those_of_the_picture_as_it_is_seen() -> None:
    assert upright_size(np.zeros((5, 9, 3), np.uint8)) == (9, 5)
    assert upright_size(Image.new("L", (9, 5))) == (9, 5)


def test_the_picture_keeps_its_look_but_for_the_warm_places() -> None:
    image = planted((40, 30), (5, 5, 15, 15))
    heat = np.zeros((30, 40), dtype=np.float32)
    heat[5:15, 5:15], heat[20:25, 30:35] = 1, -1
    drawn = np.asarray(explain.overlay(image, heat, strength=1), dtype=int)
    assert drawn.shape == (30, 40, 3)
    assert (drawn[6, 6] == (230, 110, 0)).all()
    assert (drawn[22, 32] == (0, 90, 200)).all()
    untouched = heat == 0
    assert (drawn[untouched] == 128).all()
    assert (np.asarray(explain.overlay(image, heat, strength=0))[untouched] == 128).all()
    assert np.array_equal(np.asarray(explain.overlay(image, heat[::2, ::2])).shape, (30, 40, 3))


def test_a_large_picture_is_drawn_smaller(tmp_path: Path) -> None:
    path = tmp_path / "long.jpg"
    drawing.image(RED, 1, 64).resize((4000, 500)).save(path)
    explanation = explained(path, ImageTransform(size_px=32))
    assert explanation.size_px == (4000, 500)
    assert explanation.heat.shape == (500, 4000)
    for source in (path, Image.open(path), path.read_bytes()):
        plain, warm = explanation.layers(source)
        assert plain.size == warm.size == (explain.MAX_SIDE_PX, 200)


def test_a_plain_surface_has_no_heat() -> None:
    explanation = explained(Image.new("RGB", (32, 32), (90, 90, 90)), ImageTransform(size_px=32), "grey")
    assert not explanation.heat.any()


def test_blurring_keeps_the_light_and_removes_the_shapes() -> None:
    images = torch.zeros(2, 3, 31, 31)
    images[:, :, 15, 15] = 1
    soft = explain.blur(images, 2.0)
    assert soft.sum().item() == pytest.approx(6, rel=1e-3)
    assert soft[0, 0, 15, 15] == soft.max() < 0.05
    even = torch.full((1, 3, 9, 12), 0.7)
    torch.testing.assert_close(explain.blur(even, 5.0), even)


def test_log_odds_are_those_of_the_softmax() -> None:
    logits = torch.randn(4, 3)
    p = logits.softmax(dim=1)[:, 1]
    torch.testing.assert_close(explain.log_odds(logits, 1), (p / (1 - p)).log())


def test_large_networks_take_fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    def count_steps() -> int:
        network = networks.build("simple_cnn", num_labels=3, size_px=32).eval().requires_grad_(False)
        steps = explain.count_steps(network, 32, CPU)
        assert not any(layer._forward_hooks for layer in network.modules())
        return steps

    convolution, linear = 32 * 32 * 32 * 27, 3 * 32 * 16 * 16
    assert count_steps() == explain.STEPS
    for limit, steps in ((3 * (convolution + linear), 3), (3 * (convolution + linear) - 1, 2), (1, 1)):
        monkeypatch.setattr(explain, "MAX_MULTIPLICATIONS", limit)
        assert count_steps() == steps


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    return make_classifier(ImageTransform(size_px=32), networks.build("simple_cnn", num_labels=3))


def plain(explanation: Any) -> tuple[object, ...]:
    assert isinstance(explanation, ImageExplanation)
    return explanation.label, explanation.probability, explanation.seen.tobytes()


def test_the_label_is_the_most_probable_one_or_the_one_asked_for(classifier: Classifier) -> None:
    image = drawing.image(drawing.COLOURS["green"], seed=9)
    (prediction,) = classifier.predict([image])
    assert classifier.explain(image).label == prediction.label
    for label in LABELS:
        explanation = classifier.explain(image, label)
        assert explanation.label == label
        assert explanation.probability == pytest.approx(prediction.probabilities[label])


def test_explaining_from_many_threads_while_predicting(classifier: Classifier) -> None:
    images = [drawing.image(list(drawing.COLOURS.values())[i % 3], seed=i) for i in range(24)]
    explanations = [plain(classifier.explain(image)) for image in images]
    predictions = [classifier.predict([image]) for image in images]
    with ThreadPoolExecutor(8) as pool:
        jobs = [(pool.submit(classifier.explain, image), pool.submit(classifier.predict, [image])) for image in images]
        assert [plain(job.result()) for job, _ in jobs] == explanations
        assert [job.result() for _, job in jobs] == predictions


def test_explaining_leaves_the_network_as_it_was() -> None:
    network = networks.build("whitened_convnet", num_labels=3, widths=(8, 8, 8)).eval().requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    classifier = make_classifier(ImageTransform(size_px=32), network)
    classifier.warm_up_explanations()
    classifier.explain(drawing.image(RED, seed=1))
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())
    for layer in network.modules():
        assert not layer.training
        assert not [*layer._forward_hooks, *layer._forward_pre_hooks, *layer._backward_hooks]
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in network.parameters())


def test_another_networks_weights_give_another_heat() -> None:
    """The sanity check of Adebayo et al. 2018, on a network of the default layout."""
    torch.manual_seed(0)
    image = drawing.shape("disc", seed=3, size_px=32)
    maps = []
    for _ in range(2):
        network = networks.build("whitened_convnet", num_labels=3, widths=(16, 16, 16))
        explanation = make_classifier(ImageTransform(size_px=32), network).explain(image, "red")
        assert isinstance(explanation, ImageExplanation)
        maps.append(explanation.seen.ravel())
    assert abs(np.corrcoef(*maps)[0, 1]) < 0.5


@pytest.mark.parametrize("bad", [None, 3, "none.png", b"bytes", np.zeros((3, 3, 7)), ["a.png"], np.zeros((0, 3, 3))])
def test_what_is_not_a_picture_is_refused(classifier: Classifier, bad: object) -> None:
    with pytest.raises(InputError):
        classifier.explain(bad)


def test_damaged_files_are_refused(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    for read in (classifier.explain, upright_size, explain.open_to_draw):
        with pytest.raises(InputError) as error:
            read(tmp_path / "a.jpg")
        assert error.value.fields["name"] == "a.jpg"


def test_an_unknown_label_is_refused(classifier: Classifier) -> None:
    with pytest.raises(InputError) as error:
        classifier.explain(drawing.image(RED, 1), "violet")
    assert error.value.code == "label_unknown"


def test_captum_and_torchvision_are_not_imported_to_answer() -> None:
    """Each takes a second or more."""
    code = "import sys, pyclassify.image.modality; print({'captum', 'torchvision', 'sklearn'} & set(sys.modules))"
    root = Path(__file__).parent.parent
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
