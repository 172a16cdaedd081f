"""The only way to a terminal, a file or a pipe: `Output` prints an answer, and all text is made safe on its way.

While a command runs, `sys.stdout` and `sys.stderr` are the streams of this module: what a library prints, logs or warns
about goes through `text.shown_lines` too, and no output raises. Only `render` and the consoles add colours, and they
make each piece of text safe first.
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
"""Characters per line of piped text, unless COLUMNS says otherwise."""

UNLIMITED = 4096
"""Width of a page for a file or another program: every row of a table stays on one line."""


@dataclass(frozen=True)
class Page:
    """What text is laid out for: characters per line, and whether colours and bold letters are used."""

    width: int = PROSE_WIDTH
    colour: bool = False


@dataclass(frozen=True)
class Output:
    """The form in which an answer is printed.

    Attributes:
        json: print everything as JSON.
    """

    json: bool = False

    def show(self, facts: Callable[[], Any], text: Callable[[Page], str], *, piped_width: int = UNLIMITED) -> None:
        """Print an answer as JSON, or as text, which has `piped_width` when it does not go to a terminal."""
        if self.json:
            write(json_text(facts(), sys.stdout.encoding or "utf-8"))
        else:
            write(text(page(piped_width)))


@dataclass(frozen=True)
class TableOutput(Output):
    """The form in which a table is printed.

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
        """Print an answer that has a table; the notes that CSV has no place for go to the error stream."""
        if not self.csv:
            self.show(facts, text)
            return
        write(csv())
        for kind, said in notes():
            say(f"{kind}: {with_flags(said)}")


def page(piped_width: int = PROSE_WIDTH) -> Page:
    """Return the page of the terminal, or one as wide as a pipe gets."""
    terminal = sys.stdout.isatty()
    return Page(shutil.get_terminal_size((PROSE_WIDTH if terminal else piped_width, 24)).columns, colour=terminal)


class Rendered(str):
    """Text whose pieces were made safe one by one; any codes left in it are our own colours."""

    __slots__ = ()

    def __add__(self, other: str) -> Rendered:
        return Rendered(str(self) + safe(other))

    def __radd__(self, other: str) -> Rendered:
        return Rendered(safe(other) + str(self))

    def rstrip(self, characters: str | None = None, /) -> Rendered:
        """Strip characters from the end."""
        return Rendered(super().rstrip(characters))


def safe(text: str) -> str:
    """Return text that may go to a terminal: unchanged if it was rendered here, else made safe."""
    return str(text) if isinstance(text, Rendered) else shown_lines(text)


class Stream(io.TextIOBase):
    """A standard stream (None if the process was started without it) that makes text safe and never raises.

    An error is kept in `failure`. `lacking` says what to do with characters that its encoding lacks, as in
    `str.encode`.
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
        """The stream of bytes, for libraries that write bytes."""
        return self.inner.buffer  # type: ignore[union-attr]

    def writable(self) -> bool:
        """Return True: errors are kept, not raised."""
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
        """Write text, made safe, above a progress bar if there is one."""
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
        """Flush the real stream."""
        if self.inner is not None and self.failure is None:
            try:
                self.inner.flush()
            except (OSError, ValueError) as error:
                self._failed(error)

    def _failed(self, error: Exception) -> None:
        """Keep an error, and discard what is left: Python would try to write it again at exit."""
        self.failure = error if isinstance(error, OSError) else OSError(errno.EBADF, "it is closed")
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.inner.fileno())  # type: ignore[union-attr]
            os.close(nowhere)


class _Trusted:
    """The same stream for our own consoles, whose output is already safe and moves the cursor."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        self._stream.write_safe(text)
        return len(text)


@contextmanager
def standard_streams() -> Iterator[tuple[Stream, Stream]]:
    """Replace standard output and standard error by safe streams, and yield them.

    Closed descriptors are opened on the null device: the next file opened would else get what libraries write there.
    """
    for descriptor in STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            with suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # gets the lowest free descriptor, so this one
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
    """Write to standard output; characters that its encoding lacks become question marks, so that columns align."""
    sys.stdout.write(text)


def say(text: str) -> None:
    """Write a line to standard error, and flush."""
    if sys.stderr is not None:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


def words(text: object, style: str = "") -> Text:
    """Return text for a table or a bar, made safe before it is measured, without markup."""
    from rich.text import Text

    if isinstance(text, Rendered):
        return Text.from_ansi(text.rstrip("\n"))
    return Text(shown_lines(text).rstrip("\n"), style=style)


@lru_cache(maxsize=1)
def _console() -> Callable[..., Console]:
    """Return a factory of consoles that make all text safe, however it got into a table."""
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


@contextmanager
def moving(*columns: Any, above: Callable[[], Iterable[RenderableType]] = tuple) -> Iterator[Progress]:
    """Yield progress bars on standard error, below what `above` returns; messages are printed without control codes."""
    from rich.progress import Progress

    class Bars(Progress):
        def get_renderables(self) -> Iterable[RenderableType]:
            yield from above()
            yield from super().get_renderables()

    stream = sys.stderr
    console = _console()(file=_Trusted(stream if isinstance(stream, Stream) else Stream(stream, "backslashreplace")))
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
    """Print what will be done, and return whether to start: asked on the terminal unless it is confirmed.

    Raises:
        OptionError: there is no terminal to ask on.
    """
    say(told)
    if confirmed:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise OptionError("There is no terminal to ask whether to start: confirm with `yes`.")
    bars = sys.stderr.bars if isinstance(sys.stderr, Stream) else None
    if bars is not None:
        bars.stop()
    try:
        say("Start? [y/N]")
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    finally:
        if bars is not None:
            bars.start()


class Status:
    """A live line on standard error with the current step; `first` is the first one."""

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
        """Show another step."""
        self._bars.update(self._line, description=shown(text))


@contextmanager
def status(first: str, above: Callable[[], Iterable[RenderableType]] = tuple) -> Iterator[Status]:
    """Yield a live line with a spinner, below what `above` returns."""
    from rich.progress import SpinnerColumn, TextColumn

    with moving(SpinnerColumn(), TextColumn("{task.description}", markup=False), above=above) as bars:
        yield Status(bars, first)


def render(parts: Iterable[RenderableType], page: Page) -> Rendered:
    """Return text and tables one below the other, without trailing blanks."""
    colour = "auto" if page.colour else None
    console = _console()(file=io.StringIO(), width=page.width, force_terminal=page.colour, color_system=colour)
    for part in parts:
        console.print(part)
    written: str = console.file.getvalue()  # type: ignore[attr-defined]
    return Rendered("".join(f"{one.rstrip()}\n" for one in written.split("\n")[:-1]))
