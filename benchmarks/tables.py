"""The README's tables of figures, from the JSON files: `python -m benchmarks.tables` prints them and puts them in."""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.results import duration, markdown, origin
from pyclassify.evaluation import COVERAGES, p_shown
from pyclassify.training import MOST_EPOCHS

MODULE = "benchmarks.tables"
README = Path(__file__).parents[1] / "README.md"
CHECKPOINTS = README.with_name("checkpoints")


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables and write them between their markers; with --check only compare, status 1 where they differ."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--readme", type=Path, default=README, metavar="FILE")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="the JSON files")
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 where a table is out of date")
    options = parser.parse_args(argv)
    old = options.readme.read_text(encoding="utf-8") if options.readme.is_file() else ""
    new = old
    for name, table in rendered(options.results).items():
        print(f"{table}\n")
        if not _region(name).search(new):
            print(f"{options.readme.name} has no <!-- table:{name} --> ... <!-- /table:{name} -->", file=sys.stderr)
        new = replace(new, name, table)
    if new == old:
        return
    if options.check:
        sys.exit(f"{options.readme.name} is out of date; run python -m {MODULE}")
    options.readme.write_text(new, encoding="utf-8")


def rendered(folder: Path = results.FOLDER) -> dict[str, str]:
    """The tables that there are results for, by name."""
    tables = {name: render(folder) for name, render in TABLES.items()}
    return {name: table for name, table in tables.items() if table}


def replace(text: str, name: str, table: str) -> str:
    """The text with the table between its markers; unchanged where they are missing."""
    return _region(name).sub(lambda found: f"{found[1]}\n{table}\n{found[3]}", text)


def find(text: str, name: str) -> str | None:
    """What stands between a table's markers."""
    found = _region(name).search(text)
    return found[2].strip() if found else None


def _region(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- table:{name} -->)(.*?)(<!-- /table:{name} -->)", re.DOTALL)


def tutorial(folder: Path = results.FOLDER) -> str:
    """The tutorial's programs beside ours; empty where neither benchmark was run."""
    found = [each for kind in ("pictures", "text") if (each := results.read(f"tutorial-{kind}", folder))]
    if not found:
        return ""
    head = ["Data", "Program", "Test accuracy (95 % interval)", "Training", "Whole program", "Epochs", "Trained on"]
    rows = [_trained(content["results"]["data"], row) for content in found for row in content["results"]["rows"]]
    notes = [note for content in found for note in _notes(content)]
    return "\n\n".join([markdown(head, rows), "\n".join(f"- {note}" for note in notes)])


def _trained(data: str, row: Mapping[str, Any]) -> list[str]:
    low, high = row["accuracy_interval"]
    return [
        data,
        row["program"],
        f"{row['accuracy']:.2%} ({low:.2%} to {high:.2%})",
        duration(row["training_s"]),
        "–" if row["whole_s"] is None else duration(row["whole_s"]),
        str(row["epochs"]),
        f"{row['train_examples']:,}",
    ]


def _notes(content: Mapping[str, Any]) -> list[str]:
    data, notes = content["results"]["data"], [f"{content['results']['data']}: {origin(content)}"]
    for row in content["results"]["rows"]:
        said = list(row["notes"])
        if row["reads_zeros"] is not None:
            said.insert(0, f"the last layer sees nothing but zeros of {row['reads_zeros']:.1%} of the test texts")
        if said:
            notes.append(f"{data}, {row['program']}: {'; '.join(said)}.")
    return notes


def latency(folder: Path = results.FOLDER) -> str:
    """How fast the checkpoints and the page answer; empty where the benchmark was not run."""
    content = results.read("latency", folder)
    if content is None:
        return ""
    rows = content["results"]["predict"]
    head = ["Input", "Program", "p50", "p95", "Calls"]
    figures = [[row["input"], row["program"], _ms(row["p50_ms"]), _ms(row["p95_ms"]), str(row["n"])] for row in rows]
    notes = [f"{row['program']}, {row['input']}: {' '.join(row['notes'])}." for row in rows if row["notes"]]
    notes += content["results"].get("left_out", [])
    parts = [markdown(head, figures), *_start(content["results"]["start"])]
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in [origin(content), *notes])])


def _start(start: Mapping[str, Any] | None) -> list[str]:
    if start is None:
        return []
    rows = []
    for title, name in ((f"`{start['command']}` to the page", "page"), (f"`{start['peer']}`, for comparison", "peer")):
        seconds, memory = start[f"{name}_s"], [each for each in start[f"{name}_mb"] if each is not None]
        held = _spread(memory, lambda each: f"{each:.0f} MB") if memory else "–"
        rows.append([title, _spread(seconds, lambda each: f"{each:.2f} s"), held, str(len(seconds))])
    return [markdown(["Start", "Time (least to most)", "Memory held (least to most)", "Starts"], rows)]


def load(folder: Path = results.FOLDER) -> str:
    """How many answers per second many visitors get; empty where the benchmark was not run."""
    content = results.read("load", folder)
    if content is None:
        return ""
    head = ["Input", "Asked by", "Answers per second (least to most)", "p50", "p95", "Processor time each", "Rounds"]
    rows = [_loaded(row) for row in content["results"]["rows"]]
    rounds = [each for row in content["results"]["rows"] for each in row["rounds"]]
    lost, difference = sum(each["lost"] for each in rounds), max(each["difference"] for each in rounds)
    note = f"{lost or 'No'} answers were lost; the largest difference from an input's answer alone is {difference:.0e}."
    return f"{markdown(head, rows)}\n\n- {origin(content)}\n- {note}"


def _loaded(row: Mapping[str, Any]) -> list[str]:
    def median(name: str) -> str:
        found = [each[name] for each in row["rounds"] if each[name] is not None]
        return _ms(statistics.median(found)) if found else "–"

    rates = _spread([each["per_second"] for each in row["rounds"]], lambda each: f"{each:.0f}")
    return [row["input"], row["way"], rates, *map(median, ("p50_ms", "p95_ms", "cpu_ms")), str(len(row["rounds"]))]


def baselines(folder: Path = results.FOLDER) -> str:
    """The default text model beside a linear one; empty where the benchmark was not run."""
    content = results.read("baselines", folder)
    if content is None:
        return ""
    rows = []
    for row in content["results"]["rows"]:
        spread = f" ± {row['spread']:.4f}" if row["spread"] is not None else ""
        metric = f"{row['metric']} (mean ± standard deviation)" if spread else f"test {row['metric']}"
        rows.append(
            [row["data"], f"{row['program']}, {metric}", f"{row['score']:.4f}{spread}", duration(row["seconds"])]
        )
    table = markdown(["Data", "Program and score", "Score", "Training"], rows)
    return f"{table}\n\n- {origin(content)}"


def minutes(folder: Path = results.FOLDER) -> str:
    """What networks come to in a given time; empty where the benchmark was not run."""
    content = results.read("minutes", folder)
    if content is None or not content["results"]["rows"]:
        return ""
    found = {(row["network"], row["minutes"]): row for row in content["results"]["rows"]}
    budgets = content["results"]["minutes"]
    head = ["Network", "Numbers in it", *(f"{each:g} {'minute' if each == 1 else 'minutes'}" for each in budgets)]
    table = []
    for network in dict.fromkeys(name for name, _ in found):
        parameters = next(row["parameters"] for (name, _), row in found.items() if name == network)
        table.append([network, f"{parameters:,}", *(_in_time(found.get((network, each))) for each in budgets)])
    return "\n\n".join([markdown(head, table), *_about_minutes(content)])


def _in_time(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "–"
    return f"{row['accuracy']:.2%} ({row['epochs']} {'epoch' if row['epochs'] == 1 else 'epochs'})"


def _about_minutes(content: Mapping[str, Any]) -> list[str]:
    rows = content["results"]["rows"]
    widest = max(high - low for low, high in (row["accuracy_interval"] for row in rows)) / 2
    shares = [row["training_s"] / (60 * row["minutes"]) for row in rows]
    notes = [
        f"{content['results']['data']}, {rows[0]['train_examples']:,} pictures to train on; test accuracy on"
        f" {rows[0]['test_examples']:,}, whose 95 % interval is at most ± {100 * widest:.2f} percentage points wide.",
        f"The trainings took {min(shares):.0%} to {max(shares):.0%} of their time; a network that has come to"
        f" {MOST_EPOCHS} times its usual number of epochs ends before.",
        origin(content),
    ]
    return ["\n".join(f"- {note}" for note in notes)]


def explain(folder: Path = results.FOLDER) -> str:
    """What explanations are worth and how long they take; empty where the benchmark was not run."""
    content = results.read("explain", folder)
    if content is None:
        return ""
    found = content["results"]
    head = ["Checkpoint", "A tenth taken away", "Drop by explanation", "At random", "Factor (95 % interval)", "Inputs"]
    parts = [markdown(head, [_taken_away(row) for row in found["taken_away"]])]
    head = ["Checkpoint", "Explanations alike (rank correlation)", "Weights shuffled", "Sizes alone", "Noise", "Inputs"]
    parts.append(markdown(head, [_alike(row) for row in found["sanity"]]))
    head = ["Checkpoint", "Explained", "p50", "p95", "Calls"]
    timed = [(row, row["input"]) for row in found["timings"]]
    parts.append(
        markdown(head, [[r["checkpoint"], name, _ms(r["p50_ms"]), _ms(r["p95_ms"]), str(r["n"])] for r, name in timed])
    )
    notes = [origin(content), f"The inputs are {found['part']} data, drawn at random; the drop is the probability's."]
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in notes)])


def _taken_away(row: Mapping[str, Any]) -> list[str]:
    low, high = ("∞" if each is None else f"{each:.1f}" for each in row["factor_interval"])
    factor = "–" if row["factor"] is None else f"{row['factor']:.1f}"
    drops = [f"{row[name]:.3f}" for name in ("drop", "random_drop")]
    return [row["checkpoint"], row["taken"], *drops, f"{factor} ({low} to {high})", f"{row['n']:,}"]


def _alike(row: Mapping[str, Any]) -> list[str]:
    shown = [f"{row[name]:.2f}" for name in ("shuffled", "shuffled_sizes", "noised")]
    return [row["checkpoint"], "with those of the shipped network", *shown, str(row["n"])]


def known(folder: Path = results.FOLDER) -> str:
    """How well what was not trained on is told; empty where the benchmark was not run."""
    content = results.read("known", folder)
    if content is None:
        return ""
    rows = content["results"]["rows"]
    head = ["Checkpoint", "Beside its test data", "AUROC", "Energy alone", "Best view alone", "Refused", "Examples"]
    table = markdown(head, [_strange(row, each) for row in rows for each in row["sets"]])
    refused = [
        f"`{row['checkpoint']}` refuses {row['test_refused']:.1%} of {row['test']:,} ordinary test examples; the"
        f" threshold was set on {row['validation']:,} validation examples."
        for row in rows
    ]
    return "\n\n".join([table, "\n".join(f"- {note}" for note in [*refused, origin(content)])])


def _strange(row: Mapping[str, Any], one: Mapping[str, Any]) -> list[str]:
    views = one["auroc_by_view"]
    best = max(views, key=lambda name: float(views[name]))
    return [
        row["checkpoint"],
        one["set"],
        f"{one['auroc']:.3f}",
        f"{views['energy']:.3f}",
        f"{views[best]:.3f} ({best})",
        f"{one['refused']:.1%}",
        str(one["n"]),
    ]


def checkpoints(_: Path = results.FOLDER) -> str:
    """What the shipped checkpoints score, from their own records."""
    rows = [_shipped(path) for path in sorted(CHECKPOINTS.glob("*/config.json"))]
    head = ["Checkpoint", "What it knows", "Test accuracy (95 % interval)", "Macro F1", "Majority label", "Size"]
    return markdown(head, rows) if rows else ""


def _shipped(path: Path) -> list[str]:
    info = json.loads(path.read_text(encoding="utf-8"))
    scores, data = info["scores"], info["data"]
    low, high = scores["accuracy_interval"]
    things = "pictures" if info["kind"] == "image" else "texts"
    size = sum(each.stat().st_size for each in path.parent.iterdir())
    return [
        f"[{path.parent.name}](checkpoints/{path.parent.name}/README.md)",
        f"{len(info['labels'])} labels, from {data['train']:,} {things}",
        f"{scores['accuracy']:.4f} ({low:.4f} to {high:.4f}) on {scores['examples']:,}",
        f"{scores['macro_f1']:.4f}",
        f"{scores['majority_accuracy']:.4f}",
        f"{size / 1e6:.1f} MB",
    ]


def trust(_: Path = results.FOLDER) -> str:
    """How far the shipped checkpoints may be trusted, from their own records; empty where one has none."""
    found = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in CHECKPOINTS.glob("*/config.json")
    }
    if not found or not all("calibration" in info for info in found.values()):
        return ""
    head = [
        "Checkpoint",
        "Calibration error before → after",
        *(f"{float(each):.0%} sets: hold the true label (labels per set)" for each in COVERAGES),
        "Simple program on the same data",
        "Called unknown, of the test data",
    ]
    return markdown(head, [_trusted(name, info["scores"]) for name, info in sorted(found.items())])


def _trusted(name: str, scores: Mapping[str, Any]) -> list[str]:
    other = scores["baseline"]
    return [
        name,
        f"{scores['calibration']['ece_before']:.4f} → {scores['calibration']['ece_after']:.4f}",
        *(f"{row['coverage']:.1%} ({row['mean_size']:.2f})" for row in scores["sets"].values()),
        f"{other['name']}: {other['accuracy']:.4f} (McNemar's test, {p_shown(other['p_value'])})",
        "–" if scores.get("refused") is None else f"{scores['refused']:.1%}",
    ]


def many(folder: Path = results.FOLDER) -> str:
    """Many inputs at once; empty where the benchmark was not run."""
    content = results.read("many", folder)
    if content is None:
        return ""
    rows = []
    for row in content["results"]["rows"]:
        for run in row["runs"]:
            rows.append(
                [
                    f"{run['inputs']:,} {row['what']}",
                    row["checkpoint"],
                    duration(run["seconds"]),
                    f"{run['inputs'] / run['seconds']:,.0f}",
                    f"{run['grown_mb']:.0f} MB",
                ]
            )
    head = ["Input", "Checkpoint", "Time", "Per second", "Most memory beyond that of the first answer"]
    return "\n\n".join([markdown(head, rows), f"- {origin(content)}"])


def feel(folder: Path = results.FOLDER) -> str:
    """How fast the page feels in the browser; empty where the benchmark was not run."""
    content = results.read("feel", folder)
    if content is None:
        return ""
    found = content["results"]
    rows = [[row["what"], str(row["calls"]), _ms(row["p50_ms"]), _ms(row["p95_ms"])] for row in found["rows"]]
    notes = [
        f"The largest layout shift while these answers came and went was {found['layout_shift']:.4f}.",
        origin(content),
    ]
    return "\n\n".join([markdown(["From", "Times", "p50", "p95"], rows), "\n".join(f"- {note}" for note in notes)])


def _spread(values: Sequence[float], shown: Callable[[float], str]) -> str:
    return f"{shown(statistics.median(values))} ({shown(min(values))} to {shown(max(values))})"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.2f} ms" if milliseconds < 9.995 else f"{milliseconds:.1f} ms"


def mirrored(folder: Path = results.FOLDER) -> str:
    """What a second look at the mirror image brings; empty where the benchmark was not run."""
    content = results.read("mirrored", folder)
    if content is None:
        return ""
    rows = [
        [row["way"], f"{row['accuracy']:.2%} ({row['accuracy_interval'][0]:.2%} to {row['accuracy_interval'][1]:.2%})"]
        for row in content["results"]["rows"]
    ]
    return "\n\n".join([markdown(["Looked at", "Test accuracy (95 % interval)"], rows), f"- {origin(content)}"])


def scale(folder: Path = results.FOLDER) -> str:
    """What few and many texts cost; empty where the benchmark was not run."""
    content = results.read("scale", folder)
    if content is None:
        return ""
    rows = [
        [
            f"{each['rows']:,} of about {each['words']:,} words",
            duration(each["seconds"]),
            duration(statistics.mean(each["epochs_s"])),
            f"{each['peak_bytes'] / 1e9:.2f} GB",
            f"{each['accuracy']:.2%}",
        ]
        for each in content["results"]
    ]
    head = ["Texts", "Whole program", "Of it one epoch", "Memory at most", "Test accuracy"]
    return "\n\n".join([markdown(head, rows), f"- {origin(content)}"])


TABLES: dict[str, Callable[[Path], str]] = {
    "checkpoints": checkpoints,
    "trust": trust,
    "baselines": baselines,
    "tutorial": tutorial,
    "minutes": minutes,
    "feel": feel,
    "latency": latency,
    "load": load,
    "many": many,
    "explain": explain,
    "known": known,
    "mirrored": mirrored,
    "scale": scale,
}

if __name__ == "__main__":
    main()
