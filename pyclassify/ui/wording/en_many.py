"""The words of the tab for many inputs at once, in English."""

from __future__ import annotations


class EnglishMany:
    """What `English` takes over."""

    MANY_TAB = "Many at once"
    MANY_FILES = "Your files"
    MANY_HINT = (
        "Choose or drop many pictures, a zip of them, or a table of texts: CSV, TSV, JSON Lines or TXT with a text per"
        " line. Then press Start. The answers are deleted when you leave, the files after an hour or so."
    )
    MANY_FOLDER = "Choose a folder"
    MANY_COLUMN = "Column with the texts"
    MANY_COLUMN_HINT = "The first line of a table names its columns."
    MANY_START = "Start"
    MANY_STOP = "Stop"
    MANY_EXAMPLE = "Use examples"
    MANY_NOTHING = "There is nothing to answer yet. Choose files first, or use the examples."
    MANY_SHOW = "Show"
    MANY_ALL = "All"
    MANY_UNSURE = "Not sure"
    MANY_UNKNOWN = "Don't know"
    MANY_PROBLEMS = "Problems"
    MANY_LEGEND = (
        "Not sure: another label may be right as well, and is named. Don't know: it is not like what the model was"
        " trained on, so it gets no label, and only the nearest one is named. A click on a heading sorts."
    )
    MANY_TABLE = "Answers"
    MANY_NAME = "File or text"
    MANY_LABEL = "Answer"
    MANY_PROBABILITY = "Probability"
    MANY_SET = "Could also be"
    MANY_KNOWN = "Remark"
    MANY_BEFORE, MANY_AFTER = "Back", "Next"
    MANY_EMPTY = "No row is like that."
    MANY_GONE = "These answers are gone by now. Start anew."
    MANY_UPLOADED = "Some of these files were not uploaded here, or are gone by now. Upload them again."
    MANY_BUSY = "Waiting for its turn"

    API_FILES = (
        "Classify many pictures, zips of pictures, or tables of texts (CSV, TSV, JSON Lines, TXT)."
        " Returns counts and at most 10,000 rows; for more, send the files in parts."
    )

    @staticmethod
    def many_progress(done: int, total: int | None, share: float, seconds_left: float | None) -> str:
        """How far it is, and how long it takes yet."""
        of = f" of {total:,}" if total else f" of about {round(done / share):,}" if share and share < 1 else ""
        left = "" if seconds_left is None else f", {EnglishMany.many_time(seconds_left)} left"
        return f"{done:,}{of} answered ({share:.0%}){left}"

    @staticmethod
    def many_time(seconds: float) -> str:
        """A rough time."""
        return f"about {round(seconds / 60)} min" if seconds >= 90 else f"about {max(1, round(seconds))} s"

    @staticmethod
    def many_done(rows: int, seconds: float, *, stopped: bool) -> str:
        """What came of it."""
        how, time = "Stopped" if stopped else "Done", f"{seconds:.1f} s" if seconds >= 0.1 else "under 0.1 s"
        return f"{how}: {rows:,} {'row' if rows == 1 else 'rows'} in {time}."

    @staticmethod
    def many_download(form: str, rows: int, *, shown: bool) -> str:
        """A file with all rows, or with those alone that the filter shows, in their order."""
        return f"Download {'these' if shown else 'all'} {rows:,} as {form}"

    @staticmethod
    def many_nearest(label: str) -> str:
        """What stands for an answer where there is none."""
        return f"I don't know (nearest: {label})"

    @staticmethod
    def many_page(first: int, last: int, total: int) -> str:
        """Which rows are shown."""
        return f"{first:,} to {last:,} of {total:,}"

    @staticmethod
    def many_limit(limit: int) -> str:
        """That there would be more."""
        return f"Only the first {limit:,} rows were answered: send the files in parts for the others."
