"""What a few minutes of training come to, for networks under the same clock: `python -m benchmarks.minutes`.

Each network is trained by `python -m train.image --minutes N`, from random weights and with its default settings; data,
splits, size of the pictures, seed, device and time are the same for all.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.results import Record
from pyclassify import provenance
from pyclassify.device import NAMES as DEVICES
from pyclassify.device import pick
from pyclassify.image.models import DEFAULT
from train import image as train_image

MODULE = "benchmarks.minutes"
ROOT = Path(__file__).parents[1]
MINUTES = (5.0, 15.0, 60.0)
NETWORKS: dict[str, tuple[str, ...]] = {
    DEFAULT: (),
    "simple_cnn": ("--model", "simple_cnn"),
    "resnet18": ("--model", "resnet18", "--weights", "none"),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Train what is asked for, the shortest first, and write the results after each training."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parser().parse_args(arguments)
    if not options.data.is_dir():
        sys.exit(f"there is no folder {options.data}; give --data a folder with train/<label>/ and test/<label>/.")
    device = pick(options.device)
    record = Record(benchmark="minutes", module=MODULE, arguments=arguments, device=device, folder=options.results)
    content: dict[str, Any] = {"data": options.data.resolve().name, "minutes": sorted(options.minutes), "rows": []}
    if options.add:
        _add_earlier(content, results.read("minutes", options.results), results.hardware(device))
    for minutes in sorted(options.minutes):
        for network in options.networks:
            line = [*NETWORKS[network], "--data", str(options.data), "--size", str(options.size)]
            line += ["--device", options.device, "--minutes", f"{minutes:g}", "--seed", str(options.seed)]
            row = _trained(network, minutes, line)
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
        "--add", action="store_true", help="keep what was measured before on the same data, hardware and versions"
    )
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR")
    return parser


def _add_earlier(content: dict[str, Any], earlier: dict[str, Any] | None, hardware: str) -> None:
    """Take the rows of an earlier run into this one, so that hours of training can be had in parts."""
    if earlier is None:
        return
    same = earlier["hardware"] == hardware and earlier["versions"] == provenance.versions("gradio")
    if not same or earlier["results"]["data"] != content["data"]:
        sys.exit("--add: the earlier results are of other data, hardware or versions; give --results another folder.")
    content["rows"] = list(earlier["results"]["rows"])
    content["minutes"] = sorted({*earlier["results"]["minutes"], *content["minutes"]})


def _trained(network: str, minutes: float, line: Sequence[str]) -> dict[str, Any]:
    """The row of one training, from the checkpoint that it writes."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / network
        train_image.main([*line, "--out", str(out)])
        info = json.loads((out / "config.json").read_text(encoding="utf-8"))
    scores, training = info["scores"], info["training"]
    return {
        "network": network,
        "minutes": minutes,
        "accuracy": scores["accuracy"],
        "accuracy_interval": scores["accuracy_interval"],
        "test_examples": scores["examples"],
        "train_examples": info["data"]["train"],
        "epochs": len(training["epochs"]),
        "training_s": training["duration_s"],
        "parameters": training["parameters"],
    }


if __name__ == "__main__":
    main()
