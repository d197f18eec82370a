"""The command lines that train: their options, what they print, and how they end."""

from __future__ import annotations

import argparse
import io
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from pyclassify import locales
from pyclassify.errors import ConfigError, PyClassifyError
from pyclassify.locales import LANGUAGES
from pyclassify.training.config import (
    AUTO,
    COMPILE_MODES,
    DEVICES,
    FEW_EXAMPLES,
    IMAGE_DATASETS,
    IMAGE_NETWORKS,
    IMAGE_SIZES_PX,
    MAX_COUNT,
    MAX_EPOCHS_FACTOR,
    MAX_MINUTES,
    PHOTO_SIDE_PX,
    PRECISIONS,
    TEXT_DATASETS,
    TEXT_NETWORKS,
    ImageConfig,
    TextConfig,
    TrainingConfig,
    state_path,
)

if TYPE_CHECKING:  # these import torch, for which --help should not wait
    from tqdm import tqdm

    from pyclassify.data_report import Inspection
    from pyclassify.manifest import Epoch
    from pyclassify.recipe import Event, Ready, TrainResult
    from pyclassify.training.trainer import BatchProgress

_MAX_MISTAKES: Final = 5
_MAX_NAMES: Final = 3
_MAX_LABELS: Final = 20
_LANGUAGE_NAMES: Final = {"en": "English", "ko": "Korean"}


def main(kind: str, argv: Sequence[str] | None = None, *, program: str, serve: str = "pyclassify serve") -> None:
    """Train, check or measure as the command line says; leave with status 2 after an error, 130 after Ctrl-C.

    Args:
        kind: one of KINDS.
        argv: the arguments, by default those of the process.
        program: the command as a person types it, before its arguments.
        serve: the command that shows the page, for a hint at the end.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = make_parser(kind, program).parse_args(arguments)
    command = shlex.join([*program.split(), *(argument for argument in arguments if argument != "--resume")])
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for labels that the terminal cannot show
    try:
        _run(kind, options, arguments, command, serve)
    except KeyboardInterrupt:
        _print_interrupted(options.out, f"{command} --resume")
        sys.exit(130)
    except Exception as error:
        message = _explain(error)
        if message is None:
            raise
        _fail(message)


def _run(kind: str, options: argparse.Namespace, arguments: Sequence[str], command: str, serve: str) -> None:
    check_utf8(arguments)
    config = make_config(kind, options, command=command)
    from pyclassify import recipe

    with closing(TerminalProgress(kind, is_check=options.check)) as progress:
        if options.check:
            recipe.inspect(config, on_progress=progress)
            return
        result = recipe.train(config, on_progress=progress)
    print_result(result, serve)


def check_utf8(arguments: Sequence[str]) -> None:
    """Refuse arguments that cannot be recorded in a checkpoint. Raises ConfigError."""
    for argument in arguments:
        if any("\ud800" <= character <= "\udfff" for character in argument):
            raise ConfigError("argument_not_utf8", argument=argument.encode("unicode_escape").decode())


def _explain(error: Exception) -> str | None:
    """Return the sentence for an error that the user can do something about; None for others."""
    if isinstance(error, PyClassifyError):
        return str(error)
    if isinstance(error, BrokenPipeError):
        # otherwise Python would complain once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return locales.text("errors.output_closed")
    if isinstance(error, OSError):
        return locales.text("errors.file_unusable", path=error.filename or "-", reason=error.strerror or str(error))
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's is a RuntimeError
        return locales.text("errors.out_of_memory")
    return None


def _fail(message: str) -> NoReturn:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def _print_interrupted(out: Path | None, command: str) -> None:
    if out is None:
        print("\nStopped. Nothing was written.", file=sys.stderr)
    elif state_path(out).is_file():
        folder = state_path(out).parent
        print(f"\nStopped. The last finished epoch is kept in {folder}. Continue with:\n  {command}", file=sys.stderr)
    else:
        print("\nStopped before the first epoch was finished. Nothing was kept.", file=sys.stderr)


# Options


def make_config(kind: str, options: argparse.Namespace, *, command: str) -> TrainingConfig:
    """Make the configuration from parsed options. Raises ConfigError."""
    values = dict(vars(options))
    del values["check"]
    title, label_names = pop_names(values)
    return KINDS[kind][0](**values, title=title, label_names=label_names, command=command)


def make_parser(kind: str, program: str) -> argparse.ArgumentParser:
    """Make the parser of a kind; the names of its options are the fields of the kind's configuration."""
    _, add_options, description = KINDS[kind]
    parser = argparse.ArgumentParser(
        prog=program,
        description=f"{description} and write it as a checkpoint that app.py and pyclassify.load read.",
        epilog=f"example: {program} --data data/NAME --out checkpoints/NAME",
    )
    add_options(parser)
    return parser


def _add_image_options(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("data (one of the two)").add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="a folder with train/LABEL/ and test/LABEL/ (and optionally val/LABEL/), or with one folder per label,"
        " from which a part is kept for testing; or a zip or tar of it",
    )
    source.add_argument(
        "--dataset", choices=IMAGE_DATASETS, metavar="NAME", help=f"data set to download: {', '.join(IMAGE_DATASETS)}"
    )
    _add_common_options(
        parser,
        network_help=f"{', '.join(IMAGE_NETWORKS)}, which learn from scratch; or any classification network of"
        " torchvision with its weights, such as regnet_y_400mf or mobilenet_v3_large (default: the network of --start,"
        f" or {IMAGE_NETWORKS[0]})",
        default_network=AUTO,
    )
    pictures = parser.add_argument_group("pictures")
    pictures.add_argument(
        "--size",
        dest="size_px",
        type=int,
        choices=IMAGE_SIZES_PX,
        metavar="PX",
        help=f"width and height of the network's input: {', '.join(map(str, IMAGE_SIZES_PX))} (default: chosen from the"
        " data, at most 128; with weights to begin with, the size that they were trained with)",
    )
    pictures.add_argument(
        "--start",
        metavar="CHECKPOINT",
        help="checkpoint to begin with, a folder or user/name on the Hub: its features are kept and a new last layer"
        " is fitted to them, then all layers learn if there are enough pictures; or none (default: checkpoints/imagenet"
        f" for photos of at least {PHOTO_SIDE_PX} px and for fewer than {FEW_EXAMPLES:,} pictures, otherwise none)",
    )
    pictures.add_argument(
        "--weights",
        metavar="FILE",
        help="weights that a torchvision network starts from: default (torchvision's own, downloaded once), none"
        " (random), or a .pth or .safetensors file of the same network with any labels (default: default)",
    )
    pictures.add_argument(
        "--no-mirror",
        dest="mirror",
        action="store_false",
        help="never mirror pictures in training; for digits, letters and signs",
    )


def _add_text_options(parser: argparse.ArgumentParser) -> None:
    source = parser.add_argument_group("data (one of the two)").add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="a folder with train/LABEL/*.txt and test/LABEL/*.txt, or a .xlsx, .csv, .tsv, .json, .jsonl or .txt file,"
        " or a zip or tar of it",
    )
    source.add_argument(
        "--dataset", choices=TEXT_DATASETS, metavar="NAME", help=f"data set to download: {', '.join(TEXT_DATASETS)}"
    )
    reading = parser.add_argument_group("reading")
    reading.add_argument("--test", type=Path, metavar="PATH", help="test texts, if they are in another folder or file")
    reading.add_argument("--text-column", default="text", metavar="NAME", help="column with the texts (default: text)")
    reading.add_argument(
        "--label-column", default="label", metavar="NAME", help="column with the labels (default: label)"
    )
    reading.add_argument("--encoding", metavar="NAME", help="encoding of the files (default: found out)")
    _add_common_options(
        parser,
        networks=TEXT_NETWORKS,
        network_help=f"default: {TEXT_NETWORKS[0]}",
        default_network=TEXT_NETWORKS[0],
    )
    tokens = parser.add_argument_group("tokens")
    tokens.add_argument(
        "--tokens",
        choices=("auto", "words", "characters"),
        default="auto",
        help="what texts are split into (default: auto, which means characters for short texts and for scripts without"
        " spaces, otherwise words)",
    )
    max_tokens = TextConfig.__dataclass_fields__["max_tokens"].default
    tokens.add_argument(
        "--max-tokens",
        type=int,
        default=max_tokens,
        metavar="N",
        help=f"tokens that are read of each text (default: {max_tokens})",
    )
    tokens.add_argument("--vocabulary-size", type=int, metavar="N", help="keep the N most frequent tokens")
    tokens.add_argument(
        "--vectors",
        metavar="NAME|FILE",
        help="word vectors that the embedding of --model lstm starts from: a file, or a name that torchtext downloads,"
        " such as glove.6B.300d",
    )
    teacher = parser.add_argument_group("teacher")
    teacher.add_argument(
        "--teacher",
        metavar="NAME|DIR",
        help="pretrained language model that is trained on the labels first and then teaches the network, a folder or"
        " user/name on the Hub; the checkpoint does not need it; requires the package transformers",
    )
    teacher.add_argument(
        "--keep-teacher",
        action="store_true",
        help="write the trained language model itself as the checkpoint, which is larger and slower, and whoever loads"
        " it needs the package transformers",
    )
    teacher.add_argument(
        "--unlabelled",
        type=Path,
        metavar="FILE",
        help="further texts that the teacher answers: a text per line, or a .csv, .tsv, .json or .jsonl file",
    )


KINDS: Final[dict[str, tuple[type[TrainingConfig], Callable[[argparse.ArgumentParser], None], str]]] = {
    "image": (ImageConfig, _add_image_options, "Train a picture classifier"),
    "text": (TextConfig, _add_text_options, "Train a text classifier"),
}


def _add_common_options(
    parser: argparse.ArgumentParser, *, network_help: str, default_network: str, networks: Sequence[str] | None = None
) -> None:
    result = parser.add_argument_group("result")
    result.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for the checkpoint, such as checkpoints/NAME; required unless --check is given",
    )
    add_description_options(parser)

    splits = parser.add_argument_group("splits (made only if the data has none)")
    splits.add_argument(
        "--validation-fraction",
        type=_fraction,
        default=0.1,
        metavar="F",
        help="share of the training data (default: 0.1)",
    )
    splits.add_argument(
        "--test-fraction", type=_fraction, default=0.2, metavar="F", help="share of all data (default: 0.2)"
    )

    report = parser.add_argument_group("data report (printed before every training run)")
    report.add_argument(
        "--check",
        action="store_true",
        help="print the data report and stop: counts, sizes, what to expect from training, unreadable files, duplicates"
        " and near-duplicates, including those under two labels or in the test data; nothing is trained or written",
    )
    report.add_argument(
        "--fix",
        action="store_true",
        help="leave out what can safely be left out: examples with a duplicate under another label, training examples"
        " with a duplicate in the test data, and further copies; your files and the test data stay as they are",
    )
    report.add_argument(
        "--ignore-case", action="store_true", help="read labels that differ in capitals alone as one label"
    )
    report.add_argument(
        "--leave-out",
        nargs="+",
        default=(),
        metavar="LABEL",
        help="leave out the examples of these labels, such as NaN",
    )

    training = parser.add_argument_group("network and training (the defaults suit the network and the data)")
    training.add_argument(
        "--model",
        dest="network",
        choices=networks,
        default=default_network,
        metavar=None if networks else "NAME",
        help=network_help,
    )
    length = training.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=_count, metavar="N", help="passes over the training data")
    length.add_argument(
        "--minutes",
        type=_minutes,
        metavar="N",
        help="plan as many epochs as fit into N minutes on this machine, and adjust the plan after each; at most"
        f" {MAX_EPOCHS_FACTOR} times the default number of epochs, and part of an epoch if not even one fits."
        " Reading the data and the final evaluation are not included",
    )
    training.add_argument("--batch-size", type=_count, metavar="N", help="examples per step")
    training.add_argument("--learning-rate", type=_positive, metavar="X", help="highest learning rate")
    training.add_argument(
        "--patience", type=_count, metavar="N", help="stop after N epochs without a better validation result"
    )
    training.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed for splits, weights and order (default: 0)"
    )

    running = parser.add_argument_group("running")
    running.add_argument("--device", default="auto", metavar="NAME", help=f"{', '.join(DEVICES)} (default: auto)")
    running.add_argument(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="auto",
        help="number format; bfloat16 is faster on devices that support it, which auto finds out",
    )
    running.add_argument(
        "--compile",
        choices=COMPILE_MODES,
        default="auto",
        help="compile the training steps with torch.compile; auto does so on a GPU if training is long enough",
    )
    existing = running.add_mutually_exclusive_group()
    existing.add_argument("--resume", action="store_true", help="continue an interrupted training run")
    existing.add_argument(
        "--measure",
        dest="measure_only",
        action="store_true",
        help="do not train: calibrate and score the checkpoint in --out again and rewrite its card, with the data and"
        " options it was trained with",
    )


def add_description_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the card, and for what the page calls a checkpoint and its labels."""
    card = parser.add_argument_group("card")
    card.add_argument("--data-name", default="", metavar="NAME", help="name of the data (default: from its path)")
    card.add_argument("--about", default="", metavar="TEXT", help="a sentence about the data")
    card.add_argument("--data-license", default="", metavar="TEXT", help="licence of the data")
    card.add_argument(
        "--hub-dataset",
        default="",
        metavar="USER/NAME",
        help="data set on the Hub that the test split comes from, for the score that the Hub shows",
    )
    names = parser.add_argument_group("names on the page (default: the folder name, and the labels as they are)")
    for language in LANGUAGES:
        suffix = "" if language == locales.DEFAULT else f"-{language}"
        names.add_argument(
            f"--title{suffix}",
            dest=f"title_{language}",
            metavar="TEXT",
            help=f'what the checkpoint classifies, in {_LANGUAGE_NAMES[language]}, such as "Film reviews"',
        )
        names.add_argument(
            f"--label-names{suffix}",
            dest=f"label_names_{language}",
            nargs="+",
            type=_pair,
            metavar="LABEL=NAME",
            help=f"names of the labels in {_LANGUAGE_NAMES[language]}, such as neg=negative",
        )


def pop_names(values: dict[str, Any]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Take the names of `add_description_options` out of parsed options: titles, and names of labels, by language."""
    titles = {language: values.pop(f"title_{language}") for language in LANGUAGES}
    names = {language: dict(values.pop(f"label_names_{language}") or ()) for language in LANGUAGES}
    return (
        {language: title for language, title in titles.items() if title},
        {language: by_label for language, by_label in names.items() if by_label},
    )


def _count(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MAX_COUNT:
        raise argparse.ArgumentTypeError(f"must be at least 1 and at most {MAX_COUNT:,}, got {number}")
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be above 0, got {text}")
    return number


def _minutes(text: str) -> float:
    number = _positive(text)
    if number > MAX_MINUTES:
        raise argparse.ArgumentTypeError(f"must be at most {MAX_MINUTES:,}, got {text}")
    return number


def _fraction(text: str) -> float:
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, got {text}")
    return number


def _pair(argument: str) -> tuple[str, str]:
    # a label may hold the sign itself; names seldom do
    label, sign, name = argument.rpartition("=")
    if not (sign and label and name.strip()):
        raise argparse.ArgumentTypeError(f"{argument!r} is not of the form LABEL=NAME")
    return label, name.strip()


# argparse names a type by its function in "invalid ... value"
_count.__name__ = "whole number"
_positive.__name__ = _minutes.__name__ = _fraction.__name__ = "number"


# Output


class TerminalProgress:
    """Prints the progress of a training: bars on stderr if that is a terminal, lines for everything that is finished.

    Args:
        kind: of the inputs.
        is_check: whether the data report is all that was asked for, so that it is printed in full.
    """

    def __init__(self, kind: str, *, is_check: bool = False) -> None:
        self._kind, self._is_check = kind, is_check
        self._items = locales.text(f"kinds.{kind}.plural")
        self._bar: tqdm[None] | None = None
        self._bar_name = ""
        self._has_validation = True

    def __call__(self, event: Event) -> None:
        """Print an event."""
        from pyclassify import recipe
        from pyclassify.dataset import Skipped
        from pyclassify.manifest import Epoch
        from pyclassify.training.trainer import BatchProgress

        match event:
            case recipe.Stage():
                self._move_bar(event.name, event.done, event.total)
                if event.done >= event.total:
                    self.close()
            case BatchProgress():
                self._show_batch(event)
            case Epoch():
                self._print(self._epoch_line(event))
            case recipe.Notice():
                self._print(str(event.text))
            case Skipped():
                self.close()
                print(f"Left out {event.name}: {event.reason}", file=sys.stderr)
            case recipe.Inspected():
                self._print("\n".join(report_lines(event.inspection, self._kind, in_full=self._is_check)))
            case recipe.Ready():
                self._has_validation = len(event.splits.validation) > 0
                self._print("\n".join(self._ready_lines(event)))

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None

    def _print(self, text: str) -> None:
        self.close()
        print(text, flush=True)

    def _move_bar(self, name: str, done: int, total: int) -> tqdm[None]:
        if self._bar is None or self._bar_name != name:
            from tqdm import tqdm

            self.close()
            self._bar_name = name
            self._bar = tqdm(
                total=total,
                desc=name,
                unit=f" {self._items}",
                leave=False,
                disable=None,  # if stderr is no terminal
                file=sys.stderr,
                dynamic_ncols=True,
            )
        self._bar.update(done - self._bar.n)
        return self._bar

    def _show_batch(self, progress: BatchProgress) -> None:
        bar = self._move_bar(f"epoch {progress.epoch}", progress.examples, progress.num_examples)
        bar.set_postfix_str(f"loss {progress.loss:.4f}, accuracy {progress.accuracy:.3f}", refresh=False)

    def _epoch_line(self, epoch: Epoch) -> str:
        validation = f"  validation loss {epoch.val_loss:.4f}  validation accuracy {epoch.val_accuracy:.4f}"
        return (
            f"epoch {epoch.epoch}/{epoch.epochs}  loss {epoch.train_loss:.4f}  accuracy {epoch.train_accuracy:.4f}"
            f"{validation if self._has_validation else ''}"
            f"  {epoch.examples_per_s:,.0f} {self._items}/s  {epoch.duration_s:.0f} s"
            f"{'  best so far' if epoch.is_best else ''}"
        )

    def _ready_lines(self, ready: Ready) -> list[str]:
        splits, network = ready.splits, ready.network
        arguments = ", ".join(f"{name} {value}" for name, value in network.arguments.items())
        return [
            f"{splits.name}: {len(splits.labels)} labels; {len(splits.train):,} training,"
            f" {len(splits.validation):,} validation and {len(splits.test):,} test {self._items},"
            f" {len(splits.skipped):,} left out",
            f"Network: {network.name}{f' ({arguments})' if arguments else ''}",
        ]


def report_lines(inspection: Inspection, kind: str, *, in_full: bool) -> list[str]:
    """Write the data report in lines; in full with counts, sizes, some names of examples, and what to expect."""
    from pyclassify.data_report import expectation

    report, items = inspection.report, locales.text(f"kinds.{kind}.plural")
    lines = []
    if in_full:
        labels = list(report.counts["train"])
        width = max(map(len, (*labels, "label")))
        lines.append(f"{'label':{width}}" + "".join(f"{split:>12}" for split in report.counts))
        for label in labels:
            lines.append(f"{label:{width}}" + "".join(f"{counts[label]:>12,}" for counts in report.counts.values()))
        for name, size in report.sizes.items():
            title = locales.text(f"sizes.{name}")
            lines.append(f"{title}: {size.minimum:,g} to {size.maximum:,g}, median {size.median:,g}")
        lines.append(f"What to expect: {expectation(report, kind)}")
    if not report.findings:
        return [*lines, f"The data report found no problems with the {items}."]
    lines.append("Data report:")
    for finding in report.findings:
        lines.append(f"- {finding.summary(kind)} {finding.advice(kind)}")
        if in_full:
            lines += [f"    {name}" for name in inspection.examples.get(finding.code, ())[:_MAX_NAMES]]
    return lines


def print_result(result: TrainResult, serve: str) -> None:
    """Print the scores, some mistakes, and where the checkpoint is."""
    from pyclassify import model_card
    from pyclassify.dataset import printable

    manifest, scores = result.manifest, result.manifest.scores
    assert scores is not None
    print("\n" + model_card.summary(scores))
    if len(manifest.labels) <= _MAX_LABELS:
        width = max(map(len, manifest.labels))
        for label, score in scores.per_label.items():
            numbers = f"precision {score.precision:.4f}  recall {score.recall:.4f}  F1 {score.f1:.4f}"
            print(f"  {label:{width}}  {numbers}")
    for mistake in result.mistakes[:_MAX_MISTAKES]:
        share = locales.percent(mistake.probability, digits=1)
        print(f"  {share} {mistake.answer}, but the label is {mistake.label}: {printable(mistake.name)}")
    if manifest.skipped:
        examples = "example was" if len(manifest.skipped) == 1 else "examples were"
        print(f"{len(manifest.skipped):,} unreadable or empty {examples} left out; see the card.")
    print(f"Wrote {result.path}. Try it: {serve} --checkpoints {result.path.parent}", flush=True)
