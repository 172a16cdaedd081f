"""Whose turn it is in the queue of gradio: a part of it for each page and for each visitor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hf_transfer_score.uploads import limits

SCORING = "scoring"
"""Names the scorings of an app, which wait for each other (`concurrency_id`)."""

LATER = "Try again in a minute."


@dataclass
class Asker:
    """A page, whose state is kept, or a call without one, that asked for something last at some time."""

    visitor: str
    time: float
    is_page: bool


@dataclass
class Turns:
    """What waits in the queue of an app; to be used in its event loop only."""

    app: Any
    clock: Callable[[], float] = time.monotonic
    _askers: dict[str, Asker] = field(default_factory=dict)
    _entering: list[tuple[str, bool]] = field(default_factory=list)

    def reason_to_wait(self, function: Any, session: str, visitor: str) -> str:
        """Return why a function by number or name cannot be asked for now, "" where it can.

        The session is that of a page of the visitor, "" for a call without one.
        """
        self._forget()
        mine = {name for name, asker in self._askers.items() if asker.visitor == visitor}
        if session and session not in mine and sum(self._askers[one].is_page for one in mine) >= limits.VISITOR_PAGES:
            return f"Too many of your pages are open. {LATER}"
        if self._unanswered(session) >= limits.SESSION_EVENTS:
            return f"This page asked for more than is answered yet. {LATER}"
        entering = [is_scoring for other, is_scoring in self._entering if other == visitor]
        if sum(map(self._unanswered, mine)) + len(entering) >= limits.VISITOR_EVENTS:
            return f"Your pages asked for more than is answered yet. {LATER}"
        return self._reason_not_to_score(session, mine, sum(entering)) if self._is_scoring(function) else ""

    @contextmanager
    def entering(self, function: Any, session: str, visitor: str) -> Iterator[Callable[[str], None]]:
        """Count a request that the app is given: it is not in the queue yet, and others may come meanwhile.

        Yields what is to be told which event the answer names, by which a call without a page is known.
        """

        def answered(event: str) -> None:
            self._askers[session or event] = Asker(visitor, self.clock(), is_page=bool(session))

        if session:
            answered("")
        entry = (visitor, self._is_scoring(function))
        self._entering.append(entry)
        try:
            yield answered
        finally:
            self._entering.remove(entry)

    def _unanswered(self, session: str) -> int:
        """Return of how much that was asked for the answer was not fetched yet."""
        return len(self.app._queue.pending_event_ids_session.get(session, ()))

    def _is_scoring(self, function: Any) -> bool:
        functions = self.app.fns.values()
        return any(one.concurrency_id == SCORING and function in (one._id, one.api_name) for one in functions)

    def _reason_not_to_score(self, session: str, mine: set[str], entering: int) -> str:
        queue = self.app._queue.event_queue_per_concurrency_id.get(SCORING)
        waiting = [event.session_hash for event in queue.queue] if queue is not None else []
        if waiting.count(session) >= limits.SESSION_SCORINGS:
            return "The files of this page wait for being scored already."
        if sum(one in mine for one in waiting) + entering >= limits.VISITOR_SCORINGS:
            return f"Other pages of yours wait for being scored. {LATER}"
        if len(waiting) + sum(is_scoring for _, is_scoring in self._entering) >= limits.ALL_SCORINGS:
            return f"Many files wait for being scored. {LATER}"
        return ""

    def _forget(self) -> None:
        """Forget who asked for nothing in a while, with answers that nobody fetched, which gradio keeps for ever."""
        queue, now = self.app._queue, self.clock()
        for name, asker in list(self._askers.items()):
            events = queue.pending_event_ids_session.get(name, ())
            is_done = not asker.is_page and not events
            age = limits.CALL_SECONDS if is_done else limits.KEPT_SECONDS
            if asker.time < now - age and not any(one in queue.event_ids_to_events for one in events):
                del self._askers[name]
                queue.pending_messages_per_session.pop(name, None)
                queue.pending_event_ids_session.pop(name, None)
