"""Measure the accuracy of a fine-tuned checkpoint on held-out rows, and make its record."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.backbones.base import Backbone
from hf_transfer_score.errors import CheckpointError, RecordError
from hf_transfer_score.finetune.recipe import Recipe, default_recipe
from hf_transfer_score.finetune.rows import Rows, check_task, other_proportions
from hf_transfer_score.home import write_text
from hf_transfer_score.records.record import Record, RecordedMetric, record_path
from hf_transfer_score.sampling.sample import LabelledSample

if TYPE_CHECKING:
    from hf_transfer_score.finetune.built import Builder, BuiltNetwork
    from hf_transfer_score.finetune.loop import Run

Array = NDArray[np.float64]
Progress = Callable[[str], None]

MOST_ITERATIONS = 2_000  # of a probe's logistic regression

LEAST_GAIN = 0.1
"""Training that gains less than this share of the way from guessing to no error on its own rows gets a warning."""

ACCURACY = "accuracy"

VERSIONS: Mapping[str, int] = {"probe": 1, "full": 4, "layer": 4, "scl": 4, "lora": 2}
"""By method; increased when the default recipe, the effect of a seed, or the part that is trained changes.

Since version 4 batch norms keep the checkpoint's statistics, as they always did beside adapters. Since version 3 (of
adapters 2) the last state within one standard error of the best validation accuracy counts, before that it was the best
one. Since version 2 features are read before the dropout of the checkpoint's own head, the block is chosen on the whole
sample as `layers` does, and that of "scl" comes before the last one.
"""

NOT_OF_THE_RESULT = ("method", "device")

OF_A_PROBE = ("validation_share", "penalties", "precision")
"""The settings that a probe depends on; it has no epochs and no learning rates."""


@dataclass(frozen=True)
class FineTuningResult:
    """The result of fine-tuning.

    Attributes:
        accuracy: share of the test rows that are classified correctly, by the state that the validation part chooses.
        train_accuracy: of that state on the rows it was trained on.
        validation_accuracy: of that state on the validation part.
        learning_rate: the one that was chosen; None for a probe.
        penalty: of the logistic regression that was chosen; None for the other methods.
        epochs: passes at this learning rate before it stopped; 0 for a probe.
        trainable_parameters: parameters that were trained, including the new classifier.
        total_parameters: parameters that the classifier's answers depend on, including the new classifier.
        seconds: total time, with everything that was tried.
        layer: the block that was trained, None if it was not a single one.
        notes: what to know about the measurement.
    """

    accuracy: float
    train_accuracy: float
    validation_accuracy: float
    learning_rate: float | None
    penalty: float | None
    epochs: int
    trainable_parameters: int
    total_parameters: int
    seconds: float
    layer: str | None = None
    notes: tuple[str, ...] = ()


def fine_tune(
    load: Callable[[], Backbone],
    train: LabelledSample,
    test: LabelledSample,
    recipe: Recipe,
    seed: int = 0,
    *,
    progress: Progress | None = None,
    after_pass: Callable[[float], None] | None = None,
) -> FineTuningResult:
    """Fine-tune a checkpoint on a sample, and return its accuracy on another one, which is used for no choice.

    The backbone is loaded again for each learning rate. A stratified part of the training rows is held back for
    choices; the test rows have the same classes with the same numbers. The seed decides that part, the order of rows,
    and dropout. Samples that cannot be used raise OptionError or LabelsError, a checkpoint that cannot be fine-tuned
    CheckpointError. After each pass over the training rows `after_pass` is called with its seconds.
    """
    from hf_transfer_score.finetune.built import Builder

    check_task(train)
    builder = Builder.of(load, train, test, recipe, seed)
    measured = _Measurement(builder, progress or (lambda _: None), after_pass or (lambda _: None)).run()
    return replace(measured, notes=(*measured.notes, *other_proportions(train, test)))


def nothing_learned(accuracy: float, codes: Rows) -> tuple[str, ...]:
    """Return a warning if the accuracy on training rows, of classes (N,), is hardly better than guessing."""
    chance = float(np.bincount(codes).max()) / len(codes)
    luck = 2 * float(np.sqrt(chance * (1 - chance) / len(codes)))
    if accuracy == 1 or accuracy > chance + max(luck, LEAST_GAIN * (1 - chance)):
        return ()
    warning = (
        f"it hardly learned its own training rows: {accuracy:.0%} of them are right, and always naming the largest "
        f"class gives {chance:.0%}; its accuracy means little (try other learning rates or more epochs)"
    )
    return (warning,)


@dataclass
class _Measurement:
    """What stays the same for all learning rates."""

    builder: Builder
    progress: Progress
    after_pass: Callable[[float], None]

    def __post_init__(self) -> None:
        builder = self.builder
        self.rows, self.recipe, self.machine = builder.rows, builder.recipe, builder.machine

    def run(self) -> FineTuningResult:
        """Return the result of the recipe's method."""
        begin = time.perf_counter()
        with self.machine.own_random():
            measured = self._probe() if self.recipe.method == "probe" else self._trained()
        notes = (*measured.notes, *nothing_learned(measured.train_accuracy, self.rows.fitted.codes))
        return replace(measured, seconds=time.perf_counter() - begin, notes=notes)

    def _probe(self) -> FineTuningResult:
        from hf_transfer_score.finetune.loop import features

        classifier = self.builder.bare()
        self.progress("reading features")
        rows, tested = (
            features(classifier, data.encoded, data.rows, self.machine)
            for data in (self.rows.everything, self.rows.test)
        )
        classifier.add_head(rows, self.rows.classes)  # refuses what is not finite
        self.progress("fitting the probe")
        parts = (self.rows.fitted.rows, self.rows.held.rows)
        test = (tested.double().cpu().numpy(), self.rows.test.codes)
        own = rows.double().cpu().numpy()
        found = fit_probe(own, self.rows.everything.codes, parts, test, self.recipe.penalties)
        head = sum(one.numel() for one in classifier.head.parameters())
        total = head + self.builder.feature_parameters(classifier)
        return FineTuningResult(found.test, found.train, found.validation, None, found.penalty, 0, head, total, 0.0)

    def _trained(self) -> FineTuningResult:
        """Return the best of the learning rates; at most two trained models are in memory."""
        best: tuple[Run, BuiltNetwork, float] | None = None
        notes: list[str] = []
        for rate in self.recipe.learning_rates:
            built = self.builder.built()
            self.progress(f"learning rate {rate:g}")
            training = self.builder.training(built, rate)
            training.advance(after_epoch=self._timed(rate))
            run = training.finish()
            del training
            if not run.finite:
                notes.append(f"the loss became infinite or undefined at the learning rate {rate:g}")
            if best is None or run.best.better_than(best[0].best):
                best = (run, built, rate)
            del built
        assert best is not None
        if best[0].best.accuracy < 0:
            raise CheckpointError("non_finite", "cannot be fine-tuned: the loss is not finite at any learning rate")
        return self._measured(*best, notes)

    def _timed(self, rate: float) -> Callable[[int, object], None]:
        """Return a callback for passes at a learning rate, which reports them and their time."""
        begin = time.perf_counter()

        def after_epoch(epoch: int, _: object) -> None:
            nonlocal begin
            self.progress(f"learning rate {rate:g}, epoch {epoch}")
            now = time.perf_counter()
            self.after_pass(now - begin)
            begin = now

        return after_epoch

    def _measured(self, run: Run, built: BuiltNetwork, rate: float, notes: list[str]) -> FineTuningResult:
        from hf_transfer_score.finetune.loop import evaluate

        self.progress("testing")
        test, fitted = (evaluate(built.classifier, data, self.machine) for data in (self.rows.test, self.rows.fitted))
        rates = self.recipe.learning_rates
        if len(rates) > 2 and rate in (min(rates), max(rates)):
            notes.append("the best learning rate is the largest or smallest that was tried")
        return FineTuningResult(
            accuracy=test.accuracy,
            train_accuracy=fitted.accuracy,
            validation_accuracy=run.kept.accuracy,
            learning_rate=rate,
            penalty=None,
            epochs=run.epochs,
            trainable_parameters=built.trained.count,
            total_parameters=built.total,
            seconds=0.0,
            layer=built.layer,
            notes=tuple(notes),
        )


class Probe(NamedTuple):
    """A fitted probe, with its accuracies on the rows it was fitted on, those it was chosen by, and the test rows."""

    train: float
    validation: float
    test: float
    penalty: float
    weight: Array  # of the shifted and scaled features (K, D)
    bias: Array  # (K,)
    centre: Array  # subtracted from features (D,)
    scale: float  # divides them then
    right: NDArray[np.bool_]  # which of the rows it was chosen by are classified correctly (N,)

    def tensors(self) -> dict[str, Any]:
        """Return the values of a head as tensors by name."""
        import torch

        return {name: torch.as_tensor(getattr(self, name)) for name in ("weight", "bias", "centre", "scale")}


def fit_probe(
    rows: Array, codes: Rows, parts: tuple[Rows, Rows], test: tuple[Array, Rows], penalties: tuple[float, ...]
) -> Probe:
    """Fit a logistic regression with each penalty, and return the one that is best on the validation part.

    Features (N, D) are shifted and scaled by fixed numbers, and the penalty on half the squared length of the weights
    is added to the mean loss of a row, so that penalties mean the same for every checkpoint and number of rows. The
    parts are the indices of the rows to fit on, and of those to choose by.
    """
    from sklearn.linear_model import LogisticRegression

    fitted_on, chosen_by = parts
    centre = rows[fitted_on].mean(0)
    scale = max(float(np.sqrt(np.square(rows[fitted_on] - centre).mean())), 1e-12)
    scaled, tested = (rows - centre) / scale, (test[0] - centre) / scale
    best: tuple[float, float, float, Any] | None = None
    for penalty in sorted(penalties, reverse=True):  # of equally good ones the strongest wins
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one that has not quite converged is as good
            model = LogisticRegression(C=1 / (penalty * len(fitted_on)), max_iter=MOST_ITERATIONS)
            model.fit(scaled[fitted_on], codes[fitted_on])
        score = float(model.score(scaled[chosen_by], codes[chosen_by]))
        own = np.searchsorted(model.classes_, codes[chosen_by])
        likely = model.predict_proba(scaled[chosen_by])[np.arange(len(chosen_by)), own]
        loss = float(-np.log(np.maximum(likely, np.finfo(np.float64).tiny)).mean())
        if best is None or (score, -loss) > (best[0], -best[1]):
            best = (score, loss, penalty, model)
    assert best is not None
    score, _, penalty, model = best
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:  # two classes share one row
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    right = model.predict(scaled[chosen_by]) == codes[chosen_by]
    train, tried = float(model.score(scaled[fitted_on], codes[fitted_on])), float(model.score(tested, test[1]))
    return Probe(train, score, tried, penalty, weight, bias, centre, scale, right)


def truth_metric(recipe: Recipe, seed: int, test: LabelledSample) -> RecordedMetric:
    """Return how an accuracy is measured: the method, the seed, the test rows, and what differs from the default.

    The settings of adapters are always included, since there is no usual one.
    """
    usual = asdict(default_recipe(test.task.modality, recipe.method))
    own = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(recipe).items()
        if name not in NOT_OF_THE_RESULT and value != usual[name] and (recipe.method != "probe" or name in OF_A_PROBE)
    }
    adapters = {"lora_rank": recipe.lora_rank, "lora_alpha": recipe.lora_alpha} if recipe.method == "lora" else {}
    where = {"test_split": test.source.split, "test_rows": len(test), "test_fingerprint": test.fingerprint[:12]}
    parameters = {"method": recipe.method, "seed": seed, **where, **adapters, **own}
    return RecordedMetric(ACCURACY, VERSIONS[recipe.method], "truth", parameters, {ACCURACY: 1})


def failed_record(like: Record, metric: RecordedMetric, kind: str, reason: str) -> Record:
    """Return the record of a failed measurement, which has the identity of the accuracy."""
    record = truth_record(like, metric)
    return replace(record, status="failed", kind=kind, reason=reason, terms={})


def truth_record(like: Record, metric: RecordedMetric, measured: FineTuningResult | None = None) -> Record:
    """Return the record of a measured accuracy, given one of the same model on the same training sample.

    Without a measurement it only has the identity of the future record.
    """
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    run = replace(like.run, time=now, forward_seconds=None, from_cache=False, metric_seconds=None)
    record = Record(like.model, like.dataset, metric, run, terms={ACCURACY: -1.0}, facts=like.facts)
    if measured is None:
        return record
    used = {name: value for name, value in asdict(measured).items() if value is not None}
    accuracy, notes = used.pop("accuracy"), used.pop("notes")
    run = replace(run, metric_seconds=measured.seconds)
    return replace(record, run=run, terms={ACCURACY: accuracy}, used=used, warnings=notes)


def measured_before(folder: Path, like: Record, metric: RecordedMetric) -> FineTuningResult | None:
    """Return the result of this measurement from a folder of results, None if it is not there or failed."""
    path = folder / record_path(truth_record(like, metric))
    try:
        record = Record.from_json(path.read_bytes())
        used = {name: value for name, value in record.used.items() if name in FineTuningResult.__dataclass_fields__}
        usual = {"learning_rate": None, "penalty": None}
        return FineTuningResult(**{**usual, **used, "accuracy": record.terms[ACCURACY], "notes": record.warnings})
    except (OSError, RecordError, KeyError, TypeError):
        return None


def save_truth(folder: Path, record: Record) -> None:
    """Write a record into a folder of results."""
    write_text(folder / record_path(record), record.to_json())
