"""The title, description and picture that a chat or a search engine shows for the page."""

from __future__ import annotations

import os
import re
from typing import Any

from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hf_transfer_score.text import TEMPLATES

TITLE = "Transferability leaderboard"
QUESTION = "Which checkpoint should I fine-tune?"
ABOUT = (
    "Choose the dataset most like yours. Its board shows how well pretrained checkpoints should do on it after "
    "fine-tuning, how certain that is, and why."
)
PICTURE = "board.png"
"""A picture of the page; `python benchmarks/look.py --picture` takes it."""

OTHERS = re.compile(rb"<meta\s[^>]*(?:og|twitter):[^>]*>\s*")
"""The tags that gradio puts into every app, before those of the app itself."""


def sharing_head() -> str:
    """Return the tags; a picture needs a full address, which is known only on a Space."""
    host = os.environ.get("SPACE_HOST", "")
    told = {"og:type": "website", "og:title": f"{QUESTION} {TITLE}", "og:description": ABOUT}
    if re.fullmatch(r"[\w.-]+", host, re.ASCII):
        told |= {"og:url": f"https://{host}/", "og:image": f"https://{host}/{PICTURE}"}
    lines = [f'<meta property="{name}" content="{text}">' for name, text in told.items()]
    lines += [
        f'<meta name="description" content="{ABOUT}">',
        '<meta name="twitter:card" content="summary_large_image">',
    ]
    return "\n".join(lines)


class SharedPage:
    """Middleware that serves the picture and replaces gradio's tags by ours."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = scope.get("path") if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") else None
        if path == f"/{PICTURE}":
            await FileResponse(TEMPLATES / PICTURE, media_type="image/png")(scope, receive, send)
        elif path == "/" and scope["method"] == "GET":
            plain = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
            await self._with_tags({**scope, "headers": plain}, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _with_tags(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: dict[str, Any] = {}
        parts: list[bytes] = []

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self.app(scope, receive, keep)
        body = OTHERS.sub(b"", b"".join(parts)).replace(b"<head>", b"<head>\n" + sharing_head().encode(), 1)
        answer = Response(body, status_code=start["status"])
        kept = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
        answer.raw_headers = [*kept, (b"content-length", str(len(body)).encode())]
        await answer(scope, receive, send)
