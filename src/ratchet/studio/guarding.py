"""Who is limited, trusted or blocked, and why: what gateways tell of callers, and what members have decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ratchet.domain.access import Role
from ratchet.domain.standings import Standing
from ratchet.errors import InvalidRequest
from ratchet.gateway.expecting import DOLLAR
from ratchet.gateway.limits.rates import counted_rate, money_rate
from ratchet.gateway.limits.settings import LimitSettings
from ratchet.store.records.standings import list_standings
from ratchet.store.spans import Happening
from ratchet.studio.description import Parameter
from ratchet.studio.services import Visit

__all__ = [
    "CALLERS_QUERY",
    "RANGES",
    "Callers",
    "Hit",
    "LimitRow",
    "allowances",
    "callers_of",
    "limit_rows",
    "only_of",
]

_HOUR = 3600 * 10**9
RANGES = {"1h": _HOUR, "24h": 24 * _HOUR, "7d": 7 * 24 * _HOUR, "30d": 30 * 24 * _HOUR}
_DEFAULT_RANGE = "24h"
CALLERS_QUERY = (
    Parameter(
        "range",
        "The last stretch of time.",
        {"type": "string", "enum": ["", *RANGES], "default": _DEFAULT_RANGE},
    ),
)
# What a limit tells callers apart by, and a member can decide about. The narrowest stands first.
_DECIDED = ("user", "ip", "organisation", "key")
_LISTS = {
    "keys": "key",
    "users": "user",
    "organisations": "organisation",
    "ips": "address",
    "routes": "route",
    "segments": "segment",
}


class Hit(msgspec.Struct, frozen=True):
    """Somebody who is limited, suspected, blocked, or trusted otherwise than before.

    `kind` and `name` are whom a member can decide about; "" where it is nobody in particular. `standing` is the
    decision that is in force about just them.
    """

    happening: Happening
    kind: str
    name: str
    standing: Standing | None


class Callers(msgspec.Struct, frozen=True):
    """What was told since `since`, each subject once, the newest first; and every standing, those that have ended
    too, for those who may decide."""

    since: int
    limited: list[Hit]
    trust: list[Hit]
    told: list[Hit]
    sources: list[Hit]
    blocked: list[Hit]
    standings: list[Standing]


class LimitRow(msgspec.Struct, frozen=True):
    """One limit, and how often it was hit, by how many."""

    name: str
    by: list[str]
    only: list[tuple[str, list[str]]]
    allows: list[str]
    hits: int
    callers: int
    last: int | None


def callers_of(asked: Visit) -> Callers:
    """In the time that the address names. Raises InvalidRequest, and Unavailable where the span store can't answer."""
    chosen = asked.request.query_params.get("range", "").strip() or _DEFAULT_RANGE
    if chosen not in RANGES:
        raise InvalidRequest(f"range is {chosen!r}.", f"It is one of {', '.join(RANGES)}.", param="range")
    now = asked.services.now()
    since = now - RANGES[chosen]
    # What is decided about whom is shown to those who decide.
    decides = asked.member.role >= Role.DEVELOPER
    standings = list_standings(asked.services.records, project_id=asked.project_id) if decides else []
    live = {(each.kind, each.name): each for each in standings if each.until is None or each.until > now}
    store = asked.services.spans()

    def told(*kinds: str) -> list[Hit]:
        found = store.happenings(asked.project_id, kinds=kinds, since=since)
        return [_hit(each, live) for each in found]

    return Callers(
        since=since,
        limited=told("limit.hit"),
        trust=told("trust.changed"),
        told=told("trust.told"),
        sources=told("abuse.suspected"),
        blocked=told("caller.blocked"),
        standings=standings,
    )


def _hit(happening: Happening, live: Mapping[tuple[str, str], Standing]) -> Hit:
    kind, name = _whom(happening)
    return Hit(happening, kind, name, live.get((kind, name)))  # type: ignore[arg-type]  # any text may be asked for


def _whom(happening: Happening) -> tuple[str, str]:
    attributes = happening.attributes
    match happening.kind:
        case "limit.hit":
            return next(((kind, attributes[kind]) for kind in _DECIDED if attributes.get(kind)), ("", ""))
        case "abuse.suspected":
            return attributes.get("source", ""), happening.subject
        case "caller.blocked":
            return attributes.get("subject", ""), happening.subject
        case _:
            return "user", happening.subject


def limit_rows(limits: Mapping[str, LimitSettings], limited: Sequence[Hit]) -> list[LimitRow]:
    """By name."""
    rows: list[LimitRow] = []
    for name, settings in sorted(limits.items()):
        hits = [each.happening for each in limited if each.happening.attributes.get("limit") == name]
        rows.append(
            LimitRow(
                name=name,
                by=list(settings.by),
                only=only_of(settings),
                allows=allowances(settings),
                hits=sum(each.count for each in hits),
                callers=len(hits),
                last=max((each.last for each in hits), default=None),
            )
        )
    return rows


def only_of(settings: LimitSettings) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for field, kind in _LISTS.items():
        listed: list[str] | None = getattr(settings, field)
        if listed is not None:
            found.append((kind, list(listed)))
    return found


def allowances(settings: LimitSettings, scale: float = 1.0) -> list[str]:
    """What it allows somebody whose limits are multiplied with `scale`, in words: `20 requests/minute`."""
    found: list[str] = []
    for unit, text in (("requests", settings.requests), ("tokens", settings.tokens)):
        if text:
            amount, _, rest = text.partition("/")
            if scale != 1.0:
                rate = counted_rate(text)
                amount = _scaled(rate.amount * scale)
                rest = rate.text.partition("/")[2]
                rest += f" burst {_scaled(rate.burst * scale)}" if rate.burst != rate.amount else ""
            found.append(f"{amount.strip()} {unit}/{rest.strip()}")
    if settings.cost:
        rate = money_rate(settings.cost)
        dollars = f"{rate.amount * scale / DOLLAR:.4g}/{rate.text.partition('/')[2]}"
        found.append(f"${settings.cost if scale == 1.0 else dollars}")
    if settings.concurrency:
        found.append(f"{max(1, int(settings.concurrency * scale)):,} at once")
    return found


def _scaled(amount: float) -> str:
    return f"{int(amount):,}" if amount >= 10 else f"{amount:.2g}"
