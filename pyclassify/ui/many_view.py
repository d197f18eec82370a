"""What a run looks like: progress, counts and a table with a page of its rows, as HTML."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from pyclassify.many import LABEL, PROBLEMS, UNSURE, Counts, Progress, Row, Spool, thumbnails
from pyclassify.message import percent
from pyclassify.ui.runs import View
from pyclassify.ui.wording.en import English

ROWS_SHOWN = 50
LABELS_COUNTED = 12
TEXT_SHOWN = 300

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


def summary(counts: Counts, words: type[English]) -> str:
    """How many rows are unsure, have a problem, and are of each label, the most frequent first."""
    ranked = sorted(counts.labels.items(), key=lambda pair: -pair[1])
    shown = [(words.MANY_UNSURE, counts.unsure), (words.MANY_PROBLEMS, counts.problems), *ranked[:LABELS_COUNTED]]
    items = [f"<li><span>{escape(name)}</span> <strong>{count:,}</strong></li>" for name, count in shown]
    if len(ranked) > LABELS_COUNTED:
        items.append(f"<li>{escape(words.many_more(len(ranked) - LABELS_COUNTED))}</li>")
    return f'<ul class="many-counts">{"".join(items)}</ul>'


def filters(counts: Counts, words: type[English]) -> list[tuple[str, str]]:
    """What may be shown, with how many rows there are of it, and the value that is sent for it."""
    fixed = [(words.MANY_ALL, "", counts.rows), (words.MANY_UNSURE, UNSURE, counts.unsure)]
    fixed.append((words.MANY_PROBLEMS, PROBLEMS, counts.problems))
    labels = [(label, f"{LABEL}:{label}", count) for label, count in counts.labels.items()]
    return [(f"{name} ({count:,})", value) for name, value, count in [*fixed, *labels]]


def table(spool: Spool, view: View, words: type[English]) -> str:
    """The page of rows that the view names; the headings sort all rows, not only those that are shown."""
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
        _row(row, small, pictures, words)
        for row, small in zip(rows, thumbnails(rows) if pictures else [b""] * len(rows), strict=True)
    )
    head = ("<th></th>" if pictures else "") + "".join(_headings(view, words))
    pages = _pages(first, len(rows), total, words)
    caption = f"<caption>{escape(words.MANY_TABLE)}</caption>"
    whole = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="many-table" tabindex="0">{whole}</div>{pages}'


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


def _row(row: Row, small: bytes, pictures: bool, words: type[English]) -> str:
    picture = ""
    if pictures:
        source = f"data:image/jpeg;base64,{base64.b64encode(small).decode()}"
        picture = f'<td>{f"""<img alt="" src="{source}">""" if small else ""}</td>'
    name = row.text or row.name
    shown = name[:TEXT_SHOWN] + ("…" if len(name) > TEXT_SHOWN else "")
    first = f'<td class="name" title="{escape(row.name)}">{escape(shown)}</td>'
    if row.problem:
        return f'<tr>{picture}{first}<td class="problem" colspan="4">{escape(words.sentence(row.problem))}</td></tr>'
    known = "–" if row.known is None else words.MANY_YES if row.known else words.MANY_NO
    cells = [row.label, percent(row.probability, language=words.CODE), ", ".join(row.labels_set) or "–", known]
    mark = ' class="unsure"' if row.unsure else ""
    return f"<tr{mark}>{picture}{first}{''.join(f'<td>{escape(each)}</td>' for each in cells)}</tr>"


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
