"""Options that both command lines share, and how a training ends when something is wrong or Ctrl-C is pressed."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyclassify import checkpoint
from pyclassify.device import NAMES as DEVICES
from pyclassify.device import fast_dtype, pick
from pyclassify.errors import ConfigError, PyClassifyError
from pyclassify.training import PRECISIONS, TrainConfig


def add_common(parser: argparse.ArgumentParser, *, models: Sequence[str], default: str) -> None:
    """Add what pictures and text have in common, under headings."""
    result = parser.add_argument_group("result")
    result.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the checkpoint, such as checkpoints/NAME"
    )
    result.add_argument("--data-name", metavar="NAME", help="of the data, for the card (default: from its path)")
    result.add_argument("--about", default="", metavar="TEXT", help="a sentence on the data, for the checkpoint's card")
    result.add_argument("--data-license", default="", metavar="TEXT", help="licence of the data, for the card")

    split = parser.add_argument_group("splits that are made here where the data has none")
    split.add_argument(
        "--validation-fraction", type=_fraction, default=0.1, metavar="F", help="of the training data (default: 0.1)"
    )
    split.add_argument("--test-fraction", type=_fraction, default=0.2, metavar="F", help="of all data (default: 0.2)")

    model = parser.add_argument_group("model and training (the defaults suit the model and the data)")
    model.add_argument("--model", choices=models, default=default, help=f"default: {default}")
    model.add_argument("--epochs", type=_whole, metavar="N", help="passes over the training data")
    model.add_argument("--batch-size", type=_whole, metavar="N", help="examples per step")
    model.add_argument("--learning-rate", type=_positive, metavar="X", help="its highest value")
    model.add_argument(
        "--patience", type=_whole, metavar="N", help="stop after N epochs without a better validation result"
    )
    model.add_argument("--seed", type=int, default=0, metavar="N", help="of splits, weights and order (default: 0)")

    run = parser.add_argument_group("running")
    run.add_argument("--device", default="auto", metavar="NAME", help=f"{', '.join(DEVICES)} (default: auto)")
    run.add_argument(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="auto",
        help="bfloat16 is faster where the device has it; auto finds out",
    )
    run.add_argument("--resume", action="store_true", help="go on where an interrupted training stopped")


def _whole(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return number


def _fraction(text: str) -> float:
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, got {text}")
    return number


# argparse names a value's type by the function's name in "invalid ... value"
_whole.__name__, _positive.__name__, _fraction.__name__ = "whole number", "number", "number"


def check_common(options: argparse.Namespace) -> None:
    """Refuse what cannot work before any data is read.

    Raises:
        ConfigError: with the reason and the way out.
    """
    pick(options.device)
    if options.seed < 0:
        raise ConfigError(f"--seed must be at least 0, got {options.seed}")
    checkpoint.refuse_other_content(options.out)
    if not options.out.name:
        raise ConfigError(f"--out must name a folder of its own, such as checkpoints/NAME, not {options.out}")


def train_config(options: argparse.Namespace, defaults: Mapping[str, Any], *, autocast: bool) -> TrainConfig:
    """The model's defaults, overridden by the options that were given.

    Args:
        options: parsed.
        defaults: arguments of TrainConfig.
        autocast: whether the model gains from a shorter number format where the device has one.
    """
    names = ("epochs", "batch_size", "learning_rate", "patience")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    precision = options.precision
    if precision == "auto":
        precision = str(fast_dtype(pick(options.device))).removeprefix("torch.") if autocast else "float32"
    return TrainConfig(**{**defaults, **given, "seed": options.seed, "precision": precision})


def command_line(module: str, arguments: Sequence[str]) -> str:
    """The command as a person would repeat it."""
    shown = [each for each in arguments if each != "--resume"]
    return shlex.join(["python", "-m", module, *shown])


def run_command(module: str, arguments: Sequence[str], work: Callable[[], None], out: Callable[[], Path]) -> None:
    """Do the work; leave with status 2 and one sentence where a person can mend it, with 130 after Ctrl-C."""
    try:
        work()
    except PyClassifyError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        kept = out().with_name(f"{out().name}.training")
        if (kept / "state.pt").is_file():
            again = f"{command_line(module, arguments)} --resume"
            print(f"\nStopped. The last finished epoch is kept in {kept}. Go on with:\n  {again}", file=sys.stderr)
        else:
            print("\nStopped before the first epoch ended; nothing is kept.", file=sys.stderr)
        sys.exit(130)
