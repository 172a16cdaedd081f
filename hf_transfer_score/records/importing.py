"""Records from long tables of what others measured, with a row for each model and dataset, and the facts of models.

Each record says who published it, and by which protocol. Unusable rows are reported with their line and left out.
"""

import csv
import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from typing import Literal

from hf_transfer_score.errors import InputError, RecordError, did_you_mean
from hf_transfer_score.hub.settings import hub_id
from hf_transfer_score.metrics.registry import all_metrics
from hf_transfer_score.records.checks import TRUTH, plain_fields
from hf_transfer_score.records.record import (
    Record,
    RecordedDataset,
    RecordedFacts,
    RecordedMetric,
    RecordedModel,
    RecordedRun,
    checked,
)
from hf_transfer_score.records.store import Problem
from hf_transfer_score.tasks import METHODS, get_task
from hf_transfer_score.text import count_of, shown
from hf_transfer_score.untrusted import LINE_BYTES, TABLE_BYTES, reason_of
from hf_transfer_score.version import VERSION

SCORES, ACCURACIES = ("metric", "value"), ("method", "accuracy")
"""The columns beside model and dataset; a table has one pair or both."""

SEED = "seed"
USUAL = ("model", "dataset", *SCORES, *ACCURACIES, SEED)
NEEDED = "model and dataset, and metric and value or method and accuracy"
DECIMAL_COMMA = re.compile(r"^\s*([+-]?\d+),(\d+\s*[%KMBGT]?)\s*$", re.IGNORECASE)
NO_TEXT = "is not text in UTF-8: save it as UTF-8 (in Excel as CSV UTF-8)."
LIKE_DATA = re.compile(r"/|^[+-]?\.?\d")
"""In the name of a column: an id of the Hub, or a number."""
LARGEST = 10**15
FACTS = ("family", "architecture", "base_model", "parameters", "license", "pretrained_on")
"""The columns of a table of facts beside model."""

SOURCE = "published_by"
"""The parameter that distinguishes an imported metric from measurements by this package."""


@dataclass
class Imported:
    """The content of tables: a record for each usable row, the others as problems with their lines, ignored columns.

    Of unknown metrics, which this package does not have, higher values are taken as better. Methods have one spelling,
    in lower case; `unknown_methods` are those that this package does not have. `percents` are the files most of whose
    accuracies are beyond 1, and are read as percents.
    """

    records: list[Record] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    ignored: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    unknown_methods: set[str] = field(default_factory=set)
    percents: set[str] = field(default_factory=set)
    _seen: set[tuple[str, ...]] = field(default_factory=set, repr=False)


@dataclass(frozen=True)
class TableFacts:
    """What a table of facts says about a model."""

    facts: RecordedFacts = field(default_factory=RecordedFacts)
    parameters: int | None = None


def import_table(
    file: str | Path,
    *,
    task: str,
    source: str,
    facts: str | Path | None = None,
    columns: Mapping[str, str] | None = None,
    into: Imported | None = None,
) -> Imported:
    r"""Return the records of a long table: columns model and dataset, and metric and value or method and accuracy.

    Several rows of one model, dataset and method are repetitions, which a column `seed` may number. A single value of a
    metric with several terms, such as NCTI, is stored as a score of that name.

    Args:
        file: a table with a line of names, split at commas, semicolons, tabs or bars, whichever this line has most of;
            unless it is split at commas, numbers may have a decimal comma. Most accuracies of a table being beyond 1,
            all are read as percents.
        task: of the datasets.
        source: who published it.
        facts: a table of models with some of the columns of `FACTS`.
        columns: names of columns in the table, by their usual name.
        into: what was found in other tables, to which this is added; repetitions in another table count on.

    Raises:
        InputError: the table cannot be read, or lacks columns.

    Example:
        >>> import tempfile
        >>> table = Path(tempfile.mkdtemp()) / "published.csv"
        >>> _ = table.write_text("model,dataset,method,accuracy\nowner/model,owner/pets,full,0.91\n")
        >>> found = import_table(table, task="image-classification", source="A paper")
        >>> [(record.model.id, record.terms) for record in found.records]
        [('owner/model', {'accuracy': 0.91})]
    """
    known, found, file = get_task(task), into or Imported(), Path(file)
    for name in columns or ():
        if name not in USUAL:
            hint = did_you_mean(name, USUAL)
            raise InputError(f"There is no column {name!r} to be named.{hint} Usual names: {', '.join(USUAL)}.")
    if not source.strip():
        raise InputError("Say who published the table: `source` is empty.")
    about = {} if facts is None else read_facts(Path(facts), found)
    rows = _rows(file, columns or {}, found, NEEDED)
    names = next(rows)[1]
    written = min(datetime.fromtimestamp(file.stat().st_mtime, timezone.utc), datetime.now(timezone.utc))
    run = RecordedRun(VERSION, written.isoformat(timespec="seconds"))
    pairs = _pairs(file, names)
    found.ignored |= names.keys() - {"", *USUAL}
    if ACCURACIES in pairs and _mostly_percents(
        row["accuracy"] for _, row in _rows(file, columns or {}, Imported(), NEEDED)
    ):
        found.percents.add(file.name)
    for line, row in rows:
        for pair in pairs:
            if not any(row.get(name, "").strip() for name in pair):
                continue  # a row of the other kind
            try:
                if pair == ACCURACIES and known.truth == "targets":
                    raise RecordError(
                        f"accuracy: {known.name} has no classes, so no accuracies; give metric and value."
                    )
                metric, terms = _measurement(row, pair, source, found, percents=file.name in found.percents)
                model, dataset = (_named(row, name) for name in ("model", "dataset"))
                one = about.get(model, TableFacts())
                mark = hashlib.blake2b(f"{source}\0{known.name}\0{dataset}".encode(), digest_size=16).hexdigest()
                record = Record(
                    RecordedModel(model, parameters=one.parameters),
                    RecordedDataset(dataset, known.name, mark),
                    metric,
                    run,
                    terms=terms,
                    facts=one.facts,
                    source=source,
                )
                found.records.append(checked(plain_fields(record)))
            except RecordError as error:
                found.problems.append(Problem(f"{file.name}:{line}", str(error)))
    return found


def _measurement(
    row: Mapping[str, str], pair: tuple[str, str], source: str, found: Imported, *, percents: bool
) -> tuple[RecordedMetric, dict[str, float]]:
    """Return the metric and the value of a row; RecordError if they are missing or wrong."""
    name, value, seen = _filled(row, pair[0]), _number(row, pair[1]), found._seen
    key = (pair[0], hub_id(row["model"]), hub_id(row["dataset"]))
    if pair == ACCURACIES:
        name = " ".join(name.lower().split())
        value = _share(value, plain="%" not in row[pair[1]], percents=percents)
        given = row.get(SEED, "").strip()
        seed = _whole(given, SEED) if given else next(n for n in count() if (*key, f"{name} with seed {n}") not in seen)
        _check_new((*key, f"{name} with seed {seed}"), seen)
        found.unknown_methods |= {name}.difference(METHODS)
        parameters = {"method": name, "seed": seed, SOURCE: source}
        return RecordedMetric(TRUTH.name, 1, "truth", parameters, {TRUTH.name: 1}), {TRUTH.name: value}
    name = name.lower() if name.lower() in {TRUTH.name, *all_metrics()} else name
    if name == TRUTH.name:
        raise RecordError("Accuracies belong in the columns method and accuracy, not in metric and value.")
    _check_new((*key, name), seen)
    metric = all_metrics().get(name)
    if metric is None:
        found.unknown.add(name)
        return RecordedMetric(name, 1, "score", {SOURCE: source}, {name: 1}), {name: value}
    term, direction = (metric.terms[0].name, metric.terms[0].direction) if len(metric.terms) == 1 else (name, 1)
    kind: Literal["score", "baseline"] = "baseline" if metric.baseline else "score"
    return RecordedMetric(name, metric.version, kind, {SOURCE: source}, {term: direction}), {term: value}


def _pairs(file: Path, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the pairs of columns that a table has; InputError if it cannot be used."""
    pairs = [pair for pair in (SCORES, ACCURACIES) if names.keys() >= set(pair)]
    if names.keys() >= {"model", "dataset"} and pairs:
        return pairs
    raise InputError(
        f"{file} has the columns {', '.join(map(shown, names))}. It needs {NEEDED}; if they have other names, give "
        f"these with `columns`, as in model=checkpoint.{_advice(names)}"
    )


def _advice(names: Mapping[str, str]) -> str:
    """Return what else to do about a table that lacks columns."""
    if names.keys() >= {"model", "dataset", "accuracy"}:
        return f" Add a column method that says how the models were trained: {', '.join(METHODS)}."
    if "model" in names and "dataset" not in names:
        return " A table with one column per dataset has to become one row per model and dataset (in pandas: `melt`)."
    return ""


def _mostly_percents(texts: Iterable[str]) -> bool:
    """Return whether most of the accuracies without a sign are beyond 1, as no share is."""
    beyond = 0
    for text in texts:
        with suppress(ValueError):
            value = float(text)
            beyond += (1 < value <= 100) - (0 < value <= 1)
    return beyond > 0


def _share(value: float, *, plain: bool, percents: bool) -> float:
    """Return an accuracy from 0 to 1; RecordError if it is none, or may be a share or a percentage.

    Args:
        value: as in the table.
        plain: whether it has no percent sign.
        percents: whether the others of the table are percents.
    """
    if percents and plain:
        if 0 < value <= 1:
            raise RecordError(f"accuracy: {value:g} stands among percents; write {value:g}% or {100 * value:g}%.")
        if not 0 <= value <= 100:
            raise RecordError(f"accuracy: expected a percentage from 0 to 100, got {value:g}.")
        return value / 100
    if not 0 <= value <= 1:
        advice = "; divide percents by 100" if 1 < value <= 100 else ""
        raise RecordError(f"accuracy: expected a share from 0 to 1, got {value:g}{advice}.")
    return value


def _check_new(key: tuple[str, ...], seen: set[tuple[str, ...]]) -> None:
    """Remember what a row measured; RecordError if another row has a value of it."""
    if key in seen:
        raise RecordError(f"A second value of {key[-1]} for the same model and dataset; the first one counts.")
    seen.add(key)


def read_facts(file: Path, found: Imported) -> dict[str, TableFacts]:
    """Return the facts of models in a table; problems and ignored columns are added to what was found."""
    rows = _rows(file, {}, found, f"model, and any of {', '.join(FACTS)}")
    names = next(rows)[1]
    if "model" not in names:
        raise InputError(
            f"{file} has no column model. Its columns: {', '.join(map(shown, names))}. Facts may have: model, "
            f"{', '.join(FACTS)}."
        )
    found.ignored |= names.keys() - {"", "model", *FACTS}
    about: dict[str, TableFacts] = {}
    for line, row in rows:
        try:
            values = {name: row.get(name, "").strip() or None for name in FACTS}
            parameters = values.pop("parameters")
            number = None if parameters is None else _whole(parameters, "parameters")
            name, one = _named(row, "model"), TableFacts(RecordedFacts(**values), number)  # type: ignore[arg-type]
            if about.setdefault(name, one) != one:
                raise RecordError(f"Other facts about {shown(name)} than in an earlier row: one of the two is wrong.")
        except RecordError as error:
            found.problems.append(Problem(f"{file.name}:{line}", str(error)))
    return about


def _rows(file: Path, columns: Mapping[str, str], found: Imported, needed: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line and the values of each row by the usual names of columns; first a row with these names."""
    try:
        if file.stat().st_size > TABLE_BYTES:
            raise InputError(f"{file} has more than {TABLE_BYTES // 10**6} MB; divide it.")
        with file.open(encoding="utf-8-sig", newline="") as text:
            csv.field_size_limit(LINE_BYTES)
            first = next(filter(str.strip, text), "")
            if "\0" in first:
                raise InputError(f"{file} {NO_TEXT}")
            between = max(",;\t|", key=first.count)
            text.seek(0)
            reader = csv.reader(text, delimiter=between, strict=True)
            begins = next((row for row in reader if row and row[0].lower() != "sep="), [])  # Excel's line `sep=;`
            header = [name.strip() for name in begins]
            known = {name for name in (*USUAL, *FACTS) if name not in header}
            header = [name.lower() if name.lower() in known else name for name in header]
            _check_header(file, header, {*USUAL, *FACTS, *columns.values()}, needed)
            if missing := [name for name in columns.values() if name not in header]:
                raise InputError(f"{file} has no column {missing[0]!r}. Its columns: {', '.join(map(shown, header))}.")
            usual = {name: usual for usual, name in columns.items()}
            names = [usual.get(name, f"the other {name}" if name in columns else name) for name in header]
            if twice := [name for name in (*USUAL, *FACTS) if names.count(name) > 1]:
                raise InputError(f"{file} has several columns {twice[0]}: rename or remove the others.")
            yield reader.line_num, dict.fromkeys(names, "")
            for values in reader:
                if between != ",":
                    values = [DECIMAL_COMMA.sub(r"\1.\2", value) for value in values]
                if len(values) == len(names):
                    yield reader.line_num, dict(zip(names, values, strict=True))
                elif values:
                    reason = f"has {len(values)} values, but the table has {len(names)} columns"
                    found.problems.append(Problem(f"{file.name}:{reader.line_num}", reason))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(_why_unreadable(file, error)) from error


def _why_unreadable(file: Path, error: Exception) -> str:
    """Return why a table cannot be read, and what to do."""
    if isinstance(error, FileNotFoundError):
        return f"There is no file {file}."
    if isinstance(error, IsADirectoryError):
        return f"{file} is a folder: name the tables in it."
    if isinstance(error, UnicodeDecodeError):
        return f"{file} {NO_TEXT}"
    return f"{file} cannot be read as a table: {reason_of(error)}"


def _check_header(file: Path, header: Sequence[str], known: Set[str], needed: str) -> None:
    """Refuse a table without names of columns."""
    if not any(header):
        raise InputError(f"{file} is empty. It needs a first line with the names of its columns: {needed}.")
    if known.isdisjoint(header) and any(LIKE_DATA.search(cell) for cell in header):
        raise InputError(
            f"The first line of {file} looks like data: {', '.join(map(shown, header))}. Put a line with the names of "
            f"the columns above it: {needed}."
        )


def _filled(row: Mapping[str, str], column: str) -> str:
    value = row[column].strip()
    if not value:
        raise RecordError(f"The column {column} is empty.")
    return value


def _named(row: Mapping[str, str], column: str) -> str:
    """Return the id of a model or dataset, also of an address on the Hub."""
    name = hub_id(_filled(row, column))
    if not name.isprintable():
        raise RecordError(f"{column}: {shown(name, 40)} has characters that cannot be seen; remove them.")
    return name


def _number(row: Mapping[str, str], column: str) -> float:
    text = _filled(row, column)
    try:
        value = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        advice = "; write decimals with a point" if DECIMAL_COMMA.match(text) else ""
        raise RecordError(f"{column}: expected a finite number, got {shown(row[column], 40)!r}{advice}.")
    return value


def _whole(text: str, column: str) -> int:
    with suppress(ValueError):
        value = count_of(text)  # tables of other tools write 25000000.0
        if 0 <= value <= LARGEST:
            return value
    such = ", such as 86500000 or 86.5M" if column == "parameters" else ""
    raise RecordError(f"{column}: expected a whole number from 0 to {LARGEST:,}{such}, got {shown(text, 40)!r}.")


def summary(records: Iterable[Record]) -> dict[str, int]:
    """Return the numbers of models, datasets, scores and accuracies in records."""
    kept = list(records)
    truths = sum(one.metric is not None and one.metric.kind == "truth" for one in kept)
    return {
        "models": len({one.model.id for one in kept}),
        "datasets": len({one.dataset.id for one in kept}),
        "scores": len(kept) - truths,
        "accuracies": truths,
    }
