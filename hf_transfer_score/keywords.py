"""Options as plain keywords: each field of an option dataclass is one, read off the dataclasses alone."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from typing import Any

from hf_transfer_score.errors import OptionError

SHARED = ("seed", "device")
"""Fields that several dataclasses have and that mean the same: one keyword sets them all."""

COVERED = {
    ("BackboneOptions", "trust_remote_code"): "the keyword names the models that are trusted",
    ("BackboneOptions", "allow_pickle"): "the keyword names the models that are trusted",
    ("Recipe", "method"): "the options beside the recipe have it",
}
"""Fields that are no keyword, since another one decides them."""

RENAMED = {("Recipe", "batch_size"): "train_batch_size", ("Recipe", "layer"): "train_layer"}
"""Keywords of fields whose name another option has."""


@dataclass(frozen=True)
class Option:
    """A field of an option dataclass, as a keyword.

    Attributes:
        name: the keyword.
        owner: the dataclass.
        path: the argument of the function that takes it, and the names of the fields from there on.
        annotation: its type, as its dataclass writes it.
        default: its value where nobody names it; `...` where that depends on the dataset.
        about: what its dataclass says of it.
    """

    name: str
    owner: type
    path: tuple[str, ...]
    annotation: str
    default: Any
    about: str

    def taken(self, value: Any) -> Any:
        """Return a value as the field takes it: one word or number, or a list, becomes a tuple where it takes these."""
        if not self.annotation.startswith("tuple["):
            return value
        return tuple(value) if isinstance(value, (list, tuple, set)) else (value,)


def attributes_of(kind: type) -> dict[str, str]:
    """Return what the docstring of a dataclass says of each of its fields.

    Example:
        >>> attributes_of(Option)["owner"]
        'the dataclass.'
    """
    told = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    found = re.findall(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", told, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def options_of(kind: type, path: tuple[str, ...], *, unsaid: bool = False) -> list[Option]:
    """Return the keywords of a dataclass, and of those among its fields that are option dataclasses themselves."""
    told, found = attributes_of(kind), []
    for one in fields(kind):
        inner = one.default_factory
        if isinstance(inner, type) and is_dataclass(inner):
            found += options_of(inner, (*path, one.name))
        elif (kind.__name__, one.name) not in COVERED:
            default = ... if unsaid else one.default if inner is MISSING else inner()
            name = RENAMED.get((kind.__name__, one.name), one.name)
            found.append(Option(name, kind, (*path, one.name), str(one.type), default, told[one.name]))
    return found


class Keywords:
    """The options of a function as its keywords.

    Attributes:
        name: the function, as users call it.
        options: the fields that each keyword sets, in the order of the dataclasses.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        groups: Mapping[str, type],
        *,
        changes: Mapping[str, type] | None = None,
        left_out: tuple[str, ...] = (),
    ) -> None:
        """Read the dataclasses.

        Args:
            function: takes them.
            name: what users call it.
            groups: the dataclass that each of its arguments takes.
            changes: the dataclass whose fields a mapping `changes` in the argument takes by name.
            left_out: fields that the function decides itself.

        Raises:
            TypeError: two fields claim one keyword.
        """
        self.name, self._groups = name, dict(groups)
        self.own = tuple(inspect.signature(function).parameters)
        self.options: dict[str, list[Option]] = {}
        every = [one for argument, kind in groups.items() for one in options_of(kind, (argument,))]
        for argument, kind in (changes or {}).items():
            every += options_of(kind, (argument, "changes"), unsaid=True)
        for one in every:
            if one.name in left_out:
                continue
            if one.name in self.own or (one.name in self.options and one.name not in SHARED):
                before = self.options.get(one.name, [])
                raise TypeError(f"{name}: {[*before, one]} claim one keyword; one of them needs another name.")
            self.options.setdefault(one.name, []).append(one)

    def arguments(self, named: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of the function that keywords mean.

        Raises:
            OptionError: a keyword is none of them, or an argument is not what the function takes.
        """
        found = {name: value for name, value in named.items() if name not in self.options}
        for name in found:
            if name not in self.own:
                raise OptionError(self._unknown(name))
        for argument, kind in self._groups.items():
            given = found.get(argument)
            if given is not None and not isinstance(given, kind):
                raise OptionError(
                    f"{argument} takes {kind.__name__}, and got {type(given).__name__}: its fields are keywords of "
                    f"{self.name}, such as {next(name for name in self.options if self._fields(name, argument))}=..."
                )
            # all fields of one dataclass at once: two may make sense together only
            mine = {name: value for name, value in named.items() if self._fields(name, argument)}
            if mine:
                found[argument] = self._changed(kind() if given is None else given, (argument,), mine)
        return found

    def _fields(self, name: str, argument: str) -> list[Option]:
        return [one for one in self.options.get(name, ()) if one.path[0] == argument]

    def _changed(self, value: Any, path: tuple[str, ...], named: Mapping[str, Any]) -> Any:
        """Return options, or a mapping of changes, with the fields that keywords name."""
        depth, changes = len(path), dict[str, Any]()
        for name, new in named.items():
            for one in self.options[name]:
                if one.path[:depth] != path:
                    continue
                if len(one.path) == depth + 1:
                    changes[one.path[depth]] = one.taken(new)
                else:
                    inner = one.path[depth]
                    changes[inner] = self._changed(getattr(value, inner), (*path, inner), named)
        return {**value, **changes} if isinstance(value, Mapping) else replace(value, **changes)

    def _unknown(self, name: str) -> str:
        known = [*self.own, "progress", *self.options]
        near = difflib.get_close_matches(name, known, 1)
        if near:
            return f"There is no option `{name}`: did you mean {near[0]}?"
        return f"There is no option `{name}`. {self.name} takes {', '.join(known)}."

    def described(self) -> list[tuple[Option, str]]:
        """Return the first field of each keyword, and what the docstring of the function says of it."""
        found = []
        for several in self.options.values():
            words = "; ".join(dict.fromkeys(one.about.rstrip(".") for one in several))
            found.append((several[0], f"{words}."))
        return found

    def signature(self, function: Callable[..., Any], more: tuple[inspect.Parameter, ...]) -> inspect.Signature:
        """Return the signature of the function with its options as keywords."""
        plain = inspect.signature(function)
        only = inspect.Parameter.KEYWORD_ONLY
        options = [
            inspect.Parameter(name, only, default=several[0].default, annotation=several[0].annotation)
            for name, several in self.options.items()
        ]
        return plain.replace(parameters=[*plain.parameters.values(), *more, *options])
