"""What the records last said, on disk, so that a gateway starts and serves while they are down."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ratchet.domain.access import Key
from ratchet.domain.declarations import Declarations
from ratchet.domain.forgetting import Forgotten
from ratchet.domain.prompts import ServedPrompt
from ratchet.domain.standings import Standing
from ratchet.files import replace_file

__all__ = ["Known", "load_known", "save_known"]


class Known(msgspec.Struct, frozen=True):
    """What a gateway reads of the records."""

    keys: tuple[Key, ...] = ()
    declared: Declarations = Declarations()
    prompts: tuple[ServedPrompt, ...] = ()
    standings: tuple[Standing, ...] = ()
    forgotten: tuple[Forgotten, ...] = ()


def save_known(path: Path, known: Known) -> None:
    """It holds keys' hashes and what signs publishable keys' passes, and only its owner may read it. Raises OSError."""
    replace_file(path, msgspec.json.encode(known))


def load_known(path: Path) -> Known | None:
    """What was saved last; None where nothing was, or where it can't be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Known)
    except (OSError, msgspec.DecodeError):
        return None
