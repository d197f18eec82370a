"""The card of a checkpoint: what it was trained on, what it scores and where its limits are, in Markdown for people.

Its front matter is what the Hub reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pyclassify.evaluation import Comparison
from pyclassify.examples import Skipped
from pyclassify.message import percent

SKIPPED_SHOWN = 20
LEFT_OUT = "## Left out: "
EVAL_RESULTS = ".eval_results/accuracy.yaml"
CURVES, CONFUSION, RELIABILITY = "curves.png", "confusion.png", "reliability.png"
"""Pictures beside the card."""


def write(
    name: str,
    info: Mapping[str, Any],
    *,
    skipped: Sequence[Skipped] = (),
    skipped_section: str = "",
    about: str = "",
    data_license: str = "",
    pictures: Sequence[str] = (),
) -> str:
    """The card as Markdown.

    Args:
        name: of the checkpoint.
        info: as for `checkpoint.save`, with "data", "scores", "training" and "versions".
        skipped: files or rows that were left out.
        skipped_section: their section as it is, where they are not known one by one.
        about: a sentence or two on the data, from whoever trained.
        data_license: of the data, in words.
        pictures: which of CURVES, CONFUSION and RELIABILITY stand beside the card.
    """
    parts = [
        _front_matter(name, info),
        f"# {name}\n",
        _purpose(info, about, data_license),
        _findings(info),
        _scores(info, pictures),
        _trust(info, pictures),
        _epochs(info["training"]["epochs"], pictures),
        skipped_section or _skipped(skipped),
        _made(info),
    ]
    return "\n".join(part for part in parts if part)


def _front_matter(name: str, info: Mapping[str, Any]) -> str:
    # imported here: only a training writes cards, and serving should not wait for the hub's client
    from huggingface_hub import EvalResult, ModelCardData

    task = f"{info['kind']}-classification"
    scores = info["scores"]
    common: dict[str, Any] = {
        "task_type": task,
        "dataset_type": info["data"]["name"],
        "dataset_name": info["data"]["name"],
        "dataset_split": "test",
    }
    data = ModelCardData(
        model_name=name,
        library_name="pyclassify",
        pipeline_tag=task,
        tags=["pyclassify", info["model"]["name"]],
        metrics=["accuracy", "f1"],
        eval_results=[
            EvalResult(**common, metric_type="accuracy", metric_value=round(scores["accuracy"], 4)),
            EvalResult(**common, metric_type="f1", metric_name="macro F1", metric_value=round(scores["macro_f1"], 4)),
        ],
    )
    return f"---\n{data.to_yaml()}\n---\n"


def eval_results(info: Mapping[str, Any]) -> dict[str, bytes]:
    """The test accuracy as the Hub reads it today, in a file of its own beside the card.

    Args:
        info: as for `write`, with "hub_dataset" under "card" where the test data are those of a data set on the Hub.

    Returns:
        The file by its name; nothing where no such data set was named.
    """
    dataset = info.get("card", {}).get("hub_dataset")
    if not dataset:
        return {}
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    accuracy = round(info["scores"]["accuracy"], 4)
    entry = EvalResultEntry(
        dataset_id=dataset, task_id="default", value=accuracy, date=info["measured"]["date"], notes="accuracy, 0 to 1"
    )
    # JSON is YAML too
    return {EVAL_RESULTS: (json.dumps(eval_result_entries_to_yaml([entry]), indent=2) + "\n").encode()}


def _things(info: Mapping[str, Any]) -> str:
    return "pictures" if info["kind"] == "image" else "texts"


def _purpose(info: Mapping[str, Any], about: str, data_license: str) -> str:
    data, things = info["data"], _things(info)
    shown = info["labels"][:30]
    more = f" and {len(info['labels']) - len(shown)} more" if len(info["labels"]) > len(shown) else ""
    lines = [
        f"Tells {len(info['labels'])} labels of {things} apart: {', '.join(shown)}{more}.",
        about,
        f"Data: {data['name']}, {data['train']:,} {things} to train on, {data['validation']:,} to choose by,"
        f" {data['test']:,} to test with, {data['skipped']:,} left out."
        + (f" Licence of the data: {data_license}." if data_license else ""),
        f"It is for {things} like these, to see what can be told apart and to sort with someone looking over it. It is"
        " not for deciding over people, nor for anything where a wrong answer does harm that nobody notices.",
        _unlike(info, things),
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def _unlike(info: Mapping[str, Any], things: str) -> str:
    if "known" in info:
        return (
            f'{things.capitalize()} unlike those above get an answer too, with the remark "I don\'t know this", which'
            " misses some of them: see below."
        )
    return (
        f"It answers with one of these labels whatever it is given: {things} unlike those above get an answer too, and"
        " it may be given with confidence."
    )


def _findings(info: Mapping[str, Any]) -> str:
    found = (info.get("findings") or {}).get("findings", ())
    if not found:
        return ""
    return "\n".join(["## The data\n", *(f"- {each['summary']} {each['advice']}" for each in found)]) + "\n"


def summary(scores: Mapping[str, Any]) -> str:
    """What the test data say, in a few sentences.

    Args:
        scores: of a checkpoint's config.json; what older ones lack is left out.
    """
    low, high = scores["accuracy_interval"]
    said = [
        f"Test accuracy {scores['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}, {scores['examples']:,}"
        f" examples), macro F1 {scores['macro_f1']:.4f}; always answering the most frequent label:"
        f" {scores['majority_accuracy']:.4f}."
    ]
    if "baseline" in scores:
        other = scores["baseline"]
        low, high = other["accuracy_interval"]
        said.append(
            f"A simple program on the same data, {other['name']}: {other['accuracy']:.4f} ({low:.4f} to {high:.4f})."
            f" {Comparison(**other).verdict()}"
        )
    if scores.get("without_leaked"):
        rest = scores["without_leaked"]
        said.append(
            f"Without the {rest['leaked']:,} test examples that are the same or nearly the same as one to learn from:"
            f" {rest['accuracy']:.4f}."
        )
    return " ".join(said)


def _scores(info: Mapping[str, Any], pictures: Sequence[str]) -> str:
    scores = info["scores"]
    lines = [
        "## Scores on the test data\n",
        f"{summary(scores)} No choice was made on the test data.\n",
        "| label | precision | recall | F1 | examples |",
        "|---|---|---|---|---|",
    ]
    for label, row in scores["per_label"].items():
        lines.append(
            f"| {_cell(label)} | {row['precision']:.4f} | {row['recall']:.4f} | {row['f1']:.4f} | {row['examples']:,} |"
        )
    if CONFUSION in pictures:
        lines.append(f"\n![How often each label was answered for each true label]({CONFUSION})")
    if scores.get("mistakes"):
        lines += [
            "\nThe wrong answers that it was surest of:\n",
            "| answer | sure | it is | example |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {_cell(each['answer'])} | {percent(each['probability'])} | {_cell(each['label'])} |"
            f" {_cell(each['name'])} |"
            for each in scores["mistakes"]
        ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _trust(info: Mapping[str, Any], pictures: Sequence[str]) -> str:
    if "calibration" not in info:
        return ""
    fitted, found = info["calibration"], info["scores"]["calibration"]
    things = _things(info)
    lines = [
        "## How far to trust an answer\n",
        f"Percentages are calibrated: the network's logits are divided by {fitted['temperature']:.3f}, fitted on"
        f" {fitted['examples']:,} validation {things}. Expected calibration error on the test data"
        f" {found['ece_after']:.4f}, before {found['ece_before']:.4f}.\n",
    ]
    if RELIABILITY in pictures:
        lines.append(f"![Share of right answers for each probability]({RELIABILITY})\n")
    lines += [
        "Sets of labels that are to hold the true one as often as promised, on average over all labels:\n",
        "| promised | on the test data | labels per set | sets with one label | least, for a label |",
        "|---|---|---|---|---|",
    ]
    for promised, row in info["scores"]["sets"].items():
        worst = min(row["per_label"], key=row["per_label"].__getitem__)
        lines.append(
            f"| {float(promised):.0%} | {row['coverage']:.1%} | {row['mean_size']:.2f} | {row['single']:.1%} |"
            f" {row['per_label'][worst]:.1%} ({_cell(worst)}) |"
        )
    return "\n".join([*lines, *_known(info)]) + "\n"


def _known(info: Mapping[str, Any]) -> list[str]:
    if "known" not in info:
        return []
    refused = info["scores"]["refused"]
    return [
        f'\n"I don\'t know this" is said of what is stranger than 95 % of the validation {_things(info)}; of the test'
        f" data that was {refused:.1%}."
    ]


def _epochs(epochs: Sequence[Mapping[str, Any]], pictures: Sequence[str]) -> str:
    lines = [
        "## Epochs\n",
        *([f"![Loss and accuracy on training and validation data over the epochs]({CURVES})\n"] * (CURVES in pictures)),
        "| epoch | loss | accuracy | validation loss | validation accuracy | seconds |",
        "|---|---|---|---|---|---|",
    ]
    best = max((i for i, each in enumerate(epochs) if each["is_best"]), default=-1)
    for i, each in enumerate(epochs):
        mark = " (kept)" if i == best else ""
        lines.append(
            f"| {each['epoch']}{mark} | {each['train_loss']:.4f} | {each['train_accuracy']:.4f} |"
            f" {each['validation_loss']:.4f} | {each['validation_accuracy']:.4f} | {each['duration_s']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def _skipped(skipped: Sequence[Skipped]) -> str:
    if not skipped:
        return ""
    lines = [
        f"{LEFT_OUT}{len(skipped):,}\n",
        *(f"- `{each.name}`: {each.reason}" for each in skipped[:SKIPPED_SHOWN]),
    ]
    if len(skipped) > SKIPPED_SHOWN:
        lines.append(f"- and {len(skipped) - SKIPPED_SHOWN:,} more")
    return "\n".join(lines) + "\n"


def _made(info: Mapping[str, Any]) -> str:
    training = info["training"]
    versions = training.get("versions", info["versions"])
    minutes = training["duration_s"] / 60
    return "\n".join(
        [
            "## How it was made\n",
            "    " + training["command"].replace("\n", "\n    ") + "\n",
            f"On {training['date']}{_at(training)} in {minutes:.1f} minutes on {training['hardware']},"
            f" seed {training['seed']}, {training['parameters']:,} parameters, weights kept as {training['weights']}. "
            + ", ".join(f"{package} {version}" for package, version in versions.items())
            + ".\n",
            *_measured(info),
            "Use it with `pyclassify.load`, which reads plain data only and checks each file's SHA-256.\n",
        ]
    )


def _measured(info: Mapping[str, Any]) -> list[str]:
    if "measured" not in info:
        return []
    run = info["measured"]
    return [
        f"Measured on {run['date']}{_at(run)} on {run['hardware']}: an answer to one takes {run['answer_ms']:.1f} ms"
        f" (median), the weights {info['size_bytes'] / 1e6:.1f} MB.\n"
    ]


def _at(training: Mapping[str, Any]) -> str:
    commit: str = training.get("commit", "")
    return f" at commit {commit.removesuffix('+')}{' with changes' if commit.endswith('+') else ''}" if commit else ""
