"""The words of the tabs that compare checkpoints and describe them, in Korean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pyclassify.ui.wording.en_models import EnglishModels
from pyclassify.ui.wording.numbers import milliseconds, percent_close, processor


class KoreanModels(EnglishModels):
    """The same names as in English, each said anew."""

    # The tab that compares two checkpoints.
    COMPARE_TAB = "비교"
    COMPARE_INTRO = "두 모델이 같은 입력에 나란히 답합니다."
    COMPARE_KIND = "무엇으로 비교할까요?"
    A_PICTURE = "사진"
    A_TEXT = "글"
    FIRST = "첫 번째 모델"
    SECOND = "두 번째 모델"
    SAME_CHECKPOINT = "두 메뉴에서 같은 모델을 골랐습니다. 한쪽을 다른 것으로 바꿔 주세요."

    @staticmethod
    def too_few(kind: str, names: list[str]) -> str:
        """What to say where there are not two checkpoints of a kind, before the command that makes one."""
        thing = "사진을" if kind == "image" else "글을"
        there = f"이 페이지에는 {names[0]} 하나뿐입니다" if names else "이 페이지에는 아직 없습니다"
        said = f"비교하려면 {thing} 분류하는 모델이 두 개 있어야 하는데, {there}."
        return f"{said} 하나 더 학습한 다음 페이지를 다시 여세요:"

    @staticmethod
    def agree(label: str, names: tuple[str, str], shares: tuple[str, str], apart: str) -> str:
        """Both answer with the same label."""
        given = f"‘{names[0]}’ {shares[0]}, ‘{names[1]}’ {shares[1]}{apart or '입니다'}"
        return f"둘 다 같은 답입니다: {label}. 확률은 {given}."

    @staticmethod
    def disagree(answers: list[tuple[str, str, str, str]]) -> str:
        """Each answers with a label of its own: name, label, its share, and what the other gives to that label."""
        said = ", ".join(f"‘{name}’: {label}({own}, 다른 쪽은 {other})" for name, label, own, other in answers)
        return f"서로 답이 다릅니다. {said}."

    @staticmethod
    def unlike(answers: list[tuple[str, str, str]]) -> str:
        """They have no label in common: name, label, and its share."""
        said = ", ".join(f"‘{name}’: {label}({share})" for name, label, share in answers)
        return f"서로 다른 것을 구분하도록 학습해서 답이 같은지 다른지 말할 수 없습니다. {said}."

    @staticmethod
    def apart(points: float) -> str:
        """How far two probabilities are from each other."""
        return ", 차이는 1%포인트 미만입니다" if points < 1 else f", 차이는 {points:.0f}%포인트입니다"

    NEITHER_KNOWS = "둘 다 모르는 종류의 입력이라 비교할 답이 없습니다."

    @staticmethod
    def only(name: str, label: str, share: str, other: str) -> str:
        """One answers, and the other does not know such an input."""
        return f"‘{name}’만 답합니다: {label}, {share}. ‘{other}’에는 학습한 것과 비슷하지 않은 입력입니다."

    NO_SHARE = "이 라벨을 모름"

    # The tab with a card for each checkpoint.
    MODELS_TAB = "모델"
    MODELS_INTRO = "이 페이지의 모델을 하나씩 소개합니다. 점수는 학습에 쓰지 않은 시험 자료로 쟀습니다."
    SCORES = "얼마나 잘 맞히나요?"
    CONFUSION = "무엇을 헷갈리나요?"
    CONFUSION_CAPTION = "시험 자료에 대한 답, 정답 라벨별"
    CONFUSION_HINT = "한 줄이 정답 라벨 하나입니다. 초록색 칸은 맞힌 답, 주황색 칸은 틀린 답입니다."
    PAIRS_HINT = "시험 자료에서 가장 자주 틀린 경우입니다."
    TRUE_LABEL = "정답"
    RELIABILITY = "퍼센트를 믿어도 되나요?"
    RELIABILITY_HINT = (
        "90%라고 한 답이라면 그중 90%가 맞아야 합니다. 그러면 점이 점선 위에 놓입니다. 점이 클수록 그런 답이 많습니다."
    )
    SURE_AXIS = "얼마나 확신했는지 (%)"
    RIGHT_AXIS = "얼마나 맞혔는지 (%)"
    CURVES = "어떻게 배웠나요?"
    CURVES_HINT = "에포크는 학습 자료를 한 번 훑는 것입니다. 실선이 평평해지면 배울 수 있는 만큼 배운 것입니다."
    ACCURACY_AXIS = "맞힌 답 (%)"
    LOSS_AXIS = "손실: 틀린 정도"
    EPOCH_AXIS = "에포크"
    ON_TRAINING = "학습 자료"
    ON_VALIDATION = "검증 자료"
    KEPT = "남겨 둔 에포크"
    FINDINGS = "학습 자료의 흠"
    FACTS = "속도와 크기, 만든 과정"
    COMMAND = "만든 명령"

    @staticmethod
    def right_on(info: Mapping[str, Any]) -> str:
        """The score in a few words; nothing where it is not recorded."""
        scores, data = info.get("scores") or {}, info.get("data") or {}
        if scores.get("accuracy") is None:
            return ""
        thing = "사진" if info.get("kind") == "image" else "글"
        tested = f"시험용 {thing} {data['test']:,}개" if data.get("test") else f"시험용 {thing}"
        return f"{tested} 중 {percent_close(scores['accuracy'])}를 맞혔습니다"

    @staticmethod
    def number_of_labels(info: Mapping[str, Any]) -> str:
        """What it tells apart."""
        return f"{'사진' if info['kind'] == 'image' else '글'}의 라벨 {len(info['labels']):,}개를 구분합니다"

    @staticmethod
    def more(number: int) -> str:
        """How many labels are not named."""
        return f"그 밖에 {number:,}개"

    @staticmethod
    def baseline(row: Mapping[str, Any], is_better: bool | None) -> str:
        """How a simple program does on the same data; None where no difference was shown."""
        low, high = row["accuracy_interval"]
        name, right = KoreanModels._baseline(row["name"]), percent_close(row["accuracy"])
        said = f"같은 자료로 만든 간단한 프로그램({name})은 {right}를 맞힙니다"
        said += f"({100 * low:.1f}~{percent_close(high)})."
        counts = f"이 모델만 맞힌 것 {row['only_ours']:,}개, 그 프로그램만 맞힌 것 {row['only_other']:,}개"
        verdicts = {
            None: "둘 사이의 차이는 확인되지 않았습니다",
            True: "이 모델이 더 낫고, 우연으로 보기 어렵습니다",
            False: "이 모델이 더 못하고, 우연으로 보기 어렵습니다",
        }
        return f"{said} {verdicts[is_better]}({counts})."

    @staticmethod
    def _baseline(name: str) -> str:
        for pattern, said in (
            (r"logistic regression on (\d+) x (\d+) pixels", "{0} x {1} 화소의 로지스틱 회귀"),
            (r"TF-IDF of words .*", "단어 TF-IDF와 선형 SVM"),
            (r"TF-IDF of characters .*", "글자 TF-IDF와 선형 SVM"),
        ):
            if found := re.fullmatch(pattern, name):
                return said.format(*found.groups())
        return name

    @staticmethod
    def _hardware(described: str) -> str:
        found = re.fullmatch(r"CPU with (\d+) cores?(?: \((.+)\))?", described)
        return described if not found else f"{found[1]}코어 CPU" + (f"({found[2]})" if found[2] else "")

    @staticmethod
    def without_leaked(row: Mapping[str, Any], kind: str) -> str:
        """The score without test examples that are among the training data."""
        thing = "사진" if kind == "image" else "글"
        left = f"학습 자료와 거의 같은 시험용 {thing} {row['leaked']:,}개를 빼면"
        return f"{left} {percent_close(row['accuracy'])}를 맞힙니다."

    @staticmethod
    def refused(share: float, kind: str) -> str:
        """How often it says that it does not know."""
        thing = "사진" if kind == "image" else "글"
        return f"시험용 {thing}의 {percent_close(share)}에는 \u2018모르겠습니다\u2019라고 답합니다."

    @staticmethod
    def finding(found: Mapping[str, Any], kind: str) -> str:
        """What was found in the data before the training, of its kind "image" or "text"."""
        said = KoreanModels._FINDINGS.get(found["kind"])
        thing = "사진" if kind == "image" else "글"
        return said.format(thing=thing, count=f"{found['count']:,}") if said else str(found["summary"])

    _FINDINGS: ClassVar[Mapping[str, str]] = {
        "contradiction": "같거나 거의 같은 {thing} {count}개에 서로 다른 라벨이 붙어 있습니다.",
        "leak_test": "시험용 {thing} {count}개는 학습 자료에도 거의 같은 것이 있어, 점수가 실제보다 좋게 나옵니다.",
        "leak_validation": "검증용 {thing} {count}개는 같거나 거의 같은 것이 학습 자료에도 있습니다.",
        "repetition": "학습용 {thing} {count}개는 같거나 거의 같은 것이 또 있습니다.",
        "few_examples": "학습 자료가 너무 적은 라벨이 {count}개 있습니다.",
        "imbalance": "라벨마다 학습 자료의 수가 크게 다릅니다.",
        "unreadable": "쓸 수 없는 파일이나 줄 {count}개를 뺐습니다.",
        "hidden": "숨은 파일 {count}개를 건너뛰었습니다.",
    }

    @staticmethod
    def confused(label: str, answer: str, count: int, total: int) -> str:
        """One mistake, and how often it was made."""
        return f"정답 {label}, 답 {answer}: {total:,}개 중 {count:,}개"

    @staticmethod
    def calibrated(row: Mapping[str, Any]) -> str:
        """How far the percentages are off."""
        after, before = 100 * row["ece_after"], 100 * row["ece_before"]
        return f"평균 {after:.1f}%포인트 어긋나며, 보정하기 전에는 {before:.1f}%포인트였습니다."

    @staticmethod
    def reliability_seen(confidence: float, accuracy: float, error: float) -> str:
        """What the diagram shows, for who does not see it."""
        return (
            f"대부분 약 {percent_close(confidence)} 확률로 답했고, 그중 {percent_close(accuracy)}가 맞았습니다."
            f" 둘은 평균 {100 * error:.1f}%포인트 차이 납니다."
        )

    @staticmethod
    def curve_seen(first: float, last: float, epochs: int) -> str:
        """What a curve shows, for who does not see it."""
        return f"검증 자료에서 첫 에포크 뒤 {first:.3g}, {epochs}번째 에포크 뒤 {last:.3g}입니다."

    @staticmethod
    def speed(kind: str, time_ms: float, device: str) -> str:
        """How long an answer takes on the computer that serves the page."""
        thing = "사진 한 장" if kind == "image" else "글 하나"
        where = processor(device)
        return f"이 컴퓨터의 {where}에서 {thing}에 답하는 데 약 {milliseconds(time_ms)} 걸립니다."

    @staticmethod
    def recorded_speed(measured: Mapping[str, Any]) -> str:
        """How long an answer took when the checkpoint was measured."""
        time = milliseconds(measured["answer_ms"])
        where = KoreanModels._hardware(measured["hardware"])
        return f"{measured['date']}에 {where}에서 쟀을 때는 답 하나에 {time} 걸렸습니다."

    @staticmethod
    def size(size_bytes: int | None, parameters: int, model: str) -> str:
        """What it weighs."""
        weighs = f", {size_bytes / 1e6:.1f} MB" if size_bytes else ""
        return f"{model}, 가중치 {parameters:,}개{weighs}."

    @staticmethod
    def made(training: Mapping[str, Any]) -> str:
        """When, where and how long it was trained."""
        seconds = training["duration_s"]
        time = f"{seconds / 60:.0f}분" if seconds >= 120 else f"{seconds:.0f}초"
        return f"{training['date']}에 {KoreanModels._hardware(training['hardware'])}에서 {time} 동안 학습했습니다."
