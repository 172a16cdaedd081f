"""`results import`, `publish`, `pull`, `merge` and `validate`: results stored in folders and on the Hub."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from hf_transfer_score.cli.ending import FAILED
from hf_transfer_score.cli.flags import Json
from hf_transfer_score.cli.output import Output, write
from hf_transfer_score.errors import OptionError, StoreError, did_you_mean
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.metrics.registry import all_metrics
from hf_transfer_score.records.exchange import Gathering, Merged, merge, pull, validate
from hf_transfer_score.records.importing import Imported, import_table, summary
from hf_transfer_score.records.place import FOLDER, FolderPlace, HubPlace, Place, local_folder, open_place
from hf_transfer_score.records.publishing import Published, publish
from hf_transfer_score.records.record import RecordedFacts
from hf_transfer_score.records.store import Problem
from hf_transfer_score.tasks import METHODS
from hf_transfer_score.text import counted, joined, shown

LONGEST_REASON, MOST_PROBLEMS, SHOWN_MODELS = 300, 20, 3
ONE = {"models": "model", "datasets": "dataset", "scores": "score", "accuracies": "accuracy"}


def results_import(
    *files: Annotated[Path, Parameter(required=True)],
    to: str,
    task: str,
    source: str,
    facts: Path | None = None,
    columns: Annotated[list[str] | None, Parameter(consume_multiple=True)] = None,
    dry_run: bool = False,
    output: Json = Output(),
) -> int:
    r"""Import tables of results.

    A table has one row per model and dataset, with the columns model, dataset, and either metric and value, or method
    (such as full, lora or probe) and accuracy (from 0 to 1). The source stays with each record, and different methods
    are never mixed. Rows that cannot be used are reported and left out.

    ```bash
    hf-transfer-score results import accuracies.csv scores.csv --to ./results --facts models.csv \
        --task image-classification --source "Our runs of 2025"
    hf-transfer-score results import runs.tsv --to ./results --task text-classification \
        --source "A paper" --column model=checkpoint accuracy=test_acc
    ```

    Args:
        files: tables with a header line, separated by commas, semicolons, tabs or bars.
        to: a folder, OWNER/NAME on the Hub, or hf://datasets/OWNER/NAME.
        task: the task of the datasets, such as image-classification.
        source: who published the tables.
        facts: a table of the models: model, family, architecture, base_model, parameters, license, pretrained_on.
        columns: other column names, such as model=checkpoint.
        dry_run: show what would be written, and write nothing.
    """
    renamed = _renamed(columns or ())
    if twice := [str(one) for one in files if files.count(one) > 1]:
        raise OptionError(f"{twice[0]} is named twice: its rows would count as repetitions.")
    found = Imported()
    for file in files:
        import_table(file, task=task, source=source, facts=facts, columns=renamed, into=found)
    found.problems = list(dict.fromkeys(found.problems))  # those of the facts only once
    if not found.records and not (output.json and found.problems):
        write(_problem_lines(found.problems))
        names = joined([str(file) for file in files])
        raise StoreError(f"No row of {names} can be used." if found.problems else f"There are no rows in {names}.")
    with quiet_client():
        place = open_place(to)
        published = publish(place, found.records, dry_run=dry_run) if found.records else Published()
    done = Merged(published, 0, tuple(found.problems))
    counts = summary(found.records)
    text = ", ".join(f"{number:,} {name if number > 1 else ONE[name]}" for name, number in counts.items() if number)
    methods = {
        str(one.metric.parameters["method"]) for one in found.records if one.metric and one.metric.kind == "truth"
    }
    text += f" by {joined(sorted(methods))}" if methods else ""
    notes = list(_import_notes(found, facts))
    facts_found = {"to": place.name, "dry_run": dry_run, **counts, **_facts(done, place), "notes": notes}
    verb = "To be imported into" if dry_run else "Imported into"
    said = "".join(f"{shown(note, LONGEST_REASON)}\n" for note in notes)
    output.show(lambda: facts_found, lambda _: f"{_done_text(done, place, verb)}{text}.\n{said}")
    return 0 if found.records else FAILED


def _import_notes(found: Imported, facts: Path | None) -> Iterator[str]:
    """Yield what to know about an import beside its rows that were left out."""
    if found.ignored:
        yield f"Columns not used: {', '.join(sorted(found.ignored))}."
    if found.percents:
        yield f"Accuracies read as percents, since most are beyond 1: {joined(sorted(found.percents))}."
    if found.unknown:
        names = _with_hints(found.unknown, all_metrics())
        yield f"Metrics not known here, of which higher is taken as better: {names}."
    if found.unknown_methods:
        names = _with_hints(found.unknown_methods, METHODS)
        yield f"Methods not known here, which count as methods of their own: {names}. Known: {', '.join(METHODS)}."
    for kind in ("dataset", "model"):
        spelt: dict[str, set[str]] = defaultdict(set)
        for one in found.records:
            name = getattr(one, kind).id
            spelt[name.casefold()].add(name)
        if several := [joined(sorted(names)) for names in spelt.values() if len(names) > 1]:
            yield f"Names of {kind}s that differ in case alone, and count as several: {'; '.join(several)}."
    without = {one.model.id for one in found.records if not one.model.parameters and one.facts == RecordedFacts()}
    if facts is not None and without:
        yield f"{facts} tells nothing about {joined(sorted(without), SHOWN_MODELS)}: names have to be the same there."


def _with_hints(names: Iterable[str], known: Iterable[str]) -> str:
    """Return names that are not known, each with the known one that it may mean."""
    near = {name: did_you_mean(name.lower(), known).strip() for name in sorted(names)}
    return ", ".join(f"{name} ({hint})" if hint else name for name, hint in near.items())


def _renamed(columns: Sequence[str]) -> dict[str, str]:
    """Return the names of columns in a table by their usual names."""
    found: dict[str, str] = {}
    for text in columns:
        name, sign, told = text.partition("=")
        if not (name and sign and told):
            raise OptionError(f"`columns` {text!r}: expected NAME=COLUMN, such as model=checkpoint.")
        if found.setdefault(name, told) != told:
            raise OptionError(f"`columns` names two columns for {name}: {found[name]} and {told}.")
    return found


def results_publish(
    *folders: Annotated[str, Parameter(required=True)],
    to: str,
    create_pr: bool = False,
    private: bool = False,
    dry_run: bool = False,
    output: Json = Output(),
) -> int:
    """Publish results on the Hub.

    The records of folders, as `rank --save FOLDER` writes them, are checked and added to a dataset repository on the
    Hub, which is created if needed. Existing records stay, unless yours are newer. Many people can publish to one
    repository at the same time, and no records are lost. A table of all records, for the dataset viewer, and a card are
    updated too.

    Writing needs a token (`hf auth login`, or HF_TOKEN). Without write access, propose the records with `--create-pr`.

    ```bash
    hf-transfer-score results publish ./results --to owner/results
    hf-transfer-score results publish ./results --to community/results --create-pr
    hf-transfer-score results publish ./monday ./tuesday --to owner/results --dry-run
    ```

    Args:
        folders: folders of `rank --save`.
        to: a folder, OWNER/NAME on the Hub, or hf://datasets/OWNER/NAME.
        create_pr: propose the records as a pull request.
        private: make a new repository private.
        dry_run: show what would be written, and write nothing.
    """
    with quiet_client():
        place, gathering = open_place(to, private=private, create_pr=create_pr), Gathering()
        sources = [FolderPlace(local_folder(folder)) for folder in folders]
        records = [record for source in sources for record in gathering.records(source)]
        problems = gathering.problems
        if not records and not (output.json and problems):
            write(_problem_lines(problems))
            names = " or ".join(source.name for source in sources)
            raise StoreError(
                f"There is no valid record in {names}: `rank --save FOLDER` writes them to FOLDER/records."
            )
        published = publish(place, records, dry_run=dry_run) if records else Published()
    done = Merged(published, 0, tuple(problems))
    verb = "To be written to" if dry_run else "Published to"
    facts = {"to": place.name, "dry_run": dry_run, **_facts(done, place)}
    output.show(lambda: facts, lambda _: _done_text(done, place, verb))
    return 0 if records else FAILED


def results_pull(source: str, /, *, into: Path, output: Json = Output()) -> int:
    """Copy shared results to a folder.

    A second call reads only what changed. Invalid records are reported and left out; newer records of yours stay.

    ```bash
    hf-transfer-score results pull owner/results --into ./results
    ```

    Args:
        source: a folder, OWNER/NAME on the Hub, or hf://datasets/OWNER/NAME.
        into: the folder, created if needed.
    """
    with quiet_client():
        place, target = open_place(source), FolderPlace(local_folder(into))
        done = pull(place, target)
    facts = {"source": place.name, "into": target.name, **_facts(done, target)}
    output.show(lambda: facts, lambda _: _done_text(done, target, f"Pulled from {place.name} into"))
    return 0


def results_merge(*sources: str, into: str, output: Json = Output()) -> int:
    """Merge results from several places.

    Of records with the same identity (model, dataset and metric, with all their options) the newest one is kept.
    Without sources it only updates the table of a repository, which is needed after pull requests were merged.

    ```bash
    hf-transfer-score results merge ./monday ./tuesday --into ./results
    hf-transfer-score results merge --into owner/results
    ```

    Args:
        sources: folders, OWNER/NAME on the Hub, or hf://datasets/OWNER/NAME.
        into: where to merge them, a folder or OWNER/NAME on the Hub; write a new folder as ./a/b.
    """
    with quiet_client():
        target = open_place(into)
        done = merge([open_place(source) for source in sources], target)
    if sources:
        text = _done_text(done, target, "Merged into")
    elif target.shared:
        text = f"The table of {target.name} is up to date.\n"
    else:
        text = f"{target.name} is a folder: there is no table to update.\n"
    output.show(lambda: {"into": target.name, **_facts(done, target)}, lambda _: text)
    return 0


def results_validate(store: str, /, *, output: Json = Output()) -> int:
    """Check stored results.

    Each file has to be a record of a known version, named by its identity, in the folder of its model, and listed in
    the table. The exit status is 1 if anything is wrong.

    ```bash
    hf-transfer-score results validate ./results
    hf-transfer-score results validate owner/results --json
    ```

    Args:
        store: a folder, OWNER/NAME on the Hub, or hf://datasets/OWNER/NAME.
    """
    with quiet_client():
        place = open_place(store)
        found = validate(place)
    problems = found.problems
    state = counted(len(problems), "problem") if problems else "all valid" if found.checked else f"none below {FOLDER}"
    said = f"{_problem_lines(problems, 'wrong')}{place.name}: {counted(found.checked, 'record')}, {state}.\n"
    facts = {"store": place.name, "records": found.checked, "valid": not problems, "problems": _plain(problems)}
    output.show(lambda: facts, lambda _: said)
    return FAILED if problems else 0


def _done_text(done: Merged, place: Place, verb: str) -> str:
    """Return what was done with records: the bad ones first, then the counts, then the address."""
    published = done.published
    counts = [f"{published.written} written", f"{done.unchanged} unchanged"]
    if published.replaced:
        counts[0] += f" ({published.replaced} of them instead of older ones)"
    if published.older:
        counts.append(f"{published.older} older than the existing ones")
    if done.problems:
        counts.append(f"{len(done.problems)} bad and left out")
    text = f"{_problem_lines(done.problems)}{verb} {place.name}: {', '.join(counts)}.\n"
    if isinstance(place, HubPlace) and published.version_or_url:
        text += f"{_address(place, published.version_or_url)}\n"
    return text


def _address(place: HubPlace, version_or_url: str) -> str:
    return version_or_url if "://" in version_or_url else place.url


def _facts(done: Merged, place: Place) -> dict[str, Any]:
    published, named = done.published, done.published.version_or_url
    url = _address(place, named) if isinstance(place, HubPlace) else None
    return {
        "written": published.written,
        "replaced": published.replaced,
        "unchanged": done.unchanged,
        "older": published.older,
        "version": None if named == url else named or None,
        "url": url,
        "problems": _plain(done.problems),
    }


def _plain(problems: Sequence[Problem]) -> list[dict[str, str]]:
    return [{"path": problem.path, "reason": problem.reason} for problem in problems]


def _problem_lines(problems: Sequence[Problem], word: str = "bad") -> str:
    """Return one line per bad file or row, of very many the first ones."""
    lines = [f"{word}: {shown(f'{one.path}: {one.reason}', LONGEST_REASON)}\n" for one in problems[:MOST_PROBLEMS]]
    more = len(problems) - len(lines)
    return "".join([*lines, f"{word}: {more:,} more like these\n" if more else ""])
