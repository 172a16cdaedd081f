"""The NC1 profile of one checkpoint: how collapsed the classes of a dataset are in each of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hf_transfer_score.checkpoints.candidate import parse_candidates, refuse_model
from hf_transfer_score.errors import CheckpointError, DatasetError, OptionError
from hf_transfer_score.finetune.recipe import most_collapsed
from hf_transfer_score.ranking.models import RankedModel
from hf_transfer_score.ranking.showing import Shown
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.report import RankReport, sample_facts
from hf_transfer_score.runs.run import rank
from hf_transfer_score.text import in_words

NC1 = "nc1"
METRICS = (NC1, "ncti", "face")
EMBEDDINGS = "0"
"""The layer that is the input of the first block, not the output of a block."""


@dataclass(frozen=True)
class ProfileRow:
    """One layer of a profile.

    Attributes:
        layer: its number, as `layer` of `BackboneOptions` takes it; 0 for the embeddings.
        width: number of features.
        nc1: trace(Σ_W Σ_B†) / K of its pooled features, smaller is more collapsed; None if it is not defined.
        terms: raw terms of the other metrics that could be computed, by metric.
        reasons: why a metric could not be computed, by metric.
    """

    layer: str
    width: int | None
    nc1: float | None
    terms: Mapping[str, Mapping[str, float]]
    reasons: Mapping[str, str]


@dataclass(frozen=True, repr=False)
class LayerProfile(Shown):
    """The layers of one checkpoint on one sample.

    Attributes:
        model: the id or folder.
        rows: one row per layer, from the input to the output.
        report: the run that read the features.
    """

    model: str
    rows: tuple[ProfileRow, ...]
    report: RankReport

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self.rows)} layers. {self.answer}>"

    @property
    def shown_ranking(self) -> RankReport:
        """The layers as a pool."""
        return self.report

    @property
    def answer(self) -> str:
        """The layer where the classes are most collapsed."""
        return f"The classes are most collapsed in layer {self.best.layer} of {self.model}: NC1 {self.best.nc1:.3g}."

    @property
    def best(self) -> ProfileRow:
        """The layer with the smallest NC1, the earlier of equal ones; the embeddings do not count."""
        blocks = {one.layer: one for one in self.rows if one.layer != EMBEDDINGS}
        chosen = most_collapsed({layer: one.nc1 for layer, one in blocks.items()})
        assert chosen is not None
        return blocks[chosen]

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""
        first = next(iter(self.report.models.values()))
        return {
            "model": self.model,
            "commit": first.commit,
            "library": first.library,
            "parameters": first.parameters,
            "pooling": first.extraction.get("details", {}).get("pooling"),
            "sample": sample_facts(self.report.sample),
            "smallest_nc1": self.best.layer,
            "layers": [asdict(one) for one in self.rows],
            "notes": list(self.report.notes),
        }

    def plot(self, path: str | Path | None = None) -> Any:
        """Return the chart of NC1 by layer, and write it to a .png, .svg or .html file if one is named."""
        from hf_transfer_score.drawing.files import save_profile
        from hf_transfer_score.drawing.rank_chart import profile_chart

        sample = self.report.sample
        about = f"on {in_words(sample.source.dataset)}, {len(sample):,} examples"
        values = {one.layer: one.nc1 for one in self.rows}
        if path is not None:
            save_profile(values, self.best.layer, self.model, about, Path(path))
        return profile_chart(values, self.best.layer, self.model, about)

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`, one row per layer, with the terms of each metric."""
        import pandas

        rows = []
        for one in self.rows:
            terms = {f"{metric}.{name}": value for metric, of in one.terms.items() for name, value in of.items()}
            rows.append({"layer": one.layer, "width": one.width, NC1: one.nc1, **terms})
        return pandas.DataFrame(rows)

    def _repr_html_(self) -> str:
        """Return the answer, the layers and the chart, as a notebook shows them."""
        from hf_transfer_score.drawing.files import profile_html

        rows = [(one.layer, [one.width, one.nc1]) for one in self.rows]
        return profile_html(self.plot(), self.answer, rows, self.best.layer)


def layer_profile(
    dataset: Any,
    model: Any,
    *,
    options: RankOptions | None = None,
    listener: Listener | None = None,
    folder: str | Path | None = None,
) -> LayerProfile:
    """Return NC1 of each layer of a checkpoint on a labelled dataset, from one forward pass over a sample.

    Args:
        dataset: as for `rank`.
        model: an id on the Hub, a folder, or a model in memory, as for `rank`.
        options: as for `rank`; every layer is read, whatever `layer` says.
        listener: a listener for progress events.
        folder: where samples and features are kept; None for the default place.

    Example:
        >>> from hf_transfer_score import layers
        >>> profile = layers("example", "example/vit-pretrained", max_samples=100, device="cpu", progress=False)
        >>> len(profile.rows), profile.best.layer in [row.layer for row in profile.rows]
        (3, True)

    Raises:
        CheckpointError: the checkpoint cannot be scored, or its layers cannot be read.
        DatasetError: the dataset cannot be sampled, or NC1 is not defined for any layer, such as without classes.
    """
    refuse_model(dataset)
    candidates = parse_candidates([model])
    if len(candidates) > 1:
        raise OptionError(f"{model!r} stands for several checkpoints: name one of them.")
    asked = options or RankOptions()
    asked = replace(asked, backbone=replace(asked.backbone, layer="all"), replicates=0)
    report = rank(dataset, candidates, options=asked, metrics=list(METRICS), listener=listener, folder=folder)
    outcomes = list(report.models.values())
    for one in outcomes:
        if one.layer is None:
            raise CheckpointError(one.kind or "error", f"{one.name}: {one.reason}")
    rows = tuple(sorted(map(_row, outcomes), key=lambda one: int(one.layer)))
    if all(one.nc1 is None or one.layer == EMBEDDINGS for one in rows):
        raise DatasetError(f"NC1 is not defined for any layer of {candidates[0]}: {rows[-1].reasons[NC1]}")
    return LayerProfile(str(candidates[0]), rows, report)


def _row(one: RankedModel) -> ProfileRow:
    assert one.layer is not None
    if one.scores is None:
        return ProfileRow(one.layer, None, None, {}, {NC1: str(one.reason)})
    results = one.scores.results
    found = {name: dict(results[name].terms) for name in METRICS if name in results and results[name].status == "ok"}
    reasons = {name: str(results[name].reason) for name in METRICS if name in results and name not in found}
    nc1 = found.pop(NC1, {}).get(NC1)
    return ProfileRow(one.layer, one.width, nc1, found, reasons)
