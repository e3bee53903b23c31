"""The one place that imports late: what takes long to import, and most commands never need."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["load"]


def load(module: str) -> ModuleType:
    """The module `ratchet.<module>`."""
    return importlib.import_module(f"ratchet.{module}")
