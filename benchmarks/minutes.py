"""Networks that are trained for the same few minutes: `python -m benchmarks.minutes`.

Every network begins with random weights and has its default settings; data, splits, size of the pictures, seed, device
and time are the same for all. It is the training of `python -m train.image --minutes N`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from benchmarks import results
from pyclassify import ImageConfig, manifest, recipe
from pyclassify.cli.train import TerminalProgress
from pyclassify.device import pick
from pyclassify.training.config import DEVICES, IMAGE_NETWORKS

MODULE: Final = "benchmarks.minutes"
ROOT: Final = Path(__file__).parents[1]
MINUTES: Final = (5.0, 15.0, 60.0)
NETWORKS: Final[Mapping[str, Mapping[str, str]]] = {
    IMAGE_NETWORKS[0]: {"network": IMAGE_NETWORKS[0]},
    "simple_cnn": {"network": "simple_cnn"},
    "resnet18": {"network": "resnet18", "weights": "none"},
}
"""Options of the training by name of the network."""


def main(argv: Sequence[str] | None = None) -> None:
    """Train what the command line asks for, the shortest first, and write the results after each training."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parser().parse_args(arguments)
    if not options.data.is_dir():
        sys.exit(f"There is no folder {options.data}; give --data a folder with train/LABEL/ and test/LABEL/.")
    device = pick(options.device)
    record = results.Record(
        benchmark="minutes", module=MODULE, arguments=arguments, device=device, folder=options.results
    )
    content: dict[str, Any] = {"data": options.data.resolve().name, "minutes": sorted(options.minutes), "rows": []}
    if options.add:
        _add_earlier(content, results.read("minutes", options.results), results.hardware(device))
    for minutes in sorted(options.minutes):
        for network in options.networks:
            row = _train(network, minutes, options)
            content["rows"].append(row)
            record.save(content)
            print(f"{network}, {minutes:g} minutes: test accuracy {row['accuracy']:.4f}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "cifar10", metavar="DIR")
    parser.add_argument("--minutes", type=float, nargs="+", default=MINUTES, metavar="N", help="default: 5 15 60")
    parser.add_argument("--networks", nargs="+", choices=tuple(NETWORKS), default=tuple(NETWORKS), metavar="NAME")
    parser.add_argument("--size", type=int, default=32, metavar="PX", help="input of all networks (default: 32)")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--add", action="store_true", help="keep earlier results of the same data, hardware and versions"
    )
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    return parser


def _add_earlier(content: dict[str, Any], earlier: dict[str, Any] | None, hardware: str) -> None:
    """Take the rows of an earlier run into this one, so that hours of training can be done in parts."""
    if earlier is None:
        return
    same = earlier["hardware"] == hardware and earlier["versions"] == manifest.versions("gradio")
    if not same or earlier["results"]["data"] != content["data"]:
        sys.exit("--add: the earlier results are of other data, hardware or versions; give --results another folder.")
    content["rows"] = list(earlier["results"]["rows"])
    content["minutes"] = sorted({*earlier["results"]["minutes"], *content["minutes"]})


def _train(network: str, minutes: float, options: argparse.Namespace) -> dict[str, Any]:
    """Train a network and return its row."""
    with tempfile.TemporaryDirectory() as folder, closing(TerminalProgress("image")) as progress:
        config = ImageConfig(
            **NETWORKS[network],  # type: ignore[arg-type]
            data=options.data,
            size_px=options.size,
            device=options.device,
            minutes=minutes,
            seed=options.seed,
            out=Path(folder) / network,
        )
        trained = recipe.train(config, on_progress=progress).manifest
    scores, training, data = trained.scores, trained.training, trained.data
    assert scores is not None
    assert training is not None
    assert data is not None
    return {
        "network": network,
        "minutes": minutes,
        "accuracy": scores.accuracy,
        "accuracy_interval": scores.accuracy_interval,
        "test_examples": scores.num_examples,
        "train_examples": data.train,
        "epochs": len(training.epochs),
        "training_s": training.duration_s,
        "parameters": training.num_parameters,
    }


if __name__ == "__main__":
    main()
