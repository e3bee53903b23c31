"""Input items: their fields checked one by one, their order, and what they say to a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ratchet.simulator.ask import Call, Turn
from ratchet.simulator.memory import Memory
from ratchet.simulator.openai.errors import refusal
from ratchet.simulator.openai.fields import listed, object_at, required, wrong_type
from ratchet.simulator.responses.sealing import unsealed

__all__ = ["check_order", "read_input", "turns_of"]

_ROLES = ("assistant", "system", "developer", "user")
_SAID = ("output_text", "refusal")  # what an assistant's message may hold
_GIVEN = ("input_text", "input_image", "input_file", "input_audio")
_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc"}
# Items of tools that run at the provider, and others that the bot does not look at.
_OTHERS = (
    "file_search_call", "computer_call", "computer_call_output", "web_search_call", "image_generation_call",
    "code_interpreter_call", "local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output",
    "apply_patch_call", "apply_patch_call_output", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response",
    "mcp_call", "custom_tool_call", "custom_tool_call_output", "compaction", "tool_search_call", "tool_search_output",
)  # fmt: skip
_LONGEST = 64


def read_input(value: Any, memory: Memory) -> list[dict[str, Any]]:
    """The items, each checked by itself; references replaced by what they name. Raises `Rejected`."""
    if isinstance(value, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": value}]}]
    if not isinstance(value, list):
        raise wrong_type("input", "one of a string or array of items", value)
    return [_item(item, f"input[{i}]", memory) for i, item in enumerate(cast("list[Any]", value))]


def _item(value: Any, where: str, memory: Memory) -> dict[str, Any]:
    fields = object_at(value, where)
    kind = fields.get("type") or ("message" if "role" in fields else None)
    if kind is None:
        raise required(f"{where}.type")
    _check_id(fields, str(kind), where)
    match kind:
        case "message":
            _check_message(fields, where)
        case "reasoning":
            _check_reasoning(fields, where, memory)
        case "function_call":
            for name in ("call_id", "name", "arguments"):
                _text(fields, name, where)
            _check_length(fields, "call_id", where)
        case "function_call_output":
            _text(fields, "call_id", where)
            _check_length(fields, "call_id", where)
            _check_output(fields.get("output"), where)
        case "item_reference":
            return _referred(_text(fields, "id", where), memory)
        case _ if kind not in _OTHERS:
            names = [*_PREFIXES, "function_call_output", "item_reference", *_OTHERS]
            raise _not_among(str(kind), names, where)
        case _:
            pass
    return {**fields, "type": kind}


def _not_among(value: str, names: Sequence[str], param: str) -> Exception:
    shown = ", ".join(f"'{name}'" for name in names[:-1]) + f", and '{names[-1]}'"
    message = f"Invalid value: '{value}'. Supported values are: {shown}."
    return refusal(message, param=param, code="invalid_value")


def _text(fields: dict[str, Any], name: str, where: str) -> str:
    value = fields.get(name)
    if value is None:
        raise required(f"{where}.{name}")
    if not isinstance(value, str):
        raise wrong_type(f"{where}.{name}", "a string", value)
    return value


def _check_length(fields: dict[str, Any], name: str, where: str) -> None:
    size = len(fields[name])
    if size > _LONGEST:
        raise refusal(
            f"Invalid '{where}.{name}': string too long. Expected a string with maximum length {_LONGEST}, but got a "
            f"string with length {size} instead.",
            param=f"{where}.{name}",
            code="string_above_max_length",
        )


def _check_id(fields: dict[str, Any], kind: str, where: str) -> None:
    given, prefix = fields.get("id"), _PREFIXES.get(kind)
    if prefix and isinstance(given, str) and not given.startswith(prefix):
        raise refusal(
            f"Invalid '{where}.id': '{given}'. Expected an ID that begins with '{prefix}'.",
            param=f"{where}.id",
            code="invalid_value",
        )


def _check_message(fields: dict[str, Any], where: str) -> None:
    role = fields.get("role")
    if role is None:
        raise required(f"{where}.role")
    if role not in _ROLES:
        raise _not_among(str(role), _ROLES, f"{where}.role")
    content = fields.get("content")
    if isinstance(content, str):
        return
    allowed = _SAID if role == "assistant" else _GIVEN
    for index, part in enumerate(listed(content, f"{where}.content", "one of a string or array of objects")):
        _check_part(part, allowed, f"{where}.content[{index}]")


def _check_part(part: Any, allowed: Sequence[str], where: str) -> None:
    fields = object_at(part, where)
    kind = fields.get("type")
    if kind is None:
        raise required(f"{where}.type")
    if kind not in allowed:
        raise _not_among(str(kind), allowed, where)
    match kind:
        case "input_text" | "output_text":
            _text(fields, "text", where)
        case "refusal":
            _text(fields, "refusal", where)
        case "input_image" if not (fields.get("image_url") or fields.get("file_id")):
            raise required(f"{where}.image_url")
        case "input_image" if fields.get("image_url"):
            _text(fields, "image_url", where)
        case "input_audio":
            object_at(fields.get("input_audio") or {}, f"{where}.input_audio")
        case "input_file" if not any(fields.get(name) for name in ("file_data", "file_url", "file_id")):
            raise required(f"{where}.file_id")
        case _:
            pass


def _check_output(output: Any, where: str) -> None:
    if output is None:
        raise required(f"{where}.output")
    if isinstance(output, str):
        return
    for index, part in enumerate(listed(output, f"{where}.output", "one of a string or array of objects")):
        _check_part(part, _GIVEN, f"{where}.output[{index}]")


def _check_reasoning(fields: dict[str, Any], where: str, memory: Memory) -> None:
    listed(fields.get("summary"), f"{where}.summary", "an array of objects")
    content = fields.get("encrypted_content")
    if content is not None:
        if not isinstance(content, str) or unsealed(content) is None:
            raise refusal(
                f"The encrypted content {str(content)[:4]}...{str(content)[-4:]} could not be verified. Reason: Encrypted "
                "content could not be decrypted or parsed.",
                code="invalid_encrypted_content",
            )
    elif memory.item(_text(fields, "id", where)) is None:
        raise _unknown_item(fields["id"])


def _referred(name: str, memory: Memory) -> dict[str, Any]:
    found = memory.item(name)
    if found is None:
        raise _unknown_item(name)
    return found


def _unknown_item(name: str) -> Exception:
    return refusal(
        f"Item with id '{name}' not found. Items are not persisted when `store` is set to false. Try again with `store` "
        "set to true, or remove this item from your input.",
        status=404,
        param="input",
    )


def check_order(items: Sequence[dict[str, Any]]) -> None:
    """Every call with its output, every output with its call, and nothing thought without being said. Raises
    `Rejected`.
    """
    calls = {item["call_id"] for item in items if item["type"] == "function_call"}
    outputs = {item["call_id"] for item in items if item["type"] == "function_call_output"}
    for item in items:
        if item["type"] == "function_call_output" and item["call_id"] not in calls:
            raise refusal(
                f"No tool call found for function call output with call_id {item['call_id']}.", param="input"
            )
        if item["type"] == "function_call" and item["call_id"] not in outputs:
            raise refusal(f"No tool output found for function call {item['call_id']}.", param="input")
    for position, item in enumerate(items):
        if item["type"] != "reasoning":
            continue
        following = next((one for one in items[position + 1 :] if one["type"] != "reasoning"), None)
        if following is None or following.get("role", "assistant") != "assistant":
            raise refusal(
                f"Item '{item.get('id', '')}' of type 'reasoning' was provided without its required following item.",
                param="input",
            )


def turns_of(items: Sequence[dict[str, Any]]) -> list[Turn]:
    """The conversation as the core knows it."""
    turns: list[Turn] = []
    for item in items:
        match item["type"]:
            case "message":
                text, blobs = _said(item["content"])
                turns.append(Turn(item["role"], text, blobs=blobs))
            case "function_call":
                call = Call(item["call_id"], item["name"], item["arguments"])
                if turns and turns[-1].role == "assistant":
                    last = turns[-1]
                    turns[-1] = Turn("assistant", last.text, calls=(*last.calls, call), blobs=last.blobs)
                else:
                    turns.append(Turn("assistant", calls=(call,)))
            case "function_call_output":
                text, blobs = _said(item["output"])
                turns.append(Turn("tool", text, call_id=item["call_id"], blobs=blobs))
            case _:
                pass
    return turns


def _said(content: Any) -> tuple[str, tuple[tuple[str, str], ...]]:
    """`(text, blobs)` of a message's content or a call's output."""
    if isinstance(content, str):
        return content, ()
    texts: list[str] = []
    blobs: list[tuple[str, str]] = []
    for part in cast("list[dict[str, Any]]", content):
        match part["type"]:
            case "input_text" | "output_text":
                texts.append(part["text"])
            case "refusal":
                texts.append(part["refusal"])
            case "input_image":
                low = "low:" if part.get("detail") == "low" else ""
                blobs.append(("image", low + str(part.get("image_url") or part.get("file_id"))))
            case "input_audio":
                blobs.append(
                    ("audio", str(cast("dict[str, Any]", part.get("input_audio") or {}).get("data", "")))
                )
            case _:
                names = ("file_data", "file_url", "file_id")
                blobs.append(("file", next(str(part[name]) for name in names if part.get(name))))
    return "\n".join(texts), tuple(blobs)
