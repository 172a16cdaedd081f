"""`metrics`: list them, or tell all about one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_transfer_score.cli.flags import Json
from hf_transfer_score.cli.metric_guide import ARROWS, MetricGuide, OptionGuide, all_guides, metric_guide
from hf_transfer_score.cli.output import PROSE_WIDTH, Output, Page, render
from hf_transfer_score.cli.tables import pairs
from hf_transfer_score.metrics.registry import NEED_REASONS, get_metric

if TYPE_CHECKING:
    from rich.console import RenderableType

INDENT = 4


def metrics(name: str | None = None, /, *, output: Json = Output()) -> int:
    """List the metrics, or tell all about one.

    The list has terms, needs, options and papers.

    Args:
        name: a metric.
    """
    if name is not None:
        guide = metric_guide(get_metric(name))
        output.show(guide.as_dict, lambda page: guide_text(guide, page), piped_width=PROSE_WIDTH)
    else:
        guides = all_guides()
        output.show(
            lambda: [one.as_dict() for one in guides], lambda page: guides_text(guides, page), piped_width=PROSE_WIDTH
        )
    return 0


def guides_text(guides: Sequence[MetricGuide], page: Page) -> str:
    """Return a short entry for every metric."""
    parts: list[RenderableType] = []
    for guide in guides:
        needs = ", ".join(guide.needs) or "features only"
        terms = "  ".join(f"{term.name} {ARROWS[term.direction]}" for term in guide.terms)
        rows = [("terms", terms), ("pool", guide.pool_rule), ("needs", needs)]
        if guide.options:
            rows.append(("options", "  ".join(f"{one.name}={setting(one.default)}" for one in guide.options)))
        if not guide.baseline:
            rows.append(("paper", guide.citation))
        parts += [_heading(guide), pairs(rows, indent=INDENT), ""]
    parts.append("↑ higher is better, ↓ lower is better; pool: the score that ranks a pool, higher is better.")
    parts.append("All about one metric: hf-transfer-score metrics NAME")
    return render(parts, page)


def guide_text(guide: MetricGuide, page: Page) -> str:
    """Return everything about one metric."""
    needs = "; ".join(NEED_REASONS[need].removeprefix("needs ") for need in guide.needs) or "features only"
    terms = [(f"{term.name} {ARROWS[term.direction]}", term.description) for term in guide.terms]
    options = [(f"{one.name}={setting(one.default)}", option_text(one)) for one in guide.options]
    parts: list[RenderableType] = [_heading(guide), "", guide.about, "", guide.computes, ""]
    parts += [pairs([("needs", needs), ("pool", guide.pool_rule), ("paper", guide.citation)], indent=INDENT)]
    parts += ["", _bold("Terms"), pairs(terms, indent=INDENT)]
    if options:
        parts += ["", _bold(f"Options, with their defaults; change one by --option {guide.name}.NAME=VALUE")]
        parts.append(pairs(options, indent=INDENT))
    return render(parts, page)


def setting(value: Any) -> str:
    """Return a value as it is written in an option."""
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def option_text(option: OptionGuide) -> str:
    """Return what an option does and what it may be, without saying the choices twice."""
    choices = option.kind.removeprefix("one of ").split(", ") if option.kind.startswith("one of ") else [option.kind]
    if all(f'"{choice}"' in option.meaning for choice in choices):
        return option.meaning
    return f"{option.meaning} ({option.kind})".strip()


def _heading(guide: MetricGuide) -> RenderableType:
    from rich.text import Text

    slow = "" if not guide.slow else " (slow: not in the default set)"
    return Text.assemble((guide.name, "bold"), "  ", guide.title, (slow, "dim"))


def _bold(text: str) -> RenderableType:
    from rich.text import Text

    return Text(text, style="bold")
