"""The Gradio page: the whole, a file per tab, and the wording in one place."""

from __future__ import annotations
