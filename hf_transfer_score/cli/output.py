"""The one way to a terminal, a file or a pipe: `Output` shows an answer, and everything is made safe on its way.

While a command runs, `sys.stdout` and `sys.stderr` are the streams of this module: what a library prints, logs or warns
of goes through `text.shown_lines` too, and no output raises. Colours come from `render` and the consoles alone, which
make each piece of text safe before they colour it.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TextIO

from hf_transfer_score.cli.naming import with_flags
from hf_transfer_score.errors import OptionError
from hf_transfer_score.text import json_text, shown, shown_lines

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress
    from rich.text import Text

STANDARD = (0, 1, 2)
"""The descriptors of input, output and errors."""

PROSE_WIDTH = 100
"""Characters in a line of text that is piped, unless COLUMNS says another."""

UNLIMITED = 4096
"""Width of a page that goes to a file or another program: every row of a table stays on one line."""


@dataclass(frozen=True)
class Page:
    """What text is laid out for.

    Attributes:
        width: characters in a line.
        colour: whether colours and bold letters may be used.
    """

    width: int = PROSE_WIDTH
    colour: bool = False


@dataclass(frozen=True)
class Output:
    """In which form an answer is printed.

    Attributes:
        json: print everything as JSON.
    """

    json: bool = False

    def show(self, facts: Callable[[], Any], text: Callable[[Page], str], *, piped_width: int = UNLIMITED) -> None:
        """Print an answer: as plain values, or laid out for people, in `piped_width` where no terminal shows it."""
        if self.json:
            write(json_text(facts(), sys.stdout.encoding or "utf-8"))
        else:
            write(text(page(piped_width)))


@dataclass(frozen=True)
class TableOutput(Output):
    """In which form a table is printed.

    Attributes:
        csv: print the table as CSV, in full precision.
    """

    csv: bool = False

    def show_table(
        self,
        facts: Callable[[], Any],
        text: Callable[[Page], str],
        csv: Callable[[], str],
        notes: Callable[[], Iterable[tuple[str, str]]] = tuple,
    ) -> None:
        """Print an answer that has a table; beside CSV what it has no place for goes to the error stream as notes."""
        if not self.csv:
            self.show(facts, text)
            return
        write(csv())
        for kind, said in notes():
            say(f"{kind}: {with_flags(said)}")


def page(piped_width: int = PROSE_WIDTH) -> Page:
    """Return what to lay text out for: the terminal, or the width a pipe gets."""
    terminal = sys.stdout.isatty()
    return Page(shutil.get_terminal_size((PROSE_WIDTH if terminal else piped_width, 24)).columns, colour=terminal)


class Rendered(str):
    """Text whose pieces were made safe one by one; the codes that are left in it are our own colours."""

    __slots__ = ()

    def __add__(self, other: str) -> Rendered:
        """Join, making safe what is not rendered."""
        return Rendered(str(self) + safe(other))

    def __radd__(self, other: str) -> Rendered:
        """Join, making safe what is not rendered."""
        return Rendered(safe(other) + str(self))

    def rstrip(self, characters: str | None = None, /) -> Rendered:
        """Return it without what is at its end."""
        return Rendered(super().rstrip(characters))


def safe(text: str) -> str:
    """Return text that may go to a terminal: as it is where it was rendered here, else made safe."""
    return str(text) if isinstance(text, Rendered) else shown_lines(text)


class Stream(io.TextIOBase):
    """A standard stream that makes text safe and never raises; what went wrong is kept in `failure`.

    Args:
        inner: the real stream; None where the process was started without it.
        lacking: what to do with letters that its encoding lacks, as in `str.encode`.
    """

    def __init__(self, inner: TextIO | None, lacking: str) -> None:
        self.inner, self.lacking = inner, lacking
        self.failure: OSError | None = None
        self.live: Console | None = None
        self.bars: Progress | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the real stream."""
        return getattr(self.inner, "encoding", None) or "utf-8"

    @property
    def buffer(self) -> Any:
        """The bytes below, for libraries that write these."""
        return self.inner.buffer  # type: ignore[union-attr]

    def writable(self) -> bool:
        """Always: what cannot be written is noted."""
        return True

    def isatty(self) -> bool:
        """Whether a terminal shows it."""
        return self.inner is not None and self.inner.isatty()

    def fileno(self) -> int:
        """Return the descriptor."""
        if self.inner is None:
            raise OSError(errno.EBADF, "it is closed")
        return self.inner.fileno()

    def write(self, text: str) -> int:
        """Write text that is made safe; above a bar that moves where there is one."""
        if self.live is None:
            self.write_safe(safe(text))
        elif text.strip():
            self.live.print(words(text))
        return len(text)

    def write_safe(self, text: str) -> None:
        """Write text that is safe already."""
        if self.inner is None:
            self.failure = self.failure or OSError(errno.EBADF, "it is closed")
        elif self.failure is None:
            try:
                self.inner.write(text.encode(self.encoding, self.lacking).decode(self.encoding))
            except (OSError, ValueError) as error:
                self._failed(error)

    def flush(self) -> None:
        """Hand on what was written."""
        if self.inner is not None and self.failure is None:
            try:
                self.inner.flush()
            except (OSError, ValueError) as error:
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        """Note a failure, and let what is left go nowhere: Python would try to write it once more at the end."""
        self.failure = error if isinstance(error, OSError) else OSError(errno.EBADF, "it is closed")
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.inner.fileno())  # type: ignore[union-attr]
            os.close(nowhere)


class _Trusted:
    """The same stream for a console of ours, whose output is safe already and moves the cursor."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._stream.write_safe(text)
        return len(text)


@contextmanager
def standard_streams() -> Iterator[tuple[Stream, Stream]]:
    """Put streams that are safe in the place of standard output and standard error, and yield them.

    Nothing is opened on the descriptors that are closed: a file opened next would get what libraries write there.
    """
    for descriptor in STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # the lowest that is free, so this one
    before = sys.stdout, sys.stderr
    out, errors = Stream(sys.stdout, "replace"), Stream(sys.stderr, "backslashreplace")
    sys.stdout, sys.stderr = out, errors
    try:
        yield out, errors
    finally:
        out.flush()
        errors.flush()
        sys.stdout, sys.stderr = before


def write(text: str) -> None:
    """Write to standard output; letters that its encoding lacks become question marks, so that columns stay."""
    sys.stdout.write(text)


def say(text: str) -> None:
    """Write a line to standard error, at once."""
    if sys.stderr is not None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def words(text: object, style: str = "") -> Text:
    """Return text for a table or a bar: safe before it is measured, and without markup."""
    from rich.text import Text

    if isinstance(text, Rendered):
        return Text.from_ansi(text.rstrip("\n"))
    return Text(shown_lines(text).rstrip("\n"), style=style)


@lru_cache(maxsize=1)
def _console() -> Callable[..., Console]:
    """Return what makes consoles that make safe whatever text reaches them, however it got into a table."""
    from rich.console import Console
    from rich.segment import Segment

    class SafeConsole(Console):
        def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                plain = segment.control or segment.text.isprintable() or segment.text == "\n"
                yield segment if plain else Segment(shown_lines(segment.text), segment.style)

    return partial(SafeConsole, highlight=False, markup=False, emoji=False)


def output_console() -> Console:
    """Return a console for standard output, as wide as its pages."""
    stream = sys.stdout if isinstance(sys.stdout, Stream) else Stream(sys.stdout, "replace")
    return _console()(file=_Trusted(stream), width=page().width)


def error_console() -> Console:
    """Return a console for standard error, for bars and lines that move."""
    stream = sys.stderr if isinstance(sys.stderr, Stream) else Stream(sys.stderr, "backslashreplace")
    return _console()(file=_Trusted(stream))


@contextmanager
def moving(*columns: Any, above: Callable[[], Iterable[RenderableType]] = tuple) -> Iterator[Progress]:
    """Yield bars on standard error; what is said meanwhile stands above them, without whatever steers a terminal.

    Args:
        columns: of the bars.
        above: returns what moves with the bars, above them.
    """
    from rich.progress import Progress

    class Bars(Progress):
        def get_renderables(self) -> Iterable[RenderableType]:
            yield from above()
            yield from super().get_renderables()

    stream, console = sys.stderr, error_console()
    bars = Bars(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
    before = (stream.live, stream.bars) if isinstance(stream, Stream) else (None, None)
    try:
        if isinstance(stream, Stream):
            stream.live, stream.bars = console, bars
        with bars:
            yield bars
    finally:
        if isinstance(stream, Stream):
            stream.live, stream.bars = before


def agreed(told: str, confirmed: bool) -> bool:
    """Show what will be done, and return whether it may begin: asked on the terminal unless it is confirmed.

    Raises:
        OptionError: there is nobody to ask.
    """
    say(told)
    if confirmed:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise OptionError("No terminal is here on which to ask whether to begin: say so with `yes`.")
    bars = sys.stderr.bars if isinstance(sys.stderr, Stream) else None
    if bars is not None:
        bars.stop()
    try:
        say("Begin? [y/N]")
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    finally:
        if bars is not None:
            bars.start()


class Status:
    """A line on standard error that says what is being done, once it has started.

    Args:
        bars: where it moves.
        first: what it says before `update`.
    """

    def __init__(self, bars: Progress, first: str) -> None:
        self._bars = bars
        self._line = bars.add_task(shown(first), total=None)

    def start(self) -> None:
        """Show it."""
        self._bars.start()

    def stop(self) -> None:
        """Hide it."""
        self._bars.stop()

    def update(self, text: str) -> None:
        """Say something else."""
        self._bars.update(self._line, description=shown(text))


@contextmanager
def status(first: str, above: Callable[[], Iterable[RenderableType]] = tuple) -> Iterator[Status]:
    """Yield a line with something that turns before it, and what moves above it."""
    from rich.progress import SpinnerColumn, TextColumn

    with moving(SpinnerColumn(), TextColumn("{task.description}", markup=False), above=above) as bars:
        yield Status(bars, first)


def render(parts: Iterable[RenderableType], page: Page) -> Rendered:
    """Return text and tables one below the other, without blanks at the ends of lines."""
    colour = "auto" if page.colour else None
    console = _console()(file=io.StringIO(), width=page.width, force_terminal=page.colour, color_system=colour)
    for part in parts:
        console.print(part)
    written: str = console.file.getvalue()  # type: ignore[attr-defined]
    return Rendered("".join(f"{one.rstrip()}\n" for one in written.split("\n")[:-1]))
