"""What a run looks like: progress, filters with counts and a table with a page of its rows, as HTML."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from pyclassify.many import (
    ALL,
    LABEL,
    PROBLEMS,
    UNKNOWN,
    UNSURE,
    Counts,
    Progress,
    Row,
    Spool,
    thumbnails,
    write_csv,
    write_json,
)
from pyclassify.message import percent
from pyclassify.ui.runs import View
from pyclassify.ui.wording.en import English

ROWS_SHOWN = 50
FORMS = {"csv": write_csv, "json": write_json}
TEXT_SHOWN = 300
_NOTHING = "\N{EN DASH}"

# Headings and the buttons for the pages are the only ones in the table; a click says what it is for.
CLICKS = """
let last = "";
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-do]");
  if (!button) return;
  last = button.dataset.do;
  trigger("click", { do: last });
});
watch("value", () => { if (last) element.querySelector(`[data-do="${last}"]`)?.focus({ preventScroll: true }); });
"""


def progress(step: Progress, words: type[English]) -> str:
    """A bar with the count and the time left."""
    said = words.many_progress(step.done, step.total, step.share, step.seconds_left)
    bar = f'<progress max="1" value="{step.share:.4f}" aria-label="{escape(said)}"></progress>'
    return f'<div class="many-progress">{bar}<p>{escape(said)}</p></div>'


def filters(counts: Counts, names: Mapping[str, str], words: type[English]) -> list[tuple[str, str]]:
    """What may be shown, with how many rows there are of it, and the value that is sent for it.

    Args:
        counts: of all rows.
        names: of the labels, the most frequent of which come first.
        words: of the language.
    """
    ranked = sorted(counts.labels.items(), key=lambda pair: -pair[1])
    there = [
        (words.MANY_ALL, ALL, counts.rows),
        *((names.get(label, label), f"{LABEL}:{label}", count) for label, count in ranked),
        (words.MANY_UNSURE, UNSURE, counts.unsure),
        (words.MANY_UNKNOWN, UNKNOWN, counts.unknown),
        (words.MANY_PROBLEMS, PROBLEMS, counts.problems),
    ]
    return [(f"{name} ({count:,})", value) for name, value, count in there if count or value == ALL]


def table(spool: Spool, view: View, names: Mapping[str, str], words: type[English]) -> str:
    """The page of rows that the view names; the headings sort all rows, not only those that are shown.

    Args:
        spool: with all rows.
        view: its page is changed where there is none of that number.
        names: of the labels.
        words: of the language.
    """
    total = spool.count(view.which, view.label)
    view.page = max(0, min(view.page, (total - 1) // ROWS_SHOWN))
    first = view.page * ROWS_SHOWN
    rows = spool.read(
        view.which, view.label, order=view.order, descending=view.descending, limit=ROWS_SHOWN, offset=first
    )
    if not rows:
        return f'<p class="many-empty">{escape(words.MANY_EMPTY)}</p>'
    pictures = any(row.path for row in rows)
    body = "".join(
        _row(row, small, pictures, names, words)
        for row, small in zip(rows, thumbnails(rows) if pictures else [b""] * len(rows), strict=True)
    )
    head = ("<th></th>" if pictures else "") + "".join(_headings(view, words))
    pages = _pages(first, len(rows), total, words)
    caption = f"<caption>{escape(words.MANY_TABLE)}</caption>"
    legend = f'<p class="many-legend">{escape(words.MANY_LEGEND)}</p>'
    whole = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'{legend}<div class="many-table" tabindex="0">{whole}</div>{pages}'


def _headings(view: View, words: type[English]) -> list[str]:
    names = {
        "name": words.MANY_NAME,
        "label": words.MANY_LABEL,
        "probability": words.MANY_PROBABILITY,
        "set": words.MANY_SET,
        "known": words.MANY_KNOWN,
    }
    found = []
    for order, name in names.items():
        sorted_by = ("descending" if view.descending else "ascending") if view.order == order else "none"
        sign = {"descending": " ▼", "ascending": " ▲", "none": ""}[sorted_by]
        button = (
            f'<button type="button" data-do="{order}">{escape(name)}<span aria-hidden="true">{sign}</span></button>'
        )
        found.append(f'<th scope="col" aria-sort="{sorted_by}">{button}</th>')
    return found


def _row(row: Row, small: bytes, pictures: bool, names: Mapping[str, str], words: type[English]) -> str:
    picture = ""
    if pictures:
        source = f"data:image/jpeg;base64,{base64.b64encode(small).decode()}"
        picture = f'<td>{f"""<img alt="" src="{source}">""" if small else ""}</td>'
    name = row.text or row.name
    shown = name[:TEXT_SHOWN] + ("…" if len(name) > TEXT_SHOWN else "")
    first = f'<td class="name" title="{escape(row.name)}">{escape(shown)}</td>'
    if row.problem:
        return f'<tr>{picture}{first}<td class="problem" colspan="4">{escape(words.sentence(row.problem))}</td></tr>'
    cells = [_answer(row, names, words), _share(row, words), _others(row, names), _remark(row, words)]
    mark = ' class="unknown"' if row.unknown else ' class="unsure"' if row.unsure else ""
    return f"<tr{mark}>{picture}{first}{''.join(f'<td>{escape(each)}</td>' for each in cells)}</tr>"


def _answer(row: Row, names: Mapping[str, str], words: type[English]) -> str:
    label = names.get(row.label, row.label)
    return words.many_nearest(label) if row.unknown else label


def _share(row: Row, words: type[English]) -> str:
    # a share of what is no answer would be taken for how sure it is
    return _NOTHING if row.unknown else percent(row.probability, language=words.CODE)


def _others(row: Row, names: Mapping[str, str]) -> str:
    others = [] if row.unknown else [names.get(label, label) for label in row.labels_set if label != row.label]
    return ", ".join(others) or _NOTHING


def _remark(row: Row, words: type[English]) -> str:
    return words.MANY_UNKNOWN if row.unknown else words.MANY_UNSURE if row.unsure else _NOTHING


def _pages(first: int, count: int, total: int, words: type[English]) -> str:
    said = escape(words.many_page(first + 1, first + count, total))
    before, after = ("" if on else " disabled" for on in (first > 0, first + count < total))
    return (
        f'<p class="many-pages"><button type="button" data-do="before"{before}>{escape(words.MANY_BEFORE)}</button>'
        f'<span>{said}</span><button type="button" data-do="after"{after}>{escape(words.MANY_AFTER)}</button></p>'
    )


def turned(view: View, wanted: str, orders: Sequence[str]) -> None:
    """Change a view by a click: to the next or last page, or to another order; the second click turns that round."""
    if wanted in ("before", "after"):
        view.page += 1 if wanted == "after" else -1
    elif wanted in orders:
        # of shares the least is what one wants to look at first
        view.descending = not view.descending if view.order == wanted else False
        view.order, view.page = wanted, 0
