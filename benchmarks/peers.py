"""Networks that many start from, with random weights, beside which `benchmarks.latency` times ours."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torchvision import models, transforms

PICTURE_PX = 224
PICTURES = {
    f"torchvision {name}, {PICTURE_PX} px": name for name in ("resnet18", "mobilenet_v3_small", "mobilenet_v3_large")
}
"""By the title in the table."""

TEXT = "DistilBERT's architecture"
PIECES_PER_WORD = 1.3
MOST_PIECES = 512


def picture(name: str, device: torch.device) -> Callable[[Path], list[float]]:
    """A file to probabilities, with the transform that torchvision's own weights take.

    Args:
        name: of torchvision's builder.
        device: where it runs.
    """
    transform = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(PICTURE_PX),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    model = models.get_model(name, weights=None).to(device).eval()

    @torch.inference_mode()
    def answer(path: Path) -> list[float]:
        with Image.open(path) as opened:
            tensor = transform(opened.convert("RGB"))
        shares: list[float] = model(tensor.unsqueeze(0).to(device)).softmax(dim=1)[0].cpu().tolist()
        return shares

    return answer


def text(device: torch.device) -> Callable[[str], list[float]] | None:
    """A text to probabilities (Sanh et al. 2019, "DistilBERT, a distilled version of BERT"); None without transformers.

    No tokenizer is needed, and none is timed: what matters to the network is how many tokens there are, see `pieces`.

    Args:
        device: where it runs.
    """
    try:
        transformers: Any = import_module("transformers")  # of no type: the tests and most readers do without it
    except ImportError:
        return None
    config = transformers.DistilBertConfig(num_labels=2)
    model = transformers.DistilBertForSequenceClassification(config).to(device).eval()
    ids = torch.randint(config.vocab_size, (1, MOST_PIECES), generator=torch.Generator().manual_seed(0))

    @torch.inference_mode()
    def answer(text: str) -> list[float]:
        logits = model(ids[:, : pieces(text)].to(device)).logits
        shares: list[float] = logits.softmax(dim=1)[0].cpu().tolist()
        return shares

    return answer


def pieces(text: str) -> int:
    """About how many tokens a text is in DistilBERT's vocabulary, with the two marks at its ends; at most 512."""
    return min(MOST_PIECES, round(PIECES_PER_WORD * len(text.split())) + 2)
