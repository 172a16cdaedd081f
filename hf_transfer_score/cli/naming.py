"""How Python's names are written on the command line: those of options, and those that a message is about."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

NAMES: Mapping[str, str] = {
    "config": "subset",
    "label_column": "label",
    "input_columns": "input",
    "ignore_values": "ignore-value",
    "max_parameters": "max-params",
    "labels_path": "labels",
}
"""The flags that are called otherwise than the argument in Python, without the hyphens before them."""

ARGUMENT = re.compile(r"`(?P<quoted>[a-z][a-z_]*)`|(?<![\w.=/'\"-])(?P<set>[a-z][a-z_]*)=(?P<bool>True\b|False\b)?")
"""An argument that a message of ours names: as `name`, or with its value as name=value."""

arguments: ContextVar[Callable[[], Mapping[str, str]]] = ContextVar("arguments", default=dict)
"""Gives the flags of the command that runs, by the name of the argument in Python."""


def flag(name: str) -> str:
    """Return the flag of an argument, without the hyphens before it.

    Example:
        >>> flag("max_samples"), flag("label_column")
        ('max-samples', 'label')
    """
    return NAMES.get(name, name.replace("_", "-"))


def shown_default(value: Any) -> str | None:
    """Return a default as it is typed, None for one that goes without saying."""
    if value is None or value is False or value in ((), ""):
        return None
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def with_flags(message: str) -> str:
    """Return a message with the flags of the command that runs in the place of arguments in Python.

    Example:
        >>> _ = arguments.set(lambda: {"max_samples": "--max-samples"})
        >>> with_flags("max_samples=3: expected at least 4, or `per_class`.")
        '--max-samples 3: expected at least 4, or `per_class`.'
    """
    if "`" not in message and "=" not in message:
        return message
    known = arguments.get()()

    def flagged(found: re.Match[str]) -> str:
        name = known.get(found["quoted"] or found["set"])
        if name is None:
            return found[0]
        if found["bool"] == "False":
            return f"--no-{name.removeprefix('--')}"
        return name if found["quoted"] or found["bool"] else f"{name} "

    return ARGUMENT.sub(flagged, message)
