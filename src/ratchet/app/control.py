"""Asking a running studio over HTTP: what the command line does whenever there is one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Protocol, cast
from urllib.parse import urlencode

from pyreqwest.client import SyncClientBuilder
from pyreqwest.exceptions import ConnectError, RequestError

from ratchet.app.paths import DataDir
from ratchet.errors import RatchetError, Unavailable, reason_of

__all__ = ["PATIENCE", "Control", "OverHttp", "answer_of", "query_string", "running_studio"]

PATIENCE = 60.0  # seconds


class Control(Protocol):
    """Asks the control API. Raises RatchetError with what it answers when it refuses."""

    @property
    def address(self) -> str:
        """Where a browser reaches it; "" in this process."""
        ...

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        patience: float = PATIENCE,
    ) -> Any:
        """The decoded answer. `patience` is how many seconds a studio over HTTP has for it."""
        ...

    def health(self) -> dict[str, Any]:
        """What `/healthz` says, well or not."""
        ...


class OverHttp:
    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._client = (
            SyncClientBuilder()
            .default_headers({"authorization": f"Bearer {token}"})
            .follow_redirects(False)
            .no_proxy()
            .timeout(timedelta(seconds=PATIENCE))
            .build()
        )

    @property
    def address(self) -> str:
        return self._url

    def healthy(self) -> bool:
        try:
            self._client.get(f"{self._url}/healthz").timeout(timedelta(seconds=5)).build().send()
        except ConnectError:
            return False
        except RequestError:
            return True  # there, and busy
        return True

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        patience: float = PATIENCE,
    ) -> Any:
        request = self._client.request(method, self._url + _with_query(path, query))
        request = request.timeout(timedelta(seconds=patience))
        if body is not None:
            request = request.header("content-type", "application/json").body_bytes(json.dumps(body).encode())
        try:
            response = request.build().send()
        except RequestError as error:
            raise Unavailable(
                f"The studio at {self._url} did not answer: {reason_of(error)}.",
                "Look at its log, or stop it and try again.",
            ) from error
        return answer_of(response.status, bytes(response.bytes()))

    def health(self) -> dict[str, Any]:
        response = self._client.get(f"{self._url}/healthz").build().send()
        return json.loads(bytes(response.bytes()))


def running_studio(data: DataDir) -> OverHttp | None:
    try:
        known = json.loads(data.studio_address.read_text(encoding="utf-8"))
        studio = OverHttp(known["url"], known["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return studio if studio.healthy() else None


def query_string(query: Mapping[str, Any] | None) -> str:
    return urlencode({name: value for name, value in (query or {}).items() if value not in (None, "")})


def _with_query(path: str, query: Mapping[str, Any] | None) -> str:
    encoded = query_string(query)
    return f"{path}?{encoded}" if encoded else path


def answer_of(status: int, content: bytes) -> Any:
    """The decoded body. Raises the error it carries, with the same words."""
    decoded = json.loads(content) if content else None
    if status < 400:
        return decoded
    error: dict[str, Any] = {}
    if isinstance(decoded, dict):
        error = cast("dict[str, Any]", decoded).get("error") or {}
    raise RatchetError(
        str(error.get("message") or f"The studio answered with status {status}."),
        str(error.get("remedy") or ""),
        code=str(error.get("code") or "error"),
    )
