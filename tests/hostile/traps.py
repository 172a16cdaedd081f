"""Traps that must stay untouched: a secret file, a server outside the Hub, a private repository, and a marker."""

from __future__ import annotations

import io
import shutil
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

from tests.hub.server import LocalHub

SECRET = b"this must never be read by anyone"
PRIVATE = "owner/private-data"


@dataclass
class Traps:
    """Traps in a folder and on a Hub, during a `with` block; `asked` holds the requests to the server outside."""

    folder: Path
    hub: LocalHub
    asked: list[str] = field(default_factory=list)

    def __enter__(self) -> Traps:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.secret.write_bytes(secret_picture())
        rows = b"text,label\n" + b"".join(b"%s,%d\n" % (SECRET, row % 2) for row in range(20))
        self.secret.with_suffix(".csv").write_bytes(rows)
        self.hub.add(PRIVATE, {"x.png": secret_picture(), "x.csv": rows}, kind="dataset")
        self.hub.add("owner/private-model", {"model.safetensors": SECRET, "x.bin": SECRET})
        traps = self

        class Outside(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                traps.asked.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(rows if self.path.endswith("csv") else secret_picture())

            do_HEAD = do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Outside)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def secret(self) -> Path:
        """A local picture, with a table of the same name beside it."""
        return self.folder / "secret.png"

    @property
    def marker(self) -> Path:
        """The path that hostile code creates."""
        return self.folder / "marker"

    @property
    def address(self) -> str:
        """The URL of the server outside the Hub."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def named(self, text: str) -> str:
        """Return a text with the names of traps, such as `{secret}`, replaced by their places."""
        commit = self.hub.repository(PRIVATE, "dataset").head.name if "{commit}" in text else ""
        places = {"secret.csv": self.secret.with_suffix(".csv"), "secret": self.secret, "address": self.address}
        for name, place in {**places, "folder": self.folder, "marker": self.marker, "commit": commit}.items():
            text = text.replace(f"{{{name}}}", str(place))
        return text

    def sprung(self, *places: Path, said: str = "") -> str:
        """Return which trap was touched since the last call, "" for none; the secret is searched in some folders."""
        found = ""
        if self.asked:
            found = f"asked {self.asked[0]} outside the Hub"
        elif self.marker.exists():
            found = "ran code"
        elif asked := self.hub.asked("private-(data|model)"):
            found = f"asked for another's {asked[0].path}"
        elif SECRET.decode() in said or any(map(_holds_secret, places)):
            found = "read a file that is not of the repository"
        self.asked.clear()
        self.hub.requests.clear()
        if self.marker.exists():
            shutil.rmtree(self.marker) if self.marker.is_dir() else self.marker.unlink()
        return found


def secret_picture() -> bytes:
    """Return a picture with the secret in its metadata."""
    buffer, about = io.BytesIO(), PngImagePlugin.PngInfo()
    about.add_text("secret", SECRET.decode())
    Image.fromarray(np.full((8, 8, 3), 77, np.uint8)).save(buffer, "PNG", pnginfo=about)
    return buffer.getvalue()


def _holds_secret(place: Path) -> bool:
    return any(SECRET in path.read_bytes() for path in place.rglob("*") if path.is_file() and not path.is_symlink())
