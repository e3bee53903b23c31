"""The sample app: a support bot with a few hundred users, built on the official `openai` client.

It talks to whatever answers at `base_url` as OpenAI does, and uses of the gateway's own only the feedback and trace
endpoints. Everything that it will say is planned from the seed; what comes back is up to the model.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
from openai import APIError, AsyncOpenAI

from ratchet.demo.conversation import Conversation, Tally
from ratchet.demo.people import people
from ratchet.demo.plans import plan_session
from ratchet.demo.spans import otlp_body
from ratchet.simulator.dice import Dice

__all__ = ["DemoResult", "run"]

_DEADLINE = 60.0  # seconds for one request
_MOST_PROBLEMS = 10


class DemoResult(msgspec.Struct, kw_only=True):
    """What the app saw. Counts of requests, unless said otherwise."""

    users: int = 0
    sessions: int = 0
    requests: int = 0
    answered: int = 0
    streamed: int = 0
    left: int = 0  # the client went away in the middle of a stream
    tool_calls: int = 0  # calls the model made
    errors: dict[str, int] = {}  # by what was wrong, the ones that the plan provoked among them
    judged: int = 0  # answers with a known truth
    right: int = 0
    feedback: int = 0
    thumbs_up: int = 0
    thumbs_down: int = 0
    spans: int = 0  # the app's own
    problems: list[str] = []  # feedback or spans that were turned down, at most ten
    seconds: float = 0.0


async def run(
    base_url: str,
    key: str,
    *,
    users: int = 300,
    seed: int = 7,
    concurrency: int = 32,
    model: str = "support",
    carry: float = 0.08,
    progress: Callable[[int, int], Any] | None = None,
) -> DemoResult:
    """Lets `users` users talk to `model` at `base_url` (ending in `/v1`), `concurrency` at once.

    `carry` is the share of sessions whose prompt holds the handbook's text: 1.0 for a model that doesn't know the
    shop. `progress(done, users)` is called after each session. Errors that answers may bring are counted, not raised;
    anything else is raised.
    """
    began = time.monotonic()
    tally = Tally()
    result = DemoResult(users=users)
    turn = asyncio.Semaphore(concurrency)
    async with (
        AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=_DEADLINE) as client,
        asyncio.TaskGroup() as tasks,
    ):

        async def one(number: int) -> None:
            async with turn:
                session = plan_session(crowd[number], seed, carry=carry)
                conversation = Conversation(
                    client, model, session, Dice(f"run {seed} {session.id}".encode()), tally
                )
                await conversation.hold()
                await _report(client, conversation, result)
            result.sessions += 1
            if progress:
                progress(result.sessions, users)

        crowd = people(users, seed)
        for number in range(users):
            tasks.create_task(one(number))
    counts = tally.counts
    for name in ("requests", "answered", "streamed", "left", "tool_calls", "judged", "right"):
        setattr(result, name, counts[name])
    result.errors = dict(sorted(tally.errors.items()))
    result.seconds = time.monotonic() - began
    return result


async def _report(client: AsyncOpenAI, conversation: Conversation, result: DemoResult) -> None:
    """Sends the session's feedback and spans."""
    session = conversation.session
    for said in conversation.feedback:
        if await _posted(client, "/feedback", said, result):
            result.feedback += 1
            if said.get("name") == "thumbs":
                result.thumbs_up += said["value"] is True
                result.thumbs_down += said["value"] is False
    if conversation.spans:
        body = otlp_body(conversation.spans, service="support-app", version=session.user.app_version)
        if await _posted(client, "/traces", body, result):
            result.spans += len(conversation.spans)


async def _posted(client: AsyncOpenAI, path: str, body: dict[str, Any], result: DemoResult) -> bool:
    try:
        await client.post(path, cast_to=object, body=body)
    except APIError as problem:
        if len(result.problems) < _MOST_PROBLEMS:
            result.problems.append(f"{path}: {problem.message}")
        return False
    return True
