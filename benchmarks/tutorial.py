"""The tutorial's two programs beside ours on the same data: `python -m benchmarks.tutorial`.

Each result is written as soon as it is there, to results/tutorial-pictures.json and results/tutorial-text.json.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks import results, tables, tutorial_pictures, tutorial_text
from benchmarks.trained import Settings, Trained, from_card, limited, ours
from pyclassify.device import pick
from pyclassify.image import models as image_models
from pyclassify.text import models as text_models
from train import image as train_image
from train import text as train_text

MODULE = "benchmarks.tutorial"
EPOCHS = 10
SHIPPED = {"pictures": "cifar10", "text": "imdb"}


def main(argv: Sequence[str] | None = None) -> None:
    """Run what the command line asks for and print the table."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parse(arguments)
    device = pick(options.device)
    settings = Settings(
        epochs=options.epochs or EPOCHS,
        device=device,
        budget_s=options.budget_s,
        max_tokens=options.max_tokens,
        seed=options.seed,
    )
    for kind in (options.only,) if options.only else tuple(SHIPPED):
        record = results.Record(
            benchmark=f"tutorial-{kind}", module=MODULE, arguments=arguments, device=device, folder=options.results
        )
        with tempfile.TemporaryDirectory() as scratch:
            _compare(kind, options, settings, record, Path(scratch))
    print(tables.tutorial(options.results))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--pictures", type=Path, default=Path("data/cifar10"), metavar="DIR", help="train/ and test/")
    parser.add_argument("--text", type=Path, default=Path("data/imdb/aclImdb"), metavar="DIR", help="train/ and test/")
    parser.add_argument("--only", choices=tuple(SHIPPED), help="default: both")
    parser.add_argument("--epochs", type=int, metavar="N", help=f"of the tutorial's networks (default: {EPOCHS})")
    parser.add_argument("--default-epochs", type=int, metavar="N", help="of our default models (default: theirs)")
    parser.add_argument("--limit", type=int, metavar="N", help="examples in train and in test (default: all)")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="cut texts for the tutorial's network")
    parser.add_argument(
        "--budget-s",
        type=float,
        metavar="S",
        help="time for one training of the tutorial's network; as many epochs as the first one gets done in it, the"
        " others get as well",
    )
    parser.add_argument(
        "--shipped",
        type=Path,
        nargs="?",
        const=Path("checkpoints"),
        metavar="DIR",
        help="take our default models' figures from the shipped checkpoints' cards (default DIR: checkpoints)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    options = parser.parse_args(arguments)
    _check(parser, options)
    return options


def _check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Find out before hours of training what is missing after them."""
    for name in ("epochs", "default_epochs", "limit", "max_tokens"):
        if (value := getattr(options, name)) is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    for kind in (options.only,) if options.only else tuple(SHIPPED):
        folder = getattr(options, kind)
        if not ((folder / "train").is_dir() and (folder / "test").is_dir()):
            parser.error(f"{folder} has no folders train and test")
        if options.shipped and not (options.shipped / SHIPPED[kind] / "config.json").is_file():
            parser.error(f"there is no checkpoint {options.shipped / SHIPPED[kind]}")


def _compare(kind: str, options: argparse.Namespace, settings: Settings, record: results.Record, scratch: Path) -> None:
    """Train each program in turn and note what it came to."""
    folder: Path = getattr(options, kind)
    if options.limit:
        folder = limited(folder, scratch / SHIPPED[kind], limit=options.limit)
    asked = {name: getattr(options, name) for name in ("epochs", "limit", "max_tokens", "budget_s", "seed")}
    rows: list[Trained] = []
    programs = _pictures if kind == "pictures" else _text
    for row in programs(folder, options, settings, scratch):
        rows.append(row)
        path = record.save({"data": SHIPPED[kind], "asked": asked, "rows": [asdict(each) for each in rows]})
        print(f"== {kind}: {row.program}: test accuracy {row.accuracy:.4f}; noted in {path.name}\n", flush=True)


def _pictures(folder: Path, options: argparse.Namespace, settings: Settings, scratch: Path) -> Iterator[Trained]:
    first = tutorial_pictures.run(folder, settings)
    yield first
    arguments = [*_common(folder, settings), "--epochs", str(first.epochs), "--model", "simple_cnn"]
    yield ours("ours,", train_image.main, arguments, scratch / "simple_cnn")
    yield _default("pictures", folder, options, settings, scratch)


def _text(folder: Path, options: argparse.Namespace, settings: Settings, scratch: Path) -> Iterator[Trained]:
    first = tutorial_text.run(folder, settings, step="last padded")
    yield first
    same = replace(settings, epochs=first.epochs, budget_s=None)
    yield tutorial_text.run(folder, same, step="last valid")
    arguments = [*_common(folder, settings), "--epochs", str(first.epochs), "--model", "lstm"]
    max_tokens = settings.max_tokens or train_text.MAX_TOKENS
    note = f"texts are cut to {max_tokens:,} words and marks; the best epoch on validation data is kept"
    arguments += ["--max-tokens", str(max_tokens)]
    yield ours("ours,", train_text.main, arguments, scratch / "lstm", [note])
    yield _default("text", folder, options, settings, scratch)


def _default(kind: str, folder: Path, options: argparse.Namespace, settings: Settings, scratch: Path) -> Trained:
    """Our default model: trained here, or as the card of the shipped checkpoint has it."""
    if options.shipped:
        return from_card("ours, the default:", options.shipped / SHIPPED[kind], [])
    main: Callable[[Sequence[str]], None]
    main, model = (
        (train_image.main, image_models.DEFAULT) if kind == "pictures" else (train_text.main, text_models.DEFAULT)
    )
    arguments = [*_common(folder, settings), "--model", model]
    if options.default_epochs:
        arguments += ["--epochs", str(options.default_epochs)]
    return ours("ours, the default:", main, arguments, scratch / "default", [])


def _common(folder: Path, settings: Settings) -> list[str]:
    return ["--data", str(folder), "--seed", str(settings.seed), "--device", str(settings.device)]


if __name__ == "__main__":
    main()
