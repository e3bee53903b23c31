"""What a dialect is to the gateway: one value of functions, all pure. Each dialect's folder offers one.

Two ways lead through a dialect. On the short one, client and provider speak the same and bytes pass untouched; only
*heads* are read, the few fields that the gateway acts on. On the long one, whole bodies are read into the neutral form
(`ratchet.domain.generation`) and written in the other dialect. Readers never fail on what a body holds: what has no
place in the neutral form is kept in `extra`, as a `GenericPart` or a `HostedTool`. Writers refuse what they can't
express, by its neutral name, and the app's dialect says what the app calls it. Answers are never refused: what the app's dialect has no word for is left out, as the table in
`docs/dialects.md` says.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from ratchet.dialects.naming import same_name
from ratchet.dialects.prefixing import Fields, Said
from ratchet.domain.generation import StreamEvent
from ratchet.domain.usage import Usage
from ratchet.errors import RatchetError

__all__ = ["AnswerHead", "Dialect", "RequestHead", "StreamHead", "StreamReader", "StreamWriter"]


def _takes_all(fields: Mapping[str, Any]) -> None:
    """The check of a dialect that no app speaks."""
    del fields


class RequestHead(Protocol):
    """What the gateway acts on in a request."""

    @property
    def model(self) -> str: ...
    @property
    def stream(self) -> bool | None: ...
    @property
    def metadata(self) -> Mapping[str, str] | None: ...
    @property
    def user_id(self) -> str:
        """Whom the app answers for; "" where it does not say."""
        ...

    @property
    def wants_usage(self) -> bool:
        """Whether a stream will end in token counts without anybody asking for them."""
        ...

    @property
    def output_limit(self) -> int | None:
        """The most tokens that its answers may have, all of them together; None where it sets no limit."""
        ...


class AnswerHead(Protocol):
    """What the gateway reads from an answer that is not streamed."""

    @property
    def id(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def service_tier(self) -> str | None: ...
    @property
    def finish_reasons(self) -> list[str]: ...
    @property
    def tokens(self) -> Usage | None: ...
    @property
    def error(self) -> Any:
        """What the provider says went wrong, where it says so in an answer of status 200."""
        ...


class StreamHead(Protocol):
    """What the gateway learns from a stream while its bytes pass by: feed it each chunk, then read the fields."""

    id: str
    model: str
    service_tier: str
    finish_reasons: list[str]
    has_content: bool  # the model has said something: text, a thought, a refusal, a call, sound
    error: Any  # what the provider says went wrong, inside the stream; None where nothing did
    malformed: bool  # an event was no JSON
    good: int  # where something went wrong: so many events of those that came last are from before it
    done: bool  # the dialect's own sign that the answer is whole has been seen, before anything went wrong

    @property
    def tokens(self) -> Usage | None: ...
    def feed(self, chunk: bytes) -> None:
        """Take in the next bytes, however they were cut. Never raises."""
        ...

    def finish(self) -> None:
        """Take in what an unfinished last event holds."""
        ...


class StreamReader(Protocol):
    """A provider's stream, as neutral events. The same events come out however the bytes were cut."""

    def feed(self, chunk: bytes, most: int | None = None) -> list[StreamEvent]:
        """What the next bytes say; of the events in them only the first `most`, where that is set."""
        ...

    def finish(self) -> list[StreamEvent]:
        """What an unfinished last event holds."""
        ...


class StreamWriter(Protocol):
    """Neutral events, as the bytes of a stream. Every stream that is whole ends with `StreamEnded`."""

    def write(self, event: StreamEvent) -> bytes:
        """The bytes to send on this event: none, one or more whole SSE events."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class Dialect:
    """`name` is what the column `dialect` holds; `operation` is OpenTelemetry's `gen_ai.operation.name`.

    `Asked` and `Said` below are `Request` and `Answer`, or `EmbeddingsRequest` and `Embeddings`.
    """

    name: str
    operation: str

    # the short way
    request_head: Callable[[bytes], RequestHead]  # raises InvalidRequest, naming the field
    answer_head: Callable[[bytes], AnswerHead | None]  # never raises; None where the body is no JSON object
    stream_head: Callable[[], StreamHead]
    # body, model, names of top-level fields to drop, whether to ask for a stream's usage
    rewrite: Callable[[bytes, str, Collection[str], bool], bytes]

    # errors
    error_body: Callable[[RatchetError], bytes]
    error_event: Callable[[RatchetError], bytes]  # for a stream that has begun
    error_message: Callable[[bytes], str]  # the sentence in a provider's error body; "" where there is none

    # the long way
    read_request: Callable[
        [bytes], Any
    ]  # bytes → Asked; raises InvalidRequest only where it is no JSON object
    write_request: Callable[[Any], bytes]  # Asked → bytes; raises InvalidRequest for what it can't express
    read_answer: Callable[[bytes], Any]  # bytes → Said; raises UpstreamFailed only where it is no JSON object
    write_answer: Callable[[Any, Any], bytes]  # Said, Asked → bytes
    stream_reader: Callable[[], StreamReader]
    stream_writer: Callable[[Any], StreamWriter]  # Asked → a writer for its answer

    # what is wrong with a request that has to be translated, in the words of the app that sent it
    # fields of the request's body → None; raises InvalidRequest for one of the wrong type
    check_request: Callable[[Mapping[str, Any]], None] = _takes_all
    # the request's body, a field's name in the neutral form → its name in this dialect
    field_name: Callable[[dict[str, Any], str], str] = same_name
    # fields of a request's body, a prompt's messages, the fields that it fixes → None; the body's fields are changed.
    # None where there is nobody to say anything to
    put_prompt: Callable[[Fields, Sequence[Said], Mapping[str, msgspec.Raw]], None] | None = None
    # in how many seconds to ask again, where an error's body tells it, and no header
    retry_after: Callable[[bytes], float | None] | None = None
