"""Ways in which the Hub fails for one repository, and what is said of it; `network_modes` has those of a whole run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.hub.faults import FaultKind
from tests.hub.server import LocalHub

SECONDS = 1.0
"""How long a run waits for an answer here, by HF_TRANSFER_SCORE_HUB_SECONDS."""

LONGEST = 25.0
"""Seconds within which a run has to end, of which most go into starting it."""


@dataclass(frozen=True)
class Mode:
    """One way to fail.

    Attributes:
        kind: of the fault.
        says: what the sentence holds; None where the run gets over it.
        options: more of the fault, such as times.
        paths: which requests for a repository are met: "all", "files" or "questions".
    """

    kind: FaultKind
    says: str | None
    paths: str = "all"
    options: dict[str, Any] = field(default_factory=dict)

    def strike(self, hub: LocalHub, name: str) -> None:
        """Let it go wrong for a repository from now on."""
        start = {"all": "/(api/)?", "files": "/", "questions": "/api/"}[self.paths]
        kind = "(datasets/|models/)?"
        hub.fault(f"^{start}{kind}{name}(/|$)", self.kind, **{"times": None, **self.options})


FOR_EVER: dict[str, Mode] = {
    "429": Mode(429, "the Hub answered 429 (too many requests)"),
    "429 and wait for a day": Mode(
        429, "asks to wait 99,999 s, longer than is waited", options={"retry_after": 99_999}
    ),
    "500": Mode(500, "the Hub answered 500"),
    "502": Mode(502, "the Hub answered 502"),
    "503": Mode(503, "the Hub answered 503"),
    "504": Mode(504, "the Hub answered 504"),
    "408": Mode(408, "the Hub answered 408"),
    "reset": Mode("reset", "the connection to the Hub was cut off"),
    "cut": Mode("cut", "the connection to the Hub was cut off", options={"after": 20}),
    "cut files": Mode("cut", "the connection to the Hub was cut off", "files", {"after": 300}),
    "stall": Mode("stall", "the Hub sent nothing", options={"seconds": 5.0}),
    "stall half-way": Mode("stall", "the Hub sent nothing", "files", {"seconds": 5.0, "after": 500}),
    "drip": Mode("drip", "bytes in", options={"seconds": 0.05}),
    "drip files": Mode("drip", "bytes in", "files", {"seconds": 0.05}),
    "late": Mode("latency", "the Hub sent nothing", options={"seconds": 5.0}),
    "page": Mode("page", "answered with a web page"),
    "page for files": Mode("page", "(no ETag)", "files"),
    "empty": Mode("nothing", "answered with nothing", "questions"),
    "half of the JSON": Mode("halved", "breaks off or is damaged", "questions"),
    "length too short": Mode("shorter", "breaks off or is damaged", "questions"),
    "length too long": Mode("longer", "the connection to the Hub was cut off", "questions"),
    "no ETag": Mode("plain", "(no ETag)", "files"),
    "loop": Mode("loop", "from one address to another"),
}
"""What does not pass: a run says so in one sentence, before long."""

ONCE: dict[str, Mode] = {
    f"{name} once": Mode(mode.kind, None, mode.paths, {**mode.options, "times": 1})
    for name, mode in FOR_EVER.items()
    if name not in ("429 and wait for a day", "loop", "drip", "drip files")
}
"""What passes: a run gets over it without a word."""

NOBODY: dict[str, tuple[str, str]] = {
    "refused": ("http://127.0.0.1:9", "nobody answers at http://127.0.0.1:9"),
    "no such name": ("http://nobody.invalid", "has no address"),
    "TLS to a plain port": ("https://127.0.0.1:{port}", "does not speak TLS"),
}
"""Endpoints that are no Hub, and what is said of them."""
