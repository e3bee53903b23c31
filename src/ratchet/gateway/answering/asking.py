"""Asking one target once: from the request's bytes to an answer that can be passed on, or the reason why there is none."""

from __future__ import annotations

import asyncio
import math

from ratchet.dialects.decoding import is_text
from ratchet.dialects.dialect import AnswerHead, Dialect
from ratchet.domain.generation import ChoiceEnded, PartStarted
from ratchet.domain.messages import RefusalPart, TextPart
from ratchet.errors import (
    InvalidRequest,
    RatchetError,
    UpstreamError,
    UpstreamFailed,
    UpstreamRefused,
    UpstreamTimeout,
)
from ratchet.gateway.answering.waiting import told_delay
from ratchet.gateway.attempt import Attempt, Failed, Stalled
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.snapshot import Target
from ratchet.gateway.upstream.connection import Answer, ConnectionBroken, ConnectionSlow
from ratchet.gateway.upstream.failures import Failure, failure_of_error, failure_of_status
from ratchet.gateway.upstream.passing import UsageHider, WholeEvents
from ratchet.gateway.upstream.pool import NotAllowed, Unreachable
from ratchet.gateway.upstream.translation import Translation

__all__ = [
    "EVENT_STREAM",
    "ask",
    "broken_stream",
    "connection_failure",
    "transport_failure",
    "upstream_error",
]

EVENT_STREAM = b"text/event-stream; charset=utf-8"
# What a provider may say to an app beside its answer.
_PASSED_BACK = (b"x-request-id", b"request-id", b"retry-after", b"retry-after-ms", b"openai-processing-ms")
_WHOLE = (b"application/json", b"text/html")  # what is no stream, whatever was asked for
# Why a model that has nothing more to say ends its answer, as against being cut short, calling or refusing.
_PLAIN_ENDS = frozenset({"stop", "end_turn", "completed"})
_REFUSALS = frozenset({"content_filter", "refusal"})
_FEW_TOKENS = 8  # an answer with more of them is not looked through for being empty


async def ask(exchange: Exchange, attempt: Attempt, due_in: float) -> None:
    """Until the answer is whole, or its stream has come as far as the route wants before any of it goes on.

    `due_in` is what the request has left, in seconds. Raises Failed, and RateLimited where the provider's queue has no
    place: nothing was asked then.
    """
    target, head = attempt.target, exchange.head
    assert head is not None  # noqa: S101 - `read` has set it
    streamed = bool(head.stream)
    body = _request(exchange, attempt, streamed=streamed)
    try:
        if streamed and target.first_token is not None:
            async with asyncio.timeout(target.first_token):
                await _answered(exchange, attempt, body, due_in, streamed=streamed)
        else:
            await _answered(exchange, attempt, body, due_in, streamed=streamed)
    except TimeoutError as error:
        if target.queue is not None and attempt.entered is None:  # the provider knows nothing of it
            raise target.queue.refusal(_priority(exchange)) from None
        raise Failed(
            Failure.SLOW,
            UpstreamTimeout(
                f"{target.name} said nothing within {target.first_token:g} s.",
                f"Try again, or raise first_token_timeout of {_in_route(exchange)}.",
            ),
        ) from error
    except (Unreachable, ConnectionBroken) as error:
        attempt.owed = attempt.owed and not isinstance(error, Unreachable)
        raise transport_failure(error, exchange, attempt) from error


async def _answered(
    exchange: Exchange, attempt: Attempt, body: bytes, due_in: float, *, streamed: bool
) -> None:
    target, wire = attempt.target, attempt.target.provider.wire_for(exchange.dialect)
    queue = target.queue
    if queue is not None and exchange.key is not None:
        began = queue.clock()
        attempt.entered = await queue.enter(exchange.key.id, _priority(exchange), due_in)
        due_in = max(due_in - (attempt.entered - began), 0.001)
    attempt.owed = True
    answer = await target.provider.request(
        wire,
        target.model,
        body,
        exchange.headers,
        stream=streamed,
        credential=attempt.candidate.credential,
        connect_in=target.connect,
        due_in=min(target.total, due_in),
    )
    attempt.upstream = answer
    attempt.status = answer.status
    attempt.headers = [(name, answer.headers[name]) for name in _PASSED_BACK if name in answer.headers]
    declared = answer.headers.get(b"content-type", b"")
    if streamed and answer.status == 200 and not declared.startswith(_WHOLE):
        attempt.content_type = declared or b"application/json"
        await _open_stream(exchange, attempt)
        return
    content = await answer.body()
    attempt.upstream = None
    _judge_whole(exchange, attempt, answer, content)


def _priority(exchange: Exchange) -> int:
    return 1 if exchange.route is None else exchange.route.priority


def _request(exchange: Exchange, attempt: Attempt, *, streamed: bool) -> bytes:
    """What goes upstream: the app's own bytes wherever that can be. Raises Failed."""
    head, provider, dialect, body = exchange.head, attempt.target.provider, exchange.dialect, exchange.body
    assert head is not None  # noqa: S101 - `read` has set it
    try:
        provider.check_credential()
        wire = attempt.wire = provider.wire_for(dialect).dialect
        if wire.name == dialect.name:
            ask_usage = streamed and _asks_for_usage(exchange, attempt.target)
            return dialect.rewrite(body, attempt.target.model, provider.drop_fields, ask_usage)
        if provider.drop_fields:
            body = dialect.rewrite(body, attempt.target.model, provider.drop_fields, False)
        attempt.translation = Translation(dialect, wire, body, began=exchange.started // 10**9)
        return attempt.translation.request(attempt.target.model)
    except InvalidRequest as error:
        unsuitable = error.reason == "not_expressible"
        raise Failed(Failure.UNSUITABLE if unsuitable else Failure.CALLER, error) from error
    except UpstreamError as error:
        raise Failed(Failure.CREDENTIAL, error) from error


async def _open_stream(exchange: Exchange, attempt: Attempt) -> None:
    """Read until there is enough to pass on. Raises Failed where the stream is no good before that."""
    wire, route = attempt.wire, exchange.route
    assert wire is not None  # noqa: S101 - the request was written in it
    assert route is not None  # noqa: S101 - `resolve` has set it
    reader = attempt.reader = wire.stream_head()
    attempt.passing = attempt.translation or (
        UsageHider() if _asks_for_usage(exchange, attempt.target) else WholeEvents()
    )
    if attempt.translation is not None:
        attempt.content_type = EVENT_STREAM
    raw: list[bytes] = []
    while chunk := await attempt.more():
        if route.around_refusals:
            raw.append(chunk)
        passed = attempt.take(chunk, exchange.elapsed())
        if passed:
            attempt.held.append(passed)
        if reader.done or reader.error is not None or reader.malformed:
            break
        if reader.has_content:
            attempt.pieces += chunk.count(b"data:")
            if route.commit and attempt.pieces >= route.commit:
                if route.around_refusals and _refuses(wire, raw):
                    raise _refusal(attempt.target)
                return
    else:
        reader.finish()
    _judge_stream(attempt)
    if route.around_refusals and _refuses(wire, raw):
        raise _refusal(attempt.target)


def _judge_stream(attempt: Attempt) -> None:
    """A stream of which the app has nothing yet, and that has ended or broken."""
    reader = attempt.reader
    assert reader is not None  # noqa: S101 - it is what was read with
    attempt.learn()
    failed = broken_stream(attempt)
    if failed is not None:
        raise failed
    if not reader.has_content and _ends_plainly(reader.finish_reasons):
        raise _empty(attempt.target)


def broken_stream(attempt: Attempt) -> Failed | None:
    """What is wrong with a stream that has come to its end; None where it is whole."""
    reader, name = attempt.reader, attempt.target.name
    assert reader is not None  # noqa: S101 - only streams are asked about
    if reader.error is not None:
        said = _said_in(reader.error) or (attempt.translation.failure if attempt.translation else "")
        failure = failure_of_error(reader.error)
        if failure is Failure.CREDENTIAL:
            return Failed(failure, _credential(attempt.target, "in its stream"))
        message = _sentence(f"{name} sent an error inside its stream{f': {said}' if said else '.'}")
        if failure in (Failure.CALLER, Failure.TOO_LONG, Failure.REFUSED):
            return Failed(failure, UpstreamRefused(message, "", status=400))
        return Failed(failure, UpstreamFailed(message, "Try again in a moment."))
    if reader.malformed:
        return Failed(
            Failure.BROKEN,
            UpstreamFailed(
                f"{name} sent something in its stream that is not JSON.",
                "Try again; what came so far may be incomplete.",
                code="upstream_broken",
            ),
        )
    if not attempt.whole:
        return Failed(
            Failure.BROKEN,
            UpstreamFailed(
                f"{name} ended its stream before the answer was whole.",
                "Try again; what came so far may be incomplete.",
                code="upstream_truncated",
            ),
        )
    return None


def _judge_whole(exchange: Exchange, attempt: Attempt, answer: Answer, content: bytes) -> None:
    """Keep a good answer in the app's dialect. Raises Failed for any other."""
    wire, target, translation = attempt.wire, attempt.target, attempt.translation
    assert wire is not None  # noqa: S101 - the request was written in it
    error = upstream_error(answer.status, content, target, wire, same=translation is None)
    if error is not None:
        raise _turned_down(exchange, attempt, answer, content, error)
    head = wire.answer_head(content)
    if head is None or not is_text(content):
        raise Failed(Failure.BROKEN, _broken(answer.status, content, target))
    attempt.response_id = head.id or ""
    attempt.response_model = head.model or ""
    attempt.service_tier = head.service_tier or ""
    attempt.finish_reasons = head.finish_reasons
    attempt.usage = head.tokens or attempt.usage
    if head.error is not None and not head.finish_reasons:
        said, failure = wire.error_message(content), failure_of_error(head.error)
        if failure is Failure.CREDENTIAL:
            raise Failed(failure, _credential(target, f"status {answer.status}"))
        raise Failed(
            failure,
            UpstreamFailed(
                _sentence(f"{target.name} answered with an error{f': {said}' if said else '.'}"),
                "Try again in a moment.",
            ),
        )
    _keep(exchange, attempt, content, answer.headers.get(b"content-type", b"application/json"))
    if _is_empty(wire, head, content):
        raise _empty(target)
    if exchange.route is not None and exchange.route.around_refusals and _is_refusal(wire, head, content):
        raise _refusal(target)


def _keep(exchange: Exchange, attempt: Attempt, content: bytes, declared: bytes) -> None:
    translation, streamed = attempt.translation, exchange.head is not None and bool(exchange.head.stream)
    if streamed and translation is None:
        # What reads a stream takes a whole answer for an empty one, so a provider that knows no streams gets its
        # answer told as one.
        wire = exchange.dialect
        translation = Translation(wire, wire, exchange.body, began=exchange.started // 10**9)
    if translation is None:
        attempt.content = [content]
        attempt.content_type = declared
    elif streamed:
        attempt.content = [translation.answer_as_stream(content)]
        attempt.content_type = EVENT_STREAM
    else:
        attempt.content = [translation.answer(content)]
        attempt.content_type = b"application/json"


def _turned_down(
    exchange: Exchange, attempt: Attempt, answer: Answer, content: bytes, error: RatchetError
) -> Failed:
    """An answer of a status that is no 2xx, or that is no JSON."""
    attempt.owed = answer.status < 300  # a provider that turns a request down or fails at it asks for nothing
    wire = attempt.wire
    assert wire is not None  # noqa: S101 - the request was written in it
    told = told_delay(answer.headers, exchange.services.now())
    if told is None and wire.retry_after is not None:
        told = wire.retry_after(content)
    if told is not None and b"retry-after" not in answer.headers:
        attempt.headers.append((b"retry-after", b"%d" % math.ceil(told)))
    if 200 <= answer.status < 300:
        return Failed(Failure.BROKEN, error)
    return Failed(failure_of_status(answer.status, content), error, told=told)


def _in_route(exchange: Exchange) -> str:
    return f"the route {exchange.route.name!r}" if exchange.route is not None else "the route"


def _too_slow(error: ConnectionSlow, exchange: Exchange, attempt: Attempt) -> UpstreamTimeout:
    """Which of the timeouts it was, the number as it was set, and where."""
    target, provider, route = attempt.target, attempt.target.provider, exchange.route
    if isinstance(error, Stalled):
        return UpstreamTimeout(
            f"{target.name} fell silent in the middle of its stream: {error}.",
            f"Try again, or raise stall_timeout of {_in_route(exchange)}.",
        )
    now = exchange.elapsed()
    since, taken = (now - exchange.attempts[0].began) / 1e9, (now - attempt.began) / 1e9
    if route is not None and abs(since - route.timeout) < abs(taken - target.total):
        seconds, setting = (
            route.timeout,
            f"timeout of {_in_route(exchange)}, which is for all attempts together",
        )
    elif target.total != provider.timeout:
        seconds, setting = target.total, f"timeout of {target.name} in {_in_route(exchange)}"
    else:
        seconds, setting = target.total, f"timeout of the provider {provider.name!r}"
    return UpstreamTimeout(
        f"{target.name} did not answer in time: not whole within {seconds:g} s.",
        f"Try again, or raise {setting}.",
    )


def transport_failure(error: Exception, exchange: Exchange, attempt: Attempt) -> Failed:
    """What a failure below HTTP means."""
    if isinstance(error, ConnectionSlow):
        return Failed(Failure.SLOW, _too_slow(error, exchange, attempt))
    return connection_failure(error, attempt.target)


def connection_failure(error: Exception, target: Target) -> Failed:
    """The same where no time has run out."""
    if isinstance(error, Unreachable):
        return Failed(
            Failure.FORBIDDEN if isinstance(error, NotAllowed) else Failure.BROKEN,
            UpstreamFailed(
                _sentence(f"{target.name} can't be reached at {target.provider.base_url}: {error}"),
                "Check the provider's base_url and that it is up; `ratchet doctor --call` tries it.",
                code="upstream_unreachable",
            ),
        )
    return Failed(
        Failure.BROKEN,
        UpstreamFailed(
            _sentence(f"{target.name} broke off its answer: {error}"),
            "Try again in a moment.",
            code="upstream_broken",
        ),
    )


def upstream_error(
    status: int, content: bytes, target: Target, wire: Dialect, *, same: bool = True
) -> RatchetError | None:
    """What a whole answer that is no good means for the app; None where it is good. `same`: both speak `wire`.

    | upstream says | the app gets |
    | --- | --- |
    | 2xx and a JSON object | that |
    | 2xx and anything else | 502 `upstream_broken` |
    | 401, 402, 403; 429 of an account that is out of money | 502 `upstream_credentials`: our credential's trouble is not the app's |
    | another 4xx | the same status, and the provider's body where that is JSON of the app's dialect, else its message |
    | 3xx | 502 `upstream_failed`: the provider is elsewhere |
    | 5xx, 1xx | 502 `upstream_failed`, with the provider's message |
    """
    is_object = content.lstrip()[:1] == b"{"
    if 200 <= status < 300:
        return None if is_object else _broken(status, content, target)
    if failure_of_status(status, content) is Failure.CREDENTIAL:
        return _credential(target, f"status {status}{', the account is out of money' * (status == 429)}")
    if 300 <= status < 400:
        return UpstreamFailed(
            f"{target.name} answered with a redirect (status {status}), which is not followed.",
            f"The gateway's operator has to check providers.{target.provider.name}.base_url.",
        )
    said = wire.error_message(content)
    if 400 <= status < 500:
        code = "upstream_rate_limited" if status == 429 else "upstream_refused"
        message = said or f"{target.name} answered with status {status}."
        return UpstreamRefused(
            message,
            "",
            status=status,
            body=content if is_object and same and is_text(content) else b"",
            code=code,
        )
    return UpstreamFailed(
        _sentence(f"{target.name} answered with status {status}" + (f": {said}" if said else ".")),
        "Try again in a moment; if it persists, check the provider's status page.",
        code="upstream_failed",
    )


def _credential(target: Target, where: str) -> UpstreamFailed:
    return UpstreamFailed(
        f"The provider {target.provider.name!r} turned down the gateway's own credential ({where}).",
        "The gateway's operator has to check that provider's api_key, plan and permissions.",
        code="upstream_credentials",
    )


def _sentence(said: str) -> str:
    """With a full stop, where it ends in none: advice follows."""
    said = said.rstrip()
    return said if said.endswith((".", "!", "?", "…")) else f"{said}."


def _broken(status: int, content: bytes, target: Target) -> UpstreamFailed:
    shown = "an empty body" if not content.strip() else f"{_shown(content)!r}"
    wanted = "a JSON object" if is_text(content) else "a JSON object in UTF-8"
    return UpstreamFailed(
        f"{target.name} answered {status} with {shown} instead of {wanted}.",
        "Check the provider's base_url and its status page.",
        code="upstream_broken",
    )


def _shown(content: bytes) -> str:
    return content[:60].decode("utf-8", "replace") + ("…" if len(content) > 60 else "")


def _said_in(error: object) -> str:
    """The sentence in an error object, however this vendor nests it."""
    if isinstance(error, dict):
        said: object = error.get("message")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        return said[:500] if isinstance(said, str) else ""
    return error[:500] if isinstance(error, str) else ""


def _ends_plainly(reasons: list[str]) -> bool:
    return all(reason in _PLAIN_ENDS for reason in reasons)


def _is_empty(wire: Dialect, head: AnswerHead, content: bytes) -> bool:
    """Whether a whole answer says nothing at all: no words, no call, no refusal."""
    if wire.operation != "chat" or not _ends_plainly(head.finish_reasons):
        return False
    tokens = head.tokens
    if tokens is not None and (tokens.output or 0) > _FEW_TOKENS:
        return False
    said = wire.read_answer(content)
    parts = [part for choice in said.choices for part in choice.parts]
    return all(isinstance(part, TextPart) and not part.content for part in parts)


def _empty(target: Target) -> Failed:
    return Failed(
        Failure.EMPTY,
        UpstreamFailed(f"{target.name} gave an empty answer.", "Try again.", code="upstream_empty"),
    )


def _is_refusal(wire: Dialect, head: AnswerHead, content: bytes) -> bool:
    """Whether the model, or its vendor's filter, says that it won't answer."""
    if any(reason in _REFUSALS for reason in head.finish_reasons):
        return True
    said = wire.read_answer(content)
    return any(isinstance(part, RefusalPart) for choice in said.choices for part in choice.parts)


def _refuses(wire: Dialect, stream: list[bytes]) -> bool:
    """The same of the beginning of a stream."""
    events = wire.stream_reader().feed(b"".join(stream))
    return any(
        (isinstance(event, PartStarted) and isinstance(event.part, RefusalPart))
        or (isinstance(event, ChoiceEnded) and event.finish_reason in _REFUSALS)
        for event in events
    )


def _refusal(target: Target) -> Failed:
    return Failed(
        Failure.REFUSED,
        UpstreamRefused(f"{target.name} refused to answer.", "", status=400),
    )


def _asks_for_usage(exchange: Exchange, target: Target) -> bool:
    """Whether the gateway asks for a stream's token counts itself: where the provider is set so, and where tokens or
    money were set aside, which could not be settled without them."""
    if exchange.head is None or exchange.head.wants_usage:
        return False
    return target.provider.ask_stream_usage or exchange.reservation is not None
