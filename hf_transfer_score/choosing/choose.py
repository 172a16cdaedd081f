"""`choose`: facts, rows, race and proof, one after the other, each with the candidates that the one before left."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from hf_transfer_score.backbones.base import Backbone, all_kinds
from hf_transfer_score.checkpoints.candidate import Models, Search
from hf_transfer_score.checkpoints.resolve import fetch
from hf_transfer_score.choosing.evidence import Arm, Floats, Terms, by_chance, chance_within, dispensable, know_nothing
from hf_transfer_score.choosing.history import ChooseListener, LearningCurve, Round, Spent
from hf_transfer_score.choosing.looking import Looking, Pool, known_elsewhere, relations_of
from hf_transfer_score.choosing.nested import part
from hf_transfer_score.choosing.options import ChooseOptions
from hf_transfer_score.choosing.race import Race
from hf_transfer_score.choosing.result import Choice, Tested, tested_records
from hf_transfer_score.choosing.start import Start, prepare
from hf_transfer_score.choosing.trainer import Finalist, Prober, Trainer
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.finetune.fine_tune import save_truth
from hf_transfer_score.finetune.rows import other_proportions
from hf_transfer_score.home import alone, check_folder
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.looks import Looks
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.ranking.ranking import Ranking, ranked
from hf_transfer_score.records.place import FOLDER as RECORDS
from hf_transfer_score.records.place import listed_places, places_of
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.plan import PlannedModel
from hf_transfer_score.runs.records import dataset_id
from hf_transfer_score.runs.report import Interrupted, RankReport
from hf_transfer_score.runs.scoring import choose_scoring, facts_of

RESULTS = "results"
"""The folder, beside samples and features, of accuracies that choices on this computer measured."""

FOR_ROWS = 0.5
"""The share of a budget that forward passes may take."""


def choose(
    dataset: Any,
    models: Models = (),
    *,
    options: RankOptions | None = None,
    how: ChooseOptions | None = None,
    search: Search | None = None,
    heard: ChooseListener | None = None,
    folder: str | Path | None = None,
    results: str | Path | Sequence[str | Path] = (),
    save: str | Path | None = None,
) -> Choice:
    """Choose one of many checkpoints for a labelled dataset, and fine-tune it, within a budget.

    All candidates read a few rows, then more, and those that are clearly worse are dropped. Finalists are fine-tuned
    in rounds, and the winner to the end. Ctrl-C gives the best answer so far. The same call resumes,
    and repeats no finished round.

    Args:
        dataset: as for `rank`, but no sample: test rows are drawn too. So are models, options, search and folder.
        models: the candidates.
        options: what is sampled, and how features are read.
        how: the budget, how sure it has to be, and how candidates are fine-tuned.
        search: a search of the Hub for more candidates.
        heard: a listener for progress events.
        folder: where samples, features and trainings are kept.
        results: stored results for the forecast to use: folders, or OWNER/NAME on the Hub.
        save: a folder for the records of scores and accuracies; None for one that later choices read.

    Example:
        >>> from hf_transfer_score import choose
        >>> models = ["example/resnet-pretrained", "example/mambaout-untrained"]
        >>> quick = {"epochs": 2, "learning_rates": 1e-3, "max_samples": 100, "test_samples": 50, "device": "cpu"}
        >>> choice = choose("example", models, budget="10m", **quick, progress=False)
        >>> choice.winner, choice.rate
        ('resnet-pretrained', 0.001)

    Raises:
        OptionError: the task cannot be fine-tuned, or an option makes no sense.
        DatasetError: the dataset cannot be sampled, or no row is left to test on.
        Interrupted: it was interrupted before anything could be compared.
    """
    places_of(results)
    check_folder(None if save is None else Path(save))
    start = prepare(dataset, models, options=options, how=how, search=search, heard=heard, folder=folder)
    with alone(start.journal.folder / "lock", start.heard.stage):
        places = listed_places(results)
        return _Choosing(start, places, None if save is None else Path(save)).run()


@dataclass
class _Choosing:
    """A choice in progress."""

    start: Start
    results: tuple[str | Path, ...]
    save: Path | None
    history: list[Round] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)
    gone: dict[str, RankedModel] = field(default_factory=dict)
    lost: float = 0.0
    pool: Pool | None = None
    race: Race | None = None
    trainer: Trainer | None = None

    def __post_init__(self) -> None:
        start = self.start
        self.planned = {model.name: model for model in start.plan.models}
        self.folder = self.save or start.folder / RESULTS
        own = (str(self.folder),) if (self.folder / RECORDS).is_dir() else ()
        history, self.left_out = known_elsewhere((*own, *self.results), start.sample, dataset_id(start.sample))
        relations = {model.name: relations_of(model) for model in start.plan.models}
        self.forecaster = Forecaster(history, relations, method=start.recipe.method if history.accuracies else None)
        options, rows = start.options, start.rows_a_tuning
        self.looking = Looking(start.sample, options, start.folder, start.heard, self.spent, rows)

    def run(self) -> Choice:
        """Return the choice; if interrupted, the best so far."""
        try:
            self._rows(self._facts())
            winner = self._race()
            return self._choice(winner, () if winner is None else self._proof(winner))
        except KeyboardInterrupt as error:
            if self.pool is None:
                if isinstance(error, Interrupted):
                    raise
                models = [_unread(one, "not reached") for one in self.planned.values()]
                raise Interrupted(RankReport.on(self.start.sample, _unranked(models))) from None
            return self._choice(None, (), interrupted=True)
        finally:
            gc.unfreeze()  # trainings freeze what exists when they begin

    def _facts(self) -> list[str]:
        """Drop the candidates that the facts rule out; return those to read, the most likely to be the best first."""
        how, gone = self.start.how, dict[str, str]()
        for name, model in self.planned.items():
            license_name = model.checkpoint.license if model.checkpoint else None
            if model.failure is not None:
                gone[name] = str(model.failure)
            elif how.licenses and license_name not in how.licenses:
                gone[name] = f"its licence is {license_name or 'not known'}"
        inside = [name for name in self.planned if name not in gone]
        found = self._most_promising(inside, gone) if inside else []
        self._tell(Round("facts", "facts", tuple(found), gone, next(iter(found), None)))
        for name, why in gone.items():
            self.gone[name] = _unread(self.planned[name], why)
        return found

    def _most_promising(self, inside: list[str], gone: dict[str, str]) -> list[str]:
        """Return the candidates to read, in order; the others are put into `gone`."""
        how = self.start.how
        outcomes = self.forecaster.outcomes(Looks(tuple(inside)))
        order = by_chance(outcomes)
        looked, out = order[: how.looks], order[how.looks :]
        if out:
            best, kept = outcomes[out].max(0), outcomes[looked].max(0)
            self.lost = float((best > kept + how.within / 100).mean())
            said = f"{self.lost:.0%} chance that the best is one of the {len(out)} left out"
            gone |= dict.fromkeys((inside[place] for place in out), f"only {how.looks} are read; {said}")
        return [inside[place] for place in looked]

    def _rows(self, names: list[str]) -> None:
        """Read more and more rows with the candidates, and drop those that are clearly worse."""
        how, ends, begin = self.start.how, self.start.ends, 0
        doubt, before, first = (1 - how.confidence) / 2 / len(ends), self.lost, 0
        for number, end in enumerate(ends, 1):
            if not names or (begin and not self._afford_rows(names, begin, end)):
                break
            report = self.looking.look({name: self.start.typed[name] for name in names}, begin, end)
            gone = self._unfit(report)
            ok = {name: one for name, one in report.models.items() if name not in gone}
            if not ok:
                self._leave(report, gone)
                self._tell(Round("rows", f"{end:,} rows", (), gone))
                break
            self.pool = pool = Pool(self._only(report, ok, end), self.forecaster)
            outcomes = pool.outcomes({})
            blank = know_nothing(pool.ranking.probes, pool.ranking.chance)
            gone |= dict.fromkeys(blank, "a probe of its features is no better than a guess")
            among = [place for place, name in enumerate(pool.names) if name not in gone]
            first = first or len(among)
            out, lost = dispensable(outcomes, among, how.within, number * doubt - (self.lost - before), first)
            self.lost += lost
            why = f"{lost:.1%} chance that the best is among those dropped"
            gone |= {pool.names[place]: why for place in out}
            self._leave(report, gone)
            means = dict(zip(pool.names, outcomes.mean(1).tolist(), strict=True))
            names = sorted((name for name in pool.names if name not in gone), key=lambda name: -means[name])
            if end == ends[-1] or len(names) < len(pool.names):
                left = {name: report.models[name] for name in names}
                self.pool = Pool(self._only(report, left, end), self.forecaster)
            self._tell(self._round(f"{end:,} rows", names, gone))
            begin = end
            if len(names) == 1:
                break

    def _only(self, report: RankReport, models: Mapping[str, RankedModel], end: int) -> RankReport:
        """Return the ranking of some of the models."""
        whole = part(self.start.sample, 0, end)
        scoring = choose_scoring(whole)
        return RankReport.on(whole, ranked(models, scoring.metrics, scoring.headline), report.notes)

    def _afford_rows(self, names: Sequence[str], begin: int, end: int) -> bool:
        """Whether the budget allows more rows for all candidates that are in."""
        budget, more = self.start.budget, end - begin
        if budget.unit == "seconds":
            cost = sum(self.looking.seconds.get(name, 0.0) for name in names) * more
        else:
            cost = len(names) * more / self.looking.rows_a_tuning
        return self.spent.of(budget) + cost <= FOR_ROWS * budget.amount

    def _unfit(self, report: RankReport) -> dict[str, str]:
        """Return the candidates that cannot be read, or are too slow, with the reason."""
        least, found = self.start.options.min_throughput, {}
        for name, one in report.models.items():
            if one.status != "ok" or one.scores is None:
                found[name] = one.reason or "could not be scored"
            elif slow := one.too_slow(least):
                found[name] = slow
        return found

    def _leave(self, report: RankReport, gone: Mapping[str, str]) -> None:
        self.gone |= {name: report.models[name] for name in gone}

    def _round(self, words: str, names: Sequence[str], gone: Mapping[str, str]) -> Round:
        """Return a round of forward passes, with the candidates that are left."""
        assert self.pool is not None
        outcomes = self.pool.outcomes({})
        gain = 100 * float(outcomes.max(0).mean() - outcomes[self.pool.names.index(names[0])].mean())
        sure = self._sure(names[0], outcomes)
        return Round("rows", words, tuple(names), gone, names[0], sure, gain, str(self.spent))

    def _sure(self, name: str, outcomes: Floats) -> float:
        """Return the probability that no candidate is better than one by more than the points that do not matter."""
        assert self.pool is not None
        chance = chance_within(outcomes, self.pool.names.index(name), self.start.how.within)
        return max(0.0, chance - self.lost)

    def _tell(self, found: Round) -> None:
        self.history.append(found)
        self.start.heard.ended(found)

    def _race(self) -> Arm | None:
        """Fine-tune the finalists in rounds; return the winner."""
        if self.pool is None:
            return None
        start, how, recipe = self.start, self.start.how, self.start.recipe
        names = [self.pool.names[place] for place in by_chance(self.pool.outcomes({}))]
        finalists = {
            name: Finalist(
                self.planned[name].commit or "",
                partial(self._load, name),
                partial(self._files, name),
                self.looking.seconds[name],
            )
            for name in names
        }
        kind = Prober if recipe.method == "probe" else Trainer
        self.trainer = kind(finalists, start.sample, start.test, recipe, how.seed, start.journal)
        chance = self.pool.ranking.chance or 0.0
        rates, budget = recipe.learning_rates, start.budget
        terms = Terms(recipe.epochs, rates, how.within, how.confidence, budget, self.lost, chance)
        self.race = Race(names, self.trainer, self.pool, terms, self.spent, start.heard)
        try:
            return self.race.run()
        finally:
            self.history += self.race.history

    def _files(self, name: str) -> Path:
        """Return the folder of a candidate's files, downloaded if needed."""
        model = self.planned[name]
        assert model.checkpoint is not None
        with quiet_client():
            files = all_kinds()[model.kind or ""].files(model.checkpoint.repository, model.options)
            return fetch(model.checkpoint, files).folder

    def _load(self, name: str) -> Backbone:
        model = self.planned[name]
        return all_kinds()[model.kind or ""].load(self._files(name), self.start.sample.task, model.options)

    def _proof(self, winner: Arm) -> tuple[Tested, ...]:
        """Test the winner, the runner-up and all whose training is complete; complete ones become records.

        One that learned nothing so far is no runner-up if there is another. Nothing is returned if the winner cannot be
        tested.
        """
        race, trainer, found, failed = self.race, self.trainer, list[Tested](), dict[str, str]()
        assert race is not None and trainer is not None
        seen = {arm.name: arm for arm in sorted(race.legs, key=lambda arm: race.legs[arm].level)}
        means = dict(zip(race.forecast.names, race.outcomes.mean(1).tolist(), strict=True))
        others = [name for name in seen if name != winner.name]
        others.sort(key=lambda name: (race.untold(name), -means[name]))
        whole = [name for name in others if race.legs[seen[name]].ended]
        for name in dict.fromkeys([winner.name, *others[:1], *whole]):
            arm = winner if name == winner.name else seen[name]
            self.start.heard.stage(f"testing {name}")
            try:
                found.append(Tested(name, trainer.measured(arm), race.legs[arm].ended))
            except CheckpointError as error:
                failed[name] = f"cannot be tested: {error}"
        words, names = f"{len(self.start.test):,} test rows", tuple(one.name for one in found)
        self._tell(Round("proof", words, names, failed, winner.name, spent=str(self.spent)))
        self._record(found)
        return () if winner.name in failed else tuple(found)

    def _record(self, tested: Sequence[Tested]) -> None:
        """Store the accuracies, for the forecasts of later choices."""
        assert self.pool is not None
        start, report = self.start, self.pool.ranking
        report.save(self.folder)
        for record in tested_records(report, tested, start.recipe, start.how, start.test):
            save_truth(self.folder, record)

    def _choice(self, winner: Arm | None, tested: tuple[Tested, ...], *, interrupted: bool = False) -> Choice:
        start, race = self.start, self.race
        ranking = RankReport.on(start.sample, _unranked(self.gone.values()))
        name, sure = None, None
        if self.pool is not None:
            drawn = race.drawn if race else {}
            if winner is not None:
                name = winner.name
            elif interrupted:
                name = next((one.first for one in reversed(self.history) if one.first), None)
            ranking = _first(self.pool.forecast(drawn), name, self.gone)
            if winner is None:
                sure = next((one.chance for one in reversed(self.history) if one.chance is not None), None)
            elif race is not None:
                sure = race.chance(winner)
        probed = start.recipe.method == "probe"
        rate = winner.rate if winner and not probed else None
        curves = tuple(
            LearningCurve(arm.name, None if probed else arm.rate, leg.accuracies, leg.ended)
            for arm, leg in (race.legs.items() if race else ())
        )
        notes = (*start.test.notes, *other_proportions(start.sample, start.test), *start.plan.notes, *self.left_out)
        return Choice(
            ranking, start.recipe, start.test, start.how, tuple(self.history), name, rate, sure, tested, self.spent,
            self._all_seconds(), candidates=len(self.looking.parts), notes=notes, curves=curves,
            trained=(self.trainer, winner) if winner and self.trainer else None, typed=start.typed,
            asked=start.options, named=start.named, interrupted=interrupted,
        )  # fmt: skip

    def _all_seconds(self) -> float | None:
        """Return what fine-tuning all candidates would take, by the pace of those that were trained."""
        if self.trainer is None or not self.trainer.pace:
            return None
        pace = self.trainer.pace
        known = [name for name in pace if self.looking.seconds.get(name)]
        row = sum(pace[name] for name in known) / max(sum(self.looking.seconds[name] for name in known), 1e-9)
        passes = [pace.get(name, row * seconds) for name, seconds in self.looking.seconds.items()]
        return sum(passes) * self.start.passes_a_tuning


def _first(ranking: RankReport, name: str | None, gone: Mapping[str, RankedModel]) -> RankReport:
    """Return a ranking with the winner first, and those that were dropped on the way last."""
    if name not in ranking.ranks:
        return replace(ranking, models={**ranking.models, **gone})
    order = [name, *(one for one in ranking.ranks if one != name)]
    models = {**{one: ranking.models[one] for one in order}, **ranking.models, **gone}
    return replace(ranking, models=models, ranks={one: place for place, one in enumerate(order, start=1)})


def _unread(model: PlannedModel, why: str) -> RankedModel:
    """Return a candidate that was not read."""
    return RankedModel(
        model.name,
        "failed" if model.failure else "interrupted",
        model.name,
        parameters=model.parameters,
        **asdict(facts_of(model.checkpoint)),
        kind=model.failure.kind if model.failure else None,
        reason=why,
    )


def _unranked(models: Iterable[RankedModel]) -> Ranking:
    """Return a ranking without an order."""
    return Ranking({one.name: one for one in models}, {}, (), {}, {})
