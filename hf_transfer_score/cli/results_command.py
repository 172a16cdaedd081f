"""The commands `publish`, `pull`, `merge` and `validate`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from hf_transfer_score.cli.tables import Page
from hf_transfer_score.errors import StoreError
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.results.exchange import Gathering, Merged, merge, pull, validate
from hf_transfer_score.results.place import FolderPlace, HubPlace, Place, local_folder, open_place
from hf_transfer_score.results.publishing import publish
from hf_transfer_score.results.store import Problem
from hf_transfer_score.text import shown

FAILED = 1
LONGEST_REASON = 300

Write = Callable[[str], None]
WriteJson = Callable[[Any], None]


def run(arguments: argparse.Namespace, *, page: Callable[[int], Page], write: Write, write_json: WriteJson) -> int:
    """Run a command about stored results and return its exit status."""
    commands = {"publish": _publish, "pull": _pull, "merge": _merge, "validate": _validate}
    with quiet_client():
        return commands[arguments.command](arguments, write, write_json)


def _publish(arguments: argparse.Namespace, write: Write, write_json: WriteJson) -> int:
    place = open_place(arguments.to, private=arguments.private, create_pr=arguments.create_pr)
    gathering = Gathering()
    folders = [FolderPlace(local_folder(folder)) for folder in arguments.folders]
    records = [record for folder in folders for record in gathering.records(folder)]
    if not records and not arguments.json:
        write(_problems_text(gathering.problems))
    if not records and (not arguments.json or not gathering.problems):
        names = " or ".join(folder.name for folder in folders)
        raise StoreError(f"There is no valid record in {names}: `rank --save FOLDER` writes them to FOLDER/records.")
    published = publish(place, records, dry_run=arguments.dry_run) if records else None
    done = Merged(published, 0, tuple(gathering.problems)) if published else None
    if arguments.json:
        write_json({"to": place.name, "dry_run": arguments.dry_run, **_facts(done, place, gathering.problems)})
    elif done is not None:
        _write_done(done, place, write, verb="To be written to" if arguments.dry_run else "Published to")
    return 0 if records else FAILED


def _pull(arguments: argparse.Namespace, write: Write, write_json: WriteJson) -> int:
    source, target = open_place(arguments.source), FolderPlace(local_folder(arguments.into))
    done = pull(source, target)
    if arguments.json:
        write_json({"source": source.name, "into": target.name, **_facts(done, target, done.problems)})
    else:
        _write_done(done, target, write, verb=f"Pulled from {source.name} into")
    return 0


def _merge(arguments: argparse.Namespace, write: Write, write_json: WriteJson) -> int:
    into = open_place(arguments.into)
    done = merge([open_place(source) for source in arguments.sources], into)
    if arguments.json:
        write_json({"into": into.name, **_facts(done, into, done.problems)})
    elif arguments.sources:
        _write_done(done, into, write, verb="Merged into")
    else:
        write(f"The table of {into.name} is in step with its records.\n" if into.shared else _no_table(into))
    return 0


def _no_table(place: Place) -> str:
    return f"{place.name} is a folder: there is no table to bring in step with its records.\n"


def _validate(arguments: argparse.Namespace, write: Write, write_json: WriteJson) -> int:
    place = open_place(arguments.store)
    found = validate(place)
    if arguments.json:
        problems = [_problem(one) for one in found.problems]
        write_json({"store": place.name, "records": found.checked, "valid": not problems, "problems": problems})
    else:
        write(_problems_text(found.problems, "wrong"))
        state = f"{_count(len(found.problems), 'problem')}" if found.problems else "all as they should be"
        write(f"{place.name}: {_count(found.checked, 'record')}, {state}.\n")
    return FAILED if found.problems else 0


def _write_done(done: Merged, place: Place, write: Write, *, verb: str) -> None:
    """Write what became of records: the bad ones first, then the counts, then where they are."""
    write(_problems_text(done.problems))
    published = done.published
    counts = [f"{published.written} written", f"{done.unchanged} unchanged"]
    if published.older:
        counts.append(f"{published.older} older than what is there")
    if done.problems:
        counts.append(f"{len(done.problems)} bad and left out")
    write(f"{verb} {place.name}: {', '.join(counts)}.\n")
    if isinstance(place, HubPlace) and published.version_or_url:
        write(f"{_address(place, published.version_or_url)}\n")


def _address(place: HubPlace, version_or_url: str) -> str:
    return version_or_url if "://" in version_or_url else place.url


def _facts(done: Merged | None, place: Place, problems: Sequence[Problem]) -> dict[str, Any]:
    published = done.published if done else None
    url = _address(place, published.version_or_url) if published and isinstance(place, HubPlace) else None
    return {
        "written": published.written if published else 0,
        "unchanged": done.unchanged if done else 0,
        "older": published.older if published else 0,
        "version": published.version_or_url if published and published.version_or_url != url else None,
        "url": url,
        "problems": [_problem(problem) for problem in problems],
    }


def _problem(problem: Problem) -> dict[str, str]:
    return {"path": problem.path, "reason": problem.reason}


def _problems_text(problems: Sequence[Problem], word: str = "bad") -> str:
    """Return a line for each file that is not as it should be."""
    return "".join(f"{word}: {shown(f'{one.path}: {one.reason}', LONGEST_REASON)}\n" for one in problems)


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"
