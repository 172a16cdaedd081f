"""The logger of the package; a function or an environment variable sets its level."""

import logging
import os
import sys
from contextlib import suppress
from functools import cache

from hf_transfer_score.errors import OptionError

VERBOSITY_VARIABLE = "HF_TRANSFER_SCORE_VERBOSITY"
BARS_VARIABLES = ("HF_TRANSFER_SCORE_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_PROGRESS_BARS")
"""Either of them, set to 1, turns progress bars off; the second one also those of downloads."""

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
}


def set_verbosity(level: str | int) -> None:
    """Set how much is logged to the error stream; HF_TRANSFER_SCORE_VERBOSITY sets the initial level.

    It is the level of the logger `hf_transfer_score`, to which you can add handlers.

    Args:
        level: "debug", "info", "warning" (the default: candidates that fail), "error" or "critical", or a level of
            `logging`.

    Example:
        >>> import logging
        >>> set_verbosity("info")
        >>> logging.getLogger("hf_transfer_score").level == logging.INFO
        True
        >>> set_verbosity("warning")
    """
    if isinstance(level, str):
        if level.lower() not in LEVELS:
            raise OptionError(f"level={level!r}: expected one of {', '.join(LEVELS)}.")
        level = LEVELS[level.lower()]
    logger().setLevel(level)


@cache
def logger() -> logging.Logger:
    """Return the logger, at the level in the environment; unknown levels count as "warning"."""
    found = logging.getLogger("hf_transfer_score")
    if found.level == logging.NOTSET:
        found.setLevel(LEVELS.get(os.environ.get(VERBOSITY_VARIABLE, "").lower(), logging.WARNING))
    found.addHandler(_ErrorStream())
    return found


class _ErrorStream(logging.Handler):
    """Writes above the progress bars, unless the root logger has handlers."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        if not logging.getLogger().handlers:
            from tqdm import tqdm

            with suppress(OSError, ValueError):  # a stream that is closed
                tqdm.write(f"{record.levelname.lower()}: {self.format(record)}", file=sys.stderr)


def bars_wanted(progress: bool | None) -> bool:
    """Return whether to show progress: `progress`, or if that is None, whether no environment variable forbids it."""
    if progress is not None:
        return progress
    return not any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in BARS_VARIABLES)
