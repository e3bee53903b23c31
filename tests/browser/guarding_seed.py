"""Budgets and limits of the shop whose traffic `studio_seed` has, and what became of them."""

from __future__ import annotations

from decimal import Decimal

from ratchet.app.settings import Settings
from ratchet.domain.spans import Event, Span
from ratchet.studio.in_force import InForce

__all__ = ["cached_calls", "guarding", "guarding_events"]

_MINUTE = 60 * 10**9
_SETTINGS = {
    "budgets": {
        "users": {"by": ["user"], "amount": "0.004", "warn": [0.5, 0.8]},
        "everything": {"amount": "0.25"},
        "support-today": {
            "amount": 2,
            "period": "day",
            "routes": ["support"],
            "degrade_to": "simulator/small",
        },
        "partners": {"by": ["organisation", "route"], "amount": 10, "organisations": ["Nobody & Sons"]},
    },
    "limits": {
        "free": {
            "by": ["user"],
            "segments": ["free"],
            "requests": "20/minute",
            "tokens": "50k/hour burst 10k",
        },
        "everything": {"requests": "500/second", "concurrency": 200},
    },
    "segments": {"default": {"starts": "untrusted", "scale": [0.1, 1.0]}, "free": {"plans": ["free"]}},
}


def cached_calls(now: int) -> list[Span]:
    """Calls of a route that keeps its answers, of the last days."""
    questions = (
        "How do I return my shoes?",
        "What's the way to send my shoes back?",
        "Where do I send shoes back to? " * 6,
    )
    found: list[Span] = []
    for number in range(60):
        status = ("miss", "hit", "semantic_hit")[number % 3]
        notes = (
            {"ratchet.cache.saved_cost": "0.0031", "ratchet.cache.saved_seconds": "1.9"} if number % 3 else {}
        )
        if status == "semantic_hit":
            notes |= {
                "ratchet.cache.earlier_question": questions[0],
                "ratchet.cache.cosine": "0.91",
                "ratchet.cache.risk": "0.004",
            }
        found.append(
            Span(
                project_id="default",
                trace_id=f"{number + 0xCAC4E:032x}",
                span_id=f"{number + 0xCAC4E:016x}",
                name="chat gpt-4o",
                source="gateway",
                operation="chat",
                route="faq",
                start=now - 40 * 86_400 * 10**9 // 60 * number - 10**9,
                duration=10**7,
                status="ok",
                user_id="ada.marsh",
                cache_status=status,
                cost=Decimal(0),
                input_preview=questions[number % 3],
                segment="free",
                attributes={"ratchet.trust": "0.31", "metadata.client_ip": "203.0.113.7", **notes},
            )
        )
    return found


def guarding() -> InForce:
    """The settings in force."""
    return InForce(file=Settings.model_validate(_SETTINGS))


def guarding_events(now: int) -> list[Event]:
    """What a gateway told of in the last hours."""
    told = [
        ("budget.warning", "users of user 'ada.marsh' 50%", "50% of the budget 'users' of user 'ada.marsh' is spent: $0.0021 of $0.004 for 2026-09.", "warning", {"budget": "users", "user": "ada.marsh"}),
        ("budget.exhausted", "users of user 'ada.marsh'", "The budget 'users' of user 'ada.marsh' is spent, and requests are refused.", "error", {"budget": "users", "user": "ada.marsh", "count": "7"}),
        ("limit.hit", "free: user 'ada.marsh'", "The limit 'free' allows 20 requests a minute for each user, and user 'ada.marsh' has reached it.", "warning", {"limit": "free", "unit": "requests", "user": "ada.marsh", "count": "1"}),
        ("limit.hit", "free: user 'ada.marsh'", "The limit 'free' allows 20 requests a minute for each user, and user 'ada.marsh' has reached it.", "warning", {"limit": "free", "unit": "requests", "user": "ada.marsh", "count": "41"}),
        ("limit.hit", "everything", "The limit 'everything' allows 200 requests at once, and that is reached.", "warning", {"limit": "everything", "unit": "concurrency", "count": "3"}),
        ("trust.changed", "ada.marsh", "Trust in the user 'ada.marsh' is low now, it was good: limits hit 42 times.", "warning", {"from": "good", "to": "low", "trust": "0.31"}),
        ("trust.told", "ben.okafor", "The app speaks against the user 'ben.okafor': card was stolen", "warning", {"value": "-1"}),
        ("abuse.suspected", "203.0.113.7", "More than 50 users came from the address 203.0.113.7 within 1d. Trust in whoever comes from there is lowered.", "warning", {"source": "ip", "accounts": "73", "window": "1d"}),
        ("cache.audited", "faq", "A kept answer would have been right.", "info", {"right": "true", "cosine": "0.93", "risk": "0.002", "max_error": "0.02", "question": "Can I send shoes back?", "earlier_question": "How do I return my shoes?"}),
        ("cache.audited", "faq", "A kept answer would have been wrong.", "warning", {"right": "false", "cosine": "0.96", "risk": "0.01", "max_error": "0.02", "question": "Can I swap my shoes?", "earlier_question": "How do I return my shoes?"}),
        ("cache.state", "faq", "12 answers to 31 questions are kept.", "info", {"answers": "12", "questions": "31", "bytes": "104000", "max_error": "0.02", "risk": "0.05"}),
    ]  # fmt: skip
    return [
        Event(
            project_id="default",
            event_id=f"guarding-{number}",
            time=now - (len(told) - number) * 7 * _MINUTE,
            kind=kind,
            subject=subject,
            message=message,
            severity=severity,
            attributes=attributes,
        )
        for number, (kind, subject, message, severity, attributes) in enumerate(told)
    ]
