"""Test-driven development for LLM applications."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ratchet.app.evaluating import Evaluation, evaluate, evaluate_async
    from ratchet.domain.cases import Case, Output, Verdict
    from ratchet.scorers.function import scorer

__all__ = [
    "Case",
    "Evaluation",
    "Output",
    "Verdict",
    "__version__",
    "evaluate",
    "evaluate_async",
    "scorer",
]

__version__ = "0.1.0"

_WHERE = {
    "Case": "ratchet.domain.cases",
    "Evaluation": "ratchet.app.evaluating",
    "Output": "ratchet.domain.cases",
    "Verdict": "ratchet.domain.cases",
    "evaluate": "ratchet.app.evaluating",
    "evaluate_async": "ratchet.app.evaluating",
    "scorer": "ratchet.scorers.function",
}


def __getattr__(name: str) -> Any:
    """The names for people's own code, loaded when they are used: `import ratchet` itself loads nothing."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)
