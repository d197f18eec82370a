"""Explanations of pictures: the heat is where the label is decided, in the picture as a person sees it."""

from __future__ import annotations

import ast
import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import pyclassify
from pyclassify import Classifier, InputError, PictureExplanation
from pyclassify.checkpoint import Checkpoint
from pyclassify.image import explain, models
from pyclassify.image.transform import ImageTransform, upright_size
from tests import drawing

CPU = torch.device("cpu")
RED = (230, 20, 20)


class RedDecides(nn.Module):
    """Knows one thing: how much more red than green there is anywhere, and says "red" by it."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv2d(3, 1, kernel_size=3, padding=1, bias=False)
        with torch.no_grad():
            self.look.weight.copy_(torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 3, 3) / 9)

    def forward(self, pictures: Tensor) -> Tensor:
        red = torch.relu(self.look(pictures)).mean(dim=(1, 2, 3)) * 20
        return torch.stack([red, torch.zeros_like(red) + 1, -red], dim=1)


def _classifier(transform: ImageTransform, network: nn.Module | None = None) -> Classifier:
    model = (network or RedDecides()).eval().requires_grad_(False)
    info = {"kind": "image", "labels": ["red", "grey", "none"]}
    return Classifier(Checkpoint(name="p", info=info, model=model, transform=transform), CPU)


def _planted(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    image = Image.new("RGB", size, (128, 128, 128))
    image.paste(RED, box)
    return image


def _explained(picture: object, transform: ImageTransform, label: str = "red") -> PictureExplanation:
    found = _classifier(transform).explain(picture, label)
    assert isinstance(found, PictureExplanation)
    return found


def _share_inside(heat: explain.Heat, box: tuple[int, int, int, int], margin_px: int) -> float:
    """Of all heat for the label, that in the box; an even heat would have the box's share of the picture."""
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
    found = _explained(_planted(size, box), ImageTransform(size_px=32, fit=fit))
    assert found.heat.shape == (height, width)
    assert found.heat.dtype == np.float32
    assert np.abs(found.heat).max() <= 1
    assert _share_inside(found.heat, box, max(2, side // 8)) > 0.9


def test_what_speaks_for_one_label_speaks_against_another() -> None:
    box = (4, 4, 12, 12)
    picture = _planted((32, 32), box)
    against = _explained(picture, ImageTransform(size_px=32), "none").heat
    assert against[4:12, 4:12].mean() < -0.3
    assert _share_inside(-against, box, 3) > 0.9


def test_margins_that_the_network_does_not_see_have_no_heat() -> None:
    found = _explained(drawing.picture(RED, 1, 100).resize((200, 100)), ImageTransform(size_px=32, crop=0.8))
    assert found.box == pytest.approx((0.3, 0.1, 0.7, 0.9))
    seen = np.zeros((100, 200), dtype=bool)
    seen[10:90, 60:140] = True
    assert not found.heat[~seen].any()
    assert (found.heat[seen] != 0).mean() > 0.9


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tiff"])
def test_a_turned_photo_has_its_heat_where_a_person_sees_it(tmp_path: Path, orientation: int, ending: str) -> None:
    box = (8, 20, 32, 44)
    upright = _planted((64, 96), box)
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
    image.save(tmp_path / f"a.{ending}", exif=exif)
    found = _explained(tmp_path / f"a.{ending}", ImageTransform(size_px=32))
    assert found.size_px == (64, 96)
    assert found.heat.shape == (96, 64)
    assert _share_inside(found.heat, box, 8) > 0.85
    assert found.over(tmp_path / f"a.{ending}").size == (64, 96)
    with Image.open(tmp_path / f"a.{ending}") as opened:
        assert _explained(opened, ImageTransform(size_px=32)).size_px == (64, 96)


def test_sizes_are_those_of_the_picture_as_it_is_seen() -> None:
    assert upright_size(np.zeros((5, 9, 3), np.uint8)) == (9, 5)
    assert upright_size(Image.new("L", (9, 5))) == (9, 5)


def test_the_picture_keeps_its_look_but_for_the_warm_places() -> None:
    picture = _planted((40, 30), (5, 5, 15, 15))
    heat = np.zeros((30, 40), dtype=np.float32)
    heat[5:15, 5:15], heat[20:25, 30:35] = 1, -1
    drawn = np.asarray(explain.overlay(picture, heat, strength=1), dtype=int)
    assert drawn.shape == (30, 40, 3)
    assert (drawn[6, 6] == (230, 110, 0)).all()
    assert (drawn[22, 32] == (0, 90, 200)).all()
    untouched = heat == 0
    assert (drawn[untouched] == 128).all()
    assert (np.asarray(explain.overlay(picture, heat, strength=0))[untouched] == 128).all()


def test_a_large_picture_is_drawn_smaller(tmp_path: Path) -> None:
    drawing.picture(RED, 1, 64).resize((4000, 500)).save(tmp_path / "long.jpg")
    found = _explained(tmp_path / "long.jpg", ImageTransform(size_px=32))
    assert found.size_px == (4000, 500)
    assert found.heat.shape == (500, 4000)
    assert found.over(tmp_path / "long.jpg").size == (explain.LONGEST_PX, 200)
    assert found.over(Image.open(tmp_path / "long.jpg")).size == (explain.LONGEST_PX, 200)


def test_a_plain_surface_has_no_heat() -> None:
    found = _explained(Image.new("RGB", (32, 32), (90, 90, 90)), ImageTransform(size_px=32), "grey")
    assert not found.heat.any()


def test_blurring_keeps_the_light_and_takes_the_shapes() -> None:
    pictures = torch.zeros(2, 3, 31, 31)
    pictures[:, :, 15, 15] = 1
    soft = explain.blurred(pictures, 2.0)
    assert soft.sum().item() == pytest.approx(6, rel=1e-3)
    assert soft[0, 0, 15, 15] == soft.max() < 0.05
    even = torch.full((1, 3, 9, 12), 0.7)
    torch.testing.assert_close(explain.blurred(even, 5.0), even)


def test_log_odds_are_those_of_the_softmax() -> None:
    logits = torch.randn(4, 3)
    p = logits.softmax(dim=1)[:, 1]
    torch.testing.assert_close(explain.log_odds(logits, 1), (p / (1 - p)).log())


def test_large_networks_take_fewer_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    small = models.build("simple_cnn", labels=3, size_px=32).eval().requires_grad_(False)
    convolution, linear = 32 * 32 * 32 * 27, 3 * 32 * 16 * 16
    assert explain._multiplications(small, 32, CPU) == convolution + linear
    assert explain.steps_for(small, 32, CPU) == explain.STEPS
    assert not small.convolution._forward_hooks
    monkeypatch.setattr(explain, "MOST_MULTIPLICATIONS", 3 * (convolution + linear) + 1)
    assert explain.steps_for(small, 32, CPU) == 3
    monkeypatch.setattr(explain, "MOST_MULTIPLICATIONS", 1)
    assert explain.steps_for(small, 32, CPU) == 1


@pytest.fixture(scope="module")
def colours(image_checkpoint: Path) -> Classifier:
    return pyclassify.load(image_checkpoint, device="cpu")


def _plain(found: pyclassify.Explanation) -> tuple[object, ...]:
    assert isinstance(found, PictureExplanation)
    return found.label, found.probability, found.seen.tobytes()


def test_the_label_is_the_most_probable_one_or_the_one_asked_for(colours: Classifier) -> None:
    picture = drawing.picture(drawing.COLOURS["green"], seed=9)
    (prediction,) = colours.predict([picture])
    assert colours.explain(picture).label == prediction.label == "green"
    for label in colours.labels:
        found = colours.explain(picture, label)
        assert (found.label, found.probability) == (label, pytest.approx(prediction.probabilities[label]))


def test_explaining_from_many_threads_while_predicting(colours: Classifier) -> None:
    pictures = [drawing.picture(list(drawing.COLOURS.values())[i % 3], seed=i) for i in range(24)]
    explained = [_plain(colours.explain(each)) for each in pictures]
    predicted = [colours.predict([each]) for each in pictures]
    with ThreadPoolExecutor(8) as pool:
        asked = [(pool.submit(colours.explain, each), pool.submit(colours.predict, [each])) for each in pictures]
        assert [_plain(each.result()) for each, _ in asked] == explained
        assert [each.result() for _, each in asked] == predicted


def _hooks(layer: torch.nn.Module) -> list[int]:
    """Those that tell the known from the unknown are there all the time."""
    return [*layer._forward_hooks, *layer._forward_pre_hooks, *layer._backward_hooks]


def test_explaining_leaves_the_network_as_it_was(colours: Classifier) -> None:
    network = colours._model
    before = copy.deepcopy(network.state_dict())
    hooks = [_hooks(each) for each in network.modules()]
    colours.warm_up_explanations()
    colours.explain(drawing.picture(RED, seed=1))
    assert all(torch.equal(each, before[key]) for key, each in network.state_dict().items())
    for each in network.modules():
        assert not each.training
    assert [_hooks(each) for each in network.modules()] == hooks
    assert not any(each.requires_grad or each.grad is not None for each in network.parameters())


def test_another_networks_weights_give_another_heat() -> None:
    """The sanity check of Adebayo et al. 2018, on a network of the default layout."""
    torch.manual_seed(0)
    picture = drawing.shape("disc", seed=3, size_px=32)
    maps = []
    for _ in range(2):
        network = models.build("whitened_convnet", labels=3, widths=(16, 16, 16))
        found = _classifier(ImageTransform(size_px=32), network).explain(picture, "red")
        assert isinstance(found, PictureExplanation)
        maps.append(found.seen.ravel())
    assert abs(np.corrcoef(*maps)[0, 1]) < 0.5


@pytest.mark.parametrize("bad", [None, 3, "none.png", b"bytes", np.zeros((3, 3, 7)), ["a.png"], np.zeros((0, 3, 3))])
def test_what_is_no_picture_is_refused(colours: Classifier, bad: object) -> None:
    with pytest.raises(InputError):
        colours.explain(bad)


def test_damaged_files_are_refused(colours: Classifier, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    for look in (colours.explain, upright_size, explain.open_to_draw):
        with pytest.raises(InputError, match=r"a\.jpg"):
            look(tmp_path / "a.jpg")


def test_an_unknown_label_is_refused_with_those_there_are(colours: Classifier) -> None:
    with pytest.raises(InputError, match="there are blue, green, red"):
        colours.explain(drawing.picture(RED, 1), "violet")


@pytest.mark.parametrize("name", ["image", "text"])
def test_captum_is_imported_by_the_first_explanation_alone(name: str) -> None:
    tree = ast.parse((Path(pyclassify.__file__).parent / name / "explain.py").read_text(encoding="utf-8"))
    inside = {node for each in ast.walk(tree) if isinstance(each, ast.FunctionDef) for node in ast.walk(each)}
    found = {
        node in inside for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and "captum" in str(node.module)
    }
    assert found == {True}
