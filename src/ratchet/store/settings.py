"""`[store]`: where things are kept when one machine is no longer enough. All optional: the default is embedded."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["StoreSettings"]


class StoreSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    records: Annotated[str, StringConstraints(pattern=r"^(sqlite|postgresql|postgres)://.+")] | None = None
    spans: Annotated[str, StringConstraints(pattern=r"^(chdb|clickhouse|clickhouses)://.+")] | None = None
    # What the embedded span store may use in the studio's process.
    spans_memory_bytes: int = Field(default=1 << 30, ge=256 << 20)
