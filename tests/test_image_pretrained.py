"""torchvision's networks: any of them gives logits and features, begins with weights, and fits its last layer first."""

from __future__ import annotations

import copy
import io
import threading
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import get_model, get_model_weights

from pyclassify.dataset import Examples
from pyclassify.errors import ConfigError, DataError
from pyclassify.image import data, networks, pretrained
from pyclassify.image.features import BODY_RATE
from pyclassify.image.pretrained import MOMENTUM, Pretrained
from pyclassify.image.transfer import fit_head
from pyclassify.image.transform import ImageTransform
from pyclassify.manifest import Network
from pyclassify.modality import get
from pyclassify.training.config import FitConfig
from tests import drawing

SMALL = "mnasnet0_5"


def build(name: str, num_labels: int = 3, size_px: int = 64) -> Pretrained:
    torch.manual_seed(1)
    network = networks.build(name, num_labels=num_labels, size_px=size_px)
    assert isinstance(network, Pretrained)
    return network


def slow(name: str, size_px: int) -> Any:
    return pytest.param(name, size_px, marks=pytest.mark.slow)


FAMILIES = [
    ("resnet18", 64),
    ("mobilenet_v3_small", 64),
    ("squeezenet1_1", 64),
    ("shufflenet_v2_x0_5", 64),
    (SMALL, 64),
    ("regnet_y_400mf", 64),
    slow("efficientnet_b0", 64),
    slow("convnext_tiny", 64),
    slow("densenet121", 64),
    slow("googlenet", 64),
    slow("inception_v3", 96),
    slow("swin_t", 64),
    slow("swin_v2_t", 64),
    slow("alexnet", 64),
    slow("vgg11", 64),
    slow("vit_b_32", 224),
    slow("maxvit_t", 224),
]


@pytest.mark.parametrize(("name", "size_px"), FAMILIES)
def test_every_family_is_built_again_from_settings_and_weights(name: str, size_px: int) -> None:
    network = build(name, size_px=size_px).eval()
    transform = pretrained.preset(name, size_px)
    images = torch.randn(2, 3, size_px, size_px)
    with torch.no_grad():
        logits = network(images)
    assert logits.shape == (2, 3)
    weights = safetensors.torch.load(safetensors.torch.save(dict(network.state_dict())))
    torch.manual_seed(2)
    again = get("image").build(Network(name=name, arguments={"size_px": size_px}), num_labels=3).eval()
    again.load_state_dict(weights, strict=True, assign=True)
    with torch.no_grad():
        assert torch.equal(again(images), logits)
    assert get("image").make_transform(transform.settings(), {}) == transform


@pytest.mark.parametrize(("name", "size_px"), FAMILIES)
@torch.no_grad()
def test_features_are_what_the_layers_compute(name: str, size_px: int) -> None:
    """Outputs of layers by name, in the order in which they run, as they are before an activation overwrites them."""
    network = build(name, size_px=size_px).eval()
    images = torch.randn(2, 3, size_px, size_px)
    outputs: dict[str, Tensor] = {}
    inputs: list[Tensor] = []
    observed = copy.deepcopy(network)
    for layer_name, layer in observed.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda _, __, output, key=layer_name: outputs.update({key: output.clone()}))
    observed.head.register_forward_pre_hook(lambda _, args: inputs.append(args[0].clone()))
    observed(images)
    *names, head = outputs
    assert head == network.head_name
    features = network.features(images)
    assert list(features.maps) == names
    assert all(torch.equal(features.maps[key], outputs[key]) for key in names)
    assert torch.equal(features.pooled, inputs[0])
    assert torch.equal(features.logits, network(images))
    some = network.extractor(names[::5])(images[:1])
    assert list(some.maps) == names[::5]
    torch.testing.assert_close(some.logits, features.logits[:1], atol=1e-4, rtol=1e-4)


def test_features_share_the_parameters() -> None:
    network = build(SMALL).eval()
    extract, images = network.extractor(), torch.randn(2, 3, 64, 64)
    before = set(network.state_dict())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)
        assert torch.equal(extract(images).logits, network(images))
    assert set(network.state_dict()) == before


def test_a_network_that_cannot_be_traced_is_a_closed_box() -> None:
    class Choosy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

        def forward(self, images: Tensor) -> Tensor:
            maps = self.first(images)
            return self.last(maps if maps.sum() > 0 else -maps).mean(dim=(2, 3))

    network = build(SMALL).eval()
    network.network = Choosy()
    images = torch.randn(2, 3, 8, 8)
    features = network.features(images)
    assert torch.equal(features.logits, network(images))
    assert torch.equal(features.pooled, features.logits)
    assert features.maps == {}


def test_tracing_one_network_does_not_disturb_another() -> None:
    """While fx traces, it replaces methods of all modules, in all threads."""
    serving = networks.build("whitened_convnet", num_labels=3, widths=(8, 8, 8)).eval()
    images = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        wanted = serving(images)
    stop, failures, answered = threading.Event(), [], 0

    def serve() -> None:
        nonlocal answered
        while not stop.is_set():
            try:
                with torch.no_grad():
                    assert torch.equal(serving(images), wanted)
                answered += 1
            except BaseException as error:
                failures.append(error)
                return

    network = build("shufflenet_v2_x0_5").eval()
    names: list[list[str]] = []
    tracing = [
        threading.Thread(target=lambda: names.append(list(network.features(torch.zeros(1, 3, 64, 64)).maps)))
        for _ in range(4)
    ]
    server = threading.Thread(target=serve)
    server.start()
    for thread in tracing:
        thread.start()
    for thread in tracing:
        thread.join()
    stop.set()
    server.join()
    assert failures == []
    assert answered
    assert len(names) == 4
    assert all(layers == names[0] and len(layers) == 56 for layers in names)


@pytest.mark.slow
def test_each_of_torchvisions_networks_can_be_built_traced_and_trained() -> None:
    from pyclassify.checkpoint import _NoInit

    assert len(pretrained.names()) >= 80
    for name in pretrained.names():
        size_px = pretrained.preset(name).size_px
        with _NoInit(), torch.device("meta"):
            network = build(name, num_labels=7, size_px=size_px).eval()
        assert network.head.weight.shape[0] == 7, name
        grouped = [parameter for group in network.parameter_groups(1.0, 0.1) for parameter in group["params"]]
        assert Counter(map(id, grouped)) == Counter(map(id, network.parameters())), name
        with torch.no_grad():
            maps = network.to("meta").features(torch.zeros(1, 3, size_px, size_px, device="meta")).maps
        assert len(maps) >= 7, name


@pytest.mark.parametrize(("name", "size_px"), [("alexnet", 32), ("inception_v3", 64)])
def test_pictures_that_are_too_small(name: str, size_px: int) -> None:
    network = build(name, size_px=size_px)
    with pytest.raises(ConfigError) as error:
        networks.check_size(network, size_px)
    assert error.value.code == "image_size_too_small"
    assert network.training


def test_networks_of_one_size() -> None:
    assert pretrained.preset("vit_b_32", 224) == pretrained.preset("vit_b_32")
    with pytest.raises(ConfigError) as error:
        pretrained.preset("vit_b_32", 128)
    assert error.value.code == "image_size_fixed"
    with pytest.raises(ConfigError) as error:
        networks.build("vit_b_32", num_labels=2, size_px=100)
    assert error.value.code == "image_network_size"


# The transform that comes with the weights


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "efficientnet_b0", "efficientnet_v2_s"])
@pytest.mark.parametrize("size", [(640, 480), (300, 500), (512, 512)])
def test_the_preset_is_torchvisions(name: str, size: tuple[int, int]) -> None:
    image = drawing.photo(*size)
    theirs = get_model_weights(name).DEFAULT.transforms()(image)
    preset = pretrained.preset(name)
    ours = preset.normalise(preset(image).tensor[None])[0]
    assert ours.shape == theirs.shape
    off = (ours - theirs).abs().mean()
    plain = ImageTransform(size_px=preset.size_px, mean=preset.mean, std=preset.std)
    if size[0] == size[1]:
        assert off < 0.001
    elif preset.crop < 1:  # they round the place of the crop to whole pixels: up to a half of one
        assert off < 0.35 * (plain.normalise(plain(image).tensor[None])[0] - theirs).abs().mean()


# Weights to begin with


@pytest.fixture(scope="module")
def published() -> OrderedDict[str, Tensor]:
    """Weights with 1000 labels, as torchvision publishes them."""
    torch.manual_seed(7)
    state: OrderedDict[str, Tensor] = get_model(SMALL, weights=None).state_dict()
    return state


def has_body_of(network: Pretrained, state: dict[str, Tensor]) -> bool:
    own = network.network.state_dict()
    return all(torch.equal(own[key], tensor) for key, tensor in state.items() if not key.startswith("classifier"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


def test_the_default_is_what_torchvision_keeps(hub: Path, published: OrderedDict[str, Tensor]) -> None:
    hub.mkdir(parents=True)
    torch.save(published, hub / get_model_weights(SMALL).DEFAULT.url.rpartition("/")[2])
    network = build(SMALL)
    head = network.head.weight.detach().clone()
    assert not has_body_of(network, published)
    network.adapt(pretrained.read_weights(SMALL, "default"))
    assert has_body_of(network, published)
    assert torch.equal(network.head.weight, head)


def test_without_a_network_it_says_what_to_do(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise URLError("unreachable")

    monkeypatch.setattr("torch.hub.urlopen", refuse)
    url = get_model_weights("resnet18").DEFAULT.url
    with pytest.raises(DataError) as error:
        pretrained.read_weights("resnet18", "default")
    assert error.value.code == "weights_download"
    assert error.value.fields["file"] == hub / url.rpartition("/")[2]
    assert error.value.fields["url"] == url
    assert "unreachable" in error.value.fields["reason"]


def test_a_download_of_something_else_is_refused(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer(io.BytesIO):
        def info(self) -> Any:
            return type("Headers", (), {"get_all": staticmethod(lambda _: None)})

    monkeypatch.setattr("torch.hub.urlopen", lambda *_, **__: Answer(b"a page of a hotel's network"))
    with pytest.raises(DataError) as error:
        pretrained.read_weights("resnet18", "default")
    assert error.value.code == "weights_download"
    assert "invalid hash" in error.value.fields["reason"]
    assert list(hub.iterdir()) == []


def test_a_download_that_was_damaged_later_is_named(hub: Path) -> None:
    hub.mkdir(parents=True)
    file = hub / get_model_weights("resnet18").DEFAULT.url.rpartition("/")[2]
    file.write_bytes(b"half of it")
    with pytest.raises(DataError) as error:
        pretrained.read_weights("resnet18", "default")
    assert (error.value.code, error.value.fields["file"]) == ("weights_download_damaged", file)


@pytest.mark.parametrize("prefix", ["", "module.", "network."])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_with_any_labels(suffix: str, prefix: str, tmp_path: Path) -> None:
    own = get_model(SMALL, weights=None, num_classes=9).state_dict()
    state = {f"{prefix}{key}": tensor for key, tensor in own.items()}
    path = tmp_path / f"mine.{suffix}"
    safetensors.torch.save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    network = build(SMALL)
    network.adapt(pretrained.read_weights(SMALL, str(path)))
    assert has_body_of(network, own)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda _: get_model("squeezenet1_1", weights=None).state_dict(), "weights_incomplete"),
        (lambda _: get_model("mnasnet0_75", weights=None).state_dict(), "weights_mismatch"),
        (lambda published: OrderedDict(list(published.items())[:40]), "weights_incomplete"),
        (lambda published: {"epoch": 3, "model": published}, "weights_not_a_state_dict"),
        (lambda _: [1, 2], "weights_not_a_state_dict"),
        (lambda _: {}, "weights_not_a_state_dict"),
    ],
    ids=["another network", "another width", "a part", "a whole training", "a list", "nothing"],
)
def test_files_that_are_not_weights_of_this_network(
    make: Any, code: str, tmp_path: Path, published: OrderedDict[str, Tensor]
) -> None:
    torch.save(make(published), tmp_path / "weights.pth")
    with pytest.raises(DataError) as error:
        build(SMALL).adapt(pretrained.read_weights(SMALL, str(tmp_path / "weights.pth")))
    assert error.value.code == code
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_files_that_cannot_be_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights.{suffix}"
    with pytest.raises(DataError) as error:
        pretrained.read_weights(SMALL, str(path))
    assert error.value.code == "weights_missing"
    path.write_bytes(b"\x80\x02damaged")
    with pytest.raises(DataError) as error:
        pretrained.read_weights(SMALL, str(path))
    assert error.value.code == "weights_damaged"


def test_a_file_is_never_run(tmp_path: Path) -> None:
    torch.save({"weight": Path("code")}, tmp_path / "weights.pth")
    with pytest.raises(DataError) as error:
        pretrained.read_weights(SMALL, str(tmp_path / "weights.pth"))
    assert error.value.code == "weights_damaged"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size_px", "now", "before"),
    [("densenet121", 64, r".norm1.", ".norm.1."), ("vit_b_32", 224, ".mlp.0.", ".mlp.linear_1.")],
)
def test_files_with_names_of_older_releases(name: str, size_px: int, now: str, before: str) -> None:
    state = get_model(name, weights=None, num_classes=5).state_dict()
    old = OrderedDict((key.replace(now, before), tensor) for key, tensor in state.items())
    assert old.keys() != state.keys()
    old._metadata = {}  # type: ignore[attr-defined]
    network = build(name, size_px=size_px)
    network.adapt(old)
    own = network.network.state_dict()
    assert all(
        torch.equal(own[key], tensor) for key, tensor in state.items() if "classifier" not in key and "head" not in key
    )


@pytest.mark.slow
def test_layers_for_training_alone_are_left_out() -> None:
    state = get_model("googlenet", weights=None, init_weights=True, aux_logits=True).state_dict()
    assert any(key.startswith("aux") for key in state)
    network = build("googlenet")
    network.adapt(state)
    assert torch.equal(network.get_parameter("network.conv1.conv.weight"), state["conv1.conv.weight"])


def test_the_card_tells_where_a_training_began() -> None:
    assert pretrained.origin("resnet18", "/home/me/mine.pth").fields == {"name": "mine.pth"}
    assert pretrained.origin("resnet18", "default").fields == {"weights": "ResNet18_Weights.IMAGENET1K_V1"}
    licensed = pretrained.origin("vit_h_14", "default")
    assert licensed.fields["license"].startswith("https://")
    assert licensed.fields["license"] in licensed.text("ko")


# The last layer first


def clusters(count: int = 60, width: int = 20) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    label_ids = torch.arange(count) % 3
    return torch.randn(count, width, generator=generator) + 1.5 * functional.one_hot(label_ids, width), label_ids


def test_the_last_layer_is_a_logistic_regression() -> None:
    features, label_ids = clusters()
    head = nn.Linear(20, 3)
    fit_head(head, features, label_ids)
    assert (head(features).argmax(dim=1) == label_ids).float().mean() > 0.9
    # at the optimum of the loss the bias has no gradient: as many of each label are expected as there are
    expected = head(features).softmax(dim=1).mean(dim=0)
    assert expected.tolist() == pytest.approx([1 / 3] * 3, abs=1e-3)


def test_the_fit_does_not_depend_on_the_scale_of_features() -> None:
    features, label_ids = clusters()
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
    features, label_ids = clusters()
    features[:, 5] = 3.0
    head = nn.Linear(20, 3)
    fit_head(head, features, label_ids)
    features[:, 5] = 4.0
    assert (head(features).argmax(dim=1) == label_ids).float().mean() > 0.9


def test_rare_labels_count_in_the_last_layer_as_they_are_drawn() -> None:
    features, _ = clusters(count=510)
    label_ids = (torch.arange(510) < 10).long()
    weights = data.sampling_weights(label_ids)
    assert weights is not None
    head = nn.Linear(20, 2)
    fit_head(head, features, label_ids)
    # at the optimum as much of a label is expected as is drawn of it
    expected = (head(features).softmax(dim=1)[:, 1] * weights).sum().item()
    assert expected == pytest.approx(10**0.5 / (10**0.5 + 500**0.5), abs=1e-3)


def test_a_layer_of_convolution_or_without_bias() -> None:
    features, label_ids = clusters()
    convolution, plain = nn.Conv2d(20, 3, kernel_size=1), nn.Linear(20, 3, bias=False)
    fit_head(convolution, features, label_ids)
    fit_head(plain, features, label_ids)
    logits = convolution(features[:, :, None, None])[:, :, 0, 0].detach()
    assert logits.min().item() == pytest.approx(0, abs=1e-4)  # what follows it sets everything below 0 to 0
    assert (logits.argmax(dim=1) == label_ids).float().mean() > 0.9
    assert (plain(features).argmax(dim=1) == label_ids).float().mean() > 0.8


def noisy_batches(counts: tuple[int, ...], batch_size: int = 8, size_px: int = 32) -> data.ImageBatches:
    """Noisy pictures with a colour per label."""
    ids = [label for label, count in enumerate(counts) for _ in range(count)]
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 90, (len(ids), 3, size_px, size_px), generator=generator, dtype=torch.uint8)
    for position, label in enumerate(ids):
        pixels[position, label % 3] += 120
        pixels[position, :, 0, 0] = position % 256
    decoded = data.Decoded(pixels, Examples(tuple(Path(f"{i}.png") for i in range(len(ids))), tuple(ids)))
    return data.ImageBatches(decoded, ImageTransform(size_px=size_px), batch_size=batch_size)


def test_preparing_fits_the_last_layer_and_nothing_else(published: OrderedDict[str, Tensor]) -> None:
    batches, network = noisy_batches((8, 8, 8)), build(SMALL)
    network.adapt(published)
    with torch.no_grad():  # the statistics of random weights are far off, so that all pictures would look the same
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.reset_running_stats()
    body = {key: tensor.clone() for key, tensor in network.state_dict().items() if "classifier" not in key}
    network.prepare(batches)
    assert all(torch.equal(network.state_dict()[key], tensor) for key, tensor in body.items())
    network.eval()
    hits = [(network(*inputs).argmax(dim=1) == ids) for inputs, ids in batches.epoch()]
    assert torch.cat(hits).float().mean() > 0.9


def test_without_weights_only_the_statistics_are_prepared() -> None:
    network, batches = build(SMALL), noisy_batches((8, 8), batch_size=16, size_px=64)
    dropout = network.get_submodule("network.classifier.0")
    assert isinstance(dropout, nn.Dropout)
    dropout.p = 0.0  # so that training gives the same twice
    before = {key: parameter.clone() for key, parameter in network.named_parameters()}
    network.prepare(batches)
    assert all(torch.equal(before[key], parameter) for key, parameter in network.named_parameters())
    assert {layer.momentum for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)} == {MOMENTUM}
    (((images,), _),) = batches.epoch()
    with torch.no_grad():
        in_use, in_training = network.eval()(images), network.train()(images)
    assert torch.corrcoef(torch.stack([in_use, in_training]).flatten(1))[0, 1] > 0.95
    assert {group["lr"] for group in network.parameter_groups(0.5, 0.1)} == {0.5}


def test_adapted_layers_learn_slower_and_keep_their_statistics() -> None:
    network = build(SMALL)
    images = torch.randn(4, 3, 64, 64)
    norm = next(layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))
    network.train()(images)
    assert norm.num_batches_tracked == 1
    network.adapt(None)
    network.train()(images)
    assert norm.num_batches_tracked == 1
    assert network.get_submodule("network.classifier.0").training  # dropout
    groups = network.parameter_groups(0.5, 0.1)
    rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
    head_ids = {id(parameter) for parameter in network.head.parameters()}
    assert {rates[key] for key in head_ids} == {0.5}
    assert {rate for key, rate in rates.items() if key not in head_ids} == {0.5 * BODY_RATE}
    decays = {p.ndim > 1: group["weight_decay"] for group in groups for p in group["params"]}
    assert decays == {True: 0.1, False: 0.0}


@pytest.mark.parametrize(
    ("name", "num_examples", "batch_size", "epochs"),
    [("resnet18", 60, 8, 20), ("resnet18", 300, 16, 16), ("resnet18", 50_000, 32, 3), ("vit_h_14", 300, 4, 4)],
)
def test_trainings_that_begin_with_weights_are_short(
    name: str, num_examples: int, batch_size: int, epochs: int
) -> None:
    sizes = {"num_examples": num_examples, "size_px": pretrained.preset(name).size_px}
    adapted, from_scratch = (
        FitConfig(**pretrained.fit_defaults(**sizes, is_adapted=is_adapted)) for is_adapted in (True, False)
    )
    assert (adapted.batch_size, adapted.epochs) == (batch_size, epochs)
    assert from_scratch.epochs > epochs
