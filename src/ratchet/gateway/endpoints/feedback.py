"""`POST /v1/feedback`: what a user thought of an answer becomes a score, whether its trace has arrived yet or not."""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec

from ratchet.domain.spans import Score
from ratchet.errors import InvalidRequest
from ratchet.gateway.asgi import read_body, require_json, respond
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.identity import seen_caller
from ratchet.gateway.standing.vouching import TRUST, count_thumb, tell_trust

__all__ = ["take_feedback"]

_TRACE_ID = re.compile(r"[0-9a-f]{32}")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")
_MAX_BODY = 1 << 20
_THUMBS = {"up": 1.0, "down": 0.0}


class Feedback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body. About one of trace, span or session; saying at least one of value, label, comment, correction."""

    trace_id: str = ""
    span_id: str = ""
    session_id: str = ""
    name: str = ""
    value: bool | float | str | None = None
    label: str = ""
    comment: str = ""
    correction: str = ""
    user: str = ""
    metadata: dict[str, str] = {}


_decoder = msgspec.json.Decoder(Feedback)


async def take_feedback(exchange: Exchange) -> None:
    """Answers 202 with the score's id once it is in the spool."""
    require_json(exchange.headers)
    body = await read_body(exchange.headers, exchange.receive, _MAX_BODY)
    feedback = _decoded(body)
    assert exchange.key is not None  # noqa: S101 - authenticated before
    if exchange.key.publishable:
        trusted = exchange.snapshot.trusted_proxies
        exchange.caller = seen_caller(exchange.scope, exchange.headers, trusted)
        for step in exchange.snapshot.admission:
            await step(exchange)
    headers = [(b"x-ratchet-trace-id", exchange.trace_id.encode()), *exchange.told]
    if feedback.name.strip() == TRUST:
        said = tell_trust(exchange, feedback.user, feedback.value, feedback.comment)
        await respond(exchange.send, 202, msgspec.json.encode(said), headers)
        return
    value = _value(feedback.value)
    _check(feedback, value)
    score = Score(
        project_id=exchange.key.project_id,
        score_id=exchange.services.new_id(),
        time=exchange.started,
        name=feedback.name.strip() or _name_for(feedback),
        value=value,
        label=feedback.label,
        comment=feedback.comment,
        correction=feedback.correction,
        source="user",
        author=exchange.caller.user if exchange.key.publishable else feedback.user,
        trace_id=_hex_id(feedback.trace_id, "trace_id", _TRACE_ID),
        span_id=_hex_id(feedback.span_id, "span_id", _SPAN_ID),
        session_id=feedback.session_id,
        attributes=dict(feedback.metadata),
    )
    exchange.services.record(score)
    answer: dict[str, Any] = {"score_id": score.score_id, "name": score.name, "trace_id": score.trace_id}
    if value == 1 and isinstance(feedback.value, (bool, str)):
        await count_thumb(exchange, feedback.user, score.trace_id or score.session_id)
    await respond(exchange.send, 202, msgspec.json.encode(answer), headers)


def _decoded(body: bytes) -> Feedback:
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            f"The feedback can't be read: {error}.",
            'Send JSON such as {"trace_id": "…", "value": true, "comment": "…"}; the fields are trace_id, span_id, '
            "session_id, name, value, label, comment, correction, user, metadata.",
            code="invalid_feedback",
        ) from error


def _value(value: bool | float | str | None) -> float | None:  # noqa: FBT001 - a thumb is a boolean
    if isinstance(value, str):
        if value not in _THUMBS:
            raise InvalidRequest(
                f"The feedback's value is {value!r}.",
                'Send true or false, "up" or "down", or a number; put words into `label`.',
                code="invalid_feedback",
                param="value",
            )
        return _THUMBS[value]
    if value is None:
        return None
    number = float(value)
    if not math.isfinite(number):
        raise InvalidRequest("The feedback's value is not finite.", "Send a number.", param="value")
    return number


def _check(feedback: Feedback, value: float | None) -> None:
    if not (feedback.trace_id or feedback.session_id):
        raise InvalidRequest(
            "The feedback names neither a trace nor a session.",
            "Send the answer's `x-ratchet-trace-id` header as trace_id, or your own session_id.",
            code="invalid_feedback",
            param="trace_id",
        )
    if value is None and not (feedback.label or feedback.comment or feedback.correction):
        raise InvalidRequest(
            "The feedback says nothing.",
            "Send at least one of value, label, comment and correction.",
            code="invalid_feedback",
            param="value",
        )


def _name_for(feedback: Feedback) -> str:
    if isinstance(feedback.value, (bool, str)):
        return "thumbs"
    return "rating" if feedback.value is not None else "feedback"


def _hex_id(text: str, name: str, form: re.Pattern[str]) -> str:
    lowered = text.lower().replace("-", "")
    if lowered and not form.fullmatch(lowered):
        raise InvalidRequest(
            f"The feedback's {name} is {text!r}.",
            f"Send {'32' if form is _TRACE_ID else '16'} hex digits, as in the x-ratchet-trace-id header.",
            code="invalid_feedback",
            param=name,
        )
    return lowered
