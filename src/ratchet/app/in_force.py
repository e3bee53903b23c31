"""What the studio is told of the settings: their values without secrets, where each comes from, where things are kept."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel

import ratchet
from ratchet.app.paths import DataDir
from ratchet.app.settings import Settings, SettingsFile, records_url, spans_dsn
from ratchet.app.taking_over import leaves, waiting
from ratchet.config import without_password
from ratchet.errors import Misconfigured
from ratchet.studio.in_force import InForce, Installation, Setting, Stored

__all__ = ["CurrentSettings", "GatewayPlace", "installation"]

_ANY_HOST = ("0.0.0.0", "::", "localhost", "")  # noqa: S104 - compared with, not bound to


@dataclasses.dataclass(frozen=True, slots=True)
class GatewayPlace:
    """Where the gateway is: told by `url`, or by the `port` of one that was started beside this studio."""

    url: str = ""
    port: int = 0

    def asked(self, settings: Settings) -> str:
        """Where this process reaches it."""
        if self.url or not self.port:
            return self.url or _told(settings) or "http://127.0.0.1:8080"
        host = settings.gateway.host
        if host in _ANY_HOST:
            host = "127.0.0.1"
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def shown(self, settings: Settings) -> str:
        """Where apps reach it."""
        return self.url or _told(settings) or self.asked(settings)


def _told(settings: Settings) -> str:
    return str(settings.studio.gateway_url or "").rstrip("/")


class CurrentSettings:
    """The last good settings of a file that may change at any time. Thread-safe."""

    def __init__(self, source: SettingsFile, settings: Settings) -> None:
        self._source = source
        self._started_with = settings
        self._settings = settings
        self._problem: Misconfigured | None = None
        self._lock = threading.Lock()

    def newest(self) -> Settings:
        """The last good settings, as `in_force` saw them last."""
        return self._settings

    def in_force(self) -> InForce:
        """As of now: the file is looked at again."""
        with self._lock:
            if self._source.changed():
                try:
                    self._settings = self._source.read()
                    self._problem = None
                except (
                    Misconfigured
                ) as error:  # the page says it, and the gateway's log; the last good one stays
                    self._problem = error
            return InForce(
                file=self._settings,
                path=str(self._source.path.resolve()),
                exists=self._source.path.exists(),
                problem=self._problem,
                settings=tuple(_settings(self._settings, self._started_with, self._source.sources())),
                variables=frozenset(name for name, value in os.environ.items() if value.strip()),
            )


def _settings(now: Settings, started_with: Settings, sources: Mapping[str, str]) -> Iterator[Setting]:
    late = waiting(now, started_with)
    for key, value in leaves(now):
        source = _source_of(key, sources)
        yield Setting(
            key=key,
            value=_shown(key, value),
            source={None: "default", "": "file"}.get(source, source or ""),
            waits=key in late,
        )


def _source_of(key: str, sources: Mapping[str, str]) -> str | None:
    """The source of a key, or of what is said below it; None for the default."""
    if key in sources:
        return sources[key]
    return next((source for name, source in sources.items() if name.startswith(f"{key}.")), None)


def _shown(key: str, value: Any) -> str:
    """A value as a person reads it, and no secret."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, BaseModel):
        parts = value.model_dump(mode="json", exclude_none=True)
        return ", ".join(f"{name} {part}" for name, part in parts.items())
    if isinstance(value, Mapping):
        return ", ".join(_headers(value)) if key.endswith("headers") else str(dict(value))  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, int):
        return f"{value:,}" if key.endswith("bytes") else str(value)
    text = without_password(str(value))
    # What stands in an address's query may be a token.
    return text.split("?", 1)[0] + "?…" if "://" in text and urlsplit(text).query else text


def _headers(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        yield f"{name}: {value if value.startswith('env:') else '…'}"


def installation(settings: Settings, data: DataDir) -> Installation:
    """Where everything is kept and how large it is there, as far as this machine's disk says."""
    records, spans = records_url(settings, data), spans_dsn(settings, data)
    stored = (
        Stored(
            "records",
            without_password(records),
            _size(records.removeprefix("sqlite:///"), "sqlite:", records),
        ),
        Stored("spans", without_password(spans), _size(spans.removeprefix("chdb://"), "chdb:", spans)),
        Stored("spool", str(data.spool), _folder_size(data.spool)),
    )
    versions = [("ratchet", ratchet.__version__), ("Python", platform.python_version())]
    versions.append(("SQLite", sqlite3.sqlite_version))
    for package in ("chdb", "clickhouse-connect", "psycopg"):
        with contextlib.suppress(PackageNotFoundError):
            versions.append((package, version(package)))
    return Installation(data_dir=str(data.root), stored=stored, versions=tuple(versions))


def _size(path: str, scheme: str, address: str) -> int | None:
    if not address.startswith(scheme):
        return None
    here = Path(path)
    return (
        _folder_size(here)
        if here.is_dir()
        else sum(found.stat().st_size for found in here.parent.glob(f"{here.name}*") if found.is_file())
    )


def _folder_size(folder: Path) -> int:
    """Bytes of the files below it. Files may go while it is counted."""
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(root) / name).lstat().st_size
    return total
