"""The Responses API's own words: names, finish reasons, and what an answer repeats of its request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from ratchet.domain.messages import Extra

__all__ = ["CALLS", "ECHOED", "NAME", "RESULTS", "finish_reason", "rest_of", "wire_of"]

NAME = "openai_responses"

# The items that ask the app for something, and the app's answers to them, each with the field that its text stands in.
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}
RESULTS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}

ECHOED = frozenset(
    {
        "access_programs", "background", "billing", "completed_at", "context_management", "conversation",
        "frequency_penalty", "incomplete_details", "instructions", "max_output_tokens", "max_tool_calls", "metadata",
        "object", "output_text", "parallel_tool_calls", "presence_penalty", "previous_response_id", "prompt",
        "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier",
        "status", "store", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation",
        "usage", "user",
    }
)  # fmt: skip
"""What stands beside an answer and says nothing that the request, the usage and the finish reason don't."""

_CUT_SHORT = {"max_output_tokens": "length", "content_filter": "content_filter", "max_messages": "length"}


def finish_reason(status: str | None, incomplete: str | None, kinds: Iterable[str | None]) -> str | None:
    """The message form's word; None where the answer is not finished. `kinds` are the types of its output items."""
    if status == "incomplete":
        return _CUT_SHORT.get(incomplete or "", "length")
    if status in ("failed", "cancelled"):
        return "error"
    if status in ("queued", "in_progress"):
        return None
    return "tool_call" if any(kind in CALLS for kind in kinds) else "stop"


def rest_of(fields: dict[str, Any], *known: str) -> Extra:
    """`fields` less the known ones."""
    return {name: value for name, value in fields.items() if name not in known}


def wire_of(extra: Extra | None) -> dict[str, Any]:
    """How something was written down, where that was not the usual way: for this dialect's writers alone."""
    wire = extra.get("wire") if extra else None
    return cast("dict[str, Any]", wire) if isinstance(wire, dict) else {}
