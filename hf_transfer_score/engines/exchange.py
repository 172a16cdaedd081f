"""The dataset repository that carries work to jobs on the Hub, and their results back.

Work is sent as a pickle, which only the job opens, and only if it has the hash that the job was started with: others
who can write to the repository cannot replace it. Results come back as JSON and arrays, which cannot run code, and are
checked like any foreign file.

    files/HASH              files that works read, such as the sample; sent once
    runs/RUN/jobs/HASH      the works of a job
    runs/RUN/results/N/...  the result of work number N, in one commit
"""

import hashlib
import pickle
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_transfer_score.engines.base import Portable
from hf_transfer_score.errors import HubError, OptionError
from hf_transfer_score.hub.client import patiently
from hf_transfer_score.hub.failures import hub_error
from hf_transfer_score.hub.repository import HubRepository, HubView
from hf_transfer_score.version import LIBRARY

PART = re.compile(r"[A-Za-z0-9_][\w.-]*")
"""A valid part of a path."""

Numbered = tuple[int, Portable]
"""Work with its number in the run."""


@dataclass
class Exchange:
    """A dataset repository, and the name of a run in it."""

    repository: HubRepository
    run: str
    _version: str = field(default="", init=False)
    _seen: set[int] = field(default_factory=set, init=False)

    def open(self) -> None:
        """Create the repository if necessary; a public one is refused."""
        self.repository.create()
        ask = self.repository.api.repo_info
        if not patiently(lambda: ask(self.repository.name, repo_type="dataset")).private:
            raise OptionError(
                f"to={self.repository.name!r}: this dataset repository is public, and your sample would be too: make "
                "it private, or name another."
            )

    def send(self, works: Sequence[Numbered]) -> str:
        """Send the works of a job, and return the hash that identifies them."""
        changes: dict[str, bytes] = {}
        parcel = []
        for number, action in works:
            contents = [path.read_bytes() for path in action.files]
            names = [hashlib.sha256(content).hexdigest() for content in contents]
            changes |= {f"files/{name}": content for name, content in zip(names, contents, strict=True)}
            parcel.append((number, action, names))
        content = pickle.dumps(parcel)
        name = hashlib.sha256(content).hexdigest()
        self._commit({**changes, f"runs/{self.run}/jobs/{name}": content}, "Work for a job")
        return name

    @contextmanager
    def received(self, name: str) -> Iterator[list[tuple[int, Portable, list[Path]]]]:
        """Yield the works of a job with their files; called in the job."""
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            content = self._file(f"runs/{self.run}/jobs/{name}", "main", place).read_bytes()
            _check(content, name)
            parcel = pickle.loads(content)  # noqa: S301  # it has the hash that the job was started with
            files: dict[str, Path] = {}
            for one in sorted({one for _, _, names in parcel for one in names}):
                files[one] = self._file(f"files/{one}", "main", place)
                _check(files[one].read_bytes(), one)
            yield [(number, action, [files[one] for one in names]) for number, action, names in parcel]

    def give_back(self, results: Mapping[int, Path]) -> None:
        """Send the results of works, by their numbers; called in the job."""
        changes = {}
        for number, folder in results.items():
            for path in sorted(one for one in folder.rglob("*") if one.is_file()):
                changes[f"{self._results}{number}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
        self._commit(changes, "Results")

    @contextmanager
    def arrived(self) -> Iterator[list[tuple[int, Path]]]:
        """Yield the results since the last call: numbers of works, each with its folder."""
        version = self.repository.version() or ""
        if version == self._version:
            yield []
            return
        found: dict[int, list[str]] = {}
        for path in self.repository.listed(version):
            number, _, rest = path.removeprefix(self._results).partition("/")
            if path.startswith(self._results) and number.isdecimal() and _is_plain(rest):
                found.setdefault(int(number), []).append(path)
        with tempfile.TemporaryDirectory() as folder:
            new = {number: paths for number, paths in found.items() if number not in self._seen}
            for paths in new.values():
                for path in paths:
                    self._file(path, version, Path(folder))
            self._version, self._seen = version, self._seen | set(new)
            yield [(number, Path(folder) / f"{self._results}{number}") for number in new]

    def clear(self) -> None:
        """Remove the files of this run."""

        def change(view: HubView) -> dict[str, bytes | None]:
            return dict.fromkeys(path for path in view.files if path.startswith(f"runs/{self.run}/"))

        self.repository.update(change, title="The run is over")

    @property
    def _results(self) -> str:
        return f"runs/{self.run}/results/"

    def _commit(self, changes: Mapping[str, bytes | None], title: str) -> None:
        self.repository.update(lambda _: changes, title=title)

    def _file(self, path: str, version: str, folder: Path) -> Path:
        """Download a file of the repository into a folder."""
        from huggingface_hub import hf_hub_download

        name = self.repository.name
        known: dict[str, Any] = {"repo_type": "dataset", "revision": version, "local_dir": folder, **LIBRARY}
        try:
            return Path(patiently(lambda: hf_hub_download(name, path, **known)))
        except Exception as error:
            raise hub_error(name, error) from error


def _is_plain(path: str) -> bool:
    """Whether a path stays within its folder."""
    return all(PART.fullmatch(part) for part in path.split("/"))


def _check(content: bytes, name: str) -> None:
    if hashlib.sha256(content).hexdigest() != name:
        raise HubError(f"{name} in the repository is not what was sent there for this job.")
