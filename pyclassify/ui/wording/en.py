"""Every word of the page in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pyclassify.message import Language
from pyclassify.ui.wording.en_many import EnglishMany
from pyclassify.ui.wording.en_models import EnglishModels
from pyclassify.ui.wording.numbers import percent

LABELS_NAMED = 10


class English(EnglishMany, EnglishModels):
    """What is written here, and in the same place in the other languages."""

    CODE: ClassVar[Language] = "en"
    NAME = "English"
    TITLE = "PyClassify"
    SUBTITLE = "Show it a picture or a sentence, and a small neural network says what it sees in it."
    LANGUAGE = "Language"
    LINK = "Copy link"
    LINK_COPIED = "Copied"
    LINK_WITHOUT = "Copied, without your files"
    LINK_IN_ADDRESS = "The link is in the address bar"

    IMAGE_TAB = "Image"
    TEXT_TAB = "Text"
    PICTURE = "Your picture"
    PICTURE_HINT = "Drop a picture here, paste it,\nor click to choose one"
    PICTURE_ALT = "The picture to classify"
    TEXT = "Your text"
    TEXT_HINT = "Write or paste a sentence. The answer follows as you type."
    ANSWER = "Answer"
    UNKNOWN = "I don't know this"
    UNLIKE = "It is not like anything this model was trained on, so take nothing of what follows for an answer."
    WHY = "Why?"
    WHY_LABEL = "What speaks for"
    WHY_HINT = "Hints of where the network looked, not a proof that it looked at the right thing."
    CHECKPOINT = "Model"
    EXAMPLES = "Or try one of these"
    WAITING_FOR_PICTURE = "The answer appears here as soon as there is a picture."
    WAITING_FOR_TEXT = "The answer appears here as soon as there is a text."

    ADDRESS = "This server fetches nothing from other addresses. Upload the picture itself."
    NO_PICTURE = "There is no picture in this request. Upload one first, then name the path that the upload returned."
    NO_TEXT = "There is no text in this request."
    NOT_UPLOADED = "This picture was not uploaded here, or is gone by now. Upload it again."
    TOOL_PICTURE = (
        "Give the picture as a data: URL, which begins with data:image/jpeg;base64, or upload it here"
        " and give the address of the upload."
    )
    TOO_LARGE = "This picture is larger than 20 MB. Make it smaller and try again."
    HEIC = "HEIC and AVIF photos cannot be read here. Save it as JPEG or PNG and try again."
    UNKNOWN_PICTURE = (
        "This file is not a picture that can be read here. JPEG, PNG, WebP, GIF, BMP and TIFF pictures can."
    )
    UNEXPECTED = (
        "Something went wrong here, and it is not your fault. Try again; if it stays, look into the server's log."
    )
    BROKEN_HEADING = "Some models could not be loaded. The others work."
    UNKNOWN_DATA = "Nothing is recorded about how this model was trained."

    _DEVICES: ClassVar[Mapping[str, str]] = {
        "cpu": "the CPU",
        "cuda": "the GPU",
        "mps": "the Apple GPU",
        "xpu": "the Intel GPU",
    }

    @staticmethod
    def unknown_checkpoint(name: str, known: list[str]) -> str:
        """What to say when a program asks for a checkpoint that is not on the page."""
        return f"There is no checkpoint named {name!r} here. Choose one of: {', '.join(known)}."

    @staticmethod
    def no_checkpoint(kind: str) -> tuple[str, str]:
        """What to say on a tab without a checkpoint, and the command that makes one."""
        thing = "pictures" if kind == "image" else "texts"
        own = f"Train one on labelled {thing} of your own, then start the page again:"
        said = f"There is no model for {thing} yet. {own}"
        return said, f"python -m train.{kind} --data DIR --out checkpoints/NAME"

    @staticmethod
    def why_picture(label: str) -> str:
        """What the coloured picture shows, for who does not see it."""
        return f"The picture, orange where it speaks for {label} and blue where it speaks against it"

    @staticmethod
    def why_words(label: str, pro: list[str], contra: list[str]) -> str:
        """Which words speak for a label and which against it, for who sees no colours."""
        quoted = [
            ", ".join(f"\N{LEFT DOUBLE QUOTATION MARK}{each}\N{RIGHT DOUBLE QUOTATION MARK}" for each in words)
            for words in (pro, contra)
        ]
        return f"For {label}: {quoted[0] or 'no word'}. Against: {quoted[1] or 'no word'}."

    FADE = "Photo ↔ reasons"

    @staticmethod
    def nearest(named: list[tuple[str, str]]) -> str:
        """What a refused input is nearest to: labels with their shares."""
        return f"Nearest of what it knows: {', '.join(f'{label} ({share})' for label, share in named)}."

    @staticmethod
    def legend(label: str) -> tuple[str, str]:
        """What the two colours say."""
        return f"speaks for {label}", "speaks against it"

    @staticmethod
    def small_print(device: str, milliseconds: float) -> str:
        """Where the answer was computed and how long it took."""
        time = f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
        return f"Answered in {time} on {English._DEVICES.get(device.partition(':')[0], device)}."

    @staticmethod
    def sentence(words: str) -> str:
        """A remark or an error of a classifier as a sentence; a file's name at the beginning stays as it is."""
        first = words.partition(" ")[0]
        begun = words if "." in first.strip(".") else words[:1].upper() + words[1:]
        return begun + ("" if words.endswith((".", "!", "?")) else ".")

    @staticmethod
    def about(info: Mapping[str, Any]) -> str:
        """What a checkpoint was trained on and how often it was right on test data.

        Args:
            info: the checkpoint's config.json; whatever is not recorded in it is left out.
        """
        thing = "pictures" if info.get("kind") == "image" else "texts"
        sentences = [English._trained(info.get("data") or {}, thing), English._score(info, thing)]
        return " ".join(sentence for sentence in sentences if sentence) or English.UNKNOWN_DATA

    @staticmethod
    def brief(info: Mapping[str, Any], labels: list[str]) -> str:
        """What a checkpoint tells apart and how well, for who only wants to use it.

        Args:
            info: the checkpoint's config.json.
            labels: as they are called on the page.
        """
        thing = "pictures" if info.get("kind") == "image" else "texts"
        named, more = labels[:LABELS_NAMED], len(labels) - LABELS_NAMED
        said = f"Tells apart: {', '.join(named)}{f' and {more} more' if more > 0 else ''}."
        accuracy = (info.get("scores") or {}).get("accuracy")
        if accuracy is None:
            return said
        # of how many, since all of twenty is little
        tests = (info.get("data") or {}).get("test")
        tested = f"{tests:,} {thing}" if tests else thing
        return f"{said} Right on {percent(accuracy)} of {tested} it had never seen; more under Models."

    @staticmethod
    def _trained(data: Mapping[str, Any], thing: str) -> str:
        if not data.get("train"):
            return ""
        return f"Trained on {data['train']:,} {thing} of {data.get('name', 'an unnamed data set')}."

    @staticmethod
    def _score(info: Mapping[str, Any], thing: str) -> str:
        scores, data = info.get("scores") or {}, info.get("data") or {}
        if scores.get("accuracy") is None:
            return ""
        tested = f"{data['test']:,} test {thing}" if data.get("test") else f"its test {thing}"
        said = f"Right on {percent(scores['accuracy'])} of {tested}"
        if scores.get("accuracy_interval"):
            low, high = scores["accuracy_interval"]
            said += f" (on others most likely {percent(low)} to {percent(high)}, its 95\N{NO-BREAK SPACE}% interval)"
        if scores.get("majority_accuracy") is not None:
            majority = percent(scores["majority_accuracy"])
            said += f"; always saying the most frequent label would be right on {majority}"
        return said + "."
