"""Explains errors of the libraries that read datasets, in one sentence each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from hf_transfer_score.errors import DatasetError, NoAnswerError, TransferScoreError, chain
from hf_transfer_score.home import fullness, hub_home, no_space
from hf_transfer_score.hub.client import Talk, bounded
from hf_transfer_score.hub.failures import LOG_IN, kinds, no_answer, no_revision, trouble_of
from hf_transfer_score.hub.settings import endpoint_of, is_forbidden

Item = TypeVar("Item")

NO_NETWORK = {
    "ConnectionError",
    "OfflineModeIsEnabled",
    "LocalEntryNotFoundError",
    "ConnectError",
    "TimeoutException",
    "ConnectTimeout",
    "MaxRetryError",
}
CUT = {
    "RemoteProtocolError",
    "ReadError",
    "ReadTimeout",
    "ChunkedEncodingError",
    "IncompleteRead",
    "ClientPayloadError",
}
CORRUPT = {"ArrowInvalid", "ArrowException", "ParserError", "JSONDecodeError", "UnicodeDecodeError", "BadZipFile"}
EMPTY = {"EmptyDatasetError", "DataFilesNotFoundError", "EmptyDataError"}


@contextmanager
def explained(dataset: str, revision: str | None = None) -> Iterator[None]:
    """Turn errors of the libraries into a DatasetError that names the dataset and what to do.

    A library may take a question without an answer for a file that is not there, and go on or say something else: that
    question is what the message says.
    """
    with bounded() as talk:
        before = len(talk.failures)
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:
            lost = no_answer(error) or _unanswered(talk, before)
            if lost is not None:
                raise DatasetError(_unread(lost, dataset)) from error
            if isinstance(error, TransferScoreError):
                raise
            if fullness(error) is not None:
                raise no_space(error, f"what is downloaded of {dataset}", hub_home()) from error
            raise DatasetError(explain(error, dataset, revision)) from error
        lost = _unanswered(talk, before)
        if lost is not None and not lost.offline:
            raise DatasetError(_unread(lost, dataset)) from lost


def _unanswered(talk: Talk, before: int) -> NoAnswerError | None:
    """Return the first question about a dataset that got no answer since there were so many failures."""
    return next((one for one in talk.failures[before:] if "/datasets/" in one.url), None)


def _unread(lost: NoAnswerError, dataset: str) -> str:
    if lost.offline:
        return _not_reached(dataset, lost.reason)
    return f"The dataset {dataset} cannot be read from the Hub: {lost.reason}. Run it again later."


def _not_reached(dataset: str, reason: str) -> str:
    return f"The Hub at {endpoint_of()} cannot be reached for the dataset {dataset}: {reason}."


def explained_items(items: Callable[[], Iterable[Item]], dataset: str) -> Iterator[Item]:
    """Yield the items that a function returns, with the errors of their making explained."""
    with explained(dataset):
        iterator = iter(items())
    while True:
        with explained(dataset):
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item


def commit_of(dataset: str, revision: str | None = None) -> str | None:
    """Return the commit on the Hub that a revision means now; None where the Hub may not be asked."""
    from huggingface_hub import HfApi

    if is_forbidden():
        return None
    return str(HfApi().dataset_info(dataset, revision=revision).sha)


def explain(error: BaseException, dataset: str, revision: str | None = None) -> str:
    """Return one message for an error of a library: what is wrong with the dataset, and what to do."""
    links = chain(error, hidden=False)
    names = {kind for one in links for kind in kinds(one)}
    for applies, message in _cases(trouble_of(error).kind, names, " ".join(map(str, links)), dataset, revision):
        if applies:
            return message
    return f"The dataset {dataset} cannot be read: {type(error).__name__}: {_short(str(error) or repr(error))}"


def _cases(kind: str, names: set[str], said: str, dataset: str, revision: str | None) -> list[tuple[bool, str]]:
    low, unreached = said.lower(), kind in ("forbidden", "offline") or bool(names & NO_NETWORK)
    forbidden = kind == "forbidden" or is_forbidden() or "OfflineModeIsEnabled" in names
    return [
        (
            "scripts are no longer supported" in low or "trust_remote_code" in low,
            (
                f"The dataset {dataset} is made by a script, which is not run. Look for a copy of it in Parquet, or "
                "ask its author to convert it (`datasets-cli convert_to_parquet` does)."
            ),
        ),
        (
            kind == "gated" or "is a gated dataset" in low,
            f"The dataset {dataset} is gated: accept its terms on its page on the Hub, and {LOG_IN}.",
        ),
        (
            kind == "revision" or "invalid rev id" in low or "revision '" in low,
            f"The dataset {dataset} {no_revision(revision)}.",
        ),
        (
            bool(names & CUT) or "server disconnected" in low,
            f"The download of {dataset} was cut off, and trying again did not help ({_short(said)}). Run it again.",
        ),
        (
            unreached and forbidden,
            (
                f"The dataset {dataset} is needed from the Hub, and HF_HUB_OFFLINE forbids to ask it. Unset that, or "
                "give a local folder or file."
            ),
        ),
        (
            unreached,
            _not_reached(dataset, "check the network, then repeat"),
        ),
        (
            kind in ("missing", "name") or "DatasetNotFoundError" in names,
            (
                f"There is no dataset {dataset} on the Hub that you can read: check the spelling (owner/name), and if "
                f"it is private {LOG_IN}. No local folder has that name either."
            ),
        ),
        (
            bool(names & EMPTY),
            (
                f"The dataset {dataset} is empty: there are no rows in it, or no files of a known kind (Parquet, CSV, "
                "JSON, Arrow, images, sound)."
            ),
        ),
        (
            bool(names & CORRUPT),
            f"A file of the dataset {dataset} is corrupt or not what its name says: {_short(said)}",
        ),
    ]


def _short(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else "no more is known"
    return line if len(line) <= 300 else f"{line[:297]}..."
