"""Runs the command on each hostile input, and judges the outcome."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hf_transfer_score import score_features
from tests.checkpoints.images import timm_image, vit
from tests.checkpoints.sounds import write_sound
from tests.checkpoints.texts import write_sentence_folder, write_text
from tests.hostile.dataset_making import PICTURES, SOUNDS, DatasetCase, media, sounding, table
from tests.hostile.feature_files import LABELS, FeatureCase
from tests.hostile.judging import Terms, fault_of, judge, last_line, printed, terms_of
from tests.hostile.limited import Finished, run_watched
from tests.hostile.traps import Traps
from tests.runs.warm import Warm

METRICS = ("ncti", "logme")
SHORT = ("--metrics", ",".join(METRICS), "--replicates", "0", "--json", "--quiet")


@dataclass(frozen=True)
class Trial:
    """The outcome of one input: what is wrong ("" if nothing is), and how the command ended."""

    name: str
    command: str
    wrong: str
    done: Finished


def place_feature_file(case: FeatureCase, folder: Path) -> list[str]:
    """Write a hostile feature file, and return the command that scores it."""
    path = folder / f"{case.name}{case.ending.replace('.', '-')}" / f"file{case.ending}"
    path.parent.mkdir()
    case.write(path, path.with_name("marker"))
    return ["score", str(path), "--metrics", ",".join(METRICS), "--json"]


def judge_feature_file(case: FeatureCase, command: list[str], done: Finished) -> Trial:
    """Judge the outcome of a feature file, which is removed if nothing is wrong."""
    place, report = Path(command[1]).parent, printed(done.out)
    found = terms_of(report["results"]) if report and report["status"] == "ok" else None
    said, expected = str(report["reason"]) if report else last_line(done.err), None
    if case.features is not None:
        results = score_features(case.features, LABELS, metrics=METRICS).results
        expected = {name: dict(one.terms) for name, one in results.items() if one.status == "ok"}
    wrong = fault_of(done) or judge(said, found or None, case.refused, expected)
    if (place / "marker").exists():
        wrong = "ran code from the file"
    return trial_of(f"{case.name}{case.ending}", command, wrong, done, place)


@dataclass(frozen=True, eq=False)
class Good:
    """Good checkpoints by name, and a good dataset for each kind of input."""

    checkpoints: Mapping[str, Path]
    datasets: Mapping[str, Path]

    def command(self, dataset: Path | str, *models: Path) -> list[str]:
        return ["rank", str(dataset), "--models", *map(str, models), *SHORT]


MODELS = {"text": "bert", "image": "vit", "sound": "wav2vec2"}  # the checkpoints for hostile datasets


def write_good(folder: Path) -> Good:
    checkpoints = {
        "bert": write_text(folder / "bert"),
        "sentences": write_sentence_folder(folder / "sentences"),
        "vit": vit(folder / "vit"),
        "resnet": timm_image(folder / "resnet"),
        "wav2vec2": write_sound(folder / "wav2vec2"),
    }
    contents = {"text": table(), "image": media(PICTURES), "sound": sounding(SOUNDS)}
    datasets = {modality: folder / f"{modality}.parquet" for modality in contents}
    for modality, content in contents.items():
        datasets[modality].write_bytes(content)
    return Good(checkpoints, datasets)


def place_dataset(case: DatasetCase, folder: Path, good: Good, traps: Traps) -> list[str]:
    """Write a hostile dataset, and return the command that ranks a checkpoint by it."""
    place = traps.hub.add(f"cases/{case.name}", {}, kind="dataset") if case.on_hub else folder / case.name
    place.mkdir(exist_ok=True)
    case.write(place, traps)
    files = list(place.iterdir())
    only = len(files) == 1 and not files[0].is_dir() and "." in files[0].name
    dataset = f"cases/{case.name}" if case.on_hub else files[0] if only else place
    return good.command(dataset, good.checkpoints[MODELS[case.modality]])


def judge_dataset(
    case: DatasetCase, command: list[str], done: Finished, home: Path, clean: Terms, traps: Traps
) -> Trial:
    """Judge the outcome of a dataset, given the folder of caches and the terms of `bert` on a good dataset."""
    found, said = ranked(done)
    right = {"": None, "any": found, "clean": clean}[case.accepted]
    wrong = traps.sprung(home, said=done.out + done.err) or fault_of(done) or judge(said, found, case.refused, right)
    return trial_of(case.name, command, wrong, done, home)


def ranked(done: Finished, name: str | None = None) -> tuple[Terms | None, str]:
    """Return the terms of a model of a ranking (by default the first), or None, and the message about it."""
    report = printed(done.out)
    if report is None:
        return None, last_line(done.err)
    outcome = report["pool"][name or next(iter(report["pool"]))]
    if outcome["status"] != "ok":
        return None, f"{outcome['kind']}: {outcome['reason']}"
    return terms_of(outcome["scores"]["results"]), ""


def trial_of(name: str, command: list[str], wrong: str, done: Finished, place: Path) -> Trial:
    if not wrong:
        shutil.rmtree(place, ignore_errors=True)
    return Trial(name, " ".join(command), wrong, done)


@cache
def clean_terms(warm: Warm, good: Good, modality: str, checkpoint: str) -> Terms:
    """Return the terms of a good checkpoint on a good dataset."""
    found, said = ranked(run_watched(warm, *good.command(good.datasets[modality], good.checkpoints[checkpoint])))
    assert found, said
    return found
