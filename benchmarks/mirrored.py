"""The gain of answering a picture and its mirror image together: `python -m benchmarks.mirrored`.

The shipped checkpoints answer the picture alone, which takes half the time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from benchmarks import results
from pyclassify import checkpoint, evaluation
from pyclassify.device import pick
from pyclassify.image import data
from pyclassify.image.transform import ImageTransform
from pyclassify.training.trainer import predict_logits

MODULE: Final = "benchmarks.mirrored"
ROOT: Final = Path(__file__).parents[1]


class Mirrored(nn.Module):
    """The mean of a network's log-probabilities of a picture and of its mirror image.

    Args:
        network: logits (N, K) = network(images).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, 3, H, W) to log-probabilities (N, K)."""
        logits = torch.stack([self.network(images), self.network(images.flip(3))])
        return logits.log_softmax(dim=2).mean(dim=0)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the result."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=ROOT / "data" / "cifar10", metavar="DIR", help="folder with train/ and test/"
    )
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "checkpoints" / "cifar10", metavar="DIR")
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    options = parser.parse_args(arguments)
    device = pick(options.device)
    record = results.Record(
        benchmark="mirrored", module=MODULE, arguments=arguments, device=device, folder=options.results
    )
    rows = measure(options.data, options.checkpoint, device)
    record.save({"data": options.data.name, "rows": rows})
    for row in rows:
        print(f"{row['way']:20} {row['accuracy']:.4f}")


def measure(folder: Path, path: Path, device: torch.device) -> list[dict[str, Any]]:
    """Measure test accuracy with and without the mirror images.

    Args:
        folder: pictures with a test split, by which nothing is chosen.
        path: of a checkpoint with the same labels.
        device: of the network.
    """
    loaded = checkpoint.load(path)
    splits = data.read_splits(folder)
    if not isinstance(loaded.transform, ImageTransform) or tuple(loaded.labels) != splits.labels:
        sys.exit(f"{path} is not a checkpoint for the labels in {folder}.")
    decoded = data.decode(splits.test, loaded.transform)
    batches = data.ImageBatches(decoded, loaded.transform, batch_size=256, device=device)
    rows: list[dict[str, Any]] = []
    for way, network in (("as shipped", loaded.network), ("and mirrored", Mirrored(loaded.network))):
        logits, label_ids = predict_logits(network.to(device), batches)
        scores = evaluation.score(logits, label_ids, labels=splits.labels, majority_id=0)
        rows.append({"way": way, "accuracy": scores.accuracy, "accuracy_interval": scores.accuracy_interval})
    return rows


if __name__ == "__main__":
    main()
