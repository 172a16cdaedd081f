"""`here`: one candidate after another, in this process."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import ClassVar

from hf_transfer_score.engines.base import Finished, Work


@dataclass(frozen=True)
class Here:
    """Runs work in this process, in order."""

    elsewhere: ClassVar[bool] = False

    def run(self, works: Iterable[Work], began: Callable[[Work], None]) -> Generator[Finished, None, None]:
        """Yield each work when it is finished, in order."""
        for work in works:
            began(work)
            yield Finished(work, work.action())

    def close(self) -> None:
        """There is nothing to release."""
