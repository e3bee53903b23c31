"""Proof of work for publishable keys: a challenge, its solution (once), and the pass that stands for it for a while.

The challenge is ALTCHA's, version 2 (https://altcha.org/docs/v2/proof-of-work-captcha): PBKDF2 with SHA-256 in its
deterministic mode. The gateway derives a key from a counter that it keeps to itself; whoever solves it tries counters
from 0 on. Issuing costs one derivation, checking one HMAC, and the work grows with the counter, not with ours.

A pass is bound to the key, the page and the address: elsewhere it counts nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import secrets
from typing import Any, Literal, cast

import altcha
import msgspec

from ratchet.domain.access import Key

__all__ = [
    "Bound",
    "Pass",
    "Payload",
    "bound_to",
    "issue",
    "open_pass",
    "read_payload",
    "seal_pass",
    "solved",
]

_ALGORITHM = "PBKDF2/SHA-256"
_COST = 1_000  # iterations of one derivation: 0.3 ms
_TRIES = 200  # that the usual work takes on average, about 0.15 s in a browser
_LIFETIME = 300  # seconds that there are to solve one
_MOST = 8_192  # bytes of a solution


class Bound(msgspec.Struct, frozen=True, gc=False):
    """Whom a challenge was given to: a user whom a server named, or whoever is at `source`."""

    user: str = ""
    organisation: str = ""
    source: str = ""


class Payload(msgspec.Struct, frozen=True):
    """A challenge and its solution, as a browser sends them, not yet checked."""

    payload: altcha.Payload
    bound: Bound
    nonce: str
    expires: int  # seconds since the epoch


class Pass(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a solved challenge is worth."""

    expires: int  # nanoseconds since the epoch
    user: str
    organisation: str


def issue(key: Key, bound: Bound, *, work: float, now: int) -> dict[str, Any]:
    """A challenge as JSON, `work` times the usual. `now` is in nanoseconds since the epoch."""
    tries = _TRIES * work
    low = math.floor(tries / 2)
    counter = low + secrets.randbelow(max(1, math.ceil(tries)))
    challenge = altcha.create_challenge(
        _ALGORITHM,
        _COST,
        counter=counter,
        expires_at=now // 10**9 + _LIFETIME,
        data=msgspec.to_builtins(bound),
        hmac_secret=_secret(key, "challenge"),
        hmac_key_secret=_secret(key, "derived"),
    )
    return cast("dict[str, Any]", challenge.to_dict())


def read_payload(text: bytes) -> Payload | None:
    """What the header `x-altcha` holds, not yet checked; None where it is none of ours."""
    if len(text) > _MOST:
        return None
    try:
        payload = altcha.Payload.from_base64(text.decode("ascii"))
        parameters = payload.challenge.parameters
        bound = msgspec.convert(parameters.data, Bound)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    nonce, expires = parameters.nonce, parameters.expires_at
    if not isinstance(nonce, str) or not isinstance(expires, int):  # pyright: ignore[reportUnnecessaryIsInstance] - of a browser
        return None
    return Payload(payload, bound, nonce, expires)


def solved(key: Key, payload: Payload, *, source: str) -> Literal["", "expired", "elsewhere", "wrong"]:
    """ "" where the challenge was `key`'s, was given to whoever is at `source`, and is solved; otherwise why not."""
    result = altcha.verify_solution(
        payload.payload, _secret(key, "challenge"), hmac_key_secret=_secret(key, "derived")
    )
    if result.expired:
        return "expired"
    if not result.verified:
        return "wrong"
    return "" if bound_to(payload.bound, source) else "elsewhere"


def bound_to(bound: Bound, source: str) -> bool:
    """Whether what was bound so counts at `source`. A server that names a user needn't know where they are."""
    return bound.source == source or (not bound.source and bool(bound.user))


def seal_pass(key: Key, given: Pass, *, origin: bytes, source: str) -> bytes:
    """A pass for the header `x-ratchet-pass`."""
    body = msgspec.msgpack.encode(given)
    return base64.urlsafe_b64encode(_seal(key, body, origin, source) + body).rstrip(b"=")


def open_pass(key: Key, text: bytes, *, origin: bytes, source: str, now: int) -> Pass | None:
    """What a pass says; None where it is none of ours, is another place's, or has expired."""
    if len(text) > _MOST:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except ValueError:
        return None
    seal, body = raw[:32], raw[32:]
    if not hmac.compare_digest(seal, _seal(key, body, origin, source)):
        return None
    found = msgspec.msgpack.decode(body, type=Pass)
    return found if found.expires > now else None


def _seal(key: Key, body: bytes, origin: bytes, source: str) -> bytes:
    said = b"\0".join((key.id.encode(), origin, source.encode(), body))
    return hmac.digest(_secret(key, "pass"), said, "sha256")


def _secret(key: Key, purpose: str) -> bytes:
    """One secret for each purpose, so that nothing sealed for one passes for another."""
    return hashlib.sha256(f"{purpose}\0{key.signing_secret}".encode()).digest()
