"""Trying a route or provider: one real request through the gateway, and what was recorded of it."""

from __future__ import annotations

import time
from decimal import Decimal

import msgspec

from ratchet.errors import InvalidRequest, RatchetError
from ratchet.store.spans import SpanHead
from ratchet.studio.asking_gateway import GatewayLine
from ratchet.studio.declaring import Kind, one_declared
from ratchet.studio.services import Visit

__all__ = ["Tried", "recorded_span", "try_it"]

_RECORDED_WITHIN = 10.0  # seconds: the collector takes about one, and longer for the first call of all
_LONGEST = 20_000


class Tried(msgspec.Struct, frozen=True):
    """What came of it. Durations are nanoseconds; None is unknown. `recorded` says whether figures are the span's."""

    ok: bool
    status: int
    model: str
    answer: str
    error: str
    trace_id: str
    duration: int
    time_to_first_token: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost: Decimal | None
    recorded: bool


def try_it(asked: Visit, kind: Kind, name: str, prompt: str, model: str = "") -> Tried:
    """Send `prompt` to a route, or to `model` of a provider.

    Raises NotFound, InvalidRequest, and Unavailable where no gateway answers.
    """
    one_declared(asked, kind, name)
    if not prompt.strip():
        raise InvalidRequest("The prompt is empty.", "Write something to ask.", param="prompt")
    if len(prompt) > _LONGEST:
        raise InvalidRequest(
            f"The prompt has {len(prompt):,} characters.", f"Use at most {_LONGEST:,}.", param="prompt"
        )
    if kind == "provider":
        model = model.strip()
        if not model or len(model) > 300:
            raise InvalidRequest(
                "The model has no name." if not model else "The model's name is too long.",
                "Give the name that the provider knows it by, such as gpt-4o-mini.",
                param="model",
            )
        name = f"{name}/{model}"
    line: GatewayLine = asked.request.app.state.gateway
    reply = line.ask(asked.services, name, prompt)
    span = recorded_span(asked, reply.trace_id) if reply.trace_id else None
    return Tried(
        ok=not reply.error,
        status=reply.status,
        model=(span and (span.response_model or span.request_model)) or reply.model or name,
        answer=reply.text,
        error=f"{reply.error} {reply.remedy}".strip(),
        trace_id=reply.trace_id,
        duration=span.duration if span else reply.duration,
        time_to_first_token=span.time_to_first_token if span else None,
        input_tokens=span.input_tokens if span else reply.input_tokens,
        output_tokens=span.output_tokens if span else reply.output_tokens,
        cost=span.cost if span else None,
        recorded=span is not None,
    )


def recorded_span(asked: Visit, trace_id: str) -> SpanHead | None:
    """The call's span, once the collector has brought it into the store; None where that takes long."""
    end = time.monotonic() + _RECORDED_WITHIN
    while time.monotonic() < end:
        try:
            tree = asked.services.spans().trace(asked.project_id, trace_id)
        except RatchetError:
            return None
        if tree is not None and tree.spans:
            return tree.spans[0]
        time.sleep(0.1)
    return None
