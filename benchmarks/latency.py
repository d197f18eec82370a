"""How fast the shipped checkpoints answer, how fast the page is there, and what it holds: `benchmarks.latency`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

import pyclassify
from app import find_checkpoints
from benchmarks import drawn, peers, results, serving, tables
from pyclassify import Classifier
from pyclassify.device import pick

MODULE = "benchmarks.latency"
WORDS = (20, 200, 2000)
WARM_UPS = 3
FEWEST, MOST = 20, 200
PATIENCE_S = 30.0
"""For all calls with one input; it decides how many there are between the fewest and the most."""

WITHOUT_PEER = f"{peers.TEXT} is left out: pip install -r requirements-bench.txt brings the package that it needs."


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long one program took to answer one input.

    Args:
        input: what was asked.
        program: which checkpoint, or the peer.
        p50_ms: half of the calls took no longer.
        p95_ms: 95 in 100 took no longer.
        least_ms: the quickest.
        n: how many calls, after the warm-up.
        notes: what the prediction says of how the input was read.
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
    with tempfile.TemporaryDirectory() as scratch:
        timings = [
            *_pictures([each for each in classifiers if each.kind == "image"], device, Path(scratch), options.most),
            *_texts([each for each in classifiers if each.kind == "text"], device, options.most),
        ]
    texts = any(each.kind == "text" for each in classifiers)
    left_out = [WITHOUT_PEER] if texts and peers.TEXT not in {each.program for each in timings} else []
    record.save({"predict": [asdict(each) for each in timings], "start": start, "left_out": left_out})
    print(tables.latency(options.results))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument(
        "--checkpoints", type=Path, default=Path("checkpoints"), metavar="DIR", help="a checkpoint, or a folder of them"
    )
    parser.add_argument("--most", type=int, default=MOST, metavar="N", help=f"calls per input (default: {MOST})")
    parser.add_argument("--starts", type=int, default=3, metavar="N", help="of the page; 0 leaves it out (default: 3)")
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    options = parser.parse_args(arguments)
    if not find_checkpoints(options.checkpoints):
        parser.error(f"there is no checkpoint in {options.checkpoints}")
    if options.most < 1 or options.starts < 0:
        parser.error("--most must be at least 1 and --starts at least 0")
    return options


def _pictures(classifiers: Sequence[Classifier], device: torch.device, folder: Path, most: int) -> list[Timing]:
    """Each classifier of pictures beside the peer, on the same files."""
    if not classifiers:
        return []
    timings = []
    others = {title: peers.picture(name, device) for title, name in peers.PICTURES.items()}
    for name, path in drawn.pictures(folder).items():
        notes = {_title(each): each.predict([path])[0].notes for each in classifiers}
        calls = {_title(each): partial(each.predict, [path]) for each in classifiers}
        timings += _timings(
            name, {**calls, **{title: partial(peer, path) for title, peer in others.items()}}, notes, most
        )
    return timings


def _texts(classifiers: Sequence[Classifier], device: torch.device, most: int) -> list[Timing]:
    """Each classifier of texts beside the peer, where its package is installed."""
    timings = []
    peer = peers.text(device) if classifiers else None
    for words in WORDS if classifiers else ():
        text = drawn.text(words)
        notes = {_title(each): each.predict([text])[0].notes for each in classifiers}
        calls: dict[str, Callable[[], object]] = {_title(each): partial(each.predict, [text]) for each in classifiers}
        if peer:
            calls[peers.TEXT] = partial(peer, text)
            notes[peers.TEXT] = (f"random weights and {peers.pieces(text)} random tokens, no tokenizer",)
        timings += _timings(f"text of {words:,} words", calls, notes, most)
    return timings


def _title(classifier: Classifier) -> str:
    return f"`{classifier.name}`, {classifier.info['model']['name']}"


def _timings(
    name: str, calls: Mapping[str, Callable[[], object]], notes: Mapping[str, tuple[str, ...]], most: int
) -> list[Timing]:
    print(f"measuring: {name}", flush=True)
    return [
        Timing(
            input=name,
            program=program,
            p50_ms=float(np.percentile(milliseconds, 50)),
            p95_ms=float(np.percentile(milliseconds, 95)),
            least_ms=min(milliseconds),
            n=len(milliseconds),
            notes=notes.get(program, ()),
        )
        for program, milliseconds in measure(calls, most=most).items()
    ]


def measure(calls: Mapping[str, Callable[[], object]], *, most: int = MOST) -> dict[str, list[float]]:
    """Time calls by turns, so that what else the machine does meets them all alike.

    Args:
        calls: by name; each does the whole of one answer.
        most: at most this often each; fewer where they are slow, but not below FEWEST.

    Returns:
        Milliseconds of each call that was timed, by name.
    """
    rough_s = 0.0
    for _ in range(WARM_UPS):
        rough_s = sum(_seconds(call) for call in calls.values())
    repeats = min(most, max(FEWEST, int(PATIENCE_S / max(rough_s, 1e-6))))
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats):
        for name, call in calls.items():
            found[name].append(_seconds(call) * 1000)
    return found


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
