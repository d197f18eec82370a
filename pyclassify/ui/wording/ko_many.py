"""The words of the tab for many inputs at once, in Korean."""

from __future__ import annotations

from pyclassify.ui.wording.en_many import EnglishMany


class KoreanMany(EnglishMany):
    """The same names as in English, each said anew."""

    MANY_TAB = "여러 개 한꺼번에"
    MANY_FILES = "파일"
    MANY_HINT = (
        "사진 여러 장이나 사진이 든 zip, 또는 글이 든 표(CSV, TSV, JSON Lines, 한 줄에 글 하나인 TXT)를 고르거나"
        " 끌어다 놓은 다음 시작을 누르세요. 답은 페이지를 떠나면 지워지고, 파일은 한 시간쯤 뒤에 지워집니다."
    )
    MANY_FOLDER = "폴더 고르기"
    MANY_COLUMN = "글이 있는 열"
    MANY_COLUMN_HINT = "표의 첫 줄에 열 이름이 있어야 합니다."
    MANY_START = "시작"
    MANY_STOP = "멈추기"
    MANY_EXAMPLE = "예로 해 보기"
    MANY_NOTHING = "아직 답할 것이 없습니다. 먼저 파일을 고르거나 예로 해 보세요."
    MANY_SHOW = "골라 보기"
    MANY_ALL = "모두"
    MANY_UNSURE = "확실하지 않음"
    MANY_UNKNOWN = "모르겠음"
    MANY_PROBLEMS = "문제"
    MANY_LEGEND = (
        "확실하지 않음: 다른 라벨도 맞을 수 있어 함께 적었습니다. 모르겠음: 학습한 것과 비슷하지 않아 답하지 않고,"
        " 가장 가까운 라벨만 적었습니다. 열 제목을 누르면 정렬합니다."
    )
    MANY_TABLE = "답"
    MANY_NAME = "파일 또는 글"
    MANY_LABEL = "대답"
    MANY_PROBABILITY = "확률"
    MANY_SET = "다른 가능성"
    MANY_KNOWN = "비고"
    MANY_BEFORE, MANY_AFTER = "이전", "다음"
    MANY_EMPTY = "그런 줄이 없습니다."
    MANY_GONE = "이 답은 이미 지워졌습니다. 다시 시작하세요."
    MANY_UPLOADED = "여기에 올린 파일이 아니거나 이미 지워진 파일이 있습니다. 다시 올려 주세요."
    MANY_BUSY = "차례를 기다리는 중"

    MANY_SENTENCES = (
        (r"(\d+) cells? instead of (\d+)", "칸이 {1}개가 아니라 {0}개입니다."),
        (r"empty text", "글이 비어 있습니다."),
        (r"damaged characters", "글자가 깨져 있습니다."),
        (r"not a JSON object", "JSON 객체가 아닙니다."),
        (r"not valid JSON", "올바른 JSON이 아닙니다."),
        (r"no '(.*)'", "'{0}' 열이 없습니다."),
        (r"'(.*)' is not a text", "'{0}'의 값이 글이 아닙니다."),
        (r"more than (.+) characters in one line", "한 줄이 {0}자가 넘습니다."),
        (r"a quotation mark that is never closed; .+", "닫히지 않은 따옴표가 있습니다. 닫거나 두 번 써 주세요."),
        (r"(.+) is an archive that is not opened here; .+", "{0}: 여기서 열지 않는 압축 파일입니다. 풀어 주세요."),
        (r"(.+) is a spreadsheet; .+", "{0}: 스프레드시트입니다. CSV로 저장해 주세요."),
        (r"(.+) has (.+) MB; at most (.+) MB are read", "{0}: {1} MB입니다. {2} MB까지 읽습니다."),
        (r"(.+) is empty", "{0}: 비어 있는 파일입니다."),
        (r"(.+) is locked with a password; .+", "{0}: 암호가 걸려 있습니다. 암호 없이 압축해 주세요."),
        (r"(.+) holds more than .+", "{0}: 너무 많이 들어 있습니다. 나누어 압축해 주세요."),
        (r"(.+) has no column '(.*)', only (.+)", "{0}: '{1}' 열이 없습니다. 있는 열: {2}"),
        (r"(.+) is no table of texts; .+", "{0}: 글을 담은 표가 아닙니다. CSV, TSV, JSON Lines, TXT를 읽습니다."),
        (r"(.+) is one list; .+", "{0}: 목록 하나입니다. 한 줄에 객체 하나인 JSON Lines로 저장해 주세요."),
    )

    @staticmethod
    def many_progress(done: int, total: int | None, share: float, seconds_left: float | None) -> str:
        """How far it is, and how long it takes yet."""
        of = f"{total:,}개 중 " if total else f"약 {round(done / share):,}개 중 " if share and share < 1 else ""
        left = "" if seconds_left is None else f", {KoreanMany.many_time(seconds_left)} 남음"
        return f"{of}{done:,}개 답함 ({share:.0%}){left}"

    @staticmethod
    def many_time(seconds: float) -> str:
        """A rough time."""
        return f"약 {round(seconds / 60)}분" if seconds >= 90 else f"약 {max(1, round(seconds))}초"

    @staticmethod
    def many_done(rows: int, seconds: float, *, stopped: bool) -> str:
        """What came of it."""
        if stopped:
            return f"멈췄습니다. {rows:,}개까지 답했습니다."
        return f"{rows:,}개를 {f'{seconds:.1f}초 만에' if seconds >= 0.1 else '0.1초 안에'} 마쳤습니다."

    @staticmethod
    def many_download(form: str, rows: int, *, shown: bool) -> str:
        """A file with all rows, or with those alone that the filter shows, in their order."""
        return f"{'보이는' if shown else '모두'} {rows:,}개를 {form}로 내려받기"

    @staticmethod
    def many_nearest(label: str) -> str:
        """What stands for an answer where there is none."""
        return f"모르겠음(가장 가까운 것: {label})"

    @staticmethod
    def many_page(first: int, last: int, total: int) -> str:
        """Which rows are shown."""
        return f"{total:,}줄 중 {first:,}–{last:,}"

    @staticmethod
    def many_limit(limit: int) -> str:
        """That there would be more."""
        return f"처음 {limit:,}줄만 답했습니다. 나머지는 파일을 나누어 보내 주세요."
