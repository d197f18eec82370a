"""Train on labelled pictures: `python -m train.image --data data/cifar10 --out checkpoints/cifar10`."""

from __future__ import annotations

from collections.abc import Sequence

from pyclassify.cli import train


def main(argv: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    train.main("image", argv, program="python -m train.image", serve="python app.py")


if __name__ == "__main__":
    main()
