"""Event streams: however the bytes are cut, the events are the same."""

from __future__ import annotations

import json
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.dialects import anthropic, gemini, openai_chat, openai_responses
from ratchet.dialects.sse import EventStream, data_of_stream
from ratchet.errors import UpstreamFailed

LINES = st.sampled_from(
    [
        b"data: one",
        b"data:two",
        b"data:  spaced",
        b"data",
        b"data:",
        "data: ä€😀".encode(),
        b": comment",
        b":",
        b"event: error",
        b"id: 7",
        b"retry: 10",
        b"database: no",
        b"",
        b"",
        b'data: {"a": 1}',
    ]
)
ENDINGS = st.sampled_from([b"\n", b"\r", b"\r\n"])


def read_by_the_standard(stream: bytes) -> list[bytes]:
    """The standard's own algorithm, one line at a time, to compare with. Ours is what becomes of an event named error."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[bytes] = []
    data: list[bytes] = []
    failed = False
    for line in text.split(b"\n"):
        if line == b"":
            events += _dispatched(data, failed)
            data, failed = [], False
        elif not line.startswith(b":"):
            name, _, value = line.partition(b":")
            if name == b"data":
                data.append(value.removeprefix(b" "))
            failed = failed or line == b"event: error"
    return events + _dispatched(data, failed)  # ours: the last event counts without its blank line


def _dispatched(data: list[bytes], failed: bool) -> list[bytes]:
    joined = b"\n".join(data)
    if not failed:
        return [joined] if data else []
    said = json.loads(joined) if joined.startswith(b"{") and joined.endswith(b"}") else None
    return [json_bytes({"type": "error", "error": said or {"message": joined.decode()}})]


def json_bytes(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    lines = draw(st.lists(st.tuples(LINES, ENDINGS), max_size=30))
    stream = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + b"".join(line + end for line, end in lines)
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=40).map(sorted))
    return stream, cuts


@given(streams())
def test_any_cutting_gives_the_events_of_the_standard(case: tuple[bytes, list[int]]) -> None:
    stream, cuts = case
    reader = EventStream()
    read: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        read += reader.feed(stream[start:end])
    read += reader.finish()
    assert read == read_by_the_standard(stream)
    assert data_of_stream(stream) == read


@given(st.binary(max_size=200), st.integers(1, 7))
def test_arbitrary_bytes_read_the_same_in_pieces_of_any_size(stream: bytes, size: int) -> None:
    reader = EventStream()
    read = [
        data for start in range(0, len(stream), size) for data in reader.feed(stream[start : start + size])
    ]
    assert read + reader.finish() == data_of_stream(stream)


def test_events_come_as_soon_as_they_are_whole() -> None:
    reader = EventStream()
    assert reader.feed(b"data: a\n") == []
    assert reader.feed(b"\ndata: b\n\ndata: c") == [b"a", b"b"]
    assert reader.feed(b"\r") == []
    assert reader.feed(b"\n\r\n") == [b"c"]
    assert reader.finish() == []


def test_several_data_lines_are_one_event() -> None:
    assert data_of_stream(b"event: x\ndata: one\ndata:two\nid: 3\n\n") == [b"one\ntwo"]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ('{"message":"overloaded"}', {"message": "overloaded"}),
        ('{"error":{"message":"overloaded"}}', {"message": "overloaded"}),
        ('{"error":"overloaded"}', "overloaded"),
        ('{"type":"error","message":"overloaded"}', {"type": "error", "message": "overloaded"}),
        ('{"id":"c1","choices":[]}', {"id": "c1", "choices": []}),
        ("overloaded", {"message": "overloaded"}),
        ("[1]", {"message": "[1]"}),
        ("", {"message": ""}),
    ],
)
@pytest.mark.parametrize(
    "dialect", [openai_chat, anthropic, openai_responses, gemini], ids=lambda it: it.DIALECT.name
)
def test_an_event_named_error_is_one_in_every_dialect(dialect: ModuleType, data: str, error: object) -> None:
    for stream in (f"event: error\ndata: {data}\n\n", f"data: {data}\nevent:error\n\n"):
        head = dialect.DIALECT.stream_head()
        head.feed(stream.encode())
        assert head.error == error
        assert (head.malformed, head.done, head.good) == (False, False, 0)


@pytest.mark.parametrize(
    ("block", "error"),
    [
        (b"<html>\n<p>oops: 1</p></html>", {"message": "<html>\n<p>oops: 1</p></html>"}),
        (b'{\n"error": {"message": "overloaded"}}', {"message": "overloaded"}),
    ],
)
def test_what_stands_between_events_is_an_error(block: bytes, error: object) -> None:
    assert [json.loads(data) for data in data_of_stream(b"data: 1\n\n" + block + b"\n\ndata: 2\n\n")] == [
        1,
        {"type": "error", "error": error},
        2,
    ]


def test_what_says_that_it_is_an_error_is_left_as_it_is() -> None:
    told = b'{"type": "error", "error": {"type": "overloaded_error"}, "request_id": "1"}'
    assert data_of_stream(b"event: error\ndata: " + told + b"\n\n") == [told]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_an_event_beyond_the_limit_is_refused_however_it_comes(size: int) -> None:
    stream = b"data: " + b"x" * 200 + b"\n\n"
    reader = EventStream(limit=100)

    def feed_all() -> None:
        for start in range(0, len(stream), size):
            reader.feed(stream[start : start + size])

    with pytest.raises(UpstreamFailed, match="larger than 100 bytes") as caught:
        feed_all()
    assert caught.value.reason == "stream_event_too_large"


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_an_event_at_the_limit_is_read_however_it_comes(size: int) -> None:
    event = b"data: " + b"x" * 94
    stream = b"\n" + event + b"\n\n" + event + b"\n\n\n"
    reader = EventStream(limit=100)
    read = [
        data for start in range(0, len(stream), size) for data in reader.feed(stream[start : start + size])
    ]
    assert read == [b"x" * 94] * 2
