"""Make the vectors of English words from a language model: `python -m train.english --model DIR`.

Needs `transformers`. DIR holds sentence-transformers/all-MiniLM-L6-v2: its weights, configuration and tokenizer.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from pyclassify.text import english

DIMENSIONS = 160
BATCH = 512


def main(argv: Sequence[str] | None = None) -> None:
    """Write pyclassify/text/english.safetensors."""
    parser = argparse.ArgumentParser(prog="python -m train.english", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="folder of the language model")
    parser.add_argument("--out", type=Path, default=english.FILE, metavar="FILE")
    options = parser.parse_args(argv)
    words, states = embed(options.model)
    tensors = {"words": torch.tensor(list("\n".join(words).encode()), dtype=torch.uint8), "vectors": shrink(states)}
    safetensors.torch.save_file(tensors, options.out, metadata={"license": "apache-2.0", "model": "all-MiniLM-L6-v2"})
    print(f"Wrote {len(words):,} words to {options.out}, {options.out.stat().st_size / 1e6:.2f} MB.")


@torch.inference_mode()
def embed(folder: Path) -> tuple[list[str], Tensor]:
    """Return the whole words of a model's vocabulary, frequent ones first, and the mean of its last layer (M, H)."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, use_safetensors=True).eval()
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    words = [word for word, _ in vocabulary if word.isascii() and word.isalpha() and (len(word) > 1 or word in "ai")]
    rows = []
    for start in range(0, len(words), BATCH):
        batch = tokenizer(words[start : start + BATCH], return_tensors="pt", padding=True)
        mask = batch["attention_mask"].unsqueeze(2)
        rows.append((model(**batch).last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1))
    return words, torch.cat(rows)


def shrink(states: Tensor) -> Tensor:
    """Return the principal components of states (M, H), each of length 1, as (M, DIMENSIONS) int8."""
    centered = states - states.mean(dim=0)
    _, _, directions = torch.linalg.svd(centered, full_matrices=False)
    vectors = torch.nn.functional.normalize(centered @ directions[:DIMENSIONS].T, dim=1)
    return (127 * vectors / vectors.abs().max()).round().to(torch.int8)


if __name__ == "__main__":
    main()
