"""Building the exporter that `[telemetry.export]` asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ratchet.app.paths import DataDir
from ratchet.domain.spans import Event
from ratchet.errors import Misconfigured
from ratchet.gateway.providers import resolve_secret
from ratchet.telemetry.export import OtlpExporter, http_poster
from ratchet.telemetry.settings import TelemetrySettings

__all__ = ["exporter_of"]


def exporter_of(
    settings: TelemetrySettings,
    data: DataDir,
    environment: Mapping[str, str],
    *,
    now: Callable[[], int],
    report: Callable[[Event], None],
) -> OtlpExporter | None:
    """None where nothing is to be forwarded. Raises Misconfigured for a header whose variable is not set."""
    if settings.export is None:
        return None
    if settings.export.backlog_bytes * 2 > settings.spool_bytes:
        raise Misconfigured(
            f"telemetry.export.backlog_bytes is {settings.export.backlog_bytes:,}, more than half of "
            f"telemetry.spool_bytes ({settings.spool_bytes:,}).",
            "What waits for the endpoint counts against the spool: lower the one or raise the other.",
        )
    headers: dict[str, str] = {}
    for name, value in settings.export.headers.items():
        if not value.startswith("env:"):
            headers[name] = value
            continue
        secret, missing = resolve_secret(value, environment)
        if secret is None:
            raise Misconfigured(
                f"telemetry.export.headers.{name} refers to the variable {missing}, which is not set.",
                f"Set {missing} in the studio's environment.",
            )
        headers[name] = secret
    return OtlpExporter(
        data.spool,
        data.export_state,
        endpoint=str(settings.export.endpoint),
        headers=headers,
        post=http_poster(),
        now=now,
        report=report,
        backlog_bytes=settings.export.backlog_bytes,
    )
