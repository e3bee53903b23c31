"""A kept answer, said again: as it was said, or (where it was streamed and is not to be, or the other way) as it would be.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ratchet.dialects.dialect import Dialect
from ratchet.dialects.folded import fold, unfold
from ratchet.domain.generation import Answer, PartDelta, StreamEvent
from ratchet.domain.messages import RefusalPart, TextPart
from ratchet.errors import UpstreamFailed
from ratchet.gateway.cache.entries import Entry

__all__ = ["answer_in", "as_body", "as_stream", "is_worth_keeping", "text_of"]

_GOOD_ENDS = frozenset({"stop", "tool_call"})
_PIECE = 2048  # bytes of a stream that are sent at once, at least
_WORDS = re.compile(r"\S*\s*", re.DOTALL)
_DELTA = 48  # characters, about ten tokens


def answer_in(dialect: Dialect, content: bytes, *, streamed: bool) -> Answer | None:
    """What was said, in no dialect's words; None where it can't be read or the stream says that it failed."""
    try:
        if not streamed:
            return dialect.read_answer(content)
        reader = dialect.stream_reader()
        return fold([*reader.feed(content), *reader.finish()], dialect.name)
    except UpstreamFailed:
        return None


def is_worth_keeping(answer: Answer) -> bool:
    """Whether every choice is whole and says something, and none is cut, filtered or a refusal."""
    return bool(answer.choices) and all(
        choice.finish_reason in _GOOD_ENDS
        and choice.parts
        and not any(isinstance(part, RefusalPart) for part in choice.parts)
        for choice in answer.choices
    )


def text_of(answer: Answer) -> str | None:
    """What a person reads of an answer of one choice that is text alone; None where it is anything else."""
    if len(answer.choices) != 1:
        return None
    parts = answer.choices[0].parts
    said = [part.content for part in parts if isinstance(part, TextPart)]
    return "".join(said) if said and len(said) == len(parts) else None


def as_body(entry: Entry, dialect: Dialect, asked: bytes) -> bytes:
    """The whole answer, to the request in `asked`."""
    if not entry.streamed:
        return entry.content
    answer = answer_in(dialect, entry.content, streamed=True)
    assert answer is not None  # noqa: S101 - it could be read when it was kept
    return dialect.write_answer(answer, dialect.read_request(asked))


def as_stream(entry: Entry, dialect: Dialect, asked: bytes, *, wants_usage: bool) -> list[bytes]:
    """The stream, in pieces of whole events."""
    if entry.streamed and entry.tells_usage == wants_usage:
        return list(_pieces(entry.content))
    answer = answer_in(dialect, entry.content, streamed=entry.streamed)
    assert answer is not None  # noqa: S101 - it could be read when it was kept
    writer = dialect.stream_writer(dialect.read_request(asked))
    return [written for event in _spoken(answer) if (written := writer.write(event))]


def _spoken(answer: Answer) -> Iterator[StreamEvent]:
    """A stream's events, a few words each."""
    for event in unfold(answer):
        if isinstance(event, PartDelta):
            yield from (PartDelta(event.choice, event.index, text) for text in _few_words(event.text))
        else:
            yield event


def _few_words(text: str) -> Iterator[str]:
    held = ""
    for word in _WORDS.findall(text):
        held += word
        if len(held) >= _DELTA:
            yield held
            held = ""
    if held:
        yield held


def _pieces(content: bytes) -> Iterator[bytes]:
    """A recorded stream in pieces that end where events do; the last event is a piece of its own."""
    begin = 0
    last = _last_event(content)
    while begin < last:
        end = content.find(b"\n\n", begin + _PIECE, last)
        end = last if end < 0 else end + 2
        yield content[begin:end]
        begin = end
    yield content[last:]


def _last_event(content: bytes) -> int:
    end: Any = len(content.rstrip())
    found = content.rfind(b"\n\n", 0, end)
    return found + 2 if found >= 0 else 0
