"""Does an answer rest on what only its user may know? Pure.

The rule, which errs on the side of "yes". An answer is personal where

- the question or the answer holds an e-mail address, a number of seven digits or more (phones, cards, accounts,
  orders), or a code of letters and digits with six characters or more;
- the question or the answer holds the name that the app has for its user or session;
- the question introduces its author ("my name is …", "I am …" with a name);
- the request brings what is not written in it: results of tools, files, tools that the provider runs, an earlier
  response at the provider.

What stands in the system prompt or in earlier turns needs no rule: only requests with the same ones are compared.
"""

from __future__ import annotations

import re
from typing import Any, cast

from ratchet.gateway.caller import Caller

__all__ = ["is_personal"]

_MARKS = re.compile(
    r"[\w.+-]+@[\w-]+\.\w"
    r"|(?<!\w)\+?\d(?:[ ./()-]{0,2}\d){6,}"
    r"|(?<![\w/])(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[A-Za-z0-9][A-Za-z0-9-]{5,}(?!\w)"
)
_BY_NAME = re.compile(r"\b(?:I am|I'm|I’m) [A-Z][a-z]+")
_NAMED = re.compile(r"\b(?:my name is|i am called)\b", re.IGNORECASE)
_KEYS_AT_THE_PROVIDER = frozenset({"previous_response_id", "container", "mcp_servers", "prompt"})
_KINDS_FROM_ELSEWHERE = frozenset(
    {
        "tool_result",
        "function_call_output",
        "file",
        "input_file",
        "document",
        "image",
        "image_url",
        "input_image",
    }
)


def is_personal(question: str, answer: str, fields: dict[str, Any], caller: Caller) -> bool:
    """By the rule above. `fields` are those of the request's body."""
    for text in (question, answer):
        if _MARKS.search(text) or any(
            name in text for name in (caller.user, caller.session) if len(name) > 2
        ):
            return True
    return bool(_NAMED.search(question) or _BY_NAME.search(question)) or _brings_more(fields)


def _brings_more(fields: dict[str, Any]) -> bool:
    if any(fields.get(name) for name in _KEYS_AT_THE_PROVIDER):
        return True
    tools = fields.get("tools")
    if isinstance(tools, list):
        for tool in cast("list[Any]", tools):
            if isinstance(tool, dict) and cast("dict[str, Any]", tool).get("type", "function") not in (
                "function",
                "custom",
            ):
                return True
    turns = fields.get("messages", fields.get("input"))
    return isinstance(turns, list) and any(map(_from_elsewhere, cast("list[Any]", turns)))


def _from_elsewhere(turn: Any) -> bool:
    if not isinstance(turn, dict):
        return False
    said = cast("dict[str, Any]", turn)
    if said.get("role") in ("tool", "function") or said.get("type") in _KINDS_FROM_ELSEWHERE:
        return True
    content = said.get("content")
    return isinstance(content, list) and any(
        isinstance(part, dict) and cast("dict[str, Any]", part).get("type") in _KINDS_FROM_ELSEWHERE
        for part in cast("list[Any]", content)
    )
