"""The model card of a checkpoint: a README.md for people, with front matter that the Hub reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from pyclassify.errors import CheckpointError
from pyclassify.evaluation import SIGNIFICANT, format_p_value
from pyclassify.locales import DEFAULT, percent, text

if TYPE_CHECKING:
    from jinja2 import Environment

    from pyclassify.manifest import Baseline, Manifest, Scores

EVAL_RESULTS: Final = ".eval_results/accuracy.yaml"

_MAX_LABELS = 30
_MAX_SKIPPED = 20


def render(name: str, manifest: Manifest, figures: Sequence[str] = ()) -> str:
    """Write the card as Markdown.

    Args:
        name: of the checkpoint.
        manifest: with data, scores and training.
        figures: file names of `plots.png_figures` that stand beside the card.

    Raises:
        CheckpointError: the manifest records no training.
    """
    data, scores, training = manifest.data, manifest.scores, manifest.training
    if data is None or scores is None or training is None:
        raise CheckpointError("no_training_recorded", name=name)
    versions = training.versions or manifest.versions
    return (
        _environment()
        .get_template("model_card.md.j2")
        .render(
            name=name,
            manifest=manifest,
            figures=figures,
            front_matter=_front_matter(name, manifest),
            summary=summary(scores),
            items=text(f"kinds.{manifest.kind}.plural"),
            about=" ".join(filter(None, (manifest.description.about, *training.remarks))),
            data=data,
            description=manifest.description,
            findings=manifest.data_report.findings if manifest.data_report else [],
            scores=scores,
            calibration=manifest.calibration,
            training=training,
            best=max((index for index, epoch in enumerate(training.epochs) if epoch.is_best), default=-1),
            versions=[f"{package} {version}" for package, version in versions.items()],
            measured=manifest.measured,
            max_labels=_MAX_LABELS,
            max_skipped=_MAX_SKIPPED,
        )
    )


def summary(scores: Scores, language: str = DEFAULT) -> str:
    """Write the scores on the test data in one short paragraph."""
    low, high = scores.accuracy_interval
    sentences = [
        text(
            "card.accuracy",
            language,
            accuracy=f"{scores.accuracy:.4f}",
            low=f"{low:.4f}",
            high=f"{high:.4f}",
            count=scores.num_examples,
            macro_f1=f"{scores.macro_f1:.4f}",
            majority=f"{scores.majority_accuracy:.4f}",
        ),
    ]
    if scores.baseline is not None:
        sentences.append(_comparison(scores.baseline, language))
    if scores.without_leaked:
        accuracy = f"{scores.without_leaked.accuracy:.4f}"
        sentences.append(text("card.without_leaked", language, count=scores.without_leaked.leaked, accuracy=accuracy))
    return " ".join(sentences)


def _comparison(baseline: Baseline, language: str) -> str:
    low, high = baseline.accuracy_interval
    if baseline.p_value >= SIGNIFICANT:
        verdict = "undecided"
    else:
        verdict = "better" if baseline.only_ours > baseline.only_baseline else "worse"
    return text(
        f"card.baseline.{verdict}",
        language,
        name=baseline.title(language),
        accuracy=f"{baseline.accuracy:.4f}",
        low=f"{low:.4f}",
        high=f"{high:.4f}",
        only_ours=baseline.only_ours,
        only_baseline=baseline.only_baseline,
        p_value=format_p_value(baseline.p_value),
    )


def eval_results(manifest: Manifest) -> dict[str, bytes]:
    """Write the test accuracy as the Hub reads it, as a file beside the card.

    Returns:
        The content by file name; empty unless the test data is that of a data set on the Hub.
    """
    dataset = manifest.description.hub_dataset
    if not dataset or manifest.scores is None:
        return {}
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entry = EvalResultEntry(
        dataset_id=dataset,
        task_id="default",
        value=round(manifest.scores.accuracy, 4),
        date=manifest.measured.date if manifest.measured else None,
        notes="accuracy, 0 to 1",
    )
    # JSON is YAML too
    return {EVAL_RESULTS: (json.dumps(eval_result_entries_to_yaml([entry]), indent=2) + "\n").encode()}


def _front_matter(name: str, manifest: Manifest) -> str:
    # only a training writes cards, and serving should not wait for the client of the Hub
    from huggingface_hub import EvalResult, ModelCardData

    assert manifest.data is not None
    assert manifest.scores is not None
    task = f"{manifest.kind}-classification"
    common: dict[str, Any] = {
        "task_type": task,
        "dataset_type": manifest.data.name,
        "dataset_name": manifest.data.name,
        "dataset_split": "test",
    }
    accuracy, macro_f1 = round(manifest.scores.accuracy, 4), round(manifest.scores.macro_f1, 4)
    card = ModelCardData(
        model_name=name,
        library_name="pyclassify",
        pipeline_tag=task,
        tags=["pyclassify", manifest.network.name],
        metrics=["accuracy", "f1"],
        eval_results=[
            EvalResult(**common, metric_type="accuracy", metric_value=accuracy),
            EvalResult(**common, metric_type="f1", metric_name="macro F1", metric_value=macro_f1),
        ],
    )
    return card.to_yaml()


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pyclassify"),
        undefined=StrictUndefined,
        autoescape=False,  # Markdown
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": lambda share, digits=None: percent(share, digits=digits),
        "lowest": _lowest,
        "commit": _commit,
    }
    return environment


def _lowest(coverage: Mapping[str, float]) -> str:
    """Write the lowest coverage with its label."""
    if not coverage:
        return "–"
    label = min(coverage, key=coverage.__getitem__)
    return f"{percent(coverage[label], digits=1)} ({label})"


def _commit(commit: str) -> str:
    """Write the commit that a checkpoint was made at; one with "+" had changes that were not committed."""
    if not commit:
        return ""
    return f" at commit {commit.removesuffix('+')}{' with uncommitted changes' if commit.endswith('+') else ''}"
