"""An attempt: which target is asked, and what its answer means.

One target is tried. Retries, other targets and circuit breakers belong here, and nowhere else.
"""

from __future__ import annotations

import math

from ratchet.dialects.dialect import Dialect
from ratchet.errors import RatchetError, UpstreamFailed, UpstreamRefused, UpstreamTimeout
from ratchet.gateway.connection import Answer, ConnectionBroken, ConnectionSlow
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.pool import Unreachable
from ratchet.gateway.snapshot import Target
from ratchet.gateway.translation import Translation

__all__ = ["EVENT_STREAM", "attempt", "transport_error", "upstream_error"]

EVENT_STREAM = b"text/event-stream; charset=utf-8"
# What a provider may say to an app beside its answer.
_PASSED_BACK = (b"x-request-id", b"request-id", b"retry-after", b"retry-after-ms", b"openai-processing-ms")
_CREDENTIAL_STATUSES = frozenset({401, 402, 403})


async def attempt(exchange: Exchange) -> None:
    """Ask the route's target and keep what it says: a whole answer in `content`, or an open stream in `upstream`."""
    route, head = exchange.route, exchange.head
    assert route is not None  # noqa: S101 - `resolve` has set both
    assert head is not None  # noqa: S101
    target = exchange.target = route.targets[0]
    provider, stream = target.provider, bool(head.stream)
    provider.check_credential()
    wire = provider.wire_for(exchange.dialect)
    exchange.wire = wire.dialect
    body = _body_for(exchange, target, wire.dialect, stream=stream)
    exchange.owed = True
    try:
        answer = await provider.request(wire, target.model, body, exchange.headers, stream=stream)
        # Whatever happens from here on, the pipeline closes it at its end.
        exchange.upstream = answer
        declared = answer.headers.get(b"content-type", b"")
        if stream and answer.status == 200 and not declared.startswith(b"application/json"):
            _keep_head(exchange, answer)
            return
        content = await answer.body()
    except (Unreachable, ConnectionBroken) as error:
        exchange.owed = not isinstance(error, Unreachable)
        raise transport_error(error, target) from error
    exchange.upstream = None
    _keep_answer(exchange, target, answer, content)


def transport_error(error: Exception, target: Target) -> RatchetError:
    """What a failure below HTTP means."""
    if isinstance(error, ConnectionSlow):
        return UpstreamTimeout(
            f"{target.name} did not answer in time: {error}.",
            f"Try again, or raise providers.{target.provider.name}.timeout in ratchet.toml.",
        )
    if isinstance(error, Unreachable):
        return UpstreamFailed(
            f"{target.name} can't be reached at {target.provider.base_url}: {error}.",
            "Check the provider's base_url and that it is up; `ratchet doctor --call` tries it.",
            code="upstream_unreachable",
        )
    return UpstreamFailed(
        f"{target.name} broke off its answer: {error}.", "Try again in a moment.", code="upstream_broken"
    )


def _keep_answer(exchange: Exchange, target: Target, answer: Answer, content: bytes) -> None:
    wire, translation = exchange.wire, exchange.translation
    assert wire is not None  # noqa: S101 - `attempt` has set it
    error = upstream_error(answer.status, content, target, wire, same=translation is None)
    if error is not None:
        exchange.owed = (
            answer.status < 300
        )  # a provider that turns a request down or fails at it asks for nothing
        exchange.upstream_headers = _passed_back(answer)
        if wire.retry_after is not None and b"retry-after" not in answer.headers:
            exchange.upstream_headers += _told_delay(wire.retry_after(content))
        raise error
    head = wire.answer_head(content)
    if head is None:
        raise _broken(answer.status, content, target)
    _keep_head(exchange, answer)
    exchange.response_id = head.id or ""
    exchange.response_model = head.model or ""
    exchange.service_tier = head.service_tier or ""
    exchange.finish_reasons = head.finish_reasons
    exchange.usage = head.tokens or exchange.usage
    if translation is None:
        exchange.content = [content]
    elif exchange.head is not None and exchange.head.stream:
        exchange.content = [translation.answer_as_stream(content)]
        exchange.content_type = EVENT_STREAM
    else:
        exchange.content = [translation.answer(content)]
        exchange.content_type = b"application/json"


def _keep_head(exchange: Exchange, answer: Answer) -> None:
    exchange.status = answer.status
    exchange.content_type = answer.headers.get(b"content-type", b"application/json")
    exchange.upstream_headers = _passed_back(answer)


def _body_for(exchange: Exchange, target: Target, wire: Dialect, *, stream: bool) -> bytes:
    """What goes upstream: the app's own bytes wherever that can be."""
    head, provider, dialect, body = exchange.head, target.provider, exchange.dialect, exchange.body
    assert head is not None  # noqa: S101 - `read` has set it
    if wire.name == dialect.name:
        ask_usage = stream and provider.ask_stream_usage and not head.wants_usage
        return dialect.rewrite(body, target.model, provider.drop_fields, ask_usage)
    if provider.drop_fields:
        body = dialect.rewrite(body, target.model, provider.drop_fields, False)
    exchange.translation = translation = Translation(dialect, wire, body, began=exchange.started // 10**9)
    return translation.request(target.model)


def _passed_back(answer: Answer) -> list[tuple[bytes, bytes]]:
    return [(name, answer.headers[name]) for name in _PASSED_BACK if name in answer.headers]


def _told_delay(seconds: float | None) -> list[tuple[bytes, bytes]]:
    """A delay that stood in an error's body, in the header that clients look at."""
    return [] if seconds is None else [(b"retry-after", b"%d" % math.ceil(seconds))]


def upstream_error(
    status: int, content: bytes, target: Target, wire: Dialect, *, same: bool = True
) -> RatchetError | None:
    """What a whole answer that is no good means for the app; None where it is good. `same`: both speak `wire`.

    | upstream says | the app gets |
    | --- | --- |
    | 2xx and a JSON object | that |
    | 2xx and anything else | 502 `upstream_broken` |
    | 401, 402, 403 | 502 `upstream_credentials`: our credential's trouble is not the app's |
    | another 4xx | the same status, and the provider's body where that is JSON of the app's dialect, else its message |
    | 5xx, 3xx, 1xx | 502 `upstream_failed`, with the provider's message |
    """
    is_object = content.lstrip()[:1] == b"{"
    if 200 <= status < 300:
        return None if is_object else _broken(status, content, target)
    if status in _CREDENTIAL_STATUSES:
        return UpstreamFailed(
            f"The provider {target.provider.name!r} turned down the gateway's own credential (status {status}).",
            "The gateway's operator has to check that provider's api_key, plan and permissions.",
            code="upstream_credentials",
        )
    said = wire.error_message(content)
    if 400 <= status < 500:
        code = "upstream_rate_limited" if status == 429 else "upstream_refused"
        message = said or f"{target.name} answered with status {status}."
        return UpstreamRefused(
            message, "", status=status, body=content if is_object and same else b"", code=code
        )
    return UpstreamFailed(
        f"{target.name} answered with status {status}" + (f": {said}" if said else "."),
        "Try again in a moment; if it persists, check the provider's status page.",
        code="upstream_failed",
    )


def _broken(status: int, content: bytes, target: Target) -> UpstreamFailed:
    shown = "an empty body" if not content.strip() else f"{_shown(content)!r}"
    return UpstreamFailed(
        f"{target.name} answered {status} with {shown} instead of a JSON object.",
        "Check the provider's base_url and its status page.",
        code="upstream_broken",
    )


def _shown(content: bytes) -> str:
    return content[:60].decode("utf-8", "replace") + ("…" if len(content) > 60 else "")
