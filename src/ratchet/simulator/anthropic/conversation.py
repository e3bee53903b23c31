"""Messages in order: who may speak when, and that every tool use has its result right behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ratchet.simulator.anthropic.abilities import Abilities
from ratchet.simulator.anthropic.blocks import Block, read_content
from ratchet.simulator.anthropic.checks import array, at, need, object_at, only
from ratchet.simulator.anthropic.errors import refusal
from ratchet.simulator.ask import Turn

__all__ = ["Spoken", "check_order", "check_thoughts", "read_messages", "turns_of"]

_PLACES = {
    "tool_use": "assistant",
    "thinking": "assistant",
    "redacted_thinking": "assistant",
    "tool_result": "user",
}
_MOST = 100_000
_MANUAL = "https://docs.claude.com/en/docs/build-with-claude/extended-thinking"


class Spoken(msgspec.Struct, frozen=True):
    """One message, or several of one role in a row, with the index of the first."""

    index: int
    role: str
    blocks: tuple[Block, ...]


def read_messages(messages: Any, can: Abilities) -> list[Spoken]:
    """The messages, each checked by itself, those of one role in a row joined. Raises `Rejected`."""
    found: list[Spoken] = []
    listed = array(messages, "messages")
    if not listed:
        raise refusal("messages: at least one message is required")
    if len(listed) > _MOST:
        raise refusal(f"messages: at most {_MOST} messages are allowed")
    for index, value in enumerate(listed):
        one = _message(value, index, can, last=index == len(listed) - 1)
        if found and found[-1].role == one.role:
            found[-1] = Spoken(found[-1].index, one.role, (*found[-1].blocks, *one.blocks))
        else:
            found.append(one)
    return found


def _message(value: Any, index: int, can: Abilities, *, last: bool) -> Spoken:
    where = at("messages", index)
    fields = object_at(value, where)
    role = need(fields, "role", where)
    if role not in ("user", "assistant") and not (role == "system" and can.system_turns):
        raise refusal(
            f'messages: Unexpected role "{role}". '
            + (
                'The Messages API accepts a top-level `system` parameter, not "system" as an input message role.'
                if role == "system"
                else 'Allowed roles are "user" or "assistant".'
            )
        )
    only(fields, {"role", "content"}, where)
    content = need(fields, "content", where)
    blocks = read_content(content, at(where, "content"))
    if not blocks or (isinstance(content, str) and not content.strip()):
        if role == "user":
            raise refusal(f"{where}: user messages must have non-empty content")
        if not last:
            raise refusal(
                f"{where}: all messages must have non-empty content except for the optional final assistant message"
            )
    for block in blocks:
        if _PLACES.get(block.type, role) != role:
            raise refusal(f"{where}: `{block.type}` blocks can only be in `{_PLACES[block.type]}` messages")
    return Spoken(index, role, tuple(blocks))


def check_order(spoken: Sequence[Spoken], can: Abilities) -> None:
    """Tool uses and results in pairs, and a conversation that ends where a model can go on. Raises `Rejected`."""
    turns = [one for one in spoken if one.role != "system"]
    called: set[str] = set()
    for position, one in enumerate(turns):
        if one.role == "user":
            _check_results(one, called)
        called = _check_uses(one, turns[position + 1] if position + 1 < len(turns) else None)
    last = turns[-1]
    if last.role == "assistant" and last.blocks:
        if not can.prefill:
            raise refusal(
                "This model does not support assistant message prefill. The conversation must end with a user message."
            )
        if last.blocks[-1].type == "text" and last.blocks[-1].text.rstrip() != last.blocks[-1].text:
            raise refusal("messages: final assistant content cannot end with trailing whitespace")


def _check_results(one: Spoken, called: set[str]) -> None:
    seen: set[str] = set()
    for block in one.blocks:
        if not block.result_of:
            continue
        if block.result_of not in called:
            raise refusal(
                f"{block.where}: unexpected `tool_use_id` found in `tool_result` blocks: {block.result_of}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        if block.result_of in seen:
            raise refusal(
                f"{block.where}: each tool_use must have a single result. Found multiple `tool_result` blocks with "
                f"id: {block.result_of}"
            )
        seen.add(block.result_of)


def _check_uses(one: Spoken, following: Spoken | None) -> set[str]:
    """The ids of the tool uses in a turn, each of which has to be answered at the beginning of the next."""
    called: dict[str, None] = {}
    for block in one.blocks:
        if block.call is not None:
            if block.call.id in called:
                raise refusal(f"{block.where}: `tool_use` ids must be unique")
            called[block.call.id] = None
    answered: set[str] = set()
    for block in following.blocks if following else ():
        if block.type != "tool_result":
            break
        answered.add(block.result_of)
    missing = [name for name in called if name not in answered]
    if missing:
        raise refusal(
            f"messages.{one.index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
            "message."
        )
    return set(called)


def check_thoughts(spoken: Sequence[Spoken]) -> None:
    """With a budget for thoughts, a turn that called tools has to begin with its thoughts. Raises `Rejected`."""
    asked = 0
    for position, one in enumerate(spoken):
        if one.role == "user" and any(block.type != "tool_result" for block in one.blocks):
            asked = position
    turn = next((one for one in spoken[asked:] if one.role == "assistant"), None)
    if turn is None or not any(block.type == "tool_use" for block in turn.blocks):
        return
    first = turn.blocks[0]
    if first.type not in {"thinking", "redacted_thinking"}:
        raise refusal(
            f"{first.where}.type: Expected `thinking` or `redacted_thinking`, but found `{first.type}`. When "
            "`thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the "
            "lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks from "
            f"previous turns. To avoid this requirement, disable `thinking`. Please consult our documentation at {_MANUAL}"
        )


def turns_of(spoken: Sequence[Spoken]) -> list[Turn]:
    """The conversation as the core knows it: each tool result is a turn of its own."""
    turns: list[Turn] = []
    for one in spoken:
        rest: list[Block] = []
        for block in one.blocks:
            if block.type == "tool_result":
                turns.append(Turn("tool", block.text, call_id=block.result_of, blobs=block.blobs))
            else:
                rest.append(block)
        calls = tuple(block.call for block in rest if block.call is not None)
        if rest:
            text = "\n".join(block.text for block in rest if block.text)
            blobs = tuple(blob for block in rest for blob in block.blobs)
            turns.append(Turn(one.role, text, calls=calls, blobs=blobs))
    return turns
