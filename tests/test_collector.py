"""The collector: every record is in the store exactly once, whatever breaks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratchet.domain.spans import Event, Score, Span
from ratchet.domain.usage import Usage
from ratchet.errors import Unavailable
from ratchet.telemetry.calls import Call, OtlpBody, Record, encode_record
from ratchet.telemetry.collector import REJECTED, Collector
from ratchet.telemetry.cursor import Cursor, Range
from ratchet.telemetry.frames import Broken, Frame, pieces
from ratchet.telemetry.spool import SpoolWriter, segments

HERE = Path(__file__).parent
CRASHES = 6


def make_call(number: int, **fields: Any) -> Call:
    values: dict[str, Any] = {
        "project_id": "p", "key_id": "k", "trace_id": f"{number:032x}", "span_id": f"{number:016x}",
        "parent_id": "", "start": 1_760_000_000_000_000_000 + number, "duration": 1, "dialect": "openai_chat",
        "operation": "chat", "route": "r", "target": "openai/g", "provider": "openai", "request_model": "g",
        "response_model": "g", "response_id": "", "stream": False, "status": "ok", "error_type": "",
        "error_message": "", "http_status": 200, "time_to_first_token": None, "usage": Usage(1, 1), "cost": "0.1",
        "finish_reasons": ["stop"], "user_id": "", "organisation_id": "", "session_id": "", "tags": [],
        "app_version": "", "language": "", "metadata": {}, "request": b'{"messages":[]}', "response": b"{}",
    }  # fmt: skip
    return Call(**(values | fields))


def make_score(number: int) -> Score:
    return Score(project_id="p", score_id=str(number), time=1, name="t", value=1.0, source="user")


def make_event(number: int) -> Event:
    return Event(project_id="p", event_id=str(number), time=1, kind="test")


RECEIVED = 1_760_000_002_000_000_000


def otlp_body(**attributes: Any) -> OtlpBody:
    """One span in OTLP's JSON."""
    listed = [
        {"key": key, "value": {"intValue": value} if isinstance(value, int) else {"stringValue": value}}
        for key, value in attributes.items()
    ]
    span = {
        "traceId": "0" * 31 + "1", "spanId": "0" * 15 + "1", "name": "chat", "startTimeUnixNano": "1760000000000000000",
        "endTimeUnixNano": "1760000001000000000", "attributes": listed,
    }  # fmt: skip
    body = msgspec.json.encode({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
    return OtlpBody(project_id="p", key_id="k", received=RECEIVED, encoding="json", body=body)


class Store:
    """Keeps what it is given, once per token; fails when told to."""

    def __init__(self) -> None:
        self.tokens: dict[str, Sequence[Any]] = {}
        self.attempts: list[str] = []
        self.down = False
        self.fail_after: Callable[[str], bool] = lambda _token: False

    def _take(self, rows: Sequence[Any], token: str) -> None:
        self.attempts.append(token)
        if self.down:
            raise Unavailable("The store is down.", "Wait.")
        if token in self.tokens:
            assert [type(row) for row in self.tokens[token]] == [type(row) for row in rows]
        self.tokens.setdefault(token, list(rows))
        if self.fail_after(token):
            raise Unavailable("The answer was lost.", "Try again.")

    def insert_spans(self, spans: Sequence[Span], *, token: str) -> None:
        self._take(spans, token)

    def insert_scores(self, scores: Sequence[Score], *, token: str) -> None:
        self._take(scores, token)

    def insert_events(self, events: Sequence[Event], *, token: str) -> None:
        self._take(events, token)

    def rows(self, kind: type) -> list[Any]:
        return [row for rows in self.tokens.values() for row in rows if isinstance(row, kind)]

    def numbers(self) -> list[int]:
        return [int(span.trace_id, 16) for span in self.rows(Span)]


class Setup:
    def __init__(self, folder: Path) -> None:
        self.spool = folder / "spool"
        self.spool.mkdir(exist_ok=True)
        self.state = folder / "collector.json"
        self.store = Store()
        self.said: list[str] = []

    def collector(self, **options: Any) -> Collector:
        values: dict[str, Any] = {"insert": self.store, "price": no_price, "now": time.time_ns}
        return Collector(self.spool, self.state, say=self.said.append, **(values | options))

    def writer(self, **options: Any) -> SpoolWriter:
        return SpoolWriter(self.spool, now=time.time_ns, **options)

    def write(self, *records: Record) -> None:
        """One finished segment."""
        writer = self.writer()
        for record in records:
            writer.append(encode_record(record))
        writer.close()

    def drain(self, collector: Collector) -> int:
        total = 0
        while taken := collector.drain_once():
            total += taken
        return total

    def files(self) -> list[Path]:
        return [segment.path for segment in segments(self.spool)]

    def rejected(self) -> list[bytes]:
        folder = self.spool / REJECTED
        return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.exists() else []


def no_price(_provider: str, _model: str, _usage: Usage, _when: int) -> Decimal | None:
    return None


def until(condition: Callable[[], bool], within: float = 15) -> None:
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.005)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def test_every_kind_of_record_goes_to_its_table_and_the_segment_goes(setup: Setup) -> None:
    setup.write(make_call(1), make_score(1), make_event(1), otlp_body(), make_call(2))
    collector = setup.collector()
    assert setup.drain(collector) == 5
    assert sorted(setup.store.numbers()) == [1, 1, 2]
    assert setup.store.rows(Score) == [make_score(1)]
    assert setup.store.rows(Event) == [make_event(1)]
    assert setup.files() == []
    assert collector.drain_once() == 0
    assert msgspec.json.decode(setup.state.read_bytes()) == {"offsets": {}, "pending": []}


def test_a_growing_segment_is_followed_and_kept(setup: Setup) -> None:
    writer, collector = setup.writer(), setup.collector()
    for number in range(5):
        writer.append(encode_record(make_call(number)))
        assert setup.drain(collector) == 1
    assert setup.store.numbers() == list(range(5))
    assert len(setup.files()) == 1
    writer.close()
    assert setup.drain(collector) == 0
    assert setup.files() == []


def test_two_writers_progress_together(setup: Setup) -> None:
    writers = [setup.writer(), setup.writer()]
    for number in range(200):
        writers[number % 2].append(encode_record(make_call(number)))
    collector = setup.collector(batch_rows=20)
    assert collector.drain_once() == 20
    assert Counter(number % 2 for number in setup.store.numbers()) == {0: 10, 1: 10}
    setup.drain(collector)
    assert sorted(setup.store.numbers()) == list(range(200))
    for writer in writers:
        writer.close()


def test_many_segments_take_turns(setup: Setup) -> None:
    for first in range(0, 100, 10):
        setup.write(*(make_call(number) for number in range(first, first + 10)))
    collector = setup.collector(batch_rows=8)
    for _ in range(5):
        collector.drain_once()
    assert {number // 10 for number in setup.store.numbers()} == set(range(10))
    setup.drain(collector)
    assert sorted(setup.store.numbers()) == list(range(100))


def test_a_frame_larger_than_the_batch_is_taken(setup: Setup) -> None:
    setup.write(make_call(1, request=b"x" * 100_000), make_call(2))
    assert setup.drain(setup.collector(batch_bytes=1000)) == 2


@pytest.mark.parametrize("table", ["spans", "scores", "events"])
def test_a_lost_answer_is_replayed_with_the_same_tokens(setup: Setup, table: str) -> None:
    setup.write(make_call(1), make_score(1), make_event(1))
    setup.store.fail_after = lambda token: token.endswith(table)
    with pytest.raises(Unavailable):
        setup.collector().drain_once()
    assert len(msgspec.json.decode(setup.state.read_bytes())["pending"]) == 1
    setup.store.fail_after = lambda _token: False
    setup.write(make_call(2))  # what came meanwhile is no part of the replay
    setup.drain(setup.collector())
    assert sorted(setup.store.numbers()) == [1, 2]
    assert len(setup.store.rows(Score)) == len(setup.store.rows(Event)) == 1
    assert (
        setup.store.attempts.count(next(token for token in setup.store.attempts if token.endswith(table)))
        == 2
    )


def test_a_replay_takes_the_same_stretch_of_a_segment_that_has_grown(setup: Setup) -> None:
    writer = setup.writer()
    writer.append(encode_record(make_call(1)))
    setup.store.down = True
    with pytest.raises(Unavailable):
        setup.collector().drain_once()
    writer.append(encode_record(make_call(2)))
    setup.store.down = False
    collector = setup.collector(batch_rows=1)
    assert collector.drain_once() == 1
    assert setup.store.numbers() == [1]
    setup.drain(collector)
    assert setup.store.numbers() == [1, 2]
    assert setup.store.attempts[0] == setup.store.attempts[1] != setup.store.attempts[2]
    writer.close()


def test_a_token_names_segment_range_and_table(setup: Setup) -> None:
    setup.write(make_call(1), make_score(1))
    (file,) = setup.files()
    size = file.stat().st_size
    setup.drain(setup.collector())
    name = file.name.removesuffix(".spool")
    assert setup.store.attempts == [f"{name}:0:{size}:spans", f"{name}:0:{size}:scores"]


def test_a_finished_segment_stays_until_every_follower_has_passed(setup: Setup) -> None:
    setup.write(make_call(1))
    (file,) = setup.files()
    needed = {file.name.removesuffix(".spool")}
    collector = setup.collector(keep_until=needed.__contains__)
    assert setup.drain(collector) == 1
    assert setup.drain(setup.collector(keep_until=needed.__contains__)) == 0
    assert setup.files() == [file]
    needed.clear()
    assert setup.drain(collector) == 0
    assert setup.files() == []


def test_a_record_that_cannot_be_read_stops_no_other(setup: Setup) -> None:
    writer = setup.writer()
    bad = [b"C\x91\x01", b"Zwhat", encode_record(make_call(3))[:-4], b"O"]
    broken = encode_record(msgspec.structs.replace(otlp_body(), body=b"{nonsense"))
    for payload in (encode_record(make_call(1)), *bad, broken, encode_record(make_call(2))):
        writer.append(payload)
    writer.close()
    collector = setup.collector()
    setup.drain(collector)
    assert setup.store.numbers() == [1, 2]
    assert sorted(setup.rejected()) == sorted([*bad, broken])
    assert collector.status()["rejected"] == 5
    reports = {event.project_id: event for event in setup.store.rows(Event)}
    assert {project: event.attributes["count"] for project, event in reports.items()} == {"": "4", "p": "1"}
    assert {event.kind for event in reports.values()} == {"spool.record_rejected"}
    assert len(setup.said) == 5


def test_a_broken_frame_in_the_middle_hides_nothing_behind_it(setup: Setup) -> None:
    setup.write(*(make_call(number) for number in range(10)))
    (file,) = setup.files()
    data = bytearray(file.read_bytes())
    frames = list(pieces(bytes(data), complete=True))
    data[frames[3].start + 30] ^= 1  # a payload
    data[frames[6].start : frames[6].start + 4] = b"\xff\xff\xff\xff"  # a length that leads beyond the end
    file.write_bytes(data)
    collector = setup.collector()
    setup.drain(collector)
    assert setup.store.numbers() == [0, 1, 2, 4, 5, 7, 8, 9]
    assert setup.rejected() == [bytes(data[frames[n].start : frames[n].end]) for n in (3, 6)]
    assert collector.status()["skipped_bytes"] == sum(frames[n].end - frames[n].start for n in (3, 6))
    (report,) = setup.store.rows(Event)
    assert (report.kind, report.attributes["count"], report.severity) == ("spool.frame_broken", "2", "error")
    assert setup.files() == []


def test_a_broken_length_in_a_segment_still_being_written_is_passed_after_a_while(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = setup.writer()
    for number in range(3):
        writer.append(encode_record(make_call(number)))
    (file,) = setup.files()
    first = next(pieces(file.read_bytes(), complete=True))
    with file.open("r+b") as spoilt:
        spoilt.seek(first.end)
        spoilt.write(b"\xff\xff\xff\x7f")
    collector = setup.collector()
    setup.drain(collector)
    assert setup.store.numbers() == [0]
    monkeypatch.setattr("ratchet.telemetry.collector._STUCK_SECONDS", 0.0)
    setup.drain(collector)
    assert setup.store.numbers() == [0, 2]
    writer.close()


def test_a_file_that_ends_in_zeros_is_a_torn_end_and_no_million_records(setup: Setup) -> None:
    setup.write(make_call(1))
    (file,) = setup.files()
    with file.open("ab") as spoilt:
        spoilt.write(bytes(8000))
    collector = setup.collector()
    setup.drain(collector)
    assert setup.store.numbers() == [1]
    assert collector.status()["skipped_bytes"] == 8000
    assert len(setup.store.rows(Event)) == 1
    assert setup.files() == []


FRAMES = 4


def test_a_torn_end_is_skipped_at_every_length(tmp_path: Path) -> None:
    whole = Setup(tmp_path)
    whole.write(*(make_call(number) for number in range(FRAMES)))
    (file,) = whole.files()
    data = file.read_bytes()
    last = list(pieces(data, complete=True))[-1]
    for cut in range(last.start, len(data)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        torn = Setup(folder)
        (torn.spool / "1.spool").write_bytes(data[:cut])
        collector = torn.collector()
        assert torn.drain(collector) == FRAMES - 1 + (cut > last.start)
        assert torn.store.numbers() == list(range(FRAMES - 1))
        assert collector.status()["skipped_bytes"] == cut - last.start
        assert [event.kind for event in torn.store.rows(Event)] == ["spool.tail_torn"] * (cut > last.start)
        assert torn.files() == []


payloads = st.lists(st.binary(max_size=60).map(b"C".__add__), max_size=8)


def framed(payload: bytes) -> bytes:
    import struct
    import zlib

    return struct.pack("<II", len(payload), zlib.crc32(payload)) + payload


@given(payloads, st.data())
def test_pieces_account_for_every_byte_and_a_prefix_reads_the_same(
    parts: list[bytes], data: st.DataObject
) -> None:
    raw = bytearray(b"".join(map(framed, parts)))
    for place in data.draw(st.lists(st.integers(0, max(0, len(raw) - 1)), max_size=3)):
        if raw:
            raw[place] ^= data.draw(st.integers(1, 255))
    whole = list(pieces(bytes(raw), complete=True))
    assert [piece.start for piece in whole] == [0, *(piece.end for piece in whole)][: len(whole)]
    assert (whole[-1].end if whole else 0) == len(raw)
    for number, piece in enumerate(whole):
        if isinstance(piece, Frame):
            assert framed(bytes(piece.payload)) == raw[piece.start : piece.end]
            again = list(pieces(bytes(raw[: piece.end]), complete=True))
            assert [(type(p), p.start, p.end) for p in again] == [
                (type(p), p.start, p.end) for p in whole[: number + 1]
            ]


@given(payloads)
def test_pieces_of_an_intact_segment_are_its_frames(parts: list[bytes]) -> None:
    found = list(pieces(b"".join(map(framed, parts)), complete=False, patient=True))
    assert [bytes(piece.payload) for piece in found if isinstance(piece, Frame)] == parts
    assert not any(isinstance(piece, Broken) for piece in found)


def test_prices_are_asked_for_model_calls_of_apps_that_have_none(setup: Setup) -> None:
    asked: list[tuple[str, str, Usage, int]] = []

    def price(provider: str, model: str, usage: Usage, when: int) -> Decimal | None:
        asked.append((provider, model, usage, when))
        return Decimal("0.5") if model == "gpt-4o" else None

    usage = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}
    model = {
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "ft:x",
    }
    setup.write(
        otlp_body(**{"gen_ai.operation.name": "chat"}, **model, **usage),
        otlp_body(**{"gen_ai.operation.name": "invoke_agent"}, **model, **usage),
        otlp_body(**{"gen_ai.operation.name": "chat"}, **model),
        make_call(2, cost=None),
    )
    setup.drain(setup.collector(price=price))
    assert [span.cost for span in setup.store.rows(Span)] == [Decimal("0.5"), None, None, None]
    assert [(one[0], one[1], one[2].input, one[2].output) for one in asked] == [
        ("openai", "ft:x", 10, 5), ("openai", "gpt-4o", 10, 5),
    ]  # fmt: skip
    assert asked[0][3] == 1_760_000_000_000_000_000


def test_while_the_store_is_down_spans_wait_and_then_all_arrive(setup: Setup) -> None:
    writer, stop = setup.writer(), threading.Event()
    collector = setup.collector()
    thread = threading.Thread(target=collector.run, args=(stop,))
    thread.start()
    try:
        writer.append(encode_record(make_call(0)))
        until(lambda: setup.store.numbers() == [0])
        setup.store.down = True
        for number in range(1, 50):
            writer.append(encode_record(make_call(number)))
        until(lambda: len(setup.store.attempts) > 3)
        assert "down" in str(collector.status()["failure"])
        assert len(setup.said) == 1
        setup.store.down = False
        until(lambda: len(setup.store.numbers()) == 50)
        until(lambda: collector.status()["failure"] == "")
        assert sorted(setup.store.numbers()) == list(range(50))
    finally:
        stop.set()
        thread.join()
        writer.close()


def test_a_record_is_stored_within_a_second(setup: Setup) -> None:
    writer, stop = setup.writer(), threading.Event()
    thread = threading.Thread(target=setup.collector().run, args=(stop,))
    thread.start()
    try:
        for number in range(5):
            began = time.monotonic()
            writer.append(encode_record(make_call(number)))
            until(lambda number=number: number in setup.store.numbers(), within=1)
            assert time.monotonic() - began < 1
    finally:
        stop.set()
        thread.join()
        writer.close()


def test_a_cursor_that_cannot_be_read_is_refused_and_left_alone(setup: Setup) -> None:
    setup.state.write_bytes(b"{torn")
    with pytest.raises(Unavailable, match=r"collector\.json"):
        setup.collector()
    assert setup.state.read_bytes() == b"{torn"


def test_a_cursor_keeps_its_place_and_what_it_began(tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    cursor = Cursor(path)
    assert (cursor.offset("a"), list(cursor.pending)) == (0, [])
    cursor.begin([Range("a", 0, 10), Range("b", 5, 7)])
    assert list(Cursor(path).pending) == [Range("a", 0, 10), Range("b", 5, 7)]
    assert Cursor(path).offset("a") == 0
    cursor.commit()
    again = Cursor(path)
    assert (again.offset("a"), again.offset("b"), list(again.pending)) == (10, 7, [])
    again.keep_only({"b"})
    assert (Cursor(path).offset("a"), Cursor(path).offset("b")) == (0, 7)


def test_a_full_disk_stops_the_collector_before_it_inserts(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.write(make_call(1))
    collector = setup.collector()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(Unavailable, match="No space left"):
            collector.drain_once()
    assert setup.store.attempts == []
    assert setup.drain(collector) == 1
    assert setup.store.numbers() == [1]


CHILD = """
import sys, time
from pathlib import Path
from ratchet.store.spans import SpanStore
from ratchet.telemetry.collector import Collector
folder = Path(sys.argv[1])
store = SpanStore.open(f"chdb://{folder}/spans")
collector = Collector(folder / "spool", folder / "collector.json", insert=store, price=lambda *_: None,
                      now=time.time_ns, batch_rows=40)
print("open", flush=True)
while True:
    if not collector.drain_once():
        print("idle", flush=True)
        time.sleep(0.01)
"""

COUNT = """
import sys
from ratchet.store.spans import SpanStore
store = SpanStore.open(f"chdb://{sys.argv[1]}/spans")
for table in ("spans", "scores"):
    name = {"spans": "trace_id", "scores": "score_id"}[table]
    rows = store._pool.select(f"SELECT count(), uniqExact({name}) FROM {table}")
    print(*rows[0])
"""


def test_killed_at_random_points_it_stores_everything_exactly_once(tmp_path: Path) -> None:
    """A child process drains into a real chDB folder and is killed again and again, while records keep coming."""
    writer = SpoolWriter(tmp_path / "spool", now=time.time_ns, segment_bytes=20_000)
    written = 0

    def write(count: int) -> None:
        nonlocal written
        for _ in range(count):
            writer.append(encode_record(make_call(written)))
            writer.append(encode_record(make_score(written)))
            written += 1

    for crash in range(CRASHES):
        write(200)
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        write(50)
        time.sleep(0.013 * crash)  # not to wait for something: to die at another point each time
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    writer.close()
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert [child.stdout.readline() for _ in range(2)] == ["open\n", "idle\n"]
    child.kill()
    child.wait()
    child.stdout.close()
    counted = subprocess.run(
        [sys.executable, "-c", COUNT, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()
    assert counted == [str(written)] * 4
    assert segments(tmp_path / "spool") == []
