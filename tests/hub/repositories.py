"""Repositories as plain folders with a history: every state that was seen once stays readable by its commit."""

import hashlib
import shutil
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

Content = bytes | str
Files = Path | str | Mapping[str, Content]

KINDS = ("models", "datasets", "spaces")
LARGE_ENDINGS = (
    *(".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".onnx", ".msgpack", ".gguf", ".pkl", ".npy", ".npz"),
    *(".parquet", ".arrow", ".zip", ".tar", ".gz", ".tgz", ".xz", ".zst", ".7z", ".model", ".joblib", ".tflite"),
)
MEDIA_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".tiff", ".wav", ".flac", ".mp3", ".ogg", ".mp4")
LARGE_BYTES = 10 * 2**20


@dataclass(frozen=True)
class StoredFile:
    path: str
    size: int
    sha256: str
    blob: str  # its git hash; for a large file, that of its LFS pointer
    large: bool  # whether it is kept by LFS
    content: Path  # the path of its content

    @property
    def etag(self) -> str:
        """The entity tag that downloads are cached by."""
        return self.sha256 if self.large else self.blob


@dataclass(frozen=True)
class Commit:
    """A state of a repository."""

    name: str
    parent: str | None
    title: str
    description: str
    author: str
    date: datetime
    files: Mapping[str, StoredFile]


@dataclass
class Discussion:
    number: int
    title: str
    author: str
    date: datetime
    description: str = ""
    status: str = "open"


@dataclass
class Repository:
    """A folder as branch main, with its metadata."""

    kind: str  # one of KINDS
    name: str
    folder: Path  # the files of branch main; changing them makes a commit
    objects: Path  # the folder of contents by their sha256
    gated: bool | str = False  # False, "auto" or "manual"; only `readers` and the owner may read its files then
    private: bool = False  # whether only `readers` and the owner see it
    disabled: bool = False
    readers: set[str] = field(default_factory=set)
    downloads: int = 0
    likes: int = 0
    trending: float = 0
    tags: tuple[str, ...] = ()
    pipeline_tag: str | None = None
    library: str | None = None
    license: str | None = None
    parameters: int | None = None
    created: datetime = datetime(2024, 1, 1, tzinfo=timezone.utc)
    modified: datetime | None = None
    extra: dict[str, Any] = field(default_factory=dict)  # more properties for answers, by the Hub's own keys
    commits: dict[str, Commit] = field(default_factory=dict)
    references: dict[str, str] = field(default_factory=dict)
    discussions: list[Discussion] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _hashed: dict[tuple[str, int, int], tuple[str, str]] = field(default_factory=dict)

    @property
    def owner(self) -> str | None:
        """The owner, None for a name without a slash."""
        return self.name.split("/")[0] if "/" in self.name else None

    @property
    def head(self) -> Commit:
        """The newest commit of main; made now if the folder has changed."""
        with self.lock:
            files = self._files_now()
            known = self.commits.get(self.references.get("refs/heads/main", ""))
            if known is None or files != known.files:
                title = "initial commit" if known is None else "Files changed"
                known = self.commit("refs/heads/main", files, title=title)
            return known

    def commit(
        self,
        reference: str,
        files: Mapping[str, StoredFile],
        *,
        title: str,
        description: str = "",
        author: str = "system",
        parent: str | None = None,
    ) -> Commit:
        """Add a commit and move a reference to it; the folder stays the same."""
        parent = parent or self.references.get(reference)
        listing = "".join(f"{path} {files[path].sha256}\n" for path in sorted(files))
        name = hashlib.sha1(f"{parent} {title}\n{listing}".encode()).hexdigest()
        date = self.commits[parent].date + timedelta(hours=1) if parent else self.modified or self.created
        new = Commit(name, parent, title, description, author, date, dict(sorted(files.items())))
        self.commits[name] = new
        self.references[reference] = name
        return new

    def write_folder(self, files: Mapping[str, StoredFile]) -> None:
        """Make the folder hold exactly these files."""
        for path in self._files_now().keys() - files.keys():
            (self.folder / path).unlink()
        for path, file in files.items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.content, target)

    def find(self, revision: str) -> Commit | None:
        """Return the commit of a branch, a tag, a reference or a full hash, if there is one."""
        head = self.head
        for reference in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if reference in self.references:
                return self.commits[self.references[reference]]
        return head if revision == head.name else self.commits.get(revision)

    def history(self, commit: Commit) -> list[Commit]:
        """Return a commit and its ancestors, newest first."""
        found = [commit]
        while (parent := found[-1].parent) is not None:
            found.append(self.commits[parent])
        return found

    def store(self, path: str, content: bytes) -> StoredFile:
        """Keep a content, and return its file under a name."""
        sha256 = hashlib.sha256(content).hexdigest()
        keep_object(self.objects, sha256, content)
        return self.stored(path, sha256, blob_of(content))

    def stored(self, path: str, sha256: str, blob: str | None = None) -> StoredFile:
        """Return the file of a kept content under a name."""
        content = self.objects / sha256
        size = content.stat().st_size
        large = self.is_large(path, size)
        if large:
            blob = blob_of(pointer_of(sha256, size))
        return StoredFile(path, size, sha256, blob or blob_of(content.read_bytes()), large, content)

    def is_large(self, path: str, size: int) -> bool:
        endings = LARGE_ENDINGS + (MEDIA_ENDINGS if self.kind == "datasets" else ())
        return size > 0 and (path.lower().endswith(endings) or size > LARGE_BYTES)

    def _files_now(self) -> dict[str, StoredFile]:
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file() and ".cache" not in path.parts)
        return {path.relative_to(self.folder).as_posix(): self._file_now(path) for path in paths}

    def _file_now(self, path: Path) -> StoredFile:
        state = path.stat()
        name = path.relative_to(self.folder).as_posix()
        key = (name, state.st_mtime_ns, state.st_size)
        if key not in self._hashed:
            file = self.store(name, path.read_bytes())
            self._hashed[key] = (file.sha256, file.blob)
        return self.stored(name, *self._hashed[key])


def keep_object(objects: Path, sha256: str, content: bytes) -> None:
    """Keep a content for all repositories, atomically."""
    if not (objects / sha256).exists():
        objects.mkdir(parents=True, exist_ok=True)
        part = objects / f"{sha256}.{threading.get_ident()}"
        part.write_bytes(content)
        part.replace(objects / sha256)


def blob_of(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def pointer_of(sha256: str, size: int) -> bytes:
    """Return the LFS pointer of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def write_files(folder: Path, files: Files) -> None:
    """Copy a folder, or write contents by name, into a folder."""
    if isinstance(files, Mapping):
        for name, content in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.encode() if isinstance(content, str) else content)
    else:
        shutil.copytree(files, folder, dirs_exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
