"""How the page looks: a theme without fonts from elsewhere, and a style sheet for light and dark, wide and narrow."""

from __future__ import annotations

from typing import Any

from hf_transfer_score.text import TEMPLATES

FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "Arial", "sans-serif"]
CODE_FONTS = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace"]

ON_LOAD = """
() => {
  document.documentElement.lang = "en";
  const status = document.querySelector("#lb-status");
  if (status) { status.setAttribute("role", "status"); status.setAttribute("aria-live", "polite"); }
  const count = document.querySelector("#lb-count");
  if (count) { count.setAttribute("role", "status"); count.setAttribute("aria-live", "polite"); }
}
"""
"""Says to screen readers what changes by itself."""


def css() -> str:
    """Return the style sheet of the page."""
    return (TEMPLATES / "leaderboard.css").read_text(encoding="utf-8")


def theme() -> Any:
    """Return the theme; its fonts are those that the visitor's machine has."""
    import gradio as gr

    base = gr.themes.Default(
        primary_hue="indigo", secondary_hue="teal", neutral_hue="slate", font=FONTS, font_mono=CODE_FONTS
    )
    return base.set(  # the default's grey on white is too faint for small text
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
    )
