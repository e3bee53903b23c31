"""What each source says a model costs, side by side: the catalogue, the price list that calls are billed by, and
`[prices]` in ratchet.toml. Where they differ, all are kept and shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version

import msgspec
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo

from ratchet.catalog.models import Model
from ratchet.catalog.naming import Names
from ratchet.catalog.prices import ModelPrice, PriceSettings, Rate

__all__ = ["VENDORS", "Quote", "agree", "quotes_of"]

_HOUR = 3600 * 10**9

# Makers whose own API has a price list, by the name that the list gives them.
VENDORS = {
    "Amazon": "aws",
    "Anthropic": "anthropic",
    "Cohere": "cohere",
    "DeepSeek": "deepseek",
    "Google": "google",
    "Mistral AI": "mistral",
    "Moonshot AI": "moonshotai",
    "OpenAI": "openai",
    "Z.ai": "zai",
    "xAI": "x-ai",
}


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars per million tokens as one source has them; None is unknown. Of prices by the hour, the dearest.

    `date` is the source's own, "" where it states none. `billed` tells whether calls are billed by it here.
    """

    source: str
    date: str
    input: Decimal | None
    cached: Decimal | None
    output: Decimal | None
    note: str = ""
    billed: bool = False

    @property
    def cited(self) -> str:
        return f"{self.source}, {self.date}" if self.date else self.source

    def monthly(
        self, requests: int, input_tokens: int, output_tokens: int, cached: Decimal
    ) -> Decimal | None:
        """What so many requests of so many tokens each cost; `cached` is the share of the input that is cached."""
        reused = (self.input if self.cached is None else self.cached) if cached else Decimal(0)
        if self.input is None or self.output is None or reused is None:
            return None
        each = input_tokens * ((1 - cached) * self.input + cached * reused) + output_tokens * self.output
        return requests * each / 1_000_000


def quotes_of(model: Model, overrides: Mapping[str, PriceSettings], now: int) -> tuple[Quote, ...]:
    """Every price there is for a model, the catalogue's first. `overrides` are those of ratchet.toml by
    `provider/model`; `now` in nanoseconds since the epoch."""
    own = _overridden(model, overrides)
    listed = _listed(model, now, billed=not own)
    return tuple(quote for quote in (_catalogued(model), listed, *own) if quote is not None)


def agree(quotes: Sequence[Quote]) -> bool:
    """Whether no two sources name different prices for the same kind of token."""
    return all(
        len({value for quote in quotes if (value := getattr(quote, kind)) is not None}) < 2
        for kind in ("input", "cached", "output")
    )


def _catalogued(model: Model) -> Quote | None:
    fact = model.input_usd_per_mtok if model.input_usd_per_mtok.known else model.output_usd_per_mtok
    if not fact.known:
        return None
    source = next((source for source in fact.sources if source.date), fact.sources[0])
    return Quote(
        source=source.source,
        date=source.date or "",
        input=model.input_usd_per_mtok.value,
        cached=model.cached_input_usd_per_mtok.value,
        output=model.output_usd_per_mtok.value,
    )


def _listed(model: Model, now: int, *, billed: bool) -> Quote | None:
    """What the list has for the maker's own API. Weights alone have no price: it is their host's."""
    vendor = VENDORS.get(model.provider.value or "")
    if vendor is None or not model.hosted:
        return None
    quote = _quoted(vendor, model.name, now // _HOUR)
    return None if quote is None else msgspec.structs.replace(quote, billed=billed)


@lru_cache(maxsize=512)  # looking a model up and pricing 24 hours takes milliseconds, and a list has many
def _quoted(vendor: str, name: str, hour_now: int) -> Quote | None:
    info = _info(vendor, name)
    if info is None:
        return None
    price = ModelPrice(info)
    today = [price.rates((hour_now + hour) * _HOUR, "") for hour in range(24)]
    dearest = max(today, key=lambda rates: (_base(rates.input) or 0, _base(rates.output) or 0))
    if dearest.input is None and dearest.output is None:
        return None
    notes = [f"listed there as {info.id}"] if info.id != name else []
    if any(rates != dearest for rates in today):
        cheapest = min(_base(rates.input) or Decimal(0) for rates in today)
        notes.append(f"by the hour: input from {_dollars(cheapest)}")
    if any(rate is not None and rate.steps for rate in (dearest.input, dearest.output)):
        notes.append("dearer beyond a long input")
    return Quote(
        source=f"genai-prices {version('genai-prices')}",
        date="",
        input=_base(dearest.input),
        cached=_base(dearest.cached),
        output=_base(dearest.output),
        note="; ".join(notes),
    )


def _info(vendor: str, name: str) -> ModelInfo | None:
    try:
        provider, info = get_snapshot().find_provider_model(name, None, vendor, None)
    except LookupError:
        return None
    return info if provider.id == vendor else None


def _overridden(model: Model, overrides: Mapping[str, PriceSettings]) -> list[Quote]:
    names = Names([model.name])
    return [
        Quote(
            source=f"[prices.{name!r}] in ratchet.toml".replace("'", '"'),
            date="",
            input=price.input,
            cached=price.cached,
            output=price.output,
            billed=True,
        )
        for name, price in overrides.items()
        if names.match(name.partition("/")[2]) is not None
    ]


def _base(rate: Rate | None) -> Decimal | None:
    return None if rate is None else rate.base


def _dollars(value: Decimal) -> str:
    return f"${value.normalize():f}"
