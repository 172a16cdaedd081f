"""One candidate of a run: its features are made once and scored, in this process or in a worker's."""

from __future__ import annotations

import gc
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hf_transfer_score.backbones.base import Backbone, all_kinds, own_parameters
from hf_transfer_score.checkpoints.resolve import Fetched, fetch
from hf_transfer_score.errors import FAILURE_KINDS, CheckpointError, NoSpaceError
from hf_transfer_score.features.batches import Processes, as_checkpoint_error
from hf_transfer_score.features.cache import CachedFeatures, FeatureCache, FeatureWriter
from hf_transfer_score.features.extract import ExtractOptions, extract
from hf_transfer_score.features.precision import AUTO, EXACT, Precision
from hf_transfer_score.home import temporary_name
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.runs.ahead import ScoresAhead, few_enough
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.plan import PlannedModel
from hf_transfer_score.runs.scoring import Scoring, failed_model, score_layer, unscored_model
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.untrusted import parse_json
from hf_transfer_score.version import VERSION

GONE = "its features vanished from the cache during the run; run again"

SAMPLES_KEPT = 2
"""Samples that a worker keeps mapped: one to rank on, and one to test on."""


def files_of(model: PlannedModel) -> Fetched:
    """Return the files of a candidate, which are downloaded now where they are not here."""
    assert model.checkpoint is not None
    return fetch(model.checkpoint, model.files)


@dataclass(frozen=True)
class CandidateRun:
    """What a process needs to score candidates.

    Attributes:
        sample: what they are scored on.
        scoring: by which metrics.
        options: how their features are read.
        cache: where these are kept.
        processes: those that share the work.
        listener: hears how it goes on.
        fetch: gets the files of a candidate.
        ahead: scores of candidates whose features were there.
    """

    sample: LabelledSample
    scoring: Scoring
    options: RankOptions
    cache: FeatureCache
    processes: Processes = field(default_factory=Processes)
    listener: Listener = field(default_factory=Listener)
    fetch: Callable[[PlannedModel], Fetched] = files_of
    ahead: ScoresAhead = field(default_factory=lambda: ScoresAhead({}))

    def outcome(self, model: PlannedModel) -> list[RankedModel]:
        """Return what became of one candidate, one model per layer; a failure is one, too."""

        def scored(*, from_cache: bool) -> list[RankedModel]:
            if not self.processes.is_main:
                return []
            self.listener.stage(model, "scoring")
            return self.ahead.take(model.name) or self.scores(model, self._cached(model), from_cache=from_cache)

        return self.with_features(model, scored)

    def with_features(self, model: PlannedModel, use: Callable[..., list[RankedModel]]) -> list[RankedModel]:
        """Return what is made of the features of a candidate, which are made where they are not there.

        Args:
            model: the candidate.
            use: called when they are there, with whether they were before.
        """
        was_there = True
        try:
            if model.failure:
                raise model.failure
            if not self._is_cached(model):
                was_there = not self._extract_once(model)
            return use(from_cache=was_there)
        except CheckpointError as error:
            failure = error
        except NoSpaceError as error:
            failure = as_checkpoint_error(error)
        except Exception as error:  # what a library raises for one model is no reason to end the run
            if self.processes.count > 1:  # the others would wait for ever
                raise
            failure = as_checkpoint_error(error)
        return [failed_model(replace(model, failure=failure))]

    def scored_ahead(self, model: PlannedModel) -> list[RankedModel] | None:
        """Return the scores of a candidate whose features are there and few, None for another."""
        cached = model.cached(self.cache)
        if cached is None or not few_enough(cached, self.scoring.metrics):
            return None
        return self.scores(model, cached, from_cache=True)

    def scores(self, model: PlannedModel, cached: CachedFeatures, *, from_cache: bool) -> list[RankedModel]:
        """Return the layers of a candidate with their scores."""
        known = [unscored_model(model, cached, layer, from_cache=from_cache) for layer in cached.features]
        return [self._scored(one, cached) for one in known]

    def _scored(self, one: RankedModel, cached: CachedFeatures) -> RankedModel:
        slow = one.too_slow(self.options.min_throughput)
        if slow is not None:
            return replace(one, status="failed", kind="too_slow", reason=slow)
        return score_layer(one, cached, one.layer or "", self.sample, self.scoring)

    def _cached(self, model: PlannedModel) -> CachedFeatures:
        cached = model.cached(self.cache)
        if cached is None:
            raise CheckpointError("error", GONE)
        return cached

    def _is_cached(self, model: PlannedModel) -> bool:
        """Whether the features are there; the main process decides, since another run may have added them."""
        there = model.cached(self.cache) is not None if self.processes.is_main else False
        return self.processes.from_main(there)

    def _extract_once(self, model: PlannedModel) -> bool:
        """Make the features, unless another run is at it: then wait for them, or for its end; return who made them."""
        waiting = partial(waiting_for, self.listener, f"the features of {model.name}")
        with self.cache.alone(model.first_key, waiting) if self.processes.is_main else nullcontext():
            known = self.processes.from_main(model.known_failure(self.cache) if self.processes.is_main else None)
            if known is not None:
                raise known
            if self._is_cached(model):
                return False
            self._extract(model)
            return True

    def _extract(self, model: PlannedModel) -> None:
        if not model.files:  # it was cached when the plan was made
            raise CheckpointError("error", GONE)
        gc.freeze()  # what is there stays: collecting this model's cycles afterwards need not look at it
        writer = self.cache.writer(model.first_key, self.sample.rows) if self.processes.is_main else None
        fetched: Fetched | None = None
        try:
            self.listener.stage(model, "downloading" if model.download_bytes else "loading")
            fetched = self.processes.first_main(lambda: self.fetch(model))
            assert fetched is not None
            self._run_model(model, fetched, writer)
        except BaseException:
            if writer is not None:
                writer.discard()
            raise
        finally:
            if fetched is not None and self.options.free_disk and self.processes.local_index == 0:
                fetched.free()
            release_memory()

    def _run_model(self, model: PlannedModel, fetched: Fetched, writer: FeatureWriter | None) -> None:
        self.listener.stage(model, "loading")
        backbone: Backbone = self.processes.together(
            lambda: all_kinds()[model.kind or ""].load(fetched.folder, self.sample.task, model.options)
        )
        self.listener.stage(model, "running")
        summary = self._extracted(model, writer, backbone, self.options.extract)
        chosen = self.options.extract.dtype == AUTO and Precision.of(summary) != EXACT
        if chosen and self.processes.from_main(writer is not None and writer.non_finite()[0] > 0):
            exact = replace(self.options.extract, dtype="float32", runtime="torch")
            summary = self._extracted(model, writer, backbone, exact)
        self.processes.together(lambda: _finish(writer, model, self.sample, backbone, summary))

    def _extracted(
        self, model: PlannedModel, writer: FeatureWriter | None, backbone: Backbone, options: ExtractOptions
    ) -> dict[str, Any]:
        return extract(
            backbone,
            self.sample,
            writer,
            options=options,
            processes=self.processes,
            report=lambda count: self.listener.examples(model, count),
            converted=model.converted(self.cache, self.sample),
        )


def waiting_for(listener: Listener, what: str, holder: str) -> None:
    """Tell that another process is waited for."""
    listener.waiting(f"{what}: waiting for {holder}, which makes the same")


def _finish(
    writer: FeatureWriter | None,
    model: PlannedModel,
    sample: LabelledSample,
    backbone: Backbone,
    summary: dict[str, Any],
) -> None:
    """Check what was written, and make it visible."""
    if writer is None:
        return
    used = Precision.of(summary)
    writer.key = model.keys[used]
    bad, first = writer.non_finite()
    about = {
        "model": model.name,
        "commit": model.commit,
        "kind": model.kind,
        "rows": writer.rows,
        "dataset": sample.source.dataset,
        "task": sample.task.name,
        "version": VERSION,
    }
    if bad:
        advice = "its weights may be damaged" if used.dtype == "float32" else "try dtype=float32"
        failure = CheckpointError(
            "non_finite",
            f"{bad:,} of {writer.rows:,} rows hold features that are not finite, the first is row {first}; {advice}",
        )
        writer.cache.fail(writer.key, failure, about)
        raise failure
    extraction = {**summary, "details": {**backbone.details, **used.details()}}
    writer.finish({**about, "own_parameters": own_parameters(backbone), "extraction": extraction})


def release_memory() -> None:
    """Give the memory of a model back before the next one is loaded."""
    gc.collect()
    torch = sys.modules.get("torch")
    with suppress(AttributeError, RuntimeError):
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()


class WorkersCache(FeatureCache):
    """The features as a worker adds to them; what is too much is removed by the run that it works for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, limit=0)

    def shrink(self) -> None:
        """Remove nothing: only the run knows what it still needs."""


@dataclass(frozen=True)
class ScoreCandidate:
    """The work on one candidate as a worker gets it.

    Attributes:
        model: the candidate.
        sample: the file of the sample.
        scoring: the metrics.
        options: how its features are read.
        features: the folder that keeps them.
    """

    model: PlannedModel
    sample: Path
    scoring: Scoring
    options: RankOptions
    features: Path

    def __call__(self) -> list[RankedModel]:
        """Make the features and return the scores, in whatever process this is."""
        with quiet_client():
            return self._run(self.sample, self.features).outcome(self.model)

    @property
    def files(self) -> tuple[Path, ...]:
        """What it reads besides the checkpoint: the sample."""
        return (self.sample,)

    @property
    def bound(self) -> str:
        """Why it can be done on this computer only."""
        return only_here(self.model)

    def leave(self, files: Sequence[Path], folder: Path) -> None:
        """Leave the features, or why there are none, for `take`; they are scored where the run is."""
        with quiet_client(), TemporaryDirectory() as made:
            failed = self._run(files[0], Path(made)).with_features(self.model, lambda **_: [])
            for key in self.model.keys.values():
                if key in WorkersCache(Path(made)):
                    shutil.move(Path(made) / key, folder / key)
        if failed:
            (folder / FAILED).write_text(json.dumps([failed[0].kind, failed[0].reason]), encoding="utf-8")

    def take(self, folder: Path) -> list[RankedModel]:
        """Take the features into the cache and return the scores."""
        run = self._run(self.sample, self.features)
        for key in self.model.keys.values():
            if key in WorkersCache(folder):
                place = self.features / temporary_name(key)
                self.features.mkdir(parents=True, exist_ok=True)
                shutil.move(folder / key, place)
                run.cache.adopt(key, place)
        try:
            if (folder / FAILED).exists():
                raise failure_in(folder / FAILED)
            cached = self.model.cached(run.cache)
            if cached is None or any(len(one) != run.sample.rows for one in cached.features.values()):
                raise CheckpointError("error", "its job sent back no features of this sample that are whole")
            return run.scores(self.model, cached, from_cache=False)
        except CheckpointError as error:
            return [failed_model(replace(self.model, failure=error))]

    def _run(self, sample: Path, features: Path) -> CandidateRun:
        return CandidateRun(loaded_sample(sample), self.scoring, self.options, WorkersCache(features))


FAILED = "failed.json"
"""The kind and reason of a failure, as a worker leaves it where no folder is shared."""


def failure_in(path: Path) -> CheckpointError:
    """Return the failure that a worker left in a file."""
    kind, reason = parse_json(path.read_bytes())
    return CheckpointError(kind if kind in FAILURE_KINDS else "error", str(reason))


def only_here(model: PlannedModel) -> str:
    """Return why a candidate can be run on this computer only, "" where it can be anywhere."""
    checkpoint = model.checkpoint
    return "" if checkpoint is None or checkpoint.folder is None else "it lies in a folder of this computer"


def with_whole_paths(model: PlannedModel) -> PlannedModel:
    """Return a candidate for a process with another working folder."""
    checkpoint = model.checkpoint
    if checkpoint is None or checkpoint.folder is None:
        return model
    return replace(model, checkpoint=replace(checkpoint, folder=checkpoint.folder.absolute()))


@lru_cache(SAMPLES_KEPT)
def loaded_sample(path: Path) -> LabelledSample:
    """Return a sample from its file, mapped once by each process."""
    return LabelledSample.load(path)
