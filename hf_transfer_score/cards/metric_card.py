"""A metric's own card, under the headings of the cards of `evaluate`."""

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


PUBLISHED = (
    "A raw value means something on its own sample only, so none is quoted here. `hf-transfer-score reproduce` prints "
    "tables of papers that ship with the package, beside the accuracies after fine-tuning."
)

FURTHER = (
    "- `hf-transfer-score metrics NAME` tells the same in a terminal.\n"
    "- `docs/guide.md` of hf-transfer-score: how to read scores, and where public codes differ."
)

LIMITS = """\
- It is a guess at an order of checkpoints, made without fine-tuning. It is not an accuracy and none follows from it.
- Its terms are comparable between models on the very same sample only, and with the same version and options.
- How well it orders checkpoints differs between datasets: compare it with the trivial baselines (the number of
  parameters, the width, downloads) wherever measured accuracies are known.
"""

SCALED = "It is scaled by the smallest and largest value in the pool: one more model changes every score."
AS_IT_IS = "It is the term as it is; the place among the others is what changes with the pool."


def metric_card(metric: Metric, words: MetricWords) -> str:
    """Return the card of a metric as Markdown with metadata.

    Args:
        metric: of the registry.
        words: what it says of itself.
    """
    lines = ["---", "library_name: hf-transfer-score", "tags:", "- transferability", "- metric", "---", ""]
    lines += [f"# Metric Card for {plain(metric.title)}", "", f"Metric {code(metric.name)}, version {metric.version}."]
    pool = SCALED if metric.pool_rule == "minmax_sum" else AS_IT_IS
    about = [part for text in words.about.split("\n\n") if text for part in ("", plain(text, LONG))]
    lines += ["", "## Metric Description", *about]
    lines += ["", "## How to Use", "", *_commands(metric)]
    lines += ["", "### Inputs", "", *_needs(metric), "", *_options(words.options)]
    lines += ["", "### Output Values", *(["", plain(words.computes, LONG)] if words.computes else [])]
    lines += ["", *_terms(metric), "", f"Score in a pool: {code(words.pool_rule, 300)}. {pool}"]
    lines += ["", "#### Values from Popular Papers", "", PUBLISHED]
    lines += ["", "### Examples", "", *_example(metric)]
    lines += ["", "## Limitations and Bias", "", LIMITS]
    entries = bibtex([metric])
    lines += ["## Citation", "", *(fenced(entries, "bibtex") if entries else ["A trivial baseline; nothing to cite."])]
    return "\n".join([*lines, "", "## Further References", "", FURTHER]) + "\n"


def _terms(metric: Metric) -> list[str]:
    rows = [[code(one.name), plain(one.description, LONG), ARROWS[one.direction]] for one in metric.terms]
    return table(("Term", "What it is", "Better"), rows)


def _options(options: Sequence[OptionWords]) -> list[str]:
    rows = [[code(one.name), plain(one.kind), code(one.default), plain(one.meaning, LONG)] for one in options]
    return table(("Option", "Value", "Default", "What it does"), rows) if rows else ["It has no options."]


def _needs(metric: Metric) -> list[str]:
    needs = [plain(NEED_REASONS[need].removeprefix("needs ")) for need in metric.needs]
    return [f"- {one}" for one in ("features: (N, D), one row a sample", *needs)]


def _commands(metric: Metric) -> list[str]:
    calls = f"hf-transfer-score rank DATASET --models A B C --metrics {metric.name}"
    return fenced(f"{calls}\nhf-transfer-score score features.npz --metrics {metric.name}", "bash")


def _example(metric: Metric) -> list[str]:
    """Return a call for a pool of two, with what this metric needs beside the features of both."""
    given = ["targets=targets" if "targets" in metric.needs else "labels"]
    given += ["source_probs=source_probs"] if "source_probs" in metric.needs else []
    given += ["facts=facts"] if {"parameters", "downloads"} & set(metric.needs) else []
    arguments = ", ".join(["pool", *given, f'metrics=["{metric.name}"]'])
    pool = 'pool = {"model-a": features_a, "model-b": features_b}  # (N, D) each, over the same samples'
    call = f'print(rank_features({arguments}).pools["{metric.name}"].ranks)'
    return fenced(f"from hf_transfer_score import rank_features\n\n{pool}\n{call}", "python")
