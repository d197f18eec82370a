"""The console command `pyclassify`. Nothing heavy is imported before the options are parsed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import pyclassify

_EXAMPLES = """examples:
  pyclassify train image --data photos --out checkpoints/photos
  pyclassify train text --data reviews.csv --out checkpoints/reviews
  pyclassify predict cat.jpg --checkpoint checkpoints/photos
  pyclassify info checkpoints/photos
  pyclassify serve --checkpoints checkpoints

Each command has its own --help."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command."""
    parser = argparse.ArgumentParser(
        prog="pyclassify",
        description="Train and use classifiers for pictures and text.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {pyclassify.__version__}")
    parser.add_argument("command", choices=("train", "predict", "info", "serve"))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the command; see COMMAND --help")
    options = parser.parse_args(argv)
    match options.command:
        case "train":
            from pyclassify.cli import train

            kinds = "|".join(train.KINDS)
            kind, *arguments = options.arguments or [""]
            if kind not in train.KINDS:
                parser.exit(
                    status=0 if kind in ("-h", "--help") else 2,
                    message=f"usage: pyclassify train {kinds} [options]\n",
                )
            train.main(kind, arguments, program=f"pyclassify train {kind}")
        case "predict":
            from pyclassify.cli import predict

            predict.main(options.arguments)
        case "info":
            from pyclassify.cli import predict

            predict.info(options.arguments)
        case "serve":
            from pyclassify.ui import launch

            launch.main(options.arguments, prog="pyclassify serve")
