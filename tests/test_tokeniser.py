"""The rule that turns a text into ids can be reimplemented elsewhere: a program in JavaScript gets the same ids."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import torch

from pyclassify import modality
from pyclassify.text.ngrams import NgramTable
from pyclassify.text.transform import PADDING, UNKNOWN, TextTransform, tokenize

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="there is no node")

HERE = Path(__file__).parent
BUCKETS, ORDER = 2**20, 4

NASTY = [
    "Don\u2019t panic!! It's 'quoted', o'clock's' ''",
    "one<br /><BR>two<Br\u3000/>3<br\ufeff><br\x1c/><br/ ><br x><b r>",
    "영화가 재밌다ㅋㅋ " + unicodedata.normalize("NFD", "영화가 재밌다 각"),
    "\u1112\u1161\u11ab\u1100\u1161\u11a8 \u1100 \u11a8 \uac00\u11a8",
    "e\u0301 E\u0301 \u00c9 \u1e9b\u0323 \u212b \u2126 \ufb01 \u0344 \u0958 \u2adc",
    "a\u0316\u0301 a\u0301\u0316 \u0301\u0301 " + "x" + "\u0301\u0316" * 90 + " y",
    "I\u0130i\u0131 İSTANBUL DİYARBAKIR ISPARTA \u0130\u0307 I\u0307",
    "ΟΔΥΣΣΕΥΣ ΣΑΣ Σ ΑΣ' ΑΣ'Β Α\u00adΣ ΑΣ\u0301 Α'Σ ΣΣΣ. ΑΣ\u00b7Α ΑΣ\U0001d400 1Σ",
    "\ud83d\ude42 \ud83d \ude42\ud83d x\udc00y \ud800",
    "👩‍👩‍👧‍👦 👍🏽 🇰🇷 ❤️ ☕\ufe0f ✌🏿 1️⃣ ©️ ™",
    "हिन्दी में लिखा, क्ष ज्ञ श्री ऩ",
    "ภาพยนตร์เรื่องนี้สนุกมาก น้ำ กำ",
    "বাংলা தமிழ் తెలుగు ಕನ್ನಡ മലയാളം မြန်မာ ខ្មែរ བོད་ཡིག",
    "שָׁלוֹם עולם، مَرْحَبًا بِكُمْ ۱۲۳ ٤٥٦ ـــ",
    "x² x₃ ½ Ⅷ ⅷ ① ⒈ ㊿ 〇 四 𝟘 ٣ ߁ ৪",
    "Ǆ ǅ ǆ ŉ ẞ ß ﬀ ŸÜ K Å ſ Ω Ⓐ ⓐ 🄰 ª º ʰ ᵃ ˇ ˊ ´ ^_^ __init__ _",
    "\u00b7 \u203f \u2040 \u2054 \ufe33 \uff3f \u30fb \u02bc \u055a \uff07 ` ´ \u2018 \u201b",
    "a\u200bb\u200cc\u200dd\u00ade\u2060f\ufeffg\u180eh\u061ci\u2028j\u2029k\x85l\x1cm\x00n\x7fo\xa0p\u3000q\u115fr\u3164s",
    "\u200b\u2060\ufeff",
    "<br />",
    "",
    " \t\r\n",
    "C++ C# .NET a.b.c 1,000.50 10% $5 user@example.com http://x.y/z?q=1&r=2#s",
    "這部電影非常好看。これは映画です。カタカナ ｶﾀｶﾅ ガ ｶﾞ",
    "Ꭰ ꭰ Ა ა Ⴀ ⴀ \U00010400 \U0001e900 \U000118a0",
    "\ue000 \U000f0000 \U0010ffff \uffff \ufffe \ufdd0 \u0378",
    "<pad> <unk> constructor __proto__ toString",
    "word " * 60,
]


def drawn(count: int) -> list[str]:
    """Draw texts of characters from everywhere, and of pieces of the above."""
    generator = random.Random(0)
    pieces = [piece for text in NASTY for piece in (*text, text[:3], text[-3:])] + ["'", " ", "<br>", "Σ", "\u0301"] * 9
    ranges = [(0, 0x250), (0x300, 0x370), (0x900, 0xE80), (0x1100, 0x1200), (0x2000, 0x2100), (0xD800, 0xE000)]
    ranges += [(0, 0xFFFF), (0x1F300, 0x1FA00), (0, 0x110000)]
    texts = []
    for _ in range(count):
        low, high = generator.choice(ranges)
        one = lambda low=low, high=high: chr(generator.randrange(low, high))  # noqa: E731
        texts.append(
            "".join(generator.choice((one(), generator.choice(pieces))) for _ in range(generator.randrange(30)))
        )
    return texts


def joined(text: str) -> str:
    """Join matching halves beside each other to the characters that they stand for."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def ask(folder: Path, texts: list[str], characters: list[str] | None = None) -> dict[str, Any]:
    """Run the program in JavaScript."""
    request = json.dumps({"texts": texts, "characters": characters or []})  # in ASCII, surrogates as they are
    done = subprocess.run(
        [str(NODE), str(HERE / "tokeniser.mjs"), str(folder)],
        input=request.encode(),
        capture_output=True,
        check=True,
        timeout=120,
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def write(folder: Path, transform: TextTransform) -> Path:
    """Write the parts of a checkpoint that the rule needs."""
    network = {"name": "wide_deep", "arguments": {"buckets": BUCKETS, "order": ORDER}}
    folder.mkdir()
    config = {"network": network, "transform": transform.settings()}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name, content in modality.get("text").transform_files(transform).items():
        (folder / name).write_bytes(content)
    return folder


def vocabulary(texts: list[str], tokens: Any, lowercase: bool) -> tuple[str, ...]:
    """Return half of the tokens, so that the other half is unknown."""
    everything = sorted({token for text in texts for token in tokenize(text, tokens=tokens, lowercase=lowercase)})
    return (PADDING, UNKNOWN, *everything[::2])


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("tokens", ["words", "characters"])
def test_ids_and_keys_are_the_same_in_javascript(tmp_path: Path, tokens: Any, lowercase: bool) -> None:
    texts = NASTY + drawn(1500)
    known = sorted({character for text in texts for character in joined(text)})
    transform = TextTransform(vocabulary(texts, tokens, lowercase), tokens=tokens, lowercase=lowercase, max_tokens=40)
    answer = ask(write(tmp_path / "checkpoint", transform), texts, known)
    new = {character for character in known if unicodedata.category(character) == "Cn"} ^ set(answer["unknown"])
    table = NgramTable(num_labels=2, buckets=BUCKETS, order=ORDER)
    compared = 0
    for text, other in zip(texts, answer["answers"], strict=True):
        if new & set(joined(text)):
            continue
        expected = tokenize(text, tokens=tokens, lowercase=lowercase)
        if not expected:
            assert other is None
            continue
        compared += 1
        ids = transform(text).tensor
        assert other["tokens"][:-1] == expected[: len(other["tokens"]) - 1]
        assert other["ids"] == ids.tolist(), text
        keys = table.keys(ids.unsqueeze(0), torch.tensor([len(ids)]))[0]
        assert other["keys"] == keys[keys < BUCKETS * 16].tolist()
    assert compared > 1000


@pytest.mark.parametrize("tokens", ["words", "characters"])
def test_every_character_is_read_the_same(tmp_path: Path, tokens: Any) -> None:
    # of the tens of thousands of ideographs and Hangul syllables, which are all alike, some
    codes = [code for code in range(0x110000) if not 0x3400 <= code < 0xD7A4 or code % 64 == 0]
    codes = [code for code in codes if code < 0x20000 or code % 64 == 0 or 0xE0000 <= code < 0xE0200]
    characters = [chr(code) for code in codes if unicodedata.category(chr(code)) not in ("Cn", "Co", "Cs")]
    folder = write(tmp_path / "checkpoint", TextTransform((PADDING, UNKNOWN), tokens=tokens))
    texts = [f"a{character}1'{character}." for character in characters]
    answer = ask(folder, texts, characters)
    unknown = set(answer["unknown"])
    assert len(unknown) < 10_000
    different = [
        text
        for text, character, other in zip(texts, characters, answer["answers"], strict=True)
        if character not in unknown and tokenize(text, tokens=tokens) != other["tokens"]
    ]
    assert different == []


CHECKPOINTS = [
    path.parent
    for path in sorted((HERE.parent / "checkpoints").glob("*/config.json"))
    if (path.parent / "vocab.txt").is_file()
]


@pytest.mark.parametrize("folder", CHECKPOINTS, ids=[folder.name for folder in CHECKPOINTS])
def test_shipped_checkpoints_can_be_followed(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    lines = (folder / "vocab.txt").read_bytes().decode().split("\n")
    transform = TextTransform.from_settings(config["transform"], lines)
    texts = [text for text in NASTY if tokenize(text, tokens=transform.tokens)]
    assert [answer["ids"] for answer in ask(folder, texts)["answers"]] == [transform.ids(text) for text in texts]
