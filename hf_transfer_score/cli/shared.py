"""The flags of every command: `--config`, `--save-config`, `--help-all` and `--traceback`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopts import App, ArgumentCollection, Token
from cyclopts.config import Dict

from hf_transfer_score.errors import OptionError
from hf_transfer_score.untrusted import parse_yaml

CONFIG, SAVE_CONFIG, HELP, HELP_ALL, TRACEBACK = "--config", "--save-config", "--help", "--help-all", "--traceback"

WHOLE_NUMBER = re.compile(r"[+-]?[0-9][0-9_]*")
YES = ("true", "yes", "y", "t", "1")


@dataclass(frozen=True)
class SharedFlags:
    """The shared flags of a command line, and its other words."""

    words: list[str]
    config: Path | None = None
    save_config: Path | None = None
    all_flags: bool = False
    traceback: bool = False

    @classmethod
    def split(cls, words: Sequence[str]) -> SharedFlags:
        """Take these flags out of the words of a command line, up to a lone `--`.

        Example:
            >>> found = SharedFlags.split(["score", "a.npz", "--config=my.yaml", "--traceback"])
            >>> found.words, str(found.config), found.traceback
            (['score', 'a.npz'], 'my.yaml', True)
        """
        end = words.index("--") if "--" in words else len(words)
        coming, rest, files = iter(words[:end]), [], {}
        for word in coming:
            name, equals, value = word.partition("=")
            if name in (CONFIG, SAVE_CONFIG):
                files[name] = Path(value if equals else next(coming, ""))
                if files[name] == Path():
                    raise OptionError(f"{name} needs the name of a YAML file.")
            else:
                rest.append(word)
        own = [HELP if word == HELP_ALL else word for word in rest if word != TRACEBACK]
        return cls([*own, *words[end:]], files.get(CONFIG), files.get(SAVE_CONFIG), HELP_ALL in rest, TRACEBACK in rest)


def read_flags(path: Path) -> dict[str, Any]:
    """Return the flags in a YAML file, by name without leading hyphens."""
    try:
        values = parse_yaml(path.read_bytes(), what=f"the file {path}")
    except OSError as error:
        raise OptionError(f"{path} cannot be read as a file of flags ({error.strerror or error}).") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise OptionError(f"{path}: expected one flag with its value per line, such as `max-samples: 500`.")
    for name, value in values.items():
        items = value if isinstance(value, list) else [value]
        if not items or not all(isinstance(one, str | int | float | bool) for one in items):
            raise OptionError(f"{path}: {name}: expected a value, or a list of values, got {value!r}.")
    return values


class FlagsOfFile:
    """Adds the flags of a file to a command; they are checked like typed flags, which take precedence."""

    def __init__(self, path: Path) -> None:
        self.path, self.values = path, read_flags(path)

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Add them to the arguments of the current command."""
        values = {name.removeprefix("--"): value for name, value in self.values.items()}
        for name, argument in _positional(arguments):
            if name in values:
                value = values.pop(name)
                if not argument.tokens:
                    for number, one in enumerate(value if isinstance(value, list) else [value]):
                        argument.append(Token(keyword=name, value=str(one), source=str(self.path), index=number))
        for argument in arguments:
            name = argument.name.removeprefix("--")
            between = {1: ",", -1: " "}.get(argument.parameter.n_tokens or 0)  # what the converter takes as one text
            if isinstance(values.get(name), list) and between is not None:
                values[name] = between.join(map(str, values[name]))
        nested: dict[str, Any] = values
        for command in reversed(commands):  # at the top level, Dict would take `metrics` for the command of that name
            nested = {command: nested}
        Dict(data=nested, source=str(self.path))(app, commands, arguments)


def check_whole_numbers(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Refuse a value that has to be a whole number and is none: Cyclopts would round it."""
    for one in arguments:
        if one.parameter.converter is None and one.hint in (int, int | None):
            for token in one.tokens:
                if not WHOLE_NUMBER.fullmatch(token.value):
                    raise OptionError(f"{one.name} {token.value!r}: expected a whole number.")


class FlagsToFile:
    """Keeps the flags of the current command, typed or from a file, and writes them to a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.values = path, dict[str, Any]()

    def __call__(self, app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
        """Keep the arguments of the current command."""
        names = {id(argument): name for name, argument in _positional(arguments)}
        for argument in arguments:
            if argument.tokens:
                found = [_plain(one.value) if argument.hint is not bool else _switched(one) for one in argument.tokens]
                listed = len(found) > 1 or argument.parameter.consume_multiple
                name = names.get(id(argument), argument.name.removeprefix("--"))
                self.values[name] = found if listed else found[0]

    def write(self) -> None:
        """Write them."""
        import yaml  # type: ignore[import-untyped]

        self.path.write_text(yaml.safe_dump(self.values, sort_keys=False, allow_unicode=True), encoding="utf-8")


def _positional(arguments: ArgumentCollection) -> Iterator[tuple[str, Any]]:
    """Yield the arguments without a flag, by name."""
    for argument in arguments:
        if argument.parse and argument.index is not None:
            yield argument.field_info.name, argument


def _switched(token: Token) -> bool:
    """Return whether a flag without a value, or with one such as `false`, is on."""
    return token.value.lower() in YES if token.value else bool(token.implicit_value)


def _plain(text: str) -> Any:
    """Return a whole number for its text, so that YAML writes it without quotes."""
    return int(text) if text.isdecimal() and str(int(text)) == text else text
