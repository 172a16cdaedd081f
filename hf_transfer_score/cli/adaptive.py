"""What `rank --adaptive` is asked with, and what it says meanwhile."""

from __future__ import annotations

from hf_transfer_score.choosing.adaptive import AdaptiveOptions
from hf_transfer_score.choosing.history import ChooseListener
from hf_transfer_score.cli.engine import EngineFlags
from hf_transfer_score.cli.flags import ScoringFlags
from hf_transfer_score.cli.output import say
from hf_transfer_score.engines.base import HERE
from hf_transfer_score.errors import OptionError


class SaidRows(ChooseListener):
    """Says once how many rows are looked at."""

    def __init__(self) -> None:
        self._said = ""

    def stage(self, words: str) -> None:
        """Say how many rows are looked at now."""
        rows = words.partition(":")[0]
        if rows != self._said:
            say(f"looking at {rows}")
        self._said = rows


def enough_rows(
    adaptive: bool, first: int | None, scoring: ScoringFlags, engines: EngineFlags
) -> AdaptiveOptions | None:
    """Return when there are enough rows; None where all are looked at."""
    if not adaptive:
        if first is not None:
            raise OptionError("--first is for --adaptive, and all rows are looked at without it.")
        return None
    if scoring != ScoringFlags() or engines.engine != HERE:
        raise OptionError(
            "--adaptive goes by the forecast of the usual metrics, in this process: leave out the others."
        )
    return AdaptiveOptions(first)
