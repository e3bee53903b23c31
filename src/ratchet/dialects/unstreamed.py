"""The streaming side of a dialect whose answers are never streamed: nobody may ask for it."""

from __future__ import annotations

from typing import Any, NoReturn

from ratchet.errors import Bug

__all__ = ["never_streamed"]


def never_streamed(*_: Any) -> NoReturn:
    """Stands for `stream_head`, `stream_reader` and `stream_writer`. Raises Bug: the gateway looks at `operation`."""
    raise Bug("An answer that is never streamed was taken for a stream.", "Please report this.")
