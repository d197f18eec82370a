"""The documents' tables of figures, from the JSON files: `python -m benchmarks.tables` prints them and puts them in."""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import results
from benchmarks.results import duration, markdown, origin, summary
from pyclassify.checkpoint import read_manifest
from pyclassify.evaluation import format_p_value
from pyclassify.locales import Message
from pyclassify.manifest import COVERAGES, Manifest
from pyclassify.training.config import MAX_EPOCHS_FACTOR

MODULE: Final = "benchmarks.tables"
ROOT: Final = Path(__file__).parents[1]
CHECKPOINTS: Final = ROOT / "checkpoints"


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables and write them between their markers; with --check only compare, status 1 if they differ."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__)
    parser.add_argument("--documents", type=Path, default=ROOT, metavar="DIR", help="folder with README.md and docs/")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="the JSON files")
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if a table is out of date")
    options = parser.parse_args(argv)
    tables = rendered(options.results)
    for document in dict.fromkeys(DOCUMENTS.values()):
        path = options.documents / document
        old = path.read_text(encoding="utf-8") if path.is_file() else ""
        new = old
        for name, table in tables.items():
            if DOCUMENTS[name] == document:
                print(f"{table}\n")
                if not _region(name).search(new):
                    print(f"{document} has no <!-- table:{name} --> ... <!-- /table:{name} -->", file=sys.stderr)
                new = replace(new, name, table)
        if new != old and options.check:
            sys.exit(f"{document} is out of date; run python -m {MODULE}")
        if new != old:
            path.write_text(new, encoding="utf-8")


def rendered(folder: Path = results.FOLDER) -> dict[str, str]:
    """Return the tables that there are results for, by name."""
    tables = {name: render(folder) for name, render in TABLES.items()}
    return {name: table for name, table in tables.items() if table}


def replace(text: str, name: str, table: str) -> str:
    """Return the text with the table between its markers; unchanged if they are missing."""
    return _region(name).sub(lambda match: f"{match[1]}\n{table}\n{match[3]}", text)


def find(text: str, name: str) -> str | None:
    """Return what stands between the markers of a table."""
    match = _region(name).search(text)
    return match[2].strip() if match else None


def _region(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- table:{name} -->)(.*?)(<!-- /table:{name} -->)", re.DOTALL)


def tutorial(folder: Path = results.FOLDER) -> str:
    """Return the tutorial's programs beside ours; empty if neither benchmark was run."""
    contents = [results.read(f"tutorial-{kind}", folder) for kind in ("pictures", "text")]
    written = [content for content in contents if content]
    if not written:
        return ""
    head = ["Data", "Program", "Test accuracy (95% interval)", "Training", "Whole program", "Epochs", "Trained on"]
    rows = [_trained(content["results"]["data"], row) for content in written for row in content["results"]["rows"]]
    notes = [note for content in written for note in _notes(content)]
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
        parts = list(row["notes"])
        if row["reads_zeros"] is not None:
            parts.insert(0, f"the last layer sees nothing but zeros of {row['reads_zeros']:.1%} of the test texts")
        if parts:
            notes.append(f"{data}, {row['program']}: {'; '.join(parts)}.")
    return notes


def latency(folder: Path = results.FOLDER) -> str:
    """Return latencies of checkpoints and page; empty if the benchmark was not run."""
    content = results.read("latency", folder)
    if content is None:
        return ""
    rows = content["results"]["predict"]
    head = ["Input", "Program", "p50", "p95", "Calls"]
    figures = [[row["input"], row["program"], _ms(row["p50_ms"]), _ms(row["p95_ms"]), str(row["n"])] for row in rows]
    notes = [f"{row['program']}, {row['input']}: {' '.join(row['notes']).rstrip('.')}." for row in rows if row["notes"]]
    notes += content["results"].get("left_out", [])
    parts = [markdown(head, figures), *_start(content["results"]["start"])]
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in [origin(content), *notes])])


def _start(start: Mapping[str, Any] | None) -> list[str]:
    if start is None:
        return []
    rows = []
    for title, name in ((f"`{start['command']}` to the page", "page"), (f"`{start['peer']}`, for comparison", "peer")):
        seconds, memory = start[f"{name}_s"], [value for value in start[f"{name}_mb"] if value is not None]
        held = _spread(memory, "{:.0f} MB") if memory else "–"
        rows.append([title, _spread(seconds, "{:.2f} s"), held, str(len(seconds))])
    return [markdown(["Start", "Time (least to most)", "Memory held (least to most)", "Starts"], rows)]


def load(folder: Path = results.FOLDER) -> str:
    """Return answers per second under load; empty if the benchmark was not run."""
    content = results.read("load", folder)
    if content is None:
        return ""
    head = ["Input", "Asked by", "Answers per second (least to most)", "p50", "p95", "Processor time each", "Rounds"]
    rows = [_loaded(row) for row in content["results"]["rows"]]
    rounds = [part for row in content["results"]["rows"] for part in row["rounds"]]
    lost, difference = sum(part["lost"] for part in rounds), max(part["difference"] for part in rounds)
    note = f"{lost or 'No'} answers were lost; the largest difference from an input's answer alone is {difference:.0e}."
    return f"{markdown(head, rows)}\n\n- {origin(content)}\n- {note}"


def _loaded(row: Mapping[str, Any]) -> list[str]:
    def median(name: str) -> str:
        times_ms = [part[name] for part in row["rounds"] if part[name] is not None]
        return _ms(statistics.median(times_ms)) if times_ms else "–"

    rates = _spread([part["per_second"] for part in row["rounds"]], "{:.0f}")
    return [row["input"], row["way"], rates, *map(median, ("p50_ms", "p95_ms", "cpu_ms")), str(len(row["rounds"]))]


def baselines(folder: Path = results.FOLDER) -> str:
    """Return the default text network beside a linear model; empty if the benchmark was not run."""
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
    """Return the accuracy of networks in a given time; empty if the benchmark was not run."""
    content = results.read("minutes", folder)
    if content is None or not content["results"]["rows"]:
        return ""
    trained = {(row["network"], row["minutes"]): row for row in content["results"]["rows"]}
    budgets = content["results"]["minutes"]
    head = ["Network", "Numbers in it", *(f"{budget:g} {'minute' if budget == 1 else 'minutes'}" for budget in budgets)]
    table = []
    for network in dict.fromkeys(name for name, _ in trained):
        parameters = next(row["parameters"] for (name, _), row in trained.items() if name == network)
        table.append([network, f"{parameters:,}", *(_in_time(trained.get((network, budget))) for budget in budgets)])
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
        f" {rows[0]['test_examples']:,}, whose 95% interval is at most ± {100 * widest:.2f} percentage points wide.",
        f"The trainings took {min(shares):.0%} to {max(shares):.0%} of their time; a network that has come to"
        f" {MAX_EPOCHS_FACTOR} times its usual number of epochs ends before.",
        origin(content),
    ]
    return ["\n".join(f"- {note}" for note in notes)]


def explain(folder: Path = results.FOLDER) -> str:
    """Return faithfulness and latency of explanations; empty if the benchmark was not run."""
    content = results.read("explain", folder)
    if content is None:
        return ""
    measured = content["results"]
    head = ["Checkpoint", "A tenth taken away", "Drop by explanation", "At random", "Factor (95% interval)", "Inputs"]
    parts = [markdown(head, [_taken_away(row) for row in measured["taken_away"]])]
    head = ["Checkpoint", "Explanations alike (rank correlation)", "Weights shuffled", "Sizes alone", "Noise", "Inputs"]
    parts.append(markdown(head, [_alike(row) for row in measured["sanity"]]))
    head = ["Checkpoint", "Explained", "p50", "p95", "Calls"]
    timings = [
        [row["checkpoint"], row["input"], _ms(row["p50_ms"]), _ms(row["p95_ms"]), str(row["n"])]
        for row in measured["timings"]
    ]
    parts.append(markdown(head, timings))
    notes = [
        origin(content),
        f"The inputs are {measured['part']} data, drawn at random; the drop is the probability's.",
    ]
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in notes)])


def _taken_away(row: Mapping[str, Any]) -> list[str]:
    low, high = ("∞" if limit is None else f"{limit:.1f}" for limit in row["factor_interval"])
    factor = "–" if row["factor"] is None else f"{row['factor']:.1f}"
    drops = [f"{row[name]:.3f}" for name in ("drop", "random_drop")]
    return [row["checkpoint"], row["taken"], *drops, f"{factor} ({low} to {high})", f"{row['n']:,}"]


def _alike(row: Mapping[str, Any]) -> list[str]:
    correlations = [f"{row[name]:.2f}" for name in ("shuffled", "shuffled_sizes", "noised")]
    return [row["checkpoint"], "with those of the shipped network", *correlations, str(row["n"])]


def ood(folder: Path = results.FOLDER) -> str:
    """Return how well unlike inputs are detected; empty if the benchmark was not run."""
    content = results.read("ood", folder)
    if content is None:
        return ""
    rows = content["results"]["rows"]
    head = ["Checkpoint", "Beside its test data", "AUROC", "Energy alone", "Best view alone", "Refused", "Examples"]
    table = markdown(head, [_detected(row["checkpoint"], unlike) for row in rows for unlike in row["sets"]])
    refused = [
        f"`{row['checkpoint']}` refuses {row['test_refused']:.1%} of {row['test']:,} ordinary test examples; the"
        f" threshold was set on {row['validation']:,} validation examples."
        for row in rows
    ]
    return "\n\n".join([table, "\n".join(f"- {note}" for note in [*refused, origin(content)])])


def _detected(checkpoint: str, unlike: Mapping[str, Any]) -> list[str]:
    views = unlike["auroc_by_view"]
    best = max(views, key=lambda name: float(views[name]))
    return [
        checkpoint,
        unlike["set"],
        f"{unlike['auroc']:.3f}",
        f"{views['energy']:.3f}" if "energy" in views else "–",
        f"{views[best]:.3f} ({best})",
        f"{unlike['refused']:.1%}",
        str(unlike["n"]),
    ]


def everyday(folder: Path = results.FOLDER) -> str:
    """Return what the sentiment model answers to everyday sentences; empty if the benchmark was not run."""
    content = results.read("everyday", folder)
    if content is None:
        return ""
    rows = content["results"]["rows"]
    head = ["Sentence", "Meant", "Answer", "Right?"]
    figures = [[row["text"], row["label"], row["message"], "yes" if row["right"] else "**wrong**"] for row in rows]
    told = f"{sum(row['right'] for row in rows)} of {len(rows)} are right. {origin(content)}"
    return f"{markdown(head, figures)}\n\n{told}"


def checkpoints(_: Path = results.FOLDER) -> str:
    """Return the scores of the shipped checkpoints, from their manifests."""
    head = ["Model", "Trained on", "Test accuracy (95% interval)", "Macro F1", "Most frequent label", "Size"]
    return markdown(head, [_shipped(name, manifest) for name, manifest in _manifests().items()])


def _manifests() -> dict[str, Manifest]:
    return {path.parent.name: read_manifest(path.parent) for path in sorted(CHECKPOINTS.glob("*/config.json"))}


def _shipped(name: str, manifest: Manifest) -> list[str]:
    assert manifest.scores is not None
    assert manifest.data is not None
    low, high = manifest.scores.accuracy_interval
    size = sum(path.stat().st_size for path in (CHECKPOINTS / name).iterdir())
    counted = Message(f"items.{manifest.kind}", {"count": manifest.data.train})
    origin = counted if manifest.data.train else "published weights"
    return [
        f"[{name}](checkpoints/{name}/README.md)",
        f"{origin}, {len(manifest.labels):,} labels",
        f"{manifest.scores.accuracy:.4f} ({low:.4f} to {high:.4f}) on {manifest.scores.num_examples:,}",
        f"{manifest.scores.macro_f1:.4f}",
        f"{manifest.scores.majority_accuracy:.4f}",
        f"{size / 1e6:.1f} MB",
    ]


def trust(_: Path = results.FOLDER) -> str:
    """Return calibration, prediction sets and baselines of the shipped checkpoints, from their manifests."""
    head = [
        "Model",
        "Calibrated on",
        "Calibration error before → after",
        *(f"{float(coverage):.0%} sets: coverage (labels per set)" for coverage in COVERAGES),
        "Simple model on the same data",
        "Test data refused",
    ]
    return markdown(head, [_trusted(name, manifest) for name, manifest in _manifests().items()])


_CALIBRATED_ON: Final = {
    "validation": "validation examples",
    "calibration": "validation examples that chose nothing",
    "out_of_fold": "training examples, by cross-validation",
}


def _trusted(name: str, manifest: Manifest) -> list[str]:
    scores = manifest.scores
    assert scores is not None
    baseline = scores.baseline
    return [
        name,
        f"{manifest.calibration.num_examples:,} {_CALIBRATED_ON[manifest.calibration.source]}",
        f"{scores.calibration.ece_before:.4f} → {scores.calibration.ece_after:.4f}",
        *(f"{row.coverage:.1%} ({row.mean_size:.2f})" for row in scores.sets.values()),
        f"{baseline.title()}: {baseline.accuracy:.4f} (McNemar's test, {format_p_value(baseline.p_value)})"
        if baseline
        else "–",
        f"{scores.refused:.1%}",
    ]


def batch(folder: Path = results.FOLDER) -> str:
    """Return the speed of batch runs; empty if the benchmark was not run."""
    content = results.read("batch", folder)
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
    """Return latencies in the browser; empty if the benchmark was not run."""
    content = results.read("feel", folder)
    if content is None:
        return ""
    measured = content["results"]
    rows = [[row["what"], str(row["calls"]), _ms(row["p50_ms"]), _ms(row["p95_ms"])] for row in measured["rows"]]
    notes = [
        f"The largest layout shift while these answers came and went was {measured['layout_shift']:.4f}.",
        origin(content),
    ]
    return "\n\n".join([markdown(["From", "Times", "p50", "p95"], rows), "\n".join(f"- {note}" for note in notes)])


def _spread(values: Sequence[float], form: str) -> str:
    median, least, most = map(form.format, (statistics.median(values), min(values), max(values)))
    return f"{median} ({least} to {most})"


def _ms(milliseconds: float) -> str:
    return f"{milliseconds:.2f} ms" if milliseconds < 9.995 else f"{milliseconds:.1f} ms"


def mirrored(folder: Path = results.FOLDER) -> str:
    """Return the gain of averaging with the mirror image; empty if the benchmark was not run."""
    content = results.read("mirrored", folder)
    if content is None:
        return ""
    rows = [
        [row["way"], f"{row['accuracy']:.2%} ({row['accuracy_interval'][0]:.2%} to {row['accuracy_interval'][1]:.2%})"]
        for row in content["results"]["rows"]
    ]
    return "\n\n".join([markdown(["Looked at", "Test accuracy (95% interval)"], rows), f"- {origin(content)}"])


def few_labels(folder: Path = results.FOLDER) -> str:
    """Return scores by the number of labelled examples; empty if the benchmark was not run."""
    content = results.read("few_labels", folder)
    if content is None or not content["results"]["cells"]:
        return ""
    cells = {(cell["data"], cell["per_label"], cell["system"]): cell for cell in content["results"]["cells"]}
    systems = list(dict.fromkeys(system for *_, system in cells))
    head = ["Data", "Per label", *(system.capitalize() for system in systems), "Draws", "Time of a training"]
    rows = []
    for data, per_label in sorted({key[:2] for key in cells}):
        of_row = [cells.get((data, per_label, system)) for system in systems]
        measure = next(cell["measure"] for cell in of_row if cell)
        draws = [str(len(cell["scores"])) for cell in of_row if cell]
        rows.append(
            [
                f"{data}, {measure}",
                f"{per_label:,}",
                *(summary(cell["scores"]) if cell else "–" for cell in of_row),
                draws[0] if len(set(draws)) == 1 else " / ".join(draws),
                " / ".join(duration(statistics.median(cell["seconds"])) for cell in of_row if cell),
            ]
        )
    tested = content["results"]["test_examples"]
    notes = [
        "Mean ± standard deviation over the draws and, in parentheses, the least; times are medians with the test.",
        f"All are tested on the same {tested:,} examples, or on the whole test split where it has fewer.",
        *(
            f"{row['data']} has no {row['per_label']:,} examples of each label: of one there are {row['least']:,}."
            for row in content["results"]["left_out"]
        ),
        origin(content),
    ]
    return "\n\n".join([markdown(head, rows), "\n".join(f"- {note}" for note in notes)])


def photos(folder: Path = results.FOLDER) -> str:
    """Return trainings on photos; empty if the benchmark was not run."""
    content = results.read("photos", folder)
    if content is None:
        return ""
    measured = content["results"]
    parts = []
    if measured["rows"]:
        head = ["Photos", "Program", "Test accuracy (95% interval)", "Training", "Refused", "Other photos refused"]
        head += ["95% sets: coverage (labels per set)", "Calibration error"]
        parts.append(markdown(head, [_on_photos(row) for row in measured["rows"]]))
    if web := measured["web"]:
        head = ["Photos from the web", "Checkpoint", "Accuracy (95% interval)", "Refused", "Photos"]
        figures = [_interval(web), f"{web['refused']:.1%}", f"{web['photos']:,}"]
        parts.append(markdown(head, [[web["name"], f"`{web['checkpoint']}`", *figures]]))
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in [*_about_photos(measured), origin(content)])])


def _on_photos(row: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['set']}, {row['train']:,} to train on, {row['test']:,} to test",
        f"{row['program']}: `{row['network']}`",
        _interval(row),
        duration(row["seconds"]),
        *("–" if row[name] is None else f"{row[name]:.1%}" for name in ("refused", "other_refused")),
        "–" if row["coverage"] is None else f"{row['coverage']:.1%} ({row['set_size']:.2f})",
        "–" if row["ece"] is None else f"{row['ece']:.3f}",
    ]


def _interval(row: Mapping[str, Any]) -> str:
    low, high = row["accuracy_interval"]
    return f"{row['accuracy']:.2%} ({low:.2%} to {high:.2%})"


def _about_photos(measured: Mapping[str, Any]) -> list[str]:
    notes = []
    if measured["rows"]:
        notes.append(f"The training from nothing was given {measured['minutes']:g} minutes.")
        if not any("fastai" in row["program"] for row in measured["rows"]):
            notes.append(
                "fastai's fine-tuning of a network from torchvision is left out: without `--weights` there are none to"
                " begin with."
            )
    if other := measured["other"]:
        notes.append(f"The other photos are the {other['photos']:,} of `{other['name']}`.")
    return notes


def scale(folder: Path = results.FOLDER) -> str:
    """Return time and memory of small and large text data; empty if the benchmark was not run."""
    content = results.read("scale", folder)
    if content is None:
        return ""
    rows = [
        [
            f"{cost['rows']:,} of about {cost['words']:,} words",
            duration(cost["seconds"]),
            duration(statistics.mean(cost["epochs_s"])),
            f"{cost['peak_bytes'] / 1e9:.2f} GB",
            f"{cost['accuracy']:.2%}",
        ]
        for cost in content["results"]
    ]
    head = ["Texts", "Whole program", "Of it one epoch", "Memory at most", "Test accuracy"]
    return "\n\n".join([markdown(head, rows), f"- {origin(content)}"])


TABLES: dict[str, Callable[[Path], str]] = {
    "checkpoints": checkpoints,
    "trust": trust,
    "baselines": baselines,
    "tutorial": tutorial,
    "minutes": minutes,
    "few_labels": few_labels,
    "photos": photos,
    "feel": feel,
    "latency": latency,
    "load": load,
    "batch": batch,
    "explain": explain,
    "ood": ood,
    "everyday": everyday,
    "mirrored": mirrored,
    "scale": scale,
}

DOCUMENTS: Final[dict[str, str]] = {
    "checkpoints": "README.md",
    **dict.fromkeys(("trust", "everyday", "ood", "explain"), "docs/trust.md"),
    **dict.fromkeys(("tutorial", "baselines", "minutes", "latency", "load"), "docs/benchmarks.md"),
    **dict.fromkeys(("few_labels", "photos", "feel", "batch", "scale", "mirrored"), "docs/benchmarks.md"),
}
"""The document that each table stands in."""

if __name__ == "__main__":
    main()
