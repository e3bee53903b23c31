"""The one place of this room that imports late: a run with one scorer loads no other's libraries."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["load"]


def load(where: str) -> Any:
    """What `where` names: `module:attribute`, with the module below `ratchet.scorers`."""
    module, _, attribute = where.partition(":")
    return getattr(importlib.import_module(f"ratchet.scorers.{module}"), attribute)
