"""The command `card`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_transfer_score.atomic import write_bytes
from hf_transfer_score.cards.evidence import Evidence, gather
from hf_transfer_score.errors import InputError, NoSpaceError, OptionError, StoreError
from hf_transfer_score.metrics.registry import get_metric
from hf_transfer_score.results.place import Place
from hf_transfer_score.results.record import Record

if TYPE_CHECKING:
    from hf_transfer_score.cli.tables import Page

NEAREST = 5
SAID = {
    "proposed": "Proposed at {where}",
    "pending": "Nothing to do: an open pull request says the same, {where}",
    "written": "Written to {model} as commit {where}",
    "unchanged": "Nothing to do: the card of {model} says the same already",
}


def run(
    arguments: argparse.Namespace,
    *,
    page: Callable[[int], Page],
    write: Callable[[str], None],
    write_json: Callable[[Any], None],
) -> int:
    """Run `card` and return its exit status."""
    _check(arguments)
    if arguments.metric is not None:
        text = metric_text(arguments.metric)
        if not arguments.json:
            return _finish(text, arguments, write)
        write_json({"metric": arguments.metric, "card": text})
        return 0
    evidence = collect(arguments.model, _place(arguments.results), dataset=arguments.dataset)
    files = _eval_files(evidence, arguments)
    if arguments.push:
        return _push(evidence, files, arguments, write, write_json)
    if arguments.json:
        write_json(_plain(evidence, files))
        return 0
    if files is not None:
        return _write_files(files, arguments.out, write)
    from hf_transfer_score.cards.model_card import model_card

    existing = _existing(arguments.out)
    return _finish(model_card(evidence, existing, metadata=not arguments.no_metadata), arguments, write)


def _check(arguments: argparse.Namespace) -> None:
    if (arguments.model is None) is (arguments.metric is None):
        raise OptionError("card: name a MODEL, or a metric with --metric NAME.")
    if arguments.create_pr and not arguments.push:
        raise OptionError("--create-pr says how to --push: give both.")
    if arguments.metric is not None and (arguments.push or arguments.eval_results):
        raise OptionError("--push and --eval-results are for models, and --metric names a metric.")
    if arguments.push and arguments.out is not None:
        raise OptionError("--push writes to the Hub and --out to a file: give one of them.")
    if arguments.eval_task is not None and not arguments.eval_results:
        raise OptionError("--eval-task says which task --eval-results are for: give both.")


def _place(text: str | None) -> Place:
    from hf_transfer_score.results.place import open_place
    from hf_transfer_score.results.shipped import shipped_place

    return shipped_place() if text is None else open_place(text)


def collect(model: str, place: Place, *, dataset: str | None = None) -> Evidence:
    """Return what the records of a place say of a model, with its place in the pools of its samples.

    Args:
        model: the id, as the records have it.
        place: of the records.
        dataset: the only dataset that counts; None for all.
    """
    from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
    from hf_transfer_score.leaderboard.library import cache_file
    from hf_transfer_score.leaderboard.pages.model_card import standings
    from hf_transfer_score.results.store import load

    loaded = load(place, cache=cache_file(place) if place.shared else None)
    if not loaded.version:
        raise StoreError(f"There are no results at {place.name}: check the name.")
    catalogue = Catalogue(loaded.table)
    found = catalogue.model_records(model)
    records = [one for one in found if dataset in (None, one.dataset.id)]
    if not records:
        raise StoreError(_nothing(model, place, dataset, catalogue.models(), found))
    return gather(model, records, standings(catalogue, model, records), source=place.name if place.shared else None)


def _nothing(model: str, place: Place, dataset: str | None, models: list[str], found: list[Record]) -> str:
    import difflib

    if found:
        names = ", ".join(sorted({one.dataset.id for one in found}))
        return f"{place.name} has no record of {model} on {dataset}. It has some on: {names}."
    near = difflib.get_close_matches(model, models, NEAREST) or models[:NEAREST]
    more = f" It has {len(models)} models, such as {', '.join(near)}." if near else " It has none at all."
    return f"{place.name} has no record of {model}.{more}"


def metric_text(name: str) -> str:
    """Return the card of a metric."""
    from hf_transfer_score.cards.metric_card import metric_card
    from hf_transfer_score.cli.metric_guide import metric_guide

    metric = get_metric(name)
    return metric_card(metric, metric_guide(metric))


def _eval_files(evidence: Evidence, arguments: argparse.Namespace) -> dict[str, bytes] | None:
    if not arguments.eval_results:
        return None
    from hf_transfer_score.cards.eval_results import eval_result_files

    return eval_result_files(evidence, task=arguments.eval_task)


def _push(
    evidence: Evidence,
    files: dict[str, bytes] | None,
    arguments: argparse.Namespace,
    write: Callable[[str], None],
    write_json: Callable[[Any], None],
) -> int:
    from hf_transfer_score.cards.pushing import push_card

    pushed = push_card(evidence, create_pr=arguments.create_pr, metadata=not arguments.no_metadata, files=files)
    if arguments.json:
        write_json({"model": evidence.model, "state": pushed.state, "where": pushed.where})
    else:
        write(SAID[pushed.state].format(where=pushed.where, model=evidence.model) + "\n")
    return 0


def _plain(evidence: Evidence, files: dict[str, bytes] | None) -> dict[str, Any]:
    from hf_transfer_score.cards.metadata import model_index, model_name
    from hf_transfer_score.cards.model_card import model_section

    name = model_name(evidence.model)
    found: dict[str, Any] = {"model": evidence.model, "section": model_section(evidence)}
    found["model-index"] = [{"name": name, "results": model_index(evidence)}]
    if files is not None:
        found["eval_results"] = {path: content.decode() for path, content in files.items()}
    return found


def _write_files(files: dict[str, bytes], out: Path | None, write: Callable[[str], None]) -> int:
    if out is not None and len(files) > 1:
        raise OptionError(f"--out {out}: there are {len(files)} files, {', '.join(files)}; leave --out away.")
    for path, content in files.items():
        if out is not None:
            _save(out, content.decode())
            write(f"Wrote {out}\n")
        else:
            write(f"# {path}\n{content.decode()}")
    return 0


def _existing(out: Path | None) -> str:
    """Return the card that a file holds, with its own line ends."""
    if out is None or not out.exists():
        return ""
    try:
        return out.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{out} cannot be read as a card: {error}. Name another file for --out.") from None


def _save(out: Path, text: str) -> None:
    """Write a file, so that a card that is there is replaced as a whole or not at all."""
    try:
        write_bytes(out, text.encode())
    except NoSpaceError:
        raise
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}.") from None


def _finish(text: str, arguments: argparse.Namespace, write: Callable[[str], None]) -> int:
    if arguments.out is None:
        write(text)
        return 0
    if text == _existing(arguments.out):
        write(f"Nothing to do: {arguments.out} says the same already\n")
        return 0
    _save(arguments.out, text)
    write(f"Wrote {arguments.out}\n")
    return 0
