"""The metrics of a pool of records: which records share one, what it is called, and by which rules it ranks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NoReturn

from hf_transfer_score.errors import NotApplicableError, UnknownMetricError
from hf_transfer_score.metrics.registry import Metric, Term, all_metrics

LONGEST_VALUE = 40
"""Letters of an option's value in a label."""


@dataclass(frozen=True)
class Setting:
    """A metric with its options, as records name it.

    Attributes:
        name: the metric's name.
        version: of the metric.
        parameters: its options as JSON text with sorted names.
    """

    name: str
    version: int
    parameters: str

    @property
    def options(self) -> dict[str, Any]:
        """The options by name."""
        found: dict[str, Any] = json.loads(self.parameters)
        return found


def canonical(parameters: str) -> str:
    """Return options as JSON text that is equal where they are."""
    return json.dumps(json.loads(parameters), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def installed(name: str) -> Metric | None:
    """Return a metric that this installation knows, None for others."""
    try:
        return all_metrics().get(name)
    except UnknownMetricError:
        return None


def labels(counts: Mapping[Setting, int]) -> dict[Setting, str]:
    """Return what the columns of some settings are called; each is unique.

    The default setting of an installed metric carries the bare name, or else the most frequent one; the others show
    what is different.

    Args:
        counts: settings with the number of their records.
    """
    found: dict[Setting, str] = {}
    taken: set[str] = set()
    for bare in _bare(counts):
        found[bare] = unused(bare.name, taken)
        others = [one for one in counts if one.name == bare.name and one != bare]
        for other in sorted(others, key=lambda one: (one.version, one.parameters)):
            found[other] = unused(_different(other, bare), taken)
    return found


def _bare(counts: Mapping[Setting, int]) -> list[Setting]:
    """Return the setting of each metric that carries its bare name."""
    return [
        min((one for one in counts if one.name == name), key=lambda one: _distance(one, counts[one]))
        for name in sorted({setting.name for setting in counts})
    ]


def _distance(setting: Setting, records: int) -> tuple[bool, bool, int, int, str]:
    """Return what sorts the default of an installed metric before others, and these by their records."""
    metric = installed(setting.name)
    default = metric is not None and setting.parameters == canonical(json.dumps(asdict(metric.options), default=str))
    here = metric is not None and setting.version == metric.version
    return not default, not (default and here), -records, -setting.version, setting.parameters


def unused(name: str, taken: set[str]) -> str:
    """Return a name that is not taken yet, and take it."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name} #{number}", number + 1
    taken.add(found)
    return found


def _different(setting: Setting, bare: Setting) -> str:
    mine, theirs = setting.options, bare.options
    parts = [f"{name}={_shown(value)}" for name, value in mine.items() if name not in theirs or theirs[name] != value]
    parts += [f"without {name}" for name in theirs if name not in mine]
    if setting.version != bare.version:
        parts.append(f"version={setting.version}")
    return f"{setting.name} ({', '.join(parts)})"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def described(setting: Setting) -> str:
    """Return a metric with all its options, such as "accuracy (method=full)"."""
    options = ", ".join(f"{name}={_shown(value)}" for name, value in setting.options.items())
    return f"{setting.name} ({options})" if options else setting.name


def rules(setting: Setting, names: Sequence[frozenset[str]], directions: Iterable[Mapping[str, int]]) -> Metric:
    """Return the metric that ranks a column: the installed one, or one that follows from the records.

    Args:
        setting: of the column.
        names: the names of each record's terms.
        directions: what each record says of its terms; may be empty.
    """
    metric = installed(setting.name)
    if metric is not None and frozenset(term.name for term in metric.terms) in names:
        return metric
    counts = Counter(names)
    chosen = min(counts, key=lambda one: (-counts[one], sorted(one)))
    said = Counter(tuple(sorted(one.items())) for one in directions if one.keys() == chosen)
    best = dict(sorted(said, key=lambda one: (-said[one], one))[0]) if said else {}
    terms = tuple(Term(name, "", _sign(best.get(name, 1))) for name in sorted(chosen))
    rule: Literal["value", "minmax_sum"] = "minmax_sum" if len(terms) > 1 else "value"
    return Metric(setting.name, setting.name, "", _not_here, terms, pool_rule=rule)


def _sign(value: int) -> Literal[1, -1]:
    return -1 if value < 0 else 1


def _not_here(*_: Any) -> NoReturn:
    raise NotApplicableError("is not installed here")
