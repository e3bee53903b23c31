"""Prometheus metrics: what a scraper reads is what was observed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from ratchet.domain.usage import Usage
from ratchet.telemetry.calls import Call
from ratchet.telemetry.metrics import Metrics, process_figures


def call(**fields: Any) -> Call:
    given: dict[str, Any] = {
        "project_id": "p", "key_id": "k", "trace_id": "1" * 32, "span_id": "2" * 16, "parent_id": "", "start": 5,
        "duration": 300_000_000, "dialect": "openai_chat", "operation": "chat", "route": "support",
        "target": "openai/gpt-4o", "provider": "openai", "request_model": "gpt-4o", "response_model": "gpt-4o-1",
        "response_id": "c1", "stream": False, "status": "ok", "error_type": "", "error_message": "",
        "http_status": 200, "time_to_first_token": None, "usage": Usage(300, 40), "cost": "0.25",
        "finish_reasons": [], "user_id": "", "organisation_id": "", "session_id": "", "tags": [], "app_version": "",
        "language": "", "metadata": {}, "request": b"", "response": b"",
    }  # fmt: skip
    return Call(**{**given, **fields})


def parsed(metrics: Metrics, **figures: int) -> dict[str, Metric]:
    text = metrics.render(**figures).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(family: Metric, name: str, **labels: str) -> float:
    found = [
        sample.value
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) == 1, (name, labels, family.samples)
    return found[0]


def test_a_call_is_seen_under_the_conventions_names() -> None:
    metrics = Metrics(process=dict)
    metrics.observe_call(call(time_to_first_token=45_000_000))
    metrics.observe_call(call(duration=700_000_000, usage=Usage(2, None), cost=None))
    families = parsed(metrics)
    duration = families["gen_ai_client_operation_duration_seconds"]
    assert duration.type == "histogram"
    assert duration.samples[0].labels == {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "openai",
        "gen_ai_request_model": "gpt-4o",
        "gen_ai_response_model": "gpt-4o-1",
        "error_type": "",
        "route": "support",
        "le": "0.01",
    }
    name = duration.name
    assert value(duration, f"{name}_count") == 2
    assert value(duration, f"{name}_sum") == pytest.approx(1.0)
    assert [value(duration, f"{name}_bucket", le=le) for le in ("0.16", "0.32", "0.64", "1.28", "+Inf")] == [
        0,
        1,
        1,
        2,
        2,
    ]
    tokens = families["gen_ai_client_token_usage"]
    assert value(tokens, "gen_ai_client_token_usage_sum", gen_ai_token_type="input") == 302
    assert value(tokens, "gen_ai_client_token_usage_count", gen_ai_token_type="output") == 1
    assert value(tokens, "gen_ai_client_token_usage_bucket", gen_ai_token_type="input", le="256") == 1
    assert value(tokens, "gen_ai_client_token_usage_bucket", gen_ai_token_type="input", le="67108864") == 2
    for name, le in (
        ("gen_ai_server_time_to_first_token_seconds", "0.06"),
        ("gen_ai_client_operation_time_to_first_chunk_seconds", "0.08"),
    ):
        assert value(families[name], f"{name}_bucket", le=le) == 1
        assert value(families[name], f"{name}_count") == 1
    assert value(families["ratchet_cost_dollars"], "ratchet_cost_dollars_total") == 0.25
    assert value(families["ratchet_unpriced_calls"], "ratchet_unpriced_calls_total") == 1


def test_requests_refusals_and_the_spool_are_counted() -> None:
    metrics = Metrics(process=dict)
    for status in (200, 200, 502):
        metrics.observe_call(call(http_status=status, error_type="" if status == 200 else "upstream_failed"))
    metrics.count_refused("invalid_api_key")
    metrics.count_refused("invalid_api_key")
    families = parsed(metrics, spool_bytes=77, spool_refused=3)
    requests = families["ratchet_requests"]
    assert value(requests, "ratchet_requests_total", route="support", status="200") == 2
    assert value(requests, "ratchet_requests_total", route="support", status="502") == 1
    assert value(families["ratchet_refused"], "ratchet_refused_total", reason="invalid_api_key") == 2
    assert value(families["ratchet_spool_bytes"], "ratchet_spool_bytes") == 77
    assert value(families["ratchet_spool_refused"], "ratchet_spool_refused_total") == 3
    failed = families["gen_ai_client_operation_duration_seconds"]
    assert value(failed, "gen_ai_client_operation_duration_seconds_count", error_type="upstream_failed") == 1


@given(st.text(), st.text())
def test_any_name_a_caller_makes_up_survives_the_text_format(route: str, model: str) -> None:
    metrics = Metrics(process=dict)
    metrics.observe_call(call(route=route, request_model=model))
    # The parser splits at every kind of line end, the format at a line feed alone.
    text = metrics.render().decode()
    for odd in "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029":
        text, route, model = text.replace(odd, "~"), route.replace(odd, "~"), model.replace(odd, "~")
    families = {family.name: family for family in text_string_to_metric_families(text)}
    sample = families["ratchet_cost_dollars"].samples[0]
    assert (sample.labels["route"], sample.labels["gen_ai_request_model"]) == (route, model)


def test_made_up_names_beyond_the_limit_are_counted_as_other() -> None:
    metrics = Metrics(most_series=10, process=dict)
    for number in range(1000):
        metrics.observe_call(call(route=f"r{number}", request_model=f"m{number}", error_type=f"e{number}"))
        metrics.count_refused(f"code {number}")
    families = parsed(metrics)
    cost = families["ratchet_cost_dollars"].samples
    assert len(cost) == 11
    assert sum(sample.value for sample in cost) == 250
    assert value(families["ratchet_requests"], "ratchet_requests_total", route="other") == 990
    assert value(families["ratchet_refused"], "ratchet_refused_total", reason="other") == 990


def test_a_process_that_has_done_nothing_says_so() -> None:
    families = parsed(Metrics(process=dict))
    assert families["gen_ai_client_operation_duration_seconds"].samples == []
    assert "ratchet_spool_bytes" not in families


def test_the_process_tells_about_itself() -> None:
    figures = process_figures()
    assert figures["process_cpu_seconds_total"] > 0
    families = parsed(Metrics(process=lambda: figures))
    assert families["process_cpu_seconds"].type == "counter"
    if "process_resident_memory_bytes" in figures:
        assert 1 << 20 < figures["process_resident_memory_bytes"] < 1 << 40
        assert figures["process_open_fds"] >= 3
        assert 1_500_000_000 < figures["process_start_time_seconds"] < 20_000_000_000
