"""Put the data of `checkpoints/sentiment` together: `python -m train.sentiment --reviews DIR --sentences DIR`.

It holds long and short opinions: the reviews of the Large Movie Review Dataset (Maas and others 2011; the folder
aclImdb) with their own split, and the sentences of rt-polarity (Pang and Lee 2005; the files rt-polarity.pos and
rt-polarity.neg), of which every tenth is kept for the test. The reviews without a label are for a teacher to answer.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

LABELS: Final = ("neg", "pos")
TEST_SHARE: Final = 0.1
SEED: Final = 13

_SPACES: Final = re.compile(r"\s+")
_NO_WORDS: Final = re.compile(r"\W+")

Rows = list[tuple[str, str]]
"""Pairs of text and label."""


def main(argv: Sequence[str] | None = None) -> None:
    """Write train.tsv, test.tsv and unlabelled.txt."""
    parser = argparse.ArgumentParser(prog="python -m train.sentiment", description=__doc__.partition("\n")[0])
    parser.add_argument("--reviews", type=Path, default=Path("data/imdb/aclImdb"), metavar="DIR")
    parser.add_argument("--sentences", type=Path, required=True, metavar="DIR", help="with rt-polarity.pos and .neg")
    parser.add_argument("--out", type=Path, default=Path("data/sentiment"), metavar="DIR")
    options = parser.parse_args(argv)
    train, test = split_sentences(options.sentences)
    train += read_reviews(options.reviews / "train")
    test += read_reviews(options.reviews / "test")
    unlabelled = [one_line(path) for path in sorted((options.reviews / "train" / "unsup").glob("*.txt"))]
    options.out.mkdir(parents=True, exist_ok=True)
    write_table(options.out / "train.tsv", train)
    write_table(options.out / "test.tsv", test)
    (options.out / "unlabelled.txt").write_text("".join(f"{text}\n" for text in unlabelled), encoding="utf-8")
    print(
        f"Wrote {len(train):,} training, {len(test):,} test and {len(unlabelled):,} unlabelled texts to {options.out}."
    )


def split_sentences(folder: Path) -> tuple[Rows, Rows]:
    """Split rt-polarity, stratified, with copies on one side: nine tenths to train on and one to test on."""
    train: Rows = []
    test: Rows = []
    groups: dict[str, dict[str, list[str]]] = {label: {} for label in LABELS}
    of_first: dict[str, str] = {}
    for label in LABELS:
        for line in (folder / f"rt-polarity.{label}").read_text(encoding="utf-8").split("\n"):
            text = " ".join(line.split())
            key = _NO_WORDS.sub(" ", text.lower()).strip()
            if text:
                # the few sentences under both labels stay together, on the side of the first
                groups[of_first.setdefault(key, label)].setdefault(key, []).append(f"{label}\t{text}")
    generator = random.Random(SEED)
    for label in LABELS:
        keys = list(groups[label])
        generator.shuffle(keys)
        for position, key in enumerate(keys):
            part = test if position < TEST_SHARE * len(keys) else train
            part += [(text, own) for own, _, text in (row.partition("\t") for row in groups[label][key])]
    return train, test


def read_reviews(folder: Path) -> Rows:
    """Read `<label>/*.txt`."""
    return [(one_line(path), label) for label in LABELS for path in sorted((folder / label).glob("*.txt"))]


def one_line(path: Path) -> str:
    """Return the text of a file in one line."""
    return _SPACES.sub(" ", path.read_text(encoding="utf-8")).strip()


def write_table(path: Path, rows: Iterable[tuple[str, str]]) -> None:
    """Write texts and labels as TSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(("text", "label"))
        writer.writerows(rows)


if __name__ == "__main__":
    main()
