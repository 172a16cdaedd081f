"""The public functions: runs with every option as a plain keyword, a progress bar, and one log line per failure.

`calls.pyi` beside it holds the same signatures for editors and type checkers; `docs/generate.py` writes it.
"""

from __future__ import annotations

import difflib
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import wraps
from numbers import Integral, Real
from typing import Any

from hf_transfer_score.bars import watched
from hf_transfer_score.choosing.adaptive import AdaptiveOptions
from hf_transfer_score.choosing.adaptive import rank_adaptively as _rank_adaptively
from hf_transfer_score.choosing.choose import choose as _choose
from hf_transfer_score.choosing.history import ChooseListener
from hf_transfer_score.choosing.options import ChooseOptions
from hf_transfer_score.errors import OptionError
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.runs.layers import layer_profile
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.run import plan_rank as _plan_rank
from hf_transfer_score.runs.run import rank as _rank
from hf_transfer_score.runs.verified import VerifyOptions
from hf_transfer_score.runs.verifying import VerifyListener
from hf_transfer_score.runs.verifying import verify as _verify
from hf_transfer_score.sampling.sample import LabelledSample, SampleOptions
from hf_transfer_score.text import attributes_of

SHARED = ("seed", "device")  # fields with the same meaning in several dataclasses: one keyword sets them all

MEANT = {"subset": "config", **dict.fromkeys(("text_column", "image_column", "input_column"), "input_columns")}
"""Options under the names that they have elsewhere."""

COVERED = {
    ("BackboneOptions", "trust_remote_code"): "the keyword names the trusted models",
    ("BackboneOptions", "allow_pickle"): "the keyword names the trusted models",
    ("BackboneOptions", "half"): "the precision of forward passes decides it",
    ("Recipe", "method"): "the options that hold the recipe have it",
}
"""Fields without a keyword, since another option decides them."""

RENAMED = {("Recipe", "batch_size"): "train_batch_size", ("Recipe", "layer"): "train_layer"}
"""Keywords of fields whose own name is taken by another option."""

TYPES: Mapping[str, tuple[type, str]] = {
    "int": (Integral, "a whole number"),
    "float": (Real, "a number"),
    "bool": (bool, "True or False"),
    "tuple[int": (Integral, "a whole number"),
    "tuple[float": (Real, "a number"),
    "tuple[str": (str, "a name"),
}
"""What a keyword takes, by the type of its field."""


@dataclass(frozen=True)
class Option:
    """A field of an option dataclass, as a keyword.

    `path` names the argument of the function, and the fields from there on; the default is `...` if it depends on the
    dataset.
    """

    name: str
    owner: type
    path: tuple[str, ...]
    annotation: str
    default: Any
    about: str

    def converted(self, value: Any) -> Any:
        """Return a value with the type of the field: single values and lists become tuples if it holds tuples."""
        plain = self.annotation.removesuffix(" | None")
        many = plain.startswith("tuple[")
        kind, expected = TYPES.get(plain.removesuffix(", ...]"), (object, ""))
        listed = value if many and isinstance(value, Iterable) and not isinstance(value, str) else (value,)
        values = tuple(one.item() if hasattr(one, "item") else one for one in listed)  # scalars of NumPy and torch
        if not all(isinstance(one, kind) for one in values) and not (value is None and plain != self.annotation):
            more = ", or several in a list" if many else ""
            raise OptionError(f"{self.name}={value!r}: expected {expected}{more}.")
        return values if many else values[0]


def options_of(kind: type, path: tuple[str, ...], *, unsaid: bool = False) -> list[Option]:
    """Return the keywords of a dataclass, including those of nested option dataclasses."""
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
    """The options of a function as its keywords: the fields that each sets, in the order of the dataclasses."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        groups: Mapping[str, type],
        *,
        changes: Mapping[str, type] | None = None,
        left_out: tuple[str, ...] = (),
    ) -> None:
        """Collect the keywords of a function that takes some dataclasses, without fields that it decides itself.

        The mapping `changes` in such an argument holds the fields of another dataclass by name.
        """
        self.name, self._groups, self._left_out = name, dict(groups), left_out
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
        """Return the arguments of the function for some keywords; unknown ones, and wrong types, are OptionErrors."""
        found = {name: value for name, value in named.items() if name not in self.options}
        for name in found:
            if name in self._left_out:
                raise OptionError(f"{self.name} has no option `{name}`: leave it out.")
            if name not in self.own:
                known = [*self.own, "progress", *self.options]
                longer = [one for one in known if name in one.split("_")]  # label: label_column
                meant = [one for one in (MEANT.get(name),) if one in known]
                if near := meant or longer or difflib.get_close_matches(name, known, 1):
                    raise OptionError(f"There is no option `{name}`: did you mean {near[0]}?")
                raise OptionError(f"There is no option `{name}`. {self.name} takes {', '.join(known)}.")
        for argument, kind in self._groups.items():
            given = found.get(argument)
            if given is not None and not isinstance(given, kind):
                raise OptionError(
                    f"{argument} takes {kind.__name__}, and got {type(given).__name__}: its fields are keywords of "
                    f"{self.name}, such as {next(name for name in self.options if self._fields(name, argument))}=..."
                )
            # all fields of one dataclass at once: some are only valid together
            mine = {name: value for name, value in named.items() if self._fields(name, argument)}
            if mine:
                found[argument] = self._changed(kind() if given is None else given, (argument,), mine)
        return found

    def refuse_sampling(self, named: Mapping[str, Any]) -> None:
        """Refuse keywords that decide how a sample is drawn."""
        for name in named.keys() & self.options.keys() - {*SHARED}:
            if self.options[name][0].owner is SampleOptions:
                raise OptionError(
                    f"`{name}` decides how a sample is drawn, and this one is drawn already: leave it out."
                )

    def _fields(self, name: str, argument: str) -> list[Option]:
        return [one for one in self.options.get(name, ()) if one.path[0] == argument]

    def _changed(self, value: Any, path: tuple[str, ...], named: Mapping[str, Any]) -> Any:
        """Return options, or a mapping of changes, with the named fields replaced."""
        depth, changes = len(path), dict[str, Any]()
        for name, new in named.items():
            for one in self.options[name]:
                if one.path[:depth] != path:
                    continue
                if len(one.path) == depth + 1:
                    changes[one.path[depth]] = one.converted(new)
                else:
                    inner = one.path[depth]
                    changes[inner] = self._changed(getattr(value, inner), (*path, inner), named)
        return {**value, **changes} if isinstance(value, Mapping) else replace(value, **changes)

    def described(self) -> list[tuple[Option, str]]:
        """Return the first field of each keyword, and its description for the docstring of the function."""
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


PROGRESS = inspect.Parameter("progress", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="bool | None")
WIDTH = 112
PROGRESS_DOC = "whether a progress bar is shown; None for yes, unless HF_TRANSFER_SCORE_DISABLE_PROGRESS_BARS is 1."


def called(
    function: Callable[..., Any],
    name: str,
    groups: Mapping[str, type],
    listeners: Mapping[str, type],
    *,
    changes: Mapping[str, type] | None = None,
    left_out: tuple[str, ...] = (),
) -> Callable[..., Any]:
    """Return the public form of a run that takes option dataclasses and listeners.

    The other arguments are those of `Keywords`.
    """
    keywords = Keywords(function, name, groups, changes=changes, left_out=left_out)

    @wraps(function)
    def call(*given: Any, progress: bool | None = None, **named: Any) -> Any:
        arguments = keywords.arguments(named)
        if isinstance(given[0] if given else named.get("dataset"), LabelledSample):
            keywords.refuse_sampling(named)
        try:
            inspect.signature(function).bind(*given, **arguments)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None
        if any(arguments.get(one) is not None for one in listeners):  # the caller's listener shows the progress
            return function(*given, **arguments)
        with watched(listeners, progress=progress) as listening:
            return function(*given, **{**arguments, **listening})

    call.__name__ = call.__qualname__ = name
    call.__doc__ = described(inspect.getdoc(function) or "", keywords)
    call.__signature__ = keywords.signature(function, (PROGRESS,))  # type: ignore[attr-defined]
    call.keywords = keywords  # type: ignore[attr-defined]
    return call


def described(text: str, keywords: Keywords) -> str:
    """Return a docstring with all keywords in its arguments."""
    told = {"progress": PROGRESS_DOC} | {one.name: about for one, about in keywords.described()}
    lines = "\n".join(
        textwrap.fill(f"{name}: {about}", WIDTH, initial_indent="    ", subsequent_indent="        ")
        for name, about in told.items()
    )
    head, mark, rest = text.partition("\n\nRaises:")
    arguments, example, shown = head.partition("\n\nExample:")
    arguments = arguments if "Args:\n" in arguments else f"{arguments}\n\nArgs:"
    return f"{arguments}\n{lines}{example}{shown}{mark}{rest}"


_TUNED = {"how": Recipe}

rank = called(_rank, "rank", {"options": RankOptions}, {"listener": Listener})
plan_rank = called(_plan_rank, "plan_rank", {"options": RankOptions}, {"listener": Listener})
verify = called(
    _verify,
    "verify",
    {"options": RankOptions, "how": VerifyOptions},
    {"listener": Listener, "heard": VerifyListener},
    changes=_TUNED,
    left_out=("quantize", "device_map"),
)
choose = called(
    _choose,
    "choose",
    {"options": RankOptions, "how": ChooseOptions},
    {"heard": ChooseListener},
    changes=_TUNED,
    left_out=("quantize", "device_map", "replicates", "level"),
)
rank_adaptively = called(
    _rank_adaptively,
    "rank_adaptively",
    {"options": RankOptions, "until": AdaptiveOptions},
    {"heard": ChooseListener},
    left_out=("layer", "replicates", "level"),
)
layers = called(
    layer_profile, "layers", {"options": RankOptions}, {"listener": Listener}, left_out=("layer", "replicates", "level")
)
