"""torchvision's networks: any of them gives logits, begins with weights from a file, and fits its last layer first."""

from __future__ import annotations

import io
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import get_model, get_model_weights

from benchmarks import drawn
from pyclassify import checkpoint
from pyclassify.errors import ConfigError, DataError
from pyclassify.examples import Examples
from pyclassify.image import data, models, weights
from pyclassify.image.pretrained import BODY_RATE, MOMENTUM, Pretrained, fit_head
from pyclassify.image.transform import ImageTransform

SMALL = "mnasnet0_5"


def _build(name: str, labels: int = 3, size_px: int = 64) -> Pretrained:
    torch.manual_seed(1)
    model = models.build(name, labels=labels, size_px=size_px)
    assert isinstance(model, Pretrained)
    return model


def _slow(name: str, size_px: int) -> Any:
    return pytest.param(name, size_px, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("name", "size_px"),
    [
        ("resnet18", 64),
        ("mobilenet_v3_small", 64),
        ("squeezenet1_1", 64),
        ("shufflenet_v2_x0_5", 64),
        (SMALL, 64),
        ("regnet_y_400mf", 64),
        _slow("efficientnet_b0", 64),
        _slow("convnext_tiny", 64),
        _slow("densenet121", 64),
        _slow("googlenet", 64),
        _slow("inception_v3", 96),
        _slow("swin_t", 64),
        _slow("swin_v2_t", 64),
        _slow("alexnet", 64),
        _slow("vit_b_32", 224),
        _slow("maxvit_t", 224),
    ],
)
def test_every_family_is_saved_and_loaded(name: str, size_px: int, tmp_path: Path) -> None:
    model = _build(name, size_px=size_px).eval()
    transform = weights.preset(name, size_px)
    pictures = torch.randn(2, 3, size_px, size_px)
    with torch.no_grad():
        logits = model(pictures)
    assert logits.shape == (2, 3)
    info = {"kind": "image", "labels": ["a", "b", "c"], "model": {"name": name, "arguments": {"size_px": size_px}}}
    checkpoint.save(tmp_path / "out", info=info, weights=model.state_dict(), transform=transform, card="")
    loaded = checkpoint.load(tmp_path / "out")
    assert loaded.transform == transform
    with torch.no_grad():
        assert torch.equal(loaded.model(pictures), logits)


@pytest.mark.slow
def test_each_of_torchvisions_networks_can_be_built_and_trained() -> None:
    assert len(weights.names()) >= 80
    for name in weights.names():
        preset = weights.preset(name)
        with checkpoint._Uninitialised(), torch.device("meta"):
            model = _build(name, labels=7, size_px=preset.size_px)
        assert model.head.weight.shape[0] == 7, name
        grouped = [each for group in model.parameter_groups(1.0, 0.1) for each in group["params"]]
        assert Counter(map(id, grouped)) == Counter(map(id, model.parameters())), name


@pytest.mark.parametrize(
    ("name", "meant"), [("resnet", "resnet"), ("vit_b16", "vit_b_16"), ("zzz", "whitened_convnet"), ("raft_small", "")]
)
def test_a_name_that_is_none_is_told_what_comes_near(name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"no network for pictures named '{name}'.*{meant}"):
        models.check_name(name)


@pytest.mark.parametrize(("name", "size_px"), [("alexnet", 32), ("inception_v3", 64)])
def test_pictures_that_are_too_small(name: str, size_px: int) -> None:
    with pytest.raises(ConfigError, match=f"cannot take pictures of {size_px} pixels"):
        models.check_takes(_build(name, size_px=size_px), size_px)


def test_networks_of_one_size() -> None:
    assert weights.preset("vit_b_32", 224) == weights.preset("vit_b_32")
    with pytest.raises(ConfigError, match="vit_b_32 takes pictures of 224 x 224 pixels alone, not of 128"):
        weights.preset("vit_b_32", 128)
    with pytest.raises(ConfigError, match="vit_b_32 cannot be built for pictures of 100 pixels"):
        models.build("vit_b_32", labels=2, size_px=100)


# The transform that comes with the weights


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "efficientnet_b0", "efficientnet_v2_s"])
@pytest.mark.parametrize("size", [(640, 480), (300, 500), (512, 512)])
def test_the_preset_is_torchvisions(name: str, size: tuple[int, int]) -> None:
    picture = drawn.photo(size, seed=3)
    theirs = get_model_weights(name).DEFAULT.transforms()(picture)
    preset = weights.preset(name)
    ours = preset.normalise(preset(picture).tensor[None])[0]
    assert ours.shape == theirs.shape
    off = (ours - theirs).abs().mean()
    plain = ImageTransform(size_px=preset.size_px, mean=preset.mean, std=preset.std)
    if size[0] == size[1]:
        assert off < 0.001
    elif preset.crop < 1:  # they round the place of the crop to whole pixels: up to a half of one
        assert off < 0.35 * (plain.normalise(plain(picture).tensor[None])[0] - theirs).abs().mean()


def test_a_margin_is_cut_off_on_all_sides() -> None:
    pixels = np.zeros((80, 80, 3), dtype=np.uint8)
    pixels[10:70, 10:70] = 255
    picture = Image.fromarray(pixels)
    assert ImageTransform(size_px=60)(picture).tensor.min() == 0
    assert ImageTransform(size_px=60, crop=0.75)(picture).tensor.min() == 255
    assert ImageTransform(size_px=60, crop=0.8)(picture).tensor[:, 30, 0].max() < 128
    small = Image.fromarray(pixels[:60, :60])
    assert not torch.equal(
        ImageTransform(size_px=60, crop=0.75)(small).tensor, ImageTransform(size_px=60)(small).tensor
    )


def test_checkpoints_without_margin_and_interpolation_are_read() -> None:
    transform = ImageTransform(size_px=32)
    old = {key: each for key, each in transform.config().items() if key not in ("crop", "interpolation")}
    assert ImageTransform.from_config(old) == transform
    new = ImageTransform(size_px=32, crop=0.875, interpolation="bicubic")
    assert ImageTransform.from_config(new.config()) == new


@pytest.mark.parametrize(
    "wrong", [{"crop": 0.0}, {"crop": 1.5}, {"crop": 0.9, "fit": "stretch"}, {"interpolation": "x"}]
)
def test_margins_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ImageTransform(size_px=32, **wrong)


# Weights to begin with


@pytest.fixture(scope="module")
def trained() -> OrderedDict[str, Tensor]:
    """What torchvision publishes: 1000 labels."""
    torch.manual_seed(7)
    state: OrderedDict[str, Tensor] = get_model(SMALL, weights=None).state_dict()
    return state


def _is_body_of(model: Pretrained, state: dict[str, Tensor]) -> bool:
    own = model.network.state_dict()
    return all(torch.equal(own[key], each) for key, each in state.items() if not key.startswith("classifier"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_the_default_is_what_torchvision_keeps(hub: Path, trained: OrderedDict[str, Tensor]) -> None:
    hub.mkdir(parents=True)
    torch.save(trained, hub / get_model_weights(SMALL).DEFAULT.url.rpartition("/")[2])
    model = _build(SMALL)
    head = model.head.weight.detach().clone()
    assert not _is_body_of(model, trained)
    model.adapt(weights.read(SMALL, "default"))
    assert _is_body_of(model, trained)
    assert torch.equal(model.head.weight, head)


def test_without_a_network_it_says_what_to_do(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("unreachable")

    monkeypatch.setattr("torch.hub.urlopen", refuse)
    url = get_model_weights("resnet18").DEFAULT.url
    with pytest.raises(DataError) as caught:
        weights.read("resnet18", "default")
    for part in (str(hub / url.rpartition("/")[2]), url, "unreachable", "--weights FILE", "--weights none"):
        assert part in str(caught.value)


def test_a_download_of_something_else_is_refused(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer(io.BytesIO):
        def info(self) -> Any:
            return type("Headers", (), {"get_all": staticmethod(lambda _: None)})

    monkeypatch.setattr("torch.hub.urlopen", lambda *_, **__: Answer(b"a page of a hotel's network"))
    with pytest.raises(DataError, match=r"cannot be downloaded [(]invalid hash"):
        weights.read("resnet18", "default")
    assert list(hub.iterdir()) == []


def test_a_download_that_was_damaged_later_is_named(hub: Path) -> None:
    hub.mkdir(parents=True)
    file = hub / get_model_weights("resnet18").DEFAULT.url.rpartition("/")[2]
    file.write_bytes(b"half of it")
    with pytest.raises(DataError, match=r"is damaged .*; delete it"):
        weights.read("resnet18", "default")


@pytest.mark.parametrize("prefix", ["", "module.", "network."])
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_file_with_any_labels(ending: str, prefix: str, tmp_path: Path) -> None:
    state = {f"{prefix}{key}": each for key, each in get_model(SMALL, weights=None, num_classes=9).state_dict().items()}
    path = tmp_path / f"mine.{ending}"
    safetensors.torch.save_file(state, path) if ending == "safetensors" else torch.save(state, path)
    model = _build(SMALL)
    model.adapt(weights.read(SMALL, str(path)))
    assert _is_body_of(model, {key.removeprefix(prefix): each for key, each in state.items()})


def test_files_that_are_no_weights_of_this_network(tmp_path: Path, trained: OrderedDict[str, Tensor]) -> None:
    path = tmp_path / "weights.pth"
    contents = {
        "another network": get_model("squeezenet1_1", weights=None).state_dict(),
        "another width": get_model("mnasnet0_75", weights=None).state_dict(),
        "a part": OrderedDict(list(trained.items())[:40]),
        "a whole training": {"epoch": 3, "model": trained},
        "a list": [1, 2],
        "nothing": {},
    }
    messages = {}
    for name, content in contents.items():
        torch.save(content, path)
        with pytest.raises(DataError) as caught:
            _build(SMALL).adapt(weights.read(SMALL, str(path)))
        messages[name] = str(caught.value)
    assert "are missing" in messages["another network"]
    assert "are missing" in messages["a part"]
    assert "size mismatch" in messages["another width"]
    assert all("no state_dict" in messages[name] for name in ("a whole training", "a list", "nothing"))
    assert not any("\n" in each for each in messages.values())


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_files_that_cannot_be_read(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights.{ending}"
    with pytest.raises(DataError, match="there is no file"):
        weights.read(SMALL, str(path))
    path.write_bytes(b"\x80\x02damaged")
    with pytest.raises(DataError, match="is damaged or holds more than weights"):
        weights.read(SMALL, str(path))


def test_a_file_is_never_run(tmp_path: Path) -> None:
    torch.save({"weight": Path("code")}, tmp_path / "weights.pth")
    with pytest.raises(DataError, match="holds more than weights"):
        weights.read(SMALL, str(tmp_path / "weights.pth"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size_px", "now", "before"),
    [("densenet121", 64, r".norm1.", ".norm.1."), ("vit_b_32", 224, ".mlp.0.", ".mlp.linear_1.")],
)
def test_files_with_names_of_older_releases(name: str, size_px: int, now: str, before: str) -> None:
    state = get_model(name, weights=None, num_classes=5).state_dict()
    old = OrderedDict((key.replace(now, before), each) for key, each in state.items())
    assert old.keys() != state.keys()
    old._metadata = {}  # type: ignore[attr-defined]
    model = _build(name, size_px=size_px)
    model.adapt(old)
    own = model.network.state_dict()
    assert all(
        torch.equal(own[key], each) for key, each in state.items() if "classifier" not in key and "head" not in key
    )


@pytest.mark.slow
def test_layers_for_training_alone_are_left_out() -> None:
    state = get_model("googlenet", weights=None, init_weights=True, aux_logits=True).state_dict()
    assert any(key.startswith("aux") for key in state)
    model = _build("googlenet")
    model.adapt(state)
    assert torch.equal(model.network.conv1.conv.weight, state["conv1.conv.weight"])


# The last layer first


def _clusters(count: int = 60, width: int = 20) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    label_ids = torch.arange(count) % 3
    return torch.randn(count, width, generator=generator) + 1.5 * functional.one_hot(label_ids, width), label_ids


def test_the_last_layer_is_a_logistic_regression() -> None:
    features, label_ids = _clusters()
    head = nn.Linear(20, 3)
    fit_head(head, features, label_ids)
    assert (head(features).argmax(dim=1) == label_ids).float().mean() > 0.9
    # at the optimum of the loss the bias has no gradient: as many of each label are expected as there are
    expected = head(features).softmax(dim=1).mean(dim=0)
    assert expected.tolist() == pytest.approx([1 / 3] * 3, abs=1e-3)


def test_the_fit_does_not_depend_on_the_scale_of_features() -> None:
    features, label_ids = _clusters()
    generator = torch.Generator().manual_seed(1)
    scale, shift = torch.rand(20, generator=generator) * 9 + 1, torch.randn(20, generator=generator) * 9
    first, second = nn.Linear(20, 3), nn.Linear(20, 3)
    fit_head(first, features, label_ids)
    spread = features.std(dim=0, correction=0)
    fit_head(second, features / spread * 5 + shift, label_ids)
    assert torch.allclose(first(features), second(features / spread * 5 + shift), atol=1e-2)
    fit_head(second, features * scale + shift, label_ids)
    assert torch.allclose(first(features), second(features * scale + shift), atol=0.5)


def test_features_that_never_vary_do_no_harm() -> None:
    features, label_ids = _clusters()
    features[:, 5] = 3.0
    head = nn.Linear(20, 3)
    fit_head(head, features, label_ids)
    features[:, 5] = 4.0
    assert (head(features).argmax(dim=1) == label_ids).float().mean() > 0.9


def test_rare_labels_count_in_the_last_layer_as_they_are_drawn() -> None:
    features, _ = _clusters(count=510)
    label_ids = (torch.arange(510) < 10).long()
    shares = data.drawing_shares(label_ids)
    assert shares is not None
    head = nn.Linear(20, 2)
    fit_head(head, features, label_ids)
    # at the optimum as much of a label is expected as is drawn of it
    expected = (head(features).softmax(dim=1)[:, 1] * shares).sum().item()
    assert expected == pytest.approx(10**0.5 / (10**0.5 + 500**0.5), abs=1e-3)


def test_a_layer_of_convolution_or_without_bias() -> None:
    features, label_ids = _clusters()
    convolution, plain = nn.Conv2d(20, 3, kernel_size=1), nn.Linear(20, 3, bias=False)
    fit_head(convolution, features, label_ids)
    fit_head(plain, features, label_ids)
    logits = convolution(features[:, :, None, None])[:, :, 0, 0].detach()
    assert logits.min().item() == pytest.approx(0, abs=1e-4)  # what follows it sets everything below 0 to 0
    assert (logits.argmax(dim=1) == label_ids).float().mean() > 0.9
    assert (plain(features).argmax(dim=1) == label_ids).float().mean() > 0.8


def _batches(counts: tuple[int, ...], batch_size: int = 8, size_px: int = 32) -> data.ImageBatches:
    """Noisy pictures, a colour per label."""
    ids = [label for label, count in enumerate(counts) for _ in range(count)]
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 90, (len(ids), 3, size_px, size_px), generator=generator, dtype=torch.uint8)
    for position, label in enumerate(ids):
        pixels[position, label % 3] += 120
        pixels[position, :, 0, 0] = position % 256
    names = tuple(Path(f"{i}.png") for i in range(len(ids)))
    decoded = data.Decoded(pixels, Examples(names, tuple(ids)), ())
    return data.ImageBatches(decoded, ImageTransform(size_px=size_px), batch_size=batch_size)


def test_preparing_fits_the_last_layer_and_nothing_else(trained: OrderedDict[str, Tensor]) -> None:
    batches, model = _batches((8, 8, 8)), _build(SMALL)
    model.adapt(trained)
    with torch.no_grad():  # the statistics of random weights are far off, so that all pictures would look the same
        for each in model.modules():
            if isinstance(each, nn.BatchNorm2d):
                each.reset_running_stats()
    body = {key: each.clone() for key, each in model.network.state_dict().items() if "classifier" not in key}
    model.prepare(batches)
    assert all(torch.equal(model.network.state_dict()[key], each) for key, each in body.items())
    model.eval()
    hits = [(model(*inputs).argmax(dim=1) == ids) for inputs, ids in batches.epoch()]
    assert torch.cat(hits).float().mean() > 0.9


def test_without_weights_only_the_statistics_are_prepared() -> None:
    model, batches = _build(SMALL), _batches((8, 8), batch_size=16, size_px=64)
    model.network.classifier[0].p = 0.0  # dropout, so that training gives the same twice
    before = {key: each.clone() for key, each in model.named_parameters()}
    model.prepare(batches)
    assert all(torch.equal(before[key], each) for key, each in model.named_parameters())
    assert {each.momentum for each in model.modules() if isinstance(each, nn.BatchNorm2d)} == {MOMENTUM}
    (((pictures,), _),) = batches.epoch()
    with torch.no_grad():
        used_as, trained_as = model.eval()(pictures), model.train()(pictures)
    both = torch.stack([used_as, trained_as]).flatten(1)
    assert torch.corrcoef(both)[0, 1] > 0.95
    assert {group["lr"] for group in model.parameter_groups(0.5, 0.1)} == {0.5}


def test_adapted_layers_learn_slower_and_keep_their_statistics() -> None:
    model = _build(SMALL)
    pictures = torch.randn(4, 3, 64, 64)
    norm = next(each for each in model.modules() if isinstance(each, nn.BatchNorm2d))
    model.train()(pictures)
    assert norm.num_batches_tracked == 1
    model.adapt(None)
    model.train()(pictures)
    assert norm.num_batches_tracked == 1
    assert model.network.classifier[0].training  # dropout
    rates = {id(each): group["lr"] for group in model.parameter_groups(0.5, 0.1) for each in group["params"]}
    assert rates[id(model.head.weight)] == rates[id(model.head.bias)] == 0.5
    assert {rate for key, rate in rates.items() if key not in map(id, model.head.parameters())} == {0.5 * BODY_RATE}
    decays = {p.ndim > 1: g["weight_decay"] for g in model.parameter_groups(0.5, 0.1) for p in g["params"]}
    assert decays == {True: 0.1, False: 0.0}


# Rare labels


@pytest.mark.parametrize("counts", [(3, 3), (10, 2), (1,), (7, 0, 7)])
def test_labels_that_are_even_enough_are_drawn_as_they_are(counts: tuple[int, ...]) -> None:
    batches = _batches(counts).with_rare_labels_more_often()
    assert data.drawing_shares(torch.tensor([i for i, n in enumerate(counts) for _ in range(n)])) is None
    assert Counter(_drawn(batches, 3).values()) == {1: sum(counts)}


def _drawn(batches: data.ImageBatches, seed: int | None) -> Counter[int]:
    """How often each picture comes in a pass."""
    corners = torch.cat([inputs[:, 0, 0, 0] for (inputs,), _ in batches.epoch(seed)])
    return Counter(((corners * 0.5 + 0.5) * 255).round().int().tolist())


def test_rare_labels_are_drawn_by_the_root_of_their_numbers() -> None:
    counts = (144, 36, 4)
    batches = _batches(counts).with_rare_labels_more_often()
    times = _drawn(batches, 3)
    ids = torch.cat([ids for _, ids in batches.epoch(3)])
    expected = [184 * root / 20 for root in (12, 6, 2)]
    assert torch.bincount(ids).tolist() == pytest.approx(expected, abs=1)
    for position in range(184):  # each as often as its share says, give or take one
        label = 0 if position < 144 else 1 if position < 180 else 2
        assert abs(times[position] - expected[label] / counts[label]) < 1
    assert _drawn(batches, 3) == times != _drawn(batches, 4)
    assert Counter(_drawn(batches, None).values()) == {1: 184}


@pytest.mark.parametrize(("count", "batch_size"), [(33, 8), (64, 8), (9, 8), (5, 8), (17, 16)])
def test_batches_of_a_pass_are_as_large_as_each_other(count: int, batch_size: int) -> None:
    batches = _batches((count,), batch_size=batch_size)
    sizes = [len(ids) for _, ids in batches.epoch(1)]
    assert len(sizes) == len(batches)
    assert sum(sizes) == count
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= batch_size
