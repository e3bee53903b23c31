"""Publishable keys' callers show that they have done some work: the step that asks for it, and `/v1/challenge`."""

from __future__ import annotations

import math
from urllib.parse import parse_qs

import msgspec

from ratchet.domain.access import Key
from ratchet.errors import Forbidden, InvalidRequest, NotFound, RateLimited
from ratchet.gateway.asgi import respond
from ratchet.gateway.caller import Caller
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.identity import seen_caller, source_of
from ratchet.gateway.snapshot import Step
from ratchet.gateway.standing.challenge import (
    Bound,
    Pass,
    Payload,
    issue,
    open_pass,
    read_payload,
    seal_pass,
    solved,
)
from ratchet.gateway.trust.book import Subject
from ratchet.gateway.trust.core import work_of

__all__ = ["PASS", "SOLUTION", "proof_step", "take_challenge"]

SOLUTION, PASS = b"x-altcha", b"x-ratchet-pass"
_SECOND = 10**9
_LIMIT = "GET /v1/challenge"  # as pages name it; no limit that is declared can be called so
_GRACE = 60 * _SECOND  # that a solution is remembered after it would have expired
_WHERE = (
    "GET /v1/challenge with the same key gives one; solve it and send the solution in the header `x-altcha`."
)


def proof_step(solved_for: int) -> Step:
    """The step that lets a publishable key's caller through who has solved a challenge in the last `solved_for` ns."""

    async def prove(exchange: Exchange) -> None:
        key, headers = exchange.key, exchange.headers
        assert key is not None  # noqa: S101 - `authenticate` has set it
        if not key.publishable:
            return
        origin, source = headers.get(b"origin", b""), source_of(exchange.caller.ip)
        shown = headers.get(PASS)
        if shown is not None:
            given = open_pass(key, shown, origin=origin, source=source, now=exchange.started)
            if given is not None:
                _become(exchange, given.user, given.organisation)
                return
        solution = headers.get(SOLUTION)
        if solution is None:
            what = "The pass has expired, or was given elsewhere." if shown else "The request shows no work."
            raise Forbidden(what, _WHERE, code="challenge_required")
        payload = read_payload(solution)
        await _check(exchange, key, payload, source)
        assert payload is not None  # noqa: S101 - `_check` has seen to it
        user, organisation = payload.bound.user, payload.bound.organisation
        _become(exchange, user, organisation)
        # Whoever has solved it stays who they are: a browser can change its headers with each request.
        fresh = Pass(exchange.started + solved_for, exchange.caller.user, organisation)
        exchange.told.append((PASS, seal_pass(key, fresh, origin=origin, source=source)))
        subject = Subject(key.project_id, "user", exchange.caller.user)
        exchange.services.trust.note(subject, "solved", half_life=exchange.snapshot.trust_half_life)

    return prove


async def _check(exchange: Exchange, key: Key, payload: Payload | None, source: str) -> None:
    """Raises Forbidden unless `payload` is solved, and sent for the first time; Unavailable where nobody can tell."""
    wrong = "wrong" if payload is None else solved(key, payload, source=source)
    if wrong == "expired":
        raise Forbidden("The challenge has expired.", _WHERE, code="challenge_required")
    if wrong or payload is None:
        where = " here" if wrong == "elsewhere" else ""
        raise Forbidden(
            f"The solution is not one of a challenge that was given{where}.", _WHERE, code="challenge_failed"
        )
    left = max(0, payload.expires * _SECOND - exchange.started) + _GRACE
    if not await exchange.services.counters.claim(f"challenge:{key.id}:{payload.nonce}", keep=left):
        raise Forbidden(
            "The solution has been used.",
            f"It counts once: the answer to its first request has a pass in the header `x-ratchet-pass`. {_WHERE}",
            code="challenge_used",
        )


def _become(exchange: Exchange, user: str, organisation: str) -> None:
    """The user whom a server named when it fetched the challenge, or who solved it."""
    if user:
        exchange.caller = msgspec.structs.replace(exchange.caller, user=user, organisation=organisation)


async def take_challenge(exchange: Exchange) -> None:
    """A challenge: for whoever asks with a publishable key, or, for a server, for the user it names."""
    assert exchange.key is not None  # noqa: S101 - authenticated before
    if exchange.key.publishable:
        key = exchange.key
        trusted = exchange.snapshot.trusted_proxies
        exchange.caller = seen_caller(exchange.scope, exchange.headers, trusted)
        bound = Bound(source=source_of(exchange.caller.ip))
    else:
        key, bound = _named(exchange)
        exchange.caller = Caller(user=bound.user, organisation=bound.organisation)
    if exchange.snapshot.stand is not None:
        await exchange.snapshot.stand(exchange)
    if exchange.key.publishable:
        _pace(exchange, bound.source)
    if exchange.snapshot.look is not None:
        await exchange.snapshot.look(exchange)
    work = 1.0 if exchange.trust is None else work_of(exchange.trust)
    content = msgspec.json.encode(issue(key, bound, work=work, now=exchange.started))
    headers = [
        (b"x-ratchet-trace-id", exchange.trace_id.encode()),
        (b"cache-control", b"no-store"),
        *exchange.told,
    ]
    await respond(exchange.send, 200, content, headers)


def _pace(exchange: Exchange, source: str) -> None:
    """Each challenge costs the gateway something before anybody has shown any work. Raises RateLimited."""
    services = exchange.services
    wait = services.challenges.wait(source, services.clock(), exchange.scale) / _SECOND
    if not wait:
        return
    message = f"The address {source} has asked for too many challenges: one each second, and 60 at once."
    assert exchange.key is not None  # noqa: S101 - authenticated before
    services.notices.tell(
        "limit.hit",
        f"{_LIMIT}: ip {source!r}",
        message,
        project_id=exchange.key.project_id,
        attributes={"limit": _LIMIT, "unit": "requests", "ip": source},
    )
    raise RateLimited(
        message,
        f"Ask again in {max(1, math.ceil(wait))} s; a solved challenge counts for a while.",
        retry_after=wait,
        code="challenge_limited",
    )


def _named(exchange: Exchange) -> tuple[Key, Bound]:
    """What a server's query says. Raises InvalidRequest, NotFound."""
    asked = parse_qs(exchange.scope.get("query_string", b"").decode("latin-1"))
    name, user = "".join(asked.get("key", [])[:1]), "".join(asked.get("user", [])[:1])
    for said, field in ((name, "key"), (user, "user")):
        if not said or len(said) > 300:
            raise InvalidRequest(
                f"A server's challenge is for a user, and the query names no {field}.",
                "Ask for /v1/challenge?key=NAME&user=ID, with the name of the publishable key.",
                code="missing_required_parameter",
                param=field,
            )
    assert exchange.key is not None  # noqa: S101 - authenticated before
    project = exchange.key.project_id
    for key in exchange.snapshot.keys.values():
        if key.publishable and key.name == name and key.project_id == project:
            return key, Bound(user=user, organisation="".join(asked.get("organisation", [])[:1])[:300])
    raise NotFound(
        f"There is no publishable key {name!r}.",
        "`ratchet key list` shows the keys there are.",
        code="key_not_found",
        param="key",
    )
