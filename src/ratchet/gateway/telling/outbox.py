"""What webhooks have yet to tell, on disk: written down before anybody tries, struck off when it is told.

A line of JSON for each in a file of this process, which it holds a lock on. The kernel releases that when the process
ends, however it ends, and the next one that starts takes over what the file still holds. It may be told twice then,
and is never lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ratchet.files import sync_folder

__all__ = ["Call", "Outbox"]

log = logging.getLogger("ratchet.gateway")

_SUFFIX = ".webhooks"
_GROWTH = 1 << 20  # bytes that a file may grow by before it is begun anew with what still waits


class Call(msgspec.Struct, frozen=True, tag="call", tag_field="line"):
    """Something to tell. `allowed`: the private addresses that may be reached; None: all of them, as the file's own.

    `id` names it wherever it is told, and how often; it is given when the call is taken.
    """

    url: str
    payload: Mapping[str, object]
    allowed: tuple[str, ...] | None = None
    id: str = ""


class _Told(msgspec.Struct, frozen=True, tag="told", tag_field="line"):
    """Nobody has to be told of it any more."""

    id: str


_encode = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Call | _Told] = msgspec.json.Decoder(Call | _Told)


class Outbox:
    """`calls` are those that wait, by their id and oldest first. Not thread-safe: one event loop owns it."""

    def __init__(self, folder: Path | None) -> None:
        """Begins with what processes that ended have left in `folder`. Without one nothing outlives the process.

        Raises OSError where the folder can't be used.
        """
        self._folder = folder
        self._descriptor: int | None = None
        self._path = Path()
        self._size = self._most = 0
        self.calls: dict[str, Call] = {}
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        left = list(_left_in(folder))
        for path, descriptor in left:
            self.calls |= _read(path, descriptor)
        self._begin(folder)
        for path, descriptor in left:
            path.unlink()
            os.close(descriptor)

    def add(self, call: Call) -> None:
        """Written when this returns: a killed process has it still. A disk that refuses costs that, never the call."""
        self.calls[call.id] = call
        self._write(call)

    def strike(self, call: Call) -> None:
        """It is told, or given up."""
        del self.calls[call.id]
        if self._descriptor is not None and not self.calls:
            os.ftruncate(self._descriptor, 0)
            self._size = 0
            return
        self._write(_Told(call.id))
        if self._folder is not None and self._size > self._most:
            self._begin(self._folder)

    def sync_target(self) -> int | None:
        """A duplicated descriptor to `fdatasync` in a thread (the caller closes it); None where nothing is on disk."""
        return None if self._descriptor is None else os.dup(self._descriptor)

    def close(self) -> None:
        """What still waits is there for the next process; a file that holds nothing is removed."""
        if self._descriptor is None:
            return
        if not self.calls:
            self._path.unlink()
        os.fdatasync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None

    def _write(self, line: Call | _Told) -> None:
        if self._descriptor is None:
            return
        data = _encode(line) + b"\n"
        try:
            written = os.write(self._descriptor, data)
            if written != len(data):
                raise OSError(f"wrote {written} of {len(data)} bytes")
        except OSError as error:
            log.error("a webhook could not be written down in %s: %s", self._path.parent, error)  # noqa: TRY400 - a trace would tell no more
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)  # half a line would spoil the next
            return
        self._size += len(data)

    def _begin(self, folder: Path) -> None:
        """A file with what waits, in place of the one there was: all of it or none."""
        name = f"{os.getpid()}-{secrets.token_hex(6)}"
        # Locked before it gets the name that others look for, so none can take it for one that was left.
        hidden = folder / f".{name}"
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        data = b"".join(_encode(call) + b"\n" for call in self.calls.values())
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(data)
        os.fdatasync(descriptor)
        hidden.rename(folder / (name + _SUFFIX))
        before, path = self._descriptor, self._path
        self._descriptor, self._path = descriptor, folder / (name + _SUFFIX)
        self._size, self._most = len(data), 2 * len(data) + _GROWTH
        if before is not None:
            path.unlink()
            os.close(before)
        sync_folder(folder)


def _left_in(folder: Path) -> Iterator[tuple[Path, int]]:
    """The files of processes that are gone, each with a descriptor that holds its lock."""
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:  # another process has just taken it over
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        if os.fstat(descriptor).st_nlink:
            yield path, descriptor
        else:  # as above
            os.close(descriptor)


def _read(path: Path, descriptor: int) -> dict[str, Call]:
    """What waits in a file. A process that was killed while it wrote leaves half a line at the end."""
    found: dict[str, Call] = {}
    with os.fdopen(os.dup(descriptor), "rb") as file:
        for line in file:
            try:
                read = _decoder.decode(line)
            except msgspec.DecodeError:
                if line.endswith(b"\n"):
                    log.error("a line in %s is no webhook's, and is left out", path)  # noqa: TRY400 - a trace would tell no more
                continue
            if isinstance(read, Call):
                found[read.id] = read
            else:
                found.pop(read.id, None)
    return found
