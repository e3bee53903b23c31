"""What `ratchet.toml` says to the gateway: `[providers.NAME]`, `[routes.NAME]`, `[gateway]`."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from ratchet.addresses import is_range_or_name
from ratchet.config import Address, SecretReference, shaped

__all__ = [
    "CacheSettings",
    "GatewaySettings",
    "Name",
    "NetworkText",
    "ProviderSettings",
    "RouteSettings",
    "TargetName",
    "TargetSettings",
]

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
Name = Annotated[
    str, shaped(_NAME, "a name of letters, digits, '.', '_' and '-', beginning with a letter or a digit")
]
TargetName = Annotated[str, shaped(rf"{_NAME}/.{{1,300}}", "provider/model, such as openai/gpt-4o-mini")]


def _private_place(text: object) -> str:
    if not isinstance(text, str) or not is_range_or_name(text):
        raise ValueError("expected a network such as 10.0.0.0/8, an address, or a host's name")
    return text


def _network(text: object) -> str:
    try:
        ip_network(str(text) if isinstance(text, str) else "", strict=False)
    except ValueError:
        raise ValueError("expected an address or a network such as 10.0.0.0/8") from None
    return str(text)


NetworkText = Annotated[str, BeforeValidator(_network)]


class ProviderSettings(BaseModel):
    """An upstream account."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["openai", "anthropic", "gemini", "azure", "simulator"]
    base_url: Address | None = None
    api_key: SecretReference | None = None
    api_keys: list[SecretReference] = Field(
        default_factory=list[str], max_length=32
    )  # more of them, used in turn
    connect_timeout: float = Field(default=5.0, gt=0, le=600)  # seconds
    timeout: float = Field(default=600.0, gt=0, le=86_400)  # seconds, for the whole answer
    drop_fields: list[str] = Field(default_factory=list)  # top-level request fields this provider turns down
    ask_stream_usage: bool = False  # ask for token counts on streams whose app did not
    api_version: Annotated[str, shaped(r"[A-Za-z0-9.-]{1,40}", "a version such as 2024-10-21")] | None = (
        None  # azure
    )
    max_concurrency: int | None = Field(default=None, ge=1, le=100_000)  # requests under way at once
    queue: int = Field(default=100, ge=0, le=100_000)  # how many may wait for a place among them
    probe: Annotated[str, Field(min_length=1, max_length=300)] | None = (
        None  # the model that is asked to see how it is
    )
    probe_interval: float = Field(default=300.0, ge=1, le=86_400)  # seconds
    responses: bool | None = (
        None  # whether it serves /responses itself; None: OpenAI and Azure do, look-alikes don't
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> ProviderSettings:
        if self.kind == "azure" and self.base_url is None:
            raise ValueError(
                "an azure provider needs base_url, the resource's address: https://NAME.openai.azure.com"
            )
        if self.api_keys and self.api_key is None:
            raise ValueError("api_keys needs api_key: that is the first of them")
        if self.api_version is not None and self.kind != "azure":
            raise ValueError("api_version is for the kind azure only")
        if "queue" in self.model_fields_set and self.max_concurrency is None:
            raise ValueError("queue needs max_concurrency: without it no request waits")
        if self.responses is not None and self.kind not in ("openai", "azure"):
            raise ValueError("responses is for the kinds openai and azure only")
        return self


class CacheSettings(BaseModel):
    """Which answers of a route are given again. Asking for it says that the same request may get the same answer, also
    where the model would choose its words anew (a temperature above 0)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ttl: Annotated[str, shaped(r"[1-9][0-9]{0,6}[smhd]", "a span such as 30s, 15m, 1h or 7d")] = "1h"
    # Whether answers stay with the user they were given to: where they hold personal data, never, always.
    personal: Literal["auto", "never", "always"] = "auto"
    # Whether an answer to nearly the same question may be given too, and how many of those may be wrong.
    semantic: bool = False
    max_error: float = Field(default=0.02, ge=0.001, le=0.5)
    judge: str | None = None  # the route, or provider/model, that compares answers
    judge_strict: float = Field(default=0.0, ge=0, lt=0.5)  # the share of right answers that it calls wrong
    judge_lax: float = Field(default=0.0, ge=0, lt=0.5)  # the share of wrong answers that it calls right

    @model_validator(mode="after")
    def _is_judged(self) -> CacheSettings:
        if self.semantic and not self.judge:
            raise ValueError("semantic needs judge, the route that compares answers")
        return self

    @property
    def ttl_seconds(self) -> int:
        return int(self.ttl[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[self.ttl[-1]]


class TargetSettings(BaseModel):
    """`[routes.NAME.options."provider/model"]`: what a route says of one of its targets. Times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weight: float = Field(default=1.0, ge=0, le=1e6)
    connect_timeout: float | None = Field(default=None, gt=0, le=600)
    first_token_timeout: float | None = Field(default=None, gt=0, le=86_400)
    stall_timeout: float | None = Field(default=None, gt=0, le=86_400)
    timeout: float | None = Field(default=None, gt=0, le=86_400)
    context_window: int | None = Field(default=None, gt=0)  # tokens; by default what the catalogue knows


class RouteSettings(BaseModel):
    """The model name an app asks for, and what answers. Times are seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    targets: list[TargetName] = Field(min_length=1, max_length=16)
    choose: Literal["ordered", "weighted", "fastest", "cheapest"] = "ordered"
    sticky: bool = False  # a session stays with the target that its name draws
    max_attempts: int = Field(default=4, ge=1, le=20)
    timeout: float = Field(default=600.0, gt=0, le=86_400)  # for all attempts together
    connect_timeout: float | None = Field(default=None, gt=0, le=600)  # by default the provider's
    first_token_timeout: float | None = Field(default=None, gt=0, le=86_400)
    stall_timeout: float | None = Field(default=120.0, gt=0, le=86_400)  # between two pieces of a stream
    hedge: bool = False  # ask a second target when the first is slower than 19 of its last 20 answers
    commit: Literal["first_token", "whole"] | Annotated[int, Field(ge=1, le=10_000)] = "first_token"
    around_refusals: bool = False  # ask the next target where one refuses for what was said
    priority: Literal["high", "normal", "low"] = "normal"  # where a provider's queue is
    one_at_a_time: bool = False  # each user's requests after one another
    options: dict[TargetName, TargetSettings] = Field(default_factory=dict[str, TargetSettings])
    cache: CacheSettings | None = None  # None: every request is asked upstream

    @model_validator(mode="after")
    def _agrees(self) -> RouteSettings:
        if len(set(self.targets)) < len(self.targets):
            raise ValueError("targets names one of them twice")
        unknown = sorted(self.options.keys() - set(self.targets))
        if unknown:
            raise ValueError(f"options names {unknown[0]!r}, which is not among its targets")
        if self.sticky and self.choose == "ordered":
            raise ValueError(
                "sticky needs choose to be weighted, fastest or cheapest: an order is the same for all"
            )
        return self


class GatewaySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    max_body_bytes: int = Field(default=20 << 20, ge=1024, le=1 << 30)
    max_answer_bytes: int = Field(default=256 << 20, ge=1 << 20, le=1 << 32)
    drain_timeout: float = Field(default=30.0, ge=0, le=3600)  # seconds that running requests get at shutdown
    allow_private: list[Annotated[str, BeforeValidator(_private_place)]] = Field(
        default_factory=list[str]
    )  # private addresses that what members declare may reach; the file's own providers may anyway
    trusted_proxies: list[NetworkText] = Field(
        default_factory=list[str]
    )  # addresses or networks of our own, whose `x-forwarded-for` is believed of publishable keys' requests
    cache_bytes: int = Field(default=256 << 20, ge=0, le=1 << 40)  # of kept answers, in each gateway process
    keep_alive: float = Field(
        default=15.0, ge=0.05, le=3600
    )  # seconds of silence on a stream before a comment is sent
    # While store.counters can't be reached: requests that a limit or a budget applies to get 503, or pass uncounted.
    counters_down: Literal["refuse", "allow"] = "refuse"
    keep_content: bool = True  # False: messages are never written anywhere, only counts and times
