"""Speed of the shipped checkpoints and of the page's start, and the memory of the page: `python -m benchmarks.latency`.

Networks that many start from, with random weights, are timed on the same inputs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

import pyclassify
from benchmarks import drawn, results, serving, tables
from pyclassify import Classifier, modality
from pyclassify.device import pick
from pyclassify.ui.launch import find_checkpoints

MODULE: Final = "benchmarks.latency"
WARM_UPS: Final = 3
MIN_CALLS: Final = 20
MAX_CALLS: Final = 200
PATIENCE_S: Final = 30.0
"""For all calls with one input; it decides how many there are between MIN_CALLS and the most."""

TORCHVISION: Final = ("resnet18", "mobilenet_v3_small", "mobilenet_v3_large")
TORCHVISION_PX: Final = 224

DISTILBERT: Final = "DistilBERT's architecture"
TOKENS_PER_WORD: Final = 1.3
MAX_TOKENS: Final = 512
WITHOUT_PEER: Final = f"{DISTILBERT} is left out: pip install -r requirements-bench.txt brings the package for it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Time of single answers of one program to one input.

    Args:
        input: what the input is.
        program: the checkpoint and its network, or the peer.
        p50_ms: median.
        p95_ms: 95th percentile.
        least_ms: the shortest.
        n: calls after the warm-up.
        notes: on how the input was read.
    """

    input: str
    program: str
    p50_ms: float
    p95_ms: float
    least_ms: float
    n: int
    notes: tuple[str, ...] = ()


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what the command line asks for and print the table."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parse(arguments)
    device = pick(options.device)
    record = results.Record(
        benchmark="latency", module=MODULE, arguments=arguments, device=device, folder=options.results
    )
    # before the networks are loaded here, so that they do not take the page's memory
    start = None
    if options.starts:
        start = serving.measure(options.checkpoints, device=options.device, repeats=options.starts)
    classifiers = [pyclassify.load(path, device=str(device)) for path in find_checkpoints(options.checkpoints)]
    timings: list[Timing] = []
    left_out: list[str] = []
    for kind in modality.KINDS:
        of_kind = [classifier for classifier in classifiers if classifier.kind == kind]
        if of_kind:
            peers = PEERS[kind](device)
            timings += _time_kind(kind, of_kind, peers, options.most)
            left_out += [] if peers else [WITHOUT_PEER]
    record.save({"predict": [asdict(timing) for timing in timings], "start": start, "left_out": left_out})
    print(tables.latency(options.results))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument(
        "--checkpoints", type=Path, default=Path("checkpoints"), metavar="DIR", help="a checkpoint, or a folder of them"
    )
    parser.add_argument(
        "--most", type=int, default=MAX_CALLS, metavar="N", help=f"calls per input (default: {MAX_CALLS})"
    )
    parser.add_argument("--starts", type=int, default=3, metavar="N", help="of the page; 0 leaves it out (default: 3)")
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    options = parser.parse_args(arguments)
    if not find_checkpoints(options.checkpoints):
        parser.error(f"there is no checkpoint in {options.checkpoints}")
    if options.most < 1 or options.starts < 0:
        parser.error("--most must be at least 1 and --starts at least 0")
    return options


# Peers


@dataclass(frozen=True, slots=True)
class Peer:
    """A network beside ours.

    Args:
        answer: from an input to probabilities.
        notes: on how it reads an input.
    """

    answer: Callable[[Any], list[float]]
    notes: Callable[[Any], tuple[str, ...]] = lambda _: ()


def torchvision_peers(device: torch.device) -> dict[str, Peer]:
    """Make networks of torchvision with random weights, by their title; from a file to probabilities."""
    return {f"torchvision {name}, {TORCHVISION_PX} px": Peer(_torchvision_answer(name, device)) for name in TORCHVISION}


def _torchvision_answer(name: str, device: torch.device) -> Callable[[Path], list[float]]:
    from torchvision import models, transforms

    # the transform of torchvision's own weights
    transform = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(TORCHVISION_PX),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    network = models.get_model(name, weights=None).to(device).eval()

    @torch.inference_mode()
    def answer(path: Path) -> list[float]:
        with Image.open(path) as image:
            tensor = transform(image.convert("RGB"))
        probabilities: list[float] = network(tensor.unsqueeze(0).to(device)).softmax(dim=1)[0].cpu().tolist()
        return probabilities

    return answer


def distilbert_peer(device: torch.device) -> dict[str, Peer]:
    """Make DistilBERT with random weights, by its title; empty without the package transformers.

    Sanh et al. 2019, "DistilBERT, a distilled version of BERT". It reads random tokens, as many as the text would have,
    and no tokenizer is timed.
    """
    try:
        transformers: Any = import_module("transformers")  # without its types: it need not be installed
    except ImportError:
        return {}
    config = transformers.DistilBertConfig(num_labels=2)
    network = transformers.DistilBertForSequenceClassification(config).to(device).eval()
    ids = torch.randint(config.vocab_size, (1, MAX_TOKENS), generator=torch.Generator().manual_seed(0))

    @torch.inference_mode()
    def answer(text: str) -> list[float]:
        logits = network(ids[:, : count_tokens(text)].to(device)).logits
        probabilities: list[float] = logits.softmax(dim=1)[0].cpu().tolist()
        return probabilities

    def notes(text: str) -> tuple[str, ...]:
        return (f"random weights and {count_tokens(text)} random tokens, no tokenizer",)

    return {DISTILBERT: Peer(answer, notes)}


def count_tokens(text: str) -> int:
    """Estimate the tokens of a text in DistilBERT's vocabulary, with the two marks at its ends; at most MAX_TOKENS."""
    return min(MAX_TOKENS, round(TOKENS_PER_WORD * len(text.split())) + 2)


PEERS: Final[dict[str, Callable[[torch.device], dict[str, Peer]]]] = {
    "image": torchvision_peers,
    "text": distilbert_peer,
}
"""By kind; empty where a package is missing."""


# Timing


def _time_kind(kind: str, classifiers: Sequence[Classifier], peers: Mapping[str, Peer], most: int) -> list[Timing]:
    """Time all classifiers of a kind beside the peers, on the same inputs."""
    timings = []
    with tempfile.TemporaryDirectory() as folder:
        for description, item in drawn.INPUTS[kind](Path(folder)).items():
            print(f"measuring: {description}", flush=True)
            calls: dict[str, Callable[[], object]] = {}
            notes = {}
            for classifier in classifiers:
                title = f"`{classifier.name}`, {classifier.manifest.network.name}"
                calls[title] = partial(classifier.predict, [item])
                notes[title] = tuple(map(str, classifier.predict([item])[0].notes))
            for title, peer in peers.items():
                calls[title], notes[title] = partial(peer.answer, item), peer.notes(item)
            for title, times_ms in measure(calls, most=most).items():
                timings.append(
                    Timing(
                        input=description,
                        program=title,
                        p50_ms=float(np.percentile(times_ms, 50)),
                        p95_ms=float(np.percentile(times_ms, 95)),
                        least_ms=min(times_ms),
                        n=len(times_ms),
                        notes=notes[title],
                    )
                )
    return timings


def measure(calls: Mapping[str, Callable[[], object]], *, most: int = MAX_CALLS) -> dict[str, list[float]]:
    """Time calls by turns, so that other work of the machine slows all of them alike.

    Args:
        calls: by name; each does the whole of one answer.
        most: calls of each name at most; fewer if they are slow, but not below MIN_CALLS.

    Returns:
        Milliseconds of every timed call, by name.
    """
    round_s = 0.0
    for _ in range(WARM_UPS):
        round_s = sum(_time_s(call) for call in calls.values())
    repeats = min(most, max(MIN_CALLS, int(PATIENCE_S / max(round_s, 1e-6))))
    times_ms: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            times_ms[name].append(_time_s(call) * 1000)
    return times_ms


def _time_s(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
