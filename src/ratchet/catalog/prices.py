"""What a model call costs, exactly.

Prices come from the genai-prices package and from `[prices]` in ratchet.toml, which wins. A model's price is
looked up once and kept, because a look-up takes longer than everything else on a request's path together.
Sums are decimals; a price that is not known makes the cost None, never zero.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import ModelInfo, TieredPrices
from pydantic import BaseModel, ConfigDict, Field

from ratchet.domain.usage import Usage

__all__ = ["MILLION", "PriceBook", "PriceSettings", "Rate", "Rates", "vendor_of"]

MILLION = Decimal(1_000_000)
_KEPT = 4096  # callers choose model names, so what is remembered about them is bounded


class PriceSettings(BaseModel):
    """`[prices."provider/model"]`: US dollars per million tokens; a class left out is billed as its total's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: Decimal = Field(ge=0)
    output: Decimal = Field(ge=0)
    cached: Decimal | None = Field(default=None, ge=0)
    cache_write: Decimal | None = Field(default=None, ge=0)
    cache_write_1h: Decimal | None = Field(default=None, ge=0)  # kept for an hour; else as any cache write
    reasoning: Decimal | None = Field(default=None, ge=0)
    audio_input: Decimal | None = Field(default=None, ge=0)
    audio_output: Decimal | None = Field(default=None, ge=0)
    request: Decimal = Field(default=Decimal(0), ge=0)  # dollars for each call, whatever its length


class Rate(msgspec.Struct, frozen=True):
    """Dollars per million tokens; a step up applies to all tokens once the input is longer than its start."""

    base: Decimal
    steps: tuple[tuple[int, Decimal], ...] = ()  # (start, rate), longest first

    def at(self, input_tokens: int) -> Decimal:
        for start, rate in self.steps:
            if input_tokens > start:
                return rate
        return self.base


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """One model's prices at one moment. None for a class: it is billed as the total it is part of."""

    input: Rate | None
    output: Rate | None
    cached: Rate | None = None
    cache_write: Rate | None = None
    cache_write_1h: Rate | None = None
    reasoning: Rate | None = None
    audio_input: Rate | None = None
    audio_output: Rate | None = None
    request: Decimal = Decimal(0)

    def cost(self, usage: Usage) -> Decimal | None:
        """US dollars, exact; None where a count or a rate that is needed is missing."""
        tokens = usage.input or 0
        hour = min(usage.cache_write_1h or 0, usage.cache_write or 0)
        total = self.request
        for count, rate, parts in (
            (
                usage.input,
                self.input,
                (
                    (usage.cached, self.cached),
                    ((usage.cache_write or 0) - hour, self.cache_write),
                    (hour, self.cache_write_1h or self.cache_write),
                    (usage.audio_input, self.audio_input),
                ),
            ),
            (
                usage.output,
                self.output,
                ((usage.reasoning, self.reasoning), (usage.audio_output, self.audio_output)),
            ),
        ):
            if count is None or (rate is None and count):
                return None
            rest = count
            for part, part_rate in parts:
                if part and part_rate is not None:
                    # A provider whose parts exceed the total must not make the rest negative.
                    part = min(part, rest)  # noqa: PLW2901
                    rest -= part
                    total += part * part_rate.at(tokens) / MILLION
            if rest and rate is not None:
                total += rest * rate.at(tokens) / MILLION
        return total


class ModelPrice:
    """A model's price over time and service tiers."""

    __slots__ = ("_compiled", "_fixed", "_info")

    def __init__(self, info: ModelInfo | None, fixed: Rates | None = None) -> None:
        self._info = info
        self._fixed = fixed
        self._compiled: dict[tuple[int, str], Rates] = {}

    @property
    def context_window(self) -> int | None:
        """Tokens that the model reads, where the list says so."""
        return self._info.context_window if self._info is not None else None

    def rates(self, when: int, tier: str) -> Rates:
        """`when` in nanoseconds since the epoch; `tier` is the provider's `service_tier`, "" for the standard one."""
        if self._fixed is not None:
            return self._fixed
        hour = when // 3_600_000_000_000  # prices change by date or by time of day, never within the hour
        rates = self._compiled.get((hour, tier))
        if rates is None:
            if len(self._compiled) > 48:
                self._compiled.clear()
            rates = self._compiled[hour, tier] = self._compile(when, tier)
        return rates

    def _compile(self, when: int, tier: str) -> Rates:
        assert self._info is not None  # noqa: S101 - one of the two is always given
        moment = datetime.fromtimestamp(when / 1e9, tz=UTC)
        prices = self._info.get_prices(moment, {"service_tier": tier} if tier else None)

        def rate(name: str) -> Rate | None:
            return _rate(getattr(prices, name))

        per_thousand = prices.requests_kcount
        return Rates(
            input=rate("input_mtok"),
            output=rate("output_mtok"),
            cached=rate("cache_read_mtok"),
            cache_write=rate("cache_write_mtok"),
            cache_write_1h=rate("cache_write_1h_mtok"),
            reasoning=rate("output_reasoning_mtok"),
            audio_input=rate("input_audio_mtok"),
            audio_output=rate("output_audio_mtok"),
            request=per_thousand / 1000 if isinstance(per_thousand, Decimal) else Decimal(0),
        )


class PriceBook:
    """Every price there is, compiled as models are first used."""

    def __init__(self, overrides: Mapping[str, PriceSettings] | None = None) -> None:
        """`overrides` by `provider/model`, the provider being the name it has in ratchet.toml."""
        self._snapshot = get_snapshot()
        self._overrides = {name: ModelPrice(None, _fixed(price)) for name, price in (overrides or {}).items()}
        self._known: dict[tuple[str, str], ModelPrice | None] = {}

    def price_of(self, vendor: str, model: str) -> ModelPrice | None:
        """The published price of `model` in the list of `vendor` (see `vendor_of`); "" for any."""
        key = (vendor, model)
        try:
            return self._known[key]
        except KeyError:
            pass
        price = _published(self._snapshot, vendor, model)
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[key] = price
        return price

    def price(self, provider: str, model: str, *, vendor: str = "") -> ModelPrice | None:
        """The price of `provider/model`: that of ratchet.toml, else the published one; None where neither is known."""
        return self._overrides.get(f"{provider}/{model}") or self.price_of(vendor, model)

    def cost(
        self,
        provider: str,
        models: tuple[str, ...],
        usage: Usage,
        when: int,
        *,
        vendor: str = "",
        tier: str = "",
    ) -> Decimal | None:
        """What a call cost, by the first of `models` whose price is known. None when none is, or tokens aren't.

        A price from ratchet.toml counts before any published one, whichever of the names it is for.
        """
        for model in models:
            override = self._overrides.get(f"{provider}/{model}") if self._overrides else None
            if override is not None:
                return override.rates(when, tier).cost(usage)
        for model in models:
            price = self.price_of(vendor, model) if model else None
            if price is not None:
                return price.rates(when, tier).cost(usage)
        return None

    def price_span(self, provider: str, model: str, usage: Usage, when: int) -> Decimal | None:
        """The cost of a call that somebody else made and reported: `provider` as OpenTelemetry names it."""
        vendor = _VENDORS.get(provider, provider)
        return self.cost(provider, (model,), usage, when, vendor=vendor)


# OpenTelemetry's provider names where they differ from the price list's.
_VENDORS = {
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gen_ai": "google",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "aws.bedrock": "aws",
    "mistral_ai": "mistral",
    "x_ai": "x-ai",
}


# Kinds of providers that speak a dialect of another name than their vendor's.
_KINDS = {"gemini": "google"}


def vendor_of(kind: str, base_url: str, name: str) -> str:
    """Whose price list a provider follows: told by its address, else by its name, else by its dialect.

    A simulator follows any ("").
    """
    if kind == "simulator":
        return ""
    providers = get_snapshot().providers
    for provider in providers:
        if base_url and re.match(provider.api_pattern, base_url):
            return provider.id
    if any(provider.id == name for provider in providers):
        return name
    return _KINDS.get(kind, kind)


def _published(snapshot: DataSnapshot, vendor: str, model: str) -> ModelPrice | None:
    try:
        _, info = snapshot.find_provider_model(model, None, vendor or None, None)
    except LookupError:
        if vendor:
            return None
        # Not every name tells whose model it is (embeddings don't): then whoever lists it.
        info = next((found for provider in snapshot.providers if (found := provider.find_model(model))), None)
    return None if info is None else ModelPrice(info)


def _fixed(price: PriceSettings) -> Rates:
    def rate(value: Decimal | None) -> Rate | None:
        return None if value is None else Rate(value)

    return Rates(
        input=Rate(price.input),
        output=Rate(price.output),
        cached=rate(price.cached),
        cache_write=rate(price.cache_write),
        cache_write_1h=rate(price.cache_write_1h),
        reasoning=rate(price.reasoning),
        audio_input=rate(price.audio_input),
        audio_output=rate(price.audio_output),
        request=price.request,
    )


def _rate(price: Any) -> Rate | None:
    if isinstance(price, TieredPrices):
        return Rate(price.base, tuple((tier.start, tier.price) for tier in reversed(price.tiers)))
    return Rate(price) if isinstance(price, Decimal) else None
