"""What every result can do: be shown, drawn, saved and published, each by a module that is imported when needed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_transfer_score.errors import InputError, OptionError, did_you_mean

if TYPE_CHECKING:
    from hf_transfer_score.ranking.ranking import Ranking
    from hf_transfer_score.records.publishing import Published
    from hf_transfer_score.records.record import Record

SHOWN_MODELS = 5

FORECAST_COLUMNS = (
    *("best_probability", "points_below_best", "points_low", "points_high"),
    *("expected_accuracy", "accuracy_low", "accuracy_high", "probe_accuracy", "probe_low", "probe_high"),
)


def forecast_cells(ranking: Ranking, name: str) -> list[float | None]:
    """Return the cells of `FORECAST_COLUMNS` for a model."""
    one, probe = ranking.forecasts.get(name), ranking.probe_of(name)
    level = None if one is None else one.expected_accuracy
    return [
        None if one is None else one.best_probability,
        *((None,) * 3 if one is None else one.points_below_best),
        *((None,) * 3 if level is None else level),
        *((None,) * 3 if probe is None else probe),
    ]


def forecast_rows(ranking: Ranking) -> list[dict[str, Any]]:
    """Return a plain row for each model, in order; what is not known is None."""
    rows, probes = [], ranking.probes
    for name, about in ranking.models.items():
        one = ranking.forecasts.get(name)
        rows.append(
            {
                "name": name,
                "rank": ranking.ranks.get(name),
                "rank_range": list(ranking.range_of(name)) if name in ranking.ranks else None,
                "best_probability": one and one.best_probability,
                "points_below_best": one and one.points_below_best._asdict(),
                "expected_accuracy": one and one.expected_accuracy and one.expected_accuracy._asdict(),
                "probe_accuracy": probes[name]._asdict() if name in probes else None,
                "why": list(one.why) if one else [],
                "parameters": about.parameters,
            }
        )
    return rows


def check_model(name: str, models: Iterable[str]) -> None:
    """Raise OptionError if a model is not among some of a ranking."""
    if name not in models:
        hint = did_you_mean(str(name), models)
        raise OptionError(f"The ranking has no model {name!r}.{hint} Its models: {_some_of(models)}.")


def _some_of(models: Iterable[str]) -> str:
    names = list(models)
    return ", ".join(names[:SHOWN_MODELS]) + (", ..." if len(names) > SHOWN_MODELS else "")


class Shown(ABC):
    """A result that is made of records, and is or has a ranking."""

    @property
    @abstractmethod
    def shown_ranking(self) -> Ranking:
        """The ranking that is drawn and whose models have cards."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that JSON can hold."""

    def records(self) -> list[Record]:
        """Return the records that the result is made of."""
        return self.shown_ranking.records()

    def save(self, folder: str | Path) -> int:
        """Write the records and the result itself into a folder, and return the number of records.

        A record with the same identity is replaced; other records in the folder stay. If there are no records, as for
        features without a dataset, only the result is written.

        Args:
            folder: for `ranking.json` and `records/<owner>/<name>/<identity>.json`; created if needed.
        """
        from hf_transfer_score.runs.records import save_records

        return save_records(self.records(), self.as_dict(), Path(folder))

    def publish(self, to: str | Path, *, create_pr: bool = False) -> Published:
        """Add the records to a store of results, and return what became of them.

        Args:
            to: a folder, or OWNER/NAME of a dataset repository on the Hub, which is created if it does not exist.
            create_pr: propose them as a pull request.

        Raises:
            InputError: there are no records, as for features without a dataset.
        """
        from hf_transfer_score.records.place import open_place
        from hf_transfer_score.records.publishing import publish

        return publish(open_place(to, create_pr=create_pr), self._some_records())

    def card(self, model: str | None = None) -> str:
        """Return the model card of a ranked model as Markdown, with its place among the others.

        Args:
            model: its name in the ranking; None for the best.

        Raises:
            OptionError: it is not in the ranking, or no model could be ranked.
            InputError: there are no records of it.
        """
        from hf_transfer_score.leaderboard.boards.catalogue import Catalogue
        from hf_transfer_score.leaderboard.pages.model_page import card_of
        from hf_transfer_score.records.record import record_path
        from hf_transfer_score.records.table import RecordTable, Stored
        from hf_transfer_score.runs.records import name_and_revision

        ranking = self.shown_ranking
        if model is not None:
            check_model(model, ranking.models)
        one = ranking.best if model is None else ranking.models[model]
        if one is None:
            raise OptionError(f"The ranking has no best model; its models: {_some_of(ranking.models)}.")
        records, name = self._some_records(), name_and_revision(one)[0]
        if not any(record.model.id == name for record in records):
            raise InputError(f"There are no records of {one.name} here: it is known from other datasets alone.")
        stored = (Stored.of(str(record_path(record)), "", record) for record in records)
        return card_of(Catalogue(RecordTable.of(stored)), name)

    def _some_records(self) -> list[Record]:
        found = self.records()
        if not found:
            raise InputError(
                "There are no records, because these features have no dataset. Name it, as in "
                'rank_features(..., dataset="owner/pets", task="image-classification").'
            )
        return found

    def plot(self, path: str | Path | None = None) -> Any:
        """Return the chart of the ranking, and write it to a file if one is named; see `Ranking.plot`."""
        return self.shown_ranking.plot(path)

    def to_pandas(self) -> Any:
        """Return a `pandas.DataFrame`, one row per model."""
        return self.shown_ranking.to_pandas()

    def _repr_html_(self) -> str:
        """Return the answer, the table and the chart for a notebook."""
        from hf_transfer_score.drawing.files import notebook_html

        return notebook_html(self.shown_ranking, *self._answer_and_columns())

    def _answer_and_columns(self) -> tuple[str, list[tuple[str, dict[str, str]]]]:
        """Return the answer, and columns to show before those of the ranking: a title with a value by model."""
        return self.shown_ranking.answer, []
