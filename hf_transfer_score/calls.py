"""The public functions: runs with every option as a plain keyword, a progress bar, and one log line per failure.

`calls.pyi` beside it holds the same signatures for editors and type checkers; `docs/generate.py` writes it.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from hf_transfer_score.bars import watched
from hf_transfer_score.choosing.adaptive import AdaptiveOptions
from hf_transfer_score.choosing.adaptive import rank_adaptively as _rank_adaptively
from hf_transfer_score.choosing.choose import choose as _choose
from hf_transfer_score.choosing.history import ChooseListener
from hf_transfer_score.choosing.options import ChooseOptions
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.keywords import Keywords
from hf_transfer_score.runs.layers import layer_profile
from hf_transfer_score.runs.listener import Listener
from hf_transfer_score.runs.options import RankOptions
from hf_transfer_score.runs.run import plan_rank as _plan_rank
from hf_transfer_score.runs.run import rank as _rank
from hf_transfer_score.runs.verified import VerifyOptions
from hf_transfer_score.runs.verifying import VerifyListener
from hf_transfer_score.runs.verifying import verify as _verify

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
    """Return the public form of a run.

    Args:
        function: the run, which takes option dataclasses and listeners.
        name: its public name.
        groups: see `Keywords`, also for changes and left_out.
        listeners: the class of each argument that takes a listener.
        changes: see `Keywords`.
        left_out: see `Keywords`.
    """
    keywords = Keywords(function, name, groups, changes=changes, left_out=left_out)

    @wraps(function)
    def call(*given: Any, progress: bool | None = None, **named: Any) -> Any:
        arguments = keywords.arguments(named)
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
    layer_profile,
    "layers",
    {"options": RankOptions},
    {"listener": Listener},
    left_out=("layer", "replicates", "level"),
)
