"""Faults on demand, and the log of requests."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

FaultKind = (
    Literal["latency", "cut", "reset", "flip", "stall", "plain", "page", "nothing", "loop"]
    | Literal["drip", "halved", "longer", "shorter"]
    | int
)


@dataclass
class Request:
    """A request as the server saw it; `method, path = request` takes it apart."""

    method: str  # such as GET
    path: str  # without the query, decoded
    query: str = ""  # as it was sent
    range: str | None = None  # the Range header, None if there was none
    authorized: bool = False  # whether it had a token
    user_agent: str = ""
    status: int = 0  # of the answer, 0 before it
    sent: int = 0  # bytes of the answer's body that were sent

    def __iter__(self) -> Iterator[str]:
        return iter((self.method, self.path))


@dataclass
class Fault:
    """A fault of requests whose path contains a pattern.

    Attributes:
        pattern: a regular expression, searched in the decoded path.
        kind: "latency" answers late; "cut" announces the whole body and closes after `after` bytes; "reset" resets the
            connection; "flip" flips one bit in the byte after `after`; "stall" sends `after` bytes, waits, and closes;
            "plain" omits the headers of a file (ETag, size, commit); "page" answers with a web page;
            "nothing" with an empty body; "loop" with a redirection to itself; "drip" sends the body
            byte by byte with `seconds` between them; "halved" sends half the body with the right length; "longer" and
            "shorter" announce a wrong length; a number is the status of the answer.
        times: how often, None for always.
        skip: number of matching requests before it that succeed.
        method: only requests of this method; by default GET for a cut, flip or stall.
        seconds: of latency, or of a stall.
        after: bytes before a cut, a stall or a flipped bit.
        retry_after: seconds for the header of that name.
        hits: how often it happened.
    """

    pattern: str
    kind: FaultKind
    times: int | None = 1
    skip: int = 0
    method: str | None = None
    seconds: float = 0.0
    after: int = 0
    retry_after: int | None = None
    hits: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Count a request, and return whether the fault applies to it."""
        if self.times is not None and self.hits >= self.times:
            return False
        wanted = self.method or ("GET" if self.kind in ("cut", "flip", "stall") else None)
        if (wanted is not None and wanted != method) or not re.search(self.pattern, path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.hits += 1
        return True
