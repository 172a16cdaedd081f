"""The flags that several commands share, and how Python's options are written on the command line.

The option dataclasses are the flags: a field `max_samples` is `--max-samples`, with its docstring as help. The classes
below change the few fields that are written differently on the command line.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from cyclopts import ArgumentCollection, Group, Parameter, Token, validators

from hf_transfer_score.backbones.base import BackboneOptions
from hf_transfer_score.checkpoints.candidate import Search, Sort, read_candidates
from hf_transfer_score.cli.output import Output, TableOutput, agreed
from hf_transfer_score.engines.base import HERE, Engine, engine_kind, open_engine
from hf_transfer_score.errors import OptionError
from hf_transfer_score.features.extract import ExtractOptions
from hf_transfer_score.home import parse_bytes
from hf_transfer_score.ranking.pools import USUAL_METRICS
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.sampling.sample import SampleOptions
from hf_transfer_score.tasks import TASKS
from hf_transfer_score.text import count_of

if TYPE_CHECKING:
    from hf_transfer_score.metrics.registry import Metric

T = TypeVar("T")

MODELS, DATASET, FEATURES, SCORING, RUNNING, OUTPUT = (
    Group(name, sort_key=place)
    for place, name in enumerate(("Models", "Dataset", "Features", "Scoring", "Running", "Output"))
)
HIDDEN = Parameter(parse=False)
ALL = "all"
A_DAY = 86_400
TRUE, FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


def _exclusive(arguments: ArgumentCollection) -> None:
    given = [one.name for one in arguments if one.tokens]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(given)} exclude each other: use one of them.")


ONE_FORM = Group("", show=False, validator=_exclusive)


def converted(convert: Callable[[str], T]) -> Callable[[Any, Sequence[Token]], T]:
    """Return a converter for one word of the command line; an OptionError is wrong usage."""

    def convert_token(_: Any, tokens: Sequence[Token]) -> T:
        if len(tokens) > 1:
            raise ValueError(f"{tokens[0].keyword} can be given only once")
        try:
            return convert(tokens[0].value)
        except OptionError as error:
            raise ValueError(str(error)) from None

    return convert_token


def count(text: str) -> int:
    """Return a count such as 100M or 1.5B.

    Example:
        >>> count("1.5B"), count("300K"), count("12_000"), count("12,000")
        (1500000000, 300000, 12000, 12000)
    """
    try:
        return count_of(text)
    except ValueError:
        raise ValueError(f"expected a number such as 100M or 1.5B, got {text!r}") from None


def comma_list(kind: Callable[[str], T], expected: str) -> Callable[[str], tuple[T, ...]]:
    """Return a parser of values separated by commas."""

    def split(text: str) -> tuple[T, ...]:
        try:
            found = tuple(kind(part.strip()) for part in text.split(",") if part.strip())
        except ValueError:
            found = ()
        if not found:
            raise ValueError(f"expected {expected}, got {text!r}")
        return found

    return split


def seconds(least: float) -> Callable[[str], float]:
    """Return a parser of seconds, from `least` to a day."""

    def parse(text: str) -> float:
        value = float(text)
        if not least <= value <= A_DAY:
            raise ValueError(f"expected seconds from {least:g} to {A_DAY}, got {text!r}")
        return value

    return parse


Count = Annotated[int | None, Parameter(converter=converted(count), n_tokens=1)]
Bytes = Annotated[int, Parameter(converter=converted(parse_bytes), n_tokens=1)]
Names = Annotated[
    tuple[str, ...] | None,
    Parameter(
        converter=converted(comma_list(str, "names separated by commas, such as face,ncti, or all")),
        n_tokens=1,
        allow_repeating=False,
    ),
]
Seconds = Annotated[float, Parameter(converter=converted(seconds(0.001)), n_tokens=1)]
Whole = Annotated[int | None, Parameter(validator=validators.Number(gte=1))]


def configured_metrics(names: Sequence[str], settings: Sequence[str]) -> list[Metric]:
    """Return metrics with the options that settings such as "face.temperature=0.1" give them.

    Example:
        >>> configured_metrics(["face"], ["face.temperature=0.1"])[0].options.temperature
        0.1
    """
    from hf_transfer_score.metrics.registry import get_metric

    metrics = {name: get_metric(name) for name in names}
    chosen: dict[str, dict[str, Any]] = {name: {} for name in names}
    for setting in settings:
        found = re.fullmatch(r"([^.=\s]+)\.([^.=\s]+)=(.*)", setting, re.DOTALL)
        if not found:
            raise OptionError(f"{setting}: expected METRIC.OPTION=VALUE, such as face.temperature=0.1.")
        name, option, text = found.groups()
        if get_metric(name).name not in metrics:
            raise OptionError(
                f"{setting}: {name} is not one of the metrics {', '.join(metrics)}: name it with --metrics."
            )
        if option in chosen[name]:
            raise OptionError(f"{setting}: {name}.{option} is set twice.")
        chosen[name][option] = _metric_option(metrics[name], option, text.strip())
    configured = []
    for name, metric in metrics.items():
        try:
            configured.append(metric.configured(**chosen[name]))
        except OptionError as error:
            raise OptionError(f"{metric.name}: {error}") from error
    return configured


def _metric_option(metric: Metric, option: str, text: str) -> Any:
    from hf_transfer_score.metrics.registry import check_choice

    hint = get_type_hints(type(metric.options)).get(option)
    if hint is None:
        metric.configured(**{option: text})
    if get_origin(hint) is Literal:
        check_choice(f"{metric.name}.{option}", text, tuple(str(choice) for choice in get_args(hint)))
    return _typed(hint, text, f"{metric.name}.{option} must be {kind_of(hint)}, got {text!r}.")


def _typed(hint: Any, text: str, error: str) -> Any:
    """Return a text as a value of the type of a field, or raise OptionError."""
    for kind in _alternatives(hint):
        with suppress(ValueError):
            return _value_of(kind, text)
    raise OptionError(error)


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the types that a value may have, text last."""
    if get_origin(hint) not in (Union, types.UnionType):
        return (hint,)
    return tuple(sorted(get_args(hint), key=lambda kind: kind is str))


def _value_of(kind: Any, text: str) -> Any:
    """Return a text as a value of one type, or raise ValueError."""
    if get_origin(kind) is Literal:
        return get_args(kind)[[str(choice) for choice in get_args(kind)].index(text)]
    if kind is bool:
        return (*TRUE, *FALSE).index(text.lower()) < len(TRUE)
    if kind is types.NoneType:
        return ("none",).index(text.lower()) or None
    if kind in (int, float, str):
        return kind(text)
    raise ValueError(f"options of type {kind} cannot be set as text")


def kind_of(hint: Any) -> str:
    """Return the values of a type in words."""
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", types.NoneType: "none"}
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(hint))
    return " or ".join(words.get(kind, str(kind)) for kind in _alternatives(hint))


@dataclass(frozen=True)
class Candidates:
    """The checkpoints to rank.

    Attributes:
        models: models on the Hub (OWNER/NAME, or OWNER/NAME@REVISION), or folders.
        models_from: a file with one model per line.
    """

    models: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    models_from: Path | None = None

    def names(self) -> list[str]:
        """Return the models of both flags."""
        return [*self.models, *(read_candidates(self.models_from) if self.models_from else [])]


@dataclass(frozen=True)
class SearchFlags(Search):
    """A search of the Hub for candidates.

    Attributes:
        text: search the Hub (words in the id); --library, --author, --license narrow it.
    """

    text: Annotated[
        str | None,
        Parameter(
            name="--search",
            n_tokens=-1,
            consume_multiple=(0, None),
            converter=lambda _, tokens: " ".join(token.value for token in tokens),
        ),
    ] = None
    task: Annotated[str | None, HIDDEN] = None
    max_parameters: Annotated[int | None, HIDDEN] = None
    sort: Sort = "downloads"


@dataclass(frozen=True)
class SampleFlags(SampleOptions):
    """Which rows and columns of a dataset make the sample."""

    task: Annotated[str | None, HIDDEN] = None


@dataclass(frozen=True)
class BackboneFlags(BackboneOptions):
    """How features are read; checkpoints are trusted one by one, by name."""

    half: Annotated[bool, HIDDEN] = False
    trust_remote_code: Annotated[bool, HIDDEN] = False
    allow_pickle: Annotated[bool, HIDDEN] = False


@dataclass(frozen=True)
class ScoringFlags:
    """The metrics of a ranking.

    Attributes:
        metrics: names separated by commas, or all; by default those that the forecast uses.
        headline: order by the mean rank of these metrics (names separated by commas) instead of the forecast.
        option: set an option of a metric, as METRIC.OPTION=VALUE; can be repeated.
    """

    metrics: Names = None
    headline: Names = None
    option: tuple[str, ...] = ()

    def configured(self) -> list[Metric] | str | None:
        """Return the metrics with their options; None for the default."""
        if self.metrics == (ALL,):
            return ALL
        if self.metrics is None and not self.option:
            return None
        return configured_metrics(self.metrics or USUAL_METRICS, self.option)


@dataclass(frozen=True)
class RankFlags(RankOptions):
    """How candidates are ranked."""

    sample: Annotated[SampleFlags, Parameter(name="*", group=DATASET)] = field(default_factory=SampleFlags)
    backbone: Annotated[BackboneFlags, Parameter(name="*", group=FEATURES)] = field(default_factory=BackboneFlags)
    extract: Annotated[ExtractOptions, Parameter(name="*", group=FEATURES)] = field(default_factory=ExtractOptions)
    max_parameters: Annotated[
        Count, Parameter(group=MODELS, help="skip candidates with more parameters, such as 50M or 1.5B.")
    ] = None
    min_throughput: Annotated[float | None, Parameter(group=MODELS)] = None
    trust_remote_code: Annotated[tuple[str, ...], Parameter(group=MODELS)] = ()
    allow_pickle: Annotated[tuple[str, ...], Parameter(group=MODELS)] = ()
    replicates: Annotated[int, Parameter(group=SCORING, allow_leading_hyphen=True)] = 100
    level: Annotated[float, Parameter(group=SCORING)] = 0.9
    seed: Annotated[int, HIDDEN] = 0


@dataclass(frozen=True)
class LastLayerFlags(BackboneFlags):
    """How features are read: at the layer that the classifier will read."""

    layer: Annotated[int | str, HIDDEN] = "last"
    subword: Annotated[str, HIDDEN] = "first"
    quantize: Annotated[str | None, HIDDEN] = None
    device_map: Annotated[str | None, HIDDEN] = None


@dataclass(frozen=True)
class VerifyFlags(RankFlags):
    """How candidates are ranked before they are fine-tuned."""

    backbone: Annotated[LastLayerFlags, Parameter(name="*", group=FEATURES)] = field(default_factory=LastLayerFlags)


@dataclass(frozen=True)
class ChooseRunFlags(VerifyFlags):
    """How candidates are read before they are fine-tuned."""

    replicates: Annotated[int, HIDDEN] = 0
    level: Annotated[float, HIDDEN] = 0.9


@dataclass(frozen=True)
class EngineFlags:
    """Where candidates run.

    Attributes:
        engine: here (one after the other), accelerate (in the processes of a launcher), ray (on a Ray cluster or this
            machine), slurm (as Slurm jobs), jobs (Hugging Face Jobs, which cost money), or one of another package.
        workers: candidates at a time, for engines that start workers.
        engine_option: set an option of the engine, as NAME=VALUE; can be repeated.
        yes: start without asking, if the engine asks because it costs money.
    """

    engine: str = HERE
    workers: Whole = None
    engine_option: tuple[str, ...] = ()
    yes: bool = False

    def opened(self) -> AbstractContextManager[Engine]:
        """Return the engine, which is closed after the block."""
        settings: dict[str, Any] = {}
        for setting in self.engine_option:
            name, there, text = setting.partition("=")
            if not (name and there):
                raise OptionError(f"{setting}: expected NAME=VALUE, such as retries=2.")
            hint = get_type_hints(engine_kind(self.engine)).get(name, str)
            settings[name] = _typed(hint, text, f"{setting}: the engine {self.engine} expects {kind_of(hint)}.")
        if self.workers is not None and self.engine == HERE:
            raise OptionError(f"workers={self.workers}: the engine here has none; choose another with `engine`.")
        engine: Any = open_engine(self.engine, {"workers": self.workers, **settings})
        if hasattr(engine, "ask"):
            engine.ask = agreed
            engine.confirm = engine.confirm or self.yes
        return closing(engine)


CandidateFlags = Annotated[Candidates, Parameter(name="*", group=MODELS)]
AskedSearch = Annotated[SearchFlags | None, Parameter(name="*", group=MODELS)]
Scoring = Annotated[ScoringFlags, Parameter(name="*", group=SCORING)]
Ranking = Annotated[RankFlags, Parameter(name="*", group=RUNNING)]
Engines = Annotated[EngineFlags, Parameter(name="*", group=RUNNING)]
Json = Annotated[Output, Parameter(name="*", group=OUTPUT)]
Table = Annotated[TableOutput, Parameter(name="*", group=(OUTPUT, ONE_FORM))]
TaskName = Annotated[str | None, Parameter(name="--task", group=DATASET)]


def plain(options: Any, kind: type[T], **changes: Any) -> T:
    """Return flags as the options that they stand for."""
    return kind(**{one.name: getattr(options, one.name) for one in fields(kind)} | changes)  # type: ignore[arg-type]


def rank_options(flags: RankFlags, task: str | None, search: SearchFlags | None) -> RankOptions:
    """Return how to rank; a task that only models have belongs to the search alone."""
    return plain(
        flags,
        RankOptions,
        sample=plain(flags.sample, SampleOptions, task=None if search and task not in TASKS else task),
        backbone=plain(flags.backbone, BackboneOptions),
        seed=flags.sample.seed,
    )


def search_of(search: SearchFlags | None, task: str | None, flags: RankFlags) -> Search | None:
    """Return the search of the Hub; None without one."""
    return search and plain(search, Search, text=search.text or None, task=task, max_parameters=flags.max_parameters)
