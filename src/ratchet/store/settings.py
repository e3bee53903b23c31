"""`[store]`: where things are kept when one machine is no longer enough. All optional: the default is embedded."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from ratchet.config import shaped

__all__ = ["StoreSettings"]

_RECORDS = "an address such as postgresql://user:password@host/name or sqlite:///path"
_COUNTERS = "memory, or an address such as redis://:password@host:6379/0 or valkey://host"
_SPANS = "an address such as clickhouse://user:password@host:port/name or chdb:///folder"


class StoreSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    records: Annotated[str, shaped(r"(sqlite|postgresql|postgres)://.+", _RECORDS)] | None = None
    spans: Annotated[str, shaped(r"(chdb|clickhouse|clickhouses)://.+", _SPANS)] | None = None
    # What gateways count: limits, budgets, trust. In memory for one gateway; shared ones in Redis or Valkey.
    counters: Annotated[str, shaped(r"memory|(redis|rediss|valkey|valkeys)://.+", _COUNTERS)] = "memory"
    counters_prefix: Annotated[str, shaped(r"[A-Za-z0-9._-]{1,50}", "letters, digits, '.', '_' and '-'")] = (
        "ratchet"  # of the keys there; installations that share a server need one each
    )
    # What the embedded span store may use in the studio's process.
    spans_memory_bytes: int = Field(default=1 << 30, ge=256 << 20)
