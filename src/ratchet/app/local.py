"""Asking the control plane without a running studio: the same application, called in this process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from ratchet.app.control import PATIENCE, Control, answer_of, query_string
from ratchet.app.paths import DataDir
from ratchet.app.studio import OpenStudio, open_studio

__all__ = ["InProcess", "local_control"]


@contextlib.contextmanager
def local_control(config: Path, data: DataDir, *, drain: bool) -> Generator[Control]:
    """The stores, opened here under their lock.

    `drain` first brings what the spool holds into the store, as a running studio does all the time.
    """
    with open_studio(config, data) as studio:
        if drain:
            while studio.collector.drain_once():
                continue
        yield InProcess(studio)


class InProcess:
    """Calls the studio's application directly: the same code as over HTTP, with no port."""

    def __init__(self, studio: OpenStudio) -> None:
        self._studio = studio

    @property
    def address(self) -> str:
        return ""

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        patience: float = PATIENCE,  # noqa: ARG002 - it is done when it is done
    ) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        return answer_of(*asyncio.run(self._call(method, path, query, content)))

    def health(self) -> dict[str, Any]:
        return json.loads(asyncio.run(self._call("GET", "/healthz", None, b""))[1])

    async def _call(
        self, method: str, path: str, query: Mapping[str, Any] | None, content: bytes
    ) -> tuple[int, bytes]:
        status = 0
        parts: list[bytes] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))

        headers = [
            (b"host", b"localhost"),
            (b"authorization", f"Bearer {self._studio.local_token}".encode()),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
        ]
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query_string(query).encode(),
            "headers": headers,
            "client": ("127.0.0.1", 0),
            "server": ("localhost", 80),
            "state": {},
        }
        await self._studio.app(scope, receive, send)
        return status, b"".join(parts)
