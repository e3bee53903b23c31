"""Costs agree with the published price list, to the last digit, and are unknown where they can't be known."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from genai_prices import Usage as PublishedUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ratchet.catalog.prices import PriceBook, PriceSettings, vendor_of
from ratchet.domain.usage import Usage

WHEN = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
NANOSECONDS = int(WHEN.timestamp()) * 10**9
MODELS = [
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-5"),
    ("openai", "gpt-4o-realtime-preview"),
    ("anthropic", "claude-sonnet-4-5"),
    ("google", "gemini-2.5-pro"),  # dearer beyond 200,000 input tokens
    ("deepseek", "deepseek-chat"),
    ("groq", "llama-3.3-70b-versatile"),
]
book = PriceBook()
tokens = st.integers(0, 400_000)


@given(st.sampled_from(MODELS), tokens, tokens, tokens, tokens)
def test_costs_agree_with_the_price_list(
    model: tuple[str, str], text: int, cached: int, cache_write: int, output: int
) -> None:
    usage = Usage(input=text + cached + cache_write, output=output, cached=cached, cache_write=cache_write)
    published = calc_price(
        PublishedUsage(
            input_tokens=usage.input,
            cache_read_tokens=cached,
            cache_write_tokens=cache_write,
            output_tokens=output,
        ),
        model_ref=model[1],
        provider_id=model[0],
        genai_request_timestamp=WHEN,
    )
    assert book.cost(model[0], (model[1],), usage, NANOSECONDS, vendor=model[0]) == published.total_price


@given(
    st.sampled_from(["claude-sonnet-4-5", "claude-opus-4-8", "claude-fable-5", "claude-3-7-sonnet-latest"]),
    tokens,
    tokens,
    tokens,
    tokens,
)
def test_what_is_cached_for_an_hour_costs_what_the_price_list_says(
    model: str, text: int, cached: int, minutes: int, hour: int
) -> None:
    usage = Usage(
        input=text + cached + minutes + hour,
        output=9,
        cached=cached,
        cache_write=minutes + hour,
        cache_write_1h=hour,
    )
    published = calc_price(
        PublishedUsage(
            input_tokens=usage.input,
            cache_read_tokens=cached,
            cache_write_tokens=minutes + hour,
            cache_write_1h_tokens=hour,
            output_tokens=9,
        ),
        model_ref=model,
        provider_id="anthropic",
        genai_request_timestamp=WHEN,
    )
    assert book.cost("anthropic", (model,), usage, NANOSECONDS, vendor="anthropic") == published.total_price


def test_an_hour_in_the_cache_costs_twice_the_input_and_five_minutes_a_quarter_more() -> None:
    many = 100_000

    def cost(hour: int | None) -> Decimal | None:
        usage = Usage(many, 0, cache_write=many, cache_write_1h=hour)
        return book.cost("anthropic", ("claude-sonnet-4-5",), usage, NANOSECONDS, vendor="anthropic")

    assert (cost(None), cost(0), cost(many)) == (Decimal("0.375"), Decimal("0.375"), Decimal("0.6"))
    assert cost(many // 2) == Decimal("0.4875")


def test_an_hour_in_the_cache_without_a_price_of_its_own_is_billed_as_any_writing() -> None:
    usage = Usage(1_000_000, 0, cache_write=1_000_000, cache_write_1h=1_000_000)
    price = PriceSettings(input=Decimal(1), output=Decimal(1), cache_write=Decimal(2))
    assert PriceBook({"lab/x": price}).cost("lab", ("x",), usage, NANOSECONDS) == Decimal(2)
    price = price.model_copy(update={"cache_write_1h": Decimal(3)})
    assert PriceBook({"lab/x": price}).cost("lab", ("x",), usage, NANOSECONDS) == Decimal(3)
    impossible = Usage(
        10, 0, cache_write=5, cache_write_1h=1_000_000
    )  # a part never exceeds what it is part of
    assert PriceBook({"lab/x": price}).cost("lab", ("x",), impossible, NANOSECONDS) == Decimal(20) / 1_000_000


def test_audio_tokens_are_a_class_of_their_own() -> None:
    usage = Usage(input=1000, output=500, audio_input=400, audio_output=300)
    published = calc_price(
        PublishedUsage(
            input_tokens=1000,
            output_tokens=500,
            input_audio_tokens=400,
            output_audio_tokens=300,
        ),
        model_ref="gpt-4o-realtime-preview",
        provider_id="openai",
        genai_request_timestamp=WHEN,
    )
    cost = book.cost("openai", ("gpt-4o-realtime-preview",), usage, NANOSECONDS, vendor="openai")
    assert cost == published.total_price
    assert cost != book.cost(
        "openai", ("gpt-4o-realtime-preview",), Usage(1000, 500), NANOSECONDS, vendor="openai"
    )


def test_reasoning_tokens_are_a_class_of_their_own_where_they_have_a_price() -> None:
    price = PriceSettings(input=Decimal(1), output=Decimal(2), reasoning=Decimal(10))
    priced = PriceBook({"lab/thinker": price})
    usage = Usage(input=1_000_000, output=1_000_000, reasoning=250_000)
    assert priced.cost("lab", ("thinker",), usage, NANOSECONDS) == Decimal(1) + Decimal("1.5") + Decimal(
        "2.5"
    )


def test_a_service_tier_has_its_own_price() -> None:
    usage = Usage(input=1_000_000, output=0)
    standard = book.cost("openai", ("gpt-4o-mini",), usage, NANOSECONDS, vendor="openai")
    priority = book.cost("openai", ("gpt-4o-mini",), usage, NANOSECONDS, vendor="openai", tier="priority")
    assert (standard, priority) == (Decimal("0.15"), Decimal("0.25"))
    assert (
        book.cost("openai", ("gpt-4o-mini",), usage, NANOSECONDS, vendor="openai", tier="default") == standard
    )


def test_what_is_not_known_is_none_and_never_zero() -> None:
    usage = Usage(input=10, output=10)
    assert book.cost("openai", ("no-such-model",), usage, NANOSECONDS, vendor="openai") is None
    assert book.cost("openai", ("gpt-4o-mini",), Usage(), NANOSECONDS, vendor="openai") is None
    assert book.cost("openai", ("gpt-4o-mini",), Usage(input=10), NANOSECONDS, vendor="openai") is None
    assert book.cost("local", ("llama3.1:8b",), usage, NANOSECONDS, vendor="openai") is None
    free = PriceBook({"local/llama3.1:8b": PriceSettings(input=Decimal(0), output=Decimal(0))})
    assert free.cost("local", ("llama3.1:8b",), usage, NANOSECONDS, vendor="openai") == 0


def test_the_answering_model_counts_before_the_one_asked_for() -> None:
    usage = Usage(input=1_000_000, output=0)
    both = book.cost("openai", ("gpt-4o-mini-2024-07-18", "gpt-4o"), usage, NANOSECONDS, vendor="openai")
    assert both == Decimal("0.15")
    unknown = book.cost("openai", ("my-fine-tune", "gpt-4o"), usage, NANOSECONDS, vendor="openai")
    assert unknown == Decimal("2.5")


def test_an_override_wins() -> None:
    own = PriceBook({"openai/gpt-4o-mini": PriceSettings(input=Decimal("0.1"), output=Decimal("0.2"))})
    assert own.cost(
        "openai", ("gpt-4o-mini",), Usage(1_000_000, 1_000_000), NANOSECONDS, vendor="openai"
    ) == Decimal("0.3")
    dated = ("gpt-4o-mini-2024-07-18", "gpt-4o-mini")
    assert own.cost("openai", dated, Usage(1_000_000, 0), NANOSECONDS, vendor="openai") == Decimal("0.1")
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        PriceSettings(input=Decimal(-1), output=Decimal(0))


@pytest.mark.parametrize(
    ("kind", "base_url", "name", "vendor"),
    [
        ("openai", "https://api.openai.com/v1", "main", "openai"),
        ("openai", "https://api.groq.com/openai/v1", "fast", "groq"),
        ("openai", "http://127.0.0.1:9999/v1", "mistral", "mistral"),
        ("openai", "http://127.0.0.1:9999/v1", "up", "openai"),
        ("simulator", "", "simulator", ""),
    ],
)
def test_whose_price_list_a_provider_follows(kind: str, base_url: str, name: str, vendor: str) -> None:
    assert vendor_of(kind, base_url, name) == vendor


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-mini"),
        ("azure.ai.openai", "gpt-4o"),
        ("gcp.gemini", "gemini-2.5-flash"),
        ("", "gpt-4o"),
    ],
)
def test_spans_that_others_report_get_a_cost(provider: str, model: str) -> None:
    cost = book.price_span(provider, model, Usage(input=1000, output=1000), NANOSECONDS)
    assert cost is not None
    assert cost > 0


def test_remembered_models_are_bounded() -> None:
    own = PriceBook()
    for number in range(10_000):
        assert own.cost("openai", (f"invented-{number}",), Usage(1, 1), NANOSECONDS, vendor="openai") is None
    assert len(own._known) <= 4096
