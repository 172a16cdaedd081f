"""A metric's own card: what its terms are, how a pool is ranked by it, what it needs, and where it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from hf_transfer_score.cards.citation import bibtex
from hf_transfer_score.cards.markdown import code, fenced, plain, table
from hf_transfer_score.metrics.registry import NEED_REASONS, Metric

ARROWS = {1: "↑ higher", -1: "↓ lower"}
LONG = 2000


class OptionWords(NamedTuple):
    """An option in words.

    Attributes:
        name: of the option.
        kind: what it may be.
        default: what it is when nothing is said.
        meaning: what it does.
    """

    name: str
    kind: str
    default: Any
    meaning: str


class MetricWords(NamedTuple):
    """What a metric says of itself.

    Attributes:
        about: paragraphs about the method and its limits.
        computes: what its function returns.
        pool_rule: its score in a pool, as a formula.
        options: in order.
    """

    about: str
    computes: str
    pool_rule: str
    options: Sequence[OptionWords]


LIMITS = """\
- It is a guess at an order of checkpoints, made without fine-tuning. It is not an accuracy and none follows from it.
- Its terms are comparable between models on the very same sample only, and with the same version and options.
- {pool}
- How well it orders checkpoints differs between datasets: compare it with the trivial baselines (the number of
  parameters, the width, downloads) wherever measured accuracies are known.
"""

SCALED = "Its score in a pool is scaled by the smallest and largest value there: one more model changes every score."
AS_IT_IS = "Its score in a pool is its term as it is; the place among the others is what changes with the pool."


def metric_card(metric: Metric, words: MetricWords) -> str:
    """Return the card of a metric as Markdown with metadata.

    Args:
        metric: of the registry.
        words: what it says of itself.
    """
    lines = ["---", "library_name: hf-transfer-score", "tags:", "- transferability", "- metric", "---", ""]
    lines += [f"# {plain(metric.title)}", "", f"Metric {code(metric.name)}, version {metric.version}.", ""]
    lines += [part for text in words.about.split("\n\n") if text for part in (plain(text, LONG), "")]
    lines += [plain(words.computes, LONG), ""] if words.computes else []
    lines += ["## Terms", "", *_terms(metric), "", f"Score in a pool: {code(words.pool_rule, 300)}.", ""]
    lines += (
        ["## Needs", "", *(f"- {plain(NEED_REASONS[need].removeprefix('needs '))}" for need in metric.needs), ""]
        if metric.needs
        else []
    )
    lines += ["## Options", "", *_options(words.options), ""]
    pool = SCALED if metric.pool_rule == "minmax_sum" else AS_IT_IS
    lines += ["## Limits", "", LIMITS.format(pool=pool), *_use(metric), ""]
    entries = bibtex([metric])
    origin = ["## Citation", "", *fenced(entries, "bibtex")] if entries else ["A trivial baseline; nothing to cite."]
    return "\n".join([*lines, *origin]) + "\n"


def _terms(metric: Metric) -> list[str]:
    rows = [[code(one.name), plain(one.description, LONG), ARROWS[one.direction]] for one in metric.terms]
    return table(("Term", "What it is", "Better"), rows)


def _options(options: Sequence[OptionWords]) -> list[str]:
    rows = [[code(one.name), plain(one.kind), code(one.default), plain(one.meaning, LONG)] for one in options]
    return table(("Option", "Value", "Default", "What it does"), rows) if rows else ["None."]


def _use(metric: Metric) -> list[str]:
    calls = f"hf-transfer-score rank DATASET --models A B C --metrics {metric.name}"
    return ["## Use", "", *fenced(f"{calls}\nhf-transfer-score score features.npz --metrics {metric.name}", "bash")]
