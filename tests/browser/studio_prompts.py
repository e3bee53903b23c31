"""A prompt with some history: versions, labels, a canary, calls of each version and what people thought of them."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any

from browser.studio_harness import Studio
from ratchet.domain.prompts import Release, Share, Template, TemplateExample, TemplateMessage
from ratchet.domain.spans import Score, Span
from ratchet.prompts.hashing import content_hash
from ratchet.store.records import prompts, releases

HOUR = 3600 * 10**9
SYSTEM = """You help the customers of {{ shop }}, which sells tents and shoes.

{% if language is defined %}
Answer in {{ language }}.
{% endif %}
Keep to what you know. Where you don't know, say so and offer a person.
Never promise a refund."""
KINDER = SYSTEM.replace(
    "Never promise a refund.", "Returns are free for 30 days; say so when somebody asks.\nThank them."
)
TOOL = {
    "type": "function",
    "function": {"name": "look_up_order", "parameters": {"type": "object", "properties": {}}},
}


def push(studio: Studio, name: str, template: Template, message: str, author: str, at: int) -> int:
    new = prompts.NewVersion(prompt=name, template=template, hash=content_hash(template))
    (made,) = prompts.push_versions(
        studio.records, [new], project_id=studio.project_id, author=author, message=message, now=at
    )
    return made.version.number


def serve(studio: Studio, label: str, *split: Share, message: str, at: int) -> Release:
    return releases.release_split(
        studio.records,
        "support",
        label,
        split,
        project_id=studio.project_id,
        by="ada@example.org",
        now=at,
        message=message,
    )


def template(system: str, temperature: float, **fields: Any) -> Template:
    return Template(
        messages=[
            TemplateMessage(role="system", content=system),
            TemplateMessage(role="user", content="{{ question }}"),
        ],
        model="support",
        parameters={"temperature": temperature},
        **fields,
    )


def fill_prompts(studio: Studio) -> None:
    """Three versions of `support`, one of `greeting`, and 240 calls."""
    now = studio.clock()
    example = TemplateExample(input="Do you ship to Norway?", output="Yes, within five days.")
    push(studio, "support", template(SYSTEM, 0.7), "The first version", "ada@example.org", now - 90 * HOUR)
    push(studio, "support", template(SYSTEM, 0.2), "Less chatty", "bo@example.org", now - 60 * HOUR)
    push(
        studio,
        "support",
        template(KINDER, 0.2, examples=[example], tools=[TOOL]),
        "Names the return window",
        "local",
        now - 20 * HOUR,
    )
    greeting = Template(messages=[TemplateMessage(role="user", content="Greet {{ name }}.")])
    push(studio, "greeting", greeting, "", "local", now - 2 * HOUR)
    serve(studio, "staging", Share(version=3), message="", at=now - 19 * HOUR)
    serve(studio, "production", Share(version=2), message="Shorter answers", at=now - 59 * HOUR)
    serve(
        studio,
        "production",
        Share(version=2, weight=90),
        Share(version=3, weight=10),
        message="Canary",
        at=now - 18 * HOUR,
    )
    prompts.add_comment(
        studio.records,
        "support",
        3,
        "It thanks people twice.\nStill better than #2.",
        project_id=studio.project_id,
        author="cy@example.org",
        now=now - HOUR,
    )
    spans, scores = _traffic(studio, now)
    studio.store.insert_spans(spans, token="prompts-spans")
    studio.store.insert_scores(scores, token="prompts-scores")


def _traffic(studio: Studio, now: int) -> tuple[list[Span], list[Score]]:
    chance = random.Random(7)
    spans: list[Span] = []
    scores: list[Score] = []
    for number in range(240):
        version = chance.choice((1, 2, 2, 2, 3))
        model = "sim/gpt-4o" if number % 6 == 0 else "sim/gpt-4o-mini"
        temperature = "0.7" if version == 1 else "0.9" if number % 11 == 0 else "0.2"
        failed = chance.random() < 0.04
        tested = number % 8 == 0
        trace = f"{0xABC000 + number:032x}"
        spans.append(
            Span(
                project_id=studio.project_id,
                trace_id=trace,
                span_id=f"{number + 1:016x}",
                name=f"chat {model.partition('/')[2]}",
                kind="client",
                source="gateway",
                operation="chat",
                start=now - (3 + number % 70) * HOUR,
                duration=chance.randint(300, 2600) * 10**6,
                status="error" if failed else "ok",
                error_type="upstream_failed" if failed else "",
                user_id=f"user {number % 17}",
                route="support",
                target=model,
                prompt="support",
                prompt_version=str(version),
                release="" if tested else "production.2",
                provider="simulator",
                request_model=model.partition("/")[2],
                input_tokens=300,
                output_tokens=80,
                cost=Decimal("0.0031") if "mini" not in model else Decimal("0.0004"),
                attributes={
                    "gen_ai.request.temperature": temperature,
                    "ratchet.variables": json.dumps(
                        {"shop": "Trail & Tent", "question": "Can I return shoes?"}
                    ),
                },
                run_id="run-7" if tested else "",
            )
        )
        if number % 3 == 0:
            scores.append(
                Score(
                    project_id=studio.project_id,
                    score_id=f"prompt-score-{number}",
                    time=now - HOUR,
                    name="helpful",
                    value=float(chance.random() < 0.6 + 0.1 * version),
                    source="user",
                    trace_id=trace,
                )
            )
    return spans, scores
