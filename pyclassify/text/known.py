"""How unlike the training texts a text is.

One view is of the network's answer: its energy. The others are of the tokens: how surprising they are by themselves and
in their order, and how few there are. A network over words knows nothing of a word that it has no vector for, and its
answer to a text of another language is often as sure as any; the tokens tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice
from typing import Any, Final

import torch
from torch import Tensor, nn

from pyclassify.examples import Batches
from pyclassify.known import Scale, View, device_of, energy, fit_scale, number
from pyclassify.text import surprise
from pyclassify.text.surprise import Surprise
from pyclassify.text.transform import TextTransform

ORDERS: Final = {"words": 2, "characters": 4}
"""Tokens in the longest n-grams: of words, longer ones are hardly ever seen twice."""

WORD: Final = {"words": 1, "characters": 5}
"""Tokens in a word, about; it takes few of them to say something, wherever the training texts are longer."""

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
    asked = Surprise({name: each.to(device_of(model)) for name, each in tensors.items()}, order)
    rows = _measure(asked, model, validation)
    config["usual"] = _usual(rows)
    values = _Views(config, asked).values(*rows.unbind(dim=1))
    scale, knots = fit_scale(values, _views(config))
    return {**config, **scale}, {**tensors, **knots}


class Known:
    """Answers, and says how unlike the training texts each text is.

    Any number of threads may ask at once. Made where the network is to run: later moves are not followed.

    Args:
        model: the network that `fit` was given, in evaluation mode.
        config: of `fit`.
        tensors: of `fit`.

    Raises:
        ValueError: what is given does not fit together.
    """

    def __init__(self, model: nn.Module, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        here = {name: each.to(device_of(model)) for name, each in tensors.items()}
        self._model = model
        self._surprise = Surprise(here, config.get("order"))
        self._views = _Views(config, self._surprise)
        views = _views(config)
        self._scale = Scale(config, here, views)
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
        return logits, self._scale.surprises(self._views(logits, *inputs))


class _Views:
    """What each view says of a text.

    Short texts have rarer means by chance alone, so that means are divided by the spread that a text of their length
    has: of a token about its text's mean, and of that about the mean of all.
    """

    def __init__(self, config: Mapping[str, Any], asked: Surprise) -> None:
        usual = config.get("usual")
        if not isinstance(usual, Mapping):
            raise ValueError(f"usual must hold numbers, got {usual!r}")
        self._asked = asked
        self._alone, self._ordered = number(usual, "alone"), number(usual, "ordered")
        self._within, self._between = number(usual, "within"), number(usual, "between")
        if self._between <= 0 or self._within < 0:
            raise ValueError("within and between must be variances")

    def __call__(self, logits: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        alone, ordered, within = self._asked(ids, lengths)
        return self.values(energy(logits), alone, ordered, within, lengths)

    def values(self, sure: Tensor, alone: Tensor, ordered: Tensor, _: Tensor, lengths: Tensor) -> Tensor:
        """(N,) each to (N, V)."""
        shares = lengths.clamp(min=1).reciprocal()
        spread = (self._within * shares + self._between).rsqrt()
        return torch.stack([sure, (alone - self._alone) * spread, (ordered - self._ordered) * spread, shares], dim=1)


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
def _measure(asked: Surprise, model: nn.Module, validation: Batches) -> Tensor:
    """(N, 5) float64: energy, both mean surprises, the variance within the text, and the length."""
    device, rows = device_of(model), []
    most = math.ceil(MOST_VALIDATION / max(1, validation.examples) * len(validation))
    for (ids, lengths), _ in islice(validation.epoch(0), most):
        ids, lengths = ids.to(device), lengths.to(device)
        rows.append(torch.stack([energy(model(ids, lengths)), *asked(ids, lengths), lengths.float()], dim=1))
    return torch.cat(rows).double().cpu()


def _usual(rows: Tensor) -> dict[str, float]:
    """The means of both surprises, and the variance of a token's within a text, and of a text's among all."""
    _, alone, ordered, within, lengths = rows.unbind(dim=1)
    total = ordered.var(correction=0).item()
    inside = within.mean().item()
    between = max(total - inside * lengths.reciprocal().mean().item(), 0.1 * total, 1e-3)
    return {
        "alone": alone.median().item(),
        "ordered": ordered.median().item(),
        "within": inside,
        "between": between,
    }
