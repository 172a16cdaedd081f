"""Limits the share of each page and each visitor in the queue of gradio."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hf_transfer_score.uploads import limits

SCORING = "scoring"  # the `concurrency_id` of the scorings of an app, which run one after another

LATER = "Try again in a minute."


@dataclass
class Asker:
    """A page or a call without a page, with the time of its last request."""

    visitor: str
    time: float
    is_page: bool


@dataclass
class Turns:
    """The requests in the queue of an app; use it in its event loop only."""

    app: Any
    clock: Callable[[], float] = time.monotonic
    _askers: dict[str, Asker] = field(default_factory=dict)
    _entering: list[tuple[str, bool]] = field(default_factory=list)

    def reason_to_wait(self, function: Any, session: str, visitor: str) -> str:
        """Return why a function (its number or name) cannot be called now, "" if it can.

        The session is that of the page, "" for a call without one.
        """
        self._forget()
        mine = {name for name, asker in self._askers.items() if asker.visitor == visitor}
        if session and session not in mine and sum(self._askers[one].is_page for one in mine) >= limits.VISITOR_PAGES:
            return f"Too many of your pages are open. {LATER}"
        if self._unanswered(session) >= limits.SESSION_EVENTS:
            return f"This page has too many unanswered requests. {LATER}"
        entering = [is_scoring for other, is_scoring in self._entering if other == visitor]
        if sum(map(self._unanswered, mine)) + len(entering) >= limits.VISITOR_EVENTS:
            return f"Your pages have too many unanswered requests. {LATER}"
        return self._reason_not_to_score(session, mine, sum(entering)) if self._is_scoring(function) else ""

    @contextmanager
    def entering(self, function: Any, session: str, visitor: str) -> Iterator[Callable[[str], None]]:
        """Count a request while it is passed to the app, since it is not in the queue yet.

        Yields a function to call with the event of the answer, which identifies a call without a page.
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
        """Return the number of requests whose answers were not fetched yet."""
        return len(self.app._queue.pending_event_ids_session.get(session, ()))

    def _is_scoring(self, function: Any) -> bool:
        functions = self.app.fns.values()
        return any(one.concurrency_id == SCORING and function in (one._id, one.api_name) for one in functions)

    def _reason_not_to_score(self, session: str, mine: set[str], entering: int) -> str:
        queue = self.app._queue.event_queue_per_concurrency_id.get(SCORING)
        waiting = [event.session_hash for event in queue.queue] if queue is not None else []
        if waiting.count(session) >= limits.SESSION_SCORINGS:
            return "The files of this page already wait to be scored."
        if sum(one in mine for one in waiting) + entering >= limits.VISITOR_SCORINGS:
            return f"Other pages of yours wait to be scored. {LATER}"
        if len(waiting) + sum(is_scoring for _, is_scoring in self._entering) >= limits.ALL_SCORINGS:
            return f"Many files wait to be scored. {LATER}"
        return ""

    def _forget(self) -> None:
        """Forget inactive pages and calls, and their unfetched answers, which gradio keeps forever."""
        queue, now = self.app._queue, self.clock()
        for name, asker in list(self._askers.items()):
            events = queue.pending_event_ids_session.get(name, ())
            is_done = not asker.is_page and not events
            age = limits.CALL_SECONDS if is_done else limits.KEPT_SECONDS
            if asker.time < now - age and not any(one in queue.event_ids_to_events for one in events):
                del self._askers[name]
                queue.pending_messages_per_session.pop(name, None)
                queue.pending_event_ids_session.pop(name, None)
