"""The spool: an append-only log on disk between the gateway and the stores.

A frame is `length:u32 crc32:u32 payload`, little-endian. Each writer appends to a segment file of its own and holds
an advisory lock on it, which the kernel releases when the process ends, however it ends. So a reader can tell a
segment that may still grow from one that is finished, with no word from the writer.

`append` returns after write(2): a killed process loses nothing. `sync` (every 100 ms, off the request's path) makes
it durable against a power cut.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from ratchet.errors import Unavailable
from ratchet.files import sync_folder

__all__ = ["HEADER", "Segment", "SpoolWriter", "segments", "spool_size"]

HEADER = struct.Struct("<II")  # length and CRC-32 of the payload
SEGMENT_SUFFIX = ".spool"
DEFAULT_SEGMENT_BYTES = 64 << 20
DEFAULT_SPOOL_BYTES = 4 << 30


class SpoolWriter:
    """Appends frames for one process. Not thread-safe: one event loop owns it."""

    def __init__(
        self,
        folder: Path,
        *,
        now: Callable[[], int],
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
        spool_bytes: int = DEFAULT_SPOOL_BYTES,
    ) -> None:
        """`now` gives nanoseconds since the epoch; `spool_bytes` bounds the whole folder, all writers together."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.refused = 0
        self._now = now
        # Many segments to a spool, so that what has been drained can be removed long before it is full.
        self._segment_bytes = min(segment_bytes, spool_bytes // 8)
        self._spool_bytes = spool_bytes
        self._others = spool_size(folder)  # refreshed by `measured`; what this writer adds is counted exactly
        self._position = 0
        self._written_since_measure = 0
        self._dirty = False
        self._descriptor = self._open_segment()

    def append(self, payload: bytes) -> None:
        """Write one frame. Raises Unavailable, and counts it in `refused`, when the spool or the disk is full."""
        frame = HEADER.pack(len(payload), zlib.crc32(payload)) + payload
        size = len(frame)
        if size > self.room():
            self.refused += 1
            if self._position:
                self._rotate()  # a finished segment can be removed once it is drained; a growing one can't
            raise Unavailable(
                f"The spool in {self.folder} has reached its limit of {self._spool_bytes:,} bytes.",
                "Start the studio (it drains the spool), check its store with `ratchet doctor`, or raise "
                "telemetry.spool_bytes.",
                code="spool_full",
            )
        if self._position and self._position + size > self._segment_bytes:
            self._rotate()
        self._write(frame)
        self._position += size
        self._written_since_measure += size
        self._dirty = True

    def room(self) -> int:
        """How many bytes it still takes."""
        return self._spool_bytes - self._others - self._written_since_measure

    def measured(self, size: int, since: int) -> None:
        """Take over the folder's `size` as somebody found it who asked for `written` before: that was `since`."""
        self._others = size
        self._written_since_measure -= since

    @property
    def written(self) -> int:
        """Bytes written here that the folder's known size does not include."""
        return self._written_since_measure

    def sync_target(self) -> int | None:
        """A duplicated descriptor to `fdatasync` in a thread (the caller closes it), or None when nothing is new."""
        if not self._dirty:
            return None
        self._dirty = False
        return os.dup(self._descriptor)

    def close(self) -> None:
        """Sync and release the segment."""
        os.fdatasync(self._descriptor)
        os.close(self._descriptor)

    def _write(self, frame: bytes) -> None:
        try:
            written = os.write(self._descriptor, frame)
            if written != len(frame):
                raise OSError(f"wrote {written} of {len(frame)} bytes")
        except OSError as error:
            # Half a frame would hide every frame behind it from the reader, so cut it off.
            os.ftruncate(self._descriptor, self._position)
            self.refused += 1
            raise Unavailable(
                f"The spool in {self.folder} could not be written: {error}.",
                "Free disk space there, or set --data-dir to a disk that has some.",
                code="spool_unwritable",
            ) from error

    def _rotate(self) -> None:
        fresh = self._open_segment()
        os.fdatasync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = fresh
        self._position = 0

    def _open_segment(self) -> int:
        name = f"{self._now():020d}-{os.getpid()}-{secrets.token_hex(3)}"
        # Locked before it gets the name that readers look for, so none can take it for a finished one.
        hidden = self.folder / f".{name}"
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        hidden.rename(self.folder / (name + SEGMENT_SUFFIX))
        sync_folder(self.folder)  # so that the name survives a power cut as its contents do
        return descriptor


class Segment:
    """One segment file, as a reader sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name.removesuffix(SEGMENT_SUFFIX)

    def finished(self) -> bool:
        """Whether its writer is gone, so that it will not grow any more."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(descriptor)

    def read(self, start: int, limit: int) -> bytes:
        """Up to `limit` bytes from `start`; more where a single frame is larger than that."""
        with self.path.open("rb") as file:
            file.seek(start)
            data = file.read(limit)
            if len(data) >= HEADER.size:
                needed = HEADER.size + HEADER.unpack_from(data)[0]
                if needed > len(data):
                    data += file.read(needed - len(data))
        return data


def segments(folder: Path) -> list[Segment]:
    """Every segment in `folder`, oldest first."""
    return [Segment(path) for path in sorted(folder.glob(f"*{SEGMENT_SUFFIX}"))]


def spool_size(folder: Path) -> int:
    """Bytes in all segments of `folder`."""
    total = 0
    for path in folder.glob(f"*{SEGMENT_SUFFIX}"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # drained and removed since the listing
            continue
    return total
