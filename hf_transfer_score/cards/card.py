"""A model's section, and a whole card with it."""

from __future__ import annotations

from hf_transfer_score.cards.citation import bibtex
from hf_transfer_score.cards.evidence import Evidence, known_metric
from hf_transfer_score.cards.markdown import HUB_ID, fenced, plain, repository
from hf_transfer_score.cards.merging import END, START, merged_card
from hf_transfer_score.cards.metadata import model_index, model_name
from hf_transfer_score.cards.sections import sample_lines
from hf_transfer_score.metrics.registry import Metric

WHAT = (
    "How well the features of {model} tell the classes of a labelled dataset apart, read off one forward pass by "
    "`hf-transfer-score`, to help choose which checkpoint to fine-tune. Nothing was fine-tuned for it."
)

PUBLISHED = (
    "How well the features of {model} tell the classes of a labelled dataset apart, to help choose which checkpoint to "
    "fine-tune. These numbers were published by others, as said below; `hf-transfer-score` holds and ranks them."
)

MEANS = """\
- A transferability score is **not an accuracy**, and none follows from it. It is a cheap guess at which of several
  checkpoints will do better after fine-tuning.
- Terms are comparable between models on the very same sample only (the same fingerprint), and with the same metric,
  version and options.
- A place is relative to the pool it was found in: one more model can change it, and the order of the others.
- It is one sample of one dataset. It says nothing about other data, robustness, fairness to people, speed or licence.
"""


def model_section(evidence: Evidence) -> str:
    """Return the section that a model's card gets, between two marks by which it is found again."""
    scores = [record for sample in evidence.samples for record in sample.scores]
    what = PUBLISHED if scores and all(record.source for record in scores) else WHAT
    lines = [START, "", "## Transferability", "", what.format(model=repository(evidence.model)), ""]
    if evidence.source is not None and HUB_ID.fullmatch(evidence.source):
        lines += [f"The records are in {repository(evidence.source, 'datasets/')}.", ""]
    for sample in evidence.samples:
        lines += [*sample_lines(sample), ""]
    lines += ["### What this means, and what not", "", MEANS]
    return "\n".join([*lines, *_citations(evidence), END]) + "\n"


def _citations(evidence: Evidence) -> list[str]:
    entries = bibtex(_metrics(evidence))
    if not entries:
        return []
    summary = "<details><summary>The papers that the metrics are from, as BibTeX</summary>"
    return ["### Citation", "", summary, "", *fenced(entries, "bibtex"), "", "</details>", ""]


def _metrics(evidence: Evidence) -> list[Metric]:
    found: dict[str, Metric] = {}
    for sample in evidence.samples:
        for record in sample.scores:
            known = known_metric(record.metric) if record.metric is not None else None
            if known is not None:
                found[known.name] = known
    return list(found.values())


def model_card(evidence: Evidence, existing: str = "", *, metadata: bool = True) -> str:
    """Return a card with the section of a model and its terms as metadata.

    Args:
        evidence: what is known about the model.
        existing: the card there is; whatever it has stays as it is.
        metadata: whether the terms are put into the metadata too.
    """
    before = existing if existing.strip() else f"# {plain(evidence.model)}\n"
    results = model_index(evidence) if metadata else None
    return merged_card(before, model_section(evidence), results, name=model_name(evidence.model))
