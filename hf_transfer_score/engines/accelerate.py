"""`accelerate`: one candidate after another, each shared by all processes that a launcher started."""

import os
from dataclasses import dataclass

from hf_transfer_score.engines.here import Here
from hf_transfer_score.errors import OptionError


@dataclass(frozen=True)
class Accelerate(Here):
    """Runs work in the processes of a launcher, which all make the same calls and share the forward passes."""

    def __post_init__(self) -> None:
        """Refuse to run without a launcher."""
        if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
            raise OptionError(
                "engine='accelerate' shares each candidate between the processes of a launcher: start it with "
                "`accelerate launch --num_processes N -m hf_transfer_score ...`."
            )
