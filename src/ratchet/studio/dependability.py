"""How dependable targets are, as the page and the API tell it: circuits as they stand, figures, charts. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Literal
from urllib.parse import urlencode

import msgspec

from ratchet.domain.spans import Event
from ratchet.store.spans import LostPoint, Probed, ProbePoint, Reliability, TargetFigures
from ratchet.studio import charts, formats
from ratchet.studio.charts import Chart, Track
from ratchet.studio.failing import BLAMELESS, FAILURE_WORDS, class_of_error, failure_words
from ratchet.studio.traffic import Figure, moment

__all__ = [
    "CircuitNow",
    "EventRow",
    "Look",
    "PointLine",
    "ProbeView",
    "QueueNow",
    "ReliabilityView",
    "TargetView",
    "look_of",
    "view_of",
]

State = Literal["closed", "half_open", "open", "refused"]
_SECOND = 10**9
_MINUTE = 60 * _SECOND
_STATES: Mapping[str, State] = {
    "circuit.closed": "closed",
    "circuit.half_open": "half_open",
    "circuit.open": "open",
    "credential.refused": "refused",
    "credential.accepted": "closed",
}
_WORST: tuple[State, ...] = ("open", "half_open", "refused", "closed")
# The classes that have a colour of their own; the others share one.
_STYLES = {
    "upstream_broken": "c-bad",
    "upstream_slow": "c-tool",
    "rate_limited": "c-model",
    "credential_refused": "c-agent",
    "answer_empty": "c-search",
}
_KINDS = {
    "circuit.open": "circuit opened",
    "circuit.half_open": "circuit half open",
    "circuit.closed": "circuit closed",
    "credential.refused": "credential refused",
    "credential.accepted": "credential accepted",
    "probe.failed": "probe failed",
}


class CircuitNow(msgspec.Struct, frozen=True, kw_only=True):
    """One circuit by its gateway's last word: `refused` is a closed one whose credential was turned down. `credential`
    is the variable that holds it, "" for none; `since` nanoseconds."""

    credential: str
    gateway: str
    state: State
    since: int
    why: str


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """One target. `state` is the worst of its circuits; one that no gateway told of within a day is closed.

    `answered_share` is of everything it was asked that tells of it; `failures` are lost attempts and failed calls
    together, by class. `routes` are those that it is a target of now.
    """

    target: str
    routes: list[str]
    state: State
    circuits: list[CircuitNow]
    answered_share: float | None
    failures: dict[str, int]
    figures: TargetFigures


class QueueNow(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's queue in one gateway, by its last word; None where it doesn't say."""

    provider: str
    gateway: str
    held: int | None
    waiting: int | None
    refused: int | None
    time: int


class ReliabilityView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything from `since` up to `until`, in pieces of `step` nanoseconds; states are those of now."""

    since: int
    until: int
    step: int
    targets: list[TargetView]
    points: list[LostPoint]
    probes: list[Probed]
    queues: list[QueueNow]
    events: list[Event]


def view_of(found: Reliability, routes: Mapping[str, Sequence[str]]) -> ReliabilityView:
    """`routes` gives the targets of each route, whether they were asked or not."""
    used: dict[str, list[str]] = {}
    for route, targets in routes.items():
        for target in targets:
            used.setdefault(target, []).append(route)
    figures = {each.target: each for each in found.targets}
    told: dict[str, list[Event]] = {}
    for event in found.circuits:
        told.setdefault(event.subject, []).append(event)
    names = sorted({*used, *figures, *told})
    targets = [
        _target(figures.get(name) or TargetFigures(target=name), used.get(name, []), told.get(name, []))
        for name in names
    ]
    # What is wrong comes first, then what is most used.
    targets.sort(
        key=lambda each: (_WORST.index(each.state), -sum(each.failures.values()), -each.figures.calls)
    )
    return ReliabilityView(
        since=found.since,
        until=found.until,
        step=found.step,
        targets=targets,
        points=found.points,
        probes=found.probes,
        queues=[_queue(event) for event in found.queues],
        events=found.events,
    )


def _target(figures: TargetFigures, routes: list[str], told: Iterable[Event]) -> TargetView:
    found: dict[tuple[str, str], CircuitNow] = {}
    for circuit in map(_circuit, told):
        # Of a circuit's state and its credential's, the worse; newest first, so of equal ones the newer.
        place = (circuit.credential, circuit.gateway)
        known = found.get(place)
        if known is None or _WORST.index(circuit.state) < _WORST.index(known.state):
            found[place] = circuit
    circuits = list(found.values())
    circuits.sort(key=lambda each: (_WORST.index(each.state), -each.since))
    failures = _classes(figures.lost, figures.failed)
    counted = figures.answered + sum(times for kind, times in failures.items() if kind not in BLAMELESS)
    return TargetView(
        target=figures.target,
        routes=sorted(routes),
        state=circuits[0].state if circuits else "closed",
        circuits=circuits,
        answered_share=figures.answered / counted if counted else None,
        failures=failures,
        figures=figures,
    )


def _circuit(event: Event) -> CircuitNow:
    return CircuitNow(
        credential=event.attributes.get("credential", ""),
        gateway=event.attributes.get("gateway", ""),
        state=_STATES.get(event.kind, "closed"),
        since=event.time,
        why=event.message,
    )


def _queue(event: Event) -> QueueNow:
    def number(name: str) -> int | None:
        text = event.attributes.get(name, "")
        return int(text) if text.isascii() and text.isdigit() else None

    return QueueNow(
        provider=event.subject,
        gateway=event.attributes.get("gateway", ""),
        held=number("held"),
        waiting=number("waiting"),
        refused=number("refused"),
        time=event.time,
    )


def _classes(lost: Mapping[str, int], failed: Mapping[str, int]) -> dict[str, int]:
    """Both by class of failure, most frequent first."""
    found = Counter(lost)
    for error, times in failed.items():
        found[class_of_error(error)] += times
    return dict(found.most_common())


# ---- what a page draws -------------------------------------------------------------------------------------------


class PointLine(msgspec.Struct, frozen=True):
    """One line of the charts' figures: what failed, in words, and how many calls another target took over."""

    start: int
    label: str
    failures: str
    taken_over: int
    href: str


class ProbeView(msgspec.Struct, frozen=True):
    """A provider's probes and their chart."""

    probed: Probed
    chart: Chart


class EventRow(msgspec.Struct, frozen=True):
    """An event in words, and the traces it is about ("" where there are none)."""

    event: Event
    kind: str
    tone: str
    traces: str


class Look(msgspec.Struct, frozen=True):
    """Everything that the page shows beside the view's own tables."""

    figures: list[Figure]
    charts: list[Chart]
    points: list[PointLine]
    probes: list[ProbeView]
    events: list[EventRow]


def look_of(view: ReliabilityView) -> Look:
    """The view as the page draws it."""
    points = [_line(point, view) for point in view.points]
    return Look(
        figures=_headlines(view),
        charts=[_failures_chart(view, points), _taken_chart(view, points)] if _any_failure(view) else [],
        points=points,
        probes=[ProbeView(each, _probe_chart(each, view)) for each in view.probes],
        events=[_event_row(event) for event in view.events],
    )


def _any_failure(view: ReliabilityView) -> bool:
    return any(point.lost or point.failed or point.taken_over for point in view.points)


def _headlines(view: ReliabilityView) -> list[Figure]:
    every = [each.figures for each in view.targets]
    answered, calls = sum(each.answered for each in every), sum(each.calls for each in every)
    failures: Counter[str] = Counter()
    for each in view.targets:
        failures.update(each.failures)
    counted = answered + sum(times for kind, times in failures.items() if kind not in BLAMELESS)
    # Every call that was taken over is one that some target took.
    taken = sum(point.taken_over for point in view.points)
    costs = [each.lost_cost for each in every if each.lost_cost is not None]
    unwell = [each for each in view.targets if each.state != "closed"]
    lost = sum(sum(each.lost.values()) for each in every)
    failed = sum(sum(each.failed.values()) for each in every)
    traces = _traces(view.since, view.until)
    return [
        Figure(
            "Targets unwell",
            formats.count(len(unwell)),
            f"of {formats.plural(len(view.targets), 'target')}" if view.targets else "",
            None,
        ),
        Figure(
            "Attempts answered",
            formats.percent(answered / counted if counted else None),
            formats.plural(calls, "call"),
            None,
        ),
        Figure(
            "Attempts lost",
            formats.count(lost),
            "their traces" if lost else "",
            None,
            f"/traces?{traces}&failure=any",
        ),
        Figure("Taken over", formats.count(taken), "calls that another target answered", None),
        Figure(
            "Calls failed",
            formats.count(failed),
            "no target answered" if failed else "",
            None,
            f"/traces?{traces}&status=error",
        ),
        Figure(
            "Cost of lost attempts",
            formats.money(sum(costs, Decimal(0)) if costs else Decimal(0)),
            "about: known or estimated" if costs else "",
            None,
        ),
    ]


def _traces(since: int, until: int) -> str:
    return urlencode({"run": "all", "since": moment(since), "until": moment(until)})


def _line(point: LostPoint, view: ReliabilityView) -> PointLine:
    begin, end = max(point.start, view.since), min(point.start + view.step, view.until)
    which = "failure=any" if point.lost or not point.failed else "status=error"
    return PointLine(
        start=begin,
        label=formats.day_and_time(point.start, view.step),
        failures=_said(_classes(point.lost, point.failed)),
        taken_over=point.taken_over,
        href=f"/traces?{_traces(begin, end)}&{which}",
    )


def _said(classes: Mapping[str, int]) -> str:
    return ", ".join(f"{formats.count(times)} {failure_words(kind)}" for kind, times in classes.items())


def _x_ticks(view: ReliabilityView) -> list[charts.Tick]:
    if not view.points:
        return []
    return charts.time_ticks(view.points[0].start, view.points[-1].start + view.step)


def _period(view: ReliabilityView) -> str:
    return (
        f"from {formats.utc(view.since)[:16]} to {formats.utc(view.until)[:16]} UTC, "
        f"in steps of {formats.duration(view.step)}"
    )


def _failures_chart(view: ReliabilityView, points: Sequence[PointLine]) -> Chart:
    found = [_classes(point.lost, point.failed) for point in view.points]
    tracks = [
        Track(FAILURE_WORDS[kind], style, [each.get(kind, 0) for each in found])
        for kind, style in _STYLES.items()
    ]
    others = [sum(times for kind, times in each.items() if kind not in _STYLES) for each in found]
    total = sum(sum(each.values()) for each in found)
    return charts.chart_of(
        "failures",
        "Attempts that failed",
        f"Attempts that failed, by class, {_period(view)}: {formats.count(total)} in all.",
        "bars",
        [*tracks, Track("other", "c-other", others)],
        ticks_for=_whole_ticks,
        tick_label=formats.short,
        x_ticks=_x_ticks(view),
        hits=charts.hits_of([(each.href, f"{each.label}: {each.failures or 'nothing'}") for each in points]),
    )


def _taken_chart(view: ReliabilityView, points: Sequence[PointLine]) -> Chart:
    failed = [sum(point.failed.values()) for point in view.points]
    taken = [point.taken_over for point in view.points]
    return charts.chart_of(
        "taken",
        "What came of it",
        f"Calls at which a target failed, {_period(view)}: {formats.count(sum(taken))} were answered by another "
        f"target, {formats.count(sum(failed))} by none.",
        "bars",
        [Track("another target answered", "c-search", taken), Track("the call failed", "c-bad", failed)],
        ticks_for=_whole_ticks,
        tick_label=formats.short,
        x_ticks=_x_ticks(view),
        hits=charts.hits_of(
            [
                (
                    row.href,
                    f"{row.label}: {formats.count(row.taken_over)} taken over, {formats.count(lost)} failed",
                )
                for row, lost in zip(points, failed, strict=True)
            ]
        ),
    )


def _whole_ticks(top: float) -> list[float]:
    """Round values for a count: no halves."""
    return charts.round_ticks(max(top, 1), 3 if top >= 3 else max(1, round(top)))


def _probe_chart(probed: Probed, view: ReliabilityView) -> Chart:
    latencies = [point.latency for point in probed.points]
    ticks = charts.round_times(max([each for each in latencies if each is not None], default=_SECOND))
    # Failures are drawn along the top: they have no time that means anything.
    failed = [ticks[-1] if point.failed else None for point in probed.points]
    return charts.chart_of(
        f"probe-{''.join(each if each.isalnum() else '-' for each in probed.provider)}",
        probed.provider,
        f"Probes of {probed.provider} {_period(view)}: {formats.count(probed.answered)} answered, "
        f"{formats.count(probed.failed)} failed; the middle of them took {formats.duration(probed.latency_p50)}.",
        "lines",
        [
            Track("first token", "c-search", [point.time_to_first_token for point in probed.points]),
            Track("whole answer", "c-model", latencies),
            Track("failed", "c-bad", failed),
        ],
        ticks_for=lambda _: ticks,
        tick_label=formats.tick,
        x_ticks=_x_ticks(view),
        hits=charts.hits_of([(_zoomed(point, view), _probe_says(point, view)) for point in probed.points]),
    )


def _zoomed(point: ProbePoint, view: ReliabilityView) -> str:
    begin, end = max(point.start, view.since), min(point.start + view.step, view.until)
    return f"/reliability?{urlencode({'since': moment(begin), 'until': moment(end)})}"


def _probe_says(point: ProbePoint, view: ReliabilityView) -> str:
    label = formats.day_and_time(point.start, view.step)
    if not point.answered and not point.failed:
        return f"{label}: nothing"
    failed = f"{formats.count(point.failed)} failed" if point.failed else ""
    answered = (
        f"first token {formats.duration(point.time_to_first_token)}, whole {formats.duration(point.latency)}"
        if point.answered
        else ""
    )
    return f"{label}: {', '.join(part for part in (answered, failed) if part)}"


def _event_row(event: Event) -> EventRow:
    traces = ""
    if trace_id := event.attributes.get("trace_id", ""):
        traces = f"/traces/{formats.segment(trace_id)}"
    elif event.kind in ("circuit.open", "credential.refused"):
        # What made it happen was asked shortly before, and may have taken its time to fail.
        around = _traces(event.time - 5 * _MINUTE, event.time + _SECOND)
        traces = f"/traces?{around}&{urlencode({'target': event.subject, 'failure': 'any'})}"
    tone = {"error": "bad", "warning": "warn"}.get(event.severity, "")
    if event.kind in ("circuit.closed", "credential.accepted"):
        tone = "good"
    return EventRow(event, _KINDS.get(event.kind, event.kind), tone, traces)
