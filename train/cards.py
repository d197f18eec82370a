"""Write the cards of checkpoints anew, without training: `python -m train.cards checkpoints/*`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pyclassify.cli.train import add_description_options, check_utf8, pop_names
from pyclassify.errors import PyClassifyError


def main(argv: Sequence[str] | None = None) -> None:
    """Write card and figures of each checkpoint, with other names and words if they are given."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(
        prog="python -m train.cards",
        description="Write README.md and figures of checkpoints anew from their config.json, with other names and words"
        " if they are given. Changes made to a README.md by hand are lost.",
    )
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="DIR")
    add_description_options(parser)
    values = vars(parser.parse_args(arguments))
    folders, data_name = values.pop("checkpoints"), values.pop("data_name")
    title, label_names = pop_names(values)
    from pyclassify import recipe  # imports torch, for which --help should not wait
    from pyclassify.manifest import Description

    try:
        check_utf8(arguments)
        changes = Description(title=title, label_names=label_names, **values)
        for folder in folders:
            recipe.rewrite_card(folder, changes, data_name=data_name)
            print(f"Wrote {folder / 'README.md'} and the figures beside it.")
    except PyClassifyError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
