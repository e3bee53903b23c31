"""Tokens before they are counted: against two vocabularies, and against what providers reported."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.recordings import recorded, request_body, response_body

from ratchet.gateway.estimate import estimate_tokens, tokens_of_text, upper_bound_tokens

# The same complaint in 22 languages, some code and numbers; how many tokens each has was counted with the two vocabularies.
TEXTS: dict[str, Any] = json.loads((Path(__file__).parent / "texts" / "languages.json").read_text())

# What is in a request without being in its body: hosted tools, search results, documents at an address, sealed thoughts.
ELSEWHERE = (
    "web_search", "code_execution", "mcp", "memory_", "file_search", "advisor", "tool_search", "previous_response_id",
    "conversation", "http", "encrypted_content", "audio", "base64", "web_fetch", "code_interpreter", "file_id",
    "deferred", "compaction", 'thinking"', "input_file", "image", "item_reference", "defer_loading",
)  # fmt: skip
# A vocabulary of a chat form that begins with a system message of its own, of about 65 tokens.
HARMONY = ("gpt-oss", "gpt-5.6")


def chat(text: str, **more: Any) -> bytes:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **more}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_estimated_between_two_generations_of_vocabularies(name: str) -> None:
    sample = TEXTS[name]
    estimated = tokens_of_text(sample["text"].encode())
    middle = math.sqrt(sample["o200k_base"] * sample["cl100k_base"])
    assert 0.75 < estimated / middle < 1.3, (estimated, middle)


def test_a_script_costs_what_it_costs() -> None:
    """The same complaint: characters alone, or bytes alone, would put these in another order."""
    cost = {name: tokens_of_text(TEXTS[name]["text"].encode()) for name in ("en", "de", "ru", "hi")}
    assert sorted(cost, key=cost.__getitem__) == ["en", "de", "ru", "hi"]
    assert cost["hi"] > 2.4 * cost["en"]


@pytest.mark.parametrize("name", TEXTS)
def test_escapes_change_nothing(name: str) -> None:
    plain = chat(TEXTS[name]["text"] * 3)
    escaped = json.dumps(json.loads(plain), separators=(",", ":")).encode()
    assert estimate_tokens(escaped) == pytest.approx(estimate_tokens(plain), rel=0.12)


def reported(exchange: Any) -> int | None:
    """The input that the provider counted, cached or not."""
    content = response_body(exchange)
    lines = [line[5:] for line in content.splitlines() if line.startswith(b"data:")] or [content]
    most = 0
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if not isinstance(said, dict):
            continue
        for place in (said, said.get("response"), said.get("message")):
            usage = place.get("usage") if isinstance(place, dict) else None
            if isinstance(usage, dict):
                counted = usage.get("prompt_tokens") or usage.get("input_tokens") or 0
                cached = usage.get("cache_read_input_tokens") or 0
                most = max(most, counted + cached + (usage.get("cache_creation_input_tokens") or 0))
    return most or None


def recorded_inputs() -> list[tuple[bytes, int]]:
    found: list[tuple[bytes, int]] = []
    for folder, path in (
        ("openai_chat", "/chat/completions"),
        ("openai_responses", "/responses"),
        ("anthropic", "/messages"),
    ):
        for exchange in recorded(folder, lambda address, path=path: address.split("?")[0].endswith(path)):
            if not exchange.values[0]["request"].get("parsed_body"):
                continue
            body = request_body(exchange.values[0])
            text = body.decode()
            counted = reported(exchange.values[0])
            if counted and not any(word in text for word in (*ELSEWHERE, *HARMONY)):
                found.append((body, counted))
    return found


def test_recorded_usage() -> None:
    """Requests whose whole input stands in their body: most within a quarter of what the provider counted."""
    ratios = sorted(estimate_tokens(body) / counted for body, counted in recorded_inputs() if counted >= 30)
    assert len(ratios) >= 25
    assert 0.9 < statistics.median(ratios) < 1.1
    assert ratios[len(ratios) // 10] > 0.6
    assert ratios[len(ratios) * 9 // 10] < 1.35


def test_small_requests_err_by_a_few_tokens() -> None:
    errors = [abs(estimate_tokens(body) - counted) for body, counted in recorded_inputs() if counted < 30]
    assert len(errors) >= 15
    assert max(errors) <= 20
    assert statistics.median(errors) <= 5


def test_nothing_recorded_exceeds_the_upper_bound() -> None:
    inputs = recorded_inputs()
    assert len(inputs) >= 45
    assert all(upper_bound_tokens(body) > counted for body, counted in inputs)


@pytest.mark.parametrize("name", TEXTS)
def test_no_text_exceeds_the_upper_bound(name: str) -> None:
    sample = TEXTS[name]
    assert upper_bound_tokens(chat(sample["text"])) > max(sample["o200k_base"], sample["cl100k_base"])


@given(st.binary(max_size=20_000))
def test_any_bytes_have_an_estimate_within_the_bound(body: bytes) -> None:
    assert estimate_tokens(body) >= 1
    assert upper_bound_tokens(body) >= 0


@given(st.text(max_size=6_000))
def test_an_estimate_is_less_than_the_bound(text: str) -> None:
    assert estimate_tokens(chat(text)) <= upper_bound_tokens(chat(text)) + 2 * len(text)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 20_000}},
        {"type": "input_image", "image_url": "data:image/png;base64," + "iVBORw0KGgo" * 20_000},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ],
)
def test_an_image_at_openai_is_worth_a_thousand_tokens_however_large(part: dict[str, Any]) -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, part]}],
    }
    assert 900 < estimate_tokens(json.dumps(body).encode()) < 1_100
    assert 5_000 < upper_bound_tokens(json.dumps(body).encode()) < 5_300


def test_an_image_at_anthropic_is_worth_a_thousand_tokens_however_large() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo" * 20_000}
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}
    assert 900 < estimate_tokens(json.dumps(body).encode()) < 1_200
    assert 5_000 < upper_bound_tokens(json.dumps(body).encode()) < 6_000


def test_a_document_is_bounded_by_its_size() -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQ" * 2_000}
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "document", "source": source}]}]}
    assert 22_000 < upper_bound_tokens(json.dumps(body).encode()) < 23_000


def test_a_sealed_thought_counts_nothing_but_is_within_the_bound() -> None:
    body = chat("Go on.", extra={"encrypted_content": "gAAAAABo" * 2_000})
    assert estimate_tokens(body) < 40
    assert upper_bound_tokens(body) > 16_000


def test_long_words_that_are_text_stay_text() -> None:
    """A field named `data` that holds words is no picture."""
    body = chat("x", data="one two three four " * 400)
    assert 1_200 < estimate_tokens(body) < 2_500
