"""`reproduce`: a published table, and new scores of its models beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from hf_transfer_score.cli.ending import FAILED
from hf_transfer_score.cli.flags import RUNNING, Json, Whole
from hf_transfer_score.cli.output import Output, Page, render
from hf_transfer_score.cli.tables import MISSING, Group, Note, groups_text, notes_table, number
from hf_transfer_score.errors import OptionError
from hf_transfer_score.reproduction import PublishedModel, PublishedTable, published_table

if TYPE_CHECKING:
    from hf_transfer_score.ranking.agreement import Agreement
    from hf_transfer_score.ranking.models import RankedModel
    from hf_transfer_score.runs.report import RankReport

MAX_SAMPLES = 5000

PREPARED = (
    "images are prepared by timm's configuration of each checkpoint (size, crop, interpolation, normalisation), not by "
    "the authors' loader, so raw terms differ from theirs even with the same weights"
)


@dataclass(frozen=True)
class Rescored:
    """The report of a new run, and the name in the table of each of its checkpoints."""

    report: RankReport
    names: Mapping[str, str]

    @property
    def models(self) -> dict[str, RankedModel]:
        """The models, by their name in the table."""
        return {self.names[one.model]: one for one in self.report.models.values()}

    @property
    def metrics(self) -> list[str]:
        """The metrics to show, without trivial baselines."""
        from hf_transfer_score.runs.scoring import BASELINES

        return [name for name in self.report.pools if name not in BASELINES]

    def scores(self, metric: str) -> dict[str, float]:
        """Return the pool scores of a metric, by name in the table."""
        return {self.names[name]: score for name, score in self.report.pools[metric].scores.items()}

    def ranks(self, metric: str) -> dict[str, int]:
        """Return the ranks of a metric, by name in the table."""
        return {self.names[name]: rank for name, rank in self.report.pools[metric].ranks.items()}


@dataclass(frozen=True)
class Rescoring:
    """How the models of a table are scored again.

    Attributes:
        run: score the nearest checkpoints on the Hub (needs the network).
        max_samples: number of examples.
        per_class: draw this many examples of each class instead.
        batch_size: examples per forward pass; found automatically by default.
        device: cpu, cuda, cuda:1, mps; by default an accelerator if there is one.
        free_disk: remove downloaded weights once they are scored.
        quiet: print no plan and no progress.
    """

    run: bool = False
    max_samples: Whole = MAX_SAMPLES
    per_class: Whole = None
    batch_size: Whole = None
    device: str | None = None
    free_disk: bool = False
    quiet: bool = False


def reproduce(
    table: str,
    /,
    *,
    running: Annotated[Rescoring, Parameter(name="*", group=RUNNING)] = Rescoring(),
    output: Json = Output(),
) -> int:
    """Print a published table, and score its models again.

    The table shows published scores and accuracies after fine-tuning, how well they agree, and the source of each
    number. It ships with the package and needs no network.

    With `--run`, the checkpoints on the Hub that are nearest to the models of the table are scored on the same dataset,
    as `rank` does, and both are shown side by side. A missing checkpoint is listed with the reason.

    ```bash
    hf-transfer-score reproduce ncti-cifar10
    hf-transfer-score reproduce ncti-cifar10 --run --per-class 100
    ```

    Args:
        table: ncti-cifar10, NCTI of eleven ImageNet models for CIFAR-10.
    """
    published = published_table(table)
    given = [name for name, value in vars(running).items() if value != getattr(Rescoring, name)]
    if given and not running.run:
        raise OptionError(f"`{given[0]}` says how models are scored again: add `run`, or leave it out.")
    rescored = _rescored(published, running) if running.run else None
    output.show(lambda: _facts(published, rescored), lambda page: _text(published, rescored, page))
    return FAILED if rescored is not None and not rescored.report.ranks else 0


def _rescored(table: PublishedTable, running: Rescoring) -> Rescored:
    """Score the nearest checkpoints on the Hub."""
    from hf_transfer_score.cli.progress import watching
    from hf_transfer_score.features.extract import ExtractOptions
    from hf_transfer_score.runs.options import RankOptions
    from hf_transfer_score.runs.run import rank
    from hf_transfer_score.sampling.sample import SampleOptions

    source = table.source
    sample = SampleOptions(
        split=source.split,
        label_column=source.label_column,
        input_columns=(source.input_column,),
        max_samples=running.max_samples or MAX_SAMPLES,
        per_class=running.per_class,
    )
    extract = ExtractOptions(batch_size=running.batch_size, device=running.device)
    options = RankOptions(sample=sample, extract=extract, free_disk=running.free_disk, replicates=0)
    names = {checkpoint: name for name, checkpoint in table.checkpoints.items()}
    with watching(quiet=running.quiet) as listener:
        report = rank(source.dataset, list(names), options=options, listener=listener)
    return Rescored(report, names)


def _text(table: PublishedTable, rescored: Rescored | None, page: Page) -> str:
    """Return the table as text, with notes on the source of each number."""
    models = table.models
    scored = {one.name: (str(one.score_rank), number(one.score)) for one in models}
    tuned = {one.name: (str(one.accuracy_rank), f"{one.accuracy:.2%}") for one in models}
    groups = [
        Group(f"{table.source.scored_by} published", ("rank", "score"), scored),
        Group("fine-tuned", ("rank", "accuracy"), tuned),
    ]
    if rescored is not None:
        for metric in rescored.metrics:
            scores, ranks = rescored.scores(metric), rescored.ranks(metric)
            cells = {name: (str(ranks[name]), number(score)) for name, score in scores.items()}
            groups.append(Group(f"{metric} now", ("rank", "score"), cells))
        used = {one.name: (_checkpoint(one, rescored),) for one in models}
        groups.append(Group("", ("checkpoint",), used))
    parts = ["", *_sentences(table, rescored), *notes_table(_notes(table, rescored))]
    head = render([table.source.title, ""], page)
    body = groups_text([one.name for one in models], groups, page, failed={})
    return head + body.rstrip("\n") + "\n" + render(parts, page)


def _checkpoint(one: PublishedModel, rescored: Rescored) -> str:
    if one.checkpoint.id is None:
        return MISSING
    failed = rescored.models[one.name].status != "ok"
    mark = "failed: " if failed else "" if one.checkpoint.same_weights else "* "
    return f"{mark}{one.checkpoint.id}"


def _sentences(table: PublishedTable, rescored: Rescored | None) -> list[str]:
    lines = [f"Published scores and accuracies: {_agreement_text(table.agreement)}."]
    if rescored is None:
        return lines
    scores: dict[str, dict[str, float]] = {metric: rescored.scores(metric) for metric in rescored.metrics}
    for metric, found in scores.items():
        lines.append(f"{metric} now and the accuracies: {_agreement_text(table.agreement_of(found))}.")
    first = next(iter(scores.values()), {})
    if len(first) < len(table.models):
        beside = table.published_agreement_of(first)
        lines.append(f"Published scores of those scored now: {_agreement_text(beside)}.")
    return lines


def _agreement_text(found: Agreement) -> str:
    """Return an agreement in words, with its interval if there are enough models."""
    if found.weighted_tau is None or found.tau is None:
        return f"{found.models} models, no agreement is defined"
    ends = found.weighted_tau_interval
    interval = "" if ends is None else f" ({found.level:.0%} interval over models {ends[0]:.2f} to {ends[1]:.2f})"
    doubt = "" if found.enough else f"; {found.warning}".rstrip(".")
    return f"{found.models} models, τ_w {found.weighted_tau:.3f}{interval}, Kendall τ {found.tau:.4f}{doubt}"


def _notes(table: PublishedTable, rescored: Rescored | None) -> list[Note]:
    notes = [Note(kind, text) for kind, text in table.origins.items()]
    notes += [Note("note", text) for text in table.source.remarks]
    if rescored is None:
        return [*notes, Note("note", "add --run to score the nearest checkpoints on the Hub too")]
    sample = rescored.report.sample
    about = f"scored on {len(sample):,} examples of {sample.source.dataset}, split {table.source.split}"
    notes.append(Note("now", f"{about}, with features of one forward pass"))
    notes.append(Note("note", PREPARED))
    for one in table.models:
        if one.checkpoint.note:
            near = f" * {one.checkpoint.id}" if one.checkpoint.id else ""
            notes.append(Note("note", f"{one.name}{near}: {one.checkpoint.note}"))
    failed = {name: one for name, one in rescored.models.items() if one.status != "ok"}
    notes += [Note("failed", f"{one.model} ({name}): {one.kind}: {one.reason}") for name, one in failed.items()]
    return [*notes, *(Note("note", text) for text in rescored.report.notes)]


def _facts(table: PublishedTable, rescored: Rescored | None) -> dict[str, Any]:
    """Return the table as plain values that JSON can hold."""
    found: dict[str, Any] = {
        "table": table.name,
        "title": table.source.title,
        "dataset": table.source.dataset,
        "sources": {**table.origins},
        "remarks": list(table.source.remarks),
        "agreement": asdict(table.agreement),
        "models": [asdict(one) for one in table.models],
        "run": None,
    }
    if rescored is not None:
        found["run"] = {
            "agreement": {one: asdict(table.agreement_of(rescored.scores(one))) for one in rescored.metrics},
            "scores": {one: rescored.scores(one) for one in rescored.metrics},
            "ranks": {one: rescored.ranks(one) for one in rescored.metrics},
            "preparation": PREPARED,
            "report": rescored.report.as_dict(),
        }
    return found
