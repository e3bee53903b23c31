"""The parts of the bench, in the order they run."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from bench import (
    answers,
    bootstrap,
    drain,
    ingest,
    latency,
    limits,
    runs,
    scorers,
    startup,
    streams,
    throughput,
    trace_list,
    translation,
)
from bench.figures import Part
from bench.processes import Children
from bench.setting import Setting

__all__ = ["PARTS"]


class Entry(msgspec.Struct, frozen=True):
    says: str
    run: Callable[[Setting], list[Part]]


def _gateway(setting: Setting) -> list[Part]:
    with Children(setting.room("gateway")) as children:
        part, ratchet, calls = throughput.measure(setting, children)
        children.stop(ratchet.child)
        folder = children.folder / "ratchet"
        return [part, drain.measure(setting, children, folder / "data", folder / "ratchet.toml", calls)]


def _latency(setting: Setting) -> list[Part]:
    with Children(setting.room("latency")) as children:
        return [latency.measure(setting, children)]


def _translation(setting: Setting) -> list[Part]:
    with Children(setting.room("translation")) as children:
        return [translation.measure(setting, children)]


def _streams(setting: Setting) -> list[Part]:
    with Children(setting.room("streams")) as children:
        return [streams.measure(setting, children)]


def _otlp(setting: Setting) -> list[Part]:
    with Children(setting.room("otlp")) as children:
        return [ingest.measure(setting, children)]


def _traces(setting: Setting) -> list[Part]:
    with Children(setting.room("traces")) as children:
        return trace_list.measure(setting, children)


def _scorers(setting: Setting) -> list[Part]:
    return [scorers.measure(setting)]


def _answers(setting: Setting) -> list[Part]:
    return [answers.measure(setting)]


def _limits(setting: Setting) -> list[Part]:
    return [limits.measure(setting)]


def _bootstrap(setting: Setting) -> list[Part]:
    return [bootstrap.measure(setting)]


def _runs(setting: Setting) -> list[Part]:
    with Children(setting.room("runs")) as children:
        return runs.measure(setting, children)


def _start(setting: Setting) -> list[Part]:
    with Children(setting.room("start")) as children:
        return [startup.measure(setting, children)]


PARTS: dict[str, Entry] = {
    "gateway": Entry("throughput on one core beside other gateways, then the collector's drain", _gateway),
    "latency": Entry("what it adds to one request at a time", _latency),
    "translation": Entry("what it adds where app and provider speak different dialects", _translation),
    "streams": Entry("256 streams at once through one core", _streams),
    "otlp": Entry("OpenTelemetry spans accepted, and in the store", _otlp),
    "traces": Entry("the traces, overview, sessions and users over a million spans", _traces),
    "scorers": Entry("every scorer that asks no model, over 10,000 cases", _scorers),
    "limits": Entry("limits, trust and budgets on and off; a check in memory and through Redis", _limits),
    "answers": Entry("the nearest of 100,000 kept questions", _answers),
    "runs": Entry("a run of 1,000 cases from the command line, cold; two candidates compared", _runs),
    "bootstrap": Entry("intervals of the difference between two candidates on 10,000 cases", _bootstrap),
    "start": Entry("ready, command line, memory after the demo", _start),
}
