"""`[telemetry]`: the spool, and where spans are forwarded to."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from ratchet.telemetry.spool import DEFAULT_SEGMENT_BYTES, DEFAULT_SPOOL_BYTES

__all__ = ["ExportSettings", "TelemetrySettings"]


class ExportSettings(BaseModel):
    """`[telemetry.export]`: another OpenTelemetry collector that gets every span too."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint: HttpUrl  # the whole address, e.g. https://collector.example/v1/traces
    headers: dict[str, str] = Field(
        default_factory=dict[str, str]
    )  # values may be references: "env:DD_API_KEY"
    backlog_bytes: int = Field(default=1 << 30, ge=1 << 20)  # what may wait for an endpoint that is down


class TelemetrySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    spool_bytes: int = Field(default=DEFAULT_SPOOL_BYTES, ge=1 << 20)
    segment_bytes: int = Field(default=DEFAULT_SEGMENT_BYTES, ge=64 << 10)
    export: ExportSettings | None = None
