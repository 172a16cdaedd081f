"""What runs in a job on the Hub: its works one after the other, each of which is sent back as soon as it is done.

python -m hf_transfer_score.engines.in_job OWNER/NAME RUN HASH
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from hf_transfer_score.engines.base import Portable
from hf_transfer_score.engines.exchange import Exchange
from hf_transfer_score.errors import StoreError, TransferScoreError
from hf_transfer_score.hub.client import quiet_client
from hf_transfer_score.hub.repository import CommitRetries, HubRepository

BEGINS = "hf-transfer-score begins "
"""In the log of a job, before the number of each work."""

RAISED = "raised.json"
"""What a work raised, which ends the run; beside what it left."""

PATIENCE = CommitRetries(seconds=30.0)
"""With results that the Hub does not take; the next candidate need not wait for them."""

LAST_ATTEMPTS, PAUSE_SECONDS = 30, 60.0
"""For results that could not be sent when all is done, and how long between two attempts."""


def main(name: str, run: str, parcel: str) -> None:
    """Do the works of a job.

    The Hub takes so many commits an hour: results that it does not take now go with the next ones.
    """
    exchange = Exchange(HubRepository(name, private=True, retries=PATIENCE), run)
    waiting: dict[int, Path] = {}
    with quiet_client(), exchange.received(parcel) as works, ExitStack() as kept:
        for number, action, files in works:
            sys.stdout.write(f"{BEGINS}{number}\n")
            sys.stdout.flush()
            folder = Path(kept.enter_context(tempfile.TemporaryDirectory()))
            _do(action, files, folder)
            waiting[number] = folder
            _send(exchange, waiting)
        for _ in range(LAST_ATTEMPTS):
            if waiting:
                time.sleep(PAUSE_SECONDS)
                _send(exchange, waiting)
        if waiting:
            raise StoreError(f"The Hub did not take what came of {len(waiting)} candidates.")


def _do(action: Portable, files: list[Path], folder: Path) -> None:
    """Do a work; what it raises is left for whoever sent it."""
    try:
        action.leave(files, folder)
    except Exception as error:  # noqa: BLE001  # raised where the run is
        told = {"error": type(error).__name__, "message": str(error)}
        (folder / RAISED).write_text(json.dumps(told), encoding="utf-8")


def _send(exchange: Exchange, waiting: dict[int, Path]) -> None:
    """Send what came of works, and forget what is sent."""
    try:
        exchange.give_back(waiting)
        waiting.clear()
    except TransferScoreError as error:
        sys.stdout.write(f"{type(error).__name__}: {error}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
