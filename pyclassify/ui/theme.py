"""The look of the page: a calm theme on Gradio's own, with fonts that every system has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

CSS = Path(__file__).with_name("page.css")
HEAD = Path(__file__).with_name("head.js")
JS = Path(__file__).with_name("page.js")
FAVICON = Path(__file__).with_name("favicon.png")

_SANS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Noto Sans", "Noto Sans KR", "Malgun Gothic")
_MONO = ("ui-monospace", "Cascadia Mono", "Menlo", "Consolas", "monospace")


_COLOURS: dict[str, Any] = dict(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    body_text_color="*neutral_800",
    body_text_color_dark="*neutral_100",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_400",
    block_background_fill="white",
    block_background_fill_dark="*neutral_900",
    block_border_width="1px",
    block_border_color="*neutral_200",
    block_border_color_dark="*neutral_800",
    block_shadow="0 1px 2px rgb(0 0 0 / 0.04)",
    block_shadow_dark="none",
    block_label_background_fill="transparent",
    block_label_background_fill_dark="transparent",
    block_label_border_width="0px",
    block_label_text_color="*neutral_600",
    block_label_text_color_dark="*neutral_400",
    block_title_text_color="*neutral_600",
    block_title_text_color_dark="*neutral_400",
    input_background_fill="white",
    input_background_fill_dark="*neutral_900",
    input_border_color="*neutral_200",
    input_border_color_dark="*neutral_700",
    input_border_color_focus="*primary_500",
    input_border_color_focus_dark="*primary_400",
    color_accent="*primary_700",
    color_accent_soft="*primary_50",
    color_accent_soft_dark="*primary_900",
    border_color_accent="*primary_600",
    border_color_accent_dark="*primary_500",
    stat_background_fill="*primary_600",
    stat_background_fill_dark="*primary_500",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_600",
    button_primary_text_color="white",
    button_primary_text_color_dark="white",
    button_secondary_background_fill="*primary_50",
    button_secondary_background_fill_dark="*primary_950",
    button_secondary_background_fill_hover="*primary_100",
    button_secondary_background_fill_hover_dark="*primary_900",
    button_secondary_text_color="*primary_900",
    button_secondary_text_color_dark="*primary_100",
    button_secondary_border_color="*primary_200",
    button_secondary_border_color_dark="*primary_800",
    button_border_width="1px",
    error_text_color="#b42318",
    error_text_color_dark="#fda29b",
)


def theme() -> gr.themes.Base:
    """Teal on warm grey, roomy, light and dark. System fonts only: nothing is fetched from anywhere."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        secondary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.stone,
        spacing_size=gr.themes.sizes.spacing_md,
        radius_size=gr.themes.sizes.radius_lg,
        text_size=gr.themes.sizes.text_md,
        font=[*_SANS, "sans-serif"],
        font_mono=list(_MONO),
    ).set(**_COLOURS)
