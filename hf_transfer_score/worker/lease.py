"""A claim that is renewed for as long as its request runs."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread

from hf_transfer_score.requests.queue import LeaseLostError, RequestQueue
from hf_transfer_score.requests.request import Request

RENEWALS = 3
"""Renewals within the time of one lease: two may fail."""

HASTE = 10
"""How many times sooner it is tried again after a renewal that failed."""

LAST_SECONDS = 5.0
"""How long the end waits for a renewal that is on its way; one that comes later changes nothing."""


class Lease:
    """Renews a claim in a thread of its own while the `with` block lasts.

    Attributes:
        lost: whether the request is another worker's by now.

    Args:
        queue: where the request is claimed.
        request: what was claimed.
        worker: by whom.
        seconds: how long a claim lasts.
        say: is told what goes wrong.
    """

    def __init__(
        self, queue: RequestQueue, request: Request, worker: str, seconds: float, say: Callable[[str], None]
    ) -> None:
        self.queue, self.request, self.worker, self.seconds, self.say = queue, request, worker, seconds, say
        self.lost = False
        self._ended = Event()
        self._thread = Thread(target=self._renew, daemon=True)

    def __enter__(self) -> Lease:
        """Start renewing."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Stop renewing; whoever is interrupted does not wait."""
        self._ended.set()
        if kind is None:
            self._thread.join(LAST_SECONDS)

    def _renew(self) -> None:
        wait = self.seconds / RENEWALS
        while not self._ended.wait(wait):
            try:
                self.queue.renew(self.request, self.worker, self.seconds)
                wait = self.seconds / RENEWALS
            except LeaseLostError as error:
                self.lost = True
                if not self._ended.is_set():
                    self.say(str(error))
                return
            except Exception as error:  # noqa: BLE001  # the place may be back before the lease ends
                self.say(f"The claim could not be renewed, and that is tried again: {error}")
                wait = self.seconds / RENEWALS / HASTE
