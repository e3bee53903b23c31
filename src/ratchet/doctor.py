"""`ratchet doctor`: is everything that ratchet needs there and well, and what to do where it is not."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import msgspec
from pyreqwest.client import SyncClientBuilder
from pyreqwest.exceptions import RequestError

from ratchet.app.control import Control
from ratchet.app.paths import DataDir
from ratchet.app.settings import Settings, config_file
from ratchet.errors import RatchetError, reason_of
from ratchet.gateway.loading.reload import build_snapshot
from ratchet.gateway.loading.remembered import Known
from ratchet.gateway.providers import KINDS, ProviderPool, resolve_secret
from ratchet.gateway.settings import ProviderSettings
from ratchet.telemetry.spool import spool_size

__all__ = ["Finding", "examine"]

_LEAST_FREE = 1 << 30
_CLOCK_TOLERANCE = 5.0  # seconds
_RELEASED = 1_760_000_000  # an epoch second before this version existed
_CALL_TIMEOUT = timedelta(seconds=30)


class Finding(msgspec.Struct, frozen=True):
    """`state` is ok, warning or problem; `advice` is empty when it is ok."""

    topic: str
    state: str
    message: str
    advice: str = ""


Environment = Mapping[str, str]
OpenControl = Callable[[Path, DataDir], AbstractContextManager[Control]]


def examine(
    config: Path,
    data_dir: Path,
    *,
    control: OpenControl,
    call: bool,
    gateway_port: int,
    studio_port: int,
    environment: Environment = os.environ,
    now: Callable[[], float] = time.time,
) -> Iterator[Finding]:
    """Each finding as it is made. With `call`, one small real request goes to every provider, which may cost money."""
    try:
        settings = config_file(config, environment).read()
        build_snapshot(settings, Known(), ProviderPool(environment), "http://127.0.0.1:1/v1")
    except RatchetError as error:
        yield Finding("configuration", "problem", error.message, error.remedy)
        return
    where = str(config) if config.exists() else f"no {config}, defaults apply"
    yield Finding(
        "configuration", "ok", f"{where}: {len(settings.routes)} routes, {len(settings.providers)} providers"
    )
    yield from _odd_variables(environment)
    for name, provider in sorted(settings.providers.items()):
        yield _provider(name, provider, environment, call=call, now=now)
    try:
        data = DataDir.at(data_dir)
    except RatchetError as error:
        yield Finding("data directory", "problem", error.message, error.remedy)
        return
    yield from _stores(config, data, control)
    yield _disk(data, settings)
    yield _spool(data, settings)
    running = _address_of_running(data)
    yield _port("gateway port", settings.gateway.host, gateway_port, "--gateway-port", running)
    yield _port("studio port", settings.studio.host, studio_port, "--studio-port", running)
    yield _clock(now)


def _odd_variables(environment: Environment) -> Iterator[Finding]:
    """Variables that look like settings and are none: the two underscores are easily forgotten."""
    known = {"RATCHET_CONFIG", "RATCHET_DATA_DIR", "RATCHET_LOG_LEVEL"}
    for name in sorted(environment):
        if name.startswith("RATCHET_") and "__" not in name and name not in known and "_TEST_" not in name:
            yield Finding(
                "environment",
                "warning",
                f"The variable {name} has no effect.",
                "Settings are named RATCHET_<SECTION>__<KEY>, with two underscores between section and key.",
            )


def _provider(
    name: str, provider: ProviderSettings, environment: Environment, *, call: bool, now: Callable[[], float]
) -> Finding:
    topic = f"provider {name}"
    secret, missing = resolve_secret(provider.api_key, environment)
    if missing is not None:
        return Finding(
            topic, "problem", f"The variable {missing} is not set.", f"Set {missing} where the gateway runs."
        )
    if provider.kind == "simulator" and provider.base_url is None:
        return Finding(topic, "ok", "built in")
    if not call:
        return Finding(topic, "ok", "configured (not called; `ratchet doctor --call` does)")
    return _call_provider(topic, provider, secret, now)


def _call_provider(
    topic: str, provider: ProviderSettings, secret: str | None, now: Callable[[], float]
) -> Finding:
    kind = KINDS[provider.kind]
    base = kind.root(str(provider.base_url or kind.base_url).rstrip("/"))
    client = SyncClientBuilder().follow_redirects(False).timeout(_CALL_TIMEOUT).build()
    request = client.get(base + kind.models)
    for name, value in kind.defaults:
        request = request.header(name.decode(), value.decode())
    if secret is not None:
        name, _, value = kind.credential(secret).partition(": ")
        request = request.header(name, value)
    began = time.perf_counter()
    try:
        response = request.build().send()
    except RequestError as error:
        return Finding(
            topic,
            "problem",
            f"{base} can't be reached: {reason_of(error)}.",
            "Check base_url and the network.",
        )
    took = (time.perf_counter() - began) * 1000
    if response.status in (401, 402, 403):
        return Finding(
            topic,
            "problem",
            f"{base} turned the key down (status {response.status}).",
            f"Check {provider.api_key or 'api_key'} and the account's plan.",
        )
    if response.status >= 400:
        return Finding(
            topic,
            "warning",
            f"GET {base}{kind.models} answered with status {response.status}.",
            "Check base_url.",
        )
    skew = _skew(response.get_header("date"), now())
    if skew is not None and abs(skew) > _CLOCK_TOLERANCE:
        return Finding(
            topic,
            "warning",
            f"It answers, but its clock and this machine's are {abs(skew):.0f} s apart.",
            "Set this machine's clock (NTP): key expiry and traces depend on it.",
        )
    return Finding(topic, "ok", f"answers in {took:.0f} ms")


def _stores(config: Path, data: DataDir, control: OpenControl) -> Iterator[Finding]:
    try:
        with control(config, data) as api:
            health = api.health()
    except RatchetError as error:
        yield Finding("stores", "problem", error.message, error.remedy)
        return
    for part in ("records", "spans"):
        state = str(health.get(part, "unknown"))
        if state == "ok":
            yield Finding(part, "ok", "reachable and up to date")
        else:
            yield Finding(part, "problem", state, f"Check [store] {part} in ratchet.toml.")


def _disk(data: DataDir, settings: Settings) -> Finding:
    free = shutil.disk_usage(data.root).free
    wanted = max(_LEAST_FREE, settings.telemetry.spool_bytes - spool_size(data.spool))
    if free < _LEAST_FREE:
        return Finding(
            "disk", "problem", f"{_size(free)} free in {data.root}.", "Free some, or move it with --data-dir."
        )
    if free < wanted:
        return Finding(
            "disk",
            "warning",
            f"{_size(free)} free in {data.root}, less than the spool may grow to.",
            "Free some, or lower telemetry.spool_bytes.",
        )
    return Finding("disk", "ok", f"{_size(free)} free in {data.root}")


def _spool(data: DataDir, settings: Settings) -> Finding:
    size, limit = spool_size(data.spool), settings.telemetry.spool_bytes
    message = f"{_size(size)} on disk, of at most {_size(limit)}"
    rejected = sum(1 for _ in (data.spool / "rejected").glob("*"))
    if rejected:
        return Finding(
            "spool",
            "warning",
            f"{message}; {rejected} unreadable pieces set aside in {data.spool / 'rejected'}.",
            "`ratchet serve`'s log and the studio's events say why; remove them when you have looked.",
        )
    if size > limit // 2:
        return Finding(
            "spool",
            "warning",
            message + ".",
            "The collector is behind or not running: start `ratchet studio`.",
        )
    return Finding("spool", "ok", message)


def _port(topic: str, host: str, port: int, option: str, running: str) -> Finding:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if _is_ratchet(host, port):
                return Finding(topic, "ok", f"{port} is served by ratchet{running}")
            return Finding(
                topic,
                "problem",
                f"{port} on {host} can't be used: {error.strerror}.",
                f"Choose another with {option}.",
            )
    return Finding(topic, "ok", f"{port} on {host} is free")


def _is_ratchet(host: str, port: int) -> bool:
    client = SyncClientBuilder().no_proxy().timeout(timedelta(seconds=2)).build()
    try:
        response = client.get(f"http://{host}:{port}/healthz").build().send()
        return b'"status"' in bytes(response.bytes())
    except RequestError:
        return False


def _address_of_running(data: DataDir) -> str:
    return ", which is running" if data.studio_address.exists() else ""


def _clock(now: Callable[[], float]) -> Finding:
    moment = now()
    if moment < _RELEASED:
        return Finding(
            "clock",
            "problem",
            f"This machine says it is {time.strftime('%Y-%m-%d', time.gmtime(moment))}.",
            "Set its clock (NTP): key expiry and traces depend on it.",
        )
    return Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment)))


def _skew(date: str | None, now: float) -> float | None:
    """How far this machine's clock is ahead of the moment in an HTTP Date header, in seconds."""
    try:
        return now - parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
