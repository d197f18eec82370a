"""Regions of text that foretell the words around them: what can be learned where nobody has put labels."""

from __future__ import annotations

import hashlib
import math
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyclassify.errors import DataError
from pyclassify.text.layers import known_tokens, valid_tokens
from pyclassify.text.regions import Regions
from pyclassify.text.transform import UNKNOWN_ID, TextTransform

BATCH_SIZE: Final = 16
TARGETS: Final = 8
"""Words that a region has to foretell in a step, drawn from those around it."""
OTHERS: Final = 512
"""Words that they are told from, drawn once for a batch."""
NEAREST, FARTHEST = 3, 12
"""How far, in tokens, a word that is foretold is from the middle of the region."""
ASKED: Final = 0.35
"""Share of the regions that are asked in a step; neighbouring ones have nearly the same to say."""
FREQUENT: Final = 1e-4
"""Words with a larger share of the text are asked for less often (Mikolov et al. 2013): all regions foretell `the`."""
RATE: Final = 6e-3
MOST_TOKENS: Final = 20_000_000
"""Read in all passes together, which takes about half an hour on two cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingProgress:
    """Where the pretraining stands; loss: a running mean, in nats per word foretold."""

    step: int
    steps: int
    loss: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class Corpus:
    """M texts end to end.

    Args:
        ids: all tokens, any integer type.
        ends: (M + 1,), text i is `ids[ends[i] : ends[i + 1]]`.
    """

    ids: Tensor
    ends: Tensor

    @property
    def lengths(self) -> Tensor:
        """(M,)."""
        return self.ends.diff()

    def padded(self, texts: Tensor) -> tuple[Tensor, Tensor]:
        """(N,) numbers of texts to (N, L) int64 ids and (N,) lengths."""
        rows = [self.ids[self.ends[i] : self.ends[i + 1]] for i in texts.tolist()]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True).long()
        return ids, self.lengths[texts]


def pretrain(
    model: Regions,
    corpus: Corpus,
    *,
    epochs: float,
    seed: int = 0,
    device: torch.device | None = None,
    on_step: Callable[[PretrainingProgress], None] | None = None,
) -> float:
    """Teach the embedding and the regions of a model to foretell the words around each region.

    The two views of Johnson and Zhang 2015 ("Semi-supervised Convolutional Neural Networks for Text Categorization via
    Region Embedding"): what a region says of its surroundings is mostly what both have in common, and that is the
    subject and the mood of the text. Their square loss over the whole vocabulary is replaced by telling
    the right word from others (as van den Oord et al. 2018, "Representation Learning with Contrastive Predictive
    Coding").

    Args:
        model: its embedding and first convolution are trained in place; it is moved to the device.
        corpus: labelled and unlabelled texts alike; no label is looked at, and no test text belongs here.
        epochs: passes over the corpus; a part of one is possible.
        seed: of everything drawn.
        device: where; the CPU if none is given.
        on_step: called now and then.

    Returns:
        The loss, a running mean at the end.

    Raises:
        DataError: the corpus has too little to learn from.
    """
    device = device or torch.device("cpu")
    draws = _Draws(corpus, model.embedding.num_embeddings, device)
    model.to(device).train()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        foretold = nn.Embedding(model.embedding.num_embeddings, model.above.in_channels, device=device)
        nn.init.normal_(foretold.weight, std=0.1)
        return _steps(model, foretold, corpus, draws, epochs, on_step)


def pretrain_once(
    model: Regions,
    corpus: Corpus,
    *,
    path: Path,
    seed: int,
    device: torch.device,
    on_step: Callable[[PretrainingProgress], None] | None = None,
) -> float:
    """As `pretrain`, over as many passes as are worth it; or what an interrupted training of the same kind kept.

    Args:
        model: as for `pretrain`.
        corpus: as for `pretrain`.
        path: the file that what was learned is kept in.
        seed: as for `pretrain`.
        device: as for `pretrain`.
        on_step: as for `pretrain`.
    """
    content = hashlib.sha256(corpus.ids.numpy().tobytes() + corpus.ends.numpy().tobytes())
    content.update(repr((seed, [tuple(each.shape) for each in model.pretrained()])).encode())
    begun = {"fingerprint": content.hexdigest()}
    if path.is_file():
        kept = torch.load(path, map_location=device, weights_only=True)
        if kept["fingerprint"] == begun["fingerprint"]:
            model.embedding.load_state_dict(kept["embedding"])
            model.region.load_state_dict(kept["region"])
            return float(kept["loss"])
    loss = pretrain(model, corpus, epochs=passes_over(corpus), seed=seed, device=device, on_step=on_step)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".writing")
    torch.save(
        {**begun, "loss": loss, "embedding": model.embedding.state_dict(), "region": model.region.state_dict()}, beside
    )
    beside.replace(path)
    return loss


def _steps(
    model: Regions,
    foretold: nn.Embedding,
    corpus: Corpus,
    draws: _Draws,
    epochs: float,
    on_step: Callable[[PretrainingProgress], None] | None,
) -> float:
    optimizer = torch.optim.Adam([*model.pretrained(), *foretold.parameters()], lr=RATE)
    steps = max(1, math.ceil(len(corpus.lengths) * epochs / BATCH_SIZE))
    rise = max(1, min(100, steps // 10))
    began, seen, mean = time.perf_counter(), 0, 0.0
    for step, texts in enumerate(_batches(corpus.lengths, steps)):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / rise) * max(0.02, 1 - step / steps)
        ids, lengths = (each.to(foretold.weight.device) for each in corpus.padded(texts))
        loss = _loss(model, foretold, ids, lengths, draws)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seen += int(lengths.sum())
        if step % 20 == 0 or step + 1 == steps:
            mean = loss.item() if step == 0 else 0.8 * mean + 0.2 * loss.item()
            if on_step:
                pace = seen / (time.perf_counter() - began)
                on_step(PretrainingProgress(step=step + 1, steps=steps, loss=mean, tokens_per_s=pace))
    return mean


def _batches(lengths: Tensor, steps: int) -> Iterator[Tensor]:
    """Numbers of texts, those of a batch of similar length, pass after pass."""
    done = 0
    while done < steps:
        parts = torch.split(torch.randperm(len(lengths)), 50 * BATCH_SIZE)
        batches = [batch for part in parts for batch in torch.split(part[lengths[part].argsort()], BATCH_SIZE)]
        for position in torch.randperm(len(batches))[: steps - done].tolist():
            yield batches[position]
        done += len(batches)


class _Draws:
    """How often each word is asked for, and how often it stands among the others."""

    def __init__(self, corpus: Corpus, vocabulary_size: int, device: torch.device) -> None:
        known = known_tokens(corpus.ids, vocabulary_size)
        counts = torch.bincount(known.long(), minlength=vocabulary_size).double()
        shares = counts / counts.sum().clamp(min=1)
        kept = (FREQUENT / shares.clamp(min=1e-12)).sqrt().clamp(max=1.0)
        kept[: UNKNOWN_ID + 1] = 0.0
        weights = counts * kept
        if int((weights > 0).sum()) < 2:
            raise DataError("there is too little text to learn from; leave --unlabelled out.")
        self.kept = kept.float().to(device)
        self.others = (weights / weights.sum()).float().to(device)


def _loss(model: Regions, foretold: nn.Embedding, ids: Tensor, lengths: Tensor, draws: _Draws) -> Tensor:
    """Cross-entropy of each word that is asked for against others.

    The others are drawn as often as words are asked for, and that is not corrected for: so what a region has to say is
    how much likelier than elsewhere each word is, and not how frequent it is anyway.
    """
    valid = valid_tokens(ids, lengths)
    asked = torch.nonzero(valid & (torch.rand(ids.shape, device=ids.device) < ASKED))
    words, counted = _targets(ids, lengths, asked, model.embedding.num_embeddings, draws.kept)
    some = counted.any(dim=1)
    asked, words, counted = asked[some], words[some], counted[some]
    regions = model.regions(ids, valid).transpose(1, 2)[asked[:, 0], asked[:, 1]]  # (M, D)
    others = torch.multinomial(draws.others, OTHERS, replacement=True)
    against = (regions @ foretold(others).T).logsumexp(dim=1)
    right = torch.einsum("md,mtd->mt", regions, foretold(words))
    return (F.softplus(against.unsqueeze(1) - right) * counted).sum() / counted.sum().clamp(min=1)


def _targets(ids: Tensor, lengths: Tensor, asked: Tensor, vocabulary_size: int, kept: Tensor) -> tuple[Tensor, Tensor]:
    """(M, 2) rows and positions to (M, T) words around each, and which of them count."""
    away = torch.randint(NEAREST, FARTHEST + 1, (len(asked), TARGETS), device=ids.device)
    away = torch.where(torch.rand(away.shape, device=ids.device) < 0.5, away, -away)
    places = asked[:, 1:] + away
    inside = (places >= 0) & (places < lengths[asked[:, 0]].unsqueeze(1))
    words = ids[asked[:, :1], places.clamp(0, ids.shape[1] - 1)]
    words = known_tokens(words, vocabulary_size)
    return words, inside & (torch.rand(words.shape, device=ids.device) < kept[words])


def passes_over(corpus: Corpus) -> float:
    """How many passes are worth their time: eight over little text, fewer over more than MOST_TOKENS allows."""
    return min(8.0, MOST_TOKENS / max(1, len(corpus.ids)))


def corpus_of(texts: Iterable[str], transform: TextTransform) -> Corpus:
    """Texts that the transform accepts, read as it reads them, end to end."""
    ids, ends = array("i"), array("q", [0])
    for text in texts:
        ids.extend(transform.ids(text))
        ends.append(len(ids))
    return Corpus(torch.from_numpy(np.array(ids, dtype=np.int32)), torch.tensor(ends, dtype=torch.int64))
