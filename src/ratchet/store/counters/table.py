"""A table of fixed slots in a memory-mapped file: what is stored there survives the process, at the price of a store.

The kernel owns a mapped page. A process that is killed leaves behind whatever it had stored, with no system call on
the way. Each 8-byte word is stored at once or not at all, so whatever changes at run time is one word, or is written
beside the old and then switched to by one word. A slot counts from the moment its kind is stored, which is last.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from ratchet.errors import Misconfigured

__all__ = ["DATA", "EXPIRES", "KIND", "WORDS", "Table", "digest_of"]

log = logging.getLogger("ratchet.store")

WORDS = 12  # to a slot: two of the key's digest, its kind, when it expires, and data
KIND, EXPIRES, DATA = 2, 3, 4
_SLOT = WORDS * 8
_MAGIC = struct.unpack("<q", b"rtchcnt1")[0]  # the last character is the version of this layout
_FIRST = 16_384  # slots, to begin with: 1.5 MiB
_STEP = 4  # slots looked at for each one that is taken: so the whole table, by the time a quarter as many were taken


def digest_of(key: str) -> tuple[int, int]:
    """What stands for a key in the file: 128 bits of BLAKE2b."""
    return struct.unpack(
        "<qq", hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    )


class Table:
    """Slots by key. `words` is the whole file as signed 64-bit words; a slot is the index of its first.

    The first slot is the file's head. One process may hold it. Without a path it is plain memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Raises Misconfigured where the file is another process's, or can't be made."""
        self.path = path
        self.slots: dict[str, int] = {}
        self._before: dict[
            tuple[int, int], int
        ] = {}  # slots of an earlier process whose key hasn't been asked for
        self._free: list[int] = []
        self._descriptor = -1 if path is None else _locked(path)
        self._kept = path is not None
        self._map = self._mapped()
        self.words = memoryview(self._map).cast("q")
        self.reals = memoryview(self._map).cast("d")  # the same words, as floating-point numbers
        self._names: list[str] = [""] * (len(self.words) // WORDS)
        self._hand = 0  # of the clock that finds what has expired
        self._end = WORDS  # where nothing has ever been
        self._take_stock()

    def find(self, key: str) -> int:
        """The key's slot, or 0."""
        slot = self.slots.get(key, 0)
        if slot or not self._before:
            return slot
        slot = self._before.pop(digest_of(key), 0)
        if slot:
            self.slots[key] = slot
            self._names[slot // WORDS] = key
        return slot

    def take(self, key: str) -> int:
        """A slot for a key that has none. It counts once the caller has stored its kind, last of all.

        `words` and `reals` may be others afterwards. Call `tidy` once for each slot taken.
        """
        if not self._free and self._end == len(self.words):
            self._double()
        if self._free:
            slot = self._free.pop()
        else:
            slot = self._end
            self._end += WORDS
        words = self.words
        words[slot], words[slot + 1] = digest_of(key)
        self.slots[key] = slot
        self._names[slot // WORDS] = key
        return slot

    def release(self, slot: int) -> None:
        """Give a slot back."""
        number = slot // WORDS
        self.words[slot + KIND] = 0
        name = self._names[number]
        if name:
            del self.slots[name]
            self._names[number] = ""
        else:
            self._before.pop((self.words[slot], self.words[slot + 1]), None)
        self._free.append(slot)

    def taken(self) -> Iterator[int]:
        """Every slot in use."""
        words = self.words
        for slot in range(WORDS, self._end, WORDS):
            if words[slot + KIND]:
                yield slot

    def tidy(self, now: int) -> None:
        """Move the clock's hand on a little, so that slots come free in step with those that are taken."""
        words, slot = self.words, self._hand
        if self._end < len(words) * 3 // 4:  # there is room: who comes again soon finds their slot
            return
        for _ in range(_STEP):
            slot += WORDS
            if slot >= self._end:
                slot = WORDS
                if slot >= self._end:
                    break
            if words[slot + KIND] and words[slot + EXPIRES] <= now:
                self.release(slot)
        self._hand = slot

    def close(self) -> None:
        """Write it out and let go of the file. What a power cut would have lost is safe after this."""
        self.words.release()
        self.reals.release()
        with contextlib.suppress(ValueError):
            self._map.flush()
            self._map.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _mapped(self) -> mmap.mmap:
        if self._descriptor < 0:
            return mmap.mmap(-1, _FIRST * _SLOT)
        size = os.fstat(self._descriptor).st_size
        known = size >= _SLOT and struct.unpack("<q", os.pread(self._descriptor, 8, 0))[0] == _MAGIC
        if size and not known:
            log.warning("%s is of another version: counting begins anew", self.path)
            os.ftruncate(self._descriptor, 0)
        slots = max(_FIRST, size // _SLOT) if known else _FIRST
        try:
            # Blocks that are really there: a page that the disk has no room for would end the process.
            os.posix_fallocate(self._descriptor, 0, slots * _SLOT)
        except OSError as error:
            os.close(self._descriptor)
            raise Misconfigured(
                f"The counters in {self.path} can't be kept: {error.strerror}.",
                "Free disk space there, or set --data-dir to a disk that has some.",
            ) from error
        found = mmap.mmap(self._descriptor, slots * _SLOT)
        found[0:8] = struct.pack("<q", _MAGIC)
        return found

    def _take_stock(self) -> None:
        words = self.words
        for slot in range(WORDS, len(words), WORDS):
            if words[slot + KIND]:
                self._before[words[slot], words[slot + 1]] = slot
                self._end = slot + WORDS
        self._free = [slot for slot in range(WORDS, self._end, WORDS) if not words[slot + KIND]]

    def _double(self) -> None:
        size = len(self.words) * 8
        self.words.release()
        self.reals.release()
        if not (self._kept and self._extended(size * 2)):
            there, self._map = self._map, mmap.mmap(-1, size * 2)
            self._map[:size] = there[:size]
            there.close()
        self.words = memoryview(self._map).cast("q")
        self.reals = memoryview(self._map).cast("d")
        self._names += [""] * (size // _SLOT)

    def _extended(self, size: int) -> bool:
        """Whether the file could grow. Where it can't, counting goes on in memory: only a restart won't know of it."""
        try:
            os.posix_fallocate(self._descriptor, 0, size)
            self._map.resize(size)
        except OSError as error:
            self._kept = False
            log.error("the counters in %s can't grow, and won't survive a restart: %s", self.path, error)  # noqa: TRY400 - a trace would tell no more
        return self._kept


def _locked(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Misconfigured(
            f"The counters in {path} can't be opened: {error.strerror}.", "Choose another --data-dir."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Misconfigured(
            f"Another gateway counts in {path}, and counters in memory are one process's alone.",
            'Give this one its own --data-dir, or let them share theirs: [store] counters = "redis://HOST".',
        ) from None
    return descriptor
