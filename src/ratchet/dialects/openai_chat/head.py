"""OpenAI chat completions on a request's path: the few fields that the gateway needs, and errors in OpenAI's shape.

Everything else in a body is skipped, not parsed: bytes pass through untouched. What a provider sends is never a
reason to fail here: a field of the wrong type reads as if it were absent. What a caller sends wrongly is named.
Reading whole conversations is `openai_chat.content`'s, and happens off the request's path.
"""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

from ratchet.dialects.decoding import decode_leniently, decode_object, is_text, mended
from ratchet.dialects.heads import counted
from ratchet.dialects.sse import EventStream
from ratchet.domain.usage import Usage
from ratchet.errors import (
    CallerError,
    Forbidden,
    InvalidRequest,
    RatchetError,
    Refused,
    Unauthenticated,
    UpstreamError,
    UpstreamFailed,
)

__all__ = [
    "DONE",
    "AnswerHead",
    "ChunkHead",
    "RequestHead",
    "StreamHead",
    "UsageWire",
    "answer_head",
    "chunk_head",
    "error_body",
    "error_event",
    "error_message",
    "request_head",
    "usage_of",
]

DONE = b"[DONE]"
_LARGEST_COUNT = (1 << 31) - 1  # more tokens than that is a broken number, not a call


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = None


class RequestHead(msgspec.Struct, frozen=True):
    """The top-level fields of a request that the gateway acts on."""

    model: str
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    max_tokens: Any = None
    max_completion_tokens: Any = None
    n: Any = None

    @property
    def output_limit(self) -> int | None:
        """The most tokens that the choices may have, all of them together. Of two limits nobody says which counts."""
        one, other = self.max_tokens, self.max_completion_tokens
        if one is None and other is None:
            return None
        if one is None or other is None:
            one = counted(other if one is None else one)
        else:
            one = max(counted(one) or 0, counted(other) or 0) or None
        return one if one is None or self.n is None else one * (counted(self.n) or 1)

    @property
    def user_id(self) -> str:
        """Whom the app answers for; "" where it does not say."""
        return self.user or self.safety_identifier or ""

    @property
    def wants_usage(self) -> bool:
        """Whether the app asked for the usage chunk of a stream itself."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


class TokenDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None  # OpenRouter
    cache_creation_tokens: int | None = None  # proxies in front of Anthropic
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class UsageWire(msgspec.Struct, frozen=True):
    """A usage object with the names that OpenAI and its look-alikes give."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: TokenDetails | None = None
    completion_tokens_details: TokenDetails | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None  # Moonshot
    prompt_cache_hit_tokens: int | None = None  # DeepSeek
    cache_read_input_tokens: int | None = None  # proxies in front of Anthropic
    cache_creation_input_tokens: int | None = None


class GroqExtras(msgspec.Struct, frozen=True):
    usage: UsageWire | None = None


class AnswerChoice(msgspec.Struct, frozen=True):
    finish_reason: str | None = None


class AnswerHead(msgspec.Struct, frozen=True):
    """What the gateway reads from an answer that is not streamed."""

    id: str | None = None
    model: str | None = None
    usage: UsageWire | None = None
    choices: list[AnswerChoice] | None = None
    error: Any = None
    service_tier: str | None = None

    @property
    def finish_reasons(self) -> list[str]:
        """In the order of the choices, as the provider wrote them."""
        return [choice.finish_reason for choice in self.choices or () if choice.finish_reason]

    @property
    def tokens(self) -> Usage | None:
        return usage_of(self.usage)


class Delta(msgspec.Struct, frozen=True):
    content: Any = None  # text, or (Mistral) a list of parts
    reasoning_content: Any = None  # DeepSeek, vLLM, …
    reasoning: Any = None  # Groq, OpenRouter, Cerebras, …
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None


class ChunkChoice(msgspec.Struct, frozen=True):
    delta: Delta | None = None
    finish_reason: str | None = None
    usage: UsageWire | None = None  # Moonshot


class ChunkHead(msgspec.Struct, frozen=True):
    """What the gateway reads from the data of one event of a stream."""

    id: str | None = None
    model: str | None = None
    usage: UsageWire | None = None
    choices: list[ChunkChoice] | None = None
    error: Any = None
    service_tier: str | None = None
    x_groq: GroqExtras | None = None

    @property
    def has_content(self) -> bool:
        """Whether the model says anything in it: text, reasoning, a refusal, a tool call or sound."""
        for choice in self.choices or ():
            delta = choice.delta
            if delta is not None and (
                delta.content
                or delta.tool_calls
                or delta.reasoning_content
                or delta.reasoning
                or delta.refusal
                or delta.function_call
                or delta.audio
            ):
                return True
        return False

    @property
    def finish_reasons(self) -> list[str]:
        """As the provider wrote them."""
        return [choice.finish_reason for choice in self.choices or () if choice.finish_reason]

    @property
    def any_usage(self) -> UsageWire | None:
        """The usage, wherever this provider puts it."""
        if self.usage is not None:
            return self.usage
        if self.x_groq is not None and self.x_groq.usage is not None:
            return self.x_groq.usage
        for choice in self.choices or ():
            if choice.usage is not None:
                return choice.usage
        return None


_request_decoder = msgspec.json.Decoder(RequestHead)
_answer_decoder = msgspec.json.Decoder(AnswerHead)
_chunk_decoder = msgspec.json.Decoder(ChunkHead)
_encoder = msgspec.json.Encoder()

_PATH = re.compile(r"^(?P<problem>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_MISSING = re.compile(r"missing required field `(?P<field>\w+)`")


def request_head(body: bytes) -> RequestHead:
    """The head of a request. Raises InvalidRequest, naming the field, where the body can't be one."""
    try:
        try:
            head = _request_decoder.decode(body)
        except msgspec.ValidationError:
            raise
        except msgspec.DecodeError:
            head = _request_decoder.decode(mended(body))  # read so; what goes upstream stays as it came
    except msgspec.ValidationError as error:
        raise _wrong_field(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_json(body, error) from error
    if not head.model:
        raise _no_model()
    return head


def answer_head(body: bytes) -> AnswerHead | None:
    """The head of an answer. What is not as it should be reads as absent; None where the body is no JSON object."""
    head = decode_leniently(body, _answer_decoder, _NO_ANSWER)
    return None if head is _NO_ANSWER else head


def chunk_head(data: bytes) -> ChunkHead:
    """The head of one event's data (not `[DONE]`). An empty one where it is not what it should be; never raises."""
    return decode_leniently(data, _chunk_decoder, _NO_CHUNK)


def usage_of(wire: UsageWire | None) -> Usage | None:
    """Tokens by class, or None where the provider said nothing that can be used.

    `input` and `output` are totals. A provider that leaves reasoning out of its completion tokens (xAI) is told by
    its own total, and set right.
    """
    if wire is None:
        return None
    before, after = wire.prompt_tokens_details or _NO_DETAILS, wire.completion_tokens_details or _NO_DETAILS
    given = _first(wire.prompt_tokens, wire.input_tokens)
    produced = _first(wire.completion_tokens, wire.output_tokens)
    reasoning = _count(after.reasoning_tokens)
    if reasoning and given is not None and produced is not None:
        total = _count(wire.total_tokens)
        if total == given + produced + reasoning:
            produced += reasoning
    usage = Usage(
        input=given,
        output=produced,
        cached=_first(
            before.cached_tokens,
            wire.prompt_cache_hit_tokens,
            wire.cached_tokens,
            wire.cache_read_input_tokens,
        ),
        cache_write=_first(
            before.cache_write_tokens, before.cache_creation_tokens, wire.cache_creation_input_tokens
        ),
        reasoning=reasoning,
        audio_input=_count(before.audio_tokens),
        audio_output=_count(after.audio_tokens),
    )
    return None if usage == _NOTHING_KNOWN else usage


class StreamHead:
    """What the gateway learns from a stream while its bytes pass by: feed it each chunk, then read the fields."""

    __slots__ = (
        "_events",
        "done",
        "error",
        "finish_reasons",
        "good",
        "has_content",
        "id",
        "malformed",
        "model",
        "service_tier",
        "usage",
    )

    def __init__(self) -> None:
        self._events: EventStream | None = EventStream()
        self.id = ""
        self.model = ""
        self.service_tier = ""
        self.usage: UsageWire | None = None
        self.finish_reasons: list[str] = []
        self.has_content = False
        self.error: Any = None
        self.malformed = False
        self.good = 0
        self.done = False  # `[DONE]` has been seen: the stream is whole

    @property
    def tokens(self) -> Usage | None:
        return usage_of(self.usage)

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

    def _take_all(self, events: list[bytes]) -> None:
        for place, data in enumerate(events):
            self._take(data)
            if self._events is None:  # what follows the end, or what went wrong, is not read
                self.good = place
                return

    def _take(self, data: bytes) -> None:
        if data == DONE:
            self.done = True
            self._events = None
            return
        head = chunk_head(data)
        if head is _NO_CHUNK or not is_text(data):
            if data:
                self.malformed = True
                self._events = None
            return
        if not self.id and head.id:
            self.id = head.id
        if not self.model and head.model:
            self.model = head.model
        if head.service_tier:
            self.service_tier = head.service_tier
        if head.error is not None:
            self.error = head.error
            self._events = None
        # Some providers repeat a growing usage in every chunk: the last one counts.
        usage = head.any_usage
        if usage is not None:
            self.usage = usage
        if not self.has_content:
            self.has_content = head.has_content
        for choice in head.choices or ():
            if choice.finish_reason:
                self.finish_reasons.append(choice.finish_reason)


def error_body(error: RatchetError) -> bytes:
    """`{"error": {"message", "type", "param", "code"}}`, as OpenAI's clients expect it."""
    return _encoder.encode(
        {
            "error": {
                "message": str(error),
                "type": _error_type(error),
                "param": error.param,
                "code": error.reason,
            }
        }
    )


def error_event(error: RatchetError) -> bytes:
    """The same as an event, for a stream that fails after it has begun."""
    return b"data: " + error_body(error) + b"\n\n"


def error_message(body: bytes) -> str:
    """The sentence in an error body of OpenAI's shape, or one like it; "" where there is none."""
    whole = decode_object(body)
    if whole is None:
        return ""
    error = whole.get("error", whole)
    said = cast("dict[str, Any]", error).get("message") if isinstance(error, dict) else error
    return said[:500] if isinstance(said, str) else ""


def _error_type(error: RatchetError) -> str:
    if isinstance(error, Unauthenticated):
        return "authentication_error"
    if isinstance(error, Forbidden):
        return "permission_error"
    if isinstance(error, CallerError):
        return "invalid_request_error"
    if isinstance(error, Refused):
        return "policy_error"
    if isinstance(error, UpstreamError):
        return "upstream_error"
    return "server_error"


_NO_DETAILS = TokenDetails()
_NOTHING_KNOWN = Usage()
_NO_ANSWER = AnswerHead()
_NO_CHUNK = ChunkHead()


def _count(value: int | None) -> int | None:
    return value if value is not None and 0 <= value <= _LARGEST_COUNT else None


def _first(*values: int | None) -> int | None:
    for value in values:
        if value is not None and 0 <= value <= _LARGEST_COUNT:
            return value
    return None


def _no_model() -> InvalidRequest:
    return InvalidRequest(
        "The request names no model.",
        "Set `model` to a route, or to `provider/model`; GET /v1/models lists both.",
        code="missing_required_parameter",
        param="model",
    )


def _wrong_field(problem: str) -> InvalidRequest:
    """msgspec's sentence, "Expected `str`, got `int` - at `$.model`", in ours."""
    match = _PATH.match(problem)
    path = match["path"] if match and match["path"] else ""
    what = match["problem"] if match else problem
    field = path.split(".", 1)[0].split("[", 1)[0]
    missing = _MISSING.search(what)
    if missing and not path:
        return _no_model()
    if not path:
        return InvalidRequest(
            f"The request body must be a JSON object: {_lower(what)}.",
            "Send one with `model` and `messages`.",
        )
    return InvalidRequest(
        f"`{path.replace('[...]', '.*')}` in the request body has the wrong type: {_lower(what)}.",
        "`metadata` holds text values only."
        if field == "metadata"
        else f"Correct `{field}` and send it again.",
        code="invalid_type",
        param=field,
    )


def _not_json(body: bytes, error: Exception) -> InvalidRequest:
    if not body.strip():
        return InvalidRequest("The request body is empty.", "Send a JSON object with `model` and `messages`.")
    if isinstance(error, RecursionError):
        return InvalidRequest("The request body is nested too deeply.", "Send a flatter JSON object.")
    return InvalidRequest(
        f"The request body is not JSON: {str(error).removeprefix('JSON is malformed: ').lower()}.",
        "Send a JSON object with `model` and `messages`.",
        code="invalid_json",
    )


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")
