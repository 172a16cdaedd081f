"""What goes wrong inside the libraries that read datasets, said in one sentence each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from hf_transfer_score.disk import fullness, no_space
from hf_transfer_score.errors import DatasetError, NoAnswerError, TransferScoreError
from hf_transfer_score.hub.client import Talk, bounded
from hf_transfer_score.hub.failures import no_answer
from hf_transfer_score.places import hub_home

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
    question is what is told.
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
    from huggingface_hub import constants

    if lost.offline:
        return f"The Hub at {constants.ENDPOINT} cannot be reached for the dataset {dataset}: {lost.reason}."
    return f"The dataset {dataset} cannot be read from the Hub: {lost.reason}. Run it again later."


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
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        return None
    return str(HfApi().dataset_info(dataset, revision=revision).sha)


def explain(error: BaseException, dataset: str, revision: str | None = None) -> str:
    """Return one message for an error of a library: what is wrong with the dataset, and what to do."""
    names = {cls.__name__ for one in _chain(error) for cls in type(one).__mro__}
    said = " ".join(str(one) for one in _chain(error))
    for applies, message in _cases(names, said, dataset, revision):
        if applies:
            return message
    return f"The dataset {dataset} cannot be read: {type(error).__name__}: {_first_line(error)}"


def _cases(names: set[str], said: str, dataset: str, revision: str | None) -> list[tuple[bool, str]]:
    low = said.lower()
    return [
        (
            "scripts are no longer supported" in low or "trust_remote_code" in low,
            (
                f"The dataset {dataset} is made by a script, which is not run. Look for a copy of it in Parquet, or "
                "ask its author to convert it (`datasets-cli convert_to_parquet` does)."
            ),
        ),
        (
            "GatedRepoError" in names or "is a gated dataset" in low,
            (
                f"The dataset {dataset} is gated: accept its terms on its page on the Hub, and log in with "
                "`hf auth login` or set HF_TOKEN."
            ),
        ),
        (
            "RevisionNotFoundError" in names or "invalid rev id" in low or "revision '" in low,
            f"The dataset {dataset} has no revision {revision!r}; give a branch, a tag or a full commit.",
        ),
        (
            bool(names & CUT) or "server disconnected" in low,
            f"The download of {dataset} was cut off, and trying again did not help ({_short(said)}). Run it again.",
        ),
        (bool(names & NO_NETWORK), _no_network(names, dataset)),
        (
            bool(names & {"DatasetNotFoundError", "RepositoryNotFoundError", "HFValidationError"}),
            (
                f"There is no dataset {dataset} on the Hub that you can read: check the spelling (owner/name), and if "
                "it is private log in with `hf auth login` or set HF_TOKEN. No local folder has that name either."
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


def _no_network(names: set[str], dataset: str) -> str:
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or "OfflineModeIsEnabled" in names:
        return (
            f"The dataset {dataset} is needed from the Hub, and HF_HUB_OFFLINE forbids to ask it. Unset that, or give "
            "a local folder or file."
        )
    return (
        f"The Hub at {constants.ENDPOINT} cannot be reached for the dataset {dataset}: check the network, then repeat."
    )


def _chain(error: BaseException | None) -> list[Any]:
    chain: list[Any] = []
    while error is not None and error not in chain and len(chain) < 8:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return chain


def _first_line(error: BaseException) -> str:
    return _short(str(error) or repr(error))


def _short(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else "no more is known"
    return line if len(line) <= 300 else f"{line[:297]}..."
