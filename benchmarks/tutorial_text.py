"""The tutorial's program for text as it stands, with its fault, and once more with just the fault put right.

The fault: what comes out of a packed LSTM is padded with zeros, and the program reads the last padded step. Only the
longest texts of a batch have an output there; for all others the last layer is handed zeros, so that it answers the
same whatever they say, and nothing is learned from them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torchtext import data, datasets

from benchmarks.trained import Batch, Settings, Trained, fit, majority, row
from pyclassify import evaluation

BATCH_SIZE = 64
MAX_VOCABULARY = 25_000

Step = Literal["last padded", "last valid"]


class LstmReader(nn.Module):
    """Embedding of 300, LSTM of 256 over packed sequences, one linear layer on one step of the output.

    Args:
        labels: K.
        vocabulary_size: V.
        padding_id: the token that stands for nothing.
        step: which step is read; "last padded" is what the tutorial does, and wrong.
        embedding_size: numbers per token.
        hidden_size: H, numbers per step.
    """

    def __init__(
        self,
        *,
        labels: int,
        vocabulary_size: int,
        padding_id: int,
        step: Step,
        embedding_size: int = 300,
        hidden_size: int = 256,
    ) -> None:
        super().__init__()
        self.step = step
        self.embedding = nn.Embedding(vocabulary_size, embedding_size, padding_idx=padding_id)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.fc = nn.Linear(hidden_size, labels)

    def read(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """What the last layer is handed: (N, L) ids, longest first, and (N,) lengths to (N, H)."""
        packed = nn.utils.rnn.pack_padded_sequence(self.embedding(ids), lengths.cpu(), batch_first=True)
        packed_output, _ = self.lstm(packed)
        output: Tensor  # (N, L, H), zero from each text's end on
        output, _ = nn.utils.rnn.pad_packed_sequence(packed_output, batch_first=True)
        if self.step == "last padded":
            return output[:, -1, :]
        return output[torch.arange(len(ids), device=ids.device), lengths.to(ids.device) - 1]

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, L) and (N,) to (N, K)."""
        logits: Tensor = self.fc(self.read(ids, lengths))
        return logits


def run(folder: Path, settings: Settings, *, step: Step) -> Trained:
    """Train and test on a folder like IMDB's: train/pos, train/neg, test/pos, test/neg."""
    start = time.perf_counter()
    torch.manual_seed(settings.seed)
    random.seed(settings.seed)  # torchtext shuffles with it
    train, test, text, label = _read(folder, settings.max_tokens)
    train_batches, test_batches = data.BucketIterator.splits(
        (train, test), batch_size=BATCH_SIZE, sort_within_batch=True, device=settings.device
    )
    model = LstmReader(
        labels=len(label.vocab),
        vocabulary_size=len(text.vocab),
        padding_id=text.vocab.stoi[text.pad_token],
        step=step,
    ).to(settings.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    epochs_s = fit(model, lambda: _pairs(train_batches), optimizer, settings)
    logits, label_ids, reads_zeros = answers(model, _pairs(test_batches))
    majority_id = majority([label.vocab.stoi[each] for each in train.label])
    scores = evaluation.score(logits, label_ids, labels=label.vocab.itos, majority_id=majority_id)
    return row(
        "tutorial, as it stands" if step == "last padded" else "tutorial, last valid step read",
        scores,
        model=model,
        train_examples=len(train),
        epochs_s=epochs_s,
        whole_s=time.perf_counter() - start,
        settings=settings,
        reads_zeros=reads_zeros,
        notes=_notes(settings),
    )


def _notes(settings: Settings) -> list[str]:
    notes = ["the embedding starts from random numbers, not from GloVe", "words are what stands between spaces"]
    if settings.max_tokens:
        notes.append(f"texts are cut to {settings.max_tokens:,} words")
    return notes


def _read(folder: Path, max_tokens: int | None) -> tuple[data.Dataset, data.Dataset, data.Field, data.LabelField]:
    text = data.Field(
        lower=True,
        include_lengths=True,
        batch_first=True,
        preprocessing=None if max_tokens is None else lambda tokens: tokens[:max_tokens],
    )
    label = data.LabelField()
    train, test = (datasets.IMDB(str(folder / part), text, label) for part in ("train", "test"))
    text.build_vocab(train, max_size=MAX_VOCABULARY)
    label.build_vocab(train)
    return train, test, text, label


def _pairs(batches: Any) -> Iterator[Batch]:
    for batch in batches:
        yield batch.text, batch.label


@torch.inference_mode()
def answers(model: LstmReader, batches: Iterator[Batch]) -> tuple[Tensor, Tensor, float]:
    """Answer M texts in one pass.

    Returns:
        (M, K) logits, (M,) label ids, and the share of the texts of which the last layer saw nothing but zeros.
    """
    model.eval()
    logits, label_ids, zeros = [], [], []
    for inputs, truth in batches:
        read = model.read(*inputs)
        logits.append(model.fc(read).cpu())
        label_ids.append(truth.cpu())
        zeros.append((read == 0).all(dim=1).cpu())
    return torch.cat(logits), torch.cat(label_ids), torch.cat(zeros).float().mean().item()
