"""What `ratchet.toml` says of segments and trust: `[segments.NAME]`, `[trust]`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ratchet.config import shaped

__all__ = ["DEFAULT_SEGMENT", "SegmentSettings", "Span", "TrustSettings", "nanoseconds"]

DEFAULT_SEGMENT = "default"  # whoever is in no other
Span = Annotated[str, shaped(r"[1-9][0-9]{0,6}[smhdw]", "a span such as 30s, 15m, 12h, 3d or 2w")]
Words = list[Annotated[str, Field(min_length=1, max_length=300)]]
Factor = Annotated[float, Field(ge=0.001, le=1000)]
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def nanoseconds(span: str) -> int:
    """Of a `Span`."""
    return int(span[:-1]) * _UNITS[span[-1]] * 10**9


class SegmentSettings(BaseModel):
    """A group of users, and how trust grows in it. Limits may name it; they are multiplied with a number in `scale`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    users: Words = Field(default_factory=list[str])
    organisations: Words = Field(default_factory=list[str])
    keys: Words = Field(default_factory=list[str])  # by name
    plans: Words = Field(
        default_factory=list[str]
    )  # as a server's `metadata.plan` says, beside the segment's name
    starts: Literal["trusted", "untrusted"] = "trusted"
    ripens_after: Span = "3d"  # until an untrusted user is a known face
    scale: Annotated[list[Factor], Field(min_length=2, max_length=2)] = [
        0.1,
        1.0,
    ]  # what limits are multiplied with at no trust, and at full

    @model_validator(mode="after")
    def _in_order(self) -> SegmentSettings:
        if self.scale[0] > self.scale[1]:
            raise ValueError("scale is [least, most], and its first is the larger")
        return self


class TrustSettings(BaseModel):
    """`[trust]`"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    half_life: Span = "7d"  # of everything that speaks for or against a user
    accounts_per_source: int = Field(default=50, ge=0, le=9_999)  # from which on one is suspected; 0: never
    source_window: Span = "1d"  # how long an account counts for its source
    solved_for: Span = "10m"  # how long a browser needs no other challenge than the one it has solved
