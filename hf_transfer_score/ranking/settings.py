"""The metrics of a pool of records: which records share one, its name, and the rules by which it ranks."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from hf_transfer_score.errors import NotApplicableError, UnknownMetricError
from hf_transfer_score.metrics.registry import Metric, Term, all_metrics

LONGEST_VALUE = 40
"""Length of an option's value in a label."""


@dataclass(frozen=True)
class Setting:
    """A metric with its version and options, as records name it; the options are JSON text with sorted names."""

    name: str
    version: int
    parameters: str

    @property
    def options(self) -> dict[str, Any]:
        """The options by name."""
        found: dict[str, Any] = json.loads(self.parameters)
        return found


def canonical(parameters: str) -> str:
    """Return options as canonical JSON text, so that equal options have equal texts."""
    return json.dumps(json.loads(parameters), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def installed(name: str) -> Metric | None:
    """Return an installed metric, None for any other name."""
    try:
        return all_metrics().get(name)
    except UnknownMetricError:
        return None


def labels(counts: Mapping[Setting, int]) -> dict[Setting, str]:
    """Return a unique name for the column of each setting.

    The default setting of an installed metric, or else the most frequent one, has the name of the metric; the others
    show how they differ from it.

    Args:
        counts: settings with the number of their records.
    """
    found: dict[Setting, str] = {}
    taken: set[str] = set()
    for name in sorted({setting.name for setting in counts}):
        same = [one for one in counts if one.name == name]
        bare = min(same, key=lambda one: _bare_first(one, counts[one]))
        found[bare] = unused(name, taken)
        for other in sorted(same, key=lambda one: (one.version, one.parameters)):
            if other != bare:
                found[other] = unused(_different(other, bare), taken)
    return found


def _bare_first(setting: Setting, records: int) -> tuple[bool, bool, int, int, str]:
    """Return a key that sorts the default of an installed metric before others, and these by their records."""
    metric = installed(setting.name)
    default = metric is not None and setting.parameters == canonical(json.dumps(asdict(metric.options), default=str))
    here = metric is not None and setting.version == metric.version
    return not default, not (default and here), -records, -setting.version, setting.parameters


def unused(name: str, taken: set[str]) -> str:
    """Return a name that is not taken yet, and add it to those that are."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name} #{number}", number + 1
    taken.add(found)
    return found


def _different(setting: Setting, bare: Setting) -> str:
    mine, theirs = setting.options, bare.options
    parts = [f"{name}={_short(value)}" for name, value in mine.items() if name not in theirs or theirs[name] != value]
    parts += [f"without {name}" for name in theirs if name not in mine]
    if setting.version != bare.version:
        parts.append(f"version={setting.version}")
    return f"{setting.name} ({', '.join(parts)})"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def described(setting: Setting) -> str:
    """Return a metric with all its options, such as "accuracy (method=full)"."""
    options = ", ".join(f"{name}={_short(value)}" for name, value in setting.options.items())
    return f"{setting.name} ({options})" if options else setting.name


def rules(setting: Setting, names: Sequence[frozenset[str]], directions: Iterable[Mapping[str, int]]) -> Metric:
    """Return the metric that ranks a column: the installed one, or one made from the records.

    Args:
        setting: of the column.
        names: the names of each record's terms.
        directions: of the terms, as each record states them; may be empty.
    """
    metric = installed(setting.name)
    if metric is not None and frozenset(term.name for term in metric.terms) in names:
        return metric
    counts = Counter(names)
    chosen = min(counts, key=lambda one: (-counts[one], sorted(one)))
    stated = Counter(tuple(sorted(one.items())) for one in directions if one.keys() == chosen)
    signs: dict[str, int] = dict(sorted(stated, key=lambda one: (-stated[one], one))[0]) if stated else {}
    terms = tuple(Term(name, "", -1 if signs.get(name, 1) < 0 else 1) for name in sorted(chosen))
    return Metric(
        setting.name, setting.name, "", _not_installed, terms, pool_rule="minmax_sum" if len(terms) > 1 else "value"
    )


def _not_installed(*_: Any) -> NoReturn:
    raise NotApplicableError("is not installed here")


SHOWN_DETAILS = 40
COMMIT_LETTERS = 7

Block = Mapping[str, Any]
"""The fields of a record's model block, with the details as JSON text."""


def row_labels(blocks: Sequence[Block]) -> list[str]:
    """Return a unique label for each model block, in their order."""
    same: dict[str, list[int]] = defaultdict(list)
    for place, block in enumerate(blocks):
        same[block["id"]].append(place)
    found = [block["id"] for block in blocks]
    taken = {name for name, places in same.items() if len(places) == 1}
    for places in same.values():
        if len(places) > 1:
            for place, label in zip(places, _distinct_labels([blocks[place] for place in places]), strict=True):
                found[place] = unused(label, taken)
    return found


def _distinct_labels(blocks: list[Block]) -> list[str]:
    """Return the id of some blocks with the values by which they differ."""
    parts: list[list[str]] = [[block["id"]] for block in blocks]
    for field in ("layer", "commit", "revision", "pooling", "library", "dtype", "width", "details"):
        values = [block[field] for block in blocks]
        if len(set(values)) > 1:
            for part, text in zip(parts, _field_texts(field, values), strict=True):
                part.extend([text] if text else [])
    return [" ".join(part) for part in parts]


def _field_texts(field: str, values: list[Any]) -> list[str]:
    if field == "details":
        return _different_details(values)
    if field == "commit":
        values = _shortened(values)
    shapes = {"layer": "[layer {}]", "commit": "@{}", "revision": "@{}", "width": "{} features"}
    return ["" if value is None else shapes.get(field, "{}").format(value) for value in values]


def _shortened(commits: list[str | None]) -> list[str | None]:
    """Return commits cut to as few letters as distinguish them."""
    distinct = {one for one in commits if one}
    longest = max(map(len, distinct))
    enough = (n for n in range(COMMIT_LETTERS, longest) if len({one[:n] for one in distinct}) == len(distinct))
    letters = next(enough, longest)
    return [one[:letters] if one else None for one in commits]


def _different_details(values: list[str]) -> list[str]:
    details = [json.loads(value) for value in values]
    texts: list[list[str]] = [[] for _ in details]
    for name in sorted({name for one in details for name in one}):
        shown = [json.dumps(one[name], ensure_ascii=False) if name in one else None for one in details]
        if len(set(shown)) > 1:
            for text, value in zip(texts, shown, strict=True):
                text.extend([] if value is None else [f"{name}={value[:SHOWN_DETAILS]}"])
    return [", ".join(text) for text in texts]
