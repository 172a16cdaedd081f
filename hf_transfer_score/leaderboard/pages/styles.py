"""How the page looks: a theme without fonts from elsewhere, and a style sheet for light and dark, wide and narrow."""

from __future__ import annotations

from typing import Any

FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Noto Sans", "Arial", "sans-serif"]
CODE_FONTS = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace"]

CSS = """
.gradio-container { width: 100% !important; min-width: 0 !important; max-width: 1500px !important;
  margin: 0 auto !important; box-sizing: border-box; }
.gradio-container :is(.main, .wrap, .contain, .tabs, .tabitem, .column) { min-width: 0 !important; max-width: 100%; }
#lb-title h1 { font-size: 1.6rem; line-height: 1.25; margin: 0; font-weight: 700; letter-spacing: -0.01em; }
#lb-title p { margin: .35rem 0 0; max-width: 75ch; color: var(--body-text-color-subdued); }
#lb-status p { margin: 0; font-size: .85rem; color: var(--body-text-color-subdued); overflow-wrap: anywhere; }
.lb-muted { color: var(--body-text-color-subdued); }
.lb-note { border-inline-start: 3px solid var(--color-accent); padding: .4rem .75rem; margin: .5rem 0;
  background: var(--background-fill-secondary); border-radius: 0 var(--radius-md) var(--radius-md) 0;
  overflow-wrap: anywhere; }
.lb-list { margin: .25rem 0 .5rem; padding-inline-start: 1.25rem; list-style: disc; overflow-wrap: anywhere; }
.lb-list li { margin: .15rem 0; }
.lb-head h2 { font-size: 1.2rem; margin: 0 0 .35rem; font-weight: 650; overflow-wrap: anywhere; }
.lb-head h3 { font-size: 1rem; margin: .75rem 0 .25rem; font-weight: 650; overflow-wrap: anywhere; }
.lb-facts { display: flex; flex-wrap: wrap; gap: .4rem 1.25rem; margin: 0; }
.lb-facts div { display: flex; gap: .4rem; align-items: baseline; min-width: 0; }
.lb-facts dt { color: var(--body-text-color-subdued); font-size: .85rem; white-space: nowrap; }
.lb-facts dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
a.lb-button { display: inline-block; padding: .35rem .8rem; margin: .25rem .4rem .25rem 0; max-width: 100%;
  border: 1px solid var(--border-color-primary); border-radius: var(--radius-md); text-decoration: none;
  background: var(--button-secondary-background-fill); color: var(--button-secondary-text-color);
  overflow-wrap: anywhere; }
a.lb-button:hover { background: var(--button-secondary-background-fill-hover); }
a.lb-button::after { content: " \\2197" / ""; }
.lb-scroll { overflow-x: auto; max-width: 100%; }
.lb-table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
.lb-table, .lb-table tr { border: 0 !important; }
.lb-table th, .lb-table td { min-width: 5.5rem; }
.lb-table th[scope="row"] { min-width: 8.5rem; }
.lb-table caption { text-align: start; font-weight: 600; padding: .25rem 0; }
.lb-table th, .lb-table td { border: 0; padding: .35rem .6rem; border-bottom: 1px solid var(--border-color-primary);
  text-align: start; vertical-align: top; overflow-wrap: anywhere; }
.lb-better { font-size: .75rem; padding: .05rem .4rem; margin-inline-start: .25rem; border-radius: 999px;
  background: var(--color-accent-soft); color: var(--body-text-color); white-space: nowrap; }
#lb-compare .lb-table { table-layout: fixed; min-width: 25rem; }
.lb-grid * { font-family: var(--font); font-variant-numeric: tabular-nums; }
.lb-table thead th { white-space: nowrap; background: var(--background-fill-secondary); }
.lb-plot { overflow-x: auto; max-width: 100%; padding: 0 !important; }
.lb-plot .altair { align-items: flex-start !important; }
.lb-plot .vega-embed { max-width: 100%; }
.lb-plot svg.marks { max-width: 100%; height: auto; border-radius: var(--radius-lg); }
.chart-words { max-width: 860px; overflow-wrap: anywhere; }
.chart-words :is(p, summary) { margin: .35rem 0; font-size: .9rem; line-height: 1.45; }
.chart-words summary { cursor: pointer; }
.chart-scroll { overflow: auto; max-height: 28rem; }
.chart-words table { border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums; }
.chart-words caption { text-align: start; }
.chart-words :is(th, td) { padding: .3rem .6rem !important; vertical-align: top; text-align: right; white-space: nowrap;
  border: 0 solid var(--border-color-primary) !important; border-bottom-width: 1px !important; }
.chart-words th:first-child { text-align: start; white-space: normal; min-width: 9rem; font-weight: 500; }
.lb-card { border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg); padding: .75rem 1rem; }
#lb-count p { margin: 0; }
#lb-table * { font-family: var(--font); font-variant-numeric: tabular-nums; }
#lb-table :is(.cell-menu-button, .selection-button) { display: none; }
#lb-table .body-cell { cursor: pointer; }
#lb-table .body-cell, #lb-table .body-cell .cell-wrap, #lb-table .body-cell span.text { overflow: hidden !important; }
#lb-table .body-cell span.text { position: static !important; white-space: nowrap !important; }
#lb-status, #lb-count, #lb-head, #lb-card, #lb-notes { padding: 0 !important; }
.lb-inline { align-items: center; gap: .75rem; }
.gradio-container :is(a, button, input, select, textarea, summary, [tabindex]):focus-visible {
  outline: 3px solid var(--color-accent) !important; outline-offset: 2px; }
footer { opacity: .8; }
@media (max-width: 640px) {
  .gradio-container { padding: .5rem !important; }
  #lb-title h1 { font-size: 1.25rem; }
  #lb-table .first-column { width: 150px !important; min-width: 150px !important; max-width: 150px !important;
    flex-basis: 150px !important; }
}
@media (prefers-reduced-motion: reduce) {
  .gradio-container *, .gradio-container *::before { animation-duration: .01ms !important;
    transition-duration: .01ms !important; }
}
"""

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
