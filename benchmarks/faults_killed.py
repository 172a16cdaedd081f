"""Runs killed at random moments, and simultaneous runs: the same numbers, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from faults_stage import Stage, numbers

from hf_transfer_score.hub.downloads import STILL_SECONDS
from tests.hostile.judging import fault_of, last_line, printed
from tests.hostile.limited import Finished, watch
from tests.hostile.trying import Trial
from tests.runs.pool import PICTURES, REVIEWS

KILLS = 44
USUAL = ("--json", "--quiet", "--save", "{records}")
COMMANDS = {
    "rank of pictures": ("rank", PICTURES, "--models", "good/resnet", "good/vit", "good/dinov2", "--replicates", "20"),
    "rank of texts": ("rank", REVIEWS, "--models", "good/bert", "good/sentences", "--replicates", "20"),
    "verify": (
        *("verify", PICTURES, "--models", "good/resnet", "good/vit", "--method", "full", "--top", "2", "--seeds", "0"),
        *("--per-class", "12", "--epochs", "2", "--learning-rates", "0.001", "--replicates", "0"),
    ),
    "verify by probe": (
        *("verify", REVIEWS, "--models", "good/bert", "good/sentences", "--method", "probe", "--seeds", "0"),
        *("--per-class", "20", "--replicates", "0"),
    ),
}


class Home:
    """The folders that one command writes to."""

    def __init__(self, stage: Stage, place: Path) -> None:
        self.stage, self.place = stage, place
        self.places = [place / "kept", place / "records", place / "temporary", stage.warm.hub_cache.parent]
        self.empty()

    def empty(self) -> None:
        """Remove everything, including downloads."""
        for place in self.places:
            shutil.rmtree(place, ignore_errors=True)
        (self.place / "temporary").mkdir(parents=True)

    def start(self, command: tuple[str, ...]) -> Any:
        """Start a command here."""
        told = [part.format(records=self.place / "records") for part in (*command, *USUAL)]
        environment = {"HF_TRANSFER_SCORE_HOME": str(self.place / "kept"), "TMPDIR": str(self.place / "temporary")}
        return self.stage.warm.start(*told, **environment)

    def age(self) -> None:
        """Make partial downloads look old; fresh ones may belong to another process."""
        long_ago = time.time() - 2 * STILL_SECONDS
        for part in [part for place in self.places for part in place.rglob("*.incomplete")]:
            os.utime(part, (long_ago, long_ago))

    def run(self, command: tuple[str, ...]) -> Finished:
        """Run the command to its end."""
        return watch(self.start(command))

    def files(self) -> set[str]:
        """Return the files; locks of other libraries stay and have the same names in each run."""
        paths = [path for place in self.places for path in place.rglob("*") if path.is_file()]
        return {str(path) for path in paths if path.suffix != ".lock"}


def kills(stage: Stage, random: Random) -> Iterator[Trial]:
    """Kill each command at random moments, run it again, and compare with an undisturbed run."""
    for name, command in COMMANDS.items():
        home = Home(stage, stage.place(f"killed {name}".replace(" ", "-")))
        clean = home.run(command)
        expected, files = undisturbed(clean), home.files()
        for number in range(KILLS // len(COMMANDS)):
            home.empty()
            moment = random.uniform(0, clean.seconds)
            running = home.start(command)
            time.sleep(moment)
            running.send(signal.SIGKILL)
            status = running.wait().status
            home.age()
            again = home.run(command)
            wrong = fault_of(again) or compared(again, expected)
            left = home.files() - files
            if not wrong and len(home.files()) > len(files):
                wrong = f"{len(left)} files that are not there without a kill, such as {min(left)}"
            ended = "killed" if status == -signal.SIGKILL else f"ended with {status}"
            yield Trial(f"{name} {number}, {ended} after {moment:.2f} s", " ".join(command), wrong, again)


def outcome(done: Finished) -> Any:
    """Return the result of a run, without times."""
    report = printed(done.out)
    if report is None:
        return last_line(done.err)
    if "mean_ranks" in report:
        return numbers(report)
    return timeless(report)


def undisturbed(done: Finished) -> Any:
    """Return the result of an undisturbed run, which must succeed to be comparable."""
    if fault_of(done) or printed(done.out) is None:
        raise RuntimeError(f"the run without a fault failed: {fault_of(done)} {done.err[-1000:]}")
    return outcome(done)


def timeless(value: Any) -> Any:
    """Return values without those that naturally differ from run to run."""
    if isinstance(value, dict):
        return {key: timeless(one) for key, one in value.items() if not any(part in key for part in VARYING)}
    return [timeless(one) for one in value] if isinstance(value, list) else value


VARYING = ("seconds", "created", "from_cache", "extraction", "memory", "resumed", "saved", "reused", "stored", "device")


def compared(done: Finished, expected: Any) -> str:
    """Return how a run differs from the undisturbed one, "" if it does not."""
    found = outcome(done)
    if found == expected:
        return ""
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = [key for key in expected if found.get(key) != expected[key]]
        return f"other {', '.join(keys)}: {str([found.get(key) for key in keys])[:300]}"
    return f"came to {str(found)[:300]}"


def at_once(stage: Stage, random: Random) -> Iterator[Trial]:
    """Run the same ranking several times at once on one cache: the same numbers, each pass computed once."""
    for count in (2, 3, 4):
        for name in ("rank of pictures", "rank of texts"):
            command = COMMANDS[name]
            home = Home(stage, stage.place(f"{count} {name}".replace(" ", "-")))
            expected = undisturbed(home.run(command))
            home.empty()
            ended = [watch(running) for running in [home.start(command) for _ in range(count)]]
            wrong = next(filter(None, (fault_of(one) or compared(one, expected) for one in ended)), "")
            passes = len(set().union(*map(made, ended)))
            models = command.index("--replicates") - command.index("--models") - 1
            if not wrong and passes != models:
                wrong = f"{passes} passes were made where {models} were needed"
            yield Trial(f"{count} at once, {name}", " ".join(command), wrong, max(ended, key=lambda one: one.seconds))


def made(done: Finished) -> set[tuple[str, float]]:
    """Return the passes behind the features of a run: the model, and the duration of its pass."""
    report = printed(done.out) or {"pool": {}}
    return {(name, one["extraction"]["seconds"]) for name, one in report["pool"].items() if one["status"] == "ok"}
