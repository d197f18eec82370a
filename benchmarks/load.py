"""Answers per second to many visitors at once, answered together and one by one: `python -m benchmarks.load`."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

import pyclassify
from benchmarks import drawn, results, serving, tables
from pyclassify import Classifier, modality
from pyclassify.device import pick
from pyclassify.ui.launch import find_checkpoints

MODULE: Final = "benchmarks.load"
WORDS: Final = 200
PATIENCE_S: Final = 120.0
MIN_REQUESTS: Final = 20
"""Fewest requests of a single visitor in a round."""

TOLERANCE: Final = 1e-5
"""Largest difference of a probability from that of the same input alone, whose sums are added in another order."""

Probabilities = dict[str, float]


@dataclass(frozen=True, slots=True)
class Request:
    """One input as it is sent, and its answer alone.

    Args:
        endpoint: of the page's API.
        value: a text, or the payload of an uploaded picture.
        checkpoint: that is to answer.
        expected: probabilities by label.
    """

    endpoint: str
    value: Any
    checkpoint: str
    expected: Probabilities


@dataclass(frozen=True, slots=True)
class Round:
    """Result of one round of requests.

    Args:
        per_second: answers.
        p50_ms: median of the time until an answer.
        p95_ms: 95th percentile.
        cpu_ms: processor time of the page's process per answer; None if the system does not tell.
        lost: requests without an answer.
        difference: the largest one of a probability from that of the same input alone.
    """

    per_second: float
    p50_ms: float
    p95_ms: float
    cpu_ms: float | None
    lost: int
    difference: float


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print the table; leave with status 1 if an answer was lost or differs from the one alone."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parse(arguments)
    device = pick(options.device)
    record = results.Record(benchmark="load", module=MODULE, arguments=arguments, device=device, folder=options.results)
    rows = measure(options)
    record.save({"users": options.users, "rows": rows})
    print(tables.load(options.results))
    rounds = [part for row in rows for part in row["rounds"]]
    if any(part["lost"] or part["difference"] > TOLERANCE for part in rounds):
        sys.exit("An answer was lost, or differs from that of its input alone.")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), metavar="DIR", help="of the page")
    parser.add_argument("--users", type=int, default=50, metavar="N", help="visitors at once (default: 50)")
    parser.add_argument("--answers", type=int, default=400, metavar="N", help="per round, to all (default: 400)")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="rounds of each kind (default: 5)")
    parser.add_argument("--device", default="auto", metavar="NAME")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    options = parser.parse_args(arguments)
    if not find_checkpoints(options.checkpoints):
        parser.error(f"there is no checkpoint in {options.checkpoints}")
    if min(options.users, options.repeats) < 1 or options.answers < options.users:
        parser.error("--users and --repeats must be at least 1, and --answers at least --users")
    return options


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Start the page twice, as it is and answering one by one, and send requests to both by turns.

    Returns:
        A row for each kind of input and way to send requests, with its rounds as plain data.
    """
    classifiers = [pyclassify.load(path, device=options.device) for path in find_checkpoints(options.checkpoints)]
    by_kind = {classifier.kind: classifier for classifier in reversed(classifiers)}  # the first of each
    rows = []
    with contextlib.ExitStack() as stack:
        arguments = ["--checkpoints", str(options.checkpoints), "--device", options.device]
        together, single = (
            stack.enter_context(serving.page([*arguments, *more])) for more in ([], ["--max-batch", "1"])
        )
        ways = {
            "1 visitor": (together, 1),
            f"{options.users} visitors, one by one": (single, options.users),
            f"{options.users} visitors, together": (together, options.users),
        }
        for classifier in (by_kind[kind] for kind in modality.KINDS if kind in by_kind):
            requests = {page.port: make_requests(classifier, page.port, options.answers) for page in (together, single)}
            rounds: dict[str, list[Round]] = {way: [] for way in ways}
            for number in range(options.repeats + 1):
                for way, (page, users) in ways.items():
                    print(f"{classifier.name}, {way}: round {number} of {options.repeats}", flush=True)
                    count = options.answers if users > 1 else max(MIN_REQUESTS, options.answers // 4)
                    result = send_all(page, requests[page.port][:count], users)
                    if number:  # the sessions of the visitors are made in the first round, which is not kept
                        rounds[way].append(result)
            description = f"{DESCRIPTIONS[classifier.kind]}, `{classifier.name}`"
            rows += [
                {"input": description, "way": way, "rounds": [asdict(result) for result in of_way]}
                for way, of_way in rounds.items()
            ]
    return rows


# Requests


def _uploaded_icons(port: int, count: int, folder: Path) -> list[tuple[Path, Any]]:
    paths = drawn.icons(folder, count)
    return [(path, {"path": upload(port, path), "meta": {"_type": "gradio.FileData"}}) for path in paths]


def _texts(port: int, count: int, folder: Path) -> list[tuple[str, Any]]:
    texts = [drawn.text(WORDS, seed=seed) for seed in range(count)]
    return [(text, text) for text in texts]


DESCRIPTIONS: Final = {"image": f"picture, PNG of {drawn.ICON_PX[0]} px", "text": f"text of {WORDS} words"}
INPUTS: Final[Mapping[str, Callable[[int, int, Path], Sequence[tuple[Any, Any]]]]] = {
    "image": _uploaded_icons,
    "text": _texts,
}
"""By kind: takes a port, a count and a folder; returns inputs for a classifier, and as a request sends them."""


def make_requests(classifier: Classifier, port: int, count: int) -> list[Request]:
    """Make so many different requests; pictures are uploaded to the page."""
    endpoint, name = f"classify_{classifier.kind}", classifier.name
    with tempfile.TemporaryDirectory() as folder:
        return [
            Request(endpoint, value, name, classifier.predict([item])[0].probabilities)
            for item, value in INPUTS[classifier.kind](port, count, Path(folder))
        ]


def upload(port: int, path: Path) -> str:
    """Upload a picture to the page and return the path that it has there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    head = f'--part\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'
    body = head.encode() + path.read_bytes() + b"\r\n--part--\r\n"
    connection.request("POST", "/gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=part"})
    (uploaded,) = json.loads(connection.getresponse().read())
    connection.close()
    return str(uploaded)


# Sending


def send_all(page: serving.Page, requests: Sequence[Request], users: int) -> Round:
    """Let so many visitors share the requests; each sends the next one when the last is answered."""
    before_s, start = serving.cpu_s(page.pid), time.perf_counter()
    with ThreadPoolExecutor(users) as pool:
        visits = list(pool.map(lambda user: _visit(page.port, f"visitor {user}", requests[user::users]), range(users)))
    seconds, after_s = time.perf_counter() - start, serving.cpu_s(page.pid)
    waits_ms = [wait_ms for visit in visits for wait_ms, _ in visit]
    differences = [difference for visit in visits for _, difference in visit if difference is not None]
    return Round(
        per_second=len(differences) / seconds,
        p50_ms=float(np.percentile(waits_ms, 50)),
        p95_ms=float(np.percentile(waits_ms, 95)),
        cpu_ms=None if before_s is None or after_s is None else 1000 * (after_s - before_s) / len(requests),
        lost=len(requests) - len(differences),
        difference=max(differences, default=0.0),
    )


def _visit(port: int, session: str, requests: Sequence[Request]) -> list[tuple[float, float | None]]:
    """Return for each request the milliseconds and the difference from the expected answer; None without an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)  # knows no proxies
    rows: list[tuple[float, float | None]] = []
    for request in requests:
        start = time.perf_counter()
        try:
            probabilities = send(connection, request, session)
        except (OSError, http.client.HTTPException):
            connection.close()  # the next request opens it anew
            probabilities = None
        wait_ms = 1000 * (time.perf_counter() - start)
        rows.append((wait_ms, None if probabilities is None else _difference(probabilities, request.expected)))
    connection.close()
    return rows


def _difference(probabilities: Probabilities, expected: Probabilities) -> float:
    if probabilities.keys() != expected.keys():
        return 1.0
    return max(abs(probabilities[label] - expected[label]) for label in expected)


def send(connection: http.client.HTTPConnection, request: Request, session: str) -> Probabilities | None:
    """Return the probabilities that the page's API answers, or None if it gives none.

    The session is named, as browsers and `gradio_client` do; Gradio would make a new one for each call.
    """
    body = {"data": [request.value, request.checkpoint, "en"], "session_hash": session}
    address = f"/gradio_api/call/{request.endpoint}"
    connection.request("POST", address, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    if response.status != 200:
        return None
    connection.request("GET", f"{address}/{json.loads(content)['event_id']}")
    event, data = connection.getresponse().read().decode().strip().splitlines()[-2:]
    if event != "event: complete":
        return None
    probabilities: Probabilities = json.loads(data.removeprefix("data: "))[0]["probabilities"]
    return probabilities


if __name__ == "__main__":
    main()
