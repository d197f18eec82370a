"""How unlike the training texts a text is.

One view is of the network's answer: its energy. The others are of the tokens: how surprising they are by themselves and
in their order, and how few there are. A network over words knows nothing of a word that it has no vector for, and its
answer to a text of another language is often as sure as any; the tokens tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from pyclassify.examples import Batches
from pyclassify.known import Scale, View, device_of, energy, fit_scale, number
from pyclassify.text import surprise
from pyclassify.text.surprise import Floats, Surprise
from pyclassify.text.transform import TextTransform

ORDERS: Final = {"words": 2, "characters": 4}
"""Tokens in the longest n-grams: of words, longer ones are hardly ever seen twice."""

WORD: Final = {"words": 1, "characters": 5}
"""Tokens in a word, about; it takes few of them to say something, wherever the training texts are longer."""

SURPRISES: Final = ("tokens", "order")
USUAL: Final = ("mean", "within", "between")

MOST_VALIDATION: Final = 10_000


def fit(
    model: nn.Module, train: Batches, validation: Batches, *, transform: TextTransform
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Measure what training texts look like, and from which strangeness on a text is to be refused.

    Args:
        model: logits (N, K) = model(ids, lengths), trained.
        train: what it was trained on.
        validation: what it was not trained on; sets the scales and the threshold.
        transform: the one of the network.

    Returns:
        Plain data and small tensors, for `Known`.
    """
    model.eval()
    order = ORDERS[transform.tokens]
    tensors = surprise.fit(train, vocabulary_size=len(transform.vocabulary), order=order)
    config: dict[str, Any] = {"order": order, "word": WORD[transform.tokens]}
    asked = Surprise(tensors, order)
    energies, means, variances, lengths = _measure(asked, model, validation)
    config["usual"] = {name: _usual(means[row], variances[row], lengths) for row, name in enumerate(SURPRISES)}
    rows = _Views(config, asked).values(energies.tolist(), means.T.tolist(), lengths.tolist())
    scale, knots = fit_scale(rows, _views(config))
    return {**config, **scale}, {**tensors, **knots}


class Known:
    """Answers, and says how unlike the training texts each text is.

    Any number of threads may ask at once.

    Args:
        model: the network that `fit` was given, in evaluation mode.
        config: of `fit`.
        tensors: of `fit`.

    Raises:
        ValueError: what is given does not fit together.
    """

    def __init__(self, model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        self._model = model
        self._views = _Views(config, Surprise(tensors, config.get("order")))
        views = _views(config)
        self._scale = Scale(config, tensors, views)
        self.threshold = self._scale.threshold
        self.names = [view.name for view in views]

    @torch.inference_mode()
    def answer(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The network's inputs to its logits (N, K), and the strangeness (N,); above `threshold` it is refused."""
        logits = self._model(*inputs)
        return logits, self._scale(self._views(logits, *inputs))

    @torch.inference_mode()
    def surprises(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The same with the surprise of each view by itself, (N, V), in the order of `names`."""
        logits = self._model(*inputs)
        return logits, torch.tensor(self._scale.surprises(self._views(logits, *inputs)))


class _Views:
    """What each view says of a text.

    Short texts have rarer means by chance alone, so that means are divided by the spread that a text of their length
    has: of a token about its text's mean, and of that about the mean of all.
    """

    def __init__(self, config: Mapping[str, Any], asked: Surprise) -> None:
        usual = config.get("usual")
        if not isinstance(usual, Mapping) or not all(isinstance(usual.get(each), Mapping) for each in SURPRISES):
            raise ValueError(f"usual must hold what is usual for {' and '.join(SURPRISES)}, got {usual!r}")
        self._asked = asked
        self._usual = [tuple(number(usual[each], part) for part in USUAL) for each in SURPRISES]
        if any(within < 0 or between <= 0 for _, within, between in self._usual):
            raise ValueError("within and between must be variances")

    def __call__(self, logits: Tensor, ids: Tensor, lengths: Tensor) -> list[list[float]]:
        """N times V numbers."""
        return self.values(energy(logits).tolist(), self._asked(ids, lengths)[0].T.tolist(), lengths.tolist())

    def values(
        self, energies: Sequence[float], means: Sequence[Sequence[float]], lengths: Sequence[int]
    ) -> list[list[float]]:
        """Of N texts the energies, both mean surprises and the lengths to N times V numbers."""
        rows = []
        for one, both, length in zip(energies, means, lengths, strict=True):
            share = 1 / max(1, length)
            far = [
                (mean - usual) / math.sqrt(within * share + between)
                for mean, (usual, within, between) in zip(both, self._usual, strict=True)
            ]
            rows.append([one, *far, share])
        return rows


def _views(config: Mapping[str, Any]) -> list[View]:
    # One word costs at most 6 units of surprise, two 3, and so on, however long the training texts are: a sentence is
    # short among film reviews and still no reason to say nothing.
    short = View(name="shortness", is_surface=True, least_excess=1 / (6 * max(1.0, number(config, "word"))))
    return [
        View(name="energy", is_surface=False),
        View(name="tokens", is_surface=True),
        View(name="order", is_surface=True),
        short,
    ]


@torch.inference_mode()
def _measure(asked: Surprise, model: nn.Module, validation: Batches) -> tuple[Floats, Floats, Floats, Floats]:
    """Energy (N,), means and variances of both surprises (2, N) each, and lengths (N,)."""
    device, rows = device_of(model), []
    most = math.ceil(MOST_VALIDATION / max(1, validation.examples) * len(validation))
    for (ids, lengths), _ in islice(validation.epoch(0), most):
        energies = energy(model(ids.to(device), lengths.to(device))).cpu().numpy()
        means, costs = asked(ids, lengths)
        ends = np.maximum(lengths.cpu().numpy(), 1)
        variances = np.maximum((costs**2).sum(axis=2) / ends - means**2, 0)
        rows.append((energies, means, variances, ends))
    energies, means, variances, ends = (np.concatenate(each, axis=-1) for each in zip(*rows, strict=True))
    return energies, means, variances, ends


def _usual(means: Floats, variances: Floats, lengths: Floats) -> dict[str, float]:
    """The middle of (N,) means, the variance of a token's surprise within a text, and of a text's among all."""
    total, within = float(means.var()), float(variances.mean())
    between = max(total - within * float((1 / lengths).mean()), 0.1 * total, 1e-3)
    return dict(zip(USUAL, (float(np.median(means)), within, between), strict=True))
