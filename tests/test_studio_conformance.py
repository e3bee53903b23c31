"""The control API against its own description: whatever is sent, it answers as it says it does, and never with a 5xx."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from browser.studio_harness import LOCAL_TOKEN, Clock, Studio, fill, running_studio
from browser.studio_seed import support_traffic
from ratchet.domain.access import Role
from ratchet.studio.access import Endpoint
from ratchet.studio.routes import ENDPOINTS

EXAMPLES = 20  # for each request
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
TOKEN = (b"authorization", f"Bearer {LOCAL_TOKEN}".encode())


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running_studio(
        tmp_path_factory.mktemp("studio-conformance"), clock=Clock(time.time_ns()), collect_at_once=True
    ) as running:
        fill(running, support_traffic(running.clock(), traces=30), "support")
        running.member(Role.ADMIN)
        yield running


@pytest.fixture(scope="module")
def api(studio: Studio):
    async def as_admin(scope: Any, receive: Any, send: Any) -> None:
        """Whoever is said to ask: who may ask what has tests of its own."""
        if scope["type"] == "http":
            others = [pair for pair in scope["headers"] if pair[0] != b"authorization"]
            scope = {**scope, "headers": [*others, TOKEN]}
        await studio.app(scope, receive, send)

    return schemathesis.openapi.from_asgi("/api/openapi.json", as_admin)


@pytest.mark.parametrize(
    "endpoint", [each for each in ENDPOINTS if each.api], ids=lambda each: f"{each.method} {each.path}"
)
def test_every_request_answers_as_described(api: Any, endpoint: Endpoint) -> None:
    """With what its description allows, and with what it doesn't."""
    operation = api[endpoint.path][endpoint.method]
    seen: set[int] = set()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
        | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
    )
    def ask(case: Any) -> None:
        answer = case.call()
        case.validate_response(answer, checks=CHECKS)
        assert answer.status_code not in (401, 405), answer.text
        seen.add(answer.status_code)

    ask()
    assert seen
