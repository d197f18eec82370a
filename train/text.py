"""Train on labelled texts: `python -m train.text --data data/imdb/aclImdb --out checkpoints/imdb`."""

from __future__ import annotations

from collections.abc import Sequence

from pyclassify.cli import train


def main(argv: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    train.main("text", argv, program="python -m train.text", serve="python app.py")


if __name__ == "__main__":
    main()
