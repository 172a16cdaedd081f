"""`verify`: fine-tune the best candidates, and see how well the ranking predicted."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group as FlagGroup
from cyclopts import Parameter

from hf_transfer_score.cli.ending import FAILED, interrupted_status, leave_at_once, leaving_at_once
from hf_transfer_score.cli.engine import EngineFlags, Engines
from hf_transfer_score.cli.flags import (
    RUNNING,
    AskedSearch,
    CandidateFlags,
    Candidates,
    Json,
    Scoring,
    ScoringFlags,
    TaskName,
    VerifyFlags,
    Whole,
    comma_list,
    converted,
    rank_options,
    search_of,
)
from hf_transfer_score.cli.naming import with_flags
from hf_transfer_score.cli.output import Output, Page, Status, render, say, status, words
from hf_transfer_score.cli.progress import watching
from hf_transfer_score.cli.rank import check_folder
from hf_transfer_score.cli.ranking_text import report_text
from hf_transfer_score.cli.tables import MISSING, Group, Note, grouped, groups_text, notes_table, table_of
from hf_transfer_score.errors import OptionError
from hf_transfer_score.finetune.fine_tune import FineTuningResult
from hf_transfer_score.finetune.recipe import Method
from hf_transfer_score.hub.downloads import at_work
from hf_transfer_score.metrics.registry import all_metrics
from hf_transfer_score.ranking.agreement import Agreement
from hf_transfer_score.runs.expected import ExpectedTime
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.report import Interrupted, RankReport
from hf_transfer_score.runs.verified import Verified, VerifyOptions, VerifyReport
from hf_transfer_score.runs.verifying import VerifyListener
from hf_transfer_score.runs.verifying import verify as run_verify
from hf_transfer_score.sampling.sample import LabelledSample, sample_line
from hf_transfer_score.text import duration, short_count, shown

TUNING = FlagGroup("Fine-tuning", sort_key=1.5)


def _whole(text: str) -> int:
    if not text.isdigit():
        raise ValueError(text)
    return int(text)


def check_adapters(method: str, rank: int | None, alpha: float | None) -> None:
    """Refuse the settings of adapters where none are trained."""
    if method != "lora" and (rank is not None or alpha is not None):
        flag = "--lora-alpha" if rank is None else "--lora-rank"
        raise OptionError(f"{flag} is for the method lora, and {method} trains no adapters.")


@dataclass(frozen=True)
class TuningFlags:
    """What is fine-tuned, and how.

    Attributes:
        method: probe trains a classifier on frozen features, full everything, layer one block and the classifier, scl
            the same with a skip connection from that block to the last features, lora low-rank adapters beside the
            layers (`pip install 'hf-transfer-score[lora]'`).
        top: fine-tune so many of the best.
        seeds: one measurement each; with commas.
        test_split: without it one called test or validation that has labels, else the rows that the sample left.
        test_samples: test rows at most.
        epochs: passes at most; without it by modality.
        steps: optimiser steps at most.
        patience: stop a learning rate after so many passes without a gain on the rows that are held back to choose by;
            without it by modality; no less than the passes for never.
        learning_rates: each is tried; with commas; without it by modality.
        train_batch_size: examples in a step; without it by modality.
        layer: block that layer and scl train: auto (smallest NC1), a name, or a number from 0.
        skip: width of the skip connection of scl: pad or interpolate.
        lora_rank: of the adapters of lora; without it 8.
        lora_alpha: what adapters count, divided by their rank; without it 16.
        precision: of training: auto (bfloat16 on CUDA), float32 or bfloat16.
    """

    method: Method = "full"
    top: int = VerifyOptions.top
    seeds: Annotated[
        tuple[int, ...],
        Parameter(
            converter=converted(comma_list(_whole, "whole numbers with commas, such as 0,1,2")),
            n_tokens=1,
            show_default="0,1,2",
        ),
    ] = VerifyOptions.seeds
    test_split: str | None = None
    test_samples: int = VerifyOptions.test_samples
    epochs: int | None = None
    steps: int | None = None
    patience: Whole = None
    learning_rates: Annotated[
        tuple[float, ...] | None,
        Parameter(converter=converted(comma_list(float, "numbers with commas, such as 1e-4,1e-3")), n_tokens=1),
    ] = None
    train_batch_size: Whole = None
    layer: int | str | None = None
    skip: str | None = None
    lora_rank: Whole = None
    lora_alpha: float | None = None
    precision: str | None = None

    def options(self, device: str | None) -> VerifyOptions:
        """Return the options; what is not said is left to the recipe of the modality."""
        if self.layer is not None and self.method not in ("layer", "scl"):
            raise OptionError(f"--layer is for the methods layer and scl, and {self.method} trains no single block.")
        if self.skip is not None and self.method != "scl":
            raise OptionError(f"--skip is for the method scl, and {self.method} has no skip connection.")
        check_adapters(self.method, self.lora_rank, self.lora_alpha)
        if self.patience is not None and self.method == "probe":
            raise OptionError("--patience is for methods that train in passes, and a probe is fitted at once.")
        mine = {one.name for one in fields(VerifyOptions)}
        said = {name: value for name, value in vars(self).items() if value is not None}
        changes: dict[str, Any] = {
            name.removeprefix("train_"): value for name, value in said.items() if name not in mine
        }
        if device is not None:
            changes["device"] = device
        return VerifyOptions(changes=changes, **{name: value for name, value in said.items() if name in mine})


def verify(
    dataset: str,
    /,
    *,
    candidates: CandidateFlags = Candidates(),
    search: AskedSearch = None,
    task: TaskName = None,
    tuning: Annotated[TuningFlags, Parameter(name="*", group=TUNING)] = TuningFlags(),
    scoring: Scoring = ScoringFlags(),
    options: Annotated[VerifyFlags, Parameter(name="*", group=RUNNING)] = VerifyFlags(),
    engines: Engines = EngineFlags(),
    save: Annotated[Path | None, Parameter(group=RUNNING)] = None,
    quiet: Annotated[bool, Parameter(group=RUNNING)] = False,
    strict: Annotated[bool, Parameter(group=RUNNING)] = False,
    output: Json = Output(),
) -> int:
    """Fine-tune the best candidates, and see how well the ranking predicted.

    Checkpoints are ranked for a labelled dataset as `rank` does, the best of them are fine-tuned on the very sample
    they were ranked by and tested on rows that had no part in it, and each metric and each trivial baseline is told by
    how well it predicted the accuracies. The learning rate, or the penalty of a probe, is chosen on a fifth of the
    sample that is held back from training; test rows choose nothing.

    With `--save` each accuracy is a record as soon as it is there; the same command goes on where an earlier one ended.
    Start it with a small `--top` and one seed.

    ```bash
    hf-transfer-score verify banking77 --models a/b c/d --method probe --per-class 20
    hf-transfer-score verify ./my_images --models-from models.txt --top 3 --seeds 0 --save results
    ```

    Args:
        dataset: an id on the Hub, a folder or a file; or example, which ships with the package.
        task: what the dataset asks; without it told from its columns. In a search also the task under which models are
            listed.
        save: write the records to this folder, and go on from them.
        quiet: no plan and no progress on the error stream.
        strict: exit with status 1 where any candidate failed.
    """
    how, metrics = tuning.options(options.extract.device), scoring.configured()
    check_folder(save)
    with leaving_at_once(), engines.opened() as engine:
        try:
            with _watching(quiet=quiet) as (listener, heard):
                report = run_verify(
                    dataset,
                    candidates.names(),
                    options=rank_options(options, task, search),
                    how=how,
                    metrics=metrics,
                    headline=scoring.headline,
                    search=search_of(search, task, options),
                    listener=listener,
                    heard=heard,
                    save=save,
                    engine=engine,
                )
        except Interrupted as error:
            ranked = error.report
            output.show(ranked.as_dict, lambda page: report_text(ranked, page))
            leave_at_once("interrupted while ranking: run the same command again to go on")
        output.show(report.as_dict, lambda page: verify_text(report, page))
    if report.interrupted:
        kept = "run the same command again to go on" if save else "with --save it would be kept"
        if at_work():  # on the weights of the candidate that was next
            leave_at_once(f"interrupted: {kept}")
        say(f"interrupted: {kept}")
        return interrupted_status()
    failed = {one.status for one in report.models.values()} | {one.status for one in report.ranking.models.values()}
    if strict and "failed" in failed:
        return FAILED
    return 0 if any(one.measured for one in report.models.values()) else FAILED


@contextmanager
def _watching(*, quiet: bool) -> Iterator[tuple[Listener, VerifyListener]]:
    terminal = sys.stderr.isatty()
    with watching(quiet=quiet) as listener:
        if quiet:
            yield listener, VerifyListener()
        elif not terminal:
            yield listener, _Lines()
        else:
            with status("ranking") as line:
                line.stop()
                yield listener, _Status(listener, line)


class _Lines(VerifyListener):
    """Says what is done, a line for each candidate and seed."""

    def ranked(self, report: RankReport, test: LabelledSample, names: Sequence[str]) -> None:
        """Say what will be done."""
        say(f"{len(names)} of {len(report.models)} models to fine-tune, {len(test)} rows to test on")

    def expected(self, time: ExpectedTime) -> None:
        """Say how long it takes."""
        say(str(time))

    def measured(self, name: str, seed: int, measured: FineTuningResult, *, before: bool) -> None:
        """Say what was found."""
        say(f"{name}, seed {seed}: {measured.accuracy:.4f}{' (measured before)' if before else ''}")

    def failed(self, verified: Verified) -> None:
        """Say why."""
        say(with_flags(f"failed: {verified.name}: {verified.reason}"))


class _Status(_Lines):
    """Shows besides what is being done now."""

    def __init__(self, listener: Listener, status: Status) -> None:
        self._listener, self._status = listener, status

    def ranked(self, report: RankReport, test: LabelledSample, names: Sequence[str]) -> None:
        """Put a line that moves in the place of the bars of the ranking."""
        bars = getattr(self._listener, "progress", None)
        if bars is not None:
            bars.stop()
        super().ranked(report, test, names)
        self._status.start()

    def stage(self, name: str, seed: int, words: str) -> None:
        """Say what is being done."""
        self._status.update(f"{name}, seed {seed}: {words}")


def verify_text(report: VerifyReport, page: Page) -> str:
    """Return a verification as text: what was measured, a row a model, a row a metric, and notes below."""
    ranking, test, known = report.ranking, report.test, all_metrics()
    measured = {name: one for name, one in report.models.items() if one.measured}
    where = f"of the split {test.source.split} " if test.source.split else ""
    seeds = max((len(one.measured) for one in report.models.values()), default=0)
    tested = f"tested on {len(test)} rows {where}that were not trained on"
    caption = f"method {report.recipe.method}, {seeds} seeds, {tested}"
    about = render([words(shown(_answer(report))), "", words(f"on {sample_line(ranking.sample)}: {caption}"), ""], page)
    places = {name: (str(ranking.ranks[name]),) for name in report.models if name in ranking.ranks}
    ranks = [
        Group(name, ("rank",), {model: (str(rank),) for model, rank in pool.ranks.items()})
        for name, pool in ranking.pools.items()
        if not (name in known and known[name].baseline)
    ]
    ordered = sorted((one.mean or 0.0 for one in measured.values()), reverse=True)
    cells = {name: _row(one, ordered) for name, one in measured.items()}
    best = frozenset(name for name, one in measured.items() if one.mean == ordered[0])
    accuracies = Group("accuracy", ("mean", "spread", "rank", "trained", "time"), cells, best)
    failed = {name: one.status for name, one in report.models.items() if not one.measured}
    table = groups_text(list(report.models), [Group("rank", ("",), places), *ranks, accuracies], page, failed=failed)
    notes = render(notes_table(list(_notes(report))), page)
    return about + table + "\n" + _agreement_text(report, page) + notes


def _answer(report: VerifyReport) -> str:
    """Return which model did best, and what following the ranking would have cost."""
    measured = {name: one.mean for name, one in report.models.items() if one.mean is not None}
    if not measured:
        return "No model could be fine-tuned."
    ranks, best = report.ranking.ranks, max(measured, key=lambda name: measured[name])
    first = min((name for name in measured if name in ranks), key=lambda name: ranks[name], default=best)
    said = f"{best} did best: {measured[best]:.1%} on {len(report.test):,} test rows."
    if len(measured) == 1:
        return said
    if first == best:
        return f"{said} The ranking had put it first."
    lost = 100 * (measured[best] - measured[first])
    return f"{said} The ranking had put {first} first, which reached {measured[first]:.1%}: {lost:.1f} points less."


def _row(one: Verified, ordered: list[float]) -> tuple[str, ...]:
    measured = list(one.measured.values())
    trained = measured[0].trainable_parameters
    share = trained / max(1, measured[0].total_parameters)
    return (
        f"{one.mean:.4f}",
        MISSING if one.spread is None else f"{one.spread:.4f}",
        str(ordered.index(one.mean or 0.0) + 1),
        f"{short_count(trained)} ({share:.0%})" if share < 1 else short_count(trained),
        duration(sum(of.seconds for of in measured)),
    )


def _agreement_text(report: VerifyReport, page: Page) -> str:
    if not report.agreement:
        return ""
    table = table_of("agreement of", ">τ_w", ">interval", ">τ", ">lost by its first", whole=True)
    rows = [*report.agreement.items(), *([("one seed with the others", report.ceiling)] if report.ceiling else [])]
    for name, one in rows:
        interval = one.weighted_tau_interval
        table.add_row(
            name,
            _signed(one.weighted_tau),
            MISSING if interval is None else f"{interval[0]:+.2f} to {interval[1]:+.2f}",
            _signed(one.tau),
            MISSING if one.top_regret is None else f"{one.top_regret:.4f}",
        )
    return render([table], page)


def _signed(value: float | None) -> str:
    return MISSING if value is None else f"{value:+.2f}"


def _notes(report: VerifyReport) -> Iterator[Note]:
    warning = next((one.warning for one in report.agreement.values()), Agreement(0).warning)
    if warning is not None:
        yield Note("note", warning)
    for name, one in report.models.items():
        if one.reason is not None:
            yield Note("failed" if one.status == "failed" else one.status, f"{name}: {one.kind or ''}: {one.reason}")
    noted = ((text, name) for name, one in report.models.items() for of in one.measured.values() for text in of.notes)
    for text, names in grouped(dict.fromkeys(noted)).items():
        if text not in report.notes:  # else it is about the rows, the same for all
            yield Note("warning", f"{', '.join(names)}: {text}")
    for note in report.notes:
        yield Note("note", note)
