"""The spool's writing side: frames, segments, locks, limits, and a disk that refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from ratchet.errors import Unavailable
from ratchet.telemetry.frames import Frame, pieces
from ratchet.telemetry.spool import SpoolWriter, segments, spool_size


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Callable[..., SpoolWriter]]:
    opened: list[SpoolWriter] = []
    ticks = count(1)

    def make(**limits: int) -> SpoolWriter:
        opened.append(SpoolWriter(tmp_path / "spool", now=lambda: next(ticks), **limits))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def payloads(folder: Path) -> list[bytes]:
    found: list[bytes] = []
    for segment in segments(folder):
        for piece in pieces(segment.read(0, 1 << 20), complete=True):
            assert isinstance(piece, Frame)
            found.append(bytes(piece.payload))
    return found


def test_what_is_appended_is_read_back_in_order(writer: Callable[..., SpoolWriter], tmp_path: Path) -> None:
    spool = writer()
    written = [b"C" + os.urandom(size) for size in (0, 1, 100, 70_000)]
    for payload in written:
        spool.append(payload)
    assert payloads(tmp_path / "spool") == written
    assert segments(tmp_path / "spool")[0].path.stat().st_mode & 0o777 == 0o600


def test_a_full_segment_is_finished_and_the_next_one_grows(
    writer: Callable[..., SpoolWriter], tmp_path: Path
) -> None:
    spool = writer(segment_bytes=1000)
    for number in range(10):
        spool.append(b"C" + bytes([number]) * 400)
    found = segments(tmp_path / "spool")
    assert len(found) == 5
    assert [segment.finished() for segment in found] == [True] * 4 + [False]
    assert len(payloads(tmp_path / "spool")) == 10


def test_two_writers_never_share_a_segment(writer: Callable[..., SpoolWriter], tmp_path: Path) -> None:
    first, second = writer(), writer()
    for spool in (first, second, first):
        spool.append(b"C" + bytes(10))
    assert len(segments(tmp_path / "spool")) == 2
    assert len(payloads(tmp_path / "spool")) == 3


def test_a_segment_is_finished_when_its_writer_was_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, pathlib\n"
        "from ratchet.telemetry.spool import SpoolWriter\n"
        "spool = SpoolWriter(pathlib.Path(sys.argv[1]), now=lambda: 1)\n"
        "spool.append(b'C' + b'x' * 50)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, timeout=60)
    assert done.returncode == -9
    (segment,) = segments(tmp_path)
    assert segment.finished()
    assert payloads(tmp_path) == [b"C" + b"x" * 50]


def test_a_full_spool_refuses_counts_and_lets_go_of_its_segment(
    writer: Callable[..., SpoolWriter], tmp_path: Path
) -> None:
    spool = writer(spool_bytes=1000)
    for _ in range(10):  # a frame's header takes eight bytes more
        spool.append(b"C" + bytes(91))
    with pytest.raises(Unavailable, match="limit of 1,000 bytes"):
        spool.append(b"C" + bytes(91))
    assert spool.refused == 1
    assert spool_size(tmp_path / "spool") == 1000
    for segment in segments(tmp_path / "spool"):
        if segment.finished():
            segment.path.unlink()
    spool.measured(spool_size(tmp_path / "spool"), spool.written)
    spool.append(b"C" + bytes(91))
    assert len(payloads(tmp_path / "spool")) == 1


def test_half_a_frame_is_taken_back_when_the_disk_is_full(
    writer: Callable[..., SpoolWriter], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = writer()
    spool.append(b"C" + bytes(10))
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        real(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(Unavailable, match="No space left"):
        spool.append(b"C" + bytes(500))
    monkeypatch.setattr(os, "write", real)
    spool.append(b"C" + bytes(20))
    assert [len(payload) for payload in payloads(tmp_path / "spool")] == [11, 21]
    assert spool.refused == 1
