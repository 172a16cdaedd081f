"""`choose`: facts, rows, race and proof, one after the other, each on what the one before left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hf_transfer_score.backbones.base import Backbone, all_kinds
from hf_transfer_score.checkpoints.candidate import Models, Search
from hf_transfer_score.checkpoints.resolve import fetch
from hf_transfer_score.choosing.evidence import dispensable, know_nothing
from hf_transfer_score.choosing.history import ChooseListener, LearningCurve, Round, Spent
from hf_transfer_score.choosing.looking import Looking, Pool, known_elsewhere, relations_of
from hf_transfer_score.choosing.nested import part
from hf_transfer_score.choosing.options import ChooseOptions
from hf_transfer_score.choosing.probing import Prober
from hf_transfer_score.choosing.race import Arm, Race, Terms
from hf_transfer_score.choosing.result import Choice, Tested, tested_records
from hf_transfer_score.choosing.start import Start, prepare
from hf_transfer_score.choosing.trainer import Finalist, Trainer
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.finetune.fine_tune import save_truth
from hf_transfer_score.finetune.rows import other_proportions
from hf_transfer_score.home import alone
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.looks import Looks
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.plan import PlannedModel
from hf_transfer_score.runs.records import dataset_id
from hf_transfer_score.runs.report import Interrupted, RankReport

RESULTS = "results"
"""The folder, beside samples and features, of what choices on this computer measured."""

FOR_ROWS = 0.5
"""Of a budget, the share that forward passes may take."""


def choose(
    dataset: Any,
    models: Models = (),
    *,
    options: RankOptions | None = None,
    how: ChooseOptions | None = None,
    search: Search | None = None,
    heard: ChooseListener | None = None,
    folder: str | Path | None = None,
    results: str | Sequence[str] = (),
    save: str | Path | None = None,
) -> Choice:
    """Choose one of many checkpoints for a labelled dataset, and fine-tune it, within a budget.

    Candidates are looked at by few rows, then by more; those that are surely worse go. The finalists are fine-tuned in
    rounds of growing length, and the last one to its end. Whatever ends it, the same call goes on from there and
    repeats no finished round; Ctrl-C gives the best answer so far.

    Args:
        dataset: as for `rank`, and so are models, options, search and folder.
        models: the candidates.
        options: what is sampled, and how features are read.
        how: what it may cost, how sure it has to be, and how candidates are fine-tuned.
        search: a search of the Hub for more candidates.
        heard: hears how it goes on.
        folder: where samples, features and trainings are kept.
        results: places of stored results, folders or OWNER/NAME on the Hub, that the forecast takes in.
        save: a folder that takes the records of the scores and accuracies; None for one that later choices read.

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
        Interrupted: it was ended by hand before anything could be compared.
    """
    start = prepare(dataset, models, options=options, how=how, search=search, heard=heard, folder=folder)
    with alone(start.journal.folder / "lock", start.heard.stage):
        places = (results,) if isinstance(results, str) else tuple(results)
        return _Choosing(start, places, None if save is None else Path(save)).run()


@dataclass
class _Choosing:
    """A choice on its way."""

    start: Start
    results: tuple[str, ...]
    save: Path | None
    history: list[Round] = field(default_factory=list)
    spent: Spent = field(default_factory=Spent)
    gone: dict[str, RankedModel] = field(default_factory=dict)
    lost: float = 0.0
    pool: Pool | None = None
    race: Race | None = None

    def __post_init__(self) -> None:
        """Prepare what all rounds share."""
        start = self.start
        self.planned = {model.name: model for model in start.plan.models}
        self.folder = self.save or start.folder / RESULTS
        own = (str(self.folder),) if self.folder.is_dir() else ()
        history = known_elsewhere((*own, *self.results), start.sample, dataset_id(start.sample))
        relations = {model.name: relations_of(model) for model in start.plan.models}
        self.forecaster = Forecaster(history, relations, method=start.recipe.method if history.accuracies else None)
        rows = start.rows_a_pass * start.passes_a_tuning
        self.looking = Looking(start.sample, start.options, start.folder, start.heard, self.spent, rows)

    def run(self) -> Choice:
        """Return what is chosen; ended by hand, what is known so far."""
        try:
            self._rows(self._facts())
            winner, tested = self._race(), tuple[Tested, ...]()
            if winner is not None and self.race is not None:
                tested = self._proof(winner)
            return self._choice(winner, tested)
        except KeyboardInterrupt as error:
            if self.pool is None:
                if isinstance(error, Interrupted):
                    raise
                raise Interrupted(RankReport.on(self.start.sample, _empty(self.planned.values()))) from None
            return replace(self._choice(None, ()), interrupted=True)

    def _facts(self) -> list[str]:
        """Let go what the facts rule out; return who is looked at, the most likely to be the best first."""
        how, gone = self.start.how, dict[str, str]()
        for name, model in self.planned.items():
            license_name = model.checkpoint.license if model.checkpoint else None
            if model.failure is not None:
                gone[name] = str(model.failure)
            elif how.licenses and license_name not in how.licenses:
                gone[name] = f"its licence is {license_name or 'not known'}"
        inside = [name for name in self.planned if name not in gone]
        if not inside:
            self._tell(Round("facts", "facts", (), gone))
            return []
        outcomes = self.forecaster.outcomes(Looks(tuple(inside)))
        chances = (outcomes >= outcomes.max(0)).mean(1)
        order = np.lexsort((-outcomes.mean(1), -chances)).tolist()
        looked, out = order[: how.looks], order[how.looks :]
        if out:
            best, kept = outcomes[out].max(0), outcomes[looked].max(0)
            self.lost = float((best > kept + how.within / 100).mean())
            said = f"the best is one of the {len(out)} that were left out with probability {self.lost:.0%}"
            gone |= dict.fromkeys((inside[place] for place in out), f"{how.looks} are looked at; {said}")
        found = [inside[place] for place in looked]
        self._tell(Round("facts", "facts", tuple(found), gone, found[0]))
        for name, why in gone.items():
            self.gone[name] = _unread(self.planned[name], why)
        return found

    def _rows(self, names: list[str]) -> None:
        """Look at candidates by more and more rows, and let go those that are surely worse."""
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
            why = f"the best is among those that went with probability {lost:.1%}"
            gone |= {pool.names[place]: why for place in out}
            self._leave(report, gone)
            means = dict(zip(pool.names, outcomes.mean(1).tolist(), strict=True))
            names = sorted((name for name in pool.names if name not in gone), key=lambda name: -means[name])
            if end == ends[-1] or len(names) < len(pool.names):
                self.pool = Pool(
                    self._only(report, {name: report.models[name] for name in names}, end), self.forecaster
                )
            self._tell(self._round("rows", f"{end:,} rows", names, gone))
            begin = end
            if len(names) == 1:
                break

    def _only(self, report: RankReport, models: Mapping[str, RankedModel], end: int) -> RankReport:
        """Return the ranking of some of the models."""
        from hf_transfer_score.ranking.ranking import ranked
        from hf_transfer_score.runs.scoring import choose_scoring

        whole = part(self.start.sample, 0, end)
        scoring = choose_scoring(whole)
        return RankReport.on(whole, ranked(models, scoring.metrics, scoring.headline), report.notes)

    def _afford_rows(self, names: Sequence[str], begin: int, end: int) -> bool:
        """Whether the budget lets all that are in be looked at by more rows."""
        budget, more = self.start.budget, end - begin
        if budget.unit == "seconds":
            cost = sum(self.looking.seconds.get(name, 0.0) for name in names) * more
        else:
            cost = len(names) * more / self.looking.rows_a_tuning
        return self.spent.of(budget) + cost <= FOR_ROWS * budget.amount

    def _unfit(self, report: RankReport) -> dict[str, str]:
        """Return who cannot be read, or is too slow, and why."""
        least, found = self.start.options.min_throughput, {}
        for name, one in report.models.items():
            if one.status != "ok" or one.scores is None:
                found[name] = one.reason or "could not be scored"
            elif slow := one.too_slow(least):
                found[name] = slow
        return found

    def _leave(self, report: RankReport, gone: Mapping[str, str]) -> None:
        self.gone |= {name: report.models[name] for name in gone}

    def _round(self, stage: Any, words: str, names: Sequence[str], gone: Mapping[str, str]) -> Round:
        from hf_transfer_score.choosing.evidence import chance_within

        assert self.pool is not None
        outcomes = self.pool.outcomes({})
        place = self.pool.names.index(names[0])
        chance = max(0.0, chance_within(outcomes, place, self.start.how.within) - self.lost)
        gain = 100 * float(outcomes.max(0).mean() - outcomes[place].mean())
        return Round(stage, words, tuple(names), gone, names[0], chance, gain, str(self.spent))

    def _tell(self, found: Round) -> None:
        self.history.append(found)
        self.start.heard.ended(found)

    def _race(self) -> Arm | None:
        """Fine-tune the finalists in rounds; return the winner."""
        if self.pool is None:
            return None
        start, how, pool = self.start, self.start.how, self.pool
        outcomes = pool.outcomes({})
        chances = (outcomes >= outcomes.max(0)).mean(1)
        names = [pool.names[place] for place in np.lexsort((-outcomes.mean(1), -chances)).tolist()]
        finalists = {
            name: Finalist(
                _commit(self.planned[name]),
                partial(self._load, name),
                partial(self._files, name),
                self.looking.seconds[name],
            )
            for name in names
        }
        kind = Prober if start.recipe.method == "probe" else Trainer
        self.trainer = kind(finalists, start.sample, start.test, start.recipe, how.seed, start.journal)
        recipe = start.recipe
        terms = Terms(recipe.epochs, recipe.learning_rates, how.within, how.confidence, start.budget, self.lost)
        self.race = Race(names, self.trainer, pool, terms, self.spent, start.heard)
        try:
            return self.race.run()
        finally:
            self.history += self.race.history

    def _files(self, name: str) -> Path:
        """Return the folder of a candidate's files, downloaded where they are not here."""
        model = self.planned[name]
        assert model.checkpoint is not None
        with quiet_client():
            files = all_kinds()[model.kind or ""].files(model.checkpoint.repository, model.options)
            return fetch(model.checkpoint, files).folder

    def _load(self, name: str) -> Backbone:
        model = self.planned[name]
        return all_kinds()[model.kind or ""].load(self._files(name), self.start.sample.task, model.options)

    def _proof(self, winner: Arm) -> tuple[Tested, ...]:
        """Test the winner and who was trained beside it; what was trained to its end becomes a record."""
        race, found = self.race, []
        assert race is not None
        seen = {arm.name: arm for arm in sorted(race.legs, key=lambda arm: race.legs[arm].best)}
        means = dict(zip(race.forecast.names, race.outcomes.mean(1).tolist(), strict=True))
        others = sorted((name for name in seen if name != winner.name), key=lambda name: -means[name])
        whole = [name for name in others if race.legs[seen[name]].ended]
        for name in dict.fromkeys([winner.name, *others[:1], *whole]):
            arm = winner if name == winner.name else seen[name]
            self.start.heard.stage(f"testing {name}")
            with suppress(CheckpointError):
                found.append(Tested(name, self.trainer.measured(arm), race.legs[arm].ended))
        self._tell(
            Round(
                "proof",
                f"{len(self.start.test):,} test rows",
                tuple(one.name for one in found),
                {},
                winner.name,
                spent=str(self.spent),
            )
        )
        self._record(found)
        return tuple(found)

    def _record(self, tested: Sequence[Tested]) -> None:
        """Store what was measured, so that the next choice begins wiser."""
        assert self.pool is not None
        report = self.pool.ranking
        report.save(self.folder)
        start = self.start
        for record in tested_records(report, tested, start.recipe, start.how, start.test):
            save_truth(self.folder, record)

    def _choice(self, winner: Arm | None, tested: tuple[Tested, ...]) -> Choice:
        start, race = self.start, self.race
        ranking = RankReport.on(start.sample, _empty(self.gone.values()))
        name, sure = None, None
        if self.pool is not None:
            drawn = race.drawn if race else {}
            ranking = self.pool.forecast(drawn)
            name = winner.name if winner else next((one.first for one in reversed(self.history) if one.first), None)
            ranking = _first(ranking, name, self.gone)
            sure = self._sure(name)
        probed = start.recipe.method == "probe"
        rate = winner.rate if winner and not probed else None
        curves = tuple(
            LearningCurve(arm.name, None if probed else arm.rate, leg.accuracies, leg.ended)
            for arm, leg in (race.legs.items() if race else ())
        )
        notes = (*start.test.notes, *other_proportions(start.sample, start.test), *start.plan.notes)
        count = len(self.looking.parts)
        trained = (self.trainer, winner) if winner else None
        return Choice(
            ranking, start.recipe, start.test, start.how, tuple(self.history), name, rate, sure, tested,
            self.spent, self._all_seconds(), count, notes, curves, trained=trained, typed=start.typed,
        )  # fmt: skip

    def _sure(self, name: str | None) -> float | None:
        """Return how sure it is that nobody is better than a candidate by more than the points that do not matter."""
        from hf_transfer_score.choosing.evidence import chance_within

        if self.pool is None or name not in self.pool.names:
            return None
        outcomes = self.pool.outcomes(self.race.drawn if self.race else {})
        chance = chance_within(outcomes, self.pool.names.index(name), self.start.how.within)
        return max(0.0, chance - self.lost)

    def _all_seconds(self) -> float | None:
        """Return what fine-tuning all candidates takes, by the pace of those that were trained."""
        pace = getattr(self, "trainer", None) and self.trainer.pace
        if not pace:
            return None
        known = [name for name in pace if self.looking.seconds.get(name)]
        row = sum(pace[name] for name in known) / max(sum(self.looking.seconds[name] for name in known), 1e-9)
        passes = [pace.get(name, row * seconds) for name, seconds in self.looking.seconds.items()]
        return sum(passes) * self.start.passes_a_tuning


def _first(ranking: RankReport, name: str | None, gone: Mapping[str, RankedModel]) -> RankReport:
    """Return a ranking with the winner first, and those that went on the way at its end."""
    if name not in ranking.ranks:
        return replace(ranking, models={**ranking.models, **gone})
    order = [name, *(one for one in ranking.ranks if one != name)]
    models = {**{one: ranking.models[one] for one in order}, **ranking.models, **gone}
    return replace(ranking, models=models, ranks={one: place for place, one in enumerate(order, start=1)})


def _commit(model: PlannedModel) -> str:
    return model.checkpoint.commit if model.checkpoint else ""


def _unread(model: PlannedModel, why: str) -> RankedModel:
    """Return a candidate of which nothing was read."""
    license_name = model.checkpoint.license if model.checkpoint else None
    kind = model.failure.kind if model.failure else None
    status: Any = "failed" if model.failure else "interrupted"
    return RankedModel(
        model.name, status, model.name, parameters=model.parameters, license=license_name, kind=kind, reason=why
    )


def _empty(models: Any) -> Any:
    """Return a ranking without an order."""
    from hf_transfer_score.ranking.ranking import Ranking

    named = {one.name: one if isinstance(one, RankedModel) else _unread(one, "not reached") for one in models}
    return Ranking(named, {}, (), {}, {})
