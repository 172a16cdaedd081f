"""Published tables of scores and accuracies from the shipped records, and the checkpoints to score again."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hf_transfer_score.errors import OptionError, StoreError, did_you_mean
from hf_transfer_score.ranking.agreement import Agreement, agreement
from hf_transfer_score.records.record import Record
from hf_transfer_score.records.shipped import REFERENCE, read_shipped, shipped_folder


@dataclass(frozen=True)
class PublishedCheckpoint:
    """The closest checkpoint on the Hub to a model of a published table, if any; the note says how it differs."""

    id: str | None
    same_weights: bool = False
    note: str = ""


@dataclass(frozen=True)
class PublishedSource:
    """Where the records and the dataset of a table are.

    `metric` is the published score in the records, `scored_by` the corresponding metric of this package. Checkpoints
    are given by the name of the model in the table.
    """

    title: str
    dataset: str
    split: str
    label_column: str
    input_column: str
    metric: str
    scored_by: str
    checkpoints: Mapping[str, PublishedCheckpoint]
    remarks: tuple[str, ...] = ()


OTHER_RECIPE = "the same architecture with weights of another training recipe"

TORCHVISION = ("resnet34", "resnet50", "resnet101", "resnet152", "densenet121", "densenet169", "densenet201")
NCTI_CHECKPOINTS = {
    **{name: PublishedCheckpoint(f"timm/{name}.tv_in1k", True) for name in (*TORCHVISION, "inception_v3")},
    "mobilenet_v2": PublishedCheckpoint("timm/mobilenetv2_100.ra_in1k", False, f"{OTHER_RECIPE} (RandAugment)"),
    "mnasnet1_0": PublishedCheckpoint("timm/mnasnet_100.rmsp_in1k", False, f"{OTHER_RECIPE} (RMSProp)"),
    "googlenet": PublishedCheckpoint(None, note="timm has no GoogLeNet, so there is no checkpoint to score"),
}
"""Checkpoints for torchvision's models: timm's `tv_in1k` ones hold torchvision's own first ImageNet weights."""

SOURCES = {
    "ncti-cifar10": PublishedSource(
        title="NCTI on CIFAR-10, eleven supervised ImageNet models of torchvision",
        dataset="uoft-cs/cifar10",
        split="train",
        label_column="label",
        input_column="img",
        metric="ncti_published",
        scored_by="ncti",
        checkpoints=NCTI_CHECKPOINTS,
        remarks=(
            "published scores were scaled over the pool by their authors; their raw terms were not published",
            "one accuracy per model was published, so the variation between seeds is unknown",
        ),
    )
}


@dataclass(frozen=True)
class PublishedModel:
    """A row of a published table: score and accuracy after fine-tuning, with their ranks (1 is best)."""

    name: str
    score: float
    score_rank: int
    accuracy: float
    accuracy_rank: int
    parameters: int | None
    checkpoint: PublishedCheckpoint


@dataclass(frozen=True)
class PublishedTable:
    """A published table, best score first, with the agreement of scores and accuracies and the origins of both."""

    name: str
    source: PublishedSource
    models: tuple[PublishedModel, ...]
    origins: Mapping[str, str] = field(hash=False)
    agreement: Agreement

    @property
    def checkpoints(self) -> dict[str, str]:
        """The checkpoint on the Hub for each model that has one, by the model's name."""
        return {one.name: one.checkpoint.id for one in self.models if one.checkpoint.id is not None}

    def agreement_of(self, scores: Mapping[str, float]) -> Agreement:
        """Return how well other scores of the models (by name) agree with the published accuracies."""
        scored = [one for one in self.models if one.name in scores]
        return agreement([scores[one.name] for one in scored], [one.accuracy for one in scored])

    def published_agreement_of(self, names: Mapping[str, float]) -> Agreement:
        """Return the agreement of the published scores over some of the models."""
        return self.agreement_of({one.name: one.score for one in self.models if one.name in names})


def published_table(name: str) -> PublishedTable:
    """Return a published table from the shipped records; nothing is downloaded.

    Example:
        >>> round(published_table("ncti-cifar10").agreement.weighted_tau, 3)
        0.843
    """
    source = SOURCES.get(name)
    if source is None:
        hint = did_you_mean(name, SOURCES, 0.4)
        raise OptionError(f"There is no published table {name!r}.{hint} Known: {', '.join(SOURCES)}.")
    scored, measured = _records(source)
    scores = {model: next(iter(record.terms.values())) for model, record in scored.items()}
    truth = {model: record.terms["accuracy"] for model, record in measured.items() if model in scores}
    places = _places(scores), _places(truth)
    models = tuple(
        PublishedModel(
            model,
            scores[model],
            places[0][model],
            truth[model],
            places[1][model],
            record.model.parameters,
            source.checkpoints.get(model, PublishedCheckpoint(None, note="no checkpoint is known")),
        )
        for model, record in sorted(scored.items(), key=lambda one: (places[0][one[0]], one[0]))
    )
    found = agreement([one.score for one in models], [one.accuracy for one in models])
    kinds = {"score": scored, "accuracy": measured}
    origins = {kind: "; ".join(sorted({str(one.source) for one in of.values()})) for kind, of in kinds.items()}
    return PublishedTable(name, source, models, origins, found)


def _records(source: PublishedSource) -> tuple[dict[str, Record], dict[str, Record]]:
    """Return the records with scores, and those with accuracies on the same dataset, by model."""
    records = [one for one in read_shipped(shipped_folder() / REFERENCE) if one.metric and one.status == "ok"]
    scored = {one.model.id: one for one in records if one.metric and one.metric.name == source.metric}
    if not scored:
        raise StoreError(f"The shipped records hold no {source.metric}; install the package again.")
    marks = {one.dataset.fingerprint for one in scored.values()}
    truths = [one for one in records if one.metric and one.metric.kind == "truth" and one.dataset.fingerprint in marks]
    measured = {one.model.id: one for one in truths}
    missing = [model for model in scored if model not in measured]
    if missing:
        raise StoreError(f"The shipped records hold no accuracy of {', '.join(missing)}; install the package again.")
    return scored, measured


def _places(values: Mapping[str, float]) -> dict[str, int]:
    """Return ranks by value, 1 for the highest; equal values share the better rank."""
    return {name: 1 + sum(other > value for other in values.values()) for name, value in values.items()}
