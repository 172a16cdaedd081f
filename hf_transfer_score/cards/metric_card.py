"""The card of a metric, with the headings that `evaluate` uses, and its citation as BibTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from hf_transfer_score.metrics.registry import NEED_REASONS, Metric
from hf_transfer_score.text import markdown

ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
YEAR = re.compile(r"\b(?:19|20)\d\d\b")


def metric_card(metric: Metric, words: Any) -> str:
    """Return the card of a metric as Markdown with metadata; the words are those of `metric_guide`."""
    needs = [NEED_REASONS[need].removeprefix("needs ") for need in metric.needs]
    citation = bibtex([metric])
    return markdown("metric_card.md.jinja", metric=metric, words=words, needs=needs, citation=citation, long=2000)


def bibtex(metrics: Iterable[Metric]) -> str:
    """Return one entry per paper, without trivial baselines.

    Example:
        >>> from hf_transfer_score.metrics.registry import get_metric
        >>> print(bibtex([get_metric("transrate")]))
        @misc{transferability-transrate,
          howpublished = {Huang et al., Frustratingly easy transferability estimation, ICML 2022, arXiv:2106.09362},
          year = {2022},
          eprint = {2106.09362},
          archivePrefix = {arXiv},
          url = {https://arxiv.org/abs/2106.09362}
        }
    """
    first: dict[str, str] = {}
    for metric in metrics:
        if not metric.baseline:
            first.setdefault(metric.citation, metric.name)
    return "\n\n".join(_entry(name, citation) for citation, name in first.items())


def _entry(name: str, citation: str) -> str:
    text = " ".join(citation.replace("{", "(").replace("}", ")").replace("\\", "/").split())
    text = re.sub(r"([%&#$_])", r"\\\1", text)  # BibTeX reads these as text
    lines = [f"howpublished = {{{text}}}"]
    year = YEAR.findall(ARXIV.sub("", citation))
    if year:
        lines.append(f"year = {{{year[-1]}}}")
    paper = ARXIV.search(citation)
    if paper:
        number = paper.group(1)
        lines += [f"eprint = {{{number}}}", "archivePrefix = {arXiv}", f"url = {{https://arxiv.org/abs/{number}}}"]
    inside = ",\n  ".join(lines)
    return f"@misc{{transferability-{re.sub(r'[^A-Za-z0-9_-]', '-', name)},\n  {inside}\n}}"
