"""The last good keys, on disk, so that a gateway starts and serves while the records are down."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from ratchet.domain.access import Key

__all__ = ["load_keys", "save_keys"]


def save_keys(path: Path, keys: list[Key]) -> None:
    """Replace the file in one step; it holds hashes, and only its owner may read it."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(keys))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_keys(path: Path) -> list[Key] | None:
    """What was saved last; None where nothing was, or where it can't be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Key])
    except (OSError, msgspec.DecodeError):
        return None
