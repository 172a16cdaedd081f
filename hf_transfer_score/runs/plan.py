"""What a run will do with each candidate: nothing, a forward pass, a download before it, or fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from hf_transfer_score.backbones.base import AdaptedOptions, BackboneOptions, all_kinds, kind_of
from hf_transfer_score.checkpoints.candidate import Candidate, display_names
from hf_transfer_score.checkpoints.resolve import BYTES_A_PARAMETER, Checkpoint, missing_bytes, recall, resolve
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.features.batches import as_checkpoint_error
from hf_transfer_score.features.cache import CachedFeatures, FeatureCache, feature_key
from hf_transfer_score.features.openvino import ConvertedModels
from hf_transfer_score.features.precision import Precision, possible
from hf_transfer_score.home import free_bytes
from hf_transfer_score.hub.downloads import Answers, map_at_once
from hf_transfer_score.hub.settings import hub_cache
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.pace import expected_seconds, paces
from hf_transfer_score.sampling.sample import LabelledSample
from hf_transfer_score.version import VERSION

ASKED_AT_ONCE = 8

State = Literal["cached", "on disk", "download", "failed"]


@dataclass(frozen=True)
class PlannedModel:
    """One candidate and what is to be done with it.

    Attributes:
        name: as tables show it.
        state: "cached" features need nothing; weights are "on disk" or to be downloaded; or it "failed" already.
        checkpoint: its repository, None where it could not be found.
        kind: the name of its kind of backbone.
        files: the files that are needed.
        download_bytes: bytes of them that are to be downloaded.
        keys: of its features in the cache, by each precision that may serve, the preferred one first.
        options: how its features are read; what may run is decided for each model.
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
        """Return its features, in whichever precision they are there; None where they are not."""
        return next((found for key in self.keys.values() if (found := cache.get(key)) is not None), None)

    def known_failure(self, cache: FeatureCache) -> CheckpointError | None:
        """Return why there are none, where that is known and would be the same again."""
        return next((found for key in self.keys.values() if (found := cache.failure(key)) is not None), None)

    def converted(self, cache: FeatureCache, sample: LabelledSample) -> ConvertedModels:
        """Return where it is kept as converted for OpenVINO, for samples of this task."""
        assert self.checkpoint is not None
        parts = {**key_parts(self.checkpoint, self.kind or "", sample, self.options), "sample": sample.task.name}
        about = {"model": self.name, "commit": self.commit, "dataset": "converted for OpenVINO"}
        return ConvertedModels(cache, parts, about)

    @property
    def first_key(self) -> str:
        """The key of the preferred features: what they are made under, and waited for."""
        return next(iter(self.keys.values()), "")

    @property
    def commit(self) -> str | None:
        """The commit of its repository, None where it could not be found."""
        return self.checkpoint.commit if self.checkpoint else None

    @property
    def parameters(self) -> int | None:
        """Parameters as the repository says, None where it does not."""
        return self.checkpoint.parameters if self.checkpoint else None

    @property
    def weight_bytes(self) -> int:
        """Bytes of the files that are needed, here or not; 0 where nothing is to run."""
        return self.checkpoint.repository.bytes_of(self.files) if self.checkpoint else 0


@dataclass(frozen=True)
class Plan:
    """What a run will do.

    Attributes:
        models: the candidates in the order they were named.
        free_bytes: what is free on the disk that takes the weights; None where that is not known.
        notes: what to know before it starts.
        seconds: about how long the forward passes take; None where nothing tells yet.
    """

    models: tuple[PlannedModel, ...]
    free_bytes: int | None = None
    notes: tuple[str, ...] = ()
    seconds: float | None = None

    @property
    def download_bytes(self) -> int:
        """Bytes that will be downloaded."""
        return sum(model.download_bytes for model in self.models)


def make_plan(
    candidates: Sequence[Candidate],
    sample: LabelledSample,
    cache: FeatureCache,
    known: Answers,
    options: RankOptions,
) -> Plan:
    """Return what is to be done; the Hub is asked about candidates whose features are not in the cache."""
    names = display_names(candidates)
    kinds = all_kinds()  # loaded here, once, before threads ask for them
    assert kinds

    def one(number: int) -> PlannedModel:
        model = _plan_model(candidates[number], sample, cache, known, options)
        return replace(
            model,
            name=names[number],
            local=candidates[number].folder is not None or candidates[number].held is not None,
        )

    models = tuple(map_at_once(one, range(len(candidates)), ASKED_AT_ONCE))
    free = free_bytes(hub_cache()) if any(model.download_bytes for model in models) else None
    seconds = expected_seconds(models, len(sample), paces(entry.meta for entry in cache.entries()))
    return Plan(models, free, tuple(_notes(models, free, options)), seconds)


def _plan_model(
    candidate: Candidate, sample: LabelledSample, cache: FeatureCache, known: Answers, options: RankOptions
) -> PlannedModel:
    own = model_options(candidate, options)
    remembered = recall(candidate, known)
    try:
        if remembered is not None:
            model = _remembered(candidate, remembered, sample, cache, known, options)
            if model is not None:
                return model
        return _of_checkpoint(candidate, resolve(candidate, known), sample, cache, known, options)
    except Exception as error:  # noqa: BLE001  # what is strange about one repository is no reason to end the run
        failure = error if isinstance(error, CheckpointError) else as_checkpoint_error(error)
        return PlannedModel(str(candidate), "failed", remembered, options=own, failure=failure)


def model_options(candidate: Candidate, options: RankOptions) -> BackboneOptions:
    """Return the options for one candidate: remote code and pickles only where they are allowed by name."""
    names = {candidate.name, str(candidate)}
    return replace(
        options.backbone,
        trust_remote_code=options.backbone.trust_remote_code or bool(names & set(options.trust_remote_code)),
        allow_pickle=options.backbone.allow_pickle or bool(names & set(options.allow_pickle)),
    )


def _remembered(
    candidate: Candidate,
    checkpoint: Checkpoint,
    sample: LabelledSample,
    cache: FeatureCache,
    known: Answers,
    options: RankOptions,
) -> PlannedModel | None:
    """Return a candidate whose features are in the cache, else None; to ask the kinds can import their libraries."""
    kind = known.recall(_kind_question(checkpoint, sample))
    if kind is None:
        return None
    model = _found(candidate, checkpoint, str(kind["name"]), sample, options)
    if model.cached(cache) is not None:  # reading them keeps them for this run, whatever it adds
        return model
    failure = model.known_failure(cache)
    return None if failure is None else replace(model, state="failed", failure=failure)


def _kind_question(checkpoint: Checkpoint, sample: LabelledSample) -> str:
    kinds = ", ".join(all_kinds())
    adapter = checkpoint.adapter  # its base decides
    name = checkpoint.repository.name if adapter is None else f"{adapter.name} on {adapter.base}@{adapter.base_commit}"
    return f"kind of {name} at {checkpoint.commit} for {sample.task.modality}, of {kinds} in version {VERSION}"


def _found(
    candidate: Candidate, checkpoint: Checkpoint, kind: str, sample: LabelledSample, options: RankOptions
) -> PlannedModel:
    own = model_options(candidate, options)
    if checkpoint.adapter is not None:
        of_base = model_options(Candidate(checkpoint.adapter.base), options)
        own = AdaptedOptions(**vars(of_base), adapter=checkpoint.adapter, pickled_adapter=own.allow_pickle)
    parts = key_parts(checkpoint, kind, sample, own)
    ways = possible(options.extract.dtype, options.extract.runtime)
    keys = {one: feature_key({**parts, **one.key_parts()}) for one in ways}
    return PlannedModel(str(candidate), "cached", checkpoint, kind, keys=keys, options=own)


def _of_checkpoint(
    candidate: Candidate,
    checkpoint: Checkpoint,
    sample: LabelledSample,
    cache: FeatureCache,
    known: Answers,
    options: RankOptions,
) -> PlannedModel:
    kind = kind_of(checkpoint.repository, sample.task)
    known.remember(_kind_question(checkpoint, sample), {"name": kind.name})
    there = _remembered(candidate, checkpoint, sample, cache, known, options)
    if there is not None:
        return there
    model = _found(candidate, checkpoint, kind.name, sample, options)
    own = model.options
    files = tuple(dict.fromkeys(kind.files(checkpoint.repository, own)))
    _check_size(checkpoint, files, options)
    needed = missing_bytes(checkpoint, files)
    state: State = "download" if needed else "on disk"
    return replace(model, state=state, files=files, download_bytes=needed)


def key_parts(checkpoint: Checkpoint, kind: str, sample: LabelledSample, own: BackboneOptions) -> dict[str, object]:
    """Return everything that can change the features of a checkpoint, besides the precision."""
    name = checkpoint.repository.name if checkpoint.folder is None else "folder"
    return {
        "model": name,
        "commit": checkpoint.commit,
        "kind": kind,
        "sample": sample.fingerprint,
        "options": own.plain(),
    }


def _check_size(checkpoint: Checkpoint, files: Sequence[str], options: RankOptions) -> None:
    if options.max_parameters is None:
        return
    count = checkpoint.parameters or checkpoint.repository.bytes_of(files) // BYTES_A_PARAMETER
    if count > options.max_parameters:
        raise CheckpointError(
            "too_large", f"has {count:,} parameters, more than the {options.max_parameters:,} asked for"
        )


def _notes(models: Sequence[PlannedModel], free: int | None, options: RankOptions) -> list[str]:
    needed = [model.download_bytes for model in models]
    at_once = sum(sorted(needed)[-2:]) if options.free_disk else sum(needed)
    if free is not None and at_once > free:
        remedy = "" if options.free_disk else "; `free_disk` removes weights once they are scored"
        return [f"The downloads need {at_once:,} bytes, and {free:,} are free{remedy}."]
    return []
