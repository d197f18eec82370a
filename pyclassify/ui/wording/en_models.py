"""The words of the tabs that compare checkpoints and describe them, in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyclassify.ui.wording.numbers import milliseconds, percent, processor


class EnglishModels:
    """What is written here, and in the same place in the other languages."""

    # The tab that compares two checkpoints.
    COMPARE_TAB = "Compare"
    COMPARE_INTRO = "Two models answer the same input, side by side."
    COMPARE_KIND = "Compare on"
    A_PICTURE = "A picture"
    A_TEXT = "A text"
    FIRST = "First model"
    SECOND = "Second model"
    SAME_CHECKPOINT = "Both menus name the same model. Choose another one in one of them."

    @staticmethod
    def too_few(kind: str, names: list[str]) -> str:
        """What to say where there are not two checkpoints of a kind, before the command that makes one."""
        thing = "pictures" if kind == "image" else "texts"
        said = f"Comparing takes two models for {thing}, and this page has {names[0] if names else 'none'}"
        said += " alone." if names else "."
        return f"{said} Train another one, then start the page again:"

    @staticmethod
    def agree(label: str, names: tuple[str, str], shares: tuple[str, str], apart: str) -> str:
        """Both answer with the same label."""
        return (
            f"They agree on {label}: \u201c{names[0]}\u201d gives it {shares[0]},"
            f" \u201c{names[1]}\u201d gives it {shares[1]}{apart}."
        )

    @staticmethod
    def disagree(answers: list[tuple[str, str, str, str]]) -> str:
        """Each answers with a label of its own: name, label, its share, and what the other gives to that label."""
        said = "; ".join(
            f"\u201c{name}\u201d says {label} ({own}, the other gives it {other})"
            for name, label, own, other in answers
        )
        return f"They disagree: {said}."

    @staticmethod
    def unlike(answers: list[tuple[str, str, str]]) -> str:
        """They have no label in common: name, label, and its share."""
        said = " and ".join(f"\u201c{name}\u201d says {label} ({share})" for name, label, share in answers)
        return f"They were trained to tell different things apart, so they can neither agree nor disagree: {said}."

    @staticmethod
    def apart(points: float) -> str:
        """How far two probabilities are from each other."""
        return ", less than 1 percentage point apart" if points < 1 else f", {points:.0f} percentage points apart"

    NEITHER_KNOWS = "Neither of them knows this kind of input, so there are no answers to compare."

    @staticmethod
    def only(name: str, label: str, share: str, other: str) -> str:
        """One answers, and the other does not know such an input."""
        return (
            f"Only \u201c{name}\u201d answers: {label}, {share}. \u201c{other}\u201d does not know this kind of input."
        )

    NO_SHARE = "nothing, not having this label"

    # The tab with a card for each checkpoint.
    MODELS_TAB = "Models"
    MODELS_INTRO = "What is known of each model on this page. Scores are of test data, which it did not learn from."
    SCORES = "How good it is"
    CONFUSION = "What it mixes up"
    CONFUSION_CAPTION = "Answers to the test data, by their true label"
    CONFUSION_HINT = "Each row is one true label. Green cells are right answers, orange ones mistakes."
    PAIRS_HINT = "The mistakes that it made most often on the test data."
    TRUE_LABEL = "True label"
    RELIABILITY = "Whether its percentages can be believed"
    RELIABILITY_HINT = (
        "Of the answers given with 90\N{NO-BREAK SPACE}% it should be right in 90\N{NO-BREAK SPACE}%: then the dots lie"
        " on the dotted line. Larger dots stand for more answers."
    )
    SURE_AXIS = "how sure it was (%)"
    RIGHT_AXIS = "how often it was right (%)"
    CURVES = "How it learned"
    CURVES_HINT = (
        "An epoch is one pass over the training data. Where the solid line stays level it has learned what it can."
    )
    ACCURACY_AXIS = "right answers (%)"
    LOSS_AXIS = "loss: how wrong it is"
    EPOCH_AXIS = "epoch"
    ON_TRAINING = "on training data"
    ON_VALIDATION = "on validation data"
    KEPT = "the epoch that was kept"
    FINDINGS = "What is wrong with its data"
    FACTS = "Speed, size and origin"
    COMMAND = "The command that made it"

    @staticmethod
    def right_on(info: Mapping[str, Any]) -> str:
        """The score in a few words; nothing where it is not recorded."""
        scores, data = info.get("scores") or {}, info.get("data") or {}
        if scores.get("accuracy") is None:
            return ""
        thing = "pictures" if info.get("kind") == "image" else "texts"
        tested = f"{data['test']:,} test {thing}" if data.get("test") else f"its test {thing}"
        return f"Right on {percent(scores['accuracy'])} of {tested}"

    @staticmethod
    def number_of_labels(info: Mapping[str, Any]) -> str:
        """What it tells apart."""
        return f"Tells {len(info['labels']):,} labels of {'pictures' if info['kind'] == 'image' else 'texts'} apart"

    @staticmethod
    def more(number: int) -> str:
        """How many labels are not named."""
        return f"and {number:,} more"

    @staticmethod
    def baseline(row: Mapping[str, Any], is_better: bool | None) -> str:
        """How a simple program does on the same data; None where no difference was shown."""
        low, high = row["accuracy_interval"]
        said = f"A simple program on the same data ({row['name']}) is right on {percent(row['accuracy'])}"
        said += f" ({percent(low)} to {percent(high)})."
        counts = f"{row['only_ours']:,} examples only this model gets right, {row['only_other']:,} only the program"
        verdicts = {
            None: "They were not shown to differ",
            True: "The model is better, and hardly by chance",
            False: "The model is worse, and hardly by chance",
        }
        return f"{said} {verdicts[is_better]}: {counts}."

    @staticmethod
    def without_leaked(row: Mapping[str, Any], kind: str) -> str:
        """The score without test examples that are among the training data."""
        thing = "pictures" if kind == "image" else "texts"
        left = f"Without the {row['leaked']:,} test {thing} that are nearly the same as one it learned from"
        return f"{left}: right on {percent(row['accuracy'])}."

    @staticmethod
    def refused(share: float, kind: str) -> str:
        """How often it says that it does not know."""
        thing = "pictures" if kind == "image" else "texts"
        return f"It says \u201cI don't know this\u201d of {percent(share)} of the test {thing}."

    @staticmethod
    def finding(found: Mapping[str, Any], kind: str) -> str:
        """What was found in the data before the training, of its kind "image" or "text"."""
        return str(found["summary"])

    @staticmethod
    def confused(label: str, answer: str, count: int, total: int) -> str:
        """One mistake, and how often it was made."""
        return f"{label} taken for {answer}: {count:,} of {total:,}"

    @staticmethod
    def calibrated(row: Mapping[str, Any]) -> str:
        """How far the percentages are off."""
        after, before = 100 * row["ece_after"], 100 * row["ece_before"]
        return f"On average they are {after:.1f} percentage points off; before they were corrected, {before:.1f}."

    @staticmethod
    def reliability_seen(confidence: float, accuracy: float, error: float) -> str:
        """What the diagram shows, for who does not see it."""
        return (
            f"Most answers were given with about {percent(confidence)}, and {percent(accuracy)} of them"
            f" are right. On average the two are {100 * error:.1f} percentage points apart."
        )

    @staticmethod
    def curve_seen(first: float, last: float, epochs: int) -> str:
        """What a curve shows, for who does not see it."""
        return f"On validation data {first:.3g} after the first epoch and {last:.3g} after epoch {epochs}."

    @staticmethod
    def speed(kind: str, time_ms: float, device: str) -> str:
        """How long an answer takes on the computer that serves the page."""
        thing = "picture" if kind == "image" else "text"
        time = milliseconds(time_ms)
        where = processor(device)
        return f"Answers one {thing} in about {time} on this computer's {where}."

    @staticmethod
    def recorded_speed(measured: Mapping[str, Any]) -> str:
        """How long an answer took when the checkpoint was measured."""
        return (
            f"Measured on {measured['hardware']}, {measured['date']}: {milliseconds(measured['answer_ms'])} an answer."
        )

    @staticmethod
    def size(size_bytes: int | None, parameters: int, model: str) -> str:
        """What it weighs."""
        weighs = f", {size_bytes / 1e6:.1f} MB" if size_bytes else ""
        return f"A {model} with {parameters:,} weights{weighs}."

    @staticmethod
    def made(training: Mapping[str, Any]) -> str:
        """When, where and how long it was trained."""
        seconds = training["duration_s"]
        time = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
        return f"Trained on {training['date']} in {time} on {training['hardware']}."
