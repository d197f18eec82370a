"""The tutorial's network for text, with its fault put right."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Lstm(nn.Module):
    """The tutorial's network: embedding, LSTM, one linear layer on the state after the last valid token.

    Args:
        labels: K.
        vocabulary_size: V, padding and the unknown token included.
        embedding_size: numbers per token.
        hidden_size: numbers in the state.
    """

    def __init__(self, *, labels: int, vocabulary_size: int, embedding_size: int = 300, hidden_size: int = 256) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, labels)

    def load_vectors(self, vectors: Tensor) -> None:
        """Start from pretrained vectors.

        Args:
            vectors: (V, embedding_size), in the order of the vocabulary.

        Raises:
            ValueError: the shape is another.
        """
        if vectors.shape != self.embedding.weight.shape:
            wanted = tuple(self.embedding.weight.shape)
            raise ValueError(f"the vectors have shape {tuple(vectors.shape)}, but the embedding needs {wanted}")
        with torch.no_grad():
            self.embedding.weight.copy_(vectors)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, L) int64 and (N,) int64 to (N, K)."""
        lengths = lengths.clamp(min=1)
        logits: Tensor = self.output(
            self._last_of_padded(ids, lengths) if ids.device.type == "cpu" else self._last_of_packed(ids, lengths)
        )
        return logits

    def _last_of_packed(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, L) and (N,) to the state after each text's last valid step, (N, H)."""
        packed = nn.utils.rnn.pack_padded_sequence(
            self.embedding(ids), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        _, (state, _) = self.lstm(packed)
        last: Tensor = state[-1]
        return last

    def _last_of_padded(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The same: a state depends on nothing that comes after it.

        On a CPU torch goes through packed sequences step by step, which trains several times slower.
        """
        states, _ = self.lstm(self.embedding(ids))
        last: Tensor = states[torch.arange(ids.shape[0], device=ids.device), lengths - 1]
        return last
