"""The arguments of NAMES."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def add_results(commands: Any, parser: Callable[..., Any]) -> None:
    """Add the commands; `parser(commands.add_parser, name, help=..., usage=..., description=...)` makes one."""
