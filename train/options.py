"""Options that both command lines share, and how a training ends when something is wrong or Ctrl-C is pressed."""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch

from pyclassify import checkpoint
from pyclassify.device import NAMES as DEVICES
from pyclassify.device import fast_dtype, pick
from pyclassify.errors import ConfigError, PyClassifyError
from pyclassify.examples import printable
from pyclassify.training import COMPILING, MOST_EPOCHS, MOST_MINUTES, PRECISIONS, TrainConfig
from train.names import add_names

MOST = 1_000_000_000
"""No whole number that is given may be larger; its products must fit into 64 bits."""


def add_common(
    parser: argparse.ArgumentParser, *, default: str, models: Sequence[str] | None = None, model_help: str = ""
) -> None:
    """Add what pictures and text have in common, under headings.

    Args:
        parser: that is added to.
        default: the model where none is named.
        models: all there are; none where they are too many to be listed, and the caller checks the name.
        model_help: what is said of them instead.
    """
    _add_result(parser)
    add_names(parser)
    _add_look(parser)
    _add_training(parser, models, default, model_help)
    _add_running(parser)


def _add_result(parser: argparse.ArgumentParser) -> None:
    result = parser.add_argument_group("result")
    result.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="the checkpoint, such as checkpoints/NAME; needed unless --check is given",
    )
    result.add_argument("--data-name", metavar="NAME", help="of the data, for the card (default: from its path)")
    result.add_argument("--about", default="", metavar="TEXT", help="a sentence on the data, for the checkpoint's card")
    result.add_argument("--data-license", default="", metavar="TEXT", help="licence of the data, for the card")
    result.add_argument(
        "--hub-dataset",
        default="",
        metavar="USER/NAME",
        help="the data set on the Hub whose test part this is, for the score that the Hub shows",
    )

    split = parser.add_argument_group("splits that are made here where the data has none")
    split.add_argument(
        "--validation-fraction", type=_fraction, default=0.1, metavar="F", help="of the training data (default: 0.1)"
    )
    split.add_argument("--test-fraction", type=_fraction, default=0.2, metavar="F", help="of all data (default: 0.2)")


def _add_look(parser: argparse.ArgumentParser) -> None:
    look = parser.add_argument_group("a look at the data, which comes before every training")
    look.add_argument(
        "--check",
        action="store_true",
        help="look at the data and stop: counts, sizes, what cannot be read, copies and near-copies, also under two"
        " labels or in the test; nothing is trained or written",
    )
    look.add_argument(
        "--fix",
        action="store_true",
        help="leave out what is safe: examples with a copy under another label, examples to train on with a copy in the"
        " test, further copies to train on; your files and the test stay as they are",
    )


def _add_training(parser: argparse.ArgumentParser, models: Sequence[str] | None, default: str, model_help: str) -> None:
    model = parser.add_argument_group("model and training (the defaults suit the model and the data)")
    model.add_argument(
        "--model",
        choices=models,
        default=default,
        metavar=None if models else "NAME",
        help=model_help or f"default: {default}",
    )
    length = model.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=_whole, metavar="N", help="passes over the training data")
    length.add_argument(
        "--minutes",
        type=_minutes,
        metavar="N",
        help="plan as many epochs as fit into N minutes on this machine, and plan anew after each; at most"
        f" {MOST_EPOCHS} times the default number of epochs, and where not even one fits, a part of one."
        " Reading the data before and the test after are not counted",
    )
    model.add_argument("--batch-size", type=_whole, metavar="N", help="examples per step")
    model.add_argument("--learning-rate", type=_positive, metavar="X", help="its highest value")
    model.add_argument(
        "--patience", type=_whole, metavar="N", help="stop after N epochs without a better validation result"
    )
    model.add_argument("--seed", type=int, default=0, metavar="N", help="of splits, weights and order (default: 0)")


def _add_running(parser: argparse.ArgumentParser) -> None:
    run = parser.add_argument_group("running")
    run.add_argument("--device", default="auto", metavar="NAME", help=f"{', '.join(DEVICES)} (default: auto)")
    run.add_argument(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="auto",
        help="bfloat16 is faster where the device has it; auto finds out",
    )
    run.add_argument(
        "--compile",
        choices=COMPILING,
        default="auto",
        help="compile the training steps with torch.compile; auto does on a GPU where the training is long enough",
    )
    begun = run.add_mutually_exclusive_group()
    begun.add_argument("--resume", action="store_true", help="go on where an interrupted training stopped")
    begun.add_argument(
        "--measure",
        action="store_true",
        help="train nothing: put the percentages of the checkpoint in --out right, measure it and write its card anew;"
        " with the data and options that it was trained with",
    )


def _whole(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MOST:
        raise argparse.ArgumentTypeError(f"must be at least 1 and at most {MOST:,}, got {number}")
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return number


def _minutes(text: str) -> float:
    number = _positive(text)
    if number > MOST_MINUTES:
        raise argparse.ArgumentTypeError(f"must be at most {MOST_MINUTES:,}, got {text}")
    return number


def _fraction(text: str) -> float:
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, got {text}")
    return number


# argparse names a value's type by the function's name in "invalid ... value"
_whole.__name__, _positive.__name__, _fraction.__name__ = "whole number", "number", "number"
_minutes.__name__ = "number"


def check_common(options: argparse.Namespace) -> None:
    """Refuse what cannot work before any data is read.

    Raises:
        ConfigError: with the reason and the way out.
    """
    pick(options.device)
    if not 0 <= options.seed <= MOST:
        raise ConfigError(f"--seed must be at least 0 and at most {MOST:,}, got {options.seed}")
    if options.check:
        return
    if options.out is None:
        raise ConfigError("--out is missing: name a folder for the checkpoint, such as checkpoints/NAME.")
    if options.out.name in ("", ".."):
        raise ConfigError(f"--out must name a folder of its own, such as checkpoints/NAME, not {options.out}")
    checkpoint.check_writable(state_path(options.out).parent)
    checkpoint.refuse_other_content(options.out)
    if options.measure and not (options.out / checkpoint.CONFIG).is_file():
        raise ConfigError(f"there is no checkpoint in {options.out} to measure; train it first, without --measure.")
    for data in (options.data, getattr(options, "test", None)):
        if data is not None:
            _refuse_inside_data(options.out, data)
    if options.resume and not state_path(options.out).is_file():
        raise ConfigError(f"there is nothing to resume in {state_path(options.out)}; leave out --resume to begin anew.")


def state_path(out: Path) -> Path:
    """The file that an interrupted training of this checkpoint goes on from."""
    return out.with_name(f"{out.name}.training") / "state.pt"


def _refuse_inside_data(out: Path, data: Path) -> None:
    """A checkpoint among the folders of labels would be a label of the next training."""
    train = data / "train"
    read = [train, data / "val", data / "test"] if os.path.isdir(train) else [data]
    if any(out.resolve().is_relative_to(each.resolve()) for each in read):
        raise ConfigError(f"{out} lies among the labels in {data}; give --out a place outside the data.")


def train_config(options: argparse.Namespace, defaults: Mapping[str, Any], *, autocast: bool) -> TrainConfig:
    """The model's defaults, overridden by the options that were given.

    Args:
        options: parsed.
        defaults: arguments of TrainConfig.
        autocast: whether the model gains from a shorter number format where the device has one.
    """
    names = ("epochs", "minutes", "batch_size", "learning_rate", "patience")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    precision = options.precision
    if precision == "auto":
        precision = str(fast_dtype(pick(options.device))).removeprefix("torch.") if autocast else "float32"
    asked = {"seed": options.seed, "precision": precision, "compiling": options.compile}
    return TrainConfig(**{**defaults, **given, **asked})


def command_line(module: str, arguments: Sequence[str]) -> str:
    """The command as a person would repeat it."""
    shown = [each for each in arguments if each != "--resume"]
    return shlex.join(["python", "-m", module, *shown])


def run_command(
    module: str, arguments: Sequence[str], work: Callable[[], None], out: Callable[[], Path | None]
) -> None:
    """Do the work; leave with status 2 and one sentence where a person can mend it, with 130 after Ctrl-C."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a label that this terminal cannot show is no reason to stop
    try:
        _check_utf8(arguments)
        work()
    except PyClassifyError as error:
        _fail(str(error))
    except BrokenPipeError:  # whoever read the output has closed it
        # or Python would complain once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _fail("the output was closed, so the training was stopped.")
    except OSError as error:
        _fail(f"cannot use {error.filename or 'a file'}: {error.strerror or error}.")
    except (MemoryError, torch.OutOfMemoryError):
        _fail("there is not enough memory; try a smaller --batch-size, or fewer or smaller examples.")
    except KeyboardInterrupt:
        place = out()
        if place is None:
            print("\nStopped; nothing was written.", file=sys.stderr)
        else:
            _say_stopped(state_path(place), f"{command_line(module, arguments)} --resume")
        sys.exit(130)


def _say_stopped(kept: Path, again: str) -> None:
    if kept.is_file():
        print(f"\nStopped. The last finished epoch is kept in {kept.parent}. Go on with:\n  {again}", file=sys.stderr)
    else:
        print("\nStopped before the first epoch ended; nothing is kept.", file=sys.stderr)


def _check_utf8(arguments: Sequence[str]) -> None:
    """What is given is kept in the checkpoint, which is UTF-8."""
    for each in arguments:
        if any("\ud800" <= character <= "\udfff" for character in each):
            raise ConfigError(f"{printable(each)} is no UTF-8, so it cannot be kept in the checkpoint; rename it.")


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)
