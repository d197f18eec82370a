"""The card of a checkpoint: what it was trained on, what it scores and where its limits are, in Markdown for people.

Its front matter is what the Hub reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyclassify.examples import Skipped

SKIPPED_SHOWN = 20
LEFT_OUT = "## Left out: "


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
        pictures: files beside the card that show how the epochs went.
    """
    parts = [
        _front_matter(name, info),
        f"# {name}\n",
        _purpose(info, about, data_license),
        _scores(info),
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
        f"It answers with one of these labels whatever it is given: {things} unlike those above get an answer too, and"
        " it may be given with confidence. Do not let it decide over people.",
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def _scores(info: Mapping[str, Any]) -> str:
    scores = info["scores"]
    low, high = scores["accuracy_interval"]
    lines = [
        "## Scores on the test data\n",
        f"Accuracy **{scores['accuracy']:.4f}** (95 % interval {low:.4f} to {high:.4f}, {scores['examples']:,}"
        f" examples); macro F1 {scores['macro_f1']:.4f}. Always answering the most frequent label:"
        f" {scores['majority_accuracy']:.4f}. The test data were read once, after every choice was made.\n",
        "| label | precision | recall | F1 | examples |",
        "|---|---|---|---|---|",
    ]
    for label, row in scores["per_label"].items():
        cell = label.replace("|", "\\|")
        lines.append(
            f"| {cell} | {row['precision']:.4f} | {row['recall']:.4f} | {row['f1']:.4f} | {row['examples']:,} |"
        )
    return "\n".join(lines) + "\n"


def _epochs(epochs: Sequence[Mapping[str, Any]], pictures: Sequence[str]) -> str:
    lines = [
        "## Epochs\n",
        *(f"![Loss and accuracy on training and validation data over the epochs]({each})\n" for each in pictures),
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
    training, versions = info["training"], info["versions"]
    minutes = training["duration_s"] / 60
    return "\n".join(
        [
            "## How it was made\n",
            "    " + training["command"].replace("\n", "\n    ") + "\n",
            f"On {training['date']}{_at(training)} in {minutes:.1f} minutes on {training['hardware']},"
            f" seed {training['seed']}, {training['parameters']:,} parameters, weights kept as {training['weights']}. "
            + ", ".join(f"{package} {version}" for package, version in versions.items())
            + ".\n",
            "Use it with `pyclassify.load`, which reads plain data only and checks each file's SHA-256.\n",
        ]
    )


def _at(training: Mapping[str, Any]) -> str:
    commit: str = training.get("commit", "")
    return f" at commit {commit.removesuffix('+')}{' with changes' if commit.endswith('+') else ''}" if commit else ""
