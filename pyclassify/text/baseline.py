"""What a few lines of scikit-learn make of the same texts: a simple program to be better than."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor

from pyclassify.examples import Examples

NAME: Final = "TF-IDF of {tokens} with a linear support vector machine"
MOST_TEXTS: Final = 100_000
"""More are thinned out evenly, so that the comparison takes minutes at most."""

SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "words": {"ngram_range": (1, 2), "sublinear_tf": True, "max_features": 1_000_000},
    "characters": {"analyzer": "char_wb", "ngram_range": (1, 4), "sublinear_tf": True, "max_features": 1_000_000},
}


def fit_and_answer(train: Examples[str], texts: Sequence[str], *, tokens: str) -> tuple[str, Tensor]:
    """Learn from the same texts as the model, and answer.

    Args:
        train: N labelled texts, with at least two labels among them.
        texts: M texts.
        tokens: "words" or "characters", as the model reads them.

    Returns:
        What the program is called, and (M,) int64 label ids.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # only a training needs it
    from sklearn.svm import LinearSVC

    step = -(-len(train) // MOST_TEXTS)
    features = TfidfVectorizer(**SETTINGS[tokens])
    try:
        table = features.fit_transform(train.items[::step])
    except ValueError:  # not one of its words, which need two letters; single characters are always there
        features = TfidfVectorizer(**SETTINGS["characters"])
        table = features.fit_transform(train.items[::step])
    machine = LinearSVC(random_state=0).fit(table, train.label_ids[::step])
    return NAME.format(tokens=tokens), torch.from_numpy(machine.predict(features.transform(texts))).long()
