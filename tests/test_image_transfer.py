"""Trainings that begin with features of another checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import pyclassify
from pyclassify import checkpoint, recipe
from pyclassify.checkpoint import Checkpoint
from pyclassify.dataset import Examples
from pyclassify.image import networks, ood, transfer
from pyclassify.image.data import Decoded, ImageBatches
from pyclassify.image.features import BODY_RATE, ImageNetwork
from pyclassify.image.transform import ImageTransform
from pyclassify.manifest import Epoch, Training
from pyclassify.training import trainer
from pyclassify.training.config import FitConfig, ImageConfig
from tests import drawing

LITE = "efficientnet_lite0"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that knows shapes in colours."""
    root = tmp_path_factory.mktemp("start")
    folder = drawing.image_folder(root / "data")
    config = ImageConfig(data=folder, out=root / "colours", network="simple_cnn", epochs=4, seed=1, device="cpu")
    return pyclassify.train(config).path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawing.shape_folder(
        tmp_path_factory.mktemp("shapes") / "data",
        {"train": dict.fromkeys(drawing.SHAPES, 20), "test": dict.fromkeys(drawing.SHAPES, 10)},
    )


def clusters(count: int = 60, width: int = 20, strength: float = 1.5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    label_ids = torch.arange(count) % 3
    return torch.randn(count, width, generator=generator) + strength * functional.one_hot(label_ids, width), label_ids


def batches_of(count: int = 24, size_px: int = 32) -> ImageBatches:
    """Noisy pictures with a colour per label."""
    ids = [position % 3 for position in range(count)]
    pixels = torch.randint(0, 90, (count, 3, size_px, size_px), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )
    for position, label_id in enumerate(ids):
        pixels[position, label_id] += 120
    decoded = Decoded(pixels, Examples(tuple(Path(f"{i}.png") for i in range(count)), tuple(ids)))
    return ImageBatches(decoded, ImageTransform(size_px=size_px), batch_size=8)


# The last layer


def test_out_of_fold_answers_come_from_fits_without_the_example() -> None:
    features, label_ids = clusters(strength=4.0)
    shuffled = label_ids[torch.randperm(60, generator=torch.Generator().manual_seed(1))]
    head = nn.Linear(20, 3)
    honest = transfer.fit_head(head, features, label_ids)
    assert (honest.logits.argmax(dim=1) == honest.label_ids).float().mean() > 0.85
    # labels that have nothing to do with the features can be fitted, but not foretold
    chance = transfer.fit_head(head, features, shuffled, decays=[1.0])
    assert (head(features).argmax(dim=1) == shuffled).float().mean() > 0.7
    assert (chance.logits.argmax(dim=1) == shuffled).float().mean() < 0.55


def test_folds_are_stratified() -> None:
    label_ids = torch.tensor([0] * 50 + [1] * 10 + [2] * 5)
    folds = transfer.fold_numbers(label_ids)
    counts = [torch.bincount(folds[label_ids == label_id], minlength=transfer.FOLDS).tolist() for label_id in range(3)]
    assert counts == [[10] * 5, [2] * 5, [1] * 5]


def test_noise_gets_a_stronger_decay_than_signal() -> None:
    label_ids = torch.arange(90) % 3
    noise = torch.randn(90, 20, generator=torch.Generator().manual_seed(2))
    clear = transfer.fit_head(nn.Linear(20, 3), 3 * functional.one_hot(label_ids, 20) + 0.1 * noise, label_ids)
    blurred = transfer.fit_head(nn.Linear(20, 3), noise, label_ids)
    assert blurred.decay > clear.decay


def test_mirror_images_are_views_of_the_same_example() -> None:
    features, label_ids = clusters()
    one, two = nn.Linear(20, 3), nn.Linear(20, 3)
    single = transfer.fit_head(one, features, label_ids)
    double = transfer.fit_head(two, torch.stack([features, features]), label_ids)
    assert single.decay == double.decay
    assert torch.allclose(one(features), two(features), atol=1e-2)
    assert len(double.logits) == len(features)


# The network


def test_folded_batch_norms_give_the_same_answers() -> None:
    torch.manual_seed(0)
    network = networks.build(LITE, num_labels=3, size_px=64)
    network.train()(torch.randn(8, 3, 64, 64))  # so that the statistics are not those of the beginning
    network.eval()
    images = torch.randn(2, 3, 64, 64)
    folded = network.for_inference()
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    with torch.no_grad():
        assert torch.allclose(network(images), folded(images), atol=1e-4)
        ours, theirs = network.features(images), folded.features(images)
    assert list(ours.maps) == list(theirs.maps)
    assert all(torch.allclose(ours.maps[name], theirs.maps[name], atol=1e-3) for name in ours.maps)


@pytest.mark.parametrize(("side", "total"), [(7, 2), (8, 1)])
def test_padding_is_that_of_tensorflow(side: int, total: int) -> None:
    # a window of 3 with stride 2 needs one more column on the right of an even side, and one on both of an odd
    network = networks.build(LITE, num_labels=2)
    padded = network.get_submodule("stem.0")(torch.ones(1, 1, side, side))
    assert padded.shape[-1] == side + total
    assert bool(padded[0, 0, 1, 0] == 0) == (total == 2)
    assert padded[0, 0, 1, -1] == 0


def test_only_the_last_layer_is_fitted_before_the_first_epoch() -> None:
    torch.manual_seed(0)
    network, batches = networks.build(LITE, num_labels=3, size_px=32), batches_of()
    network.adapt(network.state_dict())
    body = {key: value.clone() for key, value in network.state_dict().items() if not key.startswith("linear.")}
    network.prepare(batches)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in body.items())
    answers = network.out_of_fold()
    assert answers is not None
    assert answers[0].shape == (24, 3)


def test_layers_before_the_last_learn_slower_where_pictures_are_few() -> None:
    network = networks.build("small_convnet", num_labels=3)
    network.adapt(network.state_dict())
    rates = {id(p): group["lr"] for group in network.parameter_groups(0.5, 0.1) for p in group["params"]}
    head_ids = {id(parameter) for parameter in network.head.parameters()}
    assert {rates[key] for key in head_ids} == {0.5}
    assert {rate for key, rate in rates.items() if key not in head_ids} == {0.5 * BODY_RATE}
    norms = [layer for layer in network.train().modules() if isinstance(layer, nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)


@pytest.mark.parametrize("name", ["whitened_convnet", "small_convnet", "simple_cnn"])
def test_every_network_of_ours_can_be_begun_with(name: str) -> None:
    torch.manual_seed(0)
    before, after = (networks.build(name, num_labels=count, size_px=32) for count in (5, 3))
    after.adapt(before.state_dict())
    batches = batches_of(48)
    after.prepare(batches)
    after.eval()
    with torch.no_grad():
        hits = torch.cat([after(*inputs).argmax(dim=1) == ids for inputs, ids in batches.epoch()])
    assert hits.float().mean() > 0.9


def test_weights_of_another_network_are_refused() -> None:
    weights = networks.build("small_convnet", num_labels=3).state_dict()
    with pytest.raises(pyclassify.DataError):
        networks.build("simple_cnn", num_labels=3).adapt(weights)


# Fine-tuning


class Prepared(nn.Module):
    """A network that answers right once it is prepared, and that training can only make worse, or better."""

    def __init__(self, *, is_right: bool) -> None:
        super().__init__()
        self.is_adapted, self.is_fine_tuned, self._is_right = True, False, is_right
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.register_buffer("sign", torch.tensor(1.0 if is_right else -1.0))

    def forward(self, images: Tensor) -> Tensor:
        # training flips every answer
        if self.training:
            self.sign.fill_(-1.0 if self._is_right else 1.0)
        means = images.mean(dim=(2, 3))
        return self.scale * self.sign * means


@pytest.mark.parametrize("is_right", [True, False])
def test_epochs_are_kept_only_if_they_are_better_by_more_than_chance(is_right: bool) -> None:
    network, batches, notes = Prepared(is_right=is_right), batches_of(), []
    list(trainer.fit(network, batches, batches, FitConfig(epochs=1, learning_rate=1e-6), on_note=notes.append))
    assert network.is_fine_tuned == (not is_right)
    assert network.sign.item() == 1.0
    assert [note.key for note in notes] == ["notes.not_fine_tuned" if is_right else "notes.fine_tuned"]


def test_a_difference_that_chance_explains_changes_nothing() -> None:
    network, few, notes = Prepared(is_right=False), batches_of(3), []
    list(trainer.fit(network, batches_of(), few, FitConfig(epochs=1, learning_rate=1e-6), on_note=notes.append))
    assert not network.is_fine_tuned
    assert network.sign.item() == -1.0


# Whole trainings


def train(folder: Path, out: Path, **options: object) -> tuple[recipe.TrainResult, list[recipe.Event]]:
    events: list[recipe.Event] = []
    config = replace(ImageConfig(data=folder, out=out, device="cpu"), **options)  # type: ignore[arg-type]
    return recipe.train(config, on_progress=events.append), events


def test_a_checkpoint_begins_another(start: Path, folder: Path, tmp_path: Path) -> None:
    result, events = train(folder, tmp_path / "out", start=str(start))
    manifest = result.manifest
    assert manifest.network.name == "simple_cnn"
    assert manifest.transform == checkpoint.read_manifest(start).transform
    assert isinstance(manifest.training, Training)
    assert manifest.training.epochs == []
    assert not any(isinstance(event, Epoch) for event in events)
    assert "colours" in manifest.training.remarks[0]
    # nothing is held back from so few
    assert manifest.data is not None
    assert (manifest.data.train, manifest.data.validation) == (60, 0)
    assert (manifest.calibration.source, manifest.calibration.num_examples) == ("out_of_fold", 60)
    body, ours = (checkpoint.load(path).network.state_dict() for path in (start, result.path))
    assert torch.equal(body["convolution.weight"], ours["convolution.weight"])
    again, _ = train(folder, tmp_path / "out", start=str(start), measure_only=True)
    assert again.manifest.calibration == manifest.calibration
    assert again.manifest.ood == manifest.ood


def test_a_checkpoint_of_texts_begins_nothing(text_checkpoint: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(pyclassify.ConfigError) as error:
        train(folder, tmp_path / "out", start=str(text_checkpoint))
    assert error.value.code == "start_of_other_kind"
    with pytest.raises(pyclassify.ConfigError) as error:
        train(folder, tmp_path / "out", start=str(text_checkpoint), network="resnet18")
    assert error.value.code == "start_or_weights"


def test_the_network_must_be_that_of_the_start(start: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(pyclassify.ConfigError) as error:
        train(folder, tmp_path / "out", start=str(start), network="small_convnet")
    assert error.value.code == "start_of_other_network"


# Pictures unlike the training data


class Colours(ImageNetwork):
    """Features are the mean colours."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def features(self, images: Tensor) -> networks.Features:
        pooled = images.mean(dim=(2, 3)) + 2.0
        return networks.Features(self.linear(pooled), pooled, {})


def test_pictures_far_from_all_training_pictures_are_refused() -> None:
    network, train_batches = Colours().eval(), batches_of(120)
    settings, tensors = ood.fit_neighbours(network, train_batches, batches_of(0))
    detector = ood.load(network, settings, tensors)
    assert isinstance(detector, ood.NeighbourOod)
    assert settings.num_examples == 120
    scores = torch.cat([detector.answer(*inputs)[1] for inputs, _ in train_batches.epoch()])
    assert (scores > detector.threshold).float().mean() < 0.1
    strange = torch.tensor([[-2.0, 1.0, 1.0]]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    logits, score = detector.answer(strange)
    assert score.item() > detector.threshold
    assert torch.allclose(logits, network(strange))
    assert detector.surprises(strange)[1].shape == (1, 1)
    with pytest.raises(ValueError, match="missing"):
        ood.load(network, settings, {"knots": tensors["knots"]})


def test_a_checkpoint_answers_the_same_once_it_is_folded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = networks.build(LITE, num_labels=3, size_px=32).eval()
    network.adapt(network.state_dict())
    settings, tensors = ood.fit_neighbours(network, batches_of(), batches_of(0))
    manifest = pyclassify_manifest(settings)
    found = Checkpoint(
        name="lite",
        manifest=manifest,
        network=network,
        transform=ImageTransform(size_px=32),
        ood=ood.load(network, settings, tensors),
        ood_tensors=tensors,
    )
    moved = found.to(torch.device("cpu"))
    ((images,), _) = next(iter(batches_of().epoch()))
    assert found.ood is not None
    assert moved.ood is not None
    for before, after in zip(found.ood.answer(images), moved.ood.answer(images), strict=True):
        assert torch.allclose(before, after, atol=1e-3)


def pyclassify_manifest(settings: object) -> object:
    from pyclassify.manifest import Manifest, Network

    return Manifest(
        kind="image",
        labels=["a", "b", "c"],
        network=Network(name=LITE, arguments={"size_px": 32}),
        transform=ImageTransform(size_px=32).settings(),
        ood=settings,
    )
