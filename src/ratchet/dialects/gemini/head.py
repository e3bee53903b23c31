"""Gemini's generateContent on a request's path: the few fields that the gateway needs, and errors in Google's shape.

The model's name, and whether the answer is streamed, stand in the URL and not in the body. A stream is server-sent
events (`alt=sse`) whose data is a whole GenerateContentResponse each, with no closing sign of its own. It is whole once
- every candidate that was seen has a finish reason, or the prompt was blocked (`promptFeedback.blockReason`), and
- token counts have been seen.
Chunks may still follow then, with grounding or later counts; an error inside the stream means it will never be whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from ratchet.dialects.decoding import decode_leniently, is_text
from ratchet.dialects.gemini.fields import decoded, fields, items
from ratchet.dialects.gemini.vocabulary import finish_reason, service_tier, usage_of
from ratchet.dialects.sse import EventStream
from ratchet.domain.usage import Usage
from ratchet.errors import InvalidRequest, RatchetError, UpstreamFailed

__all__ = [
    "AnswerHead",
    "RequestHead",
    "StreamHead",
    "answer_head",
    "error_body",
    "error_event",
    "error_message",
    "error_object",
    "model_of_path",
    "path",
    "request_head",
    "retry_after",
    "rewrite_request",
]

_PATH = re.compile(r"models/(?P<model>[^/:?]+):(?P<method>generateContent|streamGenerateContent)\b")


def path(model: str, stream: bool) -> str:  # noqa: FBT001 - as a request says it
    """Where to ask, below the base URL (`https://generativelanguage.googleapis.com`)."""
    name = model.removeprefix("models/")
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/{name}:{method}"


def model_of_path(url: str) -> tuple[str, bool] | None:
    """The model asked for, and whether to stream: from a URL of Gemini's or Vertex's; None where it is another's."""
    found = _PATH.search(url)
    return (found["model"], found["method"] == "streamGenerateContent") if found else None


class RequestHead(msgspec.Struct, frozen=True):
    """What a body says of a request: nothing of its model or of streaming, which its URL says."""

    model: str = ""
    stream: bool | None = None
    metadata: Mapping[str, str] | None = None  # Vertex's `labels`
    user_id: str = ""
    wants_usage: bool = True
    output_limit: int | None = None  # not read: no app speaks this dialect to a gateway


class Part(msgspec.Struct, frozen=True, rename="camel"):
    text: str | None = None
    thought: Any = None
    thought_signature: Any = None
    function_call: Any = None


class Content(msgspec.Struct, frozen=True):
    parts: list[Part] | None = None


class Candidate(msgspec.Struct, frozen=True, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None
    index: int | None = None

    @property
    def parts(self) -> list[Part]:
        return (self.content.parts if self.content else None) or []

    @property
    def calls(self) -> bool:
        return any(part.function_call is not None for part in self.parts)


class PromptFeedback(msgspec.Struct, frozen=True, rename="camel"):
    block_reason: str | None = None


class AnswerHead(msgspec.Struct, frozen=True, rename="camel"):
    """What the gateway reads from an answer, or from one event of a stream."""

    response_id: str | None = None
    model_version: str | None = None
    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: Any = None
    error: Any = None

    @property
    def id(self) -> str | None:
        return self.response_id

    @property
    def model(self) -> str | None:
        return self.model_version

    @property
    def service_tier(self) -> str | None:
        return service_tier(self.usage_metadata)

    @property
    def blocked(self) -> bool:
        """Whether the prompt was turned down before any candidate was begun."""
        return bool(self.prompt_feedback and self.prompt_feedback.block_reason)

    @property
    def finish_reasons(self) -> list[str]:
        """In the message form's words: a stop with calls is `tool_call`."""
        found = [
            finish_reason(candidate.finish_reason, called=candidate.calls)
            for candidate in self.candidates or ()
            if candidate.finish_reason
        ]
        return found or (["content_filter"] if self.blocked else [])

    @property
    def tokens(self) -> Usage | None:
        return usage_of(self.usage_metadata)


_answer_decoder = msgspec.json.Decoder(AnswerHead)
_encoder = msgspec.json.Encoder()
_NO_ANSWER = AnswerHead()


def request_head(body: bytes) -> RequestHead:
    """The head of a request. Raises InvalidRequest where it is no JSON object."""
    labels = fields(request_fields(body).get("labels"))
    texts = {name: label for name, label in labels.items() if isinstance(label, str)}
    return RequestHead(metadata=texts or None)


def request_fields(body: bytes) -> dict[str, Any]:
    """A request's fields. Raises InvalidRequest where it is no JSON object."""
    try:
        request = decoded(body)
    except ValueError as error:
        raise InvalidRequest(
            f"The request body is not JSON: {error}.",
            "Send a JSON object with `contents`.",
            code="invalid_json",
        ) from error
    if not isinstance(request, dict):
        raise InvalidRequest(
            "The request body is JSON, but no object.", "Send a JSON object with `contents`."
        )
    return fields(request)


def answer_head(body: bytes) -> AnswerHead | None:
    """The head of an answer; None where it is no JSON object. What is not as it should be reads as absent."""
    head = decode_leniently(body, _answer_decoder, _NO_ANSWER)
    return None if head is _NO_ANSWER else head


class StreamHead:
    """What the gateway learns from a stream while its bytes pass by: feed it each chunk, then read the fields."""

    def __init__(self) -> None:
        self._events: EventStream | None = EventStream()
        self._usage: Any = None
        self._words: dict[int, str] = {}  # by candidate; "" while it goes on
        self._called: set[int] = set()
        self._blocked = False
        self.id = ""
        self.model = ""
        self.service_tier = ""
        self.finish_reasons: list[str] = []  # in the order of the candidates, in the message form's words
        self.has_content = False
        self.error: Any = None
        self.malformed = False
        self.good = 0
        self.done = False  # it has ended, and is whole, as the top of this module says

    @property
    def tokens(self) -> Usage | None:
        return usage_of(self._usage)

    def feed(self, chunk: bytes) -> None:
        """Take in the next bytes. Never raises: an event too large to read ends the reading, not the stream."""
        if self._events is None:
            return
        try:
            events = self._events.feed(chunk)
        except UpstreamFailed:
            self._events = None
            return
        self._take_all(events)

    def finish(self) -> None:
        """Take in what an unfinished last event holds."""
        if self._events is not None:
            self._take_all(self._events.finish())
        if self._events is not None:
            ended = all(self._words.values()) if self._words else self._blocked
            self.done = ended and self._usage is not None

    def _take_all(self, events: list[bytes]) -> None:
        for place, data in enumerate(events):
            self._take(data)
            if self._events is None:  # what follows the end, or what went wrong, is not read
                self.good = place
                return

    def _take(self, data: bytes) -> None:
        head = decode_leniently(data, _answer_decoder, _NO_ANSWER)
        if head is _NO_ANSWER or not is_text(data):
            if data and data != b"[DONE]":
                self.malformed = True
                self._events = None
            return
        self.id = self.id or head.response_id or ""
        self.model = self.model or head.model_version or ""
        if head.usage_metadata is not None:
            self._usage = head.usage_metadata
            self.service_tier = service_tier(self._usage) or self.service_tier
        if head.error is not None:
            self.error = head.error
            self._events = None
        self._blocked = self._blocked or head.blocked
        for position, candidate in enumerate(head.candidates or ()):
            self._take_candidate(position if candidate.index is None else candidate.index, candidate)
        self.finish_reasons = [
            finish_reason(word, called=index in self._called)
            for index, word in sorted(self._words.items())
            if word
        ] or (["content_filter"] if self._blocked else [])

    def _take_candidate(self, index: int, candidate: Candidate) -> None:
        self._words[index] = candidate.finish_reason or self._words.get(index, "")
        if candidate.calls:
            self._called.add(index)
        if any(part.text != "" for part in candidate.parts):  # None: a part of another kind
            self.has_content = True


def rewrite_request(
    body: bytes,
    model: str,
    drop: Collection[str],
    ask_usage: bool,  # noqa: FBT001 - as every dialect takes it
) -> bytes:
    """`body` without the fields in `drop`. The model's name stands in the URL, and usage is always told."""
    del model, ask_usage
    if not drop:
        return body
    return _encoder.encode({name: value for name, value in request_fields(body).items() if name not in drop})


_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""google.rpc.Code by HTTP status, and by its neighbours where that table has no line for one."""


def error_object(message: str, status: int, reason: str) -> dict[str, Any]:
    """`{"error": {"code", "message", "status", "details"}}`; `reason` in google.rpc.ErrorInfo's spelling."""
    return {
        "error": {
            "code": status,
            "message": message,
            "status": _STATUSES.get(status, "UNKNOWN"),
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": reason.upper(),
                    "domain": "ratchet",
                }
            ],
        }
    }


def error_body(error: RatchetError) -> bytes:
    """The error as Google's clients expect it."""
    return _encoder.encode(error_object(str(error), error.status, error.reason))


def error_event(error: RatchetError) -> bytes:
    """The same as an event, for a stream that fails after it has begun."""
    return b"data: " + error_body(error) + b"\r\n\r\n"


def error_message(body: bytes) -> str:
    """The sentence in an error body; "" where there is none. Without `alt=sse` it comes in a list. Never raises."""
    try:
        answers = items(decoded(body))
    except ValueError:
        return ""
    for answer in answers:
        found = fields(fields(answer).get("error")).get("message")
        if isinstance(found, str):
            return found
    return ""


def retry_after(body: bytes) -> float | None:
    """In how many seconds an error's `google.rpc.RetryInfo` says to ask again; None where it doesn't. Never raises."""
    try:
        answers = items(decoded(body))
    except ValueError:
        return None
    for answer in answers:
        for detail in items(fields(fields(answer).get("error")).get("details")):
            delay = fields(detail).get("retryDelay")
            found = _DELAY.fullmatch(delay) if isinstance(delay, str) else None
            if found is not None:
                return float(found[1])
    return None


_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s", re.ASCII)  # as JSON writes a google.protobuf.Duration
