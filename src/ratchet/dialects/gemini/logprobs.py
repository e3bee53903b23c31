"""How likely an answer's tokens were: Gemini's `logprobsResult` in OpenAI's form, which the others speak."""

from __future__ import annotations

from typing import Any

from ratchet.dialects.gemini.fields import fields, items

__all__ = ["token_entries"]


def token_entries(result: Any) -> list[dict[str, Any]]:
    """An entry for each chosen token, with its likeliest rivals; none where `result` is not what Gemini sends."""
    found = fields(result)
    rivals = items(found.get("topCandidates"))
    entries: list[dict[str, Any]] = []
    for place, chosen in enumerate(items(found.get("chosenCandidates"))):
        step = fields(rivals[place]) if place < len(rivals) else {}
        top = [_entry(rival) for rival in items(step.get("candidates"))]
        entries.append({**_entry(chosen), "top_logprobs": top})
    return entries


def _entry(candidate: Any) -> dict[str, Any]:
    said = fields(candidate)
    token = said.get("token")
    text = token if isinstance(token, str) else ""
    # A probability of one has the logarithm 0, and the wire leaves zeros out.
    return {
        "token": text,
        "logprob": said.get("logProbability", 0.0),
        "bytes": list(text.encode("utf-8", "replace")),
    }
