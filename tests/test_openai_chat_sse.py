"""Event streams: however the bytes are cut, the events are the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    """The standard's own algorithm, one line at a time, to compare with."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events: list[bytes] = []
    data: list[bytes] = []
    for line in text.split(b"\n"):
        if line == b"":
            if data:
                events.append(b"\n".join(data))
            data = []
        elif not line.startswith(b":"):
            name, _, value = line.partition(b":")
            if name == b"data":
                data.append(value.removeprefix(b" "))
    if data:
        events.append(b"\n".join(data))  # ours: the last event counts without its blank line
    return events


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
