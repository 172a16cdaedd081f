"""How many points a choice loses against the best candidate, at what cost, and whether its confidence is right.

    python -m benchmarks.choosing             # replayed races; minutes once the learning curves are there
    python -m benchmarks.choosing --targets a b --least 12 --rows 8 20 50
    python -m benchmarks.choosing --kills 20  # also kill real choices at random moments

The curves (`choosing_curves.py`) are of the ten micro networks that ship as `example`, on three targets that they were
not trained for (measured once, in about ten minutes on one core), or of other measured targets. Each race draws new
rows to look at and to choose by, and leaves out some networks, so that the best one is not always the same; the races
are the same for all budgets and numbers of rows. Cost is relative to the passes of fine-tuning every candidate by the
same recipe, forward passes included.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.choosing_curves import FOLDER, Curves, curves, shipped
from benchmarks.choosing_rows import adaptive, known_rows
from hf_transfer_score.choosing.evidence import Arm, Leg, Terms, dispensable, know_nothing
from hf_transfer_score.choosing.history import Spent
from hf_transfer_score.choosing.options import Budget
from hf_transfer_score.choosing.race import Race
from hf_transfer_score.choosing.trainer import counted
from hf_transfer_score.finetune.loop import kept_pass
from hf_transfer_score.ranking.feature_pool import rank_features
from hf_transfer_score.ranking.forecast import Forecaster
from hf_transfer_score.ranking.history import History
from hf_transfer_score.ranking.ranking import Ranking
from hf_transfer_score.ranking.relations import Relations
from hf_transfer_score.runs.expected import STEP_COST

RACES, ROWS = 100, (8, 50, 500)
NO_LIMIT = 1000.0


@dataclass(frozen=True)
class Drawn:
    """One race: the networks, the rows, and the forecasts so far, by the networks that are in."""

    curves: Curves
    places: tuple[int, ...]
    looked_at: NDArray[np.int64]
    chosen_by: NDArray[np.int64]
    pools: dict[tuple[str, ...], Looked] = field(default_factory=dict)

    def pool(self, names: Sequence[str]) -> Looked:
        """Return the forecast for some of the networks."""
        key = tuple(names)
        if key not in self.pools:
            features = {name: self.curves.features[name][self.looked_at] for name in key}
            self.pools[key] = Looked(rank_features(features, self.curves.labels[self.looked_at]))
        return self.pools[key]

    @property
    def names(self) -> list[str]:
        """The networks of the race."""
        return [self.curves.names[place] for place in self.places]

    @property
    def truths(self) -> dict[str, float]:
        """The test accuracy of each network, at the learning rate and pass that all rows choose."""
        found = {}
        for place in self.places:
            seen = self.curves.right[place].mean(-1)
            rate = int(seen.max(1).argmax())
            done = kept_pass(seen[rate], self.curves.right.shape[-1])
            found[self.curves.names[place]] = float(self.curves.accuracies[place, rate, done])
        return found

    def got(self, name: str, rate: float) -> float:
        """The test accuracy of a network at a learning rate, at the pass that these rows choose."""
        place, number = self.curves.names.index(name), self.curves.rates.index(rate)
        seen = self.curves.right[place, number][:, self.chosen_by].mean(1)
        return float(self.curves.accuracies[place, number, kept_pass(seen, len(self.chosen_by))])


class Replayed:
    """A track that replays known learning curves."""

    def __init__(self, drawn: Drawn) -> None:
        self.drawn = drawn

    def run(self, arm: Arm, passes: int) -> Leg:
        """Return the state of a training after so many passes."""
        curves = self.drawn.curves
        place, rate = curves.names.index(arm.name), curves.rates.index(arm.rate)
        right = curves.right[place, rate][:, self.drawn.chosen_by]
        seen = right[:passes].mean(1)
        ended = passes >= curves.passes
        states = counted(seen.tolist(), len(self.drawn.chosen_by), ended)
        return Leg(tuple(seen.tolist()), right[states].mean(0), ended)

    def price(self, arm: Arm, budget: Budget) -> float:
        """Return the cost of a pass, in fine-tunings."""
        return 1 / self.drawn.curves.steps


class Looked:
    """The forecast from the features of some rows."""

    absolute = True

    def __init__(self, ranking: Ranking) -> None:
        kin = {name: Relations(family=name.rsplit("-", 1)[0].split("-", 1)[0]) for name in ranking.ranks}
        self.ranking, self.forecaster = ranking, Forecaster(History(), kin)
        self.names, _ = ranking.looks()

    def outcomes(self, drawn: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the accuracies of each draw."""
        return self.forecaster.outcomes(self.ranking.looks(drawn=drawn)[1])


@dataclass(frozen=True)
class Outcome:
    """The result of a race: points lost against the best, relative cost, and claimed confidence."""

    lost: float
    cost: float
    sure: float
    all_lost: float


def races(known: Sequence[Curves], count: int, seed: int, least: int) -> Iterator[Drawn]:
    """Yield races on all targets in turn, with at least so many networks, and the validation rows in random order."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        one = known[number % len(known)]
        size = int(generator.integers(min(least, len(one.names)), len(one.names) + 1))
        places = tuple(sorted(generator.choice(len(one.names), size, replace=False).tolist()))
        looked = np.sort(generator.choice(len(one.labels), 2 * len(one.labels) // 3, replace=False))
        yield Drawn(one, places, looked, generator.permutation(one.right.shape[-1]))


def raced(drawn: Drawn, tunings: float, within: float, confidence: float) -> Outcome:
    """Return the result of a choice among the networks of a race."""
    pool, spent = drawn.pool(drawn.names), Spent()
    gone = set(know_nothing(pool.ranking.probes, pool.ranking.chance))
    among = [place for place, name in enumerate(pool.names) if name not in gone]
    out, lost = dispensable(pool.outcomes({}), among, within, (1 - confidence) / 2)
    gone |= {pool.names[place] for place in out}
    read = len(drawn.names) * len(drawn.looked_at) / len(drawn.curves.labels)
    spent.tunings = read / STEP_COST / drawn.curves.steps
    left = drawn.pool([name for name in drawn.names if name not in gone])
    means = left.outcomes({}).mean(1)
    names = [left.names[place] for place in np.argsort(-means)]
    budget = Budget(tunings, "fine-tunings")
    chance = pool.ranking.chance or 0.0
    terms = Terms(drawn.curves.passes, drawn.curves.rates, within, confidence, budget, lost, chance)
    race = Race(names, Replayed(drawn), left, terms, spent)
    winner = race.run()
    assert winner is not None
    truths = drawn.truths
    best = max(truths.values())
    all_arms = [Arm(name, rate) for name in drawn.names for rate in drawn.curves.rates]
    track = Replayed(drawn)
    everything = max(all_arms, key=lambda arm: track.run(arm, drawn.curves.passes).level)
    return Outcome(
        100 * (best - drawn.got(*winner)),
        spent.tunings / len(drawn.names),
        race.chance(winner),
        100 * (best - drawn.got(*everything)),
    )


def line(name: str, found: Sequence[Outcome], within: float) -> str:
    """Return a row of the table."""
    lost, cost = np.array([one.lost for one in found]), np.array([one.cost for one in found])
    said, true = np.array([one.sure for one in found]), np.array([one.lost <= within for one in found])
    all_lost = np.array([one.all_lost for one in found])
    return (
        f"{name:<34} {lost.mean():6.2f} {np.quantile(lost, 0.9):6.2f} {lost.max():6.2f} {all_lost.mean():6.2f} "
        f"{cost.mean():6.1%} {true.mean():6.0%} {said.mean():6.0%}"
    )


HEADER = f"{'':<34} {'lost':>6} {'90%':>6} {'most':>6} {'all':>6} {'cost':>6} {'within':>6} {'said':>6}"
LEGEND = (
    "lost: points of test accuracy below the best candidate: mean, 90th percentile and maximum;\n"
    "all: the mean if every candidate is fine-tuned and the validation rows choose;\n"
    "within: races within the tolerance; said: the probability of that which the choices claimed."
)


def tables(known: Sequence[Curves], count: int, least: int, rows: Sequence[int]) -> None:
    """Print points lost by number of validation rows and budget, and whether the claimed confidence holds."""
    print(HEADER)
    drawn = list(races(known, count, 1, least))
    for many in rows:
        few = [replace(one, chosen_by=one.chosen_by[:many]) for one in drawn]
        for share in (0.05, 0.15, 0.3):
            found = [raced(one, share * len(one.places), 0.5, 0.9) for one in few]
            print(line(f"{many} rows, budget {share:.0%} of all", found, 0.5), flush=True)
        for within in (0.5, 1.0, 2.0):
            found = [raced(one, NO_LIMIT, within, 0.9) for one in few]
            print(line(f"{many} rows, no budget, within {within:g}", found, within), flush=True)
            sure = [one for one in found if one.sure >= 0.9]
            if sure:
                print(line(f"  the {len(sure)} that claimed 90%", sure, within), flush=True)
    print(LEGEND)


def with_junk(known: Curves, count: int) -> Curves:
    """Add the curves of networks with noise as features and guesses as answers."""
    generator, names = np.random.default_rng(0), tuple(f"junk {number}" for number in range(count))
    classes = len(np.unique(known.labels))
    right = generator.random((count, *known.right.shape[1:])) < 1 / classes
    features = {name: generator.normal(size=(len(known.labels), 64)).astype(np.float32) for name in names}
    return replace(
        known,
        names=(*known.names, *names),
        right=np.concatenate([known.right, right]),
        accuracies=np.concatenate([known.accuracies, np.full((count, *known.accuracies.shape[1:]), 1 / classes)]),
        seconds=np.concatenate([known.seconds, np.full(count, known.seconds.mean())]),
        features={**known.features, **features},
    )


def junk(known: Sequence[Curves], count: int) -> None:
    """Print what 190 useless candidates add to the cost of ten good ones."""
    ratios = []
    for one in races(known, count, 3, 1):
        whole = replace(one, places=tuple(range(len(one.curves.names))))
        more = with_junk(one.curves, 190)
        crowd = replace(whole, curves=more, places=tuple(range(len(more.names))), pools={})
        few, many = (raced(pool, NO_LIMIT, 0.5, 0.9) for pool in (whole, crowd))
        ratios.append(many.cost * len(crowd.places) / (few.cost * len(whole.places)))
        said = f"lost {few.lost:.1f} points alone, {many.lost:.1f} among 190 that know nothing"
        print(f"{said}, at {ratios[-1]:.2f} times the cost", flush=True)
    print(f"200 candidates of which 190 know nothing: {np.mean(ratios):.2f} times the cost on average")


KILLED = ("choose", "example", "--epochs", "2", "--learning-rates", "1e-3,3e-3", "--device", "cpu", "--json", "--quiet")
MODELS = ("resnet-pretrained", "convnext-pretrained", "vit-few-steps")


def kills(count: int) -> None:
    """Kill a real choice at random moments, run it again, and compare it with an undisturbed one."""
    command = [sys.executable, "-m", "hf_transfer_score", *KILLED, "--models", *(f"example/{name}" for name in MODELS)]
    generator, same, repeated = random.Random(0), 0, 0
    with tempfile.TemporaryDirectory() as place:
        begin = time.monotonic()
        expected = _outcome(_run(command, Path(place) / "clean"))
        whole = time.monotonic() - begin
        for _ in range(count):
            home = Path(place) / "killed"
            shutil.rmtree(home, ignore_errors=True)
            moment = generator.uniform(0.3, 1.0) * whole
            running = subprocess.Popen(command, env=_environment(home), stdout=subprocess.DEVNULL)
            time.sleep(moment)
            running.send_signal(signal.SIGKILL)
            running.wait()
            steps = {path: path.stat().st_mtime_ns for path in home.rglob("steps/*.json")}
            again = _outcome(_run(command, home))
            same += again == expected
            repeated += sum(path.stat().st_mtime_ns != time_ for path, time_ in steps.items())
            print(f"killed after {moment:.1f} s, {len(steps)} steps done: same {again == expected}", flush=True)
    print(f"{same} of {count} ended with the same winner and numbers; finished steps repeated: {repeated}")


def _environment(home: Path) -> dict[str, str]:
    return {**os.environ, "HF_TRANSFER_SCORE_HOME": str(home), "HF_HUB_OFFLINE": "1"}


def _run(command: Sequence[str], home: Path) -> str:
    return subprocess.run(command, env=_environment(home), capture_output=True, text=True, check=True).stdout


def _outcome(text: str) -> Any:
    told = json.loads(text)
    accuracies = {name: one["accuracy"] for name, one in told["tested"].items()}
    rounds = [(one["words"], one["inside"], list(one["gone"])) for one in told["history"]]
    return told["winner"], told["learning_rate"], accuracies, rounds


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--races", type=int, default=RACES)
    parser.add_argument("--targets", nargs="+", help="measured targets; default: those of the networks that ship")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="the folder of the curves")
    parser.add_argument("--least", type=int, default=4, help="fewest networks in a race")
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS, help="numbers of validation rows")
    parser.add_argument("--junk", type=int, default=3, help="pools with 190 useless candidates")
    parser.add_argument("--kills", type=int, default=0, help="real choices to kill")
    parser.add_argument("--adaptive", type=int, default=0, help="pools for `rank --adaptive`")
    parser.add_argument("--datasets", type=Path, nargs="+", default=[], help="folders for these; default: own targets")
    parser.add_argument("--checkpoints", type=Path, nargs="+", default=[], help="folders, with --datasets")
    asked = parser.parse_args()
    if asked.races or asked.junk:
        known = [curves(target, asked.folder) for target in asked.targets or shipped(asked.folder)]
        tables(known, asked.races, asked.least, asked.rows)
        if asked.junk:
            junk(known, asked.junk)
    if asked.adaptive:
        adaptive(asked.adaptive, known_rows(asked.datasets, asked.checkpoints, asked.folder))
    if asked.kills:
        kills(asked.kills)


if __name__ == "__main__":
    main()
