"""Prometheus metrics of one gateway process, under OpenTelemetry's GenAI names (v1.41.1).

Written by hand because it sits on every request's path: one event loop owns it, so there are no locks, and a call
costs a dictionary look-up and a few additions. Text exposition format 0.0.4.
"""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path

from ratchet.telemetry.calls import Call

__all__ = ["MOST_SERIES", "Metrics", "process_figures"]

MOST_SERIES = (
    500  # label sets of one kind; models and routes are named by callers, so what comes later is "other"
)
_OTHER = "other"

_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_TOKEN_SECONDS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
_TOKENS = tuple(float(4**power) for power in range(14))

_LABELS = (
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "gen_ai_response_model",
    "error_type",
    "route",
)

_Key = tuple[str, str, str, str, str, str]


class _Histogram:
    """Counts per bucket (not yet summed up), and the sum of what was observed."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class _Series:
    """Everything counted under one set of labels."""

    __slots__ = (
        "cost",
        "duration",
        "first_chunk",
        "first_token",
        "input_tokens",
        "labels",
        "output_tokens",
        "unpriced",
    )

    def __init__(self, key: _Key) -> None:
        self.labels = ",".join(f'{name}="{_escape(value)}"' for name, value in zip(_LABELS, key, strict=True))
        self.duration = _Histogram(_SECONDS)
        self.first_chunk = _Histogram(_SECONDS)
        self.first_token = _Histogram(_FIRST_TOKEN_SECONDS)
        self.input_tokens = _Histogram(_TOKENS)
        self.output_tokens = _Histogram(_TOKENS)
        self.cost = 0.0
        self.unpriced = 0


class Metrics:
    """Counts calls; `render` writes them down."""

    def __init__(
        self, *, most_series: int = MOST_SERIES, process: Callable[[], Mapping[str, float]] | None = None
    ):
        """`process` gives figures about the process itself; the default asks the operating system."""
        self._most = most_series
        self._process = process or process_figures
        self._series: dict[_Key, _Series] = {}
        self._requests: dict[tuple[str, int], int] = {}
        self._refused: dict[str, int] = {}

    def observe_call(self, call: Call) -> None:
        """Count a call that has ended, answered or not."""
        key = (
            call.operation, call.provider, call.request_model, call.response_model, call.error_type, call.route,
        )  # fmt: skip
        series = self._series.get(key) or self._new_series(key)
        series.duration.observe(call.duration / 1e9)
        if call.time_to_first_token is not None:
            first = call.time_to_first_token / 1e9
            series.first_chunk.observe(first)
            series.first_token.observe(first)
        usage = call.usage
        if usage.input is not None:
            series.input_tokens.observe(usage.input)
        if usage.output is not None:
            series.output_tokens.observe(usage.output)
        if call.cost is not None:
            series.cost += float(call.cost)
        else:
            series.unpriced += 1
        request = (call.route, call.http_status)
        if request not in self._requests and len(self._requests) >= self._most:
            request = (_OTHER, call.http_status)
        self._requests[request] = self._requests.get(request, 0) + 1

    def count_refused(self, reason: str) -> None:
        """Count a request that was turned away before any model was called; `reason` is the error's code."""
        if reason not in self._refused and len(self._refused) >= self._most:
            reason = _OTHER
        self._refused[reason] = self._refused.get(reason, 0) + 1

    def render(
        self,
        *,
        spool_bytes: int | None = None,
        spool_refused: int | None = None,
        records_revision: int = -1,
        settings_refused: bool = False,
        providers_ready: Mapping[str, bool] | None = None,
    ) -> bytes:
        """Everything counted so far, in Prometheus' text format 0.0.4; served as `text/plain; version=0.0.4`."""
        lines = [*self._call_lines(), *self._request_lines()]
        lines += _single(
            "ratchet_spool_bytes", "gauge", "Bytes in the spool's segments, drained or not.", spool_bytes
        )
        lines += _single(
            "ratchet_spool_refused_total",
            "counter",
            "Records that did not fit into the spool.",
            spool_refused,
        )
        lines += _single(
            "ratchet_records_revision", "gauge", "Revision of the records in force.", records_revision
        )
        lines += _single(
            "ratchet_settings_refused",
            "gauge",
            "1 while the newest settings can't be used and older ones are in force.",
            int(settings_refused),
        )
        lines += _lines(
            "ratchet_provider_ready",
            "gauge",
            "1 where a provider's key is set or it needs none.",
            ((f'provider="{_escape(name)}"', int(ready)) for name, ready in (providers_ready or {}).items()),
        )
        for name, value in self._process().items():
            lines += _single(name, "counter" if name.endswith("_total") else "gauge", "", value)
        return ("\n".join(lines) + "\n").encode()

    def _call_lines(self) -> Iterator[str]:
        series = self._series.values()
        yield from _histogram_lines(
            "gen_ai_client_operation_duration_seconds",
            "Time a model call took, from the request's arrival to the answer's last byte.",
            ((each.labels, each.duration) for each in series),
        )
        yield from _histogram_lines(
            "gen_ai_client_token_usage",
            "Tokens of a model call.",
            (
                (f'{each.labels},gen_ai_token_type="{kind}"', histogram)
                for each in series
                for kind, histogram in (("input", each.input_tokens), ("output", each.output_tokens))
            ),
        )
        yield from _histogram_lines(
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            "Time until the first content of a streamed answer.",
            ((each.labels, each.first_chunk) for each in series),
        )
        yield from _histogram_lines(
            "gen_ai_server_time_to_first_token_seconds",
            "Time until the first content of a streamed answer, in the buckets for servers.",
            ((each.labels, each.first_token) for each in series),
        )
        yield from _lines(
            "ratchet_cost_dollars_total",
            "counter",
            "Cost of model calls whose price is known, in US dollars.",
            ((each.labels, each.cost) for each in series),
        )
        yield from _lines(
            "ratchet_unpriced_calls_total",
            "counter",
            "Model calls whose cost is not known.",
            ((each.labels, each.unpriced) for each in series),
        )

    def _request_lines(self) -> Iterator[str]:
        requests = (
            (f'route="{_escape(route)}",status="{status}"', count)
            for (route, status), count in self._requests.items()
        )
        yield from _lines(
            "ratchet_requests_total",
            "counter",
            "Model calls by route and HTTP status of the answer.",
            requests,
        )
        yield from _lines(
            "ratchet_refused_total",
            "counter",
            "Requests turned away before any model was called, by error code.",
            ((f'reason="{_escape(reason)}"', count) for reason, count in self._refused.items()),
        )

    def _new_series(self, key: _Key) -> _Series:
        if len(self._series) >= self._most:
            key = (key[0], _OTHER, _OTHER, _OTHER, _OTHER, _OTHER)
            found = self._series.get(key)
            if found is not None:
                return found
        series = self._series[key] = _Series(key)
        return series


def process_figures() -> dict[str, float]:
    """What Prometheus' own clients tell of a process, as far as this operating system does."""
    times = os.times()
    figures = {"process_cpu_seconds_total": times.user + times.system}
    try:
        stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        figures["process_resident_memory_bytes"] = float(int(stat[21]) * os.sysconf("SC_PAGE_SIZE"))
        figures["process_virtual_memory_bytes"] = float(stat[20])
        figures["process_threads"] = float(stat[17])
        figures["process_start_time_seconds"] = round(boot + int(stat[19]) / os.sysconf("SC_CLK_TCK"), 2)
        figures["process_open_fds"] = float(sum(1 for _ in Path("/proc/self/fd").iterdir()))
    except (OSError, AttributeError, IndexError, ValueError):
        pass  # not Linux: the processor time is what there is
    return figures


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _histogram_lines(name: str, text: str, histograms: Iterable[tuple[str, _Histogram]]) -> list[str]:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} histogram"]
    for labels, histogram in histograms:
        counts = list(accumulate(histogram.counts))
        if not counts[-1]:
            continue
        bounds = (*(f"{bound:g}" if bound < 1e6 else str(int(bound)) for bound in histogram.bounds), "+Inf")
        lines += [
            f'{name}_bucket{{{labels},le="{bound}"}} {count}'
            for bound, count in zip(bounds, counts, strict=True)
        ]
        lines.append(f"{name}_sum{{{labels}}} {histogram.total}")
        lines.append(f"{name}_count{{{labels}}} {counts[-1]}")
    return lines


def _lines(name: str, kind: str, text: str, samples: Iterable[tuple[str, float]]) -> list[str]:
    return [
        f"# HELP {name} {text}",
        f"# TYPE {name} {kind}",
        *(f"{name}{{{labels}}} {value}" for labels, value in samples),
    ]


def _single(name: str, kind: str, text: str, value: float | None) -> list[str]:
    if value is None:
        return []
    head = [f"# HELP {name} {text}"] if text else []
    return [*head, f"# TYPE {name} {kind}", f"{name} {value}"]
