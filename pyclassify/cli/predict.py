"""`pyclassify predict` and `pyclassify info`."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyclassify import locales
from pyclassify.errors import ConfigError, PyClassifyError
from pyclassify.locales import LANGUAGES, Message
from pyclassify.training.config import DEVICES

if TYPE_CHECKING:
    from pyclassify.classifier import Classifier, Prediction
    from pyclassify.manifest import Manifest

_CHECKPOINTS: Final = Path("checkpoints")
_STDIN: Final = "-"

Input = tuple[str, Any]
"""The input as it is printed, and for the classifier: a path or a text, or a Message if it cannot be read."""


def main(argv: Sequence[str] | None = None) -> None:
    """Predict files, or lines of standard input; leave with status 1 if one cannot be read, 2 after an error."""
    parser = argparse.ArgumentParser(
        prog="pyclassify predict",
        description="Print the answer to each input: pictures, or the rows of tables and the lines of .txt files.",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="FILE",
        help="pictures or tables, or a .zip of them; - reads texts or picture paths from standard input, one per line",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="DIR",
        help=f"folder of the checkpoint, or user/name on the Hub (default: the only one in {_CHECKPOINTS}/)",
    )
    parser.add_argument(
        "--column", default="", metavar="NAME", help="column of a table that contains the texts (default: guessed)"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object per line, with all probabilities")
    parser.add_argument(
        "--language", choices=LANGUAGES, default=locales.DEFAULT, help="language of the answers (default: en)"
    )
    parser.add_argument(
        "--device", default="auto", metavar="NAME", help=f"device to run on: {', '.join(DEVICES)} (default: auto)"
    )
    options = parser.parse_args(argv)
    _end_with_status(lambda: _predict(options))


def _predict(options: argparse.Namespace) -> int:
    source = options.checkpoint or _only_checkpoint()
    from pyclassify.batch.run import predict_each
    from pyclassify.classifier import load
    from pyclassify.dataset import printable

    classifier = load(source, device=options.device)
    status = 0
    with tempfile.TemporaryDirectory(prefix="pyclassify-predict-") as folder:
        inputs = _inputs(classifier, options.inputs, options.column, Path(folder))
        while batch := list(islice(inputs, classifier.modality.batch_size)):
            readable = [value for _, value in batch if not isinstance(value, Message)]
            answers = iter(predict_each(classifier, readable) if readable else [])
            for name, value in batch:
                answer = value if isinstance(value, Message) else next(answers)
                status |= isinstance(answer, Message)
                if options.json:
                    print(json.dumps(_as_dict(name, answer, options.language), ensure_ascii=False))
                else:
                    words = answer.text if isinstance(answer, Message) else answer.message
                    print(f"{printable(name)}\t{words(options.language)}", flush=True)
    return status


def _as_dict(name: str, answer: Prediction | Message, language: str) -> dict[str, Any]:
    if isinstance(answer, Message):
        return {"input": name, "problem": answer.text(language)}
    return {
        "input": name,
        "label": answer.label,
        "probabilities": answer.probabilities,
        "prediction_set": list(answer.prediction_set),
        "known": answer.known,
        "message": answer.message(language),
        "notes": [note.text(language) for note in answer.notes],
    }


def _inputs(classifier: Classifier, names: Iterable[str], column: str, folder: Path) -> Iterator[Input]:
    """Yield the inputs of all files; `folder` is for entries of zips."""
    from pyclassify.batch.files import Upload
    from pyclassify.batch.run import file_items, row_items

    reads_files = classifier.modality.reads == "files"
    for number, name in enumerate(names):
        if name == _STDIN:
            yield from ((line, line) for line in _lines())
            continue
        uploads = [Upload(name, Path(name))]
        items = file_items(uploads, folder / str(number)) if reads_files else row_items(uploads, column)
        for item in items:
            yield item.row.text or item.row.name, item.row.problem if item.value is None else item.value


def _lines() -> Iterator[str]:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    return (line.rstrip("\r\n") for line in sys.stdin if line.strip())


def _only_checkpoint() -> Path:
    """Return the only checkpoint in `checkpoints/`. Raises ConfigError if there are none or several."""
    folders = sorted(path.parent for path in _CHECKPOINTS.glob("*/config.json"))
    if not folders:
        raise ConfigError("no_checkpoint_to_use", folder=_CHECKPOINTS)
    if len(folders) > 1:
        raise ConfigError("checkpoint_to_use_unclear", folder=_CHECKPOINTS, names=[path.name for path in folders])
    return folders[0]


def info(argv: Sequence[str] | None = None) -> None:
    """Print what a checkpoint is: labels, data, scores and training."""
    parser = argparse.ArgumentParser(prog="pyclassify info", description="Check a checkpoint and describe it.")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="folder of the checkpoint, or user/name on the Hub")
    parser.add_argument("--json", action="store_true", help="print its manifest as JSON")
    options = parser.parse_args(argv)

    def work() -> int:
        from pyclassify import checkpoint

        loaded = checkpoint.load(options.checkpoint)
        if options.json:
            print(loaded.manifest.model_dump_json(exclude_none=True))
        else:
            print("\n".join(_describe(loaded.name, loaded.manifest)))
        return 0

    _end_with_status(work)


def _describe(name: str, manifest: Manifest) -> list[str]:
    from pyclassify import model_card

    items = locales.text(f"kinds.{manifest.kind}.plural")
    arguments = ", ".join(f"{key} {value}" for key, value in manifest.network.arguments.items())
    lines = [
        f"{name}: classifies {items} into {len(manifest.labels):,} labels",
        f"Labels: {', '.join(manifest.labels)}",
        f"Network: {manifest.network.name}{f' ({arguments})' if arguments else ''}, {manifest.size_bytes / 1e6:.1f} MB",
    ]
    data, training, measured = manifest.data, manifest.training, manifest.measured
    if data is not None:
        splits = f"{data.train:,} training, {data.validation:,} validation and {data.test:,} test {items}"
        lines.append(f"Data: {data.name}, {splits}")
    if manifest.scores is not None:
        lines.append(f"Scores: {model_card.summary(manifest.scores)}")
    if training is not None:
        minutes = f"{training.duration_s / 60:.1f} minutes"
        epochs = f"{len(training.epochs)} {'epoch' if len(training.epochs) == 1 else 'epochs'}"
        lines.append(f"Training: {epochs} in {minutes} on {training.hardware}, {training.date}")
        lines.append(f"Command: {training.command}")
    if measured is not None:
        lines.append(f"Speed: {measured.answer_ms:.1f} ms per answer on {measured.hardware}, {measured.date}")
    return lines


def _end_with_status(work: Callable[[], int]) -> None:
    """Do the work and leave with its status; with 2 and one sentence after an error, 130 after Ctrl-C."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for labels that the terminal cannot show
    try:
        status = work()
        sys.stdout.flush()
    except PyClassifyError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
    except BrokenPipeError:  # such as `| head`
        # otherwise Python would complain once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except KeyboardInterrupt:
        status = 130
    if status:
        sys.exit(status)
