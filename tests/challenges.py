"""What a browser does with a challenge, for tests."""

from __future__ import annotations

from typing import Any

import altcha
import httpx2

__all__ = ["BODY", "earned", "solution"]

BODY: dict[str, Any] = {"model": "support", "messages": [{"role": "user", "content": "Hello"}]}


def solution(challenge: dict[str, Any]) -> str:
    """The header `x-altcha` for a challenge, by ALTCHA's own solver."""
    given = altcha.Challenge.from_dict(challenge)
    found = altcha.solve_challenge(given)
    assert found is not None
    return altcha.Payload(given, found).to_base64()


async def earned(client: httpx2.AsyncClient, headers: dict[str, str] | None = None, **query: str) -> str:
    """A pass, by a first request that shows a solution."""
    challenge = (await client.get("/v1/challenge", headers=headers, params=query)).json()
    shown = {**(headers or {}), "x-altcha": solution(challenge)}
    # Feedback that says nothing is refused, and leaves nothing behind; the work has been shown all the same.
    answer = await client.post("/v1/feedback", json={}, headers=shown)
    return answer.headers["x-ratchet-pass"]
