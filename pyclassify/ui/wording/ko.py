"""Every word of the page in Korean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pyclassify.ui.wording.en import LABELS_NAMED, English
from pyclassify.ui.wording.en_many import EnglishMany
from pyclassify.ui.wording.ko_many import KoreanMany
from pyclassify.ui.wording.ko_models import KoreanModels
from pyclassify.ui.wording.numbers import percent_close


class Korean(KoreanMany, KoreanModels, English):
    """The same names as in English, each said anew."""

    CODE = "ko"
    NAME = "한국어"
    TITLE = "PyClassify"
    SUBTITLE = "사진이나 문장을 보여 주면 작은 신경망이 무엇으로 보이는지 답합니다."
    LANGUAGE = "언어"
    LINK = "링크 복사"
    LINK_COPIED = "복사했습니다"
    LINK_WITHOUT = "복사했습니다(파일 제외)"
    LINK_IN_ADDRESS = "주소창에 링크가 있습니다"

    IMAGE_TAB = "사진"
    TEXT_TAB = "글"
    PICTURE = "사진"
    PICTURE_HINT = "여기에 사진을 끌어다 놓거나 붙여 넣거나,\n눌러서 고르세요"
    PICTURE_ALT = "분류할 사진"
    TEXT = "글"
    TEXT_HINT = "문장을 쓰거나 붙여 넣으세요. 쓰는 동안 바로 답합니다."
    ANSWER = "답"
    UNKNOWN = "모르겠습니다"
    UNLIKE = "이 모델이 학습한 것과 비슷하지 않습니다. 아래 내용을 답으로 여기지 마세요."
    WHY = "왜?"
    WHY_LABEL = "이유를 볼 라벨"
    WHY_HINT = "신경망이 어디를 보았는지 알려 주는 실마리일 뿐, 제대로 보았다는 증명은 아닙니다."
    FADE = "원본 ↔ 이유"
    CHECKPOINT = "모델"
    EXAMPLES = "또는 이 예로 해 보세요"
    WAITING_FOR_PICTURE = "사진을 넣으면 바로 여기에 답이 나옵니다."
    WAITING_FOR_TEXT = "글을 쓰면 바로 여기에 답이 나옵니다."

    ADDRESS = "이 서버는 다른 주소에서 아무것도 가져오지 않습니다. 사진 파일을 올려 주세요."
    NO_PICTURE = "요청에 사진이 없습니다. 먼저 사진을 올린 다음, 그때 받은 경로를 적어 주세요."
    NO_TEXT = "요청에 글이 없습니다."
    NOT_UPLOADED = "여기에 올린 사진이 아니거나 이미 지워졌습니다. 다시 올려 주세요."
    TOOL_PICTURE = (
        "사진을 data:image/jpeg;base64,로 시작하는 data: URL로 주거나, 여기에 올린 다음 올린 파일의 주소를 주세요."
    )
    TOO_LARGE = "20 MB보다 큰 사진입니다. 줄여서 다시 해 보세요."
    HEIC = "HEIC와 AVIF 사진은 읽을 수 없습니다. JPEG나 PNG로 저장해서 다시 해 보세요."
    UNKNOWN_PICTURE = "읽을 수 있는 사진 파일이 아닙니다. JPEG, PNG, WebP, GIF, BMP, TIFF 사진을 읽을 수 있습니다."
    UNEXPECTED = "여기에서 문제가 생겼습니다. 잘못하신 것이 아닙니다. 다시 해 보고, 계속되면 서버의 로그를 보세요."
    BROKEN_HEADING = "불러오지 못한 모델이 있습니다. 나머지는 그대로 쓸 수 있습니다."
    UNKNOWN_DATA = "이 모델을 어떻게 학습했는지 기록이 없습니다."

    _DEVICES: ClassVar[Mapping[str, str]] = {"cpu": "CPU", "cuda": "GPU", "mps": "Apple GPU", "xpu": "Intel GPU"}

    # What the classifiers themselves say, in English, of an input that they cannot read or have not read whole.
    _SENTENCES: ClassVar[tuple[tuple[str, str], ...]] = (
        (
            r"there is no checkpoint named (.+) here\. Choose one of: (.+)",
            "{0} 체크포인트가 없습니다. 다음 중에서 고르세요: {1}",
        ),
        (r"there is no label (.+); there are (.+)", "{0} 라벨이 없습니다. 있는 라벨: {1}"),
        (r"only the first (.+) of (.+) words were read", "단어 {1}개 중 처음 {0}개만 읽었습니다."),
        (r"only the first (.+) of (.+) characters were read", "글자 {1}개 중 처음 {0}개만 읽었습니다."),
        (r"only the first of (.+) frames was read", "{0}개 프레임 중 첫 번째만 읽었습니다."),
        (r"the text is empty: .+", "글이 비어 있습니다. 한 글자 이상 써 주세요."),
        (r"a text is expected, got (.+)", "글이 아니라 {0} 값이 왔습니다."),
        (
            r"the text has (.+) characters; at most (.+) are read: shorten it",
            "글자가 {0}개입니다. {1}개까지 읽으니 줄여 주세요.",
        ),
        (r"a picture is a path, .+, not (.+)", "사진이 아니라 {0} 값이 왔습니다."),
        (
            r"(.+) has far more than (.+) million pixels\..*",
            "{0}: {1}00만 화소가 훨씬 넘습니다. 줄여서 다시 해 보세요.",
        ),
        (
            r"(.+) has (.+) x (.+) pixels; at most (.+) million are read\..*",
            "{0}: {1} x {2} 화소입니다. {3}00만 화소까지 읽으니 줄여서 다시 해 보세요.",
        ),
        (r"(.+) does not exist", "{0} 파일이 없습니다."),
        (r"(.+) cannot be read: (.+)", "{0} 파일을 읽을 수 없습니다: {1}"),
        (
            r"(.+) is damaged or not a picture: its content is none of (.+)",
            "{0} 파일은 사진이 아니거나 망가졌습니다. 읽을 수 있는 형식: {1}.",
        ),
        # what Pillow says of the damage helps nobody who does not read English
        (r"(.+) is damaged or not a picture: .+", "{0} 파일이 망가졌거나 사진이 아닙니다."),
        (r"(.+) has no pixels", "{0} 파일에 화소가 없습니다."),
        (r"an array of (.+) is no picture; .+", "{0} 배열은 사진이 아닙니다."),
        (r"the picture has (.+) x (.+) pixels, more than are read", "{0} x {1} 화소로, 읽을 수 있는 것보다 큽니다."),
        (r"predict takes a list of inputs; .+", "입력은 목록으로 주세요."),
    )

    @staticmethod
    def sentence(words: str) -> str:
        """A remark or an error, which everything but the page says in English."""
        for name, said in (vars(English) | vars(EnglishMany)).items():
            if said == words:
                return str(getattr(Korean, name))
        for pattern, said in (*Korean._SENTENCES, *Korean.MANY_SENTENCES):
            found = re.fullmatch(pattern, words.rstrip("."), re.IGNORECASE | re.DOTALL)
            if found:
                return said.format(*found.groups())
        return English.sentence(words)

    @staticmethod
    def unknown_checkpoint(name: str, known: list[str]) -> str:
        """What to say when a program asks for a checkpoint that is not on the page."""
        return f"{name!r} 체크포인트가 없습니다. 다음 중에서 고르세요: {', '.join(known)}."

    @staticmethod
    def no_checkpoint(kind: str) -> tuple[str, str]:
        """What to say on a tab without a checkpoint, and the command that makes one."""
        thing = "사진을" if kind == "image" else "글을"
        said = f"{thing} 분류할 모델이 아직 없습니다. 라벨이 있는 자료로 학습한 다음 페이지를 다시 여세요:"
        return said, English.no_checkpoint(kind)[1]

    @staticmethod
    def why_picture(label: str) -> str:
        """What the coloured picture shows, for who does not see it."""
        return f"사진에서 {label}의 근거가 되는 곳은 주황색, 반대되는 곳은 파란색"

    @staticmethod
    def why_words(label: str, pro: list[str], contra: list[str]) -> str:
        """Which words speak for a label and which against it, for who sees no colours."""
        quoted = [", ".join(f"'{each}'" for each in words) or "없음" for words in (pro, contra)]
        return f"{label}의 근거: {quoted[0]}. 반대되는 말: {quoted[1]}."

    @staticmethod
    def nearest(named: list[tuple[str, str]]) -> str:
        """What a refused input is nearest to: labels with their shares."""
        return f"아는 것 중 가장 가까운 것: {', '.join(f'{label}({share})' for label, share in named)}."

    @staticmethod
    def legend(label: str) -> tuple[str, str]:
        """What the two colours say."""
        return f"{label}의 근거가 되는 곳", "반대되는 곳"

    @staticmethod
    def small_print(device: str, milliseconds: float) -> str:
        """Where the answer was computed and how long it took."""
        time = f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
        return f"{Korean._DEVICES.get(device.partition(':')[0], device)}에서 {time} 만에 답했습니다."

    @staticmethod
    def about(info: Mapping[str, Any]) -> str:
        """What a checkpoint was trained on and how often it was right on test data."""
        thing = "사진" if info.get("kind") == "image" else "글"
        sentences = [Korean._trained(info.get("data") or {}, thing), Korean._score(info, thing)]
        return " ".join(sentence for sentence in sentences if sentence) or Korean.UNKNOWN_DATA

    @staticmethod
    def brief(info: Mapping[str, Any], labels: list[str]) -> str:
        """What a checkpoint tells apart and how well, for who only wants to use it."""
        thing = "사진" if info.get("kind") == "image" else "글"
        named, more = labels[:LABELS_NAMED], len(labels) - LABELS_NAMED
        said = f"구분하는 라벨: {', '.join(named)}{f' 외 {more}개' if more > 0 else ''}."
        accuracy = (info.get("scores") or {}).get("accuracy")
        if accuracy is None:
            return said
        tests = (info.get("data") or {}).get("test")
        tested = f"{thing} {tests:,}개" if tests else thing
        return f"{said} 처음 보는 {tested} 중 {percent_close(accuracy)}를 맞혔습니다. 자세한 것은 모델 탭에 있습니다."

    @staticmethod
    def _trained(data: Mapping[str, Any], thing: str) -> str:
        if not data.get("train"):
            return ""
        return f"{data.get('name', '이름 없는 자료')}의 {thing} {data['train']:,}개로 학습했습니다."

    @staticmethod
    def _score(info: Mapping[str, Any], thing: str) -> str:
        scores, data = info.get("scores") or {}, info.get("data") or {}
        if scores.get("accuracy") is None:
            return ""
        tested = f"시험용 {thing} {data['test']:,}개" if data.get("test") else f"시험용 {thing}"
        said = f"{tested} 중 {percent_close(scores['accuracy'])}를 맞혔습니다"
        if scores.get("accuracy_interval"):
            low, high = scores["accuracy_interval"]
            said += f"(다른 자료로 시험해도 아마 {100 * low:.1f}~{percent_close(high)}, 95% 신뢰구간)"
        if scores.get("majority_accuracy") is not None:
            said += f". 늘 가장 흔한 라벨로 답하면 {percent_close(scores['majority_accuracy'])}를 맞힙니다"
        return said + "."
