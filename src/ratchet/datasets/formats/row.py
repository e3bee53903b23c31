"""What every format reads a file into."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from ratchet.domain.cases import Case

__all__ = ["Format", "Row", "Rows", "Unreadable"]


class Row(msgspec.Struct, frozen=True):
    """One case as a file has it. `place` says where it stands, such as `line 3`."""

    place: str
    fields: dict[str, Any]


class Rows(msgspec.Struct, frozen=True):
    """All cases of a file. `notes` say what the file holds that a case has no place for."""

    rows: list[Row]
    notes: list[str] = []


class Unreadable(Exception):
    """The file is not what its format says. `remedy` says what to do."""

    def __init__(self, place: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message
        self.remedy = remedy


class Format(Protocol):
    """What a module of this folder offers."""

    def read(self, content: bytes) -> Rows:
        """Raises Unreadable."""
        ...

    def write(self, cases: Sequence[Case]) -> bytes:
        """Raises InvalidRequest for a case that the format has no way to say."""
        ...
