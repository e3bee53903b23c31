"""What is written down of an exchange."""

from __future__ import annotations

from collections.abc import Iterator

from ratchet.dialects.dialect import Dialect
from ratchet.domain.runs import PRODUCTION, RUN_HEADER, RunTag
from ratchet.errors import RatchetError, UpstreamRefused
from ratchet.gateway.exchange import Exchange
from ratchet.telemetry.calls import Call, LostAttempt

__all__ = ["call_of", "error_content"]


def call_of(exchange: Exchange) -> Call:
    """What the spool keeps of an exchange, which has a key. Context comes from the standard fields of the body."""
    key, head, route, target, error = (
        exchange.key,
        exchange.head,
        exchange.route,
        exchange.target,
        exchange.error,
    )
    assert key is not None  # noqa: S101 - only authenticated requests are recorded
    metadata = _metadata(exchange)
    runs = RUN_HEADER in exchange.headers and not key.publishable  # a browser asks for itself
    asked_by = RunTag.read(exchange.headers.get(RUN_HEADER)) if runs else PRODUCTION
    keep = exchange.snapshot.keep_content
    return Call(
        project_id=key.project_id,
        key_id=key.id,
        trace_id=exchange.trace_id,
        span_id=exchange.span_id,
        parent_id=exchange.parent_id,
        start=exchange.started,
        duration=exchange.elapsed(),
        dialect=exchange.dialect.name,
        operation=exchange.dialect.operation,
        route=route.name if route else "",
        target=target.name if target else "",
        provider=target.provider.label if target else "",
        request_model=_asked_model(exchange),
        response_model=exchange.response_model,
        response_id=exchange.response_id,
        stream=bool(head and head.stream),
        status="error" if error is not None else "ok",
        error_type=error.reason if error is not None else "",
        error_message=(str(error) if keep else error.title) if error is not None else "",
        http_status=error.status if error is not None and not exchange.streaming else exchange.status,
        time_to_first_token=exchange.first_token,
        usage=exchange.usage,
        cost=None if exchange.cost is None else f"{exchange.cost:f}",
        finish_reasons=exchange.finish_reasons,
        user_id=exchange.caller.user,
        organisation_id=exchange.caller.organisation,
        segment=exchange.segment,
        session_id=exchange.caller.session,
        tags=[tag for part in metadata.get("tags", "").split(",") if (tag := part.strip())],
        app_version=metadata.get("app_version", ""),
        language=metadata.get("language", ""),
        metadata=metadata,
        request=exchange.body if keep else b"",
        response=_answered(exchange) if keep else b"",
        attempt=exchange.attempt,
        variables=exchange.variables if keep else b"",
        cache_status=exchange.cache_status,
        notes=exchange.notes or {},
        **_asked_prompt(exchange),
        run_id=asked_by.run_id,
        candidate=asked_by.candidate,
        case_id=asked_by.case_id,
        repeat=asked_by.repeat,
        attempts=[] if len(exchange.attempts) < 2 else list(_lost(exchange)),
    )


def _metadata(exchange: Exchange) -> dict[str, str]:
    """What the app said, and the address as blocks and limits know it, however the app writes it."""
    key, head = exchange.key, exchange.head
    said: dict[str, str] = dict(head.metadata or {}) if head else {}
    if "client_ip" in said and exchange.caller.ip and key is not None and not key.publishable:
        said["client_ip"] = exchange.caller.ip
    return said


def _asked_prompt(exchange: Exchange) -> dict[str, str]:
    prompt = exchange.prompt
    if prompt is None:
        return {}
    return {"prompt": prompt.prompt, "prompt_version": str(prompt.number), "release": prompt.release}


def _lost(exchange: Exchange) -> Iterator[LostAttempt]:
    """The attempts that were not the answer."""
    for attempt in exchange.attempts:
        failed = attempt.failed
        if attempt.number == exchange.attempt or failed is None:
            continue
        yield LostAttempt(
            number=attempt.number,
            target=attempt.target.name,
            provider=attempt.target.provider.label,
            failure=failed.failure.value,
            message=str(failed.error) if exchange.snapshot.keep_content else failed.error.title,
            http_status=attempt.status,
            start=exchange.started + attempt.began,
            duration=attempt.ended - attempt.began,
            time_to_first_token=attempt.first_token,
            cost=None if attempt.cost is None else f"{attempt.cost:f}",
            span_id=exchange.services.new_span_id(),
        )


def _answered(exchange: Exchange) -> bytes:
    content = b"".join(exchange.content)
    if exchange.error is not None and not content:
        return error_content(exchange.error, exchange.dialect)
    return content


def _asked_model(exchange: Exchange) -> str:
    """The provider's name for it; of a call that reached none, what the app asked for."""
    if exchange.target is not None:
        return exchange.target.model
    return exchange.head.model if exchange.head is not None else ""


def error_content(error: RatchetError, dialect: Dialect) -> bytes:
    """The body an app gets: the provider's own words, where there are some that may be shown."""
    return (isinstance(error, UpstreamRefused) and error.body) or dialect.error_body(error)
