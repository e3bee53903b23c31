"""Looking somebody up: how far they are trusted and why, what has been decided about them, and which limits hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from ratchet.domain.access import Key, Role
from ratchet.domain.spans import Event
from ratchet.domain.standings import KINDS, Standing, SubjectKind, checked_subject
from ratchet.gateway.caller import Caller
from ratchet.gateway.identity import source_of
from ratchet.gateway.limits.networks import Networks
from ratchet.gateway.limits.settings import LimitSettings
from ratchet.gateway.loading.merging import Merged
from ratchet.gateway.standing.standings import Standings
from ratchet.gateway.trust.core import Level, level_of, scale_of
from ratchet.gateway.trust.settings import SegmentSettings
from ratchet.store.records.keys import list_keys
from ratchet.store.records.standings import live_standings
from ratchet.store.spans import Sighting
from ratchet.studio.description import Parameter
from ratchet.studio.guarding import allowances, only_of
from ratchet.studio.services import Visit

__all__ = ["CALLER_QUERY", "LOOKED_BACK", "CallerView", "Holding", "look_up"]

LOOKED_BACK = 30  # days
_DAY = 86_400 * 10**9
_EVENTS = 50
_WHY = (
    "trust.changed",
    "trust.told",
    "abuse.suspected",
    "limit.hit",
    "caller.blocked",
    "budget.warning",
    "budget.short",
    "budget.exhausted",
    "budget.degraded",
)
CALLER_QUERY = (
    Parameter("kind", "Who is looked up: what kind of caller.", {"type": "string", "enum": list(KINDS)}),
    Parameter("name", "Their name, as apps say it; an address; a key's name or id."),
)


class Holding(msgspec.Struct, frozen=True):
    """One limit that holds for somebody: what it allows as it is written, and what it comes to for them."""

    name: str
    by: list[str]
    only: list[tuple[str, list[str]]]
    allows: list[str]
    allows_now: list[str]


class CallerView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody, as gateways have seen them in the last 30 days.

    `trust` is the last that a call of theirs told, from 0 to 1, `level` the word for it; None where none told any.
    `standing` is the decision that holds for a call like their last one, whomever it is about; None too for those who
    may not see what is decided. `scale` is what their limits are multiplied with; None where it depends on the user.
    """

    kind: str
    name: str
    seen: Sighting | None
    trust: float | None
    level: Level | None
    segment: str
    standing: Standing | None
    scale: float | None
    limits: list[Holding]
    events: list[Event]


def look_up(asked: Visit, merged: Merged, kind: str, name: str) -> CallerView:
    """Raises InvalidRequest for what nobody can be called, and Unavailable where the span store can't answer."""
    whom, name = checked_subject(kind, name)
    services, project = asked.services, asked.project_id
    since = services.now() - LOOKED_BACK * _DAY
    keys = {key.id: key for key in list_keys(services.records, project_id=project)}
    own_key = next((key for key in keys.values() if whom == "key" and name in (key.name, key.id)), None)
    seen = services.spans().sighting(project, whom, own_key.id if own_key else name, since=since)
    key = own_key or (keys.get(seen.key_id) if seen is not None else None)
    caller = _caller(whom, name, seen)
    standing = None
    if asked.member.role >= Role.DEVELOPER:
        standing = _standing(asked, key, caller, whom, name)
    names = {name, source_of(name)} if whom == "ip" else {name, own_key.name if own_key else name}
    if standing is not None and standing.kind == whom:
        names.add(standing.name)  # a network that the address is in
    segment = seen.segment if seen is not None and whom == "user" else ""
    trust = seen.trust if seen is not None and whom == "user" else None
    scale = _scale(merged, segment, trust, standing) if whom == "user" else None
    facts = _facts(whom, name, seen, key)
    return CallerView(
        kind=whom,
        name=name,
        seen=seen,
        trust=trust,
        level=None if trust is None else level_of(trust),
        segment=segment,
        standing=standing,
        scale=scale,
        limits=[
            _holding(each, settings, scale)
            for each, settings in sorted(merged.limits.items())
            if _may_hold(settings, facts)
        ],
        events=services.spans().events_about(
            project, kind=whom, names=sorted(names), kinds=_WHY, since=since, limit=_EVENTS
        ),
    )


def _caller(kind: SubjectKind, name: str, seen: Sighting | None) -> Caller:
    """A user as their last call said; of others only what they were looked up by, since many calls share it."""
    if kind == "user" and seen is not None:
        return Caller(user=name, organisation=seen.organisation, ip=seen.ip, fingerprint=seen.fingerprint)
    return Caller() if kind == "key" else Caller(**{kind: name})


def _standing(asked: Visit, key: Key | None, caller: Caller, kind: str, name: str) -> Standing | None:
    now, project = asked.services.now(), asked.project_id
    live = [each for each in live_standings(asked.services.records, now=now) if each.project_id == project]
    stand_in = key or Key(
        id="", project_id=project, name="", prefix="", secret_hash="", routes=[], created=0, created_by=""
    )
    # A network is no address that anybody has, and a key may be decided about before there is one of its name.
    own = next((each for each in live if (each.kind, each.name) == (kind, name)), None)
    return Standings(live).of(stand_in, caller, now) or own


def _scale(merged: Merged, segment: str, trust: float | None, standing: Standing | None) -> float:
    """As `TrustPolicy.place` and `standing_step` do. Where no segment is declared, only what is decided counts."""
    scale = standing.factor if standing is not None else 1.0
    settings = merged.segments.get(segment)
    if settings is None and trust is None:
        return scale
    least, most = (settings or SegmentSettings()).scale
    if trust is None or (standing is not None and standing.action == "allow"):
        return scale * most
    return scale * scale_of(trust, least, most)


def _facts(kind: SubjectKind, name: str, seen: Sighting | None, key: Key | None) -> Mapping[str, set[str]]:
    """What is known of their calls, by the limits' lists; what is not there may be anything."""
    named: dict[str, set[str]] = {}
    if kind == "user" and seen is not None:
        named = {
            "organisations": {seen.organisation},
            "ips": {seen.ip},
            "segments": {seen.segment},
        }
    if key is not None and kind in ("user", "key"):
        named["keys"] = {key.id, key.name}
    match kind:
        case "user":
            named["users"] = {name}
        case "organisation":
            named["organisations"] = {name}
        case "ip":
            named["ips"] = {name}
        case "key":
            named.setdefault("keys", {name})
        case "fingerprint":
            pass  # no limit names devices
    return named


def _may_hold(settings: LimitSettings, facts: Mapping[str, set[str]]) -> bool:
    for field, known in facts.items():
        listed = cast("list[str] | None", getattr(settings, field))
        if listed is None:
            continue
        if not (any(map(Networks(listed).meets, known)) if field == "ips" else known & set(listed)):
            return False
    return True


def _holding(name: str, settings: LimitSettings, scale: float | None) -> Holding:
    return Holding(
        name=name,
        by=list(settings.by),
        only=only_of(settings),
        allows=allowances(settings),
        allows_now=[] if scale is None else allowances(settings, scale),
    )
