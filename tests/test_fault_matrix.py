"""Every fault, streamed and not, at the first target and at the second: exactly what an app sees of it.

At the first target, the second is well. At the second, the first is broken, so what the second does is what counts.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.conftest import RunningGateway, running_app, running_gateway

from ratchet.simulator.app import Simulator, simulator_app
from ratchet.simulator.faults import Script, parse_rules
from ratchet.simulator.server import SimulatorProtocol

QUESTION = {"messages": [{"role": "user", "content": "How long do I have to return shoes?"}]}


@dataclass(frozen=True)
class Seen:
    """What an app sees: a status; the code of the error, in a body or inside the stream; who answered; words or not."""

    status: int = 200
    code: str = ""
    inside: bool = False  # the error came inside a stream that had begun
    said: bool = True  # there was something to read
    ended: bool = True  # a stream ended as a whole one does
    asked: tuple[int, int] = (1, 1)  # how often each target was asked


WELL = Seen()
FAILED = Seen(502, "upstream_failed", said=False, ended=False)
BROKEN = replace(FAILED, code="upstream_broken")
SLOW = Seen(504, "upstream_timeout", said=False, ended=False)
CREDENTIALS = replace(FAILED, code="upstream_credentials")
TRUNCATED = replace(FAILED, code="upstream_truncated")


def refused(status: int, code: str = "") -> Seen:
    """The provider's own words, passed on."""
    return Seen(status, code, said=False, ended=False)


def alone(seen: Seen) -> Seen:
    """The other target was not asked."""
    return replace(seen, asked=(1, 0))


# fault: what is seen of a whole answer and of a stream, the fault being at the first target, and at the second
MATRIX: dict[str, tuple[Seen, Seen, Seen, Seen]] = {
    "status=500": (WELL, WELL, FAILED, FAILED),
    "status=502": (WELL, WELL, FAILED, FAILED),
    "status=503": (WELL, WELL, FAILED, FAILED),
    "status=529": (WELL, WELL, FAILED, FAILED),
    "status=408": (WELL, WELL, refused(408), refused(408)),
    "status=401": (WELL, WELL, CREDENTIALS, CREDENTIALS),
    "status=402": (WELL, WELL, CREDENTIALS, CREDENTIALS),
    "status=403": (WELL, WELL, CREDENTIALS, CREDENTIALS),
    "status=429; retry-after=1": (WELL, WELL, refused(429), refused(429)),
    "status=429; retry-after=3600": (WELL, WELL, refused(429), refused(429)),
    "status=429; code=insufficient_quota": (WELL, WELL, CREDENTIALS, CREDENTIALS),
    "status=404": (WELL, WELL, refused(404), refused(404)),
    "status=400": (alone(refused(400)), alone(refused(400)), refused(400), refused(400)),
    "status=413": (alone(refused(413)), alone(refused(413)), refused(413), refused(413)),
    "status=422": (alone(refused(422)), alone(refused(422)), refused(422), refused(422)),
    "status=400; code=context_length_exceeded": (WELL, WELL, refused(400), refused(400)),
    "status=400; code=content_filter": (alone(refused(400)), alone(refused(400)), refused(400), refused(400)),
    "reset": (WELL, WELL, BROKEN, BROKEN),
    "body=html": (WELL, WELL, BROKEN, BROKEN),
    "body=empty": (WELL, WELL, BROKEN, TRUNCATED),
    "body=malformed": (WELL, WELL, BROKEN, BROKEN),
    "body=truncated; gap=10ms": (WELL, alone(Seen(code="upstream_broken", inside=True, ended=False)), BROKEN,
                       Seen(code="upstream_broken", inside=True, ended=False)),
    "empty": (WELL, WELL, Seen(said=False), Seen(said=False)),
    "refusal": (alone(WELL), alone(WELL), WELL, WELL),
    "content-filter": (alone(WELL), alone(WELL), WELL, WELL),
    "latency=20s": (WELL, WELL, SLOW, SLOW),
    "cut=1": (WELL, WELL, BROKEN, BROKEN),
    "stall=1": (WELL, WELL, WELL, SLOW),
    "error=1": (WELL, WELL, WELL, FAILED),
    "garble=1": (WELL, WELL, WELL, BROKEN),
}  # fmt: skip
# These are about streams alone: a whole answer doesn't show them.
OF_STREAMS = ("stall=1", "error=1", "garble=1")
# Once the app has something: it is told inside the stream, and nobody else is asked.
AFTER_CONTENT = {
    "cut=5; gap=20ms": "upstream_broken",
    "stall=5; gap=20ms": "upstream_timeout",
    "error=5; gap=20ms": "upstream_failed",
    "garble=5; gap=20ms": "upstream_broken",
    "no-finish; no-done; gap=20ms": "upstream_truncated",
}


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[RunningGateway, Simulator, Simulator]]:
    """A gateway with a route over two providers, and these two."""
    one, two = simulator_app(seed=0, pace=0), simulator_app(seed=0, pace=0)
    async with running_app(one, SimulatorProtocol) as first, running_app(two, SimulatorProtocol) as second:
        settings = f"""
[providers.one]
kind = "openai"
base_url = "{first}/v1"
timeout = 4

[providers.two]
kind = "openai"
base_url = "{second}/v1"
timeout = 4

[routes.pair]
targets = ["one/gpt-4o", "two/gpt-4o-mini"]
max_attempts = 2
first_token_timeout = 1.5
stall_timeout = 1.5

[routes.pair.options."one/gpt-4o"]
context_window = 1000

[routes.pair.options."two/gpt-4o-mini"]
context_window = 2000
"""
        async with running_gateway(tmp_path, settings) as gateway:
            yield gateway, one, two


def misbehave(simulator: Simulator, fault: str) -> None:
    simulator._script = Script(parse_rules([{"fault": fault}]))


async def look(gateway: RunningGateway, *, stream: bool) -> tuple[Seen, httpx2.Response]:
    """One request, and what an app can tell of it; `asked` is filled in by the caller."""
    headers = {"authorization": f"Bearer {gateway.key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=20) as client:
        answer = await client.post(
            f"{gateway.url}/v1/chat/completions", json={**QUESTION, "model": "pair", "stream": stream}
        )
    if answer.headers["content-type"].startswith("text/event-stream"):
        return _of_stream(answer), answer
    body = answer.json()
    error = body.get("error") or {}
    if error:
        ours = str(error.get("code") or "").startswith("upstream")
        return Seen(answer.status_code, error["code"] if ours else "", said=False, ended=False), answer
    message = body["choices"][0]["message"]
    return Seen(answer.status_code, said=bool(message.get("content") or message.get("refusal"))), answer


def _of_stream(answer: httpx2.Response) -> Seen:
    events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    ended = events[-1] == "[DONE]"
    said, codes = False, []
    for event in events[: -1 if ended else None]:
        data: dict[str, Any] = json.loads(event)  # whatever came, it can be read
        if "error" in data:
            codes.append(data["error"].get("code") or "")
        for choice in data.get("choices", ()):
            said = said or bool(choice["delta"].get("content") or choice["delta"].get("refusal"))
    return Seen(answer.status_code, codes[-1] if codes else "", inside=bool(codes), said=said, ended=ended)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("position", ["first", "second"])
@pytest.mark.parametrize("fault", MATRIX)
async def test_a_fault(
    pair: tuple[RunningGateway, Simulator, Simulator], fault: str, position: str, stream: bool
) -> None:
    gateway, one, two = pair
    if position == "first":
        misbehave(one, fault)
    else:
        misbehave(one, "status=500")
        misbehave(two, fault)
    seen, answer = await look(gateway, stream=stream)
    asked = (one.stats.requests, two.stats.requests)
    expected = MATRIX[fault][(position == "second") * 2 + stream]
    if position == "first" and not stream and fault in OF_STREAMS:
        expected = alone(expected)
    assert replace(seen, asked=asked) == expected, answer.text
    (call,) = gateway.calls()
    assert call.attempt == sum(asked)
    assert call.status == ("ok" if not expected.code and expected.status == 200 else "error")
    lost = [attempt.target for attempt in call.attempts]
    assert lost == (["one/gpt-4o"] if asked[1] else [])
    assert answer.status_code != 401, "the gateway's credential is not the app's"


@pytest.mark.parametrize("position", ["first", "second"])
@pytest.mark.parametrize("fault", AFTER_CONTENT)
async def test_a_fault_after_the_first_content_is_told_inside_the_stream(
    pair: tuple[RunningGateway, Simulator, Simulator], fault: str, position: str
) -> None:
    gateway, one, two = pair
    if position == "first":
        misbehave(one, fault)
    else:
        misbehave(one, "status=500")
        misbehave(two, fault)
    seen, answer = await look(gateway, stream=True)
    asked = (one.stats.requests, two.stats.requests)
    expected = Seen(code=AFTER_CONTENT[fault], inside=True, ended=False)
    assert replace(seen, asked=(1, 1)) == expected, answer.text
    assert asked == ((1, 0) if position == "first" else (1, 1))
    (call,) = gateway.calls()
    assert (call.status, call.error_type) == ("error", AFTER_CONTENT[fault])
    assert call.cost is None, "what a broken stream costs is not known"


def test_there_are_enough_distinct_faults() -> None:
    assert len(MATRIX.keys() | AFTER_CONTENT.keys()) >= 16
