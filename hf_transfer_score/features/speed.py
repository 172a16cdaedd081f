"""How fast a model is on this machine, measured on the passes of an extraction: prepared batches, and one example.

Trials, first passes, reading and decoding do not count, so a sample of a single batch gives no speed.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

MOST_SECONDS, MOST_SHARE = 0.3, 0.05
"""Limits for all passes of one example: in seconds, and as a share of the time of the passes that counted."""

MOST_PASSES = 20


@dataclass
class Speed:
    """The passes of an extraction, their examples and seconds; the first one is a warm-up and not counted."""

    passes: int = 0
    examples: int = 0
    seconds: float = 0.0

    def add(self, examples: int, seconds: float) -> None:
        """Count a pass."""
        self.passes += 1
        if self.passes > 1:
            self.examples, self.seconds = self.examples + examples, self.seconds + seconds

    def measured(self, one_alone: Callable[[], float | None], device: torch.device) -> dict[str, Any]:
        """Return the speed for the record of the extraction, empty where no pass counted."""
        if not self.seconds:
            return {}
        alone = one_alone()
        return {
            "examples_per_second": self.examples / self.seconds,
            "example_milliseconds": None if alone is None else 1000 * alone,
            "machine": machine_name(device),
        }

    def alone(self, run: Callable[[], Any]) -> float:
        """Return the seconds of a pass of one example: the median of a few after a warm-up."""
        most = min(MOST_SECONDS, MOST_SHARE * self.seconds)
        times: list[float] = []
        start = time.perf_counter()
        while len(times) < MOST_PASSES:
            before = time.perf_counter()
            run()
            times.append(time.perf_counter() - before)
            if (len(times) > 1 and time.perf_counter() - start > most) or times[0] > MOST_SECONDS:
                break
        return median(times[1:] or times)


def machine_name(device: torch.device) -> str:
    """Return the name of the GPU, or of the processor with the number of threads."""
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    if device.type != "cpu":
        return f"{device.type} of {_processor()}"
    threads = torch.get_num_threads()
    return f"{_processor()} ({threads} thread{'s' if threads > 1 else ''})"


def _processor() -> str:
    """Return the model of the processor, as the system names it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    named = (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
