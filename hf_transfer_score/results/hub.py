"""A repository on the Hub as a place: its state is a commit, and a change is a commit on top of the one looked at."""

from __future__ import annotations

from dataclasses import dataclass

from hf_transfer_score.hub.repository import HubRepository
from hf_transfer_score.results.place import most_bytes


@dataclass
class HubPlace(HubRepository):
    """A repository on the Hub, of whose files as much is read as records, requests and tables may hold."""

    @property
    def shared(self) -> bool:
        """True: others write here too."""
        return True

    def most_bytes(self, path: str) -> int:
        """Return how many bytes of a file are read, whatever its size."""
        return most_bytes(path)
