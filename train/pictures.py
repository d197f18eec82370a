"""Decoding all pictures once before a training, and a look at them."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from pyclassify.examples import Splits
from pyclassify.findings import DataLook, hidden_files, look
from pyclassify.image import data, twins
from pyclassify.image.transform import ImageTransform
from train.look import settle, show

Parts = tuple[data.Decoded, data.Decoded, data.Decoded]


def scan(splits: Splits[Path], transform: ImageTransform) -> tuple[Splits[Path], Parts]:
    """Decode everything once, leave out what cannot be read and say so.

    Raises:
        DataError: a label has no readable picture left.
    """
    total = sum(map(len, splits.parts.values()))
    with tqdm(total=total, desc="reading", unit=" pictures", disable=None, leave=False) as bar:
        train, validation, test = (
            data.decode(part, transform, on_picture=lambda: bar.update()) for part in splits.parts.values()
        )
    bad = [each for part in (train, validation, test) for each in part.skipped]
    for each in (*splits.skipped, *bad):
        print(f"left out {each.name}: {each.reason}", file=sys.stderr)
    read = replace(
        splits,
        train=train.examples,
        validation=validation.examples,
        test=test.examples,
        skipped=(*splits.skipped, *bad),
    )
    data.check_readable(read)
    return read, (train, validation, test)


def look_at(
    options: argparse.Namespace, folder: Path, splits: Splits[Path], parts: Parts
) -> tuple[Splits[Path], Parts, DataLook]:
    """Look at decoded pictures, keep twins on one side of our own splits, and with --fix leave out what is safe.

    Raises:
        DataError: too little is left or too few pictures differ.
    """
    total = sum(map(len, splits.parts.values()))
    with tqdm(total=total, desc="comparing", unit=" pictures", disable=None, leave=False) as bar:
        found = twins.find([part.pixels for part in parts], on_picture=lambda: bar.update())
    splits, found, selection = settle(options, splits, found, "pictures")
    parts = twins.regroup(parts, selection)
    seen = look(
        splits,
        found,
        sizes=_picture_sizes([path for part in splits.parts.values() for path in part.items]),
        name=lambda path: str(path.relative_to(folder)),
        things="pictures",
        hidden=hidden_files(folder),
    )
    show(seen, "pictures", is_whole=options.check)
    return splits, parts, seen


def _picture_sizes(paths: Sequence[Path]) -> dict[str, Sequence[int]]:
    with ThreadPoolExecutor() as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # all of these have been decoded
        widths, heights = zip(*pool.map(_size_px, paths, chunksize=256), strict=True)
    return {"width_px": widths, "height_px": heights}


def _size_px(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size
