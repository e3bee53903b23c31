"""The one place of the studio that imports late: statistics take longer to import than most pages take in all."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["load"]


def load(where: str) -> Any:
    """What `where` names: `module:attribute`, with the module below `ratchet`."""
    module, _, attribute = where.partition(":")
    return getattr(importlib.import_module(f"ratchet.{module}"), attribute)
