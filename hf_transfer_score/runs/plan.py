"""The plan of a run: for each candidate nothing, a forward pass, a download before it, or a failure."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from hf_transfer_score.backbones.base import AdaptedOptions, BackboneOptions, all_kinds, kind_of
from hf_transfer_score.checkpoints.candidate import Candidate, display_names
from hf_transfer_score.checkpoints.resolve import BYTES_PER_PARAMETER, Checkpoint, missing_bytes, recall, resolve
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.features.batches import as_checkpoint_error
from hf_transfer_score.features.cache import CachedFeatures, FeatureCache, feature_key
from hf_transfer_score.features.precision import Precision, possible
from hf_transfer_score.features.runtimes import ConvertedModels
from hf_transfer_score.home import free_bytes
from hf_transfer_score.hub.downloads import Answers, map_at_once
from hf_transfer_score.hub.settings import hub_cache
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.text import counted
from hf_transfer_score.version import VERSION

ASKED_AT_ONCE = 8

ALIKE = 10
"""Models are similar if one has at most this many times the parameters of the other."""

State = Literal["cached", "on disk", "download", "failed"]


@dataclass(frozen=True)
class PlannedModel:
    """One candidate of a plan.

    Attributes:
        name: as tables show it.
        state: "cached" features need no work; weights are "on disk" or to "download"; or it "failed" already.
        checkpoint: its repository; None if it was not found.
        kind: the name of its kind of backbone.
        files: the files that are needed.
        download_bytes: how many bytes of them have to be downloaded.
        keys: of its features in the cache, by each precision that may serve, the preferred one first.
        options: how its features are read, and what code may run.
        failure: why it cannot be scored.
        local: whether it is a folder.
    """

    name: str
    state: State
    checkpoint: Checkpoint | None = None
    kind: str | None = None
    files: tuple[str, ...] = ()
    download_bytes: int = 0
    keys: Mapping[Precision, str] = field(default_factory=dict)
    options: BackboneOptions = field(default_factory=BackboneOptions)
    failure: CheckpointError | None = None
    local: bool = False

    def cached(self, cache: FeatureCache) -> CachedFeatures | None:
        """Return its cached features, in the first precision that is there; None if there are none."""
        return next((found for key in self.keys.values() if (found := cache.get(key)) is not None), None)

    def known_failure(self, cache: FeatureCache) -> CheckpointError | None:
        """Return the failure of an earlier run that would happen again, if any."""
        return next((found for key in self.keys.values() if (found := cache.failure(key)) is not None), None)

    def converted(self, cache: FeatureCache, sample: LabelledSample) -> ConvertedModels:
        """Return where its conversion to OpenVINO is kept, for samples of this task."""
        assert self.checkpoint is not None
        parts = {**key_parts(self.checkpoint, self.kind or "", sample, self.options), "sample": sample.task.name}
        about = {"model": self.name, "commit": self.commit, "dataset": "converted for OpenVINO"}
        return ConvertedModels(cache, parts, about)

    @property
    def first_key(self) -> str:
        """The key of the features in the preferred precision."""
        return next(iter(self.keys.values()), "")

    @property
    def commit(self) -> str | None:
        """The commit of its repository; None if it was not found."""
        return self.checkpoint.commit if self.checkpoint else None

    @property
    def parameters(self) -> int | None:
        """Parameters according to the repository; None if it does not say."""
        return self.checkpoint.parameters if self.checkpoint else None

    @property
    def weight_bytes(self) -> int:
        """Bytes of the files that are needed, downloaded or not; 0 if it does not run."""
        return self.checkpoint.repository.bytes_of(self.files) if self.checkpoint else 0


@dataclass(frozen=True, repr=False)
class Plan:
    """The plan of a run.

    Attributes:
        models: the candidates in the order they were named.
        free_bytes: free space on the disk for the weights; None if unknown.
        notes: what to know before the run starts.
        seconds: about how long the forward passes take, judging by models that ran before; None if unknown.
        guess: how many seconds they take at least and at most, a rough guess where nothing was timed; None if unknown.
    """

    models: tuple[PlannedModel, ...]
    free_bytes: int | None = None
    notes: tuple[str, ...] = ()
    seconds: float | None = None
    guess: tuple[float, float] | None = None

    @property
    def download_bytes(self) -> int:
        """Bytes that will be downloaded."""
        return sum(model.download_bytes for model in self.models)

    def __repr__(self) -> str:
        """Return one line, however many models it has."""
        states = ", ".join(f"{count} {state}" for state, count in Counter(one.state for one in self.models).items())
        return f"<Plan of {counted(len(self.models), 'model')} ({states}), {self.download_bytes:,} bytes to download>"


def make_plan(
    candidates: Sequence[Candidate],
    sample: LabelledSample,
    cache: FeatureCache,
    known: Answers,
    options: RankOptions,
) -> Plan:
    """Return the plan; the Hub is asked only about candidates whose features are not in the cache."""
    names = display_names(candidates)
    kinds = all_kinds()  # loaded here, once, before threads ask for them
    assert kinds
    planner = _Planner(sample, cache, known, options)

    def one(number: int) -> PlannedModel:
        candidate = candidates[number]
        local = candidate.folder is not None or candidate.held is not None
        return replace(planner.planned(candidate), name=names[number], local=local)

    models = tuple(map_at_once(one, range(len(candidates)), ASKED_AT_ONCE))
    free = free_bytes(hub_cache()) if any(model.download_bytes for model in models) else None
    seconds = expected_seconds(models, len(sample), paces(entry.meta for entry in cache.entries()))
    return Plan(models, free, tuple(_notes(models, free, options)), seconds)


@dataclass(frozen=True)
class _Planner:
    """Plans candidates on one sample."""

    sample: LabelledSample
    cache: FeatureCache
    known: Answers
    options: RankOptions

    def planned(self, candidate: Candidate) -> PlannedModel:
        remembered = recall(candidate, self.known)
        try:
            model = None if remembered is None else self._remembered(candidate, remembered)
            return model or self._resolved(candidate)
        except Exception as error:  # noqa: BLE001  # one strange repository must not end the run
            failure = error if isinstance(error, CheckpointError) else as_checkpoint_error(error)
            own = model_options(candidate, self.options)
            return PlannedModel(str(candidate), "failed", remembered, options=own, failure=failure)

    def _remembered(self, candidate: Candidate, checkpoint: Checkpoint) -> PlannedModel | None:
        """Return a candidate whose features or failure are in the cache, without importing any library; else None."""
        kind = self.known.recall(self._kind_question(checkpoint))
        if kind is None:
            return None
        model = self._found(candidate, checkpoint, str(kind["name"]))
        if model.cached(self.cache) is not None:  # reading them protects them from removal in this run
            if self.options.max_parameters is not None:
                _files_of(model, self.options)
            return model
        failure = model.known_failure(self.cache)
        return None if failure is None else replace(model, state="failed", failure=failure)

    def _resolved(self, candidate: Candidate) -> PlannedModel:
        """Return a candidate after asking the Hub, or reading its folder."""
        checkpoint = resolve(candidate, self.known)
        kind = kind_of(checkpoint.repository, self.sample.task)
        self.known.remember(self._kind_question(checkpoint), {"name": kind.name})
        there = self._remembered(candidate, checkpoint)
        if there is not None:
            return there
        model = self._found(candidate, checkpoint, kind.name)
        files = _files_of(model, self.options)
        needed = missing_bytes(checkpoint, files)
        return replace(model, state="download" if needed else "on disk", files=files, download_bytes=needed)

    def _kind_question(self, checkpoint: Checkpoint) -> str:
        kinds, name, adapter = ", ".join(all_kinds()), checkpoint.repository.name, checkpoint.adapter
        if adapter is not None:  # its base decides
            name = f"{adapter.name} on {adapter.base}@{adapter.base_commit}"
        return f"kind of {name} at {checkpoint.commit} for {self.sample.task.modality}, of {kinds} in version {VERSION}"

    def _found(self, candidate: Candidate, checkpoint: Checkpoint, kind: str) -> PlannedModel:
        """Return a candidate of a known kind, with the keys of its features."""
        own = model_options(candidate, self.options)
        if checkpoint.adapter is not None:
            of_base = model_options(Candidate(checkpoint.adapter.base), self.options)
            own = AdaptedOptions(**vars(of_base), adapter=checkpoint.adapter, pickled_adapter=own.allow_pickle)
        parts = key_parts(checkpoint, kind, self.sample, own)
        asked, images = self.options.extract, self.sample.task.modality == "image"
        ways = possible(asked.dtype, asked.runtime, images=images)
        keys = {one: feature_key({**parts, **one.key_parts()}) for one in ways}
        return PlannedModel(str(candidate), "cached", checkpoint, kind, keys=keys, options=own)


def model_options(candidate: Candidate, options: RankOptions) -> BackboneOptions:
    """Return the options of one candidate: remote code and pickles only if they are allowed by name."""
    names = {candidate.name, str(candidate)}
    return replace(
        options.backbone,
        trust_remote_code=options.backbone.trust_remote_code or bool(names & set(options.trust_remote_code)),
        allow_pickle=options.backbone.allow_pickle or bool(names & set(options.allow_pickle)),
    )


def key_parts(checkpoint: Checkpoint, kind: str, sample: LabelledSample, own: BackboneOptions) -> dict[str, object]:
    """Return everything that can change the features of a checkpoint, except the precision."""
    name = checkpoint.repository.name if checkpoint.folder is None else "folder"
    return {
        "model": name,
        "commit": checkpoint.commit,
        "kind": kind,
        "sample": sample.fingerprint,
        "options": own.plain(),
    }


def _files_of(model: PlannedModel, options: RankOptions) -> tuple[str, ...]:
    """Return the files that a model needs, or raise CheckpointError if it has more parameters than asked for."""
    checkpoint, most = model.checkpoint, options.max_parameters
    assert checkpoint is not None
    files = tuple(dict.fromkeys(all_kinds()[model.kind or ""].files(checkpoint.repository, model.options)))
    count = checkpoint.parameters or checkpoint.repository.bytes_of(files) // BYTES_PER_PARAMETER
    if most is not None and count > most:
        raise CheckpointError("too_large", f"has {count:,} parameters, more than the {most:,} asked for")
    return files


def _notes(models: Sequence[PlannedModel], free: int | None, options: RankOptions) -> list[str]:
    needed = [model.download_bytes for model in models]
    at_once = sum(sorted(needed)[-2:]) if options.free_disk else sum(needed)
    if free is not None and at_once > free:
        remedy = "" if options.free_disk else "; `free_disk` removes weights once they are scored"
        return [f"The downloads need {at_once:,} bytes, but only {free:,} are free{remedy}."]
    return []


class KnownPace(NamedTuple):
    """The time of one example in a model that ran before, with its kind of backbone and its parameters."""

    kind: str
    parameters: int
    seconds: float


def paces(kept: Iterable[dict[str, Any]]) -> list[KnownPace]:
    """Return the paces of models on the last device, from the metadata of cached features, the last used first."""
    found, device = [], None
    for meta in kept:
        made = meta.get("extraction") or {}
        seconds, examples, parameters = made.get("seconds"), made.get("examples"), meta.get("own_parameters")
        if not (seconds and examples and parameters):
            continue
        device = device or made.get("device")
        if made.get("device") == device:
            found.append(KnownPace(str(meta.get("kind")), int(parameters), float(seconds) / int(examples)))
    return found


def expected_seconds(models: Sequence[PlannedModel], examples: int, known: Sequence[KnownPace]) -> float | None:
    """Return about how many seconds the forward passes of the models that are to run take; None if unknown.

    A model takes the time of the model of its kind that is nearest in size, in proportion to their sizes.
    """
    total = 0.0
    for model in models:
        if model.state not in ("on disk", "download"):
            continue
        size = model.parameters or model.weight_bytes // BYTES_PER_PARAMETER
        apart = {one: abs(math.log(max(size, 1) / one.parameters)) for one in known if one.kind == model.kind}
        near = min(apart, key=apart.__getitem__, default=None)
        if near is None or apart[near] > math.log(ALIKE):
            return None
        total += near.seconds * examples * size / near.parameters
    return total


LOW, HIGH = 0.15, 2.0
"""Eighteen networks of timm and transformers took 0.15 to 1.3 times the guess with one thread, the lower values where
the package chose the precision and the engine; a busy machine takes longer."""

IMAGE, SOUND, LETTERS, LONGEST = 200, 250, 4, 512
"""How often a parameter is used: for an image of 224 pixels, and for five seconds of sound; or once for a token of
about four letters, of which a text has 512 at most."""

USUAL_PIXELS, SIDE, PRODUCTS = 224, 1024, 3

ACCELERATORS = ("/dev/nvidiactl", "/dev/kfd")
"""Files of machines with a GPU, whose speed a processor does not tell."""


def guessed_seconds(
    models: Sequence[PlannedModel], sample: LabelledSample, options: RankOptions
) -> tuple[float, float] | None:
    """Return about how many seconds the passes take at least and at most; None where this processor does not tell.

    Each parameter is used once for each token or patch, at the speed of a product of matrices.
    """
    device = options.extract.device
    elsewhere = sys.platform == "darwin" or any(Path(one).exists() for one in ACCELERATORS)
    if device != "cpu" if device else elsewhere:
        return None
    running = [one for one in models if one.state in ("on disk", "download") and one.kind != "static_embeddings"]
    sizes = [one.parameters or one.weight_bytes // BYTES_PER_PARAMETER for one in running]
    if not all(sizes):
        return None
    usual = 2.0 * sum(sizes) * _uses(sample, options) * len(sample) / _speed()
    return LOW * usual, HIGH * usual


def _uses(sample: LabelledSample, options: RankOptions) -> float:
    """Return how often a parameter is used for an example."""
    if sample.task.modality == "image":
        return IMAGE * ((options.backbone.image_size or USUAL_PIXELS) / USUAL_PIXELS) ** 2
    if sample.task.modality == "audio":
        return SOUND
    letters = sum(
        sample.table.column(name).nbytes for name in ("input", "input_2") if name in sample.table.column_names
    )
    return min(float(letters) / max(len(sample), 1) / LETTERS, options.backbone.max_length or LONGEST)


def _speed() -> float:
    """Return the operations per second of a product of matrices, which is measured in a tenth of a second."""
    factor = np.ones((SIDE, SIDE), np.float32)
    seconds = []
    for _ in range(PRODUCTS):
        start = time.perf_counter()
        factor @ factor
        seconds.append(time.perf_counter() - start)
    return 2.0 * SIDE**3 / min(seconds)
