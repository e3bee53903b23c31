"""The last good keys, on disk, so that a gateway starts and serves while the records are down."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ratchet.domain.access import Key
from ratchet.files import replace_file

__all__ = ["load_keys", "save_keys"]


def save_keys(path: Path, keys: list[Key]) -> None:
    """It holds hashes, and only its owner may read it. Raises OSError."""
    replace_file(path, msgspec.json.encode(keys))


def load_keys(path: Path) -> list[Key] | None:
    """What was saved last; None where nothing was, or where it can't be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Key])
    except (OSError, msgspec.DecodeError):
        return None
