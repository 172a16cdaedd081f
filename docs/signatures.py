"""Write the signatures of the public functions for editors and type checkers: hf_transfer_score/calls.pyi."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from typing import Any

from hf_transfer_score import calls
from hf_transfer_score.calls import Option

NOTICE = '"""The signatures of calls.py; written by docs/generate.py from the dataclasses of options."""'
RUNS = ("rank", "plan_rank", "rank_adaptively", "verify", "choose", "layers")


def signatures() -> str:
    """Return the stub of `hf_transfer_score.calls`."""
    names: dict[str, set[str]] = {}
    defined = [_defined(getattr(calls, name), names) for name in RUNS]
    imports = [f"from {module} import {', '.join(sorted(names[module]))}" for module in sorted(names)]
    standard = [one for one in imports if not one.startswith("from hf_transfer_score")]
    own = [one for one in imports if one.startswith("from hf_transfer_score")]
    return "\n".join([NOTICE, "", *standard, "", *own, "", "\n".join(defined)])


def _defined(call: Any, names: dict[str, set[str]]) -> str:
    """Return the stub of a function, and note where the names of its types come from."""
    function = inspect.unwrap(call)
    plain = inspect.signature(function)
    lines = []
    for one in (*plain.parameters.values(), calls.PROGRESS):
        if one.kind is inspect.Parameter.KEYWORD_ONLY and "    *," not in lines:
            lines.append("    *,")
        lines.append(_line(one.name, str(one.annotation), one.default))
        _note(str(one.annotation), function.__module__, names)
    for several in call.keywords.options.values():
        lines.append(_line(several[0].name, _accepted(several[0]).replace("'", '"'), several[0].default))
        _note(several[0].annotation, several[0].owner.__module__, names)
    _note(str(plain.return_annotation), function.__module__, names)
    doc = textwrap.indent(call.__doc__, "    ", lambda line: bool(line.strip())).strip()
    body = f'    """{doc}\n    """' if "\n" in doc else f'    """{doc}"""'
    return "\n".join([f"def {call.__name__}(", *lines, f") -> {plain.return_annotation}:", body, ""])


def _accepted(option: Option) -> str:
    """Return the type of a keyword; for a field with a tuple, also one value or a list."""
    if not option.annotation.startswith("tuple["):
        return option.annotation
    one = option.annotation.removeprefix("tuple[").removesuffix(", ...]")
    return f"{one} | list[{one}] | {option.annotation}"


def _line(name: str, annotation: str, default: Any) -> str:
    if default is inspect.Parameter.empty:
        return f"    {name}: {annotation},"
    known = isinstance(default, (str, int, float, tuple, type(None)))
    return f"    {name}: {annotation} = {_written(default) if known else '...'},"


def _written(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _note(annotation: str, module: str, names: dict[str, set[str]]) -> None:
    """Note the modules that define the names of an annotation."""
    for node in ast.walk(ast.parse(annotation, mode="eval")):
        if isinstance(node, ast.Name) and node.id not in dir(sys.modules["builtins"]):
            names.setdefault(_source(node.id, module), set()).add(node.id)


def _source(name: str, module: str) -> str:
    """Return the module that a name is imported from, or the module itself."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    imported = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return next((str(node.module) for node in imported if name in {one.name for one in node.names}), module)
