"""The program of a job on the Hub: it does its works one after another, and sends each result back at once.

python -m hf_transfer_score.engines.in_job OWNER/NAME RUN HASH
"""

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
"""The exception of a work, which ends the run; among its results."""

RETRIES = CommitRetries(seconds=30.0)
"""For results that the Hub refuses, so that the next candidate does not wait long."""

LAST_ATTEMPTS, PAUSE_SECONDS = 30, 60.0
"""At the end, for results that could not be sent."""


def main(name: str, run: str, parcel: str) -> None:
    """Do the works of a job.

    The Hub limits commits per hour: results that it refuses now are sent with the next ones.
    """
    exchange = Exchange(HubRepository(name, private=True, retries=RETRIES), run)
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
            raise StoreError(f"The Hub did not take the results of {len(waiting)} candidates.")


def _do(action: Portable, files: list[Path], folder: Path) -> None:
    """Do a work; its exception is a result too."""
    try:
        action.leave(files, folder)
    except Exception as error:  # noqa: BLE001  # raised where the run is
        content = {"error": type(error).__name__, "message": str(error)}
        (folder / RAISED).write_text(json.dumps(content), encoding="utf-8")


def _send(exchange: Exchange, waiting: dict[int, Path]) -> None:
    """Send results, and drop those that are sent."""
    try:
        exchange.give_back(waiting)
        waiting.clear()
    except TransferScoreError as error:
        sys.stdout.write(f"{type(error).__name__}: {error}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
