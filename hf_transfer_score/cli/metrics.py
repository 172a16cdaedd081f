"""`metrics` and `register`: the description of each metric, which the generated reference also shows."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, get_type_hints

from hf_transfer_score.cli.flags import Json, kind_of
from hf_transfer_score.cli.output import PROSE_WIDTH, Output, Page, render
from hf_transfer_score.cli.tables import pairs
from hf_transfer_score.metrics.registry import NEED_REASONS, Metric, Need, Term, all_metrics, get_metric
from hf_transfer_score.text import attributes_of

if TYPE_CHECKING:
    from rich.console import RenderableType

ARROWS = {1: "↑", -1: "↓"}

INDENT = 4


@dataclass(frozen=True)
class OptionGuide:
    """An option of a metric: its name, its type in words, its default, and its meaning."""

    name: str
    kind: str
    default: Any
    meaning: str


@dataclass(frozen=True)
class MetricGuide:
    """A metric in words.

    Attributes:
        name: the key in the registry.
        title: a short title.
        about: docstring of the metric's module.
        computes: docstring of the metric's function.
        needs: the inputs that it needs besides features.
        terms: its raw numbers.
        pool_rule: its score in a pool, as a formula of the terms.
        options: its options.
        citation: the paper it comes from.
        baseline: whether it is a trivial baseline.
        slow: whether it is left out of the default set.
    """

    name: str
    title: str
    about: str
    computes: str
    needs: tuple[Need, ...]
    terms: tuple[Term, ...]
    pool_rule: str
    options: tuple[OptionGuide, ...]
    citation: str
    baseline: bool
    slow: bool


def metrics(name: str | None = None, /, *, output: Json = Output()) -> int:
    """List the metrics, or explain one.

    The list has the terms, needs, options and papers of each metric.

    Args:
        name: the metric to explain.
    """
    if name is not None:
        guide = metric_guide(get_metric(name))
        output.show(lambda: asdict(guide), lambda page: guide_text(guide, page), piped_width=PROSE_WIDTH)
    else:
        guides = all_guides()
        output.show(
            lambda: [asdict(one) for one in guides], lambda page: guides_text(guides, page), piped_width=PROSE_WIDTH
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
    parts.append("To explain one metric: hf-transfer-score metrics NAME")
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
        parts += ["", _bold(f"Options with their defaults; change one with --option {guide.name}.NAME=VALUE")]
        parts.append(pairs(options, indent=INDENT))
    return render(parts, page)


def setting(value: Any) -> str:
    """Return a value as it is written in an option."""
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def option_text(option: OptionGuide) -> str:
    """Return what an option does and its possible values, without repeating the choices."""
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


def register(*, output: Json = Output()) -> int:
    """Register the metrics with evaluate.load.

    It copies the evaluate modules of this package to where evaluate looks for metrics, so that
    evaluate.load("face_transferability") works, even offline.
    """
    from hf_transfer_score.evaluate_modules.install import register as install_modules

    paths = install_modules()
    lines = [f"installed {path}\n" for path in paths]
    lines += [f'load it with evaluate.load("{path.stem}")\n' for path in paths]
    output.show(lambda: {path.stem: str(path) for path in paths}, lambda _: "".join(lines))
    return 0


def metric_guide(metric: Metric) -> MetricGuide:
    """Return the description of a metric."""
    module = sys.modules.get(metric.compute.__module__)
    first, *others = metric.terms
    formula = first.name if first.direction == 1 else f"-{first.name}"
    formula += "".join(f" {'+' if term.direction == 1 else '-'} {term.name}" for term in others)
    return MetricGuide(
        name=metric.name,
        title=metric.title,
        about=_prose(inspect.getdoc(module) or ""),
        computes=re.sub(r"^Return ", "Returns ", _prose(inspect.getdoc(metric.compute) or "")),
        needs=metric.needs,
        terms=metric.terms,
        pool_rule=f"{formula}, each scaled to [0, 1] over the pool" if metric.pool_rule == "minmax_sum" else formula,
        options=option_guides(metric),
        citation=metric.citation,
        baseline=metric.baseline,
        slow=metric.slow,
    )


def all_guides() -> list[MetricGuide]:
    """Return a guide to every registered metric, in the registry's order."""
    return [metric_guide(metric) for metric in all_metrics().values()]


def option_guides(metric: Metric) -> tuple[OptionGuide, ...]:
    """Return a guide to every option of a metric."""
    hints, meanings = get_type_hints(type(metric.options)), attributes_of(type(metric.options))
    return tuple(
        OptionGuide(one.name, kind_of(hints[one.name]), getattr(metric.options, one.name), meanings.get(one.name, ""))
        for one in fields(metric.options)
    )


def _prose(docstring: str) -> str:
    """Return the paragraphs of a docstring, each on one line, without its sections."""
    prose = re.split(r"^(?:Args|Attributes|Returns|Raises|Examples?):\n", docstring, maxsplit=1, flags=re.MULTILINE)[0]
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in prose.strip().split("\n\n"))
