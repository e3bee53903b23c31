"""The gateway's description of itself (OpenAPI 3.1): what it reads of a request, and what it answers.

What passes untouched to a provider is described as far as the gateway reads it: the rest is the provider's own.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec

import ratchet

__all__ = ["description"]

_Schema = dict[str, Any]
_TEXT: _Schema = {"type": "string"}
_JSON = "application/json"
_STREAM = "text/event-stream"
_PROTOBUF = "application/x-protobuf"
_METADATA: _Schema = {
    "type": ["object", "null"],
    "additionalProperties": _TEXT,
    "description": "Context: session_id, organisation, tags, app_version, language, and texts of the app's own.",
}
_MODEL: _Schema = {
    "type": "string",
    "minLength": 1,
    "description": "A route, provider/model, or prompt:NAME[@LABEL].",
}
_MESSAGES: _Schema = {"type": "array", "items": {"type": "object"}}
_FLAG: _Schema = {"type": ["boolean", "null"]}
_TRACE_HEADER = {
    "x-ratchet-trace-id": {
        "description": "The trace that the request is a span of.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    }
}


@functools.cache
def description() -> bytes:
    """The document, as JSON."""
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "ratchet gateway",
                "version": ratchet.__version__,
                "description": "Models by the names that routes give them, in the dialects of OpenAI and Anthropic.",
            },
            "security": [{"bearer": []}, {"apiKey": []}],
            "paths": _paths(),
            "components": {"schemas": _schemas(), "securitySchemes": _security()},
        }
    )


def _paths() -> dict[str, Any]:
    return {
        "/v1/chat/completions": _post("A chat completion.", "ChatCompletion", _answered(_JSON, _STREAM)),
        "/v1/responses": _post("A response.", "Response", _answered(_JSON, _STREAM)),
        "/v1/embeddings": _post("Texts turned into vectors.", "Embeddings", _answered(_JSON)),
        "/v1/messages": _post(
            "A message, as Anthropic describes it.",
            "Message",
            _answered(_JSON, _STREAM),
            error="AnthropicError",
        ),
        "/v1/models": {"get": _get("The models that this key may ask for.", {_JSON: {"type": "object"}})},
        "/v1/challenge": {
            "get": _get("A proof of work, where this caller has to show one.", {_JSON: {"type": "object"}})
        },
        "/v1/tools/select": _post(
            "Which tool a text calls for.",
            "Selection",
            {
                "200": {
                    "description": "The tool, or null.",
                    "headers": _TRACE_HEADER,
                    "content": {_JSON: {"schema": _ref("Selected")}},
                }
            },
        ),
        "/v1/feedback": _post(
            "What a user thought of an answer.",
            "Feedback",
            {
                "202": {
                    "description": "It is kept.",
                    "headers": _TRACE_HEADER,
                    "content": {_JSON: {"schema": _ref("FeedbackKept")}},
                }
            },
        ),
        "/v1/traces": {"post": _traces()},
        "/healthz": {
            "get": _get("Whether the gateway serves.", {_JSON: {"type": "object"}}, open_to_all=True)
        },
        "/metrics": {
            "get": _get("Prometheus' text format.", {"text/plain": {"type": "string"}}, open_to_all=True)
        },
        "/openapi.json": {"get": _get("This description.", {_JSON: {"type": "object"}}, open_to_all=True)},
    }


def _post(says: str, body: str, answers: dict[str, Any], *, error: str = "Error") -> dict[str, Any]:
    return {
        "post": {
            "summary": says,
            "requestBody": {"required": True, "content": {_JSON: {"schema": _ref(body)}}},
            "responses": {**answers, "default": _failed(error)},
        }
    }


def _get(says: str, content: dict[str, _Schema], *, open_to_all: bool = False) -> dict[str, Any]:
    answer = {
        "description": "As asked.",
        "content": {media: {"schema": schema} for media, schema in content.items()},
    }
    found: dict[str, Any] = {"summary": says, "responses": {"200": answer, "default": _failed("Error")}}
    return {**found, "security": []} if open_to_all else found


def _traces() -> dict[str, Any]:
    empty: dict[str, Any] = {_JSON: {"schema": {"type": "object"}}, _PROTOBUF: {"schema": {}}}
    return {
        "summary": "An app's own spans: OTLP over HTTP.",
        "requestBody": {
            "required": True,
            "content": {
                _JSON: {"schema": {"type": "object", "properties": {"resourceSpans": {"type": "array"}}}},
                _PROTOBUF: {"schema": {"type": "string", "format": "binary"}},
            },
        },
        "responses": {
            "200": {"description": "All of it is kept.", "headers": _TRACE_HEADER, "content": empty},
            "default": {
                "description": "A google.rpc.Status in the body's encoding; nothing of it is kept.",
                "content": empty,
            },
        },
    }


def _answered(*media: str) -> dict[str, Any]:
    content = {each: {"schema": {"type": "object"} if each == _JSON else _TEXT} for each in media}
    return {"200": {"description": "The provider's answer.", "headers": _TRACE_HEADER, "content": content}}


def _failed(shape: str) -> dict[str, Any]:
    return {
        "description": "What happened to which thing, and what to do. A provider's own words pass as they are.",
        "content": {_JSON: {"schema": _ref(shape)}},
    }


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas() -> dict[str, _Schema]:
    return {
        "ChatCompletion": _object(
            {"model": _MODEL, "messages": _MESSAGES, "stream": _FLAG, "user": _TEXT, "metadata": _METADATA},
            ["model"],
        ),
        "Response": _object(
            {
                "model": _MODEL,
                "input": {"type": ["string", "array"]},
                "stream": _FLAG,
                "metadata": _METADATA,
            },
            ["model"],
        ),
        "Embeddings": _object({"model": _MODEL, "input": {"type": ["string", "array"]}}, ["model"]),
        "Message": _object(
            {
                "model": _MODEL,
                "messages": _MESSAGES,
                "max_tokens": {"type": "integer", "minimum": 1},
                "stream": _FLAG,
                "metadata": _METADATA,
            },
            ["model"],
        ),
        **_selection(),
        "Feedback": _feedback(),
        "FeedbackKept": _object({"score_id": _TEXT, "name": _TEXT, "trace_id": _TEXT}, ["score_id", "name"]),
        "Error": _object(
            {
                "error": _object(
                    {
                        "message": _TEXT,
                        "type": {"type": ["string", "null"]},
                        "param": {},
                        "code": {"type": ["string", "integer", "null"]},
                    },
                    ["message"],
                )
            },
            ["error"],
        ),
        "AnthropicError": _object(
            {
                "type": {"const": "error"},
                "error": _object({"type": _TEXT, "message": _TEXT}, ["type", "message"]),
            },
            ["type", "error"],
        ),
    }


def _selection() -> dict[str, _Schema]:
    return {
        "Selection": _object(
            {
                "text": {"type": "string", "minLength": 1, "maxLength": 4000},
                "tools": {"type": "array", "items": {"type": "object"}, "minItems": 1, "maxItems": 500},
                "model": _MODEL,
                "max_error": {"type": "number", "minimum": 0.001, "maximum": 0.5},
                "user": _TEXT,
                "metadata": {"type": "object", "additionalProperties": _TEXT},
            },
            ["text", "tools"],
        ),
        "Selected": _object(
            {
                "tool": {"type": ["string", "null"]},
                "distance": {"type": "number"},
                "decided_by": {"enum": ["distance", "model"]},
            },
            ["tool", "distance", "decided_by"],
        ),
    }


def _feedback() -> _Schema:
    names = ("trace_id", "span_id", "session_id", "name", "label", "comment", "correction", "user")
    return {
        "type": "object",
        "properties": {
            **dict.fromkeys(names, _TEXT),
            "value": {"type": ["boolean", "number", "string", "null"]},
            "metadata": {"type": "object", "additionalProperties": _TEXT},
        },
        "additionalProperties": False,
    }


def _object(properties: dict[str, Any], required: list[str]) -> _Schema:
    return {"type": "object", "properties": properties, "required": required}


def _security() -> dict[str, Any]:
    return {
        "bearer": {"type": "http", "scheme": "bearer"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    }
