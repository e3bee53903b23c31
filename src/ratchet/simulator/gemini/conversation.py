"""Contents in order: roles, function calls with their responses right behind them, and signatures that come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from ratchet.simulator.ask import Call, Turn
from ratchet.simulator.gemini.abilities import Abilities
from ratchet.simulator.gemini.errors import refusal
from ratchet.simulator.gemini.proto import items
from ratchet.simulator.gemini.signatures import signed
from ratchet.simulator.wire import encode

__all__ = ["Spoken", "check_order", "read_contents", "spoken_text", "turns_of"]

_DATA = (
    "text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult",
    "toolCall", "toolResponse",
)  # fmt: skip
_KINDS = {"image": "image", "audio": "audio"}
_MIME = (
    "image/png", "image/jpeg", "image/webp", "image/heic", "image/heif", "application/pdf", "application/json", "text/",
    "audio/", "video/",
)  # fmt: skip
_MANUAL = "https://ai.google.dev/gemini-api/docs/thought-signatures"


class Spoken(msgspec.Struct, frozen=True):
    """One content, or several of one role in a row."""

    role: str
    parts: tuple[dict[str, Any], ...]

    def calls(self) -> list[dict[str, Any]]:
        return [part["functionCall"] for part in self.parts if "functionCall" in part]

    def responses(self) -> list[dict[str, Any]]:
        return [part["functionResponse"] for part in self.parts if "functionResponse" in part]


def read_contents(contents: list[dict[str, Any]], where: str) -> list[Spoken]:
    """The contents, each checked by itself, those of one role in a row joined. Raises `Rejected`."""
    if not contents:
        raise refusal(f"* {where}.contents: contents is not specified\n")
    found: list[Spoken] = []
    for index, content in enumerate(contents):
        role = content.get("role") or "user"
        if role not in {"user", "model", "function"}:
            raise refusal("Please use a valid role: user, model.")
        role = "model" if role == "model" else "user"
        parts = items(content, "parts")
        if not parts:
            raise refusal(f"* {where}.contents[{index}].parts: contents.parts must not be empty.\n")
        for at, part in enumerate(parts):
            _check_part(part, f"{where}.contents[{index}].parts[{at}]")
        if found and found[-1].role == role:
            found[-1] = Spoken(role, (*found[-1].parts, *parts))
        else:
            found.append(Spoken(role, tuple(parts)))
    return found


def _check_part(part: dict[str, Any], where: str) -> None:
    kinds = [name for name in _DATA if name in part]
    if not kinds and "thoughtSignature" not in part:
        raise refusal(f"* {where}.data: required oneof field 'data' must have one initialized field\n")
    if len(kinds) > 1:
        raise refusal(
            f"* {where}.data: only one of the fields of oneof 'data' may be set: {', '.join(kinds)}\n"
        )
    given = part.get("thoughtSignature")
    if given and not signed(part.get("functionCall", {}).get("name", ""), given):
        raise refusal("Corrupted thought signature.")
    for name in ("inlineData", "fileData"):
        if name in part:
            _check_blob(part[name], name, where)
    for name in ("functionCall", "functionResponse"):
        if name in part and not part[name].get("name"):
            raise refusal(f"* {where}.{name}.name: Name cannot be empty.\n")


def _check_blob(blob: dict[str, Any], name: str, where: str) -> None:
    mime = blob.get("mimeType", "")
    if name == "inlineData" and not blob.get("data"):
        raise refusal(f"* {where}.inline_data.data: must not be empty\n")
    if name == "fileData" and not blob.get("fileUri"):
        raise refusal(f"* {where}.file_data.file_uri: must not be empty\n")
    if (name == "inlineData" or mime) and not mime.startswith(_MIME):
        raise refusal(f"Unsupported MIME type: {mime}")


def check_order(spoken: Sequence[Spoken], can: Abilities) -> None:
    """Calls and responses in pairs, and the signatures that a model demands. Raises `Rejected`."""
    for position, one in enumerate(spoken):
        before = spoken[position - 1] if position else None
        after = spoken[position + 1] if position + 1 < len(spoken) else None
        if one.role == "model" and one.calls():
            if before is None:
                raise refusal(
                    "Please ensure that function call turn comes immediately after a user turn or after a function "
                    "response turn."
                )
            if after is None or len(after.responses()) != len(one.calls()):
                raise refusal(
                    "Please ensure that the number of function response parts is equal to the number of function call "
                    "parts of the function call turn."
                )
        if one.responses():
            if before is None or not before.calls():
                raise refusal(
                    "Please ensure that function response turn comes immediately after a function call turn."
                )
            _check_ids(before.calls(), one.responses())
    if can.demands_signatures:
        _check_signatures(spoken)


def _check_ids(calls: list[dict[str, Any]], responses: list[dict[str, Any]]) -> None:
    ids = {call["id"] for call in calls if call.get("id")}
    for response in responses:
        if response.get("id") and ids and response["id"] not in ids:
            raise refusal(f"Function response id '{response['id']}' does not match any function call id.")


def _check_signatures(spoken: Sequence[Spoken]) -> None:
    """The first call of each step in the current turn, which begins with what the user last said."""
    turn = 0
    for position, one in enumerate(spoken):
        if one.role == "user" and not one.responses():
            turn = position
    for position, one in enumerate(spoken[turn:], turn):
        first = next((part for part in one.parts if "functionCall" in part), None)
        if first is not None and not first.get("thoughtSignature"):
            raise refusal(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to "
                "work correctly, and missing thought_signature may lead to degraded model performance. Additional "
                f"data, function call `default_api:{first['functionCall']['name']}` , position {position + 1}. Please "
                f"refer to {_MANUAL} for more details."
            )


def spoken_text(parts: Sequence[dict[str, Any]]) -> str:
    """The text in some parts, without thoughts."""
    return "\n".join(part["text"] for part in parts if part.get("text") and not part.get("thought"))


def turns_of(spoken: Sequence[Spoken]) -> list[Turn]:
    """The conversation as the core knows it: each function response is a turn of its own."""
    turns: list[Turn] = []
    open_ids: list[str] = []
    for position, one in enumerate(spoken):
        calls = tuple(
            Call(call.get("id") or f"{position}.{i}", call["name"], encode(call.get("args") or {}).decode())
            for i, call in enumerate(one.calls())
        )
        for i, response in enumerate(one.responses()):
            name = response.get("id") or (open_ids[i] if i < len(open_ids) else "")
            turns.append(Turn("tool", _told(response.get("response")), call_id=name, blobs=_blobs(response)))
        open_ids = [call.id for call in calls]
        rest = [part for part in one.parts if "functionResponse" not in part]
        if rest:
            role = "assistant" if one.role == "model" else "user"
            blobs = tuple(blob for part in rest for blob in _blob(part))
            turns.append(Turn(role, spoken_text(rest), calls=calls, blobs=blobs))
    return turns


def _told(response: Any) -> str:
    """A response as text: what stands alone under `result` or `output` is the result itself."""
    fields = cast("dict[str, Any]", response or {})
    if len(fields) == 1:
        name, value = next(iter(fields.items()))
        if name in {"result", "output", "return_value"}:
            return value if isinstance(value, str) else encode(value).decode()
    return encode(fields).decode()


def _blobs(response: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(blob for part in response.get("parts") or () for blob in _blob(part))


def _blob(part: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    for name, field in (("inlineData", "data"), ("fileData", "fileUri")):
        if name in part:
            mime = str(part[name].get("mimeType", ""))
            return ((_KINDS.get(mime.partition("/")[0], "file"), str(part[name].get(field, ""))),)
    return ()
