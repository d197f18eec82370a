"""What it would bring to show a picture model the mirror image as well: `python -m benchmarks.mirrored`.

The shipped setting is without it, which takes half the time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.results import Record
from pyclassify import checkpoint, evaluation
from pyclassify.device import pick
from pyclassify.image import data
from pyclassify.image.transform import ImageTransform
from pyclassify.training import predict_logits

MODULE = "benchmarks.mirrored"
ROOT = Path(__file__).parents[1]


class BothWays(nn.Module):
    """The mean of a network's log-probabilities of a picture and of its mirror image."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, K)."""
        seen = torch.stack([self.model(pictures), self.model(pictures.flip(3))])
        return seen.log_softmax(dim=2).mean(dim=0)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the result."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "cifar10", metavar="DIR", help="an ImageFolder")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "checkpoints" / "cifar10", metavar="DIR")
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--results", type=Path, default=None, metavar="DIR", help="default: benchmarks/results")
    options = parser.parse_args(arguments)
    place = {} if options.results is None else {"folder": options.results}
    record = Record(benchmark="mirrored", module=MODULE, arguments=arguments, device=pick(options.device), **place)
    rows = measure(options.data, options.checkpoint, pick(options.device))
    record.save({"data": options.data.name, "rows": rows})
    for row in rows:
        print(f"{row['way']:20} {row['accuracy']:.4f}")


def measure(folder: Path, path: Path, device: torch.device) -> list[dict[str, object]]:
    """Test accuracy with and without the mirror images.

    Args:
        folder: an ImageFolder with a part for testing, of which nothing is chosen here.
        path: a checkpoint with the same labels.
        device: where the network runs.
    """
    loaded = checkpoint.load(path)
    splits = data.read(folder)
    if not isinstance(loaded.transform, ImageTransform) or tuple(loaded.labels) != splits.labels:
        sys.exit(f"{path} does not tell the labels in {folder} apart.")
    decoded = data.decode(splits.test, loaded.transform)
    batches = data.ImageBatches(decoded, loaded.transform, batch_size=256, device=device)
    rows: list[dict[str, object]] = []
    for way, model in (("as shipped", loaded.model), ("and mirrored", BothWays(loaded.model))):
        logits, label_ids = predict_logits(model.to(device), batches)
        scores = evaluation.score(logits, label_ids, labels=splits.labels, majority_id=0)
        rows.append({"way": way, "accuracy": scores.accuracy, "accuracy_interval": scores.accuracy_interval})
    return rows


if __name__ == "__main__":
    main()
