"""How budgets stand: what has been spent in their period, by whom, and what it comes to if it goes on like this."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from ratchet.domain.access import Key
from ratchet.domain.spans import Event
from ratchet.gateway.budgets.calendar import Calendar, Period
from ratchet.gateway.budgets.settings import BudgetSettings
from ratchet.store.records.keys import list_keys
from ratchet.store.spans import Share
from ratchet.studio import charts, formats
from ratchet.studio.charts import Chart, Hit, Track
from ratchet.studio.services import Visit
from ratchet.studio.traffic import moment

__all__ = ["BudgetShare", "BudgetState", "budget_chart", "budget_states"]

SHARES = 20
_HOUR = 3600 * 10**9
_LISTS = {
    "keys": "key",
    "users": "user",
    "organisations": "organisation",
    "ips": "ip",
    "routes": "route",
    "segments": "segment",
}
_KINDS = ("budget.warning", "budget.short", "budget.exhausted", "budget.degraded")
_SOON = 0.02  # of a period: before that, nobody can say how it goes on
How = Literal["within", "warned", "spent"]


class BudgetShare(msgspec.Struct, frozen=True):
    """One of those who have a budget of their own. `part` is of the amount, 1 for all of it.

    `spent` is what the calls cost that have been written down and whose cost is known; of `unpriced` it is not, so
    with any of them `spent` and `projected` are the least, and `left` is the most, that it can be.
    `projected` is what it comes to at the end of the period if it goes on as since its beginning; `runs_out` is when
    it is spent then. Both None where that can't be said, or is not in this period.
    """

    names: dict[str, str]
    spent: Decimal
    left: Decimal
    part: float
    projected: Decimal | None
    runs_out: int | None
    how: How
    calls: int
    unpriced: int


class BudgetState(msgspec.Struct, frozen=True):
    """One budget in its current period. `shares` has those that spent most of all `count`; of them, `over` have spent
    theirs and `warned` have passed a warning. `pieces` is what was spent in each piece of `piece` nanoseconds."""

    name: str
    origin: str
    by: list[str]
    only: dict[str, list[str]]
    amount: Decimal
    every: str  # day | month
    warn: list[float]
    degrade_to: str
    period: str
    start: int
    end: int
    elapsed: float
    spent: Decimal
    projected: Decimal | None
    calls: int
    unpriced: int
    count: int
    over: int
    warned: int
    shares: list[BudgetShare]
    piece: int
    pieces: list[Decimal]
    events: list[Event]


def budget_states(
    asked: Visit, budgets: Mapping[str, BudgetSettings], origins: Mapping[str, str]
) -> list[BudgetState]:
    """By name. Raises Unavailable where the span store can't answer."""
    if not budgets:
        return []
    now = asked.services.now()
    keys = list_keys(asked.services.records, project_id=asked.project_id)
    since = min(Calendar(each.period).period(now).start for each in budgets.values())
    store = asked.services.spans()
    events = [
        event
        for kind in _KINDS
        for event in store.events(asked.project_id, since=since, kind=kind, limit=500)
    ]
    return [
        _state(asked, name, settings, origins.get(name, "file"), now, keys, events)
        for name, settings in sorted(budgets.items())
    ]


def _state(
    asked: Visit,
    name: str,
    settings: BudgetSettings,
    origin: str,
    now: int,
    keys: Sequence[Key],
    events: Sequence[Event],
) -> BudgetState:
    period = Calendar(settings.period).period(now)
    piece = _HOUR if settings.period == "day" else 24 * _HOUR
    only: dict[str, list[str]] = {}
    for field, kind in _LISTS.items():
        listed: list[str] | None = getattr(settings, field)
        if listed is not None:
            only[kind] = list(listed)
    asked_only = dict(only)
    if "key" in only:
        asked_only["key"] = [key.id for key in keys if key.id in only["key"] or key.name in only["key"]]
    found = asked.services.spans().spending(
        asked.project_id,
        by=settings.by,
        only=asked_only,
        since=period.start,
        until=now + 1,
        piece=piece,
        sums=[settings.amount, *(settings.amount * Decimal(str(part)) for part in sorted(settings.warn)[:1])],
        limit=SHARES if settings.by else 1,
    )
    named = {key.id: key.name for key in keys}
    shares = [_share(share, settings, period, now, named) for share in found.shares]
    happened = [
        each for each in events if each.attributes.get("budget") == name and each.time >= period.start
    ]
    last = (min(now, period.end - 1) - period.start) // piece
    return BudgetState(
        name=name,
        origin=origin,
        by=list(settings.by),
        only=only,
        amount=settings.amount,
        every=settings.period,
        warn=sorted(settings.warn),
        degrade_to=settings.degrade_to or "",
        period=period.name,
        start=period.start,
        end=period.end,
        elapsed=_elapsed(period, now),
        spent=found.total,
        projected=_projected(found.total, period, now),
        calls=found.calls,
        unpriced=found.unpriced,
        count=found.count if settings.by else 1,
        over=found.reached[0],
        warned=found.reached[-1] - found.reached[0],
        shares=shares,
        piece=piece,
        pieces=[found.pieces.get(number, Decimal(0)) for number in range(last + 1)],
        events=sorted(happened, key=lambda event: -event.time)[:10],
    )


def _share(
    share: Share, settings: BudgetSettings, period: Period, now: int, keys: Mapping[str, str]
) -> BudgetShare:
    names: dict[str, str] = dict(zip(settings.by, share.names, strict=True))
    if "key" in names:
        names["key"] = keys.get(names["key"], names["key"])
    part = float(share.cost / settings.amount)
    warned = any(part >= threshold for threshold in settings.warn)
    projected = _projected(share.cost, period, now)
    runs_out = None
    if projected is not None and part < 1 and projected > settings.amount:
        runs_out = period.start + int((now - period.start) / part)
    return BudgetShare(
        names=names,
        spent=share.cost,
        left=max(settings.amount - share.cost, Decimal(0)),
        part=part,
        projected=projected,
        runs_out=runs_out,
        how="spent" if part >= 1 else "warned" if warned else "within",
        calls=share.calls,
        unpriced=share.unpriced,
    )


def _elapsed(period: Period, now: int) -> float:
    return (now - period.start) / (period.end - period.start)


def _projected(spent: Decimal, period: Period, now: int) -> Decimal | None:
    elapsed = _elapsed(period, now)
    return None if elapsed < _SOON else (spent / Decimal(elapsed)).quantize(Decimal("0.000000001"))


def budget_chart(state: BudgetState) -> Chart:
    """All that was spent since the period began, and as it goes on if it does like this."""
    count = (state.end - state.start) // state.piece
    total = Decimal(0)
    spent: list[float] = []
    for amount in state.pieces:
        total += amount
        spent.append(float(total))
    rest = count - len(spent)
    ahead: list[float | None] = []
    if state.projected is not None and rest > 0:
        step = (float(state.projected) - spent[-1]) / rest
        ahead = [*[None] * (len(spent) - 1), *(spent[-1] + step * number for number in range(rest + 1))]
    shared = not state.by
    top = max([*spent, float(state.projected or 0), float(state.amount) if shared else 0.0])
    ticks = charts.round_ticks(top)
    tracks = [Track("spent", "c-model", [*spent, *[None] * rest])]
    if shared:
        tracks.append(Track("the budget", "c-bad", [float(state.amount)] * count))
    *shapes, faint = charts.lines(tracks, ahead, ticks)
    return Chart(
        key=f"budget-{state.name}",
        title="Spent since the period began" + ("" if shared else ", all together"),
        summary=f"{formats.money(state.spent)}{_also(state.unpriced)} by now, of {formats.money(state.amount)}"
        + (" for each." if state.by else "."),
        form="lines",
        shapes=shapes,
        faint=faint.path,
        y_ticks=[
            charts.Tick(round(100 - 100 * tick / ticks[-1], 2), formats.money_tick(tick)) for tick in ticks
        ],
        x_ticks=charts.time_ticks(state.start, state.end),
        hits=[_hit(state, number, count) for number in range(len(spent))],
    )


def _also(unpriced: int) -> str:
    return f" and {formats.plural(unpriced, 'call')} of unknown cost" if unpriced else ""


def _hit(state: BudgetState, number: int, count: int) -> Hit:
    begin = state.start + number * state.piece
    where: dict[str, Any] = {"since": moment(begin), "until": moment(begin + state.piece)}
    return Hit(
        at=round(100 * number / count, 3),
        width=round(100 / count, 3),
        href="/traces?" + "&".join(f"{name}={value}" for name, value in where.items()),
        label=f"{formats.day_and_time(begin, state.piece)}: {formats.money(state.pieces[number])}",
    )
