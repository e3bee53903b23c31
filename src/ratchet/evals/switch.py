"""How a run is stopped from outside."""

from __future__ import annotations

__all__ = ["Switch"]


class Switch:
    """Stops a run: `stop` lets what is under way end. The first reason counts."""

    def __init__(self) -> None:
        self.status = ""
        self.reason = ""

    def stop(self, status: str, reason: str) -> None:
        if not self.status:
            self.status, self.reason = status, reason
