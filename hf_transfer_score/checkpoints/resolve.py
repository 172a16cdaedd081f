"""From a candidate to its repository's metadata (commit, files, library, licence, parameters), and to its files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from hf_transfer_score.backbones.adapters import Adapter, adapter_of, is_adapter
from hf_transfer_score.backbones.held import InMemoryModel
from hf_transfer_score.backbones.repository import DESCRIPTION, DESCRIPTIVE_FILES, Repository, read_descriptions
from hf_transfer_score.checkpoints.candidate import Candidate, is_here
from hf_transfer_score.errors import CheckpointError
from hf_transfer_score.home import near_name
from hf_transfer_score.hub.client import patiently
from hf_transfer_score.hub.downloads import Answers, map_at_once, sound_file, sweep_parts
from hf_transfer_score.hub.failures import checkpoint_failure, is_offline
from hf_transfer_score.hub.settings import cached_names, endpoint_of
from hf_transfer_score.version import LIBRARY

BYTES_PER_PARAMETER = 4
HASHED_BYTES = 1 << 20
AT_ONCE = 4


@dataclass(frozen=True)
class Checkpoint:
    """A candidate as its repository describes it, under the name that users see.

    The commit is the full one on the Hub, or a hash of a folder's content. Parameters are those in the weights' header,
    if known before the download. An adapter has its own name and commit, and the repository of its base, to which its
    own files are added.
    """

    name: str
    commit: str
    repository: Repository
    folder: Path | None = None
    parameters: int | None = None
    downloads: int | None = None
    likes: int | None = None
    license: str | None = None
    gated: bool = False
    held: InMemoryModel | None = field(default=None, repr=False, compare=False)
    adapter: Adapter | None = None

    def place_of(self, file: str) -> tuple[str, str]:
        """Return the repository on the Hub that has a file, and its commit."""
        if self.adapter is None:
            return self.repository.name, self.commit
        if file in self.adapter.files:
            return self.adapter.name, self.commit
        return self.adapter.base, self.adapter.base_commit

    def as_plain(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        plain = asdict(replace(self, held=None))
        plain["folder"] = None if self.folder is None else str(self.folder)
        return plain

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Checkpoint:
        """Return the checkpoint of such values."""
        repository = Repository(**{**plain["repository"], "tags": tuple(plain["repository"]["tags"])})
        folder = None if plain["folder"] is None else Path(plain["folder"])
        adapter = Adapter(**plain["adapter"]) if plain.get("adapter") else None
        return cls(**{**plain, "repository": repository, "folder": folder, "adapter": adapter})


def resolve(candidate: Candidate, known: Answers) -> Checkpoint:
    """Return the current description of a candidate, and store it; raises CheckpointError.

    Without a connection to the Hub, that of an earlier run is used, or the local cache.
    """
    if candidate.held is not None:
        checkpoint = _from_memory(candidate, candidate.held)
    else:
        checkpoint = _from_folder(candidate, known) if candidate.folder is not None else _from_hub(candidate, known)
        if candidate.folder is None and checkpoint.adapter is None and is_adapter(checkpoint.repository):
            checkpoint = _on_base(checkpoint, known)
    known.remember(_question(candidate), checkpoint.as_plain())
    return checkpoint


def recall(candidate: Candidate, known: Answers) -> Checkpoint | None:
    """Return the stored description of a candidate, without asking the Hub; None for a folder that changed."""
    plain = known.recall(_question(candidate))
    if plain is None:
        return None
    try:
        checkpoint = Checkpoint.from_plain(plain)
    except (KeyError, TypeError):
        return None
    if candidate.held is not None:
        return replace(checkpoint, name=candidate.name, held=candidate.held)
    folder = candidate.folder
    changed = folder is not None and (not folder.is_dir() or checkpoint.commit != folder_commit(folder, known))
    return None if changed else checkpoint


def _question(candidate: Candidate) -> str:
    """Return the key of a stored answer, which depends on the Hub."""
    if candidate.held is not None:
        return f"in memory {candidate.held.fingerprint}"
    if candidate.folder is not None:
        return f"folder {candidate.folder}"
    return f"{candidate} at {endpoint_of()}"


def _from_hub(candidate: Candidate, known: Answers) -> Checkpoint:
    from huggingface_hub import HfApi

    def ask() -> Any:
        return HfApi(**LIBRARY).model_info(candidate.name, revision=candidate.revision, files_metadata=True)

    try:
        info = patiently(ask)
        # sha256 of large files, git's hash of the others
        named = {file.rfilename: file.lfs.sha256 if file.lfs else file.blob_id for file in info.siblings or []}
        hashes = {name: str(hashed) for name, hashed in named.items() if hashed}
        descriptions, unread = patiently(partial(_descriptions, candidate.name, info, hashes))
        sizes = {file.rfilename: file.size for file in info.siblings or []}
        tags = tuple(info.tags or ())
        licenses = [tag.removeprefix("license:") for tag in tags if tag.startswith("license:")]
        return Checkpoint(
            str(candidate),
            str(info.sha),
            Repository(candidate.name, sizes, descriptions, info.library_name, tags, hashes, unread),
            parameters=info.safetensors.total if info.safetensors else None,
            downloads=info.downloads,
            likes=info.likes,
            license=licenses[0] if licenses else None,
            gated=bool(info.gated),
        )
    except Exception as error:  # noqa: BLE001  # each kind becomes the failure of this checkpoint
        if is_offline(error):
            stored = recall(candidate, known) or _from_hub_cache(candidate)
            if stored is not None:
                return stored
        failure = checkpoint_failure(candidate.name, error, candidate.revision)
        near = ""
        if failure.kind in ("missing", "no_network"):
            near = near_name(candidate.name, cached_names("model"))
        raise CheckpointError(failure.kind, f"{failure}.{near}" if near else str(failure)) from None


def _on_base(checkpoint: Checkpoint, known: Answers) -> Checkpoint:
    """Return an adapter with the repository of its base, which must be on the Hub."""
    adapter, revision = adapter_of(checkpoint.repository, checkpoint.commit)
    try:
        base = _from_hub(Candidate(adapter.base, revision), known)
    except CheckpointError as error:
        raise CheckpointError(error.kind, f"is an adapter whose base {adapter.base} cannot be used: {error}") from None
    if base.adapter is not None or "adapter_config.json" in base.repository:
        raise CheckpointError(
            "unsupported", f"is an adapter whose base {adapter.base} holds an adapter itself; merge them one by one"
        )
    own = checkpoint.repository
    sizes = {**base.repository.sizes, **{name: own.sizes[name] for name in adapter.files}}
    hashes = {**base.repository.hashes, **{name: own.hashes[name] for name in adapter.files if name in own.hashes}}
    licenses = dict.fromkeys(name for name in (base.license, checkpoint.license) if name)
    return replace(
        checkpoint,
        repository=replace(base.repository, sizes=sizes, hashes=hashes),
        parameters=base.parameters,  # merged, it has as many
        license=" and ".join(licenses) or None,
        gated=base.gated or checkpoint.gated,
        adapter=replace(adapter, base_commit=base.commit),
    )


def _descriptions(name: str, info: Any, hashes: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the contents of a repository's descriptions, and why others were not read, such as large ones."""
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or [] if file.rfilename in DESCRIPTIVE_FILES}
    small = [file for file, size in sizes.items() if size <= DESCRIPTION.size]
    paths = map_at_once(lambda file: sound_file(name, file, str(info.sha), hashes), small, AT_ONCE)
    found, unread = read_descriptions(dict(zip(small, map(Path, paths), strict=True)))
    large = {file: f"that has {sizes[file]:,} bytes, and at most {DESCRIPTION.size:,} are read" for file in sizes}
    return found, unread | {file: reason for file, reason in large.items() if file not in small}


def _from_hub_cache(candidate: Candidate) -> Checkpoint | None:
    """Return a candidate from the local cache of the Hub, None if it is not there."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(candidate.name, revision=candidate.revision, local_files_only=True))
    except Exception:  # noqa: BLE001  # whatever is wrong with the cache, the failure to report is the missing network
        return None
    return Checkpoint(str(candidate), folder.name, replace(Repository.from_folder(folder), name=candidate.name))


def _from_folder(candidate: Candidate, known: Answers) -> Checkpoint:
    assert candidate.folder is not None
    try:
        if not candidate.folder.is_dir():
            here = is_here(str(candidate.folder))
            hint = "a model on the Hub is written owner/name"
            if here:
                hint = "name the folder that holds its config.json (a list of models is for `--models-from`)"
            near = "" if here else near_name(candidate.name)
            raise CheckpointError("missing", f"{candidate.name} is not a folder; {hint}{near and f'.{near}'}")
        repository = Repository.from_folder(candidate.folder)
        if not repository.is_checkpoint:  # any other folder may be large, and is not hashed
            raise CheckpointError("unsupported", repository.why_unknown())
        commit = folder_commit(candidate.folder, known)
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError("corrupt", f"cannot be read: {error}") from None
    return Checkpoint(candidate.folder.name, commit, repository, folder=candidate.folder)


def _from_memory(candidate: Candidate, held: InMemoryModel) -> Checkpoint:
    folder = held.folder
    repository = Repository.from_folder(folder)
    return Checkpoint(candidate.name, held.fingerprint, repository, folder, held.parameters, held=held)


def folder_commit(folder: Path, known: Answers) -> str:
    """Return a hash of a folder's content; large files with unchanged size and time are not read again."""
    digest = hashlib.sha1(b"folder", usedforsecurity=False)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            digest.update(f"{name.as_posix()}\n{_content(path, known)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _content(path: Path, known: Answers) -> str:
    stat = path.stat()
    key = f"content of {path} {stat.st_size} {stat.st_mtime_ns}"
    remembered = known.recall(key) if stat.st_size > HASHED_BYTES else None
    if remembered is not None:
        return str(remembered["hash"])
    digest = hashlib.blake2b(digest_size=20)
    with path.open("rb") as file:
        while part := file.read(HASHED_BYTES):
            digest.update(part)
    if stat.st_size > HASHED_BYTES:
        known.remember(key, {"hash": digest.hexdigest()})
    return digest.hexdigest()


@dataclass
class Fetched:
    """A folder with files of a checkpoint, and those that this run downloaded, which may be removed."""

    folder: Path
    downloaded: list[Path] = field(default_factory=list)

    def free(self) -> int:
        """Remove what this run downloaded; return its bytes."""
        freed = 0
        for path in self.downloaded:
            target = path.resolve()
            if target.is_file():
                freed += target.stat().st_size
            for place in {path, target}:
                place.unlink(missing_ok=True)
        self.downloaded = []
        return freed


def on_disk(checkpoint: Checkpoint, name: str) -> Path | None:
    """Return a file of a checkpoint if it is already on this computer."""
    from huggingface_hub import try_to_load_from_cache

    if checkpoint.folder is not None:
        return checkpoint.folder / name
    place, commit = checkpoint.place_of(name)
    found = try_to_load_from_cache(place, name, revision=commit)
    return Path(found) if isinstance(found, str) else None


def missing_bytes(checkpoint: Checkpoint, files: Sequence[str]) -> int:
    """Return the bytes of the files that are not on this computer yet."""
    absent = [name for name in files if on_disk(checkpoint, name) is None]
    return checkpoint.repository.bytes_of(absent)


def fetch(checkpoint: Checkpoint, files: Sequence[str]) -> Fetched:
    """Return a folder with files of a checkpoint, downloading missing ones; raises CheckpointError.

    Each file has the content that the Hub announces, whoever downloaded it. Interrupted downloads are resumed.
    """
    if checkpoint.held is not None:
        return Fetched(checkpoint.held.folder)
    if checkpoint.folder is not None:
        return Fetched(checkpoint.folder)
    absent = [name for name in files if on_disk(checkpoint, name) is None]
    for place in {checkpoint.place_of(name)[0] for name in absent}:
        sweep_parts(place)
    repository = checkpoint.repository

    def one(name: str) -> Path:
        size, (place, commit) = repository.sizes.get(name), checkpoint.place_of(name)
        try:
            return patiently(lambda: sound_file(place, name, commit, repository.hashes, size))
        except Exception as error:  # noqa: BLE001  # each kind becomes the failure of this checkpoint
            raise checkpoint_failure(place, error, commit) from None

    there = map_at_once(one, files, AT_ONCE)
    downloaded = [path for path, name in zip(there, files, strict=True) if name in absent]
    return Fetched(there[0].parents[files[0].count("/")], downloaded)
