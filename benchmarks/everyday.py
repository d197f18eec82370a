"""Sixty everyday sentences and what the sentiment model answers: `python -m benchmarks.everyday`.

The sentences are our own, and no model has learned from them. Many turn on a few small words: negation, faint praise,
"could have been". Some hold no opinion: there, "Not sure" or "I don't know" is the right answer.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import results
from pyclassify import Classifier, Prediction, checkpoint
from pyclassify.device import pick

MODULE: Final = "benchmarks.everyday"
ROOT: Final = Path(__file__).parents[1]
CHECKPOINT: Final = ROOT / "checkpoints" / "sentiment"
NONE: Final = "none"
"""Label of a sentence without an opinion."""

SENTENCES: Final[tuple[tuple[str, str], ...]] = (
    ("good", "pos"),
    ("bad", "neg"),
    ("not good", "neg"),
    ("Not bad at all.", "pos"),
    ("I love you", "pos"),
    ("Meh.", "neg"),
    ("The soup was cold and the waiter was rude.", "neg"),
    ("Best pizza I have had in years.", "pos"),
    ("The coffee here is amazing.", "pos"),
    ("We waited an hour for a table and then they forgot our order.", "neg"),
    ("The battery dies after an hour.", "neg"),
    ("Works exactly as described, very happy with it.", "pos"),
    ("The screen is bright and sharp.", "pos"),
    ("The app crashes every time I open it.", "neg"),
    ("Great, it broke on the first day.", "neg"),
    ("Arrived early and well packed.", "pos"),
    ("The delivery took three weeks.", "neg"),
    ("Customer service hung up on me twice.", "neg"),
    ("I would not recommend this hotel to anyone.", "neg"),
    ("The room was clean, but the noise kept us awake all night.", "neg"),
    ("The staff could not have been kinder.", "pos"),
    ("A bit expensive, but absolutely worth it.", "pos"),
    ("What a waste of money!", "neg"),
    ("Worth every penny.", "pos"),
    ("I can't recommend this book enough.", "pos"),
    ("My kids can't put it down.", "pos"),
    ("You can't go wrong with this one.", "pos"),
    ("I was not disappointed.", "pos"),
    ("There is nothing I don't like about it.", "pos"),
    ("I don't think anyone will enjoy this.", "neg"),
    ("It isn't terrible, it just isn't any good.", "neg"),
    ("Neither funny nor clever.", "neg"),
    ("Never again.", "neg"),
    ("Don't bother.", "neg"),
    ("I'll definitely come back!", "pos"),
    ("It could have been better.", "neg"),
    ("It could have been worse.", "pos"),
    ("I expected more from them.", "neg"),
    ("It was better than I expected.", "pos"),
    ("If only the sequel were half as good as the first part.", "neg"),
    ("I wanted to like it.", "neg"),
    ("Nothing special.", "neg"),
    ("Hardly a masterpiece.", "neg"),
    ("Fine for the price, I suppose.", "pos"),
    ("Not the worst way to spend an evening.", "pos"),
    ("It grew on me.", "pos"),
    ("I fell asleep halfway through.", "neg"),
    ("The plot has more holes than Swiss cheese.", "neg"),
    ("Too long by an hour.", "neg"),
    ("She sings like an angel.", "pos"),
    ("He has no idea how to act.", "neg"),
    ("A refreshing change from the usual.", "pos"),
    ("Thank you so much for your help!", "pos"),
    ("Is this any good?", NONE),
    ("Where did you buy it?", NONE),
    ("The meeting is at three o'clock.", NONE),
    ("The book has 320 pages.", NONE),
    ("Water boils at 100 degrees.", NONE),
    ("I took the bus to work today.", NONE),
    ("Please send me the address.", NONE),
)


def main(argv: Sequence[str] | None = None) -> None:
    """Answer the sentences and write the result."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=__doc__.partition("\n")[0])
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, metavar="DIR")
    parser.add_argument("--results", type=Path, default=results.FOLDER, metavar="DIR", help="where the JSON goes")
    options = parser.parse_args(arguments)
    device = pick("cpu")
    record = results.Record(
        benchmark="everyday", module=MODULE, arguments=arguments, device=device, folder=options.results
    )
    rows = answer(Classifier(checkpoint.load(options.checkpoint), device))
    record.save({"checkpoint": options.checkpoint.name, "rows": rows})
    for row in rows:
        print(f"{'right' if row['right'] else 'WRONG':6}{row['label']:5}{row['text']:65}{row['message']}")
    print(f"{sum(row['right'] for row in rows)} of {len(rows)} right")


def answer(classifier: Classifier) -> list[dict[str, Any]]:
    """Return for each sentence its label, what is answered, and whether that is right."""
    predictions = classifier.predict([text for text, _ in SENTENCES])
    return [
        {
            "text": text,
            "label": label,
            "answer": prediction.label,
            "probability": round(prediction.probabilities[prediction.label], 4),
            "known": prediction.known,
            "message": prediction.message(),
            "right": is_right(prediction, label),
        }
        for (text, label), prediction in zip(SENTENCES, predictions, strict=True)
    ]


def is_right(prediction: Prediction, label: str) -> bool:
    """Return whether the answer is the label; without an opinion to tell, whether the answer is none, or unsure."""
    if label == NONE:
        return prediction.known is False or prediction.is_doubtful
    return prediction.label == label


if __name__ == "__main__":
    main()
