"""Asking the gateway over HTTP, as an app does: what it serves with, and one request to try a route or provider.

Requests to try something carry a key that the studio lends itself: made when it is first needed, good for less than
an hour, and kept nowhere but in this process's memory.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast

import msgspec
from pyreqwest.client import SyncClient, SyncClientBuilder
from pyreqwest.exceptions import RequestError

from ratchet.errors import Unavailable, reason_of
from ratchet.store.records.keys import GATEWAY_TOPIC, lend_key
from ratchet.studio.services import StudioServices

__all__ = ["TRY_KEY", "GatewayLine", "GatewayState", "Reply"]

TRY_KEY = "studio: try it"
_LIFETIME = 55 * 60 * 10**9
_SPARE = 5 * 60 * 10**9  # a key with less left than this is replaced
_TAKEN_OVER_WITHIN = 3.0  # seconds that are waited for a gateway to learn of what is new
_POLLED_EVERY = 1.0  # seconds within which gateways look for what is new
_TRY_SECONDS, _LOOK_SECONDS = 120, 1.0
# Of gateways that share a port, each series has its worker's number.
_GAUGE = re.compile(
    r'^(ratchet_\w+)(?:\{(?:provider="((?:[^"\\]|\\.)*)")?,?(?:worker="\d+")?\})? (-?[\d.]+)$', re.MULTILINE
)


class GatewayState(msgspec.Struct, frozen=True):
    """What the gateway says of itself. `problem` tells why it could not be asked; the rest is then empty."""

    address: str
    problem: str = ""
    revision: int = -1
    settings_refused: bool = False
    ready: Mapping[str, bool] = {}  # by provider: whether its key is set where the gateway runs


class Reply(msgspec.Struct, frozen=True):
    """What came back. `error` is "" where the model answered."""

    status: int
    trace_id: str
    text: str
    error: str
    remedy: str
    duration: int  # nanoseconds, as measured here
    input_tokens: int | None = None
    output_tokens: int | None = None
    model: str = ""


class GatewayLine:
    """One per studio process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._client: SyncClient | None = None
        self._held: tuple[str, int] | None = None  # the secret, and when it expires

    def state(self, services: StudioServices) -> GatewayState:
        """What it serves with; quick, also where it is down."""
        address = _address(services)
        try:
            response = (
                self._opened()
                .get(f"{address}/metrics")
                .timeout(timedelta(seconds=_LOOK_SECONDS))
                .build()
                .send()
            )
            text = bytes(response.bytes()).decode(errors="replace")
        except (RequestError, ValueError) as error:
            return GatewayState(address, problem=reason_of(error))
        if response.status != 200:
            return GatewayState(address, problem=f"it answers {response.status} to /metrics")
        return _state(address, text)

    def ask(self, services: StudioServices, model: str, prompt: str) -> Reply:
        """One chat completion. Raises Unavailable where no gateway answers."""
        body = msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": prompt}]})
        secret, fresh = self._key(services)
        self._wait_until_current(services, fresh=fresh)
        reply, code = self._send(_address(services), secret, body)
        if code == "invalid_api_key" and not fresh:  # somebody has revoked it, or the records were replaced
            self.forget_key()
            return self.ask(services, model, prompt)
        return reply

    def admitted(self, services: StudioServices) -> tuple[str, str]:
        """The gateway's address, and a key that it takes by now. Waits a moment where the key is new."""
        secret, fresh = self._key(services)
        self._wait_until_current(services, fresh=fresh)
        return _address(services), secret

    def forget_key(self) -> None:
        """Lend oneself another the next time: somebody has revoked this one, or the records were replaced."""
        with self._lock:
            self._held = None

    def _key(self, services: StudioServices) -> tuple[str, bool]:
        """A key with time left, and whether it was just made."""
        now = services.now()
        with self._lock:
            if self._held is not None and now + _SPARE < self._held[1]:
                return self._held[0], False
            expires = now + _LIFETIME
            secret = lend_key(
                services.records, project_id=services.project_id, name=TRY_KEY, now=now, expires=expires
            )
            self._held = secret, expires
            return secret, True

    def _wait_until_current(self, services: StudioServices, *, fresh: bool) -> None:
        """Until the gateway serves with the newest records: what is tried may just have been declared."""
        newest = services.records.revision(GATEWAY_TOPIC)
        end = time.monotonic() + _TAKEN_OVER_WITHIN
        while time.monotonic() < end:
            state = self.state(services)
            if state.problem:
                # It hides its metrics, perhaps; then there is no more than to give it the time that it may take.
                time.sleep(_POLLED_EVERY if fresh else 0)
                return
            if state.revision >= newest:
                return
            time.sleep(0.05)

    def _send(self, address: str, secret: str, body: bytes) -> tuple[Reply, str]:
        began = time.perf_counter_ns()
        try:
            response = (
                self._opened()
                .post(f"{address}/v1/chat/completions")
                .headers({"authorization": f"Bearer {secret}", "content-type": "application/json"})
                .timeout(timedelta(seconds=_TRY_SECONDS))
                .body_bytes(body)
                .build()
                .send()
            )
            content = bytes(response.bytes())
        except (RequestError, ValueError) as error:
            raise Unavailable(
                f"The gateway at {address} did not answer: {reason_of(error)}.",
                "Start it (`ratchet serve` does), or set studio.gateway_url to where it is.",
                code="gateway_unreachable",
            ) from error
        took = time.perf_counter_ns() - began
        return _reply(response.status, response.headers.get("x-ratchet-trace-id") or "", content, took)

    def _opened(self) -> SyncClient:
        with self._lock:
            if self._client is None:
                self._client = SyncClientBuilder().follow_redirects(False).no_proxy().build()
            return self._client


def _address(services: StudioServices) -> str:
    return (services.gateway_address or services.gateway_url).rstrip("/")


def _state(address: str, text: str) -> GatewayState:
    single: dict[str, list[float]] = {}
    ready: dict[str, bool] = {}
    for name, provider, value in _GAUGE.findall(text):
        if name == "ratchet_provider_ready":
            plain = provider.replace('\\"', '"').replace("\\\\", "\\")
            ready[plain] = ready.get(plain, True) and float(value) == 1
        elif not provider:
            single.setdefault(name, []).append(float(value))
    if "ratchet_records_revision" not in single:
        return GatewayState(address, problem="what answers there is no ratchet gateway of this version")
    return GatewayState(
        address=address,
        revision=int(min(single["ratchet_records_revision"])),
        settings_refused=1 in single.get("ratchet_settings_refused", ()),
        ready=ready,
    )


def _reply(status: int, trace_id: str, content: bytes, took: int) -> tuple[Reply, str]:
    """The reply, and the code of the error in it."""
    try:
        answer: Any = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        shown = content[:2000].decode(errors="replace")
        return Reply(status, trace_id, "", f"The answer is not JSON: {shown}", "", took), ""
    found = cast("dict[str, Any]", answer)
    if status >= 400 or "error" in found:
        error = found.get("error")
        told = cast("dict[str, Any]", error) if isinstance(error, dict) else {"message": str(error)}
        message = str(told.get("message") or f"The gateway answered with status {status}.")
        return Reply(status, trace_id, "", message, "", took), str(told.get("code") or "")
    usage: dict[str, Any] = found.get("usage") or {}
    return (
        Reply(
            status=status,
            trace_id=trace_id,
            text=_said(found),
            error="",
            remedy="",
            duration=took,
            input_tokens=_count(usage.get("prompt_tokens")),
            output_tokens=_count(usage.get("completion_tokens")),
            model=str(found.get("model") or ""),
        ),
        "",
    )


def _said(answer: dict[str, Any]) -> str:
    """The words of the first choice; where it has none, the choice as JSON."""
    try:
        message = answer["choices"][0]["message"]
        said = message.get("content") or message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError):
        return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()
    if isinstance(said, str) and said:
        return said
    return msgspec.json.format(msgspec.json.encode(message), indent=2).decode()


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
