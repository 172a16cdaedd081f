"""`verify`: fine-tune the best candidates, and check how well the ranking predicted."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from hf_transfer_score.cli import flags
from hf_transfer_score.cli.ending import FAILED, interrupted_status, leave_at_once, leaving_at_once
from hf_transfer_score.cli.naming import with_flags
from hf_transfer_score.cli.output import Output, Page, Status, render, say, status, words
from hf_transfer_score.cli.progress import watching
from hf_transfer_score.cli.ranking_text import report_text
from hf_transfer_score.cli.tables import MISSING, Group, Note, grouped, groups_text, notes_table, table_of
from hf_transfer_score.cli.tuning import TUNING, MeasuringFlags
from hf_transfer_score.finetune.fine_tune import FineTuningResult
from hf_transfer_score.home import check_folder
from hf_transfer_score.hub.downloads import at_work
from hf_transfer_score.ranking.agreement import Agreement
from hf_transfer_score.runs.expected import ExpectedTime
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.report import Interrupted, RankReport
from hf_transfer_score.runs.verified import Verified, VerifyOptions, VerifyReport
from hf_transfer_score.runs.verifying import VerifyListener
from hf_transfer_score.runs.verifying import verify as run_verify
from hf_transfer_score.sampling.sample import LabelledSample, sample_line
from hf_transfer_score.text import counted, duration, short_count, shown

AGREEMENT_WIDTH = 50
"""Characters of a row of agreement, without its name and the ranks that may stand beside it."""


def verify(
    dataset: str,
    /,
    *,
    candidates: flags.CandidateFlags = flags.Candidates(),
    search: flags.AskedSearch = None,
    task: flags.TaskName = None,
    tuning: Annotated[MeasuringFlags, Parameter(name="*", group=TUNING)] = MeasuringFlags(),
    scoring: flags.Scoring = flags.ScoringFlags(),
    options: Annotated[flags.VerifyFlags, Parameter(name="*", group=flags.RUNNING)] = flags.VerifyFlags(),
    engines: flags.Engines = flags.EngineFlags(),
    save: Annotated[Path | None, Parameter(group=flags.RUNNING)] = None,
    quiet: Annotated[bool, Parameter(group=flags.RUNNING)] = False,
    strict: Annotated[bool, Parameter(group=flags.RUNNING)] = False,
    output: flags.Json = Output(),
) -> int:
    """Fine-tune the best candidates, and check how well the ranking predicted.

    Checkpoints are ranked as `rank` does. The best are fine-tuned on the same sample and tested on other rows, and each
    metric and baseline is compared with the accuracies. The learning rate, or the penalty of a probe, is chosen on a
    fifth of the sample that is held out from training; test rows choose nothing.

    With `--save` each accuracy is stored as soon as it is measured, and the same command resumes after an interruption.
    Start with a small `--top` and one seed.

    ```bash
    hf-transfer-score verify banking77 --models a/b c/d --method probe --per-class 20
    hf-transfer-score verify ./my_images --models-from models.txt --top 3 --seeds 0 --save results
    ```

    Args:
        dataset: a dataset on the Hub, a folder or a file; or example, which ships with the package.
        task: the task of the dataset; by default inferred from its columns. With --search also the task under which
            models are listed.
        save: write the records to this folder, and resume from them.
        quiet: print no plan and no progress.
        strict: exit with status 1 if any candidate failed.
    """
    how, metrics = tuning.made(VerifyOptions, options.extract.device), scoring.configured()
    check_folder(save)
    with leaving_at_once(), engines.opened() as engine:
        try:
            with _watching(quiet=quiet) as (listener, heard):
                report = run_verify(
                    dataset,
                    candidates.names(),
                    options=flags.rank_options(options, task, search),
                    how=how,
                    metrics=metrics,
                    headline=scoring.headline,
                    search=flags.search_of(search, task, options),
                    listener=listener,
                    heard=heard,
                    save=save,
                    engine=engine,
                )
        except Interrupted as error:
            ranked = error.report
            output.show(ranked.as_dict, lambda page: report_text(ranked, page))
            leave_at_once("interrupted while ranking: run the same command again to continue")
        output.show(report.as_dict, lambda page: verify_text(report, page))
    if report.interrupted:
        kept = "run the same command again to continue" if save else "with --save the accuracies would be kept"
        if at_work():  # downloading the weights of the next candidate
            leave_at_once(f"interrupted: {kept}")
        say(f"interrupted: {kept}")
        return interrupted_status()
    failed = {one.status for one in report.models.values()} | {one.status for one in report.ranking.models.values()}
    if strict and "failed" in failed:
        return FAILED
    return 0 if any(one.measured for one in report.models.values()) else FAILED


@contextmanager
def _watching(*, quiet: bool) -> Iterator[tuple[Listener, VerifyListener]]:
    with watching(quiet=quiet) as listener:
        if quiet:
            yield listener, VerifyListener()
        elif not sys.stderr.isatty():
            yield listener, _Lines()
        else:
            with status("ranking") as line:
                line.stop()
                yield listener, _Status(listener, line)


class _Lines(VerifyListener):
    """Prints one line per candidate and seed."""

    def ranked(self, report: RankReport, test: LabelledSample, names: Sequence[str]) -> None:
        say(f"{len(names)} of {len(report.models)} models to fine-tune, {len(test)} rows to test on")

    def expected(self, time: ExpectedTime) -> None:
        say(str(time))

    def measured(self, name: str, seed: int, measured: FineTuningResult, *, before: bool) -> None:
        say(f"{name}, seed {seed}: {measured.accuracy:.1%}{' (measured before)' if before else ''}")

    def failed(self, verified: Verified) -> None:
        say(with_flags(f"failed: {verified.name}: {verified.reason}"))


class _Status(_Lines):
    """Also shows the current step."""

    def __init__(self, listener: Listener, status: Status) -> None:
        self._listener, self._status = listener, status

    def ranked(self, report: RankReport, test: LabelledSample, names: Sequence[str]) -> None:
        bars = getattr(self._listener, "progress", None)
        if bars is not None:
            bars.stop()
        super().ranked(report, test, names)
        self._status.start()

    def stage(self, name: str, seed: int, words: str) -> None:
        self._status.update(f"{name}, seed {seed}: {words}")


def verify_text(report: VerifyReport, page: Page) -> str:
    """Return a verification as text: the answer, one row per model, one row per metric, and notes."""
    ranking, test = report.ranking, report.test
    measured = {name: one for name, one in report.models.items() if one.measured}
    where = f" of the split {test.source.split}" if test.source.split else ""
    seeds = max((len(one.measured) for one in report.models.values()), default=0)
    how = f"method {report.recipe.method}, {counted(seeds, 'seed')}"
    caption = f"ranked and fine-tuned on {sample_line(ranking.sample)}, tested on {len(test)} other rows{where}: {how}"
    about = render([words(shown(report.answer)), "", words(caption), ""], page)
    places = {name: (str(ranking.ranks[name]),) for name in report.models if name in ranking.ranks}
    ordered = sorted((one.mean or 0.0 for one in measured.values()), reverse=True)
    cells = {name: _row(one, ordered) for name, one in measured.items()}
    best = frozenset(name for name, one in measured.items() if one.mean == ordered[0])
    accuracies = Group("accuracy", ("mean", "spread", "rank", "trained", "time"), cells, best)
    failed = {name: one.status for name, one in report.models.items() if not one.measured}
    table = groups_text(list(report.models), [Group("rank", ("",), places), accuracies], page, failed=failed)
    notes = render(notes_table(list(_notes(report))), page)
    return about + table + _agreement_text(report, page) + notes


def _row(one: Verified, ordered: list[float]) -> tuple[str, ...]:
    measured = list(one.measured.values())
    trained = measured[0].trainable_parameters
    share = trained / max(1, measured[0].total_parameters)
    return (
        f"{one.mean:.1%}",
        MISSING if one.spread is None else f"{100 * one.spread:.1f}",
        str(ordered.index(one.mean or 0.0) + 1),
        f"{short_count(trained)} ({share:.0%})" if share < 1 else short_count(trained),
        duration(sum(of.seconds for of in measured)),
    )


def _agreement_text(report: VerifyReport, page: Page) -> str:
    if not report.agreement:
        return ""
    rows = [*report.agreement.items(), *([("one seed, the others", report.ceiling)] if report.ceiling else [])]
    places = _places(report)
    width = max(len(name) for name, _ in rows) + AGREEMENT_WIDTH + max(map(len, places.values()), default=0)
    beside = [] if width > page.width else ["ranks of the models above"]
    table = table_of("agreement of", ">τ_w", ">interval", ">τ", ">points lost", *beside, whole=True)
    for name, one in rows:
        interval = one.weighted_tau_interval
        table.add_row(
            name,
            _signed(one.weighted_tau),
            MISSING if interval is None else f"{interval[0]:+.2f} to {interval[1]:+.2f}",
            _signed(one.tau),
            MISSING if one.top_regret is None else f"{100 * one.top_regret:.1f}",
            *(places.get(name, MISSING) for _ in beside),
        )
    return render([table], page)


def _places(report: VerifyReport) -> dict[str, str]:
    """Return the rank of each fine-tuned model by each metric, in the order of the table."""
    names = [name for name, one in report.models.items() if one.measured]
    pools = {metric: pool.ranks for metric, pool in report.ranking.pools.items()} | {"forecast": report.ranking.ranks}
    width = len(str(len(report.ranking.models)))
    return {
        metric: " ".join(str(ranks.get(name, MISSING)).rjust(width) for name in names)
        for metric, ranks in pools.items()
    }


def _signed(value: float | None) -> str:
    return MISSING if value is None else f"{value:+.2f}"


def _notes(report: VerifyReport) -> Iterator[Note]:
    measured = sum(bool(one.measured) for one in report.models.values())
    warning = next((one.warning for one in report.agreement.values()), Agreement(measured).warning)
    if measured and warning is not None:
        yield Note("note", warning)
    for name, one in report.models.items():
        if one.reason is not None:
            why = f"{one.kind}: {one.reason}" if one.kind else one.reason
            yield Note(one.status, f"{name}: {why}")
    noted = ((text, name) for name, one in report.models.items() for of in one.measured.values() for text in of.notes)
    for text, names in grouped(dict.fromkeys(noted)).items():
        if text not in report.notes:  # else it is about the rows, the same for all
            yield Note("warning", f"{', '.join(names)}: {text}")
    for note in report.notes:
        yield Note("note", note)
