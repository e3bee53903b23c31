"""A day on which providers failed: calls whose first targets gave no answer, circuits that opened, probes, a queue.

The spans are made by what makes them of the gateway's records.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ratchet.domain.spans import Event, Score, Span
from ratchet.domain.usage import Usage
from ratchet.gateway.upstream.failures import Failure
from ratchet.telemetry.calls import Call, LostAttempt
from ratchet.telemetry.spans import span_of_call, spans_of_attempts

MS = 10**6
SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
FIRST, SECOND_TARGET, THIRD = "openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "vllm/qwen3-8b"
_REQUEST = msgspec.json.encode(
    {"model": "support", "messages": [{"role": "user", "content": "Where is my parcel?"}]}
)
_ANSWER = msgspec.json.encode(
    {
        "id": "chatcmpl-1",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "On its way."}, "finish_reason": "stop"}
        ],
    }
)
_STATUS = {Failure.BROKEN: 503, Failure.RATE_LIMITED: 429, Failure.CREDENTIAL: 401}
_SAID = {
    Failure.BROKEN: "{} answered with status 503: The server is overloaded.",
    Failure.SLOW: "{} said nothing within 5 s.",
    Failure.RATE_LIMITED: "{} answered with status 429: Rate limit reached.",
    Failure.CREDENTIAL: "The provider turned down the gateway's own credential (status 401).",
    Failure.EMPTY: "{} gave an answer with nothing in it.",
    Failure.BEATEN: "Another target was quicker than {}.",
}


@dataclass
class Trouble:
    """Spans, scores and events for a store."""

    project: str = "default"
    spans: list[Span] = field(default_factory=list[Any])
    scores: list[Score] = field(default_factory=list[Any])
    events: list[Event] = field(default_factory=list[Any])
    _ids: random.Random = field(default_factory=lambda: random.Random(41))

    def id(self, width: int) -> str:
        return format(self._ids.getrandbits(4 * width), f"0{width}x")

    def call(self, start: int, target: str, duration: int, *lost: LostAttempt, **fields: Any) -> Call:
        """One call and its lost attempts; `target` gave its last word, after them."""
        values: dict[str, Any] = {
            "project_id": self.project, "key_id": "key-1", "trace_id": self.id(32), "span_id": self.id(16), "parent_id": "",
            "start": start, "duration": duration, "dialect": "openai_chat", "operation": "chat", "route": "support",
            "target": target, "provider": target.partition("/")[0], "request_model": target.partition("/")[2],
            "response_model": target.partition("/")[2], "response_id": "", "stream": True, "status": "ok",
            "error_type": "", "error_message": "", "http_status": 200,
            "time_to_first_token": duration * 2 // 5, "usage": Usage(input=220, output=40), "cost": "0.00042",
            "finish_reasons": ["stop"], "user_id": "ada.marsh", "organisation_id": "", "session_id": "", "tags": [],
            "app_version": "", "language": "en", "metadata": {}, "request": _REQUEST, "response": _ANSWER,
            "attempt": len(lost) + 1, "attempts": list(lost), **fields,
        }  # fmt: skip
        made = Call(**values)
        self.spans += [span_of_call(made), *spans_of_attempts(made)]
        return made

    def lost(
        self, number: int, target: str, failure: Failure, start: int, duration: int, cost: str | None = None
    ) -> LostAttempt:
        """One attempt that gave no answer."""
        return LostAttempt(
            number=number,
            target=target,
            provider=target.partition("/")[0],
            failure=failure.value,
            message=_SAID[failure].format(target),
            http_status=_STATUS.get(failure, 0),
            start=start,
            duration=duration,
            time_to_first_token=None,
            cost=cost,
            span_id=self.id(16),
        )

    def tell(
        self, time: int, kind: str, subject: str, message: str = "", severity: str = "info", **attributes: str
    ) -> Event:
        event = Event(
            project_id=self.project,
            event_id=self.id(32),
            time=time,
            kind=kind,
            subject=subject,
            message=message,
            severity=severity,
            attributes=attributes,
        )
        self.events.append(event)
        return event


def trouble(now: int, project: str = "default") -> Trouble:
    """Twenty-three hours: OpenAI broke six hours ago for half an hour, vLLM is out now."""
    day = Trouble(project)
    _traffic(day, now)
    _circuits(day, now)
    _probes(day, now)
    for gateway, held, waiting, refused in (("4711", 31, 12, 3), ("4712", 32, 40, 0)):
        day.tell(
            now - 20 * SECOND,
            "queue.state",
            "vllm",
            gateway=gateway,
            held=str(held),
            waiting=str(waiting),
            refused=str(refused),
        )
    return day


def _traffic(day: Trouble, now: int) -> None:
    pick = random.Random(5)
    for number in range(420):
        start = now - 23 * HOUR + number * 196 * SECOND + pick.randrange(90) * SECOND
        took = int(900 * MS * pick.lognormvariate(0, 0.3))
        before = now - start
        out = 5.5 * HOUR < before < 6.1 * HOUR
        if out or pick.random() < 0.02:
            lost = day.lost(1, FIRST, Failure.BROKEN, start + MS, 240 * MS)
            if pick.random() < 0.15:
                again = day.lost(2, SECOND_TARGET, Failure.SLOW, start + 300 * MS, 5 * SECOND, "0.00031")
                day.call(
                    start, FIRST, 5600 * MS, lost, again, status="error", error_type="upstream_failed",
                    error_message=_SAID[Failure.BROKEN].format(FIRST), http_status=502, time_to_first_token=None, cost=None,
                    usage=Usage(), response=b"", finish_reasons=[],
                )  # fmt: skip
            else:
                day.call(
                    start, SECOND_TARGET, took + 241 * MS, lost, time_to_first_token=took // 2 + 241 * MS
                )
        elif pick.random() < 0.05:
            slow = day.lost(1, FIRST, Failure.SLOW, start + MS, 5 * SECOND, "0.00028")
            day.call(
                start, SECOND_TARGET, took + 5 * SECOND, slow, time_to_first_token=5 * SECOND + took // 2
            )
        elif pick.random() < 0.03:
            day.call(
                start, FIRST, took + 300 * MS, day.lost(1, FIRST, Failure.RATE_LIMITED, start + MS, 90 * MS)
            )
        elif pick.random() < 0.03:
            beaten = day.lost(1, FIRST, Failure.BEATEN, start + MS, took, "0.00012")
            day.call(start, SECOND_TARGET, took, beaten)
        elif before < 40 * MINUTE:
            lost = day.lost(1, THIRD, Failure.BROKEN, start + MS, 4 * MS)
            day.call(start, FIRST, took, lost)
        else:
            day.call(start, FIRST if pick.random() < 0.8 else THIRD, took)


def _circuits(day: Trouble, now: int) -> None:
    began = now - 6 * HOUR
    own = {"credential": "OPENAI_API_KEY", "gateway": "4711"}
    why = f"5 requests in a row failed, the last one: {_SAID[Failure.BROKEN].format(FIRST)}"
    day.tell(began, "circuit.open", FIRST, why, "error", **own)
    for rest in (6, 18, 40):
        day.tell(
            began + rest * SECOND,
            "circuit.half_open",
            FIRST,
            "A request is let through to see whether it answers again.",
            **own,
        )
        day.tell(
            began + (rest + 1) * SECOND,
            "circuit.open",
            FIRST,
            "The probe failed: " + _SAID[Failure.BROKEN].format(FIRST),
            "error",
            **own,
        )
    day.tell(
        began + 28 * MINUTE,
        "circuit.half_open",
        FIRST,
        "A request is let through to see whether it answers again.",
        **own,
    )
    day.tell(began + 29 * MINUTE, "circuit.closed", FIRST, "2 requests in a row were answered.", **own)
    day.tell(
        now - 40 * SECOND, "credential.refused", FIRST,
        _SAID[Failure.CREDENTIAL], "error", credential="OPENAI_API_KEY_2", gateway="4711",
    )  # fmt: skip
    for gateway in ("4711", "4712"):
        day.tell(
            now - 35 * MINUTE, "circuit.open", THIRD,
            f"5 requests in a row failed, the last one: {THIRD} can't be reached at http://10.0.0.5:8000/v1: connection refused.",
            "error", credential="", gateway=gateway,
        )  # fmt: skip
    day.tell(
        now - 30 * SECOND,
        "circuit.half_open",
        THIRD,
        "A request is let through to see whether it answers again.",
        credential="",
        gateway="4712",
    )


def _probes(day: Trouble, now: int) -> None:
    pick = random.Random(6)
    for number in range(280):
        at = now - number * 5 * MINUTE - 70 * SECOND
        out = 5.5 * HOUR < now - at < 6.1 * HOUR
        seconds = 0.7 + 0.25 * math.sin(number / 40) + pick.random() * 0.2
        own = {"model": "gpt-4o-mini", "seconds": f"{60.0 if out else seconds:.6f}"}
        if out:
            day.tell(at, "probe.failed", "openai", _SAID[Failure.BROKEN].format(FIRST), "warning", **own)
        else:
            first = {"time_to_first_token": f"{seconds * 0.6:.6f}", "cost": "0.0000039"}
            day.tell(at, "probe.answered", "openai", f"{FIRST} answered.", **own, **first)


def fill_trouble(studio: Any) -> None:
    """Put that day into the store of a studio."""
    seed = trouble(studio.clock())
    studio.store.insert_spans(seed.spans, token="trouble-spans")
    studio.store.insert_events(seed.events, token="trouble-events")
