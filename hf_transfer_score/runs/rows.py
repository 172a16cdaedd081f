"""The rows of a run that fine-tunes: those to rank and to train on, and others to test on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from hf_transfer_score.errors import NoTestRowsError
from hf_transfer_score.finetune.rows import check_task, held_out
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.sampling.load import Progress, load_sample
from hf_transfer_score.sampling.sample import LabelledSample, SampleOptions

KEPT_FOR_TEST = 0.2
"""Share of the rows that are kept for the test where the sample would hold all of them."""


class TestRows(Protocol):
    """What decides the test rows."""

    @property
    def test_split(self) -> str | None:
        """The split to test on, if one is named."""

    @property
    def test_samples(self) -> int:
        """Test rows at most."""


def training_and_test(
    dataset: Any,
    options: RankOptions,
    how: TestRows,
    folder: Path,
    *,
    progress: Progress | None = None,
    ordered: Callable[[LabelledSample], LabelledSample] = lambda sample: sample,
) -> tuple[RankOptions, LabelledSample, LabelledSample]:
    """Return the options with which the training rows were drawn, these rows in order, and rows to test on.

    Of a dataset that the sample would hold whole, some rows are kept for the test; a note says so.
    """
    places: dict[str, Any] = {"folder": folder / "samples", "refresh": options.refresh}

    def drawn(asked: SampleOptions) -> LabelledSample:
        sample = load_sample(dataset, asked, progress=progress, **places)
        check_task(sample)
        return ordered(sample)

    def others(train: LabelledSample, asked: SampleOptions) -> LabelledSample:
        return held_out(dataset, train, asked, split=how.test_split, count=how.test_samples, **places)

    with quiet_client():
        train = drawn(options.sample)
        try:
            return options, train, others(train, options.sample)
        except NoTestRowsError:
            if how.test_split is not None or options.sample.per_class is not None:
                raise
        every = len(train)
        fewer = replace(options.sample, max_samples=max(4, int((1 - KEPT_FOR_TEST) * every)))
        train = drawn(fewer)
        test = others(train, fewer)
    note = f"{len(test)} of {every} rows are kept for the test; the ranking and the training use the others."
    return replace(options, sample=fewer), train, replace(test, notes=(note, *test.notes))
