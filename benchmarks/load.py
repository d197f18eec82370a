"""How many answers per second the page gives to many who ask at once, together and one by one: `benchmarks.load`."""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import pyclassify
from app import find_checkpoints
from benchmarks import drawn, results, serving, tables
from pyclassify import Classifier
from pyclassify.device import pick

MODULE = "benchmarks.load"
WORDS = 200
PATIENCE_S = 120.0
TOLERANCE = 1e-5
"""By which a probability may differ from that of the same input alone; the sums are added up in another order."""

Expected = dict[str, float]


@dataclass(frozen=True, slots=True)
class Question:
    """One input as a request sends it, and what it is answered alone.

    Args:
        endpoint: of the page's API.
        value: text, or the payload of an uploaded picture.
        checkpoint: who is asked.
        expected: label -> probability.
    """

    endpoint: str
    value: Any
    checkpoint: str
    expected: Expected


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one round of questions.

    Args:
        per_second: answers.
        p50_ms: half of the visitors waited no longer for an answer.
        p95_ms: 95 in 100 waited no longer.
        cpu_ms: processor time of the page's program per answer; None where the system does not tell.
        lost: questions without an answer.
        difference: the largest one from a probability that an input has alone.
    """

    per_second: float
    p50_ms: float
    p95_ms: float
    cpu_ms: float | None
    lost: int
    difference: float


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table; status 1 where an answer was lost or is another than alone."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    options = _parse(arguments)
    device = pick(options.device)
    record = results.Record(benchmark="load", module=MODULE, arguments=arguments, device=device, folder=options.results)
    rows = measure(options)
    record.save({"users": options.users, "rows": rows})
    print(tables.load(options.results))
    rounds = [each for row in rows for each in row["rounds"]]
    if any(each["lost"] or each["difference"] > TOLERANCE for each in rounds):
        sys.exit("an answer was lost, or is not the one that its input gets alone")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"), metavar="DIR", help="of the page")
    parser.add_argument("--users", type=int, default=50, metavar="N", help="who ask at once (default: 50)")
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
    """Start the page twice, as it is and answering one by one, and ask both by turns.

    Returns:
        A row per input and way to ask, with its rounds as plain data.
    """
    classifiers = [pyclassify.load(path, device=options.device) for path in find_checkpoints(options.checkpoints)]
    firsts = [next((each for each in classifiers if each.kind == kind), None) for kind in ("image", "text")]
    rows = []
    with contextlib.ExitStack() as stack:
        start = [str(options.checkpoints), "--device", options.device]
        together, single = (
            stack.enter_context(serving.page(["--checkpoints", *start, *more])) for more in ([], ["--max-batch", "1"])
        )
        ways = {
            "1 visitor": (together, 1),
            f"{options.users} visitors, one by one": (single, options.users),
            f"{options.users} visitors, together": (together, options.users),
        }
        for classifier in filter(None, firsts):
            asked = {page.port: questions(classifier, page.port, options.answers) for page in (together, single)}
            rounds: dict[str, list[Round]] = {way: [] for way in ways}
            for number in range(options.repeats + 1):  # the first, in which each visitor's session is made, is not kept
                for way, (page, users) in ways.items():
                    print(f"{classifier.name}, {way}: round {number} of {options.repeats}", flush=True)
                    share = asked[page.port] if users > 1 else asked[page.port][: max(20, options.answers // 4)]
                    found = ask_all(page, share, users)
                    rounds[way] += [found] if number else []
            rows += [_row(classifier, way, each) for way, each in rounds.items()]
    return rows


def _row(classifier: Classifier, way: str, rounds: Sequence[Round]) -> dict[str, Any]:
    asked = f"text of {WORDS} words" if classifier.kind == "text" else f"picture, PNG of {drawn.ICON_PX[0]} px"
    fields = [{name: getattr(each, name) for name in Round.__slots__} for each in rounds]
    return {"input": f"{asked}, `{classifier.name}`", "way": way, "rounds": fields}


def questions(classifier: Classifier, port: int, count: int) -> list[Question]:
    """So many different ones; pictures are uploaded to the page."""
    if classifier.kind == "text":
        texts = [drawn.text(WORDS, seed=seed) for seed in range(count)]
        return [
            Question("classify_text", text, classifier.name, classifier.predict([text])[0].probabilities)
            for text in texts
        ]
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for path in drawn.icons(Path(folder), count):
            payload = {"path": upload(port, path), "meta": {"_type": "gradio.FileData"}}
            expected = classifier.predict([path])[0].probabilities
            found.append(Question("classify_image", payload, classifier.name, expected))
    return found


def ask_all(page: serving.Page, asked: Sequence[Question], users: int) -> Round:
    """Let so many visitors share the questions; each asks the next when the last is answered."""
    before, start = serving.cpu_s(page.pid), time.perf_counter()
    with ThreadPoolExecutor(users) as pool:
        found = list(pool.map(lambda user: _visit(page.port, f"visitor {user}", asked[user::users]), range(users)))
    seconds, after = time.perf_counter() - start, serving.cpu_s(page.pid)
    waits = [wait for visit in found for wait, _ in visit]
    differences = [difference for visit in found for _, difference in visit]
    answered = [each for each in differences if each is not None]
    return Round(
        per_second=len(answered) / seconds,
        p50_ms=float(np.percentile(waits, 50)),
        p95_ms=float(np.percentile(waits, 95)),
        cpu_ms=None if before is None or after is None else 1000 * (after - before) / len(asked),
        lost=len(asked) - len(answered),
        difference=max(answered, default=0.0),
    )


def _visit(port: int, session: str, asked: Sequence[Question]) -> list[tuple[float, float | None]]:
    """Milliseconds and the difference from the expected answer, for each question; None where there was no answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)  # knows no proxies
    found: list[tuple[float, float | None]] = []
    for question in asked:
        start = time.perf_counter()
        try:
            answer = ask(connection, question, session)
        except (OSError, http.client.HTTPException):
            connection.close()  # the next question opens it anew
            answer = None
        wait_ms = 1000 * (time.perf_counter() - start)
        found.append((wait_ms, None if answer is None else _difference(answer, question.expected)))
    connection.close()
    return found


def _difference(answer: Expected, expected: Expected) -> float:
    if answer.keys() != expected.keys():
        return 1.0
    return max(abs(answer[label] - expected[label]) for label in expected)


def ask(connection: http.client.HTTPConnection, question: Question, session: str) -> Expected | None:
    """The probabilities by the page's API, or None where it gives none.

    A session is named, as browsers and `gradio_client` do; Gradio would make a new one for each call.
    """
    body = {"data": [question.value, question.checkpoint, "en"], "session_hash": session}
    address = f"/gradio_api/call/{question.endpoint}"
    connection.request("POST", address, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    said = response.read()
    if response.status != 200:
        return None
    connection.request("GET", f"{address}/{json.loads(said)['event_id']}")
    event, data = connection.getresponse().read().decode().strip().splitlines()[-2:]
    if event != "event: complete":
        return None
    probabilities: Expected = json.loads(data.removeprefix("data: "))[0]["probabilities"]
    return probabilities


def upload(port: int, path: Path) -> str:
    """Give a picture to the page; where it keeps it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    head = f'--part\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'
    body = head.encode() + path.read_bytes() + b"\r\n--part--\r\n"
    connection.request("POST", "/gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=part"})
    (kept,) = json.loads(connection.getresponse().read())
    connection.close()
    return str(kept)


if __name__ == "__main__":
    main()
