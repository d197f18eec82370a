"""Which words of a text speak for a label, and which against it."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pyclassify.text.models import WideDeep
from pyclassify.text.places import words
from pyclassify.text.transform import UNKNOWN_ID, TextTransform

STEPS = 8
"""Texts between one of unknown tokens and the whole one whose gradients are averaged; on validation texts 16 of them
ranked the words no better."""

MOST_TOKENS, MOST_TOKENS_IN_TURN = 4096, 1024
"""Tokens of all steps together, and for a recurrent network, which goes from one to the next: longer texts take fewer
steps, so that nobody waits for long."""

Span = tuple[int, int, float]


@dataclass(frozen=True, slots=True)
class TextExplanation:
    """Which words of a text speak for a label.

    Args:
        label: the one that is explained.
        probability: what the classifier gives it.
        spans: start and end of each word in the text as it was given, in order, and its weight: above 0 it speaks for
            the label, below against it, by about so much of the log-odds; 0 where the word was cut off.
    """

    label: str
    probability: float
    spans: tuple[Span, ...]


def spans(
    model: nn.Module, transform: TextTransform, text: str, ids: Tensor, label_id: int, device: torch.device
) -> tuple[Span, ...]:
    """The words of a text with their weights, as in `TextExplanation`.

    Args:
        model: in evaluation mode, no weight of which asks for a gradient.
        transform: the one that the text was read with.
        text: as it was given.
        ids: (L,), what the transform made of it.
        label_id: the label's position among the logits.
        device: where the network is.
    """
    batch, lengths = (each.to(device) for each in transform.collate([ids]))
    sums = [0.0]
    for weight in token_weights(model, batch, lengths, label_id).tolist():
        sums.append(sums[-1] + weight)
    return tuple((each.start, each.end, sums[each.last] - sums[each.first]) for each in words(text, transform))


def token_weights(model: nn.Module, ids: Tensor, lengths: Tensor, label_id: int) -> Tensor:
    """How much of the label's log-odds each token brings, (L,) float64 on the CPU.

    The n-gram table is linear: each n-gram's score is shared out among its tokens, and nothing is estimated. Networks
    get integrated gradients (Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks") from a text of the
    same length in which every token is unknown.

    Args:
        model: any of `models.NAMES`.
        ids: (1, L) int64.
        lengths: (1,) int64.
        label_id: the label's position among the logits.
    """
    with torch.no_grad():
        pulls = _pulls(model(ids, lengths)[0], label_id)
    if not isinstance(model, WideDeep):
        return _integrated(model, ids, lengths, pulls).double().cpu()
    with torch.no_grad():
        wide = model.wide.token_scores(ids[0]) @ pulls
    deep = _integrated(model.deep, ids, lengths, pulls)
    return (model.shares[0] * wide + model.shares[1] * deep).double().cpu()


def _pulls(logits: Tensor, label_id: int) -> Tensor:
    """How the label's log-odds change with each logit, (K,): 1 for its own, and for the others their shares below 0."""
    others = logits.clone()
    others[label_id] = -torch.inf
    pulls = -others.softmax(dim=0)
    pulls[label_id] = 1
    return pulls


def _integrated(network: nn.Module, ids: Tensor, lengths: Tensor, pulls: Tensor) -> Tensor:
    """Integrated gradients of the logits times `pulls` by the embedded tokens, summed up for each token: (L,)."""
    from captum.attr import LayerIntegratedGradients  # takes seconds to import

    own = _own(network)
    in_turn = any(isinstance(each, nn.RNNBase) for each in own.modules())
    steps = max(1, min(STEPS, (MOST_TOKENS_IN_TURN if in_turn else MOST_TOKENS) // ids.shape[1]))
    gradients = LayerIntegratedGradients(lambda ids, lengths: own(ids, lengths) @ pulls, own.embedding)
    parts: Tensor = gradients.attribute(
        ids,
        baselines=torch.full_like(ids, UNKNOWN_ID),
        additional_forward_args=(lengths,),
        n_steps=steps,
        attribute_to_layer_input=False,
    )
    return parts.detach()[0].sum(dim=1)


def _own(network: nn.Module) -> nn.Module:
    """A copy with the same numbers in the same memory: captum hangs hooks into layers, and others use the network."""
    own = copy.deepcopy(network, {id(each): each for each in (*network.parameters(), *network.buffers())})
    for each in own.modules():
        if isinstance(each, nn.RNNBase):
            each.train()  # without it cuDNN gives no gradients; nothing is dropped out here
    return own
