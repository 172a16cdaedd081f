"""The definition of a metric, and the list of all metrics.

Metrics are found through the entry-point group `hf_transfer_score.metrics`, the built-in ones too. A package of yours
adds its own with a line such as `my_metric = "my_package.my_metric:METRIC"` in that group.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from hf_transfer_score.errors import DuplicateMetricError, NotApplicableError, OptionError, UnknownMetricError, closest
from hf_transfer_score.metrics.labelled import AUTO, NO_PCA, LabelledFeatures, ModelFacts

ENTRY_POINT_GROUP = "hf_transfer_score.metrics"

Need = Literal["labels", "targets", "source_probs", "parameters", "downloads", "name"]

NEED_REASONS: dict[str, str] = {
    "labels": "needs class labels",
    "targets": "needs regression targets (pass `targets`)",
    "source_probs": "needs source-class probabilities of the checkpoint's own head (pass `source_probs`)",
    "parameters": "needs the model's parameter count (pass `facts`)",
    "downloads": "needs the model's download count (pass `facts`)",
    "name": "needs the model's name (pass `facts`, or rank a pool)",
}


@dataclass(frozen=True)
class Term:
    """One raw number of a metric.

    Attributes:
        name: key of the number.
        description: what it measures.
        direction: +1 if higher is better, -1 if lower is better.
        bounded: whether it lies in [0, 1], which decides how its range over a pool is judged.
        least: the lowest possible value; records with a lower one are refused, whatever their version of the metric.
        most: the highest possible value.
    """

    name: str
    description: str
    direction: Literal[1, -1] = 1
    bounded: bool = False
    least: float = -math.inf
    most: float = math.inf

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest possible value."""
        return (max(0.0, self.least), min(1.0, self.most)) if self.bounded else (self.least, self.most)


@dataclass(frozen=True)
class ClassOverlap:
    """How much pairs of classes overlap in the features.

    Attributes:
        classes: the classes that overlap most, as the labels name them, ascending.
        values: overlap in [0, 1] of each pair: of the first class with those after it, of the second, and so on.
    """

    classes: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Outcome:
    """The result of a computation: raw terms, a headline without a pool, choices made, warnings, class overlaps."""

    terms: dict[str, float]
    headline: float | None = None
    used: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    overlap: ClassOverlap | None = None


@dataclass(frozen=True)
class MetricResult:
    """One metric on one sample.

    Attributes:
        metric: the metric's name.
        status: "ok", or "skipped" with the reason in `reason`.
        terms: raw terms by name; empty when skipped.
        headline: one number that needs no pool; comparable only between models on the same sample.
        parameters: the options, and what the metric chose when an option left it open.
        warnings: what to know before trusting the terms.
        seconds: time of this metric alone, without what it shares with others.
        reason: why it was skipped.
        overlap: how much the classes overlap, if the metric tells.
    """

    metric: str
    status: Literal["ok", "skipped"]
    terms: dict[str, float] = field(default_factory=dict)
    headline: float | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    reason: str | None = None
    overlap: ClassOverlap | None = None


def check_choice(option: str, value: Any, choices: tuple[str, ...]) -> None:
    """Raise OptionError unless `value` is one of `choices`."""
    if value not in choices:
        raise OptionError(f"{option} must be one of {', '.join(choices)}; got {value!r}{_nearest(value, choices)}.")


def check_positive(option: str, value: Any) -> None:
    """Raise OptionError unless `value` is a number above zero."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise OptionError(f"{option} must be a number above 0, got {value!r}.")


def check_share(option: str, value: Any) -> None:
    """Raise OptionError unless `value` is a number above 0 and at most 1."""
    check_positive(option, value)
    if value > 1:
        raise OptionError(f"{option} must be a share, at most 1; got {value!r}.")


def check_whole(option: str, value: Any, *, least: int = 1) -> None:
    """Raise OptionError unless `value` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise OptionError(f"{option} must be a whole number of at least {least}, got {value!r}.")


def check_components(option: str, value: Any) -> None:
    """Raise OptionError unless `value` is a valid choice of principal components."""
    if value not in (AUTO, NO_PCA) and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise OptionError(f'{option} must be "auto", "none" or a whole number of components above 0, got {value!r}.')


Positive = Annotated[float, check_positive]
Share = Annotated[float, check_share]
Whole = Annotated[int, check_whole]
Rows = Annotated[int, partial(check_whole, least=2)]
Seed = Annotated[int, partial(check_whole, least=0)]
Components = Annotated[int | str, check_components]
"""Types of options whose values are checked."""


@dataclass(frozen=True)
class CheckedOptions:
    """Options of a metric, which refuse values that their types do not allow."""

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(type(self), include_extras=True).items():
            if get_origin(hint) is Literal:
                check_choice(name, getattr(self, name), get_args(hint))
            elif get_origin(hint) is Annotated:
                hint.__metadata__[0](name, getattr(self, name))


@dataclass(frozen=True)
class NoOptions:
    """For a metric without options."""


@dataclass(frozen=True)
class Metric:
    """A transferability metric.

    Attributes:
        name: of its file, its registry key and its section in the docs.
        title: a short title for readers.
        citation: the paper or origin.
        compute: pure function from labelled features and options to an outcome.
        terms: its raw terms.
        needs: the inputs that it requires.
        pool_rule: "value" ranks by its single term; "minmax_sum" adds min-max-scaled terms, each times its direction.
        options: a frozen dataclass with a field for everything that can change the numbers.
        baseline: whether this is a trivial baseline, which other metrics should beat.
        slow: whether its cost grows faster than that of others, so that it is not in the default set.
        version: changes when the same options give other numbers; stored in records.
    """

    name: str
    title: str
    citation: str
    compute: Callable[[LabelledFeatures, Any], Outcome]
    terms: tuple[Term, ...]
    needs: tuple[Need, ...] = ("labels",)
    pool_rule: Literal["value", "minmax_sum"] = "value"
    options: Any = NoOptions()
    baseline: bool = False
    slow: bool = False
    version: int = 1

    def configured(self, **options: Any) -> Metric:
        """Return this metric with some of its options changed."""
        known = [one.name for one in fields(self.options)]
        for name in options:
            if name not in known:
                raise OptionError(
                    f"{self.name} has no option {name!r}{_nearest(name, known)}. "
                    f"Its options: {', '.join(known) or 'none'}."
                )
        return replace(self, options=replace(self.options, **options))

    def __call__(
        self,
        features: Any,
        labels: Any = None,
        *,
        targets: Any = None,
        source_probs: Any = None,
        facts: ModelFacts | None = None,
    ) -> MetricResult:
        """Compute this metric alone, as in `score_features`; raise NotApplicableError if it cannot be computed."""
        data = LabelledFeatures(features, labels, targets=targets, source_probs=source_probs, facts=facts)
        return self.measure(data)

    def measure(self, data: LabelledFeatures) -> MetricResult:
        """Compute this metric on a sample that other metrics share; raise NotApplicableError if that is impossible."""
        present = {
            "labels": data.has_labels,
            "targets": data.targets is not None,
            "source_probs": data.source_probs is not None,
            "parameters": data.facts.parameters is not None,
            "downloads": data.facts.downloads is not None,
            "name": data.facts.name is not None,
        }
        for need in self.needs:
            if not present[need]:
                raise NotApplicableError(f"{self.name} {NEED_REASONS[need]}")
        shared, start = sum(data.shared_seconds.values()), time.perf_counter()
        outcome = self._computed(data)
        spent = time.perf_counter() - start - (sum(data.shared_seconds.values()) - shared)
        parameters = {one.name: getattr(self.options, one.name) for one in fields(self.options)}
        return MetricResult(
            metric=self.name,
            status="ok",
            terms={name: float(value) for name, value in outcome.terms.items()},
            headline=None if outcome.headline is None else float(outcome.headline),
            parameters=parameters | outcome.used,
            warnings=(sample_warnings(data) if "labels" in self.needs else ()) + outcome.warnings,
            seconds=max(spent, 0.0),
            overlap=outcome.overlap,
        )

    def _computed(self, data: LabelledFeatures) -> Outcome:
        """Return the outcome; raise NotApplicableError for unsolvable linear algebra and values that are not finite."""
        try:
            outcome = self.compute(data, self.options)
        except np.linalg.LinAlgError as error:
            raise NotApplicableError(f"{self.name} cannot be computed on these features: {error}") from error
        for name, value in outcome.terms.items():
            if not math.isfinite(value):
                raise NotApplicableError(f"{self.name} has no finite value on these features: {name} is {value}")
        return outcome

    def attempt(self, data: LabelledFeatures) -> MetricResult:
        """Compute this metric, or return a skipped result with the reason."""
        try:
            return self.measure(data)
        except NotApplicableError as error:
            return MetricResult(metric=self.name, status="skipped", reason=str(error))


def sample_warnings(data: LabelledFeatures) -> tuple[str, ...]:
    """Return warnings about the sample itself, whatever the metric."""
    found, classes, single = [], data.class_count, int((data.counts == 1).sum())
    if data.rows < 5 * classes:
        found.append(
            f"small sample: {data.rows} rows for {classes} classes; below 5 rows per class, ranks are unreliable"
        )
    if single:
        found.append(f"{single} of {classes} classes have one sample, so no spread of their own")
    return tuple(found)


_added: dict[str, Metric] = {}
_found: dict[str, Metric] = {}


def register_metric(metric: Metric) -> Metric:
    """Add a metric for this process; a package registers through the entry-point group instead.

    Example:
        >>> from dataclasses import replace
        >>> mine = register_metric(replace(get_metric("nc1"), name="mine"))
        >>> "mine" in all_metrics()
        True
        >>> unregister_metric("mine")
    """
    _check_shape(metric, "register_metric")
    if metric.name in all_metrics():
        raise DuplicateMetricError(f"A metric named {metric.name!r} is already registered; choose another name.")
    _added[metric.name] = metric
    return metric


def unregister_metric(name: str) -> None:
    """Remove a metric that `register_metric` added."""
    if name not in _added:
        raise UnknownMetricError(f"No metric named {name!r} was added with register_metric.")
    del _added[name]


def all_metrics() -> Mapping[str, Metric]:
    """Return every registered metric by name: the two of neural collapse first, trivial baselines last.

    Example:
        >>> list(all_metrics())[:2]
        ['face', 'ncti']
    """
    if not _found:
        _found.update(_in_order(_load(list(entry_points(group=ENTRY_POINT_GROUP)))))
        if not _found:
            raise UnknownMetricError(
                f"No metric is registered: nothing installed offers the entry-point group {ENTRY_POINT_GROUP}. "
                "Install the package (`pip install -e .` in a checkout) instead of importing its folder."
            )
    return _in_order({**_found, **_added}) if _added else dict(_found)


def _in_order(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    return {metric.name: metric for metric in sorted(metrics.values(), key=_order)}


def get_metric(name: str, **options: Any) -> Metric:
    """Return a registered metric by name, with some of its options changed.

    Example:
        >>> get_metric("face", temperature=0.1).options.temperature
        0.1
    """
    metrics = all_metrics()
    if name not in metrics:
        raise UnknownMetricError(
            f"There is no metric {name!r}{_nearest(name, list(metrics))}. Known: {', '.join(metrics)}."
        )
    return metrics[name].configured(**options) if options else metrics[name]


def _order(metric: Metric) -> tuple[bool, int, str]:
    first = ("face", "ncti")
    return metric.baseline, first.index(metric.name) if metric.name in first else len(first), metric.name


def _load(points: list[EntryPoint]) -> dict[str, Metric]:
    """Load entry points; the same one seen twice (a stale install beside a checkout) is one."""
    chosen: dict[str, EntryPoint] = {}
    for point in points:
        other = chosen.setdefault(point.name, point)
        if other.value != point.value:
            raise DuplicateMetricError(
                f"Two installed packages register a metric named {point.name!r}: {other.value} and {point.value}. "
                "Uninstall one of them."
            )
    metrics = {name: point.load() for name, point in chosen.items()}
    for name, metric in metrics.items():
        _check_shape(metric, f"entry point {name}")
        if metric.name != name:
            raise DuplicateMetricError(f"Entry point {name!r} holds a metric with another name: {metric.name!r}.")
    return metrics


def _check_shape(metric: Any, origin: str) -> None:
    if not isinstance(metric, Metric):
        raise OptionError(f"{origin}: expected a Metric, got {type(metric).__name__}.")
    if isinstance(metric.version, bool) or not isinstance(metric.version, int) or metric.version < 1:
        raise OptionError(f"{origin}: the version of {metric.name!r} must be a whole number above 0.")
    if not is_dataclass(metric.options):
        raise OptionError(f"{origin}: the options of {metric.name!r} must be a frozen dataclass.")
    if metric.pool_rule == "value" and len(metric.terms) != 1:
        raise OptionError(f"{origin}: {metric.name!r} ranks by one value but has {len(metric.terms)} terms.")


def _nearest(name: Any, known: list[str] | tuple[str, ...]) -> str:
    near = closest(str(name), known, 0.5)
    return f" (did you mean {near!r}?)" if near else ""
