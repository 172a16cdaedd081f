"""The flags that say where candidates run."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

from cyclopts import Parameter

from hf_transfer_score.cli.flags import RUNNING, Whole, alternatives, kind_of, value_of
from hf_transfer_score.cli.output import agreed
from hf_transfer_score.engines.base import HERE, Engine, engine_kind, open_engine
from hf_transfer_score.errors import OptionError


@dataclass(frozen=True)
class EngineFlags:
    """Where candidates run.

    Attributes:
        engine: here (one after the other), accelerate (in the processes that a launcher started), ray (on a cluster of
            Ray or this machine), slurm (as jobs of Slurm), jobs (of Hugging Face, which cost money), or one of another
            package.
        workers: candidates at a time, for engines that start workers.
        engine_option: set an option of the engine, as NAME=VALUE; may be repeated.
        yes: begin without asking, where the engine asks because it costs money.
    """

    engine: str = HERE
    workers: Whole = None
    engine_option: tuple[str, ...] = ()
    yes: bool = False

    def opened(self) -> AbstractContextManager[Engine]:
        """Return the engine, which is closed behind the block."""
        settings: dict[str, Any] = {}
        for setting in self.engine_option:
            name, there, text = setting.partition("=")
            if not (name and there):
                raise OptionError(f"{setting}: expected NAME=VALUE, such as retries=2.")
            settings[name] = _parsed(self.engine, name, text)
        if self.workers is not None and self.engine == HERE:
            raise OptionError(f"workers={self.workers}: the engine here has none; name another with `engine`.")
        engine: Any = open_engine(self.engine, {"workers": self.workers, **settings})
        if hasattr(engine, "ask"):
            engine.ask = agreed
            engine.confirm = engine.confirm or self.yes
        return closing(engine)


def _parsed(engine: str, name: str, text: str) -> Any:
    """Return the text of an option as a value of the type that the engine's field has."""
    hint = get_type_hints(engine_kind(engine)).get(name, str)
    for kind in alternatives(hint):
        with suppress(ValueError):
            return value_of(kind, text)
    raise OptionError(f"{name}={text}: the engine {engine} expects {kind_of(hint)}.")


Engines = Annotated[EngineFlags, Parameter(name="*", group=RUNNING)]
