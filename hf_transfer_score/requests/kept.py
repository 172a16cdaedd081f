"""Files of very many requests on the Hub, kept on disk so that a restarted worker need not download them again."""

import json
from collections.abc import Mapping
from contextlib import suppress

from hf_transfer_score.home import write_text
from hf_transfer_score.hub.repository import stamps_of
from hf_transfer_score.records.place import Place, PlaceView
from hf_transfer_score.records.store import cache_file

LARGEST, MOST = 4000, 10**8
"""Bytes of a file that is kept, and of all kept files together."""


class KeptFiles:
    """Contents by path; one counts as long as it has the hash that the Hub lists."""

    def __init__(self, place: Place) -> None:
        self.file = cache_file(place).with_suffix(".requests.json")
        self.before: dict[str, str] = {}
        self.now: dict[str, str] = {}
        self.room = MOST
        with suppress(OSError, ValueError, RecursionError):
            if self.file.stat().st_size <= 2 * MOST:
                found = json.loads(self.file.read_text(encoding="utf-8"))
                self.before = found if isinstance(found, dict) else {}

    def read(self, view: PlaceView, stamps: Mapping[str, str]) -> dict[str, bytes]:
        """Return the contents of files, given with their hashes; those that are not kept are read from a view."""
        known = {path: str(self.before[path]).encode(errors="replace") for path in stamps if path in self.before}
        known = {path: content for path, content in known.items() if stamps[path] in stamps_of(content)}
        found = known | view.read([path for path in stamps if path not in known])
        for path, content in found.items():
            if len(content) <= min(LARGEST, self.room):
                self.room -= len(content)
                with suppress(UnicodeDecodeError):
                    self.now[path] = content.decode()
        return found

    def write(self) -> None:
        """Keep what was read; a full disk is not a failure."""
        if self.now != self.before:
            with suppress(OSError):
                write_text(self.file, json.dumps(self.now))
