"""What apps say of their users: feedback that moves trust."""

from __future__ import annotations

from typing import Any

from ratchet.domain.spans import Event
from ratchet.errors import Forbidden, InvalidRequest, Unavailable
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.trust.book import Subject

__all__ = ["TRUST", "count_thumb", "tell_trust"]

TRUST = "trust"  # the name of feedback about a user
_SIDES = {"up": 1.0, "down": -1.0, True: 1.0, False: -1.0}
_DAY = 86_400 * 10**9


def tell_trust(exchange: Exchange, user: str, value: object, comment: str) -> dict[str, Any]:
    """Take the app's word about `user`, from -1 to 1; what to answer. Raises InvalidRequest, Forbidden, Unavailable."""
    key = exchange.key
    assert key is not None  # noqa: S101 - authenticated before
    if key.publishable:
        raise Forbidden(
            f"The key {key.name!r} is publishable, and can't speak about users.",
            "Tell it from a server, with a key of its own.",
            code="key_not_allowed",
        )
    if not user:
        raise InvalidRequest(
            "Feedback named `trust` is about a user, and names none.",
            "Send the user's id as `user`.",
            code="invalid_feedback",
            param="user",
        )
    number = _SIDES.get(value) if isinstance(value, (str, bool)) else value
    if not isinstance(number, (int, float)) or not -1 <= number <= 1 or number == 0:
        raise InvalidRequest(
            f"Feedback named `trust` has the value {value!r}.",
            "Send a number from -1 to 1 that isn't 0, true or false.",
            code="invalid_feedback",
            param="value",
        )
    services = exchange.services
    services.record(
        Event(
            project_id=key.project_id,
            event_id=services.new_id(),
            time=exchange.started,
            kind="trust.told",
            subject=user,
            message=f"The app speaks {'for' if number > 0 else 'against'} the user {user!r}"
            + (f": {comment}" if comment else "."),
            severity="info" if number > 0 else "warning",
            attributes={"value": f"{number:g}", "key_id": key.id},
        )
    )
    subject = Subject(key.project_id, "user", user)
    event = "praised" if number > 0 else "blamed"
    services.trust.note(subject, event, abs(number), half_life=exchange.snapshot.trust_half_life)
    return {"name": TRUST, "user": user, "value": number}


async def count_thumb(exchange: Exchange, user: str, about: str) -> None:
    """A thumb up speaks for the user that a server names, once for each answer."""
    key, services = exchange.key, exchange.services
    if key is None or key.publishable or not user:
        return
    try:
        first = await services.counters.claim(f"thumb:{key.project_id}:{user}:{about}", keep=_DAY)
    except Unavailable:
        return  # the score is kept all the same
    if first:
        subject = Subject(key.project_id, "user", user)
        services.trust.note(subject, "thumbs_up", half_life=exchange.snapshot.trust_half_life)
