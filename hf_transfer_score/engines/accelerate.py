"""`accelerate`: one candidate after the other, in all processes that a launcher started, which share each of them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from hf_transfer_score.engines.here import Here
from hf_transfer_score.errors import OptionError


@dataclass(frozen=True)
class Accelerate(Here):
    """Carries out work in the processes of a launcher, which all call it alike; the features are made together."""

    def __post_init__(self) -> None:
        """Refuse to work alone."""
        if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
            raise OptionError(
                "engine='accelerate' shares each candidate between the processes of a launcher: start it with "
                "`accelerate launch --num_processes N -m hf_transfer_score ...`."
            )
