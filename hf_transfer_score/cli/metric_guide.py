"""Everything a metric says of itself, read from the metric: for the command line and for the generated reference."""

from __future__ import annotations

import inspect
import re
import sys
import types
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hf_transfer_score.errors import OptionError
from hf_transfer_score.metrics.registry import Metric, Need, Term, all_metrics, check_choice, get_metric

ARROWS = {1: "↑", -1: "↓"}

TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class OptionGuide:
    """One option of a metric.

    Attributes:
        name: the word before the equals sign.
        kind: what may stand after it, in words.
        default: its value when nothing is said.
        meaning: what it does, from the docstring of the options.
    """

    name: str
    kind: str
    default: Any
    meaning: str


@dataclass(frozen=True)
class MetricGuide:
    """A metric in words.

    Attributes:
        name: the key in the registry.
        title: a short human title.
        about: docstring of the metric's module.
        computes: docstring of the metric's function.
        needs: what it cannot do without.
        terms: its raw numbers.
        pool_rule: its score in a pool, as a formula of the terms.
        options: what can be set.
        citation: where it comes from.
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

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        return asdict(self)


def metric_guide(metric: Metric) -> MetricGuide:
    """Return what a metric says of itself."""
    module = sys.modules.get(metric.compute.__module__)
    return MetricGuide(
        name=metric.name,
        title=metric.title,
        about=_prose(inspect.getdoc(module) or ""),
        computes=re.sub(r"^Return ", "Returns ", _prose(inspect.getdoc(metric.compute) or "")),
        needs=metric.needs,
        terms=metric.terms,
        pool_rule=_pool_rule(metric),
        options=option_guides(metric),
        citation=metric.citation,
        baseline=metric.baseline,
        slow=metric.slow,
    )


def _pool_rule(metric: Metric) -> str:
    """Return the score of a model in a pool as a formula, such as "seli + ncc - vc, each scaled ..."."""
    first, *others = metric.terms
    formula = first.name if first.direction == 1 else f"-{first.name}"
    formula += "".join(f" {'+' if term.direction == 1 else '-'} {term.name}" for term in others)
    return f"{formula}, each scaled to [0, 1] over the pool" if metric.pool_rule == "minmax_sum" else formula


def all_guides() -> list[MetricGuide]:
    """Return a guide to every registered metric, in the registry's order."""
    return [metric_guide(metric) for metric in all_metrics().values()]


def option_guides(metric: Metric) -> tuple[OptionGuide, ...]:
    """Return a guide to every option of a metric."""
    hints, meanings = get_type_hints(type(metric.options)), _attributes(inspect.getdoc(type(metric.options)) or "")
    return tuple(
        OptionGuide(one.name, _kind(hints[one.name]), getattr(metric.options, one.name), meanings.get(one.name, ""))
        for one in fields(metric.options)
    )


def configured_metrics(names: Sequence[str], settings: Sequence[str]) -> list[Metric]:
    """Return metrics with the options that settings such as "face.temperature=0.1" give them.

    Example:
        >>> configured_metrics(["face"], ["face.temperature=0.1"])[0].options.temperature
        0.1
    """
    metrics = {name: get_metric(name) for name in names}
    chosen: dict[str, dict[str, Any]] = {name: {} for name in names}
    for setting in settings:
        name, option, text = _split(setting)
        if get_metric(name).name not in metrics:
            raise OptionError(f"{setting}: {name} is not among the metrics asked for: {', '.join(metrics)}.")
        if option in chosen[name]:
            raise OptionError(f"{setting}: {name}.{option} is set twice.")
        chosen[name][option] = _parsed(metrics[name], option, text)
    return [_configured(metric, chosen[name]) for name, metric in metrics.items()]


def _configured(metric: Metric, options: dict[str, Any]) -> Metric:
    try:
        return metric.configured(**options)
    except OptionError as error:
        raise OptionError(f"{metric.name}: {error}") from error


def _split(setting: str) -> tuple[str, str, str]:
    found = re.fullmatch(r"([^.=\s]+)\.([^.=\s]+)=(.*)", setting, re.DOTALL)
    if not found:
        raise OptionError(f"{setting}: expected METRIC.OPTION=VALUE, such as face.temperature=0.1.")
    name, option, text = found.groups()
    return name, option, text.strip()


def _parsed(metric: Metric, option: str, text: str) -> Any:
    """Return the text of an option as a value of the type its field has."""
    hint = get_type_hints(type(metric.options)).get(option)
    if hint is None:
        metric.configured(**{option: text})
    if get_origin(hint) is Literal:
        check_choice(f"{metric.name}.{option}", text, tuple(str(choice) for choice in get_args(hint)))
    for kind in _alternatives(hint):
        with suppress(ValueError):
            return _value(kind, text)
    raise OptionError(f"{metric.name}.{option} must be {_kind(hint)}, got {text!r}.")


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the kinds a value may have, the narrower ones first."""
    if get_origin(hint) not in (Union, types.UnionType):
        return (hint,)
    return tuple(sorted(get_args(hint), key=lambda kind: kind is str))


def _value(kind: Any, text: str) -> Any:
    """Return `text` as one kind of value, or raise ValueError."""
    if get_origin(kind) is Literal:
        return get_args(kind)[[str(choice) for choice in get_args(kind)].index(text)]
    if kind is bool:
        return (*TRUE, *FALSE).index(text.lower()) < len(TRUE)
    if kind is types.NoneType:
        return ("none",).index(text.lower()) or None
    if kind in (int, float, str):
        return kind(text)
    raise ValueError(f"options of type {kind} cannot be set as text")


def _kind(hint: Any) -> str:
    """Return in words what values a type has."""
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", types.NoneType: "none"}
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(hint))
    return " or ".join(words.get(kind, str(kind)) for kind in _alternatives(hint))


def _prose(docstring: str) -> str:
    """Return the paragraphs of a docstring, each on one line, without its sections."""
    prose = re.split(r"^(?:Args|Attributes|Returns|Raises|Examples?):\n", docstring, maxsplit=1, flags=re.MULTILINE)[0]
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in prose.strip().split("\n\n"))


def _attributes(docstring: str) -> dict[str, str]:
    """Return the entries of a Google docstring's Attributes section, each on one line."""
    section = re.search(r"^Attributes:\n((?:[ \t]+.*\n?|\n)*)", docstring, re.MULTILINE)
    found: dict[str, str] = {}
    name = ""
    for line in section.group(1).splitlines() if section else []:
        entry = re.match(r" {4}(\w+): (.*)", line)
        if entry:
            name = entry.group(1)
            found[name] = entry.group(2).strip()
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return found
