"""How argument names of Python are written on the command line, as flags and in messages."""

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import fields
from typing import Any

NAMES: Mapping[str, str] = {
    "config": "subset",
    "columns": "column",
    "label_column": "label",
    "input_columns": "input",
    "ignore_values": "ignore-value",
    "max_parameters": "max-params",
    "labels_path": "labels",
}
"""The flags that differ from the argument name in Python, without leading hyphens."""

ARGUMENT = re.compile(r"`(?P<quoted>[a-z][a-z_]*)`|(?<![\w.=/'\"-])(?P<set>[a-z][a-z_]*)=(?P<bool>True\b|False\b)?")
"""An argument in a message: as `name`, or with its value as name=value."""

arguments: ContextVar[Callable[[], Mapping[str, str]]] = ContextVar("arguments", default=dict)
"""Returns the flags of the current command, by argument name."""


def flag(name: str) -> str:
    """Return the flag of an argument, without leading hyphens.

    Example:
        >>> flag("max_samples"), flag("label_column")
        ('max-samples', 'label')
    """
    return NAMES.get(name, name.replace("_", "-"))


def typed_flags(*options: Any) -> list[str]:
    """Return the flags that give option dataclasses the values that differ from their defaults.

    Example:
        >>> from hf_transfer_score import SampleOptions
        >>> typed_flags(SampleOptions(label_column="mood", input_columns=("a", "b"), full_pass=True))
        ['--label', 'mood', '--input', 'a', '--input', 'b', '--full-pass']
    """
    words: list[str] = []
    for one in options:
        for each in fields(one):
            value, name = getattr(one, each.name), f"--{flag(each.name)}"
            if value == each.default:
                continue
            parts = value if isinstance(value, tuple) else (value,)
            words += [word for part in parts for word in ((name,) if part is True else (name, str(part)))]
    return words


def shown_default(value: Any) -> str | None:
    """Return a default as it is typed; None for one that needs no mention."""
    if value is None or value is False or value in ((), ""):
        return None
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def with_flags(message: str) -> str:
    """Return a message with the flags of the current command instead of argument names.

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
