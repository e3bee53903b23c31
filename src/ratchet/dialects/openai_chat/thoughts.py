"""What a model thought, in a chat completions message: OpenAI's own has no word for it, its look-alikes have several.

`reasoning_content` (DeepSeek, vLLM, Moonshot …) or `reasoning` (Groq, OpenRouter, Cerebras …) hold the text;
`reasoning_details` (OpenRouter) hold it in entries with each one's proof. How it was written is kept in a part's
`extra["wire"]`: `field` where the text stood elsewhere than in `reasoning_content`, and what an entry said beside
text and proof.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ratchet.dialects.signatures import tagged, untagged
from ratchet.domain.messages import Extra, ReasoningPart

__all__ = ["THOUGHT_FIELDS", "read_entry", "read_thoughts", "wire_of", "write_entry", "write_thoughts"]

NAME = "openai_chat"
THOUGHT_FIELDS = frozenset({"reasoning_content", "reasoning", "reasoning_details"})
_TEXT_KEYS = {"reasoning.text": "text", "reasoning.summary": "summary", "reasoning.encrypted": "data"}


def wire_of(extra: Extra | None) -> dict[str, Any]:
    """How a part was written down, where that was not the usual way."""
    wire = extra.get("wire") if extra else None
    return cast("dict[str, Any]", wire) if isinstance(wire, dict) else {}


def read_thoughts(message: dict[str, Any], extra: Extra) -> list[ReasoningPart]:
    """The thoughts of a message. What of their fields can't be read as such is put into `extra`."""
    texts = {name: message[name] for name in ("reasoning_content", "reasoning") if name in message}
    for name, value in list(texts.items()):
        if not isinstance(value, str) or not value:
            extra[name] = texts.pop(name)
    if len(texts) == 2:
        if texts["reasoning"] == texts["reasoning_content"]:
            texts = {"both": texts["reasoning"]}
        else:
            extra["reasoning"] = texts.pop("reasoning")
    field, plain = next(iter(texts.items()), ("details", ""))
    parts = _read_details(message, extra)
    if parts:
        said = "".join(part.content for part in parts)
        if plain and said != plain:
            for name in ("reasoning_content", "reasoning") if field == "both" else (field,):
                extra[name] = plain
            field = "details"
        if field != "reasoning_content" and (said or plain):
            parts[0] = _with_wire(parts[0], {"field": field})
        return parts
    if not plain:
        return []
    return [
        ReasoningPart(plain)
        if field == "reasoning_content"
        else _with_wire(ReasoningPart(plain), {"field": field})
    ]


def _read_details(message: dict[str, Any], extra: Extra) -> list[ReasoningPart]:
    if "reasoning_details" not in message:
        return []
    details = message["reasoning_details"]
    parts: list[ReasoningPart] = []
    for entry in cast("list[Any]", details) if isinstance(details, list) else ():
        part = read_entry(entry, len(parts))
        if part is None:
            parts.clear()
            break
        parts.append(part)
    if not parts:
        extra["reasoning_details"] = details
    elif not any(part.signature for part in parts):  # else nothing would tell that there were entries
        parts[0] = _with_wire(parts[0], {"type": wire_of(parts[0].extra).get("type", "reasoning.text")})
    return parts


def read_entry(value: Any, position: Any) -> ReasoningPart | None:
    """One entry of `reasoning_details`; None where it is none that is known."""
    if not isinstance(value, dict):
        return None
    entry = dict(cast("dict[str, Any]", value))
    kind = entry.pop("type", None)
    key = _TEXT_KEYS.get(kind) if isinstance(kind, str) else None
    text = entry.get(key, "") if key else None
    signature = entry.get("signature")
    if not isinstance(text, str | None) or not isinstance(signature, str | None) or key is None:
        return None
    if key in entry and text is not None:
        del entry[key]
    if kind == "reasoning.encrypted":
        signature, text = text or None, ""
    elif signature:
        del entry["signature"]
    if entry.get("index", ...) == position:
        del entry["index"]
    elif "index" not in entry:
        entry["index"] = None
    if kind != _usual_type(text or "", signature):
        entry["type"] = kind
    proof, origin = untagged(signature, NAME) if signature else (None, None)
    return ReasoningPart(text or "", proof, origin, {"wire": entry} if entry else None)


def write_thoughts(parts: Sequence[ReasoningPart]) -> dict[str, Any]:
    """The fields of a message that say these thoughts."""
    if not parts:
        return {}
    fields: dict[str, Any] = {}
    text = "".join(part.content for part in parts)
    field = wire_of(parts[0].extra).get("field", "reasoning_content")
    if text and field != "details":
        for name in ("reasoning_content", "reasoning") if field == "both" else (field,):
            fields[name] = text
    if any(part.signature or "type" in wire_of(part.extra) for part in parts):
        fields["reasoning_details"] = [write_entry(part, position) for position, part in enumerate(parts)]
    return fields


def write_entry(part: ReasoningPart, position: int) -> dict[str, Any]:
    """The entry of `reasoning_details` for a thought."""
    wire = {name: value for name, value in wire_of(part.extra).items() if name != "field"}
    signature = tagged(part.signature, part.origin, NAME) if part.signature else None
    kind = wire.pop("type", None) or _usual_type(part.content, signature)
    entry: dict[str, Any] = {"type": kind}
    if kind == "reasoning.encrypted":
        entry["data"] = signature or ""
    else:
        entry[_TEXT_KEYS.get(kind, "text")] = part.content
        if signature:
            entry["signature"] = signature
    if wire.get("index", ...) is None:  # it had none
        del wire["index"]
    else:
        entry["index"] = position
    return {**entry, **wire}


def _usual_type(text: str, signature: str | None) -> str:
    return "reasoning.encrypted" if signature and not text else "reasoning.text"


def _with_wire(part: ReasoningPart, more: dict[str, Any]) -> ReasoningPart:
    return ReasoningPart(
        part.content,
        part.signature,
        part.origin,
        {**(part.extra or {}), "wire": {**wire_of(part.extra), **more}},
    )
