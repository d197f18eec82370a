"""Write the cards of checkpoints anew, without training: `python -m train.cards checkpoints/*`."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyclassify import card, checkpoint, report
from pyclassify.errors import CheckpointError, PyClassifyError
from pyclassify.examples import Skipped
from pyclassify.folder import replace_files
from train.names import add_names, given_names, has_names

MODULE = "train.cards"


def main(argv: Sequence[str] | None = None) -> None:
    """Write the card and the curves of each checkpoint that is named."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {MODULE}",
        description="Write README.md and its pictures of checkpoints anew from what their config.json notes. What was"
        " changed in a README.md by hand is lost.",
    )
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="DIR")
    add_names(parser)
    options = parser.parse_args(argv)
    try:
        for folder in options.checkpoints:
            if has_names(options):
                name(folder, options)
            write(folder)
            print(f"Wrote {folder / checkpoint.CARD} and the pictures beside it.")
    except PyClassifyError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def name(folder: Path, options: argparse.Namespace) -> None:
    """Note what the page is to call a checkpoint and its labels; names of before that were not given anew stay.

    Raises:
        ConfigError: a name is for a label that there is none of, or would stand for two.
        CheckpointError: the folder holds no checkpoint.
    """
    try:
        info = json.loads((folder / checkpoint.CONFIG).read_text(encoding="utf-8"))
        labels, said = info["labels"], info["card"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / checkpoint.CONFIG} has no place for names ({type(error).__name__}: {error}). Measure it anew."
        ) from error
    given = given_names(options, labels)
    info["card"] = {**said, **{key: {**said.get(key, {}), **each} for key, each in given.items()}}
    replace_files(folder, {checkpoint.CONFIG: checkpoint.written(info)})


def write(folder: Path) -> None:
    """Write the card and the curves of one checkpoint.

    Raises:
        CheckpointError: the folder holds no checkpoint of a training, or cannot be written.
    """
    try:
        info = json.loads((folder / checkpoint.CONFIG).read_text(encoding="utf-8"))
        pictures = report.pictures(info)
        about, data_license = _said(info)
        text = card.write(
            folder.resolve().name,
            info,
            skipped=[Skipped(**each) for each in info.get("card", {}).get("skipped", ())],
            skipped_section=_left_out(folder, info),
            about=about,
            data_license=data_license,
            pictures=tuple(pictures),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / checkpoint.CONFIG} notes no training to make a card of ({type(error).__name__}: {error})."
        ) from error
    replace_files(folder, {**pictures, **card.eval_results(info), checkpoint.CARD: text.encode()})


def _said(info: Mapping[str, Any]) -> tuple[str, str]:
    """What whoever trained said about the data and their licence; older checkpoints have it in their command alone."""
    if "card" in info:
        return info["card"]["about"], info["card"]["data_license"]
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--about", default="")
    parser.add_argument("--data-license", default="")
    known, _ = parser.parse_known_args(shlex.split(info["training"]["command"]))
    return known.about, known.data_license


def _left_out(folder: Path, info: Mapping[str, Any]) -> str:
    """What was left out; older checkpoints list it on their card alone, whose lines are kept."""
    if "card" in info or not info["data"]["skipped"]:
        return ""
    _, heading, rest = (folder / checkpoint.CARD).read_text(encoding="utf-8").partition(card.LEFT_OUT)
    return heading + rest.partition("\n## ")[0].rstrip() + "\n" if heading else ""


if __name__ == "__main__":
    main()
