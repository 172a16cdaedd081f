"""The result of a choice: one checkpoint at one learning rate, its proof, what happened, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hf_transfer_score.choosing.evidence import compared_after
from hf_transfer_score.choosing.history import LearningCurve, Round, Spent
from hf_transfer_score.choosing.options import ChooseOptions
from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.finetune.fine_tune import FineTuningResult, truth_metric, truth_record
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.home import example_checkpoints
from hf_transfer_score.metrics.scores import plain
from hf_transfer_score.ranking.intervals import Interval, accuracy_interval
from hf_transfer_score.ranking.showing import Shown
from hf_transfer_score.records.record import Record
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.report import RankReport
from hf_transfer_score.runs.verified import one_of_each, readable
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.text import counted, in_words, rough_duration

if TYPE_CHECKING:
    from hf_transfer_score.choosing.evidence import Arm
    from hf_transfer_score.choosing.trainer import Trainer
    from hf_transfer_score.drawing.race_chart import Curves


@dataclass(frozen=True)
class Tested:
    """A fine-tuned candidate on the test rows."""

    name: str
    result: FineTuningResult
    whole: bool


@dataclass(frozen=True, repr=False)
class Choice(Shown):
    """The checkpoint that was chosen, and why.

    Attributes:
        ranking: all candidates, the winner first, with the forecast that every round updated.
        recipe: how candidates were fine-tuned.
        test: the test rows.
        options: the options of the choice.
        history: every round: which candidates stayed, which were dropped and why, and what was spent.
        winner: name of the winner; None if nothing could be chosen.
        rate: its learning rate; None if none was raced.
        sure: probability that no candidate is better than the winner by more than `within` points.
        tested: the accuracies on the test rows, the winner first.
        spent: what it cost.
        all_seconds: what fine-tuning every candidate by the same recipe would take; None if unknown.
        candidates: how many could be fine-tuned.
        notes: what to know about it.
        curves: learning curves of the finalists, at every learning rate that was raced; empty without a race.
        interrupted: whether it was ended by hand.
        trained: holds the weights of the winner.
        typed: how candidates can be typed, by name.
        asked: how rows were drawn and features read.
        named: the dataset as it was named; None for one in memory.
    """

    ranking: RankReport
    recipe: Recipe
    test: LabelledSample
    options: ChooseOptions
    history: tuple[Round, ...]
    winner: str | None
    rate: float | None
    sure: float | None
    tested: tuple[Tested, ...]
    spent: Spent
    all_seconds: float | None
    candidates: int
    notes: tuple[str, ...] = ()
    curves: tuple[LearningCurve, ...] = ()
    interrupted: bool = False
    trained: tuple[Trainer, Arm] | None = field(default=None, compare=False)
    typed: Mapping[str, Any] = field(default_factory=dict)
    asked: RankOptions = field(default_factory=RankOptions)
    named: str | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {counted(len(self.ranking.models), 'model')}. {self.answer}>"

    @property
    def shown_ranking(self) -> RankReport:
        """All candidates, the winner first."""
        return self.ranking

    def records(self) -> list[Record]:
        """Return the records of the scores, and of the accuracies after complete training."""
        tested = tested_records(self.ranking, self.tested, self.recipe, self.options, self.test)
        return [*self.ranking.records(), *tested]

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`, one row per candidate: the test accuracy, beside the ranking."""
        table, known = self.ranking.to_pandas(), {one.name: one.result for one in self.tested}
        found = [known.get(name) for name in table["model"]]
        table.insert(1, "test_accuracy", [None if one is None else one.accuracy for one in found])
        table.insert(2, "learning_rate", [None if one is None else one.learning_rate for one in found])
        return table

    def _told(self) -> tuple[str, list[tuple[str, dict[str, str]]]]:
        return self.answer, [("test accuracy", {one.name: f"{one.result.accuracy:.1%}" for one in self.tested})]

    def plot(self, path: str | Path | None = None, what: Literal["race", "ranking"] = "race") -> Any:
        """Return a chart, and write it to a file if one is named.

        Args:
            path: a .png, .svg or self-contained .html file.
            what: "race" for the learning curves of the finalists, "ranking" for all candidates, as `Ranking.plot` draws
                them. A choice that ended before the race draws the ranking.

        Returns:
            An `altair.Chart`, which a notebook shows.
        """
        if what not in ("race", "ranking"):
            raise OptionError(f"what={what!r}: expected race or ranking.")
        if what == "ranking" or not self.curves:
            return super().plot(path)
        from hf_transfer_score.drawing.files import save_race
        from hf_transfer_score.drawing.race_chart import race_chart

        race = self._drawn()
        if path is not None:
            save_race(race, Path(path))
        return race_chart(race)

    def _drawn(self) -> Curves:
        """Return the race as it is drawn: the winner first, then who was in at the end, then who was dropped last."""
        from hf_transfer_score.drawing.race_chart import Curves, RaceCurve
        from hf_transfer_score.drawing.words import printable

        rounds = [found for found in self.history if found.stage == "race"]
        gone = {name: printable(why) for found in rounds for name, why in found.gone.items()}
        last = rounds[-1].inside if rounds else ()
        names = dict.fromkeys([self.winner, *last, *reversed(gone), *(one.name for one in self.curves)])
        best = [curve for name in names if name is not None and (curve := self._best_curve(name)) is not None]
        return Curves(
            tuple(
                RaceCurve(printable(one.name), one.accuracies, one.rate, gone.get(one.name), one.ended) for one in best
            ),
            tuple(compared_after(self.recipe.epochs)),
            won=self.winner is not None and not self.interrupted,
            dataset=printable(in_words(self.ranking.dataset)),
            proof=self._proof,
        )

    def _best_curve(self, name: str) -> LearningCurve | None:
        """Return the curve of a candidate at its best learning rate."""
        own = [one for one in self.curves if one.name == name]
        if name == self.winner:
            own = [one for one in own if one.rate == self.rate] or own
        return max(own, key=lambda one: max(one.accuracies), default=None)

    def _repr_html_(self) -> str:
        """Return the answer, the table and the race, as a notebook shows them."""
        if not self.curves:
            return super()._repr_html_()
        from hf_transfer_score.drawing.files import notebook_html

        return notebook_html(self.ranking, *self._told(), race=self._drawn())

    @property
    def accuracy(self) -> Interval | None:
        """The winner's accuracy on the test rows with its 95% interval; None if it was not tested."""
        return accuracy_interval(self.tested[0].result.accuracy, len(self.test)) if self.tested else None

    @property
    def _proof(self) -> str:
        if self.accuracy is None:
            return ""
        value, low, high = self.accuracy
        share = f"{value:.1%} ({low:.1%} to {high:.1%})"
        return f"Its accuracy is {share} on {len(self.test):,} test rows that had no part in the choice."

    @property
    def share(self) -> float:
        """What it cost, as a share of fine-tuning every candidate by the same recipe."""
        return self.spent.tunings / max(self.candidates, 1)

    @property
    def answer(self) -> str:
        """What was chosen, how good it is, how sure that is, and what it cost."""
        if self.winner is None:
            return "No candidate could be chosen."
        rate = "" if self.rate is None else f" at learning rate {self.rate:g}"
        parts = [f"{'So far: use' if self.interrupted else 'Use'} {self.winner}{rate}."]
        parts += [self._proof] if self._proof else [] if self.interrupted else ["It could not be tested."]
        if len(self.tested) > 1:
            second = self.tested[1]
            how = "" if second.whole else f" after {second.result.epochs} of {self.recipe.epochs} epochs"
            parts.append(f"The runner-up, {second.name}, reached {second.result.accuracy:.1%}{how}.")
            if second.result.accuracy > self.tested[0].result.accuracy:
                parts.append(
                    "It is better on the test rows: there were too few validation rows to separate the two. Draw more "
                    "rows with `max_samples`, or use the runner-up, whose test accuracy is then optimistic."
                )
        if self.candidates == 1 and (self.options.looks > 1 or len(self.ranking.models) == 1):
            usable = "" if len(self.ranking.models) == 1 else " that could be used"
            parts.append(f"It was the only candidate{usable}, so there was nothing to choose from.")
        elif self.sure is not None:
            points = f"{self.options.within:g} point{'' if self.options.within == 1 else 's'}"
            asked = "" if self.sure >= self.options.confidence else f"; {self.options.confidence:.0%} was asked for"
            parts.append(f"With probability {self.sure:.0%} no candidate is better by more than {points}{asked}.")
        return " ".join(parts)

    @property
    def cost(self) -> str:
        """What it cost, compared with fine-tuning every candidate."""
        took = f"It took {rough_duration(self.spent.seconds)} of computing and {self.spent.tunings:.1f} fine-tunings"
        if self.candidates < 2:
            return f"{took}."
        every = f" (about {rough_duration(self.all_seconds)})" if self.all_seconds else ""
        return f"{took}: {self.share:.0%} of the work of fine-tuning all {self.candidates} candidates{every}."

    def source(self, by_timm: bool) -> str:
        """Return what a library loads the winner from: its id on the Hub, or its folder."""
        name = str(self.typed.get(self.winner or "", self.winner or ""))
        known = example_checkpoints(name)
        folder = known[0] if len(known) == 1 else Path(name).expanduser()
        local = folder.is_dir()
        name = str(folder.resolve()) if local else name
        return f"{'local-dir' if local else 'hf-hub'}:{name}" if by_timm else name

    @property
    def script(self) -> str:
        """A training script that repeats the fine-tuning without this package; "" without a winner."""
        from hf_transfer_score.choosing.saving import training_script

        return training_script(self)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        accuracy = self.accuracy
        found: dict[str, Any] = plain(
            {
                "answer": self.answer,
                "winner": self.winner,
                "learning_rate": self.rate,
                "sure": self.sure,
                "accuracy": None if accuracy is None else accuracy._asdict(),
                "tested": {one.name: {"whole": one.whole, **asdict(one.result)} for one in self.tested},
                "cost": {"share": self.share, "all_seconds": self.all_seconds, **asdict(self.spent)},
                "history": [asdict(one) for one in self.history],
                "curves": [asdict(one) for one in self.curves],
                "recipe": asdict(self.recipe),
                "test": {"examples": len(self.test), "fingerprint": self.test.fingerprint},
                "script": self.script,
                "notes": self.notes,
                "interrupted": self.interrupted,
            }
        )
        return found | {"ranking": self.ranking.as_dict()}

    @property
    def record(self) -> Record:
        """The record of the winner's accuracy on the test rows."""
        return tested_records(self.ranking, self.tested[:1], self.recipe, self.options, self.test)[0]

    def push(
        self, name: str, *, private: bool = False, token: str | bool | None = None, endpoint: str | None = None
    ) -> str:
        """Push the winner's weights, a model card and its record to the Hub, and return the address.

        Args:
            name: OWNER/NAME of a model repository, which is created if needed.
            private: whether a new repository is private.
            token: for the Hub; None for the one that its client finds.
            endpoint: another Hub than that of HF_ENDPOINT.
        """
        from hf_transfer_score.choosing.saving import push_winner

        return push_winner(self, name, private=private, token=token, endpoint=endpoint)

    def save_model(self, folder: str | Path) -> Path:
        """Write the winner's weights with its head, a training script and a description into a folder."""
        from hf_transfer_score.choosing.saving import save_winner

        if self.trained is None or not self.tested:
            raise InputError("There are no weights to save: no winner was trained to the end.")
        return save_winner(self, *self.trained, Path(folder))


def tested_records(
    ranking: RankReport, tested: Sequence[Tested], recipe: Recipe, options: ChooseOptions, test: LabelledSample
) -> list[Record]:
    """Return the records of the accuracies after complete training, each at one learning rate."""
    like, found = one_of_each(ranking), []
    for one in tested:
        if one.whole and one.name in like:
            rate = one.result.learning_rate  # None of a probe
            own = recipe if rate is None else replace(recipe, learning_rates=(rate,))
            metric = truth_metric(own, options.seed, test)
            found.append(readable(truth_record(like[one.name], metric, one.result)))
    return found
