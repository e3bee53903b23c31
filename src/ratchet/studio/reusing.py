"""What answers given again come to: by route and over days, with the measured share of wrong ones. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from ratchet.gateway.cache.learning import JudgeErrors
from ratchet.stats.intervals import wilson
from ratchet.store.spans import Audited, Reuse, ReuseDay, SemanticHit
from ratchet.studio import charts, formats
from ratchet.studio.charts import Chart, Hit, Track
from ratchet.studio.traffic import moment

__all__ = ["CacheState", "CachedRoute", "cached_routes", "reuse_chart", "total_of"]

_DAY = 86_400 * 10**9
_SECOND = 10**9


class CachedRoute(msgspec.Struct, frozen=True, kw_only=True):
    """One route's answers given again, or those of all.

    `saved` in US dollars; `saved_time` in nanoseconds, what the answers took when they were made. `error` is the share
    of audited answers that would have been wrong, corrected for how the judge errs, with a 95 % interval; None without
    audits. `unjudged` counts verdicts that a judge was to give and didn't. `max_error` is what the route promises, None where it gives no answers to nearly the same question.
    """

    route: str
    requests: int
    hits: int
    semantic_hits: int
    saved: Decimal
    unpriced: int
    saved_time: int
    audited: int
    found_wrong: int
    unjudged: int
    error: float | None
    error_low: float | None
    error_high: float | None
    max_error: float | None
    answers: int | None
    questions: int | None
    bytes: int | None

    @property
    def rate(self) -> float | None:
        """The share of requests that were answered without a provider."""
        return (self.hits + self.semantic_hits) / self.requests if self.requests else None

    @property
    def broken(self) -> bool:
        """Whether audits say that more is wrong than was promised; one alone says nothing."""
        if self.max_error is None or self.error_low is None or self.found_wrong < 2:
            return False
        return self.error_low > self.max_error


class CacheState(msgspec.Struct, frozen=True, kw_only=True):
    """The last 30 days by route and by day, the newest answers to nearly the same question, and the newest audits, those
    found wrong first."""

    routes: list[CachedRoute]
    days: list[ReuseDay]
    recent: list[SemanticHit]
    audited: list[Audited]
    tools_selected: int


def cached_routes(reuse: Reuse) -> list[CachedRoute]:
    """Each route that answered anything, or keeps anything, those with the most requests first."""
    names = {day.route for day in reuse.days} | set(reuse.audits) | set(reuse.unjudged) | set(reuse.states)
    found = [_summed(name, [day for day in reuse.days if day.route == name], reuse) for name in names]
    return sorted(found, key=lambda each: (-each.requests, each.route))


def total_of(reuse: Reuse) -> CachedRoute:
    """All routes together; it has no error of its own, since each route makes its own promise."""
    return _summed("", reuse.days, None)


def _summed(name: str, days: Sequence[ReuseDay], reuse: Reuse | None) -> CachedRoute:
    audited, wrong, strict, lax = reuse.audits.get(name, (0, 0, 0.0, 0.0)) if reuse else (0, 0, 0.0, 0.0)
    errors = JudgeErrors(strict, lax)
    low, high = wilson(wrong, audited)
    state = reuse.states.get(name, {}) if reuse else {}
    hits, semantic = sum(day.hits for day in days), sum(day.semantic_hits for day in days)
    return CachedRoute(
        route=name,
        requests=hits + semantic + sum(day.misses for day in days),
        hits=hits,
        semantic_hits=semantic,
        saved=sum((day.saved for day in days), Decimal(0)),
        unpriced=sum(day.unpriced for day in days),
        saved_time=int(sum(day.seconds for day in days) * _SECOND),
        audited=audited,
        found_wrong=wrong,
        unjudged=reuse.unjudged.get(name, 0) if reuse else 0,
        error=errors.corrected(wrong / audited) if audited else None,
        error_low=errors.corrected(low) if audited else None,
        error_high=errors.corrected(high) if audited else None,
        max_error=_float(state.get("max_error")),
        answers=_whole(state.get("answers")),
        questions=_whole(state.get("questions")),
        bytes=_whole(state.get("bytes")),
    )


def reuse_chart(days: Sequence[ReuseDay], *, since: int, until: int) -> Chart:
    """Requests by how they were answered, day by day from `since` up to `until`, both at midnight."""
    count = (until - since) // _DAY
    exact, nearly, asked = ([0.0] * count for _ in range(3))
    for day in days:
        place = (day.start - since) // _DAY
        if 0 <= place < count:
            exact[place] += day.hits
            nearly[place] += day.semantic_hits
            asked[place] += day.misses
    ticks = charts.round_ticks(max(map(sum, zip(exact, nearly, asked, strict=True)), default=0))
    tracks = [
        Track("the same request", "c-model", exact),
        Track("nearly the same question", "c-search", nearly),
        Track("asked the provider", "c-tool", asked),
    ]
    *shapes, _ = charts.bars(tracks, [], ticks)
    return Chart(
        key="reuse",
        title="Requests by what answered them",
        summary=f"{sum(exact):,.0f} the same request, {sum(nearly):,.0f} nearly the same question, {sum(asked):,.0f} asked.",
        form="bars",
        shapes=shapes,
        faint="",
        y_ticks=[charts.Tick(round(100 - 100 * tick / ticks[-1], 2), formats.short(tick)) for tick in ticks],
        x_ticks=charts.time_ticks(since, until),
        hits=[
            Hit(
                at=round(100 * place / count, 3),
                width=round(100 / count, 3),
                href=f"/traces?since={moment(since + place * _DAY)}&until={moment(since + (place + 1) * _DAY)}",
                label=f"{formats.day_and_time(since + place * _DAY, _DAY)}: {exact[place]:,.0f} the same, "
                f"{nearly[place]:,.0f} nearly the same, {asked[place]:,.0f} asked",
            )
            for place in range(count)
        ],
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _float(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
