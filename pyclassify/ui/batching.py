"""Visitors who wait are answered together, and still each on their own.

Gradio batches (`batch=True`), but not for strangers: a request that it cannot read, or one exception, is the end of the
whole batch, and what all of it asked is noted in the session of the first. This is put right at the two places of
Gradio's queue where a batch is taken and where the answers are sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.exceptions import Error
from gradio.queueing import Event, Queue
from gradio.server_messages import EventMessage, ProcessCompletedMessage
from gradio.utils import error_payload

from pyclassify.ui.wording.en import English

PROBLEM = "problem"
"""The only key of an answer that is sent as an error."""

Readable = Callable[[list[Any]], bool]
"""Whether Gradio can read the inputs of a request."""


def keep_apart(page: gr.Blocks, readable: Readable) -> None:
    """Let no request spoil, or learn of, those that it shares a batch with.

    Args:
        page: after `page.queue`, which makes the queue.
        readable: a request that is not is run alone, so that Gradio refuses nothing else with it.
    """
    _take_readable_together(page._queue, readable)
    _send_problems_as_errors(page._queue)


def _take_readable_together(queue: Queue, readable: Readable) -> None:
    take = queue.get_events

    def get_events() -> tuple[list[Event], bool, str] | None:
        found = take()
        if found is None or len(found[0]) == 1:
            return found
        events, batch, concurrency_id = found
        together = [event for event in events if _is_readable(event, readable)] or events[:1]
        # the others stay where they were, in front
        waiting = queue.event_queue_per_concurrency_id[concurrency_id].queue
        waiting[:0] = [event for event in events if event not in together]
        if len(together) > 1 and together[0].data is not None:
            together[0].data = together[0].data.model_copy(update={"session_hash": None})
        return together, batch, concurrency_id

    queue.get_events = get_events  # type: ignore[method-assign]


def _is_readable(event: Event, readable: Readable) -> bool:
    return event.data is not None and len(event.data.data) == len(event.fn.inputs) and readable(event.data.data)


def _send_problems_as_errors(queue: Queue) -> None:
    send = queue.send_message

    def send_message(event: Event, event_message: EventMessage) -> None:
        problem = _problem_of(event_message)
        if problem is not None:
            content = error_payload(Error(problem, title=English.TITLE), show_error=True)
            event_message = ProcessCompletedMessage(output=content, title=English.TITLE, success=False)
        send(event, event_message)

    queue.send_message = send_message  # type: ignore[method-assign]


def _problem_of(message: EventMessage) -> str | None:
    if not (isinstance(message, ProcessCompletedMessage) and message.success):
        return None
    answer = next(iter(message.output.get("data") or ()), None)
    return str(answer[PROBLEM]) if isinstance(answer, dict) and answer.keys() == {PROBLEM} else None
