"""Explanations of texts: the words that speak for a label, and those that speak against it."""

from __future__ import annotations

import copy
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from pyclassify.text.encoder import PieceTransform
from pyclassify.text.networks import WideDeep
from pyclassify.text.transform import (
    LINE_BREAK,
    MARKS,
    SPACES,
    UNKNOWN_ID,
    TextTransform,
    compose,
    word_pattern,
)

STEPS: Final = 8
"""Texts between one of unknown tokens and the whole one whose gradients are averaged; on validation texts, 16 did not
rank the words better."""

MAX_TOKENS: Final = 4096
"""Tokens of all steps together: longer texts take fewer steps, so that nobody waits for long."""

MAX_RECURRENT_TOKENS: Final = 1024
"""The same for a recurrent network, which reads one token after another."""

Span = tuple[int, int, float]


@dataclass(frozen=True, slots=True)
class TextExplanation:
    """The words of a text, weighted by how much they speak for a label.

    Args:
        label: that is explained.
        probability: of the label.
        spans: start and end of each word in the text as it was written, in order, and its weight: above 0 it speaks for
            the label, below against it, by about so much of the log-odds; 0 if the word was cut off.
    """

    label: str
    probability: float
    spans: tuple[Span, ...]


def word_weights(
    network: nn.Module, transform: TextTransform, text: str, ids: Tensor, label_id: int, device: torch.device
) -> tuple[Span, ...]:
    """Weight the words of a text, as in `TextExplanation`.

    Args:
        network: in evaluation mode, without parameters that require gradients.
        transform: that the text was read with.
        text: as it was written.
        ids: (L,), of the transform.
        label_id: the label's position among the logits.
        device: of the network.
    """
    batch, lengths = (tensor.to(device) for tensor in transform.collate([ids]))
    sums = [0.0]
    for weight in token_weights(network, batch, lengths, label_id).tolist():
        sums.append(sums[-1] + weight)
    return tuple((word.start, word.end, sums[word.last] - sums[word.first]) for word in words(text, transform))


# Weights of tokens


def token_weights(network: nn.Module, ids: Tensor, lengths: Tensor, label_id: int) -> Tensor:
    """Attribute the label's log-odds to the tokens of one text.

    N-gram table and scores of words are linear: each score is shared out among its tokens, and nothing is estimated.
    Networks get integrated gradients (Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks") from a text
    of the same length in which every token is unknown.

    Args:
        network: one of TEXT_NETWORKS.
        ids: (1, L) int64.
        lengths: (1,) int64.
        label_id: the label's position among the logits.

    Returns:
        (L,) float64 on the CPU.
    """
    with torch.no_grad():
        gradient = log_odds_gradient(network(ids, lengths)[0], label_id)
    if not isinstance(network, WideDeep):
        return _integrated_gradients(network, ids, lengths, gradient).double().cpu()
    with torch.no_grad():
        scores = network.wide.token_scores(ids[0])
        if network.words is not None:
            scores = scores + network.words.token_scores(ids[0])
        weights: Tensor = network.shares[0] * (scores @ gradient)
    if network.deep is not None and network.shares[1]:
        weights = weights + network.shares[1] * _integrated_gradients(network.deep, ids, lengths, gradient)
    return weights.double().cpu()


def log_odds_gradient(logits: Tensor, label_id: int) -> Tensor:
    """Return the gradient of a label's log-odds by the logits (K,): 1 for its own, minus the others' shares."""
    others = logits.clone()
    others[label_id] = -torch.inf
    gradient = -others.softmax(dim=0)
    gradient[label_id] = 1
    return gradient


def _integrated_gradients(network: nn.Module, ids: Tensor, lengths: Tensor, gradient: Tensor) -> Tensor:
    """Integrate gradients of the logits times `gradient` by the embedded tokens, summed for each token: (L,)."""
    from captum.attr import LayerIntegratedGradients  # takes seconds to import

    own = _copy_sharing_memory(network)
    is_recurrent = any(isinstance(module, nn.RNNBase) for module in own.modules())
    steps = max(1, min(STEPS, (MAX_RECURRENT_TOKENS if is_recurrent else MAX_TOKENS) // ids.shape[1]))
    attribution = LayerIntegratedGradients(lambda ids, lengths: own(ids, lengths) @ gradient, own.embedding)
    parts: Tensor = attribution.attribute(
        ids,
        baselines=torch.full_like(ids, UNKNOWN_ID),
        additional_forward_args=(lengths,),
        n_steps=steps,
        attribute_to_layer_input=False,
    )
    return parts.detach()[0].sum(dim=1)


def _copy_sharing_memory(network: nn.Module) -> nn.Module:
    """Copy a network without its numbers: captum registers hooks, and other threads use the network itself."""
    tensors = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    own = copy.deepcopy(network, tensors)
    for module in own.modules():
        if isinstance(module, nn.RNNBase):
            module.train()  # without it cuDNN gives no gradients; there is no dropout in it
    return own


# Places of words

# characters that normalizing may join: one with the marks after it, the letters that make up a syllable of Hangul, and
# the two halves that JavaScript writes an emoji in
_JOINED = re.compile(rf"(?:[\ud800-\udbff][\udc00-\udfff]|[\s\S])[{MARKS}\u1160-\u11ff]*")
# nothing joins a blank, so that runs always fit, if less precisely
_RUN = re.compile(r"\s+|\S+")
_FILLED = re.compile(f"[^{SPACES}]+")

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters: these scripts write no spaces between words."""

_WORD = re.compile(rf"[{_UNSPACED}][{MARKS}]*|[^{_UNSPACED}]+")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a text.

    Args:
        start: of its first character in the text as it was written.
        end: after its last character.
        first: position of its first token.
        last: after its last token; at most `first` if the word was cut off.
    """

    start: int
    end: int
    first: int
    last: int


def words(text: str, transform: TextTransform) -> list[Word]:
    """Locate the words of a text in their order; none is empty, and no two overlap.

    If tokens are characters, a word is what stands between white space; in scripts without spaces, each character. If
    they are pieces of words, it is a word with all of its pieces; in scripts without spaces, each piece.
    """
    folded, offsets = _fold_with_offsets(text, lowercase=transform.lowercase)
    if isinstance(transform, PieceTransform):
        limit, places = transform.max_tokens, _piece_places(folded, transform)
    elif transform.tokens == "words":
        limit, places = transform.max_tokens, _word_places(folded)
    else:
        limit, places = transform.max_tokens - 1, _character_places(folded)
    return [
        Word(offsets[start], offsets[end], min(first, limit), min(last, limit))
        for start, end, first, last in places
        if offsets[start] < offsets[end]
    ]


Places = Iterator[tuple[int, int, int, int]]
"""Start and end in the folded text, first token, and after the last token."""


def _word_places(folded: str) -> Places:
    for position, match in enumerate(word_pattern(folded).finditer(folded)):
        yield match.start(), match.end(), position, position + 1


def _character_places(folded: str) -> Places:
    """Yield the places; the text begins with a token for a space, and one stands between two runs."""
    position = 1
    for run in _FILLED.finditer(folded):
        for match in _WORD.finditer(run[0]):
            start, end = match.span()
            yield run.start() + start, run.start() + end, position + start, position + end
        position += len(run[0]) + 1


def _piece_places(folded: str, transform: PieceTransform) -> Places:
    pattern = word_pattern(folded)
    begins = {run.start() + word.start() for run in pattern.finditer(folded) for word in _WORD.finditer(run[0])}
    spans: list[tuple[int, int, int, int]] = []
    offsets = transform.encode(folded).offsets
    for position, (start, end) in enumerate(offsets):
        start += len(folded[start:end]) - len(folded[start:end].lstrip())
        # several pieces may stand for one character, such as an emoji
        if not spans or (start in begins and start >= spans[-1][1]):
            spans.append((start, end, position, position + 1))
        else:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]), spans[-1][2], position + 1)
    kept = transform.kept(len(offsets))
    for start, end, first, last in spans:
        yield start, end, bisect_left(kept, first), bisect_left(kept, last)


def _fold_with_offsets(text: str, *, lowercase: bool) -> tuple[str, Sequence[int]]:
    """Apply steps 1 to 3 of the transform's rule, and locate each character of the result in the original.

    Returns:
        The folded text, and the offset at which each of its characters begins, with the end of the text as one more.
    """
    composed, offsets = compose(text), _composed_offsets(text)
    broken = LINE_BREAK.sub(" ", composed)
    offsets = [offsets[i] for i in _line_break_offsets(composed)]
    if not lowercase:
        return broken, offsets
    return broken.lower(), [offsets[i] for i in _lowercase_offsets(broken)]


def _composed_offsets(text: str) -> Sequence[int]:
    composed = compose(text)
    if composed == text:
        return range(len(text) + 1)
    for pattern in (_JOINED, _RUN):
        offsets: list[int] = []
        for match in pattern.finditer(text):
            offsets += [min(match.start() + i, match.end()) for i in range(len(compose(match[0])))]
        if len(offsets) == len(composed):
            break
    return [*offsets, len(text)]


def _line_break_offsets(composed: str) -> Sequence[int]:
    if "<" not in composed:
        return range(len(composed) + 1)
    offsets: list[int] = []
    end = 0
    for match in LINE_BREAK.finditer(composed):
        offsets += range(end, match.start() + 1)
        end = match.end()
    return [*offsets, *range(end, len(composed) + 1)]


def _lowercase_offsets(broken: str) -> Sequence[int]:
    if len(broken.lower()) == len(broken):  # no character becomes shorter
        return range(len(broken) + 1)
    offsets = [i + extra for i, letter in enumerate(broken) for extra in (0, *[1] * (len(letter.lower()) - 1))]
    return [*offsets, len(broken)]
