"""What the demo prints at its end, read back from the span store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["report"]


def report(summary: Mapping[str, Any], *, sent: int) -> str:
    """`summary` as `/api/summary` answers it; `sent` is how many requests the app made."""
    refused = sent - summary["requests"]
    rows: list[tuple[str, str]] = [
        (
            "requests",
            f"{summary['requests']:,} by {summary['users']:,} users in {summary['sessions']:,} sessions"
            + (f"; {refused:,} more were refused before any model was asked" if refused > 0 else ""),
        ),
        ("latency", f"p50 {_ms(summary['latency_p50'])}, p95 {_ms(summary['latency_p95'])}"),
        ("first token", f"p50 {_ms(summary['ttft_p50'])}, p95 {_ms(summary['ttft_p95'])} (streams)"),
        (
            "tokens",
            f"{_count(summary['input_tokens'])} in ({_count(summary['cached_tokens'])} cached), {_count(summary['output_tokens'])} out",
        ),
        ("cost", _cost(summary["cost"], summary["unpriced"])),
        ("errors", _errors(summary["errors"], summary["by_error"])),
        ("feedback", _feedback(summary["scores"])),
    ]
    rows += [
        (
            "model" if number == 0 else "",
            f"{model['model'] or '(none)'}: {model['requests']:,} requests, {_cost(model['cost'], model['unpriced'])}",
        )
        for number, model in enumerate(summary["models"])
    ]
    return "\n".join(f"  {name.ljust(12)} {value}" for name, value in rows)


def _count(number: int | None) -> str:
    return "unknown" if number is None else f"{number:,}"


def _ms(nanoseconds: float | None) -> str:
    return "unknown" if nanoseconds is None else f"{nanoseconds / 1e6:,.0f} ms"


def _cost(cost: str | None, unpriced: int) -> str:
    known = "unknown" if cost is None else f"${float(cost):.4f}"
    return f"{known} and {unpriced:,} requests of unknown cost" if unpriced and cost is not None else known


def _errors(count: int, kinds: list[Any]) -> str:
    return f"{count:,}" + (f" ({', '.join(f'{kind} {number}' for kind, number in kinds)})" if kinds else "")


def _feedback(scores: list[Mapping[str, Any]]) -> str:
    shown: list[str] = []
    for score in scores:
        mean = "" if score["mean"] is None else f", mean {score['mean']:.2f}"
        shown.append(f"{score['name']} {score['count']:,}{mean}")
    return "; ".join(shown) or "none"
