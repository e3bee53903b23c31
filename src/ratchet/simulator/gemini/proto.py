"""The messages of Google's API, and JSON checked against them the way its front end does.

Names may be written in lowerCamelCase or snake_case. Everything that is wrong is told at once, by the path of the
place in snake_case. The tables follow the v1beta reference; a type that ends in `[]` is repeated, in `{}` a map.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, urlsafe_b64decode
from typing import Any, cast

import msgspec

from ratchet.simulator.gemini.errors import refusal, violations

__all__ = ["inner", "items", "parsed"]

_API = "type.googleapis.com/google.ai.generativelanguage.v1beta"
_MESSAGES: dict[str, dict[str, str]] = {
    "GenerateContentRequest": {
        "model": "string", "contents": "Content[]", "systemInstruction": "Content", "tools": "Tool[]",
        "toolConfig": "ToolConfig", "safetySettings": "SafetySetting[]", "generationConfig": "GenerationConfig",
        "cachedContent": "string", "labels": "string{}", "serviceTier": "string", "store": "bool", "simulate": "string",
    },
    "CountTokensRequest": {
        "model": "string", "contents": "Content[]", "generateContentRequest": "GenerateContentRequest",
        "simulate": "string",
    },
    "EmbedContentRequest": {
        "model": "string", "content": "Content", "taskType": "TaskType", "title": "string",
        "outputDimensionality": "int32", "embedContentConfig": "EmbedContentConfig", "simulate": "string",
    },
    "EmbedContentConfig": {
        "taskType": "TaskType", "title": "string", "outputDimensionality": "int32", "autoTruncate": "bool",
        "documentOcr": "bool",
    },
    "BatchEmbedContentsRequest": {"model": "string", "requests": "EmbedContentRequest[]", "simulate": "string"},
    "Content": {"parts": "Part[]", "role": "string"},
    "Part": {
        "text": "string", "thought": "bool", "thoughtSignature": "bytes", "inlineData": "Blob", "fileData": "FileData",
        "functionCall": "FunctionCall", "functionResponse": "FunctionResponse", "executableCode": "struct",
        "codeExecutionResult": "struct", "videoMetadata": "struct", "mediaResolution": "struct",
        "partMetadata": "struct", "toolCall": "struct", "toolResponse": "struct",
    },
    "Blob": {"mimeType": "string", "data": "bytes", "displayName": "string"},
    "FileData": {"mimeType": "string", "fileUri": "string", "displayName": "string"},
    "FunctionCall": {"id": "string", "name": "string", "args": "struct"},
    "FunctionResponse": {
        "id": "string", "name": "string", "response": "struct", "parts": "FunctionResponsePart[]",
        "willContinue": "bool", "scheduling": "string",
    },
    "FunctionResponsePart": {"inlineData": "Blob", "fileData": "FileData"},
    "Tool": {
        "functionDeclarations": "FunctionDeclaration[]", "googleSearch": "struct", "googleSearchRetrieval": "struct",
        "codeExecution": "struct", "urlContext": "struct", "computerUse": "struct", "fileSearch": "struct",
        "googleMaps": "struct", "mcpServers": "struct[]",
    },
    "FunctionDeclaration": {
        "name": "string", "description": "string", "behavior": "string", "parameters": "Schema",
        "parametersJsonSchema": "value", "response": "Schema", "responseJsonSchema": "value",
    },
    "Schema": {
        "type": "Type", "format": "string", "title": "string", "description": "string", "nullable": "bool",
        "enum": "string[]", "maxItems": "int64", "minItems": "int64", "properties": "Schema{}", "required": "string[]",
        "minProperties": "int64", "maxProperties": "int64", "minLength": "int64", "maxLength": "int64",
        "pattern": "string", "example": "value", "anyOf": "Schema[]", "propertyOrdering": "string[]",
        "default": "value", "items": "Schema", "minimum": "double", "maximum": "double",
    },
    "ToolConfig": {
        "functionCallingConfig": "FunctionCallingConfig", "retrievalConfig": "struct",
        "includeServerSideToolInvocations": "bool",
    },
    "FunctionCallingConfig": {"mode": "Mode", "allowedFunctionNames": "string[]", "streamFunctionCallArguments": "bool"},
    "SafetySetting": {"category": "HarmCategory", "threshold": "HarmBlockThreshold", "method": "string"},
    "GenerationConfig": {
        "temperature": "float", "topP": "float", "topK": "int32", "candidateCount": "int32", "maxOutputTokens": "int32",
        "stopSequences": "string[]", "presencePenalty": "float", "frequencyPenalty": "float", "seed": "int32",
        "responseMimeType": "string", "responseSchema": "Schema", "responseJsonSchema": "value",
        "_responseJsonSchema": "value", "responseLogprobs": "bool", "logprobs": "int32",
        "responseModalities": "Modality[]", "mediaResolution": "string", "speechConfig": "struct",
        "thinkingConfig": "ThinkingConfig", "imageConfig": "struct", "enableEnhancedCivicAnswers": "bool",
    },
    "ThinkingConfig": {"includeThoughts": "bool", "thinkingBudget": "int32", "thinkingLevel": "ThinkingLevel"},
}  # fmt: skip
_ENUMS: dict[str, tuple[str, ...]] = {
    "Type": ("TYPE_UNSPECIFIED", "STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"),
    "Mode": ("MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED"),
    "Modality": ("MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO"),
    "ThinkingLevel": ("THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH"),
    "HarmCategory": (
        "HARM_CATEGORY_UNSPECIFIED", "HARM_CATEGORY_HARASSMENT", "HARM_CATEGORY_HATE_SPEECH",
        "HARM_CATEGORY_SEXUALLY_EXPLICIT", "HARM_CATEGORY_DANGEROUS_CONTENT", "HARM_CATEGORY_CIVIC_INTEGRITY",
    ),
    "HarmBlockThreshold": (
        "HARM_BLOCK_THRESHOLD_UNSPECIFIED", "BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH",
        "BLOCK_NONE", "OFF",
    ),
    "TaskType": (
        "TASK_TYPE_UNSPECIFIED", "RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY", "CLASSIFICATION",
        "CLUSTERING", "QUESTION_ANSWERING", "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY",
    ),
}  # fmt: skip
# Enums that are written without regard to letter case: the official client sends JSON Schema's types so.
_ANY_CASE = {"Type", "ThinkingLevel", "Modality"}
_SNAKE = re.compile(r"(?<=[a-z0-9])([A-Z])")
_INTEGERS = {"int32": 1 << 31, "int64": 1 << 63}


def _snake(name: str) -> str:
    return _SNAKE.sub(lambda match: "_" + match[1].lower(), name)


_NAMES = {
    message: {form: name for name in fields for form in (name, _snake(name))}
    for message, fields in _MESSAGES.items()
}


def parsed(body: bytes, message: str) -> dict[str, Any]:
    """The message in a body, under lowerCamelCase names. Raises `Rejected` with all that is wrong."""
    try:
        found = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as flaw:
        raise refusal(f"Invalid JSON payload received. {flaw}") from None
    checker = _Checker()
    made = checker.message(found, message, "")
    if checker.found:
        raise violations(checker.found)
    return made


def inner(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """The message in a field, empty when it is not there."""
    return cast("dict[str, Any]", fields.get(name) or {})


def items(fields: dict[str, Any], name: str) -> list[Any]:
    """The values of a repeated field, none when it is not there."""
    return cast("list[Any]", fields.get(name) or [])


class _Checker:
    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def message(self, value: Any, message: str, where: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._wrong(value, f"{_API}.{message}", where)
            return {}
        made: dict[str, Any] = {}
        fields, names = _MESSAGES[message], _NAMES[message]
        for given, inner in cast("dict[str, Any]", value).items():
            name = names.get(given)
            if name is None:
                self._unknown(given, where, "Cannot find field.")
            elif inner is not None:
                spot = f"{where}.{_snake(name)}" if where else _snake(name)
                made[name] = self._field(inner, fields[name], spot, given, where)
        return made

    def _field(self, value: Any, kind: str, spot: str, given: str, where: str) -> Any:
        if kind.endswith("[]"):
            # A single value stands for a list of one.
            items = cast("list[Any]", value) if isinstance(value, list) else [value]
            return [self._value(item, kind[:-2], f"{spot}[{i}]") for i, item in enumerate(items)]
        if kind.endswith("{}"):
            if not isinstance(value, dict):
                self._wrong(value, "map", spot)
                return {}
            entries = cast("dict[str, Any]", value).items()
            return {
                key: self._value(item, kind[:-2], f"{spot}[{i}].value")
                for i, (key, item) in enumerate(entries)
            }
        if isinstance(value, list) and kind not in {"struct", "value"}:
            self._unknown(given, where, "Proto field is not repeating, cannot start list.")
            return None
        return self._value(value, kind, spot)

    def _value(self, value: Any, kind: str, spot: str) -> Any:
        if kind in _MESSAGES:
            return self.message(value, kind, spot)
        if kind in _ENUMS:
            return self._enum(value, kind, spot)
        if kind == "value":
            return value
        if kind == "struct":
            if not isinstance(value, dict):
                self._wrong(value, "type.googleapis.com/google.protobuf.Struct", spot)
            return cast("Any", value)
        return self._scalar(value, kind, spot)

    def _enum(self, value: Any, kind: str, spot: str) -> str:
        name = value.upper() if isinstance(value, str) and kind in _ANY_CASE else value
        if name not in _ENUMS[kind]:
            self._wrong(value, f"{_API}.{kind}", spot)
        return str(name)

    def _scalar(self, value: Any, kind: str, spot: str) -> Any:
        made = _SCALARS[kind](value) if kind in _SCALARS else _integer(value, _INTEGERS[kind])
        if made is None:
            self._wrong(value, f"TYPE_{kind.upper()}", spot)
        return made

    def _unknown(self, name: str, where: str, why: str) -> None:
        at = f" at '{where}'" if where else ""
        self.found.append((where, f'Invalid JSON payload received. Unknown name "{name}"{at}: {why}'))

    def _wrong(self, value: Any, kind: str, where: str) -> None:
        shown = msgspec.json.encode(value).decode()[:80]
        if kind == "TYPE_BYTES":
            shown = f"Base64 decoding failed for {shown}"
        self.found.append((where, f"Invalid value at '{where}' ({kind}), {shown}"))


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _bool(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _float(value: Any) -> float | None:
    """Numbers may be written as text."""
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _integer(value: Any, limit: int) -> int | None:
    number = _float(value)
    if number is None or number != int(number) or not -limit <= number < limit:
        return None
    return int(number)


def _bytes(value: Any) -> str | None:
    """Base64 as it was written; both alphabets are taken."""
    if not isinstance(value, str):
        return None
    padded = value + "=" * (-len(value) % 4)
    try:
        if "-" in value or "_" in value:
            urlsafe_b64decode(padded)
        else:
            b64decode(padded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return value


_SCALARS = {"string": _string, "bool": _bool, "float": _float, "double": _float, "bytes": _bytes}
