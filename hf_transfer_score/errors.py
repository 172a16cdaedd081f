"""Every error this package raises on purpose.

TransferScoreError
├── InputError (also ValueError)    the input cannot be scored
│   ├── FeaturesError               the feature matrix
│   ├── LabelsError                 the labels, or regression targets
│   ├── SourceProbabilitiesError    the source-class probabilities
│   ├── OptionError                 an option of a metric or of a call
│   ├── UnreadableError             untrusted input cannot be decoded, or exceeds a limit
│   └── RecordError                 a stored record is invalid
├── MetricError
│   ├── UnknownMetricError (also KeyError)
│   ├── DuplicateMetricError
│   └── NotApplicableError          this metric cannot be computed on this sample; others can
├── FeatureFileError                a file that should hold features does not
├── DatasetError                    the dataset cannot be sampled: nothing can be ranked on it
│   ├── HiddenLabelsError           its labels are hidden; the message names the split to use
│   └── NoTestRowsError             all its rows are in the sample, so none is left to test on
├── CheckpointError                 this checkpoint cannot be scored, with the kind of failure; others can
├── StoreError                      a store of results cannot be read or written
├── HubError                        the Hub did not answer a request that the whole run depends on
│   └── NoAnswerError               a URL of the Hub gave no answer in time, or not a valid one
├── NoSpaceError (also OSError)    a disk has no space for what is to be written
├── DuplicateBackboneError          two kinds of backbone claim one name
└── RegistrationError               the evaluate modules could not be installed where evaluate looks
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable
from functools import partial
from numbers import Integral
from typing import Any, Literal, get_args

FailureKind = Literal[
    "missing",
    "gated",
    "private",
    "no_network",
    "download",
    "corrupt",
    "pickle_only",
    "remote_code",
    "no_preprocessor",
    "unsupported",
    "wrong_modality",
    "bad_input",
    "non_finite",
    "out_of_memory",
    "too_large",
    "too_slow",
    "no_space",
    "error",
]
"""Why one checkpoint of a pool could not be scored."""

FAILURE_KINDS: tuple[str, ...] = get_args(FailureKind)


class TransferScoreError(Exception):
    """Base of all errors that this package raises on purpose."""


class InputError(TransferScoreError, ValueError):
    """The input cannot be scored."""


class FeaturesError(InputError):
    """The feature matrix cannot be scored."""


class LabelsError(InputError):
    """The labels or regression targets cannot be used."""


class SourceProbabilitiesError(InputError):
    """The source-class probabilities cannot be used."""


class OptionError(InputError):
    """An option has an invalid value."""


class UnreadableError(InputError):
    """Untrusted input cannot be decoded, or exceeds a limit; the message is a short reason."""


class RecordError(InputError):
    """A stored record is invalid."""


class MetricError(TransferScoreError):
    """Something about a metric, not about the data."""


class UnknownMetricError(MetricError, KeyError):
    """No metric is registered under that name."""

    def __str__(self) -> str:
        """Show the message itself; KeyError would show its repr."""
        return str(self.args[0])


class DuplicateMetricError(MetricError):
    """Two metrics claim one name."""


class NotApplicableError(MetricError):
    """This metric cannot be computed on this sample; the message is the reason."""


class FeatureFileError(TransferScoreError):
    """A file that should hold features does not."""


class DatasetError(TransferScoreError):
    """The dataset cannot be sampled, so that nothing can be ranked on it."""


class HiddenLabelsError(DatasetError):
    """The labels of a split are hidden."""


class NoTestRowsError(DatasetError):
    """No row is left to test on."""


class CheckpointError(TransferScoreError):
    """One checkpoint cannot be scored; it becomes a failed row and the run continues.

    Attributes:
        kind: one of FAILURE_KINDS.
    """

    def __init__(self, kind: FailureKind, reason: str) -> None:
        super().__init__(reason)
        self.kind: FailureKind = kind

    def __reduce__(self) -> tuple[type[CheckpointError], tuple[FailureKind, str]]:
        """Pickle with the kind: failures are sent between processes."""
        return type(self), (self.kind, str(self))


class StoreError(TransferScoreError):
    """A store of results, or of requests, cannot be read or written."""


class HubError(TransferScoreError):
    """The Hub did not answer a request that the whole run depends on."""


class NoSpaceError(TransferScoreError, OSError):
    """A disk has no space for what is to be written; the message names the folder and what to do."""


class NoAnswerError(HubError):
    """A URL of the Hub gave no answer in time, or not a valid one; the reason is a clause.

    Attributes:
        status: the HTTP status, if there was one.
        wait: seconds that the Hub asks to wait, if it does.
        offline: whether no server was reached.
        final: whether another attempt cannot help.
    """

    def __init__(
        self,
        reason: str,
        url: str = "",
        *,
        status: int | None = None,
        wait: float | None = None,
        offline: bool = False,
        final: bool = False,
    ) -> None:
        super().__init__(f"{reason[:1].upper()}{reason[1:]}.")
        self.reason, self.url, self.status, self.wait = reason, url, status, wait
        self.offline, self.final = offline, final

    def __reduce__(self) -> tuple[Callable[..., NoAnswerError], tuple[str, str]]:
        """Pickle with all details: failures are sent between processes."""
        more: dict[str, Any] = {"status": self.status, "wait": self.wait, "offline": self.offline, "final": self.final}
        return partial(type(self), **more), (self.reason, self.url)


class DuplicateBackboneError(TransferScoreError):
    """Two kinds of backbone claim one name."""


class RegistrationError(TransferScoreError):
    """The evaluate modules could not be installed where evaluate looks for them."""


def chain(error: BaseException | None, *, hidden: bool = True) -> list[BaseException]:
    """Return an exception and its causes, including those that `raise ... from None` hides if `hidden`."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or (error.__context__ if hidden or not error.__suppress_context__ else None)
    return found


def closest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that is closest to another, in upper or lower case; None if none is close.

    Example:
        >>> closest("NCIT", ["face", "ncti"]), closest("probe", ["face", "ncti"])
        ('ncti', None)
    """
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), list(folded), 1, cutoff)
    return folded[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return " Did you mean 'x'?" with the closest known name, "" if none is close.

    Example:
        >>> did_you_mean("trian", ["train", "test"])
        " Did you mean 'train'?"
    """
    near = closest(name, known, cutoff)
    return f" Did you mean {near!r}?" if near else ""


def check_least(options: object, **least: int) -> None:
    """Raise OptionError for a field that is no whole number, or below its minimum; None is allowed."""
    for name, bound in least.items():
        value = getattr(options, name)
        if value is not None and not isinstance(value, Integral):
            raise OptionError(f"{name}={value!r}: expected a whole number.")
        if value is not None and value < bound:
            raise OptionError(f"{name}={value}: expected at least {bound}.")


def check_known(options: object, **known: Collection[str]) -> None:
    """Raise OptionError for a field that is not one of its known values."""
    for name, words in known.items():
        value = getattr(options, name)
        if value not in words:
            raise OptionError(f"{name}={value!r}: expected one of {', '.join(words)}.")
