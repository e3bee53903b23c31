"""Files that survive a crash: replaced in one step. Locks that end with their process."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator
from pathlib import Path

from ratchet.errors import Conflict

__all__ = ["exclusive_lock", "is_locked", "replace_file", "sync_folder"]


def replace_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Make `content` the whole of `path`: all of it or none, whatever dies. Durable when it returns. Raises OSError.

    `mode` is what the umask takes from: by default only the owner may read it.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")  # several processes may replace it at once
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names that were added to or changed in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def exclusive_lock(path: Path, what: str) -> Generator[None]:
    """Hold the lock file at `path`. Raises Conflict while another process does; a dead process holds nothing."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise Conflict(
                f"{what} ({path.parent}) is in use by process {holder or 'unknown'}.",
                "Stop that process, or give another directory with --data-dir.",
                code="data_dir_in_use",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether a process that lives holds the lock file at `path`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)
