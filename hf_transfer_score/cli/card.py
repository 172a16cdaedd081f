"""`card`: a model card from stored results, or the card of a metric."""

import difflib
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from hf_transfer_score.cards.evidence import Evidence, gather
from hf_transfer_score.cli.flags import Json
from hf_transfer_score.cli.metrics import metric_guide
from hf_transfer_score.cli.output import Output, write
from hf_transfer_score.errors import InputError, NoSpaceError, OptionError, StoreError
from hf_transfer_score.home import write_bytes
from hf_transfer_score.metrics.registry import get_metric
from hf_transfer_score.records.place import Place

NEAREST = 5
SAID = {
    "proposed": "Proposed at {where}",
    "pending": "Nothing to do: an open pull request has the same card, {where}",
    "written": "Written to {model} as commit {where}",
    "unchanged": "Nothing to do: the card of {model} is up to date",
}
WRITING = Group("Writing", sort_key=10)


def card(
    model: str | None = None,
    /,
    *,
    metric: str | None = None,
    results: str | None = None,
    dataset: str | None = None,
    metadata: Annotated[bool, Parameter(negative="--no-metadata")] = True,
    eval_results: bool = False,
    eval_task: str | None = None,
    out: Annotated[Path | None, Parameter(group=WRITING)] = None,
    push: Annotated[bool, Parameter(group=WRITING)] = False,
    create_pr: Annotated[bool, Parameter(group=WRITING)] = False,
    output: Json = Output(),
) -> int:
    """Write a model card from stored results.

    It writes a section of the model card, with model-index metadata: what was measured, on which sample, what it means,
    how to measure it again, and what to cite. The rest of an existing card stays as it is; an older section of ours is
    replaced. With `--metric` it writes the card of a metric instead.

    ```bash
    hf-transfer-score card timm/resnet50.a1_in1k --results ./results
    hf-transfer-score card timm/resnet50.a1_in1k --results OWNER/results --push --create-pr
    hf-transfer-score card --metric face
    ```

    Args:
        model: its name in the records: OWNER/NAME, or a folder's name.
        metric: write the card of this metric instead.
        results: where the records are, a folder or OWNER/NAME; by default those of the package.
        dataset: use only records of this dataset.
        metadata: add model-index metadata to the section.
        eval_results: write measured accuracies as .eval_results/*.yaml, for datasets that are benchmarks on the Hub;
            with --push in the same commit, else instead of the card.
        eval_task: the task of the benchmark, if it has several.
        out: write to this file; an existing card gets the section.
        push: write to the model's page on the Hub.
        create_pr: with --push, propose it as a pull request.
    """
    wrong = {
        "card: name a MODEL, or a metric with --metric NAME.": (model is None) is (metric is None),
        "`create_pr` is for `push`: use both.": create_pr and not push,
        "`push` and `eval_results` are for models, and `metric` names a metric.": metric and (push or eval_results),
        "`push` writes to the Hub and `out` to a file: use one of them.": push and out is not None,
        "`eval_task` names the task of `eval_results`: use both.": eval_task and not eval_results,
    }
    if said := next((said for said, holds in wrong.items() if holds), None):
        raise OptionError(said)
    if metric is not None:
        text = metric_text(metric)
        return _finish({"metric": metric, "card": text}, text, out, output)
    from hf_transfer_score.cards.metadata import eval_result_files
    from hf_transfer_score.cards.model_card import model_card, push_card

    evidence = collect(str(model), _place(results), dataset=dataset)
    files = eval_result_files(evidence, eval_task=eval_task) if eval_results else None
    if push:
        pushed = push_card(evidence, create_pr=create_pr, metadata=metadata, files=files)
        done = {"model": evidence.model, "state": pushed.state, "where": pushed.where}
        output.show(lambda: done, lambda _: f"{SAID[pushed.state].format(**done)}\n")
        return 0
    if files is not None and not output.json:
        return _write_files(files, out)
    text = "" if output.json else model_card(evidence, _existing(out), metadata=metadata)
    return _finish(_plain(evidence, files) if output.json else {}, text, out, output)


def _place(text: str | None) -> Place:
    from hf_transfer_score.records.place import places_of
    from hf_transfer_score.records.shipped import shipped_place

    return shipped_place() if text is None else places_of(text)[0]


def collect(model: str, place: Place, *, dataset: str | None = None) -> Evidence:
    """Return the evidence on a model in stored results, on one dataset or all, with its rank in their pools."""
    from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
    from hf_transfer_score.leaderboard.pages.model_page import standings
    from hf_transfer_score.records.shipped import ShippedPlace
    from hf_transfer_score.records.store import cache_file, load

    loaded = load(place, cache=cache_file(place) if place.shared else None)
    catalogue = Catalogue(loaded.table)
    found = catalogue.model_records(model)
    records = [one for one in found if dataset in (None, one.dataset.id)]
    if not records:
        if found:
            names = ", ".join(sorted({one.dataset.id for one in found}))
            raise StoreError(f"{place.name} has no record of {model} on {dataset}, only on: {names}.")
        models = catalogue.models()
        near = difflib.get_close_matches(model, models, NEAREST) or models[:NEAREST]
        more = (
            f" There are {len(models)} models, such as {', '.join(near)}." if near else " There are no records at all."
        )
        if isinstance(place, ShippedPlace):
            own = "Name your own with --results, such as the folder of `rank --save`."
            raise StoreError(f"The results that ship with the package have no record of {model}. {own}{more}")
        raise StoreError(f"{place.name} has no record of {model}.{more}")
    return gather(model, records, standings(catalogue, model, records), source=place.name if place.shared else None)


def metric_text(name: str) -> str:
    """Return the card of a metric."""
    from hf_transfer_score.cards.model_card import metric_card

    metric = get_metric(name)
    return metric_card(metric, metric_guide(metric))


def _plain(evidence: Evidence, files: dict[str, bytes] | None) -> dict[str, Any]:
    from hf_transfer_score.cards.metadata import model_index, model_name
    from hf_transfer_score.cards.model_card import model_section

    name = model_name(evidence.model)
    found: dict[str, Any] = {"model": evidence.model, "section": model_section(evidence)}
    found["model-index"] = [{"name": name, "results": model_index(evidence)}]
    if files is not None:
        found["eval_results"] = {path: content.decode() for path, content in files.items()}
    return found


def _write_files(files: dict[str, bytes], out: Path | None) -> int:
    if out is not None and len(files) > 1:
        raise OptionError(f"--out {out}: there are {len(files)} files, {', '.join(files)}; do not use --out.")
    for path, content in files.items():
        if out is None:
            write(f"# {path}\n{content.decode()}")
        else:
            _save(out, content.decode())
    return 0


def _existing(out: Path | None) -> str:
    """Return the card in a file, with its line ends."""
    if out is None or not out.exists():
        return ""
    try:
        return out.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{out} cannot be read as a card: {error}. Name another file for --out.") from None


def _save(out: Path, text: str) -> None:
    """Write a file; an existing card is replaced as a whole or not at all."""
    try:
        write_bytes(out, text.encode())
    except NoSpaceError:
        raise
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror or error}.") from None
    write(f"Wrote {out}\n")


def _finish(facts: dict[str, Any], text: str, out: Path | None, output: Output) -> int:
    """Print a card, or write it if that changes something."""
    if output.json or out is None:
        output.show(lambda: facts, lambda _: text)
    elif text == _existing(out):
        write(f"Nothing to do: {out} is up to date\n")
    else:
        _save(out, text)
    return 0
