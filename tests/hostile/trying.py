"""Each hostile input is handed to the command, and judged."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hf_transfer_score import score_features
from tests.checkpoints.images import timm_image, vit
from tests.checkpoints.sounds import write_sound
from tests.checkpoints.texts import write_sentence_folder, write_text
from tests.hostile.checkpoints import CheckpointCase
from tests.hostile.datasets import PICTURES, ROWS, DatasetCase, media, table
from tests.hostile.feature_files import LABELS, FeatureCase
from tests.hostile.judging import Terms, fault_of, judge, last_line, printed, same, terms_of
from tests.hostile.limited import Finished
from tests.hostile.traps import Traps
from tests.hostile.watching import run_watched
from tests.runs.warm import Warm
from tests.sampling.made import sound

METRICS = ("ncti", "logme")
SHORT = ("--metrics", ",".join(METRICS), "--replicates", "0", "--json", "--quiet")


@dataclass(frozen=True)
class Trial:
    """What became of one input.

    Attributes:
        name: of the input.
        command: what was run.
        wrong: what is wrong with it, "" where it was survived.
        done: how the command ended.
    """

    name: str
    command: str
    wrong: str
    done: Finished


def try_feature_file(warm: Warm, case: FeatureCase, folder: Path) -> Trial:
    """Score a feature file of a stranger's."""
    arguments = written_file(case, folder)
    return judged_file(case, folder, run_watched(warm, *arguments))


def written_file(case: FeatureCase, folder: Path) -> list[str]:
    """Write a feature file, and return the command that scores it."""
    path = _place(case, folder) / f"file{case.ending}"
    path.parent.mkdir()
    case.write(path, path.with_name("marker"))
    return ["score", str(path), "--metrics", ",".join(METRICS), "--json"]


def judged_file(case: FeatureCase, folder: Path, done: Finished) -> Trial:
    """Return what became of a feature file; what was survived is removed."""
    place = _place(case, folder)
    report = printed(done.out)
    found = terms_of(report["results"]) if report and report["status"] == "ok" else None
    said = str(report["reason"]) if report else last_line(done.err)
    wrong = fault_of(done) or judge(said, found or None, case.refused, expected(case))
    if (place / "marker").exists():
        wrong = "ran code from the file"
    if not wrong:
        shutil.rmtree(place)
    return Trial(f"{case.name}{case.ending}", f"score {place / 'file'}{case.ending}", wrong, done)


def _place(case: FeatureCase, folder: Path) -> Path:
    return folder / f"{case.name}{case.ending.replace('.', '-')}"


def expected(case: FeatureCase) -> Terms | None:
    """Return the terms of the features that a file must count as."""
    if case.features is None:
        return None
    results = score_features(case.features, LABELS, metrics=METRICS).results
    return {name: dict(one.terms) for name, one in results.items() if one.status == "ok"}


@dataclass(frozen=True)
class Good:
    """Good checkpoints by name, and a good dataset for each kind of input."""

    checkpoints: Mapping[str, Path]
    datasets: Mapping[str, Path]


MODELS = {"text": "bert", "image": "vit", "sound": "wav2vec2"}
"""The checkpoint that hostile datasets are handed to."""


def write_good(folder: Path) -> Good:
    """Write them."""
    checkpoints = {
        "bert": write_text(folder / "bert"),
        "sentences": write_sentence_folder(folder / "sentences"),
        "vit": vit(folder / "vit"),
        "resnet": timm_image(folder / "resnet"),
        "wav2vec2": write_sound(folder / "wav2vec2"),
    }
    waves = [sound(row) for row in range(ROWS)]
    contents = {"text": table(), "image": media(PICTURES), "sound": media(waves, "audio", "Audio")}
    datasets = {modality: folder / f"{modality}.parquet" for modality in contents}
    for modality, content in contents.items():
        datasets[modality].write_bytes(content)
    return Good(checkpoints, datasets)


def try_dataset(warm: Warm, case: DatasetCase, folder: Path, good: Good, traps: Traps) -> Trial:
    """Rank a checkpoint by a dataset of a stranger's."""
    name, home = case.name, folder / f"{case.name}-home"
    place = traps.hub.add(f"cases/{name}", {}, kind="dataset") if case.on_hub else folder / name
    place.mkdir(exist_ok=True)
    case.write(place, traps)
    files = list(place.iterdir())
    only = not case.on_hub and len(files) == 1 and not files[0].is_dir() and "." in files[0].name
    dataset = f"cases/{name}" if case.on_hub else str(files[0] if only else place)
    arguments = ("rank", dataset, "--models", str(good.checkpoints[MODELS[case.modality]]), *SHORT)
    done = run_watched(warm, *arguments, HF_TRANSFER_SCORE_HOME=str(home), TMPDIR=str(home.parent))
    found, said = ranked(done)
    right = allowed(case.accepted, found, clean_terms(warm, good.datasets["text"], good.checkpoints["bert"]))
    wrong = traps.sprung(home, said=done.out + done.err) or fault_of(done) or judge(said, found, case.refused, right)
    if not wrong:
        shutil.rmtree(place)
        shutil.rmtree(home, ignore_errors=True)
    return Trial(name, " ".join(arguments), wrong, done)


def ranked(done: Finished, name: str | None = None) -> tuple[Terms | None, str]:
    """Return the terms of a model of a ranking, None where it has none, and what was said of it.

    Args:
        done: a ranking with `--json`.
        name: of the model; None for the first.
    """
    report = printed(done.out)
    if report is None:
        return None, last_line(done.err)
    outcome = report["models"][name or next(iter(report["models"]))]
    if outcome["status"] != "ok":
        return None, f"{outcome['kind']}: {outcome['reason']}"
    return terms_of(outcome["scores"]["results"]), ""


def try_checkpoint(warm: Warm, case: CheckpointCase, folder: Path, good: Good, traps: Traps) -> Trial:
    """Rank a checkpoint of a stranger's beside the good one that it was made of."""
    place, home = folder / case.name, folder / f"{case.name}-home"
    original = good.checkpoints[case.base]
    shutil.copytree(original, place)
    case.change(place, traps)
    arguments = ("rank", str(good.datasets[case.modality]), "--models", str(place), str(original), *SHORT)
    done = run_watched(warm, *arguments, HF_TRANSFER_SCORE_HOME=str(home), TMPDIR=str(folder))
    right = clean_terms(warm, good.datasets[case.modality], original)
    found, said = ranked(done, case.name)
    beside = ranked(done, original.name)[0]
    wrong = traps.sprung(home, said=done.out + done.err) or fault_of(done)
    wrong = wrong or judge(said, found, case.refused, allowed(case.accepted, found, right))
    if not wrong and (beside is None or not same(beside, right)):
        wrong = f"the good one beside it: {beside} for {right}"
    if not wrong:
        shutil.rmtree(place)
        shutil.rmtree(home, ignore_errors=True)
    return Trial(case.name, " ".join(arguments), wrong, done)


def allowed(accepted: str, found: Terms | None, clean: Terms) -> Terms | None:
    """Return the terms that an input may have."""
    return {"": None, "any": found, "clean": clean}[accepted]


@cache
def clean_terms(warm: Warm, dataset: Path, checkpoint: Path) -> Terms:
    """Return the terms of a good checkpoint on a good dataset."""
    found, said = ranked(run_watched(warm, "rank", str(dataset), "--models", str(checkpoint), *SHORT))
    assert found, said
    return found
