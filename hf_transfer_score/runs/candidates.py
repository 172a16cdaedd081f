"""One candidate of a run: its features are extracted once and scored, in this process or in a worker."""

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
    """Return the files of a candidate, downloaded if needed."""
    assert model.checkpoint is not None
    return fetch(model.checkpoint, model.files)


@dataclass(frozen=True)
class CandidateRun:
    """Everything that a process needs to score candidates."""

    sample: LabelledSample
    scoring: Scoring
    options: RankOptions
    cache: FeatureCache
    processes: Processes = field(default_factory=Processes)
    listener: Listener = field(default_factory=Listener)
    fetch: Callable[[PlannedModel], Fetched] = files_of
    ahead: ScoresAhead = field(default_factory=lambda: ScoresAhead({}))

    def outcome(self, model: PlannedModel) -> list[RankedModel]:
        """Return the result of one candidate, one model per layer; a failure is a result too."""

        def scored(*, from_cache: bool) -> list[RankedModel]:
            if not self.processes.is_main:
                return []
            self.listener.stage(model, "scoring")
            return self.ahead.take(model.name) or self.scores(model, self._cached(model), from_cache=from_cache)

        return self.with_features(model, scored)

    def with_features(self, model: PlannedModel, use: Callable[..., list[RankedModel]]) -> list[RankedModel]:
        """Extract the features of a candidate unless they are cached, and return the result of `use`.

        It is called with whether the features were cached before.
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
        except Exception as error:  # a library's error on one model must not end the run
            if self.processes.count > 1:  # the other processes would wait for ever
                raise
            failure = as_checkpoint_error(error)
        return [failed_model(replace(model, failure=failure))]

    def scored_ahead(self, model: PlannedModel) -> list[RankedModel] | None:
        """Return the scores of a candidate whose features are cached and few; None for any other."""
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
        """Whether the features are cached; the main process decides, since another run may have added them."""
        there = model.cached(self.cache) is not None if self.processes.is_main else False
        return self.processes.from_main(there)

    def _extract_once(self, model: PlannedModel) -> bool:
        """Extract the features, after waiting for another run that does the same; return whether this run did it."""
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
        if not model.files:  # the features were cached when the plan was made
            raise CheckpointError("error", GONE)
        gc.freeze()  # existing objects stay: collecting this model's cycles afterwards need not visit them
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
        if model.options.device_map is not None and self.processes.count > 1:
            raise CheckpointError("unsupported", "is spread over all GPUs by device_map; start it without a launcher")
        own = replace(model.options, half=self.options.extract.fixed not in (None, EXACT))
        backbone: Backbone = self.processes.together(
            lambda: all_kinds()[model.kind or ""].load(fetched.folder, self.sample.task, own)
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
    """Report that another process is doing the same work, which this one waits for."""
    listener.waiting(f"{what}: waiting for {holder}, which is computing the same")


def _finish(
    writer: FeatureWriter | None,
    model: PlannedModel,
    sample: LabelledSample,
    backbone: Backbone,
    summary: dict[str, Any],
) -> None:
    """Check the features that were written, and add them to the cache."""
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
            f"{bad:,} of {writer.rows:,} rows have features that are not finite, the first is row {first}; {advice}",
        )
        writer.cache.fail(writer.key, failure, about)
        raise failure
    extraction = {**summary, "details": {**backbone.details, **used.details()}}
    writer.finish({**about, "own_parameters": own_parameters(backbone), "extraction": extraction})


def release_memory() -> None:
    """Free the memory of a model before the next one is loaded."""
    gc.collect()
    torch = sys.modules.get("torch")
    with suppress(AttributeError, RuntimeError):
        if torch is not None and torch.cuda.is_available():
            torch.cuda.empty_cache()


class WorkersCache(FeatureCache):
    """The cache of features as a worker sees it: the run that it works for removes old ones."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, limit=0)

    def shrink(self) -> None:
        """Remove nothing: only the run knows what it still needs."""


@dataclass(frozen=True)
class ScoreCandidate:
    """The scoring of one candidate, as a worker gets it."""

    model: PlannedModel
    sample: Path
    scoring: Scoring
    options: RankOptions
    features: Path

    def __call__(self) -> list[RankedModel]:
        """Extract the features and return the scores."""
        with quiet_client():
            return self._run(self.sample, self.features).outcome(self.model)

    @property
    def files(self) -> tuple[Path, ...]:
        """Files that it reads besides the checkpoint: the sample."""
        return (self.sample,)

    @property
    def bound(self) -> str:
        """Why it can run on this computer only."""
        return only_here(self.model)

    def leave(self, files: Sequence[Path], folder: Path) -> None:
        """Write the features, or the failure, for `take`; the run itself scores them."""
        with quiet_client(), TemporaryDirectory() as made:
            failed = self._run(files[0], Path(made)).with_features(self.model, lambda **_: [])
            for key in self.model.keys.values():
                if key in WorkersCache(Path(made)):
                    shutil.move(Path(made) / key, folder / key)
        if failed:
            (folder / FAILED).write_text(json.dumps([failed[0].kind, failed[0].reason]), encoding="utf-8")

    def take(self, folder: Path) -> list[RankedModel]:
        """Move the features into the cache and return the scores."""
        run = self._run(self.sample, self.features)
        for key in self.model.keys.values():
            if key in WorkersCache(folder):
                place = self.features / temporary_name(key)
                self.features.mkdir(parents=True, exist_ok=True)
                shutil.move(folder / key, place)
                run.cache.adopt(key, place)
        try:
            if (folder / FAILED).exists():
                kind, reason = parse_json((folder / FAILED).read_bytes())
                raise CheckpointError(kind if kind in FAILURE_KINDS else "error", str(reason))
            cached = self.model.cached(run.cache)
            if cached is None or any(len(one) != run.sample.rows for one in cached.features.values()):
                raise CheckpointError("error", "its job returned no complete features of this sample")
            return run.scores(self.model, cached, from_cache=False)
        except CheckpointError as error:
            return [failed_model(replace(self.model, failure=error))]

    def _run(self, sample: Path, features: Path) -> CandidateRun:
        return CandidateRun(loaded_sample(sample), self.scoring, self.options, WorkersCache(features))


FAILED = "failed.json"
"""The file with the kind and reason of a failure, from a worker that shares no folder."""


def only_here(model: PlannedModel) -> str:
    """Return why a candidate can run on this computer only; "" if it can run anywhere."""
    checkpoint = model.checkpoint
    return "" if checkpoint is None or checkpoint.folder is None else "it lies in a folder of this computer"


def with_whole_paths(model: PlannedModel) -> PlannedModel:
    """Return a candidate with an absolute folder, for a process with another working folder."""
    checkpoint = model.checkpoint
    if checkpoint is None or checkpoint.folder is None:
        return model
    return replace(model, checkpoint=replace(checkpoint, folder=checkpoint.folder.absolute()))


@lru_cache(SAMPLES_KEPT)
def loaded_sample(path: Path) -> LabelledSample:
    """Return a sample from its file, mapped once by each process."""
    return LabelledSample.load(path)
