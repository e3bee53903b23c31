"""Gemini's parts into the message form and back.

What a part holds beside what the message form has a place for is kept in the part's `extra` under its wire name;
within a call, a result or a file, as `functionCall.willContinue` and so on.

Google's own convention for results of functions is kept to: a text is `{"output": text}`, a failure's
`{"error": text}`; any other object stays one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec

from ratchet.dialects.expressing import cannot_express
from ratchet.dialects.gemini.fields import fields, items, nested, restored, take, take_object
from ratchet.dialects.gemini.media import file_type, modality_of, picture_type
from ratchet.dialects.gemini.vocabulary import NAME
from ratchet.dialects.signatures import tagged, untagged
from ratchet.domain.messages import (
    BlobPart,
    FilePart,
    GenericPart,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
    UriPart,
)
from ratchet.errors import InvalidRequest

__all__ = [
    "arguments_of",
    "foreign_part",
    "is_bare_signature",
    "read_part",
    "write_answered",
    "write_own",
    "write_result",
]

_DATA = ("functionCall", "functionResponse", "inlineData", "fileData")
_FILES = ("https://generativelanguage.googleapis.com/", "gs://", "files/")
_decoder = msgspec.json.Decoder()


def read_part(value: Any, name_call: Callable[[str, Any], str]) -> Part:
    """One part. `name_call` gives the id of a call without one, from its name and arguments. Never raises."""
    if isinstance(value, str):
        return TextPart(value)
    found = fields(value)
    kind = next((kind for kind in _DATA if isinstance(found.get(kind), dict)), None)
    part: Part | None = None
    if kind == "functionCall":
        part = _read_call(found, name_call)
    elif kind == "functionResponse":
        part = _read_result(found, name_call)
    elif kind is not None:
        part = _read_media(found, kind)
    elif isinstance(found.get("text"), str) and not is_bare_signature(found):
        part = _read_text(found)
    return part or GenericPart(next(iter(found), "part"), value)


def is_bare_signature(found: dict[str, Any]) -> bool:
    """Whether the part is only a place for a signature: an empty text that is no thought."""
    return found.get("text") == "" and "thoughtSignature" in found and found.get("thought") is not True


def _read_text(found: dict[str, Any]) -> Part:
    text = take(found, "text", str) or ""
    signature = take(found, "thoughtSignature", str)
    if found.get("thought") is not True:
        if signature is not None:  # a proof that Google would like back, and does not insist on
            found["wire"] = {"thoughtSignature": signature}
        return TextPart(text, extra=found or None)
    del found["thought"]
    return ReasoningPart(text, *_proof(signature), found or None)


def _read_call(found: dict[str, Any], name_call: Callable[[str, Any], str]) -> Part | None:
    call = fields(found["functionCall"])
    name = take(call, "name", str)
    if not name:
        return None  # a piece of a call whose arguments are streamed
    del found["functionCall"]
    known = take(call, "id", str)
    arguments = take_object(call, "args")
    proof = _proof(take(found, "thoughtSignature", str))
    found.update(nested("functionCall", call))
    return ToolCallPart(known or name_call(name, arguments), name, arguments, *proof, extra=found or None)


def _read_result(found: dict[str, Any], name_call: Callable[[str, Any], str]) -> Part:
    given = fields(found.pop("functionResponse"))
    known, name = take(given, "id", str), take(given, "name", str)
    response: Any = take_object(given, "response")
    failed = None
    if response and len(response) == 1 and isinstance(text := response.get("output"), str):
        response = text
    elif response and len(response) == 1 and isinstance(text := response.get("error"), str):
        response, failed = text, True
    media = given.get("parts")
    if media and isinstance(media, list) and (isinstance(response, str) or response == {}):
        said: list[Part] = [TextPart(response)] if isinstance(response, str) else []
        response = said + [read_part(part, name_call) for part in items(given.pop("parts"))]
    found.update(nested("functionResponse", given))
    return ToolCallResponsePart(known, response, name, failed, found or None)


def _read_media(found: dict[str, Any], kind: str) -> Part | None:
    held = fields(found[kind])
    content = take(held, "data" if kind == "inlineData" else "fileUri", str)
    if content is None:
        return None
    del found[kind]
    mime, name = take(held, "mimeType", str), take(held, "displayName", str)
    signature = take(found, "thoughtSignature", str)
    if signature is not None:
        found["wire"] = {"thoughtSignature": signature}
    found.update(nested(kind, held))
    extra = found or None
    if kind == "inlineData":
        return BlobPart(modality_of(mime, ""), content, mime, name, extra)
    modality = modality_of(mime, content)
    if content.startswith(_FILES):
        return FilePart(modality, content, mime, name, extra)
    return UriPart(modality, content, mime, name, extra)


def write_own(part: Part, derived: Callable[[str], bool]) -> dict[str, Any]:  # noqa: PLR0911 - one for each kind
    """A part that was read here, as it came. `derived` knows the ids that reading made up."""
    match part:
        case TextPart():
            kept = {name: value for name, value in (part.extra or {}).items() if name != "logprobs"}
            return restored(
                {"text": part.content}, kept
            )  # the probabilities stand beside the candidate's parts
        case ReasoningPart():
            return restored(_thought(part.content, _signature(part)), part.extra)
        case ToolCallPart():
            return restored(_call(part, part.arguments, derived, _signature(part)), part.extra)
        case ToolCallResponsePart():
            written = write_result(part, part.name or "", derived, media=True, own=True)
            return restored(written[0], part.extra)
        case BlobPart():
            return restored({"inlineData": _blob(part.content, part.mime_type, part.name)}, part.extra)
        case UriPart():
            return restored({"fileData": _file(part.uri, part.mime_type, part.name)}, part.extra)
        case FilePart():
            return restored({"fileData": _file(part.file_id, part.mime_type, part.name)}, part.extra)
        case RefusalPart():
            return {"text": part.content}
        case GenericPart():
            return part.value


def foreign_part(part: Part, where: str, derived: Callable[[str], bool]) -> dict[str, Any] | None:
    """A part that was said in another dialect, for a request. None for a thought that only its own vendor's models
    may see, or that has no words. Raises InvalidRequest for what Gemini can't be given; `where` names it.
    """
    match part:
        case TextPart() | RefusalPart():
            return {"text": part.content}
        case ReasoningPart():
            if not part.content or (part.signature and part.origin != NAME):
                return None
            return _thought(part.content, part.signature)
        case ToolCallPart():
            arguments = arguments_of(part.arguments)
            if arguments is None:
                raise cannot_express(
                    f"{where} (arguments of {part.name})", NAME, because="They are no JSON object."
                )
            return _call(part, arguments, derived, part.signature if part.origin == NAME else None)
        case BlobPart():
            kind = part.mime_type or picture_type(part.content)
            if kind is None:
                raise InvalidRequest(
                    f"{where} is data of an unknown type.",
                    "Say its MIME type (`data:image/png;base64,…`): Gemini asks for it.",
                    param=where,
                )
            return {"inlineData": _blob(part.content, kind, None)}
        case UriPart():
            return {"fileData": _file(part.uri, part.mime_type or file_type(part.uri), None)}
        case FilePart():
            raise cannot_express(
                f"{where} (file {part.file_id})", NAME, because="Only the provider that it lies at knows it."
            )
        case GenericPart():
            raise cannot_express(f"{where} ({part.name})", NAME)
        case ToolCallResponsePart():
            raise cannot_express(
                where, NAME, because="A tool's result must stand in a message of role `tool`."
            )


def write_answered(part: Part, derived: Callable[[str], bool]) -> dict[str, Any] | None:
    """A part that another vendor's model said, for an answer. None for what Gemini's answers have no place for."""
    match part:
        case ReasoningPart():
            return _thought(part.content, _signature(part))
        case ToolCallPart():
            return _call(part, arguments_of(part.arguments) or {}, derived, _signature(part))
        case TextPart() | RefusalPart():
            return {"text": part.content}
        case BlobPart():
            return {"inlineData": _blob(part.content, part.mime_type, None)}
        case UriPart():
            return {"fileData": _file(part.uri, part.mime_type, None)}
        case _:
            return None


def write_result(
    part: ToolCallResponsePart,
    name: str,
    derived: Callable[[str], bool],
    *,
    media: bool,
    own: bool = False,
    where: str = "",
) -> list[dict[str, Any]]:
    """A function's result; where the model can't take pictures inside it (`media`), they follow as parts. `where` names
    it in errors."""
    written: dict[str, Any] = {}
    if part.id and not derived(part.id):
        written["id"] = part.id
    if name:
        written["name"] = name
    response: Any = part.response
    shown: list[dict[str, Any]] = []
    if isinstance(response, list):
        said, shown = _said_and_shown(cast("list[Any]", response), where, derived, own=own)
        response = {} if said is None else said
    if isinstance(response, str):
        response = {"error" if part.failed else "output": response}
    elif response is not None and not isinstance(response, dict):
        response = {"output": response}
    if response is not None:
        written["response"] = response
    if shown and media:
        written["parts"] = shown
        shown = []
    return [{"functionResponse": written}, *shown]


def _said_and_shown(
    parts: list[Any], where: str, derived: Callable[[str], bool], *, own: bool
) -> tuple[str | None, list[dict[str, Any]]]:
    """The texts of a result as one, and its pictures and documents."""
    texts: list[str] = []
    shown: list[dict[str, Any]] = []
    for number, part in enumerate(parts):
        here = f"{where}.content[{number}]"
        if isinstance(part, TextPart):
            texts.append(part.content)
        elif own:
            shown.append(write_own(part, derived))
        elif isinstance(part, BlobPart | UriPart | FilePart | GenericPart):
            shown.append(foreign_part(part, here, derived) or {})
        else:
            raise cannot_express(here, NAME, because="It is what is neither text, nor a picture or file.")
    return "\n".join(texts) if texts else None, shown


def arguments_of(arguments: Any) -> dict[str, Any] | None:
    """A call's arguments as an object; None where they are none."""
    if isinstance(arguments, str) and arguments.strip():
        try:
            arguments = _decoder.decode(arguments)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return None
    if not arguments:
        return {}
    return cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else None


def _signature(part: ReasoningPart | ToolCallPart) -> str | None:
    return tagged(part.signature, part.origin, NAME) if part.signature is not None else None


def _proof(signature: str | None) -> tuple[str | None, str | None]:
    return (None, None) if signature is None else untagged(signature, NAME)


def _thought(text: str, signature: str | None) -> dict[str, Any]:
    written: dict[str, Any] = {"text": text, "thought": True}
    if signature is not None:
        written["thoughtSignature"] = signature
    return written


def _call(
    part: ToolCallPart, arguments: Any, derived: Callable[[str], bool], signature: str | None
) -> dict[str, Any]:
    call: dict[str, Any] = {}
    if part.id and not derived(part.id):
        call["id"] = part.id
    call["name"] = part.name
    if arguments is not None:
        call["args"] = arguments
    written: dict[str, Any] = {"functionCall": call}
    if signature is not None:
        written["thoughtSignature"] = signature
    return written


def _blob(data: str, mime: str | None, name: str | None) -> dict[str, Any]:
    written = {"mimeType": mime, "data": data, "displayName": name}
    return {field: value for field, value in written.items() if value is not None}


def _file(uri: str, mime: str | None, name: str | None) -> dict[str, Any]:
    written = {"mimeType": mime, "fileUri": uri, "displayName": name}
    return {field: value for field, value in written.items() if value is not None}
